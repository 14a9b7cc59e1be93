//! Which namespace a store is in.

use super::environment::Environment;
use super::file;
use super::target::Given;
use crate::error::{Error, Result};
use crate::model::check_namespace;

/// `over` ends a wait for a file that is a pipe.
pub(super) fn choose(
    given: &Given,
    env: &Environment,
    from_context: Option<String>,
    over: &dyn Fn() -> bool,
) -> Result<String> {
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
    let path = env.service_account.join("namespace");
    let subject = format!("{path:?}");
    match file::read_if_there(&path, &subject, over)? {
        Some(text) if !text.trim().is_empty() => checked(&subject, text.trim()),
        _ if given.strict => Err(Error::config(
            "namespace",
            format!(
                "no namespace is configured; tried, in this order: the option namespace (not given), NAMESPACE (not \
                 set, or blank), {subject} (missing or empty); a context's and \"default\" are not taken (option \
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
