//! The query parameters of a request, and the options they stand for. Pure.

use crate::field::FieldError;
use crate::gostr;
use crate::patch::FieldValidation;
use crate::status::Status;
use crate::validate;

pub fn percent_decode(text: &str, plus: bool) -> String {
    let mut out = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        let hex = bytes.get(i + 1..i + 3).and_then(|h| std::str::from_utf8(h).ok());
        match (bytes[i], hex.and_then(|h| u8::from_str_radix(h, 16).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                i += 3;
            }
            (b'+', _) if plus => {
                out.push(b' ');
                i += 1;
            }
            (byte, _) => {
                out.push(byte);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The query parameters, decoded, in their order.
#[derive(Clone, Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    pub fn parse(text: &str) -> Query {
        let pairs = text.split('&').filter(|p| !p.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (percent_decode(name, true), percent_decode(value, true))
        });
        Query(pairs.collect())
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str()).collect()
    }

    /// A boolean as apimachinery reads one: present and not "false" or "0".
    pub fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|v| !matches!(v.to_lowercase().as_str(), "false" | "0"))
    }
}

/// `?timeout=`, which has to be a Go duration and bounds nothing here
/// (server/filters/request_deadline.go).
pub fn check_timeout(query: &Query) -> Result<(), Status> {
    let refused = query.get("timeout").filter(|t| !t.is_empty()).and_then(|t| gostr::duration(t).err());
    refused.map_or(Ok(()), |e| {
        let text = format!("invalid timeout specified in the request URL - time: {e}");
        Err(Status::bad_request(text))
    })
}

/// strconv.ParseUint's complaint; a resourceVersion is an unsigned number.
pub fn revision(text: &str) -> Result<u64, String> {
    // ParseUint takes no sign.
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or_else(|| {
        let why = if digits { "value out of range" } else { "invalid syntax" };
        format!("strconv.ParseUint: parsing {}: {why}", gostr::quote(text))
    })
}

/// The `resourceVersion` of a read, 0 if there is none.
pub fn read_revision(query: &Query) -> Result<u64, String> {
    let text = query.get("resourceVersion").unwrap_or("0");
    let checked = if text.is_empty() { Ok(0) } else { revision(text) };
    checked.map_err(|e| format!("resourceVersion: Invalid value: {}: {e}", gostr::quote(text)))
}

/// A parameter that has to be an integer.
pub fn number(query: &Query, name: &str) -> Result<(), Status> {
    match query.get(name).filter(|t| !t.is_empty()) {
        Some(t) if t.parse::<i64>().is_err() => {
            let text = format!("strconv.ParseInt: parsing {}: invalid syntax", gostr::quote(t));
            Err(Status::bad_request(text))
        }
        _ => Ok(()),
    }
}

/// The options of a list that can be wrong (metainternalversion's validation).
pub fn check_list(query: &Query) -> Result<(), Status> {
    number(query, "timeoutSeconds")?;
    number(query, "limit")?;
    let mut errors = Vec::new();
    let matching = query.get("resourceVersionMatch").unwrap_or_default();
    if !matching.is_empty() {
        let field = "resourceVersionMatch";
        let version = query.get("resourceVersion").unwrap_or_default();
        if version.is_empty() {
            let detail = "resourceVersionMatch is forbidden unless resourceVersion is provided";
            errors.push(FieldError::forbidden(field, detail));
        }
        if !query.get("continue").unwrap_or_default().is_empty() {
            let detail = "resourceVersionMatch is forbidden when continue is provided";
            errors.push(FieldError::forbidden(field, detail));
        }
        if matching == "Exact" && version == "0" {
            let detail = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            errors.push(FieldError::forbidden(field, detail));
        }
        const KNOWN: [&str; 3] = ["Exact", "NotOlderThan", ""];
        if !KNOWN.contains(&matching) {
            errors.push(FieldError::not_supported(field, gostr::quote(matching), &KNOWN));
        }
    }
    if query.flag("sendInitialEvents") {
        errors.push(FieldError::forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
    }
    if !errors.is_empty() {
        return Err(Status::invalid("meta.k8s.io", "ListOptions", "", &errors));
    }
    Ok(())
}

/// The options of a write.
#[derive(Clone, Debug, Default)]
pub struct WriteOptions {
    pub dry_run: bool,
    pub field_manager: String,
    pub field_validation: FieldValidation,
}

impl WriteOptions {
    /// `kind` is the options' kind in refusals: CreateOptions, UpdateOptions, PatchOptions.
    pub fn of(query: &Query, kind: &str) -> Result<WriteOptions, Status> {
        let mut errors = Vec::new();
        if kind == "PatchOptions" && query.get("force").is_some() {
            errors.push(FieldError::forbidden("force", "may not be specified for non-apply patch"));
        }
        let field_manager = query.get("fieldManager").unwrap_or_default().to_string();
        validate::manager(&field_manager, "fieldManager", &mut errors);
        let dry_run = dry_run(&query.all("dryRun"), &mut errors);
        let field_validation = match query.get("fieldValidation").unwrap_or_default() {
            "" | "Warn" => FieldValidation::Warn,
            "Ignore" => FieldValidation::Ignore,
            "Strict" => FieldValidation::Strict,
            other => {
                let supported = ["", "Ignore", "Strict", "Warn"];
                let printed = gostr::quote(other);
                errors.push(FieldError::not_supported("fieldValidation", printed, &supported));
                FieldValidation::Warn
            }
        };
        if !errors.is_empty() {
            return Err(Status::invalid("meta.k8s.io", kind, "", &errors));
        }
        Ok(WriteOptions { dry_run, field_manager, field_validation })
    }
}

/// ValidateDryRun: "All" is the only value there is.
pub fn dry_run(values: &[&str], errors: &mut Vec<FieldError>) -> bool {
    if values.iter().any(|v| *v != "All") {
        let printed = serde_json::to_string(values).unwrap_or_default();
        errors.push(FieldError::not_supported("dryRun", printed, &["All"]));
    }
    !values.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options() {
        let parse = |q: &str| WriteOptions::of(&Query::parse(q), "CreateOptions");
        assert!(parse("dryRun=All&fieldManager=me").unwrap().dry_run);
        assert_eq!(
            parse("dryRun=some").unwrap_err().message,
            "CreateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: [\"some\"]: supported values: \"All\""
        );
        assert!(parse("fieldValidation=x").is_err());
    }
}
