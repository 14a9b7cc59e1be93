//! W4 and W5 on any kind of cluster: what a store says about a write is what the server holds.

use std::thread;
use std::time::Duration;

use mapstore::{Cache, ErrorKind, Store, Written};
use mapstore_harness::{Client, Kind, Media};
use serde_json::json;

use super::front::{Fate, Front};
use super::gate::Gate;
use super::*;

/// Opens a store by way of the front and makes it know the map.
fn opened(site: &Site, front: &Front, cache: Cache) -> Store {
    front.judge(|_| Fate::Pass);
    let store = site.via(&front.url()).cache(cache).timeout(Duration::from_secs(3)).open().unwrap();
    store.force_set("k", "old").unwrap();
    front.seen();
    store
}

/// The answer says what the server holds: applied, not applied, or unknown.
#[track_caller]
fn told_the_truth(what: &str, site: &Site, answer: &mapstore::Result<Written>, value: &str) {
    let stored = site.value("k");
    match answer {
        Ok(written) => {
            assert!(written.changed, "{what}: {written:?}");
            assert_eq!(stored.as_deref(), Some(value), "{what}: acknowledged and not there");
        }
        Err(error) if error.kind() == ErrorKind::OutcomeUnknown => {
            assert!(!error.is_retryable(), "{what}: look first");
        }
        Err(error) => {
            assert_ne!(stored.as_deref(), Some(value), "{what}: refused ({error:?}) and there all the same");
        }
    }
}

/// The write is committed and its answer doesn't arrive whole.
pub fn a_lost_answer_is_never_a_false_one(kind: Kind) {
    let site = Site::start(kind);
    let front = Front::before(site.cluster.kubeconfig());
    let fates = [
        Fate::AnswerLost,
        Fate::AnswerCut,
        Fate::Passed(200, "{\"half\":"),
        Fate::Passed(200, "<html>hello</html>"),
        Fate::Passed(500, "{\"message\":\"etcdserver: request timed out\"}"),
        Fate::Passed(502, "<html>bad gateway</html>"),
        Fate::Passed(504, "Timeout: request did not complete within requested timeout"),
        Fate::Lost,
        Fate::Instead(500, "{}"),
        Fate::Instead(503, "{}"),
        Fate::Instead(429, "{}"),
        Fate::Silence,
        Fate::Late(Duration::from_millis(200)),
        Fate::Late(Duration::from_millis(2000)),
    ];
    for cache in MODES {
        for (number, fate) in fates.iter().enumerate() {
            let what = format!("{fate:?}, {cache:?}");
            let store = opened(&site, &front, cache);
            let before = site.revision();
            front.once("PATCH", fate.clone());
            let value = format!("new{number}");
            let answer = on_time(&what, Duration::from_secs(3), || store.set("k", &value));
            let seen = front.seen();
            told_the_truth(&what, &site, &answer, &value);
            // The second try succeeds, or the map's events tell that the first one did.
            if !matches!(fate, Fate::Late(_)) {
                assert!(answer.is_ok(), "{what}: {answer:?}");
            }
            // Whatever was sent again carried the revision of the first try.
            for patch in seen.iter().filter(|seen| seen.method == "PATCH") {
                assert_eq!(patch.body["metadata"]["resourceVersion"], before.as_str(), "{what}");
            }
            goes_on(&what, &store, &site);
        }
    }
}

/// After an unknown outcome the next write is made for what the server holds now, not for what the store remembers.
fn goes_on(what: &str, store: &Store, site: &Site) {
    let written = store.set("k", "old").unwrap_or_else(|error| panic!("{what}, next: {error}"));
    assert_eq!(site.value("k").as_deref(), Some("old"), "{what}: {written:?}");
    assert_eq!(store.get("k").unwrap().as_deref(), Some(&b"old"[..]), "{what}");
}

/// The first answer is lost, and what comes afterwards is no answer to the write.
pub fn a_write_in_doubt_is_never_called_a_failure(kind: Kind) {
    let site = Site::start(kind);
    let front = Front::before(site.cluster.kubeconfig());
    let afterwards = [
        Fate::Lost,
        Fate::Silence,
        Fate::Instead(401, "{\"message\":\"Unauthorized\"}"),
        Fate::Instead(403, "{\"message\":\"User u cannot patch resource configmaps\"}"),
        Fate::Instead(404, "{\"reason\":\"NotFound\",\"details\":{\"kind\":\"configmaps\"}}"),
        Fate::Instead(409, "{\"reason\":\"Conflict\"}"),
        Fate::Instead(413, "{}"),
        Fate::Instead(422, "{}"),
        Fate::Instead(429, "{\"details\":{\"retryAfterSeconds\":60}}"),
        Fate::Instead(500, "{\"message\":\"etcdserver: request is too large\"}"),
        Fate::Instead(503, "{}"),
        Fate::Instead(200, "nonsense"),
        Fate::Instead(302, ""),
    ];
    for cache in MODES {
        for after in &afterwards {
            let what = format!("{after:?}, {cache:?}");
            let store = opened(&site, &front, cache);
            let (later, first) = (after.clone(), AtomicBool::new(true));
            front.judge(move |seen| match seen.method.as_str() {
                "PATCH" if first.swap(false, Ordering::SeqCst) => Fate::AnswerLost,
                _ => later.clone(),
            });
            let deadline = Duration::from_millis(700);
            let short = store.with(&within(deadline));
            let answer = on_time(&what, deadline, || short.set("k", "new"));
            refused(&what, answer, ErrorKind::OutcomeUnknown);
            assert_eq!(site.value("k").as_deref(), Some("new"));
            front.judge(|_| Fate::Pass);
            front.seen();
            goes_on(&what, &store, &site);
        }
    }
}

/// A caller that stops waiting leaves nothing behind that a later call would build on.
pub fn a_cancelled_write_is_not_remembered_as_anything(kind: Kind) {
    let site = Site::start(kind);
    let front = Front::before(site.cluster.kubeconfig());
    for cache in MODES {
        let store = opened(&site, &front, cache);
        front.once("PATCH", Fate::Late(Duration::from_millis(300)));
        let token = mapstore::CancelToken::new();
        let call = mapstore::Call::new().cancel(&token);
        let handle = store.with(&call);
        let write = thread::spawn(move || handle.set("k", "new"));
        eventually("the write is sent", || front.methods().iter().any(|method| method == "PATCH"));
        token.cancel();
        let error = refused("set", write.join().unwrap(), ErrorKind::Cancelled);
        assert!(error.to_string().contains("may have been applied"), "{error}");
        eventually("the write arrives", || site.value("k").as_deref() == Some("new"));
        goes_on(&format!("{cache:?}"), &store, &site);
    }
}

/// At the level of TCP: the connection dies with the answer of the server on its way.
pub fn an_answer_lost_with_its_connection(kind: Kind) {
    let site = Site::start(kind);
    let gate = Gate::before(site.address());
    for cache in MODES {
        let store = site.via(&gate.url()).cache(cache).timeout(Duration::from_secs(4)).open().unwrap();
        for round in 0..10 {
            store.force_set("k", "old").unwrap();
            gate.lose_answers(1);
            let value = format!("new{round}");
            let answer = store.set("k", &value);
            told_the_truth("lost", &site, &answer, &value);
            assert_eq!(gate.still_to_lose(), 0, "no answer was lost");
            assert!(answer.is_ok(), "the map's events tell: {answer:?}");
            if round % 2 == 1 {
                store.refresh().unwrap();
                let stored = store.get("k").unwrap().map(|value| value.to_vec());
                assert_eq!(stored, site.values().get("k").cloned());
            }
            goes_on("lost", &store, &site);
        }
    }
}

/// Many threads, one store or several, and other programs that write other keys: everything acknowledged is there.
pub fn no_acknowledged_write_is_lost(kind: Kind) {
    let site = Site::start(kind);
    let foreign = Client::from_kubeconfig(site.cluster.kubeconfig()).unwrap();
    for (stores, cache) in [(1, Cache::None), (8, Cache::None), (1, Cache::Exclusive), (8, Cache::Exclusive)]
    {
        let options = site.options().cache(cache).timeout(Duration::from_secs(60));
        let stores: Vec<_> = (0..stores).map(|_| options.clone().open().unwrap()).collect();
        stores[0].truncate().unwrap();
        stores[0].force_set("first", "1").unwrap();
        let path = site.path();
        thread::scope(|scope| {
            for thread in 0..64 {
                let store = &stores[thread % stores.len()];
                scope.spawn(move || {
                    for round in 0..3 {
                        store.set(&format!("own-{thread}"), format!("{thread}.{round}")).unwrap();
                    }
                    store.set(&format!("gone-{thread}"), "x").unwrap();
                    store.delete(&format!("gone-{thread}")).unwrap();
                });
            }
            // Patches without a revision, as kubectl sends them.
            scope.spawn(|| {
                for number in 0..40 {
                    let body = json!({"data": {format!("foreign-{number}"): "theirs"}});
                    foreign.patch(&path, Media::MergePatch, &body).unwrap().success("patch").unwrap();
                }
            });
        });
        let values = site.values();
        for thread in 0..64 {
            let own = values.get(&format!("own-{thread}")).map(Vec::as_slice);
            assert_eq!(own, Some(format!("{thread}.2").as_bytes()), "{cache:?}");
        }
        for number in 0..40 {
            assert_eq!(values[&format!("foreign-{number}")], b"theirs", "{cache:?}");
        }
        assert_eq!(values.len(), 64 + 40 + 1, "{cache:?}: {:?}", values.keys());
        for store in &stores {
            store.refresh().unwrap();
            let snapshot = store.snapshot().unwrap();
            assert!(
                snapshot.iter().all(|(key, value)| values[key] == **value) && snapshot.len() == values.len()
            );
        }
    }
}

/// W5: what is refused leaves the server and the cache as they were.
pub fn a_refused_write_leaves_nothing_behind(kind: Kind) {
    let site = Site::start(kind);
    site.cluster.forbid_key(&site.namespace).unwrap();
    for cache in MODES {
        let store = site.options().cache(cache).open().unwrap();
        store.set("k", "old").unwrap();
        store.set("large", vec![7; 900_000]).unwrap();
        let before = site.object();
        refused("too large", store.set("k", vec![1; 200_000]), ErrorKind::TooLarge);
        refused("admission", store.set("forbidden", "v"), ErrorKind::Rejected);
        refused("key", store.set("a/b", "v"), ErrorKind::InvalidArgument);
        assert_eq!(site.object(), before, "{cache:?}");
        assert_eq!(store.get("k").unwrap().as_deref(), Some(&b"old"[..]));
        assert_eq!(store.keys().unwrap(), ["k", "large"]);
        site.client()
            .patch(&site.path(), Media::MergePatch, &json!({"immutable": true}))
            .unwrap()
            .success("patch")
            .unwrap();
        let frozen = site.object();
        refused("immutable", store.set("k", "new"), ErrorKind::Immutable);
        refused("immutable", store.delete("k"), ErrorKind::Immutable);
        assert_eq!(site.object(), frozen, "{cache:?}");
        assert_eq!(store.get("k").unwrap().as_deref(), Some(&b"old"[..]));
        site.delete_map();
    }
}

/// A creation whose answer is lost is looked for, not repeated blindly.
pub fn a_first_write_whose_answer_is_lost(kind: Kind) {
    let site = Site::start(kind);
    let front = Front::before(site.cluster.kubeconfig());
    for cache in MODES {
        for fate in [Fate::AnswerLost, Fate::Lost, Fate::Passed(504, "timeout"), Fate::Instead(503, "{}")] {
            front.judge(|_| Fate::Pass);
            let store = site.via(&front.url()).cache(cache).open().unwrap();
            front.once("POST", fate.clone());
            store.set("k", "v").unwrap_or_else(|error| panic!("{fate:?}: {error}"));
            assert_eq!(site.value("k").as_deref(), Some("v"));
            site.delete_map();
        }
    }
}

/// With the Go package's Role: no patch, so the object is read, changed and written back at its revision.
pub fn the_same_without_the_right_to_patch(kind: Kind) {
    let site = Site::start(kind);
    let verbs =
        json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "create", "update"]}]);
    let user = site.cluster.user("seed", &site.namespace, &verbs).unwrap();
    let front = Front::before(&user.kubeconfig);
    for cache in MODES {
        let store = opened(&site, &front, cache);
        for fate in [Fate::AnswerLost, Fate::Passed(504, "timeout"), Fate::Lost, Fate::Instead(500, "{}")] {
            let what = format!("{fate:?}, {cache:?}");
            front.once("PUT", fate);
            let answer = store.set("k", "new");
            told_the_truth(&what, &site, &answer, "new");
            goes_on(&what, &store, &site);
        }
    }
}

/// Cancelled at any moment, or out of time: "nothing was written" is true, and so is a success.
pub fn a_call_that_ends_early_tells_the_truth(kind: Kind) {
    let site = Site::start(kind);
    for cache in MODES {
        let store = site.options().cache(cache).open().unwrap();
        store.set("k", "old").unwrap();
        for round in 0..150u64 {
            let token = mapstore::CancelToken::new();
            let pause = Duration::from_micros(round * 37 % 4000);
            let call = match round % 3 {
                0 => within(Duration::from_millis(1 + round % 4)),
                _ => mapstore::Call::new().cancel(&token),
            };
            let value = format!("{cache:?} {round}");
            let handle = store.with(&call);
            let answer = thread::scope(|scope| {
                scope.spawn(|| {
                    thread::sleep(pause);
                    token.cancel();
                });
                handle.set("k", &value)
            });
            let stored = site.value("k").unwrap();
            match answer {
                Ok(_) => assert_eq!(stored, value),
                Err(error)
                    if error.to_string().contains("nothing was written")
                        || error.kind() == ErrorKind::Unavailable =>
                {
                    assert_ne!(stored, value, "{error}");
                    // Nor later.
                    store.get("k").unwrap();
                    assert_ne!(site.value("k").unwrap(), value, "{error}");
                }
                Err(error) => {
                    let kinds = [ErrorKind::Cancelled, ErrorKind::OutcomeUnknown];
                    assert!(kinds.contains(&error.kind()), "{error:?}");
                    assert!(error.to_string().contains("may have been applied"), "{error}");
                }
            }
        }
    }
}
