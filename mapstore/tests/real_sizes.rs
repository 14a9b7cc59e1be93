//! Both edges of what a ConfigMap can hold, on the real API server: random maps, random changes that end a few bytes
//! around an edge. The same change is made by a store and, on a twin of the map, by a bare patch: what the server takes
//! the store must not refuse, what the server refuses is `TooLarge` and leaves nothing behind.

mod support;

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mapstore::{Batch, Cache, ErrorKind, MAX_OBJECT_BYTES, MAX_VALUES_BYTES, Options};
use mapstore_harness::Kind::Real;
use mapstore_harness::Media;
use serde_json::{Value as Json, json};
use support::*;

const ROUNDS: u64 = 24;

/// xorshift64*: the same numbers in every run, and a failure names its round.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end
    }

    fn between(&mut self, start: usize, end: usize) -> usize {
        start + self.below(end - start)
    }
}

/// A map before and after a change, as text: sizes don't depend on the side that a key is on.
struct Change {
    before: BTreeMap<String, String>,
    after: BTreeMap<String, String>,
}

/// Values whose sum is `off` bytes beside the limit, in some dozens of keys that are mostly there before.
fn around_the_values_limit(random: &mut Random, off: isize) -> Change {
    let keys = random.between(2, 40);
    let mut left = (MAX_VALUES_BYTES as usize).checked_add_signed(off).unwrap();
    let mut change = Change { before: BTreeMap::new(), after: BTreeMap::new() };
    for number in 0..keys {
        let length = if number + 1 == keys { left } else { random.below(2 * left / (keys - number)) };
        left -= length;
        let key = format!("key-{number}");
        if random.below(4) > 0 {
            change.before.insert(key.clone(), "b".repeat(random.below(length + 1)));
        }
        change.after.insert(key, "a".repeat(length));
    }
    for number in 0..random.below(3) {
        change.before.insert(format!("goes-{number}"), "g".repeat(random.below(100)));
    }
    // It has to fit before.
    while change.before.values().map(String::len).sum::<usize>() > MAX_VALUES_BYTES as usize {
        change.before.pop_first();
    }
    change
}

/// Thousands of long keys: the object meets etcd's limit before the values theirs. `room` is what is left of that limit
/// for the object's metadata.
fn around_the_object_limit(random: &mut Random, room: usize) -> Change {
    let target = MAX_OBJECT_BYTES as usize - room;
    let mut after = BTreeMap::new();
    let mut total = 0;
    while total + 3_000 < target {
        let key = format!("{}-{:05}", "k".repeat(random.between(180, 240)), after.len());
        let value = "v".repeat(random.between(130, 330));
        total += stored(key.len(), value.len());
        after.insert(key, value);
    }
    let key = "zz-last".to_owned();
    let mut length = target - total;
    while total + stored(key.len(), length) > target {
        length -= 1;
    }
    let mut before = after.clone();
    for _ in 0..random.below(5) {
        before.pop_last();
    }
    after.insert(key, "l".repeat(length));
    Change { before, after }
}

/// Bytes of an entry in protobuf: two fields in a message, each with its tag and its length.
fn stored(key: usize, value: usize) -> usize {
    let varint = |number: usize| if number < 128 { 1 } else { 2 };
    let inner = 2 + varint(key) + key + varint(value) + value;
    1 + varint(inner) + inner
}

struct Pair<'a> {
    site: &'a Site,
    random: Random,
}

impl Pair<'_> {
    fn path(&self, name: &str) -> String {
        self.site.path().rsplit_once('/').unwrap().0.to_owned() + "/" + name
    }

    /// An empty object first: such a one has no managedFields, as a map that a store makes.
    fn make(&self, name: &str, body: &Json) {
        let collection = self.path(name).rsplit_once('/').unwrap().0.to_owned();
        let client = self.site.client();
        client.post(&collection, &json!({"metadata": {"name": name}})).unwrap().success("make").unwrap();
        client.patch(&self.path(name), Media::StrategicMergePatch, body).unwrap().success("fill").unwrap();
    }

    fn content(&self, name: &str) -> (Json, Json) {
        let object = self.site.client().get(&self.path(name)).unwrap().body;
        (object["data"].clone(), object["binaryData"].clone())
    }

    /// Whether the server took it.
    fn check(&mut self, round: u64, change: &Change) -> bool {
        let (ours, twin) = (format!("ours-{round}"), format!("twin-{round}"));
        let (mut before, mut patch) =
            (json!({"data": {}, "binaryData": {}}), json!({"data": {}, "binaryData": {}}));
        for (key, value) in &change.before {
            // Some keys are kubectl's, as text.
            let text = self.random.below(2) == 0;
            let side = if text { "data" } else { "binaryData" };
            before[side][key] = if text { json!(value) } else { json!(STANDARD.encode(value)) };
            patch[side][key] = match change.after.get(key) {
                None => Json::Null,
                Some(after) if text => json!(after),
                Some(after) => json!(STANDARD.encode(after)),
            };
        }
        let mut batch = Batch::new();
        for (key, value) in &change.after {
            if !change.before.contains_key(key) {
                patch["binaryData"][key] = json!(STANDARD.encode(value));
            }
            batch.set(key, value).unwrap();
        }
        for key in change.before.keys().filter(|key| !change.after.contains_key(*key)) {
            batch.delete(key).unwrap();
        }
        self.make(&ours, &before);
        self.make(&twin, &before);
        let reply = self.site.client().patch(&self.path(&twin), Media::StrategicMergePatch, &patch).unwrap();

        let cache = if round.is_multiple_of(2) { Cache::None } else { Cache::Exclusive };
        let options =
            Options::new(&ours).kubeconfig(self.site.cluster.kubeconfig()).namespace(&self.site.namespace);
        let store = options.cache(cache).write_budget(u64::MAX).open().unwrap();
        let untouched = self.content(&ours);
        match store.apply(&batch) {
            Ok(written) => {
                assert_eq!(
                    reply.status, 200,
                    "round {round}, {cache:?}: the server refuses it: {}",
                    reply.body
                );
                assert!(written.changed);
                assert_eq!(self.content(&ours), self.content(&twin), "round {round}, {cache:?}");
                true
            }
            Err(error) => {
                assert_ne!(reply.status, 200, "round {round}, {cache:?}: the server takes it: {error}");
                assert_eq!(error.kind(), ErrorKind::TooLarge, "round {round}, {cache:?}: {error}");
                assert!(self.content(&ours) == untouched, "round {round}, {cache:?}: something was written");
                let held: BTreeMap<_, _> =
                    store.snapshot().unwrap().iter().map(|(k, v)| (k.to_owned(), v.to_vec())).collect();
                let wanted: BTreeMap<_, _> =
                    change.before.iter().map(|(k, v)| (k.clone(), v.clone().into_bytes())).collect();
                assert!(held == wanted, "round {round}, {cache:?}: the store remembers what was refused");
                false
            }
        }
    }
}

fn rounds(change: impl Fn(&mut Random, u64) -> Change) {
    let site = Site::start(Real);
    let mut pair = Pair { site: &site, random: Random(0x9e37_79b9_7f4a_7c15) };
    let mut taken = 0;
    for round in 0..ROUNDS {
        let change = change(&mut pair.random, round);
        taken += u64::from(pair.check(round, &change));
    }
    println!("{taken} of {ROUNDS} changes around the edge were taken");
    assert!(taken > 0 && taken < ROUNDS, "{taken} of {ROUNDS}: this wasn't around the edge");
}

#[test]
fn around_the_sum_of_the_values() {
    rounds(|random, round| {
        let off = [0, 1, -1, random.between(2, 50) as isize, -(random.between(2, 50) as isize)];
        around_the_values_limit(random, off[round as usize % off.len()])
    });
}

#[test]
fn around_the_size_of_the_object() {
    rounds(|random, _| {
        let room = random.between(200, 480);
        around_the_object_limit(random, room)
    });
}
