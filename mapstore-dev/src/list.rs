//! LIST: at which revision, which objects, how many of them
//! (apiserver/pkg/storage/etcd3/store.go GetList, storage/continue.go).

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::answer::{Answer, Body, Page};
use crate::gostr;
use crate::kind::Kind;
use crate::object::Object;
use crate::query::{self, Query};
use crate::request::{Request, selected_name};
use crate::selector::Selector;
use crate::state::State;
use crate::status::Status;

/// The version of the tokens.
const VERSION: &str = "meta.k8s.io/v1";

pub fn list(state: &State, request: &Request, kind: Kind) -> Result<Answer, Status> {
    let page = of(state, request, kind)?;
    Ok(Answer { code: 200, body: Body::List(page) })
}

/// What a list request selects.
pub fn of(state: &State, request: &Request, kind: Kind) -> Result<Page, Status> {
    let query = &request.query;
    query::check_list(query)?;
    let selector = Selector::of(query)?;
    let (when, start) = When::of(query)?;
    let (revision, all) = when.objects(state, &start)?;
    let namespace = &request.target.namespace;
    let mut rest: Vec<(String, Arc<Object>)> = all
        .into_iter()
        .filter(|cm| cm.kind == kind && (namespace.is_empty() || cm.metadata.namespace == *namespace))
        .map(|cm| (key(&cm, namespace), cm))
        .filter(|(key, _)| *key >= start)
        .collect();
    rest.sort_by(|(a, _), (b, _)| a.cmp(b));
    // A single object is read by its key: there is nothing after it.
    if let Some(name) = one(query) {
        rest.retain(|(_, cm)| cm.metadata.name == name);
    }
    Ok(Page { kind, ..page(rest, &selector, limit(query), revision) })
}

/// The name of the one object that is asked for.
fn one(query: &Query) -> Option<&str> {
    query.get("fieldSelector").and_then(selected_name)
}

/// Where an object stands among those of its list, as etcd sorts them.
fn key(cm: &Object, namespace: &str) -> String {
    let meta = &cm.metadata;
    if namespace.is_empty() {
        format!("/{}/{}", meta.namespace, meta.name)
    } else {
        format!("/{}", meta.name)
    }
}

/// 0 is no limit.
fn limit(query: &Query) -> usize {
    let limit = query.get("limit").and_then(|text| text.parse::<i64>().ok());
    limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(0)
}

fn page(rest: Vec<(String, Arc<Object>)>, selector: &Selector, limit: usize, revision: u64) -> Page {
    let mut page =
        Page { kind: Kind::default(), items: Vec::new(), revision, proceed: String::new(), remaining: None };
    let total = rest.len();
    for (looked_at, (key, cm)) in rest.into_iter().enumerate() {
        if !selector.matches(&cm.metadata) {
            continue;
        }
        page.items.push(cm);
        if page.items.len() == limit && looked_at + 1 < total {
            page.proceed = token(revision.try_into().unwrap_or(i64::MAX), &format!("{key}\0"));
            // How many of those that are left would be selected isn't known.
            page.remaining = selector.is_empty().then(|| total - looked_at - 1);
            break;
        }
    }
    page
}

/// The moment that a list shows.
#[derive(Debug)]
enum When {
    /// Now; at least this revision, or any with 0.
    Now(u64),
    /// The same, asked of etcd itself, which doesn't wait for a revision.
    Stored(u64),
    Exactly(u64),
    /// A later part of the list of this revision.
    Continued(u64),
}

impl When {
    /// Reads the query, which may also tell the key to begin at.
    fn of(query: &Query) -> Result<(When, String), Status> {
        let given = |name: &str| query.get(name).filter(|text| !text.is_empty());
        if let Some(token) = given("continue") {
            if given("resourceVersion").is_some_and(|version| version != "0") {
                return Err(Status::bad_request(
                    "specifying resource version is not allowed when using continue",
                ));
            }
            let (revision, start) = read_token(token)?;
            let when = u64::try_from(revision).map_or(When::Now(0), When::Continued);
            return Ok((when, start));
        }
        let revision = query::read_revision(query);
        let revision = revision.map_err(|e| Status::bad_request(format!("invalid resource version: {e}")))?;
        let when = match given("resourceVersionMatch") {
            Some("Exact") => When::Exactly(revision),
            // A limit without a match is an exact list (the API's behaviour before there were matches);
            // one object, read by its key, has no limit.
            None if revision > 0 && limit(query) > 0 && one(query).is_none() => When::Exactly(revision),
            None if limit(query) > 0 => When::Stored(revision),
            _ => When::Now(revision),
        };
        Ok((when, String::new()))
    }

    fn objects(&self, state: &State, start: &str) -> Result<(u64, Vec<Arc<Object>>), Status> {
        let current = state.revision();
        let (asked, waits) = match *self {
            When::Now(revision) => (revision, Some(1)),
            When::Stored(revision) | When::Exactly(revision) | When::Continued(revision) => (revision, None),
        };
        reached(state, asked, waits)?;
        if matches!(self, When::Now(_) | When::Stored(_)) {
            return Ok((current, state.everything()));
        }
        match (state.objects_at(asked), self) {
            (Some(objects), _) => Ok((asked, objects.into_values().collect())),
            (None, When::Continued(_)) => Err(too_old_to_continue(start)),
            (None, _) => Err(Status::expired("The resourceVersion for the provided list is too old.")),
        }
    }
}

fn too_old_to_continue(start: &str) -> Status {
    let mut status = Status::expired(
        "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.",
    );
    status.proceed = token(-1, start);
    status
}

/// Refuses a revision that isn't there yet. The real server waits three seconds for it first where it says after how
/// many seconds to ask again.
pub fn reached(state: &State, asked: u64, retry_after: Option<u32>) -> Result<(), Status> {
    let current = state.revision();
    if asked > current { Err(Status::revision_too_large(asked, current, retry_after)) } else { Ok(()) }
}

fn token(revision: i64, start: &str) -> String {
    let token = json!({"v": VERSION, "rv": revision, "start": start});
    BASE64_URL_SAFE_NO_PAD.encode(token.to_string())
}

/// The revision and the first key of a `continue` token.
fn read_token(token: &str) -> Result<(i64, String), Status> {
    let refuse = |why: &str| {
        Err(Status::bad_request(format!("invalid continue token: continue key is not valid: {why}")))
    };
    let Ok(bytes) = BASE64_URL_SAFE_NO_PAD.decode(token) else {
        return refuse("illegal base64 data");
    };
    let Ok(value) = serde_json::from_slice::<Value>(&bytes) else {
        let first = String::from_utf8_lossy(&bytes).chars().next();
        return refuse(&match first {
            Some(c) => format!("invalid character '{c}' looking for beginning of value"),
            None => "unexpected end of JSON input".into(),
        });
    };
    let version = value["v"].as_str().unwrap_or_default();
    if version != VERSION {
        return refuse(&format!("server does not recognize this encoded version {}", gostr::quote(version)));
    }
    let (revision, start) = (value["rv"].as_i64().unwrap_or(0), value["start"].as_str().unwrap_or_default());
    match (revision, start) {
        (0, _) => refuse(&format!("incorrect encoded start resourceVersion (version {VERSION})")),
        (_, "") => refuse(&format!("encoded start key empty (version {VERSION})")),
        (_, start) if start.starts_with('/') => Ok((revision, start.into())),
        (_, start) => Ok((revision, format!("/{start}"))),
    }
}
