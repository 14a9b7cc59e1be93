//! Is this object one the API takes? The twin of ValidateConfigMap(Update), ValidateLease
//! in pkg/apis/core/validation and of apimachinery's ObjectMeta validation,
//! errors in their order, repeated where the real server repeats them. Pure.

use std::collections::BTreeSet;

use crate::field::FieldError;
use crate::gostr;
use crate::kind::Kind;
use crate::names;
use crate::object::{Object, ObjectMeta, OwnerReference, Strings};

/// The sum of all values' lengths (core.MaxSecretSize).
pub const MAX_VALUES: usize = 1024 * 1024;
/// The sum of all annotations' keys and values (TotalAnnotationSizeLimitB).
const MAX_ANNOTATIONS: usize = 256 * 1024;

type Names = fn(&str, bool) -> Vec<String>;

/// What is wrong with a new object.
pub fn create(cm: &Object) -> Vec<FieldError> {
    let errors = own(cm);
    if !errors.is_empty() {
        return errors;
    }
    meta(&cm.metadata, path_segment)
}

/// What is wrong with an object that is to replace another one: first the
/// checks common to all kinds (rest.BeforeUpdate), then those of its own,
/// which hold the common ones again.
pub fn update(new: &Object, old: &Object) -> Vec<FieldError> {
    let mut errors = meta(&new.metadata, path_segment);
    errors.extend(meta_update(&new.metadata, &old.metadata));
    errors.extend(meta_update(&new.metadata, &old.metadata));
    if old.immutable == Some(true) {
        let detail = "field is immutable when `immutable` is set";
        if new.immutable != Some(true) {
            errors.push(FieldError::forbidden("immutable", detail));
        }
        if new.data != old.data {
            errors.push(FieldError::forbidden("data", detail));
        }
        if new.binary_data != old.binary_data {
            errors.push(FieldError::forbidden("binaryData", detail));
        }
    }
    errors.extend(own(new));
    errors
}

fn own(object: &Object) -> Vec<FieldError> {
    match object.kind {
        Kind::ConfigMap => config_map(object),
        Kind::Lease => lease(object),
    }
}

/// ValidateLease (pkg/apis/coordination/validation).
fn lease(object: &Object) -> Vec<FieldError> {
    let (mut errors, spec) = (meta(&object.metadata, subdomain), &object.spec);
    if let Some(seconds) = spec.lease_duration_seconds.filter(|n| *n <= 0) {
        let field = "spec.leaseDurationSeconds";
        errors.push(FieldError::invalid(field, seconds.to_string(), "must be greater than 0"));
    }
    if let Some(transitions) = spec.lease_transitions.filter(|n| *n < 0) {
        let detail = "must be greater than or equal to 0";
        errors.push(FieldError::invalid("spec.leaseTransitions", transitions.to_string(), detail));
    }
    errors
}

fn config_map(cm: &Object) -> Vec<FieldError> {
    let mut errors = meta(&cm.metadata, subdomain);
    for (i, finalizer) in cm.metadata.finalizers.iter().enumerate() {
        if !names::standard_finalizer(finalizer) {
            let field = format!("metadata.finalizers[{i}]");
            let detail = "name is neither a standard finalizer name nor is it fully qualified";
            errors.push(FieldError::invalid_str(&field, finalizer, detail));
        }
    }
    let mut total = 0;
    for (key, value) in &cm.data {
        let field = format!("data[{key}]");
        let complaints = names::config_key(key);
        errors.extend(complaints.iter().map(|m| FieldError::invalid_str(&field, key, m)));
        if cm.binary_data.contains_key(key) {
            let detail = "duplicate of key present in binaryData";
            errors.push(FieldError::invalid_str(&field, key, detail));
        }
        total += value.len();
    }
    for (key, value) in &cm.binary_data {
        let field = format!("binaryData[{key}]");
        let complaints = names::config_key(key);
        errors.extend(complaints.iter().map(|m| FieldError::invalid_str(&field, key, m)));
        total += value.len();
    }
    if total > MAX_VALUES {
        // A path of one empty name prints as "[]": the whole object.
        errors.push(FieldError::too_long("[]", MAX_VALUES));
    }
    errors
}

fn subdomain(name: &str, prefix: bool) -> Vec<String> {
    match prefix {
        true => names::subdomain(&names::prefix(name), "characters"),
        false => names::subdomain(name, "characters"),
    }
}

fn path_segment(name: &str, _prefix: bool) -> Vec<String> {
    names::path_segment(name)
}

/// ValidateObjectMetaAccessor, for a namespaced object.
fn meta(m: &ObjectMeta, check: Names) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut each = |field: &str, value: &str, complaints: Vec<String>| {
        errors.extend(complaints.iter().map(|c| FieldError::invalid_str(field, value, c)));
    };
    if !m.generate_name.is_empty() {
        each("metadata.generateName", &m.generate_name, check(&m.generate_name, true));
    }
    if !m.name.is_empty() {
        each("metadata.name", &m.name, check(&m.name, false));
    }
    each("metadata.namespace", &m.namespace, names::label(&m.namespace));
    if m.name.is_empty() {
        let detail = "name or generateName is required";
        errors.insert(0, FieldError::required("metadata.name", detail));
    }
    if m.generation < 0 {
        let detail = "must be greater than or equal to 0";
        errors.push(FieldError::invalid("metadata.generation", m.generation.to_string(), detail));
    }
    labels_to_owners(m, &mut errors);
    finalizers(&m.finalizers, &mut errors);
    managed_fields(m, &mut errors);
    errors
}

fn labels_to_owners(m: &ObjectMeta, errors: &mut Vec<FieldError>) {
    labels(&m.labels, errors);
    annotations(&m.annotations, errors);
    owners(&m.owner_references, errors);
}

fn labels(labels: &Strings, errors: &mut Vec<FieldError>) {
    let field = "metadata.labels";
    for (key, value) in labels {
        let complaints = names::qualified(key);
        errors.extend(complaints.iter().map(|c| FieldError::invalid_str(field, key, c)));
        let complaints = names::label_value(value);
        errors.extend(complaints.iter().map(|c| FieldError::invalid_str(field, value, c)));
    }
}

fn annotations(annotations: &Strings, errors: &mut Vec<FieldError>) {
    let field = "metadata.annotations";
    let mut total = 0;
    for (key, value) in annotations {
        let complaints = names::qualified(&key.to_lowercase());
        errors.extend(complaints.iter().map(|c| FieldError::invalid_str(field, key, c)));
        total += key.len() + value.len();
    }
    if total > MAX_ANNOTATIONS {
        errors.push(FieldError::too_long(field, MAX_ANNOTATIONS));
    }
}

fn owners(owners: &[OwnerReference], errors: &mut Vec<FieldError>) {
    let field = "metadata.ownerReferences";
    let mut controller: Option<String> = None;
    for o in owners {
        owner(o, field, errors);
        if o.controller != Some(true) {
            continue;
        }
        let this = format!("{}/{}", o.kind, o.name);
        match &controller {
            None => controller = Some(this),
            Some(first) => {
                let printed = serde_json::to_string(owners).unwrap_or_default();
                let detail = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {this}"
                );
                errors.push(FieldError::invalid(field, printed, &detail));
            }
        }
    }
}

fn owner(o: &OwnerReference, field: &str, errors: &mut Vec<FieldError>) {
    // "group/version", or "version" alone for the legacy group.
    let version = o.api_version.rsplit('/').next().unwrap_or_default();
    if version.is_empty() || o.api_version.matches('/').count() > 1 {
        let field = format!("{field}.apiVersion");
        errors.push(FieldError::invalid_str(&field, &o.api_version, "version must not be empty"));
    }
    for (name, value) in [("kind", &o.kind), ("name", &o.name), ("uid", &o.uid)] {
        if value.is_empty() {
            errors.push(FieldError::invalid_str(&format!("{field}.{name}"), value, "must not be empty"));
        }
    }
    if o.api_version == "v1" && o.kind == "Event" {
        let printed = serde_json::to_string(o).unwrap_or_default();
        let detail = "/v1, Kind=Event is disallowed from being an owner";
        errors.push(FieldError::invalid(field, printed, detail));
    }
}

pub const ORPHAN: &str = "orphan";
pub const FOREGROUND: &str = "foregroundDeletion";

fn finalizers(list: &[String], errors: &mut Vec<FieldError>) {
    let field = "metadata.finalizers";
    for finalizer in list {
        let complaints = names::qualified(finalizer);
        errors.extend(complaints.iter().map(|c| FieldError::invalid_str(field, finalizer, c)));
    }
    let has = |name: &str| list.iter().any(|f| f == name);
    if has(ORPHAN) && has(FOREGROUND) {
        let printed = serde_json::to_string(list).unwrap_or_default();
        let detail = format!("finalizer {ORPHAN} and {FOREGROUND} cannot be both set");
        errors.push(FieldError::invalid(field, printed, &detail));
    }
}

fn managed_fields(m: &ObjectMeta, errors: &mut Vec<FieldError>) {
    for (i, entry) in m.managed_fields.iter().flatten().enumerate() {
        let field = format!("metadata.managedFields[{i}]");
        if !matches!(entry.operation.as_str(), "Apply" | "Update") {
            let detail = "must be `Apply` or `Update`";
            errors.push(FieldError::invalid_str(&format!("{field}.operation"), &entry.operation, detail));
        }
        if !matches!(entry.fields_type.as_str(), "" | "FieldsV1") {
            let field = format!("{field}.fieldsType");
            errors.push(FieldError::invalid_str(&field, &entry.fields_type, "must be `FieldsV1`"));
        }
        manager(&entry.manager, &format!("{field}.manager"), errors);
    }
}

/// ValidateFieldManager, also for the query parameter of that name.
pub fn manager(name: &str, field: &str, errors: &mut Vec<FieldError>) {
    if name.len() > 128 {
        errors.push(FieldError::too_long(field, 128));
    }
    for (at, c) in name.char_indices().filter(|(_, c)| !gostr::printable(*c)) {
        let detail = format!("invalid character U+{:04X} (at position {at})", c as u32);
        errors.push(FieldError::invalid_str(field, name, &detail));
    }
}

/// ValidateObjectMetaAccessorUpdate: what may not change.
fn meta_update(new: &ObjectMeta, old: &ObjectMeta) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if old.deletion_timestamp.is_some() {
        let known: BTreeSet<_> = old.finalizers.iter().collect();
        let extra: BTreeSet<_> = new.finalizers.iter().filter(|f| !known.contains(f)).collect();
        if !extra.is_empty() {
            let list: Vec<_> = extra.iter().map(|f| gostr::quote(f)).collect();
            let detail = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                list.join(", ")
            );
            errors.push(FieldError::forbidden("metadata.finalizers", &detail));
        }
    }
    let mut immutable = |field: &str, new: &str, old: &str| {
        if new != old {
            let field = format!("metadata.{field}");
            errors.push(FieldError::invalid_str(&field, new, "field is immutable"));
        }
    };
    immutable("name", &new.name, &old.name);
    immutable("namespace", &new.namespace, &old.namespace);
    immutable("uid", &new.uid, &old.uid);
    deletion_fields(new, old, &mut errors);
    labels_to_owners(new, &mut errors);
    managed_fields(new, &mut errors);
    errors
}

fn deletion_fields(new: &ObjectMeta, old: &ObjectMeta, errors: &mut Vec<FieldError>) {
    let detail = "field is immutable";
    if new.deletion_timestamp != old.deletion_timestamp {
        let printed = new.deletion_timestamp.as_deref().map_or("null".into(), gostr::quote);
        errors.push(FieldError::invalid("metadata.deletionTimestamp", printed, detail));
    }
    if new.deletion_grace_period_seconds != old.deletion_grace_period_seconds {
        let printed = new.deletion_grace_period_seconds.map_or("null".into(), |n| n.to_string());
        errors.push(FieldError::invalid("metadata.deletionGracePeriodSeconds", printed, detail));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named() -> Object {
        let mut cm = Object::default();
        cm.metadata.name = "x".into();
        cm.metadata.namespace = "ns".into();
        cm
    }

    fn texts(errors: &[FieldError]) -> Vec<String> {
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_sum_of_values_counts_both_maps() {
        let mut cm = named();
        cm.data.insert("a".into(), "x".repeat(MAX_VALUES - 1));
        cm.binary_data.insert("b".into(), vec![0]);
        assert_eq!(create(&cm), []);
        cm.binary_data.insert("c".into(), vec![0]);
        assert_eq!(texts(&create(&cm)), ["[]: Too long: may not be more than 1048576 bytes"]);
    }

    #[test]
    fn a_key_in_both_maps() {
        let mut cm = named();
        cm.data.insert("a".into(), String::new());
        cm.binary_data.insert("a".into(), vec![]);
        let text = "data[a]: Invalid value: \"a\": duplicate of key present in binaryData";
        assert_eq!(texts(&create(&cm)), [text]);
    }

    #[test]
    fn updates_repeat_what_both_checks_find() {
        let old = named();
        let mut new = old.clone();
        new.metadata.labels.insert("-".into(), "ok".into());
        // BeforeUpdate: object, change; ConfigMap: change, object.
        assert_eq!(update(&new, &old).len(), 4);
    }

    #[test]
    fn immutable_data() {
        let mut old = named();
        old.immutable = Some(true);
        let mut new = old.clone();
        new.data.insert("a".into(), String::new());
        let text = "data: Forbidden: field is immutable when `immutable` is set";
        assert_eq!(texts(&update(&new, &old)), [text]);
        new.data.clear();
        new.metadata.labels.insert("a".into(), "b".into());
        assert_eq!(update(&new, &old), []);
    }
}
