//! Credential plugins (`exec` in a kubeconfig), run so that they can't harm the
//! host: non-interactively, their output captured, in a process group of their
//! own that is killed at the deadline. kube runs them without a time limit, on
//! the calling thread, with the host's terminal.
//!
//! The protocol: <https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins>

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::FromRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use kube::config::{ExecConfig, ExecInteractiveMode};
use serde::Deserialize;

use crate::error::{Error, ErrorKind, Result};

/// No credential is larger; a plugin that prints more is broken.
const MAX_OUTPUT: u64 = 1 << 20;

/// How often a running plugin is looked at.
const POLL: Duration = Duration::from_millis(5);

/// A plugin and the environment it is to run in: that of the opening call.
#[derive(Clone)]
pub(crate) struct Plugin {
    exec: ExecConfig,
    vars: HashMap<OsString, OsString>,
    command: String,
}

impl Plugin {
    /// Equal for two plugins that would be run in the same way.
    pub fn identity(&self) -> String {
        let mut vars: Vec<_> = self.vars.iter().collect();
        vars.sort();
        let exec = serde_json::to_string(&self.exec).unwrap_or_default();
        format!("{:?} {exec} {vars:?}", self.command)
    }
}

/// What a plugin answers.
#[derive(Clone, Default)]
pub(crate) struct ExecCredential {
    pub token: Option<String>,
    /// Certificate and key, PEM.
    pub identity: Option<(String, String)>,
    pub expires: Option<Timestamp>,
}

impl Plugin {
    pub fn new(exec: ExecConfig, vars: HashMap<OsString, OsString>, origin: &str) -> Result<Plugin> {
        if exec.interactive_mode == Some(ExecInteractiveMode::Always) {
            return Err(Error::config(
                origin,
                "its credential plugin insists on a terminal (interactiveMode: Always), which a library can't offer",
            ));
        }
        match exec.command.clone().filter(|command| !command.is_empty()) {
            Some(command) => Ok(Plugin { exec, vars, command }),
            None => Err(Error::config(origin, "its credential plugin has no command")),
        }
    }

    /// Runs the plugin. Blocks; ends when the plugin does, at the deadline, or
    /// when `abandoned` says that nobody waits any more.
    pub fn run(&self, deadline: Instant, abandoned: impl Fn() -> bool) -> Result<ExecCredential> {
        let [mut output, mut complaints] = [self.capture()?, self.capture()?];
        let mut command = self.command(&output, &complaints)?;
        let child = command.spawn().map_err(|error| self.cannot_start(&error))?;
        let mut running = Running(child);
        loop {
            if let Some(exit) = running.ended() {
                return match exit {
                    Ok(Some(status)) if !status.success() => {
                        Err(self.failed(status, &read_back(&mut complaints)))
                    }
                    Ok(_) => self.parse(&read_back(&mut output)),
                    Err(error) => Err(self.error(format!("its end could not be awaited: {error}"))),
                };
            }
            if abandoned() || Instant::now() >= deadline {
                return Err(Error::new(
                    ErrorKind::Deadline,
                    self.subject(),
                    "it did not finish before the deadline and was killed",
                ));
            }
            if [&output, &complaints].iter().any(|file| size(file) > MAX_OUTPUT) {
                return Err(self.error("it printed more than 1 MiB and was killed"));
            }
            std::thread::sleep(POLL);
        }
    }

    fn command(&self, output: &File, complaints: &File) -> Result<Command> {
        let share =
            |file: &File| file.try_clone().map(Stdio::from).map_err(|error| self.cannot_start(&error));
        let mut command = Command::new(&self.command);
        command
            .args(self.exec.args.iter().flatten())
            .env_clear()
            .envs(&self.vars)
            .envs(self.own_vars())
            .env("KUBERNETES_EXEC_INFO", self.request().to_string())
            .stdin(Stdio::null())
            .stdout(share(output)?)
            .stderr(share(complaints)?)
            .process_group(0);
        Ok(command)
    }

    fn own_vars(&self) -> impl Iterator<Item = (&String, &String)> {
        self.exec.env.iter().flatten().filter_map(|entry| Some((entry.get("name")?, entry.get("value")?)))
    }

    fn request(&self) -> serde_json::Value {
        let mut spec = serde_json::json!({ "interactive": false });
        if let Some(cluster) = &self.exec.cluster {
            spec["cluster"] = serde_json::to_value(cluster).unwrap_or_default();
        }
        serde_json::json!({
            "kind": "ExecCredential",
            "apiVersion": self.exec.api_version.as_deref().unwrap_or("client.authentication.k8s.io/v1"),
            "spec": spec,
        })
    }

    /// Output goes to files in memory: unlike pipes they need no reader, and
    /// can't block a plugin that prints a lot.
    fn capture(&self) -> Result<File> {
        // SAFETY: the name is NUL-terminated; a valid descriptor is ours alone.
        unsafe {
            let fd = libc::memfd_create(c"mapstore-plugin".as_ptr(), libc::MFD_CLOEXEC);
            if fd < 0 {
                return Err(self.cannot_start(&std::io::Error::last_os_error()));
            }
            Ok(File::from_raw_fd(fd))
        }
    }

    fn parse(&self, output: &str) -> Result<ExecCredential> {
        // The output may be a credential: it must not get into a message, not even in part.
        let answer: Answer = serde_json::from_str(output).map_err(|error| {
            self.error(format!(
                "it printed no ExecCredential (line {}, column {} of its output)",
                error.line(),
                error.column()
            ))
        })?;
        let status =
            answer.status.ok_or_else(|| self.error("the ExecCredential it printed has no status"))?;
        let identity = status.client_certificate_data.zip(status.client_key_data);
        let token = status.token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty());
        if token.is_none() && identity.is_none() {
            return Err(
                self.error("the ExecCredential it printed has neither a token nor a certificate with key")
            );
        }
        let expires = match status.expiration_timestamp {
            None => None,
            Some(text) => Some(text.parse::<Timestamp>().map_err(|_| {
                self.error("the expirationTimestamp it printed is not a time as in RFC 3339")
            })?),
        };
        Ok(ExecCredential { token, identity, expires })
    }

    fn failed(&self, status: ExitStatus, complaints: &str) -> Error {
        let said = complaints.trim();
        let said: String = said.chars().take(500).map(|c| if c.is_control() { ' ' } else { c }).collect();
        if said.is_empty() {
            return self.error(format!("it failed ({status}) and said nothing"));
        }
        self.error(format!("it failed ({status}) and said: {said}"))
    }

    fn cannot_start(&self, error: &std::io::Error) -> Error {
        let hint = self.exec.install_hint.as_deref().map(str::trim).unwrap_or_default();
        self.error(format!("it can't be started: {error}. {hint}").trim_end())
    }

    fn error(&self, message: impl Into<String>) -> Error {
        Error::config(self.subject(), message)
    }

    fn subject(&self) -> String {
        format!("credential plugin {:?}", self.command)
    }
}

#[derive(Deserialize)]
struct Answer {
    status: Option<AnswerStatus>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnswerStatus {
    expiration_timestamp: Option<String>,
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
}

/// A plugin under way. Dropped, it is killed with everything it started.
struct Running(Child);

impl Running {
    /// `None` while it runs; then its exit status, if there is one to be had.
    fn ended(&mut self) -> Option<std::io::Result<Option<ExitStatus>>> {
        match self.0.try_wait() {
            Ok(None) => None,
            Ok(status) => Some(Ok(status)),
            // The host ignores SIGCHLD or reaps every child itself: the output decides.
            Err(error) if error.raw_os_error() == Some(libc::ECHILD) => Some(Ok(None)),
            Err(error) => Some(Err(error)),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            // SAFETY: the group is the plugin's own and its leader isn't reaped yet.
            unsafe { libc::kill(-(self.0.id() as i32), libc::SIGKILL) };
            let _ = self.0.wait();
        }
    }
}

fn size(file: &File) -> u64 {
    file.metadata().map_or(0, |metadata| metadata.len())
}

fn read_back(file: &mut File) -> String {
    let mut bytes = Vec::new();
    let read = file.seek(SeekFrom::Start(0)).and_then(|_| file.take(MAX_OUTPUT).read_to_end(&mut bytes));
    match read {
        Ok(_) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin(script: &str) -> Plugin {
        let exec: ExecConfig = serde_json::from_value(serde_json::json!({
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "/bin/sh",
            "args": ["-c", script],
            "env": [{"name": "EXTRA", "value": "here"}],
            "installHint": "install it",
        }))
        .unwrap();
        Plugin::new(exec, HashMap::new(), "test").unwrap()
    }

    fn run(script: &str) -> Result<ExecCredential> {
        plugin(script).run(Instant::now() + Duration::from_secs(5), || false)
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

    #[test]
    fn a_hanging_plugin_is_killed_with_its_children() {
        let started = Instant::now();
        let deadline = started + Duration::from_millis(100);
        let error = plugin("sleep 61 & sleep 61").run(deadline, || false).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Deadline);
        assert!(started.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn a_failing_plugin_is_quoted_and_its_output_is_not() {
        let error = run("echo secret; echo no such profile >&2; exit 1").err().unwrap().to_string();
        assert!(error.contains("no such profile"), "{error}");
        assert!(!error.contains("secret"), "{error}");
        let error = run("echo secret").err().unwrap().to_string();
        assert!(error.contains("ExecCredential") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn a_plugin_that_prints_for_ever_is_stopped() {
        let error = run("yes").err().unwrap().to_string();
        assert!(error.contains("1 MiB"), "{error}");
    }
}
