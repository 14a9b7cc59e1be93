//! ConfigMaps from outside: what a step does to one behind the store's back, and what it expects to find in it.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::spec::{Spec, Variables, substitute};

/// The map that a case is about unless it names another.
pub const DEFAULT_MAP: &str = "settings";

/// A change by somebody else.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outside {
    pub map: Option<String>,
    /// Default: the case's own.
    pub namespace: Option<String>,
    pub create: Option<Content>,
    /// A merge patch: null removes.
    pub patch: Option<Content>,
    /// A PUT of the whole object.
    pub replace: Option<Content>,
    pub delete: Option<bool>,
    /// The expected status; default: any success.
    pub status: Option<u16>,
    /// What the answer's resourceVersion must be, or is remembered as.
    pub revision: Option<String>,
    pub uid: Option<String>,
}

/// An object's content in the table's words.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Content {
    pub data: Option<BTreeMap<String, Option<Spec>>>,
    pub binary_data: Option<BTreeMap<String, Option<Spec>>>,
    pub metadata: Option<Value>,
    pub immutable: Option<bool>,
    /// Many entries of `data`.
    pub fill: Option<Fill>,
}

/// `count` keys: the prefix and a number of five digits; each with the same value.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fill {
    pub prefix: Spec,
    pub count: usize,
    #[serde(default = "nothing")]
    pub value: Spec,
}

/// What must be found.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Inspection {
    pub map: Option<String>,
    pub namespace: Option<String>,
    pub absent: Option<bool>,
    /// Exactly these.
    pub data: Option<BTreeMap<String, Spec>>,
    pub binary_data: Option<BTreeMap<String, Spec>>,
    /// Exactly these in both together: where it doesn't matter which.
    pub entries: Option<BTreeMap<String, Spec>>,
    /// At least these, in either.
    pub has: Option<BTreeMap<String, Spec>>,
    pub count: Option<usize>,
    /// At least this, recursively; a list must be equal.
    pub metadata: Option<Value>,
    pub annotated: Option<Vec<String>>,
    /// Exactly these in the managedFields, as MANAGER/OPERATION, sorted.
    pub managers: Option<Vec<String>>,
    pub revision: Option<String>,
    pub uid: Option<String>,
}

fn nothing() -> Spec {
    Spec::Text(String::new())
}

impl Fill {
    pub fn keys(&self, variables: &dyn Variables) -> Result<Vec<String>, String> {
        let prefix = self.prefix.text(variables)?;
        Ok((0..self.count).map(|i| format!("{prefix}{i:05}")).collect())
    }
}

impl Content {
    /// The body to send, without a name.
    pub fn body(&self, variables: &dyn Variables) -> Result<Value, String> {
        let mut body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}});
        if let Some(metadata) = &self.metadata {
            body["metadata"] = fill_in(metadata, variables)?;
        }
        if let Some(immutable) = self.immutable {
            body["immutable"] = json!(immutable);
        }
        if let Some(data) = &self.data {
            body["data"] = entries(data, |spec| spec.text(variables))?;
        }
        if let Some(data) = &self.binary_data {
            body["binaryData"] =
                entries(data, |spec| spec.bytes(variables).map(|bytes| STANDARD.encode(bytes)))?;
        }
        if let Some(fill) = &self.fill {
            let value = fill.value.text(variables)?;
            for key in fill.keys(variables)? {
                body["data"][key] = json!(value);
            }
        }
        Ok(body)
    }
}

fn entries(
    data: &BTreeMap<String, Option<Spec>>,
    text: impl Fn(&Spec) -> Result<String, String>,
) -> Result<Value, String> {
    let mut object = Map::new();
    for (key, spec) in data {
        let value = spec.as_ref().map(&text).transpose()?;
        object.insert(key.clone(), json!(value));
    }
    Ok(Value::Object(object))
}

/// Variables in all the strings of a JSON value.
pub fn fill_in(value: &Value, variables: &dyn Variables) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) => Value::String(substitute(text, variables)?),
        Value::Array(members) => {
            let members: Result<_, _> = members.iter().map(|member| fill_in(member, variables)).collect();
            Value::Array(members?)
        }
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| Ok((name.clone(), fill_in(value, variables)?));
            let members: Result<_, String> = members.iter().map(member).collect();
            Value::Object(members?)
        }
        other => other.clone(),
    })
}

impl Inspection {
    /// Everything but the revision and the uid, which are relations to what the attempt remembers.
    pub fn compare(&self, object: &Value, variables: &dyn Variables) -> Result<(), String> {
        let text = text_entries(object)?;
        let binary = binary_entries(object)?;
        let all: BTreeMap<_, _> = text.iter().chain(&binary).map(|(k, v)| (k.clone(), v.clone())).collect();
        if all.len() != text.len() + binary.len() {
            return Err("a key is in data and in binaryData".to_owned());
        }
        exactly("data", self.data.as_ref(), &text, variables)?;
        exactly("binaryData", self.binary_data.as_ref(), &binary, variables)?;
        exactly("entries", self.entries.as_ref(), &all, variables)?;
        for (key, spec) in self.has.iter().flatten() {
            one("has", key, &spec.bytes(variables)?, all.get(key))?;
        }
        if let Some(count) = self.count.filter(|count| *count != all.len()) {
            return Err(format!("{} entries instead of {count}", all.len()));
        }
        if let Some(metadata) = &self.metadata {
            contains("metadata", &fill_in(metadata, variables)?, &object["metadata"])?;
        }
        for name in self.annotated.iter().flatten() {
            if object["metadata"]["annotations"].get(name).is_none() {
                return Err(format!("no annotation {name}"));
            }
        }
        match (&self.managers, managers(object)) {
            (Some(expected), found) if *expected != found => {
                Err(format!("managers {found:?} instead of {expected:?}"))
            }
            _ => Ok(()),
        }
    }
}

fn managers(object: &Value) -> Vec<String> {
    let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    let part = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    let mut names: Vec<_> =
        entries.map(|entry| format!("{}/{}", part(entry, "manager"), part(entry, "operation"))).collect();
    names.sort_unstable();
    names
}

type Entries = BTreeMap<String, Vec<u8>>;

fn text_entries(object: &Value) -> Result<Entries, String> {
    decode(object, "data", |text| Ok(text.as_bytes().to_vec()))
}

fn binary_entries(object: &Value) -> Result<Entries, String> {
    decode(object, "binaryData", |text| STANDARD.decode(text).map_err(|e| e.to_string()))
}

fn decode(
    object: &Value,
    field: &str,
    bytes: impl Fn(&str) -> Result<Vec<u8>, String>,
) -> Result<Entries, String> {
    let members = object[field].as_object().into_iter().flatten();
    let entry = |(key, value): (&String, &Value)| {
        let text = value.as_str().ok_or_else(|| format!("{field} {key} is not a string"))?;
        Ok((key.clone(), bytes(text)?))
    };
    members.map(entry).collect()
}

fn exactly(
    what: &str,
    expected: Option<&BTreeMap<String, Spec>>,
    seen: &Entries,
    variables: &dyn Variables,
) -> Result<(), String> {
    let Some(expected) = expected else {
        return Ok(());
    };
    for (key, spec) in expected {
        one(what, key, &spec.bytes(variables)?, seen.get(key))?;
    }
    match seen.keys().find(|key| !expected.contains_key(*key)) {
        Some(key) => Err(format!("{what} has {key}, which nobody expects")),
        None => Ok(()),
    }
}

fn one(what: &str, key: &str, expected: &[u8], seen: Option<&Vec<u8>>) -> Result<(), String> {
    match seen {
        Some(seen) if seen == expected => Ok(()),
        Some(seen) => Err(format!("{what} {key} is {} instead of {}", show(seen), show(expected))),
        None => Err(format!("{what} has no {key}")),
    }
}

fn contains(what: &str, expected: &Value, seen: &Value) -> Result<(), String> {
    match (expected, seen) {
        (Value::Object(expected), Value::Object(seen)) => expected.iter().try_for_each(|(name, value)| {
            contains(&format!("{what}.{name}"), value, seen.get(name).unwrap_or(&Value::Null))
        }),
        (expected, seen) if expected == seen => Ok(()),
        (expected, seen) => Err(format!("{what} is {seen} instead of {expected}")),
    }
}

/// Bytes for a message: short, and with a length when cut.
pub fn show(bytes: &[u8]) -> String {
    const MOST: usize = 60;
    match bytes.len() {
        0..=MOST => format!("\"{}\"", bytes.escape_ascii()),
        len => format!("\"{}…\" ({len} bytes)", bytes[..MOST].escape_ascii()),
    }
}
