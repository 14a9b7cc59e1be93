//! How large a ConfigMap can be. Pure.

use super::names::{Key, quoted};
use crate::error::{Error, Result};

/// The most bytes all values of a ConfigMap may have together.
/// Kubernetes: `MaxSecretSize` in pkg/apis/core/types.go, which ConfigMaps share.
pub const MAX_VALUES_BYTES: u64 = 1_048_576;

/// The most bytes etcd takes in one request: `DefaultMaxRequestBytes` in
/// etcd's server/embed/config.go. The stored object, keys included, has to fit.
pub const MAX_OBJECT_BYTES: u64 = 1_572_864;

/// A single value that could never be stored is refused before anything is sent.
pub(crate) fn check_value(key: &Key, len: usize) -> Result<()> {
    if len as u64 <= MAX_VALUES_BYTES {
        return Ok(());
    }
    Err(Error::too_large(
        format!("key {}", quoted(key.as_str())),
        Some(len as u64),
        MAX_VALUES_BYTES,
        format!("the value has {len} bytes; all values of a ConfigMap together may have {MAX_VALUES_BYTES}"),
    ))
}
