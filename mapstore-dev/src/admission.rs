//! What may refuse a write that is otherwise fine: the namespace's life, a
//! policy on keys, a quota. Reads the state, changes nothing.

use crate::field::Cause;
use crate::gostr;
use crate::kind::Kind;
use crate::object::Object;
use crate::state::State;
use crate::status::Status;

/// The name of the quota in refusals.
const QUOTA: &str = "configmaps";

/// NamespaceLifecycle, which comes before validation
/// (apiserver/pkg/admission/plugin/namespace/lifecycle).
pub fn namespace(state: &State, cm: &Object) -> Result<(), Status> {
    let namespace = &cm.metadata.namespace;
    let Some(found) = state.namespaces.get(namespace) else {
        return Err(Status::not_found("namespaces", namespace));
    };
    if found.terminating.is_none() {
        return Ok(());
    }
    let m = &cm.metadata;
    let name = [&m.name, &m.generate_name].into_iter().find(|n| !n.is_empty());
    let name = name.map_or("Unknown", String::as_str);
    let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
    let mut status = Status::forbidden(cm.kind.qualified(), name, &why);
    if let Some(details) = &mut status.details {
        details.causes.push(Cause {
            kind: "NamespaceTerminating".into(),
            message: format!("namespace {namespace} is being terminated"),
            field: "metadata.namespace".into(),
        });
    }
    Err(status)
}

/// A ValidatingAdmissionPolicy on keys (admission/plugin/policy/validating/dispatcher.go).
pub fn policy(state: &State, cm: &Object) -> Result<(), Status> {
    let namespace = &cm.metadata.namespace;
    let refused = state
        .forbidden_keys
        .iter()
        .find(|(ns, key)| ns == namespace && (cm.data.contains_key(key) || cm.binary_data.contains_key(key)));
    let Some((_, key)) = refused else { return Ok(()) };
    let policy = format!("forbidden-key-{namespace}");
    let message = format!(
        "ValidatingAdmissionPolicy '{policy}' with binding '{policy}' denied request: the key {} is not allowed here",
        gostr::quote(key)
    );
    let mut status = Status::forbidden("configmaps", &cm.metadata.name, &message);
    status.code = 422;
    status.reason = "Invalid";
    if let Some(details) = &mut status.details {
        details.causes.push(Cause { message, ..Cause::default() });
    }
    Err(status)
}

/// ResourceQuota, for creations (admission/plugin/resourcequota/controller.go).
pub fn quota(state: &State, cm: &Object) -> Result<(), Status> {
    let namespace = &cm.metadata.namespace;
    let limit = state.quotas.get(namespace).filter(|_| cm.kind == Kind::ConfigMap);
    let Some(limit) = limit else { return Ok(()) };
    let used = state.objects(Kind::ConfigMap, namespace).count() as u64;
    if used < *limit {
        return Ok(());
    }
    let why = format!(
        "exceeded quota: {QUOTA}, requested: configmaps=1, used: configmaps={used}, limited: configmaps={limit}"
    );
    Err(Status::forbidden("configmaps", &cm.metadata.name, &why))
}
