//! A kubeconfig as kubectl reads it: several files merged, each typed as
//! client-go's `tools/clientcmd/api/v1` is. What a chosen context means for a
//! connection is [`super::cluster`]'s business. Pure, but for the path of the
//! current folder. No error quotes the file: it holds secrets.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde_json::{Map, Value};

use super::yaml;

/// What is wrong with a file.
pub(super) type Result<T> = std::result::Result<T, String>;

#[derive(Debug, Default)]
pub(super) struct Kubeconfig {
    pub current_context: String,
    pub contexts: BTreeMap<String, Context>,
    pub clusters: BTreeMap<String, Cluster>,
    pub users: BTreeMap<String, User>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Context {
    pub cluster: String,
    pub user: String,
    pub namespace: String,
}

/// Empty text and empty bytes stand for what isn't set.
#[derive(Clone, Debug, Default)]
pub(super) struct Cluster {
    pub server: String,
    pub tls_server_name: String,
    pub insecure: bool,
    pub authority_file: String,
    pub authority_data: Vec<u8>,
    pub proxy_url: String,
    /// What the cluster has for credential plugins.
    pub for_plugins: Option<Value>,
    /// All of the entry, unknown fields too, its paths absolute.
    pub whole: Value,
}

#[derive(Clone, Debug, Default)]
pub(super) struct User {
    pub certificate_file: String,
    pub certificate_data: Vec<u8>,
    pub key_file: String,
    pub key_data: Vec<u8>,
    pub token: String,
    pub token_file: String,
    pub acts_as: String,
    pub acts_as_uid: String,
    pub acts_as_groups: Vec<String>,
    pub acts_as_extra: BTreeMap<String, Vec<String>>,
    pub username: String,
    pub password: String,
    /// The name of its auth-provider.
    pub auth_provider: Option<String>,
    pub exec: Option<Exec>,
    /// All of the entry, unknown fields too, its paths absolute.
    pub whole: Value,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Exec {
    pub command: String,
    pub args: Vec<String>,
    pub env: Vec<(String, String)>,
    pub api_version: String,
    pub install_hint: String,
    pub provide_cluster_info: bool,
    pub interactive_mode: String,
}

impl User {
    pub fn has_certificate(&self) -> bool {
        !self.certificate_file.is_empty() || !self.certificate_data.is_empty()
    }
}

impl Kubeconfig {
    /// One file; `folder` is where it lies, absolute.
    pub fn parse(bytes: &[u8], folder: &Path) -> Result<Self> {
        let top = yaml::to_json(bytes)?;
        let top = Reader::new(&top, String::new())?;
        check_version(&top.text("apiVersion")?, &top.text("kind")?)?;
        let preferences = top.object("preferences")?;
        preferences.flag("colors")?;
        preferences.extensions()?;
        top.extensions()?;
        let mut kubeconfig =
            Kubeconfig { current_context: top.text("current-context")?, ..Kubeconfig::default() };
        top.named("contexts", "context", &mut kubeconfig.contexts, |entry| {
            entry.extensions()?;
            Ok(Context {
                cluster: entry.text("cluster")?,
                user: entry.text("user")?,
                namespace: entry.text("namespace")?,
            })
        })?;
        top.named("clusters", "cluster", &mut kubeconfig.clusters, |entry| cluster(entry, folder))?;
        top.named("users", "user", &mut kubeconfig.users, |entry| user(entry, folder))?;
        Ok(kubeconfig)
    }

    /// What is set already stays, entry by entry. Go: `ClientConfigLoadingRules.Load`.
    pub fn merge(&mut self, next: Kubeconfig) {
        if self.current_context.is_empty() {
            self.current_context = next.current_context;
        }
        fn add<T>(to: &mut BTreeMap<String, T>, more: BTreeMap<String, T>) {
            for (name, entry) in more {
                to.entry(name).or_insert(entry);
            }
        }
        add(&mut self.contexts, next.contexts);
        add(&mut self.clusters, next.clusters);
        add(&mut self.users, next.users);
    }
}

/// Go: the decoder takes nothing but kind Config of version v1, which is also what nothing stands for.
fn check_version(api_version: &str, kind: &str) -> Result<()> {
    if matches!(api_version, "" | "/" | "v1" | "/v1") && matches!(kind, "" | "Config") {
        return Ok(());
    }
    Err(format!("it is of kind {kind:?} in version {api_version:?}; a kubeconfig is a Config of v1"))
}

fn cluster(entry: &Reader<'_>, folder: &Path) -> Result<Cluster> {
    let authority_file = absolute(&entry.text("certificate-authority")?, folder);
    entry.flag("disable-compression")?;
    Ok(Cluster {
        server: entry.text("server")?,
        tls_server_name: entry.text("tls-server-name")?,
        insecure: entry.flag("insecure-skip-tls-verify")?,
        authority_data: entry.bytes("certificate-authority-data")?,
        proxy_url: entry.text("proxy-url")?,
        for_plugins: entry.extensions()?.remove("client.authentication.k8s.io/exec"),
        whole: entry.with(&[("certificate-authority", &authority_file)]),
        authority_file,
    })
}

fn user(entry: &Reader<'_>, folder: &Path) -> Result<User> {
    let path = |name| entry.text(name).map(|path| absolute(&path, folder));
    let (certificate_file, key_file) = (path("client-certificate")?, path("client-key")?);
    let token_file = path("tokenFile")?;
    let exec = entry.optional("exec")?.map(|exec| plugin(&exec, folder)).transpose()?;
    let auth_provider = match entry.optional("auth-provider")? {
        Some(provider) => {
            provider.texts_by_name("config")?;
            Some(provider.text("name")?)
        }
        None => None,
    };
    entry.extensions()?;
    // A plugin's command too depends on the folder.
    let command = exec.as_ref().map_or("", |exec| &exec.command).to_owned();
    Ok(User {
        certificate_data: entry.bytes("client-certificate-data")?,
        key_data: entry.bytes("client-key-data")?,
        token: entry.text("token")?,
        acts_as: entry.text("as")?,
        acts_as_uid: entry.text("as-uid")?,
        acts_as_groups: entry.texts("as-groups")?,
        acts_as_extra: entry.lists_by_name("as-user-extra")?,
        username: entry.text("username")?,
        password: entry.text("password")?,
        auth_provider,
        exec,
        whole: entry.with(&[
            ("client-certificate", &certificate_file),
            ("client-key", &key_file),
            ("tokenFile", &token_file),
            ("exec command", &command),
        ]),
        certificate_file,
        key_file,
        token_file,
    })
}

fn plugin(entry: &Reader<'_>, folder: &Path) -> Result<Exec> {
    let command = entry.text("command")?;
    // A bare name is looked for in PATH.
    let command = if command.contains('/') { absolute(&command, folder) } else { command };
    let mut env = Vec::new();
    for variable in entry.list("env")? {
        env.push((variable.text("name")?, variable.text("value")?));
    }
    let api_version = entry.text("apiVersion")?;
    let mut interactive_mode = entry.text("interactiveMode")?;
    // Go: SetDefaults_ExecConfig.
    if interactive_mode.is_empty() && api_version.starts_with("client.authentication.k8s.io/v1beta1") {
        interactive_mode = "IfAvailable".into();
    }
    Ok(Exec {
        command,
        args: entry.texts("args")?,
        env,
        api_version,
        install_hint: entry.text("installHint")?,
        provide_cluster_info: entry.flag("provideClusterInfo")?,
        interactive_mode,
    })
}

/// Go: `ResolvePaths`; `filepath.Join` takes `..` away without looking at links.
fn absolute(path: &str, folder: &Path) -> String {
    if path.is_empty() || path.starts_with('/') {
        return path.to_owned();
    }
    let mut clean = PathBuf::new();
    for part in folder.join(path).components() {
        match part {
            Component::ParentDir => drop(clean.pop()),
            Component::CurDir => {}
            part => clean.push(part),
        }
    }
    clean.to_string_lossy().into_owned()
}

/// One object of the file, and where it stands, for messages. Null and missing are the same.
struct Reader<'a> {
    fields: Option<&'a Map<String, Value>>,
    place: String,
}

impl<'a> Reader<'a> {
    fn new(value: &'a Value, place: String) -> Result<Self> {
        match value {
            Value::Object(fields) => Ok(Reader { fields: Some(fields), place }),
            Value::Null => Ok(Reader { fields: None, place }),
            other => Err(mismatch(if place.is_empty() { "it" } else { &place }, "a mapping", other)),
        }
    }

    fn value(&self, name: &str) -> &'a Value {
        self.fields.and_then(|fields| fields.get(name)).unwrap_or(&Value::Null)
    }

    fn place(&self, name: &str) -> String {
        if self.place.is_empty() { name.to_owned() } else { format!("{}.{name}", self.place) }
    }

    fn text(&self, name: &str) -> Result<String> {
        text(self.value(name), &self.place(name))
    }

    fn flag(&self, name: &str) -> Result<bool> {
        match self.value(name) {
            Value::Bool(flag) => Ok(*flag),
            Value::Null => Ok(false),
            other => Err(mismatch(&self.place(name), "true or false", other)),
        }
    }

    fn bytes(&self, name: &str) -> Result<Vec<u8>> {
        let text = self.text(name)?;
        yaml::go_base64(&text).ok_or_else(|| format!("{} is not base64", self.place(name)))
    }

    fn texts(&self, name: &str) -> Result<Vec<String>> {
        texts(self.value(name), &self.place(name))
    }

    fn list(&self, name: &str) -> Result<Vec<Reader<'a>>> {
        let place = self.place(name);
        let items = items(self.value(name), &place)?.iter().enumerate();
        items.map(|(at, item)| Reader::new(item, format!("{place}[{at}]"))).collect()
    }

    fn object(&self, name: &str) -> Result<Reader<'a>> {
        Reader::new(self.value(name), self.place(name))
    }

    fn optional(&self, name: &str) -> Result<Option<Reader<'a>>> {
        match self.value(name) {
            Value::Null => Ok(None),
            _ => self.object(name).map(Some),
        }
    }

    fn texts_by_name(&self, name: &str) -> Result<BTreeMap<String, String>> {
        let object = self.object(name)?;
        let names = object.fields.into_iter().flat_map(Map::keys);
        names.map(|name| Ok((name.clone(), object.text(name)?))).collect()
    }

    fn lists_by_name(&self, name: &str) -> Result<BTreeMap<String, Vec<String>>> {
        let object = self.object(name)?;
        let names = object.fields.into_iter().flat_map(Map::keys);
        names.map(|name| Ok((name.clone(), object.texts(name)?))).collect()
    }

    fn extensions(&self) -> Result<BTreeMap<String, Value>> {
        let mut found = BTreeMap::new();
        for extension in self.list("extensions")? {
            let name = extension.text("name")?;
            if found.insert(name, extension.value("extension").clone()).is_some() {
                return Err(format!("{}.name: the name was there before", extension.place));
            }
        }
        Ok(found)
    }

    /// Go: `Convert_Slice_v1_Named…`. A name that comes twice spoils the file.
    fn named<T>(
        &self,
        list: &str,
        field: &str,
        found: &mut BTreeMap<String, T>,
        read: impl Fn(&Reader<'a>) -> Result<T>,
    ) -> Result<()> {
        for item in self.list(list)? {
            let name = item.text("name")?;
            let entry = read(&item.object(field)?)?;
            if found.insert(name, entry).is_some() {
                return Err(format!(
                    "{}.name: the name was there before; each may come once in a file",
                    item.place
                ));
            }
        }
        Ok(())
    }

    /// The object with these texts in place of its own.
    fn with(&self, replaced: &[(&str, &String)]) -> Value {
        let mut fields = self.fields.cloned().unwrap_or_default();
        for (name, text) in replaced.iter().filter(|(_, text)| !text.is_empty()) {
            fields.insert((*name).to_owned(), (*text).as_str().into());
        }
        fields.into()
    }
}

fn text(value: &Value, place: &str) -> Result<String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Null => Ok(String::new()),
        other => Err(mismatch(place, "text", other)),
    }
}

fn texts(value: &Value, place: &str) -> Result<Vec<String>> {
    let items = items(value, place)?.iter().enumerate();
    items.map(|(at, item)| text(item, &format!("{place}[{at}]"))).collect()
}

fn items<'a>(value: &'a Value, place: &str) -> Result<&'a [Value]> {
    match value {
        Value::Array(items) => Ok(items),
        Value::Null => Ok(&[]),
        other => Err(mismatch(place, "a list", other)),
    }
}

fn mismatch(place: &str, wanted: &str, found: &Value) -> String {
    let found = match found {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false (as YAML 1.1 reads also yes, no, on, off, y and n); quote it",
        Value::Number(_) => "a number; quote it",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    };
    let found = if wanted == "text" { found } else { found.trim_end_matches("; quote it") };
    format!("{place} has to be {wanted} and is {found}")
}
