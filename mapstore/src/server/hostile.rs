//! What a server (or whoever answers in its place) sends, broken in any way: it
//! is read or refused, without a panic and in time.

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;

use super::lines::Lines;
use super::status::{Asked, Refusal};
use super::{wire, x509};
use crate::config::pem;
use crate::mutate::{config, in_time, mutated};

const JSON: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "\"",
    ":",
    ",",
    "null",
    "true",
    "-1",
    "1e999",
    "18446744073709551615",
    "\\u0000",
    "\\ud800",
    "\\",
    "\n",
    "metadata",
    "resourceVersion",
    "\"data\":",
    "\"binaryData\":",
    "\"managedFields\":",
    "\"type\":\"ERROR\"",
    "\"object\":",
    "\"items\":",
    "\"details\":",
    "\"causes\":",
    "\"retryAfterSeconds\":",
    "duplicate of key present in",
    "=",
    "é",
];

fn answers() -> Vec<Vec<u8>> {
    let answers: [&[u8]; 5] = [
        br#"{"metadata":{"uid":"u","resourceVersion":"7","annotations":{"mapstore/last-write":"n"},"managedFields":[{"operation":"Apply"}]},"data":{"t":"x"},"binaryData":{"b":"/w=="}}"#,
        br#"{"type":"MODIFIED","object":{"metadata":{"resourceVersion":"9"},"data":{"k":"v"}}}"#,
        br#"{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}}"#,
        br#"{"metadata":{"resourceVersion":"12"},"items":[{"metadata":{"uid":"u","resourceVersion":"7"},"data":{"k":"v"}}]}"#,
        br#"{"kind":"Status","message":"User \"u\" cannot patch resource \"configmaps\"","reason":"Invalid","details":{"kind":"namespaces","retryAfterSeconds":3,"causes":[{"reason":"FieldValueInvalid","message":"Invalid value: \"a\": duplicate of key present in data"}]}}"#,
    ];
    answers.map(<[u8]>::to_vec).into()
}

fn read_answer(body: &[u8]) {
    drop((wire::look(body), wire::snapshot(body), wire::listed(body), wire::event(body)));
    drop((wire::written(body), wire::stored(body)));
}

fn read_refusal(code: u16, body: &[u8]) {
    let asked = Asked { verb: "patch", namespace: "ns", name: "m", origin: "test", address: "https://h" };
    let refusal = Refusal::new(code, None, body).on_a_connection(true);
    drop((refusal.to_error(asked).to_string(), refusal.too_large_error("m", u64::MAX, 0)));
    drop((refusal.keys_on_other_side(), refusal.minds_the_content(), refusal.asks_to_wait()));
}

/// The lines of `body`, however it is cut, are its lines.
fn check_lines(body: &[u8], cuts: &[Index]) {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
    cuts.extend([0, body.len()]);
    cuts.sort_unstable();
    let (mut lines, mut seen) = (Lines::up_to(body.len()), Vec::new());
    for piece in cuts.windows(2).map(|ends| &body[ends[0]..ends[1]]) {
        lines.push(piece);
        while let Some(line) = lines.next().expect("none is longer than all") {
            seen.push(line.to_vec());
        }
    }
    let whole: Vec<_> =
        body.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")).collect();
    assert_eq!(seen, whole);
}

const DER: &[&str] =
    &["\x30", "\x02\x01\x01", "\x03", "\x06", "\x17\x0d", "\x18\x0f", "\0", "\x7f", "Z", "99991231235959Z"];

macro_rules! certificates {
    ($($name:literal),*) => {
        vec![$(pem::certificates(include_bytes!(concat!("tls/certificates/", $name, ".pem"))).remove(0)),*]
    };
}

fn certificates() -> Vec<Vec<u8>> {
    certificates!("leaf", "root", "self", "p521", "rsa1024", "leaf-sha1", "nameless", "leaf-of-v1")
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_answer_is_read_or_refused(body in mutated(answers(), JSON)) {
        in_time(&body, || read_answer(&body));
    }

    #[test]
    fn any_refusal_becomes_an_error(code in any::<u16>(), known in 0..4usize, body in mutated(answers(), JSON)) {
        let code = [code, 422, 403, 404][known];
        in_time(&body, || read_refusal(code, &body));
    }

    #[test]
    fn lines_come_whole(body in mutated(answers(), JSON), cuts in proptest::collection::vec(any::<Index>(), 0..20)) {
        in_time(&body, || check_lines(&body, &cuts));
    }

    #[test]
    fn any_certificate_is_judged(shown in mutated(certificates(), DER), own in mutated(certificates(), DER)) {
        in_time(&shown, || {
            drop(x509::facts(&shown));
            super::tls::judge_for_test(std::slice::from_ref(&own), &shown);
            super::tls::judge_for_test(std::slice::from_ref(&shown), &shown);
            super::tls::judge_for_test(&certificates(), &shown);
        });
    }

    /// What a server says of waiting is never added to a clock that can't take it.
    #[test]
    fn any_wait_can_be_asked_for(seconds in any::<u64>()) {
        let body = format!(r#"{{"kind":"Status","details":{{"retryAfterSeconds":{seconds}}}}}"#);
        let refusal = Refusal::new(429, None, body.as_bytes());
        prop_assert_eq!(refusal.retry_after, Some(Duration::from_secs(seconds)).filter(|wait| !wait.is_zero()));
    }
}
