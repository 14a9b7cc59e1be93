//! What is known of the map when a group is planned, what of that is kept for
//! the next group, and the choice of what to write on. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::patch::{Change, Patch};
use crate::model::{Entry, MAX_OBJECT_BYTES, Side, Snapshot, Totals, Version, stored_bytes};
use crate::server::failure::Failure;

/// In which of the ConfigMap's two maps a key was seen last. A write to the wrong one is refused by
/// the server, never followed.
pub(crate) type Sides = BTreeMap<String, Side>;

/// A map, or as much of it as is known, at one version.
#[derive(Clone)]
pub(crate) struct Base {
    /// The entries that are known, and the version they are of.
    map: Snapshot,
    scope: Scope,
    origin: Origin,
    sides: Sides,
}

#[derive(Clone)]
enum Scope {
    /// What isn't among the entries isn't in the map.
    Whole,
    /// These keys aren't in the map; of others nothing is known.
    Part { absent: BTreeSet<String> },
}

/// Where the entries come from. What the server stored may differ from what it
/// was sent: admission may change it, at the same revision.
#[derive(Clone, Copy, PartialEq)]
enum Origin {
    Read,
    /// The entries of a read, with what was written here since.
    Derived,
}

/// What a base says of a key.
pub(crate) enum Lookup<'a> {
    There(&'a Entry),
    Absent,
    /// The base says nothing of the key, but perhaps on which side it was last.
    Unknown(Option<Side>),
}

impl Base {
    /// The map as the server sent it.
    pub fn read(map: Snapshot) -> Self {
        Base { map, scope: Scope::Whole, origin: Origin::Read, sides: Sides::new() }
    }

    /// The map as memory has it.
    pub fn memory(map: Snapshot) -> Self {
        Base { origin: Origin::Derived, ..Base::read(map) }
    }

    /// Nothing is known of the map but sides: others write faster than it can be looked at.
    pub fn blind(sides: Sides) -> Self {
        let scope = Scope::Part { absent: BTreeSet::new() };
        Base { map: Snapshot::missing(), scope, origin: Origin::Derived, sides }
    }

    /// What a write on this base carries as its precondition.
    pub fn version(&self) -> Option<&Version> {
        self.map.version()
    }

    pub fn is_whole(&self) -> bool {
        matches!(self.scope, Scope::Whole)
    }

    /// The whole map, as it was read: good enough for conditions.
    pub fn is_read(&self) -> bool {
        self.is_whole() && self.origin == Origin::Read
    }

    /// There is no such ConfigMap.
    pub fn is_missing(&self) -> bool {
        self.is_whole() && self.version().is_none()
    }

    pub fn is_blind(&self) -> bool {
        !self.is_whole() && self.version().is_none()
    }

    pub fn whole(&self) -> Option<&Snapshot> {
        self.is_whole().then_some(&self.map)
    }

    /// The sizes of the map, where all of it is known.
    pub fn totals(&self) -> Option<Totals> {
        self.is_whole().then(|| self.map.totals())
    }

    pub fn lookup(&self, key: &str) -> Lookup<'_> {
        match (self.map.entry(key), &self.scope) {
            (Some(entry), _) => Lookup::There(entry),
            (None, Scope::Whole) => Lookup::Absent,
            (None, Scope::Part { absent }) if absent.contains(key) => Lookup::Absent,
            (None, Scope::Part { .. }) => Lookup::Unknown(self.sides.get(key).copied()),
        }
    }

    /// The keys that are known to be there.
    pub fn entries(&self) -> impl Iterator<Item = (&String, &Entry)> {
        self.map.entries()
    }

    /// The base after a patch that made `version`. Copies the index only if somebody else holds it.
    fn patched(self, patch: &Patch, version: &Version) -> Self {
        let scope = match self.scope {
            Scope::Part { mut absent } if !patch.clear => {
                for (key, change) in &patch.changes {
                    match change {
                        Change::Set { .. } => absent.remove(key),
                        Change::Delete { .. } => absent.insert(key.clone()),
                    };
                }
                Scope::Part { absent }
            }
            _ => Scope::Whole,
        };
        let map = self.map.changed(version.clone(), |entries| patch.apply(entries));
        Base { map, scope, origin: Origin::Derived, sides: self.sides }
    }
}

/// What a writer keeps of its map between two groups.
#[derive(Default)]
pub(crate) struct Known {
    base: Option<Base>,
    sides: Sides,
    /// About how many bytes the object takes. Other writers may change that unseen.
    size: u64,
    /// Set where patch is refused: whole objects are read and written back.
    pub without_patch: Option<Failure>,
}

impl Known {
    /// The base that is held; none is after [`Known::forget`].
    pub fn base(&self) -> Option<&Base> {
        self.base.as_ref()
    }

    /// The map was read just now.
    pub fn learn(&mut self, map: Snapshot) {
        let text = map.entries().filter(|(_, entry)| entry.side == Side::Text);
        self.sides = text.map(|(key, _)| (key.clone(), Side::Text)).collect();
        self.size = map.totals().object;
        self.base = Some(Base::read(map));
    }

    /// The next group is planned on what memory has.
    pub fn rely_on(&mut self, map: Snapshot) {
        self.base = Some(Base::memory(map));
    }

    /// The next group goes whatever the map has become.
    pub fn go_blind(&mut self) {
        self.base = Some(Base::blind(self.sides.clone()));
    }

    /// The base that is held isn't the map any more, or nobody knows: the map is looked at before
    /// the next write.
    pub fn forget(&mut self) {
        self.base = None;
    }

    /// A patch on what is held was applied.
    pub fn record(&mut self, patch: &Patch, version: &Version) {
        if let Some(base) = self.base.take() {
            self.count(&base, patch);
            self.base = Some(base.patched(patch, version));
        }
    }

    /// Gives away the map that is held, for somebody else to keep.
    pub fn hand_over(&mut self) -> Snapshot {
        self.base.take().map(|base| base.map).unwrap_or_default()
    }

    fn count(&mut self, base: &Base, patch: &Patch) {
        if patch.clear {
            self.sides.clear();
            self.size = 0;
        }
        for (key, change) in &patch.changes {
            let before = match base.lookup(key) {
                Lookup::There(entry) if !patch.clear => stored_bytes(key.len(), entry.value.len()),
                _ => 0,
            };
            let now = match change {
                Change::Set { entry, .. } => {
                    self.sides.insert(key.clone(), entry.side);
                    stored_bytes(key.len(), entry.value.len())
                }
                Change::Delete { .. } => {
                    self.sides.remove(key);
                    0
                }
            };
            self.size = (self.size + now).saturating_sub(before);
        }
    }

    /// The server found these keys on the other side. `false`: the refusal is not about keys of
    /// this patch, or they were turned already.
    pub fn turn(&mut self, keys: &[&str], patch: &Patch) -> bool {
        let mut turned = false;
        for key in keys {
            let Some(Change::Set { entry, .. }) = patch.changes.get(*key) else { continue };
            let side = entry.side.other();
            turned |= self.sides.insert((*key).to_owned(), side) != Some(side);
        }
        if let Some(base) = &mut self.base {
            base.sides.clone_from(&self.sides);
        }
        turned
    }

    /// Bytes that a write of `more` bytes has stored.
    pub fn cost(&self, more: u64) -> u64 {
        (self.size + more).min(MAX_OBJECT_BYTES)
    }
}

/// How much has to be known before a group can be planned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    /// That the map exists, and its version.
    #[default]
    Little,
    /// The whole map, as the server sent it.
    Whole,
    /// The whole map, read after every member was called.
    Fresh,
}

/// What there is to choose from when a group is to be planned.
#[derive(Clone, Copy)]
pub(crate) struct Situation {
    pub need: Need,
    /// Patch isn't among the rights.
    pub without_patch: bool,
    /// Stores read from memory; `None`: there are none. `Some(true)`: memory can be relied on.
    pub memory: Option<bool>,
    /// Others were faster than this group.
    pub overtaken: bool,
    /// A member has read the map, and nothing was written here since.
    pub seen: bool,
    /// A base is held whose revision can be a precondition.
    pub held: bool,
    /// What is held is the whole map, as the server sent it.
    pub held_is_read: bool,
}

/// What a group is planned on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Choice {
    /// The object is read and written back.
    Object,
    /// The map is read.
    Read,
    Memory,
    Seen,
    Held,
    /// Nothing: the write goes whatever the map has become.
    Blind,
}

/// What to write on, the first row that holds:
///
/// | situation                                      | on       | why                                      |
/// |------------------------------------------------|----------|------------------------------------------|
/// | no right to patch                              | `Object` | a PUT needs all of it                    |
/// | it has to be fresh                             | `Read`   | what is held may be out of date          |
/// | memory, to be relied on, and no more is needed | `Memory` | its revision is the precondition         |
/// | memory                                         | `Read`   | memory must never be passed by           |
/// | overtaken, and little is needed                | `Blind`  | so that nobody starves                   |
/// | held, and enough                               | `Held`   | its revision is the precondition         |
/// | a member has read the map                      | `Seen`   | a read less                              |
/// | anything else                                  | `Read`   |                                          |
pub(crate) fn choose(now: Situation) -> Choice {
    let held_will_do = now.held && (now.need == Need::Little || now.held_is_read);
    match now {
        _ if now.without_patch => Choice::Object,
        _ if now.need == Need::Fresh => Choice::Read,
        Situation { memory: Some(true), need: Need::Little, .. } => Choice::Memory,
        Situation { memory: Some(_), .. } => Choice::Read,
        _ if now.overtaken && now.need == Need::Little => Choice::Blind,
        _ if held_will_do && !now.overtaken => Choice::Held,
        _ if now.seen && !now.overtaken => Choice::Seen,
        _ => Choice::Read,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Entries, Revision, Value};
    use bytes::Bytes;

    const PLAIN: Situation = Situation {
        need: Need::Little,
        without_patch: false,
        memory: None,
        overtaken: false,
        seen: false,
        held: false,
        held_is_read: false,
    };

    #[test]
    fn what_to_write_on() {
        let held = Situation { held: true, ..PLAIN };
        let read = Situation { held_is_read: true, ..held };
        let whole = |now| Situation { need: Need::Whole, ..now };
        let cached = |sure| Situation { memory: Some(sure), ..read };
        let table = [
            (PLAIN, Choice::Read, "a store's first write"),
            (held, Choice::Held, "the next one"),
            (whole(held), Choice::Read, "a condition, on what was derived"),
            (whole(read), Choice::Held, "a condition, on what was read"),
            (Situation { need: Need::Fresh, ..read }, Choice::Read, "it has to be as it is now"),
            (Situation { seen: true, ..whole(held) }, Choice::Seen, "an update that has read"),
            (Situation { overtaken: true, ..held }, Choice::Blind, "others were faster"),
            (
                Situation { overtaken: true, seen: true, ..whole(read) },
                Choice::Read,
                "others, and a condition",
            ),
            (cached(true), Choice::Memory, "memory"),
            (cached(false), Choice::Read, "memory that is behind"),
            (Situation { overtaken: true, ..cached(false) }, Choice::Read, "never blind beside memory"),
            (whole(cached(true)), Choice::Read, "a condition of a store without memory, beside one with it"),
            (Situation { without_patch: true, ..cached(true) }, Choice::Object, "the seed's Role"),
        ];
        for (now, wanted, what) in table {
            assert_eq!(choose(now), wanted, "{what}");
        }
    }

    fn version(revision: &str) -> Version {
        Version::at("u", Revision::new(revision).unwrap())
    }

    fn set(value: &'static [u8]) -> Change {
        let entry = Entry { value: Value(Bytes::from_static(value)), side: Side::Binary };
        Change::Set { entry, leaves: None }
    }

    fn patch(changes: Vec<(&str, Change)>) -> Patch {
        let changes = changes.into_iter().map(|(key, change)| (key.to_owned(), change)).collect();
        Patch { changes, ..Patch::default() }
    }

    #[test]
    fn of_a_blind_write_its_own_keys_are_known_afterwards() {
        let mut known = Known::default();
        known.learn(Snapshot::new(version("1"), Entries::default()));
        known.go_blind();
        let write = patch(vec![("a", set(b"1")), ("b", Change::Delete { from: None })]);
        known.record(&write, &version("5"));
        let base = known.base().unwrap();
        assert!(!base.is_whole(), "others may have written more");
        assert_eq!(base.version().map(|version| version.revision.as_str()), Some("5"));
        assert!(matches!(base.lookup("a"), Lookup::There(entry) if &*entry.value == b"1"));
        assert!(matches!(base.lookup("b"), Lookup::Absent));
        assert!(matches!(base.lookup("c"), Lookup::Unknown(None)));
        let all = Patch { clear: true, ..Patch::default() };
        known.record(&all, &version("6"));
        assert!(known.base().unwrap().whole().is_some_and(Snapshot::is_empty));
        assert!(matches!(known.base().unwrap().lookup("c"), Lookup::Absent));
    }

    #[test]
    fn a_key_is_looked_for_where_the_server_found_it() {
        let mut known = Known::default();
        known.go_blind();
        let write = patch(vec![("t", set(b"1"))]);
        assert!(known.turn(&["t", "other"], &write));
        assert!(matches!(known.base().unwrap().lookup("t"), Lookup::Unknown(Some(Side::Text))));
        assert!(!known.turn(&["t"], &write), "it was turned already");
    }

    #[test]
    fn the_size_is_kept_up() {
        let mut known = Known::default();
        known.learn(Snapshot::new(version("1"), Entries::default()));
        known.record(&patch(vec![("k", set(b"12345"))]), &version("2"));
        known.record(&patch(vec![("k", set(b"123"))]), &version("3"));
        assert_eq!(known.cost(0), stored_bytes(1, 3));
        known.record(&patch(vec![("k", Change::Delete { from: None })]), &version("4"));
        assert_eq!(known.cost(7), 7);
    }
}
