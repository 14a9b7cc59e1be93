//! mapstore-dev in the test's own process.

use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};

use mapstore_dev::{DevServer, Rule};
use serde::Deserialize;
use serde_json::Value;

use crate::cluster::Access;
use crate::{Error, Result, Scratch, User};

pub struct DevCluster {
    server: Mutex<DevServer>,
    access: Access,
    scratch: Scratch,
}

impl DevCluster {
    pub(crate) fn start() -> Result<DevCluster> {
        let scratch = Scratch::new("dev")?;
        let server = DevServer::start().map_err(failed)?;
        let kubeconfig = scratch.path().join("kubeconfig");
        server.write_kubeconfig(&kubeconfig).map_err(failed)?;
        Ok(DevCluster { server: Mutex::new(server), access: Access::from_kubeconfig(kubeconfig)?, scratch })
    }

    pub(crate) fn access(&self) -> &Access {
        &self.access
    }

    pub(crate) fn namespace(&self, name: &str) -> Result<()> {
        done(self.server().create_namespace(name), "create the namespace", name)
    }

    pub(crate) fn terminate_namespace(&self, name: &str) -> Result<()> {
        done(self.server().terminate_namespace(name), "terminate the namespace", name)
    }

    pub(crate) fn quota(&self, namespace: &str, configmaps: u32) -> Result<()> {
        self.server().set_quota(namespace, configmaps.into());
        Ok(())
    }

    pub(crate) fn forbid_key(&self, namespace: &str) -> Result<()> {
        self.server().forbid_key(namespace, "forbidden");
        Ok(())
    }

    pub(crate) fn user(&self, name: &str, namespace: &str, rules: &Value) -> Result<User> {
        let rules = Vec::<Rule>::deserialize(rules).map_err(|e| Error::failed("rules", e))?;
        let server = self.server();
        let user = server.add_user(name, namespace, rules);
        let kubeconfig: PathBuf = self.scratch.path().join(format!("kubeconfig-{namespace}-{name}"));
        server.write_kubeconfig_for(&user, namespace, &kubeconfig).map_err(failed)?;
        Ok(User { kubeconfig, token: user.token })
    }

    /// It stops by closing its port and its connections, which is all that a client sees of a kill.
    pub(crate) fn process(&self, command: &str) -> Result<()> {
        let mut server = self.server();
        match command {
            "kill" | "stop" => server.pause(),
            "compact" => server.compact(),
            "start" => server.resume().map_err(failed)?,
            "restart" => {
                server.pause();
                server.resume().map_err(failed)?;
            }
            _ => return Err(Error::NotRunnable(format!("mapstore-dev can't {command}"))),
        }
        Ok(())
    }

    fn server(&self) -> MutexGuard<'_, DevServer> {
        self.server.lock().expect("no panic holds it")
    }
}

fn failed(error: io::Error) -> Error {
    Error::failed("mapstore-dev", error)
}

fn done(done: bool, doing: &str, name: &str) -> Result<()> {
    if done { Ok(()) } else { Err(Error::failed(doing, name)) }
}
