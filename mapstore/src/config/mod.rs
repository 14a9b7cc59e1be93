//! Where the cluster, the credentials and the namespace come from.
//!
//! Everything is read here, once, when a store is opened; afterwards only the
//! files named by the configuration (tokens, certificates) are read again.
//! `kube::Config::infer` is not used: it prefers the kubeconfig in a pod and
//! reads debug variables.

use std::path::{Path, PathBuf};

use kube::config::Config;

use self::address::Address;
use self::cluster::Choice;
use self::kubeconfig::Kubeconfig;
use crate::error::{Error, Result};

mod address;
pub(crate) mod child;
mod cluster;
mod environment;
pub(crate) mod exec;
pub(crate) mod file;
mod guard;
mod kubeconfig;
mod namespace;
pub(crate) mod pem;
mod proxy;
pub(crate) mod roots;
mod target;
mod yaml;

pub(crate) use self::environment::Environment;
use self::target::without_kube_policies;
pub(crate) use self::target::{Auth, Cluster, Given, read_token};

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
        Source::Kubeconfig { files, origin } => {
            let kubeconfig = read_kubeconfigs(&files, &origin, over)?;
            let choice = Choice::of(&kubeconfig, given.context.as_deref(), &origin)?;
            let namespace = choice.namespace.clone();
            (choice.connect(&origin, env, over)?, namespace)
        }
        Source::InCluster { host, port } => (load_in_cluster(&host, &port, env)?, None),
    };
    let namespace = namespace::choose(given, env, from_context, over)?;
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
        return Err(not_configured("KUBECONFIG and ~/.kube/config are not asked (option strict_lookup)", ""));
    }
    let home_config = env.home.as_ref().map(|home| home.join(".kube/config"));
    if let Some(path) = home_config.as_ref().filter(|path| path.exists()) {
        return Ok(one(path.clone(), format!("kubeconfig {path:?}")));
    }
    let home_tried = match home_config {
        Some(path) => format!("{path:?} (no such file)"),
        None => "~/.kube/config (no home directory)".into(),
    };
    Err(not_configured(&home_tried, "KUBECONFIG (not set), "))
}

/// `kubeconfig`: what is said of that variable, in its place; `last`: of what comes after all.
fn not_configured(last: &str, kubeconfig: &str) -> Error {
    let what = format!(
        "no cluster is configured; tried, in this order: the option kubeconfig (not given), \
         MAPSTORE_CLUSTER_CONFIG_PATH (not set), {kubeconfig}the service account of a pod (KUBERNETES_SERVICE_HOST \
         and _PORT are not set), {last}"
    );
    Error::config("cluster", what)
}

/// Several files (KUBECONFIG) are merged; missing ones are passed over as long
/// as one exists, as kubectl does.
fn read_kubeconfigs(files: &[PathBuf], origin: &str, over: &dyn Fn() -> bool) -> Result<Kubeconfig> {
    let mut merged = Kubeconfig::default();
    let mut found = false;
    for path in files {
        let subject = match files {
            [_] => origin.to_owned(),
            _ => format!("kubeconfig {path:?} of {origin}"),
        };
        let wrong = |message: String| Error::config(&subject, message);
        let bytes = match file::read_bytes_if_there(path, &subject, over)? {
            Some(bytes) => bytes,
            None if files.len() == 1 => {
                return Err(wrong(format!("can't read {path:?}: there is no such file")));
            }
            None => continue,
        };
        let absolute =
            std::path::absolute(path).map_err(|error| wrong(format!("can't tell its folder: {error}")))?;
        let folder = absolute.parent().unwrap_or(Path::new("/"));
        merged.merge(Kubeconfig::parse(&bytes, folder).map_err(wrong)?);
        found = true;
    }
    if found { Ok(merged) } else { Err(Error::config(origin, "none of these files exists")) }
}

fn load_in_cluster(host: &str, port: &str, env: &Environment) -> Result<Cluster> {
    let origin = "service account of this pod";
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let host = if bare.contains(':') { format!("[{bare}]") } else { bare.to_owned() };
    let server = Address::parse(&format!("https://{host}:{port}")).unwrap_or_default();
    let url = server.to_uri().ok_or_else(|| {
        Error::config("KUBERNETES_SERVICE_HOST", "it and KUBERNETES_SERVICE_PORT don't make an address")
    })?;
    let authority = env.service_account.join("ca.crt");
    let token = env.service_account.join("token");
    for path in [&authority, &token] {
        file::check(path, "service account of this pod (is one mounted?)")?;
    }
    let mut kube = Config::new(url);
    kube.proxy_url = proxy::from_environment(&server, env)?;
    kube.root_cert = Some(Vec::new());
    kube.root_cert_file = Some(authority);
    let auth = Auth::TokenFile(token);
    let system_roots = env.system_roots();
    let around = (&kube.root_cert_file, &kube.proxy_url, &system_roots);
    let identity = format!("{} {around:?} {}", kube.cluster_url, auth.identity());
    Ok(Cluster { kube: without_kube_policies(kube), auth, system_roots, origin: origin.into(), identity })
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
