//! W4 and W5 on mapstore-dev: answers lost, cut and replaced after the commit, writers side by side, refusals. What a
//! store says about a write is compared with what the server holds. `real_faults.rs` is the same on the real server.

mod support;

use mapstore::{Cache, ErrorKind};
use mapstore_harness::Kind::Dev;
use mapstore_harness::proxy::{Canned, Rule};
use serde_json::json;
use support::{Scene, writes};

#[test]
fn a_lost_answer_is_never_a_false_one() {
    writes::a_lost_answer_is_never_a_false_one(Dev);
}

#[test]
fn a_write_in_doubt_is_never_called_a_failure() {
    writes::a_write_in_doubt_is_never_called_a_failure(Dev);
}

#[test]
fn a_cancelled_write_is_not_remembered_as_anything() {
    writes::a_cancelled_write_is_not_remembered_as_anything(Dev);
}

#[test]
fn an_answer_lost_with_its_connection() {
    writes::an_answer_lost_with_its_connection(Dev);
}

#[test]
fn no_acknowledged_write_is_lost() {
    writes::no_acknowledged_write_is_lost(Dev);
}

#[test]
fn a_refused_write_leaves_nothing_behind() {
    writes::a_refused_write_leaves_nothing_behind(Dev);
}

#[test]
fn a_first_write_whose_answer_is_lost() {
    writes::a_first_write_whose_answer_is_lost(Dev);
}

#[test]
fn the_same_without_the_right_to_patch() {
    writes::the_same_without_the_right_to_patch(Dev);
}

#[test]
fn a_call_that_ends_early_tells_the_truth() {
    writes::a_call_that_ends_early_tells_the_truth(Dev);
}

/// Found by `make faults`: any trouble with the second question was told as "grant patch".
#[test]
fn verifying_where_update_is_granted_never_asks_for_patch() {
    let scene = Scene::start(Dev);
    let rules =
        json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "create", "update"]}]);
    let user = scene.site.cluster.user("seed", &scene.site.namespace, &rules).unwrap();
    let kubeconfig = scene.proxy.kubeconfig_like(&user.kubeconfig).unwrap();
    let store = scene.options(Cache::None).kubeconfig(kubeconfig).open().unwrap();
    store.set("k", "v").unwrap();
    scene.proxy.rule(Rule::on("PUT").keep().instead(Canned::text(503, "in a moment")));
    store.verify_connection().unwrap();
    scene.proxy.rule(Rule::on("PUT").keep().always());
    let call = mapstore::Call::new().timeout(std::time::Duration::from_millis(500));
    let error = store.with(&call).verify_connection().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Deadline, "{error}");
}

/// Found by `make faults`: after a connection was cut, the refusal of patch was doubted until the deadline.
#[test]
fn trouble_does_not_keep_a_role_without_patch_from_writing() {
    let scene = Scene::start(Dev);
    let rules =
        json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "create", "update"]}]);
    let user = scene.site.cluster.user("seed", &scene.site.namespace, &rules).unwrap();
    let kubeconfig = scene.proxy.kubeconfig_like(&user.kubeconfig).unwrap();
    let store = scene.options(Cache::None).kubeconfig(kubeconfig).open().unwrap();
    scene.proxy.rule(Rule::on("GET").close());
    let call = mapstore::Call::new().timeout(std::time::Duration::from_secs(2));
    store.with(&call).set("k", "v").unwrap();
}
