//! Writes: one group at a time. Whoever calls while one is on its way waits in
//! the queue; when the way is free all of them go together, as one patch that
//! carries the revision it was planned on. What the answer, or its absence,
//! means is [`crate::write::outcome`]'s; here it is acted upon. Also the only one who
//! changes the cache, so that its states follow each other as the server's did.

mod base;
pub(crate) mod budget;
mod draft;
mod driver;
mod group;
mod history;
mod outcome;
mod patch;
mod plan;
pub(crate) mod queue;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind, Result};
use crate::host::deadline::Try;
use crate::host::process;
use crate::host::runtime::Runtime;
use crate::model::MAX_OBJECT_BYTES;
use crate::model::Written;
use crate::model::{Entries, Snapshot, Version};
use crate::read::cache::CacheCell;
use crate::server::api::{Api, Object, Write};
use crate::server::retry::{Retry, again, ask};
use crate::server::status::Failure;
use crate::write::base::{Ground, Known};
use crate::write::budget::{BUDGET, Leave};
use crate::write::driver::{Driven, Driver};
use crate::write::group::Group;
use crate::write::history::{Resolved, resolve};
use crate::write::outcome::{Verdict, judge};
use crate::write::patch::Patch;
use crate::write::plan::{Base, Need, plan};
use crate::write::queue::{Queue, Request};

/// How often a writer that exceeds the budget looks whether it may go on, and
/// who has come since.
const SLOWED: Duration = Duration::from_millis(100);

pub(crate) struct Writer {
    api: Arc<Api>,
    queue: Queue,
    known: tokio::sync::Mutex<Known>,
    /// There as long as a store reads from it.
    cache: Mutex<Weak<CacheCell>>,
    /// Groups that were written.
    writes: AtomicU64,
    /// See [`Driven::lose_track`].
    lost_track: AtomicBool,
}

/// What one group has learnt on its way.
#[derive(Default)]
struct Course {
    /// Planned on the whole map, as it is now.
    fresh: bool,
    /// Planned on the whole map, as it was read lately.
    whole: bool,
    /// Others were faster once: at which revision it was last known.
    overtaken: Option<Version>,
    /// How often keys were found on the other side.
    turned: u32,
    patch_refused: bool,
    update_refused: bool,
}

/// How it goes on with a group.
enum Next {
    /// Plan again.
    Plan,
    /// These can't travel with the others: they go next.
    Split(Vec<Request>),
}

impl Writer {
    pub fn new(api: Arc<Api>) -> Self {
        Writer {
            api,
            queue: Queue::default(),
            known: tokio::sync::Mutex::default(),
            cache: Mutex::default(),
            writes: AtomicU64::new(0),
            lost_track: AtomicBool::new(false),
        }
    }

    /// Takes a request; it will be answered. Never blocks.
    pub fn enqueue(self: &Arc<Self>, request: Request, runtime: &Runtime) {
        if self.queue.push(request) {
            Driver::start(self.clone(), runtime.spawner().clone());
        }
    }

    /// A caller doesn't wait any more.
    pub fn someone_left(&self) {
        self.queue.leave();
    }

    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::SeqCst)
    }

    /// The memory that stores of this map share. What is in it counts only after a refresh.
    pub fn cache_for_reading(&self) -> Arc<CacheCell> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.upgrade().unwrap_or_else(|| {
            let fresh = Arc::new(CacheCell::new());
            *cache = Arc::downgrade(&fresh);
            fresh
        })
    }

    fn cache(&self) -> Option<Arc<CacheCell>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).upgrade()
    }

    /// Sees a group through, until every member has its answer or is back in the queue.
    async fn commit(&self, known: &mut Known, mut group: Group) {
        let mut retry = Retry::new(group.deadline());
        let mut course = Course::default();
        loop {
            group.dismiss_those_too_late();
            if group.is_empty() {
                return;
            }
            match self.attempt(known, &mut course, &mut group, &mut retry).await {
                Ok(Next::Plan) => {}
                Ok(Next::Split(later)) => self.queue.put_back(later),
                Err(error) => return group.fail(&error),
            }
        }
    }

    async fn attempt(
        &self,
        known: &mut Known,
        course: &mut Course,
        group: &mut Group,
        retry: &mut Retry,
    ) -> Result<Next> {
        let cache = self.cache();
        if cache.is_none()
            && let Some(later) = self.pace(group, known.cost(group.weight())).await
        {
            return Ok(Next::Split(later));
        }
        course.fresh |= group.has_refresh();
        let reading = self.ground(known, course, group, cache.as_deref(), retry);
        let Some(ground) = self.while_wanted(group, reading).await else { return Ok(Next::Plan) };
        let ground = ground?;
        group.answer_refreshes();
        if group.is_empty() {
            return Ok(Next::Plan);
        }
        let plan = match plan(&group.wishes(), &ground.base, ground.fresh, &known.sides, stamp) {
            Ok(plan) => plan,
            Err(need) => {
                course.whole |= need == Need::Whole;
                course.fresh |= need == Need::Fresh;
                return Ok(Next::Plan);
            }
        };
        let deferred = group.settle(plan.fates, &ground.base);
        self.queue.put_back(deferred);
        let Some(patch) = plan.patch else { return Ok(Next::Plan) };
        let cost = plan.totals.map_or_else(|| known.cost(group.weight()), |totals| totals.object);
        if cache.is_some()
            && let Some(later) = self.pace(group, cost).await
        {
            return Ok(Next::Split(later));
        }
        if ground.is_missing() {
            return self.create(known, course, group, &patch, retry).await;
        }
        self.deliver(known, course, group, Planned { ground, patch, cost }, retry).await
    }

    /// Goes on as long as one of the callers waits.
    async fn while_wanted<T>(&self, group: &Group, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            () = self.queue.all_gone(group.requests()) => None,
        }
    }

    /// Reads what the group needs to know of the map.
    async fn ground(
        &self,
        known: &mut Known,
        course: &Course,
        group: &Group,
        cache: Option<&CacheCell>,
        retry: &mut Retry,
    ) -> Result<Ground> {
        if known.without_patch.is_some() {
            let object = ask(&self.api, retry, "get", |at| self.api.read_object(at)).await?;
            let (map, object) = match object {
                Some(Object { json, snapshot }) => (snapshot, Some(json)),
                None => (Snapshot::missing(), None),
            };
            self.learn(known, &map);
            return Ok(Ground { base: Base::Whole(map), fresh: true, object });
        }
        if let Some(cache) = cache {
            let fresh = course.fresh || cache.is_behind();
            if fresh {
                self.read(known, retry).await?;
            }
            return Ok(Ground::whole(cache.load(), fresh));
        }
        if course.fresh {
            return Ok(Ground::whole(self.read(known, retry).await?, true));
        }
        if course.overtaken.is_some() && !course.whole {
            return Ok(Ground::part(Base::Blind));
        }
        match known.usable() {
            Some(version) if !course.whole => Ok(Ground::part(Base::Version(version.clone()))),
            _ => match group.seen(self.writes()) {
                Some(map) if course.overtaken.is_none() => Ok(Ground::whole(map, false)),
                _ => Ok(Ground::whole(self.read(known, retry).await?, true)),
            },
        }
    }

    /// Reads the map, also into the cache.
    async fn read(&self, known: &mut Known, retry: &mut Retry) -> Result<Snapshot> {
        let map = ask(&self.api, retry, "get", |at| self.api.read(at)).await?;
        self.learn(known, &map);
        Ok(map)
    }

    /// What the map is just now.
    fn learn(&self, known: &mut Known, map: &Snapshot) {
        known.learn(map);
        if let Some(cache) = self.cache() {
            cache.apply(|_| map.clone());
        }
    }

    /// Nobody knows what the map is, or soon will be.
    fn forget(&self, known: &mut Known) {
        known.forget();
        if let Some(cache) = self.cache() {
            cache.fall_behind();
        }
    }

    /// Sends a patch until its outcome is known, and answers the group if that is the end of it.
    async fn deliver(
        &self,
        known: &mut Known,
        course: &mut Course,
        group: &mut Group,
        planned: Planned,
        retry: &mut Retry,
    ) -> Result<Next> {
        let Planned { ground, patch, cost } = planned;
        let mut in_doubt = false;
        loop {
            let at = retry.next_try();
            if !in_doubt && !group.begin() {
                return Ok(Next::Plan);
            }
            let Some(answer) = self.while_wanted(group, self.send(at, &ground, &patch)).await else {
                self.leave_in_doubt(known, cost);
                return Ok(Next::Plan);
            };
            let verdict = judge(answer, in_doubt);
            in_doubt |= matches!(verdict, Verdict::InDoubt(_));
            // What is applied stays in flight until the caller has the answer: it may be going just now.
            if !in_doubt && !matches!(verdict, Verdict::Applied(_)) {
                group.was_not_written();
            }
            let failure = match verdict {
                Verdict::Applied(version) => {
                    self.record(known, ground.base, &patch, cost, &version);
                    return Ok(applied(group, &patch, version));
                }
                Verdict::Stale => {
                    return self.overtaken(known, course, &ground, retry).await.map(|()| Next::Plan);
                }
                Verdict::Missing => {
                    self.learn(known, &Snapshot::missing());
                    return Ok(Next::Plan);
                }
                Verdict::OtherSide(failure) => return self.other_side(known, course, &patch, failure),
                Verdict::NotAllowed(failure) => return self.not_allowed(known, course, &ground, failure),
                Verdict::Again(failure) => {
                    if let Err(error) = again(&self.api, retry, failure, verb(&ground)).await {
                        return Err(self.give_up(known, in_doubt, cost, error));
                    }
                    continue;
                }
                Verdict::Refused(failure) if needs_the_map(course, &ground, &failure) => {
                    course.whole = true;
                    return Ok(Next::Plan);
                }
                Verdict::Refused(failure) => {
                    return self.split(group, &failure).ok_or_else(|| self.refused(&ground, &patch, failure));
                }
                // With a revision the same again tells, and does no harm.
                Verdict::InDoubt(failure) if patch.base.is_some() => {
                    if retry.pause(Some(&failure)).await {
                        continue;
                    }
                    let error = self.api.error(failure, verb(&ground));
                    return Err(self.give_up(known, true, cost, error));
                }
                Verdict::InDoubt(failure) | Verdict::Traced(failure) => failure,
            };
            let since = patch.base.as_ref().or(course.overtaken.as_ref());
            let resolving = resolve(&self.api, &patch, since, retry);
            let resolved = self.while_wanted(group, resolving).await.unwrap_or(Resolved::Unknown);
            return match resolved {
                Resolved::Applied(version) => {
                    self.record(known, ground.base, &patch, cost, &version);
                    self.forget(known);
                    Ok(applied(group, &patch, version))
                }
                Resolved::NotApplied => {
                    group.was_not_written();
                    self.overtaken(known, course, &ground, retry).await.map(|()| Next::Plan)
                }
                Resolved::Unknown => {
                    let error = self.unknown(failure, verb(&ground));
                    Err(self.give_up(known, true, cost, error))
                }
            };
        }
    }

    async fn send(&self, at: Try, ground: &Ground, patch: &Patch) -> Result<Version, Failure> {
        match &ground.object {
            Some(object) => {
                let mut object = object.clone();
                patch.edit(&mut object);
                self.api.replace(at, &object).await
            }
            None => self.api.patch(at, &patch.to_strategic()).await,
        }
    }

    /// Somebody else wrote. Without a condition it doesn't matter what: the
    /// next try goes whatever the revision, so that nobody starves. Otherwise
    /// it is planned anew.
    async fn overtaken(
        &self,
        known: &mut Known,
        course: &mut Course,
        ground: &Ground,
        retry: &mut Retry,
    ) -> Result<()> {
        let stale = ground.base.version().cloned();
        self.forget(known);
        let blind = self.cache().is_none() && !course.whole && !course.fresh && known.without_patch.is_none();
        let first = course.overtaken.is_none();
        course.overtaken = stale.or(course.overtaken.take());
        if (blind && first) || retry.yield_to_others().await {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Conflict,
            self.api.subject(),
            "other writers were faster until the deadline; nothing was written",
        ))
    }

    /// The map doesn't exist: make it. What is there afterwards, ours or another
    /// writer's, is found out by planning again.
    async fn create(
        &self,
        known: &mut Known,
        course: &mut Course,
        group: &mut Group,
        patch: &Patch,
        retry: &mut Retry,
    ) -> Result<Next> {
        let creating = self.try_create(patch, retry);
        let Some(created) = self.while_wanted(group, creating).await else { return Ok(Next::Plan) };
        let failure = match created {
            Ok(version) => {
                self.learn(known, &Snapshot::new(version, Entries::default()));
                return Ok(Next::Plan);
            }
            Err(failure) => failure,
        };
        if let Failure::Refused(refusal) = &failure {
            // Quota and a terminating namespace refuse before they look whether it exists.
            let may_exist = refusal.already_exists() || (refusal.code == 403 && !refusal.not_authorized());
            if may_exist && self.read(known, retry).await?.version().is_some() {
                course.fresh = true;
                return Ok(Next::Plan);
            }
            if let Some(next) = self.split(group, &failure) {
                return Ok(next);
            }
        }
        again(&self.api, retry, failure, "create").await.map(|()| Next::Plan)
    }

    /// Asks first what the server would say to the whole: a value that it
    /// refuses must not leave an empty map behind. The map itself is made empty,
    /// so that making it twice does no harm.
    async fn try_create(&self, patch: &Patch, retry: &mut Retry) -> Result<Version, Failure> {
        let mut whole = self.api.bare_object();
        patch.edit(&mut whole);
        match self.api.rehearse(retry.next_try(), Write::Create, &whole).await {
            Err(Failure::Refused(refusal)) if refusal.no_dry_run() => {}
            rehearsed => rehearsed?,
        }
        self.api.create(retry.next_try()).await
    }

    fn record(&self, known: &mut Known, base: Base, patch: &Patch, cost: u64, version: &Version) {
        self.writes.fetch_add(1, Ordering::SeqCst);
        if base.version().is_none_or(|base| base.revision != version.revision) {
            BUDGET.get().spend(cost, Instant::now());
        }
        known.record(patch, version);
        if let (Some(cache), Base::Whole(map)) = (self.cache(), base) {
            cache.apply(|old| {
                // Without this reference the index is changed in place.
                drop(old);
                map.changed(version.clone(), |entries| patch.apply(entries))
            });
        }
    }

    /// Keys were found in the other of the two maps; remembered for the next
    /// plan. If that doesn't explain the refusal, the whole map will.
    fn other_side(
        &self,
        known: &mut Known,
        course: &mut Course,
        patch: &Patch,
        failure: Failure,
    ) -> Result<Next> {
        let Failure::Refused(refusal) = &failure else { return Err(self.api.error(failure, "patch")) };
        if course.whole {
            return Err(self.api.error(failure, "patch"));
        }
        // Twice is somebody who moves keys; more often is nothing that guessing helps against.
        course.turned += 1;
        course.whole = !known.turn(&refusal.keys_on_other_side(), patch) || course.turned > 3;
        Ok(Next::Plan)
    }

    /// The Role may grant update instead of patch, as the Go package's does.
    /// What was refused in an earlier call may be granted by now.
    fn not_allowed(
        &self,
        known: &mut Known,
        course: &mut Course,
        ground: &Ground,
        failure: Failure,
    ) -> Result<Next> {
        let by_update = ground.object.is_some();
        let refused = if by_update { known.without_patch.take().unwrap_or(failure) } else { failure };
        let both = if by_update { course.patch_refused } else { course.update_refused };
        if both {
            return Err(self.api.error(refused, "patch"));
        }
        if by_update {
            course.update_refused = true;
        } else {
            course.patch_refused = true;
            known.without_patch = Some(refused);
        }
        Ok(Next::Plan)
    }

    /// A refusal that may be due to one member only: half of them go alone, so
    /// that it is found in a few steps.
    fn split(&self, group: &mut Group, failure: &Failure) -> Option<Next> {
        let Failure::Refused(refusal) = failure else { return None };
        (group.len() > 1 && refusal.minds_the_content()).then(|| Next::Split(group.second_half()))
    }

    /// A refusal for good. One of the size gets its numbers, where the map is known.
    fn refused(&self, ground: &Ground, patch: &Patch, failure: Failure) -> Error {
        if let (Failure::Refused(refusal), Base::Whole(map)) = (&failure, &ground.base)
            && refusal.too_large()
            && let Some(version) = map.version()
        {
            let after = map.clone().changed(version.clone(), |entries| patch.apply(entries)).totals();
            return refusal.too_large_error(&self.api.subject(), after.values, after.object);
        }
        self.api.error(failure, verb(ground))
    }

    /// The group ends without an answer.
    fn give_up(&self, known: &mut Known, in_doubt: bool, cost: u64, error: Error) -> Error {
        if in_doubt {
            self.leave_in_doubt(known, cost);
        }
        error
    }

    fn leave_in_doubt(&self, known: &mut Known, cost: u64) {
        BUDGET.get().spend(cost, Instant::now());
        self.forget(known);
    }

    fn unknown(&self, failure: Failure, verb: &str) -> Error {
        let later = self.api.error(failure, verb);
        Error::new(
            ErrorKind::OutcomeUnknown,
            self.api.subject(),
            format!(
                "the write got no answer, and what the server tells of the map since doesn't show whether it \
                 was applied ({later}); refresh and read before writing again"
            ),
        )
    }

    /// Waits, or refuses, if this process has had too much stored lately. The
    /// members come back: they have to wait in the queue, where others join them.
    async fn pace(&self, group: &mut Group, cost: u64) -> Option<Vec<Request>> {
        let now = Instant::now();
        let cost = cost.min(MAX_OBJECT_BYTES);
        let until = match BUDGET.get().ask(cost, group.budget()?, now) {
            Leave::Now => {
                group.let_go();
                return None;
            }
            Leave::At(until) => until,
        };
        let used = BUDGET.get().used(now);
        group.refuse_before(until, |limit| overloaded(&self.api.subject(), used, limit, until - now));
        if !group.is_empty() {
            group.hold_back();
            tokio::select! {
                () = tokio::time::sleep_until((now + SLOWED).min(until).into()) => {}
                () = self.queue.all_gone(group.requests()) => {}
            }
        }
        Some(group.take_all())
    }
}

impl Driven for Writer {
    async fn drive(&self) {
        let mut known = self.known.lock().await;
        if self.lost_track.swap(false, Ordering::SeqCst) {
            self.forget(&mut known);
        }
        while let Some(requests) = self.queue.next() {
            self.commit(&mut known, Group::new(requests)).await;
        }
    }

    /// What is known of the map may be half of something.
    fn lose_track(&self) {
        self.lost_track.store(true, Ordering::SeqCst);
    }

    fn abandon(&self) {
        self.lose_track();
        self.queue.abandon();
    }
}

/// A group, planned.
struct Planned {
    ground: Ground,
    patch: Patch,
    /// Bytes that it has stored.
    cost: u64,
}

/// The API server writes nothing if nothing changes: then the revision is the base's.
fn applied(group: &mut Group, patch: &Patch, version: Version) -> Next {
    let moved = patch.base.as_ref().is_none_or(|base| base.revision != version.revision);
    group.succeed(|changed| Written {
        revision: Some(version.revision.clone()),
        changed: changed.unwrap_or(moved),
    });
    Next::Plan
}

/// Whether the refusal depends on what else is in the map, of which only the
/// revision is known: its sizes, or whether the write would change anything.
fn needs_the_map(course: &Course, ground: &Ground, failure: &Failure) -> bool {
    let Failure::Refused(refusal) = failure else { return false };
    !course.whole && ground.base.whole().is_none() && (refusal.too_large() || refusal.immutable())
}

fn verb(ground: &Ground) -> &'static str {
    if ground.object.is_some() { "update" } else { "patch" }
}

fn overloaded(subject: &str, used: u64, limit: u64, wait: Duration) -> Error {
    Error::new(
        ErrorKind::Overloaded,
        subject,
        format!(
            "this process has had {used} bytes stored in the last five minutes, and its write budget allows {limit} \
             in five minutes; the next write can go in {} s. Nothing was written: write less often, keep large maps for what \
             changes rarely, or raise the budget",
            wait.as_secs() + 1
        ),
    )
}

/// 96 random bits: no two writes of any process share one.
fn stamp() -> String {
    process::random::<12>().iter().map(|byte| format!("{byte:02x}")).collect()
}
