//! `include/mapstore.h` is what cbindgen makes of `src/`, byte for byte.
//! `MAPSTORE_BLESS=1` writes it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs};

const HEADER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../include/mapstore.h");

fn generated() -> String {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut config = cbindgen::Config::from_file(home.join("cbindgen.toml")).expect("cbindgen.toml");
    // cbindgen drops &str constants: the version goes in here.
    let version = format!("\n#define MAPSTORE_VERSION \"{}\"", env!("CARGO_PKG_VERSION"));
    let includes = config.after_includes.get_or_insert_default();
    *includes = format!(
        "\n\n/** The version of this header, like `mapstore_version` of the library. */{version}{includes}"
    );
    let bindings =
        cbindgen::Builder::new().with_crate(home).with_config(config).generate().expect("bindings");
    let mut text = Vec::new();
    bindings.write(&mut text);
    String::from_utf8(text).expect("UTF-8")
}

#[test]
fn is_generated() {
    let generated = generated();
    if env::var_os("MAPSTORE_BLESS").is_some() {
        fs::write(HEADER, &generated).expect("written");
    }
    let committed = fs::read_to_string(HEADER).unwrap_or_default();
    if let Some((number, (old, new))) =
        committed.lines().zip(generated.lines()).enumerate().find(|(_, (old, new))| old != new)
    {
        panic!("mapstore.h, line {}: {old:?} should be {new:?}; write it with MAPSTORE_BLESS=1", number + 1);
    }
    assert_eq!(committed.len(), generated.len(), "mapstore.h is too long or too short: MAPSTORE_BLESS=1");
}

/// Alone, twice, in each language, without a warning.
#[test]
fn compiles_everywhere() {
    let include = Path::new(HEADER).parent().expect("include/");
    let twice = "#include <mapstore.h>\n#include <mapstore.h>\nint main(void) { return MAPSTORE_OK; }\n";
    for (compiler, language, standard) in [
        ("cc", "c", "c99"),
        ("cc", "c", "c11"),
        ("cc", "c", "c17"),
        ("cc", "c", "c2x"),
        ("c++", "c++", "c++17"),
        ("c++", "c++", "c++20"),
    ] {
        let mut run = Command::new(compiler)
            .args(["-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only", "-x", language])
            .args([&format!("-std={standard}"), "-I"])
            .arg(include)
            .arg("-")
            .stdin(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{compiler}: {error}; install a C and C++ compiler"));
        std::io::Write::write_all(&mut run.stdin.take().expect("piped"), twice.as_bytes()).expect("written");
        assert!(run.wait().expect("ended").success(), "the header doesn't compile as {standard}");
    }
}
