//! What two answers have to agree on. Uids, times and revisions differ from
//! server to server: each becomes its rank of appearance in the sequence, so
//! that "the same as before" and "another one" still have to agree.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::client::Answer;
use super::sequence::Asked;

#[derive(Debug, Default)]
pub struct Normal {
    uids: HashMap<String, usize>,
    revisions: HashMap<String, usize>,
    /// What the answer's request asked for.
    asked: Asked,
}

fn rank(map: &mut HashMap<String, usize>, key: &str) -> usize {
    let next = map.len() + 1;
    *map.entry(key.into()).or_insert(next)
}

impl Normal {
    pub fn answer(&mut self, answer: &Answer, asked: Asked) -> Value {
        self.asked = asked;
        let mut warnings = answer.headers("Warning");
        warnings.sort_unstable();
        let body = match serde_json::from_slice::<Value>(&answer.body) {
            _ if is_watch(&answer.body) => self.events(&answer.body),
            Ok(mut body) => {
                self.body(&mut body);
                body
            }
            Err(_) => Value::from(String::from_utf8_lossy(&answer.body)),
        };
        json!({
            "code": answer.code,
            "content-type": answer.headers("Content-Type"),
            "warnings": warnings,
            "retry-after": answer.headers("Retry-After"),
            "body": body,
        })
    }

    /// Bookmarks come at times of the server's own, but for the one that ends the state and the one before the end.
    fn events(&mut self, lines: &[u8]) -> Value {
        let mut events: Vec<Value> =
            serde_json::Deserializer::from_slice(lines).into_iter().map_while(Result::ok).collect();
        let marked = |e: &Value| !e["object"]["metadata"]["annotations"].is_null();
        events.retain(|event| event["type"] != "BOOKMARK" || marked(event) || self.asked.ends);
        for event in &mut events {
            match event["type"].as_str() {
                Some("BOOKMARK") => {
                    event["object"]["metadata"]["resourceVersion"] = json!("<any>");
                    if event["object"]["kind"] == "Table" {
                        event["object"]["rows"][0]["object"]["metadata"]["resourceVersion"] = json!("<any>");
                    }
                }
                Some("ERROR") => {
                    let message = &event["object"]["message"].as_str().unwrap_or_default().to_string();
                    if message.starts_with("Timeout: Too large resource version: ") {
                        event["object"]["message"] = json!(self.text(message));
                    } else if message.starts_with("too old resource version: ") {
                        event["object"]["message"] = json!("too old resource version: <rv> (<rv>)");
                    }
                }
                _ => {
                    if event["object"]["kind"] == "Table" {
                        event["object"]["metadata"]["resourceVersion"] = json!("<any>");
                    }
                    self.body(&mut event["object"]);
                }
            }
        }
        // Near the end the real server's timer may strike twice.
        events.dedup_by(|b, a| a == b && a["type"] == "BOOKMARK");
        Value::from(events)
    }

    fn body(&mut self, body: &mut Value) {
        let kind = body["kind"].as_str().unwrap_or_default().to_string();
        match kind.as_str() {
            "Status" => self.status(body),
            "Table" => self.table(body),
            kind if kind.ends_with("List") => {
                self.list_revision(body);
                for item in body["items"].as_array_mut().into_iter().flatten() {
                    self.object(item);
                }
            }
            _ => self.object(body),
        }
    }

    /// A list's revision is the whole cluster's, unless one was asked for; where it goes on is the server's secret.
    fn list_revision(&self, body: &mut Value) {
        if let Some(told) = body["metadata"]["resourceVersion"].as_str() {
            let asked = self.asked.exactly.as_deref() == Some(told);
            body["metadata"]["resourceVersion"] = json!(if asked { "<asked>" } else { "<any>" });
        }
        Self::token(body);
    }

    fn token(body: &mut Value) {
        if let Some(token) = body.get_mut("metadata").and_then(|meta| meta.get_mut("continue")) {
            *token = json!("<token>");
        }
    }

    fn table(&mut self, body: &mut Value) {
        self.list_revision(body);
        for column in body["columnDefinitions"].as_array_mut().into_iter().flatten() {
            column["description"] = json!("<any>");
        }
        for row in body["rows"].as_array_mut().into_iter().flatten() {
            row["cells"][2] = json!("<age>");
            self.object(&mut row["object"]);
        }
    }

    fn object(&mut self, object: &mut Value) {
        let Some(meta) = object.get_mut("metadata").filter(|m| m.is_object()) else { return };
        if let Some(uid) = meta["uid"].as_str() {
            meta["uid"] = json!(format!("<uid {}>", rank(&mut self.uids, uid)));
        }
        if let Some(rv) = meta["resourceVersion"].as_str() {
            meta["resourceVersion"] = json!(format!("<rv {}>", rank(&mut self.revisions, rv)));
        }
        for time in ["creationTimestamp", "deletionTimestamp"] {
            if meta[time].is_string() {
                meta[time] = json!("<time>");
            }
        }
        if let Some(prefix) = meta["generateName"].as_str() {
            let suffix = meta["name"].as_str().and_then(|n| n.strip_prefix(prefix)).map(str::len);
            meta["name"] = json!(format!("{prefix}<{suffix:?} characters>"));
        }
        if let Some(entries) = meta.get_mut("managedFields").and_then(Value::as_array_mut) {
            for entry in entries.iter_mut().filter(|e| e["time"].is_string()) {
                entry["time"] = json!("<time>");
            }
            // Equal times are ordered by manager, others by time: not by what matters.
            entries.sort_by_key(Value::to_string);
        }
        // Index assignment above made absent fields null.
        if let Some(meta) = meta.as_object_mut() {
            meta.retain(|_, v| !v.is_null());
        }
    }

    fn status(&mut self, status: &mut Value) {
        Self::token(status);
        if let Some(message) = status["message"].as_str() {
            status["message"] = json!(self.text(&sorted(message)));
        }
        if let Some(uid) = status["details"]["uid"].as_str() {
            status["details"]["uid"] = json!(format!("<uid {}>", rank(&mut self.uids, uid)));
        }
        let causes = status.get_mut("details").and_then(|d| d.get_mut("causes"));
        if let Some(causes) = causes.and_then(Value::as_array_mut) {
            for cause in causes.iter_mut() {
                if let Some(message) = cause["message"].as_str() {
                    cause["message"] = json!(self.text(message));
                }
            }
            // Go ranges over maps in any order.
            causes.sort_by_key(Value::to_string);
        }
        fn tidy(v: &mut Value) {
            if let Some(map) = v.as_object_mut() {
                map.retain(|_, v| !v.is_null());
                map.values_mut().for_each(tidy);
            }
        }
        tidy(status);
    }

    fn text(&mut self, message: &str) -> String {
        let mut text = self.quoted_json(message);
        if let Some(at) = text.find(", current: ") {
            text.truncate(at);
            text.push_str(", current: <rv>");
        }
        // The real server names the line that made its scheme, which moves with how it was built.
        if let Some(at) = text.find(" in scheme \"") {
            text.truncate(at);
        }
        for (uid, rank) in &self.uids {
            text = text.replace(uid, &format!("<uid {rank}>"));
        }
        if text.contains("ResourceVersion in") {
            for (rv, rank) in &self.revisions {
                text = text.replace(&format!("({rv})"), &format!("(<rv {rank}>)"));
            }
        }
        text
    }

    /// A patched object quoted in a message: compared as an object, for the
    /// order of its fields says nothing.
    fn quoted_json(&mut self, message: &str) -> String {
        const START: &str = "Invalid value: \"{\\\"";
        let Some(at) = message.find(START).map(|at| at + "Invalid value: ".len()) else {
            return message.into();
        };
        let mut literal = serde_json::Deserializer::from_str(&message[at..]).into_iter::<String>();
        let Some(Ok(quoted)) = literal.next() else { return message.into() };
        let rest = &message[at + literal.byte_offset()..];
        let Ok(mut object) = serde_json::from_str::<Value>(&quoted) else { return message.into() };
        self.object(&mut object);
        format!("{}{object}{rest}", &message[..at])
    }
}

fn is_watch(body: &[u8]) -> bool {
    let first = serde_json::Deserializer::from_slice(body).into_iter::<Value>().next();
    matches!(first, Some(Ok(event)) if event["type"].is_string() && event["object"].is_object())
}

/// The errors of an "is invalid: [a, b]" in one order.
fn sorted(message: &str) -> String {
    match message.split_once("is invalid: [") {
        Some((head, list)) if list.ends_with(']') && !list.starts_with("]: ") => {
            let mut parts: Vec<&str> = list[..list.len() - 1].split(", ").collect();
            parts.sort_unstable();
            format!("{head}is invalid: [{}]", parts.join(", "))
        }
        _ => message.into(),
    }
}
