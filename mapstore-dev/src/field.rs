//! Field errors: the twin of apimachinery/pkg/util/validation/field/errors.go.

use std::fmt;

use serde::Serialize;

use crate::gostr;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Required,
    Invalid,
    NotSupported,
    Forbidden,
    TooLong,
}

impl Kind {
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Kind::Required => ("FieldValueRequired", "Required value"),
            Kind::Invalid => ("FieldValueInvalid", "Invalid value"),
            Kind::NotSupported => ("FieldValueNotSupported", "Unsupported value"),
            Kind::Forbidden => ("FieldValueForbidden", "Forbidden"),
            Kind::TooLong => ("FieldValueTooLong", "Too long"),
        }
    }
}

/// What a Status's details say of one error.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Cause {
    #[serde(rename = "reason", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
}

/// One field and what is wrong with it. `value` is already printed, as Go
/// prints it in this place; kinds that hide the value have none.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldError {
    kind: Kind,
    field: String,
    value: Option<String>,
    detail: String,
}

impl FieldError {
    pub fn required(field: &str, detail: &str) -> Self {
        Self { kind: Kind::Required, field: field.into(), value: None, detail: detail.into() }
    }

    pub fn forbidden(field: &str, detail: &str) -> Self {
        Self { kind: Kind::Forbidden, field: field.into(), value: None, detail: detail.into() }
    }

    pub fn too_long(field: &str, limit: usize) -> Self {
        let detail = format!("may not be more than {limit} bytes");
        Self { kind: Kind::TooLong, field: field.into(), value: None, detail }
    }

    /// A refused value that Go prints as it stands (numbers, structs as JSON).
    pub fn invalid(field: &str, printed: String, detail: &str) -> Self {
        let value = Some(printed);
        Self { kind: Kind::Invalid, field: field.into(), value, detail: detail.into() }
    }

    /// A refused string.
    pub fn invalid_str(field: &str, value: &str, detail: &str) -> Self {
        Self::invalid(field, gostr::quote(value), detail)
    }

    pub fn not_supported(field: &str, printed: String, supported: &[&str]) -> Self {
        let list: Vec<_> = supported.iter().map(|s| gostr::quote(s)).collect();
        Self {
            kind: Kind::NotSupported,
            field: field.into(),
            value: Some(printed),
            detail: format!("supported values: {}", list.join(", ")),
        }
    }

    fn body(&self) -> String {
        let mut text = self.kind.names().1.to_string();
        if let Some(value) = &self.value {
            text.push_str(&format!(": {value}"));
        }
        if !self.detail.is_empty() {
            text.push_str(&format!(": {}", self.detail));
        }
        text
    }

    pub fn cause(&self) -> Cause {
        let kind = self.kind.names().0.into();
        Cause { kind, message: self.body(), field: self.field.clone() }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.body())
    }
}
