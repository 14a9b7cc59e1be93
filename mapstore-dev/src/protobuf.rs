//! Bodies in protobuf, which `kubectl create` sends: read into the JSON they
//! stand for (k8s.io/api/core/v1/generated.proto and meta/v1's). Reading only;
//! answers are JSON, which every client that sends protobuf takes too. Pure.

use base64::Engine;
use serde_json::{Map, Value, json};

/// What every stored or sent protobuf object starts with.
const MAGIC: &[u8] = b"k8s\0";
/// Messages nest four deep at most; garbage shouldn't nest deeper.
const MAX_DEPTH: usize = 8;

#[derive(Clone, Copy)]
enum Type {
    Text,
    Number,
    Bool,
    Message(&'static [Field]),
    /// A map's entry: key, and text or bytes.
    TextEntry,
    BytesEntry,
    /// Seconds and nanoseconds.
    Time,
    /// The same, written with six digits.
    MicroTime,
    /// Text and numbers behind pointers: there, even if empty or 0.
    TextPointer,
    NumberPointer,
    /// A message around JSON.
    Json,
}

/// Number, JSON name, type, whether it repeats.
type Field = (u64, &'static str, Type, bool);

const OWNER: &[Field] = &[
    (1, "kind", Type::Text, false),
    (3, "name", Type::Text, false),
    (4, "uid", Type::Text, false),
    (5, "apiVersion", Type::Text, false),
    (6, "controller", Type::Bool, false),
    (7, "blockOwnerDeletion", Type::Bool, false),
];
const MANAGED: &[Field] = &[
    (1, "manager", Type::Text, false),
    (2, "operation", Type::Text, false),
    (3, "apiVersion", Type::Text, false),
    (4, "time", Type::Time, false),
    (6, "fieldsType", Type::Text, false),
    (7, "fieldsV1", Type::Json, false),
    (8, "subresource", Type::Text, false),
];
const META: &[Field] = &[
    (1, "name", Type::Text, false),
    (2, "generateName", Type::Text, false),
    (3, "namespace", Type::Text, false),
    (5, "uid", Type::Text, false),
    (6, "resourceVersion", Type::Text, false),
    (7, "generation", Type::Number, false),
    (8, "creationTimestamp", Type::Time, false),
    (9, "deletionTimestamp", Type::Time, false),
    (10, "deletionGracePeriodSeconds", Type::Number, false),
    (11, "labels", Type::TextEntry, true),
    (12, "annotations", Type::TextEntry, true),
    (13, "ownerReferences", Type::Message(OWNER), true),
    (14, "finalizers", Type::Text, true),
    (17, "managedFields", Type::Message(MANAGED), true),
];
const CONFIG_MAP: &[Field] = &[
    (1, "metadata", Type::Message(META), false),
    (2, "data", Type::TextEntry, true),
    (3, "binaryData", Type::BytesEntry, true),
    (4, "immutable", Type::Bool, false),
];
const LEASE_SPEC: &[Field] = &[
    (1, "holderIdentity", Type::TextPointer, false),
    (2, "leaseDurationSeconds", Type::NumberPointer, false),
    (3, "acquireTime", Type::MicroTime, false),
    (4, "renewTime", Type::MicroTime, false),
    (5, "leaseTransitions", Type::NumberPointer, false),
    (6, "strategy", Type::TextPointer, false),
    (7, "preferredHolder", Type::TextPointer, false),
];
const LEASE: &[Field] =
    &[(1, "metadata", Type::Message(META), false), (2, "spec", Type::Message(LEASE_SPEC), false)];
const NAMESPACE: &[Field] = &[
    (1, "metadata", Type::Message(META), false),
    (2, "spec", Type::Message(&[(1, "finalizers", Type::Text, true)]), false),
];
const PRECONDITIONS: &[Field] = &[(1, "uid", Type::Text, false), (2, "resourceVersion", Type::Text, false)];
const DELETE_OPTIONS: &[Field] = &[
    (2, "preconditions", Type::Message(PRECONDITIONS), false),
    (3, "orphanDependents", Type::Bool, false),
    (4, "propagationPolicy", Type::Text, false),
    (5, "dryRun", Type::Text, true),
];
const TYPE_META: &[Field] = &[(1, "apiVersion", Type::Text, false), (2, "kind", Type::Text, false)];

/// The JSON a protobuf body stands for.
pub fn to_json(body: &[u8]) -> Result<Value, String> {
    let wire = body.strip_prefix(MAGIC);
    let wire = wire.ok_or("provided data does not appear to be a protobuf message")?;
    let (mut header, mut raw) = (Map::new(), &[][..]);
    for field in Wire(wire) {
        match field? {
            (1, Payload::Bytes(b)) => header = message(b, TYPE_META, 0)?,
            (2, Payload::Bytes(b)) => raw = b,
            _ => {}
        }
    }
    let schema = match header.get("kind").and_then(Value::as_str) {
        Some("ConfigMap") => CONFIG_MAP,
        Some("Lease") => LEASE,
        Some("Namespace") => NAMESPACE,
        Some("DeleteOptions") => DELETE_OPTIONS,
        _ => &[],
    };
    let mut object = message(raw, schema, 0)?;
    object.append(&mut header);
    Ok(Value::Object(object))
}

enum Payload<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// A fixed-width number, which none of our fields is.
    Other,
}

/// The fields of a message as they come.
struct Wire<'a>(&'a [u8]);

impl<'a> Wire<'a> {
    fn varint(&mut self) -> Result<u64, String> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (first, rest) = self.0.split_first().ok_or("unexpected EOF")?;
            self.0 = rest;
            value |= u64::from(first & 0x7f) << shift;
            if first & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("proto: integer overflow".into())
    }

    fn take(&mut self, n: u64) -> Result<&'a [u8], String> {
        let n = usize::try_from(n).ok().filter(|n| *n <= self.0.len());
        let (taken, rest) = self.0.split_at(n.ok_or("unexpected EOF")?);
        self.0 = rest;
        Ok(taken)
    }

    fn field(&mut self) -> Result<(u64, Payload<'a>), String> {
        let tag = self.varint()?;
        let payload = match tag & 7 {
            0 => Payload::Number(self.varint()?),
            1 => self.take(8).map(|_| Payload::Other)?,
            2 => {
                let length = self.varint()?;
                Payload::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Payload::Other)?,
            kind => return Err(format!("proto: illegal wireType {kind}")),
        };
        Ok((tag >> 3, payload))
    }
}

impl<'a> Iterator for Wire<'a> {
    type Item = Result<(u64, Payload<'a>), String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

fn message(bytes: &[u8], schema: &[Field], depth: usize) -> Result<Map<String, Value>, String> {
    if depth > MAX_DEPTH {
        return Err("proto: nested too deep".into());
    }
    let mut map = Map::new();
    for field in Wire(bytes) {
        let (number, payload) = field?;
        let Some((_, name, kind, repeated)) = schema.iter().find(|(n, ..)| *n == number) else {
            continue;
        };
        if let (Type::TextEntry | Type::BytesEntry, Payload::Bytes(entry)) = (kind, &payload) {
            let (key, value) = map_entry(entry, matches!(kind, Type::BytesEntry))?;
            let slot = map.entry(*name).or_insert_with(|| json!({}));
            slot[key] = value;
            continue;
        }
        let Some(value) = scalar(*kind, payload, depth)? else { continue };
        if *repeated {
            let slot = map.entry(*name).or_insert_with(|| json!([]));
            slot.as_array_mut().into_iter().for_each(|list| list.push(value.clone()));
        } else {
            map.insert((*name).into(), value);
        }
    }
    Ok(map)
}

/// None: Go's zero value, which JSON leaves out.
fn scalar(kind: Type, payload: Payload<'_>, depth: usize) -> Result<Option<Value>, String> {
    Ok(match (kind, payload) {
        (Type::Text, Payload::Bytes(b)) => {
            Some(String::from_utf8_lossy(b)).filter(|s| !s.is_empty()).map(|s| json!(s))
        }
        (Type::Number, Payload::Number(n)) => Some(n).filter(|n| *n != 0).map(|n| json!(n as i64)),
        (Type::Bool, Payload::Number(n)) => Some(json!(n != 0)),
        (Type::Message(schema), Payload::Bytes(b)) => Some(Value::Object(message(b, schema, depth + 1)?)),
        (Type::Time, Payload::Bytes(b)) => Wire(b).find_map(|f| match f {
            Ok((1, Payload::Number(n))) => Some(json!(crate::gostr::rfc3339(n as i64))),
            _ => None,
        }),
        (Type::MicroTime, Payload::Bytes(b)) => Some(json!(micro_time(b)?)),
        (Type::TextPointer, Payload::Bytes(b)) => Some(json!(String::from_utf8_lossy(b))),
        (Type::NumberPointer, Payload::Number(n)) => Some(json!(n as i64)),
        (Type::Json, Payload::Bytes(b)) => Wire(b).find_map(|f| match f {
            Ok((1, Payload::Bytes(raw))) => crate::json::parse(raw).ok().map(|d| d.value),
            _ => None,
        }),
        _ => return Err("proto: wrong wireType".into()),
    })
}

fn micro_time(bytes: &[u8]) -> Result<String, String> {
    let (mut seconds, mut nanos) = (0, 0);
    for field in Wire(bytes) {
        match field? {
            (1, Payload::Number(n)) => seconds = n as i64,
            (2, Payload::Number(n)) => nanos = n,
            _ => {}
        }
    }
    Ok(crate::gostr::rfc3339(seconds).replace('Z', &format!(".{:06}Z", nanos / 1000 % 1_000_000)))
}

fn map_entry(entry: &[u8], binary: bool) -> Result<(String, Value), String> {
    let (mut key, mut value) = (String::new(), json!(""));
    for field in Wire(entry) {
        match field? {
            (1, Payload::Bytes(b)) => key = String::from_utf8_lossy(b).into_owned(),
            (2, Payload::Bytes(b)) if binary => {
                value = json!(base64::prelude::BASE64_STANDARD.encode(b));
            }
            (2, Payload::Bytes(b)) => value = json!(String::from_utf8_lossy(b)),
            _ => {}
        }
    }
    Ok((key, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, content.len() as u8], content].concat()
    }

    fn body() -> Vec<u8> {
        let meta = [field(1, b"x"), field(2, b""), field(11, &[field(1, b"l"), field(2, b"v")].concat())];
        let entry = |v: &[u8]| [field(1, b"k"), field(2, v)].concat();
        let object =
            [field(1, &meta.concat()), field(2, &entry(b"v")), field(3, &entry(&[0xff])), vec![4 << 3, 1]];
        let header = [field(1, b"v1"), field(2, b"ConfigMap")].concat();
        [MAGIC, &field(1, &header), &field(2, &object.concat()), &field(3, b"")].concat()
    }

    #[test]
    fn a_config_map() {
        let want = json!({
            "kind": "ConfigMap", "apiVersion": "v1", "immutable": true,
            "metadata": {"name": "x", "labels": {"l": "v"}},
            "data": {"k": "v"}, "binaryData": {"k": "/w=="},
        });
        assert_eq!(to_json(&body()), Ok(want));
    }

    #[test]
    fn a_lease() {
        let time = [vec![1 << 3, 5], vec![2 << 3, 0xe8, 7]].concat();
        let spec = [field(1, b""), vec![2 << 3, 15], field(4, &time), vec![5 << 3, 0]].concat();
        let object = [field(1, &field(1, b"x")), field(2, &spec)].concat();
        let header = [field(1, b"coordination.k8s.io/v1"), field(2, b"Lease")].concat();
        let body = [MAGIC, &field(1, &header), &field(2, &object)].concat();
        let want = json!({
            "kind": "Lease", "apiVersion": "coordination.k8s.io/v1", "metadata": {"name": "x"},
            "spec": {"holderIdentity": "", "leaseDurationSeconds": 15, "leaseTransitions": 0,
                "renewTime": "1970-01-01T00:00:05.000001Z"},
        });
        assert_eq!(to_json(&body), Ok(want));
    }

    #[test]
    fn garbage_is_an_error_not_a_panic() {
        assert!(to_json(b"{}").is_err());
        let body = body();
        for cut in 0..body.len() {
            let _ = to_json(&body[..cut]);
        }
        for i in 0..body.len() {
            let mut bent = body.clone();
            bent[i] ^= 0xff;
            let _ = to_json(&bent);
        }
    }
}
