//! The certificate authorities of the system, where Go looks for them on Linux:
//! for a cluster without an authority of its own, and for https proxies.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::pem;

/// The first one there is, as in Go's crypto/x509/root_linux.go.
const FILES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Used where none of the files exists.
const FOLDERS: [&str; 2] = ["/etc/ssl/certs", "/etc/pki/tls/certs"];

/// What the environment of the opening call says about them.
#[derive(Clone, Debug, Default)]
pub(crate) struct SystemRoots {
    /// `SSL_CERT_FILE`, instead of the usual files.
    file: Option<PathBuf>,
    /// `SSL_CERT_DIR`, a list.
    folders: Option<OsString>,
}

impl SystemRoots {
    pub fn named_by(var: impl Fn(&str) -> Option<OsString>) -> SystemRoots {
        SystemRoots { file: var("SSL_CERT_FILE").map(PathBuf::from), folders: var("SSL_CERT_DIR") }
    }

    /// All certificates that can be read. Blocks.
    pub fn load(&self) -> Vec<Vec<u8>> {
        let usual = FILES.iter().map(Path::new);
        let mut files = self.file.as_deref().into_iter().chain(usual.filter(|_| self.file.is_none()));
        let found = files.find_map(|file| std::fs::read(file).ok());
        let mut certificates = found.as_deref().map(pem::certificates).unwrap_or_default();
        let folders: Vec<PathBuf> = match &self.folders {
            Some(list) => std::env::split_paths(list).collect(),
            None if found.is_none() => FOLDERS.iter().map(PathBuf::from).collect(),
            None => Vec::new(),
        };
        for folder in folders {
            certificates.extend(in_folder(&folder));
        }
        certificates
    }
}

fn in_folder(folder: &Path) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let files = entries.map(|entry| entry.path()).filter(|path| path.is_file());
    files.filter_map(|file| std::fs::read(file).ok()).flat_map(|text| pem::certificates(&text)).collect()
}
