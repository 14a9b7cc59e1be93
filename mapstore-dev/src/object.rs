//! The objects this server stores: ConfigMap and what of ObjectMeta belongs to
//! it, in the wire's words and order. Reading them from a request is decode.rs.

use std::collections::BTreeMap;

use base64::Engine;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::kind::Kind;

pub type Strings = BTreeMap<String, String>;

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectMeta {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub generate_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub generation: i64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub creation_timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_timestamp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_grace_period_seconds: Option<i64>,
    #[serde(skip_serializing_if = "Strings::is_empty")]
    pub labels: Strings,
    #[serde(skip_serializing_if = "Strings::is_empty")]
    pub annotations: Strings,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub owner_references: Vec<OwnerReference>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub finalizers: Vec<String>,
    /// None: not given; an empty list asks to forget them (managed.rs).
    #[serde(skip_serializing_if = "no_entries")]
    pub managed_fields: Option<Vec<ManagedFieldsEntry>>,
}

fn is_zero(n: &i64) -> bool {
    *n == 0
}

fn no_entries(entries: &Option<Vec<ManagedFieldsEntry>>) -> bool {
    entries.as_ref().is_none_or(Vec::is_empty)
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnerReference {
    pub api_version: String,
    pub kind: String,
    pub name: String,
    pub uid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_owner_deletion: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ManagedFieldsEntry {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub manager: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub operation: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub fields_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fields_v1: Option<Value>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subresource: String,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object {
    pub kind: Kind,
    pub metadata: ObjectMeta,
    // A ConfigMap's.
    pub immutable: Option<bool>,
    pub data: Strings,
    pub binary_data: BTreeMap<String, Vec<u8>>,
    // A Lease's.
    pub spec: LeaseSpec,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LeaseSpec {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holder_identity: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_duration_seconds: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acquire_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renew_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_transitions: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_holder: Option<String>,
}

struct Base64<'a>(&'a BTreeMap<String, Vec<u8>>);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(Some(self.0.len()))?;
        for (key, bytes) in self.0 {
            map.serialize_entry(key, &base64::prelude::BASE64_STANDARD.encode(bytes))?;
        }
        map.end()
    }
}

impl Object {
    /// The fields after kind and apiVersion, which list items leave out.
    fn fields<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("metadata", &self.metadata)?;
        if self.kind.is_lease() {
            return map.serialize_entry("spec", &self.spec);
        }
        if let Some(immutable) = self.immutable {
            map.serialize_entry("immutable", &immutable)?;
        }
        if !self.data.is_empty() {
            map.serialize_entry("data", &self.data)?;
        }
        if !self.binary_data.is_empty() {
            map.serialize_entry("binaryData", &Base64(&self.binary_data))?;
        }
        Ok(())
    }

    /// As a patch sees it: the versioned object in JSON.
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("kind", self.kind.name())?;
        map.serialize_entry("apiVersion", self.kind.api_version())?;
        self.fields(&mut map)?;
        map.end()
    }
}

/// A ConfigMap inside a ConfigMapList: without its kind and apiVersion.
pub struct Item<'a>(pub &'a Object);

impl Serialize for Item<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        self.0.fields(&mut map)?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_in_the_wires_order() {
        let mut cm = Object::default();
        cm.metadata.name = "x".into();
        cm.data.insert("a".into(), "1".into());
        cm.binary_data.insert("b".into(), vec![0xff, 0]);
        assert_eq!(
            serde_json::to_string(&cm).unwrap(),
            r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"x"},"data":{"a":"1"},"binaryData":{"b":"/wA="}}"#
        );
    }
}
