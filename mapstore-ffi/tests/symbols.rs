//! What the library exports: the names in `symbols.txt` and nothing else, under
//! the soname of the ABI version, from a library that stays loaded.

mod library;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

fn output(program: &str, arguments: &[&str], file: &Path) -> String {
    let output = Command::new(program).args(arguments).arg(file).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}; install binutils"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn names(nm: &str) -> BTreeSet<&str> {
    nm.lines().filter_map(|line| line.split(' ').nth(2)).collect()
}

fn listed() -> BTreeSet<&'static str> {
    let lines: Vec<&str> = include_str!("../symbols.txt").lines().collect();
    assert!(lines.is_sorted(), "symbols.txt is sorted");
    lines.into_iter().collect()
}

#[test]
fn the_shared_library_exports_the_list() {
    let text = output("nm", &["-D", "--defined-only"], &library::folder().join("libmapstore.so"));
    assert_eq!(names(&text), listed());
}

#[test]
fn the_static_library_has_the_list() {
    let text = output("nm", &["-g", "--defined-only"], &library::folder().join("libmapstore.a"));
    let ours: BTreeSet<&str> =
        names(&text).into_iter().filter(|name| name.starts_with("mapstore_")).collect();
    assert_eq!(ours, listed());
}

#[test]
fn the_header_declares_the_list() {
    let header = std::fs::read_to_string(library::include().join("mapstore.h")).expect("mapstore.h");
    let code: Vec<&str> = header.lines().filter(|line| !line.starts_with([' ', '/', '#'])).collect();
    let declared: BTreeSet<&str> = code
        .iter()
        .filter_map(|line| line.split_once('('))
        .filter_map(|(head, _)| head.rsplit([' ', '*']).next())
        .filter(|name| name.starts_with("mapstore_"))
        .collect();
    assert_eq!(declared, listed());
}

#[test]
fn the_soname_is_by_abi_version_and_the_library_stays() {
    let text = output("readelf", &["-d", "-W"], &library::folder().join("libmapstore.so"));
    assert!(text.contains(&format!("soname: [{}]", library::soname())), "{text}");
    assert!(text.contains("NODELETE"), "a dlclose would pull the code from under its threads: {text}");
    assert!(!text.contains("TEXTREL"), "{text}");
}

/// Every exported function is handed NULL where it takes a pointer.
#[test]
fn null_is_tested_for_every_function() {
    let tested = include_str!("c/null.c");
    let plain = ["abi_version", "version", "code_name", "options_new", "call_new", "cancel_token_new"];
    for name in listed() {
        let without_pointers = plain.iter().any(|plain| name == format!("mapstore_{plain}"));
        assert!(without_pointers || tested.contains(&format!("{name}(")), "{name} is not in null.c");
    }
}
