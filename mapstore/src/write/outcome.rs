//! What an answer, or its absence, says about a write: the decision table. Pure.
//!
//! | answer                            | first try              | after a try in doubt          |
//! |-----------------------------------|------------------------|-------------------------------|
//! | 2xx                               | applied                | applied, once: it fenced      |
//! | nothing was sent, 429, 401        | not applied, again     | the doubt stays, again        |
//! | 409, 404                          | not applied            | ours, or another's: the trace tells |
//! | other 4xx, "request is too large" | not applied            | the trace tells               |
//! | 5xx, reset, silence               | in doubt               | in doubt                      |
//!
//! A write in doubt that carried a revision is sent again, the same: if the
//! first one was applied the revision has moved, and the second is refused. One
//! without a revision is never sent again: it could undo what came in between;
//! its trace is looked for.
//!
//! The trace is what the API server tells of the map since a revision
//! ([`read_trace`]):
//!
//! | the write                | its trace                                     | says           |
//! |--------------------------|-----------------------------------------------|----------------|
//! | at a revision            | the first event after it is ours              | applied        |
//! |                          | the first event after it isn't                | not applied    |
//! | without a revision       | an event with its stamp                       | applied        |
//! | any                      | no event to be had, but the map looks like it | applied        |
//! |                          | no event to be had, and it doesn't            | unknown        |

use crate::model::Version;
use crate::server::status::Failure;

/// What is known of a write after a try.
#[derive(Debug)]
pub(crate) enum Verdict {
    Applied(Version),
    /// Not applied: somebody else wrote since the base was read.
    Stale,
    /// Not applied: the map is gone.
    Missing,
    /// Not applied: the key lives in the other of the two maps.
    OtherSide(Failure),
    /// Not applied: patch is not among the rights.
    NotAllowed(Failure),
    /// Not applied, and may be tried again.
    Again(Failure),
    /// Not applied, for good.
    Refused(Failure),
    /// Perhaps applied: the same again will tell.
    InDoubt(Failure),
    /// Perhaps applied, and asking again can't tell any more: its trace may.
    Traced(Failure),
}

/// Judges an answer. `in_doubt`: an earlier try of the same patch was ambiguous.
pub(crate) fn judge(answer: Result<Version, Failure>, in_doubt: bool) -> Verdict {
    let failure = match answer {
        Ok(version) => return Verdict::Applied(version),
        Err(failure) => failure,
    };
    match &failure {
        Failure::NotSent(_) => Verdict::Again(failure),
        Failure::Silence(_) => Verdict::InDoubt(failure),
        Failure::Fatal(_) if in_doubt => Verdict::Traced(failure),
        Failure::Fatal(_) => Verdict::Refused(failure),
        Failure::Refused(refusal) => {
            match refusal.code {
                401 | 429 => Verdict::Again(failure),
                500.. if !refusal.request_too_large() => Verdict::InDoubt(failure),
                _ if in_doubt => Verdict::Traced(failure),
                _ if refusal.is_conflict() => Verdict::Stale,
                _ if refusal.object_missing() => Verdict::Missing,
                _ if refusal.key_on_other_side() => Verdict::OtherSide(failure),
                _ if refusal.not_authorized() => Verdict::NotAllowed(failure),
                400..=499 | 500.. => Verdict::Refused(failure),
                // Neither 2xx nor an error: a redirect, which nothing here follows.
                _ => Verdict::Refused(failure),
            }
        }
    }
}

/// What is looked for to find out about a write in doubt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Trace {
    /// It carried a revision: the first event after that one decides.
    First,
    /// It was made whatever the revision: any event with its stamp.
    Any,
}

/// What an event says of the write. `None`: the next one may tell.
pub(crate) fn read_trace(trace: Trace, is_ours: bool) -> Option<bool> {
    match (trace, is_ours) {
        (_, true) => Some(true),
        (Trace::First, false) => Some(false),
        (Trace::Any, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, ErrorKind};
    use crate::model::Revision;
    use crate::server::status::Refusal;

    fn refused(code: u16, body: &str) -> Result<Version, Failure> {
        Err(Failure::Refused(Refusal::new(code, None, body.as_bytes())))
    }

    fn lost() -> Error {
        Error::new(ErrorKind::Unavailable, "", "")
    }

    fn name(verdict: Verdict) -> &'static str {
        match verdict {
            Verdict::Applied(_) => "applied",
            Verdict::Stale => "stale",
            Verdict::Missing => "missing",
            Verdict::OtherSide(_) => "other side",
            Verdict::NotAllowed(_) => "not allowed",
            Verdict::Again(_) => "again",
            Verdict::Refused(_) => "refused",
            Verdict::InDoubt(_) => "in doubt",
            Verdict::Traced(_) => "traced",
        }
    }

    #[test]
    fn the_table() {
        let version = || Ok(Version::at("", Revision::new("1").unwrap()));
        let conflict = r#"{"reason":"Conflict"}"#;
        let missing = r#"{"reason":"NotFound","details":{"kind":"configmaps"}}"#;
        let too_large = r#"{"message":"etcdserver: request is too large"}"#;
        let rbac = r#"{"message":"User \"u\" cannot patch resource \"configmaps\""}"#;
        let both = r#"{"details":{"causes":[{"reason":"FieldValueInvalid",
                       "message":"Invalid value: \"k\": duplicate of key present in data"}]}}"#;
        type Answer<'a> = Box<dyn Fn() -> Result<Version, Failure> + 'a>;
        let table: Vec<(Answer<'_>, &str, &str)> = vec![
            (Box::new(version), "applied", "applied"),
            (Box::new(|| Err(Failure::NotSent(lost()))), "again", "again"),
            (Box::new(|| Err(Failure::Silence(lost()))), "in doubt", "in doubt"),
            (Box::new(|| Err(Failure::Fatal(lost()))), "refused", "traced"),
            (Box::new(|| refused(409, conflict)), "stale", "traced"),
            (Box::new(|| refused(404, missing)), "missing", "traced"),
            (Box::new(|| refused(404, "404 page not found")), "refused", "traced"),
            (Box::new(|| refused(429, "")), "again", "again"),
            (Box::new(|| refused(401, "")), "again", "again"),
            (Box::new(|| refused(403, rbac)), "not allowed", "traced"),
            (Box::new(|| refused(403, "{}")), "refused", "traced"),
            (Box::new(|| refused(422, both)), "other side", "traced"),
            (Box::new(|| refused(422, "{}")), "refused", "traced"),
            (Box::new(|| refused(500, too_large)), "refused", "traced"),
            (Box::new(|| refused(500, "{}")), "in doubt", "in doubt"),
            (Box::new(|| refused(504, "timeout")), "in doubt", "in doubt"),
            (Box::new(|| refused(302, "")), "refused", "traced"),
        ];
        for (number, (answer, first, in_doubt)) in table.into_iter().enumerate() {
            assert_eq!(name(judge(answer(), false)), first, "row {number}");
            assert_eq!(name(judge(answer(), true)), in_doubt, "row {number} in doubt");
        }
    }

    #[test]
    fn the_first_event_after_a_revision_decides_and_a_stamp_may_come_later() {
        assert_eq!(read_trace(Trace::First, true), Some(true));
        assert_eq!(read_trace(Trace::First, false), Some(false));
        assert_eq!(read_trace(Trace::Any, true), Some(true));
        assert_eq!(read_trace(Trace::Any, false), None);
    }
}
