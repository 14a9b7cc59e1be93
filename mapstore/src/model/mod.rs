//! What a map is and what can be wanted of it: keys, values, snapshots, batches,
//! and the limits of Kubernetes. Pure: no clock, no thread, no I/O.

mod batch;
mod limits;
mod names;
mod revision;
mod snapshot;
mod usage;

pub use batch::{Batch, Written};
pub use limits::{MAX_OBJECT_BYTES, MAX_VALUES_BYTES};
pub use names::MAX_KEY_BYTES;
pub use revision::Revision;
pub use snapshot::{Snapshot, Value};
pub use usage::Usage;

pub(crate) use batch::{Condition, Op};
pub(crate) use names::{Key, check_name, check_namespace, quoted};
pub(crate) use snapshot::{Entries, Entry, Layout, ManagedFields, Side, Totals, Version, stored_bytes};
