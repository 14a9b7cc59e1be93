//! The map at one revision: values, entries, their sizes. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;

use super::revision::Revision;

/// The bytes of one value: immutable, cheap to clone, readable as `&[u8]`.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Value(pub(crate) Bytes);

impl Deref for Value {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Value {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// The length only: a value may be nobody's business.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value({} bytes)", self.0.len())
    }
}

/// Which of the ConfigMap's two maps a key lives in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// `data`: UTF-8 text, as kubectl writes it.
    Text,
    /// `binaryData`: any bytes.
    Binary,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub value: Value,
    pub side: Side,
}

/// Which of the two maps a store uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Both; new keys are binary.
    #[default]
    Bytes,
    /// Both; new keys are text where their value is.
    Text,
    /// `binaryData` alone: keys in `data` are not seen, not counted and not touched.
    BinaryOnly,
}

impl Layout {
    pub fn sees(self, entry: &Entry) -> bool {
        self != Layout::BinaryOnly || entry.side == Side::Binary
    }
}

impl Side {
    /// The field of the ConfigMap.
    pub fn field(self) -> &'static str {
        match self {
            Side::Text => "data",
            Side::Binary => "binaryData",
        }
    }

    pub fn other(self) -> Side {
        match self {
            Side::Text => Side::Binary,
            Side::Binary => Side::Text,
        }
    }
}

/// Which object, and which state of it: a deleted and recreated map has
/// another uid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub uid: String,
    pub revision: Revision,
    pub fields: ManagedFields,
}

/// What the API server keeps of who manages which field. On a large map it is
/// most of the server's work; nobody misses it unless server-side apply is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ManagedFields {
    /// The list is empty: dropped already, or never begun.
    #[default]
    None,
    /// The list holds updates only.
    Sheddable,
    /// Somebody applies this map, from the client's side or the server's; the next apply would miss them.
    Applied,
    /// The list is empty, and somebody applies this map from the client's side. At a change to
    /// server-side apply kubectl takes over, and prunes, every key that has no manager then: an
    /// entry of our own has to begin.
    Unguarded,
}

impl Version {
    #[cfg(test)]
    pub fn at(uid: &str, revision: Revision) -> Self {
        Version { uid: uid.into(), revision, fields: ManagedFields::None }
    }
}

/// The whole map at one revision: immutable, cheap to clone, sorted by key.
#[derive(Clone, Default)]
pub struct Snapshot(Arc<Contents>);

#[derive(Clone, Default)]
struct Contents {
    version: Option<Version>,
    entries: Entries,
}

/// Keys and values, sorted by key, with their sizes added up.
#[derive(Clone, Default)]
pub(crate) struct Entries {
    map: BTreeMap<String, Entry>,
    totals: Totals,
    /// How many of them are text.
    texts: usize,
}

/// Sizes of all entries together, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub keys: u64,
    pub values: u64,
    /// As they are stored, without the object's metadata.
    pub object: u64,
}

impl Totals {
    pub fn add(&mut self, key: &str, value: &Value) {
        self.keys += key.len() as u64;
        self.values += value.len() as u64;
        self.object += stored_bytes(key.len(), value.len());
    }

    pub fn remove(&mut self, key: &str, value: &Value) {
        self.keys -= key.len() as u64;
        self.values -= value.len() as u64;
        self.object -= stored_bytes(key.len(), value.len());
    }
}

impl Entries {
    pub fn insert(&mut self, key: String, entry: Entry) {
        self.totals.add(&key, &entry.value);
        self.remove(&key);
        self.texts += usize::from(entry.side == Side::Text);
        self.map.insert(key, entry);
    }

    pub fn remove(&mut self, key: &str) {
        if let Some(old) = self.map.remove(key) {
            self.totals.remove(key, &old.value);
            self.texts -= usize::from(old.side == Side::Text);
        }
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Snapshot {
    pub(crate) fn new(version: Version, entries: Entries) -> Self {
        Snapshot(Arc::new(Contents { version: Some(version), entries }))
    }

    /// The ConfigMap doesn't exist: an empty map without a revision.
    pub(crate) fn missing() -> Self {
        Self::default()
    }

    pub(crate) fn version(&self) -> Option<&Version> {
        self.0.version.as_ref()
    }

    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.0.entries.map.get(key)
    }

    /// The value, if a store with this layout sees it.
    pub(crate) fn get_in(&self, key: &str, layout: Layout) -> Option<&Value> {
        self.entry(key).filter(|entry| layout.sees(entry)).map(|entry| &entry.value)
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = (&String, &Entry)> {
        self.0.entries.map.iter()
    }

    /// What a store with this layout sees of it.
    pub(crate) fn seen_by(self, layout: Layout) -> Self {
        if layout != Layout::BinaryOnly || self.0.entries.texts == 0 {
            return self;
        }
        let mut entries = Entries::default();
        for (key, entry) in self.entries().filter(|(_, entry)| layout.sees(entry)) {
            entries.insert(key.clone(), entry.clone());
        }
        Snapshot(Arc::new(Contents { version: self.version().cloned(), entries }))
    }

    pub(crate) fn totals(&self) -> Totals {
        self.0.entries.totals
    }

    /// The same map with `change` made, at its new version. Copies the index
    /// only if somebody still holds the old one.
    pub(crate) fn changed(mut self, version: Version, change: impl FnOnce(&mut Entries)) -> Self {
        let contents = Arc::make_mut(&mut self.0);
        contents.version = Some(version);
        change(&mut contents.entries);
        self
    }

    /// The revision of the map, `None` if it didn't exist.
    pub fn revision(&self) -> Option<&Revision> {
        self.0.version.as_ref().map(|version| &version.revision)
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.0.entries.map.len()
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.0.entries.map.is_empty()
    }

    /// The value of `key`. A key that could not exist is absent.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The keys, sorted by their bytes.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.entries.map.keys().map(String::as_str)
    }

    /// Keys and values, sorted by key.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.0.entries.map.iter().map(|(key, entry)| (key.as_str(), &entry.value))
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Snapshot({} keys at {:?})", self.len(), self.revision())
    }
}

/// What one entry takes in the object as the API server stores it: a protobuf
/// map entry (k8s.io/api/core/v1/generated.proto, message ConfigMap).
pub(crate) fn stored_bytes(key_len: usize, value_len: usize) -> u64 {
    let field = |len: usize| 1 + varint_bytes(len) + len;
    field(field(key_len) + field(value_len)) as u64
}

fn varint_bytes(number: usize) -> usize {
    (usize::BITS - (number | 1).leading_zeros()).div_ceil(7) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_varints() {
        for (number, bytes) in
            [(0, 1), (127, 1), (128, 2), (16_383, 2), (16_384, 3), (1 << 20, 3), (1 << 21, 4)]
        {
            assert_eq!(varint_bytes(number), bytes, "{number}");
        }
    }

    #[test]
    fn a_value_is_not_shown() {
        assert_eq!(format!("{:?}", Value(Bytes::from_static(b"secret"))), "Value(6 bytes)");
    }

    #[test]
    fn sizes_are_added_up_as_entries_come_and_go() {
        let entry =
            |value: &'static [u8]| Entry { value: Value(Bytes::from_static(value)), side: Side::Text };
        let mut entries = Entries::default();
        entries.insert("key".into(), entry(b"12345"));
        entries.insert("k".into(), entry(b"1"));
        entries.insert("key".into(), entry(b"123"));
        assert_eq!(
            entries.totals,
            Totals { keys: 4, values: 4, object: stored_bytes(3, 3) + stored_bytes(1, 1) }
        );
        entries.remove("key");
        entries.remove("nothing");
        entries.remove("k");
        assert_eq!(entries.totals, Totals::default());
    }
}
