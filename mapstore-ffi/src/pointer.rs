//! From C's pointers and lengths to Rust's references, and back.
//!
//! Every function here trusts what the header asks of the caller: a pointer is
//! NULL or valid, a length is that of the memory before it.

use std::ffi::{CStr, OsStr, c_char, c_void};
use std::os::unix::ffi::OsStrExt;
use std::ptr::NonNull;
use std::slice;

use crate::error::Error;
use crate::library::{ABSENT, NUL};

/// A handle that must be there.
///
/// # Safety
/// `handle` is NULL or a live handle.
pub unsafe fn handle<'a, T>(parameter: &str, handle: *const T) -> Result<&'a T, Error> {
    // SAFETY: as above.
    unsafe { handle.as_ref() }.ok_or_else(|| Error::null(parameter))
}

/// A handle to be changed, that must be there.
///
/// # Safety
/// `handle` is NULL or a live handle that nobody else uses meanwhile.
pub unsafe fn handle_mut<'a, T>(parameter: &str, handle: *mut T) -> Result<&'a mut T, Error> {
    // SAFETY: as above.
    unsafe { handle.as_mut() }.ok_or_else(|| Error::null(parameter))
}

/// Where a result goes, that must be there.
pub fn output<T>(parameter: &str, place: *mut T) -> Result<NonNull<T>, Error> {
    NonNull::new(place).ok_or_else(|| Error::null(parameter))
}

/// The bytes of a value: NULL only with length 0.
///
/// # Safety
/// `value` is NULL or has `len` readable bytes that don't change meanwhile.
pub unsafe fn value_bytes<'a>(value: *const c_void, len: usize) -> Result<&'a [u8], Error> {
    if len == 0 {
        return Ok(&[]);
    }
    if value.is_null() {
        return Err(Error::argument("value", &format!("it is NULL, but its length is {len}")));
    }
    if len == NUL {
        return Err(Error::argument("value_len", "a value needs its length: MAPSTORE_NUL is for texts"));
    }
    // SAFETY: not NULL, and the length is checked.
    Ok(unsafe { slice::from_raw_parts(value.cast(), possible_len("value_len", len)?) })
}

/// The bytes of a value, or `None` for `ABSENT`.
///
/// # Safety
/// As for [`value_bytes`].
pub unsafe fn optional_value<'a>(value: *const c_void, len: usize) -> Result<Option<&'a [u8]>, Error> {
    // SAFETY: as above.
    if len == ABSENT { Ok(None) } else { unsafe { value_bytes(value, len) }.map(Some) }
}

/// A text in UTF-8.
///
/// # Safety
/// `text` is NULL or has `len` readable bytes, up to its NUL for `NUL`, that
/// don't change meanwhile.
pub unsafe fn text<'a>(parameter: &str, text: *const c_char, len: usize) -> Result<&'a str, Error> {
    // SAFETY: as above.
    let bytes = unsafe { text_bytes(parameter, text, len)? };
    std::str::from_utf8(bytes).map_err(|fault| {
        const SHOWN: usize = 64;
        let shown = bytes[..bytes.len().min(SHOWN)].escape_ascii();
        let more = if bytes.len() > SHOWN { "…" } else { "" };
        let place = fault.valid_up_to();
        Error::argument(&format!("{parameter} \"{shown}\"{more}"), &format!("not UTF-8 at byte {place}"))
    })
}

/// A path, which may hold any bytes.
///
/// # Safety
/// As for [`text`].
pub unsafe fn path<'a>(parameter: &str, path: *const c_char, len: usize) -> Result<&'a OsStr, Error> {
    // SAFETY: as above.
    unsafe { text_bytes(parameter, path, len) }.map(OsStr::from_bytes)
}

unsafe fn text_bytes<'a>(parameter: &str, text: *const c_char, len: usize) -> Result<&'a [u8], Error> {
    if text.is_null() {
        return Err(Error::null(parameter));
    }
    if len == NUL {
        // SAFETY: not NULL, and then NUL-terminated.
        return Ok(unsafe { CStr::from_ptr(text) }.to_bytes());
    }
    let len = possible_len(&format!("{parameter}_len"), len)?;
    // SAFETY: not NULL, and the length is checked.
    Ok(unsafe { slice::from_raw_parts(text.cast(), len) })
}

/// No object in memory is larger than `isize::MAX` bytes: such a length is a
/// negative number that lost its sign.
pub fn possible_len(parameter: &str, len: usize) -> Result<usize, Error> {
    let possible = isize::try_from(len).is_ok();
    possible.then_some(len).ok_or_else(|| Error::argument(parameter, &format!("{len} can't be a length")))
}

/// Hands out bytes that belong to a handle; their length goes to `len` unless that is NULL.
///
/// # Safety
/// `len` is NULL or can be written.
pub unsafe fn hand_out<T>(bytes: &[u8], len: *mut usize) -> *const T {
    if let Some(len) = NonNull::new(len) {
        // SAFETY: not NULL, and then it can be written.
        unsafe { len.write(bytes.len()) };
    }
    bytes.as_ptr().cast()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr::null;

    fn subject_of<T>(result: Result<T, Error>) -> String {
        result.err().expect("refused").message.into_string().unwrap()
    }

    #[test]
    fn texts() {
        let given = c"abc".as_ptr();
        // SAFETY: literals with their lengths, or nothing to read.
        unsafe {
            assert_eq!(text("key", given, NUL).ok(), Some("abc"));
            assert_eq!(text("key", given, 2).ok(), Some("ab"));
            assert_eq!(text("key", given, 0).ok(), Some(""));
            assert_eq!(subject_of(text("key", null(), 0)), "key: it is NULL");
            assert_eq!(subject_of(text("key", null(), NUL)), "key: it is NULL");
            assert!(subject_of(text("key", given, 1 << 63)).starts_with("key_len: 9223372036854775808"));
            let odd = [b"a\xff".as_slice(), &[b'x'; 100]].concat();
            let shown = subject_of(text("key", odd.as_ptr().cast(), odd.len()));
            assert!(
                shown.starts_with("key \"a\\xffxx") && shown.ends_with("…: not UTF-8 at byte 1"),
                "{shown}"
            );
        }
    }

    #[test]
    fn values() {
        let given = c"abc".as_ptr().cast();
        // SAFETY: literals with their lengths, or nothing to read.
        unsafe {
            assert_eq!(value_bytes(given, 3).ok(), Some(&b"abc"[..]));
            assert_eq!(value_bytes(null(), 0).ok(), Some(&b""[..]));
            assert_eq!(subject_of(value_bytes(null(), 3)), "value: it is NULL, but its length is 3");
            assert!(subject_of(value_bytes(given, NUL)).contains("MAPSTORE_NUL is for texts"));
            assert!(subject_of(value_bytes(given, usize::MAX - 1)).starts_with("value_len: "));
            assert_eq!(optional_value(given, 3).ok(), Some(Some(&b"abc"[..])));
            assert_eq!(optional_value(null(), 0).ok(), Some(Some(&b""[..])));
            assert_eq!(optional_value(null(), ABSENT).ok(), Some(None));
        }
    }
}
