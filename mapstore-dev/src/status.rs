//! `metav1.Status`: the one shape of every refusal. Each constructor is the
//! twin of one in apimachinery/pkg/api/errors/errors.go; none looks at state.

use serde::Serialize;

use crate::field::{Cause, FieldError};

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Details {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u32>,
}

impl Details {
    /// `kind` may have its group after a dot.
    pub fn of(kind: &str, name: &str) -> Self {
        let (kind, group) = kind.split_once('.').unwrap_or((kind, ""));
        Details { kind: kind.into(), group: group.into(), name: name.into(), ..Details::default() }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    pub code: u16,
    pub reason: &'static str,
    pub message: String,
    /// Boxed: a Status is the error of nearly every function here.
    pub details: Option<Box<Details>>,
    /// Where to go on with a list whose revision is gone.
    pub proceed: String,
}

/// ListMeta, of which a Status uses one field.
#[derive(Serialize)]
struct ListMeta<'a> {
    #[serde(rename = "continue", skip_serializing_if = "str::is_empty")]
    proceed: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    kind: &'static str,
    api_version: &'static str,
    metadata: ListMeta<'a>,
    status: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    message: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<&'a Details>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
}

impl Status {
    fn new(code: u16, reason: &'static str, message: String, details: Option<Details>) -> Self {
        Status { code, reason, message, details: details.map(Box::new), proceed: String::new() }
    }

    /// The body of the answer, in the wire's order.
    pub fn wire(&self) -> impl Serialize {
        let failed = self.code >= 400;
        Wire {
            kind: "Status",
            api_version: "v1",
            metadata: ListMeta { proceed: &self.proceed },
            status: if failed { "Failure" } else { "Success" },
            message: &self.message,
            reason: self.reason,
            details: self.details.as_deref(),
            code: failed.then_some(self.code),
        }
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message.into(), None)
    }

    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized".into(), None)
    }

    /// NewForbidden: `why` is the part after "is forbidden: ".
    pub fn forbidden(kind: &str, name: &str, why: &str) -> Self {
        let message = match (kind, name) {
            ("", _) => format!("forbidden: {why}"),
            (kind, "") => format!("{kind} is forbidden: {why}"),
            (kind, name) => format!("{kind} {} is forbidden: {why}", crate::gostr::quote(name)),
        };
        Self::new(403, "Forbidden", message, Some(Details::of(kind, name)))
    }

    pub fn not_found(kind: &str, name: &str) -> Self {
        let message = format!("{kind} {} not found", crate::gostr::quote(name));
        Self::new(404, "NotFound", message, Some(Details::of(kind, name)))
    }

    /// go-restful's 405 after NewGenericServerResponse.
    pub fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::new(405, "MethodNotAllowed", message.into(), Some(Details::default()))
    }

    pub fn not_acceptable(message: String, details: Option<Details>) -> Self {
        Self::new(406, "NotAcceptable", message, details)
    }

    pub fn already_exists(kind: &str, name: &str) -> Self {
        let message = format!("{kind} {} already exists", crate::gostr::quote(name));
        Self::new(409, "AlreadyExists", message, Some(Details::of(kind, name)))
    }

    pub fn conflict(kind: &str, name: &str, why: &str) -> Self {
        let name_q = crate::gostr::quote(name);
        let message = format!("Operation cannot be fulfilled on {kind} {name_q}: {why}");
        Self::new(409, "Conflict", message, Some(Details::of(kind, name)))
    }

    pub fn body_too_large(why: &str) -> Self {
        let message = format!("Request entity too large: {why}");
        Self::new(413, "RequestEntityTooLarge", message, None)
    }

    pub fn unsupported_media_type(message: String, details: Option<Details>) -> Self {
        Self::new(415, "UnsupportedMediaType", message, details)
    }

    /// NewInvalid: one cause per error, equal texts only once in the message.
    pub fn invalid(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Self {
        let mut texts: Vec<String> = Vec::new();
        for e in errors {
            let text = e.to_string();
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        let subject = if group.is_empty() { kind.into() } else { format!("{kind}.{group}") };
        let mut message = format!("{subject} {} is invalid", crate::gostr::quote(name));
        match texts.as_slice() {
            [] => {}
            [one] => message.push_str(&format!(": {one}")),
            many => message.push_str(&format!(": [{}]", many.join(", "))),
        }
        let causes = errors.iter().map(FieldError::cause).collect();
        let details = Details { group: group.into(), causes, ..Details::of(kind, name) };
        Self::new(422, "Invalid", message, Some(details))
    }

    /// NewGenericServerResponse(422): what a JSON patch that doesn't apply gets.
    pub fn unprocessable() -> Self {
        let message = "the server rejected our request due to an error in our request";
        Self::new(422, "Invalid", message.into(), Some(Details::default()))
    }

    /// NewResourceExpired.
    pub fn expired(message: &str) -> Self {
        Self::new(410, "Expired", message.into(), None)
    }

    /// NewTooLargeResourceVersionError; only a server that waits for the revision says when to ask again.
    pub fn revision_too_large(asked: u64, current: u64, retry_after_seconds: Option<u32>) -> Self {
        let message = format!("Timeout: Too large resource version: {asked}, current: {current}");
        let cause = Cause {
            kind: "ResourceVersionTooLarge".into(),
            message: "Too large resource version".into(),
            ..Cause::default()
        };
        let details = Details { causes: vec![cause], retry_after_seconds, ..Details::default() };
        Self::new(504, "Timeout", message, Some(details))
    }

    /// An error of a lower layer that nobody turned into a Status
    /// (responsewriters/status.go, ErrorToAPIStatus).
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "", message.into(), None)
    }

    /// The answer to something this server, unlike the real one, can't do.
    pub fn not_implemented(message: impl Into<String>) -> Self {
        Self::new(501, "NotImplemented", message.into(), None)
    }

    /// What a deletion answers (registry/generic/registry/store.go, finalizeDelete).
    pub fn deleted(kind: &str, name: &str, uid: &str) -> Self {
        let details = Details { uid: uid.into(), ..Details::of(kind, name) };
        Self::new(200, "", String::new(), Some(details))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_errors_count_once_in_the_message_only() {
        let e = FieldError::invalid_str("metadata.labels", "!", "bad");
        let status = Status::invalid("", "ConfigMap", "x", &[e.clone(), e.clone()]);
        let text = "metadata.labels: Invalid value: \"!\": bad";
        assert_eq!(status.message, format!("ConfigMap \"x\" is invalid: {text}"));
        assert_eq!(status.details.unwrap().causes.len(), 2);
    }

    #[test]
    fn a_success_has_no_code() {
        let body = serde_json::to_string(&Status::deleted("configmaps", "x", "u").wire()).unwrap();
        let want = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success","details":{"name":"x","kind":"configmaps","uid":"u"}}"#;
        assert_eq!(body, want);
    }
}
