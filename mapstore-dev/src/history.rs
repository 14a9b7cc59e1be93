//! What happened to ConfigMaps lately, for watches that start in the past: the
//! twin of the real server's watch cache (apiserver/pkg/storage/cacher). Bounded
//! in memory; what is older is gone, and a watch from there is told so. Pure.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::object::{ConfigMap, ObjectMeta};
use crate::selector::Selector;

const MAX_EVENTS: usize = 1_000;
const MAX_BYTES: usize = 64 * 1024 * 1024;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Added,
    Modified,
    Deleted,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Added => "ADDED",
            Kind::Modified => "MODIFIED",
            Kind::Deleted => "DELETED",
        }
    }
}

/// A change: at least one of the two objects is there.
#[derive(Clone, Debug)]
pub struct Event {
    pub revision: u64,
    pub before: Option<Arc<ConfigMap>>,
    pub after: Option<Arc<ConfigMap>>,
}

#[derive(Debug, Default)]
pub struct History {
    events: VecDeque<Event>,
    bytes: usize,
    /// The newest revision whose event isn't here any more.
    floor: u64,
}

impl Event {
    /// What this is to somebody who sees only what `selects`: an object that
    /// comes into his sight was added, one that leaves it deleted. A deleted
    /// object is the last one he saw, with the revision of its end.
    pub fn seen(&self, selects: impl Fn(&ObjectMeta) -> bool) -> Option<(Kind, Arc<ConfigMap>)> {
        let selected = |cm: &Option<Arc<ConfigMap>>| cm.clone().filter(|cm| selects(&cm.metadata));
        match (selected(&self.before), selected(&self.after)) {
            (None, None) => None,
            (None, Some(after)) => Some((Kind::Added, after)),
            (Some(_), Some(after)) => Some((Kind::Modified, after)),
            (Some(before), None) => {
                let mut last = ConfigMap::clone(&before);
                last.metadata.resource_version = self.revision.to_string();
                Some((Kind::Deleted, Arc::new(last)))
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
    /// Empty: what was up to this revision can't be told.
    pub fn from(floor: u64) -> History {
        History { floor, ..History::default() }
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
        if revision < self.floor {
            return Err(self.floor);
        }
        let first = self.events.partition_point(|event| event.revision <= revision);
        Ok(self.events.range(first..))
    }
}

/// Whether an object of a namespace ("": any) is selected.
pub fn selects(namespace: &str, selector: &Selector, meta: &ObjectMeta) -> bool {
    (namespace.is_empty() || meta.namespace == namespace) && selector.matches(meta)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(label: Option<&str>) -> Option<Arc<ConfigMap>> {
        let mut cm = ConfigMap::default();
        cm.metadata.labels.extend(label.map(|value| ("l".to_string(), value.to_string())));
        Some(Arc::new(cm))
    }

    #[test]
    fn what_comes_into_sight_is_added_and_what_leaves_it_deleted() {
        let selects = |meta: &ObjectMeta| meta.labels.get("l").is_some_and(|value| value == "v");
        let cases = [
            (None, map(Some("v")), Some(Kind::Added)),
            (map(None), map(Some("v")), Some(Kind::Added)),
            (map(Some("v")), map(Some("v")), Some(Kind::Modified)),
            (map(Some("v")), map(Some("w")), Some(Kind::Deleted)),
            (map(Some("v")), None, Some(Kind::Deleted)),
            (map(None), None, None),
        ];
        for (before, after, expected) in cases {
            let seen = Event { revision: 7, before, after }.seen(selects);
            assert_eq!(seen.as_ref().map(|(kind, _)| *kind), expected);
            if expected == Some(Kind::Deleted) {
                assert_eq!(seen.unwrap().1.metadata.resource_version, "7");
            }
        }
    }

    #[test]
    fn the_past_is_bounded() {
        let mut history = History::from(5);
        assert_eq!(history.since(4).err(), Some(5));
        for revision in 6..=2_000 {
            history.push(Event { revision, before: None, after: map(None) });
        }
        assert_eq!(history.since(999).err(), Some(1_000));
        let mut kept = history.since(1_000).unwrap();
        assert_eq!(kept.next().map(|event| event.revision), Some(1_001));
        assert_eq!(history.since(2_000).unwrap().count(), 0);
    }
}
