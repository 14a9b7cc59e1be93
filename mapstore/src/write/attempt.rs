//! One group's way from the queue to its answers. Where it stands is one value,
//! its [`Stage`]; each stage says how it is left:
//!
//! | stage    | what happens                                   | left for                       |
//! |----------|------------------------------------------------|--------------------------------|
//! | `Look`   | what to write on is chosen, read if need be    | `Plan`; `Done` if nobody waits |
//! | `Plan`   | the members become one patch                   | `Send`, `Create`; `Look` if more has to be known; `Done` if the budget says wait |
//! | `Create` | the map, which isn't there, is made, empty     | `Look`                         |
//! | `Send`   | the patch goes out                             | `Done`; `Send` again; `Look` if it was refused and a new plan may do; `Trace` |
//! | `Trace`  | perhaps applied: history tells                 | `Done`; `Look` if it wasn't    |
//!
//! An error in any of them ends the group.

use std::sync::Arc;
use std::time::Instant;

use serde_json::Value as Json;

use super::Writer;
use super::base::{Base, Choice, Known, Need, Situation, choose};
use super::budget::BUDGET;
use super::group::Group;
use super::history::{Doubt, Resolved};
use super::outcome::{Made, Verdict, judge};
use super::patch::Patch;
use super::plan::plan;
use crate::error::{Error, ErrorKind, Result};
use crate::host::deadline::Try;
use crate::host::process;
use crate::model::{Entries, Snapshot, Version, Written};
use crate::read::cache::CacheCell;
use crate::server::api::{Object, Write};
use crate::server::failure::Failure;
use crate::server::retry::{Callers, Retry, again, ask, tell};

/// How often a group is looked at anew without a pause: whoever needs more
/// rounds goes against somebody, or against a server that contradicts itself.
const FREE_ROUNDS: u32 = 4;

/// How often keys are looked for on the other side before the map is read:
/// somebody may be moving them.
const MOST_TURNS: u32 = 3;

/// About as much as the heads of a request and its answer.
const SMALL: u64 = 2 << 10;

pub(super) struct Attempt<'a> {
    writer: &'a Writer,
    known: &'a mut Known,
    group: Group,
    retry: Retry,
    need: Need,
    /// What the group is planned on was read after every member was called.
    fresh: bool,
    /// Others were faster: the version of the map that was known before.
    overtaken: Option<Option<Version>>,
    /// What a member has read was tried.
    seen_tried: bool,
    /// The whole object, where patch is refused.
    object: Option<Json>,
    patch_refused: bool,
    update_refused: bool,
    turned: u32,
    rounds: u32,
    /// A pause was made since the last look.
    rested: bool,
}

enum Stage {
    Look,
    Plan,
    Create(Patch),
    Send(Sending),
    Trace(Sending, Failure),
    Done,
}

/// A patch on its way.
struct Sending {
    patch: Patch,
    /// Bytes that it has stored.
    cost: u64,
    /// An earlier try of it was ambiguous.
    in_doubt: bool,
}

impl<'a> Attempt<'a> {
    pub fn new(writer: &'a Writer, known: &'a mut Known, group: Group) -> Self {
        let retry = Retry::of_many(group.deadline(), group.shortest());
        let need = if group.has_refresh() { Need::Fresh } else { Need::Little };
        Attempt {
            writer,
            known,
            group,
            retry,
            need,
            fresh: false,
            overtaken: None,
            seen_tried: false,
            object: None,
            patch_refused: false,
            update_refused: false,
            turned: 0,
            rounds: 0,
            rested: false,
        }
    }

    /// Sees the group through, until every member has its answer or is back in the queue.
    pub async fn run(mut self) {
        let mut stage = Stage::Look;
        loop {
            let next = match stage {
                Stage::Look => self.look().await,
                Stage::Plan => self.plan().await,
                Stage::Create(patch) => self.create(&patch).await,
                Stage::Send(sending) => self.send(sending).await,
                Stage::Trace(sending, failure) => self.trace(sending, failure).await,
                Stage::Done => return,
            };
            stage = match next {
                Ok(next) => next,
                Err(error) => return self.group.fail(&error),
            };
        }
    }

    async fn look(&mut self) -> Result<Stage> {
        self.group.dismiss_those_too_late();
        if self.group.is_empty() {
            return Ok(Stage::Done);
        }
        self.rounds += 1;
        let rested = std::mem::take(&mut self.rested);
        if self.rounds > FREE_ROUNDS && !rested && !self.retry.yield_to_others().await {
            return Err(self.out_of_time());
        }
        let cache = self.writer.cache();
        let choice = choose(self.situation(cache.as_deref()));
        self.fresh = matches!(choice, Choice::Read | Choice::Object);
        match choice {
            Choice::Object => self.read_object().await?,
            Choice::Read => self.read().await?,
            Choice::Memory => self.known.rely_on(cache.map(|cache| cache.load()).unwrap_or_default()),
            Choice::Seen => {
                self.seen_tried = true;
                self.known.learn(self.seen().unwrap_or_default());
            }
            Choice::Blind => self.known.go_blind(),
            Choice::Held => {}
        }
        if self.fresh {
            self.group.answer_refreshes();
        }
        Ok(Stage::Plan)
    }

    fn situation(&self, cache: Option<&CacheCell>) -> Situation {
        let held = self.known.base().filter(|base| !base.is_blind());
        Situation {
            need: self.need,
            without_patch: self.known.without_patch.is_some(),
            memory: cache.map(|cache| !cache.is_behind()),
            overtaken: self.overtaken.is_some(),
            seen: !self.seen_tried && self.seen().is_some(),
            held: held.is_some(),
            held_is_read: held.is_some_and(Base::is_read),
        }
    }

    fn seen(&self) -> Option<Snapshot> {
        self.group.seen(self.writer.writes())
    }

    /// Reads the map, also into the cache.
    async fn read(&mut self) -> Result<()> {
        let api = &self.writer.api;
        let reading = ask(api, &mut self.retry, &self.group, "get", |at| api.read(at));
        let Some(map) = while_wanted(self.writer, &self.group, reading).await else { return Ok(()) };
        self.writer.learn(self.known, map?);
        Ok(())
    }

    async fn read_object(&mut self) -> Result<()> {
        let api = &self.writer.api;
        let reading = ask(api, &mut self.retry, &self.group, "get", |at| api.read_object(at));
        let Some(object) = while_wanted(self.writer, &self.group, reading).await else { return Ok(()) };
        let (map, object) = match object? {
            Some(Object { json, snapshot }) => (snapshot, Some(json)),
            None => (Snapshot::missing(), None),
        };
        self.object = object;
        self.writer.learn(self.known, map);
        Ok(())
    }

    async fn plan(&mut self) -> Result<Stage> {
        // There is none if nobody waited for the end of the read.
        let Some(base) = self.known.base().filter(|_| !self.group.is_empty()) else { return Ok(Stage::Look) };
        let plan = match plan(&self.group.members(), base, self.fresh, stamp) {
            Ok(plan) => plan,
            Err(need) => {
                self.need = self.need.max(need);
                return Ok(Stage::Look);
            }
        };
        let missing = base.is_missing();
        let deferred = self.group.settle(plan.parts, base);
        self.writer.queue.put_back(deferred);
        let Some(patch) = plan.patch else { return Ok(Stage::Look) };
        let weight = self.group.weight();
        let cost = plan.totals.map_or_else(|| self.known.cost(weight), |totals| totals.object);
        if let Some(later) = self.writer.pace(&mut self.group, cost).await {
            self.writer.queue.put_back(later);
            return Ok(Stage::Done);
        }
        if missing {
            return Ok(Stage::Create(patch));
        }
        Ok(Stage::Send(Sending { patch, cost, in_doubt: false }))
    }

    /// The map doesn't exist: make it. What is there afterwards, ours or another
    /// writer's, is found out by planning again.
    async fn create(&mut self, patch: &Patch) -> Result<Stage> {
        let creating = try_create(self.writer, &mut self.retry, patch);
        let Some(created) = while_wanted(self.writer, &self.group, creating).await else {
            return Ok(Stage::Look);
        };
        let failure = match created {
            Ok(version) => {
                self.writer.learn(self.known, Snapshot::new(version, Entries::default()));
                self.need = Need::Little;
                return Ok(Stage::Look);
            }
            Err(failure) => failure,
        };
        if let Failure::Refused(refusal) = &failure {
            // Quota and a terminating namespace refuse before they look whether it exists.
            let may_exist = refusal.already_exists() || (refusal.code == 403 && !refusal.not_authorized());
            if may_exist {
                self.read().await?;
                if !self.known.base().is_some_and(Base::is_missing) {
                    return Ok(Stage::Look);
                }
            }
            if self.split(&failure) {
                return Ok(Stage::Look);
            }
        }
        again(&self.writer.api, &mut self.retry, &self.group, failure, "create").await?;
        self.rested = true;
        Ok(Stage::Look)
    }

    /// Sends the patch once, and does what its answer says.
    async fn send(&mut self, mut sending: Sending) -> Result<Stage> {
        let once = sending.patch.base.is_none();
        let at = if once { self.retry.only_try() } else { self.retry.next_try() };
        if !sending.in_doubt && !self.group.begin() {
            return Ok(Stage::Look);
        }
        let request = request(self.writer, at, self.object.as_ref(), &sending);
        let Some(answer) = while_wanted(self.writer, &self.group, request).await else {
            self.leave_in_doubt(sending.cost);
            return Ok(Stage::Look);
        };
        let verdict = judge(answer, sending.in_doubt);
        sending.in_doubt |= matches!(verdict, Verdict::InDoubt(_));
        // What is applied stays in flight until the caller has the answer: it may give up at this moment.
        if !sending.in_doubt && !matches!(verdict, Verdict::Applied(_)) {
            self.group.was_not_written();
        }
        self.follow(verdict, sending).await
    }

    async fn follow(&mut self, verdict: Verdict, sending: Sending) -> Result<Stage> {
        match verdict {
            Verdict::Applied(Made::Version(version)) => Ok(self.applied(&sending, version)),
            Verdict::Applied(Made::Map(map)) => Ok(self.applied_and_read(&sending, map)),
            Verdict::Stale => self.overtaken().await,
            Verdict::Missing => {
                self.learn_that_others_were_faster();
                self.writer.forget(self.known);
                self.need = Need::Fresh;
                Ok(Stage::Look)
            }
            Verdict::OtherSide(failure) => self.other_side(&sending, failure),
            Verdict::NotAllowed(failure) => self.not_allowed(failure),
            Verdict::Again(failure) => {
                let verb = self.verb();
                match again(&self.writer.api, &mut self.retry, &self.group, failure, verb).await {
                    Ok(()) => Ok(Stage::Send(sending)),
                    Err(error) => Err(self.give_up(&sending, error)),
                }
            }
            Verdict::Refused(failure) if self.needs_the_map(&failure) => {
                self.need = Need::Whole;
                Ok(Stage::Look)
            }
            Verdict::Refused(failure) if self.split(&failure) => Ok(Stage::Look),
            Verdict::Refused(failure) => Err(self.refused(&sending.patch, failure)),
            // With a revision the same again tells, and does no harm.
            Verdict::InDoubt(failure) if sending.patch.base.is_some() => {
                tell(&self.writer.api, &self.group, &failure, self.verb());
                if self.retry.pause(&failure).await {
                    return Ok(Stage::Send(sending));
                }
                let error = self.writer.api.error(failure, self.verb());
                Err(self.give_up(&sending, error))
            }
            Verdict::InDoubt(failure) | Verdict::Traced(failure) => Ok(Stage::Trace(sending, failure)),
        }
    }

    async fn trace(&mut self, sending: Sending, failure: Failure) -> Result<Stage> {
        let before = self.overtaken.as_ref().and_then(Option::as_ref);
        let since = sending.patch.base.as_ref().or(before);
        let (api, patch) = (&*self.writer.api, &sending.patch);
        let resolving = Doubt { api, patch, since, retry: &mut self.retry }.resolve();
        let resolved = while_wanted(self.writer, &self.group, resolving).await;
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
        self.writer.record(self.known, &sending.patch, &version);
        self.succeed(Some(version), moved)
    }

    /// The patch was applied whatever the revision, and this is what it made of the map.
    fn applied_and_read(&mut self, sending: &Sending, map: Snapshot) -> Stage {
        let version = map.version().cloned();
        self.spend(sending.cost);
        self.writer.count();
        self.writer.learn(self.known, map);
        self.succeed(version, true)
    }

    /// It is in the map, and other writers' changes may be as well. Whoever reads from memory must find it there.
    async fn applied_sometime(&mut self, sending: &Sending, failure: Failure) -> Result<Stage> {
        self.spend(sending.cost);
        self.writer.forget(self.known);
        if self.writer.cache().is_some() && self.read().await.is_err() {
            return Err(self.unknown(failure));
        }
        Ok(self.succeed(None, true))
    }

    /// `moved`: the write made a revision, which tells for members of which the plan didn't know.
    fn succeed(&mut self, version: Option<Version>, moved: bool) -> Stage {
        let revision = version.map(|version| version.revision);
        self.group
            .succeed(|changed| Written { revision: revision.clone(), changed: changed.unwrap_or(moved) });
        Stage::Done
    }

    /// Somebody else wrote. Without a condition it doesn't matter what: the
    /// next try goes whatever the revision, so that nobody starves. Otherwise
    /// it is planned anew.
    async fn overtaken(&mut self) -> Result<Stage> {
        let stale = self.known.base().and_then(Base::version).cloned();
        let goes_blind = self.overtaken.is_none()
            && self.need == Need::Little
            && self.known.without_patch.is_none()
            && self.writer.cache().is_none();
        self.overtaken = Some(stale.or(self.overtaken.take().flatten()));
        self.writer.forget(self.known);
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
            return Err(self.writer.api.error(refused, "patch"));
        }
        if by_update {
            self.update_refused = true;
        } else {
            self.patch_refused = true;
            self.known.without_patch = Some(refused);
        }
        Ok(Stage::Look)
    }

    /// Whether the refusal depends on what else is in the map, of which not all
    /// is known: its sizes, or whether the write would change anything.
    fn needs_the_map(&self, failure: &Failure) -> bool {
        let Failure::Refused(refusal) = failure else { return false };
        let read = self.known.base().is_some_and(Base::is_read);
        self.need == Need::Little && !read && (refusal.too_large() || refusal.immutable())
    }

    /// A refusal that may be due to one member only: half of them go alone, so
    /// that it is found in a few steps.
    fn split(&mut self, failure: &Failure) -> bool {
        let Failure::Refused(refusal) = failure else { return false };
        let splits = self.group.len() > 1 && refusal.minds_the_content();
        if splits {
            let half = self.group.second_half();
            self.writer.queue.put_back(half);
        }
        splits
    }

    /// A refusal for good. One of the size gets its numbers, where the map is known.
    fn refused(&self, patch: &Patch, failure: Failure) -> Error {
        let whole = self.known.base().and_then(Base::whole);
        if let (Failure::Refused(refusal), Some(map)) = (&failure, whole)
            && refusal.too_large()
            && let Some(version) = map.version()
        {
            let after = map.clone().changed(version.clone(), |entries| patch.apply(entries)).totals();
            return refusal.too_large_error(&self.writer.api.subject(), after.values, after.object);
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
        self.writer.forget(self.known);
    }

    fn spend(&self, cost: u64) {
        BUDGET.get().spend(cost, Instant::now());
    }

    fn verb(&self) -> &'static str {
        if self.object.is_some() { "update" } else { "patch" }
    }

    fn error(&self, failure: Failure) -> Error {
        self.writer.api.error(failure, self.verb())
    }

    fn learn_that_others_were_faster(&self) {
        self.group.learn(&faster(self.writer.api.subject()));
    }

    /// What was learnt says why.
    fn out_of_time(&self) -> Error {
        Error::new(ErrorKind::Deadline, self.writer.api.subject(), "no time is left for another try")
    }

    fn unknown(&self, failure: Failure) -> Error {
        let later = self.error(failure);
        let what = format!(
            "the write got no answer, and what the server tells of the map since doesn't show whether it \
             was applied ({later}); refresh and read before writing again"
        );
        Error::new(ErrorKind::OutcomeUnknown, self.writer.api.subject(), what)
    }
}

/// Goes on as long as one of the callers waits.
async fn while_wanted<T>(writer: &Writer, group: &Group, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        done = work => Some(done),
        () = writer.queue.all_gone(group.requests()) => None,
    }
}

/// A blind write of a small map is answered with all of it: what others wrote is
/// known again then, at no further request.
async fn request(
    writer: &Writer,
    at: Try,
    object: Option<&Json>,
    sending: &Sending,
) -> Result<Made, Failure> {
    let patch = &sending.patch;
    match object {
        Some(object) => {
            let mut object = object.clone();
            patch.edit(&mut object);
            writer.api.replace(at, &object).await.map(Made::Version)
        }
        None if patch.base.is_none() && sending.cost <= SMALL => {
            writer.api.patch_and_read(at, &patch.to_strategic()).await.map(Made::Map)
        }
        None => writer.api.patch(at, &patch.to_strategic()).await.map(Made::Version),
    }
}

/// Asks first what the server would say to the whole: a value that it
/// refuses must not leave an empty map behind. The map itself is made empty,
/// so that making it twice does no harm.
async fn try_create(writer: &Writer, retry: &mut Retry, patch: &Patch) -> Result<Version, Failure> {
    let api: &Arc<_> = &writer.api;
    let mut whole = api.bare_object();
    patch.edit(&mut whole);
    match api.rehearse(retry.next_try(), Write::Create, &whole).await {
        Err(Failure::Refused(refusal)) if refusal.no_dry_run() => {}
        rehearsed => rehearsed?,
    }
    api.create(retry.next_try()).await
}

/// What a write says that others always came before.
pub(crate) fn faster(subject: String) -> Error {
    Error::new(ErrorKind::Conflict, subject, "other writers were faster")
}

/// 96 random bits: no two writes of any process share one.
fn stamp() -> String {
    process::random::<12>().iter().map(|byte| format!("{byte:02x}")).collect()
}
