//! A refusal of the API server: from its `Status` object, or whatever a proxy
//! put there, to an [`Error`]. Pure.
//!
//! Status objects: apimachinery's pkg/apis/meta/v1/types.go. The texts matched
//! here were seen on the server; where a reason or cause exists, it decides.

use std::time::Duration;

use serde::Deserialize;

use crate::error::{Error, ErrorKind};
use crate::model::{MAX_OBJECT_BYTES, MAX_VALUES_BYTES};

/// An answer that isn't 2xx.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub code: u16,
    pub retry_after: Option<Duration>,
    /// The server shuts down: another one would answer on a new connection.
    pub leaving: bool,
    /// The answer ended early: its reason is not known.
    pub cut: bool,
    /// The refusal came within seconds of answers that were fine: a server that has just started
    /// may not know its roles yet.
    pub unsettled: bool,
    status: Box<Status>,
    /// Whether the body was a `Status` object, as an API server sends it.
    told: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Status {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    details: Details,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Details {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    causes: Vec<Cause>,
    #[serde(default, rename = "retryAfterSeconds")]
    retry_after_seconds: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Cause {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
}

/// What was asked of which map, for messages.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub verb: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
    /// Where the credentials came from.
    pub origin: &'a str,
    /// Where the answer came from.
    pub address: &'a str,
}

impl Refusal {
    /// `body` may be anything: a proxy's HTML, plain text, half a Status.
    pub fn new(code: u16, retry_after: Option<Duration>, body: &[u8]) -> Refusal {
        let read = serde_json::from_slice::<Box<Status>>(body);
        // Half a Status is as good as a cut answer, whoever framed it.
        let cut = read.as_ref().is_err_and(|error| error.is_eof() && !body.is_empty());
        let mut status = read.unwrap_or_default();
        if status.message.is_empty() {
            let text = String::from_utf8_lossy(&body[..body.len().min(200)]);
            status.message = text.split_whitespace().collect::<Vec<_>>().join(" ");
        }
        let told = Duration::from_secs(status.details.retry_after_seconds);
        let retry_after = retry_after.or(Some(told).filter(|told| !told.is_zero()));
        let told = status.kind == "Status" || !status.reason.is_empty();
        Refusal { code, retry_after, leaving: false, cut, unsettled: false, status, told }
    }

    /// The connection ended in the middle of the answer.
    pub fn cut_short(self) -> Refusal {
        Refusal { cut: true, ..self }
    }

    /// `closes`: the server ends the connection that the answer came on. An API
    /// server that shuts down answers 429 with `Connection: close`, or 503 with
    /// Retry-After (`WithRetryAfter` in apiserver's pkg/server/filters).
    pub fn on_a_connection(self, closes: bool) -> Refusal {
        let leaving = match self.code {
            503 => closes || self.retry_after.is_some(),
            429 => closes,
            _ => false,
        };
        Refusal { leaving, ..self }
    }

    /// A server that is too busy for this one.
    pub fn asks_to_wait(&self) -> bool {
        self.code == 429 && self.retry_after.is_some()
    }

    fn has_cause(&self, reason: &str, text: &str) -> bool {
        self.status.details.causes.iter().any(|cause| cause.reason == reason && cause.message.contains(text))
    }

    pub fn is_conflict(&self) -> bool {
        self.code == 409 && self.status.reason != "AlreadyExists"
    }

    pub fn already_exists(&self) -> bool {
        self.code == 409 && self.status.reason == "AlreadyExists"
    }

    pub fn namespace_missing(&self) -> bool {
        self.code == 404 && self.status.details.kind == "namespaces"
    }

    /// The object isn't there (and the answer comes from an API server).
    pub fn object_missing(&self) -> bool {
        self.code == 404 && self.status.reason == "NotFound" && !self.namespace_missing()
    }

    /// RBAC (or another authorizer) refuses the verb itself. Quota, admission
    /// and namespaces being deleted are 403 too.
    pub fn not_authorized(&self) -> bool {
        self.code == 403
            && self.status.message.contains(" cannot ")
            && self.status.message.contains(" resource ")
    }

    /// The key would stand in `data` and in `binaryData`: it lives in the other one.
    /// Kubernetes: `ValidateConfigMap` in pkg/apis/core/validation.
    pub fn key_on_other_side(&self) -> bool {
        self.code == 422 && self.has_cause("FieldValueInvalid", "duplicate of key present in")
    }

    /// The keys that are on the other side, if the refusal names them.
    pub fn keys_on_other_side(&self) -> Vec<&str> {
        let causes = self.status.details.causes.iter();
        let of_other_side = causes.filter(|cause| cause.message.contains("duplicate of key present in"));
        of_other_side.filter_map(|cause| cause.message.split('"').nth(1)).collect()
    }

    /// Whether the refusal may be due to one of several writes that were sent together.
    pub fn minds_the_content(&self) -> bool {
        matches!(self.code, 400 | 403 | 413 | 422 | 500) && !self.not_authorized() && !self.immutable()
    }

    /// The values are over the 1 MiB that they may have together.
    fn values_too_large(&self) -> bool {
        self.code == 422 && self.has_cause("FieldValueTooLong", &MAX_VALUES_BYTES.to_string())
    }

    /// etcd, or the API server on its behalf, refuses the size: definite, although a 500.
    pub fn request_too_large(&self) -> bool {
        let told = |text| self.status.message.contains(text);
        self.code == 413
            || (self.code == 500
                && (told("request is too large") || told("trying to send message larger than max")))
    }

    /// The API server itself says that etcd refuses the size, which holds for the same write before. What a proxy in
    /// between says (413) is about the request that met it, and an earlier one may have gone another way.
    pub fn etcd_refuses_the_size(&self) -> bool {
        self.told && self.code == 500 && self.request_too_large()
    }

    pub fn too_large(&self) -> bool {
        self.values_too_large() || self.request_too_large()
    }

    /// An admission webhook is in the way that can't rehearse. Kubernetes:
    /// `NewDryRunUnsupportedErr` in apiserver's pkg/admission/plugin/webhook/errors.
    pub fn no_dry_run(&self) -> bool {
        self.code == 400 && self.status.message.contains("does not support dry run")
    }

    pub fn immutable(&self) -> bool {
        self.code == 422 && self.has_cause("FieldValueForbidden", "immutable")
    }

    pub fn to_error(&self, asked: Asked<'_>) -> Error {
        let subject = format!("configmap {}/{}", asked.namespace, asked.name);
        let said = self.said();
        let error = |kind, message: String| Error::new(kind, &subject, message);
        let error = match self.code {
            401 => error(
                ErrorKind::Unauthorized,
                format!("the API server doesn't accept the credentials from the {}: {said}", asked.origin),
            ),
            403 if self.not_authorized() => error(ErrorKind::Forbidden, forbidden(asked, said)),
            403 => error(ErrorKind::Rejected, format!("the cluster refuses the write: {said}")),
            404 if self.namespace_missing() => Error::new(
                ErrorKind::NamespaceNotFound,
                format!("namespace {}", asked.namespace),
                format!("it doesn't exist; create it first: kubectl create namespace {}", asked.namespace),
            ),
            404 if !self.told => error(ErrorKind::Unavailable, not_an_api_server(asked, said)),
            409 => error(ErrorKind::Conflict, format!("another writer was faster: {said}")),
            429 => error(ErrorKind::Overloaded, format!("the API server asks to slow down: {said}")),
            422 if self.immutable() => {
                error(ErrorKind::Immutable, "it is marked immutable; delete it and create it anew".into())
            }
            _ if self.too_large() => self.too_large_error(&subject, 0, 0),
            400 | 405..=428 => {
                error(ErrorKind::Rejected, format!("the API server refuses the request: {said}"))
            }
            code => error(
                ErrorKind::Unavailable,
                format!("no useful answer from the API server (HTTP status {code}): {said}"),
            ),
        };
        error.with_status(self.code)
    }

    /// `values` and `object`: the bytes that all values, and the stored object
    /// without its metadata, would have. A sum that would fit explains nothing
    /// and is left out.
    pub fn too_large_error(&self, subject: &str, values: u64, object: u64) -> Error {
        let (limit, what, used) = if self.values_too_large() {
            (MAX_VALUES_BYTES, "all values together", values)
        } else {
            (MAX_OBJECT_BYTES, "the stored object, keys included,", object)
        };
        let used = Some(used).filter(|&used| used > limit);
        let would = used.map(|used| format!("; it would have {used}")).unwrap_or_default();
        let message =
            format!("{what} may have {limit} bytes{would}; delete keys or spread them over several stores");
        Error::too_large(subject, used, limit, message).with_status(self.code)
    }

    fn said(&self) -> &str {
        if self.status.message.is_empty() { "it gave no reason" } else { &self.status.message }
    }
}

/// A path that isn't there: a wrong port, a path that is missing in the
/// server's address, or a load balancer that knows of no server.
fn not_an_api_server(asked: Asked<'_>, said: &str) -> String {
    let Asked { origin, address, .. } = asked;
    format!(
        "what answers at {address} is not the API of a Kubernetes cluster (HTTP status 404); check host, port and path \
         of the server in the {origin}. It says: {said}"
    )
}

fn forbidden(asked: Asked<'_>, said: &str) -> String {
    let Asked { verb, namespace, name, .. } = asked;
    // `create` can't be granted for a name: authorization happens before the body is read.
    let names = if verb == "create" { String::new() } else { format!(", resourceNames: [\"{name}\"]") };
    format!(
        "not allowed to {verb} configmaps in namespace {namespace}; a Role there with the rule \
         {{apiGroups: [\"\"], resources: [\"configmaps\"]{names}, verbs: [\"{verb}\"]}} would help. \
         The API server says: {said}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: Asked<'static> =
        Asked { verb: "patch", namespace: "ns", name: "m", origin: "test", address: "https://host/path" };

    fn refusal(code: u16, body: serde_json::Value) -> Refusal {
        Refusal::new(code, None, body.to_string().as_bytes())
    }

    #[test]
    fn what_the_server_was_seen_to_say() {
        let rbac = "configmaps \"m\" is forbidden: User \"u\" cannot patch resource \"configmaps\" in API group \"\" \
                    in the namespace \"ns\"";
        let cases = [
            (403, serde_json::json!({"message": rbac, "reason": "Forbidden"}), ErrorKind::Forbidden),
            (
                403,
                serde_json::json!({"message": "configmaps \"m\" is forbidden: exceeded quota: q", "reason": "Forbidden"}),
                ErrorKind::Rejected,
            ),
            (401, serde_json::json!({"message": "Unauthorized"}), ErrorKind::Unauthorized),
            (
                404,
                serde_json::json!({"reason": "NotFound", "details": {"kind": "namespaces"}}),
                ErrorKind::NamespaceNotFound,
            ),
            (500, serde_json::json!({"message": "etcdserver: request is too large"}), ErrorKind::TooLarge),
            (500, serde_json::json!({"message": "etcdserver: leader changed"}), ErrorKind::Unavailable),
            (
                422,
                serde_json::json!({"details": {"causes": [{"reason": "FieldValueForbidden",
                    "message": "Forbidden: field is immutable when `immutable` is set"}]}}),
                ErrorKind::Immutable,
            ),
            (
                422,
                serde_json::json!({"details": {"causes": [{"reason": "FieldValueTooLong",
                    "message": "Too long: may not be more than 1048576 bytes"}]}}),
                ErrorKind::TooLarge,
            ),
            (422, serde_json::json!({"reason": "Invalid", "message": "denied request"}), ErrorKind::Rejected),
            (429, serde_json::json!({}), ErrorKind::Overloaded),
        ];
        for (code, body, kind) in cases {
            let error = refusal(code, body.clone()).to_error(ASKED);
            assert_eq!(error.kind(), kind, "{code} {body}");
            assert_eq!(error.http_status(), Some(code));
        }
    }

    #[test]
    fn answers_that_are_no_status() {
        let html = Refusal::new(502, None, b"<html>\n<h1>Bad   gateway</h1>");
        assert_eq!(html.to_error(ASKED).kind(), ErrorKind::Unavailable);
        assert!(html.to_error(ASKED).to_string().contains("Bad gateway"));
        assert_eq!(Refusal::new(504, None, b"").to_error(ASKED).kind(), ErrorKind::Unavailable);
        assert!(!Refusal::new(404, None, b"404 page not found").object_missing());
        let cut = Refusal::new(429, Some(Duration::from_secs(3)), br#"{"kind":"Sta"#);
        assert_eq!(cut.retry_after, Some(Duration::from_secs(3)));
    }

    #[test]
    fn a_404_of_something_else_says_what_answered_and_where() {
        for body in ["404 page not found\n", "<html><h1>Not Found</h1>", "{\"error\": \"no route\"}", ""] {
            let refusal = Refusal::new(404, None, body.as_bytes());
            assert!(!refusal.object_missing());
            let error = refusal.to_error(ASKED);
            let text = error.to_string();
            assert!(text.contains("https://host/path") && text.contains("not the API"), "{text}");
            assert_eq!((error.kind(), error.http_status()), (ErrorKind::Unavailable, Some(404)));
        }
    }

    #[test]
    fn a_server_that_shuts_down_is_told_from_a_busy_one() {
        let second = Some(Duration::from_secs(1));
        let leaving = |code, wait, closes| Refusal::new(code, wait, b"").on_a_connection(closes).leaving;
        assert!(leaving(503, second, false) && leaving(503, None, true) && leaving(429, second, true));
        assert!(!leaving(429, second, false) && !leaving(503, None, false) && !leaving(500, second, true));
    }

    #[test]
    fn the_keys_on_the_other_side_are_named() {
        let cause = |key: &str| {
            let message = format!("Invalid value: \"{key}\": duplicate of key present in data");
            serde_json::json!({"reason": "FieldValueInvalid", "message": message})
        };
        let body = serde_json::json!({"details": {"causes": [cause("a.b"), cause("c")]}});
        assert_eq!(refusal(422, body).keys_on_other_side(), ["a.b", "c"]);
        assert!(refusal(422, serde_json::json!({})).keys_on_other_side().is_empty());
    }

    #[test]
    fn a_webhook_without_dry_runs() {
        let message = "admission webhook \"w\" does not support dry run";
        assert!(refusal(400, serde_json::json!({"message": message, "reason": "BadRequest"})).no_dry_run());
        assert!(!refusal(400, serde_json::json!({"message": "bad"})).no_dry_run());
    }

    #[test]
    fn a_forbidden_verb_names_the_rule() {
        let body = serde_json::json!({"message": "User \"u\" cannot create resource \"configmaps\""});
        let text = refusal(403, body.clone()).to_error(Asked { verb: "create", ..ASKED }).to_string();
        assert!(text.contains("verbs: [\"create\"]") && !text.contains("resourceNames"), "{text}");
        assert!(refusal(403, body).to_error(ASKED).to_string().contains("resourceNames: [\"m\"]"));
    }
}
