//! One write as it travels: the keys it changes, what it does about the rest of
//! the object, and the same change on a map in memory. Pure.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json, json};

use crate::model::{Entries, Entry, ManagedFields, Side, Snapshot, Version};
use crate::server::wire::{FIELD_MANAGER, STAMP};

/// A change, with the version it is for.
#[derive(Clone, Default)]
pub(crate) struct Patch {
    /// The precondition. `None`: the change is made whatever the map has become.
    pub base: Option<Version>,
    pub changes: BTreeMap<String, Change>,
    /// Every key goes. `changes` is empty then: a strategic merge patch can't drop a map and set keys of it in one, so
    /// keys that have to go where others come are named.
    pub clear: bool,
    pub stamp: Option<String>,
    /// Takes the stamp of an earlier write away: on a full map the stamp may be the few bytes too
    /// much.
    pub unstamp: bool,
    pub fields: Fields,
}

/// What a write does about the managedFields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fields {
    #[default]
    Keep,
    /// Drops the managedFields: they cost the API server most of its time on a large map.
    Shed,
    /// Begins an entry of our own in a map that has none, so that the keys are nobody else's.
    Claim,
}

impl Fields {
    /// What a write on this version of the map does about its managedFields.
    pub fn on(version: Option<&Version>) -> Fields {
        match version.map(|version| version.fields) {
            Some(ManagedFields::Sheddable) => Fields::Shed,
            Some(ManagedFields::Unguarded) => Fields::Claim,
            Some(ManagedFields::None | ManagedFields::Applied) | None => Fields::Keep,
        }
    }

    fn list(self) -> Option<Json> {
        match self {
            Fields::Keep => None,
            Fields::Shed => Some(json!([{}])),
            // The server adds the keys of this write. The stamp keeps the entry alive where those are all deletions:
            // an empty one is dropped.
            Fields::Claim => Some(json!([{
                "manager": FIELD_MANAGER, "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
                "fieldsV1": {"f:metadata": {"f:annotations": {format!("f:{STAMP}"): {}}}},
            }])),
        }
    }
}

/// What becomes of one key.
#[derive(Clone)]
pub(crate) enum Change {
    Set {
        entry: Entry,
        /// The side to remove the key from: it is there, or may be.
        leaves: Option<Side>,
    },
    Delete {
        /// The side that the key is on; `None`: not known.
        from: Option<Side>,
    },
}

impl Patch {
    /// The strategic merge patch; `null` removes a key, absent ones included.
    /// Kubernetes: apimachinery's pkg/util/strategicpatch.
    pub fn to_strategic(&self) -> Json {
        let mut metadata = Map::new();
        if let Some(base) = &self.base {
            metadata.insert("resourceVersion".into(), base.revision.as_str().into());
        }
        if self.stamp.is_some() || self.unstamp {
            metadata.insert("annotations".into(), json!({ STAMP: self.stamp }));
        }
        if let Some(list) = self.fields.list() {
            metadata.insert("managedFields".into(), list);
        }
        let mut patch = Map::new();
        patch.insert("metadata".into(), metadata.into());
        if self.clear {
            patch.insert("data".into(), Json::Null);
            patch.insert("binaryData".into(), Json::Null);
        } else {
            for side in [Side::Text, Side::Binary] {
                let part = self.part(side);
                if !part.is_empty() {
                    patch.insert(side.field().into(), part.into());
                }
            }
        }
        patch.into()
    }

    fn part(&self, side: Side) -> Map<String, Json> {
        let on_side = |change: &Change| match change {
            Change::Set { entry, .. } if entry.side == side => Some(encode(entry)),
            Change::Set { leaves, .. } => (*leaves == Some(side)).then_some(Json::Null),
            Change::Delete { from } => from.is_none_or(|from| from == side).then_some(Json::Null),
        };
        let entries = self.changes.iter();
        entries.filter_map(|(key, change)| Some((key.clone(), on_side(change)?))).collect()
    }

    /// The same change to a whole object that was read at the base's version.
    pub fn edit(&self, object: &mut Json) {
        if let Some(base) = &self.base {
            object["metadata"]["resourceVersion"] = base.revision.as_str().into();
        }
        if let Some(stamp) = &self.stamp {
            object["metadata"]["annotations"][STAMP] = stamp.as_str().into();
        }
        if self.unstamp
            && let Some(annotations) = object["metadata"]["annotations"].as_object_mut()
        {
            annotations.remove(STAMP);
        }
        if let Some(list) = self.fields.list() {
            object["metadata"]["managedFields"] = list;
        }
        for side in [Side::Text, Side::Binary] {
            let Some(map) = object.get_mut(side.field()).and_then(Json::as_object_mut) else { continue };
            if self.clear {
                map.clear();
            }
            map.retain(|key, _| !self.changes.contains_key(key));
        }
        for (key, change) in &self.changes {
            if let Change::Set { entry, .. } = change {
                object[entry.side.field()][key] = encode(entry);
            }
        }
    }

    /// The same change on a map in memory.
    pub fn apply(&self, entries: &mut Entries) {
        if self.clear {
            entries.clear();
        }
        for (key, change) in &self.changes {
            match change {
                Change::Set { entry, .. } => entries.insert(key.clone(), entry.clone()),
                Change::Delete { .. } => entries.remove(key),
            }
        }
    }

    /// Whether a map could be what this write made of another one: an
    /// ambiguous write without a stamp is recognized by its keys.
    pub fn shows_in(&self, map: &Snapshot) -> bool {
        let is_there = |(key, change): (&String, &Change)| match change {
            Change::Set { entry, .. } => map.entry(key) == Some(entry),
            Change::Delete { .. } => map.entry(key).is_none(),
        };
        let nothing_else = !self.clear || map.keys().all(|key| self.changes.contains_key(key));
        nothing_else && self.changes.iter().all(is_there)
    }
}

fn encode(entry: &Entry) -> Json {
    match (entry.side, std::str::from_utf8(&entry.value)) {
        (Side::Text, Ok(text)) => text.into(),
        _ => STANDARD.encode(&entry.value).into(),
    }
}

#[cfg(test)]
pub(super) mod properties;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Revision;
    use crate::model::Value;
    use bytes::Bytes;

    fn entry(value: &'static [u8], side: Side) -> Entry {
        Entry { value: Value(Bytes::from_static(value)), side }
    }

    fn set(value: &'static [u8], side: Side, leaves: Option<Side>) -> Change {
        Change::Set { entry: entry(value, side), leaves }
    }

    fn patch(changes: Vec<(&str, Change)>) -> Patch {
        let base = Some(Version::at("u", Revision::new("5").unwrap()));
        let changes = changes.into_iter().map(|(key, change)| (key.to_owned(), change)).collect();
        Patch { base, changes, ..Patch::default() }
    }

    #[test]
    fn a_patch_names_its_keys_and_its_revision_only() {
        let sent = patch(vec![("k", set(b"v", Side::Binary, None))]).to_strategic();
        assert_eq!(sent, json!({"metadata": {"resourceVersion": "5"}, "binaryData": {"k": "dg=="}}));
        let sent = patch(vec![("k", set(b"v", Side::Text, None))]).to_strategic();
        assert_eq!(sent, json!({"metadata": {"resourceVersion": "5"}, "data": {"k": "v"}}));
    }

    #[test]
    fn a_key_that_moves_leaves_the_other_map() {
        let sent = patch(vec![("k", set(&[0xff], Side::Binary, Some(Side::Text)))]).to_strategic();
        assert_eq!(sent["binaryData"], json!({"k": "/w=="}));
        assert_eq!(sent["data"], json!({"k": null}));
    }

    #[test]
    fn a_key_is_removed_where_it_is_or_may_be() {
        let sent = patch(vec![("k", Change::Delete { from: None })]).to_strategic();
        assert_eq!((&sent["data"], &sent["binaryData"]), (&json!({"k": null}), &json!({"k": null})));
        let sent = patch(vec![("k", Change::Delete { from: Some(Side::Text) })]).to_strategic();
        assert_eq!(sent.get("binaryData"), None);
    }

    #[test]
    fn blind_shed_and_stamped() {
        let blind = Patch { base: None, stamp: Some("n0nce".into()), clear: true, ..Patch::default() };
        let wanted = json!({"metadata": {"annotations": {"mapstore/last-write": "n0nce"}}, "data": null, "binaryData": null});
        assert_eq!(blind.to_strategic(), wanted);
        let shed = Patch { fields: Fields::Shed, ..patch(vec![]) };
        assert_eq!(shed.to_strategic(), json!({"metadata": {"resourceVersion": "5", "managedFields": [{}]}}));
    }

    #[test]
    fn an_edit_keeps_what_it_does_not_know() {
        let moved = patch(vec![("t", set(&[0xff], Side::Binary, Some(Side::Text)))]);
        let mut object = json!({"metadata": {"labels": {"a": "b"}, "resourceVersion": "4"}, "data": {"t": "v", "o": "x"}, "new": 1});
        moved.edit(&mut object);
        let wanted = json!({"metadata": {"labels": {"a": "b"}, "resourceVersion": "5"}, "data": {"o": "x"},
                            "binaryData": {"t": "/w=="}, "new": 1});
        assert_eq!(object, wanted);
    }

    #[test]
    fn a_write_is_recognized_by_its_keys() {
        let map = |entries: &[(&str, &'static [u8])]| {
            let mut all = Entries::default();
            for &(key, value) in entries {
                all.insert(key.into(), entry(value, Side::Binary));
            }
            Snapshot::new(Version::at("u", Revision::new("6").unwrap()), all)
        };
        let write = patch(vec![("a", set(b"1", Side::Binary, None)), ("b", Change::Delete { from: None })]);
        assert!(write.shows_in(&map(&[("a", b"1"), ("c", b"3")])));
        assert!(!write.shows_in(&map(&[("a", b"2")])));
        assert!(!write.shows_in(&map(&[("a", b"1"), ("b", b"2")])));
        let truncate = Patch { clear: true, ..Patch::default() };
        assert!(truncate.shows_in(&map(&[])));
        assert!(!truncate.shows_in(&map(&[("a", b"1")])));
    }
}
