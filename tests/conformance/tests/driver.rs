//! The driver must notice: runners that answer wrongly, hang, crash, print or leave things out. Each test's runner is
//! a few lines of shell.

use std::collections::BTreeSet;
use std::time::Duration;

use mapstore_conformance::results::{Outcome, Run};
use mapstore_conformance::runner::RunnerSpec;
use mapstore_conformance::suite::Suite;
use mapstore_conformance::table::{Need, Table};
use mapstore_harness::{Cluster, Kind, Scratch};

/// No test waits this long but for a runner that hangs; a busy machine answers later than an idle one.
const LONG: Duration = Duration::from_secs(30);

/// Runs a table with a runner whose answer to each verb is a line of a shell `case`.
fn run(table: &str, answers: &str) -> Run {
    run_with(table, answers, LONG, &[])
}

fn run_with(table: &str, answers: &str, patience: Duration, without: &[&str]) -> Run {
    let table = Table::parse(&[("test", table)]).expect("a good table");
    let scratch = Scratch::new("fake").unwrap();
    let script = format!(
        "while read -r verb fields; do case \"$verb\" in\n{answers}\nquit) exit 0;;\n*) echo ok;;\nesac; done\n"
    );
    let script = scratch.write("runner.sh", script).unwrap();
    let command = vec!["/bin/sh".to_owned(), script.display().to_string()];
    let spec = RunnerSpec { name: "fake".to_owned(), command };
    let cluster = Cluster::start(Kind::Dev).unwrap();
    let suite = Suite {
        table: &table,
        chosen: BTreeSet::new(),
        without: without.iter().map(|name| Need::from_name(name).expect("a need")).collect(),
        jobs: 1,
        patience,
        slow: 1,
    };
    suite.run(&cluster, &spec)
}

/// The only case's reason to fail.
fn failure(table: &str, answers: &str) -> String {
    let run = run(table, answers);
    match run.entries.as_slice() {
        [only] => match &only.outcome {
            Outcome::Failed(why) => why.clone(),
            other => panic!("{other:?}"),
        },
        several => panic!("{several:?}"),
    }
}

const GET: &str = "[{id: one, cache: [none], steps: [{open: {}}, {get: {key: a}, ok: {value: blue}}]}]";
const REFUSED: &str = "[{id: one, cache: [none], steps: [{get: {key: a, store: 1},
    err: {code: Forbidden, status: 403, retryable: false, message: [patch], not_message: [token]}}]}]";

fn err(code: u32, name: &str, status: u32, message: &str) -> String {
    format!(
        "get) echo 'err code={code} name={name} status={status} retryable=0 used=0 limit=0 subject= message={message}';;"
    )
}

#[test]
fn right_answers_pass() {
    let passed = run(GET, "get) echo 'ok value=blue';;");
    assert_eq!((passed.passes(), passed.failures()), (1, 0), "{passed:?}");
    let passed = run(REFUSED, &err(5, "Forbidden", 403, "needs%20patch"));
    assert_eq!((passed.passes(), passed.failures()), (1, 0), "{passed:?}");
}

#[test]
fn a_wrong_answer_to_a_get_fails() {
    let wrong = [
        ("ok value=green", "\"green\" instead of \"blue\""),
        ("ok value=blu", "instead of"),
        ("ok absent=1", "absent"),
        ("ok", "exactly the fields"),
        ("ok value=blue extra=1", "exactly the fields"),
        ("ok value=bl%ue", "percent-encoded"),
        ("bad no idea", "the runner answered: bad no idea"),
        ("hello", "the runner answered: hello"),
        ("", "the runner answered"),
    ];
    for (answer, reason) in wrong {
        let why = failure(GET, &format!("get) echo '{answer}';;"));
        assert!(why.contains(reason), "{answer}: {why}");
        assert!(why.contains("step 2"), "{why}");
    }
}

#[test]
fn a_wrong_error_fails() {
    let wrong = [
        (err(7, "Unauthorized", 403, "patch"), "expected Forbidden"),
        (err(5, "Unauthorized", 403, "patch"), "is not Unauthorized's"),
        (err(99, "Forbidden", 403, "patch"), "is not Forbidden's"),
        (err(5, "Forbidden", 401, "patch"), "expected status=403"),
        (err(5, "Forbidden", 403, "please"), "does not name \"patch\""),
        (err(5, "Forbidden", 403, "patch%20token"), "names \"token\""),
        (err(5, "Forbidden", 403, ""), "message is empty"),
        ("get) echo 'ok value=x';;".to_owned(), "expected Forbidden"),
        ("get) echo 'err code=5 name=Forbidden';;".to_owned(), "exactly the fields"),
    ];
    for (answers, reason) in wrong {
        let why = failure(REFUSED, &answers);
        assert!(why.contains(reason), "{answers}: {why}");
    }
}

#[test]
fn an_error_instead_of_ok_fails() {
    let why = failure(GET, &err(12, "Deadline", 0, "too%20late"));
    assert!(why.contains("expected ok") && why.contains("too late"), "{why}");
}

#[test]
fn a_value_in_a_message_fails() {
    let table = "[{id: one, cache: [none], steps: [{set: {key: a, value: my-password}, err: Rejected}]}]";
    let leak = err(6, "Rejected", 403, "can%27t%20store%20my-password").replace("get)", "set)");
    let why = failure(table, &leak);
    assert!(why.contains("holds a token or the value"), "{why}");
}

#[test]
fn a_revision_that_does_not_move_or_moves_fails() {
    let table = |second: &str| {
        format!(
            "[{{id: one, cache: [none], steps: [{{truncate: {{}}, ok: {{revision: '@r'}}}},
             {{delete: {{key: a}}, ok: {{revision: '{second}'}}}}]}}]"
        )
    };
    let answers = "truncate) echo 'ok changed=1 revision=7';;\ndelete) echo 'ok changed=1 revision=7';;";
    assert_eq!(run(&table("=r"), answers).failures(), 0);
    let why = failure(&table("!r"), answers);
    assert!(why.contains("the same as r"), "{why}");
    let why = failure(&table("=r"), &answers.replacen("revision=7", "revision=8", 1));
    assert!(why.contains("\"7\" instead of r's \"8\""), "{why}");
    let why = failure(&table("none"), answers);
    assert!(why.contains("instead of none"), "{why}");
}

#[test]
fn a_write_that_never_reached_the_server_fails() {
    let table = "[{id: one, cache: [none], steps: [{set: {key: a, value: b}, ok: {changed: true}},
        {server: {entries: {a: b}}}]}]";
    let why = failure(table, "set) echo 'ok changed=1 revision=7';;");
    assert!(why.contains("step 2") && why.contains("404"), "{why}");
}

#[test]
fn what_the_server_holds_is_compared() {
    let table = |inspection: &str| {
        format!(
            "[{{id: one, cache: [none], steps: [{{outside: {{create: {{data: {{a: b}}, binaryData: {{c: d}},
             metadata: {{labels: {{app: shop}}}}}}}}}}, {{server: {inspection}}}]}}]"
        )
    };
    for right in ["{data: {a: b}, binaryData: {c: d}, count: 2}", "{entries: {a: b, c: d}}", "{has: {a: b}}"]
    {
        assert_eq!(run(&table(right), "").failures(), 0, "{right}");
    }
    let wrong = [
        ("{data: {a: c}}", "data a is"),
        ("{data: {}}", "data has a"),
        ("{binaryData: {c: d, e: f}}", "binaryData has no e"),
        ("{entries: {a: b}}", "entries has c"),
        ("{has: {a: c}}", "has a is"),
        ("{count: 3}", "2 entries"),
        ("{metadata: {labels: {app: web}}}", "metadata.labels.app"),
        ("{annotated: [x]}", "no annotation x"),
        ("{absent: true}", "should be absent"),
    ];
    for (inspection, reason) in wrong {
        let why = failure(&table(inspection), "");
        assert!(why.contains(reason), "{inspection}: {why}");
    }
}

#[test]
fn a_hang_fails_its_case_and_the_next_one_gets_a_new_runner() {
    let table = "[{id: hangs, cache: [none], steps: [{len: {}, ok: {len: 0}}]},
        {id: works, cache: [none], steps: [{get: {key: a}, ok: {value: blue}}]}]";
    let answers = "len) sleep 600;;\nget) echo 'ok value=blue';;";
    let run = run_with(table, answers, Duration::from_secs(3), &[]);
    let outcomes: Vec<_> = run.entries.iter().map(|entry| &entry.outcome).collect();
    let [Outcome::Failed(why), Outcome::Passed] = outcomes.as_slice() else {
        panic!("{run:?}");
    };
    assert!(why.contains("hung"), "{why}");
}

#[test]
fn a_crash_fails_its_case_and_the_next_one_gets_a_new_runner() {
    let table = "[{id: dies, cache: [none], steps: [{len: {}, ok: {len: 0}}]},
        {id: works, cache: [none], steps: [{get: {key: a}, ok: {value: blue}}]}]";
    let run = run(table, "len) kill -SEGV $$;;\nget) echo 'ok value=blue';;");
    let outcomes: Vec<_> = run.entries.iter().map(|entry| &entry.outcome).collect();
    let [Outcome::Failed(why), Outcome::Passed] = outcomes.as_slice() else {
        panic!("{run:?}");
    };
    assert!(why.contains("signal"), "{why}");
}

#[test]
fn a_library_that_prints_fails() {
    let why = failure(GET, "get) echo noise >&2; sleep 1; echo 'ok value=blue';;");
    assert!(why.contains("printed: noise"), "{why}");
}

#[test]
fn a_bad_end_is_a_failure_of_the_run() {
    let run = run(GET, "get) echo 'ok value=blue';;\nquit) echo leak >&2; exit 23;;");
    assert_eq!((run.passes(), run.failures()), (1, 1), "{run:?}");
    assert!(run.troubles[0].contains("23"), "{run:?}");
}

#[test]
fn a_slow_answer_fails_where_the_table_sets_a_limit() {
    let table = "[{id: one, cache: [none], steps: [{len: {}, ok: {len: 0}, within_ms: 2000}]}]";
    assert_eq!(run(table, "len) echo 'ok len=0';;").failures(), 0);
    let why = failure(table, "len) sleep 2.1; echo 'ok len=0';;");
    assert!(why.contains("it took"), "{why}");
}

#[test]
fn every_variant_of_the_table_is_in_the_results() {
    let table =
        "[{id: one, steps: [{len: {}, ok: {len: 0}}]}, {id: two, cache: [exclusive], steps: [{len: {}}]}]";
    let run = run(table, "len) echo 'ok len=0';;");
    let ids: Vec<_> = run.entries.iter().map(|entry| entry.id.as_str()).collect();
    assert_eq!(ids, ["one/none", "one/exclusive", "two/exclusive"]);
}

#[test]
fn a_step_only_for_one_variant_is_not_run_in_the_other() {
    let table = "[{id: one, steps: [{len: {}, ok: {len: 1}, only: exclusive}]}]";
    let run = run(table, "len) echo 'ok len=0';;");
    let outcomes: Vec<_> = run.entries.iter().map(|entry| matches!(entry.outcome, Outcome::Passed)).collect();
    assert_eq!(outcomes, [true, false]);
}

#[test]
fn a_case_that_needs_what_is_not_given_is_left_out_and_only_that() {
    let table = "[{id: one, steps: [{len: {}}]},
        {id: two, cache: [none], needs: [a-missing-map, another-namespace], steps: [{len: {}}]},
        {id: three, cache: [none], needs: [another-namespace], steps: [{len: {}}]}]";
    let ids = |without: &[&str]| -> Vec<String> {
        let run = run_with(table, "len) echo 'ok len=0';;", LONG, without);
        run.entries.into_iter().map(|entry| entry.id).collect()
    };
    assert_eq!(ids(&[]), ["one/none", "one/exclusive", "two/none", "three/none"]);
    assert_eq!(ids(&["a-missing-map"]), ["one/none", "one/exclusive", "three/none"]);
    assert_eq!(ids(&["a-missing-map", "another-namespace"]), ["one/none", "one/exclusive"]);
}

#[test]
fn a_slip_in_the_table_is_found_when_it_is_read() {
    let slips = [
        ("[{id: one, steps: []}]", "no step"),
        ("[{id: One, steps: [{len: {}}]}]", "kebab"),
        ("[{id: one, steps: [{len: {}}]}, {id: one, steps: [{len: {}}]}]", "twice"),
        ("[{id: one, steps: [{length: {}}]}]", "unknown variant"),
        ("[{id: one, steps: [{len: {key: a}}]}]", "no field key"),
        ("[{id: one, steps: [{len: {}, get: {}}]}]", "not exactly one action"),
        ("[{id: one, steps: [{len: {}, ok: {}, err: Closed}]}]", "both ok and err"),
        ("[{id: one, steps: [{len: {}, err: {code: Closed, mesage: [a]}}]}]", "unknown field"),
        ("[{id: one, cash: [none], steps: [{len: {}}]}]", "unknown field"),
        ("[{id: one, needs: [money], steps: [{len: {}}]}]", "unknown variant"),
    ];
    for (table, reason) in slips {
        let told = Table::parse(&[("test", table)]).unwrap_err();
        assert!(told.contains(reason), "{table}: {told}");
    }
}

#[test]
fn the_table_itself_can_be_read_and_every_file_of_it_is() {
    let table = Table::built_in().unwrap();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let mut cases = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        cases += text.lines().filter(|line| line.starts_with("- id:")).count();
    }
    assert_eq!(table.cases.len(), cases);
}
