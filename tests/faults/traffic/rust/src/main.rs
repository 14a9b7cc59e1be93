//! A client process of a history: it makes the calls that its input lists, and says of each what came of it.
//!
//! Input and output are JSON lines, the same for each language: see tests/faults/README.md. Nothing is judged here.

mod calls;
mod lateness;
mod lines;

use std::collections::BTreeMap;
use std::error::Error;
use std::io::BufRead;
use std::sync::{Arc, Barrier};
use std::thread;

use calls::Client;
use lateness::Lateness;
use lines::{Call, Setup, say};

fn main() -> Result<(), Box<dyn Error>> {
    let mut input = std::io::stdin().lock().lines();
    let setup: Setup = serde_json::from_str(&input.next().ok_or("no setup")??)?;
    let mut scripts: BTreeMap<String, Vec<Call>> = BTreeMap::new();
    for line in input.by_ref() {
        let line = line?;
        if line == "run" {
            break;
        }
        let call: Call = serde_json::from_str(&line)?;
        scripts.entry(call.client.clone()).or_default().push(call);
    }
    let setup = Arc::new(setup);
    let lateness = Lateness::start();
    let (quiet, go) = (Arc::new(Barrier::new(scripts.len() + 1)), Arc::new(Barrier::new(scripts.len() + 1)));
    let threads: Vec<_> = scripts
        .into_iter()
        .map(|(name, script)| {
            let (setup, lateness, quiet, go) = (setup.clone(), lateness.clone(), quiet.clone(), go.clone());
            thread::spawn(move || {
                let mut client = Client::new(&name, &setup, lateness);
                let (noisy, calm): (Vec<_>, Vec<_>) = script.into_iter().partition(|call| !call.quiet);
                noisy.into_iter().for_each(|call| client.run(call));
                quiet.wait();
                go.wait();
                calm.into_iter().for_each(|call| client.run(call));
            })
        })
        .collect();
    quiet.wait();
    say(&serde_json::json!({"event": "quiet"}));
    input.next();
    go.wait();
    for thread in threads {
        thread.join().map_err(|_| "a thread has panicked")?;
    }
    say(&serde_json::json!({"event": "done"}));
    Ok(())
}
