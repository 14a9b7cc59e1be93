//! Whether an answer is what the table says. Pure: an answer and an expectation in, a difference in words out.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::object::{Fill, show};
use crate::spec::{Spec, Variables};
use crate::table::{Expected, Failure};
use crate::wire::Line;

/// The codes, fixed for ever, at their numbers.
pub const CODES: [&str; 19] = [
    "Ok",
    "InvalidArgument",
    "TooLarge",
    "Conflict",
    "OutcomeUnknown",
    "Forbidden",
    "Rejected",
    "Unauthorized",
    "NamespaceNotFound",
    "Immutable",
    "Unavailable",
    "Overloaded",
    "Deadline",
    "Cancelled",
    "Stale",
    "Closed",
    "Forked",
    "Config",
    "Internal",
];

/// Revisions and uids by the names that the table gives them.
#[derive(Debug, Default)]
pub struct Remembered(HashMap<String, String>);

impl Remembered {
    pub fn get(&self, name: &str) -> Option<&String> {
        self.0.get(name)
    }

    /// Words like `=r1` (the same), `!r1` (another), `@r2` (remember it), `none`, `some`.
    pub fn relate(&mut self, relations: &str, seen: &str) -> Result<(), String> {
        for relation in relations.split_whitespace() {
            match relation.split_at(1) {
                ("@", name) => drop(self.0.insert(name.to_owned(), seen.to_owned())),
                ("=", name) if self.known(name)? == seen => {}
                ("=", name) => {
                    return Err(format!("revision {seen:?} instead of {name}'s {:?}", self.known(name)?));
                }
                ("!", name) if self.known(name)? != seen => {}
                ("!", name) => return Err(format!("revision {seen:?}, the same as {name}")),
                _ if relation == "none" && seen.is_empty() => {}
                _ if relation == "some" && !seen.is_empty() => {}
                _ if ["none", "some"].contains(&relation) => {
                    return Err(format!("revision {seen:?} instead of {relation}"));
                }
                _ => return Err(format!("the table: {relation} is no relation")),
            }
        }
        Ok(())
    }

    fn known(&self, name: &str) -> Result<&str, String> {
        let value = self.0.get(name).map(String::as_str);
        value.ok_or_else(|| format!("the table: nothing is remembered as {name}"))
    }
}

/// Compares one answer with what the step expects.
pub fn compare(
    verb: &str,
    answer: &Line,
    expected: &Expected,
    variables: &dyn Variables,
    remembered: &mut Remembered,
) -> Result<(), String> {
    shape(verb, answer)?;
    match (expected, answer.verb.as_str()) {
        (Expected::Ok(fields), "ok") => fields.iter().try_for_each(|(name, value)| {
            field(name, value, answer, variables, remembered).map_err(|e| format!("{name}: {e}"))
        }),
        (Expected::Ok(_), _) => Err("expected ok".to_owned()),
        (Expected::Err(failure), "err") => refused(failure, answer, variables),
        (Expected::Err(failure), _) => Err(format!("expected {}", failure.code)),
    }
}

/// The protocol's own rules, whatever the table says: the right fields, a code with its name, numbers in range.
fn shape(verb: &str, answer: &Line) -> Result<(), String> {
    let required: &[&str] = match (answer.verb.as_str(), verb) {
        ("err", _) => &["code", "name", "status", "retryable", "used", "limit", "subject", "message"],
        ("ok", "get") if answer.has("absent") => &["absent"],
        ("ok", "get") => &["value"],
        ("ok", "contains") => &["present"],
        ("ok", "len") => &["len"],
        ("ok", "keys") => &["keys"],
        ("ok", "snapshot") => &["revision", "len", "entries"],
        ("ok", "set" | "force_set" | "delete" | "truncate" | "apply" | "compare_and_set" | "update") => {
            &["changed", "revision"]
        }
        ("ok", "usage") => {
            &["keys", "key_bytes", "value_bytes", "value_limit", "object_bytes", "object_limit"]
        }
        ("ok", _) => &[],
        _ => return Err("neither ok nor err".to_owned()),
    };
    if !required.iter().all(|name| answer.has(name)) || answer.names().count() != required.len() {
        return Err(format!("the protocol wants exactly the fields {}", required.join(" ")));
    }
    match answer.verb.as_str() {
        "err" => error_shape(answer),
        _ => ok_shape(answer),
    }
}

fn error_shape(answer: &Line) -> Result<(), String> {
    let name = answer.text("name").ok_or("the name is not text")?;
    let code: usize = answer.number("code").ok_or("the code is not a number")?;
    if code == 0 || CODES.get(code) != Some(&name.as_str()) {
        return Err(format!("the code {code} is not {name}'s"));
    }
    let number = |field| answer.number::<u64>(field).ok_or_else(|| format!("{field} is not a number"));
    let (_, used, limit) = (number("status")?, number("used")?, number("limit")?);
    if number("retryable")? > 1 {
        return Err("retryable is neither 0 nor 1".to_owned());
    }
    if (used, limit) != (0, 0) && name != "TooLarge" {
        return Err("used and limit are TooLarge's".to_owned());
    }
    match answer.text("message") {
        Some(message) if !message.trim().is_empty() => Ok(()),
        Some(_) => Err("the message is empty".to_owned()),
        None => Err("the message is not text".to_owned()),
    }
}

fn ok_shape(answer: &Line) -> Result<(), String> {
    if answer.text("changed").is_some_and(|changed| changed == "1")
        && answer.bytes("revision").is_none_or(|r| r.is_empty())
    {
        return Err("changed, but no revision".to_owned());
    }
    if let Some(entries) = answer.pairs("entries") {
        let sorted = entries.windows(2).all(|two| two[0].0 < two[1].0);
        if !sorted || answer.number("len") != Some(entries.len()) {
            return Err("the snapshot is not sorted, or its len is wrong".to_owned());
        }
    }
    Ok(())
}

fn refused(expected: &Failure, answer: &Line, variables: &dyn Variables) -> Result<(), String> {
    let name = answer.text("name").unwrap_or_default();
    if name != expected.code {
        return Err(format!("expected {}", expected.code));
    }
    let numbers = [("status", expected.status), ("used", expected.used), ("limit", expected.limit)];
    let retryable = expected.retryable.map(u64::from);
    for (field, wanted) in numbers.into_iter().chain([("retryable", retryable)]) {
        if wanted.is_some() && answer.number(field) != wanted {
            return Err(format!("expected {field}={}", wanted.unwrap_or_default()));
        }
    }
    if let Some(subject) = &expected.subject {
        let wanted = subject.bytes(variables)?;
        if answer.bytes("subject").as_deref() != Some(&wanted) {
            return Err(format!("expected the subject {}", show(&wanted)));
        }
    }
    let message = answer.text("message").unwrap_or_default();
    for part in &expected.message {
        let part = crate::spec::substitute(part, variables)?;
        if !message.contains(&part) {
            return Err(format!("the message does not name {part:?}"));
        }
    }
    for part in &expected.not_message {
        let part = crate::spec::substitute(part, variables)?;
        if message.contains(&part) {
            return Err(format!("the message names {part:?}"));
        }
    }
    Ok(())
}

fn field(
    name: &str,
    expected: &Value,
    answer: &Line,
    variables: &dyn Variables,
    remembered: &mut Remembered,
) -> Result<(), String> {
    match (name, expected) {
        ("value", spec) => {
            let wanted = parse::<Spec>(spec)?.bytes(variables)?;
            same_bytes(&wanted, &answer.bytes("value").ok_or("absent")?)
        }
        ("revision", Value::String(relations)) => {
            remembered.relate(relations, &answer.text("revision").ok_or("no revision")?)
        }
        ("keys", Value::Array(_) | Value::Object(_)) if answer.list("keys").is_some() => {
            same_keys(&keys(expected, variables)?, &answer.list("keys").unwrap_or_default())
        }
        ("entries", Value::Object(entries)) => {
            same_entries(entries, &answer.pairs("entries").ok_or("none")?, variables)
        }
        ("fill", fill) => {
            let wanted = parse::<Fill>(fill)?;
            let value = wanted.value.bytes(variables)?;
            let seen = answer.pairs("entries").ok_or("none")?;
            let names: Vec<_> = seen.iter().map(|(key, _)| key.clone()).collect();
            let wanted: Vec<_> = wanted.keys(variables)?.into_iter().map(String::into_bytes).collect();
            same_keys(&wanted, &names)?;
            seen.iter().try_for_each(|(_, seen)| same_bytes(&value, seen))
        }
        (_, Value::Bool(flag)) => number(u64::from(*flag), None, answer.number(name)),
        (_, Value::Number(exact)) => {
            number(exact.as_u64().ok_or("the table: not a number")?, None, answer.number(name))
        }
        (_, Value::Object(range)) => {
            let bound = |name: &str| range.get(name).and_then(Value::as_u64);
            let least = bound("min").ok_or("the table: no min")?;
            number(least, Some(bound("max").unwrap_or(u64::MAX)), answer.number(name))
        }
        _ => Err(format!("the table: {expected} can't be compared")),
    }
}

fn number(least: u64, most: Option<u64>, seen: Option<u64>) -> Result<(), String> {
    match (seen, most) {
        (Some(seen), None) if seen == least => Ok(()),
        (Some(seen), Some(most)) if (least..=most).contains(&seen) => Ok(()),
        (Some(seen), None) => Err(format!("{seen} instead of {least}")),
        (Some(seen), Some(most)) => Err(format!("{seen}, not between {least} and {most}")),
        (None, _) => Err("not there".to_owned()),
    }
}

/// A list of keys, or a fill's.
fn keys(expected: &Value, variables: &dyn Variables) -> Result<Vec<Vec<u8>>, String> {
    match expected {
        Value::Array(list) => list.iter().map(|key| parse::<Spec>(key)?.bytes(variables)).collect(),
        fill => Ok(parse::<Fill>(fill)?.keys(variables)?.into_iter().map(String::into_bytes).collect()),
    }
}

fn same_keys(expected: &[Vec<u8>], seen: &[Vec<u8>]) -> Result<(), String> {
    if expected == seen {
        return Ok(());
    }
    let differs = |(wanted, got): (&Vec<u8>, &Vec<u8>)| wanted != got;
    let first = expected.iter().zip(seen).position(differs).unwrap_or(expected.len().min(seen.len()));
    let at = |list: &[Vec<u8>]| list.get(first).map_or("nothing".to_owned(), |key| show(key));
    Err(format!(
        "{} keys, expected {}; number {first} is {} instead of {}",
        seen.len(),
        expected.len(),
        at(seen),
        at(expected)
    ))
}

fn same_entries(
    expected: &Map<String, Value>,
    seen: &[(Vec<u8>, Vec<u8>)],
    variables: &dyn Variables,
) -> Result<(), String> {
    let mut wanted = BTreeMap::new();
    for (key, spec) in expected {
        wanted.insert(key.clone().into_bytes(), parse::<Spec>(spec)?.bytes(variables)?);
    }
    let names: Vec<_> = seen.iter().map(|(key, _)| key.clone()).collect();
    same_keys(&wanted.keys().cloned().collect::<Vec<_>>(), &names)?;
    seen.iter().try_for_each(|(key, value)| same_bytes(&wanted[key], value))
}

fn same_bytes(expected: &[u8], seen: &[u8]) -> Result<(), String> {
    if expected == seen {
        return Ok(());
    }
    Err(format!("{} instead of {}", show(seen), show(expected)))
}

fn parse<T: for<'de> Deserialize<'de>>(value: &Value) -> Result<T, String> {
    T::deserialize(value).map_err(|e| format!("the table: {e}"))
}
