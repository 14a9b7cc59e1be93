//! How much a process may have stored: each write of a ConfigMap stores the
//! whole object anew, in etcd and in the API server's memory, for five minutes
//! at least. A loop that writes a large map as fast as it can fills both in
//! minutes, and then the whole cluster is read-only.
//!
//! A token bucket: half of what a store allows in five minutes may go at once;
//! from there on writes go at the rate at which the bucket fills again, as long
//! as the loop runs. Nothing is refused here: the caller knows the deadlines, and
//! refuses what can't go before its deadline.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::host::process::PerProcess;

/// The API server keeps old revisions for five minutes and more:
/// `compactInterval` in apiserver's pkg/storage/storagebackend/config.go.
pub(crate) const WINDOW: Duration = Duration::from_secs(300);

/// What a store allows in [`WINDOW`] if it isn't told otherwise.
pub(crate) const DEFAULT: u64 = 128 << 20;

/// Writes within so short a time are kept as one.
const GRAIN: Duration = Duration::from_secs(1);

/// What this process has had stored lately, over all its maps.
pub(crate) static BUDGET: PerProcess<Budget> = PerProcess::new();

#[derive(Default)]
pub(crate) struct Budget(Mutex<Spent>);

/// What was stored lately, and what is missing in the bucket of each limit that was asked for.
#[derive(Default)]
struct Spent {
    /// Bytes by the time at which they were stored, oldest first.
    writes: VecDeque<(Instant, u64)>,
    total: u64,
    buckets: Vec<Bucket>,
}

/// Stores with different limits share what is stored; each limit has a bucket of its own.
struct Bucket {
    limit: u64,
    missing: f64,
    at: Instant,
}

/// Whether a write may go.
#[derive(Debug, PartialEq)]
pub(crate) enum Leave {
    Now,
    /// Not before this moment.
    At(Instant),
}

impl Budget {
    /// May `cost` bytes be stored now, where `limit` are allowed in five minutes?
    pub fn ask(&self, cost: u64, limit: u64, now: Instant) -> Leave {
        if limit == u64::MAX {
            return Leave::Now;
        }
        // A map larger than the bucket can be written when the bucket is full.
        let room = (limit / 2).saturating_sub(cost) as f64;
        let excess = self.spent(now).missing(limit, now) - room;
        if excess <= 0.0 {
            return Leave::Now;
        }
        // Rounded up, so that a write that comes back then may go.
        let wait = WINDOW.mul_f64(excess / limit.max(1) as f64) + Duration::from_millis(1);
        Leave::At(now + wait)
    }

    /// Books bytes that were stored, or may have been.
    pub fn spend(&self, bytes: u64, now: Instant) {
        let mut spent = self.spent(now);
        spent.total += bytes;
        for bucket in &mut spent.buckets {
            bucket.take(bytes, now);
        }
        match spent.writes.back_mut() {
            Some((since, stored)) if now.duration_since(*since) < GRAIN => *stored += bytes,
            _ => spent.writes.push_back((now, bytes)),
        }
    }

    /// What was stored in the last five minutes.
    pub fn used(&self, now: Instant) -> u64 {
        self.spent(now).total
    }

    fn spent(&self, now: Instant) -> MutexGuard<'_, Spent> {
        let mut spent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(&(since, stored)) = spent.writes.front()
            && now.duration_since(since) >= WINDOW + GRAIN
        {
            spent.total -= stored;
            spent.writes.pop_front();
        }
        spent
    }
}

impl Spent {
    fn missing(&mut self, limit: u64, now: Instant) -> f64 {
        // A full bucket needs no keeping.
        self.buckets.retain_mut(|bucket| bucket.take(0, now) > 0.0);
        if let Some(bucket) = self.buckets.iter().find(|bucket| bucket.limit == limit) {
            return bucket.missing;
        }
        // The limit is new here, or was idle: what it would have seen of the writes that are remembered.
        let mut bucket = Bucket { limit, missing: 0.0, at: now };
        for &(at, bytes) in &self.writes {
            bucket.take(bytes, at);
        }
        let missing = bucket.take(0, now);
        self.buckets.push(bucket);
        missing
    }
}

impl Bucket {
    /// What is missing after bytes were taken at a time.
    fn take(&mut self, bytes: u64, now: Instant) -> f64 {
        let time = now.saturating_duration_since(self.at);
        let filled = self.limit as f64 * time.as_secs_f64() / WINDOW.as_secs_f64();
        self.missing = (self.missing - filled).max(0.0) + bytes as f64;
        self.at = now;
        self.missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;

    /// Whoever writes `cost` whenever it may, but not more often than each `pause`.
    struct Writer {
        cost: u64,
        limit: u64,
        pause: Duration,
        next: Instant,
        wanted: Instant,
        stored: Vec<Instant>,
        longest_wait: Duration,
    }

    impl Writer {
        fn new(cost: u64, pause_ms: u64, start: Instant) -> Writer {
            let pause = Duration::from_millis(pause_ms);
            let (limit, stored) = (DEFAULT, Vec::new());
            let longest_wait = Duration::ZERO;
            Writer { cost, limit, pause, next: start, wanted: start, stored, longest_wait }
        }

        fn step(&mut self, budget: &Budget) {
            let now = self.next;
            match budget.ask(self.cost, self.limit, now) {
                Leave::Now => {
                    budget.spend(self.cost, now);
                    self.stored.push(now);
                    self.longest_wait = self.longest_wait.max(now - self.wanted);
                    self.next = now + self.pause;
                    self.wanted = self.next;
                }
                Leave::At(at) => {
                    assert!(at > now);
                    self.next = at;
                }
            }
        }

        /// What it stored from one second after the start to another.
        fn bytes(&self, start: Instant, from: u64, to: u64) -> u64 {
            let (from, to) = (start + Duration::from_secs(from), start + Duration::from_secs(to));
            self.stored.iter().filter(|at| (from..to).contains(*at)).count() as u64 * self.cost
        }
    }

    fn run(writers: &mut [Writer], start: Instant, seconds: u64) {
        let (budget, end) = (Budget::default(), start + Duration::from_secs(seconds));
        while let Some(writer) = writers.iter_mut().filter(|w| w.next < end).min_by_key(|w| w.next) {
            writer.step(&budget);
        }
    }

    #[test]
    fn a_runaway_writer_is_slowed_to_the_rate_for_as_long_as_it_runs() {
        let start = Instant::now();
        let mut writers = [Writer::new(900 * KIB, 30, start)];
        run(&mut writers, start, 1_800);
        let [writer] = writers;
        for from in 0..1_500 {
            let stored = writer.bytes(start, from, from + 300);
            assert!(stored <= 64 * MIB + 128 * MIB + writer.cost, "{stored} from second {from}");
        }
        // After the burst there is no cliff: each minute is like the other.
        for minute in 1..30 {
            let stored = writer.bytes(start, minute * 60, minute * 60 + 60) as f64;
            let rate = (128 * MIB) as f64 / 5.0;
            assert!((0.9 * rate..=1.1 * rate).contains(&stored), "{stored} in minute {minute}");
        }
        assert!(writer.longest_wait < Duration::from_secs(3), "{:?}", writer.longest_wait);
    }

    #[test]
    fn small_writes_are_never_slowed() {
        let start = Instant::now();
        let mut writers = [Writer::new(2 * KIB, 30, start)];
        run(&mut writers, start, 1_800);
        assert_eq!((writers[0].stored.len(), writers[0].longest_wait), (60_000, Duration::ZERO));
    }

    #[test]
    fn a_small_writer_beside_a_runaway_one_goes_on() {
        let start = Instant::now();
        let mut writers = [Writer::new(900 * KIB, 30, start), Writer::new(2 * KIB, 1_000, start)];
        run(&mut writers, start, 1_800);
        let small = &writers[1];
        assert!(small.longest_wait < Duration::from_secs(3), "{:?}", small.longest_wait);
        assert!(small.stored.len() > 500, "{}", small.stored.len());
    }

    #[test]
    fn an_idle_process_has_its_burst_back_after_half_the_time() {
        let (budget, now) = (Budget::default(), Instant::now());
        budget.spend(64 * MIB, now);
        let Leave::At(at) = budget.ask(MIB, DEFAULT, now) else { panic!() };
        assert!(at - now < Duration::from_secs(3), "{:?}", at - now);
        let later = now + WINDOW / 2;
        assert_eq!(budget.ask(64 * MIB, DEFAULT, later), Leave::Now);
        assert_eq!(budget.used(later), 64 * MIB);
        assert_eq!(budget.used(now + WINDOW + 2 * GRAIN), 0);
    }

    #[test]
    fn each_store_has_its_own_limit() {
        let (budget, now) = (Budget::default(), Instant::now());
        budget.spend(64 * MIB, now);
        assert_eq!(budget.ask(MIB, u64::MAX, now), Leave::Now);
        assert_eq!(budget.ask(MIB, 2 * DEFAULT, now), Leave::Now);
        assert!(matches!(budget.ask(MIB, DEFAULT / 2, now), Leave::At(at) if at > now + WINDOW / 2));
        // A map larger than the whole bucket goes when that is full, and not before.
        assert!(matches!(budget.ask(2, 1, now), Leave::At(_)));
        assert_eq!(budget.ask(MIB, MIB, now + WINDOW + 2 * GRAIN), Leave::Now);
        assert_eq!(budget.ask(1, 0, now + WINDOW + 2 * GRAIN), Leave::Now);
    }
}
