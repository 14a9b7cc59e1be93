//! What to send for a group of writes: each member is evaluated on top of the
//! ones before it, against what is known of the map; those that can be made
//! become one patch. A member that can't be made fails alone. Pure.

use super::base::{Base, Need};
use super::draft::{Draft, Fault, Member, Step};
use super::patch::{Fields, Patch};
use crate::error::Error;
use crate::model::{Totals, Written};

/// What the plan means for one member.
#[derive(Debug)]
pub(crate) enum Part {
    /// The member is part of the patch. `None`: the answer will tell whether it changed anything.
    Joined {
        changed: Option<bool>,
    },
    /// The map is as wanted already.
    Done(Written),
    /// One of the member's conditions doesn't hold.
    Unmet(Error),
    Refused(Error),
    /// The member depends on what becomes of those before it.
    Deferred,
}

pub(crate) struct Plan {
    /// One part for each member, in the members' order.
    pub parts: Vec<Part>,
    /// `None`: nothing has to be sent. On a missing map: it has to be created first.
    pub patch: Option<Patch>,
    /// Sizes of the map afterwards, where all of it is known.
    pub totals: Option<Totals>,
}

/// `fresh`: the base was read after every member was called. The error is what
/// has to be known before the group can be planned.
pub(crate) fn plan(
    members: &[Member<'_>],
    base: &Base,
    fresh: bool,
    stamp: impl FnOnce() -> String,
) -> Result<Plan, Need> {
    let believed = |member: &Member<'_>| fresh || member.trusts_memory;
    if base.is_missing() && !members.iter().all(believed) {
        return Err(Need::Fresh);
    }
    let mut draft = Draft::over(base, fresh);
    let mut parts = Vec::with_capacity(members.len());
    for member in members {
        if !is_known_enough(member, base, fresh) {
            return Err(Need::Whole);
        }
        parts.push(place(member, base, fresh, &mut draft)?);
    }
    if draft.has_to_name_keys() {
        return Err(Need::Whole);
    }
    if draft.is_idle() {
        return Ok(Plan { parts, patch: None, totals: None });
    }
    let certain = parts.iter().any(|part| matches!(part, Part::Joined { changed: Some(true) }));
    let asked = |member: &Member<'_>| !member.batch.conditions.is_empty();
    // Sent to be sure, an equal value makes no revision; with a stamp it would.
    if !certain && !fresh && members.iter().any(asked) {
        return Err(Need::Fresh);
    }
    let mut patch = draft.patch();
    patch.stamp = (certain || base.is_blind()).then(stamp);
    // managedFields are touched only with a certain change: a write that may change nothing else
    // must not make a revision by them.
    patch.fields = if certain { Fields::on(base.version()) } else { Fields::Keep };
    Ok(Plan { parts, patch: Some(patch), totals: draft.step.totals })
}

/// Conditions are about what the server has, not about what it was sent: admission may have stored
/// something else. A store that reads from memory is answered from memory.
fn is_known_enough(member: &Member<'_>, base: &Base, fresh: bool) -> bool {
    let plain = member.batch.conditions.is_empty() && !member.batch.ops.is_empty();
    plain || base.is_read() || (base.is_whole() && (fresh || member.trusts_memory))
}

/// Places one member on top of those before it.
fn place(member: &Member<'_>, base: &Base, fresh: bool, draft: &mut Draft<'_>) -> Result<Part, Need> {
    match draft.member(member) {
        Ok(step) if step.is_idle() && draft.is_idle() => {
            // What memory says is good enough for a store that reads from memory, unless a
            // condition hangs on it.
            let memory_will_do = member.trusts_memory && member.batch.conditions.is_empty();
            if !fresh && !memory_will_do {
                return Err(Need::Fresh);
            }
            Ok(Part::Done(Written::unchanged(base.version())))
        }
        Ok(step) => Ok(join(step, draft)),
        Err(fault) if draft.is_idle() => fault.into_part(fresh),
        // Without the other members it may be different.
        Err(_) => match Draft::over(base, fresh).member(member) {
            Err(fault) => fault.into_part(fresh),
            Ok(_) => Ok(Part::Deferred),
        },
    }
}

fn join(step: Step, draft: &mut Draft<'_>) -> Part {
    let changed = step.changed;
    draft.take(step);
    Part::Joined { changed }
}

impl Fault {
    /// A fault is final only if it is about the map as it is now.
    fn into_part(self, fresh: bool) -> Result<Part, Need> {
        match self {
            _ if !fresh => Err(Need::Fresh),
            Fault::Unmet(error) => Ok(Part::Unmet(error)),
            Fault::Refused(error) => Ok(Part::Refused(error)),
            Fault::Unsure => Err(Need::Fresh),
        }
    }
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Batch;
    use crate::model::Entries;
    use crate::model::Revision;
    use crate::model::{Entry, Layout, ManagedFields, Side, Snapshot, Value, Version};
    use crate::write::base::{Known, Sides};
    use crate::{ErrorKind, Result};
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
        let members: Vec<_> =
            batches.iter().map(|batch| Member { batch, trusts_memory, layout: Layout::Bytes }).collect();
        plan(&members, base, fresh, || "n0nce".into())
    }

    fn parts(plan: &Plan) -> Vec<String> {
        let name = |part: &Part| match part {
            Part::Joined { changed } => format!("joined {changed:?}"),
            Part::Done(_) => "done".into(),
            Part::Unmet(_) => "unmet".into(),
            Part::Refused(error) => format!("refused {:?}", error.kind()),
            Part::Deferred => "deferred".into(),
        };
        plan.parts.iter().map(name).collect()
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
        let plan = planned(&group, &Base::read(map), true, false).unwrap();
        assert_eq!(
            parts(&plan),
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
        let plan = planned(&group, &Base::read(map), true, false).unwrap();
        assert_eq!(parts(&plan), ["joined Some(true)", "unmet", "refused TooLarge", "joined Some(true)"]);
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
        let plan = planned(&group, &Base::read(map), true, false).unwrap();
        assert_eq!(
            parts(&plan),
            ["joined Some(true)", "deferred", "deferred", "joined Some(true)", "deferred"]
        );
        assert!(plan.patch.unwrap().stamp.is_some(), "a conditional group is stamped");
    }

    #[test]
    fn a_stamp_is_not_spent_on_what_is_there_already() {
        let base = Base::read(whole(&[("a", b"1", Side::Binary)]));
        let equal = || batch(|b| b.if_equals("a", "1")?.set("a", "1"));
        assert!(matches!(planned(&[equal()], &base, false, false), Err(Need::Fresh)));
        let with_another = [equal(), batch(|b| b.set("b", "2"))];
        assert!(planned(&with_another, &base, false, false).unwrap().patch.is_some());
        let plan = planned(&[equal()], &base, true, false).unwrap();
        assert_eq!((parts(&plan), plan.patch.is_none()), (vec!["done".to_owned()], true));
    }

    #[test]
    fn a_failure_is_final_only_about_the_map_as_it_is_now() {
        let base = Base::read(whole(&[("a", b"1", Side::Binary)]));
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
        let base = Base::read(whole(&[("a", b"1", Side::Binary)]));
        let equal = [batch(|b| b.set("a", "1"))];
        assert_eq!(parts(&planned(&equal, &base, false, true).unwrap()), ["done"]);
        let sent = planned(&equal, &base, false, false).unwrap();
        assert_eq!(parts(&sent), ["joined None"]);
        assert!(sent.patch.unwrap().stamp.is_none(), "the server is to skip it");
        assert_eq!(parts(&planned(&equal, &base, true, false).unwrap()), ["done"]);
        let missing = Base::memory(Snapshot::missing());
        let delete = [batch(|b| b.delete("a"))];
        assert_eq!(parts(&planned(&delete, &missing, false, true).unwrap()), ["done"]);
        assert_eq!(planned(&delete, &missing, false, false).err(), Some(Need::Fresh));
    }

    /// Nothing of the map is known but its version.
    fn part(version: &Version) -> Base {
        let mut known = Known::default();
        known.go_blind();
        known.record(&Patch::default(), version);
        known.base().unwrap().clone()
    }

    #[test]
    fn little_knowledge_is_enough_without_conditions() {
        let version = Version::at("u", Revision::new("5").unwrap());
        let group = [batch(|b| b.set("a", "1")), batch(|b| b.delete("b")), batch(|b| b.set("c", [0xff]))];
        for (base, stamped) in [(part(&version), false), (Base::blind(Sides::new()), true)] {
            let plan = planned(&group, &base, false, false).unwrap();
            assert_eq!(parts(&plan), ["joined None"; 3]);
            let patch = plan.patch.unwrap();
            assert_eq!((patch.base.is_none(), patch.stamp.is_some()), (stamped, stamped));
            let sent = patch.to_strategic();
            assert_eq!(sent["binaryData"]["c"], "/w==");
            assert!(sent["data"].get("c").is_some_and(|c| c.is_null()), "bytes leave the text");
            assert!(sent["data"].get("b").is_some() && sent["binaryData"].get("b").is_some());
        }
        let conditional = [batch(|b| b.if_present("a")?.delete("a"))];
        assert_eq!(planned(&conditional, &part(&version), false, false).err(), Some(Need::Whole));
        // "Replace" on a map that isn't there is silently nothing: its keys have to be known.
        let replaced = [batch(|b| b.truncate()?.set("a", "1"))];
        assert_eq!(planned(&replaced, &part(&version), false, false).err(), Some(Need::Whole));
    }

    #[test]
    fn a_truncate_with_sets_names_every_key() {
        let map = whole(&[("t", b"1", Side::Text), ("b", b"2", Side::Binary)]);
        let group = [batch(|b| b.truncate()?.set("b", "3")?.set("n", "4"))];
        let sent =
            planned(&group, &Base::read(map.clone()), true, false).unwrap().patch.unwrap().to_strategic();
        assert_eq!(sent["data"], serde_json::json!({"t": null}));
        assert_eq!(sent["binaryData"], serde_json::json!({"b": "Mw==", "n": "NA=="}));
        let all = [batch(|b| b.truncate())];
        let sent = planned(&all, &Base::read(map), true, false).unwrap().patch.unwrap().to_strategic();
        assert!(sent["data"].is_null() && sent["binaryData"].is_null() && sent.get("data").is_some());
    }

    #[test]
    fn the_sum_is_checked_to_the_byte() {
        let map = whole(&[("a", &vec![0; 1_000_000], Side::Binary), ("b", &[0; 10], Side::Binary)]);
        let base = Base::read(map);
        let fits = [batch(|b| b.set("b", vec![0; 48_576]))];
        assert_eq!(parts(&planned(&fits, &base, true, false).unwrap()), ["joined Some(true)"]);
        let over = [batch(|b| b.set("b", vec![0; 48_577]))];
        let plan = planned(&over, &base, true, false).unwrap();
        let [Part::Refused(error)] = plan.parts.as_slice() else { panic!() };
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert_eq!(error.used_and_limit(), Some((Some(1_048_577), 1_048_576)));
    }

    #[test]
    fn an_unmet_condition_says_which_and_shows_no_value() {
        let map = whole(&[("a", b"secret", Side::Binary)]);
        let group = [batch(|b| b.if_equals("a", "guess")?.set("a", "1"))];
        let plan = planned(&group, &Base::read(map), true, false).unwrap();
        let [Part::Unmet(error)] = plan.parts.as_slice() else { panic!() };
        assert!(error.subject().contains("\"a\"") && !error.is_retryable(), "{error:?}");
        assert!(!error.to_string().contains("secret") && !error.to_string().contains("guess"));
    }

    /// A set and a delete of one key in one request that come to nothing said "changed".
    #[test]
    fn what_comes_to_nothing_is_no_change() {
        let base = Base::read(whole(&[("a", b"1", Side::Binary)]));
        let nothing = [
            batch(|b| b.set("n", "1")?.delete("n")),
            batch(|b| b.delete("a")?.set("a", "1")),
            batch(|b| b.set("a", "2")?.set("a", "1")),
            batch(|b| b.truncate()?.set("a", "1")),
            batch(|b| b.set("n", "1")?.truncate()?.set("a", "1")?.delete("n")),
        ];
        for group in nothing {
            let plan = planned(std::slice::from_ref(&group), &base, true, false).unwrap();
            assert_eq!((parts(&plan), plan.patch.is_none()), (vec!["done".to_owned()], true), "{group:?}");
            let sent = planned(&[group], &base, false, false);
            let unsure =
                |plan: &Plan| parts(plan) == ["joined None"] && plan.patch.as_ref().unwrap().stamp.is_none();
            assert!(sent.is_ok_and(|plan| unsure(&plan)), "sent to be sure, and not stamped");
        }
        for group in [batch(|b| b.truncate()?.set("b", "1")), batch(|b| b.truncate()?.set("a", "2"))] {
            assert_eq!(parts(&planned(&[group], &base, true, false).unwrap()), ["joined Some(true)"]);
        }
        let forced = [batch(|b| b.force_set("a", "1"))];
        assert_eq!(parts(&planned(&forced, &base, true, true).unwrap()), ["joined Some(true)"]);
    }

    /// Each key was looked for among all the batch's operations: seconds of the one I/O thread, for all stores.
    #[test]
    fn a_large_batch_of_what_is_so_takes_no_time_of_others() {
        let mut map = Entries::default();
        let mut equal = Batch::new();
        for number in 0..100_000 {
            let key = format!("{number}");
            map.insert(key.clone(), Entry { value: Value(Bytes::new()), side: Side::Binary });
            equal.set(&key, "").unwrap();
        }
        let base = Base::read(Snapshot::new(Version::at("u", Revision::new("5").unwrap()), map));
        let started = std::time::Instant::now();
        assert_eq!(parts(&planned(&[equal], &base, true, false).unwrap()), ["done"]);
        assert!(started.elapsed() < std::time::Duration::from_secs(10), "{:?}", started.elapsed());
    }

    /// Without a stamp a write that got no answer can't be told from another writer's that looks like it.
    #[test]
    fn what_certainly_changes_the_map_is_stamped() {
        let base = Base::memory(whole(&[("a", b"1", Side::Binary)]));
        let stamped = |group: &Batch| {
            planned(std::slice::from_ref(group), &base, false, false).unwrap().patch.unwrap().stamp.is_some()
        };
        assert!(stamped(&batch(|b| b.set("a", "2"))) && stamped(&batch(|b| b.delete("a"))));
        assert!(stamped(&batch(|b| b.set("n", "1"))) && stamped(&batch(|b| b.truncate())));
        assert!(!stamped(&batch(|b| b.set("a", "1"))) && !stamped(&batch(|b| b.delete("n"))));
    }

    #[test]
    fn managed_fields_are_shed_with_a_change_where_nobody_applies() {
        let at = |fields| {
            let version = Version { fields, ..Version::at("u", Revision::new("5").unwrap()) };
            Base::read(Snapshot::new(version, Entries::default()))
        };
        let group = [batch(|b| b.set("a", "1"))];
        let shed = |base| planned(&group, &base, true, false).unwrap().patch.unwrap().fields;
        assert_eq!(shed(at(ManagedFields::Sheddable)), Fields::Shed);
        assert_eq!(shed(at(ManagedFields::Unguarded)), Fields::Claim);
        assert_eq!(shed(at(ManagedFields::Applied)), Fields::Keep);
        assert_eq!(shed(at(ManagedFields::None)), Fields::Keep);
    }
}
