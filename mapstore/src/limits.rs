//! What bounds one call, and what it means for a write when a bound is reached
//! before the answer. Pure.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use crate::call::CancelToken;
use crate::error::{Error, ErrorKind, Result};

/// What bounds one call.
pub(crate) struct Limits {
    pub timeout: Duration,
    pub deadline: Instant,
    pub cancel: Option<CancelToken>,
    pub progress: Progress,
    pub subject: String,
}

/// How far the write of a call has come; shared by the task that writes and
/// the caller that may stop waiting.
#[derive(Clone)]
pub(crate) struct Progress(Arc<AtomicU8>);

#[derive(Clone, Copy, PartialEq)]
#[repr(u8)]
pub(crate) enum Stage {
    /// The call doesn't write.
    Reading,
    /// Nothing of the write can have reached the server, or it is known not to be applied.
    NotWritten,
    /// The write may have reached the server and its answer hasn't arrived.
    InFlight,
}

impl Progress {
    pub fn new(stage: Stage) -> Self {
        Progress(Arc::new(AtomicU8::new(stage as u8)))
    }

    pub fn set(&self, stage: Stage) {
        self.0.store(stage as u8, Ordering::SeqCst);
    }

    pub fn is(&self, stage: Stage) -> bool {
        self.0.load(Ordering::SeqCst) == stage as u8
    }

    /// What a call that ends early has to say about its write.
    fn outcome(&self) -> &'static str {
        if self.is(Stage::InFlight) {
            "; the write was already sent: it may have been applied, or may yet be"
        } else if self.is(Stage::NotWritten) {
            "; nothing was written"
        } else {
            ""
        }
    }
}

impl Limits {
    /// Refuses a call that is over before it begins.
    pub fn check(&self, closing: &Closing) -> Result<()> {
        if closing.is_closed() || self.is_cancelled() {
            return Err(self.verdict(closing));
        }
        Ok(())
    }

    pub fn is_cancelled(&self) -> bool {
        self.cancel.as_ref().is_some_and(CancelToken::is_cancelled)
    }

    /// Why a call ended without an answer, and what that means for a write.
    pub fn verdict(&self, closing: &Closing) -> Error {
        let outcome = self.progress.outcome();
        if closing.is_closed() {
            return Error::new(ErrorKind::Closed, &self.subject, format!("the store is closed{outcome}"));
        }
        if self.is_cancelled() {
            return Error::new(
                ErrorKind::Cancelled,
                &self.subject,
                format!("the call was cancelled{outcome}"),
            );
        }
        self.overdue(None)
    }

    /// The deadline passed. `cause`: what went wrong until then.
    pub fn overdue(&self, cause: Option<&Error>) -> Error {
        let cause = cause.map(|error| format!("; last: {error}")).unwrap_or_default();
        if self.progress.is(Stage::InFlight) {
            return Error::new(
                ErrorKind::OutcomeUnknown,
                &self.subject,
                format!(
                    "no answer to the write within {:?}: it may have been applied, or may yet be; \
                     read before writing again{cause}",
                    self.timeout
                ),
            );
        }
        Error::new(
            ErrorKind::Deadline,
            &self.subject,
            format!(
                "no answer from the API server within {:?}{}{cause}",
                self.timeout,
                self.progress.outcome()
            ),
        )
    }
}

/// Tells every call of a store that it was closed.
#[derive(Clone, Default)]
pub(crate) struct Closing {
    pub token: CancelToken,
}

impl Closing {
    pub fn close(&self) {
        self.token.cancel();
    }

    pub fn is_closed(&self) -> bool {
        self.token.is_cancelled()
    }
}
