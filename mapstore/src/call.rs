//! The settings of one call: its deadline and its cancel token.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use crate::error::{Error, Result};

/// The deadline of a call that doesn't say another.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Settings of single calls: how long they may take, and what cancels them.
/// Made once, used for any number of calls, from any number of threads.
///
/// ```no_run
/// # use std::time::Duration;
/// # use mapstore::{Call, CancelToken, Store};
/// # fn main() -> mapstore::Result<()> {
/// let store = Store::open("my-settings")?;
/// let token = CancelToken::new();
/// let call = Call::new().timeout(Duration::from_secs(2)).cancel(&token);
/// store.with(&call).set("colour", "blue")?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Call {
    timeout: Option<Duration>,
    cancel: Option<CancelToken>,
}

impl Call {
    /// The store's deadline, no cancel token.
    pub fn new() -> Self {
        Self::default()
    }

    /// How long a call may take, 1 ms to 24 h; the call itself refuses others.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// What cancels a call.
    pub fn cancel(mut self, token: &CancelToken) -> Self {
        self.cancel = Some(token.clone());
        self
    }

    pub(crate) fn timeout_or(&self, default: Duration) -> Result<Duration> {
        check_timeout(self.timeout.unwrap_or(default))
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancel.as_ref().is_some_and(CancelToken::is_cancelled)
    }

    pub(crate) fn cancel_token(&self) -> Option<&CancelToken> {
        self.cancel.as_ref()
    }
}

pub(crate) fn check_timeout(timeout: Duration) -> Result<Duration> {
    if (SHORTEST..=LONGEST).contains(&timeout) {
        return Ok(timeout);
    }
    Err(Error::invalid("timeout", format!("{timeout:?} is not between 1 ms and 24 h")))
}

/// Cancels the calls it was given to, from any thread and for good: once
/// cancelled, every later call with this token fails at once with `Cancelled`.
#[derive(Clone, Default)]
pub struct CancelToken(Arc<TokenState>);

#[derive(Default)]
struct TokenState {
    cancelled: AtomicBool,
    waiting: Mutex<Vec<Weak<dyn Wake>>>,
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
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("CancelToken").field(&self.is_cancelled()).finish()
    }
}
