//! What a write in doubt is resolved from: the map's history, in each way it can be had, and in each way it can't; on
//! mapstore-dev, through a proxy.

mod support;

use std::time::{Duration, Instant};

use mapstore::{Cache, Store};
use mapstore_harness::Kind::Dev;
use mapstore_harness::proxy::Rule;
use serde_json::json;
use support::*;

impl Scene {
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
