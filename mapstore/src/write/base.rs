//! What a writer knows of its map between two writes, besides the cache. Pure.

use std::collections::HashMap;

use serde_json::Value as Json;

use crate::model::MAX_OBJECT_BYTES;
use crate::model::{Side, Snapshot, Version, stored_bytes};
use crate::server::status::Failure;
use crate::write::patch::{Change, Fields, Patch};
use crate::write::plan::{Base, Sides};

/// What a group is planned on.
pub(crate) struct Ground {
    pub base: Base,
    /// Read after every member was called.
    pub fresh: bool,
    /// The object to edit, where patch is refused.
    pub object: Option<Json>,
}

impl Ground {
    pub fn whole(map: Snapshot, fresh: bool) -> Self {
        Ground { base: Base::Whole(map), fresh, object: None }
    }

    pub fn part(base: Base) -> Self {
        Ground { base, fresh: false, object: None }
    }

    pub fn is_missing(&self) -> bool {
        matches!(&self.base, Base::Whole(map) if map.version().is_none())
    }
}

#[derive(Default)]
pub(crate) struct Known {
    last: Option<Version>,
    /// As last seen: a wrong one is refused by the server, never followed.
    pub sides: Sides,
    size: Size,
    /// Set where patch is refused: whole objects are read and written back.
    pub without_patch: Option<Failure>,
}

/// About how large the map is. Others may change that unseen; what is written
/// here is counted.
#[derive(Default)]
struct Size {
    object: u64,
    /// What each key takes that was written here since.
    written: HashMap<String, u64>,
}

impl Known {
    /// The version to write on, if no more has to be known for that: a write that
    /// changes the managedFields has to know that it changes a key too.
    pub fn usable(&self) -> Option<&Version> {
        let settled = |version: &&Version| Fields::on(Some(version)) == Fields::Keep;
        self.last.as_ref().filter(settled)
    }

    /// The whole map was read.
    pub fn learn(&mut self, map: &Snapshot) {
        self.last = map.version().cloned();
        let text = map.entries().filter(|(_, entry)| entry.side == Side::Text);
        self.sides = text.map(|(key, _)| (key.clone(), Side::Text)).collect();
        self.size = Size { object: map.totals().object, written: HashMap::new() };
    }

    /// The version isn't the map's any more, or nobody knows: look before the next write.
    pub fn forget(&mut self) {
        self.last = None;
    }

    /// A patch was applied.
    pub fn record(&mut self, patch: &Patch, version: &Version) {
        self.last = Some(version.clone());
        if patch.clear {
            self.sides.clear();
            self.size = Size::default();
        }
        for (key, change) in &patch.changes {
            let now = match change {
                Change::Set { entry, .. } => {
                    self.sides.insert(key.clone(), entry.side);
                    stored_bytes(key.len(), entry.value.len())
                }
                Change::Delete { .. } => {
                    self.sides.remove(key);
                    0
                }
            };
            let before = self.size.written.insert(key.clone(), now).unwrap_or_default();
            self.size.object = (self.size.object + now).saturating_sub(before);
        }
    }

    /// The server found these keys on the other side. `false`: it is not about
    /// keys of this patch, or they were turned already.
    pub fn turn(&mut self, keys: &[&str], patch: &Patch) -> bool {
        let mut turned = false;
        for key in keys {
            let Some(Change::Set { entry, .. }) = patch.changes.get(*key) else { continue };
            let side = entry.side.other();
            turned |= self.sides.insert((*key).to_owned(), side) != Some(side);
        }
        turned
    }

    /// Bytes that a write of `more` bytes has stored.
    pub fn cost(&self, more: u64) -> u64 {
        (self.size.object + more).min(MAX_OBJECT_BYTES)
    }
}
