//! Keys and names: what Kubernetes accepts, checked here first so that a
//! refusal names the rule. Pure.

use crate::error::{Error, Result};

/// The longest key, in bytes.
/// Kubernetes: `IsConfigMapKey` in apimachinery's pkg/util/validation.
pub const MAX_KEY_BYTES: usize = 253;

/// A key that the API server accepts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(String);

impl Key {
    pub fn new(text: &str) -> Result<Key> {
        match key_fault(text) {
            None => Ok(Key(text.to_owned())),
            Some(fault) => Err(Error::invalid(format!("key {}", quoted(text)), fault)),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn key_fault(text: &str) -> Option<String> {
    if text.is_empty() {
        return Some("a key can't be empty".into());
    }
    if text.len() > MAX_KEY_BYTES {
        return Some(format!("it has {} bytes, at most {MAX_KEY_BYTES} are allowed", text.len()));
    }
    if let Some(odd) = text.chars().find(|&c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))) {
        return Some(format!("{odd:?} isn't allowed: use letters, digits, '-', '_' and '.' only"));
    }
    if text == "." || text.starts_with("..") {
        return Some("'.' and whatever starts with '..' can't be keys".into());
    }
    None
}

/// The name of a ConfigMap: a DNS-1123 subdomain.
/// Kubernetes: `NameIsDNSSubdomain` in apimachinery's pkg/api/validation.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let labels_fit = name.split('.').all(is_dns_label);
    if labels_fit && name.len() <= 253 {
        return Ok(());
    }
    Err(Error::invalid(
        format!("name {}", quoted(name)),
        "a ConfigMap's name has at most 253 characters: lower-case letters, digits, '-' and '.', \
         and each part between dots starts and ends with a letter or digit",
    ))
}

/// The name of a namespace: a DNS-1123 label.
/// Kubernetes: `ValidateNamespaceName` in apimachinery's pkg/api/validation.
pub(crate) fn check_namespace(namespace: &str) -> Result<()> {
    if is_dns_label(namespace) && namespace.len() <= 63 {
        return Ok(());
    }
    Err(Error::invalid(
        format!("namespace {}", quoted(namespace)),
        "a namespace has at most 63 characters: lower-case letters, digits and '-', \
         and starts and ends with a letter or digit",
    ))
}

fn is_dns_label(label: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !label.is_empty() && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
}

/// A subject in a message: quoted, control characters escaped, never longer than a line.
pub(crate) fn quoted(text: &str) -> String {
    const SHOWN: usize = 64;
    let head: String = text.chars().take(SHOWN).collect();
    let more = if head.len() < text.len() { "…" } else { "" };
    format!("{head:?}{more}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_as_the_api_server_takes_them() {
        for good in ["a", "A-_.9", ".x", "a..b", "x.", &"k".repeat(253)] {
            assert!(Key::new(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "..x", "a/b", "a b", "ü", "a\0", &"k".repeat(254)] {
            let error = Key::new(bad).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::InvalidArgument, "{bad}");
        }
    }

    #[test]
    fn names_and_namespaces() {
        for good in ["a", "a.b-c", "0", &"n".repeat(253)] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "A", "a/b", "..", ".", "a..b", "-a", "a-", "a%2fb", "a?b", &"n".repeat(254)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
        assert!(check_namespace("kube-system").is_ok());
        for bad in ["", "a.b", "A", "a/b", " a", &"n".repeat(64)] {
            assert!(check_namespace(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_subject_stays_short_and_printable() {
        assert_eq!(quoted("a\0b"), "\"a\\0b\"");
        assert!(quoted(&"x".repeat(1000)).len() < 80);
    }
}
