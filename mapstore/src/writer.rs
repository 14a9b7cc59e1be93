//! Writes, one at a time: plans one against what is known of the map, sends
//! it with that revision as its precondition, and goes on from what the
//! outcome says. Also the only one who changes the cache, so that its states
//! follow each other as the server's did.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;
use tokio::sync::Mutex;

use crate::api::{Api, Object, Write};
use crate::batch::{Base, Op, Patch, Plan, Written, plan, sizes_after};
use crate::cache::{CacheCell, Side, Snapshot, Version};
use crate::error::{Error, ErrorKind, Result};
use crate::limits::{Stage, Try};
use crate::outcome::{Verdict, judge};
use crate::process;
use crate::retry::{Retry, again, ask};
use crate::status::Failure;

pub(crate) struct Writer {
    api: Arc<Api>,
    /// Of a store that reads from memory.
    cache: Option<Arc<CacheCell>>,
    text_values: bool,
    state: Mutex<State>,
}

/// What the writer knows of the map, besides the cache.
#[derive(Default)]
struct State {
    /// Without a cache: the version last seen.
    last: Option<Version>,
    /// Keys that were found on another side than new ones go to, at `last`.
    sides: BTreeMap<String, Side>,
    /// A write was sent and its outcome was not learnt: the cache may be behind.
    in_doubt: bool,
    /// Set where patch is refused: whole objects are read and written back.
    without_patch: Option<Failure>,
}

impl State {
    /// The version isn't the map's any more, or nobody knows: look before the next write.
    fn forget(&mut self) {
        self.last = None;
        self.sides.clear();
    }
}

/// What one write has learnt on its way.
#[derive(Default)]
struct Course {
    /// A revision wasn't enough to plan on: read the map.
    whole: bool,
    patch_refused: bool,
    update_refused: bool,
}

/// What one write is planned on.
struct Ground {
    base: Base,
    /// The object to edit, where patch is refused.
    object: Option<Json>,
}

impl Writer {
    pub fn new(api: Arc<Api>, cache: Option<Arc<CacheCell>>, text_values: bool) -> Self {
        Writer { api, cache, text_values, state: Mutex::default() }
    }

    /// Makes `op` true of the map, whoever else writes.
    pub async fn write(&self, op: &Op, retry: &mut Retry) -> Result<Written> {
        let mut state = self.state.lock().await;
        if retry.is_over() {
            // Its turn came too late: sent now, it might be applied after the caller was told.
            return Err(retry.limits().overdue(None));
        }
        let stamp = stamp();
        let mut course = Course::default();
        loop {
            let ground = self.ground(&mut state, &course, retry).await?;
            let assumed = self.assumed_side(&state, op);
            match plan(op, &ground.base, assumed, self.text_values, &stamp)? {
                Plan::Nothing(version) => return Ok(Written::unchanged(version)),
                Plan::Create => self.create(&mut state, op, retry).await?,
                Plan::Patch(patch) => {
                    let applied = self.deliver(&mut state, &mut course, &ground, &patch, retry).await?;
                    if let Some(version) = applied {
                        self.record(&mut state, ground.base, &patch, &version);
                        return Ok(Written::at(version, &patch.base));
                    }
                }
            }
        }
    }

    /// Reads the map into the cache.
    pub async fn refresh(&self, retry: &mut Retry) -> Result<()> {
        let mut state = self.state.lock().await;
        self.reload(&mut state, retry).await
    }

    async fn ground(&self, state: &mut State, course: &Course, retry: &mut Retry) -> Result<Ground> {
        if state.without_patch.is_some() {
            let object = ask(&self.api, retry, "get", |at| self.api.read_object(at)).await?;
            let (base, object) = match object {
                Some(Object { json, snapshot }) => (snapshot, Some(json)),
                None => (Snapshot::missing(), None),
            };
            self.know(state, base.clone());
            return Ok(Ground { base: Base::Whole(base), object });
        }
        if course.whole && self.cache.is_none() {
            let snapshot = ask(&self.api, retry, "get", |at| self.api.read(at)).await?;
            return Ok(Ground { base: Base::Whole(snapshot), object: None });
        }
        if state.in_doubt && self.cache.is_some() {
            self.reload(state, retry).await?;
        }
        let base = match (&self.cache, &state.last) {
            (Some(cache), _) => Base::Whole(cache.load()),
            (None, Some(version)) => Base::Version(version.clone()),
            (None, None) => {
                state.last = ask(&self.api, retry, "get", |at| self.api.look(at)).await?;
                state.last.clone().map_or(Base::Missing, Base::Version)
            }
        };
        Ok(Ground { base, object: None })
    }

    /// Sends a patch until its outcome is known. `None`: it was not applied and
    /// has to be planned anew.
    async fn deliver(
        &self,
        state: &mut State,
        course: &mut Course,
        ground: &Ground,
        patch: &Patch,
        retry: &mut Retry,
    ) -> Result<Option<Version>> {
        let progress = retry.limits().progress.clone();
        let mut in_doubt = false;
        loop {
            let at = retry.next_try();
            if !progress.begin() {
                return Err(retry.limits().overdue(None));
            }
            // Before the request, and for whoever comes next if this call ends in the middle of it.
            state.in_doubt = true;
            let verdict = judge(self.send(at, ground, patch).await, in_doubt);
            in_doubt |= matches!(verdict, Verdict::InDoubt(_));
            // What is applied stays in flight until the caller has the answer: it may be going just now.
            if !in_doubt && !matches!(verdict, Verdict::Applied(_)) {
                progress.set(Stage::NotWritten);
                state.in_doubt = false;
            }
            match verdict {
                Verdict::Applied(version) => {
                    state.in_doubt = false;
                    return Ok(Some(version));
                }
                Verdict::Stale => {
                    self.rebase(state, retry).await?;
                    return Ok(None);
                }
                Verdict::Missing => {
                    state.forget();
                    self.know(state, Snapshot::missing());
                    return Ok(None);
                }
                Verdict::OtherSide(failure) => {
                    return self.other_side(state, ground, patch, failure).map(|()| None);
                }
                Verdict::NotAllowed(failure) => {
                    return self.not_allowed(state, course, ground, failure).map(|()| None);
                }
                Verdict::Again(failure) => again(&self.api, retry, failure, verb(ground)).await?,
                Verdict::InDoubt(failure) => {
                    if !retry.pause(Some(&failure)).await {
                        state.forget();
                        return Err(retry.limits().overdue(Some(&self.api.error(failure, verb(ground)))));
                    }
                }
                Verdict::Refused(failure) if !course.whole && needs_the_map(ground, &failure) => {
                    course.whole = true;
                    return Ok(None);
                }
                Verdict::Refused(failure) => return Err(self.refused(ground, patch, failure, retry)),
                Verdict::Unknown(failure) => {
                    state.forget();
                    return Err(self.unknown(failure, verb(ground)));
                }
            }
        }
    }

    async fn send(&self, at: Try, ground: &Ground, patch: &Patch) -> Result<Version, Failure> {
        match &ground.object {
            Some(object) => {
                let mut object = object.clone();
                patch.edit(&mut object);
                self.api.replace(at, &object).await
            }
            None => {
                let whole = matches!(ground.base, Base::Whole(_));
                self.api.patch(at, &patch.to_strategic(whole)).await
            }
        }
    }

    /// Somebody else wrote: what was known is out of date.
    async fn rebase(&self, state: &mut State, retry: &mut Retry) -> Result<()> {
        state.forget();
        if !retry.pause(None).await {
            return Err(Error::new(
                ErrorKind::Conflict,
                self.api.subject(),
                format!("other writers were faster for {:?}; nothing was written", retry.limits().timeout),
            ));
        }
        if self.cache.is_some() && state.without_patch.is_none() {
            self.reload(state, retry).await?;
        }
        Ok(())
    }

    async fn reload(&self, state: &mut State, retry: &mut Retry) -> Result<()> {
        let snapshot = ask(&self.api, retry, "get", |at| self.api.read(at)).await?;
        self.know(state, snapshot);
        Ok(())
    }

    /// What the map is just now: a cache is no longer behind.
    fn know(&self, state: &mut State, snapshot: Snapshot) {
        state.in_doubt = false;
        if let Some(cache) = &self.cache {
            cache.apply(|_| snapshot);
        }
    }

    /// The map doesn't exist: make it. What is there afterwards, ours or another
    /// writer's, is found out by planning again.
    async fn create(&self, state: &mut State, op: &Op, retry: &mut Retry) -> Result<()> {
        let failure = match self.try_create(op, retry).await {
            Ok(version) => {
                self.know(state, Snapshot::new(version.clone(), BTreeMap::new()));
                state.last = Some(version);
                return Ok(());
            }
            Err(failure) => failure,
        };
        if let Failure::Refused(refusal) = &failure {
            // Quota and a terminating namespace refuse before they look whether it exists.
            let may_exist = refusal.already_exists() || (refusal.code == 403 && !refusal.not_authorized());
            if may_exist && ask(&self.api, retry, "get", |at| self.api.look(at)).await?.is_some() {
                return self.rebase(state, retry).await;
            }
        }
        again(&self.api, retry, failure, "create").await
    }

    /// Asks first what the server would say to the whole: a value that it
    /// refuses must not leave an empty map behind. The map itself is made empty,
    /// so that making it twice does no harm.
    async fn try_create(&self, op: &Op, retry: &mut Retry) -> Result<Version, Failure> {
        let whole = op.made_of(self.api.bare_object(), self.text_values);
        match self.api.rehearse(retry.next_try(), Write::Create, &whole).await {
            Err(Failure::Refused(refusal)) if refusal.no_dry_run() => {}
            rehearsed => rehearsed?,
        }
        self.api.create(retry.next_try()).await
    }

    fn record(&self, state: &mut State, base: Base, patch: &Patch, version: &Version) {
        match patch.op() {
            Op::Set { key, .. } if patch.assumes_side() => {
                let usual = patch.op().new_side(self.text_values);
                if patch.side() == usual {
                    state.sides.remove(key.as_str());
                } else {
                    state.sides.insert(key.as_str().to_owned(), patch.side());
                }
            }
            Op::Set { key, .. } | Op::Delete { key } => {
                state.sides.remove(key.as_str());
            }
            Op::Truncate => state.sides.clear(),
        }
        state.last = Some(version.clone());
        if let (Some(cache), Base::Whole(base)) = (&self.cache, base) {
            cache.apply(|old| {
                // Without this reference the index is changed in place.
                drop(old);
                base.changed(version.clone(), |entries| patch.op().apply(patch.side(), entries))
            });
        }
    }

    fn assumed_side(&self, state: &State, op: &Op) -> Side {
        let known = op.key().and_then(|key| state.sides.get(key.as_str()));
        known.copied().unwrap_or_else(|| op.new_side(self.text_values))
    }

    /// The key was found in the other of the two maps; remembered for the next
    /// plan. Twice at one revision can't be.
    fn other_side(&self, state: &mut State, ground: &Ground, patch: &Patch, failure: Failure) -> Result<()> {
        let Some(key) = patch
            .op()
            .key()
            .filter(|key| matches!(ground.base, Base::Version(_)) && !state.sides.contains_key(key.as_str()))
        else {
            return Err(self.api.error(failure, verb(ground)));
        };
        let side = if patch.side() == Side::Text { Side::Binary } else { Side::Text };
        state.sides.insert(key.as_str().to_owned(), side);
        Ok(())
    }

    /// The Role may grant update instead of patch, as the Go package's does.
    /// What was refused in an earlier call may be granted by now.
    fn not_allowed(
        &self,
        state: &mut State,
        course: &mut Course,
        ground: &Ground,
        failure: Failure,
    ) -> Result<()> {
        let by_update = ground.object.is_some();
        let refused = if by_update { state.without_patch.take().unwrap_or(failure) } else { failure };
        let both = if by_update { course.patch_refused } else { course.update_refused };
        if both {
            return Err(self.api.error(refused, "patch"));
        }
        if by_update {
            course.update_refused = true;
        } else {
            course.patch_refused = true;
            state.without_patch = Some(refused);
        }
        Ok(())
    }

    /// A refusal for good. One of the size gets its numbers, where the map is known.
    fn refused(&self, ground: &Ground, patch: &Patch, failure: Failure, retry: &Retry) -> Error {
        if let (Failure::Refused(refusal), Base::Whole(base)) = (&failure, &ground.base)
            && refusal.too_large()
        {
            let (values, object) = sizes_after(patch.op(), base);
            return refusal.too_large_error(&self.api.subject(), values, object);
        }
        match self.api.error(failure, verb(ground)) {
            // Of a credential plugin, say: nothing was sent.
            late if late.kind() == ErrorKind::Deadline => retry.limits().overdue(Some(&late)),
            error => error,
        }
    }

    fn unknown(&self, failure: Failure, verb: &str) -> Error {
        let later = self.api.error(failure, verb);
        Error::new(
            ErrorKind::OutcomeUnknown,
            self.api.subject(),
            format!(
                "the write got no answer, and asking again can't tell whether it was applied ({later}); \
                 refresh and read before writing again"
            ),
        )
    }
}

/// Whether the refusal depends on what else is in the map, of which only the
/// revision is known: its sizes, or whether the write would change anything.
fn needs_the_map(ground: &Ground, failure: &Failure) -> bool {
    let Failure::Refused(refusal) = failure else { return false };
    matches!(ground.base, Base::Version(_)) && (refusal.too_large() || refusal.immutable())
}

fn verb(ground: &Ground) -> &'static str {
    if ground.object.is_some() { "update" } else { "patch" }
}

/// 96 random bits: no two writes of any process share one.
fn stamp() -> String {
    process::random::<12>().iter().map(|byte| format!("{byte:02x}")).collect()
}
