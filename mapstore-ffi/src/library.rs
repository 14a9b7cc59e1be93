//! What the library says about itself: versions, limits, special lengths.

use std::ffi::c_char;

use crate::abi::MAPSTORE_ABI_VERSION;
use crate::guard::guard_value;

/// The most bytes all values of a ConfigMap may have together.
pub const MAPSTORE_MAX_VALUES_BYTES: u64 = 1048576;
/// The most bytes of a stored ConfigMap, its keys included, that etcd takes.
pub const MAPSTORE_MAX_OBJECT_BYTES: u64 = 1572864;
/// The longest key, in bytes.
pub const MAPSTORE_MAX_KEY_BYTES: usize = 253;

const _: () = assert!(MAPSTORE_MAX_VALUES_BYTES == mapstore_core::MAX_VALUES_BYTES);
const _: () = assert!(MAPSTORE_MAX_OBJECT_BYTES == mapstore_core::MAX_OBJECT_BYTES);
const _: () = assert!(MAPSTORE_MAX_KEY_BYTES == mapstore_core::MAX_KEY_BYTES);

/// As the length of a name, a key or another text: it is NUL-terminated.
/// Defined by cbindgen.toml, which can write the C of it.
pub(crate) const NUL: usize = usize::MAX;

/// As the length of a value: there is none.
pub(crate) const ABSENT: usize = usize::MAX;

/// The ABI version of the library in use. A program built with another
/// `MAPSTORE_ABI_VERSION` must not go on.
///
/// Never blocks; safe from any thread.
#[unsafe(no_mangle)]
pub extern "C" fn mapstore_abi_version() -> u32 {
    guard_value(MAPSTORE_ABI_VERSION, || Some(MAPSTORE_ABI_VERSION))
}

/// The version of the library in use, like `MAPSTORE_VERSION` of the header.
///
/// Returns static text, never NULL. Never blocks; safe from any thread.
#[unsafe(no_mangle)]
pub extern "C" fn mapstore_version() -> *const c_char {
    guard_value(c"".as_ptr(), || {
        let version: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
        Some(version.as_ptr().cast())
    })
}
