//! A watch of ConfigMaps: from a revision on, one event after the other, as
//! lines of JSON (endpoints/handlers/watch.go, storage/cacher). http.rs asks for
//! the next event, and knows when there is one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::field::FieldError;
use crate::gostr;
use crate::history::{Change, selects};
use crate::kind::Kind;
use crate::list;
use crate::negotiate::Form;
use crate::object::Object;
use crate::query::{self, Query};
use crate::render;
use crate::request::Request;
use crate::selector::Selector;
use crate::state::State;
use crate::status::Status;

/// How long a watch lasts that says nothing: at least --min-request-timeout
/// (the real server adds a random part).
const LASTS: Duration = Duration::from_secs(1800);

/// Bookmarks come by a timer, and once more before the end
/// (storage/cacher/cache_watcher.go, nextBookmarkTime).
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
const BEFORE_THE_END: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub struct Watch {
    kind: Kind,
    namespace: String,
    selector: Selector,
    form: Form,
    query: Query,
    lasts: Duration,
    /// The objects that were there at the beginning and are still to be told of.
    initial: VecDeque<Arc<Object>>,
    /// The client takes bookmarks.
    bookmarks: bool,
    /// The revision that the watch began with; a bookmark has to be newer.
    began_at: u64,
    /// Why the watch ends at once.
    refused: Option<Status>,
    /// The revision of the initial state, to be said once all of `initial` is told.
    initial_end: Option<u64>,
    /// The revision up to which everything was told.
    told: u64,
    /// A table's columns are described once.
    columns_told: bool,
    over: bool,
}

impl Watch {
    pub fn of(state: &State, request: &Request, kind: Kind, form: Form) -> Result<Watch, Status> {
        let query = &request.query;
        let selector = Selector::of(query)?;
        let lasts = lasts(query)?;
        check(query)?;
        let told = query::read_revision(query).map_err(Status::internal)?;
        let namespace = request.target.namespace.clone();
        // Without a revision, or with "0", a watch starts with what is there.
        let wanted = match query.get("sendInitialEvents") {
            Some(_) => query.flag("sendInitialEvents"),
            None => told == 0,
        };
        let there = state.objects(kind, &namespace).filter(|cm| wanted && selector.matches(&cm.metadata));
        let initial = there.cloned().collect();
        let bookmarks = query.flag("allowWatchBookmarks");
        // The real server waits three seconds for it.
        let refused = if wanted { list::reached(state, told, Some(1)).err() } else { None };
        let told = if wanted || told == 0 { state.revision().max(told) } else { told };
        Ok(Watch {
            kind,
            selector,
            lasts,
            bookmarks,
            began_at: told,
            refused,
            initial,
            initial_end: (wanted && bookmarks).then(|| state.revision()),
            told,
            namespace,
            form,
            query: query.clone(),
            columns_told: false,
            over: false,
        })
    }

    pub fn lasts(&self) -> Duration {
        self.lasts
    }

    /// When the next bookmark is due, of a watch that began at a time.
    pub fn bookmark_due(&self, began: Instant, now: Instant) -> Option<Instant> {
        self.bookmarks.then(|| bookmark_due(began + self.lasts, now))
    }

    /// Says that everything up to a revision was told, if that is news.
    pub fn bookmark(&self) -> Option<Vec<u8>> {
        let news = self.told > self.began_at;
        news.then(|| self.mark(json!({"resourceVersion": self.told.to_string()})))
    }

    /// Whether no event will come any more.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// The next event, if there is one yet.
    pub fn next(&mut self, state: &State) -> Option<Vec<u8>> {
        if self.over {
            return None;
        }
        if let Some(refused) = self.refused.take() {
            self.over = true;
            return Some(line("ERROR", &json!(refused.wire())));
        }
        if let Some(cm) = self.initial.pop_front() {
            return self.line(Change::Added, &cm);
        }
        if let Some(revision) = self.initial_end.take() {
            return Some(self.initial_events_end(revision));
        }
        let found = match state.history.since(self.told) {
            Ok(events) => events
                .map(|event| {
                    (event.revision, event.seen(|o| selects(self.kind, &self.namespace, &self.selector, o)))
                })
                .find_map(|(revision, seen)| seen.map(|seen| (revision, seen))),
            Err(oldest) => {
                self.over = true;
                let expired = Status::expired(&format!("too old resource version: {} ({oldest})", self.told));
                return Some(line("ERROR", &json!(expired.wire())));
            }
        };
        match found {
            Some((revision, (kind, cm))) => {
                self.told = revision;
                self.line(kind, &cm)
            }
            None => {
                // The events that were looked at are not looked at again; a revision in the future
                // stays where it is.
                self.told = self.told.max(state.revision());
                None
            }
        }
    }

    fn line(&mut self, change: Change, cm: &Object) -> Option<Vec<u8>> {
        let Ok(mut object) = render::event_object(cm, &self.form, &self.query) else {
            // A form that isn't one object's ends the stream without a word.
            self.over = true;
            return None;
        };
        if matches!(self.form, Form::Table(_)) && std::mem::replace(&mut self.columns_told, true) {
            object["columnDefinitions"] = Value::Null;
        }
        Some(line(change.name(), &object))
    }

    /// The bookmark that says that the state was told (KEP-3157).
    fn initial_events_end(&self, revision: u64) -> Vec<u8> {
        let annotations = json!({"k8s.io/initial-events-end": "true"});
        self.mark(json!({"resourceVersion": revision.to_string(), "annotations": annotations}))
    }

    /// A bookmark is an object of which nothing but some metadata is set.
    fn mark(&self, metadata: Value) -> Vec<u8> {
        let partial = |v: &str| {
            let api_version = format!("meta.k8s.io/{v}");
            json!({"kind": "PartialObjectMetadata", "apiVersion": api_version, "metadata": metadata})
        };
        let object = match &self.form {
            Form::Partial(v) => partial(v),
            Form::Table(v) => json!({
                "kind": "Table", "apiVersion": format!("meta.k8s.io/{v}"),
                "metadata": {"resourceVersion": metadata["resourceVersion"]}, "columnDefinitions": null,
                "rows": [{"cells": ["", 0, "<unknown>"], "object": partial(v)}],
            }),
            _ => {
                let (kind, api_version) = (self.kind.name(), self.kind.api_version());
                let mut object = json!({"kind": kind, "apiVersion": api_version, "metadata": metadata});
                if self.kind.is_lease() {
                    object["spec"] = json!({});
                }
                object
            }
        };
        line("BOOKMARK", &object)
    }
}

fn bookmark_due(end: Instant, now: Instant) -> Instant {
    let last = end.checked_sub(BEFORE_THE_END).filter(|last| *last > now);
    last.map_or(now + BOOKMARK_EVERY, |last| last.min(now + BOOKMARK_EVERY))
}

fn line(kind: &str, object: &Value) -> Vec<u8> {
    format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n").into_bytes()
}

fn lasts(query: &Query) -> Result<Duration, Status> {
    query::number(query, "timeoutSeconds")?;
    query::number(query, "limit")?;
    Ok(match query.get("timeoutSeconds").and_then(|text| text.parse::<i64>().ok()) {
        None | Some(0) => LASTS,
        Some(seconds) => Duration::from_secs(seconds.try_into().unwrap_or(0)),
    })
}

/// ValidateListOptions for a watch (apis/meta/internalversion/validation).
fn check(query: &Query) -> Result<(), Status> {
    let field = "resourceVersionMatch";
    let matching = query.get(field).unwrap_or_default();
    let initial = query.get("sendInitialEvents").is_some();
    let mut errors = Vec::new();
    if !initial && !matching.is_empty() {
        let detail = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
        errors.push(FieldError::forbidden(field, detail));
    }
    if initial && matching != "NotOlderThan" {
        let detail = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
        errors.push(FieldError::forbidden(field, detail));
    }
    if !matching.is_empty() && matching != "NotOlderThan" {
        errors.push(FieldError::not_supported(field, gostr::quote(matching), &["NotOlderThan"]));
    }
    match errors.as_slice() {
        [] => Ok(()),
        errors => Err(Status::invalid("meta.k8s.io", "ListOptions", "", errors)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bookmarks_come_every_minute_and_two_seconds_before_the_end() {
        let (began, seconds) = (Instant::now(), Duration::from_secs);
        let mut told = Vec::new();
        let (mut now, end) = (began, began + seconds(150));
        while let at = bookmark_due(end, now)
            && at < end
        {
            told.push((at - began).as_secs());
            now = at;
        }
        assert_eq!(told, [60, 120, 148]);
        assert_eq!(bookmark_due(began + seconds(15), began), began + seconds(13));
        assert!(bookmark_due(began + seconds(1), began) > began + seconds(1));
    }
}
