//! The proxy before mapstore-dev: every cell of its table of rules, the counts, watches, and the program.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use mapstore_harness::proxy::{Asked, Canned, Hearing, PathKind, Proxy, Rule};
use mapstore_harness::{Client, Cluster, Kind, LineProgram, Media};
use serde_json::{Value, json};

struct Site {
    cluster: Cluster,
    proxy: Proxy,
    client: Client,
    namespace: String,
}

impl Site {
    fn start() -> Site {
        let cluster = Cluster::start(Kind::Dev).unwrap();
        let namespace = cluster.fresh_namespace().unwrap();
        let proxy = Proxy::start(&cluster).unwrap();
        let client = Client::from_kubeconfig(proxy.kubeconfig()).unwrap();
        let site = Site { cluster, proxy, client, namespace };
        site.cluster.client().post(&site.collection(), &json!({"metadata": {"name": "m"}})).unwrap();
        site
    }

    fn collection(&self) -> String {
        format!("/api/v1/namespaces/{}/configmaps", self.namespace)
    }

    fn path(&self) -> String {
        format!("{}/m", self.collection())
    }

    /// A patch by way of the proxy: the status, or `None` if the connection ended or the answer was cut.
    fn patch(&self, value: &str) -> Option<u16> {
        let body = json!({"data": {"k": value}});
        let reply = self.client.patch(&self.path(), Media::MergePatch, &body);
        reply.ok().map(|reply| reply.status)
    }

    fn stored(&self) -> Value {
        self.cluster.client().get(&self.path()).unwrap().body["data"]["k"].clone()
    }
}

#[test]
fn what_the_server_gets_and_what_the_client_hears() {
    let site = Site::start();
    let proxy = &site.proxy;

    assert_eq!(site.patch("passes"), Some(200));
    assert_eq!(site.stored(), "passes");

    let rule = proxy.rule(Rule::on("PATCH").close());
    assert_eq!(site.patch("answer lost"), None);
    assert_eq!((site.stored(), rule.wait_delivered().unwrap()), (json!("answer lost"), 200));
    assert_eq!(site.patch("the next passes"), Some(200));

    proxy.rule(Rule::on("PATCH").keep().close());
    assert_eq!(site.patch("request lost"), None);
    assert_eq!(site.stored(), "the next passes");

    let slow = Canned::text(429, "slow down").header("Retry-After", "7");
    proxy.rule(Rule::on("PATCH").keep().instead(slow));
    assert_eq!(site.patch("refused here"), Some(429));
    assert_eq!(site.stored(), "the next passes");

    proxy.rule(Rule::on("PATCH").instead(Canned::html(504, "<html>late</html>")));
    assert_eq!(site.patch("504 after the commit"), Some(504));
    assert_eq!(site.stored(), "504 after the commit");

    proxy.rule(Rule::on("PATCH").instead(Canned::json(200, "{\"half\":1}").cut()));
    assert_eq!(site.patch("cut"), None);
    assert_eq!(site.stored(), "cut");

    proxy.rule(Rule::on("PATCH").hearing(Hearing::Half));
    assert_eq!(site.patch("half"), None);
    assert_eq!(site.stored(), "half");

    proxy.rule(Rule::on("PATCH").trickle(Duration::from_micros(1)));
    assert_eq!(site.patch("trickle"), Some(200));

    proxy.rule(Rule::on("PATCH").halve().close());
    assert_eq!(site.patch("half of the request"), None);
    assert_eq!(site.stored(), "trickle");

    proxy.rule(Rule::on("PATCH").path("/other").close());
    proxy.rule(Rule::on("PATCH").query("dryRun").close());
    proxy.rule(Rule::on("PATCH").nth(2).close());
    assert_eq!(site.patch("matched by none"), Some(200));
    assert_eq!(site.patch("the second"), None);
}

#[test]
fn a_lottery_draws_for_what_has_no_rule() {
    let site = Site::start();
    let refuse = |asked: &Asked<'_>| {
        (asked.method == "PATCH").then(|| Rule::on("").keep().instead(Canned::text(503, "drawn")))
    };
    site.proxy.rule(Rule::on("PATCH").close());
    site.proxy.draw(Some(Box::new(refuse)));
    assert_eq!(site.patch("a rule goes first"), None);
    assert_eq!(site.patch("drawn"), Some(503));
    assert_eq!(site.client.get(&site.path()).unwrap().status, 200);
    site.proxy.draw(Some(Box::new(|_| Some(Rule::on("").hold_for(Duration::from_millis(200)).close()))));
    assert_eq!(site.patch("late"), None);
    assert_eq!((site.proxy.outstanding(), site.stored()), (1, json!("a rule goes first")));
    site.proxy.draw(None);
    while site.proxy.outstanding() > 0 {
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(site.stored(), "late");
}

#[test]
fn what_is_held_comes_when_it_is_released() {
    let site = Site::start();
    let rule = site.proxy.rule(Rule::on("PATCH").hold());
    thread::scope(|scope| {
        let patch = scope.spawn(|| site.patch("late"));
        rule.wait_hit().unwrap();
        assert_eq!(site.stored(), Value::Null);
        rule.release();
        assert_eq!(patch.join().unwrap(), Some(200));
    });
    assert_eq!(site.stored(), "late");

    let rule = site.proxy.rule(Rule::on("PATCH").hold_answer());
    thread::scope(|scope| {
        let patch = scope.spawn(|| site.patch("answer late"));
        assert_eq!(rule.wait_delivered().unwrap(), 200);
        assert_eq!(site.stored(), "answer late");
        assert!(!patch.is_finished());
        rule.release();
        assert_eq!(patch.join().unwrap(), Some(200));
    });

    site.proxy.rule(Rule::on("PATCH").hold_for(Duration::from_millis(50)));
    let before = Instant::now();
    assert_eq!(site.patch("in a while"), Some(200));
    assert!(before.elapsed() >= Duration::from_millis(50));
}

#[test]
fn what_is_held_outlives_its_client() {
    let site = Site::start();
    // The client is cut off, gone by itself, or told something else; the request comes all the same.
    let cut = site.proxy.rule(Rule::on("PATCH").hold().close());
    assert_eq!(site.patch("cut off"), None);
    assert_eq!(site.stored(), Value::Null);
    cut.release();
    assert_eq!((cut.wait_delivered().unwrap(), site.stored()), (200, json!("cut off")));

    let told = site.proxy.rule(Rule::on("PATCH").hold().instead(Canned::text(504, "timeout")));
    assert_eq!(site.patch("told"), Some(504));
    assert_eq!(site.stored(), "cut off");
    told.release();
    assert_eq!((told.wait_delivered().unwrap(), site.stored()), (200, json!("told")));

    let left = site.proxy.rule(Rule::on("PATCH").hold());
    let kubeconfig = site.proxy.kubeconfig().to_owned();
    let path = site.path();
    thread::scope(|scope| {
        scope.spawn(|| {
            let client = Client::from_kubeconfig(&kubeconfig).unwrap();
            let body = json!({"data": {"k": "left"}});
            assert!(client.patch(&path, Media::MergePatch, &body).is_err());
        });
        left.wait_hit().unwrap();
        site.proxy.cut();
    });
    assert_eq!(site.stored(), "told");
    left.release();
    assert_eq!((left.wait_delivered().unwrap(), site.stored()), (200, json!("left")));
}

#[test]
fn everything_is_counted() {
    let site = Site::start();
    assert_eq!(site.proxy.counts(), Default::default());
    for value in ["a", "b", "c"] {
        assert_eq!(site.patch(value), Some(200));
    }
    site.client.get(&site.path()).unwrap();
    site.client.get(&site.collection()).unwrap();
    let counts = site.proxy.counts();
    let patches = counts.of("PATCH", PathKind::Object);
    assert_eq!(patches.requests, 3);
    assert_eq!(patches.request_body, 3 * r#"{"data":{"k":"a"}}"#.len() as u64);
    assert!(patches.response_body > 300 && patches.request_head > 300 && patches.response_head > 100);
    let read = counts.of("GET", PathKind::Object);
    let direct = site.cluster.client().get(&site.path()).unwrap().body.to_string();
    // The server ends its JSON with a line feed.
    assert_eq!((read.requests, read.response_body), (1, direct.len() as u64 + 1));
    assert_eq!(counts.of("GET", PathKind::Collection).requests, 1);
    assert_eq!(counts.total().requests, 5);
    assert_eq!(site.proxy.take_log()[1].body, json!({"data": {"k": "b"}}));
    site.proxy.reset_counts();
    assert_eq!(site.proxy.counts().total().requests, 0);
}

#[test]
fn a_server_that_is_gone_refuses_and_comes_back() {
    let site = Site::start();
    assert_eq!(site.patch("before"), Some(200));
    site.cluster.kill().unwrap();
    assert_eq!(site.patch("gone"), None);
    site.cluster.start_again().unwrap();
    // The pooled connection has ended with the server's.
    assert_eq!(site.patch("again"), Some(200));
}

#[test]
fn the_rights_are_those_of_the_user() {
    let site = Site::start();
    let rules = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]);
    let user = site.cluster.user("reader", &site.namespace, &rules).unwrap();
    let kubeconfig = site.proxy.kubeconfig_like(&user.kubeconfig).unwrap();
    let client = Client::from_kubeconfig(&kubeconfig).unwrap();
    assert_eq!(client.get(&site.path()).unwrap().status, 200);
    assert_eq!(client.patch(&site.path(), Media::MergePatch, &json!({})).unwrap().status, 403);
}

#[test]
fn the_program() {
    let site = Site::start();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mapstore-proxy"));
    command.arg(site.cluster.kubeconfig());
    let mut program = LineProgram::start(command).unwrap();
    let patience = Duration::from_secs(30);
    let mut ask = |line: Option<Value>| -> Value {
        line.inspect(|line| program.send(&line.to_string()));
        let line = program.receive(patience).unwrap_or_else(|_| panic!("no line"));
        serde_json::from_str(&line).unwrap()
    };
    let ready = ask(None);
    assert_eq!(ready["event"], "ready");
    let client = Client::from_kubeconfig(ready["kubeconfig"].as_str().unwrap().as_ref()).unwrap();
    let rule = json!({"method": "PATCH", "delivery": "held", "hearing": {"instead": {"status": 504}}});
    assert_eq!(ask(Some(json!({"cmd": "rule", "rule": rule}))), json!({"ok": true, "rule": 0}));
    let reply = client.patch(&site.path(), Media::MergePatch, &json!({"data": {"k": "v"}})).unwrap();
    assert_eq!((reply.status, site.stored()), (504, Value::Null));
    for (cmd, said) in [
        ("wait_hit", json!({"ok": true})),
        ("release", json!({"ok": true})),
        ("wait_delivered", json!({"ok": true, "status": 200})),
    ] {
        assert_eq!(ask(Some(json!({"cmd": cmd, "rule": 0}))), said);
    }
    assert_eq!(site.stored(), "v");
    let counts = ask(Some(json!({"cmd": "counts"})));
    assert_eq!(
        (&counts["counts"][0]["method"], &counts["counts"][0]["requests"]),
        (&json!("PATCH"), &json!(1))
    );
    assert_eq!(ask(Some(json!({"cmd": "log"})))["requests"][0]["body"]["data"]["k"], "v");
    assert_eq!(ask(Some(json!({"cmd": "release", "rule": 9})))["ok"], false);
    assert_eq!(ask(Some(json!({"cmd": "nonsense"})))["ok"], false);
    assert!(program.finish(patience).unwrap().success(), "it ends with its input");
}
