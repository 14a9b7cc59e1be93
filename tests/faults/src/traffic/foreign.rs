//! Writers that aren't mapstore: somebody with kubectl, and a program that reads, changes and writes back with the
//! revision that it read. They go straight to the API server. Each of their writes leaves its name in an annotation,
//! so that the history tells which is whose.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use mapstore_harness::{Client, Cluster, Media, Reply};
use serde_json::{Map as JsonMap, Value as Json, json};

use crate::model::Plan;
use crate::random::Random;
use crate::record::{MARKER, now};

/// Where the map is.
#[derive(Clone, Debug)]
pub struct Map {
    pub namespace: String,
    pub name: String,
}

impl Map {
    pub fn collection(&self) -> String {
        format!("/api/v1/namespaces/{}/configmaps", self.namespace)
    }

    pub fn path(&self) -> String {
        format!("{}/{}", self.collection(), self.name)
    }
}

pub struct Foreigners {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<Json>>>,
}

struct Foreigner {
    cluster: Arc<Cluster>,
    map: Map,
    random: Random,
    name: &'static str,
    number: u64,
    calls: Vec<Json>,
}

impl Foreigners {
    pub fn start(plan: &Plan, cluster: &Arc<Cluster>, map: &Map) -> Foreigners {
        let over = Arc::new(AtomicBool::new(false));
        let mut names = vec!["kubectl"];
        names.extend(plan.foreign.read_modify_write.then_some("careful"));
        let threads = names.into_iter().map(|name| {
            let mut foreigner = Foreigner {
                cluster: cluster.clone(),
                map: map.clone(),
                random: Random::new(plan.seed, name),
                name,
                number: 0,
                calls: Vec::new(),
            };
            let (over, plan) = (over.clone(), plan.clone());
            thread::spawn(move || {
                while !over.load(Ordering::SeqCst) {
                    let pause = foreigner.random.below(plan.foreign.longest_pause_ms * 1_000);
                    thread::sleep(Duration::from_micros(pause));
                    foreigner.act(&plan);
                }
                foreigner.calls
            })
        });
        let threads = threads.collect();
        Foreigners { over, threads }
    }

    /// Ends them, and gives what they did.
    pub fn finish(self) -> Vec<Json> {
        self.over.store(true, Ordering::SeqCst);
        self.threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    }
}

/// Makes the map before a history, as its owner does with a manifest.
pub fn manifest(map: &Map, large: bool) -> Json {
    let mut data = json!({"text": "from the manifest", "pool0": "on"});
    if large {
        data["ballast"] = json!("x".repeat(40_000));
    }
    json!({"metadata": {"name": map.name, "labels": {"owner": "somebody"}}, "data": data})
}

impl Foreigner {
    fn client(&self) -> &Client {
        self.cluster.client()
    }

    fn act(&mut self, plan: &Plan) {
        if self.name == "careful" {
            return self.read_modify_write();
        }
        if plan.foreign.deletes_map && self.random.percent(2) {
            return self.delete_map();
        }
        self.edit();
    }

    /// `[op, key, value]`, of which some undo each other soon.
    fn change(&mut self, id: &str) -> Vec<[String; 3]> {
        let pool = format!("pool{}", self.random.below(3));
        let text = |op: &str, key: &str, value: &str| [op.to_owned(), key.to_owned(), value.to_owned()];
        match self.random.below(10) {
            0..4 => vec![text("delete", &pool, "")],
            4..7 => vec![text("set", &pool, "on")],
            7 => vec![text("set", &pool, "off")],
            8 => vec![text("set", &format!("shared{}", self.random.below(3)), id)],
            _ => vec![text("set", &format!("{}-own", self.name), id)],
        }
    }

    /// As `kubectl edit` and `kubectl patch` do: whatever the revision.
    fn edit(&mut self) {
        let id = self.next_id();
        let ops = self.change(&id);
        let mut patch = json!({"metadata": {"annotations": {MARKER: id}}, "data": {}, "binaryData": {}});
        for [op, key, value] in &ops {
            patch["data"][key] = if op == "set" { json!(value) } else { Json::Null };
            patch["binaryData"][key] = Json::Null;
        }
        let start = now();
        let reply = self.client().patch(&self.map.path(), Media::MergePatch, &patch);
        self.note(&id, "patch", &ops, start, reply);
    }

    fn read_modify_write(&mut self) {
        let Ok(read) = self.client().get(&self.map.path()) else { return };
        if !read.is_success() {
            return;
        }
        let id = self.next_id();
        let ops = self.change(&id);
        let mut object = read.body;
        object["metadata"]["annotations"][MARKER] = json!(id);
        for [op, key, value] in &ops {
            for side in ["data", "binaryData"] {
                object.get_mut(side).and_then(Json::as_object_mut).map(|side| side.remove(key));
            }
            if op == "set" {
                object["data"][key] = json!(value);
            }
        }
        thread::sleep(Duration::from_micros(self.random.below(5_000)));
        let start = now();
        let reply = self.client().put(&self.map.path(), &object);
        self.note(&id, "replace", &ops, start, reply);
    }

    /// And often makes it again, at once or a little later.
    fn delete_map(&mut self) {
        let id = self.next_id();
        let start = now();
        let reply = self.client().delete(&self.map.path());
        self.note(&id, "delete map", &[], start, reply);
        if self.random.percent(60) {
            thread::sleep(Duration::from_millis(self.random.below(60)));
            let id = self.next_id();
            let mut object = manifest(&self.map, false);
            object["metadata"]["annotations"] = json!({MARKER: id});
            let ops: Vec<[String; 3]> = entries(&object["data"])
                .map(|(key, value)| {
                    ["set".to_owned(), key.clone(), value.as_str().unwrap_or_default().to_owned()]
                })
                .collect();
            let start = now();
            let reply = self.client().post(&self.map.collection(), &object);
            self.note(&id, "create map", &ops, start, reply);
        }
    }

    fn next_id(&mut self) -> String {
        self.number += 1;
        format!("{}.{}", self.name, self.number)
    }

    fn note(
        &mut self,
        id: &str,
        verb: &str,
        ops: &[[String; 3]],
        start: u64,
        reply: mapstore_harness::Result<Reply>,
    ) {
        let (outcome, revision, message) = match reply {
            Ok(reply) if reply.is_success() => {
                ("Ok", reply.body["metadata"]["resourceVersion"].clone(), String::new())
            }
            Ok(reply) if reply.status < 500 => ("Rejected", Json::Null, reply.status.to_string()),
            Ok(reply) => ("OutcomeUnknown", Json::Null, reply.status.to_string()),
            Err(error) => ("OutcomeUnknown", Json::Null, error.to_string()),
        };
        self.calls.push(json!({
            "process": self.name, "client": self.name, "language": "none", "mode": "foreign",
            "id": id, "verb": verb, "ops": ops, "start": start, "end": now(),
            "outcome": outcome, "message": message, "revision": revision, "changed": outcome == "Ok",
        }));
        if outcome != "Ok" {
            // Nobody is there, or somebody was faster.
            thread::sleep(Duration::from_millis(5));
        }
    }
}

fn entries(object: &Json) -> impl Iterator<Item = (&String, &Json)> {
    static NONE: std::sync::LazyLock<JsonMap<String, Json>> = std::sync::LazyLock::new(JsonMap::new);
    object.as_object().unwrap_or(&NONE).iter()
}
