//! The built library, for tests that look at it or link C programs with it.
//! Not every test needs all of it.

#![allow(dead_code)]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// What a static library of Rust's asks for (`rustc --print native-static-libs`).
pub const NATIVE: [&str; 7] = ["-lgcc_s", "-lutil", "-lrt", "-lpthread", "-lm", "-ldl", "-lc"];

/// The folder with `libmapstore.so`, its soname link, and `libmapstore.a`: the
/// one that `MAPSTORE_TEST_LIBRARY` names, else that of a fresh build.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| match std::env::var_os("MAPSTORE_TEST_LIBRARY") {
        Some(given) => given.into(),
        None => {
            let folder = tmp().join("library");
            build(&[], &["libmapstore.so", "libmapstore.a"], &folder);
            let link = folder.join(soname());
            let _ = fs::remove_file(&link);
            std::os::unix::fs::symlink("libmapstore.so", &link).expect("the soname's link");
            folder
        }
    })
}

/// A static library that has `mapstore_test_panic` as well.
pub fn with_panic() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = tmp().join("library-with-panic");
        build(&["--features", "panic-test", "--crate-type", "staticlib"], &["libmapstore.a"], &folder);
        folder
    })
}

/// The soname, by the ABI version of the header.
pub fn soname() -> String {
    let header = fs::read_to_string(include().join("mapstore.h")).expect("mapstore.h");
    let version = header.split("#define MAPSTORE_ABI_VERSION ").nth(1).and_then(|rest| rest.lines().next());
    format!("libmapstore.so.{}", version.expect("MAPSTORE_ABI_VERSION"))
}

pub fn include() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../include")
}

fn tmp() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// Both kinds of build leave their files in one place: what they left is moved
/// out before another process builds the other kind.
fn build(arguments: &[&str], files: &[&str], folder: &Path) {
    fs::create_dir_all(folder).expect("a folder in the target directory");
    let lock = File::create(tmp().join("library.lock")).expect("a lock file");
    lock.lock().expect("a locked file");
    let target = tmp().parent().expect("target/tmp");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    // What cargo told this test about its package would tell build scripts that
    // the world has changed: ring's and all that stands on it would be built again.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if ["OUT_DIR", "CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_"]
            .iter()
            .any(|own| name.starts_with(own))
        {
            cargo.env_remove(&*name);
        }
    }
    let status = cargo
        .args(["rustc", "--locked", "--quiet", "--lib", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .arg("--target-dir")
        .arg(target)
        .args(arguments)
        .status()
        .expect("cargo");
    assert!(status.success(), "the library doesn't build");
    for file in files {
        // Written aside first: a program may have the old one open.
        let (new, place) = (folder.join(format!("{file}.new")), folder.join(file));
        fs::copy(target.join("debug").join(file), &new).expect(file);
        fs::rename(new, place).expect(file);
    }
}
