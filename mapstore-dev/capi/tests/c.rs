//! The header is what cbindgen makes of the source, compiles alone as C and
//! C++, and programs in both that use every function run.

use std::path::{Path, PathBuf};
use std::process::Command;

fn capi() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn include() -> PathBuf {
    capi().join("../../include")
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn header_is_up_to_date() {
    let config = cbindgen::Config::from_file(capi().join("cbindgen.toml")).expect("cbindgen.toml");
    let bindings = cbindgen::Builder::new()
        .with_config(config)
        .with_src(capi().join("src/lib.rs"))
        .generate()
        .expect("a header");
    let mut made = Vec::new();
    bindings.write(&mut made);
    let path = include().join("mapstore_dev.h");
    if std::env::var_os("MAPSTORE_BLESS").is_some() {
        std::fs::write(&path, &made).expect("include/mapstore_dev.h");
    }
    let there = std::fs::read(&path).unwrap_or_default();
    assert!(
        there == made,
        "include/mapstore_dev.h is not what the source says: MAPSTORE_BLESS=1 rewrites it"
    );
}

#[test]
fn header_compiles_alone() {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for (compiler, standard, file) in [
        ("cc", "c99", "alone.c"),
        ("cc", "c11", "alone.c"),
        ("cc", "c17", "alone.c"),
        ("c++", "c++17", "alone.cpp"),
    ] {
        let source = dir.join(format!("{standard}-{file}"));
        std::fs::write(&source, "#include \"mapstore_dev.h\"\n#include \"mapstore_dev.h\"\n")
            .expect("a file");
        run(Command::new(compiler)
            .args(["-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only"])
            .arg(format!("-std={standard}"))
            .arg("-I")
            .arg(include())
            .arg(source));
    }
}

#[test]
fn programs_use_it() {
    // A cdylib is no dependency of a test, so Cargo hasn't built it yet.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target folder");
    let mut build = Command::new(env!("CARGO"));
    // What Cargo tells this test would make build scripts run again.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["OUT_DIR", "CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_"]
            .iter()
            .any(|p| text.starts_with(p))
        {
            build.env_remove(&name);
        }
    }
    build.args(["build", "--locked", "--quiet", "--lib", "--manifest-path"]);
    run(build.arg(capi().join("Cargo.toml")).arg("--target-dir").arg(target));
    let library = target.join("debug");
    for (compiler, standard, source) in [("cc", "-std=c99", "smoke.c"), ("c++", "-std=c++17", "smoke.cpp")] {
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(source.replace('.', "-"));
        run(Command::new(compiler)
            .args([standard, "-Wall", "-Wextra", "-pedantic", "-Werror", "-g", "-o"])
            .arg(&program)
            .arg(capi().join("tests").join(source))
            .arg("-I")
            .arg(include())
            .arg("-L")
            .arg(&library)
            .arg("-lmapstore_dev")
            .arg(format!("-Wl,-rpath,{}", library.display())));
        assert_eq!(run(&mut Command::new(program)), "ok\n", "{source}");
    }
}
