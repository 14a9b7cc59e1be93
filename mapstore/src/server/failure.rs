//! A request that brought no 2xx, and the one list of what that means for
//! another try. [`crate::server::retry`] says who asks again, and when;
//! [`crate::write`] says what the failure means for a write. Pure.

use crate::error::{Error, ErrorKind};
use crate::server::status::Refusal;

/// A request that brought no 2xx.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nothing left this process: no token, no connection.
    NotSent(Error),
    /// The request was sent, and no complete answer came.
    Silence(Error),
    /// The server's answer.
    Refused(Refusal),
    /// Nothing that a further try could mend: configuration, a broken answer.
    Fatal(Error),
}

/// What a failure says of the request, and of sending it once more.
///
/// | failure                                               | class       |
/// |-------------------------------------------------------|-------------|
/// | nothing was sent (refused, no route, no DNS)          | `NotDone`   |
/// | 429                                                   | `NotDone`   |
/// | 4xx whose body was cut: the reason is still to be had | `NotDone`   |
/// | 403 within seconds of answers that were fine          | `NotDone`   |
/// | a certificate that one side doesn't take              | `Trust`     |
/// | 401                                                   | `Credential`|
/// | silence, a cut answer                                 | `Ambiguous` |
/// | 5xx but etcd's "request is too large"                 | `Ambiguous` |
/// | anything else                                         | `Final`     |
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Class {
    /// The server did nothing, and it may be different next time.
    NotDone,
    /// As `NotDone`, if the certificates on disk are others by now.
    Trust,
    /// As `NotDone`, if other credentials can be had.
    Credential,
    /// The server may have done what it was asked, or may do it yet.
    Ambiguous,
    /// The same again brings the same.
    Final,
}

impl Failure {
    pub fn class(&self) -> Class {
        match self {
            Failure::NotSent(error)
                if matches!(error.kind(), ErrorKind::Config | ErrorKind::Unauthorized) =>
            {
                Class::Trust
            }
            Failure::NotSent(_) => Class::NotDone,
            Failure::Silence(_) => Class::Ambiguous,
            Failure::Fatal(_) => Class::Final,
            Failure::Refused(refusal) => match refusal.code {
                401 => Class::Credential,
                429 => Class::NotDone,
                403 if refusal.unsettled => Class::NotDone,
                500.. if !refusal.request_too_large() => Class::Ambiguous,
                400..=499 if refusal.cut => Class::NotDone,
                _ => Class::Final,
            },
        }
    }

    /// A try that ran out of its time: nothing was learnt but that.
    pub fn is_late(&self) -> bool {
        matches!(self, Failure::NotSent(error) | Failure::Silence(error) if error.kind() == ErrorKind::Deadline)
    }
}
