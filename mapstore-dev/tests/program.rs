//! The program: its arguments, its one line, how it ends.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_mapstore-dev"))
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()))
}

fn start(name: &str, more: &[&str]) -> (Child, String, PathBuf) {
    let path = file(name);
    let mut child = program()
        .arg("--write-kubeconfig")
        .arg(&path)
        .args(more)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("mapstore-dev");
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    stdout.read_line(&mut line).expect("its line");
    (child, line, path)
}

fn ends(mut child: Child) -> std::process::ExitStatus {
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("wait") {
            return status;
        }
        if begin.elapsed() > Duration::from_secs(10) {
            let _ = child.kill();
            panic!("mapstore-dev doesn't end");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn refused(arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = program().args(arguments).output().expect("mapstore-dev");
    (status.code(), String::from_utf8_lossy(&stderr).into_owned())
}

#[test]
fn it_says_when_it_is_ready_and_ends_with_its_input() {
    let (mut child, line, path) = start("stdin", &["--namespace", "team", "--exit-with-stdin"]);
    let address = line.strip_prefix("mapstore-dev: listening on https://127.0.0.1:").expect(&line);
    assert!(address.ends_with(&format!(", kubeconfig {}\n", path.display())), "{line}");
    let mode = std::fs::metadata(&path).expect("the kubeconfig").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = std::fs::read_to_string(&path).expect("the kubeconfig");
    assert!(text.contains("namespace: \"team\""), "{text}");
    drop(child.stdin.take());
    assert!(ends(child).success());
}

#[test]
fn signals_end_it() {
    for (name, signal) in [("term", libc::SIGTERM), ("int", libc::SIGINT)] {
        let (child, ..) = start(name, &[]);
        // SAFETY: a signal to a child that is not waited for yet.
        unsafe { libc::kill(child.id() as i32, signal) };
        assert!(ends(child).success());
    }
}

#[test]
fn bad_arguments_are_named() {
    assert!(matches!(refused(&["--nonsense"]), (Some(2), e) if e.contains("unknown argument --nonsense")));
    assert!(matches!(refused(&["--port", "x"]), (Some(2), e) if e.contains("--port x")));
    assert!(matches!(refused(&[]), (Some(2), e) if e.contains("--write-kubeconfig")));
    let unwritable = ["--write-kubeconfig", "/nonexistent/file"];
    assert!(matches!(refused(&unwritable), (Some(1), e) if e.contains("/nonexistent/file")));
    let path = file("namespace");
    let bad = ["--write-kubeconfig", path.to_str().expect("UTF-8"), "--namespace", "Not_One"];
    assert!(matches!(refused(&bad), (Some(1), e) if e.contains("Not_One")));
    assert!(!path.exists());
}

#[test]
fn a_taken_port_is_named() {
    let (mut child, line, _) = start("taken", &["--exit-with-stdin"]);
    let port = line.split(':').nth(3).and_then(|rest| rest.split(',').next()).expect(&line);
    let path = file("other");
    let (code, error) = refused(&["--port", port, "--write-kubeconfig", path.to_str().expect("UTF-8")]);
    assert_eq!(code, Some(1));
    assert!(error.contains(&format!("127.0.0.1:{port}")), "{error}");
    drop(child.stdin.take());
    ends(child);
}
