//! How full a store is. Pure.

use super::limits::{MAX_OBJECT_BYTES, MAX_VALUES_BYTES};
use super::snapshot::Snapshot;

/// How full a store is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// How many keys there are.
    pub keys: u64,
    /// Bytes of all keys together.
    pub key_bytes: u64,
    /// Bytes of all values together; Kubernetes allows `value_limit`.
    pub value_bytes: u64,
    /// The most `value_bytes` can be: [`MAX_VALUES_BYTES`](crate::MAX_VALUES_BYTES).
    pub value_limit: u64,
    /// Bytes the keys and values take in the stored object, without its
    /// metadata; etcd allows about `object_limit`.
    pub object_bytes: u64,
    /// The most bytes etcd takes: [`MAX_OBJECT_BYTES`](crate::MAX_OBJECT_BYTES).
    pub object_limit: u64,
    /// Bytes this process has had stored in the last five minutes, over all
    /// its maps: each write stores the whole object anew.
    pub budget_used: u64,
    /// What this store allows this process to have stored in five minutes in the
    /// long run; half of it more may go at once after a rest:
    /// [`Options::write_budget`](crate::Options::write_budget).
    pub budget_limit: u64,
}

impl Usage {
    pub(crate) fn of(map: &Snapshot, budget_used: u64, budget_limit: u64) -> Self {
        let totals = map.totals();
        Usage {
            keys: map.len() as u64,
            key_bytes: totals.keys,
            value_bytes: totals.values,
            value_limit: MAX_VALUES_BYTES,
            object_bytes: totals.object,
            object_limit: MAX_OBJECT_BYTES,
            budget_used,
            budget_limit,
        }
    }
}
