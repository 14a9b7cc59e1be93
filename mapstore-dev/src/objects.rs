//! The verbs on ConfigMaps and Leases, in the real server's order of checks
//! (endpoints/handlers/*.go and registry/generic/registry/store.go).

use std::sync::Arc;

use serde_json::Value;

use crate::admission;
use crate::answer::{Answer, Body};
use crate::field::FieldError;
use crate::gostr;
use crate::kind::Kind;
use crate::list;
use crate::managed;
use crate::negotiate;
use crate::object::{Object, OwnerReference};
use crate::patch::{self, Wanted};
use crate::query::{self, WriteOptions};
use crate::random;
use crate::request::{Request, Target};
use crate::size;
use crate::state::State;
use crate::status::Status;
use crate::validate;

type Answered = Result<Answer, Status>;

pub fn get(state: &State, request: &Request, kind: Kind) -> Answered {
    let target = &request.target;
    if request.query.flag("export") {
        let text = "the export parameter, deprecated since v1.14, is no longer supported";
        return Err(Status::bad_request(text));
    }
    let wanted = query::read_revision(&request.query).map_err(Status::internal)?;
    list::reached(state, wanted, Some(1))?;
    match state.object(kind, &target.namespace, &target.name) {
        Some(cm) => Ok(Answer::object(200, Arc::clone(cm))),
        None => Err(Status::not_found(kind.qualified(), &target.name)),
    }
}

/// managerOrUserAgent (handlers/create.go).
fn manager(options: &WriteOptions, request: &Request) -> String {
    if !options.field_manager.is_empty() {
        return options.field_manager.clone();
    }
    let agent = request.user_agent.split('/').next().unwrap_or_default();
    let mut name = String::new();
    for c in agent.chars().filter(|c| gostr::printable(*c)) {
        if name.len() + c.len_utf8() > 128 {
            break;
        }
        name.push(c);
    }
    name
}

/// EnsureObjectNamespaceMatchesRequestNamespace (registry/rest/meta.go).
fn match_namespace(cm: &mut Object, namespace: &str) -> Result<(), Status> {
    if cm.metadata.namespace.is_empty() {
        cm.metadata.namespace = namespace.into();
    }
    if cm.metadata.namespace == namespace {
        return Ok(());
    }
    Err(Status::bad_request(
        "the namespace of the provided object does not match the namespace sent on the request",
    ))
}

/// checkName (handlers/rest.go).
fn match_name(cm: &Object, name: &str) -> Result<(), Status> {
    let found = &cm.metadata.name;
    if found.is_empty() {
        return Err(Status::bad_request(format!(
            "the name of the object ({name} based on URL) was undeterminable: name must be provided"
        )));
    }
    if found != name {
        return Err(Status::bad_request(format!(
            "the name of the object ({found}) does not match the name on the URL ({name})"
        )));
    }
    Ok(())
}

/// Drops owner references that are there twice, with a warning.
fn dedup_owners(cm: &mut Object, when: &str) -> Vec<String> {
    let mut kept: Vec<OwnerReference> = Vec::new();
    let mut duplicates = Vec::new();
    for owner in std::mem::take(&mut cm.metadata.owner_references) {
        if kept.contains(&owner) {
            duplicates.push(owner.uid);
        } else {
            kept.push(owner);
        }
    }
    cm.metadata.owner_references = kept;
    if duplicates.is_empty() {
        return Vec::new();
    }
    vec![format!(
        ".metadata.ownerReferences contains duplicate entries{when}; API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {}",
        duplicates.join(", ")
    )]
}

pub fn create(state: &mut State, request: &Request, kind: Kind) -> Answered {
    let encoding = negotiate::input(&request.content_type)?;
    let body = request.body()?;
    let options = WriteOptions::of(&request.query, "CreateOptions")?;
    let wanted = patch::whole(body, encoding, kind, options.field_validation)?;
    let Wanted { object, warnings } = wanted;
    request.warn(warnings);
    let created = insert(state, request, object, &options)?;
    Ok(Answer::object(201, created))
}

/// A new object: system fields, admission, validation, and the write.
fn insert(
    state: &mut State,
    request: &Request,
    mut cm: Object,
    options: &WriteOptions,
) -> Result<Arc<Object>, Status> {
    let kind = cm.kind;
    let m = &mut cm.metadata;
    // WipeObjectMetaSystemFields
    (m.deletion_timestamp, m.deletion_grace_period_seconds) = (None, None);
    m.uid = random::uid();
    m.creation_timestamp = gostr::now();
    match_namespace(&mut cm, &request.target.namespace)?;
    request.warn(dedup_owners(&mut cm, ""));
    managed::update(&mut cm, None, &manager(options, request), &gostr::now());
    admission::namespace(state, &cm)?;
    if cm.metadata.name.is_empty() && !cm.metadata.generate_name.is_empty() {
        cm.metadata.name = generated_name(state, &cm);
    }
    let errors = validate::create(&cm);
    if !errors.is_empty() {
        return Err(Status::invalid(kind.group(), kind.name(), &cm.metadata.name, &errors));
    }
    admission::policy(state, &cm)?;
    admission::quota(state, &cm)?;
    if !options.dry_run && !matches!(cm.metadata.resource_version.parse(), Ok(0_u64) | Err(_)) {
        return Err(Status::internal("resourceVersion should not be set on objects to be created"));
    }
    let m = &cm.metadata;
    if state.object(kind, &m.namespace, &m.name).is_some() {
        return Err(Status::already_exists(kind.qualified(), &m.name));
    }
    fit(&mut cm, None)?;
    Ok(match options.dry_run {
        true => Arc::new(cm),
        false => state.store(cm),
    })
}

/// names.SimpleNameGenerator, tried again while the name is taken.
fn generated_name(state: &State, cm: &Object) -> String {
    const LONGEST: usize = 63 - 5;
    let base: String = cm.metadata.generate_name.chars().take(LONGEST).collect();
    loop {
        let name = format!("{base}{}", random::suffix());
        if state.object(cm.kind, &cm.metadata.namespace, &name).is_none() {
            return name;
        }
    }
}

/// etcd's limit. The server tries a second time without managedFields.
fn fit(cm: &mut Object, revision: Option<u64>) -> Result<(), Status> {
    if size::refusal(cm, revision).is_none() {
        return Ok(());
    }
    cm.metadata.managed_fields = None;
    size::refusal(cm, revision).map_or(Ok(()), |text| Err(Status::internal(text)))
}

pub fn replace(state: &mut State, request: &Request, kind: Kind) -> Answered {
    let target = &request.target;
    let body = request.body()?;
    let options = WriteOptions::of(&request.query, "UpdateOptions")?;
    let encoding = negotiate::input(&request.content_type)?;
    let wanted = patch::whole(body, encoding, kind, options.field_validation)?;
    let Wanted { object: mut cm, warnings } = wanted;
    request.warn(warnings);
    match_namespace(&mut cm, &target.namespace)?;
    match_name(&cm, &target.name)?;
    request.warn(dedup_owners(&mut cm, ""));
    let existing = state.object(kind, &target.namespace, &target.name).cloned();
    if existing.is_none() && kind.is_lease() {
        let created = insert(state, request, cm, &options)?;
        return Ok(Answer::object(201, created));
    }
    let existing = existing.ok_or_else(|| Status::not_found(kind.qualified(), &target.name))?;
    let (want, have) = (&cm.metadata.uid, &existing.metadata.uid);
    if !want.is_empty() && want != have {
        return Err(Status::conflict(kind.qualified(), &target.name, &storage_error(target, want, have)));
    }
    managed::update(&mut cm, Some(&existing), &manager(&options, request), &gostr::now());
    let updated = update(state, cm, &existing, &options)?;
    Ok(Answer::object(200, updated))
}

/// storage.NewInvalidObjError as it prints (apiserver/pkg/storage/errors.go).
fn storage_error(target: &Target, want: &str, have: &str) -> String {
    format!(
        "StorageError: invalid object, Code: 4, Key: /registry/{}/{}/{}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {want}, UID in object meta: {have}",
        target.resource, target.namespace, target.name
    )
}

pub fn patch(state: &mut State, request: &Request, kind: Kind) -> Answered {
    let target = &request.target;
    let patch_type = negotiate::patch(&request.content_type)?;
    let body = request.body()?;
    let options = WriteOptions::of(&request.query, "PatchOptions")?;
    let existing = state.object(kind, &target.namespace, &target.name).cloned();
    let existing = existing.ok_or_else(|| Status::not_found(kind.qualified(), &target.name))?;
    let wanted = patch::apply(patch_type, body, &existing, options.field_validation)?;
    let Wanted { object: mut cm, warnings } = wanted;
    request.warn(warnings);
    managed::update(&mut cm, Some(&existing), &manager(&options, request), &gostr::now());
    match_namespace(&mut cm, &target.namespace)?;
    match_name(&cm, &target.name)?;
    request.warn(dedup_owners(&mut cm, " after mutating admission happens"));
    let updated = update(state, cm, &existing, &options)?;
    Ok(Answer::object(200, updated))
}

/// The common end of PUT and PATCH: preconditions, what an update can't
/// change, validation, admission, and the write if there is anything to write
/// (Store.Update and rest.BeforeUpdate).
fn update(
    state: &mut State,
    mut new: Object,
    old: &Arc<Object>,
    options: &WriteOptions,
) -> Result<Arc<Object>, Status> {
    let (kind, name) = (old.kind, old.metadata.name.clone());
    let wanted = revision(&new.metadata.resource_version)?;
    let current = revision(&old.metadata.resource_version)?;
    if wanted != 0 && wanted != current {
        let why =
            "the object has been modified; please apply your changes to the latest version and try again";
        return Err(Status::conflict(kind.qualified(), &name, why));
    }
    if wanted == 0 && kind.is_lease() {
        let error =
            FieldError::invalid("metadata.resourceVersion", "0".into(), "must be specified for an update");
        return Err(Status::invalid(kind.group(), kind.resource(), &name, &[error]));
    }
    keep_system_fields(&mut new, old);
    let errors = validate::update(&new, old);
    if !errors.is_empty() {
        return Err(Status::invalid(kind.group(), kind.name(), &name, &errors));
    }
    managed::keep_times(&mut new, old);
    admission::policy(state, &new)?;
    if old.metadata.deletion_timestamp.is_some() && new.metadata.finalizers.is_empty() {
        if !options.dry_run {
            state.remove(kind, &old.metadata.namespace, &name);
        }
        return Ok(Arc::new(new));
    }
    fit(&mut new, Some(current))?;
    if new == **old {
        return Ok(Arc::clone(old));
    }
    Ok(if options.dry_run { Arc::new(new) } else { state.store(new) })
}

/// A resourceVersion as a number; "" and "0" are none (api_object_versioner.go).
fn revision(text: &str) -> Result<u64, Status> {
    if text.is_empty() { Ok(0) } else { query::revision(text).map_err(Status::internal) }
}

fn keep_system_fields(new: &mut Object, old: &Object) {
    let (n, o) = (&mut new.metadata, &old.metadata);
    n.resource_version = o.resource_version.clone();
    n.generation = o.generation;
    n.creation_timestamp = o.creation_timestamp.clone();
    if n.uid.is_empty() {
        n.uid = o.uid.clone();
    }
    if o.deletion_timestamp.is_some() {
        n.deletion_timestamp = o.deletion_timestamp.clone();
    }
    n.deletion_grace_period_seconds = n.deletion_grace_period_seconds.or(o.deletion_grace_period_seconds);
    // What isn't stored can't differ.
    if n.managed_fields.as_ref().is_some_and(Vec::is_empty) {
        n.managed_fields = None;
    }
}

pub fn delete(state: &mut State, request: &Request, kind: Kind) -> Answered {
    let target = &request.target;
    let options = DeleteOptions::of(request)?;
    let found = state.object(kind, &target.namespace, &target.name).cloned();
    let found = found.ok_or_else(|| Status::not_found(kind.qualified(), &target.name))?;
    options.check(&found)?;
    delete_one(state, &found, &options)
}

fn delete_one(state: &mut State, found: &Arc<Object>, options: &DeleteOptions) -> Answered {
    let kind = found.kind;
    let m = &found.metadata;
    let finalizers = options.finalizers(&m.finalizers);
    if finalizers.is_empty() {
        if !options.dry_run {
            state.remove(kind, &m.namespace, &m.name);
        }
        return Ok(Status::deleted(kind.qualified(), &m.name, &m.uid).into());
    }
    let mut dying = Object::clone(found);
    dying.metadata.finalizers = finalizers;
    if dying.metadata.deletion_timestamp.is_none() {
        dying.metadata.deletion_timestamp = Some(gostr::now());
        dying.metadata.generation += i64::from(dying.metadata.generation > 0);
    }
    dying.metadata.deletion_grace_period_seconds = Some(0);
    let dying = match dying == **found {
        true => Arc::clone(found),
        false if options.dry_run => Arc::new(dying),
        false => state.store(dying),
    };
    let code = if options.orphan_dependents == Some(false) { 202 } else { 200 };
    Ok(Answer::object(code, dying))
}

pub fn delete_collection(state: &mut State, request: &Request, kind: Kind) -> Answered {
    let options = DeleteOptions::of(request)?;
    let page = list::of(state, request, kind)?;
    for item in &page.items {
        delete_one(state, item, &options)?;
    }
    Ok(Answer { code: 200, body: Body::List(page) })
}

#[derive(Debug, Default)]
struct DeleteOptions {
    dry_run: bool,
    uid: Option<String>,
    resource_version: Option<String>,
    orphan_dependents: Option<bool>,
    propagation: Option<String>,
}

impl DeleteOptions {
    /// Reads the options from the body, or from the query if there is no body.
    fn of(request: &Request) -> Result<DeleteOptions, Status> {
        let body = request.body()?;
        let query = &request.query;
        let (mut options, dry_run) = if body.is_empty() {
            query::number(query, "gracePeriodSeconds")?;
            let options = DeleteOptions {
                orphan_dependents: query.get("orphanDependents").map(|_| query.flag("orphanDependents")),
                propagation: query.get("propagationPolicy").map(str::to_string),
                ..DeleteOptions::default()
            };
            (options, query.all("dryRun").iter().map(|s| s.to_string()).collect())
        } else {
            let encoding = negotiate::input(&request.content_type)?;
            let document = patch::document(body, encoding).map_err(Status::bad_request)?;
            Self::read(&document.value)?
        };
        let mut errors = Vec::new();
        const POLICIES: [&str; 4] = ["Foreground", "Background", "Orphan", "nil"];
        if let Some(policy) = &options.propagation {
            let field = "propagationPolicy";
            let printed = gostr::quote(policy);
            if options.orphan_dependents.is_some() {
                let detail = "orphanDependents and deletionPropagation cannot be both set";
                errors.push(crate::field::FieldError::invalid(field, printed.clone(), detail));
            }
            if !POLICIES[..3].contains(&policy.as_str()) {
                errors.push(crate::field::FieldError::not_supported(field, printed, &POLICIES));
            }
        }
        let dry_run: Vec<&str> = dry_run.iter().map(String::as_str).collect();
        options.dry_run = query::dry_run(&dry_run, &mut errors);
        match errors.as_slice() {
            [] => Ok(options),
            errors => Err(Status::invalid("meta.k8s.io", "DeleteOptions", "", errors)),
        }
    }

    fn read(value: &Value) -> Result<(DeleteOptions, Vec<String>), Status> {
        let named = |name: &str, default| match value[name].as_str() {
            None | Some("") => default,
            Some(text) => text,
        };
        let (version, kind) = (named("apiVersion", "v1"), named("kind", "DeleteOptions"));
        if kind != "DeleteOptions" {
            return Err(Status::bad_request(patch::unregistered(version, kind)));
        }
        let text = |v: &Value| v.as_str().map(str::to_string);
        let options = DeleteOptions {
            dry_run: false,
            uid: text(&value["preconditions"]["uid"]),
            resource_version: text(&value["preconditions"]["resourceVersion"]),
            orphan_dependents: value["orphanDependents"].as_bool(),
            propagation: text(&value["propagationPolicy"]),
        };
        let dry_run = value["dryRun"].as_array().into_iter().flatten().filter_map(text).collect();
        Ok((options, dry_run))
    }

    /// The preconditions (rest.BeforeDelete, whose refusals say the kind where others say the
    /// resource).
    fn check(&self, cm: &Object) -> Result<(), Status> {
        let m = &cm.metadata;
        let refuse = |why: String| Err(Status::conflict(cm.kind.qualified_name(), &m.name, &why));
        if let Some(uid) = self.uid.as_ref().filter(|u| **u != m.uid) {
            return refuse(format!(
                "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been deleted and then recreated",
                m.uid
            ));
        }
        if let Some(rv) = self.resource_version.as_ref().filter(|r| **r != m.resource_version) {
            return refuse(format!(
                "the ResourceVersion in the precondition ({rv}) does not match the ResourceVersion in record ({}). The object might have been modified",
                m.resource_version
            ));
        }
        Ok(())
    }

    /// The finalizers that remain, with those this deletion asks for
    /// (deletionFinalizersForGarbageCollection).
    fn finalizers(&self, current: &[String]) -> Vec<String> {
        let has = |name: &str| current.iter().any(|f| f == name);
        let (orphan, foreground) = match (self.orphan_dependents, self.propagation.as_deref()) {
            (Some(orphan), _) => (orphan, false),
            (None, Some("Orphan")) => (true, false),
            (None, Some("Foreground")) => (false, true),
            (None, Some(_)) => (false, false),
            (None, None) => (has(validate::ORPHAN), has(validate::FOREGROUND)),
        };
        let own = |f: &&String| *f != validate::ORPHAN && *f != validate::FOREGROUND;
        let mut finalizers: Vec<String> = current.iter().filter(own).cloned().collect();
        if orphan {
            finalizers.push(validate::ORPHAN.into());
        }
        if foreground {
            finalizers.push(validate::FOREGROUND.into());
        }
        finalizers
    }
}
