//! A function that panics, to prove the guard. Only with the feature
//! `panic-test`; never in the shipped library.

use crate::error::Error;
use crate::guard::guard;

/// Panics; the guard returns `MAPSTORE_INTERNAL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_test_panic(error: *mut *mut Error) -> i32 {
    // SAFETY: NULL or valid, as the header asks.
    unsafe { guard(error, || panic!("mapstore_test_panic was called")) }
}
