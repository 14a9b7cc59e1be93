//! T2 on the real API server, which MAPSTORE_APISERVER_DIR names: it is killed, stopped and paused between and during
//! calls, tokens and its authority are rotated, the ConfigMap is deleted and made again. The store is opened once.

mod support;

use std::fs;
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mapstore::{Cache, ErrorKind, Options, Store};
use mapstore_harness::Kind::Real;
use mapstore_harness::{Client, Media};
use serde_json::{Value as Json, json};
use support::*;

fn stores(site: &Site, timeout: Duration) -> [Store; 2] {
    MODES.map(|cache| site.options().cache(cache).timeout(timeout).open().unwrap())
}

#[track_caller]
fn works(site: &Site, stores: &[Store], value: &str) {
    for (number, store) in stores.iter().enumerate() {
        let value = format!("{value} {number}");
        store.set("k", &value).unwrap();
        assert_eq!(site.value("k"), Some(value.clone()));
        store.refresh().unwrap();
        assert_eq!(store.get("k").unwrap().as_deref(), Some(value.as_bytes()));
    }
}

#[test]
fn the_server_is_killed_stopped_and_paused() {
    let site = Site::own(Real);
    let patient = stores(&site, Duration::from_secs(30));
    works(&site, &patient, "first");

    // Killed and started again between two calls.
    site.cluster.restart().unwrap();
    works(&site, &patient, "after a crash");

    // Down: the call says so in time, and nothing was written.
    site.cluster.kill().unwrap();
    for store in &patient {
        let short = store.with(&within(ms(500)));
        let error = on_time("set", ms(500), || short.set("k", "lost")).unwrap_err();
        let kinds = [ErrorKind::Unavailable, ErrorKind::Deadline, ErrorKind::OutcomeUnknown];
        assert!(kinds.contains(&error.kind()), "{error:?}");
    }
    site.cluster.start_again().unwrap();
    works(&site, &patient, "after being down");

    // SIGTERM.
    site.cluster.stop().unwrap();
    site.cluster.start_again().unwrap();
    works(&site, &patient, "after a stop");

    for (how, end) in [("killed", true), ("stopped", false)] {
        under_load(&site, &patient, how, || {
            thread::sleep(ms(200));
            if end { site.cluster.kill() } else { site.cluster.stop() }.unwrap();
            site.cluster.start_again().unwrap();
        });
        works(&site, &patient, how);
    }

    // Paused for longer than the first try may take.
    let hasty = stores(&site, Duration::from_secs(4));
    works(&site, &hasty, "before the pause");
    under_load(&site, &hasty, "paused", || {
        site.cluster.pause().unwrap();
        thread::sleep(ms(2600));
        site.cluster.resume().unwrap();
    });
    works(&site, &hasty, "after the pause");
}

/// Each thread counts up its own key while the server goes away and comes back. What is there afterwards is what was
/// acknowledged last, or something later whose outcome is unknown.
fn under_load(site: &Site, stores: &[Store], what: &str, disturb: impl FnOnce()) {
    let stop = std::sync::atomic::AtomicBool::new(false);
    let (stop, relaxed) = (&stop, std::sync::atomic::Ordering::Relaxed);
    thread::scope(|scope| {
        let writers: Vec<_> = (0..6)
            .map(|number| {
                let store = &stores[number % stores.len()];
                scope.spawn(move || {
                    let key = format!("w{number}");
                    let (mut acknowledged, mut possible) = (None, Vec::new());
                    for round in 0u32.. {
                        if stop.load(relaxed) && round > 3 {
                            break;
                        }
                        match store.set(&key, format!("{what} {round}")) {
                            Ok(_) => {
                                acknowledged = Some(round);
                                possible.clear();
                            }
                            Err(error) if error.kind() == ErrorKind::OutcomeUnknown => possible.push(round),
                            Err(error) => {
                                let kinds =
                                    [ErrorKind::Deadline, ErrorKind::Unavailable, ErrorKind::Overloaded];
                                assert!(kinds.contains(&error.kind()), "{what}: {error:?}");
                            }
                        }
                    }
                    (key, acknowledged, possible)
                })
            })
            .collect();
        disturb();
        thread::sleep(ms(300));
        stop.store(true, relaxed);
        for writer in writers {
            let (key, acknowledged, possible) = writer.join().unwrap();
            let stored = site.value(&key).unwrap();
            let allowed: Vec<_> =
                acknowledged.iter().chain(&possible).map(|round| format!("{what} {round}")).collect();
            assert!(allowed.contains(&stored), "{key} is {stored:?}, not one of {allowed:?}");
            assert!(acknowledged.is_some(), "{what}: nothing was ever acknowledged");
        }
    });
}

fn read_and_write() -> Json {
    json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "create", "patch"]}])
}

#[test]
fn a_rotated_token_is_read_again_at_once() {
    let site = Site::start(Real);
    let account = format!("/api/v1/namespaces/{}/serviceaccounts/rotates", site.namespace);
    let old = site.cluster.user("rotates", &site.namespace, &read_and_write()).unwrap();
    // With the newline that an editor leaves, and that kube would send.
    let file = site.scratch.write("token", format!("{}\n", old.token)).unwrap();
    let kubeconfig = site.kubeconfig("rotates", None, Some(json!({"tokenFile": file})));
    let stores = MODES.map(|cache| Options::new("m").kubeconfig(&kubeconfig).cache(cache).open().unwrap());
    works(&site, &stores, "old token");

    // Only its account's end makes the server refuse a token that hasn't expired.
    let outdated = Client::from_kubeconfig(&old.kubeconfig).unwrap();
    site.client().delete(&account).unwrap().success("delete").unwrap();
    eventually("the old token is refused", || outdated.get(&site.path()).unwrap().status == 401);
    let error = refused("get", stores[0].get("k"), ErrorKind::Unauthorized);
    assert!(!error.to_string().contains(&old.token));
    let new = site.cluster.user("rotates", &site.namespace, &read_and_write()).unwrap();
    assert_ne!(new.token, old.token);
    fs::write(&file, format!("  {}\n", new.token)).unwrap();
    works(&site, &stores, "new token");
}

#[test]
fn a_rotated_authority_is_read_again() {
    let site = Site::own(Real);
    let authority = site.scratch.path().join("ca.crt");
    let copy = || {
        let cluster = site.sections().cluster;
        let pem = match cluster["certificate-authority-data"].as_str() {
            Some(data) => STANDARD.decode(data).unwrap(),
            None => fs::read(cluster["certificate-authority"].as_str().unwrap()).unwrap(),
        };
        fs::write(&authority, pem).unwrap();
    };
    copy();
    let mut sections = site.sections();
    sections.context = json!({"namespace": site.namespace});
    sections.cluster = json!({"server": sections.cluster["server"], "certificate-authority": "ca.crt"});
    let kubeconfig = site.scratch.write("rotates", sections.to_kubeconfig().to_string()).unwrap();
    let stores = MODES.map(|cache| Options::new("m").kubeconfig(&kubeconfig).cache(cache).open().unwrap());
    works(&site, &stores, "old authority");
    site.cluster.rotate_ca().unwrap();
    for store in &stores {
        // The file isn't there yet: said soon, and clearly.
        let error = refused("set", store.force_set("k", "v"), ErrorKind::Config);
        assert!(error.to_string().contains("certificate"), "{error}");
    }
    copy();
    // The administrator's client still has the old authority: the stores look after each other.
    let [one, two] = &stores;
    one.set("k", "new authority").unwrap();
    two.refresh().unwrap();
    assert_eq!(two.get("k").unwrap().as_deref(), Some(&b"new authority"[..]));
    two.set("k", "for both").unwrap();
    assert_eq!(one.get("k").unwrap().as_deref(), Some(&b"for both"[..]));
}

#[test]
fn a_map_deleted_and_made_again_between_calls() {
    let site = Site::start(Real);
    let collection = site.path().trim_end_matches("/m").to_owned();
    for cache in MODES {
        let store = site.options().cache(cache).open().unwrap();
        store.set("k", "first").unwrap();
        store.set("gone", "first").unwrap();

        site.delete_map();
        store.set("k", "second").unwrap();
        assert_eq!(site.values().len(), 1, "{cache:?}: what was deleted stays deleted");
        assert_eq!(store.keys().unwrap(), ["k"], "{cache:?}");

        // By somebody else, with the same key: the value is set for this map, not left for the old one's sake.
        store.set("k", "third").unwrap();
        site.delete_map();
        let theirs = json!({"metadata": {"name": "m"}, "data": {"k": "theirs", "their": "own"}});
        site.client().post(&collection, &theirs).unwrap().success("post").unwrap();
        store.set("other", "mine").unwrap();
        let values = site.values();
        assert_eq!(values["k"], b"theirs", "{cache:?}");
        assert_eq!(values["their"], b"own", "{cache:?}");
        assert_eq!(values["other"], b"mine", "{cache:?}");
        store.refresh().unwrap();
        assert_eq!(store.get("k").unwrap().as_deref(), Some(&b"theirs"[..]));

        site.delete_map();
        store.delete("k").unwrap();
        store.refresh().unwrap();
        assert!(store.is_empty().unwrap());
        store.truncate().unwrap();
        assert_eq!(
            site.client().get(&site.path()).unwrap().status,
            404,
            "{cache:?}: nothing to write, so none"
        );
        store.force_set("k", "back").unwrap();
        assert_eq!(site.value("k").as_deref(), Some("back"));
        site.delete_map();
    }
}

/// A foreign whole-map PUT with the revision it read can't undo ours, and ours doesn't undo theirs.
#[test]
fn a_foreign_writer_that_sends_its_revision_is_told_of_our_write() {
    let site = Site::start(Real);
    for cache in MODES {
        let store = site.options().cache(cache).open().unwrap();
        store.set("k", "old").unwrap();
        let theirs = site.object();
        store.set("k", "ours").unwrap();
        let reply = site.client().put(&site.path(), &theirs).unwrap();
        assert_eq!(reply.status, 409);
        let labels = json!({"metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}}});
        site.client().patch(&site.path(), Media::MergePatch, &labels).unwrap().success("patch").unwrap();
        store.set("k", "ours again").unwrap();
        store.truncate().unwrap();
        let metadata = &site.object()["metadata"];
        assert_eq!((&metadata["labels"]["a"], &metadata["annotations"]["c"]), (&json!("b"), &json!("d")));
        site.delete_map();
    }
}

#[test]
fn equal_sets_leave_the_revision_where_it_was() {
    let site = Site::start(Real);
    for cache in MODES {
        let store = site.options().cache(cache).open().unwrap();
        store.set("k", "v").unwrap();
        let before = site.revision();
        for _ in 0..100 {
            let written = store.set("k", "v").unwrap();
            assert!(!written.changed);
            assert_eq!(written.revision.unwrap().as_str(), before);
        }
        assert_eq!(site.revision(), before);
        assert!(store.force_set("k", "v").unwrap().changed);
        assert_ne!(site.revision(), before);
        site.delete_map();
    }
}
