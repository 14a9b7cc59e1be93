//! Who keeps what when a map's owner applies a manifest and mapstore writes other keys into the map: through the real
//! kubectl and the real API server, whose folder MAPSTORE_APISERVER_DIR names. The table in docs/kubectl.md says what
//! is shown here.

mod support;

use mapstore::{Cache, Store};
use mapstore_harness::Kind::Real;
use mapstore_harness::Media;
use serde_json::{Value as Json, json};
use support::kubectl::kubectl;
use support::*;

const CLIENT_SIDE: &[&str] = &["apply", "-f", "-"];
const SERVER_SIDE: &[&str] = &["apply", "--server-side", "-f", "-"];
const BY_ANOTHER: &[&str] = &["apply", "--server-side", "--field-manager=another", "-f", "-"];
const FORCED: &[&str] = &["apply", "--server-side", "--force-conflicts", "-f", "-"];
const CREATE: &[&str] = &["create", "-f", "-"];
const REPLACE: &[&str] = &["replace", "-f", "-"];

/// One thing that happens to the map.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The owner's manifest with these keys, by kubectl.
    Owner(&'static [&'static str], &'static [&'static str]),
    /// mapstore sets a key of its own, on one store for the whole scene.
    Set(&'static str),
    /// The annotation of the client-side apply is removed.
    Unannotate,
    /// A tool applies by the server's side and takes over what was there "before-first-apply", as Flux does.
    TakeOver(&'static [&'static str]),
}

use Step::{Owner, Set, TakeOver, Unannotate};

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// With a label, as manifests have: one that says nothing leaves no manager behind.
fn manifest(keys: &[&str]) -> Json {
    let metadata = json!({"name": "m", "labels": {"app": "shop"}});
    let mut manifest = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata});
    for key in keys {
        manifest["data"][*key] = json!("theirs");
    }
    manifest
}

fn take_over(site: &Site, keys: &[&str]) {
    let path = format!("{}?fieldManager=tool&force=true", site.path());
    let apply = || {
        let applied = site.client().patch(&path, Media::ApplyPatch, &manifest(keys)).unwrap();
        assert!(applied.status < 300, "{}", applied.body);
    };
    apply();
    let fields = site.object()["metadata"]["managedFields"].clone();
    let mut fields: Vec<Json> = fields.as_array().unwrap().clone();
    if fields.iter().any(|entry| entry["manager"] == "before-first-apply") {
        fields.retain(|entry| entry["manager"] != "tool");
        let old = fields.iter_mut().find(|entry| entry["manager"] == "before-first-apply").unwrap();
        (old["manager"], old["operation"]) = (json!("tool"), json!("Apply"));
        let patch = json!({"metadata": {"managedFields": fields}});
        site.client().patch(&site.path(), Media::MergePatch, &patch).unwrap().success("take over").unwrap();
    }
    apply();
}

/// The map's keys in the end.
fn play(cache: Cache, steps: &[Step]) -> Vec<String> {
    let site = Site::start(Real);
    let mut store: Option<Store> = None;
    for step in steps {
        match step {
            Owner(arguments, keys) => {
                kubectl(&site, arguments, manifest(keys).to_string()).unwrap();
            }
            Unannotate => {
                let annotation = format!("{LAST_APPLIED}-");
                kubectl(&site, &["annotate", "configmap", "m", &annotation], "").unwrap();
            }
            TakeOver(keys) => take_over(&site, keys),
            Set(key) => {
                let store = store.get_or_insert_with(|| site.options().cache(cache).open().unwrap());
                store.set(key, "ours").unwrap();
            }
        }
    }
    site.options().open().unwrap().keys().unwrap()
}

fn shows(steps: &[Step], expected: &[&str]) {
    for cache in MODES {
        assert_eq!(play(cache, steps), expected, "{cache:?}: {steps:?}");
    }
}

#[test]
fn our_keys_survive_when_a_map_that_was_applied_client_side_is_applied_server_side() {
    for then in [SERVER_SIDE, BY_ANOTHER, FORCED] {
        shows(&[Owner(CLIENT_SIDE, &["t"]), Set("a"), Set("b"), Owner(then, &["t"])], &["a", "b", "t"]);
    }
    // kubectl doesn't prune the keys of its client-side manifest at the change-over, whoever else writes.
    let no_data = [Owner(CLIENT_SIDE, &["t"]), Set("a"), Owner(SERVER_SIDE, &[])];
    for cache in MODES {
        assert!(play(cache, &no_data).contains(&"a".to_string()), "{cache:?}");
    }
}

#[test]
fn our_keys_survive_when_our_own_map_is_adopted_by_a_client_side_apply() {
    for then in [SERVER_SIDE, BY_ANOTHER] {
        // The first write after somebody else's may go without knowing the map; the second one knows.
        let steps = [Set("a"), Owner(CLIENT_SIDE, &["t"]), Set("b"), Set("c"), Owner(then, &["t"]), Set("d")];
        shows(&steps, &["a", "b", "c", "d", "t"]);
    }
}

#[test]
fn the_owner_still_takes_keys_out_of_the_manifest() {
    shows(&[Owner(CLIENT_SIDE, &["t", "u"]), Set("a"), Owner(CLIENT_SIDE, &["t"])], &["a", "t"]);
    shows(&[Owner(SERVER_SIDE, &["t", "u"]), Set("a"), Owner(SERVER_SIDE, &["t"])], &["a", "t"]);
    let moved = [
        Owner(CLIENT_SIDE, &["t", "u"]),
        Set("a"),
        Owner(SERVER_SIDE, &["t", "u"]),
        Set("b"),
        Owner(SERVER_SIDE, &["t"]),
    ];
    shows(&moved, &["a", "b", "t"]);
}

#[test]
fn our_keys_survive_the_other_ways_of_applying() {
    shows(&[Owner(SERVER_SIDE, &["t"]), Set("a"), Owner(SERVER_SIDE, &["t"])], &["a", "t"]);
    shows(&[Owner(CREATE, &["t"]), Set("a"), Owner(SERVER_SIDE, &["t"])], &["a", "t"]);
    shows(&[Owner(CREATE, &["t"]), Set("a"), Owner(CLIENT_SIDE, &["t"])], &["a", "t"]);
    shows(&[Owner(CLIENT_SIDE, &["t"]), Set("a"), Owner(CLIENT_SIDE, &["t"])], &["a", "t"]);
    shows(&[Set("a"), Owner(SERVER_SIDE, &["t"]), Set("b"), Owner(SERVER_SIDE, &["t"])], &["a", "b", "t"]);
    shows(&[Set("a"), Owner(CLIENT_SIDE, &["t"]), Set("b"), Owner(CLIENT_SIDE, &["t"])], &["a", "b", "t"]);
}

#[test]
fn the_recipes_keep_our_keys() {
    // A manifest without data, applied by the server's side before our first write.
    let named_only = [Owner(SERVER_SIDE, &[]), Set("a"), Owner(SERVER_SIDE, &[]), TakeOver(&[]), Set("b")];
    shows(&named_only, &["a", "b"]);
    // The change-over after the annotation is gone.
    let bare = [Set("a"), Owner(CLIENT_SIDE, &["t"]), Unannotate, Owner(SERVER_SIDE, &["t"])];
    shows(&bare, &["a", "t"]);
    // A map that a tool applies from the start.
    shows(&[TakeOver(&["t"]), Set("a"), TakeOver(&["t"]), Set("b"), TakeOver(&["t"])], &["a", "b", "t"]);
}

/// What docs/kubectl.md warns of; if it holds no more, the warning can go.
#[test]
fn what_no_writer_can_prevent() {
    // Replacing sends the whole map.
    shows(&[Owner(CREATE, &["t"]), Set("a"), Owner(REPLACE, &["t"])], &["t"]);
    // Nothing was written between the client-side apply and the change-over.
    shows(&[Set("a"), Owner(CLIENT_SIDE, &["t"]), Owner(SERVER_SIDE, &["t"])], &["t"]);
    // A tool adopts a map that nobody applied until now.
    shows(&[Set("a"), TakeOver(&["t"])], &["t"]);
}
