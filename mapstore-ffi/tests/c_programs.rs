//! The C programs of `tests/c`: compiled without a warning, linked with the
//! library, run in a clean environment. A program is silent and ends with 0.
//!
//! Those that need a server get each of [`servers`]. `tests/sanitize.sh` sets
//! `MAPSTORE_TEST_CFLAGS` and `MAPSTORE_TEST_RUNNER`.

mod library;
mod servers;

use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, thread};

use mapstore_harness::{Scratch, clean_command};

const PATIENCE: Duration = Duration::from_secs(120);

/// How a program gets at the library.
#[derive(Clone, Copy, PartialEq)]
enum Link {
    Shared,
    Static,
    /// Static, with the function that panics.
    Panic,
    /// By itself, with dlopen.
    Not,
}

fn words(variable: &str) -> Vec<String> {
    let text = env::var(variable).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

fn compile(source: &str, link: Link, folder: &Path) -> PathBuf {
    let library = if link == Link::Panic { library::with_panic() } else { library::folder() };
    let program = folder.join(format!("{}-{}", source.replace('.', "-"), link as u8));
    let (compiler, standard) =
        if source.ends_with(".cpp") { ("c++", "-std=c++17") } else { ("cc", "-std=c99") };
    let mut run = Command::new(compiler);
    run.args([
        standard,
        "-D_GNU_SOURCE",
        "-Wall",
        "-Wextra",
        "-pedantic",
        "-Werror",
        "-O1",
        "-g",
        "-pthread",
    ]);
    run.args(words("MAPSTORE_TEST_CFLAGS")).arg("-I").arg(library::include());
    run.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c").join(source)).arg("-o").arg(&program);
    match link {
        Link::Shared => {
            run.arg("-L").arg(library).arg("-lmapstore").arg(format!("-Wl,-rpath,{}", library.display()));
        }
        Link::Static | Link::Panic => {
            run.arg(library.join("libmapstore.a")).args(library::NATIVE);
        }
        Link::Not => {
            run.arg("-ldl");
        }
    }
    let status =
        run.status().unwrap_or_else(|error| panic!("{compiler}: {error}; install a C and C++ compiler"));
    assert!(status.success(), "{source} doesn't compile");
    program
}

fn run(program: &Path, arguments: &[&OsStr], home: &Path, namespace: Option<&str>) {
    let forks = ["fork", "ends", "exhausted"]
        .iter()
        .any(|name| program.file_name().is_some_and(|file| file.to_string_lossy().starts_with(name)));
    let mut runner = words("MAPSTORE_TEST_RUNNER");
    if forks {
        // What its parent's threads held is lost in a forked child, on purpose: a tool would call it a leak. That
        // nothing leaks in the parent is for these programs to count.
        for word in &mut runner {
            *word = word.replace("--leak-check=full", "--leak-check=no");
        }
    }
    runner.push(program.to_str().expect("UTF-8").to_owned());
    let mut command = clean_command(&runner[0], home);
    if forks {
        command.env("ASAN_OPTIONS", "detect_leaks=0:strict_string_checks=1");
    }
    command.args(&runner[1..]).args(arguments).envs(namespace.map(|name| ("NAMESPACE", name)));
    // Cargo's has another build of the library.
    command
        .env_remove("LD_LIBRARY_PATH")
        .envs(env::var_os("MAPSTORE_TEST_ROUNDS").map(|rounds| ("MAPSTORE_TEST_ROUNDS", rounds)));
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let (ended, said) = end_of(child.unwrap_or_else(|error| panic!("{}: {error}", runner[0])));
    assert!(
        ended == "exit status: 0" && said.is_empty(),
        "{} {arguments:?}: {ended}\n{said}",
        program.display()
    );
}

/// How it ended, and all it said.
fn end_of(mut child: Child) -> (String, String) {
    let collect = |mut pipe: Box<dyn Read + Send>| {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = pipe.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let pipes: [Box<dyn Read + Send>; 2] =
        [Box::new(child.stdout.take().expect("piped")), Box::new(child.stderr.take().expect("piped"))];
    let said = pipes.map(collect);
    let slower = if env::var_os("MAPSTORE_TEST_ROUNDS").is_some() { 5 } else { 1 };
    let end = Instant::now() + PATIENCE * slower;
    let ended = loop {
        match child.try_wait().expect("a child of ours") {
            Some(status) => break status.to_string(),
            None if Instant::now() > end => {
                let _ = child.kill();
                let _ = child.wait();
                break format!("killed after {:?}", PATIENCE * slower);
            }
            None => thread::sleep(Duration::from_millis(5)),
        }
    };
    (ended, said.map(|reader| reader.join().unwrap_or_default()).concat())
}

fn alone(source: &str, links: &[Link]) {
    let folder = Scratch::new("ffi").expect("a temporary folder");
    for &link in links {
        run(&compile(source, link, folder.path()), &[], folder.path(), None);
    }
}

/// On every server there is, in a namespace of its own.
fn served(source: &str, links: &[Link]) {
    let folder = Scratch::new("ffi").expect("a temporary folder");
    let library = library::folder().join("libmapstore.so");
    let programs: Vec<_> = links.iter().map(|&link| (link, compile(source, link, folder.path()))).collect();
    for server in servers::all() {
        let namespace = server.fresh_namespace().expect("a namespace");
        for (link, program) in &programs {
            let before: &[&OsStr] = if *link == Link::Not { &[library.as_os_str()] } else { &[] };
            let arguments = [before, &[server.kubeconfig().as_os_str()]].concat();
            run(program, &arguments, folder.path(), Some(&namespace));
        }
    }
}

const BOTH: &[Link] = &[Link::Shared, Link::Static];

#[test]
fn versions_codes_and_layouts() {
    alone("library.c", BOTH);
}

#[test]
fn null_and_zero_lengths() {
    alone("null.c", BOTH);
}

#[test]
fn options_and_call_settings() {
    alone("settings.c", &[Link::Shared]);
}

#[test]
fn configuration_that_cannot_work() {
    alone("config.c", &[Link::Shared]);
}

#[test]
fn values_of_a_gibibyte() {
    alone("large.c", &[Link::Shared]);
}

#[test]
fn a_closed_store() {
    alone("closed.c", &[Link::Shared]);
}

#[test]
fn a_server_that_never_answers() {
    alone("waiting.c", &[Link::Shared]);
}

#[test]
fn sigpipe_at_its_default() {
    alone("sigpipe.c", &[Link::Shared]);
}

#[test]
fn a_panic_is_an_error() {
    alone("panic.c", &[Link::Panic]);
}

#[test]
fn everything_in_cpp() {
    alone("store.cpp", &[Link::Shared]);
    served("store.cpp", &[Link::Shared]);
}

#[test]
fn the_header_in_cpp() {
    alone("raii.cpp", &[Link::Shared]);
    served("raii.cpp", &[Link::Shared]);
}

#[test]
fn opens_and_closes_without_a_server() {
    alone("life.c", &[Link::Shared]);
}

#[test]
fn opens_and_closes_with_a_server() {
    served("life.c", &[Link::Shared]);
}

#[test]
fn every_operation() {
    served("store.c", BOTH);
}

#[test]
fn text_values() {
    served("text.c", &[Link::Shared]);
}

#[test]
fn many_threads() {
    served("threads.c", &[Link::Shared]);
}

#[test]
fn fork_and_raw_fork() {
    served("fork.c", BOTH);
}

#[test]
fn a_fork_during_the_first_call() {
    alone("fork_early.c", &[Link::Shared]);
}

#[test]
fn a_fork_while_settings_and_tokens_are_used() {
    alone("fork_settings.c", &[Link::Shared]);
}

#[test]
fn no_thread_and_no_descriptor() {
    alone("exhausted.c", &[Link::Shared]);
}

#[test]
fn writes_at_the_end_of_threads_and_processes() {
    served("ends.c", &[Link::Shared]);
}

#[test]
fn writes_in_destructors() {
    served("ends.cpp", &[Link::Shared]);
}

#[test]
fn dlopen_and_dlclose() {
    served("dlopen.c", &[Link::Not]);
}
