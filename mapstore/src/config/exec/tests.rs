//! Plugins that are shell scripts.

use std::time::Instant;

use serde_json::json;

use super::*;

fn made(exec: serde_json::Value, vars: &[(&str, &str)]) -> Plugin {
    let vars = vars.iter().map(|(name, value)| (name.into(), value.into())).collect();
    Plugin::new(serde_json::from_value(exec).unwrap(), vars, Signals::capture(), "test").unwrap()
}

fn script(script: &str) -> serde_json::Value {
    json!({
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "/bin/sh",
        "args": ["-c", script],
        "env": [{"name": "EXTRA", "value": "here"}],
        "installHint": "install it",
    })
}

fn plugin(text: &str) -> Plugin {
    made(script(text), &[])
}

/// On a thread like the runtime's: with every signal blocked.
fn run_for(plugin: &Plugin, time: Duration) -> Result<ExecCredential> {
    let plugin = plugin.clone();
    let thread = std::thread::spawn(move || {
        // SAFETY: the set is filled in before it is used.
        unsafe {
            let mut all = std::mem::zeroed();
            libc::sigfillset(&mut all);
            libc::pthread_sigmask(libc::SIG_SETMASK, &all, std::ptr::null_mut());
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let complaints = Complaints::default();
            let run = tokio::time::timeout(time, plugin.run(&complaints)).await;
            run.unwrap_or_else(|_| Err(plugin.too_slow(&complaints)))
        })
    });
    thread.join().unwrap()
}

fn run(text: &str) -> Result<ExecCredential> {
    run_for(&plugin(text), Duration::from_secs(20))
}

/// What becomes of such an output.
pub(in crate::config) fn read_for_test(output: &str) {
    drop(parsed(output));
}

fn parsed(text: &str) -> Result<ExecCredential> {
    plugin("").parse(text)
}

#[test]
fn a_plugin_gives_a_token() {
    let credential = run(
        r#"[ "$EXTRA" = here ] && case "$KUBERNETES_EXEC_INFO" in *'"interactive":false'*)
           printf %s '{"kind":"ExecCredential","status":{"token":"t\n","expirationTimestamp":"2030-01-01T00:00:00Z"}}';; esac"#,
    )
    .unwrap();
    assert_eq!(credential.token.as_deref(), Some("t"));
    assert!(credential.expires.is_some());
}

/// Every signal was blocked in the plugin: a shell that waits for a child hung for ever.
#[test]
fn a_shell_that_waits_for_its_child_is_told_of_its_end() {
    let credential = run("sleep 0.1 & wait; echo '{\"status\":{\"token\":\"t\"}}'").unwrap();
    assert_eq!(credential.token.as_deref(), Some("t"));
    let caught = run(
        "trap 'echo \"{\\\"status\\\":{\\\"token\\\":\\\"caught\\\"}}\"; exit 0' USR1; kill -USR1 $$; sleep 5",
    );
    assert_eq!(caught.unwrap().token.as_deref(), Some("caught"));
}

/// Hosts in Rust and Python ignore SIGPIPE for themselves; this process does.
#[test]
fn a_plugin_does_not_inherit_that_sigpipe_is_ignored() {
    let ignored = run("grep SigIgn /proc/self/status >&2; exit 1").err().unwrap().to_string();
    let bits = ignored.rsplit(char::is_whitespace).next().unwrap();
    let bits = u64::from_str_radix(bits, 16).unwrap();
    assert_eq!(bits & (1 << (libc::SIGPIPE - 1) | 1 << (libc::SIGCHLD - 1)), 0, "{ignored}");
    let blocked = run("grep SigBlk /proc/self/status >&2; exit 1").err().unwrap().to_string();
    assert!(blocked.ends_with("0000000000000000"), "{blocked}");
}

#[test]
fn a_hanging_plugin_is_killed_with_its_children_and_quoted() {
    let started = Instant::now();
    let hanging = plugin("echo \"enter the code ABCD at https://example.com\" >&2; sleep 61 & sleep 61");
    let error = run_for(&hanging, Duration::from_millis(300)).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Deadline);
    assert!(error.to_string().contains("enter the code ABCD"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(15));
}

/// What a plugin leaves behind held whatever it had open for as long as it liked.
#[test]
fn what_a_plugin_left_running_ends_with_it() {
    let left = "sleep 63 & echo \"{\\\"status\\\":{\\\"token\\\":\\\"$!\\\"}}\"";
    let helper = run(left).unwrap().token.unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while is_running(&helper) {
        assert!(Instant::now() < deadline, "process {helper} is still there");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn is_running(process: &str) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    state.rsplit(')').next().is_some_and(|rest| !rest.trim().is_empty() && !rest.trim().starts_with('Z'))
}

#[test]
fn a_failing_plugin_is_quoted_and_its_output_is_not() {
    let error = run("echo secret; echo no such profile >&2; exit 1").err().unwrap().to_string();
    assert!(error.contains("no such profile") && error.contains("exit status: 1"), "{error}");
    assert!(!error.contains("secret"), "{error}");
    let error = run("echo secret").err().unwrap().to_string();
    assert!(error.contains("ExecCredential") && !error.contains("secret"), "{error}");
}

#[test]
fn a_plugin_that_prints_for_ever_is_stopped() {
    let error = run("yes").err().unwrap().to_string();
    assert!(error.contains("1 MiB"), "{error}");
}

/// As kubectl: on the PATH of the program, not on one that the kubeconfig sets.
#[test]
fn a_command_is_looked_for_on_the_path() {
    let mut exec = script("echo '{\"status\":{\"token\":\"t\"}}'");
    exec["command"] = json!("sh");
    exec["env"] = json!([{"name": "PATH", "value": "/nowhere"}]);
    assert!(run_for(&made(exec.clone(), &[("PATH", "/nowhere:.:/bin")]), Duration::from_secs(20)).is_ok());
    for path in ["", ".", "/nowhere"] {
        let error = run_for(&made(exec.clone(), &[("PATH", path)]), Duration::from_secs(20)).err().unwrap();
        assert!(error.to_string().contains("PATH") && error.to_string().contains("install it"), "{error}");
    }
    exec["command"] = json!("/nowhere/sh");
    let error = run_for(&made(exec, &[]), Duration::from_secs(20)).err().unwrap().to_string();
    assert!(error.contains("No such file") && error.contains("install it"), "{error}");
}

#[test]
fn an_answer_may_be_yaml_and_begin_with_a_mark() {
    for text in [
        "apiVersion: client.authentication.k8s.io/v1\nkind: ExecCredential\nstatus:\n  token: t\n",
        "\u{feff}{\"status\": {\"token\": \"t\"}}",
        "{\n\t\"status\": {\n\t\t\"token\": \"t\",\n\t\t\"clientCertificateData\": \"\", \"clientKeyData\": null}}",
        "{\"status\":{\"token\":\"t\",\"expirationTimestamp\":null}}",
    ] {
        let credential = parsed(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(credential.token.as_deref(), Some("t"), "{text}");
        assert!(credential.identity.is_none() && credential.expires.is_none(), "{text}");
    }
}

#[test]
fn what_is_no_credential_is_named_and_not_quoted() {
    for (text, expected) in [
        ("", "ExecCredential"),
        ("secret", "ExecCredential"),
        ("{\"status\":{}}", "neither"),
        ("{\"kind\":\"ExecCredential\"}", "no status"),
        ("{\"status\":{\"token\":\"\",\"clientCertificateData\":\"\",\"clientKeyData\":\"\"}}", "neither"),
        ("{\"status\":{\"clientCertificateData\":\"secret\"}}", "not both"),
        (
            "{\"apiVersion\":\"client.authentication.k8s.io/v1beta1\",\"status\":{\"token\":\"secret\"}}",
            "v1beta1",
        ),
        ("{\"kind\":\"Status\",\"status\":{\"token\":\"secret\"}}", "Status"),
        ("{\"status\":{\"token\":\"secret\",\"expirationTimestamp\":\"soon\"}}", "RFC 3339"),
    ] {
        let error = parsed(text).err().unwrap_or_else(|| panic!("{text} is taken")).to_string();
        assert!(error.contains(expected) && !error.contains("secret"), "{text}: {error}");
    }
}

#[test]
fn only_the_versions_of_the_protocol_are_spoken() {
    let mut exec = script("");
    exec["apiVersion"] = json!("client.authentication.k8s.io/v1alpha1");
    let exec = serde_json::from_value(exec).unwrap();
    let error = Plugin::new(exec, HashMap::new(), Signals::capture(), "test").err().unwrap().to_string();
    assert!(error.contains("v1alpha1") && error.contains("v1beta1"), "{error}");
}
