//! The driver: `conformance --server real --runner rust --json results.json`, and `conformance --count`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use mapstore_conformance::count::{Wanted, count};
use mapstore_conformance::results::{Results, Run};
use mapstore_conformance::runner::RunnerSpec;
use mapstore_conformance::suite::Suite;
use mapstore_conformance::table::{Need, Table};
use mapstore_conformance::world::{ROLE, Role};
use mapstore_harness::{Cluster, Kind};

const USAGE: &str = "\
usage: conformance --server real|dev|user … --runner rust|c|NAME=COMMAND … [--case ID] … [--jobs N] [--slow N]
                   [--role VERB,… [--existing]] [--without-need NAME] … [--json FILE]
       conformance --count --server … --runner NAME … RESULTS …
       conformance --list

--server, --runner and --case may be given more than once. A runner is `rust` or `c` (runner-rust and runner-c beside
this program), or a name and a command. --case takes an id or id/variant. --count proves that the results files hold
every variant for every runner on every server, passed. --slow stretches time limits for a runner that is N times
slower than usual. --role gives the stores' user these verbs on ConfigMaps of the case's namespace,
instead of all; with --existing somebody else has made the map before a store is opened; --without-need leaves out
the cases that need this (`needs:` in the table): another-namespace, a-missing-map.

real: MAPSTORE_APISERVER_DIR names the folder that tests/apiserver/build.sh made. user: MAPSTORE_TEST_KUBECONFIG names
the cluster; only namespaces made here are used.";

/// A hang is a failure of the case.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Arguments {
    servers: Vec<String>,
    runners: Vec<String>,
    cases: BTreeSet<String>,
    without: BTreeSet<Need>,
    role: Option<Vec<String>>,
    existing: bool,
    jobs: Option<usize>,
    slow: Option<u32>,
    json: Option<PathBuf>,
    count: bool,
    list: bool,
    rest: Vec<PathBuf>,
}

fn main() -> ExitCode {
    match arguments(std::env::args().skip(1)).and_then(|arguments| run(&arguments)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("conformance: {why}");
            ExitCode::from(2)
        }
    }
}

fn arguments(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut parsed = Arguments::default();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value\n{USAGE}"));
        match word.as_str() {
            "--server" => parsed.servers.push(value()?),
            "--runner" => parsed.runners.push(value()?),
            "--case" => drop(parsed.cases.insert(value()?)),
            "--jobs" => parsed.jobs = Some(value()?.parse().map_err(|e| format!("--jobs: {e}"))?),
            "--slow" => parsed.slow = Some(value()?.parse().map_err(|e| format!("--slow: {e}"))?),
            "--without-need" => {
                parsed.without.insert(Need::from_name(&value()?).map_err(|e| format!("{word}: {e}"))?);
            }
            "--role" => parsed.role = Some(value()?.split(',').map(str::to_owned).collect()),
            "--existing" => parsed.existing = true,
            "--json" => parsed.json = Some(value()?.into()),
            "--count" => parsed.count = true,
            "--list" => parsed.list = true,
            flag if flag.starts_with('-') => return Err(format!("unknown {flag}\n{USAGE}")),
            file => parsed.rest.push(file.into()),
        }
    }
    Ok(parsed)
}

fn run(arguments: &Arguments) -> Result<bool, String> {
    let table = Table::built_in()?;
    if arguments.list {
        table.variants().for_each(|(id, _, _)| println!("{id}"));
        return Ok(true);
    }
    if arguments.servers.is_empty() || arguments.runners.is_empty() {
        return Err(USAGE.to_owned());
    }
    match (&arguments.role, arguments.existing) {
        (Some(verbs), existing) => {
            ROLE.set(Role { verbs: verbs.clone(), existing }).expect("nobody else sets it");
        }
        (None, true) => return Err(format!("--existing needs --role\n{USAGE}")),
        (None, false) => {}
    }
    if arguments.count { add_up(&table, arguments) } else { test(&table, arguments) }
}

fn add_up(table: &Table, arguments: &Arguments) -> Result<bool, String> {
    let all: Result<Vec<Results>, String> = arguments.rest.iter().map(|path| Results::read(path)).collect();
    // The results know a runner by its name.
    let name = |runner: &String| runner.split('=').next().unwrap_or_default().to_owned();
    let runners = arguments.runners.iter().map(name).collect();
    let wanted = Wanted { servers: arguments.servers.clone(), runners };
    match count(table, &wanted, &all?) {
        Ok(numbers) => println!("{numbers}"),
        Err(wrong) => {
            wrong.iter().for_each(|line| println!("{line}"));
            println!("the results don't add up: {} reasons", wrong.len());
            return Ok(false);
        }
    }
    Ok(true)
}

fn test(table: &Table, arguments: &Arguments) -> Result<bool, String> {
    let beside = std::env::current_exe().map_err(|e| e.to_string())?;
    let beside = beside.parent().expect("a program stands in a folder");
    let specs: Result<Vec<_>, _> =
        arguments.runners.iter().map(|name| RunnerSpec::from_argument(name, beside)).collect();
    let (specs, suite) = (specs?, suite(table, arguments)?);
    let mut runs = Vec::new();
    for server in &arguments.servers {
        let kind = Kind::from_name(server).ok_or_else(|| format!("{server} is no server\n{USAGE}"))?;
        let cluster = Cluster::start(kind).map_err(|e| e.to_string())?;
        for spec in &specs {
            let began = Instant::now();
            let run = suite.run(&cluster, spec);
            summary(&run, began.elapsed());
            runs.push(run);
        }
    }
    let failures: usize = runs.iter().map(Run::failures).sum();
    println!("{} passed, {failures} failed", runs.iter().map(Run::passes).sum::<usize>());
    let results = Results { table: table.fingerprint.clone(), runs };
    arguments.json.as_ref().map_or(Ok(()), |path| results.write(path))?;
    Ok(failures == 0)
}

fn suite<'a>(table: &'a Table, arguments: &Arguments) -> Result<Suite<'a>, String> {
    let known: BTreeSet<String> = table.variants().flat_map(|(id, case, _)| [id, case.id.clone()]).collect();
    if let Some(unknown) = arguments.cases.difference(&known).next() {
        return Err(format!("no case {unknown}"));
    }
    Ok(Suite {
        table,
        chosen: arguments.cases.clone(),
        without: arguments.without.clone(),
        jobs: arguments.jobs.unwrap_or(3),
        patience: PATIENCE,
        slow: arguments.slow.unwrap_or(1).max(1),
    })
}

fn summary(run: &Run, took: Duration) {
    println!(
        "{} on {}: {} of {} passed in {:.1} s",
        run.runner,
        run.server,
        run.passes(),
        run.entries.len(),
        took.as_secs_f64()
    );
}
