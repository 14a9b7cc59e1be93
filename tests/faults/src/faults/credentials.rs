//! What the clients of a history show and trust: a token and an authority, both in files, both may be renewed.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::{fs, io};

use mapstore_harness::proxy::Proxy;
use mapstore_harness::{Cluster, Scratch, Sections};
use serde_json::json;

/// A user with a Role of these verbs, and the files that the clients read.
pub struct Credentials {
    name: String,
    namespace: String,
    verbs: &'static [&'static str],
    scratch: Scratch,
    /// Accepted no more.
    old: Mutex<Vec<String>>,
    token: Mutex<String>,
}

impl Credentials {
    pub fn new(
        cluster: &Cluster,
        proxy: &Proxy,
        namespace: &str,
        verbs: &'static [&'static str],
    ) -> Result<Credentials, String> {
        let scratch = Scratch::new("credentials").map_err(|e| e.to_string())?;
        let credentials = Credentials {
            name: format!("client-{}", verbs.join("-")),
            namespace: namespace.to_owned(),
            verbs,
            scratch,
            old: Mutex::default(),
            token: Mutex::default(),
        };
        credentials.replace("ca.pem", proxy.ca_pem())?;
        let token = credentials.ask(cluster)?;
        credentials.replace("token", &token)?;
        *lock(&credentials.token) = token;
        let sections = Sections {
            cluster: json!({"server": proxy.url(), "certificate-authority": credentials.path("ca.pem")}),
            user: json!({"tokenFile": credentials.path("token")}),
            context: json!({"namespace": namespace}),
        };
        credentials.replace("kubeconfig", &sections.to_kubeconfig().to_string())?;
        Ok(credentials)
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.path("kubeconfig")
    }

    /// Whether a request shows a token that has been replaced.
    pub fn is_old(&self, authorization: &str) -> bool {
        lock(&self.old).iter().any(|old| authorization.strip_prefix("Bearer ") == Some(old))
    }

    pub fn renew_token(&self, cluster: &Cluster) -> Result<(), String> {
        let new = self.ask(cluster)?;
        self.replace("token", &new)?;
        let old = std::mem::replace(&mut *lock(&self.token), new);
        lock(&self.old).push(old);
        Ok(())
    }

    /// As it is done where clients go on: both authorities are trusted before the server changes over.
    pub fn renew_certificate(&self, proxy: &Proxy) -> Result<(), String> {
        let both = |new: &str| self.replace("ca.pem", &format!("{}{new}", proxy.ca_pem()));
        proxy.renew_certificate(both).map_err(|e| e.to_string())
    }

    fn ask(&self, cluster: &Cluster) -> Result<String, String> {
        let rules = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": self.verbs}]);
        let user = cluster.user(&self.name, &self.namespace, &rules);
        user.map(|user| user.token).map_err(|e| e.to_string())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// At once, as kubelet does it: nobody reads half of it.
    fn replace(&self, name: &str, content: &str) -> Result<(), String> {
        let new = self.path(&format!("{name}.new"));
        let renamed = fs::write(&new, content).and_then(|()| fs::rename(&new, self.path(name)));
        renamed.map_err(|error: io::Error| format!("{name}: {error}"))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
