//! How large the request is that etcd would get: the real server's limit on
//! objects with many keys. Protobuf sizes only, nothing is encoded. Pure.

use crate::object::{ManagedFieldsEntry, Object, ObjectMeta, OwnerReference};

/// etcd's default --max-request-bytes (server/embed/config.go).
const ETCD_REQUEST: usize = 1_572_864;
/// The etcd client's default limit on a message it sends (client/v3/client.go).
const CLIENT_MESSAGE: usize = 2 * 1024 * 1024;

/// etcd's refusal of this object, if it has one. `revision` is the stored
/// object's, None for a new one.
pub fn refusal(cm: &Object, revision: Option<u64>) -> Option<String> {
    let value = stored(cm);
    let key = "/registry///".len()
        + cm.kind.resource().len()
        + cm.metadata.namespace.len()
        + cm.metadata.name.len();
    let txn = transaction(key, value, revision);
    if txn > CLIENT_MESSAGE {
        return Some(format!(
            "rpc error: code = ResourceExhausted desc = trying to send message larger than max ({txn} vs. {CLIENT_MESSAGE})"
        ));
    }
    // raft wraps the transaction with a header that holds a 64-bit request id.
    let header = 2 + bytes(1 + 9);
    let internal = header + 1 + length(txn);
    (internal > ETCD_REQUEST).then(|| "etcdserver: request is too large".into())
}

/// The transaction of storage/etcd3 (OptimisticPut): compare the key's
/// modification revision, put, and on failure of an update read the key back.
fn transaction(key: usize, value: usize, revision: Option<u64>) -> usize {
    let compare = 2 + bytes(key) + 1 + varint(revision.unwrap_or(0));
    let put = bytes(bytes(key) + bytes(value));
    let read = if revision.is_some() { bytes(bytes(bytes(key))) } else { 0 };
    bytes(compare) + bytes(put) + read
}

/// The stored value: a magic number and runtime.Unknown{TypeMeta, raw, "", ""}.
fn stored(cm: &Object) -> usize {
    let type_meta = bytes(cm.kind.api_version().len()) + bytes(cm.kind.name().len());
    4 + bytes(type_meta) + bytes(object(cm)) + 2 * bytes(0)
}

fn varint(n: u64) -> usize {
    (64 - (n | 1).leading_zeros() as usize).div_ceil(7)
}

/// A length-delimited field's content with its length.
fn length(n: usize) -> usize {
    varint(n as u64) + n
}

/// A length-delimited field with a tag below 16.
fn bytes(n: usize) -> usize {
    1 + length(n)
}

/// A string field as gogo's generator writes it, empty or not.
fn string(s: &str) -> usize {
    bytes(s.len())
}

fn object(cm: &Object) -> usize {
    let data: usize = cm.data.iter().map(|(k, v)| bytes(string(k) + string(v))).sum();
    let binary: usize = cm.binary_data.iter().map(|(k, v)| bytes(string(k) + bytes(v.len()))).sum();
    bytes(meta(&cm.metadata)) + data + binary + cm.immutable.map_or(0, |_| 2)
}

fn time(text: &str) -> usize {
    let seconds = crate::gostr::seconds(text).unwrap_or(0).max(0) as u64;
    bytes(1 + varint(seconds) + 2)
}

fn meta(m: &ObjectMeta) -> usize {
    let pairs = m.labels.iter().chain(&m.annotations);
    let maps: usize = pairs.map(|(k, v)| bytes(string(k) + string(v))).sum();
    let owners: usize = m.owner_references.iter().map(|o| bytes(owner(o))).sum();
    let finalizers: usize = m.finalizers.iter().map(|f| string(f)).sum();
    let entries = m.managed_fields.iter().flatten();
    // Field 17 has a two-byte tag.
    let managed: usize = entries.map(|e| 1 + bytes(entry(e))).sum();
    string(&m.name)
        + string(&m.generate_name)
        + string(&m.namespace)
        // selfLink and resourceVersion are stored empty
        + string(&m.uid) + 2 * bytes(0)
        + 1 + varint(m.generation.max(0) as u64)
        + time(&m.creation_timestamp)
        + m.deletion_timestamp.as_deref().map_or(0, time)
        + m.deletion_grace_period_seconds.map_or(0, |n| 1 + varint(n.max(0) as u64))
        + maps + owners + finalizers + managed
}

fn owner(o: &OwnerReference) -> usize {
    string(&o.kind)
        + string(&o.name)
        + string(&o.uid)
        + string(&o.api_version)
        + 2 * (usize::from(o.controller.is_some()) + usize::from(o.block_owner_deletion.is_some()))
}

fn entry(e: &ManagedFieldsEntry) -> usize {
    let fields = e
        .fields_v1
        .as_ref()
        .map_or(0, |f| bytes(bytes(serde_json::to_string(f).map_or(0, |text| text.len()))));
    string(&e.manager)
        + string(&e.operation)
        + string(&e.api_version)
        + e.time.as_deref().map_or(0, time)
        + string(&e.fields_type)
        + fields
        + string(&e.subresource)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_grow_every_seven_bits() {
        assert_eq!([0, 127, 128, 16_384].map(varint), [1, 1, 2, 3]);
        assert_eq!(varint(u64::MAX), 10);
    }

    /// The edges of a real kube-apiserver v1.36.3 with etcd 3.6, found by bisection.
    #[test]
    fn edges_are_the_real_servers() {
        let edge = |name: &str, filler: usize, revision: Option<u64>| {
            let mut cm = Object::default();
            let m = &mut cm.metadata;
            (m.name, m.namespace, m.uid) = (name.into(), "default".into(), "u".repeat(36));
            m.creation_timestamp = "2026-11-23T01:50:00Z".into();
            for i in 0..6_000 {
                cm.data.insert(format!("{i:0253}"), String::new());
            }
            cm.data.insert("z".into(), "x".repeat(filler));
            refusal(&cm, revision).is_some()
        };
        let long = "a-longer-name-for-the-edge";
        for (name, filler, revision) in
            [("edge", 6_647, None), ("edge", 6_607, Some(406)), (long, 6_581, None), (long, 6_519, Some(406))]
        {
            assert!(!edge(name, filler, revision), "{name} {filler}");
            assert!(edge(name, filler + 1, revision), "{name} {filler} + 1");
        }
    }

    #[test]
    fn many_small_keys_hit_etcds_limit_before_the_sum_of_values() {
        let mut cm = Object::default();
        cm.metadata.name = "x".into();
        for i in 0..6_000 {
            cm.data.insert(format!("{i:0250}"), String::new());
        }
        assert_eq!(refusal(&cm, None), None);
        for i in 6_000..6_200 {
            cm.data.insert(format!("{i:0250}"), String::new());
        }
        assert_eq!(refusal(&cm, Some(7)).unwrap(), "etcdserver: request is too large");
        for i in 6_200..9_000 {
            cm.data.insert(format!("{i:0250}"), String::new());
        }
        assert!(refusal(&cm, Some(7)).unwrap().contains("larger than max"));
    }
}
