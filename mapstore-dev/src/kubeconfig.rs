//! Kubeconfig files: how clients find the server and prove who they are.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use base64::Engine;

/// A kubeconfig of one cluster, one user, one context. Every value is of our
/// own making or quoted, so plain text is YAML enough.
pub fn render(url: &str, ca_pem: &str, user: &str, token: &str, namespace: &str) -> String {
    let ca = base64::prelude::BASE64_STANDARD.encode(ca_pem);
    let user = serde_json::Value::from(user);
    let namespace = serde_json::Value::from(namespace);
    format!(
        "apiVersion: v1
kind: Config
clusters:
- name: mapstore-dev
  cluster:
    server: {url}
    certificate-authority-data: {ca}
users:
- name: {user}
  user:
    token: {token}
contexts:
- name: mapstore-dev
  context:
    cluster: mapstore-dev
    user: {user}
    namespace: {namespace}
current-context: mapstore-dev
"
    )
}

/// Writes a file that only its owner can read, whole or not at all: readers
/// that wait for it never see half of it.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    let named =
        |e: io::Error| io::Error::new(e.kind(), format!("can't write kubeconfig {}: {e}", path.display()));
    let name = path.file_name().ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("{} names no file", path.display()))
    })?;
    let mut partial = name.to_os_string();
    partial.push(format!(".{}.partial", crate::random::suffix()));
    let partial = path.with_file_name(partial);
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial).map_err(named)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| fs::rename(&partial, path));
    written.map_err(|e| {
        let _ = fs::remove_file(&partial);
        named(e)
    })
}
