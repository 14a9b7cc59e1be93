//! What happened to objects lately, for watches that start in the past (the
//! real server's watch cache, apiserver/pkg/storage/cacher) and for lists of the
//! past (etcd's old revisions). Bounded in memory; what is older is gone, and who
//! asks for it is told so. Pure.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::kind::Kind;
use crate::object::Object;
use crate::selector::Selector;

const MAX_EVENTS: usize = 10_000;
const MAX_BYTES: usize = 64 * 1024 * 1024;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    Added,
    Modified,
    Deleted,
}

impl Change {
    pub fn name(self) -> &'static str {
        match self {
            Change::Added => "ADDED",
            Change::Modified => "MODIFIED",
            Change::Deleted => "DELETED",
        }
    }
}

/// A change: at least one of the two objects is there.
#[derive(Clone, Debug)]
pub struct Event {
    pub revision: u64,
    pub before: Option<Arc<Object>>,
    pub after: Option<Arc<Object>>,
}

#[derive(Debug, Default)]
pub struct History {
    events: VecDeque<Event>,
    bytes: usize,
    /// The newest revision whose event isn't here any more.
    floor: u64,
    /// No watch reaches further back than this: a restart forgets events, but not the past.
    watched_since: u64,
    /// No list does: etcd was compacted at this revision.
    compacted: u64,
}

/// The objects of one revision, by kind, namespace and name.
pub type Objects = BTreeMap<(Kind, String, String), Arc<Object>>;

impl Event {
    /// What this is to somebody who sees only what `selects`: an object that
    /// comes into his sight was added, one that leaves it deleted. A deleted
    /// object is the last one he saw, with the revision of its end.
    pub fn seen(&self, selects: impl Fn(&Object) -> bool) -> Option<(Change, Arc<Object>)> {
        let selected = |cm: &Option<Arc<Object>>| cm.clone().filter(|cm| selects(cm));
        match (selected(&self.before), selected(&self.after)) {
            (None, None) => None,
            (None, Some(after)) => Some((Change::Added, after)),
            (Some(_), Some(after)) => Some((Change::Modified, after)),
            (Some(before), None) => {
                let mut last = Object::clone(&before);
                last.metadata.resource_version = self.revision.to_string();
                Some((Change::Deleted, Arc::new(last)))
            }
        }
    }

    /// About: what it keeps in memory that its predecessor doesn't.
    fn bytes(&self) -> usize {
        let Some(cm) = &self.after else { return 1024 };
        let text: usize = cm.data.iter().map(|(key, value)| key.len() + value.len()).sum();
        let binary: usize = cm.binary_data.iter().map(|(key, value)| key.len() + value.len()).sum();
        1024 + text + binary
    }
}

impl History {
    /// As in a server that was started anew: watches begin after this revision.
    pub fn restarted(&mut self, revision: u64) {
        self.watched_since = revision;
    }

    /// Forgets what was before this revision, as etcd's compaction does.
    pub fn compact(&mut self, revision: u64) {
        self.compacted = revision;
    }

    pub fn push(&mut self, event: Event) {
        self.bytes += event.bytes();
        self.events.push_back(event);
        while self.events.len() > MAX_EVENTS || self.bytes > MAX_BYTES && self.events.len() > 1 {
            if let Some(oldest) = self.events.pop_front() {
                self.bytes -= oldest.bytes();
                self.floor = oldest.revision;
            }
        }
    }

    /// The events after a revision; an error with the oldest revision there is if some are gone.
    pub fn since(&self, revision: u64) -> Result<impl Iterator<Item = &Event>, u64> {
        let oldest = self.floor.max(self.watched_since);
        if revision < oldest {
            return Err(oldest);
        }
        let first = self.events.partition_point(|event| event.revision <= revision);
        Ok(self.events.range(first..))
    }

    /// What there was at a revision, given what there is now; None if that isn't known any more.
    pub fn at(&self, revision: u64, mut now: Objects) -> Option<Objects> {
        if revision < self.floor.max(self.compacted) {
            return None;
        }
        for event in self.events.iter().rev().take_while(|event| event.revision > revision) {
            let key = |cm: &Object| (cm.kind, cm.metadata.namespace.clone(), cm.metadata.name.clone());
            match (&event.before, &event.after) {
                (Some(before), _) => now.insert(key(before), Arc::clone(before)),
                (None, Some(after)) => now.remove(&key(after)),
                (None, None) => None,
            };
        }
        Some(now)
    }
}

/// Whether an object is of a kind and a namespace ("": any) and selected.
pub fn selects(kind: Kind, namespace: &str, selector: &Selector, object: &Object) -> bool {
    let meta = &object.metadata;
    object.kind == kind && (namespace.is_empty() || meta.namespace == namespace) && selector.matches(meta)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(label: Option<&str>) -> Option<Arc<Object>> {
        let mut cm = Object::default();
        cm.metadata.labels.extend(label.map(|value| ("l".to_string(), value.to_string())));
        Some(Arc::new(cm))
    }

    #[test]
    fn what_comes_into_sight_is_added_and_what_leaves_it_deleted() {
        let selects = |object: &Object| object.metadata.labels.get("l").is_some_and(|value| value == "v");
        let cases = [
            (None, map(Some("v")), Some(Change::Added)),
            (map(None), map(Some("v")), Some(Change::Added)),
            (map(Some("v")), map(Some("v")), Some(Change::Modified)),
            (map(Some("v")), map(Some("w")), Some(Change::Deleted)),
            (map(Some("v")), None, Some(Change::Deleted)),
            (map(None), None, None),
        ];
        for (before, after, expected) in cases {
            let seen = Event { revision: 7, before, after }.seen(selects);
            assert_eq!(seen.as_ref().map(|(kind, _)| *kind), expected);
            if expected == Some(Change::Deleted) {
                assert_eq!(seen.unwrap().1.metadata.resource_version, "7");
            }
        }
    }

    #[test]
    fn the_past_is_bounded() {
        let mut history = History::default();
        for revision in 6..=12_000 {
            history.push(Event { revision, before: None, after: map(None) });
        }
        assert_eq!(history.since(1_999).err(), Some(2_000));
        let mut kept = history.since(2_000).unwrap();
        assert_eq!(kept.next().map(|event| event.revision), Some(2_001));
        assert_eq!(history.since(12_000).unwrap().count(), 0);
        assert!(history.at(1_999, Objects::new()).is_none());
        assert!(history.at(2_000, Objects::new()).is_some());
    }

    #[test]
    fn a_restart_ends_watches_and_a_compaction_lists_of_the_past() {
        let mut history = History::default();
        history.push(Event { revision: 6, before: None, after: map(None) });
        history.restarted(6);
        assert_eq!(history.since(5).err(), Some(6));
        assert!(history.at(5, Objects::new()).is_some());
        history.compact(6);
        assert!(history.at(5, Objects::new()).is_none());
        assert!(history.at(6, Objects::new()).is_some());
    }

    #[test]
    fn a_list_of_the_past_undoes_what_came_since() {
        let version = |value: &str| {
            let mut cm = Object::default();
            cm.metadata.name = "x".into();
            cm.data.insert("k".into(), value.into());
            Some(Arc::new(cm))
        };
        let mut history = History::default();
        let steps = [(version("1"), 2), (version("2"), 4), (None, 6), (version("3"), 8)];
        let mut before = None;
        for (after, revision) in steps {
            history.push(Event { revision, before, after: after.clone() });
            before = after;
        }
        let now = Objects::from([((Kind::ConfigMap, String::new(), "x".into()), before.unwrap())]);
        let seen = |revision| {
            let then = history.at(revision, now.clone()).unwrap();
            then.into_values().next().map(|cm| cm.data["k"].clone())
        };
        let told: Vec<_> = (1..=9).map(seen).collect();
        let told: Vec<_> = told.iter().map(|value| value.as_deref().unwrap_or("-")).collect();
        assert_eq!(told, ["-", "1", "1", "2", "2", "-", "-", "3", "3"]);
    }
}
