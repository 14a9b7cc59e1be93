//! One client: a store, and the calls made with it, one after the other.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use mapstore::{Batch, Cache, CancelToken, Error, Options, Result, Snapshot, Store, Written};
use serde_json::{Value as Json, json};

use crate::lateness::{Lateness, now};
use crate::lines::{Call, Setup, bytes, say, told};

pub struct Client {
    name: String,
    setup: Arc<Setup>,
    lateness: Lateness,
    store: Option<Store>,
    /// What was last seen of each key, and the revision last told: for conditions.
    seen: HashMap<String, Option<Vec<u8>>>,
    revision: Option<String>,
    /// When the token of the last call was used.
    cancelled: Arc<AtomicU64>,
}

/// What a call found.
type Found = Result<Json>;

impl Client {
    pub fn new(name: &str, setup: &Arc<Setup>, lateness: Lateness) -> Client {
        Client {
            name: name.to_owned(),
            setup: setup.clone(),
            lateness,
            store: None,
            seen: HashMap::new(),
            revision: None,
            cancelled: Arc::default(),
        }
    }

    fn mode(&self) -> &str {
        &self.setup.modes[&self.name]
    }

    /// Makes the call and says what came of it.
    pub fn run(&mut self, mut call: Call) {
        thread::sleep(Duration::from_micros(call.pause_us));
        if (call.verb == "open") == self.store.is_some() {
            return;
        }
        self.fill(&mut call);
        let mut line = json!(call);
        line["process"] = json!(self.setup.process);
        line["language"] = json!("rust");
        line["mode"] = json!(self.mode());
        say(&json!({"event": "begin", "start": now(), "call": line}));
        let start = now();
        let found = self.call(&call, &mut line);
        let end = now();
        line["start"] = json!(start);
        line["end"] = json!(end);
        line["outcome"] = json!("Ok");
        match found {
            Ok(Json::Object(found)) => found.into_iter().for_each(|(name, value)| line[name] = value),
            Ok(_) => {}
            Err(error) => tell(&mut line, &error),
        }
        let mut deadline = start + call.timeout_ms * 1_000_000;
        if call.cancel_ms > 0 {
            // A later moment than the script says, on a busy machine.
            let cancelled = self.cancelled.load(Ordering::SeqCst);
            line["cancelled"] = json!(cancelled);
            deadline = if cancelled > start { deadline.min(cancelled) } else { deadline };
        }
        if end > deadline {
            line["late"] = json!(self.lateness.since(deadline));
        }
        say(&json!({"event": "end", "call": line}));
    }

    /// Puts what this client has seen where the script says `@`. What it hasn't seen can't be a condition.
    fn fill(&self, call: &mut Call) {
        let (seen, revision) = (&self.seen, &self.revision);
        call.conditions.retain_mut(|condition| match condition[0].as_str() {
            "equals" if condition[2] == "@" => match seen.get(&condition[1]) {
                Some(Some(value)) => {
                    condition[2] = crate::lines::text(value);
                    true
                }
                Some(None) => {
                    *condition = vec!["absent".into(), condition[1].clone(), String::new()];
                    true
                }
                None => false,
            },
            "revision" => revision.as_ref().is_some_and(|at| {
                condition[2].clone_from(at);
                true
            }),
            _ => true,
        });
    }

    fn call(&mut self, call: &Call, line: &mut Json) -> Found {
        // An earlier call's thread writes into its own.
        self.cancelled = Arc::default();
        let mut settings = mapstore::Call::new().timeout(Duration::from_millis(call.timeout_ms));
        if call.cancel_ms > 0 {
            let token = CancelToken::new();
            settings = settings.cancel(&token);
            let (after, cancelled) = (Duration::from_millis(call.cancel_ms), self.cancelled.clone());
            thread::spawn(move || {
                thread::sleep(after);
                cancelled.store(now(), Ordering::SeqCst);
                token.cancel();
            });
        }
        if call.verb == "open" {
            let mode = if self.mode() == "exclusive" { Cache::Exclusive } else { Cache::None };
            let options = Options::new(&self.setup.map).kubeconfig(&self.setup.kubeconfig);
            let options = options.namespace(&self.setup.namespace).cache(mode).write_budget(u64::MAX);
            self.store = Some(options.open_with(&settings)?);
            return Ok(Json::Null);
        }
        let store = self.store.as_ref().expect("looked at before").with(&settings);
        match call.verb.as_str() {
            "get" => {
                let value = store.get(&call.key)?.map(|value| value.to_vec());
                let shown = value.as_deref().map(told);
                self.seen.insert(call.key.clone(), value);
                Ok(json!({"value": shown, "present": shown.is_some()}))
            }
            "contains" => Ok(json!({"present": store.contains(&call.key)?})),
            "keys" => Ok(json!({"keys": store.keys()?})),
            "usage" => Ok(json!({"length": store.usage()?.keys})),
            "verify_connection" => store.verify_connection().map(|()| Json::Null),
            "len" => Ok(json!({"length": store.len()?})),
            "snapshot" => {
                let snapshot = store.snapshot()?;
                self.revision = snapshot.revision().map(|revision| revision.as_str().to_owned());
                Ok(shown(&snapshot))
            }
            "refresh" => store.refresh().map(|()| Json::Null),
            "update" => self.update(&store, call, line),
            _ => {
                let written = write(&store, call)?;
                Ok(self.wrote(call, &written))
            }
        }
    }

    /// The key gets a number that is one higher, and the call's name.
    fn update(&mut self, store: &Store, call: &Call, line: &mut Json) -> Found {
        let key = &call.ops[0][1];
        let written = store.update(key, |old| {
            let number = old.map_or(0, number);
            let new = format!("{} {}", number + 1, call.id);
            line["ops"] = json!([["set", key, new]]);
            line["conditions"] = match old {
                Some(old) => json!([["equals", key, told(old)]]),
                None => json!([["absent", key, ""]]),
            };
            Some(new)
        })?;
        Ok(self.wrote(call, &written))
    }

    fn wrote(&mut self, call: &Call, written: &Written) -> Json {
        self.revision = written.revision.as_ref().map(|revision| revision.as_str().to_owned());
        for op in &call.ops {
            match op[0].as_str() {
                "set" | "force_set" if call.verb != "update" => {
                    self.seen.insert(op[1].clone(), Some(bytes(&op[2])));
                }
                "delete" => drop(self.seen.insert(op[1].clone(), None)),
                _ => {}
            }
        }
        json!({"revision": self.revision, "changed": written.changed})
    }
}

/// The number at the beginning of a counter's value.
fn number(value: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(value);
    text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn write(store: &Store, call: &Call) -> Result<Written> {
    let first = &call.ops[0];
    match call.verb.as_str() {
        "set" => store.set(&first[1], bytes(&first[2])),
        "force_set" => store.force_set(&first[1], bytes(&first[2])),
        "delete" => store.delete(&first[1]),
        "truncate" => store.truncate(),
        "compare_and_set" if !call.conditions.is_empty() => {
            let expected = (call.conditions[0][0] == "equals").then(|| bytes(&call.conditions[0][2]));
            let value = (first[0] == "set").then(|| bytes(&first[2]));
            store.compare_and_set(&first[1], expected.as_deref(), value.as_deref())
        }
        _ => store.apply(&batch(call)?),
    }
}

fn batch(call: &Call) -> Result<Batch> {
    let mut batch = Batch::new();
    for condition in &call.conditions {
        match condition[0].as_str() {
            "absent" => batch.if_absent(&condition[1])?,
            "present" => batch.if_present(&condition[1])?,
            "equals" => batch.if_equals(&condition[1], bytes(&condition[2]))?,
            _ => batch.if_revision(&condition[2])?,
        };
    }
    for op in &call.ops {
        match op[0].as_str() {
            "set" => batch.set(&op[1], bytes(&op[2]))?,
            "force_set" => batch.force_set(&op[1], bytes(&op[2]))?,
            "delete" => batch.delete(&op[1])?,
            _ => batch.truncate()?,
        };
    }
    Ok(batch)
}

fn shown(snapshot: &Snapshot) -> Json {
    let entries = snapshot.iter().map(|(key, value)| (key.to_owned(), json!(told(value))));
    let revision = snapshot.revision().map(|revision| revision.as_str());
    json!({"revision": revision, "snapshot": entries.collect::<serde_json::Map<_, _>>()})
}

fn tell(line: &mut Json, error: &Error) {
    line["outcome"] = json!(error.kind().name());
    line["message"] = json!(error.to_string());
    line["status"] = json!(error.http_status());
    line["retryable"] = json!(error.is_retryable());
}
