//! The real kube-apiserver, through the launcher of tests/apiserver.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use super::client::Endpoint;

pub struct Real {
    launcher: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    pub endpoint: Endpoint,
    pub token: String,
    pub kubeconfig: String,
}

impl Real {
    /// Starts it from the folder of built binaries that MAPSTORE_APISERVER_DIR
    /// names; None if the variable isn't set.
    pub fn start() -> Option<Real> {
        let dir = std::env::var_os("MAPSTORE_APISERVER_DIR").filter(|d| !d.is_empty())?;
        let dir = Path::new(&dir);
        let mut launcher = Command::new(dir.join("launcher"))
            .arg("--server")
            .arg(dir.join("apiserver"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| {
                panic!("{}: {e}; build it with tests/apiserver/build.sh", dir.join("launcher").display())
            });
        let stdin = launcher.stdin.take();
        let mut stdout = BufReader::new(launcher.stdout.take().expect("a pipe"));
        let ready = line(&mut stdout);
        assert_eq!(ready["event"], "ready", "the real API server: {}", ready["reason"]);
        let text = |name: &str| ready[name].as_str().expect(name).to_string();
        let ca = std::fs::read_to_string(text("ca_file")).expect("the CA");
        let endpoint = Endpoint::new(&text("server"), &ca);
        let (token, kubeconfig) = (text("token"), text("kubeconfig"));
        Some(Real { launcher, stdin, stdout, endpoint, token, kubeconfig })
    }

    /// One command of the launcher.
    pub fn run(&mut self, command: &Value) -> Value {
        let stdin = self.stdin.as_mut().expect("open until dropped");
        writeln!(stdin, "{command}").expect("the launcher runs");
        let answer = line(&mut self.stdout);
        assert_eq!(answer["ok"], json!(true), "{command}: {answer}");
        answer
    }
}

fn line(stdout: &mut BufReader<ChildStdout>) -> Value {
    let mut text = String::new();
    stdout.read_line(&mut text).expect("the launcher's answer");
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("the launcher said {text:?}: {e}"))
}

impl Drop for Real {
    fn drop(&mut self) {
        // It stops the server when its input ends.
        drop(self.stdin.take());
        let _ = self.launcher.wait();
    }
}
