//! From the command line to the last line: runs histories, has each judged, keeps those with a violation.

mod arguments;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use mapstore_harness::{Cluster, Kind, Scratch};

use crate::history::{self, Ground};
use crate::model::Plan;
use crate::traffic::Programs;

pub use arguments::Arguments;

/// What the jobs have in common.
struct Run<'a> {
    arguments: &'a Arguments,
    started: Instant,
    made: AtomicU64,
    violated: AtomicU64,
    stopped: AtomicBool,
}

/// Whether all went well.
pub fn run(arguments: &Arguments) -> Result<bool, String> {
    let run = Run {
        arguments,
        started: Instant::now(),
        made: AtomicU64::new(0),
        violated: AtomicU64::new(0),
        stopped: AtomicBool::new(false),
    };
    thread::scope(|scope| {
        let jobs: Vec<_> = (0..arguments.jobs).map(|_| scope.spawn(|| run.job())).collect();
        jobs.into_iter()
            .try_for_each(|job| job.join().unwrap_or_else(|_| Err("a job has panicked".to_owned())))
    })?;
    check(&arguments.built, "summary", &arguments.out)?;
    let (made, violated) = (run.made.load(Ordering::SeqCst), run.violated.load(Ordering::SeqCst));
    println!("{made} histories in {:.0} s, {violated} with violations", run.started.elapsed().as_secs_f64());
    Ok(violated == 0)
}

impl Run<'_> {
    /// One history after the other, on a server of its own.
    fn job(&self) -> Result<(), String> {
        let ground = ground(self.arguments)?;
        while let Some(seed) = self.next() {
            let folder = self.arguments.out.join(seed.to_string());
            let plan = Plan::of(seed, &self.arguments.languages);
            history::run(&ground, &plan, &folder)?;
            if check(&self.arguments.built, "judge", &folder)? {
                self.forget(&folder)?;
                continue;
            }
            self.violated.fetch_add(1, Ordering::SeqCst);
            println!("  the history is in {}; {}", folder.display(), again(seed));
            self.stopped.fetch_or(self.arguments.stops, Ordering::SeqCst);
        }
        Ok(())
    }

    fn next(&self) -> Option<u64> {
        if self.stopped.load(Ordering::SeqCst) {
            return None;
        }
        let made = self.made.fetch_add(1, Ordering::SeqCst);
        if self.arguments.goes_on(made, self.started.elapsed()) {
            return Some(self.arguments.seed + made);
        }
        self.made.fetch_sub(1, Ordering::SeqCst);
        None
    }

    /// Of a sound history the verdict is enough.
    fn forget(&self, folder: &Path) -> Result<(), String> {
        if self.arguments.keep {
            return Ok(());
        }
        ["calls.jsonl", "truth.jsonl", "faults.jsonl", "pressure.jsonl"]
            .into_iter()
            .try_for_each(|file| fs::remove_file(folder.join(file)).map_err(|e| format!("{file}: {e}")))
    }
}

fn ground(arguments: &Arguments) -> Result<Ground, String> {
    let failed = |error: mapstore_harness::Error| error.to_string();
    let cluster = Arc::new(Cluster::start(Kind::Real).map_err(failed)?);
    let namespace = cluster.fresh_namespace().map_err(failed)?;
    let home = Arc::new(Scratch::new("faults").map_err(failed)?);
    let programs = Programs {
        built: arguments.built.clone(),
        sources: arguments.sources.clone(),
        rust: arguments.rust.clone(),
        home,
    };
    Ok(Ground { cluster, namespace, programs })
}

/// The checker's word; it says by itself what it found.
fn check(built: &Path, command: &str, folder: &Path) -> Result<bool, String> {
    let status = Command::new(built.join("faults-check")).arg(command).arg(folder).status();
    match status.map_err(|e| format!("faults-check: {e}"))?.code() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        code => Err(format!("faults-check {command} ended with {code:?}")),
    }
}

/// How to have the history judged once more, and another one made of the same seed.
fn again(seed: u64) -> String {
    format!("once more with this seed: make faults SEED={seed}")
}
