//! What to send for a group of writes: each member is evaluated on top of the
//! ones before it, against what is known of the map; those that can be made
//! become one patch. A member that can't be made fails alone. Pure.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::model::Key;
use crate::model::{Entry, Layout, Side, Snapshot, Totals, Value, Version};
use crate::model::{Op, Written};
use crate::write::draft::{Draft, No, Wish, is_text, new_side, side_on};
use crate::write::patch::{Change, Fields, Patch};

/// What is known of the map when a group is planned.
#[derive(Clone)]
pub(crate) enum Base {
    /// All of it; empty and without a version if it doesn't exist.
    Whole(Snapshot),
    /// That it exists, at this version.
    Version(Version),
    /// That others write faster than we can look.
    Blind,
}

impl Base {
    pub fn whole(&self) -> Option<&Snapshot> {
        match self {
            Base::Whole(map) => Some(map),
            _ => None,
        }
    }

    pub fn version(&self) -> Option<&Version> {
        match self {
            Base::Whole(map) => map.version(),
            Base::Version(version) => Some(version),
            Base::Blind => None,
        }
    }
}

/// What the plan means for one member.
#[derive(Debug)]
pub(crate) enum Fate {
    /// It is part of the patch. `None`: the answer will tell whether it changed anything.
    Joined {
        changed: Option<bool>,
    },
    /// The map is as wanted already.
    Done(Written),
    /// One of its conditions doesn't hold.
    Unmet(Error),
    Refused(Error),
    /// It depends on what becomes of the members before it.
    Deferred,
}

pub(crate) struct Plan {
    /// One for each member, in their order.
    pub fates: Vec<Fate>,
    /// `None`: nothing has to be sent. Without a base, of a whole map: it has to be created first.
    pub patch: Option<Patch>,
    /// Sizes of the map afterwards, where it is known.
    pub totals: Option<Totals>,
}

/// What has to be known before the group can be planned.
#[derive(Debug, PartialEq)]
pub(crate) enum Need {
    /// The whole map.
    Whole,
    /// The whole map, as it is now: what is known may be out of date.
    Fresh,
}

/// Keys found on another side than new ones go to.
pub(crate) type Sides = BTreeMap<String, Side>;

/// `fresh`: the base was read after every member was called. `sides` is asked
/// where the map isn't known.
pub(crate) fn plan(
    wishes: &[Wish<'_>],
    base: &Base,
    fresh: bool,
    sides: &Sides,
    stamp: impl FnOnce() -> String,
) -> Result<Plan, Need> {
    match base {
        Base::Whole(map) => on_whole(wishes, map, fresh, stamp),
        Base::Version(version) => on_part(wishes, Some(version), sides, stamp),
        Base::Blind => on_part(wishes, None, sides, stamp),
    }
}

/// Little is known of the map, so the members are not looked at one by one:
/// the server judges them together.
fn on_part(
    wishes: &[Wish<'_>],
    version: Option<&Version>,
    sides: &Sides,
    stamp: impl FnOnce() -> String,
) -> Result<Plan, Need> {
    let mut patch = Patch { base: version.cloned(), ..Patch::default() };
    for wish in wishes {
        if !wish.batch.conditions.is_empty() || wish.batch.ops.is_empty() {
            return Err(Need::Whole);
        }
        let binary_only = wish.layout == Layout::BinaryOnly;
        for op in &wish.batch.ops {
            match op {
                // What is in `data` has to be known to be left alone.
                Op::Truncate if binary_only => return Err(Need::Whole),
                Op::Set { key, .. } | Op::Delete { key }
                    if binary_only && sides.get(key.as_str()) == Some(&Side::Text) =>
                {
                    return Err(Need::Whole);
                }
                Op::Set { key, value, .. } => {
                    let change = set_somewhere(key, value, sides, wish.layout);
                    patch.changes.insert(key.as_str().to_owned(), change);
                }
                Op::Delete { key } if binary_only => {
                    let change = Change::Delete { from: Some(Side::Binary) };
                    patch.changes.insert(key.as_str().to_owned(), change);
                }
                Op::Delete { key } => {
                    patch.changes.insert(key.as_str().to_owned(), Change::Delete { from: None });
                }
                Op::Truncate => {
                    patch.clear = true;
                    patch.changes.clear();
                }
            }
        }
    }
    if patch.clear {
        // To replace a map that isn't there is silently nothing: the keys have to be named.
        if patch.changes.values().any(|change| matches!(change, Change::Set { .. })) {
            return Err(Need::Whole);
        }
        patch.changes.clear();
    }
    if version.is_none() || wishes.iter().any(|wish| wish.batch.is_forced()) {
        patch.stamp = Some(stamp());
    }
    let fates = wishes.iter().map(|_| Fate::Joined { changed: None }).collect();
    Ok(Plan { fates, patch: Some(patch), totals: None })
}

/// Bytes that aren't text leave `data` if they were there. Text stays on the
/// side it is on; if the guess is wrong the server refuses and tells.
fn set_somewhere(key: &Key, value: &bytes::Bytes, sides: &Sides, layout: Layout) -> Change {
    let value = Value(value.clone());
    let assumed = sides.get(key.as_str()).copied().unwrap_or_else(|| new_side(&value, layout));
    let side = side_on(&value, Some(assumed), layout);
    let leaves = (layout != Layout::BinaryOnly && !is_text(&value)).then_some(Side::Text);
    Change::Set { entry: Entry { value, side }, leaves }
}

fn on_whole(
    wishes: &[Wish<'_>],
    map: &Snapshot,
    fresh: bool,
    stamp: impl FnOnce() -> String,
) -> Result<Plan, Need> {
    let from_memory = !fresh && wishes.iter().any(|wish| !wish.trusts_memory);
    if from_memory && map.version().is_none() {
        return Err(Need::Fresh);
    }
    let mut draft = Draft::over(map);
    let mut fates = Vec::with_capacity(wishes.len());
    let mut stamped = false;
    for wish in wishes {
        let fate = match draft.member(wish, fresh) {
            Ok(step) if step.is_idle() && draft.is_idle() => {
                // What memory says is good enough for whoever asked for memory, unless a condition hangs on it.
                let memory_will_do = wish.trusts_memory && wish.batch.conditions.is_empty();
                if !fresh && !memory_will_do {
                    return Err(Need::Fresh);
                }
                Fate::Done(Written::unchanged(map.version()))
            }
            Ok(step) => {
                stamped |= wish.batch.is_forced() || !wish.batch.conditions.is_empty();
                let changed = step.changed;
                draft.take(step);
                Fate::Joined { changed }
            }
            Err(no) if draft.is_idle() => no.into_fate(fresh)?,
            // Without the others it may be different.
            Err(_) => match Draft::over(map).member(wish, fresh) {
                Err(no) => no.into_fate(fresh)?,
                Ok(_) => Fate::Deferred,
            },
        };
        fates.push(fate);
    }
    if draft.is_idle() {
        return Ok(Plan { fates, patch: None, totals: None });
    }
    // Sent to be sure, an equal value makes no revision; with a stamp it would.
    let changes = |fate: &Fate| matches!(fate, Fate::Joined { changed: Some(true) });
    if stamped && !fresh && !fates.iter().any(changes) {
        return Err(Need::Fresh);
    }
    let mut patch = draft.patch();
    patch.stamp = stamped.then(stamp);
    patch.fields = Fields::on(map.version());
    Ok(Plan { fates, patch: Some(patch), totals: Some(draft.step.totals) })
}

impl No {
    /// Final only if it is about the map as it is now.
    fn into_fate(self, fresh: bool) -> Result<Fate, Need> {
        match self {
            _ if !fresh => Err(Need::Fresh),
            No::Unmet(error) => Ok(Fate::Unmet(error)),
            No::Refused(error) => Ok(Fate::Refused(error)),
            No::Unsure => Err(Need::Fresh),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::model::Batch;
    use crate::model::Entries;
    use crate::model::ManagedFields;
    use crate::model::Revision;
    use bytes::Bytes;

    fn whole(entries: &[(&str, &[u8], Side)]) -> Snapshot {
        let mut all = Entries::default();
        for &(key, value, side) in entries {
            all.insert(key.into(), Entry { value: Value(Bytes::copy_from_slice(value)), side });
        }
        Snapshot::new(Version::at("u", Revision::new("5").unwrap()), all)
    }

    fn batch(fill: impl FnOnce(&mut Batch) -> Result<&mut Batch>) -> Batch {
        let mut batch = Batch::new();
        fill(&mut batch).unwrap();
        batch
    }

    fn planned(batches: &[Batch], base: &Base, fresh: bool, trusts_memory: bool) -> Result<Plan, Need> {
        let wishes: Vec<_> =
            batches.iter().map(|batch| Wish { batch, trusts_memory, layout: Layout::Bytes }).collect();
        plan(&wishes, base, fresh, &Sides::new(), || "n0nce".into())
    }

    fn fates(plan: &Plan) -> Vec<String> {
        let name = |fate: &Fate| match fate {
            Fate::Joined { changed } => format!("joined {changed:?}"),
            Fate::Done(_) => "done".into(),
            Fate::Unmet(_) => "unmet".into(),
            Fate::Refused(error) => format!("refused {:?}", error.kind()),
            Fate::Deferred => "deferred".into(),
        };
        plan.fates.iter().map(name).collect()
    }

    #[test]
    fn members_go_together_in_their_order() {
        let map = whole(&[("a", b"1", Side::Text)]);
        let group = [
            batch(|b| b.set("a", "2")),
            batch(|b| b.set("b", "x")),
            batch(|b| b.set("a", "3")),
            batch(|b| b.delete("b")),
            batch(|b| b.set("a", "3")),
        ];
        let plan = planned(&group, &Base::Whole(map), true, false).unwrap();
        assert_eq!(
            fates(&plan),
            [
                "joined Some(true)",
                "joined Some(true)",
                "joined Some(true)",
                "joined Some(true)",
                "joined Some(false)"
            ]
        );
        let patch = plan.patch.unwrap().to_strategic();
        assert_eq!(patch["data"]["a"], "3");
        assert!(patch["binaryData"]["b"].is_null());
    }

    #[test]
    fn a_member_that_fails_fails_alone() {
        let map = whole(&[("a", b"1", Side::Binary)]);
        let group = [
            batch(|b| b.set("x", "1")),
            batch(|b| b.if_absent("a")?.set("never", "1")),
            batch(|b| b.set("big", vec![0; 1_048_576])),
            batch(|b| b.set("y", "1")),
        ];
        let plan = planned(&group, &Base::Whole(map), true, false).unwrap();
        assert_eq!(fates(&plan), ["joined Some(true)", "unmet", "refused TooLarge", "joined Some(true)"]);
        let changes = plan.patch.unwrap().changes;
        assert_eq!(changes.keys().collect::<Vec<_>>(), ["x", "y"]);
    }

    #[test]
    fn who_depends_on_others_waits_for_their_outcome() {
        let map = whole(&[]);
        let swap = || batch(|b| b.if_absent("lock")?.set("lock", "me"));
        let revision = batch(|b| b.if_revision("5")?.set("r", "1"));
        let half = || vec![0; 600_000];
        let group =
            [swap(), swap(), revision, batch(|b| b.set("h1", half())), batch(|b| b.set("h2", half()))];
        let plan = planned(&group, &Base::Whole(map), true, false).unwrap();
        assert_eq!(
            fates(&plan),
            ["joined Some(true)", "deferred", "deferred", "joined Some(true)", "deferred"]
        );
        assert!(plan.patch.unwrap().stamp.is_some(), "a conditional group is stamped");
    }

    #[test]
    fn a_stamp_is_not_spent_on_what_is_there_already() {
        let base = Base::Whole(whole(&[("a", b"1", Side::Binary)]));
        let equal = || batch(|b| b.if_equals("a", "1")?.set("a", "1"));
        assert!(matches!(planned(&[equal()], &base, false, false), Err(Need::Fresh)));
        let with_another = [equal(), batch(|b| b.set("b", "2"))];
        assert!(planned(&with_another, &base, false, false).unwrap().patch.is_some());
        let plan = planned(&[equal()], &base, true, false).unwrap();
        assert_eq!((fates(&plan), plan.patch.is_none()), (vec!["done".to_owned()], true));
    }

    #[test]
    fn a_failure_is_final_only_about_the_map_as_it_is_now() {
        let base = Base::Whole(whole(&[("a", b"1", Side::Binary)]));
        let unmet = [batch(|b| b.if_absent("a")?.set("a", "2"))];
        let too_large = [batch(|b| b.set("big", vec![0; 1_048_576]))];
        let unneeded = [batch(|b| b.if_equals("a", "1")?.set("a", "1"))];
        for group in [&unmet, &too_large, &unneeded] {
            assert_eq!(planned(group, &base, false, true).err(), Some(Need::Fresh));
            assert!(planned(group, &base, true, true).is_ok());
        }
    }

    #[test]
    fn memory_is_believed_by_those_who_asked_for_it() {
        let base = Base::Whole(whole(&[("a", b"1", Side::Binary)]));
        let equal = [batch(|b| b.set("a", "1"))];
        assert_eq!(fates(&planned(&equal, &base, false, true).unwrap()), ["done"]);
        let sent = planned(&equal, &base, false, false).unwrap();
        assert_eq!(fates(&sent), ["joined None"]);
        assert!(sent.patch.unwrap().stamp.is_none(), "the server is to skip it");
        assert_eq!(fates(&planned(&equal, &base, true, false).unwrap()), ["done"]);
        let missing = Base::Whole(Snapshot::missing());
        let delete = [batch(|b| b.delete("a"))];
        assert_eq!(fates(&planned(&delete, &missing, false, true).unwrap()), ["done"]);
        assert_eq!(planned(&delete, &missing, false, false).err(), Some(Need::Fresh));
    }

    #[test]
    fn little_knowledge_is_enough_without_conditions() {
        let version = Version::at("u", Revision::new("5").unwrap());
        let group = [batch(|b| b.set("a", "1")), batch(|b| b.delete("b")), batch(|b| b.set("a", [0xff]))];
        for (base, stamped) in [(Base::Version(version.clone()), false), (Base::Blind, true)] {
            let plan = planned(&group, &base, false, false).unwrap();
            assert_eq!(fates(&plan), ["joined None"; 3]);
            let patch = plan.patch.unwrap();
            assert_eq!((patch.base.is_none(), patch.stamp.is_some()), (stamped, stamped));
            let sent = patch.to_strategic();
            assert_eq!(sent["binaryData"]["a"], "/w==");
            assert!(sent["data"].get("a").is_some_and(|a| a.is_null()), "bytes leave the text");
            assert!(sent["data"].get("b").is_some() && sent["binaryData"].get("b").is_some());
        }
        let conditional = [batch(|b| b.if_present("a")?.delete("a"))];
        assert_eq!(
            planned(&conditional, &Base::Version(version.clone()), false, false).err(),
            Some(Need::Whole)
        );
        // "Replace" on a map that isn't there is silently nothing: its keys have to be known.
        let replaced = [batch(|b| b.truncate()?.set("a", "1"))];
        assert_eq!(planned(&replaced, &Base::Version(version), false, false).err(), Some(Need::Whole));
    }

    #[test]
    fn a_truncate_with_sets_names_every_key() {
        let map = whole(&[("t", b"1", Side::Text), ("b", b"2", Side::Binary)]);
        let group = [batch(|b| b.truncate()?.set("b", "3")?.set("n", "4"))];
        let sent =
            planned(&group, &Base::Whole(map.clone()), true, false).unwrap().patch.unwrap().to_strategic();
        assert_eq!(sent["data"], serde_json::json!({"t": null}));
        assert_eq!(sent["binaryData"], serde_json::json!({"b": "Mw==", "n": "NA=="}));
        let all = [batch(|b| b.truncate())];
        let sent = planned(&all, &Base::Whole(map), true, false).unwrap().patch.unwrap().to_strategic();
        assert!(sent["data"].is_null() && sent["binaryData"].is_null() && sent.get("data").is_some());
    }

    #[test]
    fn the_sum_is_checked_to_the_byte() {
        let map = whole(&[("a", &vec![0; 1_000_000], Side::Binary), ("b", &[0; 10], Side::Binary)]);
        let base = Base::Whole(map);
        let fits = [batch(|b| b.set("b", vec![0; 48_576]))];
        assert_eq!(fates(&planned(&fits, &base, true, false).unwrap()), ["joined Some(true)"]);
        let over = [batch(|b| b.set("b", vec![0; 48_577]))];
        let plan = planned(&over, &base, true, false).unwrap();
        let [Fate::Refused(error)] = plan.fates.as_slice() else { panic!() };
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert_eq!(error.used_and_limit(), Some((Some(1_048_577), 1_048_576)));
    }

    #[test]
    fn an_unmet_condition_says_which_and_shows_no_value() {
        let map = whole(&[("a", b"secret", Side::Binary)]);
        let group = [batch(|b| b.if_equals("a", "guess")?.set("a", "1"))];
        let plan = planned(&group, &Base::Whole(map), true, false).unwrap();
        let [Fate::Unmet(error)] = plan.fates.as_slice() else { panic!() };
        assert!(error.subject().contains("\"a\"") && !error.is_retryable(), "{error:?}");
        assert!(!error.to_string().contains("secret") && !error.to_string().contains("guess"));
    }

    #[test]
    fn managed_fields_are_shed_with_a_change_where_nobody_applies() {
        let at = |fields| {
            let version = Version { fields, ..Version::at("u", Revision::new("5").unwrap()) };
            Base::Whole(Snapshot::new(version, Entries::default()))
        };
        let group = [batch(|b| b.set("a", "1"))];
        let shed = |base| planned(&group, &base, true, false).unwrap().patch.unwrap().fields;
        assert_eq!(shed(at(ManagedFields::Sheddable)), Fields::Shed);
        assert_eq!(shed(at(ManagedFields::Unguarded)), Fields::Claim);
        assert_eq!(shed(at(ManagedFields::Applied)), Fields::Keep);
        assert_eq!(shed(at(ManagedFields::None)), Fields::Keep);
    }
}
