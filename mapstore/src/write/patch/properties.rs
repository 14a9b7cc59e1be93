//! A patch has four forms: a strategic merge patch, an edit of a whole object,
//! a change of entries in memory, and the question whether it shows in a map.
//! They agree on every map that the patch can be meant for.

use mapstore_dev::strategic_merge;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::model::{Revision, Value};
use crate::server::wire;

const KEYS: [&str; 5] = ["a", "b", "c", "d", "e"];

pub(crate) fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

pub(crate) fn entry() -> impl Strategy<Value = Entry> {
    let text = vec(any::<char>(), 0..3)
        .prop_map(|text| (text.into_iter().collect::<String>().into_bytes(), Side::Text));
    let bytes = vec(any::<u8>(), 0..4).prop_map(|bytes| (bytes, Side::Binary));
    prop_oneof![text, bytes].prop_map(|(value, side)| Entry { value: Value(value.into()), side })
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Text), Just(Side::Binary)]
}

/// What a patch wants of one key, whatever the map has there.
#[derive(Clone, Debug)]
enum Wish {
    Set { entry: Entry, to_be_sure: bool },
    Delete { known: bool, otherwise: Side },
}

fn wish() -> impl Strategy<Value = Wish> {
    prop_oneof![
        (entry(), any::<bool>()).prop_map(|(entry, to_be_sure)| Wish::Set { entry, to_be_sure }),
        (any::<bool>(), side()).prop_map(|(known, otherwise)| Wish::Delete { known, otherwise }),
    ]
}

/// A patch names the side that a key leaves if the key is there, and may name it if it isn't.
fn change(old: Option<&Entry>, wish: Wish) -> Change {
    match wish {
        Wish::Set { entry, to_be_sure } => {
            let other = entry.side.other();
            let has_to_leave = old.is_some_and(|old| old.side == other);
            Change::Set { leaves: (has_to_leave || to_be_sure).then_some(other), entry }
        }
        Wish::Delete { known, otherwise } => {
            Change::Delete { from: known.then(|| old.map_or(otherwise, |old| old.side)) }
        }
    }
}

/// The object as the API server has it: an empty map may be there or not.
pub(crate) fn object(entries: &Entries, empty: bool) -> Json {
    let mut object = json!({
        "metadata": {"uid": "u", "resourceVersion": "5", "labels": {"l": "v"}, "annotations": {"other": "stays"},
                     "managedFields": [{"operation": "Update"}]},
        "immutable": false,
    });
    let map = Snapshot::new(Version::at("u", Revision::new("5").unwrap()), entries.clone());
    for side in [Side::Text, Side::Binary] {
        let part: Map<_, _> =
            map.entries().filter(|(_, e)| e.side == side).map(|(key, e)| (key.clone(), encode(e))).collect();
        if empty || !part.is_empty() {
            object[side.field()] = part.into();
        }
    }
    object
}

/// As the API server applies it; the test server's own tests compare that with the real one.
pub(crate) fn merged(object: Json, patch: &Patch) -> Json {
    let (Json::Object(object), Json::Object(patch)) = (object, patch.to_strategic()) else { unreachable!() };
    strategic_merge(object, patch).expect("a patch that can be used").into()
}

/// An empty map and none are the same.
fn without_empty_maps(mut object: Json) -> Json {
    object.as_object_mut().unwrap().retain(|_, value| *value != json!({}));
    object
}

pub(crate) fn entries_of(map: &Snapshot) -> Vec<(String, Entry)> {
    map.entries().map(|(key, entry)| (key.clone(), entry.clone())).collect()
}

fn read(object: &Json) -> Snapshot {
    wire::snapshot(object.to_string().as_bytes()).expect("an object that can be read")
}

fn fields() -> impl Strategy<Value = Fields> {
    prop_oneof![Just(Fields::Keep), Just(Fields::Shed), Just(Fields::Claim)]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_four_forms_of_a_patch_agree(
        keys in vec((option::of(entry()), option::of(wish())), KEYS.len()),
        (clear, blind, stamped, unstamp, empty) in any::<(bool, bool, bool, bool, bool)>(),
        stamped_before in any::<bool>(),
        fields in fields(),
    ) {
        let base = (!blind).then(|| Version::at("u", Revision::new("5").unwrap()));
        let stamp = (stamped && !unstamp).then(|| "n0nce".to_owned());
        let mut patch = Patch { base, clear, stamp, unstamp, fields, ..Patch::default() };
        let mut entries = Entries::default();
        for (key, (old, wish)) in KEYS.into_iter().zip(keys) {
            if let Some(wish) = wish.filter(|_| !clear) {
                patch.changes.insert(key.into(), change(old.as_ref(), wish));
            }
            if let Some(old) = old {
                entries.insert(key.into(), old);
            }
        }
        let mut object = object(&entries, empty);
        if stamped_before {
            object["metadata"]["annotations"][wire::STAMP] = "earlier".into();
        }
        let merged = merged(object.clone(), &patch);
        let mut edited = object;
        patch.edit(&mut edited);
        prop_assert_eq!(without_empty_maps(merged.clone()), without_empty_maps(edited));

        patch.apply(&mut entries);
        let in_memory = Snapshot::new(Version::at("u", Revision::new("6").unwrap()), entries);
        let stored = read(&merged);
        prop_assert_eq!(entries_of(&stored), entries_of(&in_memory));
        prop_assert_eq!(stored.totals(), in_memory.totals());
        prop_assert!(patch.shows_in(&stored));
    }
}
