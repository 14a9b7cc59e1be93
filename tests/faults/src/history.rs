//! One history, from its seed to its files.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use mapstore_harness::Cluster;
use mapstore_harness::proxy::{Canned, Lottery, Proxy, Rule};
use serde_json::{Value as Json, json};

use crate::faults::{CRASHES, Crashes, Credentials, Fired, Kind, Victims, lottery};
use crate::model::{Crash, Plan};
use crate::record::{Pressure, Truth, current_revision, now, write_lines};
use crate::traffic::{Foreigners, Map, Programs, Start, Worker, manifest, script};

/// How long requests that are held may take to be delivered when all is over.
const SETTLING: Duration = Duration::from_secs(20);

/// Where histories are made.
pub struct Ground {
    pub cluster: Arc<Cluster>,
    pub namespace: String,
    pub programs: Programs,
}

/// Runs the plan and writes down what happened. What isn't the store's fault is an error.
pub fn run(ground: &Ground, plan: &Plan, folder: &Path) -> Result<(), String> {
    let map = Map { namespace: ground.namespace.clone(), name: format!("h{}-{:x}", plan.seed, now()) };
    let client = ground.cluster.client();
    if plan.premade {
        let made = client.post(&map.collection(), &manifest(&map, plan.large));
        made.and_then(|reply| reply.success("create the map")).map_err(|e| e.to_string())?;
    }
    let first = current_revision(client, &map)?;
    let proxy = Arc::new(Proxy::start(&ground.cluster).map_err(|e| e.to_string())?);
    let credentials = Arc::new(Credentials::new(&ground.cluster, &proxy, &map.namespace, plan.verbs)?);
    let kubeconfig = credentials.kubeconfig().display().to_string();
    let fired: Arc<Mutex<Vec<Fired>>> = Arc::default();
    proxy.draw(Some(lottery(plan, credentials.clone(), fired.clone())));
    let started = Instant::now();
    let pressure = Pressure::start();
    let workers = start_workers(ground, plan, &map, &kubeconfig)?;
    let foreigners = Foreigners::start(plan, &ground.cluster, &map);
    let victims = Victims {
        cluster: ground.cluster.clone(),
        proxy: proxy.clone(),
        workers: workers.clone(),
        credentials: credentials.clone(),
        fired: fired.clone(),
    };
    let crashes = Crashes::start(plan, victims);
    workers.iter().for_each(|worker| worker.wait_quiet());
    crashes.finish()?;
    let mut calls = foreigners.finish();
    proxy.draw(Some(old_tokens(&credentials)));
    settle(&proxy)?;
    let calm = now();
    workers.iter().for_each(|worker| worker.go_on());
    let mut problems = Vec::new();
    for (worker, process) in workers.iter().zip(&plan.processes) {
        let collected = worker.finish();
        calls.extend(collected.calls);
        problems.extend(collected.problem.map(|why| json!({"process": process.name, "problem": why})));
    }
    let took = started.elapsed();
    write_lines(folder, "pressure.jsonl", &pressure.finish())?;
    let truth = Truth::read(client, &map, first)?;
    let killed = plan.crashes.iter().find_map(|crash| match crash {
        Crash::ClientKilled { process, .. } => Some(plan.processes[*process].name.clone()),
        _ => None,
    });
    let about = json!({
        "seed": plan.seed, "plan": format!("{plan:?}"), "first": first, "calm": calm, "killed": killed,
        "faults": fault_names(),
        "milliseconds": took.as_millis() as u64, "problems": problems,
    });
    write_lines(folder, "about.json", &[about])?;
    write_lines(folder, "calls.jsonl", &calls)?;
    write_lines(folder, "truth.jsonl", &truth)?;
    write_lines(folder, "faults.jsonl", &fired.lock().unwrap_or_else(PoisonError::into_inner))?;
    let _ = client.delete(&map.path());
    Ok(())
}

/// Those of requests, and of whole processes.
fn fault_names() -> Vec<&'static str> {
    Kind::ALL.into_iter().map(Kind::name).chain(CRASHES).collect()
}

/// When the faults are over, an old token is still an old one.
fn old_tokens(credentials: &Arc<Credentials>) -> Lottery {
    let credentials = credentials.clone();
    Box::new(move |asked| {
        credentials
            .is_old(asked.authorization)
            .then(|| Rule::on("").keep().instead(Canned::text(401, "Unauthorized")))
    })
}

fn start_workers(
    ground: &Ground,
    plan: &Plan,
    map: &Map,
    kubeconfig: &str,
) -> Result<Vec<Arc<Worker>>, String> {
    let workers = plan.processes.iter().enumerate().map(|(number, process)| {
        let clients = 0..process.modes.len();
        let modes: serde_json::Map<String, Json> = clients
            .clone()
            .map(|client| (format!("{}.c{client}", process.name), json!(process.modes[client])))
            .collect();
        let setup = json!({
            "kubeconfig": kubeconfig, "namespace": map.namespace, "map": map.name,
            "process": process.name, "modes": modes,
        });
        let script = clients.flat_map(|client| script(plan, number, client)).collect();
        Worker::start(&ground.programs, Start { language: process.language, setup, script })
    });
    workers.collect()
}

/// Waits until the server has got what was held back.
fn settle(proxy: &Proxy) -> Result<(), String> {
    let until = Instant::now() + SETTLING;
    while proxy.outstanding() > 0 {
        if Instant::now() > until {
            return Err(format!("{} held requests weren't delivered in {SETTLING:?}", proxy.outstanding()));
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}
