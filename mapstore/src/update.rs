//! Read-modify-write: the one step of it that every language repeats.

use std::sync::Arc;

use crate::batch::{Batch, Written};
use crate::cache::Value;
use crate::entry::Key;
use crate::error::Result;
use crate::limits::{Limits, Progress, Stage};
use crate::queue::{Done, Seen};
use crate::store::Store;

/// A read-modify-write of one key that is under way: compute from
/// [`value`](Self::value), [`commit`](Self::commit), and again if somebody else
/// was faster. Begun by [`Store::begin_update`]; [`Store::update`] is the loop.
pub struct Update {
    store: Store,
    key: Key,
    /// From the beginning to the last commit.
    limits: Arc<Limits>,
    seen: Seen,
}

impl Update {
    pub(crate) fn new(store: Store, key: Key, limits: Arc<Limits>, seen: Seen) -> Self {
        Update { store, key, limits, seen }
    }

    /// What to compute from; `None` if there is no such key.
    pub fn value(&self) -> Option<&Value> {
        self.seen.map.get(self.key.as_str())
    }

    /// Stores `value` (`None`: removes the key) if the key still has
    /// [`value`](Self::value). `Ok(None)`: somebody else was faster, and
    /// [`value`](Self::value) is now theirs: compute again, commit again.
    ///
    /// Every error ends the update; after `OutcomeUnknown` read before you
    /// begin another. The deadline counts from the beginning, over all commits.
    pub fn commit(&mut self, value: Option<&[u8]>) -> Result<Option<Written>> {
        let expected = self.value().map(|value| value.to_vec());
        let batch = Batch::swap(self.key.as_str(), expected.as_deref(), value)?;
        // Each commit is a write of its own.
        let progress = Progress::new(Stage::NotWritten);
        let limits = Arc::new(Limits { progress, ..Limits::clone(&self.limits) });
        match self.store.submit(batch, Some(self.seen.clone()), limits)? {
            Done::Written(written) => Ok(Some(written)),
            Done::Unmet(_, map) => {
                self.seen = Seen { map, writes: self.store.writes() };
                Ok(None)
            }
        }
    }
}

impl std::fmt::Debug for Update {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Update({:?}, {})", self.store, self.key.as_str())
    }
}
