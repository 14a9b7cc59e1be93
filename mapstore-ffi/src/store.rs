//! `mapstore_store_t`: an open store and everything that is asked of it.

use std::ffi::{c_char, c_void};
use std::ptr;

use crate::batch::Batch;
use crate::call::{Call, settings};
use crate::error::Error;
use crate::guard::{guard, guard_free};
use crate::keys::Keys;
use crate::library::ABSENT;
use crate::options::{Options, options_for};
use crate::pointer::{handle, optional_value, output, possible_len, text, value_bytes};
use crate::snapshot::Snapshot;
use crate::update::Update;
use crate::usage::Usage;
use crate::value::Value;
use crate::written::{Written, tell};

/// A key/value store over one ConfigMap. Any number of threads may use it at
/// the same time, except while it is being freed. Freed with
/// `mapstore_store_free`.
pub struct Store(mapstore_core::Store);

impl Drop for Store {
    fn drop(&mut self) {
        // Whoever wants the error calls mapstore_close.
        let _ = self.0.close();
    }
}

/// The store, its calls under the given settings.
///
/// # Safety
/// `store` and `call` are NULL or live handles.
unsafe fn store_for(store: *const Store, call: *const Call) -> Result<mapstore_core::Store, Error> {
    // SAFETY: as above.
    unsafe { Ok(handle("store", store)?.0.with(&settings(call))) }
}

/// Opens the store over the ConfigMap `name`. `MAPSTORE_CACHE_NONE` sends
/// nothing; `MAPSTORE_CACHE_EXCLUSIVE` reads the map once. A ConfigMap that
/// doesn't exist is an empty map; the first write creates it. `*store` is the
/// caller's, to be freed with `mapstore_store_free`.
///
/// NULL is allowed for `options`, `call` and `error`. Blocks until the deadline
/// at most. Safe from any thread, but reads the environment (getenv; all of it
/// for a credential plugin): not while another thread calls setenv, putenv or
/// unsetenv. Errors: `MAPSTORE_INVALID_ARGUMENT`, `MAPSTORE_CONFIG`, and for a
/// cached store those of a read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_open(
    name: *const c_char,
    name_len: usize,
    options: *const Options,
    call: *const Call,
    store: *mut *mut Store,
    error: *mut *mut Error,
) -> i32 {
    // SAFETY: NULL or valid, as the header asks.
    unsafe {
        guard(error, || {
            let (options, place) = (options_for(name, name_len, options)?, output("store", store)?);
            let opened = options.open_with(&settings(call))?;
            place.write(Box::into_raw(Box::new(Store(opened))));
            Ok(())
        })
    }
}

/// Whether a store opened like this could work: reaches the cluster and has
/// the rights to read, to write and (for a missing map) to create it. Changes
/// nothing, whoever owns the name.
///
/// NULL is allowed for `options`, `call` and `error`. Blocks until the deadline
/// at most. Safe from any thread. Errors: those of `mapstore_open`, of a read
/// and of a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_verify_connection(
    name: *const c_char,
    name_len: usize,
    options: *const Options,
    call: *const Call,
    error: *mut *mut Error,
) -> i32 {
    // SAFETY: NULL or valid, as the header asks.
    unsafe {
        guard(error, || {
            let options = options_for(name, name_len, options)?;
            Ok(options.verify_connection(&settings(call))?)
        })
    }
}

/// The value of `key`, the caller's own copy, to be freed with
/// `mapstore_value_free`. A missing key is `MAPSTORE_OK` with NULL.
///
/// NULL is allowed for `call` and `error`. Blocks until the deadline at most;
/// not at all on a cached store. Safe from any thread. Errors:
/// `MAPSTORE_INVALID_ARGUMENT` and those of a read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_get(
    store: *const Store,
    call: *const Call,
    key: *const c_char,
    key_len: usize,
    value: *mut *mut Value,
    error: *mut *mut Error,
) -> i32 {
    // SAFETY: NULL or valid, as the header asks.
    unsafe {
        guard(error, || {
            let (store, key) = (store_for(store, call)?, text("key", key, key_len)?);
            let place = output("value", value)?;
            place.write(Value::handle(store.get(key)?));
            Ok(())
        })
    }
}

/// The value of `key`, copied into the caller's `buffer` of `capacity` bytes;
/// `*value_len` is its length. If that is more than `capacity`, nothing is
/// copied, and it is `MAPSTORE_OK` all the same: make room and ask again. A
/// missing key is `MAPSTORE_OK` with `MAPSTORE_ABSENT`.
///
/// NULL is allowed for `call` and `error`, and for `buffer` if `capacity` is 0.
/// Blocks until the deadline at most; not at all on a cached store. Safe from
/// any thread. Errors: `MAPSTORE_INVALID_ARGUMENT` and those of a read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_get_into(
    store: *const Store,
    call: *const Call,
    key: *const c_char,
    key_len: usize,
    buffer: *mut c_void,
    capacity: usize,
    value_len: *mut usize,
    error: *mut *mut Error,
) -> i32 {
    // SAFETY: NULL or valid, as the header asks.
    unsafe {
        guard(error, || {
            let (store, key) = (store_for(store, call)?, text("key", key, key_len)?);
            let (room, place) = (room(buffer, capacity)?, output("value_len", value_len)?);
            place.write(store.get(key)?.map_or(ABSENT, |value| copy_if_it_fits(&value, buffer, room)));
            Ok(())
        })
    }
}

fn room(buffer: *mut c_void, capacity: usize) -> Result<usize, Error> {
    if buffer.is_null() && capacity > 0 {
        return Err(Error::argument("buffer", &format!("it is NULL, but its capacity is {capacity}")));
    }
    possible_len("capacity", capacity)
}

/// # Safety
/// `buffer` has `room` bytes that can be written.
unsafe fn copy_if_it_fits(value: &[u8], buffer: *mut c_void, room: usize) -> usize {
    if !value.is_empty() && value.len() <= room {
        // SAFETY: it fits, and a value of the core is no memory of the caller's.
        unsafe { ptr::copy_nonoverlapping(value.as_ptr(), buffer.cast(), value.len()) };
    }
    value.len()
}

/// Whether `key` is there: `*present` is 1 or 0.
///
/// NULL is allowed for `call` and `error`. Blocks until the deadline at most;
/// not at all on a cached store. Safe from any thread. Errors:
/// `MAPSTORE_INVALID_ARGUMENT` and those of a read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_contains(
    store: *const Store,
    call: *const Call,
    key: *const c_char,
    key_len: usize,
    present: *mut i32,
    error: *mut *mut Error,
) -> i32 {
    // SAFETY: NULL or valid, as the header asks.
    unsafe {
        guard(error, || {
            let (store, key) = (store_for(store, call)?, text("key", key, key_len)?);
            let place = output("present", present)?;
            place.write(i32::from(store.contains(key)?));
            Ok(())
        })
    }
}

/// How many keys there are, in `*len`.
///
/// NULL is allowed for `call` and `error`. Blocks until the deadline at most;
/// not at all on a cached store. Safe from any thread. Errors:
/// `MAPSTORE_INVALID_ARGUMENT` for NULL, and those of a read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_len(
    store: *const Store,
    call: *const Call,
    len: *mut usize,
    error: *mut *mut Error,
) -> i32 {
    // SAFETY: NULL or valid, as the header asks.
    unsafe {
        guard(error, || {
            let (store, place) = (store_for(store, call)?, output("len", len)?);
            place.write(store.len()?);
            Ok(())
        })
    }
}

/// All keys, sorted by their bytes. `*keys` is the caller's, to be freed with
/// `mapstore_keys_free`; no keys are a list of none, not NULL.
///
/// NULL is allowed for `call` and `error`. Blocks until the deadline at most;
/// not at all on a cached store. Safe from any thread. Errors:
/// `MAPSTORE_INVALID_ARGUMENT` for NULL, and those of a read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_keys(
    store: *const Store,
    call: *const Call,
    keys: *mut *mut Keys,
    error: *mut *mut Error,
) -> i32 {
    // SAFETY: NULL or valid, as the header asks.
    unsafe {
        guard(error, || {
            let (store, place) = (store_for(store, call)?, output("keys", keys)?);
            let list = store.keys()?;
            place.write(Box::into_raw(Box::new(Keys::new(list.iter().map(String::as_str)))));
            Ok(())
        })
    }
}

/// The whole map at one revision. `*snapshot` is the caller's, to be freed
/// with `mapstore_snapshot_free`. A cached store hands it out without copying.
///
/// NULL is allowed for `call` and `error`. Blocks until the deadline at most;
/// not at all on a cached store. Safe from any thread. Errors:
/// `MAPSTORE_INVALID_ARGUMENT` for NULL, and those of a read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_snapshot(
    store: *const Store,
    call: *const Call,
    snapshot: *mut *mut Snapshot,
    error: *mut *mut Error,
) -> i32 {
    // SAFETY: NULL or valid, as the header asks.
    unsafe {
        guard(error, || {
            let (store, place) = (store_for(store, call)?, output("snapshot", snapshot)?);
            place.write(Box::into_raw(Box::new(Snapshot::new(store.snapshot()?))));
            Ok(())
        })
    }
}

/// Sets `key` to `value`. A value that is there already is not written again:
/// `written->changed` is then 0. The bytes are copied. A missing ConfigMap is
/// created.
///
/// NULL is allowed for `call`, `written` and `error`, and for `value` if
/// `value_len` is 0. `MAPSTORE_NUL` is not allowed as `value_len`. Blocks until
/// the deadline at most. Safe from any thread. Errors:
/// `MAPSTORE_INVALID_ARGUMENT`, `MAPSTORE_TOO_LARGE` and the others of a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_set(
    store: *const Store,
    call: *const Call,
    key: *const c_char,
    key_len: usize,
    value: *const c_void,
    value_len: usize,
    written: *mut Written,
    error: *mut *mut Error,
) -> i32 {
    // SAFETY: NULL or valid, as the header asks.
    unsafe {
        guard(error, || {
            let (store, key) = (store_for(store, call)?, text("key", key, key_len)?);
            let done = store.set(key, value_bytes(value, value_len)?)?;
            tell(written, &done);
            Ok(())
        })
    }
}

/// Sets `key` to `value` in a new revision, even if the value is there already.
///
/// All else as for `mapstore_set`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_force_set(
    store: *const Store,
    call: *const Call,
    key: *const c_char,
    key_len: usize,
    value: *const c_void,
    value_len: usize,
    written: *mut Written,
    error: *mut *mut Error,
) -> i32 {
    // SAFETY: NULL or valid, as the header asks.
    unsafe {
        guard(error, || {
            let (store, key) = (store_for(store, call)?, text("key", key, key_len)?);
            let done = store.force_set(key, value_bytes(value, value_len)?)?;
            tell(written, &done);
            Ok(())
        })
    }
}

/// Deletes `key`. One that is missing is fine: `written->changed` is then 0.
///
/// NULL is allowed for `call`, `written` and `error`. Blocks until the deadline
/// at most. Safe from any thread. Errors: `MAPSTORE_INVALID_ARGUMENT` and those
/// of a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_delete(
    store: *const Store,
    call: *const Call,
    key: *const c_char,
    key_len: usize,
    written: *mut Written,
    error: *mut *mut Error,
) -> i32 {
    // SAFETY: NULL or valid, as the header asks.
    unsafe {
        guard(error, || {
            let (store, key) = (store_for(store, call)?, text("key", key, key_len)?);
            tell(written, &store.delete(key)?);
            Ok(())
        })
    }
}

/// Deletes all keys, other writers' too, in one write. The ConfigMap stays.
///
/// NULL is allowed for `call`, `written` and `error`. Blocks until the deadline
/// at most. Safe from any thread. Errors: `MAPSTORE_INVALID_ARGUMENT` for NULL,
/// and those of a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_truncate(
    store: *const Store,
    call: *const Call,
    written: *mut Written,
    error: *mut *mut Error,
) -> i32 {
    // SAFETY: NULL or valid, as the header asks.
    unsafe {
        guard(error, || {
            let store = store_for(store, call)?;
            tell(written, &store.truncate()?);
            Ok(())
        })
    }
}

/// Makes all changes of `batch` in one revision, or none of them. A condition
/// that doesn't hold is `MAPSTORE_CONFLICT`; the message says which one. A batch
/// without operations only checks its conditions.
///
/// NULL is allowed for `call`, `written` and `error`. Blocks until the deadline
/// at most. Safe from any thread. Errors: `MAPSTORE_INVALID_ARGUMENT` for NULL,
/// `MAPSTORE_CONFLICT`, `MAPSTORE_TOO_LARGE` and the others of a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_apply(
    store: *const Store,
    call: *const Call,
    batch: *const Batch,
    written: *mut Written,
    error: *mut *mut Error,
) -> i32 {
    // SAFETY: NULL or valid, as the header asks.
    unsafe {
        guard(error, || {
            let (store, batch) = (store_for(store, call)?, handle("batch", batch)?);
            tell(written, &store.apply(&batch.0)?);
            Ok(())
        })
    }
}

/// Sets `key` to `value` (`value_len` `MAPSTORE_ABSENT`: deletes it) if it has
/// exactly the value `expected` (`expected_len` `MAPSTORE_ABSENT`: if it is
/// missing); otherwise `MAPSTORE_CONFLICT`, and nothing is written.
///
/// NULL is allowed for `call`, `written` and `error`, and for `expected` and
/// `value` if they have no bytes. Blocks until the deadline at most. Safe from
/// any thread. Errors: `MAPSTORE_INVALID_ARGUMENT`, `MAPSTORE_CONFLICT`,
/// `MAPSTORE_TOO_LARGE` and the others of a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_compare_and_set(
    store: *const Store,
    call: *const Call,
    key: *const c_char,
    key_len: usize,
    expected: *const c_void,
    expected_len: usize,
    value: *const c_void,
    value_len: usize,
    written: *mut Written,
    error: *mut *mut Error,
) -> i32 {
    // SAFETY: NULL or valid, as the header asks.
    unsafe {
        guard(error, || {
            let (store, key) = (store_for(store, call)?, text("key", key, key_len)?);
            let expected = optional_value(expected, expected_len)?;
            tell(written, &store.compare_and_set(key, expected, optional_value(value, value_len)?)?);
            Ok(())
        })
    }
}

/// Reads `key` and begins a read-modify-write of it: see `mapstore_update_t`.
/// `*update` is the caller's, to be freed with `mapstore_update_free`.
///
/// NULL is allowed for `call` and `error`. Blocks until the deadline at most;
/// not at all on a cached store. Safe from any thread. Errors:
/// `MAPSTORE_INVALID_ARGUMENT` and those of a read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_update_begin(
    store: *const Store,
    call: *const Call,
    key: *const c_char,
    key_len: usize,
    update: *mut *mut Update,
    error: *mut *mut Error,
) -> i32 {
    // SAFETY: NULL or valid, as the header asks.
    unsafe {
        guard(error, || {
            let (store, key) = (store_for(store, call)?, text("key", key, key_len)?);
            let place = output("update", update)?;
            place.write(Box::into_raw(Box::new(Update(store.begin_update(key)?))));
            Ok(())
        })
    }
}

/// Makes a cached store as new as the server is now; on an uncached one a read
/// that proves that the map can be reached.
///
/// NULL is allowed for `call` and `error`. Blocks until the deadline at most.
/// Safe from any thread. Errors: `MAPSTORE_INVALID_ARGUMENT` for NULL, and those
/// of a read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_refresh(
    store: *const Store,
    call: *const Call,
    error: *mut *mut Error,
) -> i32 {
    // SAFETY: NULL or valid, as the header asks.
    unsafe { guard(error, || Ok(store_for(store, call)?.refresh()?)) }
}

/// How full the store is, in `*usage`.
///
/// NULL is allowed for `call` and `error`. Blocks until the deadline at most;
/// not at all on a cached store. Safe from any thread. Errors:
/// `MAPSTORE_INVALID_ARGUMENT` for NULL, and those of a read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_usage(
    store: *const Store,
    call: *const Call,
    usage: *mut Usage,
    error: *mut *mut Error,
) -> i32 {
    // SAFETY: NULL or valid, as the header asks.
    unsafe {
        guard(error, || {
            let (store, place) = (store_for(store, call)?, output("usage", usage)?);
            place.write(store.usage()?.into());
            Ok(())
        })
    }
}

/// Closes a store: calls under way in other threads end with
/// `MAPSTORE_CLOSED`, later ones too. A second time does nothing. The handle
/// is still to be freed. In a forked child a store of the parent's has nothing
/// to close: success.
///
/// NULL is allowed for `error`. Blocks shortly. Safe from any thread. Errors:
/// `MAPSTORE_INVALID_ARGUMENT` for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_close(store: *const Store, error: *mut *mut Error) -> i32 {
    // SAFETY: NULL or valid, as the header asks.
    unsafe { guard(error, || Ok(handle("store", store)?.0.close()?)) }
}

/// Closes a store, whatever `mapstore_close` would say, and frees it. NULL is
/// a no-op.
///
/// Blocks shortly. Not while another thread uses this handle: calls under way
/// have to return first; `mapstore_close` makes them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_store_free(store: *mut Store) {
    // SAFETY: NULL or a handle that is used no more, as the header asks.
    unsafe { guard_free(store) }
}
