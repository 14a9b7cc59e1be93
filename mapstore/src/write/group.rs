//! The calls that travel together, and their answers.

use std::time::{Duration, Instant};

use super::base::Base;
use super::draft::Member;
use super::plan::Part;
use super::queue::{Done, Job, Request};
use crate::error::Error;
use crate::host::deadline::{Limits, Stage};
use crate::model::Snapshot;
use crate::model::Written;
use crate::server::retry::Callers;

/// What a write that had to wait needs to be sent and answered; a call with a short timeout has to do with less.
const ENOUGH: Duration = Duration::from_secs(1);

/// Calls that travel together, in the order in which they came.
pub(crate) struct Group {
    requests: Vec<Request>,
    /// Whether each changes anything, as far as the plan can tell.
    changed: Vec<Option<bool>>,
}

impl Group {
    pub fn new(requests: Vec<Request>) -> Self {
        Group { requests, changed: Vec::new() }
    }

    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    pub fn len(&self) -> usize {
        self.requests.len()
    }

    pub fn requests(&self) -> &[Request] {
        &self.requests
    }

    /// The latest of the members' deadlines: a member with an earlier one stops waiting by itself.
    pub fn deadline(&self) -> Instant {
        self.requests.iter().map(|request| request.limits.deadline).max().unwrap_or_else(Instant::now)
    }

    /// The earliest of the members' deadlines.
    pub fn shortest(&self) -> Instant {
        self.requests.iter().map(|request| request.limits.deadline).min().unwrap_or_else(Instant::now)
    }

    /// Bytes of the values to be stored.
    pub fn weight(&self) -> u64 {
        self.requests.iter().map(Request::weight).sum()
    }

    /// What the most generous of the writing members allows to have stored.
    pub fn budget(&self) -> Option<u64> {
        let writes = self.requests.iter().filter(|request| request.batch().is_some());
        writes.map(|request| request.budget).max()
    }

    pub fn has_refresh(&self) -> bool {
        self.requests.iter().any(|request| request.batch().is_none())
    }

    /// A map that a member has read when `writes` groups had been written: none was since.
    pub fn seen(&self, writes: u64) -> Option<Snapshot> {
        self.requests.iter().find_map(|request| match &request.job {
            Job::Write { seen: Some(seen), .. } if seen.writes == writes => Some(seen.map.clone()),
            _ => None,
        })
    }

    /// Answers the members whose turn came too late: sent now, they might be applied after their
    /// callers were told that the call is over.
    pub fn dismiss_those_too_late(&mut self) {
        for late in self.requests.extract_if(.., |request| request.is_over()) {
            let error = late.limits.verdict(&late.closing);
            late.answer(Err(error));
        }
    }

    pub fn members(&self) -> Vec<Member<'_>> {
        self.requests.iter().filter_map(member).collect()
    }

    /// Answers the members that wanted the map to be read: it was read just now.
    pub fn answer_refreshes(&mut self) {
        for refresh in self.requests.extract_if(.., |request| request.batch().is_none()) {
            refresh.answer(Ok(Done::Written(Written::unchanged(None))));
        }
    }

    /// Answers the members that are not part of the patch. Those that have to wait for the others'
    /// outcome are given back.
    pub fn settle(&mut self, parts: Vec<Part>, base: &Base) -> Vec<Request> {
        let mut deferred = Vec::new();
        self.changed.clear();
        for (request, part) in std::mem::take(&mut self.requests).into_iter().zip(parts) {
            match part {
                Part::Joined { changed } => {
                    self.changed.push(changed);
                    self.requests.push(request);
                }
                Part::Done(written) => request.answer(Ok(Done::Written(written))),
                Part::Unmet(error) => {
                    let map = base.whole().cloned().unwrap_or_default();
                    request.answer(Ok(Done::Unmet(error, map)));
                }
                Part::Refused(error) => request.answer(Err(error)),
                Part::Deferred => deferred.push(request),
            }
        }
        deferred
    }

    /// The patch is about to be sent. `false`: it must not be sent, because a caller was told that
    /// nothing was written.
    pub fn begin(&mut self) -> bool {
        if self.requests.iter().all(|request| request.limits.progress.begin()) {
            return true;
        }
        self.was_not_written();
        false
    }

    pub fn was_not_written(&mut self) {
        for request in &self.requests {
            request.limits.progress.set(Stage::NotWritten);
        }
    }

    pub fn succeed(&mut self, written: impl Fn(Option<bool>) -> Written) {
        for (request, changed) in self.requests.drain(..).zip(self.changed.drain(..)) {
            request.answer(Ok(Done::Written(written(changed))));
        }
    }

    pub fn fail(self, error: &Error) {
        for request in self.requests {
            let error = request.limits.explain(error.clone());
            request.answer(Err(error));
        }
    }

    /// Refuses the members that can't wait until `until`, or would have too little time left then.
    /// `error` is told what the member allows to have stored.
    pub fn refuse_before(&mut self, until: Instant, error: impl Fn(u64) -> Error) {
        let too_late = |request: &mut Request| {
            let Limits { deadline, timeout, .. } = *request.limits;
            deadline < until + ENOUGH.min(timeout / 4)
        };
        for request in self.requests.extract_if(.., too_late) {
            let error = error(request.budget);
            request.answer(Err(error));
        }
    }

    /// The write budget keeps the members waiting.
    pub fn hold_back(&self) {
        self.requests.iter().for_each(|request| request.limits.progress.set(Stage::HeldBack));
    }

    /// The write budget doesn't keep the members waiting any more.
    pub fn let_go(&self) {
        let held = self.requests.iter().filter(|request| request.limits.progress.is(Stage::HeldBack));
        held.for_each(|request| request.limits.progress.set(Stage::NotWritten));
    }

    pub fn second_half(&mut self) -> Vec<Request> {
        self.requests.split_off(self.requests.len() / 2)
    }

    pub fn take_all(&mut self) -> Vec<Request> {
        std::mem::take(&mut self.requests)
    }
}

impl Callers for Group {
    fn learn(&self, error: &Error) {
        self.requests.iter().for_each(|request| request.limits.learn(error));
    }
}

fn member(request: &Request) -> Option<Member<'_>> {
    let batch = request.batch()?;
    Some(Member { batch, trusts_memory: request.cached, layout: request.layout })
}
