//! From JSON to an object, with the complaints of the two decoders the real
//! server has: encoding/json for bodies, JSON patches and merge patches, and
//! runtime/converter.go (FromUnstructured) after a strategic merge. Pure.

use std::collections::BTreeMap;

use base64::Engine;
use serde_json::{Map, Value};

use crate::gostr;
use crate::json;
use crate::kind::Kind;
use crate::object::{LeaseSpec, ManagedFieldsEntry, Object, ObjectMeta, OwnerReference, Strings};

/// Whose error texts to use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Flavour {
    Json,
    Unstructured,
}

/// The object, and the paths of fields it doesn't have.
#[derive(Debug, Default)]
pub struct Decoded {
    pub object: Object,
    pub unknown: Vec<String>,
}

/// Reads an object; the error is the real decoder's text.
pub fn object(value: &Value, wanted: Kind, flavour: Flavour) -> Result<Decoded, String> {
    let none = Map::new();
    let root = match value {
        Value::Object(root) => root,
        Value::Null => &none,
        value => {
            let kind = json::kind(value);
            return Err(format!("json: cannot unmarshal {kind} into Go value of type v1.{}", wanted.name()));
        }
    };
    let mut d = Decoder { kind: wanted, flavour, path: Vec::new(), error: None, unknown: Vec::new() };
    let object = d.root(root);
    match d.error {
        Some(error) => Err(error),
        None => Ok(Decoded { object, unknown: d.unknown }),
    }
}

struct Decoder {
    kind: Kind,
    flavour: Flavour,
    path: Vec<String>,
    /// Both decoders report the first mistake only.
    error: Option<String>,
    unknown: Vec<String>,
}

impl Decoder {
    fn fail(&mut self, error: String) {
        self.error.get_or_insert(error);
    }

    /// `structure` and `wanted` are Go's names for where the value is and what belongs there.
    fn mismatch(&mut self, v: &Value, structure: &str, wanted: &str) {
        let error = match self.flavour {
            Flavour::Json => {
                let kind = match v {
                    Value::Number(n) if wanted == "int64" || wanted == "int32" => format!("number {n}"),
                    v => json::kind(v).to_string(),
                };
                // encoding/json leaves indices out of the path, the strict check doesn't.
                let names: Vec<_> = self.path.iter().filter(|s| !s.starts_with('[')).collect();
                let path = names.into_iter().cloned().collect::<Vec<_>>().join(".");
                format!(
                    "json: cannot unmarshal {kind} into Go struct field {structure}.{path} of type {wanted}"
                )
            }
            Flavour::Unstructured => restore_error(v, wanted),
        };
        self.fail(error);
    }

    fn known(&mut self, map: &Map<String, Value>, names: &[&str]) {
        for key in map.keys().filter(|k| !names.contains(&k.as_str())) {
            let mut path = self.path.clone();
            path.push(key.clone());
            // An index is written onto the name before it: a[0].b
            self.unknown.push(path.join(".").replace(".[", "["));
        }
    }

    fn at<T>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(name.into());
        let value = read(self);
        self.path.pop();
        value
    }

    fn root(&mut self, root: &Map<String, Value>) -> Object {
        let own: &[&str] = match self.kind {
            Kind::ConfigMap => &["immutable", "data", "binaryData"],
            Kind::Lease => &["spec"],
        };
        self.known(root, &[&["kind", "apiVersion", "metadata"], own].concat());
        let mut object = Object { kind: self.kind, ..Object::default() };
        if let Some(v) = root.get("metadata") {
            object.metadata = self.at("metadata", |d| d.metadata(v));
        }
        match self.kind {
            Kind::ConfigMap => {
                let s = "ConfigMap";
                object.immutable = self.field(root, "immutable", s, Self::boolean);
                object.data = self.field(root, "data", s, Self::strings).unwrap_or_default();
                object.binary_data = self.field(root, "binaryData", s, Self::bytes).unwrap_or_default();
            }
            Kind::Lease => {
                object.spec = self.field(root, "spec", "Lease", Self::lease_spec).unwrap_or_default();
            }
        }
        object
    }

    fn lease_spec(&mut self, v: &Value, structure: &str) -> Option<LeaseSpec> {
        let Value::Object(map) = v else {
            self.mismatch(v, structure, "v1.LeaseSpec");
            return None;
        };
        const NAMES: [&str; 7] = [
            "holderIdentity",
            "leaseDurationSeconds",
            "acquireTime",
            "renewTime",
            "leaseTransitions",
            "strategy",
            "preferredHolder",
        ];
        self.known(map, &NAMES);
        let s = "LeaseSpec";
        Some(LeaseSpec {
            holder_identity: self.field(map, "holderIdentity", s, Self::string),
            lease_duration_seconds: self.field(map, "leaseDurationSeconds", s, Self::small_integer),
            acquire_time: self.field(map, "acquireTime", s, Self::micro_time),
            renew_time: self.field(map, "renewTime", s, Self::micro_time),
            lease_transitions: self.field(map, "leaseTransitions", s, Self::small_integer),
            strategy: self.field(map, "strategy", s, Self::string),
            preferred_holder: self.field(map, "preferredHolder", s, Self::string),
        })
    }

    fn small_integer(&mut self, v: &Value, structure: &str) -> Option<i64> {
        v.as_i64().filter(|n| i32::try_from(*n).is_ok()).or_else(|| {
            self.mismatch(v, structure, "int32");
            None
        })
    }

    /// A MicroTime has exactly six digits after the point (meta/v1/micro_time.go).
    fn micro_time(&mut self, v: &Value, structure: &str) -> Option<String> {
        let Value::String(text) = v else {
            self.mismatch(v, structure, "string");
            return None;
        };
        gostr::micro_time(text).map_err(|error| self.fail(error)).ok()
    }

    /// A field that is there and not null; null leaves Go's zero value.
    fn field<T>(
        &mut self,
        map: &Map<String, Value>,
        name: &str,
        structure: &str,
        read: fn(&mut Self, &Value, &str) -> Option<T>,
    ) -> Option<T> {
        match map.get(name) {
            None | Some(Value::Null) => None,
            Some(v) => self.at(name, |d| read(d, v, structure)),
        }
    }

    fn string(&mut self, v: &Value, structure: &str) -> Option<String> {
        match v {
            Value::String(s) => Some(s.clone()),
            Value::Null => Some(String::new()),
            v => {
                self.mismatch(v, structure, "string");
                None
            }
        }
    }

    fn boolean(&mut self, v: &Value, structure: &str) -> Option<bool> {
        v.as_bool().or_else(|| {
            self.mismatch(v, structure, "bool");
            None
        })
    }

    fn integer(&mut self, v: &Value, structure: &str) -> Option<i64> {
        v.as_i64().or_else(|| {
            self.mismatch(v, structure, "int64");
            None
        })
    }

    fn strings(&mut self, v: &Value, structure: &str) -> Option<Strings> {
        let Value::Object(map) = v else {
            self.mismatch(v, structure, "map[string]string");
            return None;
        };
        let pairs = map.iter().filter_map(|(k, v)| Some((k.clone(), self.string(v, structure)?)));
        Some(pairs.collect())
    }

    fn bytes(&mut self, v: &Value, structure: &str) -> Option<BTreeMap<String, Vec<u8>>> {
        let Value::Object(map) = v else {
            self.mismatch(v, structure, "map[string][]uint8");
            return None;
        };
        let mut out = BTreeMap::new();
        for (key, v) in map {
            match v {
                Value::Null => drop(out.insert(key.clone(), Vec::new())),
                Value::String(text) => match base64(text) {
                    Ok(bytes) => drop(out.insert(key.clone(), bytes)),
                    Err(at) => {
                        let error = format!("illegal base64 data at input byte {at}");
                        self.fail(match self.flavour {
                            Flavour::Json => error,
                            Flavour::Unstructured => format!("error decoding from json: {error}"),
                        });
                    }
                },
                v => self.mismatch(v, structure, "[]uint8"),
            }
        }
        Some(out)
    }

    fn list<T>(
        &mut self,
        v: &Value,
        structure: &str,
        wanted: &str,
        read: impl Fn(&mut Self, &Value) -> Option<T>,
    ) -> Option<Vec<T>> {
        let Value::Array(items) = v else {
            self.mismatch(v, structure, wanted);
            return None;
        };
        let mut out = Vec::new();
        for (i, item) in items.iter().enumerate() {
            out.extend(self.at(&format!("[{i}]"), |d| read(d, item)));
        }
        Some(out)
    }

    fn time(&mut self, v: &Value, structure: &str) -> Option<String> {
        match v {
            Value::String(text) if gostr::seconds(text).is_some() => Some(text.clone()),
            Value::String(text) => {
                let layout = "\"2006-01-02T15:04:05Z07:00\"";
                let quoted = gostr::quote(text);
                self.fail(format!("parsing time {quoted} as {layout}: cannot parse {quoted} as \"2006\""));
                None
            }
            v => {
                self.mismatch(v, structure, "string");
                None
            }
        }
    }

    fn metadata(&mut self, v: &Value) -> ObjectMeta {
        let mut m = ObjectMeta::default();
        let Value::Object(map) = v else {
            if !v.is_null() {
                self.mismatch(v, self.kind.name(), "v1.ObjectMeta");
            }
            return m;
        };
        const NAMES: [&str; 15] = [
            "name",
            "generateName",
            "namespace",
            "selfLink",
            "uid",
            "resourceVersion",
            "generation",
            "creationTimestamp",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "labels",
            "annotations",
            "ownerReferences",
            "finalizers",
            "managedFields",
        ];
        self.known(map, &NAMES);
        let s = "ObjectMeta";
        for (name, slot) in [
            ("name", &mut m.name),
            ("generateName", &mut m.generate_name),
            ("namespace", &mut m.namespace),
            ("selfLink", &mut String::new()),
            ("uid", &mut m.uid),
            ("resourceVersion", &mut m.resource_version),
        ] {
            *slot = self.field(map, name, s, Self::string).unwrap_or_default();
        }
        m.generation = self.field(map, "generation", s, Self::integer).unwrap_or_default();
        m.creation_timestamp = self.field(map, "creationTimestamp", s, Self::time).unwrap_or_default();
        m.deletion_timestamp = self.field(map, "deletionTimestamp", s, Self::time);
        m.deletion_grace_period_seconds = self.field(map, "deletionGracePeriodSeconds", s, Self::integer);
        m.labels = self.field(map, "labels", s, Self::strings).unwrap_or_default();
        m.annotations = self.field(map, "annotations", s, Self::strings).unwrap_or_default();
        m.owner_references = self.field(map, "ownerReferences", s, Self::owners).unwrap_or_default();
        m.finalizers = self.field(map, "finalizers", s, Self::string_list).unwrap_or_default();
        m.managed_fields = self.field(map, "managedFields", s, Self::managed);
        m
    }

    fn string_list(&mut self, v: &Value, structure: &str) -> Option<Vec<String>> {
        self.list(v, structure, "[]string", |d, item| d.string(item, structure))
    }

    fn owners(&mut self, v: &Value, structure: &str) -> Option<Vec<OwnerReference>> {
        self.list(v, structure, "[]v1.OwnerReference", |d, item| {
            let Value::Object(map) = item else {
                d.mismatch(item, structure, "v1.OwnerReference");
                return None;
            };
            const NAMES: [&str; 6] =
                ["apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"];
            d.known(map, &NAMES);
            let s = "OwnerReference";
            Some(OwnerReference {
                api_version: d.field(map, "apiVersion", s, Self::string).unwrap_or_default(),
                kind: d.field(map, "kind", s, Self::string).unwrap_or_default(),
                name: d.field(map, "name", s, Self::string).unwrap_or_default(),
                uid: d.field(map, "uid", s, Self::string).unwrap_or_default(),
                controller: d.field(map, "controller", s, Self::boolean),
                block_owner_deletion: d.field(map, "blockOwnerDeletion", s, Self::boolean),
            })
        })
    }

    fn managed(&mut self, v: &Value, structure: &str) -> Option<Vec<ManagedFieldsEntry>> {
        self.list(v, structure, "[]v1.ManagedFieldsEntry", |d, item| {
            let Value::Object(map) = item else {
                d.mismatch(item, structure, "v1.ManagedFieldsEntry");
                return None;
            };
            const NAMES: [&str; 7] =
                ["manager", "operation", "apiVersion", "time", "fieldsType", "fieldsV1", "subresource"];
            d.known(map, &NAMES);
            let s = "ManagedFieldsEntry";
            Some(ManagedFieldsEntry {
                manager: d.field(map, "manager", s, Self::string).unwrap_or_default(),
                operation: d.field(map, "operation", s, Self::string).unwrap_or_default(),
                api_version: d.field(map, "apiVersion", s, Self::string).unwrap_or_default(),
                time: d.field(map, "time", s, Self::time),
                fields_type: d.field(map, "fieldsType", s, Self::string).unwrap_or_default(),
                fields_v1: map.get("fieldsV1").filter(|v| !v.is_null()).cloned(),
                subresource: d.field(map, "subresource", s, Self::string).unwrap_or_default(),
            })
        })
    }
}

/// What FromUnstructured says of a value that doesn't fit.
fn restore_error(v: &Value, wanted: &str) -> String {
    let (kind, go_type) = match v {
        Value::Null => ("invalid", "nil"),
        Value::Bool(_) => ("bool", "bool"),
        Value::Number(n) if n.is_f64() => ("float64", "float64"),
        Value::Number(_) => ("int64", "int64"),
        Value::String(_) => ("string", "string"),
        Value::Array(_) => ("slice", "[]interface {}"),
        Value::Object(_) => ("map", "map[string]interface {}"),
    };
    match wanted {
        // Go can convert an integer to a string, and the converter forbids it by name.
        "string" if kind == "int64" => format!("cannot convert {go_type} to {wanted}"),
        "int64" if kind == "float64" => format!("cannot convert {go_type} to {wanted}"),
        "string" | "bool" | "int64" | "int32" => format!("unrecognized type: {wanted}"),
        wanted if wanted.starts_with("map[") => format!("cannot restore map from {kind}"),
        wanted if wanted.starts_with("[]") => format!("cannot restore slice from {kind}"),
        _ => format!("cannot restore struct from: {kind}"),
    }
}

/// Standard base64 as encoding/base64 takes it (line ends are skipped); the
/// error is the offset Go reports.
fn base64(text: &str) -> Result<Vec<u8>, usize> {
    let kept: Vec<(usize, u8)> =
        text.bytes().enumerate().filter(|(_, b)| !matches!(b, b'\r' | b'\n')).collect();
    let bytes: Vec<u8> = kept.iter().map(|(_, b)| *b).collect();
    // Go ignores the bits a final quantum has too many.
    let config = base64::engine::GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
    let engine = base64::engine::GeneralPurpose::new(&base64::alphabet::STANDARD, config);
    engine.decode(&bytes).map_err(|_| base64_offset(&kept, text.len()))
}

/// Where encoding/base64 stops: at the first character that can't be there, or
/// at the start of a quantum that is too short.
fn base64_offset(kept: &[(usize, u8)], end: usize) -> usize {
    let alphabet = |b: u8| b.is_ascii_alphanumeric() || b == b'+' || b == b'/';
    for (i, (offset, b)) in kept.iter().enumerate() {
        if alphabet(*b) {
            continue;
        }
        if *b != b'=' || i % 4 < 2 {
            return *offset;
        }
        if i % 4 == 2 {
            match kept.get(i + 1) {
                None => return end,
                Some((at, b'=')) => return kept.get(i + 2).map_or(*at, |(next, _)| *next),
                Some((at, _)) => return *at,
            }
        }
        return kept.get(i + 1).map_or(end, |(next, _)| *next);
    }
    // Only whole characters, but the last quantum has too few of them.
    let start = kept.len() / 4 * 4;
    kept.get(start).map_or(end, |(offset, _)| *offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn error(v: Value) -> String {
        object(&v, Kind::ConfigMap, Flavour::Json).unwrap_err()
    }

    #[test]
    fn mistakes_are_named_as_encoding_json_does() {
        let text = "json: cannot unmarshal number into Go struct field ConfigMap.data of type string";
        assert_eq!(error(json!({"data": {"a": 1}})), text);
        let text = "json: cannot unmarshal array into Go struct field ObjectMeta.metadata.labels of type map[string]string";
        assert_eq!(error(json!({"metadata": {"labels": []}})), text);
        let text = "json: cannot unmarshal string into Go struct field ConfigMap.immutable of type bool";
        assert_eq!(error(json!({"immutable": "yes"})), text);
        assert_eq!(error(json!({"binaryData": {"a": "!!!!"}})), "illegal base64 data at input byte 0");
        assert_eq!(error(json!({"binaryData": {"a": "abc"}})), "illegal base64 data at input byte 0");
        assert_eq!(error(json!({"binaryData": {"a": "YWJjZ"}})), "illegal base64 data at input byte 4");
    }

    #[test]
    fn unknown_fields_are_named_with_their_path() {
        let v = json!({"x": 1, "metadata": {"y": 2, "ownerReferences": [{"z": 3}]}});
        let d = object(&v, Kind::ConfigMap, Flavour::Json).unwrap();
        assert_eq!(d.unknown, ["x", "metadata.y", "metadata.ownerReferences[0].z"]);
    }

    #[test]
    fn what_it_writes_it_reads() {
        let v = json!({"kind": "ConfigMap", "apiVersion": "v1", "immutable": false,
            "metadata": {"name": "x", "labels": {"a": "b"}, "finalizers": ["a/b"],
                "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u"}]},
            "data": {"k": "v"}, "binaryData": {"b": "/wA="}});
        assert_eq!(object(&v, Kind::ConfigMap, Flavour::Unstructured).unwrap().object.to_value(), v);
    }
}
