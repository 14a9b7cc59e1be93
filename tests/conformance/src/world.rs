//! What surrounds one attempt: its namespace, users, files and ports, and the variables that name them.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::OnceLock;

use mapstore_harness::{BlackHole, ClosedPort, Cluster, Error, Media, Reply, Scratch, Sections};
use serde_json::{Value, json};

use crate::expect::Remembered;
use crate::object::{Content, DEFAULT_MAP, Inspection, Outside, fill_in};
use crate::spec::Variables;
use crate::table::{Around, FileSpec, KubeconfigSpec, UserSpec};

/// What the default user of every case may do; everything unless set, once, by the driver.
pub static ROLE: OnceLock<Role> = OnceLock::new();

#[derive(Debug)]
pub struct Role {
    /// On ConfigMaps of the case's namespace.
    pub verbs: Vec<String>,
    /// Somebody else has made the map, empty, before a store is opened. What a case says of a missing one is then
    /// said of that.
    pub existing: bool,
}

pub struct World<'a> {
    cluster: &'a Cluster,
    /// Of who opens the stores, unless a case says otherwise.
    kubeconfig: PathBuf,
    namespace: String,
    namespaces: HashMap<String, String>,
    kubeconfigs: HashMap<String, String>,
    tokens: HashMap<String, String>,
    pub remembered: RefCell<Remembered>,
    scratch: Scratch,
    closed: OnceCell<ClosedPort>,
    hole: OnceCell<BlackHole>,
}

/// Why a step around the store did not do.
pub enum Trouble {
    /// This cluster can't do it.
    NotRunnable(String),
    Failed(String),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Trouble {
        match error {
            Error::NotRunnable(why) => Trouble::NotRunnable(why),
            Error::Failed(why) => Trouble::Failed(why),
        }
    }
}

impl From<String> for Trouble {
    fn from(why: String) -> Trouble {
        Trouble::Failed(why)
    }
}

impl<'a> World<'a> {
    pub fn new(cluster: &'a Cluster) -> Result<World<'a>, Trouble> {
        let namespace = cluster.fresh_namespace()?;
        let kubeconfig = match ROLE.get() {
            None => cluster.kubeconfig().to_owned(),
            Some(role) => {
                let rules = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": role.verbs}]);
                cluster.user("role", &namespace, &rules)?.kubeconfig
            }
        };
        Ok(World {
            cluster,
            kubeconfig,
            namespace,
            namespaces: HashMap::new(),
            kubeconfigs: HashMap::new(),
            tokens: HashMap::new(),
            remembered: RefCell::default(),
            scratch: Scratch::new("case")?,
            closed: OnceCell::new(),
            hole: OnceCell::new(),
        })
    }

    /// What no message may hold.
    pub fn secrets(&self) -> impl Iterator<Item = &String> {
        self.tokens.values()
    }

    /// Before a store is opened.
    pub fn prepare(&self) -> Result<(), String> {
        if existing() {
            let collection = format!("/api/v1/namespaces/{}/configmaps", self.namespace);
            let body = json!({"metadata": {"name": DEFAULT_MAP}});
            // There already, or refused because of what the case is about.
            self.cluster.client().post(&collection, &body).map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    pub fn perform(&mut self, step: &Around) -> Result<(), Trouble> {
        match step {
            Around::Outside(outside) => self.change(outside),
            Around::Server(inspection) => self.inspect(inspection),
            Around::User(user) => self.add_user(user),
            Around::Namespace(name) => {
                let fresh = self.cluster.fresh_namespace()?;
                self.namespaces.insert(name.clone(), fresh);
                Ok(())
            }
            Around::TerminateNamespace(_) => Ok(self.cluster.terminate_namespace(&self.namespace)?),
            Around::Quota(quota) => Ok(self.cluster.quota(&self.namespace, quota.configmaps)?),
            Around::ForbidKey(_) => Ok(self.cluster.forbid_key(&self.namespace)?),
            Around::Kubeconfig(spec) => self.write_kubeconfig(spec),
            Around::File(spec) => self.write_file(spec),
        }
    }

    fn add_user(&mut self, user: &UserSpec) -> Result<(), Trouble> {
        let rule = |rule: &crate::table::Rule| {
            let mut full = json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": rule.verbs});
            if let Some(names) = &rule.resource_names {
                full["resourceNames"] = json!(names);
            }
            full
        };
        let rules: Vec<Value> = user.rules.iter().map(rule).collect();
        let made = self.cluster.user(&user.name, &self.namespace, &json!(rules))?;
        let kubeconfig = made.kubeconfig.display().to_string();
        self.kubeconfigs.insert(user.name.clone(), kubeconfig);
        self.tokens.insert(user.name.clone(), made.token);
        Ok(())
    }

    fn write_kubeconfig(&mut self, spec: &KubeconfigSpec) -> Result<(), Trouble> {
        let base = match &spec.of {
            Some(user) => self.look_up(&format!("kubeconfig.{user}"))?.into(),
            None => self.cluster.kubeconfig().to_owned(),
        };
        let mut sections = Sections::read(&base)?;
        merge(&mut sections.cluster, &fill_in(&spec.cluster, self)?);
        merge(&mut sections.context, &fill_in(&spec.context, self)?);
        if let Some(user) = &spec.user {
            sections.user = fill_in(user, self)?;
        }
        let mut file = sections.to_kubeconfig();
        merge(&mut file, &fill_in(&spec.top, self)?);
        let path = self.scratch.write(&spec.name, file.to_string())?;
        self.kubeconfigs.insert(spec.name.clone(), path.display().to_string());
        Ok(())
    }

    fn write_file(&self, spec: &FileSpec) -> Result<(), Trouble> {
        let path = self.scratch.path().join(&spec.name);
        let done = match &spec.content {
            _ if spec.remove => fs::remove_file(&path),
            Some(content) => {
                let content = content.bytes(self)?;
                let mode = if spec.executable { 0o755 } else { 0o644 };
                fs::create_dir_all(path.parent().expect("below the scratch directory"))
                    .and_then(|()| fs::write(&path, content))
                    .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(mode)))
            }
            None => return Err(Trouble::Failed("the table: a file without content".to_owned())),
        };
        done.map_err(|e| Trouble::Failed(format!("{}: {e}", path.display())))
    }

    fn change(&mut self, outside: &Outside) -> Result<(), Trouble> {
        let path = self.path(outside.namespace.as_ref(), outside.map.as_ref())?;
        let reply = self.send(outside, &path)?;
        let as_expected = match outside.status {
            Some(status) => reply.status == status,
            None => reply.is_success(),
        };
        if !as_expected {
            let expected = outside.status.map_or("success".to_owned(), |status| status.to_string());
            return Err(Trouble::Failed(format!(
                "expected {expected}, the server said {}: {}",
                reply.status, reply.body["message"]
            )));
        }
        self.relate(&reply.body, outside.revision.as_ref(), outside.uid.as_ref())
    }

    fn send(&self, outside: &Outside, path: &str) -> Result<Reply, Trouble> {
        let client = self.cluster.client();
        let (collection, name) = path.rsplit_once('/').expect("a path has a name");
        let whole = |content: &Content| {
            let mut body = content.body(self)?;
            body["metadata"]["name"] = json!(name);
            Ok::<Value, Trouble>(body)
        };
        let reply = match (&outside.create, &outside.patch, &outside.replace, outside.delete) {
            (Some(content), None, None, None) => match client.post(collection, &whole(content)?) {
                Ok(reply) if reply.status == 409 && existing() => client.put(path, &whole(content)?),
                reply => reply,
            },
            (None, Some(content), None, None) => client.patch(path, Media::MergePatch, &content.body(self)?),
            (None, None, Some(content), None) => client.put(path, &whole(content)?),
            (None, None, None, Some(true)) => client.delete(path),
            _ => {
                return Err(Trouble::Failed(
                    "the table: not one of create, patch, replace, delete".to_owned(),
                ));
            }
        };
        Ok(reply?)
    }

    fn inspect(&mut self, inspection: &Inspection) -> Result<(), Trouble> {
        let path = self.path(inspection.namespace.as_ref(), inspection.map.as_ref())?;
        let reply = self.cluster.client().get(&path)?;
        if inspection.absent == Some(true) {
            let empty = |field: &str| reply.body[field].as_object().is_none_or(|map| map.is_empty());
            return match reply.status {
                404 => Ok(()),
                200 if existing() && empty("data") && empty("binaryData") => Ok(()),
                status => Err(Trouble::Failed(format!("the map should be absent, the server says {status}"))),
            };
        }
        let object = reply.success("get the map")?;
        inspection.compare(&object, self)?;
        self.relate(&object, inspection.revision.as_ref(), inspection.uid.as_ref())
    }

    fn relate(&self, object: &Value, revision: Option<&String>, uid: Option<&String>) -> Result<(), Trouble> {
        let mut remembered = self.remembered.borrow_mut();
        let metadata = &object["metadata"];
        for (relations, field) in [(revision, "resourceVersion"), (uid, "uid")] {
            if let Some(relations) = relations {
                remembered.relate(relations, metadata[field].as_str().unwrap_or_default())?;
            }
        }
        Ok(())
    }

    fn path(&self, namespace: Option<&String>, map: Option<&String>) -> Result<String, Trouble> {
        let namespace = match namespace {
            Some(namespace) => crate::spec::substitute(namespace, self)?,
            None => self.namespace.clone(),
        };
        let map = map.map_or(DEFAULT_MAP, String::as_str);
        Ok(format!("/api/v1/namespaces/{namespace}/configmaps/{map}"))
    }

    fn port_url(&self, kind: &str) -> Result<String, String> {
        let address = match kind {
            "closed" => self.start(&self.closed, ClosedPort::reserve)?.address(),
            "blackhole" => self.start(&self.hole, BlackHole::start)?.address(),
            _ => return Err(format!("no port {kind}")),
        };
        Ok(address.to_string())
    }

    fn start<'b, P>(
        &self,
        cell: &'b OnceCell<P>,
        start: impl FnOnce() -> mapstore_harness::Result<P>,
    ) -> Result<&'b P, String> {
        if cell.get().is_none() {
            let _ = cell.set(start().map_err(|e| e.to_string())?);
        }
        Ok(cell.get().expect("just set"))
    }
}

impl Variables for World<'_> {
    fn look_up(&self, name: &str) -> Result<String, String> {
        let (kind, which) = name.split_once('.').unwrap_or((name, ""));
        let found = match (kind, which) {
            ("namespace", "") => Some(self.namespace.clone()),
            ("namespace", which) => self.namespaces.get(which).cloned(),
            ("kubeconfig", "") => Some(self.kubeconfig.display().to_string()),
            ("kubeconfig", which) => self.kubeconfigs.get(which).cloned(),
            ("token", which) => self.tokens.get(which).cloned(),
            ("dir", "") => Some(self.scratch.path().display().to_string()),
            ("file", which) => Some(self.scratch.path().join(which).display().to_string()),
            ("address", which) => Some(self.port_url(which)?),
            ("remembered", which) => self.remembered.borrow().get(which).cloned(),
            _ => None,
        };
        found.ok_or_else(|| format!("the table: no variable {name}"))
    }
}

fn existing() -> bool {
    ROLE.get().is_some_and(|role| role.existing)
}

/// As a JSON merge patch: null removes.
fn merge(target: &mut Value, changes: &Value) {
    let Value::Object(changes) = changes else {
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, change) in changes {
        match change {
            Value::Null => drop(target.as_object_mut().and_then(|target| target.remove(name))),
            change => target[name] = change.clone(),
        }
    }
}
