//! The installed files, as a program outside the tree finds them:
//! `tests/install.sh` with the library of the tests and a server.

mod library;
mod servers;

use std::ffi::OsStr;
use std::process::Command;

fn install(arguments: &[&OsStr], namespace: Option<&str>) {
    let output = Command::new("sh")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/install.sh"))
        .args(arguments)
        .env("MAPSTORE_LIBRARY", library::folder())
        .envs(namespace.map(|name| ("MAPSTORE_TEST_NAMESPACE", name)))
        .output()
        .expect("a shell");
    let said =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "{said}");
    assert_eq!(said.matches("ok ").count(), 9, "{said}");
}

#[test]
fn programs_outside_the_tree() {
    install(&[], None);
}

#[test]
fn programs_outside_the_tree_with_a_server() {
    for server in servers::all() {
        let namespace = server.fresh_namespace().expect("a namespace");
        install(&[server.kubeconfig().as_os_str()], Some(&namespace));
    }
}
