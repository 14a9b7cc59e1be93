//! Text values that come back unchanged from kubectl's YAML, and those that don't: through the real kubectl and the
//! real API server, whose folder MAPSTORE_APISERVER_DIR names.

mod support;

use std::collections::BTreeMap;

use mapstore::{Batch, Store};
use mapstore_harness::Kind::Real;
use serde_json::json;
use support::kubectl::kubectl;
use support::*;

/// What YAML or kubectl could treat in a way of its own.
const SPECIAL: &[&str] = &[
    "\t",
    "\n",
    "\r",
    "\r\n",
    " ",
    "  ",
    "\u{0}",
    "\u{1b}",
    "\u{1f}",
    "\u{7e}",
    "\u{a0}",
    "\u{ad}",
    "\u{2028}",
    "\u{2029}",
    "\u{200b}",
    "\u{d7ff}",
    "\u{e000}",
    "\u{fdd0}",
    "\u{feff}",
    "\u{fffd}",
    "\u{1f600}",
    "\u{1fffe}",
    "\u{10ffff}",
    "\"",
    "'",
    "\\",
    "#",
    ":",
    "-",
    "---",
    "...",
    "|",
    ">",
    "%",
    "&a",
    "*a",
    "!x",
    "{",
    "[",
    "~",
    "null",
    "true",
    "1",
    "1e3",
    "0x1",
    "=",
    "<<",
    "a",
    "é",
    "key: value",
    "- item",
    "\\u0085",
];

/// What can't go through YAML: kubectl refuses the whole map, or changes the value.
const BROKEN: &[&str] = &["\u{7f}", "\u{80}", "\u{85}", "\u{9f}", "\u{fffe}", "\u{ffff}"];

/// Numbers that look random, the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % n
    }

    fn text(&mut self, most: usize) -> String {
        (0..self.below(most + 1)).map(|_| SPECIAL[self.below(SPECIAL.len())]).collect()
    }
}

fn values() -> BTreeMap<String, String> {
    let mut texts: Vec<String> = SPECIAL.iter().map(|part| (*part).to_owned()).collect();
    for part in SPECIAL {
        texts.push(format!("{part}b"));
        texts.push(format!("a{part}"));
        texts.push(format!("x\n{part}y\n{part}"));
    }
    texts.extend([
        "x".repeat(5_000),
        "word ".repeat(500),
        "\n".repeat(100),
        " ".repeat(200),
        "é ".repeat(300),
    ]);
    let mut dice = Dice(1);
    texts.extend((0..800).map(|_| dice.text(6)));
    texts.extend((0..200).map(|_| dice.text(120)));
    texts.into_iter().enumerate().map(|(number, text)| (format!("k{number:05}"), text)).collect()
}

fn fill(store: &Store, values: &BTreeMap<String, String>) {
    let mut batch = Batch::new();
    for (key, value) in values {
        batch.set(key, value).unwrap();
    }
    store.apply(&batch).unwrap();
}

#[test]
fn what_text_values_puts_into_data_survives_kubectl() {
    let site = Site::start(Real);
    let store = site.options().text_values(true).open().unwrap();
    let values = values();
    fill(&store, &values);
    let check = |way: &str| {
        let object = site.object();
        assert!(object["binaryData"].is_null(), "{way}: {}", object["binaryData"]);
        for (key, value) in &values {
            assert_eq!(object["data"][key].as_str(), Some(value.as_str()), "{way}: {key}");
        }
    };
    check("stored");
    for way in [
        &["replace", "-f", "-"][..],
        &["apply", "-f", "-"],
        &["apply", "--server-side", "--force-conflicts", "-f", "-"],
    ] {
        let yaml = kubectl(&site, &["get", "configmap", "m", "-o", "yaml"], "").unwrap();
        kubectl(&site, way, yaml).unwrap();
        check(&format!("{way:?}"));
    }
    // An editor that changes a line that isn't one of the values'.
    kubectl(&site, &["annotate", "configmap", "m", "touched=before"], "").unwrap();
    let editor = r#"KUBE_EDITOR=sed -i s/touched:.before/touched:\ after/"#;
    edit(&site, editor.split_once('=').unwrap().1);
    assert_eq!(site.object()["metadata"]["annotations"]["touched"], "after");
    check("edit");
}

fn edit(site: &Site, editor: &str) {
    let kubectl =
        std::path::PathBuf::from(std::env::var_os("MAPSTORE_APISERVER_DIR").unwrap()).join("kubectl");
    let edited = std::process::Command::new(kubectl)
        .arg("--kubeconfig")
        .arg(site.cluster.kubeconfig())
        .args(["--namespace", &site.namespace, "edit", "configmap", "m"])
        .env("KUBE_EDITOR", editor)
        .output()
        .unwrap();
    assert!(edited.status.success(), "{}", String::from_utf8_lossy(&edited.stderr));
}

#[test]
fn what_kubectl_would_break_goes_into_binary_data() {
    let site = Site::start(Real);
    let store = site.options().text_values(true).open().unwrap();
    for (number, part) in BROKEN.iter().enumerate() {
        for (form, text) in
            [part.to_string(), format!("a{part}b\n"), format!("x\n{part}")].into_iter().enumerate()
        {
            let key = format!("k{number}-{form}");
            store.set(&key, &text).unwrap();
            let object = site.object();
            assert!(object["data"][&key].is_null() && !object["binaryData"][&key].is_null(), "{text:?}");
            assert_eq!(store.get(&key).unwrap().unwrap().to_vec(), text.as_bytes());
        }
    }
    let yaml = kubectl(&site, &["get", "configmap", "m", "-o", "yaml"], "").unwrap();
    kubectl(&site, &["replace", "-f", "-"], yaml).unwrap();
    assert_eq!(store.get("k2-1").unwrap().unwrap().to_vec(), "a\u{85}b\n".as_bytes());
}

/// If this fails kubectl has learnt it, and `breaks_yaml` can let the value pass.
#[test]
fn kubectl_breaks_what_is_kept_from_it() {
    let site = Site::start(Real);
    let maps = site.path().rsplit_once('/').unwrap().0.to_owned();
    for part in BROKEN {
        let body = json!({"metadata": {"name": "m"}, "data": {"k": format!("a{part}b")}});
        site.client().delete(&site.path()).unwrap();
        site.client().post(&maps, &body).unwrap().success("make the map").unwrap();
        let yaml = kubectl(&site, &["get", "configmap", "m", "-o", "yaml"], "");
        let back = yaml.and_then(|yaml| kubectl(&site, &["replace", "-f", "-"], yaml));
        let kept = back.is_ok() && site.object()["data"] == body["data"];
        assert!(!kept, "{part:?} survives");
    }
}

/// The contract: a text key that is set to valid UTF-8 stays text, so that who reads it in `data` finds it there.
#[test]
fn a_text_key_stays_text_whatever_kubectl_thinks_of_its_value() {
    for cache in MODES {
        let site = Site::start(Real);
        let maps = site.path().rsplit_once('/').unwrap().0.to_owned();
        let body = json!({"metadata": {"name": "m"}, "data": {"k": "text"}});
        site.client().post(&maps, &body).unwrap().success("make the map").unwrap();
        let store = site.options().text_values(true).cache(cache).open().unwrap();
        store.set("k", "a\u{7f}b").unwrap();
        assert_eq!(site.object()["data"]["k"], "a\u{7f}b", "{cache:?}");
        store.delete("k").unwrap();
        store.set("k", "a\u{7f}b").unwrap();
        assert!(site.object()["data"].is_null(), "{cache:?}");
    }
}
