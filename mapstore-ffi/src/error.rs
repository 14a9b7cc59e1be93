//! `mapstore_error_t`: why a call failed.

use std::ffi::{CString, c_char};

use crate::code::{MAPSTORE_INTERNAL, MAPSTORE_INVALID_ARGUMENT, MAPSTORE_OK};
use crate::guard::{guard_free, guard_value};

/// Why a call failed. Made by the call that failed, owned by the caller,
/// freed with `mapstore_error_free`. It never changes: any number of threads
/// may read it. The texts belong to it.
pub struct Error {
    pub(crate) code: i32,
    pub(crate) message: CString,
    subject: CString,
    http_status: i32,
    retryable: i32,
    used: u64,
    limit: u64,
}

impl Error {
    /// An argument that doesn't reach the core.
    pub(crate) fn argument(subject: &str, message: &str) -> Error {
        Error::own(MAPSTORE_INVALID_ARGUMENT, subject, &format!("{subject}: {message}"))
    }

    pub(crate) fn null(parameter: &str) -> Error {
        Error::argument(parameter, "it is NULL")
    }

    pub(crate) fn internal(message: &str) -> Error {
        Error::own(MAPSTORE_INTERNAL, "", message)
    }

    fn own(code: i32, subject: &str, message: &str) -> Error {
        let (message, subject) = (c_text(message), c_text(subject));
        Error { code, message, subject, http_status: 0, retryable: 0, used: 0, limit: 0 }
    }
}

impl From<mapstore_core::Error> for Error {
    fn from(error: mapstore_core::Error) -> Error {
        let (used, limit) = error.used_and_limit().unwrap_or((None, 0));
        Error {
            code: error.code(),
            message: c_text(&error.to_string()),
            subject: c_text(error.subject()),
            http_status: error.http_status().map_or(0, i32::from),
            retryable: i32::from(error.is_retryable()),
            used: used.unwrap_or(0),
            limit,
        }
    }
}

/// A server may say NUL; C text can't.
fn c_text(text: &str) -> CString {
    CString::new(text.replace('\0', "\\0")).unwrap_or_default()
}

/// The code the call returned, `MAPSTORE_OK` for NULL.
///
/// Never blocks; safe from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_error_code(error: *const Error) -> i32 {
    // SAFETY: NULL or a handle, as the header asks.
    unsafe { guard_value(MAPSTORE_OK, || error.as_ref().map(|error| error.code)) }
}

/// A sentence that names the subject, the reason and the remedy, in UTF-8 and
/// NUL-terminated; "" for NULL, never NULL. It never holds a token or a stored
/// value. Lives as long as the error.
///
/// Never blocks; safe from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_error_message(error: *const Error) -> *const c_char {
    // SAFETY: NULL or a handle, as the header asks.
    unsafe { guard_value(c"".as_ptr(), || error.as_ref().map(|error| error.message.as_ptr())) }
}

/// What the error is about: a parameter, a key, a ConfigMap, a file, a
/// variable; "" if nothing in particular or for NULL, never NULL. Lives as
/// long as the error.
///
/// Never blocks; safe from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_error_subject(error: *const Error) -> *const c_char {
    // SAFETY: NULL or a handle, as the header asks.
    unsafe { guard_value(c"".as_ptr(), || error.as_ref().map(|error| error.subject.as_ptr())) }
}

/// The HTTP status of the API server's answer; 0 if there was none or for NULL.
///
/// Never blocks; safe from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_error_http_status(error: *const Error) -> i32 {
    // SAFETY: NULL or a handle, as the header asks.
    unsafe { guard_value(0, || error.as_ref().map(|error| error.http_status)) }
}

/// 1 if the same call may succeed later without anybody changing anything,
/// else 0; 0 for NULL.
///
/// Never blocks; safe from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_error_retryable(error: *const Error) -> i32 {
    // SAFETY: NULL or a handle, as the header asks.
    unsafe { guard_value(0, || error.as_ref().map(|error| error.retryable)) }
}

/// For `MAPSTORE_TOO_LARGE`: the bytes it would have been; 0 if not known, for
/// other errors and for NULL.
///
/// Never blocks; safe from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_error_used(error: *const Error) -> u64 {
    // SAFETY: NULL or a handle, as the header asks.
    unsafe { guard_value(0, || error.as_ref().map(|error| error.used)) }
}

/// For `MAPSTORE_TOO_LARGE`: the limit in bytes; 0 for other errors and for NULL.
///
/// Never blocks; safe from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_error_limit(error: *const Error) -> u64 {
    // SAFETY: NULL or a handle, as the header asks.
    unsafe { guard_value(0, || error.as_ref().map(|error| error.limit)) }
}

/// Frees an error and its texts. NULL is a no-op.
///
/// Never blocks; not while another thread reads this error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_error_free(error: *mut Error) {
    // SAFETY: NULL or a handle that is used no more, as the header asks.
    unsafe { guard_free(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nul_in_a_message_is_shown() {
        assert_eq!(c_text("a\0b").as_c_str(), c"a\\0b");
    }
}
