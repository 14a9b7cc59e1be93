//! The one error type: what went wrong, with what, and what to do about it.
//!
//! A message never holds a token or a stored value. Kinds and their numbers
//! are the same in every language and fixed for ever.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// The result of every call that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure an [`Error`] is. The numbers are those of the C ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(i32)]
pub enum ErrorKind {
    /// An argument can't be used; nothing was sent.
    InvalidArgument = 1,
    /// The value, the map or the request is over a limit of Kubernetes; see [`Error::used_and_limit`].
    TooLarge = 2,
    /// A condition didn't hold, or other writers kept winning until the deadline.
    Conflict = 3,
    /// The write was sent and its outcome can't be told: it may have been applied, or may yet be.
    OutcomeUnknown = 4,
    /// RBAC refuses; the message names the rule that would help.
    Forbidden = 5,
    /// The cluster refuses this write: admission, quota, or a namespace being deleted.
    Rejected = 6,
    /// The credentials are not accepted.
    Unauthorized = 7,
    /// The namespace doesn't exist.
    NamespaceNotFound = 8,
    /// The ConfigMap is marked immutable.
    Immutable = 9,
    /// The API server can't be reached or doesn't answer usefully.
    Unavailable = 10,
    /// The API server, or this process' write budget, asks to slow down.
    Overloaded = 11,
    /// The deadline passed; a write was not sent, or is known not to be applied.
    Deadline = 12,
    /// The call was cancelled; the message says whether a write may have been sent.
    Cancelled = 13,
    /// A watched cache has heard nothing for longer than allowed.
    Stale = 14,
    /// The store is closed.
    Closed = 15,
    /// The store was opened before a fork; open it again in the child.
    Forked = 16,
    /// Cluster, credentials or namespace can't be worked out from the configuration.
    Config = 17,
    /// A defect of mapstore, or an answer no API server should give.
    Internal = 18,
}

impl ErrorKind {
    /// Every kind, in the order of their numbers.
    pub const ALL: [ErrorKind; 18] = [
        ErrorKind::InvalidArgument,
        ErrorKind::TooLarge,
        ErrorKind::Conflict,
        ErrorKind::OutcomeUnknown,
        ErrorKind::Forbidden,
        ErrorKind::Rejected,
        ErrorKind::Unauthorized,
        ErrorKind::NamespaceNotFound,
        ErrorKind::Immutable,
        ErrorKind::Unavailable,
        ErrorKind::Overloaded,
        ErrorKind::Deadline,
        ErrorKind::Cancelled,
        ErrorKind::Stale,
        ErrorKind::Closed,
        ErrorKind::Forked,
        ErrorKind::Config,
        ErrorKind::Internal,
    ];

    /// The number of this kind in the C ABI, 1 to 18.
    pub fn code(self) -> i32 {
        self as i32
    }

    /// The name of this kind, as in the documentation: `TooLarge`.
    pub fn name(self) -> &'static str {
        match self {
            ErrorKind::InvalidArgument => "InvalidArgument",
            ErrorKind::TooLarge => "TooLarge",
            ErrorKind::Conflict => "Conflict",
            ErrorKind::OutcomeUnknown => "OutcomeUnknown",
            ErrorKind::Forbidden => "Forbidden",
            ErrorKind::Rejected => "Rejected",
            ErrorKind::Unauthorized => "Unauthorized",
            ErrorKind::NamespaceNotFound => "NamespaceNotFound",
            ErrorKind::Immutable => "Immutable",
            ErrorKind::Unavailable => "Unavailable",
            ErrorKind::Overloaded => "Overloaded",
            ErrorKind::Deadline => "Deadline",
            ErrorKind::Cancelled => "Cancelled",
            ErrorKind::Stale => "Stale",
            ErrorKind::Closed => "Closed",
            ErrorKind::Forked => "Forked",
            ErrorKind::Config => "Config",
            ErrorKind::Internal => "Internal",
        }
    }

    /// Whether the same call may succeed later without anybody changing anything.
    fn retry_may_help(self) -> bool {
        matches!(
            self,
            ErrorKind::Conflict
                | ErrorKind::Unavailable
                | ErrorKind::Overloaded
                | ErrorKind::Deadline
                | ErrorKind::Stale
        )
    }
}

/// Why a call failed: kind, subject (the key, the map, the file it is about)
/// and a sentence that says what to do. Clones are cheap.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    subject: String,
    message: String,
    http_status: Option<u16>,
    size: Option<(Option<u64>, u64)>,
    retryable: bool,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, subject: impl Into<String>, message: impl Into<String>) -> Self {
        Error(Arc::new(Inner {
            retryable: kind.retry_may_help(),
            kind,
            subject: subject.into(),
            message: message.into(),
            http_status: None,
            size: None,
            source: None,
        }))
    }

    pub(crate) fn invalid(subject: impl Into<String>, message: impl Into<String>) -> Self {
        Error::new(ErrorKind::InvalidArgument, subject, message)
    }

    pub(crate) fn config(subject: impl Into<String>, message: impl Into<String>) -> Self {
        Error::new(ErrorKind::Config, subject, message)
    }

    pub(crate) fn too_large(
        subject: impl Into<String>,
        used: Option<u64>,
        limit: u64,
        message: impl Into<String>,
    ) -> Self {
        let mut error = Error::new(ErrorKind::TooLarge, subject, message);
        error.inner().size = Some((used, limit));
        error
    }

    pub(crate) fn with_status(mut self, status: u16) -> Self {
        self.inner().http_status = Some(status);
        self
    }

    pub(crate) fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.inner().source = Some(Arc::from(source.into()));
        self
    }

    /// The same error with more behind its message.
    pub(crate) fn and_add(mut self, more: &str) -> Self {
        self.inner().message.push_str(more);
        self
    }

    /// A condition of a write didn't hold: the same call fails again until
    /// somebody changes the map.
    pub(crate) fn unmet(subject: impl Into<String>, message: impl Into<String>) -> Self {
        let mut error = Error::new(ErrorKind::Conflict, subject, message);
        error.inner().retryable = false;
        error
    }

    /// Nobody else has it yet while it is being made.
    fn inner(&mut self) -> &mut Inner {
        Arc::make_mut(&mut self.0)
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The number of the kind in the C ABI.
    pub fn code(&self) -> i32 {
        self.0.kind.code()
    }

    /// What the failure is about: a key, `configmap namespace/name`, a file, a variable.
    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    /// The HTTP status of the API server's answer, if it was one that failed the call.
    pub fn http_status(&self) -> Option<u16> {
        self.0.http_status
    }

    /// Whether trying the same call again later can succeed without anybody
    /// changing anything. `false` for [`ErrorKind::OutcomeUnknown`]: look first,
    /// and for a [`ErrorKind::Conflict`] that is an unmet condition.
    pub fn is_retryable(&self) -> bool {
        self.0.retryable
    }

    /// For [`ErrorKind::TooLarge`]: the bytes used, where known, and the limit.
    pub fn used_and_limit(&self) -> Option<(Option<u64>, u64)> {
        self.0.size
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.subject.is_empty() {
            f.write_str(&self.0.message)
        } else {
            write!(f, "{}: {}", self.0.subject, self.0.message)
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({self})", self.0.kind.name())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_fixed_for_ever() {
        let codes: Vec<i32> = ErrorKind::ALL.iter().map(|kind| kind.code()).collect();
        assert_eq!(codes, (1..=18).collect::<Vec<_>>());
        assert_eq!(ErrorKind::TooLarge.code(), 2);
        assert_eq!(ErrorKind::Closed.code(), 15);
        assert_eq!(ErrorKind::Internal.code(), 18);
    }
}
