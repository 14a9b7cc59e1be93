//! The user's own cluster: everything through its API, in namespaces made here and deleted at the end.

use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cluster::Access;
use crate::{Error, Media, Result, Scratch, Sections, User};

const KUBECONFIG: &str = "MAPSTORE_TEST_KUBECONFIG";
const CORE: &str = "/api/v1/namespaces";
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces";
/// Keeps a deleted namespace in phase Terminating: a ConfigMap in it that nobody finishes.
const HOLDER: &str = "mapstore-holds-namespace";
/// For what the cluster's controllers do.
const PATIENCE: Duration = Duration::from_secs(10);

pub struct UserCluster {
    access: Access,
    namespaces: Mutex<Vec<String>>,
    scratch: Scratch,
}

impl UserCluster {
    pub(crate) fn connect() -> Result<UserCluster> {
        let path = std::env::var_os(KUBECONFIG).ok_or_else(|| {
            Error::Failed(format!("{KUBECONFIG} is not set: it names the cluster to test on"))
        })?;
        Ok(UserCluster {
            access: Access::from_kubeconfig(PathBuf::from(path))?,
            namespaces: Mutex::default(),
            scratch: Scratch::new("users")?,
        })
    }

    pub(crate) fn access(&self) -> &Access {
        &self.access
    }

    pub(crate) fn namespace(&self, name: &str) -> Result<()> {
        let namespace = json!({"metadata": {"name": name, "labels": {"mapstore": "test"}}});
        self.create(CORE, &namespace)?;
        let mut namespaces = self.namespaces.lock().expect("no panic holds it");
        namespaces.push(name.to_owned());
        Ok(())
    }

    pub(crate) fn user(&self, name: &str, namespace: &str, rules: &Value) -> Result<User> {
        let account = format!("{CORE}/{namespace}/serviceaccounts");
        let meta = json!({"name": name});
        self.create_once(&account, &json!({"metadata": meta}))?;
        self.write_role(name, namespace, rules)?;
        let binding = json!({
            "metadata": meta,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
        });
        self.create_once(&format!("{RBAC}/{namespace}/rolebindings"), &binding)?;
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"expirationSeconds": 3600},
        });
        let made = self.create(&format!("{account}/{name}/token"), &request)?;
        let token = made["status"]["token"]
            .as_str()
            .ok_or_else(|| Error::failed("token request", "no token in the answer"))?;
        // Roles reach the authorizer by its own watch, a moment later.
        thread::sleep(Duration::from_secs(1));
        let kubeconfig = self.write_kubeconfig(name, namespace, token)?;
        Ok(User { kubeconfig, token: token.to_owned() })
    }

    /// The server takes new ConfigMaps until it has seen the deletion: wait for the phase.
    pub(crate) fn terminate_namespace(&self, name: &str) -> Result<()> {
        let holder = json!({"metadata": {"name": HOLDER, "finalizers": ["mapstore.invalid/held"]}});
        self.create(&format!("{CORE}/{name}/configmaps"), &holder)?;
        let path = format!("{CORE}/{name}");
        self.access.client.delete(&path)?.success(&format!("DELETE {path}"))?;
        self.eventually("the namespace is terminating", || {
            Ok(self.access.client.get(&path)?.body["status"]["phase"] == "Terminating")
        })
    }

    /// The cluster's controller publishes the quota; until then it doesn't hold.
    pub(crate) fn quota(&self, namespace: &str, configmaps: u32) -> Result<()> {
        let quotas = format!("{CORE}/{namespace}/resourcequotas");
        let hard = json!({"configmaps": configmaps.to_string()});
        self.create(&quotas, &json!({"metadata": {"name": "configmaps"}, "spec": {"hard": hard}}))?;
        let published = self.eventually("the quota is in force", || {
            let quota = self.access.client.get(&format!("{quotas}/configmaps"))?;
            Ok(quota.body["status"]["hard"] == hard && quota.body["status"]["used"].is_object())
        });
        published
            .map_err(|_| Error::NotRunnable("on the user's cluster: nobody puts quotas in force".to_owned()))
    }

    fn write_role(&self, name: &str, namespace: &str, rules: &Value) -> Result<()> {
        let role = json!({"metadata": {"name": name}, "rules": rules});
        let roles = format!("{RBAC}/{namespace}/roles");
        if self.access.client.post(&roles, &role)?.status == 409 {
            let path = format!("{roles}/{name}");
            self.access.client.put(&path, &role)?.success(&format!("PUT {path}"))?;
        }
        Ok(())
    }

    /// The user's own cluster entry with the new token.
    fn write_kubeconfig(&self, name: &str, namespace: &str, token: &str) -> Result<PathBuf> {
        let sections = Sections {
            user: json!({"token": token}),
            context: json!({"namespace": namespace}),
            ..Sections::read(&self.access.kubeconfig)?
        };
        let file = format!("kubeconfig-{namespace}-{name}");
        self.scratch.write(&file, sections.to_kubeconfig().to_string())
    }

    fn create(&self, path: &str, body: &Value) -> Result<Value> {
        self.access.client.post(path, body)?.success(&format!("POST {path}"))
    }

    fn create_once(&self, path: &str, body: &Value) -> Result<()> {
        match self.access.client.post(path, body)? {
            reply if reply.status == 409 => Ok(()),
            reply => reply.success(&format!("POST {path}")).map(drop),
        }
    }

    fn eventually(&self, what: &str, holds: impl Fn() -> Result<bool>) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !holds()? {
            if Instant::now() > deadline {
                return Err(Error::failed(what, format!("not within {PATIENCE:?}")));
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }
}

impl Drop for UserCluster {
    fn drop(&mut self) {
        let namespaces = self.namespaces.get_mut().expect("no panic holds it");
        for name in namespaces.drain(..) {
            let release = json!({"metadata": {"finalizers": null}});
            let holder = format!("{CORE}/{name}/configmaps/{HOLDER}");
            let client = &self.access.client;
            let released = client.patch(&holder, Media::MergePatch, &release);
            let deleted = client.delete(&format!("{CORE}/{name}"));
            if released.is_err() || deleted.is_err() {
                eprintln!("mapstore-harness: the namespace {name} could not be removed");
            }
        }
    }
}
