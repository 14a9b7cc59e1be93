//! What the API server sends: JSON objects, whole or metadata only, and watch
//! events, as what mapstore knows of them. Pure.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value as Json;
use serde_json::value::RawValue;

use crate::error::{Error, ErrorKind};
use crate::model::Revision;
use crate::model::{Entries, Entry, ManagedFields, Side, Snapshot, Value, Version};
use crate::server::failure::Failure;
use crate::server::status::Refusal;

/// The annotation by which a write is told from every other one; it also makes
/// a write of one that changes nothing else, which the API server would skip.
pub(crate) const STAMP: &str = "mapstore/last-write";

/// The manager that the managedFields name for mapstore's writes.
pub(crate) const FIELD_MANAGER: &str = "mapstore";

/// A version of the map, and the stamp of the write that made it, or of an earlier one.
#[derive(Debug)]
pub(crate) struct Look {
    pub version: Version,
    pub stamp: Option<String>,
}

/// What a LIST by name told.
#[derive(Debug)]
pub(crate) struct Listed {
    /// The revision of the API server's store at that moment, or the one that was asked for.
    pub revision: Revision,
    /// `None`: there was no such map.
    pub state: Option<State>,
}

/// A state of the map: what an event of a watch, or a list, tells.
#[derive(Debug)]
pub(crate) struct State {
    pub deleted: bool,
    pub look: Look,
    /// The map in that state; empty if only metadata was asked for.
    pub map: Snapshot,
}

pub(crate) fn parse<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    // serde_json's message can quote the text; a place can't.
    serde_json::from_slice(body).map_err(|error| {
        broken(format!("not the expected JSON (line {}, column {})", error.line(), error.column()))
    })
}

fn broken(what: String) -> Failure {
    Failure::Fatal(Error::new(
        ErrorKind::Unavailable,
        "API server",
        format!(
            "it sent an answer that can't be used: {what}; is this the address of a Kubernetes API server?"
        ),
    ))
}

/// The answer to a write.
pub(crate) fn written(body: &[u8]) -> Result<Version, Failure> {
    look(body).map(|look| look.version).map_err(or_silence)
}

/// The answer to a write that was asked for the whole map.
pub(crate) fn stored(body: &[u8]) -> Result<Snapshot, Failure> {
    snapshot(body).map_err(or_silence)
}

/// An answer to a write that can't be used is as good as none: the write may have been applied.
fn or_silence(failure: Failure) -> Failure {
    match failure {
        Failure::Fatal(error) => Failure::Silence(error),
        failure => failure,
    }
}

pub(crate) fn look(body: &[u8]) -> Result<Look, Failure> {
    parse::<Head>(body)?.metadata.look()
}

pub(crate) fn snapshot(body: &[u8]) -> Result<Snapshot, Failure> {
    parse::<Object>(body)?.snapshot()
}

/// The whole object, to be changed and written back.
pub(crate) fn object(body: &[u8]) -> Result<Json, Failure> {
    let object: Json = parse(body)?;
    // Structs are read from arrays too, which can't be written into as if they were objects.
    let holds = |field: &Json| field.is_null() || field.is_object();
    let known = [&object["metadata"]["annotations"], &object["data"], &object["binaryData"]];
    if !object["metadata"].is_object() || !known.into_iter().all(holds) {
        return Err(broken("not an object with metadata".into()));
    }
    Ok(object)
}

/// A list that was asked for one name.
pub(crate) fn listed(body: &[u8]) -> Result<Listed, Failure> {
    let list: List<'_> = serde_json::from_slice(body).map_err(|_| broken("not a list".into()))?;
    let Some(revision) = Revision::new(&list.metadata.resource_version) else {
        return Err(broken("a list without a resourceVersion".into()));
    };
    let item = list.items.unwrap_or_default().first().map(|item| item.get().as_bytes());
    let state = item.map(|item| state(item, false)).transpose()?;
    Ok(Listed { revision, state })
}

/// One line of a watch. Kubernetes: `WatchEvent` in apimachinery's pkg/apis/meta/v1/watch.go.
pub(crate) fn event(line: &[u8]) -> Result<State, Failure> {
    let line: Line<'_> = serde_json::from_slice(line).map_err(|_| broken("not a watch event".into()))?;
    let object = line.object.get().as_bytes();
    match line.kind.as_ref() {
        "ADDED" | "MODIFIED" => state(object, false),
        "DELETED" => state(object, true),
        _ => {
            let code = parse::<Code>(object).map_or(0, |status| status.code);
            Err(Failure::Refused(Refusal::new(code, None, object)))
        }
    }
}

fn state(object: &[u8], deleted: bool) -> Result<State, Failure> {
    Ok(State { deleted, look: look(object)?, map: snapshot(object)? })
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct List<'a> {
    metadata: Metadata,
    #[serde(borrow, default)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct Code {
    #[serde(default)]
    code: u16,
}

#[derive(Deserialize)]
struct Head {
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default)]
    uid: String,
    #[serde(default)]
    resource_version: String,
    #[serde(default)]
    annotations: Option<Annotations>,
    #[serde(default)]
    managed_fields: Option<Vec<Manager>>,
}

/// The annotations that are read: ours, and kubectl's on a map that it applied from the client's
/// side.
#[derive(Default, Deserialize)]
struct Annotations {
    #[serde(default, rename = "mapstore/last-write")]
    stamp: Option<String>,
    #[serde(default, rename = "kubectl.kubernetes.io/last-applied-configuration")]
    applied: Option<IgnoredAny>,
}

/// Kubernetes: `ManagedFieldsEntry` in apimachinery's pkg/apis/meta/v1/types.go.
#[derive(Deserialize)]
struct Manager {
    #[serde(default)]
    operation: String,
}

impl Metadata {
    fn look(self) -> Result<Look, Failure> {
        let Some(revision) = Revision::new(&self.resource_version) else {
            return Err(broken("no resourceVersion".into()));
        };
        let managers = self.managed_fields.unwrap_or_default();
        let Annotations { stamp, applied } = self.annotations.unwrap_or_default();
        let applied = applied.is_some() || managers.iter().any(|manager| manager.operation == "Apply");
        let fields = match (applied, managers.is_empty()) {
            (true, true) => ManagedFields::Unguarded,
            (true, false) => ManagedFields::Applied,
            (false, true) => ManagedFields::None,
            (false, false) => ManagedFields::Sheddable,
        };
        Ok(Look { version: Version { uid: self.uid, revision, fields }, stamp })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Object {
    metadata: Metadata,
    #[serde(default)]
    data: Option<BTreeMap<String, String>>,
    #[serde(default)]
    binary_data: Option<BTreeMap<String, String>>,
}

impl Object {
    fn snapshot(self) -> Result<Snapshot, Failure> {
        let mut entries = Entries::default();
        for (key, text) in self.data.unwrap_or_default() {
            let value = Value(Bytes::from(text.into_bytes()));
            entries.insert(key, Entry { value, side: Side::Text });
        }
        for (key, text) in self.binary_data.unwrap_or_default() {
            let bytes =
                STANDARD.decode(text).map_err(|_| broken(format!("binaryData[{key}] is not base64")))?;
            entries.insert(key, Entry { value: Value(Bytes::from(bytes)), side: Side::Binary });
        }
        Ok(Snapshot::new(self.metadata.look()?.version, entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_maps_become_one() {
        let body = br#"{"metadata":{"uid":"u","resourceVersion":"7"},"data":{"t":"text"},"binaryData":{"b":"/w=="}}"#;
        let snapshot = snapshot(body).unwrap();
        assert_eq!(snapshot.get("t").map(|value| value.to_vec()), Some(b"text".to_vec()));
        assert_eq!(snapshot.get("b").map(|value| value.to_vec()), Some(vec![0xff]));
        assert_eq!(snapshot.revision().map(Revision::as_str), Some("7"));
    }

    #[test]
    fn an_answer_without_a_revision_is_not_taken() {
        assert!(look(br#"{"metadata":{}}"#).is_err());
        assert!(look(br#"{"metadata":{"resourceVersion":"0"}}"#).is_err());
        assert!(look(b"<html>").is_err());
    }

    #[test]
    fn who_manages_the_fields() {
        let annotated = |annotations: &str, managers: &str| {
            let body = format!(
                r#"{{"metadata":{{"resourceVersion":"7","annotations":{annotations},"managedFields":{managers}}}}}"#
            );
            look(body.as_bytes()).unwrap().version.fields
        };
        let fields = |managers: &str| annotated("null", managers);
        assert_eq!(fields("null"), ManagedFields::None);
        assert_eq!(
            fields(r#"[{"manager":"a","operation":"Update","fieldsV1":{"f:data":{}}}]"#),
            ManagedFields::Sheddable
        );
        assert_eq!(fields(r#"[{"operation":"Update"},{"operation":"Apply"}]"#), ManagedFields::Applied);
        let by_kubectl = r#"{"kubectl.kubernetes.io/last-applied-configuration":"{}"}"#;
        assert_eq!(annotated(by_kubectl, r#"[{"operation":"Update"}]"#), ManagedFields::Applied);
        assert_eq!(annotated(by_kubectl, "null"), ManagedFields::Unguarded);
        assert_eq!(annotated(by_kubectl, "[]"), ManagedFields::Unguarded);
        assert_eq!(annotated(r#"{"other":"x"}"#, r#"[{"operation":"Update"}]"#), ManagedFields::Sheddable);
    }

    #[test]
    fn events_and_errors_of_a_watch() {
        let line = br#"{"type":"MODIFIED","object":{"metadata":{"resourceVersion":"9","annotations":{"a":"b","mapstore/last-write":"n"}}}}"#;
        let seen = event(line).unwrap();
        assert_eq!((seen.deleted, seen.look.stamp.as_deref()), (false, Some("n")));
        assert!(seen.map.is_empty() && seen.look.version.revision.as_str() == "9");
        let gone = br#"{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}}"#;
        assert!(matches!(event(gone), Err(Failure::Refused(refusal)) if refusal.code == 410));
        assert!(event(b"{}").is_err());
    }

    #[test]
    fn a_list_by_name_is_the_map_or_its_absence() {
        let body = br#"{"metadata":{"resourceVersion":"12"},"items":[{"metadata":{"uid":"u","resourceVersion":"7"},"data":{"k":"v"}}]}"#;
        let list = listed(body).unwrap();
        let state = list.state.unwrap();
        let revision = state.look.version.revision;
        assert_eq!((list.revision.as_str(), revision.as_str(), state.map.len()), ("12", "7", 1));
        assert!(listed(br#"{"metadata":{"resourceVersion":"12"},"items":null}"#).unwrap().state.is_none());
        assert!(listed(b"{}").is_err());
    }

    #[test]
    fn the_stamp_is_the_annotation_that_patches_carry() {
        let body = format!(r#"{{"metadata":{{"resourceVersion":"7","annotations":{{"{STAMP}":"n"}}}}}}"#);
        assert_eq!(look(body.as_bytes()).unwrap().stamp.as_deref(), Some("n"));
    }
}
