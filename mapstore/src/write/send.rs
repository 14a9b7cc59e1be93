//! The stages of an attempt in which a patch is under way. [`super::outcome`] says
//! what an answer means, and [`super::history`] what became of a patch that got
//! none; this file acts upon what they say.

use std::time::Instant;

use serde_json::Value as Json;

use super::attempt::{Attempt, Sending, Stage, while_wanted};
use super::base::{Base, Need};
use super::budget::BUDGET;
use super::desk::Desk;
use super::history::{Doubt, Resolved};
use super::outcome::{Made, Verdict, judge};
use super::patch::Patch;
use crate::error::{Error, ErrorKind, Result};
use crate::host::deadline::Try;
use crate::model::{Snapshot, Version, Written};
use crate::server::failure::Failure;
use crate::server::retry::{again, tell};

/// About as much as the heads of a request and its answer.
const SMALL: u64 = 2 << 10;

/// How often keys are looked for on the other side before the map is read:
/// somebody may be moving them.
const MOST_TURNS: u32 = 3;

impl Attempt<'_> {
    /// Sends the patch once, and does what its answer says.
    pub(super) async fn send(&mut self, mut sending: Sending) -> Result<Stage> {
        let once = sending.patch.base.is_none();
        let at = if once { self.retry.only_try() } else { self.retry.next_try() };
        if !sending.in_doubt && !self.group.begin() {
            return Ok(Stage::Look);
        }
        let request = request(self.desk, at, self.object.as_ref(), &sending);
        let Some(answer) = while_wanted(self.desk, &self.group, request).await else {
            self.leave_in_doubt(sending.cost);
            return Ok(Stage::Look);
        };
        let verdict = judge(answer, sending.in_doubt);
        sending.in_doubt |= matches!(verdict, Verdict::InDoubt(_));
        // A refusal for good holds for earlier tries too: see `judge`.
        sending.in_doubt &= !matches!(verdict, Verdict::Refused(_));
        // A write that is applied stays in flight until the caller has the answer: the caller may
        // give up at this moment.
        if !sending.in_doubt && !matches!(verdict, Verdict::Applied(_)) {
            self.group.was_not_written();
        }
        self.follow(verdict, sending).await
    }

    async fn follow(&mut self, verdict: Verdict, mut sending: Sending) -> Result<Stage> {
        match verdict {
            Verdict::Applied(Made::Version(version)) => Ok(self.applied(&sending, version)),
            Verdict::Applied(Made::Map(map)) => Ok(self.applied_and_read(&sending, map)),
            Verdict::Stale => self.overtaken().await,
            Verdict::Missing => {
                self.learn_that_others_were_faster();
                self.desk.forget(self.known);
                self.need = Need::Fresh;
                Ok(Stage::Look)
            }
            Verdict::OtherSide(failure) => self.other_side(&sending, failure),
            Verdict::NotAllowed(failure) => self.not_allowed(failure),
            Verdict::Again(failure) => {
                let verb = self.verb();
                match again(&self.desk.api, &mut self.retry, &self.group, failure, verb).await {
                    Ok(()) => Ok(Stage::Send(sending)),
                    Err(error) => Err(self.give_up(&sending, error)),
                }
            }
            Verdict::Refused(failure) if may_do_without_stamp(&sending, &failure) => {
                (sending.patch.stamp, sending.patch.unstamp) = (None, true);
                Ok(Stage::Send(sending))
            }
            Verdict::Refused(failure) if self.knows_too_little(&failure) => Ok(Stage::Look),
            Verdict::Refused(failure) if self.split(&failure) => Ok(Stage::Look),
            Verdict::Refused(failure) => Err(self.refused(&sending.patch, failure)),
            // With a revision, sending the same again tells, and does no harm.
            Verdict::InDoubt(failure) if sending.patch.base.is_some() => {
                tell(&self.desk.api, &self.group, &failure, self.verb());
                if self.retry.pause(&failure).await {
                    return Ok(Stage::Send(sending));
                }
                let error = self.desk.api.error(failure, self.verb());
                Err(self.give_up(&sending, error))
            }
            Verdict::InDoubt(failure) | Verdict::Traced(failure) => Ok(Stage::Trace(sending, failure)),
        }
    }

    pub(super) async fn trace(&mut self, sending: Sending, failure: Failure) -> Result<Stage> {
        let before = self.overtaken.as_ref().and_then(Option::as_ref);
        let since = sending.patch.base.as_ref().or(before);
        let (api, patch) = (&*self.desk.api, &sending.patch);
        let resolving = Doubt { api, patch, since, retry: &mut self.retry }.resolve();
        let resolved = while_wanted(self.desk, &self.group, resolving).await;
        match resolved.unwrap_or(Resolved::Unknown) {
            Resolved::Applied(version) => Ok(self.applied(&sending, version)),
            Resolved::AsWanted(map) => Ok(self.applied_and_read(&sending, map)),
            Resolved::Sometime => self.applied_sometime(&sending, failure).await,
            Resolved::NotApplied => {
                self.group.was_not_written();
                self.overtaken().await
            }
            Resolved::Unknown => {
                let error = self.unknown(failure);
                Err(self.give_up(&sending, error))
            }
        }
    }

    /// The patch made this version of what it was planned on.
    fn applied(&mut self, sending: &Sending, version: Version) -> Stage {
        // The API server writes nothing if nothing changes: then the revision is the base's.
        let moved = sending.patch.base.as_ref().is_none_or(|base| base.revision != version.revision);
        if moved {
            self.spend(sending.cost);
        }
        self.desk.record(self.known, &sending.patch, &version);
        self.succeed(Some(version), moved)
    }

    /// The patch was applied whatever the revision, and this is what it made of the map.
    fn applied_and_read(&mut self, sending: &Sending, map: Snapshot) -> Stage {
        let version = map.version().cloned();
        self.spend(sending.cost);
        self.desk.count();
        self.desk.learn(self.known, map);
        self.succeed(version, true)
    }

    /// The write is in the map, and other writers' changes may be as well. Stores that read from
    /// memory must find the write there.
    async fn applied_sometime(&mut self, sending: &Sending, failure: Failure) -> Result<Stage> {
        self.spend(sending.cost);
        self.desk.forget(self.known);
        if self.desk.cache().is_some() && self.read().await.is_err() {
            return Err(self.unknown(failure));
        }
        Ok(self.succeed(None, true))
    }

    /// `moved`: the write made a revision. That tells for members of which the plan didn't know
    /// whether they change anything.
    fn succeed(&mut self, version: Option<Version>, moved: bool) -> Stage {
        let revision = version.map(|version| version.revision);
        self.group
            .succeed(|changed| Written { revision: revision.clone(), changed: changed.unwrap_or(moved) });
        Stage::Done
    }

    /// Somebody else wrote. Without a condition it doesn't matter what: the next try carries no
    /// revision, so that nobody starves. Otherwise the group is planned anew.
    async fn overtaken(&mut self) -> Result<Stage> {
        let stale = self.known.base().and_then(Base::version).cloned();
        let goes_blind = self.overtaken.is_none()
            && self.need == Need::Little
            && self.known.without_patch.is_none()
            && self.desk.cache().is_none();
        self.overtaken = Some(stale.or(self.overtaken.take().flatten()));
        self.desk.forget(self.known);
        self.learn_that_others_were_faster();
        if goes_blind {
            return Ok(Stage::Look);
        }
        if !self.retry.yield_to_others().await {
            return Err(self.out_of_time());
        }
        self.rested = true;
        Ok(Stage::Look)
    }

    /// Keys were found in the other of the two maps; remembered for the next
    /// plan. If that doesn't explain the refusal, the whole map will.
    fn other_side(&mut self, sending: &Sending, failure: Failure) -> Result<Stage> {
        let Failure::Refused(refusal) = &failure else { return Err(self.error(failure)) };
        if self.need > Need::Little {
            return Err(self.error(failure));
        }
        self.turned += 1;
        if !self.known.turn(&refusal.keys_on_other_side(), &sending.patch) || self.turned > MOST_TURNS {
            self.need = Need::Fresh;
        }
        Ok(Stage::Look)
    }

    /// The Role may grant update instead of patch, as the Go package's does.
    /// What was refused in an earlier call may be granted by now.
    fn not_allowed(&mut self, failure: Failure) -> Result<Stage> {
        let by_update = self.object.take().is_some();
        let refused = if by_update { self.known.without_patch.take().unwrap_or(failure) } else { failure };
        if if by_update { self.patch_refused } else { self.update_refused } {
            return Err(self.desk.api.error(refused, "patch"));
        }
        if by_update {
            self.update_refused = true;
        } else {
            self.patch_refused = true;
            self.known.without_patch = Some(refused);
        }
        Ok(Stage::Look)
    }

    /// Whether more has to be known before the refusal is believed: for one of the size, whether
    /// this write is the one that is too much; for one of an immutable map, whether the write would
    /// change anything.
    fn knows_too_little(&mut self, failure: &Failure) -> bool {
        let Failure::Refused(refusal) = failure else { return false };
        let whole = self.known.base().is_some_and(Base::is_whole);
        let need = match refusal {
            _ if refusal.immutable() && !self.fresh => Need::Fresh,
            _ if refusal.too_large() && !whole => Need::Whole,
            _ => return false,
        };
        let more = need > self.need;
        self.need = self.need.max(need);
        more
    }

    /// After a refusal that may be due to one member only, half of the members go alone, so that
    /// this member is found in a few steps.
    pub(super) fn split(&mut self, failure: &Failure) -> bool {
        let Failure::Refused(refusal) = failure else { return false };
        let splits = self.group.len() > 1 && refusal.minds_the_content();
        if splits {
            let half = self.group.second_half();
            self.desk.queue.put_back(half);
        }
        splits
    }

    /// The error of a refusal for good. A refusal of the size gets its numbers, where the map is
    /// known.
    fn refused(&self, patch: &Patch, failure: Failure) -> Error {
        let whole = self.known.base().and_then(Base::whole);
        if let (Failure::Refused(refusal), Some(map)) = (&failure, whole)
            && refusal.too_large()
            && let Some(version) = map.version()
        {
            let after = map.clone().changed(version.clone(), |entries| patch.apply(entries)).totals();
            return refusal.too_large_error(&self.desk.api.subject(), after.values, after.object);
        }
        self.error(failure)
    }

    /// The group ends without an answer.
    fn give_up(&mut self, sending: &Sending, error: Error) -> Error {
        if sending.in_doubt {
            self.leave_in_doubt(sending.cost);
        }
        error
    }

    fn leave_in_doubt(&mut self, cost: u64) {
        self.spend(cost);
        self.desk.forget(self.known);
    }

    fn spend(&self, cost: u64) {
        BUDGET.get().spend(cost, Instant::now());
    }

    fn unknown(&self, failure: Failure) -> Error {
        let later = self.error(failure);
        let what = format!(
            "the write got no answer, and what the server tells of the map since doesn't show whether it \
             was applied ({later}); refresh and read before writing again"
        );
        Error::new(ErrorKind::OutcomeUnknown, self.desk.api.subject(), what)
    }
}

/// Where a map is full to the last bytes the stamp may be what is too much. A doubt of a write
/// without a stamp is harder to settle.
fn may_do_without_stamp(sending: &Sending, failure: &Failure) -> bool {
    let too_large = matches!(failure, Failure::Refused(refusal) if refusal.request_too_large());
    too_large && sending.patch.stamp.is_some() && sending.patch.base.is_some() && !sending.in_doubt
}

/// A blind write of a small map is answered with all of it: what others wrote is
/// known again then, at no further request.
async fn request(desk: &Desk, at: Try, object: Option<&Json>, sending: &Sending) -> Result<Made, Failure> {
    let patch = &sending.patch;
    match object {
        Some(object) => {
            let mut object = object.clone();
            patch.edit(&mut object);
            desk.api.replace(at, &object).await.map(Made::Version)
        }
        None if patch.base.is_none() && sending.cost <= SMALL => {
            desk.api.patch_and_read(at, &patch.to_strategic()).await.map(Made::Map)
        }
        None => desk.api.patch(at, &patch.to_strategic()).await.map(Made::Version),
    }
}
