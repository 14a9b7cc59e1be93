//! One client process, and what it says.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use mapstore_harness::{LineProgram, Scratch, Silence, clean_command};
use serde_json::{Value as Json, json};

/// Longer than any deadline in a script, and than a stopped process stays stopped.
const PATIENCE: Duration = Duration::from_secs(60);

/// How the client of each language is started.
#[derive(Clone)]
pub struct Programs {
    /// The folder of what cargo has built, with Go's client and the Python package beside it.
    pub built: PathBuf,
    /// `tests/faults/traffic`.
    pub sources: PathBuf,
    pub home: Arc<Scratch>,
    /// The Rust client, if it is another than the one in `built`.
    pub rust: Option<PathBuf>,
}

/// What a process is started with.
pub struct Start {
    pub language: &'static str,
    /// The first line of its input.
    pub setup: Json,
    pub script: Vec<Json>,
}

pub struct Worker {
    id: i32,
    over: Arc<AtomicBool>,
    collected: Mutex<Option<JoinHandle<Collected>>>,
    quiet: Mutex<Receiver<()>>,
    go: Mutex<Sender<()>>,
}

/// What a process said.
#[derive(Default)]
pub struct Collected {
    pub calls: Vec<Json>,
    /// Why it didn't come to its end.
    pub problem: Option<String>,
}

impl Programs {
    fn command(&self, language: &str) -> std::process::Command {
        let home = self.home.path();
        match language {
            "rust" => {
                clean_command(self.rust.clone().unwrap_or_else(|| self.built.join("faults-traffic")), home)
            }
            "go" => clean_command(self.built.join("faults-go"), home),
            _ => {
                let mut command = clean_command("python3", home);
                command.arg(self.sources.join("python/worker.py"));
                command.env("PYTHONPATH", self.built.join("python")).env("PYTHONDONTWRITEBYTECODE", "1");
                command
            }
        }
    }
}

impl Worker {
    pub fn start(programs: &Programs, start: Start) -> Result<Arc<Worker>, String> {
        let program = LineProgram::start(programs.command(start.language)).map_err(|e| e.to_string())?;
        let over = Arc::new(AtomicBool::new(false));
        let (quiet_said, quiet) = channel();
        let (go, goes) = channel();
        let id = program.id() as i32;
        let ends = over.clone();
        let collector = thread::spawn(move || {
            let collected = collect(program, &start, &quiet_said, &goes, &ends);
            ends.store(true, Ordering::SeqCst);
            collected
        });
        Ok(Arc::new(Worker {
            id,
            over,
            collected: Mutex::new(Some(collector)),
            quiet: Mutex::new(quiet),
            go: Mutex::new(go),
        }))
    }

    /// `false`: it has come to its end.
    pub fn signal(&self, signal: i32) -> bool {
        // SAFETY: a system call; the process isn't waited for before `over` is set.
        !self.over.load(Ordering::SeqCst) && unsafe { libc::kill(self.id, signal) } == 0
    }

    /// Waits until it has made all calls that meet faults, or has ended.
    pub fn wait_quiet(&self) {
        let _ = lock(&self.quiet).recv();
    }

    /// Lets it make the others.
    pub fn go_on(&self) {
        let _ = lock(&self.go).send(());
    }

    /// Waits for its end.
    pub fn finish(&self) -> Collected {
        let collector = lock(&self.collected).take();
        collector.and_then(|collector| collector.join().ok()).unwrap_or_default()
    }
}

fn collect(
    mut program: LineProgram,
    start: &Start,
    quiet: &Sender<()>,
    go: &Receiver<()>,
    over: &AtomicBool,
) -> Collected {
    program.send(&start.setup.to_string());
    start.script.iter().for_each(|line| program.send(&line.to_string()));
    program.send("run");
    let mut collected = Collected::default();
    let mut begun: BTreeMap<String, Json> = BTreeMap::new();
    loop {
        let line = match program.receive(PATIENCE) {
            Ok(line) => line,
            Err(silence) => {
                over.store(true, Ordering::SeqCst);
                collected.problem = Some(describe(silence, &program));
                break;
            }
        };
        let Ok(said) = serde_json::from_str::<Json>(&line) else {
            collected.problem = Some(format!("it said {line:?}"));
            break;
        };
        match said["event"].as_str() {
            Some("begin") => {
                let mut call = said["call"].clone();
                call["start"] = said["start"].clone();
                begun.insert(call["id"].to_string(), call);
            }
            Some("end") => {
                begun.remove(&said["call"]["id"].to_string());
                collected.calls.push(said["call"].clone());
            }
            Some("quiet") => {
                let _ = quiet.send(());
                if go.recv().is_ok() {
                    program.send("go");
                }
            }
            _ => break,
        }
    }
    over.store(true, Ordering::SeqCst);
    // What it was doing when it was killed may have been done.
    collected.calls.extend(begun.into_values().map(|mut call| {
        call["outcome"] = json!("Killed");
        call["end"] = json!(u64::MAX >> 1);
        call
    }));
    program.finish(Duration::from_secs(10));
    collected
}

fn describe(silence: Silence, program: &LineProgram) -> String {
    match silence {
        Silence::Hung(time) => format!("it said nothing for {time:?}\n{}", program.take_stderr()),
        Silence::Ended(how) => format!("it ended: {how}\n{}", program.take_stderr()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
