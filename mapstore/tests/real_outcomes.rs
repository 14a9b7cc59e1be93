//! W4 on the real API server, which MAPSTORE_APISERVER_DIR names, through a proxy that holds and drops: what a store
//! says of a write is what became of it, and no write undoes another writer's.

mod support;

use std::thread;
use std::time::{Duration, Instant};

use mapstore::{Cache, ErrorKind, Options, Result, Store, Written};
use mapstore_harness::Kind::Real;
use mapstore_harness::Media;
use mapstore_harness::proxy::{Canned, Hearing, Rule};
use serde_json::{Value as Json, json};
use support::*;

impl Scene {
    /// A store that knows the map, by way of the proxy, and a foreign key in it.
    fn opened(&self, cache: Cache) -> Store {
        self.proxy.clear_rules();
        let store = self.patient(cache).open().unwrap();
        store.set("k", "old").unwrap();
        self.foreign(json!({"data": {"foreign": "0"}}));
        store.set("k", "older").unwrap();
        store.set("k", "oldest").unwrap();
        store
    }

    fn patient(&self, cache: Cache) -> Options {
        self.options(cache).timeout(Duration::from_secs(60))
    }

    fn foreign(&self, patch: Json) {
        let reply = self.site.client().patch(&self.site.path(), Media::MergePatch, &patch).unwrap();
        assert_eq!(reply.status, 200, "{}", reply.body);
    }

    fn make_anew(&self) {
        let collection = self.site.path().rsplit_once('/').unwrap().0.to_owned();
        let body = json!({"metadata": {"name": "m"}, "data": {"foreign": "anew"}});
        assert_eq!(self.site.client().post(&collection, &body).unwrap().status, 201);
    }

    fn delete(&self) {
        assert_eq!(self.site.client().delete(&self.site.path()).unwrap().status, 200);
    }
}

fn in_background(store: &Store, value: &'static str) -> thread::JoinHandle<Result<Written>> {
    let store = store.clone();
    thread::spawn(move || store.set("k", value))
}

#[track_caller]
fn applied(answer: Result<Written>) {
    assert!(answer.unwrap().changed);
}

#[test]
fn an_answer_lost_after_the_commit() {
    let scene = Scene::start(Real);
    for cache in MODES {
        let store = scene.opened(cache);
        let lost = scene.proxy.rule(Rule::on("PATCH").close());
        applied(store.set("k", "new"));
        assert_eq!((lost.hits(), scene.site.value("k").as_deref()), (1, Some("new")));
    }
}

#[test]
fn a_patch_that_is_held_and_comes_before_our_second_try() {
    let scene = Scene::start(Real);
    for cache in MODES {
        let store = scene.opened(cache);
        let first = scene.proxy.rule(Rule::on("PATCH").hold().close());
        let second = scene.proxy.rule(Rule::on("PATCH").hold());
        let write = in_background(&store, "new");
        second.wait_hit().unwrap();
        first.release();
        assert_eq!(first.wait_delivered().unwrap(), 200);
        second.release();
        applied(write.join().unwrap());
        assert_eq!(second.delivered(), [409], "the fence held");
        assert_eq!(scene.site.value("k").as_deref(), Some("new"));
    }
}

#[test]
fn a_patch_that_is_held_and_comes_after_others_wrote() {
    let scene = Scene::start(Real);
    for cache in MODES {
        let store = scene.opened(cache);
        let first = scene.proxy.rule(Rule::on("PATCH").hold().close());
        let second = scene.proxy.rule(Rule::on("PATCH").hold());
        let write = in_background(&store, "new");
        second.wait_hit().unwrap();
        scene.foreign(json!({"data": {"foreign": "1"}}));
        second.release();
        applied(write.join().unwrap());
        scene.foreign(json!({"binaryData": {"k": "dGhlaXJz"}}));
        first.release();
        assert_eq!(first.wait_delivered().unwrap(), 409, "it came too late to undo anything");
        assert_eq!(scene.site.value("k").as_deref(), Some("theirs"));
        assert_eq!(scene.site.value("foreign").as_deref(), Some("1"));
    }
}

#[test]
fn a_post_that_is_held_while_the_map_is_made_and_deleted() {
    let scene = Scene::start(Real);
    for cache in MODES {
        scene.proxy.clear_rules();
        let store = scene.patient(cache).open().unwrap();
        let post = scene.proxy.rule(Rule::on("POST").query_without("dryRun").hold().close());
        applied(store.set("k", "new"));
        assert_eq!(scene.site.value("k").as_deref(), Some("new"));
        scene.delete();
        post.release();
        assert_eq!(post.wait_delivered().unwrap(), 201);
        assert!(scene.site.values().is_empty(), "what was deleted is back: {:?}", scene.site.values());
        store.refresh().unwrap();
        assert_eq!(store.get("k").unwrap(), None);
        scene.delete();
    }
}

#[test]
fn a_504_before_and_after_the_commit() {
    let scene = Scene::start(Real);
    let gateway =
        || Hearing::Instead(Canned::text(504, "Timeout: request did not complete within requested timeout"));
    for cache in MODES {
        let store = scene.opened(cache);
        let before = scene.proxy.rule(Rule::on("PATCH").keep().hearing(gateway()));
        applied(store.set("k", "before"));
        assert_eq!((before.hits(), scene.site.value("k").as_deref()), (1, Some("before")));
        scene.proxy.clear_rules();
        let after = scene.proxy.rule(Rule::on("PATCH").hearing(gateway()));
        applied(store.set("k", "after"));
        assert_eq!((after.delivered(), scene.site.value("k").as_deref()), (vec![200], Some("after")));
    }
}

#[test]
fn a_reset_between_groups() {
    let scene = Scene::start(Real);
    for cache in MODES {
        let store = scene.opened(cache);
        for round in 0..10 {
            scene.proxy.cut();
            applied(store.set("k", round.to_string()));
        }
        assert_eq!(scene.site.value("k").as_deref(), Some("9"));
    }
}

#[test]
fn a_server_that_is_killed_in_mid_commit() {
    let scene = Scene::own(Real);
    for cache in MODES {
        for delivered in [true, false] {
            let store = scene.opened(cache);
            let rule = Rule::on("PATCH");
            let patch = scene.proxy.rule(if delivered { rule.hold_answer() } else { rule.hold() });
            let write = in_background(&store, "new");
            patch.wait_hit().unwrap();
            if delivered {
                eventually("it is committed", || scene.site.value("k").as_deref() == Some("new"));
            }
            scene.site.cluster.kill().unwrap();
            patch.release();
            scene.proxy.cut();
            scene.site.cluster.start_again().unwrap();
            applied(write.join().unwrap());
            assert_eq!(scene.site.value("k").as_deref(), Some("new"));
            assert_eq!(scene.site.value("foreign").as_deref(), Some("0"));
        }
    }
}

#[test]
fn a_map_that_is_deleted_and_made_anew_between_try_and_retry() {
    let scene = Scene::start(Real);
    for cache in MODES {
        for committed in [true, false] {
            let store = scene.opened(cache);
            let rule = Rule::on("PATCH").close();
            let first = scene.proxy.rule(if committed { rule } else { rule.keep() });
            let second = scene.proxy.rule(Rule::on("PATCH").hold());
            let write = in_background(&store, "new");
            first.wait_hit().unwrap();
            second.wait_hit().unwrap();
            scene.delete();
            scene.make_anew();
            second.release();
            applied(write.join().unwrap());
            // Committed to the map that was deleted since: not written once more to the new one.
            let expected = (!committed).then_some("new");
            assert_eq!(scene.site.value("k").as_deref(), expected, "{cache:?}, committed: {committed}");
            assert_eq!(scene.site.value("foreign").as_deref(), Some("anew"));
            scene.delete();
        }
    }
}

#[test]
fn watch_is_forbidden_while_a_write_is_in_doubt() {
    let scene = Scene::start(Real);
    for cache in MODES {
        scene.opened(cache);
        let rules = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "patch"]}]);
        let user = scene.site.cluster.user("nowatch", &scene.site.namespace, &rules).unwrap();
        let kubeconfig = scene.proxy.kubeconfig_like(&user.kubeconfig).unwrap();
        let store = scene.patient(cache).kubeconfig(kubeconfig).open().unwrap();
        store.set("k", "known").unwrap();

        scene.proxy.rule(Rule::on("PATCH").close());
        applied(store.set("k", "seen"));
        assert_eq!(scene.site.value("k").as_deref(), Some("seen"));

        scene.proxy.clear_rules();
        scene.proxy.rule(Rule::on("PATCH").close());
        let second = scene.proxy.rule(Rule::on("PATCH").hold());
        let write = in_background(&store, "overwritten");
        second.wait_hit().unwrap();
        // By another program that stamps its writes.
        let over = json!({"metadata": {"annotations": {"mapstore/last-write": "another"}}, "binaryData": {"k": "dGhlaXJz"}});
        scene.foreign(over);
        second.release();
        let error = refused("set", write.join().unwrap(), ErrorKind::OutcomeUnknown);
        assert!(!error.is_retryable(), "{error}");
        assert_eq!(scene.site.value("k").as_deref(), Some("theirs"), "it was not written again");
        scene.proxy.clear_rules();
        store.set("k", "goes on").unwrap();

        // Overwritten by a program that leaves our stamp: applied, but nobody can tell at which revision.
        scene.proxy.rule(Rule::on("PATCH").close());
        let second = scene.proxy.rule(Rule::on("PATCH").hold());
        let write = in_background(&store, "once");
        second.wait_hit().unwrap();
        scene.foreign(json!({"binaryData": {"k": "dGhlaXJz"}}));
        second.release();
        let written = write.join().unwrap().unwrap();
        assert!(written.changed && written.revision.is_none(), "{written:?}");
        assert_eq!(store.get("k").unwrap().as_deref(), Some(&b"theirs"[..]), "{cache:?}");
        scene.proxy.clear_rules();
    }
}

#[test]
fn a_429_says_when_in_plain_text() {
    let scene = Scene::start(Real);
    for cache in MODES {
        let store = scene.opened(cache);
        let busy = Canned::text(429, "Too many requests, please try again later.").header("Retry-After", "1");
        let refused = scene.proxy.rule(Rule::on("PATCH").keep().hearing(Hearing::Instead(busy)));
        let began = Instant::now();
        applied(store.set("k", "new"));
        assert!(began.elapsed() >= Duration::from_secs(1) && refused.hits() == 1);
        assert_eq!(scene.site.value("k").as_deref(), Some("new"));
    }
}

/// After a conflict a write goes whatever the revision, and never twice.
#[test]
fn a_write_without_a_revision_is_found_by_its_stamp_or_unknown() {
    let scene = Scene::start(Real);
    let store = scene.opened(Cache::None);
    scene.foreign(json!({"data": {"foreign": "1"}}));
    let blind = scene.proxy.rule(Rule::on("PATCH").nth(2).close());
    applied(store.set("k", "new"));
    assert_eq!((blind.delivered(), scene.site.value("k").as_deref()), (vec![200], Some("new")));

    let store = scene.opened(Cache::None);
    scene.foreign(json!({"data": {"foreign": "2"}}));
    let blind = scene.proxy.rule(Rule::on("PATCH").nth(2).hold().close());
    refused("set", store.set("k", "late"), ErrorKind::OutcomeUnknown);
    assert_ne!(scene.site.value("k").as_deref(), Some("late"));
    blind.release();
    assert_eq!(blind.wait_delivered().unwrap(), 200, "that is why it is unknown");
    assert_eq!(scene.site.value("foreign").as_deref(), Some("2"));
}
