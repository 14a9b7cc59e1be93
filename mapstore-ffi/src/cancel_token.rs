//! `mapstore_cancel_token_t`: what cancels calls.

use crate::guard::{guard, guard_free, guard_new};
use crate::pointer::handle;

/// Cancels the calls it was given to, from any thread and for good. Freed with
/// `mapstore_cancel_token_free`; any number of threads may use it meanwhile.
pub struct CancelToken(pub(crate) mapstore_core::CancelToken);

/// A token that isn't cancelled. The caller owns it and frees it with
/// `mapstore_cancel_token_free`. NULL only for a defect of the library.
///
/// Never blocks; safe from any thread.
#[unsafe(no_mangle)]
pub extern "C" fn mapstore_cancel_token_new() -> *mut CancelToken {
    guard_new(|| CancelToken(mapstore_core::CancelToken::new()))
}

/// Cancels: every call under way with this token returns
/// `MAPSTORE_CANCELLED` within 100 ms, every later one at once. A second time
/// does nothing.
///
/// Never blocks; safe from any thread. Errors: `MAPSTORE_INVALID_ARGUMENT` for
/// NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_cancel_token_cancel(token: *const CancelToken) -> i32 {
    // SAFETY: NULL or a handle, as the header asks.
    unsafe {
        guard(std::ptr::null_mut(), || {
            handle("token", token)?.0.cancel();
            Ok(())
        })
    }
}

/// Frees a token; calls and call settings it was given to keep what they need.
/// It doesn't cancel. NULL is a no-op.
///
/// Never blocks; not while another thread uses this handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_cancel_token_free(token: *mut CancelToken) {
    // SAFETY: NULL or a handle that is used no more, as the header asks.
    unsafe { guard_free(token) }
}
