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
//! An error in any stage ends the group.

use serde_json::Value as Json;

use super::base::{Base, Choice, Known, Need, Situation, choose};
use super::desk::Desk;
use super::group::Group;
use super::patch::Patch;
use super::plan::plan;
use crate::error::{Error, ErrorKind, Result};
use crate::host::process;
use crate::model::{Entries, Snapshot, Version};
use crate::read::cache::CacheCell;
use crate::server::api::{Object, Write};
use crate::server::failure::Failure;
use crate::server::retry::{Callers, Retry, again, ask};

/// How often a group is looked at anew without a pause. A group that needs more rounds goes against
/// another writer, or against a server that contradicts itself.
const FREE_ROUNDS: u32 = 4;

pub(super) struct Attempt<'a> {
    pub(super) desk: &'a Desk,
    pub(super) known: &'a mut Known,
    pub(super) group: Group,
    pub(super) retry: Retry,
    pub(super) need: Need,
    /// What the group is planned on was read after every member was called.
    pub(super) fresh: bool,
    /// Set once other writers were faster: the version of the map that was known before them.
    pub(super) overtaken: Option<Option<Version>>,
    /// The map that a member has read was planned on already.
    pub(super) seen_tried: bool,
    /// The whole object as it was read, where patch is refused.
    pub(super) object: Option<Json>,
    pub(super) patch_refused: bool,
    pub(super) update_refused: bool,
    pub(super) turned: u32,
    pub(super) rounds: u32,
    /// A pause was made since the last look.
    pub(super) rested: bool,
}

pub(super) enum Stage {
    Look,
    Plan,
    Create(Patch),
    Send(Sending),
    Trace(Sending, Failure),
    Done,
}

/// A patch on its way.
pub(super) struct Sending {
    pub(super) patch: Patch,
    /// How many bytes the patch has the server store.
    pub(super) cost: u64,
    /// An earlier try of this patch was ambiguous.
    pub(super) in_doubt: bool,
}

impl<'a> Attempt<'a> {
    pub fn new(desk: &'a Desk, known: &'a mut Known, group: Group) -> Self {
        let retry = Retry::of_many(group.deadline(), group.shortest());
        let need = if group.has_refresh() { Need::Fresh } else { Need::Little };
        Attempt {
            desk,
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
        let cache = self.desk.cache();
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
        self.group.seen(self.desk.writes())
    }

    /// Reads the map, also into the cache.
    pub(super) async fn read(&mut self) -> Result<()> {
        let api = &self.desk.api;
        let reading = ask(api, &mut self.retry, &self.group, "get", |at| api.read(at));
        let Some(map) = while_wanted(self.desk, &self.group, reading).await else { return Ok(()) };
        self.desk.learn(self.known, map?);
        Ok(())
    }

    async fn read_object(&mut self) -> Result<()> {
        let api = &self.desk.api;
        let reading = ask(api, &mut self.retry, &self.group, "get", |at| api.read_object(at));
        let Some(object) = while_wanted(self.desk, &self.group, reading).await else { return Ok(()) };
        let (map, object) = match object? {
            Some(Object { json, snapshot }) => (snapshot, Some(json)),
            None => (Snapshot::missing(), None),
        };
        self.object = object;
        self.desk.learn(self.known, map);
        Ok(())
    }

    async fn plan(&mut self) -> Result<Stage> {
        // There is no base if nobody waited for the end of the read.
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
        self.desk.queue.put_back(deferred);
        let Some(patch) = plan.patch else { return Ok(Stage::Look) };
        let weight = self.group.weight();
        let cost = plan.totals.map_or_else(|| self.known.cost(weight), |totals| totals.object);
        if let Some(later) = self.desk.pace(&mut self.group, cost).await {
            self.desk.queue.put_back(later);
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
        let creating = try_create(self.desk, &mut self.retry, patch);
        let Some(created) = while_wanted(self.desk, &self.group, creating).await else {
            return Ok(Stage::Look);
        };
        let failure = match created {
            Ok(version) => {
                self.desk.learn(self.known, Snapshot::new(version, Entries::default()));
                self.need = Need::Little;
                return Ok(Stage::Look);
            }
            Err(failure) => failure,
        };
        if let Failure::Refused(refusal) = &failure {
            // Quota and a terminating namespace refuse before the server looks whether the map
            // exists.
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
            // Of a map that isn't there nobody is faster: it is a quota, on which others count at the same moment.
            if refusal.is_conflict() && self.retry.yield_to_others().await {
                self.rested = true;
                return Ok(Stage::Look);
            }
        }
        again(&self.desk.api, &mut self.retry, &self.group, failure, "create").await?;
        self.rested = true;
        Ok(Stage::Look)
    }

    pub(super) fn verb(&self) -> &'static str {
        if self.object.is_some() { "update" } else { "patch" }
    }

    pub(super) fn error(&self, failure: Failure) -> Error {
        self.desk.api.error(failure, self.verb())
    }

    pub(super) fn learn_that_others_were_faster(&self) {
        self.group.learn(&faster(self.desk.api.subject()));
    }

    /// The error of a group whose time is over. Its members are told why: what they have learnt
    /// before.
    pub(super) fn out_of_time(&self) -> Error {
        Error::new(ErrorKind::Deadline, self.desk.api.subject(), "no time is left for another try")
    }
}

/// Does `work` as long as one of the callers waits; `None` if none waits any more.
pub(super) async fn while_wanted<T>(desk: &Desk, group: &Group, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        done = work => Some(done),
        () = desk.queue.all_gone(group.requests()) => None,
    }
}

/// Asks first what the server would say to the whole map: a value that the server refuses must not
/// leave an empty map behind. The map itself is made empty, so that making it twice does no harm.
async fn try_create(desk: &Desk, retry: &mut Retry, patch: &Patch) -> Result<Version, Failure> {
    let api = &desk.api;
    let mut whole = api.bare_object();
    patch.edit(&mut whole);
    match api.rehearse(retry.next_try(), Write::Create, &whole).await {
        Err(Failure::Refused(refusal)) if refusal.no_dry_run() => {}
        rehearsed => rehearsed?,
    }
    api.create(retry.next_try()).await
}

/// The error of a write that lost to other writers until its deadline.
pub(crate) fn faster(subject: String) -> Error {
    Error::new(ErrorKind::Conflict, subject, "other writers were faster")
}

/// 96 random bits: no two writes of any process share one.
fn stamp() -> String {
    process::random::<12>().iter().map(|byte| format!("{byte:02x}")).collect()
}
