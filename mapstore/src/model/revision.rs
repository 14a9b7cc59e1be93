//! The revision of a ConfigMap. Pure.

use std::fmt;

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

    /// The revision as a number. Revisions are opaque by the API's contract until Kubernetes 1.35
    /// (KEP-5504), and numbers of etcd's all the same.
    pub(crate) fn number(&self) -> Option<u64> {
        self.0.parse().ok()
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
    fn a_revision_is_never_an_empty_precondition() {
        assert!(Revision::new("").is_none());
        assert!(Revision::new("0").is_none());
        assert!(Revision::new("17").is_some());
    }
}
