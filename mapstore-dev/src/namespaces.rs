//! The verbs on Namespaces, as far as tests need them.

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::gostr;
use crate::names;
use crate::object::Strings;
use crate::query::WriteOptions;
use crate::request::Request;
use crate::state::{IMMORTAL, Namespace, State};
use crate::status::Status;
use crate::{field::FieldError, negotiate, patch};

type Answered = Result<Answer, Status>;

fn metadata(ns: &Namespace) -> Value {
    let mut meta = json!({
        "name": ns.name, "uid": ns.uid, "resourceVersion": ns.revision.to_string(),
        "creationTimestamp": ns.created, "labels": ns.labels,
    });
    if !ns.annotations.is_empty() {
        meta["annotations"] = json!(ns.annotations);
    }
    if let Some(since) = &ns.terminating {
        meta["deletionTimestamp"] = json!(since);
    }
    meta
}

fn object(ns: &Namespace) -> Value {
    let phase = if ns.terminating.is_some() { "Terminating" } else { "Active" };
    json!({
        "kind": "Namespace", "apiVersion": "v1", "metadata": metadata(ns),
        "spec": {"finalizers": ns.finalizers}, "status": {"phase": phase},
    })
}

pub fn get(state: &State, request: &Request) -> Answered {
    let name = &request.target.name;
    match state.namespaces.get(name) {
        Some(ns) => Ok(Answer::json(200, object(ns))),
        None => Err(Status::not_found("namespaces", name)),
    }
}

pub fn list(state: &State, _: &Request) -> Answered {
    let items: Vec<Value> = state
        .namespaces
        .values()
        .map(|ns| {
            let mut item = object(ns);
            if let Value::Object(map) = &mut item {
                map.remove("kind");
                map.remove("apiVersion");
            }
            item
        })
        .collect();
    Ok(Answer::json(
        200,
        json!({
            "kind": "NamespaceList", "apiVersion": "v1",
            "metadata": {"resourceVersion": state.revision().to_string()}, "items": items,
        }),
    ))
}

fn strings(value: &Value) -> Strings {
    let pairs = value.as_object().into_iter().flatten();
    pairs.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_string()))).collect()
}

pub fn create(state: &mut State, request: &Request) -> Answered {
    let encoding = negotiate::input(&request.content_type)?;
    let options = WriteOptions::of(&request.query, "CreateOptions")?;
    let document = patch::document(request.body()?, encoding).map_err(Status::bad_request)?;
    let body = document.value;
    let name = body["metadata"]["name"].as_str().unwrap_or_default();
    let complaints = names::label(name);
    if !complaints.is_empty() {
        let (field, labels) = ("metadata.name", names::label_value(name));
        let errors: Vec<_> = match name {
            "" => vec![FieldError::required(field, "name or generateName is required")],
            // The name is a label's value too.
            name => complaints
                .iter()
                .map(|m| FieldError::invalid_str(field, name, m))
                .chain(labels.iter().map(|m| FieldError::invalid_str("metadata.labels", name, m)))
                .collect(),
        };
        return Err(Status::invalid("", "Namespace", name, &errors));
    }
    if state.namespaces.contains_key(name) {
        return Err(Status::already_exists("namespaces", name));
    }
    let ns = state.create_namespace(name);
    ns.labels.extend(strings(&body["metadata"]["labels"]));
    ns.annotations = strings(&body["metadata"]["annotations"]);
    // What else is to keep it from going when it is deleted.
    let held = body["spec"]["finalizers"].as_array().into_iter().flatten();
    for finalizer in held.filter_map(Value::as_str).filter(|f| *f != "kubernetes") {
        ns.finalizers.push(finalizer.into());
    }
    let created = object(ns);
    if options.dry_run {
        state.namespaces.remove(name);
    }
    Ok(Answer::json(201, created))
}

/// Marks a namespace as terminating and removes what it holds, as the namespace controller would;
/// the namespace itself goes when nothing keeps it.
pub fn delete(state: &mut State, request: &Request) -> Answered {
    let name = request.target.name.clone();
    if IMMORTAL[..3].contains(&name.as_str()) {
        let why = "this namespace may not be deleted";
        return Err(Status::forbidden("namespaces", &name, why));
    }
    let answered = terminate(state, &name, false)?;
    let doomed: Vec<_> = state.all_in(&name).cloned().collect();
    for cm in doomed.iter().filter(|cm| cm.metadata.finalizers.is_empty()) {
        state.remove(cm.kind, &name, &cm.metadata.name);
    }
    state.reap(&name);
    Ok(Answer::json(200, answered))
}

/// Marks a namespace as terminating; `held` keeps it so for good.
pub fn terminate(state: &mut State, name: &str, held: bool) -> Result<Value, Status> {
    let revision = state.next_revision();
    let ns = state.namespaces.get_mut(name);
    let ns = ns.ok_or_else(|| Status::not_found("namespaces", name))?;
    ns.held |= held;
    if ns.terminating.is_none() {
        ns.terminating = Some(gostr::now());
        ns.revision = revision;
    }
    Ok(object(ns))
}
