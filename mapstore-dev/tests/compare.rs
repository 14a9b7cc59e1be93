//! Every request of requests.json, on mapstore-dev and on the real
//! kube-apiserver: status, headers and bodies have to agree.
//!
//! Needs MAPSTORE_APISERVER_DIR, the folder with the built launcher and
//! server; MAPSTORE_COMPARE_ONLY=text runs the sequences whose name has it.

mod support;

use std::collections::BTreeMap;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use mapstore_dev::{DevServer, Rule};
use serde_json::{Value, json};
use support::client::{Answer, Endpoint};
use support::normal::Normal;
use support::real::Real;
use support::sequence::{self, Asked, Memory, Sequence, Step};

/// One of the two servers, with what one sequence knows of it.
struct Side {
    endpoint: Endpoint,
    tokens: BTreeMap<String, String>,
    memory: Memory,
    normal: Normal,
    /// Requests that were begun and not yet joined.
    begun: BTreeMap<String, Begun>,
}

/// A request under way.
struct Begun {
    answer: JoinHandle<Answer>,
    asked: Asked,
}

impl Side {
    fn new(endpoint: &Endpoint, admin: &str) -> Side {
        let tokens = BTreeMap::from([
            (String::new(), admin.to_string()),
            ("unknown".into(), "nobody-has-this-token".into()),
        ]);
        Side {
            endpoint: endpoint.clone(),
            tokens,
            memory: Memory::default(),
            normal: Normal::default(),
            begun: BTreeMap::new(),
        }
    }

    /// On a thread of its own: both servers work at the same time, and so does what comes after a watch.
    fn start(&mut self, step: &Step, namespace: &str) -> Begun {
        let ready = step.ready(namespace, &self.memory);
        let mut headers = ready.headers;
        if let Some(token) = self.tokens.get(&step.user) {
            headers.push(("Authorization", format!("Bearer {token}")));
        }
        let (endpoint, method) = (self.endpoint.clone(), step.method.clone());
        let lines = step.events.unwrap_or(usize::MAX);
        let asked = ready.asked.clone();
        let answer = thread::spawn(move || {
            endpoint
                .send_until(&method, &ready.target, &headers, &ready.body, lines)
                .unwrap_or_else(|e| panic!("{method} {}: {e}", ready.target))
        });
        Begun { answer, asked }
    }

    fn finish(&mut self, request: Begun) -> Value {
        let answer = request.answer.join().expect("an answer");
        self.memory.learn(&answer.json());
        self.normal.answer(&answer, request.asked)
    }
}

fn act(step: &Step, namespace: &str, dev: &mut DevServer, real: &mut Real) {
    match step.r#do.as_str() {
        "terminate" => {
            assert!(dev.terminate_namespace(namespace));
            real.run(&json!({"cmd": "terminate_namespace", "name": namespace}));
        }
        "quota" => {
            dev.set_quota(namespace, step.configmaps);
            real.run(&json!({"cmd": "quota", "namespace": namespace, "configmaps": step.configmaps}));
        }
        "policy" => {
            dev.forbid_key(namespace, "forbidden");
            real.run(&json!({"cmd": "admission_policy", "namespace": namespace}));
        }
        "restart" => {
            dev.pause();
            dev.resume().expect("the same port");
            real.run(&json!({"cmd": "restart"}));
        }
        "compact" => {
            dev.compact();
            real.run(&json!({"cmd": "compact"}));
        }
        other => panic!("requests.json: unknown do {other:?}"),
    }
}

/// Runs a sequence on both; returns what differs.
fn run(sequence: &Sequence, namespace: &str, dev: &mut DevServer, real: &mut Real) -> (usize, Vec<String>) {
    dev.create_namespace(namespace);
    real.run(&json!({"cmd": "namespace", "name": namespace}));
    let dev_endpoint = Endpoint::new(&dev.url(), dev.ca_pem());
    let mut a = Side::new(&dev_endpoint, dev.admin_token());
    let mut b = Side::new(&real.endpoint, &real.token);
    for (name, rules) in &sequence.users {
        let parsed: Vec<Rule> = serde_json::from_value(rules.clone()).expect("rules");
        a.tokens.insert(name.clone(), dev.add_user(name, namespace, parsed).token);
        let user = real.run(&json!({"cmd": "user", "name": name, "namespace": namespace, "rules": rules}));
        b.tokens.insert(name.clone(), user["token"].as_str().expect("a token").into());
    }
    let (mut compared, mut differences) = (0, Vec::new());
    for (i, step) in sequence.steps.iter().enumerate() {
        let begun = if step.r#do == "join" {
            [&mut a, &mut b].map(|side| side.begun.remove(&step.begin).expect("begun before"))
        } else if step.r#do.is_empty() {
            [&mut a, &mut b].map(|side| side.start(step, namespace))
        } else {
            act(step, namespace, dev, real);
            continue;
        };
        let [ours, theirs] = begun;
        if step.r#do.is_empty() && !step.begin.is_empty() {
            a.begun.insert(step.begin.clone(), ours);
            b.begun.insert(step.begin.clone(), theirs);
            // So that it hears of what follows, not finds it.
            thread::sleep(Duration::from_millis(200));
            continue;
        }
        let (ours, theirs) = (a.finish(ours), b.finish(theirs));
        compared += 1;
        if step.differs.is_empty() == (ours != theirs) {
            let path = &step.path;
            let what = format!("{}, step {}: {} {path}", sequence.name, i + 1, step.method);
            differences.push(format!("{what}\n{}", difference(&ours, &theirs)));
        }
    }
    (compared, differences)
}

fn difference(ours: &Value, theirs: &Value) -> String {
    if ours == theirs {
        return "  marked as different, but isn't".into();
    }
    let mut out = String::new();
    collect("", ours, theirs, &mut out);
    out
}

/// The places where two values differ, one a line.
fn collect(path: &str, ours: &Value, theirs: &Value, out: &mut String) {
    match (ours, theirs) {
        // Another kind of answer altogether.
        (Value::Object(a), Value::Object(b)) if path == "/body" && a.get("kind") != b.get("kind") => {
            out.push_str(&format!("  {path}\n    dev:  {ours}\n    real: {theirs}\n"));
        }
        (Value::Object(a), Value::Object(b)) => {
            let keys: std::collections::BTreeSet<_> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let (a, b) = (a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null));
                if a != b {
                    collect(&format!("{path}/{key}"), a, b, out);
                }
            }
        }
        _ => out.push_str(&format!("  {path}\n    dev:  {ours}\n    real: {theirs}\n")),
    }
}

#[test]
fn answers_like_the_real_server() {
    let Some(mut real) = Real::start() else {
        panic!("MAPSTORE_APISERVER_DIR is not set: it names the folder tests/apiserver/build.sh fills");
    };
    let mut dev = DevServer::start().expect("mapstore-dev");
    let only = std::env::var("MAPSTORE_COMPARE_ONLY").unwrap_or_default();
    let (mut compared, mut differences) = (0, Vec::new());
    for (i, sequence) in sequence::load().iter().enumerate() {
        if sequence.name.contains(&only) {
            let (n, found) = run(sequence, &format!("seq-{i}"), &mut dev, &mut real);
            compared += n;
            differences.extend(found);
        }
    }
    println!("{compared} requests compared, {} differ", differences.len());
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
    assert!(compared > 0, "no sequence has {only:?} in its name");
}
