//! requests.json: sequences of requests, each in a namespace of its own. The
//! file says what to send; this one makes it into bytes.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sequence {
    pub name: String,
    /// Rules of users of this sequence, as in a Role.
    #[serde(default)]
    pub users: BTreeMap<String, Value>,
    pub steps: Vec<Step>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Step {
    /// Instead of a request: `terminate`, `quota` (with `configmaps`), `policy`, `restart` (of the server), `compact` (forget old revisions), `join` (the
    /// request that an earlier step began as `begin`, and compares its answer).
    pub r#do: String,
    pub configmaps: u64,
    /// Begin the request, under this name, and don't wait for its answer.
    pub begin: String,
    /// Read so many lines of the answer only: events of a watch.
    pub events: Option<usize>,
    pub method: String,
    /// Relative to the namespace's configmaps unless it starts with "/".
    pub path: String,
    pub query: String,
    /// A user of the sequence, `anonymous`, or `unknown`; the admin if empty.
    pub user: String,
    pub accept: String,
    /// Content-Type; short names for the patches.
    pub r#type: String,
    pub body: Value,
    /// A body that isn't JSON.
    pub raw: String,
    /// Why the answers may differ, if they may: an entry of README's list.
    pub differs: String,
}

pub fn load() -> Vec<Sequence> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/requests.json");
    let text = std::fs::read_to_string(path).expect(path);
    serde_json::from_str(&text).expect(path)
}

/// What the answers so far told: uids and resourceVersions by object name.
#[derive(Debug, Default)]
pub struct Memory {
    values: BTreeMap<String, String>,
}

impl Memory {
    /// Learns from an object: `{uid:NAME}`, `{rv:NAME}` (the newest) and
    /// `{rv0:NAME}` (the first) stand for it from now on; from a part of a list:
    /// `{continue}`.
    pub fn learn(&mut self, body: &Value) {
        let meta = &body["metadata"];
        if let Some(token) = meta["continue"].as_str() {
            self.values.insert("{continue}".into(), token.into());
        }
        let Some(name) = meta["name"].as_str() else { return };
        if let Some(uid) = meta["uid"].as_str() {
            self.values.insert(format!("{{uid:{name}}}"), uid.into());
        }
        if let Some(rv) = meta["resourceVersion"].as_str() {
            self.values.insert(format!("{{rv:{name}}}"), rv.into());
            self.values.entry(format!("{{rv0:{name}}}")).or_insert(rv.into());
        }
    }

    fn fill(&self, text: &str) -> String {
        let mut text = text.to_string();
        for (mark, value) in &self.values {
            if text.contains(mark.as_str()) {
                text = text.replace(mark, value);
            }
        }
        text
    }
}

/// What of a request says how its answer is to be read.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// The revision that was asked for exactly.
    pub exactly: Option<String>,
    /// A watch that ends at a time of its own: it is known which bookmarks it gets.
    pub ends: bool,
}

/// A request ready to be sent, but for its token.
#[derive(Debug)]
pub struct Ready {
    pub target: String,
    pub asked: Asked,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

impl Step {
    pub fn ready(&self, namespace: &str, memory: &Memory) -> Ready {
        let path = match self.path.strip_prefix('/') {
            Some(_) => self.path.replace("{ns}", namespace),
            None if self.path.is_empty() => format!("/api/v1/namespaces/{namespace}/configmaps"),
            None => format!("/api/v1/namespaces/{namespace}/configmaps/{}", self.path),
        };
        let query = memory.fill(&self.query);
        let target = if query.is_empty() { path } else { format!("{path}?{query}") };
        let mut headers = Vec::new();
        let accept = match self.accept.as_str() {
            "" => "application/json".into(),
            "none" => String::new(),
            // PartialObjectMetadata, PartialObjectMetadataList, Table
            kind if !kind.contains('/') => {
                format!("application/json;as={kind};g=meta.k8s.io;v=v1")
            }
            other => other.into(),
        };
        if !accept.is_empty() {
            headers.push(("Accept", accept));
        }
        let kind = match self.r#type.as_str() {
            "" if self.method == "POST" || self.method == "PUT" => "application/json".into(),
            kind @ ("merge" | "strategic" | "json") => {
                let suffix = ["merge", "strategic-merge", "json"];
                let names = ["merge", "strategic", "json"];
                let i = names.iter().position(|n| *n == kind).unwrap_or(0);
                format!("application/{}-patch+json", suffix[i])
            }
            other => other.into(),
        };
        if !kind.is_empty() {
            headers.push(("Content-Type", kind));
        }
        let body = match (&self.body, self.raw.as_str()) {
            (Value::Null, raw) => memory.fill(&expand_text(raw)),
            (body, _) => memory.fill(&expand(body, namespace).to_string()),
        };
        let parameter = |name: &str| query.split('&').find_map(|p| p.strip_prefix(name)?.strip_prefix('='));
        let exactly = parameter("resourceVersionMatch").filter(|kind| *kind == "Exact");
        let exactly = exactly.and_then(|_| parameter("resourceVersion")).map(str::to_string);
        let asked = Asked { exactly, ends: parameter("timeoutSeconds").is_some() };
        Ready { target, asked, headers, body: body.into_bytes() }
    }
}

/// `@repeat:TEXT:N`: TEXT N times.
fn expand_text(text: &str) -> String {
    let parts = text.strip_prefix("@repeat:").and_then(|rest| rest.rsplit_once(':'));
    match parts.and_then(|(text, n)| Some(text.repeat(n.parse().ok()?))) {
        Some(long) => long,
        None => text.into(),
    }
}

/// Long strings; `{"@keys": N, "length": L}`: N empty values with keys of L
/// bytes; `{"@copies": N, "of": V}`: a list.
fn expand(value: &Value, namespace: &str) -> Value {
    match value {
        Value::String(s) => Value::String(expand_text(s).replace("{ns}", namespace)),
        Value::Array(items) => items.iter().map(|v| expand(v, namespace)).collect(),
        Value::Object(map) if map.contains_key("@copies") => {
            let copies = map["@copies"].as_u64().unwrap_or(0) as usize;
            std::iter::repeat_n(map["of"].clone(), copies).collect()
        }
        Value::Object(map) => match (map.get("@keys"), map.get("length")) {
            (Some(n), Some(length)) => {
                let (n, length) = (n.as_u64().unwrap_or(0), length.as_u64().unwrap_or(0) as usize);
                let keys = (0..n).map(|i| (format!("{i:0length$}"), Value::from("")));
                Value::Object(keys.collect())
            }
            _ => {
                let pairs = map.iter().map(|(k, v)| (expand_text(k), expand(v, namespace)));
                Value::Object(pairs.collect::<Map<_, _>>())
            }
        },
        other => other.clone(),
    }
}
