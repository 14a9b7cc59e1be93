//! Credential plugins (`exec` in a kubeconfig), run so that they can't harm the
//! host: non-interactively, their output captured, in a process group of their
//! own that is killed when nobody waits for it any more. kube runs them without
//! a time limit, on the calling thread, with the host's terminal.
//!
//! A run holds no thread: it is started on the I/O thread (see [`child`]) and
//! looked at from time to time.
//!
//! The protocol: <https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins>

use std::collections::HashMap;
use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::os::fd::FromRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::config::{ExecConfig, ExecInteractiveMode};
use once_cell::sync::OnceCell;
use serde::Deserialize;

use super::child::{Child, Ended, Program, Signals};
use super::guard::Guard;
use crate::error::{Error, ErrorKind, Result};
use crate::host::{blocking, resources};

/// No credential is larger; a plugin that prints more is broken.
const MAX_OUTPUT: u64 = 1 << 20;

/// How often a running plugin is looked at: often while it may be a quick one.
const FIRST_POLL: Duration = Duration::from_millis(2);
const LONGEST_POLL: Duration = Duration::from_millis(20);

/// The versions of the protocol that there are; the beta says the same as `v1`.
const VERSIONS: [&str; 2] = ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"];

/// A plugin and the environment it is to run in: that of the opening call.
#[derive(Clone)]
pub(crate) struct Plugin {
    exec: ExecConfig,
    vars: HashMap<OsString, OsString>,
    signals: Signals,
    command: String,
}

/// What a plugin answers.
#[derive(Clone, Default)]
pub(crate) struct ExecCredential {
    pub token: Option<String>,
    /// Certificate and key, PEM.
    pub identity: Option<(String, String)>,
    pub expires: Option<Timestamp>,
}

/// What a running plugin says on its standard error, for those who can't wait for its end.
#[derive(Clone, Default)]
pub(crate) struct Complaints(
    // Not std's OnceLock, which can't yet be filled by what may fail.
    Arc<OnceCell<File>>,
);

impl Complaints {
    /// One line, without control characters, or nothing.
    pub fn quoted(&self) -> String {
        let text = self.0.get().map(read_back).unwrap_or_default();
        let text = text.trim().chars().take(500);
        text.map(|c| if c.is_control() { ' ' } else { c }).collect()
    }
}

impl Plugin {
    pub fn new(
        exec: ExecConfig,
        vars: HashMap<OsString, OsString>,
        signals: Signals,
        origin: &str,
    ) -> Result<Plugin> {
        if exec.interactive_mode == Some(ExecInteractiveMode::Always) {
            return Err(Error::config(
                origin,
                "its credential plugin insists on a terminal (interactiveMode: Always), which a library can't offer",
            ));
        }
        if let Some(other) = exec.api_version.as_deref().filter(|version| !VERSIONS.contains(version)) {
            return Err(Error::config(
                origin,
                format!(
                    "the apiVersion of its credential plugin is {other:?}; it can be {}",
                    VERSIONS.join(" or ")
                ),
            ));
        }
        match exec.command.clone().filter(|command| !command.is_empty()) {
            Some(command) => Ok(Plugin { exec, vars, signals, command }),
            None => Err(Error::config(origin, "its credential plugin has no command")),
        }
    }

    /// Equal for two plugins that would be run in the same way.
    pub fn identity(&self) -> String {
        let mut vars: Vec<_> = self.vars.iter().collect();
        vars.sort();
        let exec = serde_json::to_string(&self.exec).unwrap_or_default();
        format!("{:?} {exec} {} {vars:?}", self.command, self.request())
    }

    /// Runs the plugin. Dropped, the run is over, and the plugin killed with
    /// everything it started; at its own end that is killed too.
    pub async fn run(&self, complaints: &Complaints) -> Result<ExecCredential> {
        let output = self.capture()?;
        let said = complaints.0.get_or_try_init(|| self.capture())?;
        let finder = self.clone();
        let path = blocking::run(move || finder.find()).await??;
        let mut child = self.start(&path, &output, said)?;
        // Without a guard the plugin itself still ends with the host.
        let _guard = Guard::over(&child, &self.signals).ok();
        let mut pause = FIRST_POLL;
        loop {
            match child.poll() {
                None => {}
                Some(Ended::Exit(0) | Ended::Unknown) => return self.parse(&read_back(&output)),
                Some(ended) => return Err(self.failed(ended, &complaints.quoted())),
            }
            if [&output, said].iter().any(|file| size(file) > MAX_OUTPUT) {
                return Err(self.error("it printed more than 1 MiB and was killed"));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_POLL);
        }
    }

    /// What a caller is told who can't wait any longer.
    pub fn too_slow(&self, complaints: &Complaints) -> Error {
        let said = complaints.quoted();
        let said = if said.is_empty() { said } else { format!("; it said: {said}") };
        let message = format!("it did not finish before the deadline and was killed{said}");
        Error::new(ErrorKind::Deadline, self.subject(), message)
    }

    /// As `execvp` does it, but on the PATH of the opening call, and never in
    /// the current directory, which kubectl refuses too.
    fn find(&self) -> Result<PathBuf> {
        if self.command.contains('/') {
            return Ok(self.command.clone().into());
        }
        let path = self.vars.get(OsStr::new("PATH")).cloned().unwrap_or_default();
        let folders = std::env::split_paths(&path).filter(|folder| folder.is_absolute());
        let found = folders.map(|folder| folder.join(&self.command)).find(|path| is_executable(path));
        found.ok_or_else(|| self.cannot_start("there is no such program in the folders of PATH"))
    }

    fn start(&self, path: &Path, output: &File, complaints: &File) -> Result<Child> {
        let string = |bytes: Vec<u8>| {
            CString::new(bytes)
                .map_err(|_| self.error("its command, arguments or environment have a NUL byte"))
        };
        let args = std::iter::once(&self.command).chain(self.exec.args.iter().flatten());
        let args = args.map(|arg| string(arg.clone().into_bytes())).collect::<Result<Vec<_>>>()?;
        let mut vars: HashMap<&OsStr, &OsStr> =
            self.vars.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str())).collect();
        vars.extend(self.own_vars());
        let request = self.request().to_string();
        vars.insert(OsStr::new("KUBERNETES_EXEC_INFO"), OsStr::new(&request));
        let entry =
            |(name, value): (&OsStr, &OsStr)| string([name.as_bytes(), b"=", value.as_bytes()].concat());
        let env = vars.into_iter().map(entry).collect::<Result<Vec<_>>>()?;
        let path = string(path.as_os_str().to_owned().into_vec())?;
        let null = File::open("/dev/null").map_err(|error| self.refused(&error))?;
        let program = Program {
            path: &path,
            args: &args,
            env: &env,
            stdio: [&null, output, complaints],
            signals: &self.signals,
            dies_with_host: true,
        };
        program.start().map_err(|error| self.refused(&error))
    }

    fn own_vars(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        let entries = self.exec.env.iter().flatten();
        entries.filter_map(|entry| Some((OsStr::new(entry.get("name")?), OsStr::new(entry.get("value")?))))
    }

    fn version(&self) -> &str {
        self.exec.api_version.as_deref().unwrap_or(VERSIONS[0])
    }

    fn request(&self) -> serde_json::Value {
        let mut spec = serde_json::json!({ "interactive": false });
        if let Some(cluster) = &self.exec.cluster {
            spec["cluster"] = serde_json::to_value(cluster).unwrap_or_default();
        }
        serde_json::json!({ "kind": "ExecCredential", "apiVersion": self.version(), "spec": spec })
    }

    /// Output goes to files in memory: unlike pipes they need no reader, and
    /// can't block a plugin that prints a lot.
    fn capture(&self) -> Result<File> {
        // SAFETY: the name is NUL-terminated; a valid descriptor is ours alone.
        unsafe {
            let fd = libc::memfd_create(c"mapstore-plugin".as_ptr(), libc::MFD_CLOEXEC);
            if fd < 0 {
                return Err(self.refused(&std::io::Error::last_os_error()));
            }
            Ok(File::from_raw_fd(fd))
        }
    }

    /// YAML, of which JSON is a part: client-go takes both.
    fn parse(&self, output: &str) -> Result<ExecCredential> {
        let text = output.trim_start_matches('\u{feff}');
        // The output may be a credential: it must not get into a message, not even in part.
        let answer: Answer = serde_saphyr::from_str(text).map_err(|error| {
            let place = error
                .location()
                .map(|place| format!(" (line {}, column {} of its output)", place.line(), place.column()));
            self.error(format!("it printed no ExecCredential{}", place.unwrap_or_default()))
        })?;
        self.check_version(&answer)?;
        let status =
            answer.status.ok_or_else(|| self.error("the ExecCredential it printed has no status"))?;
        let set = |field: Option<String>| field.filter(|text| !text.trim().is_empty());
        let (certificate, key) = (set(status.client_certificate_data), set(status.client_key_data));
        if certificate.is_some() != key.is_some() {
            return Err(self.error("the ExecCredential it printed has a certificate or a key, not both"));
        }
        let (identity, token) = (certificate.zip(key), set(status.token));
        let token = token.map(|token| token.trim().to_owned());
        if token.is_none() && identity.is_none() {
            return Err(
                self.error("the ExecCredential it printed has neither a token nor a certificate with key")
            );
        }
        let expires = match set(status.expiration_timestamp) {
            None => None,
            Some(text) => Some(text.parse::<Timestamp>().map_err(|_| {
                self.error("the expirationTimestamp it printed is not a time as in RFC 3339")
            })?),
        };
        Ok(ExecCredential { token, identity, expires })
    }

    /// An answer in another version than was asked for may mean something else
    /// there; client-go refuses it too.
    fn check_version(&self, answer: &Answer) -> Result<()> {
        let kind = answer.kind.as_deref().unwrap_or("ExecCredential");
        let version = answer.api_version.as_deref().unwrap_or(self.version());
        if kind == "ExecCredential" && version == self.version() {
            return Ok(());
        }
        let short = |text: &str| text.chars().take(60).collect::<String>();
        Err(self.error(format!(
            "it was asked for an ExecCredential of {} and printed a {:?} of {:?}",
            self.version(),
            short(kind),
            short(version)
        )))
    }

    fn failed(&self, ended: Ended, said: &str) -> Error {
        if said.is_empty() {
            return self.error(format!("it failed ({ended}) and said nothing"));
        }
        self.error(format!("it failed ({ended}) and said: {said}"))
    }

    /// By the system.
    fn refused(&self, error: &std::io::Error) -> Error {
        resources::no_descriptor(error).unwrap_or_else(|| self.cannot_start(&error.to_string()))
    }

    fn cannot_start(&self, why: &str) -> Error {
        let hint = self.exec.install_hint.as_deref().map(str::trim).unwrap_or_default();
        self.error(format!("it can't be started: {why}. {hint}").trim_end())
    }

    fn error(&self, message: impl Into<String>) -> Error {
        Error::config(self.subject(), message)
    }

    fn subject(&self) -> String {
        format!("credential plugin {:?}", self.command)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    kind: Option<String>,
    api_version: Option<String>,
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

fn is_executable(path: &Path) -> bool {
    let Ok(name) = CString::new(path.as_os_str().as_bytes()) else { return false };
    // SAFETY: the name is NUL-terminated.
    path.is_file() && unsafe { libc::access(name.as_ptr(), libc::X_OK) } == 0
}

fn size(file: &File) -> u64 {
    file.metadata().map_or(0, |metadata| metadata.len())
}

/// From its start, wherever the plugin is: they share one position.
fn read_back(file: &File) -> String {
    let mut bytes = vec![0; size(file).min(MAX_OUTPUT) as usize];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], filled as u64) {
            Ok(count) if count > 0 => filled += count,
            _ => break,
        }
    }
    bytes.truncate(filled);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
pub(super) use tests::read_for_test;
#[cfg(test)]
mod tests;
