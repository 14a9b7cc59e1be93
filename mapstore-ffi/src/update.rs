//! `mapstore_update_t`: a read-modify-write under way.

use std::ffi::c_void;
use std::ptr::null;

use crate::error::Error;
use crate::guard::{guard, guard_free};
use crate::library::ABSENT;
use crate::pointer::{handle, handle_mut, optional_value, output};
use crate::written::{Written, tell};

/// A read-modify-write of one key, begun by `mapstore_update_begin`: look at
/// the value, compute, commit, and again while `*done` is 0. Freed with
/// `mapstore_update_free`; for one thread at a time. It needs its store's
/// handle no more.
pub struct Update(pub(crate) mapstore_core::Update);

/// What to compute from, in `*value` and `*value_len`: a view that is valid
/// until the next commit, or until the update is freed. A missing key is NULL
/// with `MAPSTORE_ABSENT`.
///
/// NULL is allowed for `error`. Never blocks; not while another thread uses
/// `update`. Errors: `MAPSTORE_INVALID_ARGUMENT` for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_update_value(
    update: *const Update,
    value: *mut *const c_void,
    value_len: *mut usize,
    error: *mut *mut Error,
) -> i32 {
    // SAFETY: NULL or valid, as the header asks.
    unsafe {
        guard(error, || {
            let update = handle("update", update)?;
            let (data, len) = (output("value", value)?, output("value_len", value_len)?);
            let found = update.0.value();
            data.write(found.map_or(null(), |found| found.as_ptr().cast()));
            len.write(found.map_or(ABSENT, |found| found.len()));
            Ok(())
        })
    }
}

/// Stores `value` (`value_len` `MAPSTORE_ABSENT`: deletes the key) if the key
/// still has the value that `mapstore_update_value` tells. `*done` is then 1.
/// Otherwise somebody else was faster, `*done` is 0, nothing was written, and
/// `mapstore_update_value` tells the newer value: compute again, commit again.
///
/// NULL is allowed for `written` and `error`, and for `value` if there are no
/// bytes. Blocks until the deadline at most, which counts from
/// `mapstore_update_begin` over all commits. Not while another thread uses
/// `update`. Errors: those of a write; each of them ends the update. After
/// `MAPSTORE_OUTCOME_UNKNOWN` read before you begin another.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_update_commit(
    update: *mut Update,
    value: *const c_void,
    value_len: usize,
    done: *mut i32,
    written: *mut Written,
    error: *mut *mut Error,
) -> i32 {
    // SAFETY: NULL or valid, as the header asks.
    unsafe {
        guard(error, || {
            let (update, place) = (handle_mut("update", update)?, output("done", done)?);
            let committed = update.0.commit(optional_value(value, value_len)?)?;
            if let Some(committed) = &committed {
                tell(written, committed);
            }
            place.write(i32::from(committed.is_some()));
            Ok(())
        })
    }
}

/// Frees an update, committed or not. NULL is a no-op.
///
/// Never blocks; not while another thread uses this handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_update_free(update: *mut Update) {
    // SAFETY: NULL or a handle that is used no more, as the header asks.
    unsafe { guard_free(update) }
}
