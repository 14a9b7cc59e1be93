//! The map at one revision, and the cell that holds the newest one.
//! No I/O: whatever was read or written comes in through [`CacheCell::apply`].

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;

use crate::entry::{MAX_OBJECT_BYTES, MAX_VALUES_BYTES, Revision};

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

/// Which object, and which state of it: a deleted and recreated map has
/// another uid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub uid: String,
    pub revision: Revision,
}

/// The whole map at one revision: immutable, cheap to clone, sorted by key.
#[derive(Clone, Default)]
pub struct Snapshot(Arc<Contents>);

#[derive(Clone, Default)]
struct Contents {
    version: Option<Version>,
    entries: BTreeMap<String, Entry>,
}

impl Snapshot {
    pub(crate) fn new(version: Version, entries: BTreeMap<String, Entry>) -> Self {
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
        self.0.entries.get(key)
    }

    /// The same map with `change` made, at its new version. Copies the index
    /// only if somebody still holds the old one.
    pub(crate) fn changed(
        mut self,
        version: Version,
        change: impl FnOnce(&mut BTreeMap<String, Entry>),
    ) -> Self {
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
        self.0.entries.len()
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.0.entries.is_empty()
    }

    /// The value of `key`. A key that could not exist is absent.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.entries.get(key).map(|entry| &entry.value)
    }

    /// The keys, sorted by their bytes.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.entries.keys().map(String::as_str)
    }

    /// Keys and values, sorted by key.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.0.entries.iter().map(|(key, entry)| (key.as_str(), &entry.value))
    }

    pub(crate) fn usage(&self) -> Usage {
        let mut usage = Usage {
            keys: self.len() as u64,
            key_bytes: 0,
            value_bytes: 0,
            value_limit: MAX_VALUES_BYTES,
            object_bytes: 0,
            object_limit: MAX_OBJECT_BYTES,
        };
        for (key, value) in self.iter() {
            usage.key_bytes += key.len() as u64;
            usage.value_bytes += value.len() as u64;
            usage.object_bytes += stored_bytes(key.len(), value.len());
        }
        usage
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Snapshot({} keys at {:?})", self.len(), self.revision())
    }
}

/// How full a store is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// How many keys there are.
    pub keys: u64,
    /// Bytes of all keys together.
    pub key_bytes: u64,
    /// Bytes of all values together; Kubernetes allows `value_limit`.
    pub value_bytes: u64,
    /// The most `value_bytes` can be: [`MAX_VALUES_BYTES`](crate::MAX_VALUES_BYTES).
    pub value_limit: u64,
    /// Bytes the keys and values take in the stored object, without its
    /// metadata; etcd allows about `object_limit`.
    pub object_bytes: u64,
    /// The most bytes etcd takes: [`MAX_OBJECT_BYTES`](crate::MAX_OBJECT_BYTES).
    pub object_limit: u64,
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

/// The newest snapshot of a cached store.
#[derive(Default)]
pub(crate) struct CacheCell(RwLock<Snapshot>);

impl CacheCell {
    pub fn load(&self) -> Snapshot {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One look-up without taking part in the snapshot's reference count.
    pub fn get(&self, key: &str) -> Option<Value> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// The only way in. The caller has the order: the writer, which does one
    /// thing at a time.
    pub fn apply(&self, change: impl FnOnce(Snapshot) -> Snapshot) {
        let mut cell = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::take(&mut *cell);
        *cell = change(old);
    }
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
    fn a_snapshot_stays_as_it_was() {
        let version = |r: &str| Version { uid: "u".into(), revision: Revision::new(r).unwrap() };
        let cell = CacheCell::default();
        cell.apply(|_| Snapshot::new(version("1"), BTreeMap::new()));
        let before = cell.load();
        cell.apply(|old| {
            old.changed(version("2"), |entries| {
                let value = Value(Bytes::from_static(b"v"));
                entries.insert("k".into(), Entry { value, side: Side::Binary });
            })
        });
        assert!(before.is_empty());
        assert_eq!(cell.load().keys().collect::<Vec<_>>(), ["k"]);
    }
}
