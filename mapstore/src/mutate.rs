//! Hostile input for tests: known good input with a few faults in it, and the
//! same piece many times over. What is fed with it has to come back, in a time
//! that grows with the input's length and no faster.
//!
//! `PROPTEST_CASES` says how many inputs each test tries (256 otherwise).

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// The most that one input may take of this thread, in a build without
/// optimization. Time that other programs take isn't counted.
const MOST: Duration = Duration::from_secs(3);

/// Repeated pieces together have about so many bytes.
const LONG: usize = 40_000;

pub(crate) fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, max_shrink_iters: 2_000, ..ProptestConfig::default() }
}

/// One fault, made somewhere.
#[derive(Clone, Debug)]
enum Fault {
    Byte(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, Index),
    Repeat(Index, Index, usize),
    End(Index),
}

impl Fault {
    fn make(self, input: &mut Vec<u8>) {
        let place = |at: Index, input: &[u8]| at.index(input.len() + 1);
        match self {
            Fault::Byte(at, byte) if !input.is_empty() => {
                let at = at.index(input.len());
                input[at] = byte;
            }
            Fault::Byte(_, byte) => input.push(byte),
            Fault::Insert(at, piece) => {
                let at = place(at, input);
                input.splice(at..at, piece);
            }
            Fault::Remove(a, b) => {
                let (a, b) = (place(a, input), place(b, input));
                input.drain(a.min(b)..a.max(b));
            }
            Fault::Repeat(a, b, times) => {
                let (a, b) = (place(a, input), place(b, input));
                let (from, to) = (a.min(b), a.max(b).min(a.min(b) + 64));
                let piece = input[from..to].repeat(times);
                input.splice(to..to, piece);
            }
            Fault::End(at) => input.truncate(place(at, input)),
        }
    }
}

fn fault(tokens: &'static [&'static str]) -> impl Strategy<Value = Fault> {
    let at = any::<Index>;
    prop_oneof![
        2 => (at(), any::<u8>()).prop_map(|(at, byte)| Fault::Byte(at, byte)),
        4 => (at(), select(tokens)).prop_map(|(at, token)| Fault::Insert(at, token.into())),
        2 => (at(), at()).prop_map(|(a, b)| Fault::Remove(a, b)),
        1 => (at(), at(), 1..40usize).prop_map(|(a, b, times)| Fault::Repeat(a, b, times)),
        1 => at().prop_map(Fault::End),
    ]
}

/// One of the seeds with up to eight faults; or pieces made of tokens alone,
/// one of them many times over.
pub(crate) fn mutated(seeds: Vec<Vec<u8>>, tokens: &'static [&'static str]) -> BoxedStrategy<Vec<u8>> {
    let broken = (select(seeds), vec(fault(tokens), 0..8)).prop_map(|(mut input, faults)| {
        faults.into_iter().for_each(|fault| fault.make(&mut input));
        input
    });
    let piece = || vec(select(tokens), 0..4).prop_map(|tokens| tokens.concat());
    let repeated = (piece(), piece(), piece()).prop_map(|(before, often, after)| {
        let often = often.repeat(LONG / often.len().max(1));
        [before, often, after].concat().into_bytes()
    });
    prop_oneof![6 => broken, 1 => repeated].boxed()
}

/// Calls `work`, which must not take too long.
#[track_caller]
pub(crate) fn in_time<T>(input: &[u8], work: impl FnOnce() -> T) -> T {
    let before = used();
    let result = work();
    let took = used() - before;
    assert!(took < MOST, "{took:?} for {} bytes", input.len());
    result
}

/// The processor time of this thread.
fn used() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call fills in the struct that it is given.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) }, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
