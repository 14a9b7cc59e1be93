//! The real kube-apiserver, by the launcher of tests/apiserver: one JSON line in, one out.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cluster::Access;
use crate::program::{LineProgram, Silence, clean_command};
use crate::{Error, Result, Scratch, User};

const FOLDER: &str = "MAPSTORE_APISERVER_DIR";
/// The launcher has its own, shorter limits; this one is for a launcher that hangs.
const PATIENCE: Duration = Duration::from_secs(120);

pub struct RealCluster {
    // The order of the fields is the order in which they end.
    launcher: Mutex<LineProgram>,
    access: Access,
    _home: Scratch,
}

impl RealCluster {
    pub(crate) fn start() -> Result<RealCluster> {
        let folder = std::env::var_os(FOLDER).ok_or_else(|| {
            Error::Failed(format!(
                "{FOLDER} is not set: build the server with tests/apiserver/build.sh and name its folder"
            ))
        })?;
        let folder = PathBuf::from(folder);
        let home = Scratch::new("apiserver")?;
        let mut launcher = launch(&folder, &home)?;
        let ready = read(&mut launcher)?;
        if ready["event"] != "ready" {
            let reason = ready["reason"].as_str().unwrap_or("no reason given");
            return Err(Error::failed("start the API server", reason));
        }
        let kubeconfig = text(&ready, "kubeconfig")?;
        Ok(RealCluster {
            access: Access::from_kubeconfig(kubeconfig)?,
            launcher: Mutex::new(launcher),
            _home: home,
        })
    }

    pub(crate) fn access(&self) -> &Access {
        &self.access
    }

    pub(crate) fn namespace(&self, name: &str) -> Result<()> {
        self.command(&json!({"cmd": "namespace", "name": name})).map(drop)
    }

    pub(crate) fn terminate_namespace(&self, name: &str) -> Result<()> {
        self.command(&json!({"cmd": "terminate_namespace", "name": name})).map(drop)
    }

    pub(crate) fn quota(&self, namespace: &str, configmaps: u32) -> Result<()> {
        let command = json!({"cmd": "quota", "namespace": namespace, "configmaps": configmaps});
        self.command(&command).map(drop)
    }

    pub(crate) fn forbid_key(&self, namespace: &str) -> Result<()> {
        self.command(&json!({"cmd": "admission_policy", "namespace": namespace})).map(drop)
    }

    pub(crate) fn user(&self, name: &str, namespace: &str, rules: &Value) -> Result<User> {
        let command = json!({"cmd": "user", "name": name, "namespace": namespace, "rules": rules});
        let made = self.command(&command)?;
        Ok(User { kubeconfig: text(&made, "kubeconfig")?.into(), token: text(&made, "token")?.to_owned() })
    }

    pub(crate) fn process(&self, command: &str) -> Result<()> {
        self.command(&json!({"cmd": command})).map(drop)
    }

    fn command(&self, command: &Value) -> Result<Value> {
        let mut launcher = self.launcher.lock().expect("no panic holds it");
        launcher.send(&command.to_string());
        let answer = read(&mut launcher)?;
        match answer["ok"] {
            Value::Bool(true) => Ok(answer),
            _ => Err(Error::failed("launcher", &answer["error"])),
        }
    }
}

impl Drop for RealCluster {
    fn drop(&mut self) {
        // It removes its directory when its input ends; a kill would leave that.
        if let Ok(mut launcher) = self.launcher.lock() {
            launcher.finish(Duration::from_secs(10));
        }
    }
}

fn launch(folder: &Path, home: &Scratch) -> Result<LineProgram> {
    let mut command = clean_command(folder.join("launcher"), home.path());
    command.arg("--server").arg(folder.join("apiserver"));
    LineProgram::start(command)
}

fn read(launcher: &mut LineProgram) -> Result<Value> {
    let line = launcher.receive(PATIENCE).map_err(|silence| match silence {
        Silence::Hung(time) => Error::failed("launcher", format!("no answer in {time:?}")),
        Silence::Ended(how) => Error::failed("launcher", format!("ended: {how}\n{}", launcher.take_stderr())),
    })?;
    serde_json::from_str(&line).map_err(|e| Error::failed("launcher", format!("{e} in {line}")))
}

fn text<'a>(answer: &'a Value, field: &str) -> Result<&'a str> {
    answer[field].as_str().ok_or_else(|| Error::failed("launcher", format!("no {field} in {answer}")))
}
