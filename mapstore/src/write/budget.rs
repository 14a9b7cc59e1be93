//! How much a process may have stored: each write of a ConfigMap stores the
//! whole object anew, in etcd and in the API server's memory, for five minutes
//! at least. A loop that writes a large map as fast as it can fills both in
//! minutes, and then the whole cluster is read-only.
//!
//! The first half of the budget is for free. From there on a write waits as
//! long as its share of the five minutes is, and what would exceed the whole is
//! refused.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::host::process::PerProcess;

/// The API server keeps old revisions for five minutes and more:
/// `compactInterval` in apiserver's pkg/storage/storagebackend/config.go.
pub(crate) const WINDOW: Duration = Duration::from_secs(300);

/// What a store allows if it isn't told otherwise.
pub(crate) const DEFAULT: u64 = 128 << 20;

/// What of a second is too short to be kept apart.
const GRAIN: Duration = Duration::from_secs(1);

/// What this process has had stored lately, over all its maps.
pub(crate) static BUDGET: PerProcess<Budget> = PerProcess::new();

#[derive(Default)]
pub(crate) struct Budget(Mutex<Window>);

#[derive(Default)]
struct Window {
    /// Bytes by the second in which they were stored, oldest first.
    spent: VecDeque<(Instant, u64)>,
    used: u64,
    /// When the last write that had to wait was let through.
    paced: Option<Instant>,
}

/// Whether a write may go.
#[derive(Debug, PartialEq)]
pub(crate) enum Leave {
    Now,
    /// Not before.
    At(Instant),
    /// Not before so much of the budget is free again.
    Exhausted {
        used: u64,
        until: Instant,
    },
}

impl Budget {
    /// May `cost` bytes be stored now, where `limit` are allowed?
    pub fn ask(&self, cost: u64, limit: u64, now: Instant) -> Leave {
        let mut window = self.window(now);
        if limit == u64::MAX || window.used + cost <= limit / 2 {
            return Leave::Now;
        }
        // A map larger than the budget can be written once in a while all the same.
        if window.used > 0 && window.used + cost > limit {
            return Leave::Exhausted { used: window.used, until: window.free_at(cost, limit, now) };
        }
        let share = WINDOW.mul_f64((cost as f64 / limit.max(1) as f64).min(1.0));
        match window.paced {
            Some(paced) if paced + share > now => Leave::At(paced + share),
            _ => {
                window.paced = Some(now);
                Leave::Now
            }
        }
    }

    /// They were stored, or may have been.
    pub fn spend(&self, bytes: u64, now: Instant) {
        let mut window = self.window(now);
        window.used += bytes;
        match window.spent.back_mut() {
            Some((since, spent)) if now.duration_since(*since) < GRAIN => *spent += bytes,
            _ => window.spent.push_back((now, bytes)),
        }
    }

    pub fn used(&self, now: Instant) -> u64 {
        self.window(now).used
    }

    fn window(&self, now: Instant) -> std::sync::MutexGuard<'_, Window> {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(&(since, spent)) = window.spent.front()
            && now.duration_since(since) >= WINDOW + GRAIN
        {
            window.used -= spent;
            window.spent.pop_front();
        }
        window
    }
}

impl Window {
    fn free_at(&self, cost: u64, limit: u64, now: Instant) -> Instant {
        let mut left = self.used;
        for (since, spent) in &self.spent {
            left -= spent;
            if left + cost <= limit {
                return *since + WINDOW + GRAIN;
            }
        }
        now + WINDOW
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// Writes `cost` as often as it may until `end`; what was stored, and how often it was refused.
    fn run(budget: &Budget, start: Instant, seconds: u64, cost: u64) -> (Vec<(Instant, u64)>, usize) {
        let (mut now, end) = (start, start + Duration::from_secs(seconds));
        let (mut stored, mut refused) = (Vec::new(), 0);
        while now < end {
            match budget.ask(cost, DEFAULT, now) {
                Leave::Now => {
                    budget.spend(cost, now);
                    stored.push((now, cost));
                    now += Duration::from_millis(30);
                }
                Leave::At(at) => now = at,
                Leave::Exhausted { until, used } => {
                    assert!(used <= DEFAULT && until > now);
                    refused += 1;
                    now += Duration::from_secs(1);
                }
            }
        }
        (stored, refused)
    }

    #[test]
    fn a_runaway_writer_never_exceeds_it_in_any_five_minutes() {
        let (budget, start) = (Budget::default(), Instant::now());
        let (stored, refused) = run(&budget, start, 1_800, 900 << 10);
        assert!(refused > 0);
        for (index, (from, _)) in stored.iter().enumerate() {
            let window = stored[index..].iter().take_while(|(at, _)| *at < *from + WINDOW);
            assert!(window.map(|(_, bytes)| bytes).sum::<u64>() <= DEFAULT);
        }
        let total: u64 = stored.iter().map(|(_, bytes)| bytes).sum();
        assert!(total > 4 * DEFAULT, "a budget nobody can use: {total}");
    }

    #[test]
    fn small_writes_are_never_slowed() {
        let (budget, start) = (Budget::default(), Instant::now());
        let (stored, refused) = run(&budget, start, 300, 2 << 10);
        assert_eq!((stored.len(), refused), (10_000, 0));
    }

    #[test]
    fn slowed_first_then_refused() {
        let (budget, now) = (Budget::default(), Instant::now());
        budget.spend(65 * MIB, now);
        assert_eq!(budget.ask(MIB, DEFAULT, now), Leave::Now);
        let Leave::At(at) = budget.ask(MIB, DEFAULT, now) else { panic!() };
        assert!(at > now && at <= now + Duration::from_secs(3));
        budget.spend(63 * MIB, now);
        assert!(matches!(budget.ask(MIB, DEFAULT, now), Leave::Exhausted { used, .. } if used == 128 * MIB));
        assert_eq!(budget.ask(MIB, u64::MAX, now), Leave::Now);
        assert_eq!(budget.ask(MIB, DEFAULT, now + WINDOW + 2 * GRAIN), Leave::Now);
        assert_eq!(budget.used(now + WINDOW + 2 * GRAIN), 0);
    }
}
