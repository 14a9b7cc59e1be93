//! What an answer, or its absence, says about a write, and what the map's
//! history says of one that got none: two decision tables. Pure.
//!
//! | answer                            | first try              | after a try in doubt          |
//! |-----------------------------------|------------------------|-------------------------------|
//! | 2xx                               | applied                | applied, once: it fenced      |
//! | nothing was sent, 429, 401, cut   | not applied, again     | the doubt stays, again        |
//! | 409, 404                          | not applied            | ours, or another's: history tells |
//! | etcd's "request is too large"     | not applied            | not applied, and never was    |
//! | other 4xx, 413 too                | not applied            | history tells                 |
//! | 5xx, reset, silence               | in doubt               | in doubt                      |
//!
//! A write in doubt that carried a revision is sent again, the same: if the
//! first one was applied the revision has moved, and the second is refused. One
//! without a revision is never sent again: it could undo what came in between.
//!
//! History is what the map has been since a revision ([`read_history`]). The
//! stamp alone tells whose state it is; content is no evidence, because another
//! writer may have stored the same:
//!
//! | the write                  | a state since                                 | says                     |
//! |----------------------------|-----------------------------------------------|--------------------------|
//! | at a revision, stamped     | the first one has our stamp                   | applied, at its revision |
//! |                            | the first one hasn't                          | not applied              |
//! | at a revision, no stamp    | the first one looks like it and is the newest | the map is as wanted     |
//! |                            | the first one looks like it, and was overwritten | unknown               |
//! |                            | the first one looks like it, and isn't the base with it | not applied    |
//! |                            | the first one doesn't look like it            | not applied              |
//! | without a revision         | one has our stamp                             | applied, at its revision |

use crate::model::{Snapshot, Version};
use crate::server::failure::{Class, Failure};
use crate::server::wire::State;
use crate::write::patch::Patch;

/// What a write made, as its answer tells.
#[derive(Debug)]
pub(crate) enum Made {
    Version(Version),
    /// All of the map.
    Map(Snapshot),
}

/// What is known of a write after a try.
#[derive(Debug)]
pub(crate) enum Verdict {
    Applied(Made),
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
    /// Perhaps applied, and asking again can't tell any more: history may.
    Traced(Failure),
}

/// Judges an answer. `in_doubt`: an earlier try of the same patch was ambiguous.
pub(crate) fn judge(answer: Result<Made, Failure>, in_doubt: bool) -> Verdict {
    let failure = match answer {
        Ok(made) => return Verdict::Applied(made),
        Err(failure) => failure,
    };
    match failure.class() {
        // Whether other certificates or credentials help is for the retry to say.
        Class::NotDone | Class::Trust | Class::Credential => Verdict::Again(failure),
        Class::Ambiguous => Verdict::InDoubt(failure),
        Class::Final if in_doubt && !holds_for_all_tries(&failure) => Verdict::Traced(failure),
        Class::Final => refused(failure),
    }
}

/// etcd refuses the size after the precondition held: the same patch at the same revision was and will be too large.
fn holds_for_all_tries(failure: &Failure) -> bool {
    matches!(failure, Failure::Refused(refusal) if refusal.etcd_refuses_the_size())
}

fn refused(failure: Failure) -> Verdict {
    match &failure {
        Failure::Refused(refusal) if refusal.is_conflict() => Verdict::Stale,
        Failure::Refused(refusal) if refusal.object_missing() => Verdict::Missing,
        Failure::Refused(refusal) if refusal.key_on_other_side() => Verdict::OtherSide(failure),
        Failure::Refused(refusal) if refusal.not_authorized() => Verdict::NotAllowed(failure),
        _ => Verdict::Refused(failure),
    }
}

/// What became of a write that got no answer.
#[derive(Debug, PartialEq)]
pub(crate) enum Reading {
    /// Applied: this state is what it made.
    Ours,
    /// The map is as wanted, if this state is still the newest.
    LooksLikeIt,
    NotApplied,
    /// The next state may tell.
    GoOn,
}

/// What one state says. Of a write at a revision only the first state since counts.
pub(crate) fn read_history(patch: &Patch, state: &State) -> Reading {
    let stamped = patch.stamp.is_some() && state.look.stamp == patch.stamp;
    match (&patch.base, &patch.stamp) {
        _ if stamped && !state.deleted => Reading::Ours,
        (None, _) => Reading::GoOn,
        (Some(_), None) if !state.deleted && patch.shows_in(&state.map) => Reading::LooksLikeIt,
        (Some(_), _) => Reading::NotApplied,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, ErrorKind};
    use crate::model::{Entries, Entry, Revision, Side, Value};
    use crate::server::status::Refusal;
    use crate::server::wire::Look;
    use crate::write::patch::Change;
    use bytes::Bytes;

    fn refused(code: u16, body: &str) -> Result<Made, Failure> {
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
    fn the_table_of_answers() {
        let version = || Ok(Made::Version(Version::at("", Revision::new("1").unwrap())));
        let conflict = r#"{"reason":"Conflict"}"#;
        let missing = r#"{"reason":"NotFound","details":{"kind":"configmaps"}}"#;
        let too_large = r#"{"kind":"Status","message":"etcdserver: request is too large"}"#;
        let said_by_anybody = r#"{"message":"etcdserver: request is too large"}"#;
        let rbac = r#"{"message":"User \"u\" cannot patch resource \"configmaps\""}"#;
        let both = r#"{"details":{"causes":[{"reason":"FieldValueInvalid",
                       "message":"Invalid value: \"k\": duplicate of key present in data"}]}}"#;
        type Answer<'a> = Box<dyn Fn() -> Result<Made, Failure> + 'a>;
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
            (Box::new(|| refused(422, r#"{"details":{"cau"#)), "again", "again"),
            (Box::new(|| refused(409, r#"{"rea"#)), "again", "again"),
            (Box::new(|| refused(500, too_large)), "refused", "refused"),
            (Box::new(|| refused(500, said_by_anybody)), "refused", "traced"),
            (Box::new(|| refused(413, "{}")), "refused", "traced"),
            (Box::new(|| refused(500, "{}")), "in doubt", "in doubt"),
            (Box::new(|| refused(504, "timeout")), "in doubt", "in doubt"),
            (Box::new(|| refused(302, "")), "refused", "traced"),
        ];
        for (number, (answer, first, in_doubt)) in table.into_iter().enumerate() {
            assert_eq!(name(judge(answer(), false)), first, "row {number}");
            assert_eq!(name(judge(answer(), true)), in_doubt, "row {number} in doubt");
        }
    }

    /// Content as evidence: a delete of a key that another writer deleted, and a third one made again, was
    /// acknowledged though it never reached the server.
    #[test]
    fn the_table_of_history() {
        let version = |revision: &str| Version::at("u", Revision::new(revision).unwrap());
        let state = |stamp: Option<&str>, keys: &[&str], deleted| {
            let mut entries = Entries::default();
            for key in keys {
                let value = Value(Bytes::from_static(b"v"));
                entries.insert((*key).into(), Entry { value, side: Side::Binary });
            }
            let look = Look { version: version("6"), stamp: stamp.map(str::to_owned) };
            State { deleted, look, map: Snapshot::new(version("6"), entries) }
        };
        let delete = |base: Option<&str>, stamp: Option<&str>| Patch {
            base: base.map(version),
            stamp: stamp.map(str::to_owned),
            changes: [("k".to_owned(), Change::Delete { from: None })].into(),
            ..Patch::default()
        };
        let ours = Some("ours");
        let table = [
            (delete(Some("5"), ours), state(ours, &[], false), Reading::Ours),
            (delete(Some("5"), ours), state(Some("other"), &[], false), Reading::NotApplied),
            (delete(Some("5"), ours), state(None, &[], false), Reading::NotApplied),
            (delete(Some("5"), ours), state(ours, &[], true), Reading::NotApplied),
            (delete(Some("5"), None), state(None, &[], false), Reading::LooksLikeIt),
            (delete(Some("5"), None), state(Some("other"), &[], false), Reading::LooksLikeIt),
            (delete(Some("5"), None), state(None, &["k"], false), Reading::NotApplied),
            (delete(Some("5"), None), state(None, &[], true), Reading::NotApplied),
            (delete(None, ours), state(ours, &[], false), Reading::Ours),
            (delete(None, ours), state(Some("other"), &[], false), Reading::GoOn),
            (delete(None, ours), state(ours, &[], true), Reading::GoOn),
        ];
        for (number, (patch, state, wanted)) in table.into_iter().enumerate() {
            assert_eq!(read_history(&patch, &state), wanted, "row {number}");
        }
    }
}
