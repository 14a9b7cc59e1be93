//! What writes cost, on the real API server, which MAPSTORE_APISERVER_DIR names: requests and body bytes, counted
//! before it. Prints its table; run it with --nocapture to see it.

mod support;

use std::thread;
use std::time::Duration;

use mapstore::{Batch, Cache, Store};
use mapstore_harness::Kind::Real;
use mapstore_harness::proxy::{Count, Proxy};
use serde_json::{Value as Json, json};
use support::*;

fn store(site: &Site, proxy: &Proxy, cache: Cache) -> Store {
    site.through(proxy).cache(cache).write_budget(u64::MAX).timeout(Duration::from_secs(30)).open().unwrap()
}

fn cost(proxy: &Proxy, work: impl FnOnce()) -> Count {
    proxy.reset_counts();
    work();
    proxy.counts().total()
}

/// Made by somebody else, who left managedFields: their bytes.
fn foreign_map(site: &Site, keys: usize, value_bytes: usize) -> usize {
    let data: serde_json::Map<_, _> =
        (0..keys).map(|key| (format!("k{key}"), json!("x".repeat(value_bytes)))).collect();
    site.client().delete(&site.path()).unwrap();
    let collection = site.path().rsplit_once('/').unwrap().0.to_owned();
    let made = site.client().post(&collection, &json!({"metadata": {"name": "m"}, "data": data})).unwrap();
    assert_eq!(made.status, 201, "{}", made.body);
    assert!(made.body["metadata"]["managedFields"].is_array());
    made.body["metadata"]["managedFields"].to_string().len()
}

#[test]
fn a_set_is_one_small_request_whatever_the_size_of_the_map() {
    let site = Site::start(Real);
    let proxy = Proxy::start(&site.cluster).unwrap();
    let sizes = [
        ("1 KiB", 1, 1 << 10),
        ("100 KiB", 10, 10 << 10),
        ("900 KiB", 9, 100 << 10),
        ("5,000 keys", 5_000, 8),
    ];
    println!("{:>11} {:>10} {:>9} {:>6} {:>6}  equal set", "map", "cache", "requests", "up", "down");
    for (name, keys, bytes) in sizes {
        for cache in MODES {
            let managed = foreign_map(&site, keys, bytes);
            let store = store(&site, &proxy, cache);
            let equal = "x".repeat(bytes);
            // The first write may look first; an equal one writes nothing all the same.
            assert!(!store.set("k0", &equal).unwrap().changed, "{name}, {cache:?}");
            store.set("first", "1").unwrap();
            let count = cost(&proxy, || assert!(store.set("counter", "12345").unwrap().changed));
            assert_eq!(count.requests, 1, "{name}, {cache:?}");
            assert!(count.body() < 1_000, "{name}, {cache:?}: {count:?} (managedFields had {managed} bytes)");
            let before = site.revision();
            let again = cost(&proxy, || assert!(!store.set("counter", "12345").unwrap().changed));
            assert_eq!(again.requests, u64::from(cache == Cache::None), "{name}, {cache:?}");
            assert_eq!(site.revision(), before);
            println!(
                "{name:>11} {:>10} {:>9} {:>6} {:>6}  {} requests",
                format!("{cache:?}"),
                count.requests,
                count.request_body,
                count.response_body,
                again.requests
            );
        }
    }
}

/// Somebody applies this map: its managedFields are theirs and stay.
#[test]
fn the_fields_of_who_applies_are_left_alone() {
    let site = Site::start(Real);
    let proxy = Proxy::start(&site.cluster).unwrap();
    let apply =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"a": "1"}});
    let path = format!("{}?fieldManager=somebody", site.path());
    let applied = site.client().patch(&path, mapstore_harness::Media::ApplyPatch, &apply).unwrap();
    assert!(applied.status < 300, "{}", applied.body);
    for cache in MODES {
        let store = store(&site, &proxy, cache);
        store.set("b", format!("{cache:?}")).unwrap();
        store.set("c", format!("{cache:?}")).unwrap();
    }
    let managers = site.object()["metadata"]["managedFields"].clone();
    let of_somebody = |entry: &&Json| entry["manager"] == "somebody" && entry["operation"] == "Apply";
    assert!(managers.as_array().unwrap().iter().any(|entry| of_somebody(&entry)), "{managers}");
    let again = site.client().patch(&path, mapstore_harness::Media::ApplyPatch, &apply).unwrap();
    assert!(again.status < 300, "{}", again.body);
}

/// Whoever waits goes with the next request; results are each one's own.
#[test]
fn many_threads_share_requests() {
    let site = Site::start(Real);
    let proxy = Proxy::start(&site.cluster).unwrap();
    for cache in MODES {
        let stores = [store(&site, &proxy, cache), store(&site, &proxy, cache)];
        stores[0].set("first", "1").unwrap();
        let count = cost(&proxy, || {
            thread::scope(|scope| {
                for number in 0..64 {
                    let store = &stores[number % 2];
                    scope.spawn(move || {
                        for round in 0..10 {
                            let (key, value) = (format!("k{number}"), format!("{round}"));
                            assert!(store.set(&key, &value).unwrap().changed);
                            assert_eq!(
                                store.set("a/b", "x").unwrap_err().kind(),
                                mapstore::ErrorKind::InvalidArgument
                            );
                            if round == 5 {
                                let mut batch = Batch::new();
                                batch.if_absent(&key).unwrap().set("never", "x").unwrap();
                                assert_eq!(
                                    store.apply(&batch).unwrap_err().kind(),
                                    mapstore::ErrorKind::Conflict
                                );
                            }
                        }
                    });
                }
            });
        });
        println!("{cache:?}: 640 sets and 64 refused batches by 64 threads: {} requests", count.requests);
        assert!(count.requests < 320, "{count:?}");
        let values = site.values();
        assert_eq!(values.len(), 65, "{:?}", values.keys());
        assert!((0..64).all(|number| values[&format!("k{number}")] == b"9"));
        stores[0].truncate().unwrap();
    }
}

/// Conditions hold against every writer: threads of two stores, and one that sends no revision.
#[test]
fn a_counter_is_exact_whoever_else_writes() {
    let site = Site::start(Real);
    let proxy = Proxy::start(&site.cluster).unwrap();
    for cache in MODES {
        let stores = [store(&site, &proxy, cache), store(&site, &proxy, cache)];
        stores[0].truncate().unwrap();
        stores[0].set("n", "0").unwrap();
        thread::scope(|scope| {
            for number in 0..8 {
                let store = &stores[number % 2];
                scope.spawn(move || {
                    for _ in 0..10 {
                        let increment = |old: Option<&[u8]>| {
                            let old: u64 = std::str::from_utf8(old.unwrap_or(b"0")).unwrap().parse().unwrap();
                            Some((old + 1).to_string())
                        };
                        store.update("n", increment).unwrap();
                    }
                });
            }
            scope.spawn(|| {
                for round in 0..40 {
                    let patch = json!({"data": {"foreign": round.to_string()}});
                    let reply = site
                        .client()
                        .patch(&site.path(), mapstore_harness::Media::MergePatch, &patch)
                        .unwrap();
                    assert_eq!(reply.status, 200);
                }
            });
        });
        assert_eq!(site.value("n").as_deref(), Some("80"), "{cache:?}");
        assert_eq!(site.value("foreign").as_deref(), Some("39"), "{cache:?}");
    }
}
