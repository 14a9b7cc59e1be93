//! The calls of each client, from the seed alone.
//!
//! Most values are unique, so that whatever holds one tells where it comes from. The keys `pool*` are the contrary:
//! all set the same few values there and delete them, as flags are, so that content proves nothing. `pair-a` and
//! `pair-b` are only ever written together.

use serde_json::{Value as Json, json};

use crate::model::Plan;
use crate::random::Random;

const POOL: [&str; 3] = ["pool0", "pool1", "pool2"];
const SHARED: [&str; 3] = ["shared0", "shared1", "shared2"];
const SWITCH: [&str; 2] = ["on", "off"];

/// The calls of one client, as lines for its process.
pub fn script(plan: &Plan, process: usize, client: usize) -> Vec<Json> {
    let name = format!("{}.c{client}", plan.processes[process].name);
    let mut writer = Writer { random: Random::new(plan.seed, &name), name, plan, number: 0 };
    let mut calls = vec![writer.line("open"), writer.line("open")];
    calls.iter_mut().for_each(|open| open["timeout_ms"] = json!(5_000));
    calls.extend((0..plan.calls_each).map(|_| writer.call()));
    calls.extend(writer.calm());
    calls
}

struct Writer<'a> {
    random: Random,
    name: String,
    plan: &'a Plan,
    number: u64,
}

#[derive(Clone, Copy)]
enum Verb {
    SetPool,
    DeletePool,
    SetShared,
    SetOwn,
    DeleteOwn,
    ForceSet,
    Truncate,
    Pair,
    Batch,
    Conditional,
    AtRevision,
    Swap,
    Update,
    Get,
    GetPool,
    Contains,
    Len,
    Keys,
    Usage,
    Verify,
    Snapshot,
    Refresh,
}

const WEIGHTS: [(u64, Verb); 22] = [
    (12, Verb::SetPool),
    (12, Verb::DeletePool),
    (8, Verb::SetShared),
    (8, Verb::SetOwn),
    (3, Verb::DeleteOwn),
    (3, Verb::ForceSet),
    (1, Verb::Truncate),
    (5, Verb::Pair),
    (4, Verb::Batch),
    (5, Verb::Conditional),
    (4, Verb::AtRevision),
    (5, Verb::Swap),
    (8, Verb::Update),
    (7, Verb::Get),
    (5, Verb::GetPool),
    (2, Verb::Contains),
    (1, Verb::Len),
    (2, Verb::Keys),
    (1, Verb::Usage),
    (1, Verb::Verify),
    (8, Verb::Snapshot),
    (2, Verb::Refresh),
];

impl Writer<'_> {
    fn line(&mut self, verb: &str) -> Json {
        self.number += 1;
        let longest = self.plan.longest_timeout_ms;
        json!({
            "client": self.name,
            "id": format!("{}.{}", self.name, self.number),
            "verb": verb,
            "timeout_ms": self.random.between(longest / 2, longest),
            "pause_us": self.random.below(self.plan.longest_pause_us),
        })
    }

    fn call(&mut self) -> Json {
        let verb = self.random.weighted(&WEIGHTS);
        let mut line = self.line(self.name_of(verb));
        let id = line["id"].as_str().unwrap_or_default().to_owned();
        let own = format!("{}-{}", self.name, self.random.below(3));
        let pool = *self.random.of(&POOL);
        let shared = *self.random.of(&SHARED);
        let switch = *self.random.of(&SWITCH);
        match verb {
            Verb::SetPool => line["ops"] = json!([["set", pool, switch]]),
            Verb::DeletePool => line["ops"] = json!([["delete", pool, ""]]),
            Verb::SetShared => line["ops"] = json!([["set", shared, self.unique(&id)]]),
            Verb::SetOwn | Verb::ForceSet if self.random.percent(20) => {
                line["ops"] = json!([[line["verb"], own, switch]]);
            }
            Verb::SetOwn | Verb::ForceSet => line["ops"] = json!([[line["verb"], own, self.unique(&id)]]),
            Verb::DeleteOwn => line["ops"] = json!([["delete", own, ""]]),
            Verb::Truncate => line["ops"] = json!([["truncate", "", ""]]),
            Verb::Pair => line["ops"] = json!([["set", "pair-a", id], ["set", "pair-b", id]]),
            Verb::Batch => {
                line["ops"] =
                    json!([["set", own, self.unique(&id)], ["delete", pool, ""], ["set", shared, id]]);
            }
            Verb::Conditional => {
                line["conditions"] = json!([*self.random.of(&[
                    ["absent", pool, ""],
                    ["present", pool, ""],
                    ["equals", pool, "on"],
                    ["equals", pool, "off"],
                ])]);
                let change =
                    if self.random.percent(60) { ["set", pool, switch] } else { ["delete", pool, ""] };
                line["ops"] = json!([change, ["set", own, self.unique(&id)]]);
            }
            Verb::AtRevision => {
                line["conditions"] = json!([["revision", "", "@"]]);
                line["ops"] = json!([["set", shared, self.unique(&id)]]);
            }
            Verb::Swap => {
                let key = if self.random.percent(50) { pool } else { shared };
                let new = if key == pool { switch.to_owned() } else { id };
                line["conditions"] = json!([["equals", key, "@"]]);
                let change = if self.random.percent(80) { ["set", key, &new] } else { ["delete", key, ""] };
                line["ops"] = json!([change]);
            }
            Verb::Update => line["ops"] = json!([["set", "counter", ""]]),
            Verb::Get => line["key"] = json!(if self.random.percent(50) { shared } else { &own }),
            Verb::GetPool | Verb::Contains => line["key"] = json!(pool),
            Verb::Len | Verb::Keys | Verb::Usage | Verb::Verify | Verb::Snapshot | Verb::Refresh => {}
        }
        if self.random.percent(3) {
            line["cancel_ms"] = json!(self.random.between(1, 60));
        }
        line
    }

    fn name_of(&self, verb: Verb) -> &'static str {
        match verb {
            Verb::SetPool | Verb::SetShared | Verb::SetOwn => "set",
            Verb::DeletePool | Verb::DeleteOwn => "delete",
            Verb::ForceSet => "force_set",
            Verb::Truncate => "truncate",
            Verb::Pair | Verb::Batch | Verb::Conditional | Verb::AtRevision => "apply",
            Verb::Swap => "compare_and_set",
            Verb::Update => "update",
            Verb::Get | Verb::GetPool => "get",
            Verb::Contains => "contains",
            Verb::Len => "len",
            Verb::Keys => "keys",
            Verb::Usage => "usage",
            Verb::Verify => "verify_connection",
            Verb::Snapshot => "snapshot",
            Verb::Refresh => "refresh",
        }
    }

    /// A value that no other call writes; sometimes bytes that aren't text.
    fn unique(&mut self, id: &str) -> String {
        if self.random.percent(15) { format!("{id}\u{ff}") } else { id.to_owned() }
    }

    /// What must succeed when the faults are over.
    fn calm(&mut self) -> Vec<Json> {
        let mut lines = Vec::new();
        for verb in ["open", "set", "refresh", "snapshot"] {
            let mut line = self.line(verb);
            line["timeout_ms"] = json!(10_000);
            line["quiet"] = json!(true);
            if verb == "set" {
                line["ops"] = json!([["set", format!("{}-last", self.name), line["id"]]]);
            }
            lines.push(line);
        }
        lines
    }
}
