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
use serde_json::Value;

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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut object = runtime.block_on(get(kubeconfig, &path))?;
    // kubectl hides them too.
    object["metadata"].as_object_mut().and_then(|metadata| metadata.remove("managedFields"));
    Ok(yaml(&object, 0))
}

async fn get(kubeconfig: &str, path: &str) -> Result<Value, Box<dyn Error>> {
    let kubeconfig = Kubeconfig::read_from(Path::new(kubeconfig))?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    let client = kube::Client::try_from(config)?;
    Ok(client.request(http::Request::get(path).body(Vec::new())?).await?)
}

/// JSON is YAML; this only spells objects the long way.
fn yaml(value: &Value, depth: usize) -> String {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            let field = |(name, value): (&String, &Value)| {
                let indent = "  ".repeat(depth);
                let gap = if matches!(value, Value::Object(inner) if !inner.is_empty()) { "\n" } else { " " };
                let rest = yaml(value, depth + 1);
                let end = if rest.ends_with('\n') { "" } else { "\n" };
                format!("{indent}{}:{gap}{rest}{end}", scalar(name))
            };
            fields.iter().map(field).collect()
        }
        Value::String(text) => scalar(text),
        other => other.to_string(),
    }
}

/// Bare where no reader could take it for anything but this text.
fn scalar(text: &str) -> String {
    let word = |c: char| c.is_ascii_alphanumeric() || "-_./=+".contains(c);
    let bare = text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(word);
    let reserved = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    if bare && !reserved.contains(&text.to_ascii_lowercase().as_str()) {
        return text.to_owned();
    }
    Value::from(text).to_string()
}
