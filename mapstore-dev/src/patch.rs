//! From a request's body to the object it wants stored: whole objects (POST,
//! PUT) and the three patch types, with the field validation of each
//! (endpoints/handlers/{create,patch,rest}.go). Pure.

use serde_json::Value;

use crate::decode::{self, Flavour};
use crate::field::FieldError;
use crate::gostr;
use crate::json::{self, Document};
use crate::jsonpatch;
use crate::kind::Kind;
use crate::negotiate::{Encoding, PatchType};
use crate::object::Object;
use crate::protobuf;
use crate::status::Status;
use crate::strategic;

/// `?fieldValidation=`; Warn if not given.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum FieldValidation {
    Ignore,
    #[default]
    Warn,
    Strict,
}

/// An object and the warnings its reading gave.
#[derive(Debug)]
pub struct Wanted {
    pub object: Object,
    pub warnings: Vec<String>,
}

/// A body as a document, whatever its encoding; the error is the decoder's text.
pub fn document(body: &[u8], encoding: Encoding) -> Result<Document, String> {
    match encoding {
        Encoding::Json => {
            json::parse(body).map_err(|e| format!("couldn't get version/kind; json parse error: {e}"))
        }
        Encoding::Protobuf => protobuf::to_json(body).map(|value| Document { value, duplicates: Vec::new() }),
    }
}

/// Reads the object of a POST or PUT.
pub fn whole(
    body: &[u8],
    encoding: Encoding,
    wanted: Kind,
    validation: FieldValidation,
) -> Result<Wanted, Status> {
    let unrecognized = |error: String| {
        let summary = summarize(body);
        Status::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): {error} ({summary})",
            wanted.name()
        ))
    };
    let document = document(body, encoding).map_err(unrecognized)?;
    let (api_version, kind) = type_of(&document.value).map_err(unrecognized)?;
    let version = if api_version.is_empty() { wanted.api_version() } else { &api_version };
    let kind = if kind.is_empty() { wanted.name() } else { &kind };
    let refuse = |error: String| {
        let version = gostr::quote(version.rsplit('/').next().unwrap_or_default());
        Status::bad_request(format!(
            "{kind} in version {version} cannot be handled as a {}: {error}",
            wanted.name()
        ))
    };
    if (version, kind) != (wanted.api_version(), wanted.name()) {
        return Err(refuse(unusable(wanted, version, kind)));
    }
    let decoded = decode::object(&document.value, wanted, Flavour::Json).map_err(refuse)?;
    let strict = complaints(&document.duplicates, &decoded.unknown);
    let warnings = judge(strict, validation).map_err(refuse)?;
    Ok(Wanted { object: decoded.object, warnings })
}

/// SimpleMetaFactory.Interpret: apiVersion and kind, which must be strings.
fn type_of(value: &Value) -> Result<(String, String), String> {
    let Value::Object(map) = value else {
        if value.is_null() {
            return Ok((String::new(), String::new()));
        }
        let kind = json::kind(value);
        return Err(format!(
            "couldn't get version/kind; json parse error: json: cannot unmarshal {kind} into Go value of type struct {{ APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }}"
        ));
    };
    let text = |name: &str| match map.get(name) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(s)) => Ok(s.clone()),
        Some(other) => Err(format!(
            "couldn't get version/kind; json parse error: json: cannot unmarshal {} into Go struct field .{name} of type string",
            json::kind(other)
        )),
    };
    Ok((text("apiVersion")?, text("kind")?))
}

/// What the decoder says of an object that isn't a ConfigMap.
fn unusable(wanted: Kind, version: &str, kind: &str) -> String {
    // A kind the real server has.
    let known = matches!(kind, "ConfigMap" | "Secret" | "Pod" | "Namespace" | "Service");
    if version == "v1" && known || (version, kind) == (Kind::Lease.api_version(), "Lease") {
        return format!("converting (v1.{kind}) to ({}): unknown conversion", wanted.internal());
    }
    unregistered(version, kind)
}

pub fn unregistered(version: &str, kind: &str) -> String {
    format!(
        "no kind {} is registered for version {} in scheme \"pkg/api/legacyscheme/scheme.go:30\"",
        gostr::quote(kind),
        gostr::quote(version)
    )
}

/// The start of a body that can't be read, as text if it may be JSON.
fn summarize(body: &[u8]) -> String {
    const SHOWN: usize = 30;
    let start = &body[..body.len().min(SHOWN)];
    let more = if body.len() > SHOWN { " ..." } else { "" };
    match body.first() {
        None => "<empty>".into(),
        Some(b'{') => format!("{}{more}", String::from_utf8_lossy(start)),
        Some(_) => {
            let hex: String = start.iter().map(|b| format!("{b:02x}")).collect();
            format!("{hex}{more}")
        }
    }
}

fn complaints(duplicates: &[String], unknown: &[String]) -> Vec<String> {
    let duplicates = duplicates.iter().map(|p| format!("duplicate field {}", gostr::quote(p)));
    let unknown = unknown.iter().map(|p| format!("unknown field {}", gostr::quote(p)));
    duplicates.chain(unknown).collect()
}

/// The warnings, or under Strict the error.
fn judge(strict: Vec<String>, validation: FieldValidation) -> Result<Vec<String>, String> {
    match validation {
        FieldValidation::Ignore => Ok(Vec::new()),
        FieldValidation::Strict if !strict.is_empty() => {
            Err(format!("strict decoding error: {}", strict.join(", ")))
        }
        _ => Ok(strict),
    }
}

/// Applies a patch to the stored object.
pub fn apply(
    kind: PatchType,
    patch: &[u8],
    current: &Object,
    validation: FieldValidation,
) -> Result<Wanted, Status> {
    match kind {
        PatchType::Json => json_patch(patch, current, validation),
        PatchType::Merge => merge_patch(patch, current, validation),
        PatchType::Strategic => strategic_patch(patch, current, validation),
    }
}

fn read(patch: &[u8], validation: FieldValidation, ignoring: &str) -> Result<Document, Status> {
    json::parse(patch).map_err(|e| match validation {
        FieldValidation::Ignore if ignoring.is_empty() => Status::bad_request(e.to_string()),
        FieldValidation::Ignore => Status::bad_request(ignoring),
        _ => Status::bad_request(format!("error decoding patch: {e}")),
    })
}

/// 422 for a patch whose result isn't a ConfigMap.
fn invalid(printed: &str, error: &str) -> Status {
    Status::invalid("", "", "", &[FieldError::invalid_str("patch", printed, error)])
}

fn json_patch(patch: &[u8], current: &Object, v: FieldValidation) -> Result<Wanted, Status> {
    let document = read(patch, v, "")?;
    let operations = match document.value {
        Value::Array(operations) => operations,
        Value::Null => Vec::new(),
        other => {
            let kind = json::kind(&other);
            return Err(Status::bad_request(format!(
                "error decoding patch: json: cannot unmarshal {kind} into Go value of type []handlers.jsonPatchOp"
            )));
        }
    };
    let mut strict = complaints(&document.duplicates, &[]);
    for (i, op) in operations.iter().enumerate() {
        strict.extend(operation_fields(i, op)?);
    }
    let strict = strict.into_iter().map(|s| format!("json patch {s}")).collect();
    if operations.len() > jsonpatch::MAX_OPERATIONS {
        return Err(Status::body_too_large(&format!(
            "The allowed maximum operations in a JSON patch is {}, got {}",
            jsonpatch::MAX_OPERATIONS,
            operations.len()
        )));
    }
    let mut value = current.to_value();
    jsonpatch::apply(&mut value, &operations).map_err(|_| Status::unprocessable())?;
    finish_json(value, current.kind, strict, v)
}

/// The fields of one operation that have the wrong type (an error) or no
/// meaning (a strict complaint).
fn operation_fields(i: usize, op: &Value) -> Result<Vec<String>, Status> {
    let bad = |text: String| Status::bad_request(format!("error decoding patch: json: {text}"));
    let Value::Object(map) = op else {
        let kind = json::kind(op);
        if op.is_null() {
            return Ok(Vec::new());
        }
        return Err(bad(format!("cannot unmarshal {kind} into Go value of type handlers.jsonPatchOp")));
    };
    for name in ["op", "path", "from"] {
        match map.get(name) {
            None | Some(Value::Null | Value::String(_)) => {}
            Some(other) => {
                let kind = json::kind(other);
                return Err(bad(format!(
                    "cannot unmarshal {kind} into Go struct field jsonPatchOp.{name} of type string"
                )));
            }
        }
    }
    let known = ["op", "path", "from", "value"];
    let unknown = map.keys().filter(|k| !known.contains(&k.as_str()));
    Ok(unknown.map(|k| format!("unknown field {}", gostr::quote(&format!("[{i}].{k}")))).collect())
}

fn merge_patch(patch: &[u8], current: &Object, v: FieldValidation) -> Result<Wanted, Status> {
    const BAD: &str = "Invalid JSON Patch";
    let document = read(patch, v, BAD)?;
    let patch = match document.value {
        Value::Object(map) => map,
        Value::Null => return Err(Status::bad_request(BAD)),
        other => {
            let kind = json::kind(&other);
            return Err(Status::bad_request(format!(
                "error decoding patch: json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"
            )));
        }
    };
    let Value::Object(mut merged) = current.to_value() else {
        return Err(Status::internal("it is an object"));
    };
    jsonpatch::merge(&mut merged, patch);
    finish_json(Value::Object(merged), current.kind, complaints(&document.duplicates, &[]), v)
}

/// jsonPatcher.applyPatchToCurrentObject: decode what the patch made.
fn finish_json(
    value: Value,
    wanted: Kind,
    mut strict: Vec<String>,
    v: FieldValidation,
) -> Result<Wanted, Status> {
    let refuse = |error: &str| invalid(&value.to_string(), error);
    let (version, kind) = type_of(&value).map_err(|e| refuse(&e))?;
    if version.is_empty() {
        return versionless(&value, wanted, strict, v).map_err(|e| refuse(&e));
    }
    let kind = if kind.is_empty() { wanted.name() } else { &kind };
    if (version.as_str(), kind) != (wanted.api_version(), wanted.name()) {
        return Err(refuse(&unusable(wanted, &version, kind)));
    }
    let decoded = decode::object(&value, wanted, Flavour::Json).map_err(|e| refuse(&e))?;
    strict.extend(complaints(&[], &decoded.unknown));
    let warnings = judge(strict, v).map_err(|e| refuse(&e))?;
    Ok(Wanted { object: decoded.object, warnings })
}

/// A patch that took the apiVersion away: the real server then reads the
/// object as its internal type, which shares no field names with the wire.
fn versionless(
    value: &Value,
    kind: Kind,
    mut strict: Vec<String>,
    v: FieldValidation,
) -> Result<Wanted, String> {
    let keys = value.as_object().into_iter().flat_map(|map| map.keys());
    let unknown: Vec<_> = keys.filter(|k| *k != "kind" && *k != "apiVersion").cloned().collect();
    strict.extend(complaints(&[], &unknown));
    Ok(Wanted { object: Object { kind, ..Object::default() }, warnings: judge(strict, v)? })
}

fn strategic_patch(patch: &[u8], current: &Object, v: FieldValidation) -> Result<Wanted, Status> {
    let document = json::parse(patch).map_err(|e| Status::bad_request(e.to_string()))?;
    let printed = gostr::value(&document.value);
    let patch = match document.value {
        Value::Object(map) => map,
        Value::Null => serde_json::Map::new(),
        other => {
            let kind = json::kind(&other);
            return Err(Status::bad_request(format!(
                "json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"
            )));
        }
    };
    let Value::Object(original) = current.to_value() else {
        return Err(Status::internal("it is an object"));
    };
    let merged = strategic::merge(original, patch).map_err(|e| match e {
        strategic::Refused::BadRequest(text) => Status::bad_request(text),
        strategic::Refused::Internal(text) => Status::internal(text),
    })?;
    let decoded = decode::object(&Value::Object(merged), current.kind, Flavour::Unstructured)
        .map_err(|e| invalid(&printed, &e))?;
    let mut unknown = decoded.unknown;
    unknown.sort();
    let strict = complaints(&document.duplicates, &unknown);
    let warnings = judge(strict, v).map_err(|e| invalid(&printed, &e))?;
    Ok(Wanted { object: decoded.object, warnings })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WARN: FieldValidation = FieldValidation::Warn;

    fn refused(kind: PatchType, patch: &str) -> (u16, String) {
        let status = apply(kind, patch.as_bytes(), &Object::default(), WARN).unwrap_err();
        (status.code, status.message)
    }

    #[test]
    fn malformed_bodies() {
        let text =
            |body: &str| whole(body.as_bytes(), Encoding::Json, Kind::ConfigMap, WARN).unwrap_err().message;
        assert_eq!(
            text("{nope"),
            "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: invalid character 'n' looking for beginning of object key string ({nope)"
        );
        assert!(text("").ends_with("unexpected end of JSON input (<empty>)"));
        assert!(text("nope").ends_with("(6e6f7065)"));
        assert_eq!(
            text(r#"{"kind":"ConfigMap","apiVersion":"v1","data":{"a":1}}"#),
            "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: json: cannot unmarshal number into Go struct field ConfigMap.data of type string"
        );
        assert!(text(r#"{"kind":"Bar","apiVersion":"foo/v2"}"#).contains("no kind \"Bar\" is registered"));
    }

    #[test]
    fn unknown_fields_warn_or_refuse() {
        let body = br#"{"foo":1,"data":{"a":"1","a":"2"}}"#;
        let read = whole(body, Encoding::Json, Kind::ConfigMap, WARN).unwrap();
        assert_eq!(read.warnings, ["duplicate field \"data.a\"", "unknown field \"foo\""]);
        assert_eq!(read.object.data["a"], "2");
        assert_eq!(
            whole(body, Encoding::Json, Kind::ConfigMap, FieldValidation::Ignore).unwrap().warnings.len(),
            0
        );
        let refused = whole(body, Encoding::Json, Kind::ConfigMap, FieldValidation::Strict).unwrap_err();
        assert!(
            refused
                .message
                .ends_with("strict decoding error: duplicate field \"data.a\", unknown field \"foo\"")
        );
    }

    #[test]
    fn malformed_patches() {
        use PatchType::*;
        let bad = "error decoding patch: unexpected end of JSON input";
        assert_eq!(refused(Json, "["), (400, bad.into()));
        assert_eq!(refused(Merge, "{"), (400, bad.into()));
        assert_eq!(refused(Strategic, "{"), (400, "unexpected end of JSON input".into()));
        assert_eq!(refused(Merge, "null"), (400, "Invalid JSON Patch".into()));
        assert_eq!(refused(Json, "{}").0, 400);
        assert_eq!(refused(Json, r#"[{"op":"remove","path":"/data/x"}]"#).0, 422);
        assert_eq!(
            refused(Strategic, r#"{"data":{"a":1}}"#),
            (422, " \"\" is invalid: patch: Invalid value: \"map[data:map[a:1]]\": cannot convert int64 to string".into())
        );
    }
}
