//! Where the cluster, the credentials and the namespace come from.
//!
//! Everything is read here, once, when a store is opened; afterwards only the
//! files named by the configuration (tokens, certificates) are read again.
//! `kube::Config::infer` is not used: it prefers the kubeconfig in a pod and
//! reads debug variables.

use std::collections::HashMap;
use std::ffi::OsString;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use hyper_util::client::proxy::matcher::Matcher;
use kube::config::{Cluster as ClusterEntry, Config, KubeConfigOptions, Kubeconfig, KubeconfigError};
use secrecy::ExposeSecret;

use self::child::Signals;
use self::exec::Plugin;
use self::roots::SystemRoots;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{check_namespace, quoted};

pub(crate) mod child;
pub(crate) mod exec;
pub(crate) mod file;
pub(crate) mod pem;
pub(crate) mod roots;

const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

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
}

impl Cluster {
    /// Equal for two clusters if every request would go to the same server, in
    /// the same way, as the same user. Holds secrets: never for a message.
    pub fn identity(&self) -> String {
        let (kube, info) = (&self.kube, &self.kube.auth_info);
        let server = (&kube.cluster_url, &kube.proxy_url, &kube.tls_server_name, kube.accept_invalid_certs);
        let trust = (&kube.root_cert, &kube.root_cert_file);
        let key = info.client_key_data.as_ref().map(ExposeSecret::expose_secret);
        let certificate = (&info.client_certificate, &info.client_certificate_data, &info.client_key, key);
        let whom = (&info.impersonate, &info.impersonate_uid, &info.impersonate_groups);
        let roots = &self.system_roots;
        format!("{server:?} {trust:?} {roots:?} {certificate:?} {whom:?} {}", self.auth.identity())
    }
}

impl Auth {
    fn identity(&self) -> String {
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

/// What the process' environment says, captured on the thread that opens: a
/// host may call setenv later.
pub(crate) struct Environment {
    vars: HashMap<OsString, OsString>,
    home: Option<PathBuf>,
    service_account: PathBuf,
    /// What a credential plugin gets to see.
    signals: Signals,
}

impl Environment {
    pub fn capture() -> Self {
        Environment {
            vars: std::env::vars_os().collect(),
            home: std::env::home_dir(),
            service_account: PathBuf::from(SERVICE_ACCOUNT),
            signals: Signals::capture(),
        }
    }

    fn system_roots(&self) -> SystemRoots {
        SystemRoots::named_by(|name| self.var(name).cloned())
    }

    pub fn vars(&self) -> &HashMap<OsString, OsString> {
        &self.vars
    }

    /// A variable that is set and not empty.
    fn var(&self, name: &str) -> Option<&OsString> {
        self.vars.get(std::ffi::OsStr::new(name)).filter(|value| !value.is_empty())
    }

    fn text(&self, name: &str) -> Result<Option<&str>> {
        let Some(value) = self.var(name) else { return Ok(None) };
        match value.to_str() {
            Some(text) => Ok(Some(text)),
            None => Err(Error::config(name, "the variable is not valid UTF-8")),
        }
    }
}

/// Where the cluster is described.
#[derive(Debug, PartialEq)]
enum Source {
    Kubeconfig { files: Vec<PathBuf>, origin: String },
    InCluster { host: String, port: String },
}

/// The cluster and the namespace a store is to use. `over` ends a wait for a
/// file that is a pipe.
pub(crate) fn load(given: &Given, env: &Environment, over: &dyn Fn() -> bool) -> Result<(Cluster, String)> {
    let (cluster, from_context) = match locate(given, env)? {
        Source::Kubeconfig { files, origin } => load_kubeconfig(&files, &origin, given, env, over)?,
        Source::InCluster { host, port } => (load_in_cluster(&host, &port, env)?, None),
    };
    let namespace = choose_namespace(given, env, from_context)?;
    Ok((cluster, namespace))
}

fn locate(given: &Given, env: &Environment) -> Result<Source> {
    let one = |path: PathBuf, origin: String| Source::Kubeconfig { files: vec![path], origin };
    if let Some(path) = &given.kubeconfig {
        return Ok(one(path.clone(), format!("kubeconfig {path:?}")));
    }
    if let Some(path) = env.var("MAPSTORE_CLUSTER_CONFIG_PATH") {
        return Ok(one(path.into(), format!("MAPSTORE_CLUSTER_CONFIG_PATH={path:?}")));
    }
    if let Some(list) = env.var("KUBECONFIG").filter(|_| !given.strict) {
        let files: Vec<_> = std::env::split_paths(list).filter(|path| !path.as_os_str().is_empty()).collect();
        if !files.is_empty() {
            return Ok(Source::Kubeconfig { files, origin: format!("KUBECONFIG={list:?}") });
        }
    }
    let host = env.text("KUBERNETES_SERVICE_HOST")?;
    let port = env.text("KUBERNETES_SERVICE_PORT")?;
    if let (Some(host), Some(port)) = (host, port) {
        return Ok(Source::InCluster { host: host.into(), port: port.into() });
    }
    if given.strict {
        return Err(Error::config(
            "cluster",
            "no cluster is configured; tried, in this order: the option kubeconfig (not given), \
             MAPSTORE_CLUSTER_CONFIG_PATH (not set), the service account of a pod (KUBERNETES_SERVICE_HOST and \
             _PORT are not set); KUBECONFIG and ~/.kube/config are not asked (option strict_lookup)",
        ));
    }
    let home_config = env.home.as_ref().map(|home| home.join(".kube/config"));
    if let Some(path) = home_config.as_ref().filter(|path| path.exists()) {
        return Ok(one(path.clone(), format!("kubeconfig {path:?}")));
    }
    let home_tried = match home_config {
        Some(path) => format!("{path:?} (no such file)"),
        None => "~/.kube/config (no home directory)".into(),
    };
    Err(Error::config(
        "cluster",
        format!(
            "no cluster is configured; tried, in this order: the option kubeconfig (not given), \
             MAPSTORE_CLUSTER_CONFIG_PATH (not set), KUBECONFIG (not set), the service account of a pod \
             (KUBERNETES_SERVICE_HOST and _PORT are not set), {home_tried}"
        ),
    ))
}

fn load_kubeconfig(
    files: &[PathBuf],
    origin: &str,
    given: &Given,
    env: &Environment,
    over: &dyn Fn() -> bool,
) -> Result<(Cluster, Option<String>)> {
    let kubeconfig = read_kubeconfigs(files, origin, over)?;
    let context_name = given.context.clone().or_else(|| kubeconfig.current_context.clone());
    check_user(&kubeconfig, context_name.as_deref(), origin)?;
    let cluster_entry = cluster_of(&kubeconfig, context_name.as_deref());
    let context_namespace = namespace_of(&kubeconfig, context_name.as_deref());

    let select = KubeConfigOptions { context: given.context.clone(), ..Default::default() };
    let mut kube = ready(Config::from_custom_kubeconfig(kubeconfig, &select))
        .ok_or_else(|| Error::new(ErrorKind::Internal, origin, "kube's configuration loader did not finish"))?
        .map_err(|error| kubeconfig_error(origin, error))?;
    check_server(&kube, origin)?;
    kube.proxy_url = proxy(&kube, cluster_entry.as_ref(), env)?;
    // Read again by kube when it connects, so that a rotated authority is found.
    kube.root_cert_file = cluster_entry
        .filter(|cluster| cluster.certificate_authority_data.is_none())
        .and_then(|cluster| cluster.certificate_authority.map(PathBuf::from));
    let auth = take_auth(&mut kube, origin, env)?;
    let system_roots = env.system_roots();
    let cluster = Cluster { kube: without_kube_policies(kube), auth, system_roots, origin: origin.into() };
    Ok((cluster, context_namespace))
}

/// Several files (KUBECONFIG) are merged; missing ones are passed over as long
/// as one exists, as kubectl does.
fn read_kubeconfigs(files: &[PathBuf], origin: &str, over: &dyn Fn() -> bool) -> Result<Kubeconfig> {
    let existing: Vec<_> = match files {
        [only] => vec![only],
        several => several.iter().filter(|path| path.exists()).collect(),
    };
    if existing.is_empty() {
        return Err(Error::config(origin, "none of these files exists"));
    }
    existing.iter().try_fold(Kubeconfig::default(), |merged, path| {
        let next = if file::leads_to_pipe(path) {
            Kubeconfig::from_yaml(&file::read(path, &format!("kubeconfig {path:?}"), over)?)
        } else {
            Kubeconfig::read_from(path)
        };
        next.and_then(|next| merged.merge(next)).map_err(|error| kubeconfig_error(origin, error))
    })
}

/// Kube's text, but for a YAML error: that one quotes the file, secrets included.
fn kubeconfig_error(origin: &str, error: KubeconfigError) -> Error {
    let message = match &error {
        KubeconfigError::ReadConfig(cause, path) => format!("can't read {path:?}: {cause}"),
        KubeconfigError::Parse(cause) => match cause.location() {
            Some(place) => {
                format!("it is not a valid kubeconfig: see line {}, column {}", place.line(), place.column())
            }
            None => "it is not a valid kubeconfig".into(),
        },
        KubeconfigError::CurrentContextNotSet => {
            "it names no current-context; set one or give the option context".into()
        }
        KubeconfigError::LoadContext(name) => {
            format!("it has no context {}; see `kubectl config get-contexts`", quoted(name))
        }
        KubeconfigError::LoadClusterOfContext(name) => {
            format!("its context names the cluster {}, which it doesn't have", quoted(name))
        }
        KubeconfigError::ParseProxyUrl(_) => {
            "the cluster's proxy-url, or HTTPS_PROXY (https_proxy) in the environment, is not an address"
                .into()
        }
        other => other.to_string(),
    };
    Error::config(origin, message)
}

fn context_of<'a>(kubeconfig: &'a Kubeconfig, name: Option<&str>) -> Option<&'a kube::config::Context> {
    let named = kubeconfig.contexts.iter().find(|context| Some(context.name.as_str()) == name)?;
    named.context.as_ref()
}

fn cluster_of(kubeconfig: &Kubeconfig, context: Option<&str>) -> Option<ClusterEntry> {
    let name = &context_of(kubeconfig, context)?.cluster;
    kubeconfig.clusters.iter().find(|cluster| &cluster.name == name)?.cluster.clone()
}

/// kube goes on as nobody if there is no such user; kubectl refuses.
fn check_user(kubeconfig: &Kubeconfig, context: Option<&str>, origin: &str) -> Result<()> {
    let user =
        context_of(kubeconfig, context).and_then(|context| context.user.as_deref()).unwrap_or_default();
    if user.is_empty() || kubeconfig.auth_infos.iter().any(|named| named.name == user) {
        return Ok(());
    }
    Err(Error::config(origin, format!("its context names the user {}, which it doesn't have", quoted(user))))
}

fn namespace_of(kubeconfig: &Kubeconfig, context: Option<&str>) -> Option<String> {
    context_of(kubeconfig, context)?.namespace.clone().filter(|namespace| !namespace.is_empty())
}

fn check_server(kube: &Config, origin: &str) -> Result<()> {
    let url = &kube.cluster_url;
    if url.host().is_some() && matches!(url.scheme_str(), Some("http" | "https")) {
        return Ok(());
    }
    Err(Error::config(origin, format!("the server {:?} is not an http or https address", url.to_string())))
}

/// Which proxy to use. kube matches NO_PROXY against the proxy's own address,
/// so it is done here. As Go does, never for this machine.
fn proxy(kube: &Config, cluster: Option<&ClusterEntry>, env: &Environment) -> Result<Option<http::Uri>> {
    let own = cluster.and_then(|cluster| cluster.proxy_url.as_deref()).filter(|url| !url.is_empty());
    if let Some(own) = own {
        return parse_proxy("proxy-url", own).map(Some);
    }
    let https = kube.cluster_url.scheme_str() == Some("https");
    let Some((name, proxy)) = first_set(env, ["HTTPS_PROXY", "https_proxy"])?.filter(|_| https) else {
        return Ok(None);
    };
    if is_loopback(kube.cluster_url.host().unwrap_or_default()) {
        return Ok(None);
    }
    let exceptions = first_set(env, ["NO_PROXY", "no_proxy"])?.map_or("", |(_, list)| list);
    let matcher = Matcher::builder().https(proxy).no(exceptions).build();
    match matcher.intercept(&kube.cluster_url) {
        Some(_) => parse_proxy(name, proxy).map(Some),
        None => Ok(None),
    }
}

fn first_set<'a>(env: &'a Environment, names: [&'static str; 2]) -> Result<Option<(&'static str, &'a str)>> {
    for name in names {
        if let Some(value) = env.text(name)? {
            return Ok(Some((name, value)));
        }
    }
    Ok(None)
}

fn parse_proxy(name: &str, text: &str) -> Result<http::Uri> {
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    with_scheme
        .parse::<http::Uri>()
        .ok()
        .filter(|uri| uri.host().is_some())
        .filter(|uri| matches!(uri.scheme_str(), Some("http" | "https" | "socks5" | "socks5h")))
        .ok_or_else(|| Error::config(name, "the proxy is not an http, https or socks5 address"))
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Takes every credential but a client certificate out of kube's hands.
fn take_auth(kube: &mut Config, origin: &str, env: &Environment) -> Result<Auth> {
    let info = &mut kube.auth_info;
    if let Some(provider) = info.auth_provider.take() {
        return Err(Error::config(
            origin,
            format!(
                "the auth-provider {} is no longer supported; use a credential plugin (exec)",
                provider.name
            ),
        ));
    }
    let token = info.token.take().map(|token| token.expose_secret().trim().to_owned());
    let password = info.password.take().map(|password| password.expose_secret().to_owned());
    let user = info.username.take();
    let token_file = info.token_file.take();
    let exec = info.exec.take();
    if let Some(exec) = exec {
        return Ok(Auth::Exec(Box::new(Plugin::new(exec, env.vars().clone(), env.signals, origin)?)));
    }
    if let Some(file) = token_file.filter(|file| !file.is_empty()) {
        return Ok(Auth::TokenFile(file.into()));
    }
    if let Some(token) = token.filter(|token| !token.is_empty()) {
        return Ok(Auth::Token(token));
    }
    Ok(match (user, password) {
        (Some(user), Some(password)) => Auth::Basic { user, password },
        _ => Auth::None,
    })
}

fn load_in_cluster(host: &str, port: &str, env: &Environment) -> Result<Cluster> {
    let origin = "service account of this pod";
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let url = format!("https://{host}:{port}")
        .parse::<http::Uri>()
        .map_err(|_| Error::config("KUBERNETES_SERVICE_HOST", "host and port don't make an address"))?;
    let authority = env.service_account.join("ca.crt");
    let token = env.service_account.join("token");
    for file in [&authority, &token] {
        std::fs::File::open(file).map_err(|error| {
            Error::config(origin, format!("can't read {file:?}: {error}; is a service account mounted?"))
        })?;
    }
    let mut kube = Config::new(url);
    kube.proxy_url = proxy(&kube, None, env)?;
    kube.root_cert = Some(Vec::new());
    kube.root_cert_file = Some(authority);
    Ok(Cluster {
        kube: without_kube_policies(kube),
        auth: Auth::TokenFile(token),
        system_roots: env.system_roots(),
        origin: origin.into(),
    })
}

/// kube sends every verb again on 429, 503 and 504, so that a write may be
/// applied twice: what is tried again is the writer's business.
fn without_kube_policies(mut kube: Config) -> Config {
    kube.default_retry = false;
    kube.read_timeout = None;
    kube.write_timeout = None;
    kube
}

fn choose_namespace(given: &Given, env: &Environment, from_context: Option<String>) -> Result<String> {
    if let Some(namespace) = &given.namespace {
        check_namespace(namespace)?;
        return Ok(namespace.clone());
    }
    if let Some(namespace) = env.text("NAMESPACE")?.map(str::trim).filter(|text| !text.is_empty()) {
        return checked("NAMESPACE", namespace);
    }
    if let Some(namespace) = from_context.filter(|_| !given.strict) {
        return checked("the kubeconfig's context", &namespace);
    }
    let file = env.service_account.join("namespace");
    match std::fs::read_to_string(&file) {
        Ok(text) if !text.trim().is_empty() => checked(&format!("{file:?}"), text.trim()),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::config(format!("{file:?}"), format!("can't read the namespace: {error}")))
        }
        _ if given.strict => Err(Error::config(
            "namespace",
            format!(
                "no namespace is configured; tried, in this order: the option namespace (not given), NAMESPACE (not \
                 set, or blank), {file:?} (missing or empty); a context's and \"default\" are not taken (option \
                 strict_lookup)"
            ),
        )),
        _ => Ok("default".into()),
    }
}

fn checked(source: &str, namespace: &str) -> Result<String> {
    check_namespace(namespace).map_err(|error| Error::config(source, error.to_string()))?;
    Ok(namespace.to_owned())
}

/// kube's loader is async in name only.
fn ready<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// A token as it stands in a file: kube doesn't trim, and a newline breaks the header.
pub(crate) fn read_token(path: &Path, over: impl Fn() -> bool) -> Result<String> {
    let subject = format!("token file {path:?}");
    match file::read(path, &subject, over)?.trim() {
        "" => Err(Error::config(subject, "it is empty")),
        token => Ok(token.to_owned()),
    }
}

#[cfg(test)]
mod tests;
