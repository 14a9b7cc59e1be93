//! What the process' environment says, read on the thread that opens a store.
//!
//! Only the names that are needed are asked for, one by one: a copy of the whole
//! environment would walk a table that a `setenv` elsewhere in the host may be
//! moving. The whole of it is read for a credential plugin alone, which has to
//! be given it.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::child::Signals;
use super::roots::SystemRoots;
use crate::error::{Error, Result};

const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// All that is ever asked for, besides HOME.
const NAMES: [&str; 14] = [
    "MAPSTORE_CLUSTER_CONFIG_PATH",
    "KUBECONFIG",
    "NAMESPACE",
    "KUBERNETES_SERVICE_HOST",
    "KUBERNETES_SERVICE_PORT",
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "NO_PROXY",
    "no_proxy",
    "REQUEST_METHOD",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

pub(crate) struct Environment {
    vars: HashMap<&'static str, OsString>,
    pub(super) home: Option<PathBuf>,
    pub(super) service_account: PathBuf,
    /// What a credential plugin gets to see.
    pub(super) signals: Signals,
    /// In place of the process' own, for tests.
    #[cfg(test)]
    pub(super) whole: HashMap<OsString, OsString>,
}

impl Environment {
    pub fn capture() -> Self {
        Environment {
            vars: NAMES.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))).collect(),
            home: std::env::home_dir(),
            service_account: PathBuf::from(SERVICE_ACCOUNT),
            signals: Signals::capture(),
            #[cfg(test)]
            whole: HashMap::new(),
        }
    }

    /// A made-up one.
    #[cfg(test)]
    pub fn of<'a>(vars: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut env = Environment {
            vars: HashMap::new(),
            home: None,
            service_account: PathBuf::new(),
            signals: Signals::capture(),
            whole: HashMap::new(),
        };
        vars.for_each(|(name, value)| env.set(name, value));
        env
    }

    #[cfg(test)]
    pub fn set(&mut self, name: &str, value: impl Into<OsString>) {
        let name = *NAMES.iter().find(|known| **known == name).expect("a name that is asked for");
        self.vars.insert(name, value.into());
    }

    pub(super) fn system_roots(&self) -> SystemRoots {
        SystemRoots::named_by(|name| self.var(name).map(OsStr::to_owned))
    }

    /// Every variable, for a program that is started.
    pub fn everything(&self) -> HashMap<OsString, OsString> {
        #[cfg(test)]
        return self.whole.clone();
        #[cfg(not(test))]
        std::env::vars_os().collect()
    }

    /// A variable that is set and not empty.
    pub(super) fn var(&self, name: &str) -> Option<&OsStr> {
        self.vars.get(name).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&str>> {
        let Some(value) = self.var(name) else { return Ok(None) };
        match value.to_str() {
            Some(text) => Ok(Some(text)),
            None => Err(Error::config(name, "the variable is not valid UTF-8")),
        }
    }
}
