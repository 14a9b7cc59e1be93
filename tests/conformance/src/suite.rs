//! The whole table (or some cases of it) with one runner on one cluster, several runner processes side by side.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use mapstore_harness::Cluster;

use crate::attempt::Seat;
use crate::results::{Entry, Outcome, Run};
use crate::runner::RunnerSpec;
use crate::table::{Cache, Case, Need, Table};

pub struct Suite<'a> {
    pub table: &'a Table,
    /// Only these cases or variants; none: all.
    pub chosen: BTreeSet<String>,
    /// None that needs one of these.
    pub without: BTreeSet<Need>,
    /// How many runner processes at once.
    pub jobs: usize,
    /// How long a runner may take for one line.
    pub patience: Duration,
    /// How many times slower than usual the runner is, under valgrind for example: stretches the time limits that
    /// are not the case's subject.
    pub slow: u32,
}

/// What the workers share.
struct Board<'a> {
    variants: Vec<(String, &'a Case, Cache)>,
    next: AtomicUsize,
    entries: Mutex<Vec<(usize, Entry)>>,
    troubles: Mutex<Vec<String>>,
}

impl Suite<'_> {
    /// Prints each failure as it comes.
    pub fn run(&self, cluster: &Cluster, runner: &RunnerSpec) -> Run {
        let board = Board {
            variants: self.variants(),
            next: AtomicUsize::new(0),
            entries: Mutex::default(),
            troubles: Mutex::default(),
        };
        thread::scope(|scope| {
            for _ in 0..self.jobs.max(1) {
                scope.spawn(|| self.work(cluster, runner, &board));
            }
        });
        let mut entries = board.entries.into_inner().expect("no panic held it");
        entries.sort_by_key(|(place, _)| *place);
        Run {
            server: cluster.kind().name().to_owned(),
            runner: runner.name.clone(),
            entries: entries.into_iter().map(|(_, entry)| entry).collect(),
            troubles: board.troubles.into_inner().expect("no panic held it"),
        }
    }

    fn variants(&self) -> Vec<(String, &Case, Cache)> {
        let chosen = |(id, case, _): &(String, &Case, Cache)| {
            let named = self.chosen.is_empty() || self.chosen.contains(id) || self.chosen.contains(&case.id);
            named && !case.needs.iter().any(|need| self.without.contains(need))
        };
        self.table.variants().filter(chosen).collect()
    }

    fn work(&self, cluster: &Cluster, runner: &RunnerSpec, board: &Board) {
        let mut seat = Seat::new(runner, self.patience, self.slow);
        while let place = board.next.fetch_add(1, Ordering::Relaxed)
            && let Some((id, case, cache)) = board.variants.get(place)
        {
            let began = Instant::now();
            let outcome = seat.attempt(cluster, case, *cache);
            report(&runner.name, cluster.kind().name(), id, &outcome);
            let entry = Entry {
                id: id.clone(),
                outcome,
                ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            };
            board.entries.lock().expect("no panic holds it").push((place, entry));
        }
        if let Err(trouble) = seat.leave() {
            println!("FAIL {}/{} at the end: {trouble}", runner.name, cluster.kind().name());
            board.troubles.lock().expect("no panic holds it").push(trouble);
        }
    }
}

fn report(runner: &str, server: &str, id: &str, outcome: &Outcome) {
    match outcome {
        Outcome::Passed => {}
        Outcome::Failed(why) => println!("FAIL {runner}/{server} {id}: {why}"),
        Outcome::NotRunnable(why) => println!("NOT RUN {runner}/{server} {id}: {why}"),
    }
}
