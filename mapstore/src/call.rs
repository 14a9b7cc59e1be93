//! The settings of one call: its deadline and its cancel token.

use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::host::cancel::{CancelToken, Wanted, Watch};

/// The deadline of a call that doesn't say another.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Settings of single calls: how long they may take, and what cancels them.
/// One `Call` can be used for any number of calls, from any number of threads.
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
#[derive(Clone, Default)]
pub struct Call {
    timeout: Option<Duration>,
    cancel: Option<CancelToken>,
    wanted: Option<Wanted>,
}

impl Call {
    /// Settings with the store's deadline and no cancel token.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how long a call may take, 1 ms to 24 h; the call itself refuses other times.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets the token that cancels a call.
    pub fn cancel(mut self, token: &CancelToken) -> Self {
        self.cancel = Some(token.clone());
        self
    }

    /// For bindings whose caller must do something while it waits, such as
    /// looking for signals: `wanted` is called on the waiting thread every 50 ms,
    /// and `false` cancels the call.
    #[doc(hidden)]
    pub fn wanted(mut self, wanted: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.wanted = Some(Arc::new(wanted));
        self
    }

    pub(crate) fn watch(&self) -> Option<Watch> {
        self.wanted.as_ref().map(Watch::new)
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

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").field("timeout", &self.timeout).field("cancel", &self.cancel).finish()
    }
}

pub(crate) fn check_timeout(timeout: Duration) -> Result<Duration> {
    if (SHORTEST..=LONGEST).contains(&timeout) {
        return Ok(timeout);
    }
    Err(Error::invalid("timeout", format!("{timeout:?} is not between 1 ms and 24 h")))
}
