//! Prints a ConfigMap as YAML, as `kubectl get configmap -o yaml` does: the
//! last step of `make demo`, which must not need kubectl.
//!
//! ```console
//! show KUBECONFIG NAMESPACE NAME       NAMESPACE "" is the kubeconfig's
//! ```

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use mapstore::Options;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kubeconfig, namespace, name] = arguments.as_slice() else {
        eprintln!("usage: show KUBECONFIG NAMESPACE NAME");
        return ExitCode::from(2);
    };
    match show(kubeconfig, namespace, name) {
        Ok(yaml) => {
            print!("{yaml}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("show: {error}");
            ExitCode::FAILURE
        }
    }
}

fn show(kubeconfig: &str, namespace: &str, name: &str) -> Result<String, Box<dyn Error>> {
    let options = Options::new(name).kubeconfig(kubeconfig);
    let options = if namespace.is_empty() { options } else { options.namespace(namespace) };
    // Checks both names, which go into the path, and finds the namespace. Sends nothing.
    let store = options.open()?;
    let path = format!("/api/v1/namespaces/{}/configmaps/{}", store.namespace(), store.name());
    store.close()?;

    // A provider that is installed already is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(get_yaml(kubeconfig, &path))
}

async fn get_yaml(kubeconfig: &str, path: &str) -> Result<String, Box<dyn Error>> {
    let kubeconfig = Kubeconfig::read_from(Path::new(kubeconfig))?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    let client = kube::Client::try_from(config)?;
    let request = http::Request::get(path).header(http::header::ACCEPT, "application/yaml").body(Vec::new())?;
    Ok(client.request_text(request).await?)
}
