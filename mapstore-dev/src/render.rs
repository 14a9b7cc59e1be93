//! Answers as bytes: whole objects, metadata only, tables for kubectl, errors
//! (endpoints/handlers/response.go and responsewriters/writers.go).

use serde::Serialize;
use serde_json::{Value, json};

use crate::answer::{Answer, Body, Page};
use crate::gostr;
use crate::kind::Kind;
use crate::negotiate::Form;
use crate::object::{Item, Object, ObjectMeta};
use crate::query::Query;
use crate::request::Request;
use crate::status::Status;

#[derive(Debug)]
pub struct Rendered {
    pub code: u16,
    pub content_type: &'static str,
    pub body: Vec<u8>,
    pub warnings: Vec<String>,
    pub no_sniff: bool,
    /// Seconds.
    pub retry_after: Option<u32>,
}

impl Rendered {
    pub fn new(code: u16, content_type: &'static str, body: Vec<u8>) -> Rendered {
        Rendered { code, content_type, body, warnings: Vec::new(), no_sniff: false, retry_after: None }
    }
}

const JSON: &str = "application/json";

#[derive(Serialize)]
struct List<'a, T> {
    kind: &'a str,
    #[serde(rename = "apiVersion")]
    api_version: String,
    metadata: Value,
    items: T,
}

#[derive(Serialize)]
struct Partial<'a> {
    kind: &'static str,
    #[serde(rename = "apiVersion")]
    api_version: &'a str,
    metadata: &'a ObjectMeta,
}

fn partial<'a>(cm: &'a Object, api_version: &'a str) -> Partial<'a> {
    Partial { kind: "PartialObjectMetadata", api_version, metadata: &cm.metadata }
}

/// isPrettyPrint (negotiation/negotiate.go): asked for, or for human eyes.
fn pretty(query: &Query, user_agent: &str) -> bool {
    match query.get("pretty") {
        Some(v) if !v.is_empty() => matches!(v, "1" | "t" | "T" | "true" | "TRUE" | "True"),
        _ => ["curl", "Wget", "Mozilla/5.0"].iter().any(|a| user_agent.starts_with(a)),
    }
}

fn json<T: Serialize>(value: &T, pretty: bool) -> Vec<u8> {
    let written = match pretty {
        true => serde_json::to_vec_pretty(value),
        false => serde_json::to_vec(value).map(|mut bytes| {
            bytes.push(b'\n');
            bytes
        }),
    };
    written.unwrap_or_default()
}

fn rendered(code: u16, body: Vec<u8>) -> Rendered {
    Rendered::new(code, JSON, body)
}

pub fn error(status: Status, query: &Query, user_agent: &str) -> Rendered {
    let mut rendered = rendered(status.code, json(&status.wire(), pretty(query, user_agent)));
    rendered.retry_after = status.details.as_ref().and_then(|details| details.retry_after_seconds);
    rendered
}

/// Answers that have one form only.
pub fn plain(answer: Answer, request: &Request) -> Rendered {
    match answer.body {
        Body::Text(text) => {
            Rendered { content_type: "text/plain; charset=utf-8", ..rendered(answer.code, text.into()) }
        }
        _ => self::answer(answer, &Form::Whole, request),
    }
}

pub fn answer(answer: Answer, form: &Form, request: &Request) -> Rendered {
    let pretty = pretty(&request.query, &request.user_agent);
    let body = match &answer.body {
        Body::Status(status) => return error(status.clone(), &request.query, &request.user_agent),
        Body::Text(text) => text.as_bytes().to_vec(),
        Body::Json(value) => json(value, pretty),
        Body::Object(cm) => match object(cm, form, &request.query, pretty) {
            Ok(body) => body,
            Err(status) => return error(status, &request.query, &request.user_agent),
        },
        Body::List(page) => match list(page, form, &request.query, pretty) {
            Ok(body) => body,
            Err(status) => return error(status, &request.query, &request.user_agent),
        },
    };
    rendered(answer.code, body)
}

fn object(cm: &Object, form: &Form, query: &Query, pretty: bool) -> Result<Vec<u8>, Status> {
    Ok(match form {
        Form::Whole => json(cm, pretty),
        Form::Partial(v) => json(&partial(cm, &format!("meta.k8s.io/{v}")), pretty),
        Form::PartialList(_) => {
            let text = format!(
                "you requested PartialObjectMetadataList, but the requested object is not a list (*{})",
                cm.kind.internal()
            );
            return Err(Status::not_acceptable(text, None));
        }
        Form::Table(v) => {
            let metadata = json!({"resourceVersion": cm.metadata.resource_version});
            json(&table(cm.kind, &[cm], v, metadata, query)?, pretty)
        }
    })
}

/// An object inside a watch event.
pub fn event_object(cm: &Object, form: &Form, query: &Query) -> Result<Value, Status> {
    let bytes = object(cm, form, query, false)?;
    serde_json::from_slice(&bytes).map_err(|e| Status::internal(e.to_string()))
}

fn list(page: &Page, form: &Form, query: &Query, pretty: bool) -> Result<Vec<u8>, Status> {
    let items: Vec<&Object> = page.items.iter().map(|item| &**item).collect();
    let mut metadata = json!({"resourceVersion": page.revision.to_string()});
    if !page.proceed.is_empty() {
        metadata["continue"] = json!(page.proceed);
    }
    if let Some(remaining) = page.remaining {
        metadata["remainingItemCount"] = json!(remaining);
    }
    Ok(match form {
        Form::Whole => {
            let items: Vec<_> = items.iter().map(|cm| Item(cm)).collect();
            let kind = format!("{}List", page.kind.name());
            json(&List { kind: &kind, api_version: page.kind.api_version().into(), metadata, items }, pretty)
        }
        Form::PartialList(v) => {
            let api_version = format!("meta.k8s.io/{v}");
            let items: Vec<_> = items.iter().map(|cm| partial(cm, &api_version)).collect();
            // The real one's list is nil until something is appended to it.
            let items = Some(items).filter(|items| !items.is_empty());
            let kind = "PartialObjectMetadataList";
            json(&List { kind, api_version: api_version.clone(), metadata, items }, pretty)
        }
        Form::Partial(_) => {
            let text = format!(
                "you requested PartialObjectMetadata, but the requested object is a list (*{}List)",
                page.kind.internal()
            );
            return Err(Status::not_acceptable(text, None));
        }
        Form::Table(v) => json(&table(page.kind, &items, v, metadata, query)?, pretty),
    })
}

/// metav1.Table with the columns kubectl prints (pkg/printers/internalversion).
fn table(kind: Kind, items: &[&Object], v: &str, metadata: Value, query: &Query) -> Result<Value, Status> {
    let include = query.get("includeObject").unwrap_or("Metadata");
    let api_version = format!("meta.k8s.io/{v}");
    let row = |cm: &&Object| -> Result<Value, Status> {
        let object = match include {
            "" | "Metadata" => json!(partial(cm, &api_version)),
            "Object" => json!(cm),
            "None" => Value::Null,
            other => {
                let other = gostr::quote(other);
                return Err(Status::bad_request(format!(
                    "Unable to convert to Table as requested: includeObject: Invalid value: {other}: must be 'Metadata', 'Object', 'None', or empty"
                )));
            }
        };
        let second = match kind {
            Kind::ConfigMap => json!(cm.data.len() + cm.binary_data.len()),
            Kind::Lease => json!(cm.spec.holder_identity.as_deref().unwrap_or_default()),
        };
        let age = age(&cm.metadata.creation_timestamp);
        Ok(json!({"cells": [cm.metadata.name, second, age], "object": object}))
    };
    let rows = items.iter().map(row).collect::<Result<Vec<_>, _>>()?;
    let column = |name: &str, format: &str, description: &str| json!({"name": name, "type": "string", "format": format, "description": description, "priority": 0});
    Ok(json!({
        "kind": "Table", "apiVersion": api_version,
        "metadata": metadata,
        "columnDefinitions": [
            column("Name", "name", "The object's name."),
            match kind {
                Kind::ConfigMap => column("Data", "", "How many keys it has."),
                Kind::Lease => column("Holder", "", "Who holds it."),
            },
            column("Age", "", "How long it has existed."),
        ],
        "rows": rows,
    }))
}

/// duration.HumanDuration since a time.
fn age(created: &str) -> String {
    let (Some(then), Some(now)) = (gostr::seconds(created), gostr::seconds(&gostr::now())) else {
        return "<unknown>".into();
    };
    human((now - then).max(0))
}

fn human(s: i64) -> String {
    let (minutes, hours, days) = (s / 60, s / 3600, s / 86_400);
    let years = days / 365;
    let two = |a: i64, ua: &str, b: i64, ub: &str| match b {
        0 => format!("{a}{ua}"),
        b => format!("{a}{ua}{b}{ub}"),
    };
    match () {
        () if s < 120 => format!("{s}s"),
        () if minutes < 10 => two(minutes, "m", s % 60, "s"),
        () if minutes < 180 => format!("{minutes}m"),
        () if hours < 8 => two(hours, "h", minutes % 60, "m"),
        () if hours < 48 => format!("{hours}h"),
        () if days < 8 => two(days, "d", hours % 24, "h"),
        () if days < 730 => format!("{days}d"),
        () if years < 8 => two(years, "y", days % 365, "d"),
        () => format!("{years}y"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        let cases = [(5, "5s"), (125, "2m5s"), (600, "10m"), (3 * 3600 + 60, "3h1m"), (86_400 * 9, "9d")];
        for (seconds, text) in cases {
            assert_eq!(human(seconds), text);
        }
    }

    #[test]
    fn humans_get_indented_json() {
        assert!(pretty(&Query::default(), "curl/8"));
        assert!(!pretty(&Query::parse("pretty=false"), "curl/8"));
        assert!(pretty(&Query::parse("pretty=1"), "kubectl"));
    }
}
