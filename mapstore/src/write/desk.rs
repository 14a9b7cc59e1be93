//! What every attempt works with: the requests of one map, the queue of those
//! who wait, and the memory, which is changed here alone.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::base::{Base, Known};
use super::budget::{BUDGET, Leave};
use super::group::Group;
use super::patch::Patch;
use super::queue::{Queue, Request};
use crate::error::{Error, ErrorKind};
use crate::model::{MAX_OBJECT_BYTES, Snapshot, Version};
use crate::read::cache::CacheCell;
use crate::server::api::Api;

/// How often a writer that exceeds the budget looks whether it may go on, and
/// who has come since.
const SLOWED: Duration = Duration::from_millis(100);

pub(super) struct Desk {
    pub api: Arc<Api>,
    pub queue: Queue,
    /// The memory is there as long as a store reads from it.
    cache: Mutex<Weak<CacheCell>>,
    /// How many groups were written.
    writes: AtomicU64,
}

impl Desk {
    pub fn new(api: Arc<Api>) -> Self {
        Desk { api, queue: Queue::default(), cache: Mutex::default(), writes: AtomicU64::new(0) }
    }

    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::SeqCst)
    }

    /// The memory that stores of this map share. What the memory holds counts only after a refresh.
    pub fn cache_for_reading(&self) -> Arc<CacheCell> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.upgrade().unwrap_or_else(|| {
            let fresh = Arc::new(CacheCell::new());
            *cache = Arc::downgrade(&fresh);
            fresh
        })
    }

    pub fn cache(&self) -> Option<Arc<CacheCell>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).upgrade()
    }

    /// Takes in the map as it is just now, for the next plan and for memory.
    pub fn learn(&self, known: &mut Known, map: Snapshot) {
        if let Some(cache) = self.cache() {
            cache.apply(|_| map.clone());
        }
        known.learn(map);
    }

    /// What is known of the map is out of date, or soon will be: nobody relies on it any more.
    pub fn forget(&self, known: &mut Known) {
        known.forget();
        if let Some(cache) = self.cache() {
            cache.fall_behind();
        }
    }

    /// Counts a group that was written.
    pub fn count(&self) {
        self.writes.fetch_add(1, Ordering::SeqCst);
    }

    /// A patch was applied to what is known, which is at `version` now.
    pub fn record(&self, known: &mut Known, patch: &Patch, version: &Version) {
        self.count();
        let whole = known.base().is_some_and(Base::is_whole);
        match self.cache() {
            Some(cache) if whole => cache.apply(|old| {
                // Without this reference the index is changed in place, and the memory is the only one that keeps it.
                drop(old);
                known.record(patch, version);
                known.hand_over()
            }),
            Some(cache) => {
                known.record(patch, version);
                cache.fall_behind();
            }
            None => known.record(patch, version),
        }
    }

    /// Waits, or refuses, if this process has had too much stored lately. The
    /// members come back: they have to wait in the queue, where others join them.
    pub async fn pace(&self, group: &mut Group, cost: u64) -> Option<Vec<Request>> {
        let now = Instant::now();
        let cost = cost.min(MAX_OBJECT_BYTES);
        let until = match BUDGET.get().ask(cost, group.budget()?, now) {
            Leave::Now => {
                group.let_go();
                return None;
            }
            Leave::At(until) => until,
        };
        let used = BUDGET.get().used(now);
        group.refuse_before(until, |limit| overloaded(&self.api.subject(), used, limit, until - now));
        if !group.is_empty() {
            group.hold_back();
            tokio::select! {
                () = tokio::time::sleep_until((now + SLOWED).min(until).into()) => {}
                () = self.queue.all_gone(group.requests()) => {}
            }
        }
        Some(group.take_all())
    }
}

fn overloaded(subject: &str, used: u64, limit: u64, wait: Duration) -> Error {
    Error::new(
        ErrorKind::Overloaded,
        subject,
        format!(
            "this process has had {used} bytes stored in the last five minutes, and its write budget allows {limit} \
             in five minutes; the next write can go in {} s. Nothing was written: write less often, keep large maps for what \
             changes rarely, or raise the budget",
            wait.as_secs() + 1
        ),
    )
}
