//! What a caller wants of the map: operations in their order, and the
//! conditions under which they are to be made. Pure; what that means for a
//! given map is [`crate::write::plan`]'s business.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::limits::check_value;
use super::names::Key;
use super::revision::Revision;
use super::snapshot::Version;
use crate::error::{Error, Result};

/// One change.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) enum Op {
    Set { key: Key, value: Bytes, force: bool },
    Delete { key: Key },
    Truncate,
}

/// What has to be true of the map before the batch.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) enum Condition {
    Absent(Key),
    Present(Key),
    Equals(Key, Bytes),
    Revision(Revision),
}

/// Several changes that are made together or not at all, in one revision, and
/// only if all conditions hold at that moment: see [`Store::apply`](crate::Store::apply).
///
/// Operations count in the order in which they were added; of several on one
/// key the last one stays. Conditions are about the map before the batch.
///
/// ```no_run
/// # use mapstore::{Batch, Store};
/// # fn main() -> mapstore::Result<()> {
/// let store = Store::open("my-settings")?;
/// let mut batch = Batch::new();
/// batch.if_absent("owner")?.set("owner", "me")?.delete("leftover")?;
/// store.apply(&batch)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Batch {
    pub(crate) ops: Vec<Op>,
    pub(crate) conditions: Vec<Condition>,
}

impl Batch {
    /// A batch without operations and conditions.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stores a value, unless it is stored already.
    pub fn set(&mut self, key: &str, value: impl AsRef<[u8]>) -> Result<&mut Self> {
        self.push(Op::set(key, value.as_ref(), false)?)
    }

    /// Stores a value; the batch then makes a new revision in any case.
    pub fn force_set(&mut self, key: &str, value: impl AsRef<[u8]>) -> Result<&mut Self> {
        self.push(Op::set(key, value.as_ref(), true)?)
    }

    /// Removes a key. A missing one is fine.
    pub fn delete(&mut self, key: &str) -> Result<&mut Self> {
        self.push(Op::Delete { key: Key::new(key)? })
    }

    /// Removes every key, those set earlier in this batch included.
    pub fn truncate(&mut self) -> Result<&mut Self> {
        self.ops.clear();
        self.push(Op::Truncate)
    }

    /// Only if there is no such key.
    pub fn if_absent(&mut self, key: &str) -> Result<&mut Self> {
        self.require(Condition::Absent(Key::new(key)?))
    }

    /// Only if there is such a key, whatever its value.
    pub fn if_present(&mut self, key: &str) -> Result<&mut Self> {
        self.require(Condition::Present(Key::new(key)?))
    }

    /// Only if the key has exactly this value.
    pub fn if_equals(&mut self, key: &str, value: impl AsRef<[u8]>) -> Result<&mut Self> {
        let (key, value) = checked(key, value.as_ref())?;
        self.require(Condition::Equals(key, value))
    }

    /// Only if the map is at this revision: nobody wrote anything since. Of a
    /// map that doesn't exist no revision is right.
    pub fn if_revision(&mut self, revision: impl AsRef<str>) -> Result<&mut Self> {
        let text = revision.as_ref();
        let Some(revision) = Revision::new(text) else {
            return Err(Error::invalid(
                format!("revision {}", crate::model::quoted(text)),
                "it is none that a map can have; pass one that a write or a snapshot has told",
            ));
        };
        self.require(Condition::Revision(revision))
    }

    /// Whether there is nothing to do and nothing to check.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty() && self.conditions.is_empty()
    }

    pub(crate) fn of(op: Op) -> Self {
        Batch { ops: vec![op], conditions: Vec::new() }
    }

    /// The one step of a compare-and-set: `None` stands for a missing key.
    pub(crate) fn swap(key: &str, expected: Option<&[u8]>, value: Option<&[u8]>) -> Result<Self> {
        let mut batch = Batch::new();
        match expected {
            Some(expected) => batch.if_equals(key, expected)?,
            None => batch.if_absent(key)?,
        };
        match value {
            Some(value) => batch.set(key, value)?,
            None => batch.delete(key)?,
        };
        Ok(batch)
    }

    /// The keys by which it makes a new revision in any case.
    pub(crate) fn forced(&self) -> BTreeSet<&str> {
        let sets = self.ops.iter().filter_map(|op| match op {
            Op::Set { key, force, .. } => Some((key, force)),
            _ => None,
        });
        sets.filter(|(_, force)| **force).map(|(key, _)| key.as_str()).collect()
    }

    /// Bytes of the values to be stored.
    pub(crate) fn value_bytes(&self) -> usize {
        let bytes = |op: &Op| if let Op::Set { value, .. } = op { value.len() } else { 0 };
        self.ops.iter().map(bytes).sum()
    }

    fn push(&mut self, op: Op) -> Result<&mut Self> {
        self.ops.push(op);
        Ok(self)
    }

    fn require(&mut self, condition: Condition) -> Result<&mut Self> {
        self.conditions.push(condition);
        Ok(self)
    }
}

/// Counts only: values may be nobody's business.
impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Batch({} operations, {} conditions)", self.ops.len(), self.conditions.len())
    }
}

impl Op {
    pub fn set(key: &str, value: &[u8], force: bool) -> Result<Op> {
        let (key, value) = checked(key, value)?;
        Ok(Op::Set { key, value, force })
    }
}

fn checked(key: &str, value: &[u8]) -> Result<(Key, Bytes)> {
    let key = Key::new(key)?;
    check_value(&key, value.len())?;
    Ok((key, Bytes::copy_from_slice(value)))
}

/// What a write did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// The revision the write made, or was compared at if nothing changed;
    /// `None` if the map doesn't exist and nothing had to be written.
    pub revision: Option<Revision>,
    /// Whether anything was written. Without a cache, calls that ran at the
    /// same time may have been written together and then share this answer.
    pub changed: bool,
}

impl Written {
    pub(crate) fn unchanged(version: Option<&Version>) -> Self {
        Written { revision: version.map(|version| version.revision.clone()), changed: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn what_came_before_a_truncate_is_dropped() {
        let mut batch = Batch::new();
        batch.set("a", "1").unwrap().truncate().unwrap().set("b", "2").unwrap();
        assert_eq!(batch.ops.len(), 2);
        assert!(batch.ops[0] == Op::Truncate);
    }

    #[test]
    fn arguments_are_checked_when_they_are_given() {
        let mut batch = Batch::new();
        let kinds = [
            batch.set("a/b", "1").unwrap_err().kind(),
            batch.delete("").unwrap_err().kind(),
            batch.if_absent("..").unwrap_err().kind(),
            batch.if_revision("0").unwrap_err().kind(),
            batch.if_revision("").unwrap_err().kind(),
        ];
        assert!(kinds.iter().all(|kind| *kind == ErrorKind::InvalidArgument));
        assert_eq!(batch.set("a", vec![0; (1 << 20) + 1]).unwrap_err().kind(), ErrorKind::TooLarge);
        assert!(batch.is_empty());
    }

    #[test]
    fn no_value_is_shown() {
        let mut batch = Batch::new();
        batch.set("a", "secret").unwrap().if_equals("a", "hidden").unwrap();
        assert_eq!(format!("{batch:?}"), "Batch(1 operations, 1 conditions)");
    }
}
