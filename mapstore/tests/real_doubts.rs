//! What became of a write that got no answer, on the real API server: told from the map's history, and never from what
//! the map happens to look like.

mod support;

use std::thread::{self, JoinHandle};
use std::time::Duration;

use mapstore::{Batch, Cache, ErrorKind, Result, Store, Written};
use mapstore_harness::Kind::Real;
use mapstore_harness::Media;
use mapstore_harness::proxy::{Rule, RuleHandle};
use serde_json::{Value as Json, json};
use support::*;

impl Scene {
    /// A store that knows the map, with `k` in it.
    fn knowing(&self, cache: Cache) -> Store {
        self.proxy.clear_rules();
        let store = self.options(cache).timeout(Duration::from_secs(90)).open().unwrap();
        store.set("k", "old").unwrap();
        store
    }

    fn foreign(&self, patch: Json) -> String {
        let reply = self.site.client().patch(&self.site.path(), Media::MergePatch, &patch).unwrap();
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.body["metadata"]["resourceVersion"].as_str().unwrap().to_owned()
    }

    /// A set whose first try is committed, its answer lost, and its second try held: the call, what holds it, and the
    /// revision it made.
    fn answer_lost(&self, store: &Store) -> (JoinHandle<Result<Written>>, RuleHandle, String) {
        self.proxy.rule(Rule::on("PATCH").close());
        let second = self.proxy.rule(Rule::on("PATCH").hold());
        let store = store.clone();
        let write = thread::spawn(move || store.set("k", "new"));
        second.wait_hit().unwrap();
        (write, second, self.site.revision())
    }
}

type Write = fn(&Store) -> Result<Written>;

/// Each write, and what others did to the map after the store has seen it, and before the call: first what looks like
/// the write, then something else over it.
const LOOKALIKES: [(&str, Write, [&str; 2]); 4] = [
    (
        "delete",
        |store| store.delete("k"),
        [r#"{"binaryData":{"k":null}}"#, r#"{"binaryData":{"k":"dGhlaXJz"}}"#],
    ),
    (
        "set",
        |store| store.set("k", "new"),
        [r#"{"binaryData":{"k":"bmV3"}}"#, r#"{"binaryData":{"k":"dGhlaXJz"}}"#],
    ),
    (
        "truncate",
        |store| store.truncate(),
        [r#"{"binaryData":null,"data":null}"#, r#"{"binaryData":{"k":"dGhlaXJz"}}"#],
    ),
    (
        "apply",
        |store| store.apply(Batch::new().set("k", "new")?.delete("gone")?),
        [r#"{"binaryData":{"k":"bmV3"}}"#, r#"{"binaryData":{"k":"dGhlaXJz","gone":"dGhlaXJz"}}"#],
    ),
];

/// The first try never reaches the server and the second is refused, because others have written since the store has
/// seen the map. What they wrote first was taken for ours: an acknowledged delete, and the key was there.
#[test]
fn another_writers_change_that_looks_like_ours_is_not_ours() {
    let scene = Scene::start(Real);
    for cache in MODES {
        for (name, write, changes) in LOOKALIKES {
            let store = scene.knowing(cache);
            for change in changes {
                scene.foreign(serde_json::from_str(change).unwrap());
            }
            let lost = scene.proxy.rule(Rule::on("PATCH").keep().close());
            let written = write(&store).unwrap();
            assert_eq!(lost.hits(), 1, "{name} {cache:?}");
            let wanted = matches!(name, "set" | "apply").then_some("new");
            assert_eq!(scene.site.value("k").as_deref(), wanted, "{name} was acknowledged, {cache:?}");
            assert_eq!(scene.site.value("gone"), None, "{name} {cache:?}");
            assert!(written.changed, "{name} {cache:?}");
            let told = written.revision.map(|revision| revision.as_str().to_owned());
            assert_eq!(told.as_deref(), Some(&*scene.site.revision()), "{name} {cache:?}");
            scene.site.delete_map();
        }
    }
}

/// The same, where nothing of the key is known: no stamp can be spent on what may be equal already.
#[test]
fn a_write_that_may_change_nothing_is_not_told_from_its_looks() {
    let scene = Scene::start(Real);
    let store = scene.knowing(Cache::None);
    // Overtaken, the store writes blind: afterwards it knows of its own key only.
    scene.foreign(json!({"data": {"foreign": "1"}}));
    store.set("own", "1").unwrap();
    scene.foreign(json!({"binaryData": {"k": null}}));
    scene.foreign(json!({"binaryData": {"k": "dGhlaXJz"}}));
    scene.proxy.rule(Rule::on("PATCH").keep().close());
    match store.delete("k") {
        Ok(_) => assert_eq!(scene.site.value("k"), None, "acknowledged"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error}"),
    }
}

/// A state that has more in it than the write would have made of its base is another writer's, though the key is as wanted.
#[test]
fn a_state_with_more_in_it_is_another_writers() {
    let scene = Scene::start(Real);
    let store = scene.knowing(Cache::None);
    let filler = "x".repeat(4096);
    scene.foreign(json!({"data": {"filler": filler}}));
    // Overtaken, the store writes blind; the map is too large for the answer to hold it all.
    store.set("own", "1").unwrap();
    let theirs = scene.foreign(json!({"binaryData": {"k": null}, "data": {"foreign": "2"}}));
    scene.proxy.rule(Rule::on("PATCH").keep().close());
    let written = store.delete("k").unwrap();
    let told = written.revision.unwrap();
    assert!(!written.changed || told.as_str() != theirs, "another writer's revision was told as made here");
    assert_eq!(told.as_str(), scene.site.revision());
}

/// The revision of whoever wrote last was told, and memory became a map that never was.
#[test]
fn after_a_doubt_the_revision_told_and_the_memory_are_the_writes_own() {
    let scene = Scene::start(Real);
    for cache in MODES {
        let store = scene.knowing(cache);
        let (write, second, own) = scene.answer_lost(&store);
        scene.foreign(json!({"data": {"foreign": "1"}}));
        second.release();
        let written = write.join().unwrap().unwrap();
        assert_eq!(written.revision.as_ref().map(|revision| revision.as_str()), Some(&*own), "{cache:?}");
        assert!(written.changed);
        if cache == Cache::Exclusive {
            let held = store.snapshot().unwrap();
            assert_eq!(held.revision().map(|revision| revision.as_str()), Some(&*own));
            assert_eq!(held.keys().collect::<Vec<_>>(), ["k"], "the map at that revision");
        }
        let lost_update = store.apply(Batch::new().if_revision(&own).unwrap().set("k", "over").unwrap());
        refused("a change that nobody saw", lost_update, ErrorKind::Conflict);
        assert_eq!(scene.site.value("k").as_deref(), Some("new"));
        scene.site.delete_map();
    }
}

/// Between the lost answer and its resolution the API server is killed and started again: its own history begins
/// with its start, but etcd's goes on. MAPSTORE_RESTARTS says how often; each is another way the map went on.
#[test]
fn a_restart_of_the_api_server_leaves_no_doubt() {
    let restarts = std::env::var("MAPSTORE_RESTARTS").ok().and_then(|text| text.parse().ok()).unwrap_or(4);
    let scene = Scene::own(Real);
    let (mut requests, mut bytes) = (0, 0);
    for round in 0..restarts {
        let cache = MODES[round % 2];
        let (committed, deleted) = (round / 2 % 2 == 0, round / 4 % 3 == 2);
        let store = scene.knowing(cache);
        let first = Rule::on("PATCH").close();
        let first = scene.proxy.rule(if committed { first } else { first.keep() });
        let second = scene.proxy.rule(Rule::on("PATCH").hold());
        let write = {
            let store = store.clone();
            thread::spawn(move || store.set("k", "new"))
        };
        first.wait_hit().unwrap();
        second.wait_hit().unwrap();
        let own = scene.site.revision();
        for number in 0..round % 7 + 1 {
            scene.foreign(json!({"data": {"foreign": number.to_string()}}));
        }
        if deleted {
            scene.site.delete_map();
        }
        scene.site.cluster.kill().unwrap();
        scene.proxy.reset_counts();
        scene.site.cluster.start_again().unwrap();
        second.release();
        let what = format!("round {round}, {cache:?}, committed: {committed}, deleted: {deleted}");
        let written = write.join().unwrap().unwrap_or_else(|error| panic!("{what}: {error}"));
        let count = scene.proxy.counts().total();
        requests += count.requests;
        bytes += count.body();
        let told = written.revision.as_ref().map(|revision| revision.as_str().to_owned());
        let newest = scene.site.revision();
        assert_eq!(told.as_deref(), Some(if committed { &*own } else { &*newest }), "{what}");
        if !deleted {
            assert_eq!(scene.site.value("k").as_deref(), Some("new"), "{what}");
        }
        if scene.site.revision() != "" {
            scene.site.delete_map();
        }
    }
    println!(
        "{restarts} restarts, 0 OutcomeUnknown: {:.1} requests and {} bytes a write in doubt, both ways",
        requests as f64 / restarts as f64,
        bytes / restarts as u64
    );
}

/// Without the right to list, and where the watch reaches back, no more rights are needed than before.
#[test]
fn a_doubt_is_settled_by_a_watch_alone() {
    let scene = Scene::start(Real);
    for cache in MODES {
        scene.knowing(cache);
        let rules = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "patch", "watch"],
                            "resourceNames": ["m"]}]);
        let user = scene.site.cluster.user("nolist", &scene.site.namespace, &rules).unwrap();
        let kubeconfig = scene.proxy.kubeconfig_like(&user.kubeconfig).unwrap();
        let options = scene.options(cache).kubeconfig(kubeconfig).timeout(Duration::from_secs(25));
        let store = options.open().unwrap();
        store.set("k", "known").unwrap();
        let (write, second, own) = scene.answer_lost(&store);
        scene.foreign(json!({"binaryData": {"k": "dGhlaXJz"}}));
        second.release();
        let written = write.join().unwrap().unwrap();
        assert_eq!(written.revision.as_ref().map(|revision| revision.as_str()), Some(&*own), "{cache:?}");
        scene.site.delete_map();
    }
}
