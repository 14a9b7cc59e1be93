//! Random groups of batches, planned on random knowledge of a random map, against
//! the same operations on a plain map, one after the other.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value as Json;

use super::*;
use crate::model::{
    Batch, Condition, Entries, Entry, Key, Layout, Op, Revision, Side, Snapshot, Value, Version,
};
use crate::server::wire;
use crate::write::base::Known;
use crate::write::draft::{is_text, side_on};
use crate::write::patch::Change;
use crate::write::patch::properties::{config, entries_of, merged, object};

const KEYS: [&str; 4] = ["a", "b", "c", "d"];

/// Few, so that values are often equal.
const VALUES: [&[u8]; 4] = [b"", b"1", "ü".as_bytes(), b"\xff"];

type Contents = BTreeMap<String, Entry>;

/// What is known of the map.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ground {
    Read { fresh: bool },
    Memory,
    Missing { fresh: bool },
    Part,
    Blind,
}

#[derive(Clone, Debug)]
struct Caller {
    ops: Vec<Op>,
    conditions: Vec<Condition>,
    layout: Layout,
    trusts_memory: bool,
}

fn key() -> impl Strategy<Value = &'static str> {
    select(&KEYS[..])
}

fn value() -> impl Strategy<Value = &'static [u8]> {
    select(&VALUES[..])
}

fn entry() -> impl Strategy<Value = Entry> {
    (value(), any::<bool>()).prop_map(|(value, text)| {
        let side = if text && is_text(value) { Side::Text } else { Side::Binary };
        Entry { value: Value(value.into()), side }
    })
}

fn contents() -> impl Strategy<Value = Contents> {
    vec(option::of(entry()), KEYS.len()).prop_map(|entries| {
        let keys = KEYS.into_iter().zip(entries);
        keys.filter_map(|(key, entry)| Some((key.to_owned(), entry?))).collect()
    })
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (key(), value(), any::<bool>()).prop_map(|(key, value, force)| Op::set(key, value, force).unwrap()),
        3 => key().prop_map(|key| Op::Delete { key: Key::new(key).unwrap() }),
        1 => Just(Op::Truncate),
    ]
}

fn condition() -> impl Strategy<Value = Condition> {
    let key = || key().prop_map(|key| Key::new(key).unwrap());
    prop_oneof![
        key().prop_map(Condition::Absent),
        key().prop_map(Condition::Present),
        (key(), value()).prop_map(|(key, value)| Condition::Equals(key, value.into())),
        select(vec!["5", "6"]).prop_map(|revision| Condition::Revision(Revision::new(revision).unwrap())),
    ]
}

fn caller(layout: impl Strategy<Value = Layout>) -> impl Strategy<Value = Caller> {
    let conditions = prop_oneof![2 => Just(vec![]), 1 => vec(condition(), 1..3)];
    (vec(op(), 0..4), conditions, layout, any::<bool>()).prop_map(
        |(ops, conditions, layout, trusts_memory)| Caller { ops, conditions, layout, trusts_memory },
    )
}

fn layout() -> impl Strategy<Value = Layout> {
    select(vec![Layout::Bytes, Layout::Text, Layout::BinaryOnly])
}

fn ground() -> impl Strategy<Value = Ground> {
    prop_oneof![
        any::<bool>().prop_map(|fresh| Ground::Read { fresh }),
        Just(Ground::Memory),
        any::<bool>().prop_map(|fresh| Ground::Missing { fresh }),
        Just(Ground::Part),
        Just(Ground::Blind),
    ]
}

impl Caller {
    fn batch(&self) -> Batch {
        let mut batch = Batch::new();
        for op in &self.ops {
            match op {
                Op::Set { key, value, force: false } => batch.set(key.as_str(), value).unwrap(),
                Op::Set { key, value, force: true } => batch.force_set(key.as_str(), value).unwrap(),
                Op::Delete { key } => batch.delete(key.as_str()).unwrap(),
                Op::Truncate => batch.truncate().unwrap(),
            };
        }
        batch.conditions.clone_from(&self.conditions);
        batch
    }

    /// Whether all conditions hold. With members before this one the map is at no revision yet.
    fn holds(&self, map: &Contents, revision: Option<&str>) -> bool {
        let find = |key: &Key| map.get(key.as_str()).filter(|entry| self.layout.sees(entry));
        self.conditions.iter().all(|condition| match condition {
            Condition::Absent(key) => find(key).is_none(),
            Condition::Present(key) => find(key).is_some(),
            Condition::Equals(key, wanted) => find(key).is_some_and(|entry| entry.value.0 == wanted),
            Condition::Revision(wanted) => revision == Some(wanted.as_str()),
        })
    }

    /// What a truncate leaves of the operations.
    fn forces(&self) -> bool {
        self.batch().ops.iter().any(|op| matches!(op, Op::Set { force: true, .. }))
    }

    /// The map afterwards; `None`: one of the keys is where this caller may not go.
    /// What comes out as it was stays as it is, on its side, where that is known for sure.
    fn make(&self, before: &Contents, believed: bool) -> Option<Contents> {
        let batch = self.batch();
        let mut map = before.clone();
        let mut cleared = false;
        for op in &batch.ops {
            match op {
                Op::Set { key, value, .. } => {
                    let old = map.get(key.as_str());
                    if old.is_some_and(|old| !self.layout.sees(old)) {
                        return None;
                    }
                    let side = side_on(value, old.map(|old| old.side), self.layout);
                    map.insert(key.as_str().into(), Entry { value: Value(value.clone()), side });
                }
                Op::Delete { key } => {
                    map.retain(|name, entry| name != key.as_str() || !self.layout.sees(entry))
                }
                Op::Truncate => {
                    map.retain(|_, entry| !self.layout.sees(entry));
                    cleared = self.layout != Layout::BinaryOnly;
                }
            }
        }
        if believed && cleared && values(&map) == values(before) && !self.forces() {
            return Some(before.clone());
        }
        for (key, entry) in map.iter_mut().filter(|_| believed && !cleared) {
            let old =
                before.get(key).filter(|old| old.value == entry.value && !batch.forced().contains(&**key));
            entry.clone_from(old.unwrap_or(&entry.clone()));
        }
        Some(map)
    }
}

fn values(map: &Contents) -> Vec<(&str, &[u8])> {
    map.iter().map(|(key, entry)| (key.as_str(), &*entry.value)).collect()
}

fn entries(map: &Contents) -> Entries {
    let mut entries = Entries::default();
    map.iter().for_each(|(key, entry)| entries.insert(key.clone(), entry.clone()));
    entries
}

fn version() -> Version {
    Version::at("u", Revision::new("5").unwrap())
}

/// What is known, of the map as it is: `seen` was the map once, and some of the
/// keys (`written`) were written since.
fn base(ground: Ground, map: &Contents, seen: &Contents, written: &[bool]) -> Base {
    let now = Snapshot::new(version(), entries(map));
    match ground {
        Ground::Read { .. } => return Base::read(now),
        Ground::Memory => return Base::memory(now),
        Ground::Missing { .. } => return Base::read(Snapshot::missing()),
        Ground::Part | Ground::Blind => {}
    }
    let mut known = Known::default();
    known.learn(Snapshot::new(version(), entries(seen)));
    known.go_blind();
    if ground == Ground::Part {
        let mut patch = Patch::default();
        for (key, _) in KEYS.iter().zip(written).filter(|(_, written)| **written) {
            let change = match map.get(*key) {
                Some(entry) => Change::Set { entry: entry.clone(), leaves: None },
                None => Change::Delete { from: None },
            };
            patch.changes.insert((*key).into(), change);
        }
        known.record(&patch, &version());
    }
    known.base().expect("it was planned on").clone()
}

/// As the API server has it then; `None`: a key would be in both maps, and the server refuses that.
fn stored(map: &Contents, patch: &Patch) -> Option<Snapshot> {
    let object = merged(object(&entries(map), false), patch);
    let keys = |side: Side| object[side.field()].as_object().into_iter().flat_map(|map| map.keys());
    let twice = keys(Side::Text).any(|key| keys(Side::Binary).any(|other| other == key));
    (!twice).then(|| wire::snapshot(Json::to_string(&object).as_bytes()).unwrap())
}

/// Follows the group through the plan. `None`: a member goes where it may not, which only the server can know.
fn follow(callers: &[Caller], plan: &Plan, map: &Contents, base: &Base, fresh: bool) -> Option<Contents> {
    let revision = base.version().map(|version| version.revision.as_str());
    let mut now = map.clone();
    let mut moved = false;
    for (caller, part) in callers.iter().zip(&plan.parts) {
        let believed = fresh || (caller.trusts_memory && base.is_whole());
        let holds = caller.holds(&now, revision.filter(|_| !moved));
        match part {
            Part::Joined { changed } => {
                assert!(holds, "joined against its conditions");
                let after = caller.make(&now, believed)?;
                let changes = values(&after) != values(&now) || caller.forces();
                assert!(changed.is_none_or(|changed| changed == changes), "{changed:?}, and it is {changes}");
                // Even what changes nothing may be on its way.
                moved |= after != now || *changed != Some(false);
                now = after;
            }
            Part::Done(written) => {
                assert!(holds && !moved && !written.changed);
                let after = caller.make(&now, believed)?;
                assert!(values(&after) == values(&now) && !caller.forces(), "it says done, and isn't");
            }
            Part::Unmet(_) => assert!(!caller.holds(map, revision), "its conditions hold"),
            Part::Refused(_) => assert!(caller.make(map, believed).is_none(), "it could be made"),
            // What isn't known for sure may be left for the next round.
            Part::Deferred if !believed || !base.is_whole() => {}
            Part::Deferred => {
                assert!(!holds || caller.make(&now, believed).is_none(), "it could be made now")
            }
        }
    }
    Some(now)
}

fn check(ground: Ground, map: &Contents, seen: &Contents, written: &[bool], callers: &[Caller]) {
    let fresh = matches!(ground, Ground::Read { fresh: true } | Ground::Missing { fresh: true });
    let base = base(ground, map, seen, written);
    let batches: Vec<_> = callers.iter().map(Caller::batch).collect();
    let member = |(caller, batch): (&Caller, _)| Member {
        batch,
        trusts_memory: caller.trusts_memory,
        layout: caller.layout,
    };
    let members: Vec<_> =
        callers.iter().zip(&batches).map(|(caller, batch)| member((caller, batch))).collect();
    let plan = match plan(&members, &base, fresh, || "n0nce".into()) {
        Ok(plan) => plan,
        Err(need) => return assert!(!fresh, "all is known, and it needs {need:?}"),
    };
    let wanted = follow(callers, &plan, map, &base, fresh);
    let Some(patch) = &plan.patch else {
        assert_eq!(values(&wanted.expect("nothing is sent, and a member can't be made")), values(map));
        return;
    };
    let certain = plan.parts.iter().any(|part| matches!(part, Part::Joined { changed: Some(true) }));
    assert_eq!(patch.stamp.is_some(), certain || base.is_blind());
    let (stored, wanted) = match (stored(map, patch), wanted) {
        (Some(stored), Some(wanted)) => (stored, wanted),
        _ => return assert!(!base.is_whole(), "the server would refuse what was known"),
    };
    let got: Vec<_> = stored.iter().map(|(key, value)| (key, &**value)).collect();
    assert_eq!(got, values(&wanted));
    if base.is_whole() {
        assert_eq!(plan.totals, Some(stored.totals()));
        let mut memory = entries(map);
        patch.apply(&mut memory);
        assert_eq!(entries_of(&Snapshot::new(version(), memory)), entries_of(&stored));
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_group_makes_of_the_map_what_its_members_say(
        ground in ground(),
        map in contents(),
        seen in contents(),
        written in vec(any::<bool>(), KEYS.len()),
        callers in vec(caller(layout()), 1..4),
    ) {
        let nothing = Contents::new();
        let map = if matches!(ground, Ground::Missing { .. }) { &nothing } else { &map };
        check(ground, map, &seen, &written, &callers);
    }
}

/// A store of `binaryData` alone was told that its delete had nothing to do, on a guess where the key is.
#[test]
fn a_guess_is_not_taken_for_memory() {
    let map = |side| Contents::from([("d".to_owned(), Entry { value: Value::default(), side })]);
    let delete = Caller {
        ops: vec![Op::Delete { key: Key::new("d").unwrap() }],
        conditions: vec![],
        layout: Layout::BinaryOnly,
        trusts_memory: true,
    };
    check(Ground::Blind, &map(Side::Binary), &map(Side::Text), &[], &[delete]);
}

/// A store of both maps sets a key, and one of `binaryData` alone deletes it, in one group.
#[test]
fn stores_of_both_kinds_write_one_key_together() {
    let one = |op, layout| Caller { ops: vec![op], conditions: vec![], layout, trusts_memory: false };
    let key = || Key::new("a").unwrap();
    let set = one(Op::set("a", b"\xff", false).unwrap(), Layout::Bytes);
    let delete = |layout| one(Op::Delete { key: key() }, layout);
    let text = Contents::from([("a".to_owned(), Entry { value: Value(b"1"[..].into()), side: Side::Text })]);
    for ground in [Ground::Read { fresh: true }, Ground::Memory, Ground::Part, Ground::Blind] {
        for first in [set.clone(), delete(Layout::Bytes)] {
            for second in [delete(Layout::BinaryOnly), one(Op::Truncate, Layout::BinaryOnly)] {
                check(ground, &text, &Contents::new(), &[], &[first.clone(), second]);
            }
        }
    }
}
