//! Read-modify-write: the one step of it that every language repeats.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::host::deadline::{Limits, Progress, Stage};
use crate::model::Key;
use crate::model::Value;
use crate::model::{Batch, Written};
use crate::store::Store;
use crate::write::faster;
use crate::write::queue::{Done, Seen};

/// A read-modify-write of one key that is under way: compute from
/// [`value`](Self::value), [`commit`](Self::commit), and again if somebody else
/// was faster. [`Store::begin_update`] begins one; [`Store::update`] is the loop.
pub struct Update {
    store: Store,
    key: Key,
    /// The limits of the whole update, from its beginning to the last commit.
    limits: Arc<Limits>,
    seen: Seen,
    /// Somebody was faster, at the last commit.
    lost: bool,
}

impl Store {
    /// Replaces a value by what `f` makes of it (`None`: no such key), whoever
    /// else writes: `f` is called again if somebody was faster. The deadline
    /// counts for all rounds together. The update stops at `OutcomeUnknown`: the
    /// change may have been made, and making it again could be once too often.
    ///
    /// ```no_run
    /// # fn main() -> mapstore::Result<()> {
    /// # let store = mapstore::Store::open("my-settings")?;
    /// store.update("visits", |old| {
    ///     let old = old.and_then(|old| std::str::from_utf8(old).ok()).unwrap_or("0");
    ///     Some((old.parse::<u64>().unwrap_or(0) + 1).to_string())
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn update<V: AsRef<[u8]>>(
        &self,
        key: &str,
        mut f: impl FnMut(Option<&[u8]>) -> Option<V>,
    ) -> Result<Written> {
        self.try_update(key, |old| Ok(f(old)))
    }

    /// [`update`](Self::update) with an `f` that may fail; its error ends the
    /// update, and nothing is written.
    pub fn try_update<V: AsRef<[u8]>, E: From<Error>>(
        &self,
        key: &str,
        mut f: impl FnMut(Option<&[u8]>) -> Result<Option<V>, E>,
    ) -> Result<Written, E> {
        let mut update = self.begin_update(key)?;
        loop {
            let value = f(update.value().map(|value| &**value))?;
            if let Some(written) = update.commit(value.as_ref().map(AsRef::as_ref))? {
                return Ok(written);
            }
        }
    }

    /// Reads the value and begins a read-modify-write: see [`Update`].
    pub fn begin_update(&self, key: &str) -> Result<Update> {
        let key = Key::new(key)?;
        let limits = self.limits()?;
        limits.progress.set(Stage::NotWritten);
        let writes = self.writes();
        let map = match self.cache()? {
            Some(cache) => cache.load(),
            None => self.read_within(limits.clone())?,
        };
        Ok(Update { store: self.clone(), key, limits, seen: Seen { map, writes }, lost: false })
    }
}

impl Update {
    /// What to compute from; `None` if there is no such key.
    pub fn value(&self) -> Option<&Value> {
        self.seen.map.get_in(self.key.as_str(), self.store.layout())
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
        if self.lost {
            progress.learn(faster(self.limits.subject.clone()));
        }
        let limits = Arc::new(Limits { progress, ..Limits::clone(&self.limits) });
        match self.store.submit(batch, Some(self.seen.clone()), limits)? {
            Done::Written(written) => Ok(Some(written)),
            Done::Unmet(_, map) => {
                self.lost = true;
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
