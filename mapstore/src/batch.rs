//! What a write wants, and what to send for it: an operation against a base
//! becomes one patch that names only the keys it is about. Pure.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value as Json, json};

use crate::cache::{Entry, Side, Snapshot, Value, Version, stored_bytes};
use crate::entry::{Key, MAX_OBJECT_BYTES, MAX_VALUES_BYTES, Revision, quoted};
use crate::error::{Error, Result};

/// The annotation that makes a forced write a write: the API server skips one
/// that changes nothing.
pub(crate) const STAMP: &str = "mapstore/last-write";

/// One write.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Set { key: Key, value: Bytes, force: bool },
    Delete { key: Key },
    Truncate,
}

/// What is known of the map when a write is planned.
#[derive(Clone, Debug)]
pub(crate) enum Base {
    /// All of it.
    Whole(Snapshot),
    /// That it exists, at this version.
    Version(Version),
    Missing,
}

/// What to do for an operation.
#[derive(Debug)]
pub(crate) enum Plan {
    /// The map is as wanted already.
    Nothing(Option<Version>),
    /// The map has to be created first.
    Create,
    Patch(Patch),
}

/// What a write did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// The revision the write made, or was compared at if nothing changed;
    /// `None` if the map doesn't exist and nothing had to be written.
    pub revision: Option<Revision>,
    /// Whether anything was written.
    pub changed: bool,
}

impl Written {
    pub(crate) fn unchanged(version: Option<Version>) -> Self {
        Written { revision: version.map(|version| version.revision), changed: false }
    }

    /// The API server writes nothing if nothing changes: then the revision is the base's.
    pub(crate) fn at(version: Version, base: &Version) -> Self {
        Written { changed: version.revision != base.revision, revision: Some(version.revision) }
    }
}

/// A change with the version it is for.
#[derive(Clone, Debug)]
pub(crate) struct Patch {
    pub base: Version,
    op: Op,
    /// Where a key that is set goes.
    side: Side,
    stamp: Option<String>,
}

impl Op {
    pub fn key(&self) -> Option<&Key> {
        match self {
            Op::Set { key, .. } | Op::Delete { key } => Some(key),
            Op::Truncate => None,
        }
    }

    /// Which map a set should use if nothing is known of the key.
    pub fn new_side(&self, text_values: bool) -> Side {
        match self {
            Op::Set { value, .. } if text_values && is_text(value) => Side::Text,
            _ => Side::Binary,
        }
    }

    /// A text key stays text as long as its value is.
    fn side_on(&self, existing: Option<Side>, text_values: bool) -> Side {
        match (self, existing) {
            (Op::Set { value, .. }, Some(Side::Text)) if is_text(value) => Side::Text,
            (_, Some(_)) => Side::Binary,
            (_, None) => self.new_side(text_values),
        }
    }

    /// The same change on a map in memory.
    pub fn apply(&self, side: Side, entries: &mut BTreeMap<String, Entry>) {
        match self {
            Op::Set { key, value, .. } => {
                entries.insert(key.as_str().to_owned(), Entry { value: Value(value.clone()), side });
            }
            Op::Delete { key } => {
                entries.remove(key.as_str());
            }
            Op::Truncate => entries.clear(),
        }
    }

    /// The same change on an object as JSON.
    fn edit(&self, side: Side, object: &mut Json) {
        for field in ["data", "binaryData"] {
            let Some(map) = object.get_mut(field).and_then(Json::as_object_mut) else { continue };
            match self {
                Op::Set { key, .. } | Op::Delete { key } => drop(map.remove(key.as_str())),
                Op::Truncate => map.clear(),
            }
        }
        if let Op::Set { key, value, .. } = self {
            let (field, encoded) = encode(side, value);
            object[field][key.as_str()] = encoded;
        }
    }

    /// The object that this write would make of `bare`, a map that doesn't exist yet.
    pub fn made_of(&self, bare: Json, text_values: bool) -> Json {
        let mut object = bare;
        self.edit(self.new_side(text_values), &mut object);
        object
    }

    fn changes(&self, base: &Snapshot) -> bool {
        match self {
            Op::Set { force: true, .. } => true,
            Op::Set { key, value, .. } => base.get(key.as_str()).is_none_or(|old| old.0 != *value),
            Op::Delete { key } => base.get(key.as_str()).is_some(),
            Op::Truncate => !base.is_empty(),
        }
    }
}

fn is_text(value: &[u8]) -> bool {
    std::str::from_utf8(value).is_ok()
}

/// Plans `op` against `base`. `assumed` is the side of a key about which the
/// base says nothing; `stamp` is used if the write has to be one.
pub(crate) fn plan(op: &Op, base: &Base, assumed: Side, text_values: bool, stamp: &str) -> Result<Plan> {
    let (version, side) = match base {
        Base::Missing => {
            return Ok(if matches!(op, Op::Set { .. }) { Plan::Create } else { Plan::Nothing(None) });
        }
        Base::Version(version) => (version.clone(), op.side_on(Some(assumed), text_values)),
        Base::Whole(snapshot) => {
            let Some(version) = snapshot.version().cloned() else {
                return plan(op, &Base::Missing, assumed, text_values, stamp);
            };
            if !op.changes(snapshot) {
                return Ok(Plan::Nothing(Some(version)));
            }
            check_size(op, snapshot)?;
            let existing = op.key().and_then(|key| snapshot.entry(key.as_str())).map(|entry| entry.side);
            (version, op.side_on(existing, text_values))
        }
    };
    let forced = matches!(op, Op::Set { force: true, .. });
    let stamp = forced.then(|| stamp.to_owned());
    Ok(Plan::Patch(Patch { base: version, op: op.clone(), side, stamp }))
}

/// Refuses what the server certainly would: the base goes along as the
/// write's precondition, so the sums are exact, but for the object's metadata.
fn check_size(op: &Op, base: &Snapshot) -> Result<()> {
    let Op::Set { key, .. } = op else { return Ok(()) };
    let (values, object) = sizes_after(op, base);
    let subject = || format!("key {}", quoted(key.as_str()));
    if values > MAX_VALUES_BYTES {
        return Err(Error::too_large(
            subject(),
            Some(values),
            MAX_VALUES_BYTES,
            format!(
                "with this value all values together would have {values} bytes, {MAX_VALUES_BYTES} are allowed; \
                 delete keys or spread them over several stores"
            ),
        ));
    }
    if object > MAX_OBJECT_BYTES {
        return Err(Error::too_large(
            subject(),
            Some(object),
            MAX_OBJECT_BYTES,
            format!(
                "with this key the stored object would have at least {object} bytes, etcd takes {MAX_OBJECT_BYTES}; \
                 delete keys or spread them over several stores"
            ),
        ));
    }
    Ok(())
}

/// Bytes of all values, and of all entries as stored, once `op` is done.
pub(crate) fn sizes_after(op: &Op, base: &Snapshot) -> (u64, u64) {
    let usage = base.usage();
    let Op::Set { key, value, .. } = op else { return (usage.value_bytes, usage.object_bytes) };
    let old =
        base.get(key.as_str()).map(|old| (old.len() as u64, stored_bytes(key.as_str().len(), old.len())));
    let (old_value, old_stored) = old.unwrap_or_default();
    (
        usage.value_bytes - old_value + value.len() as u64,
        usage.object_bytes - old_stored + stored_bytes(key.as_str().len(), value.len()),
    )
}

impl Patch {
    pub fn op(&self) -> &Op {
        &self.op
    }

    pub fn side(&self) -> Side {
        self.side
    }

    /// Whether the server may find the key in the other map and refuse: the
    /// patch then leaves that one alone, and the refusal tells.
    pub fn assumes_side(&self) -> bool {
        matches!(&self.op, Op::Set { value, .. } if self.side == Side::Text || is_text(value))
    }

    /// The strategic merge patch; `null` removes a key, absent ones included.
    /// With the whole map known it moves a key that changes sides.
    pub fn to_strategic(&self, whole: bool) -> Json {
        let mut metadata = Map::new();
        metadata.insert("resourceVersion".into(), self.base.revision.as_str().into());
        if let Some(stamp) = &self.stamp {
            metadata.insert("annotations".into(), json!({ STAMP: stamp }));
        }
        let mut patch = json!({ "metadata": metadata });
        match &self.op {
            Op::Set { key, value, .. } => {
                let (field, encoded) = encode(self.side, value);
                patch[field] = json!({ key.as_str(): encoded });
                if whole || !self.assumes_side() {
                    patch[other(field)] = json!({ key.as_str(): null });
                }
            }
            Op::Delete { key } => {
                patch["data"] = json!({ key.as_str(): null });
                patch["binaryData"] = json!({ key.as_str(): null });
            }
            Op::Truncate => {
                patch["data"] = Json::Null;
                patch["binaryData"] = Json::Null;
            }
        }
        patch
    }

    /// The same change to a whole object that was read at the base's version.
    pub fn edit(&self, object: &mut Json) {
        object["metadata"]["resourceVersion"] = self.base.revision.as_str().into();
        if let Some(stamp) = &self.stamp {
            object["metadata"]["annotations"][STAMP] = stamp.as_str().into();
        }
        self.op.edit(self.side, object);
    }
}

fn encode(side: Side, value: &[u8]) -> (&'static str, Json) {
    match (side, std::str::from_utf8(value)) {
        (Side::Text, Ok(text)) => ("data", text.into()),
        _ => ("binaryData", STANDARD.encode(value).into()),
    }
}

fn other(field: &str) -> &'static str {
    if field == "data" { "binaryData" } else { "data" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn version() -> Version {
        Version { uid: "u".into(), revision: Revision::new("5").unwrap() }
    }

    fn set(key: &str, value: &[u8]) -> Op {
        Op::Set { key: Key::new(key).unwrap(), value: Bytes::copy_from_slice(value), force: false }
    }

    fn whole(entries: &[(&str, &[u8], Side)]) -> Base {
        let entries = entries.iter().map(|&(key, value, side)| {
            (key.to_owned(), Entry { value: Value(Bytes::copy_from_slice(value)), side })
        });
        Base::Whole(Snapshot::new(version(), entries.collect()))
    }

    fn patch(op: &Op, base: &Base, assumed: Side) -> Json {
        match plan(op, base, assumed, false, "n0nce").unwrap() {
            Plan::Patch(patch) => patch.to_strategic(matches!(base, Base::Whole(_))),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_patch_names_its_key_and_its_revision_only() {
        let sent = patch(&set("k", b"v"), &Base::Version(version()), Side::Binary);
        assert_eq!(sent, json!({"metadata": {"resourceVersion": "5"}, "binaryData": {"k": "dg=="}}));
        let sent = patch(&set("k", b"v"), &Base::Version(version()), Side::Text);
        assert_eq!(sent, json!({"metadata": {"resourceVersion": "5"}, "data": {"k": "v"}}));
    }

    #[test]
    fn bytes_that_are_no_text_move_the_key() {
        let sent = patch(&set("k", &[0xff]), &whole(&[("k", b"v", Side::Text)]), Side::Binary);
        assert_eq!(sent["binaryData"], json!({"k": "/w=="}));
        assert_eq!(sent["data"], json!({"k": null}));
        let sent = patch(&set("k", &[0xff]), &Base::Version(version()), Side::Text);
        assert_eq!(sent["data"], json!({"k": null}));
    }

    #[test]
    fn text_stays_text_and_binary_stays_binary() {
        let base = whole(&[("t", b"v", Side::Text), ("b", b"v", Side::Binary)]);
        assert_eq!(patch(&set("t", b"w"), &base, Side::Binary)["data"], json!({"t": "w"}));
        assert_eq!(patch(&set("b", b"w"), &base, Side::Text)["binaryData"], json!({"b": "dw=="}));
    }

    #[test]
    fn nothing_is_sent_for_nothing() {
        let base = whole(&[("k", b"v", Side::Binary)]);
        for op in [set("k", b"v"), Op::Delete { key: Key::new("x").unwrap() }] {
            assert!(matches!(plan(&op, &base, Side::Binary, false, ""), Ok(Plan::Nothing(Some(_)))));
        }
        assert!(matches!(
            plan(&Op::Truncate, &Base::Missing, Side::Binary, false, ""),
            Ok(Plan::Nothing(None))
        ));
        assert!(matches!(plan(&set("k", b""), &Base::Missing, Side::Binary, false, ""), Ok(Plan::Create)));
    }

    #[test]
    fn a_forced_set_is_stamped() {
        let op = Op::Set { key: Key::new("k").unwrap(), value: Bytes::from_static(b"v"), force: true };
        let sent = patch(&op, &whole(&[("k", b"v", Side::Binary)]), Side::Binary);
        assert_eq!(sent["metadata"]["annotations"], json!({"mapstore/last-write": "n0nce"}));
    }

    #[test]
    fn the_sum_is_checked_to_the_byte() {
        let base = whole(&[("a", &vec![0; 1_000_000], Side::Binary), ("b", &[0; 10], Side::Binary)]);
        assert!(plan(&set("b", &vec![0; 48_576]), &base, Side::Binary, false, "").is_ok());
        let error = plan(&set("b", &vec![0; 48_577]), &base, Side::Binary, false, "").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert_eq!(error.used_and_limit(), Some((Some(1_048_577), 1_048_576)));
    }

    #[test]
    fn a_map_is_made_with_its_first_key() {
        let made = set("k", b"v").made_of(json!({"kind": "ConfigMap"}), true);
        assert_eq!(made, json!({"kind": "ConfigMap", "data": {"k": "v"}}));
        let made = set("k", &[0xff]).made_of(json!({}), true);
        assert_eq!(made, json!({"binaryData": {"k": "/w=="}}));
    }

    #[test]
    fn an_edit_keeps_what_it_does_not_know() {
        let Ok(Plan::Patch(patch)) =
            plan(&set("t", &[0xff]), &whole(&[("t", b"v", Side::Text)]), Side::Binary, false, "")
        else {
            panic!()
        };
        let mut object = json!({"metadata": {"labels": {"a": "b"}, "resourceVersion": "4"}, "data": {"t": "v", "o": "x"}, "new": 1});
        patch.edit(&mut object);
        let wanted = json!({"metadata": {"labels": {"a": "b"}, "resourceVersion": "5"}, "data": {"o": "x"},
                            "binaryData": {"t": "/w=="}, "new": 1});
        assert_eq!(object, wanted);
    }
}
