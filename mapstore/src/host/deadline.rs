//! What bounds one call, and what it means for a write when a bound is reached
//! before the answer. Pure.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind, Result};
use crate::host::cancel::{CancelToken, Watch};

/// What bounds one call.
#[derive(Clone)]
pub(crate) struct Limits {
    pub timeout: Duration,
    pub deadline: Instant,
    pub cancel: Option<CancelToken>,
    pub watch: Option<Watch>,
    pub progress: Progress,
    pub subject: String,
}

/// How far the write of a call has come; shared by the task that writes and
/// the caller that may stop waiting.
#[derive(Clone)]
pub(crate) struct Progress(Arc<Course>);

struct Course {
    stage: AtomicU8,
    /// The last failure that said more than that time ran out.
    learnt: Mutex<Option<Error>>,
}

#[derive(Clone, Copy, PartialEq)]
#[repr(u8)]
pub(crate) enum Stage {
    /// The call doesn't write.
    Reading,
    /// Nothing of the write can have reached the server, or it is known not to be applied.
    NotWritten,
    /// As `NotWritten`: this process' write budget holds the write back.
    HeldBack,
    /// The write may have reached the server and its answer hasn't arrived.
    InFlight,
}

/// A bit beside the stage: the caller is gone, with what it was told.
const GIVEN_UP: u8 = 0x80;

impl Progress {
    pub fn new(stage: Stage) -> Self {
        Progress(Arc::new(Course { stage: AtomicU8::new(stage as u8), learnt: Mutex::default() }))
    }

    /// What the call says if its deadline comes before something better is known.
    pub fn learn(&self, error: Error) {
        *self.0.learnt.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    fn learnt(&self) -> Option<Error> {
        self.0.learnt.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set(&self, stage: Stage) {
        let keep = |now: u8| Some((now & GIVEN_UP) | stage as u8);
        let _ = self.0.stage.fetch_update(Ordering::SeqCst, Ordering::SeqCst, keep);
    }

    /// The write is about to be sent. `false`: it must not be sent, the caller was told that
    /// nothing was written.
    pub fn begin(&self) -> bool {
        let begin = |now: u8| (now & GIVEN_UP == 0).then_some(Stage::InFlight as u8);
        self.0.stage.fetch_update(Ordering::SeqCst, Ordering::SeqCst, begin).is_ok()
    }

    /// The caller stops waiting: from now on no write begins.
    pub fn give_up(&self) {
        self.0.stage.fetch_or(GIVEN_UP, Ordering::SeqCst);
    }

    pub fn is_given_up(&self) -> bool {
        self.0.stage.load(Ordering::SeqCst) & GIVEN_UP != 0
    }

    pub fn is(&self, stage: Stage) -> bool {
        self.0.stage.load(Ordering::SeqCst) & !GIVEN_UP == stage as u8
    }

    /// What a call that ends early has to say about its write.
    fn outcome(&self) -> &'static str {
        if self.is(Stage::InFlight) {
            "; the write was already sent: it may have been applied, or may yet be"
        } else if self.is(Stage::NotWritten) || self.is(Stage::HeldBack) {
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
            || self.watch.as_ref().is_some_and(Watch::is_cancelled)
    }

    pub fn is_past(&self) -> bool {
        Instant::now() >= self.deadline
    }

    /// The error that ended the call's work, as the caller is to see it: a write
    /// in doubt and a last try that ran out of time say so.
    pub fn explain(&self, error: Error) -> Error {
        match error.kind() {
            ErrorKind::OutcomeUnknown => error,
            ErrorKind::Deadline => self.overdue(Some(error)),
            _ if self.progress.is(Stage::InFlight) => self.overdue(Some(error)),
            _ => error,
        }
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

    /// The deadline passed. `last`: what the last try came to. The kind of the
    /// error is that of whatever was learnt last, and `Deadline` if nothing was.
    pub fn overdue(&self, last: Option<Error>) -> Error {
        let (timeout, outcome) = (self.timeout, self.progress.outcome());
        let learnt = last.clone().filter(|last| last.kind() != ErrorKind::Deadline);
        let learnt = learnt.or_else(|| self.progress.learnt());
        if self.progress.is(Stage::InFlight) {
            let last = learnt.or(last).map(|error| format!("; last: {error}")).unwrap_or_default();
            let message = format!(
                "no answer to the write within {timeout:?}: it may have been applied, or may yet be; \
                 refresh and read before writing again{last}"
            );
            return Error::new(ErrorKind::OutcomeUnknown, &self.subject, message);
        }
        if self.progress.is(Stage::HeldBack) {
            let message = format!(
                "this process' write budget held the write back until its deadline of {timeout:?}; nothing was \
                 written: write less often, or raise the budget"
            );
            return Error::new(ErrorKind::Overloaded, &self.subject, message);
        }
        if let Some(learnt) = learnt {
            return learnt.and_add(&format!(", until the deadline of {timeout:?}{outcome}"));
        }
        let last = last.map(|error| format!("; last: {error}")).unwrap_or_default();
        let message = format!("no answer from the API server within {timeout:?}{outcome}{last}");
        Error::new(ErrorKind::Deadline, &self.subject, message)
    }
}

/// One request of a call.
#[derive(Clone, Copy)]
pub(crate) struct Try {
    /// When to give the request up, so that another one can follow.
    pub until: Instant,
    /// The deadline of the call.
    pub deadline: Instant,
}

impl Try {
    /// When to give up what is sent now. Credentials may have taken the time of
    /// this try (a plugin is not asked twice): the rest is then for the request.
    pub fn end(self) -> Instant {
        if Instant::now() < self.until { self.until } else { self.deadline }
    }
}

/// Tells every call of a store that it was closed.
#[derive(Clone, Default)]
pub(crate) struct Closing {
    pub token: CancelToken,
}

impl Closing {
    /// `true` the first time.
    pub fn close(&self) -> bool {
        self.token.cancel_once()
    }

    pub fn is_closed(&self) -> bool {
        self.token.is_cancelled()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_write_begins_once_the_caller_is_gone() {
        let progress = Progress::new(Stage::NotWritten);
        assert!(progress.begin() && progress.is(Stage::InFlight));
        progress.set(Stage::NotWritten);
        progress.give_up();
        assert!(progress.is(Stage::NotWritten));
        assert!(!progress.begin() && progress.is(Stage::NotWritten));
    }

    #[test]
    fn a_deadline_says_what_kept_the_write() {
        let told = |stage| {
            let limits = Limits {
                timeout: Duration::from_secs(2),
                deadline: Instant::now(),
                cancel: None,
                watch: None,
                progress: Progress::new(stage),
                subject: "configmap n/m".into(),
            };
            let error = limits.overdue(None);
            (error.kind(), error.to_string())
        };
        assert_eq!(told(Stage::Reading).0, ErrorKind::Deadline);
        assert_eq!(told(Stage::NotWritten).0, ErrorKind::Deadline);
        assert_eq!(told(Stage::InFlight).0, ErrorKind::OutcomeUnknown);
        let (kind, message) = told(Stage::HeldBack);
        assert_eq!(kind, ErrorKind::Overloaded);
        assert!(message.contains("write budget") && message.contains("nothing was written"), "{message}");
    }

    #[test]
    fn at_the_deadline_a_call_says_what_it_learnt_last() {
        let limits = |stage| Limits {
            timeout: Duration::from_secs(2),
            deadline: Instant::now(),
            cancel: None,
            watch: None,
            progress: Progress::new(stage),
            subject: "configmap n/m".into(),
        };
        let refused = || Error::new(ErrorKind::Unavailable, "configmap n/m", "connection refused");
        let late = || Error::new(ErrorKind::Deadline, "configmap n/m", "no answer in time");
        let call = limits(Stage::NotWritten);
        assert_eq!(call.overdue(Some(late())).kind(), ErrorKind::Deadline);
        call.progress.learn(refused());
        let told = call.overdue(Some(late()));
        assert_eq!(told.kind(), ErrorKind::Unavailable);
        assert!(
            told.to_string().contains("connection refused")
                && told.to_string().contains("nothing was written")
        );
        call.progress.set(Stage::InFlight);
        let told = call.explain(refused());
        assert_eq!(told.kind(), ErrorKind::OutcomeUnknown);
        assert!(told.to_string().contains("connection refused"), "{told}");
    }

    #[test]
    fn a_write_that_has_begun_stays_in_flight() {
        let progress = Progress::new(Stage::NotWritten);
        assert!(progress.begin());
        progress.give_up();
        assert!(progress.is(Stage::InFlight));
        assert!(!progress.begin() && progress.is(Stage::InFlight));
    }
}
