//! What a write in doubt is resolved from: the map's history, in each way it can be had, and in each way it can't; on
//! mapstore-dev, through a proxy.

mod support;

use std::thread;
use std::time::{Duration, Instant};

use mapstore::{Cache, ErrorKind, Store};
use mapstore_harness::Kind::Dev;
use mapstore_harness::Media;
use mapstore_harness::proxy::{Canned, Hearing, Rule};
use serde_json::{Value as Json, json};
use support::*;

const EXPIRED: &str = r#"{"kind":"Status","status":"Failure","reason":"Expired","code":410}"#;
const CONFLICT: &str = r#"{"kind":"Status","status":"Failure","reason":"Conflict","code":409}"#;

fn instead(rule: Rule, status: u16, body: &str) -> Rule {
    rule.keep().hearing(Hearing::Instead(Canned::json(status, body)))
}

impl Scene {
    /// A watch doesn't reach back.
    fn without_watch(&self) {
        self.proxy.rule(instead(Rule::on("GET").query("watch=true").always(), 410, EXPIRED));
    }

    fn foreign(&self, patch: &Json) {
        let path = self.site.path();
        self.site.client().patch(&path, Media::MergePatch, patch).unwrap().success("patch").unwrap();
    }

    /// A store of a user who may only do this.
    fn granted(&self, verbs: &[&str], cache: Cache) -> Store {
        let rules = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": verbs}]);
        let user = self.site.cluster.user(&verbs.join("-"), &self.site.namespace, &rules).unwrap();
        let kubeconfig = self.proxy.kubeconfig_like(&user.kubeconfig).unwrap();
        self.options(cache).kubeconfig(kubeconfig).timeout(Duration::from_secs(10)).open().unwrap()
    }
}

/// "List" and "watch" are not among the rights, and never were: each doubt took until the deadline and ended as
/// OutcomeUnknown, because their refusal was taken for that of a server which doesn't know its roles yet.
#[test]
fn without_the_rights_to_list_and_watch_a_doubt_is_resolved_by_a_look_at_once() {
    let scene = Scene::start(Dev);
    for (verbs, method) in
        [(["get", "create", "patch", "patch"], "PATCH"), (["get", "create", "update", "update"], "PUT")]
    {
        for cache in MODES {
            scene.proxy.clear_rules();
            let store = scene.granted(&verbs, cache);
            store.set("k", "1").unwrap();
            scene.proxy.rule(Rule::on(method).close());
            let began = Instant::now();
            let written = store.set("k", "2");
            assert!(written.is_ok_and(|written| written.changed), "{method} {cache:?}");
            assert!(began.elapsed() < Duration::from_secs(6), "{:?}, {method} {cache:?}", began.elapsed());
            assert_eq!(scene.site.value("k").as_deref(), Some("2"));
            scene.site.delete_map();
        }
    }
}

/// What answers doesn't know of exact revisions and tells the newest state for each: it was asked until the deadline,
/// without a pause.
#[test]
fn a_server_that_does_not_know_exact_revisions_is_not_asked_for_ever() {
    let scene = Scene::start(Dev);
    let store = scene.options(Cache::None).timeout(Duration::from_secs(5)).open().unwrap();
    store.set("k", "1").unwrap();
    scene.without_watch();
    let newest = json!({"metadata": {"resourceVersion": "900000"}, "items": [
        {"metadata": {"uid": "u", "resourceVersion": "900000"}}]});
    let exact = Rule::on("GET").query("resourceVersionMatch=Exact").always();
    scene.proxy.rule(instead(exact, 200, &newest.to_string()));
    scene.proxy.rule(Rule::on("PATCH").close());
    let second = scene.proxy.rule(Rule::on("PATCH").hold());
    scene.proxy.reset_counts();
    let write = {
        let store = store.clone();
        thread::spawn(move || store.set("k", "2"))
    };
    second.wait_hit().unwrap();
    scene.foreign(&json!({"data": {"foreign": "1"}}));
    second.release();
    write.join().unwrap().unwrap();
    let requests = scene.proxy.counts().total().requests;
    assert!(requests < 20, "{requests} requests");
}

/// More than a hundred versions were made since: the oldest one that was looked at was told as the write's own.
#[test]
fn a_revision_that_is_too_far_back_is_not_told() {
    let scene = Scene::start(Dev);
    let store = scene.options(Cache::None).timeout(Duration::from_secs(20)).open().unwrap();
    store.set("k", "1").unwrap();
    scene.foreign(&json!({"data": {"foreign": "-"}}));
    scene.without_watch();
    // Overtaken, it goes blind, and the answer to that is lost.
    scene.proxy.rule(Rule::on("PATCH").nth(2).close());
    let listing = Rule::on("GET").query("fieldSelector").query_without("watch=true");
    let list = scene.proxy.rule(listing.hold());
    let write = {
        let store = store.clone();
        thread::spawn(move || store.set("k", "2"))
    };
    list.wait_hit().unwrap();
    let own = scene.site.revision();
    for number in 0..120 {
        scene.foreign(&json!({"data": {"foreign": number.to_string()}}));
    }
    list.release();
    let written = write.join().unwrap().unwrap();
    let told = written.revision.as_ref().map(|revision| revision.as_str());
    assert!(written.changed && told.is_none_or(|told| told == own), "{written:?}, its own was {own}");
}

/// The largest number there is was added to.
#[test]
fn a_revision_of_any_size_is_no_defect() {
    let scene = Scene::start(Dev);
    let most = u64::MAX.to_string();
    let object = json!({"metadata": {"name": "m", "uid": "u", "resourceVersion": most}, "binaryData": {}});
    let list = json!({"metadata": {"resourceVersion": most}, "items": [
        {"metadata": {"uid": "u", "resourceVersion": "7"}}]});
    for cache in MODES {
        scene.proxy.clear_rules();
        scene.without_watch();
        scene.proxy.rule(instead(Rule::on("GET").query("fieldSelector").always(), 200, &list.to_string()));
        scene.proxy.rule(instead(Rule::on("GET").always(), 200, &object.to_string()));
        scene.proxy.rule(Rule::on("PATCH").keep().close());
        scene.proxy.rule(instead(Rule::on("PATCH").always(), 409, CONFLICT));
        let store = scene.options(cache).timeout(Duration::from_secs(2)).open().unwrap();
        let error = store.set("k", "2").unwrap_err();
        assert_ne!(error.kind(), ErrorKind::Internal, "{cache:?}: {error}");
    }
}

/// What an API server never sends, and parses all the same: it was written into as if it were an object.
#[test]
fn an_object_of_another_form_is_no_defect() {
    let scene = Scene::start(Dev);
    let forms = [
        json!({"metadata": {"name": "m", "uid": "u", "resourceVersion": "7", "annotations": []}}),
        json!({"metadata": ["u", "7"]}),
        json!([["u", "7"], {"k": "v"}, null]),
    ];
    for form in forms {
        scene.proxy.clear_rules();
        let store = scene.granted(&["get", "create", "update"], Cache::None);
        store.set("k", "1").unwrap();
        scene.proxy.rule(instead(Rule::on("GET").always(), 200, &form.to_string()));
        let error = store.with(&within(ms(800))).set("k", "2").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{form}: {error}");
    }
    for annotations in [json!(null), json!({})] {
        scene.proxy.clear_rules();
        let store = scene.granted(&["get", "create", "update"], Cache::None);
        let mut object = scene.site.object();
        object["metadata"]["annotations"] = annotations;
        scene.proxy.rule(instead(Rule::on("GET"), 200, &object.to_string()));
        store.set("k", "3").unwrap();
        assert_eq!(scene.site.value("k").as_deref(), Some("3"));
    }
}

/// A quota that others count on at the same moment answers a creation with 409, which is no writer of this map.
#[test]
fn a_creation_that_meets_a_busy_quota_is_made_again() {
    let scene = Scene::start(Dev);
    for cache in MODES {
        let store = scene.options(cache).open().unwrap();
        let busy = Rule::on("POST").query_without("dryRun");
        scene.proxy.rule(instead(busy, 409, CONFLICT));
        store.set("k", "1").unwrap();
        assert_eq!(scene.site.value("k").as_deref(), Some("1"), "{cache:?}");
        scene.site.delete_map();
    }
}
