//! The map as it would be with the changes of a group's members so far, and
//! whether one more can be made on top of them. Pure.

use std::collections::BTreeMap;

use crate::error::{Error, ErrorKind, Result};
use crate::model::{Batch, Condition, Op};
use crate::model::{Entry, Layout, Side, Snapshot, Totals, Value};
use crate::model::{Key, MAX_OBJECT_BYTES, MAX_VALUES_BYTES, quoted};
use crate::write::patch::{Change, Patch};

/// One member of a group.
#[derive(Clone, Copy)]
pub(crate) struct Wish<'a> {
    pub batch: &'a Batch,
    /// What memory says of equal values is good enough.
    pub trusts_memory: bool,
    pub layout: Layout,
}

/// Why a member can't be made.
pub(crate) enum No {
    Unmet(Error),
    Refused(Error),
    /// Memory can't tell.
    Unsure,
}

/// Changes that aren't made yet: of one member, or of several.
pub(crate) struct Step {
    /// By key; `None`: deleted.
    entries: BTreeMap<String, Option<Entry>>,
    cleared: bool,
    pub totals: Totals,
    pub changed: Option<bool>,
}

impl Step {
    fn idle(totals: Totals) -> Self {
        Step { entries: BTreeMap::new(), cleared: false, totals, changed: Some(false) }
    }

    pub fn is_idle(&self) -> bool {
        self.entries.is_empty() && !self.cleared
    }

    /// The key, if this step says anything of it.
    fn find(&self, key: &str) -> Option<Option<&Entry>> {
        match self.entries.get(key) {
            Some(entry) => Some(entry.as_ref()),
            None => self.cleared.then_some(None),
        }
    }
}

/// The map with the changes of the members so far.
pub(crate) struct Draft<'a> {
    map: &'a Snapshot,
    pub step: Step,
}

impl<'a> Draft<'a> {
    pub fn over(map: &'a Snapshot) -> Self {
        Draft { map, step: Step::idle(map.totals()) }
    }

    pub fn is_idle(&self) -> bool {
        self.step.is_idle()
    }

    fn find(&self, key: &str) -> Option<&Entry> {
        self.step.find(key).unwrap_or_else(|| self.map.entry(key))
    }

    /// What one more member would change, if it may.
    pub fn member(&self, wish: &Wish<'_>, fresh: bool) -> Result<Step, No> {
        for condition in &wish.batch.conditions {
            self.check(condition, wish.layout).map_err(No::Unmet)?;
        }
        let mut step = Step::idle(self.step.totals);
        for op in &wish.batch.ops {
            self.make(op, wish, fresh, &mut step)?;
        }
        check_size(wish.batch, &step.totals).map_err(No::Refused)?;
        Ok(step)
    }

    fn check(&self, condition: &Condition, layout: Layout) -> Result<()> {
        let find = |key: &Key| self.find(key.as_str()).filter(|entry| layout.sees(entry));
        let (key, fault) = match condition {
            Condition::Absent(key) => (key, find(key).map(|_| "it is there already")),
            Condition::Present(key) => (key, find(key).is_none().then_some("there is no such key")),
            Condition::Equals(key, wanted) => match find(key) {
                None => (key, Some("there is no such key any more")),
                Some(entry) => (key, (entry.value.0 != wanted).then_some("it has another value by now")),
            },
            Condition::Revision(wanted) => return self.check_revision(wanted.as_str()),
        };
        let Some(fault) = fault else { return Ok(()) };
        let at = self.map.revision().map(|at| format!(" (revision {at})")).unwrap_or_default();
        Err(Error::unmet(
            format!("key {}", quoted(key.as_str())),
            format!("{fault}{at}; nothing was written: read it, and decide again"),
        ))
    }

    /// With another member before it the map isn't at that revision any more.
    fn check_revision(&self, wanted: &str) -> Result<()> {
        let at = self.map.revision().filter(|_| self.is_idle());
        if at.is_some_and(|at| at.as_str() == wanted) {
            return Ok(());
        }
        let at = at.map_or_else(|| "not there".into(), |at| format!("at revision {at} by now"));
        Err(Error::unmet(
            format!("revision {}", quoted(wanted)),
            format!("the map is {at}; nothing was written: read it, and decide again"),
        ))
    }

    fn make(&self, op: &Op, wish: &Wish<'_>, fresh: bool, step: &mut Step) -> Result<(), No> {
        let old = |step: &Step, key: &Key| {
            let known = step.find(key.as_str()).map(|entry| entry.cloned());
            known.unwrap_or_else(|| self.find(key.as_str()).cloned())
        };
        let seen = |old: &Option<Entry>| old.as_ref().is_none_or(|old| wish.layout.sees(old));
        match op {
            Op::Set { key, value, force } => {
                let (value, old) = (Value(value.clone()), old(step, key));
                if !seen(&old) {
                    return Err(No::Refused(in_data(key)));
                }
                let equal = old.as_ref().is_some_and(|old| old.value == value);
                if equal && !force && (fresh || wish.trusts_memory) {
                    return Ok(());
                }
                let side = side_on(&value, old.as_ref().map(|old| old.side), wish.layout);
                step.totals.add(key.as_str(), &value);
                step.put(key.as_str(), old, Some(Entry { value, side }));
                // An equal one is sent because memory may be wrong: the answer tells.
                step.note(if equal && !force { None } else { Some(true) });
            }
            Op::Delete { key } => {
                let old = old(step, key);
                if (old.is_none() || !seen(&old)) && (fresh || wish.trusts_memory) {
                    return Ok(());
                }
                if !seen(&old) {
                    return Err(No::Unsure);
                }
                step.note(if old.is_none() { None } else { Some(true) });
                step.put(key.as_str(), old, None);
            }
            Op::Truncate if wish.layout == Layout::BinaryOnly => {
                for (key, entry) in self.all(step).into_iter().filter(|(_, entry)| wish.layout.sees(entry)) {
                    step.note(Some(true));
                    step.put(&key, Some(entry), None);
                }
                if step.is_idle() && !fresh && !wish.trusts_memory {
                    return Err(No::Unsure);
                }
            }
            Op::Truncate => {
                let empty = step.totals.object == 0;
                if empty && (fresh || wish.trusts_memory) {
                    return Ok(());
                }
                step.entries.clear();
                step.cleared = true;
                step.totals = Totals::default();
                step.note(if empty { None } else { Some(true) });
            }
        }
        Ok(())
    }

    /// Every key there is after `step`.
    fn all(&self, step: &Step) -> Vec<(String, Entry)> {
        let mut all: BTreeMap<&str, Option<&Entry>> = BTreeMap::new();
        if !step.cleared && !self.step.cleared {
            all.extend(self.map.entries().map(|(key, entry)| (key.as_str(), Some(entry))));
        }
        for earlier in [&self.step, step].into_iter().skip(usize::from(step.cleared)) {
            all.extend(earlier.entries.iter().map(|(key, entry)| (key.as_str(), entry.as_ref())));
        }
        all.into_iter().filter_map(|(key, entry)| Some((key.to_owned(), entry?.clone()))).collect()
    }

    pub fn take(&mut self, step: Step) {
        if step.cleared {
            self.step.entries.clear();
            self.step.cleared = true;
        }
        self.step.entries.extend(step.entries);
        self.step.totals = step.totals;
    }

    /// All changes as one patch. What is cleared is named key by key if anything
    /// is set along with it.
    pub fn patch(&self) -> Patch {
        let mut patch = Patch { base: self.map.version().cloned(), ..Patch::default() };
        let sets = self.step.entries.values().any(Option::is_some);
        if self.step.cleared && !sets {
            patch.clear = true;
            return patch;
        }
        if self.step.cleared {
            for (key, entry) in self.map.entries() {
                patch.changes.insert(key.clone(), Change::Delete { from: Some(entry.side) });
            }
        }
        for (key, entry) in &self.step.entries {
            let was = self.map.entry(key).map(|entry| entry.side);
            let change = match entry {
                Some(entry) => {
                    Change::Set { entry: entry.clone(), leaves: was.filter(|was| *was != entry.side) }
                }
                None => Change::Delete { from: was },
            };
            patch.changes.insert(key.clone(), change);
        }
        patch
    }
}

impl Step {
    /// The new entry's size was added already.
    fn put(&mut self, key: &str, old: Option<Entry>, new: Option<Entry>) {
        if let Some(old) = old {
            self.totals.remove(key, &old.value);
        }
        self.entries.insert(key.to_owned(), new);
    }

    /// One certain change makes the member a change; nothing but uncertain ones, an uncertain one.
    fn note(&mut self, changed: Option<bool>) {
        self.changed = match (self.changed, changed) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (_, None) | (None, _) => None,
            (known, Some(false)) => known,
        };
    }
}

/// Refuses what the server certainly would: the base goes along as the
/// write's precondition, so the sums are exact, but for the object's metadata.
fn check_size(batch: &Batch, totals: &Totals) -> Result<()> {
    let mut sets = batch.ops.iter().filter_map(|op| match op {
        Op::Set { key, .. } => Some(key),
        _ => None,
    });
    let Some(first) = sets.next() else { return Ok(()) };
    let subject = || match sets.clone().count() {
        0 => format!("key {}", quoted(first.as_str())),
        more => format!("batch of {} values", more + 1),
    };
    let too_large = |used: u64, limit: u64, what: &str| {
        let message = format!("{what}; delete keys or spread them over several stores");
        Error::too_large(subject(), Some(used), limit, message)
    };
    if totals.values > MAX_VALUES_BYTES {
        let used = totals.values;
        let what = format!("all values together would have {used} bytes, {MAX_VALUES_BYTES} are allowed");
        return Err(too_large(used, MAX_VALUES_BYTES, &what));
    }
    if totals.object > MAX_OBJECT_BYTES {
        let used = totals.object;
        let what =
            format!("the stored object would have at least {used} bytes, etcd takes {MAX_OBJECT_BYTES}");
        return Err(too_large(used, MAX_OBJECT_BYTES, &what));
    }
    Ok(())
}

/// For a store that doesn't touch `data`; the server would refuse the key in both.
fn in_data(key: &Key) -> Error {
    Error::new(
        ErrorKind::Rejected,
        format!("key {}", quoted(key.as_str())),
        "it is in the ConfigMap's data, which this store leaves alone (option binary_only), and can't be in \
         binaryData too; nothing was written: remove it from data, or open the store without that option",
    )
}

/// Where a value goes under a new key: text only if it comes back unchanged from kubectl's YAML.
pub(crate) fn new_side(value: &[u8], layout: Layout) -> Side {
    let text = std::str::from_utf8(value).is_ok_and(|text| !text.chars().any(breaks_yaml));
    if layout == Layout::Text && text { Side::Text } else { Side::Binary }
}

/// kubectl writes these into YAML unescaped and then refuses to read them (`get -o yaml`, `edit`, `apply` of the whole
/// map), or reads a line break instead of U+0085. Found by trying all code points (mapstore/tests/real_text.rs).
fn breaks_yaml(c: char) -> bool {
    matches!(c, '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}')
}

/// A text key stays text as long as its value is UTF-8, whatever YAML makes of it: who reads it in `data` must still
/// find it there. A binary one stays binary.
pub(crate) fn side_on(value: &[u8], existing: Option<Side>, layout: Layout) -> Side {
    match existing {
        Some(Side::Text) if is_text(value) => Side::Text,
        Some(_) => Side::Binary,
        None => new_side(value, layout),
    }
}

pub(crate) fn is_text(value: &[u8]) -> bool {
    std::str::from_utf8(value).is_ok()
}
