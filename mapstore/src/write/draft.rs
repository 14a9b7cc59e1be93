//! The map as it would be with the changes of a group's members so far, and
//! whether one more can be made on top of them. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::base::{Base, Lookup};
use super::patch::{Change, Patch};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{
    Batch, Condition, Entry, Key, Layout, MAX_OBJECT_BYTES, MAX_VALUES_BYTES, Op, Side, Totals, Value, quoted,
};

/// One member of a group.
#[derive(Clone, Copy)]
pub(crate) struct Member<'a> {
    pub batch: &'a Batch,
    /// For this member memory's word on equal values is good enough.
    pub trusts_memory: bool,
    pub layout: Layout,
}

/// Why a member can't be made.
pub(crate) enum Fault {
    Unmet(Error),
    Refused(Error),
    /// What is known of the map can't tell.
    Unsure,
}

/// What becomes of one key.
struct New {
    /// `None`: deleted.
    entry: Option<Entry>,
    /// The layout of the store that wants the key so.
    layout: Layout,
}

/// Changes that aren't made yet: of one member, or of several.
pub(crate) struct Step {
    entries: BTreeMap<String, New>,
    cleared: bool,
    /// Sizes afterwards, where all of the map is known.
    pub totals: Option<Totals>,
    /// Whether anything is different afterwards; `None`: the answer will tell.
    pub changed: Option<bool>,
}

impl Step {
    fn idle(totals: Option<Totals>) -> Self {
        Step { entries: BTreeMap::new(), cleared: false, totals, changed: Some(false) }
    }

    pub fn is_idle(&self) -> bool {
        self.entries.is_empty() && !self.cleared
    }

    /// The key, if this step says anything of it.
    fn find(&self, key: &str) -> Option<Lookup<'_>> {
        match self.entries.get(key) {
            Some(New { entry: Some(entry), .. }) => Some(Lookup::There(entry)),
            Some(New { entry: None, .. }) => Some(Lookup::Absent),
            None => self.cleared.then_some(Lookup::Absent),
        }
    }

    /// One certain change makes the step a certain change. Without one, an uncertain change makes
    /// the step an uncertain one.
    fn note(&mut self, changed: Option<bool>) {
        self.changed = match (self.changed, changed) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (None, _) | (_, None) => None,
            (Some(false), Some(false)) => Some(false),
        };
    }
}

/// The map with the changes of the members so far.
pub(crate) struct Draft<'a> {
    base: &'a Base,
    /// The base was read after every member was called.
    fresh: bool,
    pub step: Step,
}

impl<'a> Draft<'a> {
    pub fn over(base: &'a Base, fresh: bool) -> Self {
        Draft { base, fresh, step: Step::idle(base.totals()) }
    }

    pub fn is_idle(&self) -> bool {
        self.step.is_idle()
    }

    fn find(&self, key: &str) -> Lookup<'_> {
        self.step.find(key).unwrap_or_else(|| self.base.lookup(key))
    }

    /// What one more member would change, if it may.
    pub fn member(&self, member: &Member<'_>) -> Result<Step, Fault> {
        for condition in &member.batch.conditions {
            self.check(condition, member.layout).map_err(Fault::Unmet)?;
        }
        let mut step = Step::idle(self.step.totals);
        for op in &member.batch.ops {
            if self.rests_on_a_guess(op, member.layout) {
                return Err(Fault::Unsure);
            }
            self.make(op, member, &mut step)?;
        }
        self.leave_out_what_is_so(member, &mut step);
        check_size(member.batch, step.totals).map_err(Fault::Refused)?;
        Ok(step)
    }

    fn check(&self, condition: &Condition, layout: Layout) -> Result<()> {
        let find = |key: &Key| match self.find(key.as_str()) {
            Lookup::There(entry) if layout.sees(entry) => Some(entry),
            _ => None,
        };
        let there = |key: &Key| find(key).is_some();
        let (key, fault) = match condition {
            Condition::Absent(key) => (key, there(key).then_some("it is there already")),
            Condition::Present(key) => (key, (!there(key)).then_some("there is no such key")),
            Condition::Equals(key, wanted) => match find(key) {
                Some(entry) => (key, (entry.value.0 != wanted).then_some("it has another value by now")),
                None => (key, Some("there is no such key any more")),
            },
            Condition::Revision(wanted) => return self.check_revision(wanted.as_str()),
        };
        let Some(fault) = fault else { return Ok(()) };
        let at = self.base.version().map(|at| format!(" (revision {})", at.revision)).unwrap_or_default();
        Err(Error::unmet(
            format!("key {}", quoted(key.as_str())),
            format!("{fault}{at}; nothing was written: read it, and decide again"),
        ))
    }

    /// With another member before this one the map isn't at that revision any more.
    fn check_revision(&self, wanted: &str) -> Result<()> {
        let at = self.base.version().filter(|_| self.is_idle()).map(|version| &version.revision);
        if at.is_some_and(|at| at.as_str() == wanted) {
            return Ok(());
        }
        let at = at.map_or_else(|| "not there".into(), |at| format!("at revision {at} by now"));
        Err(Error::unmet(
            format!("revision {}", quoted(wanted)),
            format!("the map is {at}; nothing was written: read it, and decide again"),
        ))
    }

    fn make(&self, op: &Op, member: &Member<'_>, step: &mut Step) -> Result<(), Fault> {
        let layout = member.layout;
        match op {
            Op::Set { key, value, force } => {
                let value = Value(value.clone());
                let (side, is_seen) = self.place(step, key, layout);
                if !is_seen {
                    return Err(self.not_its_own(key, step));
                }
                let side = side_on(&value, side, layout);
                self.put(step, key.as_str(), New { entry: Some(Entry { value, side }), layout });
                if *force {
                    step.note(Some(true));
                }
            }
            Op::Delete { key } => match self.place(step, key, layout) {
                (_, true) => self.put(step, key.as_str(), New { entry: None, layout }),
                _ if self.is_believed(member) => {}
                _ => return Err(Fault::Unsure),
            },
            Op::Truncate if layout == Layout::BinaryOnly => {
                if !self.base.is_whole() {
                    return Err(Fault::Unsure);
                }
                for key in self.seen_keys(step, layout) {
                    self.put(step, &key, New { entry: None, layout });
                }
                if step.is_idle() && !self.is_believed(member) {
                    return Err(Fault::Unsure);
                }
            }
            Op::Truncate => {
                step.entries.clear();
                step.cleared = true;
                step.totals = step.totals.map(|_| Totals::default());
            }
        }
        Ok(())
    }

    /// Where a key is after `step`, and whether `layout` sees it there.
    fn place(&self, step: &Step, key: &Key, layout: Layout) -> (Option<Side>, bool) {
        match step.find(key.as_str()).unwrap_or_else(|| self.find(key.as_str())) {
            Lookup::There(old) => (Some(old.side), layout.sees(old)),
            Lookup::Absent => (None, true),
            // A guess: if the key is on the other side the server refuses and tells.
            Lookup::Unknown(side) => (side, layout != Layout::BinaryOnly || side != Some(Side::Text)),
        }
    }

    /// Nobody knows on which side the key is, and of this member and an earlier one that changes it, one may
    /// touch both sides and the other may not: what the one does is not what the other would find.
    fn rests_on_a_guess(&self, op: &Op, layout: Layout) -> bool {
        let (Op::Set { key, .. } | Op::Delete { key }) = op else { return false };
        let leaves_data_alone = |layout| layout == Layout::BinaryOnly;
        let earlier = self.step.entries.get(key.as_str());
        earlier.is_some_and(|new| leaves_data_alone(new.layout) != leaves_data_alone(layout))
            && matches!(self.base.lookup(key.as_str()), Lookup::Unknown(_))
    }

    /// What the base says is good enough for this member. Memory is always a whole map; a part
    /// of one with guesses about the rest is nobody's memory.
    fn is_believed(&self, member: &Member<'_>) -> bool {
        self.fresh || (member.trusts_memory && self.base.is_whole())
    }

    /// A store that doesn't touch `data` can't set a key that is in `data`.
    fn not_its_own(&self, key: &Key, step: &Step) -> Fault {
        match step.find(key.as_str()).unwrap_or_else(|| self.find(key.as_str())) {
            Lookup::There(_) => Fault::Refused(in_data(key)),
            _ => Fault::Unsure,
        }
    }

    /// The keys that are there after `step`, of a whole map, as far as `layout` sees them.
    fn seen_keys(&self, step: &Step, layout: Layout) -> Vec<String> {
        let keys: BTreeSet<&String> = self
            .base
            .entries()
            .map(|(key, _)| key)
            .chain(self.step.entries.keys())
            .chain(step.entries.keys())
            .collect();
        let is_seen = |key: &&String| {
            let now = step.find(key).unwrap_or_else(|| self.find(key));
            matches!(now, Lookup::There(entry) if layout.sees(entry))
        };
        keys.into_iter().filter(is_seen).cloned().collect()
    }

    fn put(&self, step: &mut Step, key: &str, new: New) {
        let old = step.find(key).unwrap_or_else(|| self.find(key));
        let old = if let Lookup::There(old) = old { Some(old.value.clone()) } else { None };
        if let Some(totals) = &mut step.totals {
            if let Some(entry) = &new.entry {
                totals.add(key, &entry.value);
            }
            if let Some(old) = old {
                totals.remove(key, &old);
            }
        }
        step.entries.insert(key.to_owned(), new);
    }

    /// A key that comes out as it was is no change. The key is left out where the base can be
    /// believed; elsewhere it is sent to be sure, and the answer tells.
    fn leave_out_what_is_so(&self, member: &Member<'_>, step: &mut Step) {
        let believed = self.is_believed(member);
        if step.cleared {
            let differs = self.differs_when_cleared(step);
            step.note(differs.filter(|differs| *differs || believed));
            if step.changed == Some(false) {
                *step = Step::idle(self.step.totals);
            }
            return;
        }
        let entries = std::mem::take(&mut step.entries);
        let forced = member.batch.forced();
        for (key, new) in entries {
            let same = match (self.find(&key), &new.entry) {
                (Lookup::There(old), Some(new)) => Some(old.value == new.value),
                (Lookup::Absent, None) => Some(true),
                (Lookup::Unknown(_), _) => None,
                _ => Some(false),
            };
            let so = same == Some(true);
            step.note(if so && !believed { None } else { same.map(|same| !same) });
            if !(so && believed) || forced.contains(&*key) {
                step.entries.insert(key, new);
            }
        }
    }

    /// Whether the map would be another one with nothing in it but what the step
    /// sets. `None`: not all of it is known.
    fn differs_when_cleared(&self, step: &Step) -> Option<bool> {
        if !self.base.is_whole() && !self.step.cleared {
            return None;
        }
        let base = self.base.entries().map(|(key, _)| key).filter(|_| !self.step.cleared);
        let there = |key: &&String| matches!(self.find(key), Lookup::There(_));
        let before: BTreeSet<&String> = base.chain(self.step.entries.keys()).filter(there).collect();
        let stays = |(key, new): (&String, &New)| {
            let Some(new) = &new.entry else { return true };
            matches!(self.find(key), Lookup::There(old) if old.value == new.value)
        };
        let after = step.entries.values().filter(|new| new.entry.is_some()).count();
        Some(after != before.len() || !step.entries.iter().all(stays))
    }

    pub fn take(&mut self, step: Step) {
        if step.cleared {
            self.step.entries.clear();
            self.step.cleared = true;
        }
        self.step.entries.extend(step.entries);
        self.step.totals = step.totals;
    }

    /// Everything is to go but what is set, and not all of the keys are known:
    /// to replace a map that isn't there is silently nothing, so they have to be named.
    pub fn has_to_name_keys(&self) -> bool {
        self.step.cleared && !self.base.is_whole() && self.sets()
    }

    fn sets(&self) -> bool {
        self.step.entries.values().any(|new| new.entry.is_some())
    }

    /// All changes as one patch. What is cleared is named key by key if anything
    /// is set along with it.
    pub fn patch(&self) -> Patch {
        let mut patch = Patch { base: self.base.version().cloned(), ..Patch::default() };
        if self.step.cleared && !self.sets() {
            patch.clear = true;
            return patch;
        }
        if self.step.cleared {
            for (key, entry) in self.base.entries() {
                patch.changes.insert(key.clone(), Change::Delete { from: Some(entry.side) });
            }
        }
        for (key, New { entry, layout }) in &self.step.entries {
            let (was, known) = match self.base.lookup(key) {
                Lookup::There(old) => (Some(old.side), true),
                Lookup::Absent => (None, true),
                Lookup::Unknown(_) => (None, false),
            };
            let whole = *layout != Layout::BinaryOnly;
            let change = match entry {
                // Bytes that aren't text leave `data` if they may be there.
                Some(entry) if !known && whole && !is_text(&entry.value) => {
                    Change::Set { entry: entry.clone(), leaves: Some(Side::Text) }
                }
                Some(entry) => {
                    Change::Set { entry: entry.clone(), leaves: was.filter(|was| *was != entry.side) }
                }
                None if whole => Change::Delete { from: was },
                // In `data` only if an earlier member was about to move it from there.
                None => Change::Delete { from: was.or(Some(Side::Binary)) },
            };
            patch.changes.insert(key.clone(), change);
        }
        patch
    }
}

/// Refuses what the server certainly would: the base goes along as the
/// write's precondition, so the sums are exact, but for the object's metadata.
fn check_size(batch: &Batch, totals: Option<Totals>) -> Result<()> {
    let Some(totals) = totals else { return Ok(()) };
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
