//! Group commit, with the first request of a group held at a proxy: who waits behind it, who leaves, who is let go on.

mod support;

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use mapstore::{Batch, Cache, Call, CancelToken, ErrorKind, Result, Store, Written};
use mapstore_harness::Kind::Dev;
use mapstore_harness::Media;
use mapstore_harness::proxy::{PathKind, Rule, RuleHandle};
use serde_json::json;
use support::*;

impl Scene {
    /// A store that has written, so that it need not look.
    fn store(&self, cache: Cache) -> Store {
        let store = self.options(cache).timeout(Duration::from_secs(20)).open().unwrap();
        store.set("first", "1").unwrap();
        store
    }

    /// A write that is under way, and what holds it: others have to wait behind it.
    fn write_ahead(&self, store: &Store) -> (thread::JoinHandle<Result<Written>>, RuleHandle) {
        let held = self.hold_a_patch();
        let ahead = in_background({
            let store = store.clone();
            move || store.set("ahead", "1")
        });
        held.wait_hit().unwrap();
        (ahead, held)
    }

    fn hold_a_patch(&self) -> RuleHandle {
        self.proxy.clear_rules();
        self.proxy.rule(Rule::on("PATCH").hold())
    }

    fn has(&self, key: &str) -> bool {
        self.site.object()["binaryData"].get(key).is_some()
    }
}

/// Starts it, and returns when it waits in the queue: its thread sleeps, and goes on sleeping.
fn in_background<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> thread::JoinHandle<T> {
    let (tell, thread) = mpsc::channel();
    let running = thread::spawn(move || {
        // SAFETY: it takes nothing and gives a number.
        tell.send(unsafe { libc::gettid() }).expect("somebody listens");
        work()
    });
    let state = format!("/proc/self/task/{}/stat", thread.recv().expect("it runs"));
    let mut asleep = 0;
    while asleep < 20 && !running.is_finished() {
        let stat = std::fs::read_to_string(&state).unwrap_or_default();
        let sleeps = stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('S'));
        asleep = if sleeps { asleep + 1 } else { 0 };
        thread::sleep(Duration::from_millis(5));
    }
    running
}

#[test]
fn waiting_writes_go_together_and_one_that_is_cancelled_does_not_go() {
    for cache in MODES {
        let scene = Scene::start(Dev);
        let store = scene.store(cache);
        let (ahead, held) = scene.write_ahead(&store);
        let token = CancelToken::new();
        let leaving = in_background({
            let store = store.with(&Call::new().cancel(&token));
            move || store.set("leaving", "1")
        });
        let staying: Vec<_> = (0..5)
            .map(|number| {
                let store = store.clone();
                in_background(move || store.set(&format!("staying-{number}"), "1"))
            })
            .collect();
        token.cancel();
        let refused = leaving.join().unwrap().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Cancelled, "{cache:?}: {refused}");
        assert!(refused.to_string().contains("nothing was written"), "{cache:?}: {refused}");
        scene.proxy.reset_counts();
        held.release();
        ahead.join().unwrap().unwrap();
        let written: Vec<_> = staying.into_iter().map(|one| one.join().unwrap().unwrap()).collect();
        assert!(written.windows(2).all(|two| two[0].revision == two[1].revision), "{cache:?}: {written:?}");
        assert_eq!(scene.proxy.counts().of("PATCH", PathKind::Object).requests, 1, "{cache:?}");
        assert!(scene.has("ahead") && scene.has("staying-4") && !scene.has("leaving"), "{cache:?}");
    }
}

#[test]
fn one_that_is_cancelled_in_flight_says_so_and_is_not_lost_sight_of() {
    for cache in MODES {
        let scene = Scene::start(Dev);
        let store = scene.store(cache);
        let held = scene.hold_a_patch();
        let token = CancelToken::new();
        let leaving = in_background({
            let store = store.with(&Call::new().cancel(&token));
            move || store.set("leaving", "1")
        });
        held.wait_hit().unwrap();
        token.cancel();
        let refused = leaving.join().unwrap().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Cancelled, "{cache:?}: {refused}");
        assert!(refused.to_string().contains("may have been applied"), "{cache:?}: {refused}");
        held.release();
        // Whatever became of it: the next write and read see the map as it is.
        store.set("next", "1").unwrap();
        assert_eq!(store.contains("leaving").unwrap(), scene.has("leaving"), "{cache:?}");
        assert!(scene.has("next"));
    }
}

#[test]
fn close_answers_everybody() {
    for cache in MODES {
        let scene = Scene::start(Dev);
        let store = scene.store(cache);
        // Each: on a busy machine the first one is given up, and sent again, before the others wait.
        scene.proxy.clear_rules();
        let held = scene.proxy.rule(Rule::on("PATCH").hold().always());
        let calls: Vec<_> = (0..8)
            .map(|number| {
                let store = store.clone();
                in_background(move || store.set(&format!("k{number}"), "1"))
            })
            .collect();
        held.wait_hit().unwrap();
        let began = Instant::now();
        store.close().unwrap();
        for (number, call) in calls.into_iter().enumerate() {
            let refused = call.join().unwrap().unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Closed, "{cache:?}: {refused}");
            let in_flight = refused.to_string().contains("may have been applied");
            assert_eq!(in_flight, number == 0, "{cache:?}, number {number}: {refused}");
        }
        // Without an answer from close they would wait for their deadline, 10 s.
        assert!(began.elapsed() < Duration::from_secs(5), "{cache:?}: {:?}", began.elapsed());
        held.release();
        thread::sleep(Duration::from_millis(100));
        assert!(
            (1..8).all(|number| !scene.has(&format!("k{number}"))),
            "{cache:?}: told that nothing was written"
        );
    }
}

/// Three writers of 300 KiB without pause fill every group; a small write goes with the next or the one after it.
#[test]
fn large_writes_do_not_starve_a_small_one() {
    for cache in MODES {
        let scene = Scene::start(Dev);
        let store = scene.options(cache).write_budget(u64::MAX).open().unwrap();
        store.set("small", "0").unwrap();
        let over = CancelToken::new();
        thread::scope(|scope| {
            for writer in 0..3 {
                let (store, over) = (&store, &over);
                scope.spawn(move || {
                    for round in 100.. {
                        if over.is_cancelled() {
                            break;
                        }
                        store.set(&format!("large-{writer}"), format!("{round}").repeat(100_000)).unwrap();
                    }
                });
            }
            thread::sleep(Duration::from_millis(300));
            let mut meanwhile: Vec<_> = (1..=10)
                .map(|round| {
                    scene.proxy.reset_counts();
                    store.set("small", round.to_string()).unwrap();
                    scene.proxy.counts().of("PATCH", PathKind::Object).requests
                })
                .collect();
            over.cancel();
            // Now and then this thread is on no processor, and the others go on: the usual number counts.
            meanwhile.sort_unstable();
            assert!(meanwhile[5] <= 4, "{cache:?}: {meanwhile:?} requests until a small write was done");
        });
    }
}

/// Members get what they would get alone, in their order, in one request.
#[test]
fn results_in_a_group_are_exact() {
    for cache in MODES {
        let scene = Scene::start(Dev);
        let store = scene.store(cache);
        let (ahead, held) = scene.write_ahead(&store);
        let apply = |batch: &Batch| {
            let (store, batch) = (store.clone(), batch.clone());
            in_background(move || store.apply(&batch))
        };
        let absent = |key: &str, value: &str| {
            let mut batch = Batch::new();
            batch.if_absent(key).unwrap().set(key, value).unwrap();
            batch
        };
        let first = apply(&absent("lock", "one"));
        let second = apply(&absent("lock", "two"));
        let too_large =
            apply(Batch::new().set("a", vec![0; 600_000]).unwrap().set("b", vec![0; 600_000]).unwrap());
        let last = apply(Batch::new().set("after", "1").unwrap());
        held.release();
        ahead.join().unwrap().unwrap();
        let first = first.join().unwrap().unwrap();
        assert_eq!(second.join().unwrap().unwrap_err().kind(), ErrorKind::Conflict, "{cache:?}");
        assert_eq!(too_large.join().unwrap().unwrap_err().kind(), ErrorKind::TooLarge, "{cache:?}");
        assert!(first.changed && last.join().unwrap().unwrap().changed, "{cache:?}");
        assert_eq!(store.get("lock").unwrap().as_deref(), Some(b"one".as_slice()), "{cache:?}");
        assert!(!scene.has("a") && !scene.has("b") && scene.has("after"), "{cache:?}");
    }
}

/// A store deletes a text key; one that leaves text alone deletes it too, at the same moment: the delete was acknowledged,
/// and the key stayed.
#[test]
fn stores_that_use_different_halves_of_a_map_do_not_spoil_each_others_writes() {
    for cache in MODES {
        let scene = Scene::start(Dev);
        let store = scene.store(cache);
        let options = scene.options(cache).timeout(Duration::from_secs(20));
        let halved = options.binary_only(true).open().unwrap();
        for value in [None, Some([0xff])] {
            let text = json!({"data": {"k": "text"}});
            let path = scene.site.path();
            scene.site.client().patch(&path, Media::MergePatch, &text).unwrap().success("patch").unwrap();
            store.refresh().unwrap();
            let (ahead, held) = scene.write_ahead(&store);
            let first = in_background({
                let (store, value) = (store.clone(), value);
                move || match value {
                    None => store.delete("k"),
                    Some(value) => store.set("k", value),
                }
            });
            let second = in_background({
                let halved = halved.clone();
                move || halved.delete("k")
            });
            held.release();
            ahead.join().unwrap().unwrap();
            first.join().unwrap().unwrap();
            second.join().unwrap().unwrap();
            assert_eq!(scene.site.value("k"), None, "{cache:?} {value:?}");
            assert_eq!(store.get("k").unwrap(), None, "{cache:?} {value:?}");
            store.delete("ahead").unwrap();
        }
    }
}
