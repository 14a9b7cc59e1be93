//! `mapstore_usage_t`: how full a store is.

use std::mem::offset_of;

/// How full a store is. The caller's memory, filled by `mapstore_usage`.
#[repr(C)]
pub struct Usage {
    /// How many keys there are.
    pub keys: u64,
    /// Bytes of all keys together.
    pub key_bytes: u64,
    /// Bytes of all values together; Kubernetes allows `value_limit`.
    pub value_bytes: u64,
    /// The most `value_bytes` can be: `MAPSTORE_MAX_VALUES_BYTES`.
    pub value_limit: u64,
    /// Bytes the keys and values take in the stored object, without its
    /// metadata; etcd allows about `object_limit`.
    pub object_bytes: u64,
    /// The most bytes etcd takes: `MAPSTORE_MAX_OBJECT_BYTES`.
    pub object_limit: u64,
    /// Bytes this process has had stored in the last five minutes, over all
    /// its maps: each write stores the whole object anew.
    pub budget_used: u64,
    /// What this store allows this process to have stored in five minutes in the
    /// long run; half of it more may go at once after a rest:
    /// `mapstore_options_set_write_budget`.
    pub budget_limit: u64,
    /// 0.
    pub reserved: [u64; 4],
}

const _: () = assert!(size_of::<Usage>() == 96 && align_of::<Usage>() == align_of::<u64>());
const _: () = assert!(offset_of!(Usage, object_limit) == 40 && offset_of!(Usage, reserved) == 64);

impl From<mapstore_core::Usage> for Usage {
    fn from(usage: mapstore_core::Usage) -> Usage {
        Usage {
            keys: usage.keys,
            key_bytes: usage.key_bytes,
            value_bytes: usage.value_bytes,
            value_limit: usage.value_limit,
            object_bytes: usage.object_bytes,
            object_limit: usage.object_limit,
            budget_used: usage.budget_used,
            budget_limit: usage.budget_limit,
            reserved: [0; 4],
        }
    }
}
