//! The newest snapshot, for the stores that read from memory. No I/O: whatever
//! was read or written comes in through [`CacheCell::apply`].

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use crate::model::{Layout, Snapshot, Value};

/// The newest snapshot, for the stores that read from memory.
pub(crate) struct CacheCell {
    newest: RwLock<Snapshot>,
    /// Nothing was read yet, or a write may have been applied of which nothing is known.
    behind: AtomicBool,
}

impl CacheCell {
    pub fn new() -> Self {
        CacheCell { newest: RwLock::default(), behind: AtomicBool::new(true) }
    }

    pub fn load(&self) -> Snapshot {
        self.newest.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks one key up without taking part in the snapshot's reference count.
    pub fn get(&self, key: &str, layout: Layout) -> Option<Value> {
        self.newest.read().unwrap_or_else(PoisonError::into_inner).get_in(key, layout).cloned()
    }

    /// The only way in. The caller keeps the order: it is the writer, which does one thing at a
    /// time.
    pub fn apply(&self, change: impl FnOnce(Snapshot) -> Snapshot) {
        let mut newest = self.newest.write().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::take(&mut *newest);
        *newest = change(old);
        self.behind.store(false, Ordering::SeqCst);
    }

    /// The map has to be read again before anybody relies on the memory.
    pub fn fall_behind(&self) {
        self.behind.store(true, Ordering::SeqCst);
    }

    pub fn is_behind(&self) -> bool {
        self.behind.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Entries, Entry, Revision, Side, Version};
    use bytes::Bytes;

    #[test]
    fn a_snapshot_stays_as_it_was() {
        let version = |r: &str| Version::at("u", Revision::new(r).unwrap());
        let cell = CacheCell::new();
        assert!(cell.is_behind());
        cell.apply(|_| Snapshot::new(version("1"), Entries::default()));
        assert!(!cell.is_behind());
        let before = cell.load();
        cell.apply(|old| {
            old.changed(version("2"), |entries| {
                let value = Value(Bytes::from_static(b"v"));
                entries.insert("k".into(), Entry { value, side: Side::Binary });
            })
        });
        assert!(before.is_empty());
        assert_eq!(cell.load().keys().collect::<Vec<_>>(), ["k"]);
    }
}
