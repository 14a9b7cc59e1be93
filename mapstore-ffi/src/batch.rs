//! `mapstore_batch_t`: several changes that are made together, and their conditions.

use std::ffi::{c_char, c_void};

use crate::error::Error;
use crate::guard::{guard, guard_free, guard_new};
use crate::pointer::{handle_mut, text, value_bytes};

/// Changes that are made together or not at all, in one revision, by
/// `mapstore_apply`, and only if all conditions hold at that moment.
/// Operations count in the order in which they were added; of several on one
/// key the last one stays. Conditions are about the map before the batch.
/// Freed with `mapstore_batch_free`; any number of calls may use it, but not
/// while it is being changed.
#[derive(Default)]
pub struct Batch(pub(crate) mapstore_core::Batch);

/// A batch without operations and conditions. The caller owns it and frees it
/// with `mapstore_batch_free`. NULL only for a defect of the library.
///
/// Never blocks; safe from any thread.
#[unsafe(no_mangle)]
pub extern "C" fn mapstore_batch_new() -> *mut Batch {
    guard_new(Batch::default)
}

/// Adds: set `key` to `value`, unless it is there already. The bytes are copied.
///
/// NULL is allowed for `error`, and for `value` if `value_len` is 0. Never
/// blocks; not while another thread uses `batch`. Errors:
/// `MAPSTORE_INVALID_ARGUMENT`, `MAPSTORE_TOO_LARGE`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_batch_set(
    batch: *mut Batch,
    key: *const c_char,
    key_len: usize,
    value: *const c_void,
    value_len: usize,
    error: *mut *mut Error,
) -> i32 {
    // SAFETY: NULL or valid, as the header asks.
    unsafe {
        guard(error, || {
            let (batch, key) = (handle_mut("batch", batch)?, text("key", key, key_len)?);
            batch.0.set(key, value_bytes(value, value_len)?)?;
            Ok(())
        })
    }
}

/// Adds: set `key` to `value`, and make a new revision in any case.
///
/// All else as for `mapstore_batch_set`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_batch_force_set(
    batch: *mut Batch,
    key: *const c_char,
    key_len: usize,
    value: *const c_void,
    value_len: usize,
    error: *mut *mut Error,
) -> i32 {
    // SAFETY: NULL or valid, as the header asks.
    unsafe {
        guard(error, || {
            let (batch, key) = (handle_mut("batch", batch)?, text("key", key, key_len)?);
            batch.0.force_set(key, value_bytes(value, value_len)?)?;
            Ok(())
        })
    }
}

/// Adds: delete `key`. One that is missing is fine.
///
/// NULL is allowed for `error`. Never blocks; not while another thread uses
/// `batch`. Errors: `MAPSTORE_INVALID_ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_batch_delete(
    batch: *mut Batch,
    key: *const c_char,
    key_len: usize,
    error: *mut *mut Error,
) -> i32 {
    // SAFETY: NULL or valid, as the header asks.
    unsafe {
        guard(error, || {
            let (batch, key) = (handle_mut("batch", batch)?, text("key", key, key_len)?);
            batch.0.delete(key)?;
            Ok(())
        })
    }
}

/// Adds: delete all keys, those set earlier in this batch too.
///
/// NULL is allowed for `error`. Never blocks; not while another thread uses
/// `batch`. Errors: `MAPSTORE_INVALID_ARGUMENT` for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_batch_truncate(batch: *mut Batch, error: *mut *mut Error) -> i32 {
    // SAFETY: NULL or valid, as the header asks.
    unsafe {
        guard(error, || {
            handle_mut("batch", batch)?.0.truncate()?;
            Ok(())
        })
    }
}

/// Adds a condition: there is no such key.
///
/// NULL is allowed for `error`. Never blocks; not while another thread uses
/// `batch`. Errors: `MAPSTORE_INVALID_ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_batch_if_absent(
    batch: *mut Batch,
    key: *const c_char,
    key_len: usize,
    error: *mut *mut Error,
) -> i32 {
    // SAFETY: NULL or valid, as the header asks.
    unsafe {
        guard(error, || {
            let (batch, key) = (handle_mut("batch", batch)?, text("key", key, key_len)?);
            batch.0.if_absent(key)?;
            Ok(())
        })
    }
}

/// Adds a condition: there is such a key, whatever its value.
///
/// All else as for `mapstore_batch_if_absent`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_batch_if_present(
    batch: *mut Batch,
    key: *const c_char,
    key_len: usize,
    error: *mut *mut Error,
) -> i32 {
    // SAFETY: NULL or valid, as the header asks.
    unsafe {
        guard(error, || {
            let (batch, key) = (handle_mut("batch", batch)?, text("key", key, key_len)?);
            batch.0.if_present(key)?;
            Ok(())
        })
    }
}

/// Adds a condition: the key has exactly this value. The bytes are copied.
///
/// All else as for `mapstore_batch_set`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_batch_if_equals(
    batch: *mut Batch,
    key: *const c_char,
    key_len: usize,
    value: *const c_void,
    value_len: usize,
    error: *mut *mut Error,
) -> i32 {
    // SAFETY: NULL or valid, as the header asks.
    unsafe {
        guard(error, || {
            let (batch, key) = (handle_mut("batch", batch)?, text("key", key, key_len)?);
            batch.0.if_equals(key, value_bytes(value, value_len)?)?;
            Ok(())
        })
    }
}

/// Adds a condition: the map is at this revision, as a write or a snapshot told
/// it; nobody wrote anything since. A map that doesn't exist is at none.
///
/// NULL is allowed for `error`. Never blocks; not while another thread uses
/// `batch`. Errors: `MAPSTORE_INVALID_ARGUMENT`, also for "".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_batch_if_revision(
    batch: *mut Batch,
    revision: *const c_char,
    revision_len: usize,
    error: *mut *mut Error,
) -> i32 {
    // SAFETY: NULL or valid, as the header asks.
    unsafe {
        guard(error, || {
            let batch = handle_mut("batch", batch)?;
            batch.0.if_revision(text("revision", revision, revision_len)?)?;
            Ok(())
        })
    }
}

/// Frees a batch; calls under way keep what they need. NULL is a no-op.
///
/// Never blocks; not while another thread uses this handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_batch_free(batch: *mut Batch) {
    // SAFETY: NULL or a handle that is used no more, as the header asks.
    unsafe { guard_free(batch) }
}
