//! Sets keys for a while: `bench-worker KUBECONFIG NAMESPACE NAME HOW THREADS SECONDS ID`. HOW is `none`,
//! `exclusive`, or `runaway`: without a cache, under the default write budget, and each refusal is counted and the
//! loop goes on. See bench/README.md for what all workers have in common.

use std::error::Error;
use std::io::{Write, stdin, stdout};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use mapstore::{Cache, ErrorKind, Options, Store};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [kubeconfig, namespace, name, how, threads, seconds, id] = &args[..] else {
        return Err("usage: bench-worker KUBECONFIG NAMESPACE NAME HOW THREADS SECONDS ID".into());
    };
    let mut options = Options::new(name).kubeconfig(kubeconfig).namespace(namespace);
    match how.as_str() {
        "runaway" => options = options.timeout(Duration::from_secs(30)),
        "exclusive" => options = options.cache(Cache::Exclusive).write_budget(u64::MAX),
        _ => options = options.write_budget(u64::MAX),
    }
    let store = options.open()?;
    let lasts = Duration::from_secs_f64(seconds.parse()?);
    if how == "runaway" {
        return run_away(&store, lasts);
    }
    let threads: usize = threads.parse()?;
    let gate = Barrier::new(threads + 1);
    let mut took: Vec<Duration> = Vec::new();
    let mut started = Instant::now();
    thread::scope(|scope| -> Result<()> {
        let threads: Vec<_> = (0..threads)
            .map(|number| {
                let (store, gate, key) = (&store, &gate, format!("w{id}-{number}"));
                scope.spawn(move || set_for(store, &key, gate, lasts))
            })
            .collect();
        gate.wait();
        println!("ready");
        stdin().read_line(&mut String::new())?;
        started = Instant::now();
        gate.wait();
        for thread in threads {
            took.extend(thread.join().expect("a thread doesn't panic")?);
        }
        Ok(())
    })?;
    let mut out = stdout().lock();
    writeln!(out, "{}", started.elapsed().as_micros())?;
    for took in took {
        writeln!(out, "{}", took.as_micros())?;
    }
    Ok(())
}

fn set_for(store: &Store, key: &str, gate: &Barrier, lasts: Duration) -> Result<Vec<Duration>> {
    let first = store.set(key, b"0000000000000000");
    gate.wait();
    gate.wait();
    first?;
    let (started, mut took) = (Instant::now(), Vec::new());
    while started.elapsed() < lasts {
        let value = format!("{:016}", took.len() + 1);
        let before = Instant::now();
        store.set(key, value.as_bytes())?;
        took.push(before.elapsed());
    }
    Ok(took)
}

/// One line a second: what has been written and refused so far, the longest set since the last line in
/// milliseconds, and what the budget says.
fn run_away(store: &Store, lasts: Duration) -> Result<()> {
    let (started, mut said) = (Instant::now(), Instant::now());
    let (mut written, mut overloaded, mut longest) = (0u64, 0u64, Duration::ZERO);
    println!("ready");
    stdin().read_line(&mut String::new())?;
    while started.elapsed() < lasts {
        let before = Instant::now();
        match store.set("runaway", format!("{:016}", written + overloaded)) {
            Ok(_) => written += 1,
            Err(error) if error.kind() == ErrorKind::Overloaded => overloaded += 1,
            Err(error) => return Err(error.into()),
        }
        longest = longest.max(before.elapsed());
        if said.elapsed() >= Duration::from_secs(1) {
            let usage = store.usage()?;
            println!(
                "{} {written} {overloaded} {} {} {}",
                started.elapsed().as_secs(),
                longest.as_millis(),
                usage.budget_used,
                usage.budget_limit
            );
            (said, longest) = (Instant::now(), Duration::ZERO);
        }
    }
    Ok(())
}
