//! Faults of which a call can be wrong about its write, wait for what doesn't come, or ask without a pause; on
//! mapstore-dev, through a proxy.

mod support;

use std::thread;
use std::time::{Duration, Instant};

use mapstore::{Cache, Call, CancelToken, ErrorKind};
use mapstore_harness::Kind::Dev;
use mapstore_harness::Media;
use mapstore_harness::proxy::{Canned, Hearing, Rule};
use serde_json::json;
use support::*;

const CONFLICT: &str = r#"{"kind":"Status","status":"Failure","reason":"Conflict","code":409}"#;
const MISSING: &str = r#"{"kind":"Status","status":"Failure","reason":"NotFound","details":{"name":"m","kind":"configmaps"},"code":404}"#;
const FORBIDDEN: &str = r#"{"kind":"Status","status":"Failure","reason":"Forbidden","code":403,
    "message":"configmaps \"m\" is forbidden: User \"u\" cannot patch resource \"configmaps\" in API group \"\""}"#;

fn canned(status: u16, body: &str) -> Hearing {
    Hearing::Instead(Canned::json(status, body))
}

/// 838 requests in 1.5 s, and the map was never made again.
#[test]
fn an_update_whose_map_is_deleted_before_it_writes_makes_it_again() {
    let scene = Scene::start(Dev);
    for cache in MODES {
        let store = scene.options(cache).timeout(Duration::from_secs(10)).open().unwrap();
        store.set("k", "1").unwrap();
        let mut update = store.begin_update("k").unwrap();
        scene.site.delete_map();
        scene.proxy.reset_counts();
        let mut commits = 1;
        while update.commit(Some(b"2")).unwrap().is_none() {
            commits += 1;
        }
        let requests = scene.proxy.counts().total().requests;
        assert!(requests < 15 && commits <= 2, "{requests} requests, {commits} commits, {cache:?}");
        assert_eq!(scene.site.value("k").as_deref(), Some("2"));
        scene.site.delete_map();
    }
}

/// 15,000 requests in 2 s.
#[test]
fn a_server_that_contradicts_itself_is_not_asked_without_a_pause() {
    let scene = Scene::start(Dev);
    for (status, body) in [(404, MISSING), (409, CONFLICT)] {
        for cache in MODES {
            scene.proxy.clear_rules();
            let store = scene.options(cache).timeout(Duration::from_millis(1_500)).open().unwrap();
            store.set("k", "1").unwrap();
            scene.proxy.rule(Rule::on("PATCH").keep().always().hearing(canned(status, body)));
            scene.proxy.reset_counts();
            let set = store.set("k", "2");
            let error = refused("set", set, ErrorKind::Conflict);
            assert!(error.to_string().contains("nothing was written"), "{error}");
            let requests = scene.proxy.counts().total().requests;
            assert!(requests < 250, "{requests} requests in 1.5 s for {status}, {cache:?}");
        }
    }
}

/// It said "no answer from the API server", though every request was answered.
#[test]
fn an_update_that_always_loses_is_a_conflict() {
    let scene = Scene::start(Dev);
    for cache in MODES {
        scene.proxy.clear_rules();
        let store = scene.options(cache).open().unwrap();
        store.set("k", "1").unwrap();
        scene.proxy.rule(Rule::on("PATCH").keep().always().hearing(canned(409, CONFLICT)));
        for timeout in [50, 150, 600] {
            let store = store.with(&within(ms(timeout)));
            let lost = || {
                let error = store.update("k", |_| Some("2")).unwrap_err();
                // On a busy machine the deadline may come while a commit is under way.
                if error.kind() == ErrorKind::OutcomeUnknown {
                    return false;
                }
                assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
                assert!(error.is_retryable() && error.to_string().contains("faster"), "{error}");
                true
            };
            assert!((0..10).any(|_| lost()), "its last commit was always under way");
        }
    }
}

/// A writer that loses each race by one step is not told that nobody answered either.
#[test]
fn an_update_that_computes_until_its_deadline_and_has_lost_is_a_conflict() {
    let scene = Scene::start(Dev);
    let store = scene.options(Cache::None).open().unwrap();
    store.set("k", "1").unwrap();
    let mut number = 0;
    let update = store.with(&within(ms(1_000))).update("k", |_| {
        number += 1;
        let theirs = if number % 2 == 0 { "Mg==" } else { "Mw==" };
        let theirs = json!({"binaryData": {"k": theirs}});
        scene.site.client().patch(&scene.site.path(), Media::MergePatch, &theirs).unwrap();
        // It has lost twice when its time runs out.
        thread::sleep(if number < 3 { ms(1) } else { ms(1_100) });
        Some("own")
    });
    refused("update", update, ErrorKind::Conflict);
}

/// One lost request of a call with 20 s made calls with 1 s wait for 9.7 s.
#[test]
fn a_lost_request_of_a_patient_call_does_not_hold_the_others_for_long() {
    let scene = Scene::start(Dev);
    for cache in MODES {
        scene.proxy.clear_rules();
        let store = scene.options(cache).timeout(Duration::from_secs(20)).open().unwrap();
        store.set("k", "1").unwrap();
        let lost = scene.proxy.rule(Rule::on("PATCH").keep());
        let patient = {
            let store = store.clone();
            thread::spawn(move || store.set("k", "2"))
        };
        lost.wait_hit().unwrap();
        let began = Instant::now();
        store.with(&within(Duration::from_secs(8))).set("other", "1").unwrap();
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        patient.join().unwrap().unwrap();
    }
}

/// Nothing was learnt but that there is no route: that is what the call says, not that the clock ran out.
#[test]
fn at_its_deadline_a_call_says_what_it_learnt_last() {
    let scene = Scene::start(Dev);
    for cache in MODES {
        for (status, body, kind) in [
            (429, "{}", ErrorKind::Overloaded),
            (503, "{}", ErrorKind::Unavailable),
            (409, CONFLICT, ErrorKind::Conflict),
        ] {
            scene.proxy.clear_rules();
            let store = scene.options(cache).open().unwrap();
            store.set("k", "1").unwrap();
            // Learnt first; then silence until the deadline.
            scene.proxy.rule(Rule::on("PATCH").keep().hearing(canned(status, body)));
            scene.proxy.rule(Rule::on("").keep().always());
            let error = store.with(&within(ms(900))).set("k", "2").unwrap_err();
            let sent_again = matches!(error.kind(), ErrorKind::OutcomeUnknown);
            assert!(sent_again || error.kind() == kind, "{status} {cache:?}: {error:?}");
            if status == 409 && cache == Cache::Exclusive {
                assert_eq!(error.kind(), ErrorKind::Conflict, "only looks were sent since: {error:?}");
            }
        }
    }
}

/// The reason of a refusal is in its body; half a body said "it gave no reason" of a key that lives in `data`.
#[test]
fn a_refusal_that_is_cut_is_asked_again() {
    let scene = Scene::start(Dev);
    let text = json!({"data": {"k": "text"}, "metadata": {"labels": {"a": "b"}}});
    for fault in [Rule::on("PATCH").hearing(Hearing::Half), Rule::on("PATCH").keep().hearing(cut(422))] {
        let store = scene.options(Cache::None).open().unwrap();
        store.set("first", "1").unwrap();
        let path = scene.site.path();
        scene.site.client().patch(&path, Media::MergePatch, &text).unwrap().success("patch").unwrap();
        // Overtaken, it goes blind, to the wrong side.
        scene.proxy.clear_rules();
        scene.proxy.rule(fault.nth(2));
        store.set("k", "new text").unwrap();
        assert_eq!(scene.site.object()["data"]["k"], "new text");
        scene.site.delete_map();
    }
}

fn cut(status: u16) -> Hearing {
    Hearing::Instead(Canned::json(status, r#"{"kind":"Status","details":{"causes":[]},"code":422}"#).cut())
}

/// 27 calls failed for good while a restarted API server still loaded its roles.
#[test]
fn forbidden_within_seconds_of_fine_answers_is_tried_again() {
    let scene = Scene::start(Dev);
    for cache in MODES {
        scene.proxy.clear_rules();
        let store = scene.options(cache).open().unwrap();
        store.set("k", "1").unwrap();
        store.set("k", "2").unwrap();
        store.refresh().unwrap();
        let loading = |method| Rule::on(method).keep().times(3).hearing(canned(403, FORBIDDEN));
        scene.proxy.rule(loading("PATCH"));
        store.set("k", "3").unwrap();
        scene.proxy.rule(loading("GET"));
        store.refresh().unwrap();
        // A right that is really gone is told soon.
        scene.proxy.rule(Rule::on("").keep().always().hearing(canned(403, FORBIDDEN)));
        let began = Instant::now();
        refused("set", store.set("k", "4"), ErrorKind::Forbidden);
        assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    }
}

/// Whether the write was sent is what the caller has to know.
#[test]
fn cancelled_and_closed_say_whether_the_write_was_sent() {
    let scene = Scene::start(Dev);
    for cache in MODES {
        for close in [false, true] {
            scene.proxy.clear_rules();
            let store = scene.options(cache).timeout(Duration::from_secs(20)).open().unwrap();
            store.set("k", "1").unwrap();
            let held = scene.proxy.rule(Rule::on("PATCH").keep());
            let token = CancelToken::new();
            let call = Call::new().cancel(&token);
            let write = |key: &'static str| {
                let store = store.with(&call);
                thread::spawn(move || store.set(key, "2"))
            };
            let sent = write("k");
            held.wait_hit().unwrap();
            let waiting = write("waiting");
            let update = {
                let store = store.with(&call);
                thread::spawn(move || store.update("updating", |_| Some("1")))
            };
            thread::sleep(ms(100));
            if close {
                store.close().unwrap();
            } else {
                token.cancel();
            }
            let kind = if close { ErrorKind::Closed } else { ErrorKind::Cancelled };
            for (thread, told) in [
                (sent, "may have been applied"),
                (waiting, "nothing was written"),
                (update, "nothing was written"),
            ] {
                let error = refused("set", thread.join().unwrap(), kind);
                assert!(error.to_string().contains(told), "{error}");
            }
        }
    }
}
