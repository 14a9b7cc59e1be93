//! Kubeconfig files for tests: the current context of an existing one, taken apart and put together again.

use std::path::Path;

use serde_json::{Value, json};

use crate::{Error, Result};

/// What the current context of a kubeconfig stands for, in the file's own words. File names in it are absolute.
#[derive(Clone, Debug, Default)]
pub struct Sections {
    pub cluster: Value,
    pub user: Value,
    pub context: Value,
}

impl Sections {
    pub fn read(path: &Path) -> Result<Sections> {
        let doing = path.display();
        let parsed = kube::config::Kubeconfig::read_from(path).map_err(|e| Error::failed(doing, e))?;
        let all = serde_json::to_value(parsed).map_err(|e| Error::failed(path.display(), e))?;
        let context = section(&all, "context", &all["current-context"]);
        Ok(Sections {
            cluster: section(&all, "cluster", &context["cluster"]),
            user: section(&all, "user", &context["user"]),
            context,
        })
    }

    /// A kubeconfig with one context, called `test`, as JSON, which is YAML too.
    pub fn to_kubeconfig(&self) -> Value {
        let mut context = match &self.context {
            Value::Object(_) => self.context.clone(),
            _ => json!({}),
        };
        context["cluster"] = json!("test");
        context["user"] = json!("test");
        json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": self.cluster}],
            "users": [{"name": "test", "user": self.user}],
            "contexts": [{"name": "test", "context": context}],
            "current-context": "test",
        })
    }
}

fn section(all: &Value, kind: &str, name: &Value) -> Value {
    let entries = all[format!("{kind}s")].as_array();
    let named = entries.and_then(|entries| entries.iter().find(|entry| &entry["name"] == name));
    named.map_or(Value::Null, |entry| entry[kind].clone())
}
