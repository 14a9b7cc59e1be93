//! `mapstore_value_t`: one value, the caller's own copy.

use std::ffi::c_void;
use std::ptr;

use crate::guard::{guard_free, guard_value};

/// One value: a copy that belongs to the caller, who may write into it. Freed
/// with `mapstore_value_free`.
pub struct Value {
    /// The value, and a NUL behind it that isn't part of it.
    bytes: Vec<u8>,
}

impl Value {
    /// A missing value is NULL in C.
    pub(crate) fn handle(value: Option<mapstore_core::Value>) -> *mut Value {
        value.map_or(ptr::null_mut(), |value| {
            Box::into_raw(Box::new(Value { bytes: [&value, &b"\0"[..]].concat() }))
        })
    }
}

/// The bytes of a value, `mapstore_value_len` of them; for an empty value not
/// NULL either. A NUL follows them that is not counted, so that a text can be
/// printed. They may be written to, which changes nothing but this copy, and
/// live as long as the value. NULL for NULL.
///
/// Never blocks; safe from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_value_data(value: *mut Value) -> *mut c_void {
    // SAFETY: NULL or a handle, as the header asks.
    unsafe { guard_value(ptr::null_mut(), || value.as_mut().map(|value| value.bytes.as_mut_ptr().cast())) }
}

/// How many bytes a value has; 0 for NULL.
///
/// Never blocks; safe from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_value_len(value: *const Value) -> usize {
    // SAFETY: NULL or a handle, as the header asks.
    unsafe { guard_value(0, || value.as_ref().map(|value| value.bytes.len() - 1)) }
}

/// Frees a value and its bytes. NULL is a no-op.
///
/// Never blocks; not while another thread uses this handle or its bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_value_free(value: *mut Value) {
    // SAFETY: NULL or a handle that is used no more, as the header asks.
    unsafe { guard_free(value) }
}
