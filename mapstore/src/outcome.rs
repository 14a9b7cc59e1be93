//! What an answer, or its absence, says about a write that carried a revision
//! as its precondition: the decision table. Pure.
//!
//! | answer                          | first try            | after a try in doubt        |
//! |---------------------------------|----------------------|-----------------------------|
//! | 2xx                             | applied              | applied, once: it fenced    |
//! | nothing was sent, 429, 401      | not applied, again   | the doubt stays, again      |
//! | 409, 404                        | not applied          | unknown: ours, or another's |
//! | other 4xx, "request is too large" | not applied        | unknown                     |
//! | 5xx, reset, silence             | in doubt: the same again | in doubt: the same again |
//!
//! Sending the same patch with the same revision again is safe: if the first
//! one was applied the revision has moved, and the second is refused.

use crate::cache::Version;
use crate::status::Failure;

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
    /// Perhaps applied, and asking again can't tell any more.
    Unknown(Failure),
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
        Failure::Fatal(_) if in_doubt => Verdict::Unknown(failure),
        Failure::Fatal(_) => Verdict::Refused(failure),
        Failure::Refused(refusal) => {
            match refusal.code {
                401 | 429 => Verdict::Again(failure),
                500.. if !refusal.request_too_large() => Verdict::InDoubt(failure),
                _ if in_doubt => Verdict::Unknown(failure),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Revision;
    use crate::error::{Error, ErrorKind};
    use crate::status::Refusal;

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
            Verdict::Unknown(_) => "unknown",
        }
    }

    #[test]
    fn the_table() {
        let version = || Ok(Version { uid: String::new(), revision: Revision::new("1").unwrap() });
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
            (Box::new(|| Err(Failure::Fatal(lost()))), "refused", "unknown"),
            (Box::new(|| refused(409, conflict)), "stale", "unknown"),
            (Box::new(|| refused(404, missing)), "missing", "unknown"),
            (Box::new(|| refused(404, "404 page not found")), "refused", "unknown"),
            (Box::new(|| refused(429, "")), "again", "again"),
            (Box::new(|| refused(401, "")), "again", "again"),
            (Box::new(|| refused(403, rbac)), "not allowed", "unknown"),
            (Box::new(|| refused(403, "{}")), "refused", "unknown"),
            (Box::new(|| refused(422, both)), "other side", "unknown"),
            (Box::new(|| refused(422, "{}")), "refused", "unknown"),
            (Box::new(|| refused(500, too_large)), "refused", "unknown"),
            (Box::new(|| refused(500, "{}")), "in doubt", "in doubt"),
            (Box::new(|| refused(504, "timeout")), "in doubt", "in doubt"),
            (Box::new(|| refused(302, "")), "refused", "unknown"),
        ];
        for (number, (answer, first, in_doubt)) in table.into_iter().enumerate() {
            assert_eq!(name(judge(answer(), false)), first, "row {number}");
            assert_eq!(name(judge(answer(), true)), in_doubt, "row {number} in doubt");
        }
    }
}
