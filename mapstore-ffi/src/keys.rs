//! `mapstore_keys_t`: the keys of a map, as C texts.

use std::ffi::c_char;
use std::ptr;

use crate::guard::{guard_free, guard_value};
use crate::pointer::hand_out;

/// The keys of a map, sorted by their bytes. It never changes: any number of
/// threads may read it. Freed with `mapstore_keys_free`.
pub struct Keys {
    /// All keys, a NUL behind each.
    text: Vec<u8>,
    /// Where each key's NUL is.
    ends: Vec<usize>,
}

impl Keys {
    pub(crate) fn new<'a>(keys: impl ExactSizeIterator<Item = &'a str>) -> Keys {
        let mut list = Keys { text: Vec::new(), ends: Vec::with_capacity(keys.len()) };
        for key in keys {
            list.text.extend_from_slice(key.as_bytes());
            list.ends.push(list.text.len());
            list.text.push(0);
        }
        list
    }

    /// The key at `index`, its NUL right behind it.
    pub(crate) fn at(&self, index: usize) -> Option<&[u8]> {
        let end = *self.ends.get(index)?;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before] + 1);
        self.text.get(start..end)
    }
}

/// How many keys there are; 0 for NULL.
///
/// Never blocks; safe from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_keys_len(keys: *const Keys) -> usize {
    // SAFETY: NULL or a handle, as the header asks.
    unsafe { guard_value(0, || keys.as_ref().map(|keys| keys.ends.len())) }
}

/// The key at `index`, NUL-terminated, its length in `*len` unless `len` is
/// NULL. NULL, and `*len` as it was, if there is none at `index` or for NULL.
/// The text lives as long as `keys`.
///
/// Never blocks; safe from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_keys_at(keys: *const Keys, index: usize, len: *mut usize) -> *const c_char {
    // SAFETY: NULL or valid, as the header asks.
    unsafe { guard_value(ptr::null(), || keys.as_ref()?.at(index).map(|key| hand_out(key, len))) }
}

/// Frees a list of keys and its texts. NULL is a no-op.
///
/// Never blocks; not while another thread uses this handle or its texts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_keys_free(keys: *mut Keys) {
    // SAFETY: NULL or a handle that is used no more, as the header asks.
    unsafe { guard_free(keys) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_its_place_and_its_nul() {
        let keys = Keys::new(["a", "", "ccc"].into_iter());
        assert_eq!(keys.at(0), Some(&b"a"[..]));
        assert_eq!(keys.at(1), Some(&b""[..]));
        assert_eq!(keys.at(2), Some(&b"ccc"[..]));
        assert_eq!((keys.at(3), keys.at(usize::MAX)), (None, None));
        assert_eq!(keys.text, b"a\0\0ccc\0");
        assert_eq!(Keys::new(std::iter::empty()).at(0), None);
    }
}
