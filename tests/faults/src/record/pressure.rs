//! How long somebody on this machine had to wait for a processor (the kernel's pressure stall information): what a late
//! answer may be due to. Where the kernel doesn't tell, nothing is excused.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::now;

const TICK: Duration = Duration::from_millis(10);

pub struct Pressure {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<(u64, u64)>>,
}

impl Pressure {
    pub fn start() -> Pressure {
        let over = Arc::new(AtomicBool::new(false));
        let ends = over.clone();
        let thread = thread::spawn(move || {
            let mut seen = Vec::new();
            while !ends.load(Ordering::SeqCst) {
                seen.extend(waited().map(|waited| (now(), waited)));
                thread::sleep(TICK);
            }
            seen
        });
        Pressure { over, thread }
    }

    /// Moments, and the nanoseconds waited until then.
    pub fn finish(self) -> Vec<(u64, u64)> {
        self.over.store(true, Ordering::SeqCst);
        self.thread.join().unwrap_or_default()
    }
}

fn waited() -> Option<u64> {
    let text = fs::read_to_string("/proc/pressure/cpu").ok()?;
    let total = text.lines().next()?.split("total=").nth(1)?;
    total.trim().parse::<u64>().ok().map(|microseconds| microseconds * 1_000)
}
