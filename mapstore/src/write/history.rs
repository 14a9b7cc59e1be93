//! Finds out what became of a write that got no answer, from what the map has
//! been since the revision before it. Two ways to read history:
//!
//! | way                            | needs   | reaches back                              | costs                 |
//! |--------------------------------|---------|-------------------------------------------|-----------------------|
//! | a watch from a revision        | `watch` | as far as this API server's memory, which | one request           |
//! |                                |         | is empty after a restart                  |                       |
//! | lists at exact revisions       | `list`  | to etcd's last compaction: five minutes   | one a bisecting step  |
//! |                                |         | and more, over restarts and deletions     |                       |
//!
//! Without both, a look at the map may show the write; that it doesn't show it
//! proves nothing. What a state says is [`super::outcome`]'s.

use std::time::{Duration, Instant};

use super::outcome::{Reading, read_history};
use super::patch::Patch;
use crate::host::deadline::Try;
use crate::model::{Snapshot, Version};
use crate::server::api::Api;
use crate::server::failure::{Class, Failure};
use crate::server::retry::Retry;
use crate::server::wire::{Listed, State};

/// How long to wait for a write that the server may still work on.
const LISTEN: Duration = Duration::from_secs(2);

/// A watch that ends without an event is made anew, not too fast.
const ONCE_MORE: Duration = Duration::from_millis(20);

/// How many versions to walk back over. A map that has changed more often since
/// is written so fast that the next write finds out more cheaply.
const MOST_VERSIONS: usize = 100;

/// What became of the write.
#[derive(Debug)]
pub(crate) enum Resolved {
    /// The write made this version.
    Applied(Version),
    /// The map is as wanted, whoever made it so: this is all of it.
    AsWanted(Snapshot),
    /// The write was applied, and it can't be told at which revision.
    Sometime,
    /// The write is not applied, and won't be any more.
    NotApplied,
    Unknown,
}

/// One write in doubt.
pub(crate) struct Doubt<'a> {
    pub api: &'a Api,
    pub patch: &'a Patch,
    /// The map's version before the write, as far as it is known.
    pub since: Option<&'a Version>,
    pub retry: &'a mut Retry,
}

/// What a way to read history came to.
enum Told {
    This(Resolved),
    /// History from here on can be had in this way; nothing has happened yet.
    Nothing,
    /// This way doesn't reach back, or isn't granted.
    NotThisWay,
}

impl Doubt<'_> {
    pub async fn resolve(mut self) -> Resolved {
        if let Some(since) = self.since.map(|version| version.revision.number()) {
            let told = match self.listen(since, self.patience()).await {
                Told::NotThisWay => self.search(since).await,
                told => told,
            };
            if let Told::This(resolved) = told {
                return resolved;
            }
        }
        self.look().await
    }

    fn patience(&self) -> Instant {
        Instant::now() + LISTEN.min(self.retry.left() / 2)
    }

    /// Reads history by a watch from `since` on.
    async fn listen(&mut self, since: Option<u64>, until: Instant) -> Told {
        let Some(since) = since else { return Told::NotThisWay };
        let mut empty = 0;
        loop {
            let at = Try { until, deadline: until };
            let whole = self.patch.stamp.is_none();
            let patch = self.patch;
            let seen = self.api.trace(at, since, whole, |state| match read_history(patch, &state) {
                Reading::GoOn => None,
                reading => Some((reading, state)),
            });
            match seen.await {
                Ok(Some((reading, state))) => return Told::This(self.conclude(reading, state).await),
                Ok(None) if Instant::now() >= until => return Told::Nothing,
                // Some front ends end a watch that is too old at once and say nothing (kubernetes#137089).
                Ok(None) => {
                    empty += 1;
                    if empty == 3 && self.patch.base.is_some() {
                        return Told::NotThisWay;
                    }
                    tokio::time::sleep(ONCE_MORE).await;
                }
                Err(failure) if failure.class() == Class::Final => return Told::NotThisWay,
                Err(failure) => {
                    if Instant::now() >= until || !self.retry.pause(&failure).await {
                        return Told::NotThisWay;
                    }
                }
            }
        }
    }

    /// Reads history by lists at exact revisions.
    async fn search(&mut self, since: Option<u64>) -> Told {
        let Some(since) = since else { return Told::NotThisWay };
        let Some(now) = self.list(None, false).await else { return Told::NotThisWay };
        let Some(newest) = now.revision.number() else { return Told::NotThisWay };
        let found = match self.patch.base {
            Some(_) => self.first_since(since, now).await,
            None => self.walk_back(since, now).await,
        };
        match found {
            // The write may still come.
            Told::Nothing => self.listen(Some(newest), self.patience()).await,
            told => told,
        }
    }

    /// Bisects for the first state after `since`, which decides.
    async fn first_since(&mut self, since: u64, now: Listed) -> Told {
        let Some(mut high) = now.revision.number() else { return Told::NotThisWay };
        let mut at_high = now.state;
        if let Some(number) = number(&at_high) {
            if number == since {
                return Told::Nothing;
            }
            high = number;
        }
        // Up to `low` the state is the base's, or, if `hidden`, it could not be asked for any more.
        let (mut low, mut hidden) = (since, false);
        let mut probe = high.saturating_sub(1);
        while high.saturating_sub(low) > 1 {
            let Some(listed) = self.list_at(probe).await else { return Told::NotThisWay };
            match listed {
                // Compacted: what was there before can't be told from here on.
                None => (low, hidden) = (probe, true),
                Some(state) => match number(&state) {
                    Some(same) if same == since => (low, hidden) = (probe, false),
                    // It isn't of that revision: what answers doesn't know of exact ones.
                    Some(number) if number > probe => return Told::NotThisWay,
                    Some(number) => (high, at_high) = (number, state),
                    None => (high, at_high) = (probe, None),
                },
            }
            probe = low + (high - low) / 2;
        }
        if hidden {
            return Told::NotThisWay;
        }
        match at_high {
            Some(state) => self.decide_by(high, state).await,
            None => Told::This(Resolved::NotApplied),
        }
    }

    /// What the first state, of this revision, says. Without a stamp all of the map has to be seen for that.
    async fn decide_by(&mut self, revision: u64, mut state: State) -> Told {
        if self.patch.stamp.is_none() {
            let whole = self.list(Some(revision), true).await.and_then(|listed| listed.state);
            let Some(whole) = whole else { return Told::NotThisWay };
            state = whole;
        }
        let reading = read_history(self.patch, &state);
        Told::This(self.conclude(reading, state).await)
    }

    /// Walks back version by version, from the newest one to `since`, to the oldest one that has
    /// our stamp.
    async fn walk_back(&mut self, since: u64, now: Listed) -> Told {
        let mut found = None;
        let mut state = now.state;
        for _ in 0..MOST_VERSIONS {
            let Some(this) = state else { return first(found) };
            let Some(number) = this.look.version.revision.number() else { return Told::NotThisWay };
            match read_history(self.patch, &this) {
                Reading::Ours => found = Some(this.look.version),
                _ if found.is_some() => return first(found),
                _ => {}
            }
            if number.saturating_sub(since) <= 1 {
                return first(found);
            }
            let before = self.list_at(number - 1).await.flatten();
            let Some(before) = before.filter(|before| self::number(before) < Some(number)) else {
                return further_back(found);
            };
            state = before;
        }
        if found.is_some() { further_back(found) } else { Told::Nothing }
    }

    async fn conclude(&mut self, reading: Reading, state: State) -> Resolved {
        match reading {
            Reading::Ours => Resolved::Applied(state.look.version),
            Reading::NotApplied => Resolved::NotApplied,
            Reading::GoOn => Resolved::Unknown,
            Reading::LooksLikeIt if self.made_more_of_it(&state).await => Resolved::NotApplied,
            Reading::LooksLikeIt => match self.ask(|api, at| api.look(at)).await {
                Some(Some(now)) if now.version == state.look.version => Resolved::AsWanted(state.map),
                _ => Resolved::Unknown,
            },
        }
    }

    /// Whether the state isn't exactly what this write would have made of its base: then another one made it.
    async fn made_more_of_it(&mut self, state: &State) -> bool {
        let Some(since) = self.since.and_then(|version| version.revision.number()) else { return false };
        let Some(base) = self.list(Some(since), true).await.and_then(|listed| listed.state) else {
            return false;
        };
        let patch = self.patch;
        let wanted = base.map.changed(state.look.version.clone(), |entries| patch.apply(entries));
        !wanted.entries().eq(state.map.entries())
    }

    /// Looks at the map as it is now. That it doesn't show the write proves
    /// nothing: another one may have come over it, or it may still be on its way.
    async fn look(&mut self) -> Resolved {
        if self.patch.stamp.is_some() {
            return match self.ask(|api, at| api.look(at)).await {
                Some(Some(look)) if look.stamp == self.patch.stamp => Resolved::Sometime,
                _ => Resolved::Unknown,
            };
        }
        match self.ask(|api, at| api.read(at)).await {
            Some(map) if map.version().is_some() && self.patch.shows_in(&map) => Resolved::AsWanted(map),
            _ => Resolved::Unknown,
        }
    }

    /// The state at exactly this revision. `Some(None)`: nobody knows it any more. `None`: no answer.
    async fn list_at(&mut self, revision: u64) -> Option<Option<Option<State>>> {
        let api = self.api;
        loop {
            match api.list(self.retry.next_try(), Some(revision), false).await {
                Ok(listed) => return Some(Some(listed.state)),
                Err(Failure::Refused(refusal)) if refusal.code == 410 => return Some(None),
                Err(failure) => self.retry.again(failure, api.connection().can_renew()).await.ok()?,
            }
        }
    }

    async fn list(&mut self, revision: Option<u64>, whole: bool) -> Option<Listed> {
        self.ask(|api, at| api.list(at, revision, whole)).await
    }

    /// A request that changes nothing, until it has an answer or can't have one.
    async fn ask<'a, T, F>(&'a mut self, request: impl Fn(&'a Api, Try) -> F) -> Option<T>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let api = self.api;
        loop {
            match request(api, self.retry.next_try()).await {
                Ok(answer) => return Some(answer),
                Err(failure) => self.retry.again(failure, api.connection().can_renew()).await.ok()?,
            }
        }
    }
}

/// The oldest version that has the stamp, with one before it that hasn't.
fn first(found: Option<Version>) -> Told {
    found.map_or(Told::Nothing, |version| Told::This(Resolved::Applied(version)))
}

/// The versions before can't be had: which of them was the first with the stamp isn't known.
fn further_back(found: Option<Version>) -> Told {
    if found.is_some() { Told::This(Resolved::Sometime) } else { Told::NotThisWay }
}

fn number(state: &Option<State>) -> Option<u64> {
    state.as_ref()?.look.version.revision.number()
}
