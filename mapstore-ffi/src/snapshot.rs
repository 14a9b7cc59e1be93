//! `mapstore_snapshot_t`: the whole map at one revision, read without copying.

use std::ffi::{c_char, c_void};
use std::ptr;

use once_cell::race::OnceBox;

use crate::error::Error;
use crate::guard::{guard, guard_free, guard_value};
use crate::keys::Keys;
use crate::pointer::{hand_out, handle, output, text};
use crate::written::{MAPSTORE_REVISION_SIZE, revision_text};

/// The whole map at one revision. It never changes and needs no store: any
/// number of threads may read it, also after the store is freed. Freed with
/// `mapstore_snapshot_free`; whatever it hands out belongs to it, is not to be
/// written to, and lives as long as it does.
pub struct Snapshot {
    map: mapstore_core::Snapshot,
    revision: [c_char; MAPSTORE_REVISION_SIZE],
    /// By number: made when first asked for; by several threads at once, if they
    /// ask at once. A child may have been forked while one of them was at it.
    index: OnceBox<Index>,
}

struct Index {
    keys: Keys,
    /// The snapshot's own bytes, not copies.
    values: Vec<mapstore_core::Value>,
}

impl Snapshot {
    pub(crate) fn new(map: mapstore_core::Snapshot) -> Snapshot {
        Snapshot { revision: revision_text(map.revision()), map, index: OnceBox::new() }
    }

    fn index(&self) -> &Index {
        self.index.get_or_init(|| {
            Box::new(Index {
                keys: Keys::new(self.map.keys()),
                values: self.map.iter().map(|(_, value)| value.clone()).collect(),
            })
        })
    }
}

/// How many keys there are; 0 for NULL.
///
/// Never blocks; safe from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_snapshot_len(snapshot: *const Snapshot) -> usize {
    // SAFETY: NULL or a handle, as the header asks.
    unsafe { guard_value(0, || snapshot.as_ref().map(|snapshot| snapshot.map.len())) }
}

/// The revision of the map, NUL-terminated; "" if the map didn't exist and for
/// NULL, never NULL. Lives as long as the snapshot. To be compared for equality
/// only.
///
/// Never blocks; safe from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_snapshot_revision(snapshot: *const Snapshot) -> *const c_char {
    // SAFETY: NULL or a handle, as the header asks.
    unsafe { guard_value(c"".as_ptr(), || snapshot.as_ref().map(|snapshot| snapshot.revision.as_ptr())) }
}

/// The value of `key`: `*value` points to its bytes (not NULL for an empty
/// value either), `*value_len` says how many. A missing key is `MAPSTORE_OK`
/// with NULL and 0. The bytes belong to the snapshot: no copy is made, and they
/// are not to be written to.
///
/// Never blocks; safe from any thread. Errors: `MAPSTORE_INVALID_ARGUMENT` for
/// NULL and for a key that is not UTF-8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_snapshot_get(
    snapshot: *const Snapshot,
    key: *const c_char,
    key_len: usize,
    value: *mut *const c_void,
    value_len: *mut usize,
    error: *mut *mut Error,
) -> i32 {
    // SAFETY: NULL or valid, as the header asks.
    unsafe {
        guard(error, || {
            let (snapshot, key) = (handle("snapshot", snapshot)?, text("key", key, key_len)?);
            let (value, value_len) = (output("value", value)?, output("value_len", value_len)?);
            let found = snapshot.map.get(key);
            value.write(found.map_or(ptr::null(), |bytes| bytes.as_ptr().cast()));
            value_len.write(found.map_or(0, |bytes| bytes.len()));
            Ok(())
        })
    }
}

/// The key at `index` in the order of their bytes, NUL-terminated, its length
/// in `*len` unless `len` is NULL. NULL, and `*len` as it was, if there is none
/// at `index` or for NULL.
///
/// Never blocks; safe from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_snapshot_key_at(
    snapshot: *const Snapshot,
    index: usize,
    len: *mut usize,
) -> *const c_char {
    // SAFETY: NULL or valid, as the header asks.
    unsafe {
        guard_value(ptr::null(), || snapshot.as_ref()?.index().keys.at(index).map(|key| hand_out(key, len)))
    }
}

/// The value of the key at `index` (not NULL for an empty value either), its
/// length in `*len` unless `len` is NULL. NULL, and `*len` as it was, if there
/// is none at `index` or for NULL. Not to be written to.
///
/// Never blocks; safe from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_snapshot_value_at(
    snapshot: *const Snapshot,
    index: usize,
    len: *mut usize,
) -> *const c_void {
    // SAFETY: NULL or valid, as the header asks.
    unsafe {
        guard_value(ptr::null(), || {
            snapshot.as_ref()?.index().values.get(index).map(|value| hand_out(value, len))
        })
    }
}

/// Frees a snapshot and whatever it handed out. NULL is a no-op.
///
/// Never blocks; not while another thread uses this handle or what it handed
/// out.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_snapshot_free(snapshot: *mut Snapshot) {
    // SAFETY: NULL or a handle that is used no more, as the header asks.
    unsafe { guard_free(snapshot) }
}
