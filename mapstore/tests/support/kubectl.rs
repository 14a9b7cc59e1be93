//! The real kubectl, beside the real API server.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

use super::Site;

/// Runs it in the site's namespace: what it printed, or why it failed.
pub fn kubectl(site: &Site, arguments: &[&str], input: impl Into<Vec<u8>>) -> Result<Vec<u8>, String> {
    let folder = PathBuf::from(std::env::var_os("MAPSTORE_APISERVER_DIR").expect("MAPSTORE_APISERVER_DIR"));
    let mut child = Command::new(folder.join("kubectl"))
        .arg("--kubeconfig")
        .arg(site.cluster.kubeconfig())
        .args(["--namespace", &site.namespace])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.into());
    // Not to wait for each other. It may end before it has read everything.
    let writer = thread::spawn(move || stdin.write_all(&input).is_ok());
    let output = child.wait_with_output().unwrap();
    let _ = writer.join();
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(format!("kubectl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr))),
    }
}
