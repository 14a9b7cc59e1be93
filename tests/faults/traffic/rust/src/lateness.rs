//! How late this process' timers are: what a deadline can't be blamed for.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

const TICK: Duration = Duration::from_millis(5);
const KEPT: usize = 4000;

#[derive(Clone)]
pub struct Lateness(Arc<Mutex<VecDeque<(u64, u64)>>>);

impl Lateness {
    pub fn start() -> Lateness {
        let ticks = Lateness(Arc::default());
        let kept = ticks.clone();
        thread::spawn(move || {
            loop {
                let before = now();
                thread::sleep(TICK);
                let (after, tick) = (now(), TICK.as_nanos() as u64);
                let mut ticks = kept.0.lock().unwrap_or_else(PoisonError::into_inner);
                ticks.push_back((after, (after - before).saturating_sub(tick)));
                if ticks.len() > KEPT {
                    ticks.pop_front();
                }
            }
        });
        ticks
    }

    /// All of it since a deadline: a machine that is busy makes the work after it late several times.
    pub fn since(&self, deadline: u64) -> u64 {
        // The tick that is under way may be the late one.
        let asked = now();
        loop {
            thread::sleep(TICK);
            let ticks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if ticks.back().is_some_and(|(at, _)| *at > asked) {
                return sum_since(&ticks, deadline);
            }
        }
    }
}

fn sum_since(ticks: &VecDeque<(u64, u64)>, deadline: u64) -> u64 {
    ticks.iter().rev().take_while(|(at, _)| *at >= deadline).map(|(_, late)| *late).sum()
}

/// CLOCK_MONOTONIC in nanoseconds: the same in all processes of the machine.
pub fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the struct is there, and the clock always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
