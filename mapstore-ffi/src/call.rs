//! `mapstore_call_t`: the settings of single calls.

use std::time::Duration;

use crate::cancel_token::CancelToken;
use crate::error::Error;
use crate::guard::{guard, guard_free, guard_new};
use crate::pointer::{handle, handle_mut};

/// Settings of single calls: deadline and cancel token. Wherever a function
/// takes one, NULL means the store's settings. Freed with
/// `mapstore_call_free`; any number of calls, in any number of threads, may
/// use it, but not while it is being set.
#[derive(Default)]
pub struct Call {
    timeout: Option<Duration>,
    cancel: Option<mapstore_core::CancelToken>,
    /// The two above, as the core wants them.
    made: mapstore_core::Call,
}

impl Call {
    fn set(&mut self, change: impl FnOnce(&mut Self)) {
        change(self);
        let call =
            self.timeout.map_or_else(mapstore_core::Call::new, |t| mapstore_core::Call::new().timeout(t));
        self.made = match &self.cancel {
            Some(token) => call.cancel(token),
            None => call,
        };
    }
}

/// The settings a function was given, NULL being the defaults.
///
/// # Safety
/// `call` is NULL or a live handle that isn't being set meanwhile.
pub unsafe fn settings(call: *const Call) -> mapstore_core::Call {
    // SAFETY: as above.
    unsafe { call.as_ref() }.map_or_else(mapstore_core::Call::new, |call| call.made.clone())
}

/// C's milliseconds; which ones are allowed is said by the core, at use.
pub fn timeout(milliseconds: i64) -> Result<Duration, Error> {
    let given = u64::try_from(milliseconds).map(Duration::from_millis);
    given.map_err(|_| Error::argument("timeout_ms", &format!("{milliseconds} is negative")))
}

/// Call settings that change nothing yet. The caller owns them and frees them
/// with `mapstore_call_free`. NULL only for a defect of the library.
///
/// Never blocks; safe from any thread.
#[unsafe(no_mangle)]
pub extern "C" fn mapstore_call_new() -> *mut Call {
    guard_new(Call::default)
}

/// How long a call may take, in milliseconds: 1 to 86400000 (24 h). A negative
/// number is refused here, 0 and more than 24 h by every call that uses it.
///
/// Never blocks; not while another thread uses `call`. Errors:
/// `MAPSTORE_INVALID_ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_call_set_timeout_ms(
    call: *mut Call,
    timeout_ms: i64,
    error: *mut *mut Error,
) -> i32 {
    // SAFETY: NULL or valid, as the header asks.
    unsafe {
        guard(error, || {
            let (call, timeout) = (handle_mut("call", call)?, timeout(timeout_ms)?);
            call.set(|call| call.timeout = Some(timeout));
            Ok(())
        })
    }
}

/// What cancels a call; NULL: nothing. The token may be freed afterwards.
///
/// Never blocks; not while another thread uses `call`. Errors:
/// `MAPSTORE_INVALID_ARGUMENT` if `call` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_call_set_cancel_token(
    call: *mut Call,
    token: *const CancelToken,
    error: *mut *mut Error,
) -> i32 {
    // SAFETY: NULL or valid, as the header asks.
    unsafe {
        guard(error, || {
            let (call, token) = (handle_mut("call", call)?, handle("token", token).ok());
            call.set(|call| call.cancel = token.map(|token| token.0.clone()));
            Ok(())
        })
    }
}

/// Frees call settings; calls under way keep what they need. NULL is a no-op.
///
/// Never blocks; not while another thread uses this handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_call_free(call: *mut Call) {
    // SAFETY: NULL or a handle that is used no more, as the header asks.
    unsafe { guard_free(call) }
}
