//! The writes that wait for their turn: while one group is on its way, the
//! calls that come gather here and go together in the next.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::error::{Error, Result};
use crate::host::deadline::{Closing, Limits};
use crate::host::runtime::Answer;
use crate::model::MAX_VALUES_BYTES;
use crate::model::{Batch, Written};
use crate::model::{Layout, Snapshot};

/// One call that waits.
pub(crate) struct Request {
    pub job: Job,
    /// The store reads from memory.
    pub cached: bool,
    pub layout: Layout,
    /// What the store allows this process to have stored: see [`crate::write::budget`].
    pub budget: u64,
    pub limits: Arc<Limits>,
    /// Whether the store was closed.
    pub closing: Closing,
    pub answer: Answer<Done>,
}

pub(crate) enum Job {
    Write {
        batch: Batch,
        /// The map as the caller read it, if nothing was written here since.
        seen: Option<Seen>,
    },
    /// Reads the map into the cache.
    Refresh,
}

/// A map that a caller has read, and how many groups had been written by then.
#[derive(Clone)]
pub(crate) struct Seen {
    pub map: Snapshot,
    pub writes: u64,
}

/// What became of a call.
pub(crate) enum Done {
    Written(Written),
    /// A condition doesn't hold on this map.
    Unmet(Error, Snapshot),
}

impl Request {
    /// Whether it is too late to begin: the caller was told that the call is over, or is about to
    /// be.
    pub fn is_over(&self) -> bool {
        let limits = &self.limits;
        limits.progress.is_given_up() || limits.is_past() || limits.is_cancelled() || self.closing.is_closed()
    }

    pub fn answer(self, result: Result<Done>) {
        self.answer.deliver(result);
    }

    pub fn batch(&self) -> Option<&Batch> {
        match &self.job {
            Job::Write { batch, .. } => Some(batch),
            Job::Refresh => None,
        }
    }

    /// Bytes of the values to be stored.
    pub fn weight(&self) -> u64 {
        self.batch().map_or(0, Batch::value_bytes) as u64
    }
}

#[derive(Default)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    /// Somebody stopped waiting.
    gone: Notify,
}

#[derive(Default)]
struct Waiting {
    requests: VecDeque<Request>,
    /// Somebody takes from this queue until it is empty.
    driven: bool,
}

impl Queue {
    /// `true`: nobody takes from the queue, and the caller has to start a
    /// [`Driver`](crate::write::driver::Driver).
    #[must_use]
    pub fn push(&self, request: Request) -> bool {
        let mut waiting = self.waiting();
        waiting.requests.push_back(request);
        !std::mem::replace(&mut waiting.driven, true)
    }

    /// The requests that go next, in the order in which they came: as many as make one patch of a
    /// sensible size. `None` if no request waits; then nobody drives the queue any more.
    pub fn next(&self) -> Option<Vec<Request>> {
        let mut waiting = self.waiting();
        let mut weight = 0;
        let fits = |request: &&Request| {
            weight += request.weight();
            weight <= MAX_VALUES_BYTES
        };
        let many = waiting.requests.iter().take_while(fits).count();
        if waiting.requests.is_empty() {
            waiting.driven = false;
            return None;
        }
        Some(waiting.requests.drain(..many.max(1)).collect())
    }

    /// Puts requests back to the front, in their order.
    pub fn put_back(&self, requests: Vec<Request>) {
        let mut waiting = self.waiting();
        for request in requests.into_iter().rev() {
            waiting.requests.push_front(request);
        }
    }

    /// Nobody can drive the queue any more. The requests are dropped, and a dropped request is
    /// answered.
    pub fn abandon(&self) {
        let left = std::mem::take(&mut *self.waiting());
        drop(left);
    }

    /// A caller has stopped waiting.
    pub fn leave(&self) {
        self.gone.notify_one();
    }

    /// Ends when no caller of these requests waits any more.
    pub async fn all_gone(&self, requests: &[Request]) {
        while !requests.iter().all(|request| request.limits.progress.is_given_up()) {
            self.gone.notified().await;
        }
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
