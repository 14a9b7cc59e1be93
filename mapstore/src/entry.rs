//! Keys, names, revisions and sizes: what Kubernetes accepts, checked here
//! first so that a refusal names the rule. Pure.

use std::fmt;

use crate::error::{Error, Result};

/// The most bytes all values of a ConfigMap may have together.
/// Kubernetes: `MaxSecretSize` in pkg/apis/core/types.go, which ConfigMaps share.
pub const MAX_VALUES_BYTES: u64 = 1_048_576;

/// The most bytes etcd takes in one request: `DefaultMaxRequestBytes` in
/// etcd's server/embed/config.go. The stored object, keys included, has to fit.
pub const MAX_OBJECT_BYTES: u64 = 1_572_864;

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

/// A single value that could never be stored is refused before anything is sent.
pub(crate) fn check_value(key: &Key, len: usize) -> Result<()> {
    if len as u64 <= MAX_VALUES_BYTES {
        return Ok(());
    }
    Err(Error::too_large(
        format!("key {}", quoted(key.as_str())),
        Some(len as u64),
        MAX_VALUES_BYTES,
        format!("the value has {len} bytes; all values of a ConfigMap together may have {MAX_VALUES_BYTES}"),
    ))
}

/// The revision of a ConfigMap (its `metadata.resourceVersion`): opaque text,
/// to be compared for equality only.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Revision(String);

impl Revision {
    /// The longest revision, in bytes: the C ABI keeps it in a fixed array.
    /// Kubernetes' are 64-bit numbers.
    const MAX: usize = 47;

    /// `None` for what can't be a precondition: `""` and `"0"` are silently
    /// none, see apiserver's pkg/endpoints/handlers/patch.go.
    pub(crate) fn new(text: &str) -> Option<Revision> {
        let usable = !text.is_empty() && text != "0" && text.len() <= Self::MAX && text.is_ascii();
        usable.then(|| Revision(text.to_owned()))
    }

    /// The revision as the API server wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Revision {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Revision({})", self.0)
    }
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
    fn a_revision_is_never_an_empty_precondition() {
        assert!(Revision::new("").is_none());
        assert!(Revision::new("0").is_none());
        assert!(Revision::new("17").is_some());
    }

    #[test]
    fn a_subject_stays_short_and_printable() {
        assert_eq!(quoted("a\0b"), "\"a\\0b\"");
        assert!(quoted(&"x".repeat(1000)).len() < 80);
    }
}
