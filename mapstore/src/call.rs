//! The settings of one call: its deadline and its cancel token.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::host::cancel::CancelToken;

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
