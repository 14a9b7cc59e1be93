//! What is looked for and what comes of it: the caller's words, and how a cluster
//! is reached and as whom.

use std::path::{Path, PathBuf};

use kube::config::Config;

use super::exec::Plugin;
use super::file;
use super::roots::SystemRoots;
use crate::error::{Error, Result};

/// What the caller says of the place; the rest is looked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given {
    pub namespace: Option<String>,
    pub kubeconfig: Option<PathBuf>,
    pub context: Option<String>,
    /// `KUBECONFIG`, `~/.kube/config`, the context's namespace and `default` are not asked.
    pub strict: bool,
}

/// How to reach a cluster and as whom. `kube` holds addresses and TLS, never a
/// credential but a client certificate: kube's own credential handling has no
/// deadline.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub kube: Config,
    pub auth: Auth,
    pub system_roots: SystemRoots,
    /// Where all that was read from, for messages.
    pub origin: String,
    /// See [`Cluster::identity`].
    pub(super) identity: String,
}

impl Cluster {
    /// Equal for two clusters only if every request would go to the same server,
    /// in the same way, as the same user: all of the cluster's and the user's
    /// entry, whatever is in them, so that no field can be forgotten, and what of
    /// the environment counts. Holds secrets: never for a message.
    pub fn identity(&self) -> String {
        self.identity.clone()
    }
}

impl Auth {
    pub(super) fn identity(&self) -> String {
        match self {
            Auth::None => String::new(),
            Auth::Token(token) => format!("token {token:?}"),
            Auth::TokenFile(path) => format!("token file {path:?}"),
            Auth::Basic { user, password } => format!("basic {user:?} {password:?}"),
            Auth::Exec(plugin) => format!("plugin {}", plugin.identity()),
        }
    }
}

#[derive(Clone)]
pub(crate) enum Auth {
    /// A client certificate, or nobody.
    None,
    Token(String),
    TokenFile(PathBuf),
    Basic {
        user: String,
        password: String,
    },
    Exec(Box<Plugin>),
}

/// kube sends every verb again on 429, 503 and 504, so that a write may be
/// applied twice: what is tried again is the writer's business.
pub(super) fn without_kube_policies(mut kube: Config) -> Config {
    kube.default_retry = false;
    kube.read_timeout = None;
    kube.write_timeout = None;
    kube
}

/// A token as it stands in a file: kube doesn't trim, and a newline breaks the header.
pub(crate) fn read_token(path: &Path, over: impl Fn() -> bool) -> Result<String> {
    let subject = format!("token file {path:?}");
    match file::read(path, &subject, over)?.trim() {
        "" => Err(Error::config(subject, "it is empty")),
        token => Ok(token.to_owned()),
    }
}
