//! A clock for how late this machine is: a busy one wakes threads late, and no test fails for that. What a test asserts
//! about times is a bound plus the lateness that was measured beside it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How late threads that only sleep wake up, at worst, while this lives.
pub struct Lateness {
    worst: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

/// How long each sleep is.
const TICK: Duration = Duration::from_millis(2);

impl Lateness {
    pub fn watch() -> Lateness {
        let lateness = Lateness { worst: Arc::default(), stop: Arc::default() };
        for _ in 0..3 {
            let (worst, stop) = (lateness.worst.clone(), lateness.stop.clone());
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let before = Instant::now();
                    thread::sleep(TICK);
                    let late = before.elapsed().saturating_sub(TICK);
                    worst.fetch_max(late.as_micros() as u64, Ordering::Relaxed);
                }
            });
        }
        lateness
    }

    /// The worst so far.
    pub fn worst(&self) -> Duration {
        Duration::from_micros(self.worst.load(Ordering::Relaxed))
    }

    /// A call needs two threads to wake up, one after the other: the one that sends and its own.
    pub fn of_a_call(&self) -> Duration {
        2 * self.worst()
    }
}

impl Drop for Lateness {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
