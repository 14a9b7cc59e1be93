//! managedFields: who wrote which field. The twin of apimachinery's
//! util/managedfields for writes that aren't server-side apply, over the
//! fields that our kinds have. Pure but for the time, which the caller gives.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::kind::Kind;
use crate::object::{LeaseSpec, ManagedFieldsEntry, Object, ObjectMeta, OwnerReference, Strings};

/// More than this many Update entries, and the oldest become one (fieldmanager.go).
const MAX_UPDATERS: usize = 10;
const ANCIENT: &str = "ancient-changes";

/// A set of field paths (FieldsV1): a node is in the set itself, or on the way
/// to others, or both.
#[derive(Clone, Debug, Default, PartialEq)]
struct Fields {
    member: bool,
    children: BTreeMap<String, Fields>,
}

impl Fields {
    fn add(&mut self, path: &[&str]) {
        match path.split_first() {
            None => self.member = true,
            Some((first, rest)) => self.children.entry((*first).into()).or_default().add(rest),
        }
    }

    fn is_empty(&self) -> bool {
        !self.member && self.children.values().all(Fields::is_empty)
    }

    fn union(&mut self, other: &Fields) {
        self.member |= other.member;
        for (key, child) in &other.children {
            self.children.entry(key.clone()).or_default().union(child);
        }
    }

    fn subtract(&mut self, other: &Fields) {
        self.member &= !other.member;
        for (key, child) in &other.children {
            if let Some(mine) = self.children.get_mut(key) {
                mine.subtract(child);
                if mine.is_empty() {
                    self.children.remove(key);
                }
            }
        }
    }

    fn to_json(&self) -> Value {
        let mut map = Map::new();
        if self.member && !self.children.is_empty() {
            map.insert(".".into(), json!({}));
        }
        for (key, child) in &self.children {
            map.insert(key.clone(), child.to_json());
        }
        Value::Object(map)
    }

    fn from_json(value: &Value) -> Option<Fields> {
        let mut fields = Fields::default();
        for (key, child) in value.as_object()? {
            match (key.as_str(), child.as_object()?) {
                (".", _) => fields.member = true,
                (_, leaf) if leaf.is_empty() => {
                    fields.children.entry(key.clone()).or_default().member = true;
                }
                _ => drop(fields.children.insert(key.clone(), Fields::from_json(child)?)),
            }
        }
        Some(fields)
    }
}

/// A field's value, to be compared only.
#[derive(PartialEq)]
enum Leaf<'a> {
    /// A map or list is there, whatever it holds.
    Container,
    Bool(bool),
    Number(i64),
    Text(&'a str),
    Bytes(&'a [u8]),
    Owner(&'a OwnerReference),
}

type Leaves<'a> = BTreeMap<Vec<String>, Leaf<'a>>;

fn put<'a>(out: &mut Leaves<'a>, path: &[&str], value: Leaf<'a>) {
    out.insert(path.iter().map(|part| part.to_string()).collect(), value);
}

/// Every field of an object with its value. What stripmeta.go takes out of
/// every set isn't listed to begin with.
fn fields_of(object: &Object) -> Leaves<'_> {
    let mut out = Leaves::new();
    match object.kind {
        Kind::ConfigMap => config_map_fields(&mut out, object),
        Kind::Lease => lease_fields(&mut out, &object.spec),
    }
    metadata_fields(&mut out, &object.metadata);
    out
}

fn config_map_fields<'a>(out: &mut Leaves<'a>, cm: &'a Object) {
    if let Some(immutable) = cm.immutable {
        put(out, &["f:immutable"], Leaf::Bool(immutable));
    }
    texts(out, &["f:data"], &cm.data);
    if !cm.binary_data.is_empty() {
        put(out, &["f:binaryData"], Leaf::Container);
    }
    for (key, value) in &cm.binary_data {
        put(out, &["f:binaryData", &format!("f:{key}")], Leaf::Bytes(value));
    }
}

fn lease_fields<'a>(out: &mut Leaves<'a>, spec: &'a LeaseSpec) {
    let text = |text: &'a Option<String>| text.as_deref().map(Leaf::Text);
    for (name, value) in [
        ("f:holderIdentity", text(&spec.holder_identity)),
        ("f:leaseDurationSeconds", spec.lease_duration_seconds.map(Leaf::Number)),
        ("f:acquireTime", text(&spec.acquire_time)),
        ("f:renewTime", text(&spec.renew_time)),
        ("f:leaseTransitions", spec.lease_transitions.map(Leaf::Number)),
        ("f:strategy", text(&spec.strategy)),
        ("f:preferredHolder", text(&spec.preferred_holder)),
    ] {
        if let Some(value) = value {
            put(out, &["f:spec", name], value);
        }
    }
}

fn metadata_fields<'a>(out: &mut Leaves<'a>, m: &'a ObjectMeta) {
    if !m.generate_name.is_empty() {
        put(out, &["f:metadata", "f:generateName"], Leaf::Text(&m.generate_name));
    }
    texts(out, &["f:metadata", "f:labels"], &m.labels);
    texts(out, &["f:metadata", "f:annotations"], &m.annotations);
    if !m.owner_references.is_empty() {
        put(out, &["f:metadata", "f:ownerReferences"], Leaf::Container);
    }
    for owner in &m.owner_references {
        let key = format!("k:{}", json!({"uid": owner.uid}));
        put(out, &["f:metadata", "f:ownerReferences", &key], Leaf::Owner(owner));
    }
    if !m.finalizers.is_empty() {
        put(out, &["f:metadata", "f:finalizers"], Leaf::Container);
    }
    for finalizer in &m.finalizers {
        let key = format!("v:{}", json!(finalizer));
        put(out, &["f:metadata", "f:finalizers", &key], Leaf::Text(finalizer));
    }
}

/// A map of texts.
fn texts<'a>(out: &mut Leaves<'a>, path: &[&str], map: &'a Strings) {
    if !map.is_empty() {
        put(out, path, Leaf::Container);
    }
    for (key, value) in map {
        put(out, &[path, &[&format!("f:{key}")]].concat(), Leaf::Text(value));
    }
}

/// What changed from one object to the next: written (added or modified) and removed.
fn compare(old: &Object, new: &Object) -> (Fields, Fields) {
    let (old, new) = (fields_of(old), fields_of(new));
    let (mut written, mut removed) = (Fields::default(), Fields::default());
    fn path(p: &[String]) -> Vec<&str> {
        p.iter().map(String::as_str).collect()
    }
    for (p, value) in &new {
        if old.get(p) != Some(value) {
            written.add(&path(p));
        }
    }
    for p in old.keys().filter(|p| !new.contains_key(*p)) {
        removed.add(&path(p));
    }
    (written, removed)
}

struct Managed {
    entry: ManagedFieldsEntry,
    fields: Fields,
}

/// DecodeManagedFields; None if an entry is not valid.
fn decode(entries: &[ManagedFieldsEntry]) -> Option<Vec<Managed>> {
    let valid = |e: &&ManagedFieldsEntry| {
        matches!(e.operation.as_str(), "Apply" | "Update")
            && !e.api_version.is_empty()
            && e.fields_type == "FieldsV1"
    };
    entries
        .iter()
        .map(|e| {
            let entry = Some(e).filter(valid)?.clone();
            let fields = Fields::from_json(entry.fields_v1.as_ref().unwrap_or(&json!({})))?;
            Some(Managed { entry, fields })
        })
        .collect()
}

/// A list that asks to forget all managers: empty, or one empty entry.
fn is_reset(entries: &Option<Vec<ManagedFieldsEntry>>) -> bool {
    match entries.as_deref() {
        Some([]) => true,
        Some([only]) => *only == ManagedFieldsEntry::default(),
        _ => false,
    }
}

/// Sets `new`'s managedFields for a write by `manager`. `old` is the stored
/// object, None when `new` is created.
pub fn update(new: &mut Object, old: Option<&Object>, manager: &str, now: &str) {
    let given = new.metadata.managed_fields.take();
    let live = || {
        let entries = old.and_then(|o| o.metadata.managed_fields.clone()).unwrap_or_default();
        decode(&entries).unwrap_or_default()
    };
    let mut managed = match given.as_deref().and_then(decode) {
        _ if is_reset(&given) => Vec::new(),
        Some(managed) if !managed.is_empty() => managed,
        _ => live(),
    };
    // Once off, it stays off until somebody applies (skipnonapplied.go).
    if managed.is_empty() && old.is_some() {
        return;
    }
    let empty = Object::default();
    let (written, removed) = compare(old.unwrap_or(&empty), new);
    for m in &mut managed {
        m.fields.subtract(&written);
        m.fields.subtract(&removed);
    }
    managed.retain(|m| !m.fields.is_empty());
    if !written.is_empty() {
        let manager = if manager.is_empty() { "unknown" } else { manager };
        record(&mut managed, manager, new.kind.api_version(), written, now);
    }
    cap(&mut managed);
    new.metadata.managed_fields = encode(managed);
}

fn record(managed: &mut Vec<Managed>, manager: &str, version: &str, written: Fields, now: &str) {
    let mine = |m: &&mut Managed| {
        let e = &m.entry;
        e.manager == manager
            && e.operation == "Update"
            && e.api_version == version
            && e.subresource.is_empty()
    };
    if let Some(m) = managed.iter_mut().find(mine) {
        m.fields.union(&written);
        m.entry.time = Some(now.into());
        return;
    }
    let entry = ManagedFieldsEntry {
        manager: manager.into(),
        operation: "Update".into(),
        api_version: version.into(),
        time: Some(now.into()),
        fields_type: "FieldsV1".into(),
        ..ManagedFieldsEntry::default()
    };
    managed.push(Managed { entry, fields: written });
}

/// capmanagers.go: the oldest updaters become one entry.
fn cap(managed: &mut Vec<Managed>) {
    let updaters = managed.iter().filter(|m| m.entry.operation == "Update").count();
    if updaters <= MAX_UPDATERS {
        return;
    }
    managed.sort_by_key(|m| (m.entry.operation.clone(), m.entry.time.clone(), m.entry.manager.clone()));
    let applied = managed.len() - updaters;
    let surplus = updaters - MAX_UPDATERS + 1;
    let old: Vec<Managed> = managed.drain(applied..applied + surplus).collect();
    let mut bucket = Fields::default();
    let mut entry = ManagedFieldsEntry::default();
    for m in old {
        bucket.union(&m.fields);
        entry = m.entry;
    }
    entry.manager = ANCIENT.into();
    managed.push(Managed { entry, fields: bucket });
}

/// encodeManagedFields: by operation, time, manager.
fn encode(mut managed: Vec<Managed>) -> Option<Vec<ManagedFieldsEntry>> {
    if managed.is_empty() {
        return None;
    }
    managed.sort_by(|a, b| {
        let key = |m: &Managed| {
            let e = &m.entry;
            (e.operation.clone(), e.time.clone(), e.manager.clone(), e.api_version.clone())
        };
        key(a).cmp(&key(b))
    });
    let entries =
        managed.into_iter().map(|m| ManagedFieldsEntry { fields_v1: Some(m.fields.to_json()), ..m.entry });
    Some(entries.collect())
}

/// If nothing but times changed, the old times stay, so that an equal write
/// makes no revision (IgnoreManagedFieldsTimestampsTransformer).
pub fn keep_times(new: &mut Object, old: &Object) {
    let timeless = |entries: &Option<Vec<ManagedFieldsEntry>>| -> Vec<ManagedFieldsEntry> {
        let entries = entries.iter().flatten();
        entries.map(|e| ManagedFieldsEntry { time: None, ..e.clone() }).collect()
    };
    if timeless(&new.metadata.managed_fields) == timeless(&old.metadata.managed_fields) {
        new.metadata.managed_fields = old.metadata.managed_fields.clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cm(pairs: &[(&str, &str)]) -> Object {
        let data = pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        Object { data, ..Object::default() }
    }

    fn entries(cm: &Object) -> Vec<(String, Value)> {
        let entries = cm.metadata.managed_fields.iter().flatten();
        entries.map(|e| (e.manager.clone(), e.fields_v1.clone().unwrap())).collect()
    }

    #[test]
    fn a_create_and_a_foreign_update() {
        let mut a = cm(&[("x", "1"), ("y", "1")]);
        update(&mut a, None, "one", "t1");
        assert_eq!(entries(&a), [("one".into(), json!({"f:data": {".": {}, "f:x": {}, "f:y": {}}}))]);
        let mut b = cm(&[("x", "2"), ("y", "1"), ("z", "1")]);
        update(&mut b, Some(&a), "two", "t2");
        assert_eq!(
            entries(&b),
            [
                ("one".into(), json!({"f:data": {".": {}, "f:y": {}}})),
                ("two".into(), json!({"f:data": {"f:x": {}, "f:z": {}}})),
            ]
        );
    }

    #[test]
    fn shed_and_off_for_good() {
        let mut a = cm(&[("x", "1")]);
        update(&mut a, None, "one", "t1");
        let mut b = cm(&[("x", "2")]);
        b.metadata.managed_fields = Some(vec![ManagedFieldsEntry::default()]);
        update(&mut b, Some(&a), "one", "t2");
        assert_eq!(b.metadata.managed_fields, None);
        let mut c = cm(&[("x", "3")]);
        update(&mut c, Some(&b), "one", "t3");
        assert_eq!(c.metadata.managed_fields, None);
    }

    #[test]
    fn equal_writes_keep_their_times() {
        let mut a = cm(&[("x", "1")]);
        update(&mut a, None, "one", "t1");
        let mut b = a.clone();
        b.metadata.managed_fields.as_mut().unwrap()[0].time = Some("t2".into());
        keep_times(&mut b, &a);
        assert_eq!(a, b);
    }

    #[test]
    fn at_most_ten_updaters() {
        let mut last = cm(&[("k", "0")]);
        update(&mut last, None, "m00", "t00");
        for i in 1..15 {
            let mut next = last.clone();
            next.data.insert(format!("k{i}"), "v".into());
            next.metadata.managed_fields = None;
            update(&mut next, Some(&last), &format!("m{i:02}"), &format!("t{i:02}"));
            last = next;
        }
        let entries = entries(&last);
        assert_eq!(entries.len(), MAX_UPDATERS);
        assert_eq!(entries[0].0, ANCIENT);
    }
}
