//! The guard around every exported function: no panic leaves it, a failure
//! becomes a code and an error object.
//!
//! The body of an exported function is one of these calls and nothing else;
//! `tests/guard.rs` checks that.

use std::ptr::NonNull;

use crate::code::MAPSTORE_OK;
use crate::error::Error;
use mapstore_core::panics::caught;

/// A function that can fail: its code, and the error in `*error` unless that is NULL.
///
/// # Safety
/// `error` is NULL or can be written.
pub unsafe fn guard(error: *mut *mut Error, body: impl FnOnce() -> Result<(), Error>) -> i32 {
    let failure = match caught(body) {
        Ok(Ok(())) => return MAPSTORE_OK,
        Ok(Err(failure)) => failure,
        Err(panic) => Error::internal(&panic),
    };
    let code = failure.code;
    if let Some(slot) = NonNull::new(error) {
        // SAFETY: not NULL, and then the caller says that it can be written.
        unsafe { slot.write(Box::into_raw(Box::new(failure))) };
    }
    code
}

/// A function that can't fail: what `body` finds, else (for NULL, out of range) `default`.
pub fn guard_value<T>(default: T, body: impl FnOnce() -> Option<T>) -> T {
    caught(body).ok().flatten().unwrap_or(default)
}

/// The constructor of a handle; NULL if it panicked.
pub fn guard_new<T>(body: impl FnOnce() -> T) -> *mut T {
    caught(|| Box::into_raw(Box::new(body()))).unwrap_or(std::ptr::null_mut())
}

/// The end of a handle; nothing for NULL.
///
/// # Safety
/// `handle` is NULL or a handle of this library that is used no more.
pub unsafe fn guard_free<T>(handle: *mut T) {
    if !handle.is_null() {
        // SAFETY: it came from Box::into_raw, and this is its only end.
        let _ = caught(|| drop(unsafe { Box::from_raw(handle) }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::{MAPSTORE_INTERNAL, MAPSTORE_INVALID_ARGUMENT};

    #[test]
    fn a_panic_becomes_an_internal_error() {
        let mut error = std::ptr::null_mut();
        // SAFETY: a local slot, then NULL.
        unsafe {
            assert_eq!(guard(&mut error, || panic!("oh")), MAPSTORE_INTERNAL);
            assert!(Box::from_raw(error).message.to_str().unwrap().contains("oh"));
            assert_eq!(guard(std::ptr::null_mut(), || panic!("oh")), MAPSTORE_INTERNAL);
        }
        assert_eq!(guard_value(7, || panic!("oh")), 7);
        assert!(guard_new(|| -> u8 { panic!("oh") }).is_null());
    }

    #[test]
    fn a_failure_gives_its_code_and_success_touches_nothing() {
        let mut error = NonNull::dangling().as_ptr();
        let untouched = error;
        // SAFETY: a local slot.
        unsafe {
            assert_eq!(guard(&mut error, || Ok(())), MAPSTORE_OK);
            assert_eq!(error, untouched);
            assert_eq!(guard(&mut error, || Err(Error::null("key"))), MAPSTORE_INVALID_ARGUMENT);
            guard_free(error);
            guard_free(std::ptr::null_mut::<Error>());
        }
    }

    #[test]
    fn a_drop_that_panics_stays_inside() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("dropped");
            }
        }
        // SAFETY: freed once.
        unsafe { guard_free(guard_new(|| Bomb)) };
    }
}
