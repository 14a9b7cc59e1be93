//! The proof that nothing was left out: variants x runners x servers in the results, compared with the table.

use std::collections::BTreeMap;

use crate::results::{Outcome, Results};
use crate::table::Table;

/// What must be in the results.
pub struct Wanted {
    pub servers: Vec<String>,
    pub runners: Vec<String>,
}

/// The numbers, or every reason why they don't add up.
pub fn count(table: &Table, wanted: &Wanted, all: &[Results]) -> Result<String, Vec<String>> {
    let mut wrong = Vec::new();
    let mut seen: BTreeMap<(&str, &str, &str), &Outcome> = BTreeMap::new();
    for results in all {
        if results.table != table.fingerprint {
            wrong.push(format!(
                "results of another table ({} instead of {})",
                results.table, table.fingerprint
            ));
        }
        for run in &results.runs {
            wrong.extend(
                run.troubles.iter().map(|trouble| format!("{}/{}: {trouble}", run.runner, run.server)),
            );
            for entry in &run.entries {
                let key = (run.server.as_str(), run.runner.as_str(), entry.id.as_str());
                if seen.insert(key, &entry.outcome).is_some() {
                    wrong.push(format!("twice: {}", name(key)));
                }
            }
        }
    }
    let ids: Vec<String> = table.variants().map(|(id, _, _)| id).collect();
    let mut unavailable = 0;
    for server in &wanted.servers {
        for runner in &wanted.runners {
            for id in &ids {
                match seen.remove(&(server.as_str(), runner.as_str(), id.as_str())) {
                    Some(Outcome::Passed) => {}
                    Some(Outcome::NotRunnable(_)) if server == "user" => unavailable += 1,
                    Some(outcome) => {
                        wrong.push(format!("not passed: {runner}/{server} {id} ({})", word(outcome)))
                    }
                    None => wrong.push(format!("missing: {runner}/{server} {id}")),
                }
            }
        }
    }
    wrong.extend(seen.into_keys().map(|key| format!("not in the table, or not asked for: {}", name(key))));
    if wrong.is_empty() { Ok(numbers(table, wanted, ids.len(), unavailable)) } else { Err(wrong) }
}

fn numbers(table: &Table, wanted: &Wanted, variants: usize, unavailable: usize) -> String {
    let (runners, servers) = (wanted.runners.len(), wanted.servers.len());
    let total = variants * runners * servers;
    let mut text = format!(
        "{} cases in {variants} variants x {runners} runners ({}) x {servers} servers ({}) = {total}: ",
        table.cases.len(),
        wanted.runners.join(", "),
        wanted.servers.join(", ")
    );
    text += &match unavailable {
        0 => "all passed, none skipped".to_owned(),
        some => format!("{} passed, {some} can't run on the user's cluster", total - some),
    };
    text
}

fn name((server, runner, id): (&str, &str, &str)) -> String {
    format!("{runner}/{server} {id}")
}

fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "passed",
        Outcome::Failed(_) => "failed",
        Outcome::NotRunnable(_) => "not run",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Entry, Run};

    const TABLE: &str = "[{id: one, steps: [{get: {key: a}}]}, {id: two, cache: [none], steps: [{len: {}}]}]";

    fn table() -> Table {
        Table::parse(&[("t", TABLE)]).unwrap()
    }

    fn wanted() -> Wanted {
        Wanted { servers: vec!["dev".to_owned()], runners: vec!["rust".to_owned()] }
    }

    fn results(ids: &[&str]) -> Results {
        let entry = |id: &&str| Entry { id: (*id).to_owned(), outcome: Outcome::Passed, ms: 1 };
        Results {
            table: table().fingerprint,
            runs: vec![Run {
                server: "dev".to_owned(),
                runner: "rust".to_owned(),
                entries: ids.iter().map(entry).collect(),
                troubles: Vec::new(),
            }],
        }
    }

    const ALL: [&str; 3] = ["one/none", "one/exclusive", "two/none"];

    #[test]
    fn complete_results_add_up() {
        let said = count(&table(), &wanted(), &[results(&ALL)]).unwrap();
        assert!(said.contains("2 cases in 3 variants x 1 runners"), "{said}");
    }

    #[test]
    fn whatever_is_amiss_is_told() {
        let mut failed = results(&ALL);
        failed.runs[0].entries[0].outcome = Outcome::Failed("x".to_owned());
        let mut unavailable = results(&ALL);
        unavailable.runs[0].entries[0].outcome = Outcome::NotRunnable("x".to_owned());
        let mut other_table = results(&ALL);
        other_table.table = "0".to_owned();
        let mut other_server = results(&ALL);
        other_server.runs[0].server = "real".to_owned();
        let mut trouble = results(&ALL);
        trouble.runs[0].troubles.push("leak".to_owned());
        let amiss = [
            ("missing", vec![results(&ALL[1..])]),
            ("twice", vec![results(&ALL), results(&ALL[..1])]),
            ("not in the table", vec![results(&["one/none", "one/exclusive", "two/none", "three/none"])]),
            ("failed", vec![failed]),
            ("not run", vec![unavailable]),
            ("another table", vec![other_table]),
            ("missing", vec![other_server]),
            ("leak", vec![trouble]),
            ("missing", vec![]),
        ];
        for (reason, all) in amiss {
            let told = count(&table(), &wanted(), &all).unwrap_err().join("\n");
            assert!(told.contains(reason), "{reason} not in {told}");
        }
    }
}
