//! What ends a call before its deadline.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::host::process::PerProcess;

/// Cancels the calls it was given to, from any thread and for good: once
/// cancelled, every later call with this token fails at once with `Cancelled`.
#[derive(Clone, Default)]
pub struct CancelToken(Arc<TokenState>);

#[derive(Default)]
struct TokenState {
    cancelled: AtomicBool,
    /// A token that a child inherited may have had its list locked at the fork.
    waiting: PerProcess<Mutex<Vec<Weak<dyn Wake>>>>,
}

/// Whatever a cancelled token has to wake: a caller that waits for an answer.
pub(crate) trait Wake: Send + Sync {
    fn wake(&self);
}

impl CancelToken {
    /// A token that isn't cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancels: calls under way with this token return within 100 ms. Never
    /// blocks; a second call does nothing.
    pub fn cancel(&self) {
        self.cancel_once();
    }

    /// `true` the first time.
    pub(crate) fn cancel_once(&self) -> bool {
        let first = !self.0.cancelled.swap(true, Ordering::SeqCst);
        let waiting = std::mem::take(&mut *self.waiting());
        for waiter in waiting.iter().filter_map(Weak::upgrade) {
            waiter.wake();
        }
        first
    }

    /// Whether [`cancel`](Self::cancel) was called.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::SeqCst)
    }

    /// Registers before the caller looks at [`is_cancelled`](Self::is_cancelled)
    /// for the last time, so that no cancellation falls between the two.
    pub(crate) fn register(&self, waiter: Weak<dyn Wake>) {
        let mut waiting = self.waiting();
        waiting.retain(|known| known.strong_count() > 0);
        waiting.push(waiter);
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<Weak<dyn Wake>>> {
        self.0.waiting.get().lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asked by the thread that waits, whether its call is still wanted: the main
/// thread of a Python program has to look for signals itself.
#[derive(Clone)]
pub(crate) struct Watch {
    wanted: Wanted,
    /// Cancels this one call.
    unwanted: CancelToken,
}

/// `false`: the call is to be cancelled.
pub(crate) type Wanted = Arc<dyn Fn() -> bool + Send + Sync>;

impl Watch {
    pub fn new(wanted: &Wanted) -> Self {
        Watch { wanted: wanted.clone(), unwanted: CancelToken::new() }
    }

    /// Asks, holding no lock: a signal handler may make calls of its own.
    pub fn ask(&self) {
        if !(self.wanted)() {
            self.unwanted.cancel();
        }
    }

    pub fn is_cancelled(&self) -> bool {
        self.unwanted.is_cancelled()
    }
}

impl std::fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("CancelToken").field(&self.is_cancelled()).finish()
    }
}
