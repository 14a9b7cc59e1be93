//! A cluster for tests: one of three kinds, the same operations on each.
//!
//! What a kind can't do answers `Error::NotRunnable`, so that a test can say so; it is never a silent success.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::dev::DevCluster;
use crate::real::RealCluster;
use crate::user::UserCluster;
use crate::{Client, Error, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// kube-apiserver with etcd, from the folder that MAPSTORE_APISERVER_DIR names.
    Real,
    /// mapstore-dev, in this process.
    Dev,
    /// The cluster of the kubeconfig that MAPSTORE_TEST_KUBECONFIG names. Only namespaces made here are used; they
    /// are deleted at the end.
    User,
}

/// How to get in as the administrator.
pub struct Access {
    pub kubeconfig: PathBuf,
    pub client: Client,
}

/// Somebody with limited rights.
#[derive(Clone, Debug)]
pub struct User {
    pub kubeconfig: PathBuf,
    pub token: String,
}

pub enum Cluster {
    Real(RealCluster),
    Dev(DevCluster),
    User(UserCluster),
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Real => "real",
            Kind::Dev => "dev",
            Kind::User => "user",
        }
    }

    pub fn from_name(name: &str) -> Option<Kind> {
        [Kind::Real, Kind::Dev, Kind::User].into_iter().find(|kind| kind.name() == name)
    }
}

impl Access {
    pub(crate) fn from_kubeconfig(path: impl Into<PathBuf>) -> Result<Access> {
        let kubeconfig = path.into();
        let client = Client::from_kubeconfig(&kubeconfig)?;
        Ok(Access { kubeconfig, client })
    }
}

impl Cluster {
    /// Starts it, or connects to it. Ready when this returns; stopped when dropped.
    pub fn start(kind: Kind) -> Result<Cluster> {
        match kind {
            Kind::Real => RealCluster::start().map(Cluster::Real),
            Kind::Dev => DevCluster::start().map(Cluster::Dev),
            Kind::User => UserCluster::connect().map(Cluster::User),
        }
    }

    pub fn kind(&self) -> Kind {
        match self {
            Cluster::Real(_) => Kind::Real,
            Cluster::Dev(_) => Kind::Dev,
            Cluster::User(_) => Kind::User,
        }
    }

    fn access(&self) -> &Access {
        match self {
            Cluster::Real(real) => real.access(),
            Cluster::Dev(dev) => dev.access(),
            Cluster::User(user) => user.access(),
        }
    }

    /// The administrator's client.
    pub fn client(&self) -> &Client {
        &self.access().client
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> &Path {
        &self.access().kubeconfig
    }

    /// A new namespace that no other test uses.
    pub fn fresh_namespace(&self) -> Result<String> {
        let name = fresh_name();
        match self {
            Cluster::Real(real) => real.namespace(&name)?,
            Cluster::Dev(dev) => dev.namespace(&name)?,
            Cluster::User(user) => user.namespace(&name)?,
        }
        Ok(name)
    }

    /// A user with exactly these rules (a Role's `rules`) in this namespace; an existing one gets new rules, which
    /// hold for the token it has too.
    pub fn user(&self, name: &str, namespace: &str, rules: &Value) -> Result<User> {
        match self {
            Cluster::Real(real) => real.user(name, namespace, rules),
            Cluster::Dev(dev) => dev.user(name, namespace, rules),
            Cluster::User(user) => user.user(name, namespace, rules),
        }
    }

    /// Deletes the namespace in such a way that it stays in phase Terminating.
    pub fn terminate_namespace(&self, name: &str) -> Result<()> {
        match self {
            Cluster::Real(real) => real.terminate_namespace(name),
            Cluster::Dev(dev) => dev.terminate_namespace(name),
            Cluster::User(user) => user.terminate_namespace(name),
        }
    }

    /// Limits the number of ConfigMaps in the namespace.
    pub fn quota(&self, namespace: &str, configmaps: u32) -> Result<()> {
        match self {
            Cluster::Real(real) => real.quota(namespace, configmaps),
            Cluster::Dev(dev) => dev.quota(namespace, configmaps),
            Cluster::User(user) => user.quota(namespace, configmaps),
        }
    }

    /// An admission policy that refuses ConfigMaps of the namespace with a key called `forbidden`.
    pub fn forbid_key(&self, namespace: &str) -> Result<()> {
        match self {
            Cluster::Real(real) => real.forbid_key(namespace),
            Cluster::Dev(dev) => dev.forbid_key(namespace),
            Cluster::User(_) => Err(not_ours("an admission policy is an object of the whole cluster")),
        }
    }

    /// Ends the server at once, as kill -9 does.
    pub fn kill(&self) -> Result<()> {
        self.process("kill")
    }

    /// Ends the server as SIGTERM does.
    pub fn stop(&self) -> Result<()> {
        self.process("stop")
    }

    /// Starts it again, on the same port and with the same data, and returns when it is ready.
    pub fn start_again(&self) -> Result<()> {
        self.process("start")
    }

    /// `kill` and `start_again`.
    pub fn restart(&self) -> Result<()> {
        self.process("restart")
    }

    /// Stops its clock: connections stay open, nothing is answered.
    pub fn pause(&self) -> Result<()> {
        self.process("pause")
    }

    pub fn resume(&self) -> Result<()> {
        self.process("resume")
    }

    /// Forgets what objects were before now: a LIST at an older revision is told 410 from here on. Watches aren't
    /// touched; those end with `restart`.
    pub fn compact(&self) -> Result<()> {
        self.process("compact")
    }

    /// Restarts it with a certificate of a new authority; the administrator's kubeconfig is rewritten.
    pub fn rotate_ca(&self) -> Result<()> {
        self.process("rotate_ca")
    }

    fn process(&self, command: &str) -> Result<()> {
        match self {
            Cluster::Real(real) => real.process(command),
            Cluster::Dev(dev) => dev.process(command),
            Cluster::User(_) => Err(not_ours("its server is not ours to stop")),
        }
    }
}

fn not_ours(why: &str) -> Error {
    Error::NotRunnable(format!("on the user's cluster: {why}"))
}

/// Unique on a cluster that other people, and other runs of these tests, use too.
fn fresh_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = since.map_or(0, |time| time.as_millis());
    format!("mapstore-{now:x}-{:x}-{number}", std::process::id())
}
