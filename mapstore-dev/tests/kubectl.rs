//! The same kubectl commands on both servers print the same. Needs
//! MAPSTORE_APISERVER_DIR, like compare.rs; KUBECTL names another kubectl than
//! the one in there.

mod support;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use mapstore_dev::DevServer;
use serde_json::json;
use support::real::Real;

/// A file that isn't text.
const BYTES: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/bytes");

/// Arguments, and what goes to standard input.
const COMMANDS: &[(&str, &str)] = &[
    ("get configmaps", ""),
    ("create configmap one --from-literal=a=1 --from-literal=b=2", ""),
    ("create configmap one", ""),
    ("get cm", ""),
    ("get cm one -o yaml", ""),
    ("get cm one -o wide --no-headers", ""),
    ("label cm one colour=blue", ""),
    ("annotate cm one note=short", ""),
    ("get cm -l colour=blue -o name", ""),
    ("get cm --field-selector metadata.name=one -o name", ""),
    ("patch cm one -p {\"data\":{\"c\":\"3\"}}", ""),
    ("patch cm one --type=merge -p {\"data\":{\"a\":null}}", ""),
    ("patch cm one --type=json -p [{\"op\":\"remove\",\"path\":\"/data/b\"}]", ""),
    ("edit cm one", ""),
    ("get cm one -o jsonpath={.data}", ""),
    ("create -f -", "{apiVersion: v1, kind: ConfigMap, metadata: {name: two}, data: {k: v}}"),
    ("create -f -", "{apiVersion: v1, kind: ConfigMap, metadata: {name: bad}, dta: {k: v}}"),
    ("create -f -", "{apiVersion: v1, kind: ConfigMap, metadata: {name: bad}, data: {a b: v}}"),
    ("create --dry-run=server -f -", "{apiVersion: v1, kind: ConfigMap, metadata: {name: dry}}"),
    ("apply -f -", "{apiVersion: v1, kind: ConfigMap, metadata: {name: three}, data: {k: v}}"),
    ("apply -f -", "{apiVersion: v1, kind: ConfigMap, metadata: {name: three}, data: {k: w}}"),
    ("apply -f -", "{apiVersion: v1, kind: ConfigMap, metadata: {name: three}, data: {k: w}}"),
    ("replace -f -", "{apiVersion: v1, kind: ConfigMap, metadata: {name: two}, data: {k: w}}"),
    ("create configmap bin --from-file=@bytes", ""),
    ("get cm bin -o yaml", ""),
    ("get cm -o name", ""),
    ("delete cm one two", ""),
    ("delete cm one", ""),
    ("delete cm --all", ""),
    ("get cm nope", ""),
    ("create namespace fresh", ""),
    ("get ns fresh -o jsonpath={.status.phase}", ""),
];

fn run(kubectl: &str, kubeconfig: &Path, arguments: &str, input: &str) -> String {
    let mut child = Command::new(kubectl)
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .args(["--namespace", "team"])
        .args(arguments.replace("@bytes", BYTES).split(' '))
        .env("KUBE_EDITOR", "sed -i s/blue/green/")
        .env("HOME", env!("CARGO_TARGET_TMPDIR"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{kubectl}: {e}"));
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("its input");
    let output = child.wait_with_output().expect("kubectl");
    let text = [output.stdout, output.stderr].concat();
    normal(&String::from_utf8_lossy(&text))
}

/// Uids, times, revisions and ages aside.
fn normal(text: &str) -> String {
    let lines = text.lines().filter(|l| !l.contains("version difference between client")).map(|line| {
        let name = line.trim_start().split(':').next().unwrap_or_default();
        if ["uid", "resourceVersion", "creationTimestamp"].contains(&name) {
            return format!("{name}: <any>");
        }
        let words = line.split_whitespace().map(|w| {
            let age = w.strip_suffix('s').is_some_and(|n| n.parse::<u32>().is_ok());
            if age { "<age>" } else { w }
        });
        words.collect::<Vec<_>>().join(" ")
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn kubectl_says_the_same() {
    let mut real =
        Real::start().expect("MAPSTORE_APISERVER_DIR names the folder tests/apiserver/build.sh fills");
    let dir = std::env::var("MAPSTORE_APISERVER_DIR").expect("set");
    let kubectl = std::env::var("KUBECTL").unwrap_or(format!("{dir}/kubectl"));
    let dev = DevServer::start().expect("mapstore-dev");
    dev.create_namespace("team");
    real.run(&json!({"cmd": "namespace", "name": "team"}));
    std::fs::write(BYTES, [0, 0xff, b'\n']).expect(BYTES);
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (ours, theirs) = (tmp.join("kubectl-dev"), tmp.join("kubectl-real"));
    dev.write_kubeconfig(&ours).expect("a kubeconfig");
    std::fs::copy(&real.kubeconfig, &theirs).expect("a kubeconfig");
    let mut differences = Vec::new();
    for (arguments, input) in COMMANDS {
        let a = run(&kubectl, &ours, arguments, input);
        let b = run(&kubectl, &theirs, arguments, input);
        if a != b {
            differences.push(format!("kubectl {arguments}\n--- mapstore-dev\n{a}\n--- real\n{b}\n"));
        }
    }
    println!("{} commands, {} differ", COMMANDS.len(), differences.len());
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
}
