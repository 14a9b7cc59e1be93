//! fieldSelector and labelSelector of a list. Pure.

use crate::gostr;
use crate::object::ObjectMeta;
use crate::request::Query;
use crate::status::Status;

#[derive(Debug, PartialEq)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Absent,
}

#[derive(Debug, Default)]
pub struct Selector {
    fields: Vec<(String, String, bool)>,
    labels: Vec<(String, Test)>,
}

impl Selector {
    pub fn of(query: &Query) -> Result<Selector, Status> {
        Ok(Selector {
            fields: fields(query.get("fieldSelector").unwrap_or_default())?,
            labels: labels(query.get("labelSelector").unwrap_or_default())?,
        })
    }

    pub fn matches(&self, meta: &ObjectMeta) -> bool {
        let field = |(name, value, equal): &(String, String, bool)| {
            let found = if name == "metadata.name" { &meta.name } else { &meta.namespace };
            (found == value) == *equal
        };
        let label = |(name, test): &(String, Test)| match (meta.labels.get(name), test) {
            (Some(v), Test::In(values)) => values.contains(v),
            (Some(v), Test::NotIn(values)) => !values.contains(v),
            (None, Test::NotIn(_) | Test::Absent) | (Some(_), Test::Exists) => true,
            _ => false,
        };
        self.fields.iter().all(field) && self.labels.iter().all(label)
    }
}

/// The terms of a field selector: name, value, and whether they have to be equal.
fn fields(text: &str) -> Result<Vec<(String, String, bool)>, Status> {
    let mut terms = Vec::new();
    for term in text.split(',').filter(|t| !t.is_empty()) {
        let (name, value, equal) = if let Some((n, v)) = term.split_once("!=") {
            (n, v, false)
        } else if let Some((n, v)) = term.split_once("==").or_else(|| term.split_once('=')) {
            (n, v, true)
        } else {
            return Err(Status::bad_request(format!(
                "unable to parse field selector: invalid selector: '{term}'; can't understand '{term}'"
            )));
        };
        if !matches!(name, "metadata.name" | "metadata.namespace") {
            return Err(Status::bad_request(format!(
                "{} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
                gostr::quote(name)
            )));
        }
        terms.push((name.into(), value.into(), equal));
    }
    Ok(terms)
}

/// Splits at commas outside parentheses.
fn requirements(text: &str) -> Vec<&str> {
    let mut depth = 0;
    let split = text.split(move |c| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    });
    split.map(str::trim).filter(|t| !t.is_empty()).collect()
}

fn labels(text: &str) -> Result<Vec<(String, Test)>, Status> {
    requirements(text).into_iter().map(label).collect()
}

fn label(term: &str) -> Result<(String, Test), Status> {
    let one = |v: &str| vec![v.trim().to_string()];
    let list = |v: &str| -> Option<Vec<String>> {
        let inner = v.trim().strip_prefix('(')?.strip_suffix(')')?;
        Some(inner.split(',').map(|v| v.trim().to_string()).collect())
    };
    let (name, test) = if let Some(name) = term.strip_prefix('!') {
        (name, Some(Test::Absent))
    } else if let Some((n, v)) = term.split_once(" notin ") {
        (n, list(v).map(Test::NotIn))
    } else if let Some((n, v)) = term.split_once(" in ") {
        (n, list(v).map(Test::In))
    } else if let Some((n, v)) = term.split_once("!=") {
        (n, Some(Test::NotIn(one(v))))
    } else if let Some((n, v)) = term.split_once("==").or_else(|| term.split_once('=')) {
        (n, Some(Test::In(one(v))))
    } else {
        (term, Some(Test::Exists))
    };
    let name = name.trim();
    match test.filter(|_| crate::names::qualified(name).is_empty()) {
        Some(test) => Ok((name.into(), test)),
        None => Err(Status::bad_request(format!(
            "unable to parse requirement: {}",
            gostr::quote(term)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(query: &str) -> bool {
        let mut meta = ObjectMeta { name: "x".into(), ..ObjectMeta::default() };
        meta.labels.insert("app".into(), "a".into());
        Selector::of(&Query::parse(query)).unwrap().matches(&meta)
    }

    #[test]
    fn selectors() {
        assert!(matches(""));
        assert!(matches("fieldSelector=metadata.name%3Dx"));
        assert!(!matches("fieldSelector=metadata.name!%3Dx"));
        for (selector, expected) in [
            ("app", true),
            ("!app", false),
            ("app=a", true),
            ("app==b", false),
            ("app!=b,other!=x", true),
            ("app in (a, b)", true),
            ("app notin (a)", false),
            ("other", false),
        ] {
            let encoded = selector.replace('=', "%3D").replace(' ', "%20");
            assert_eq!(matches(&format!("labelSelector={encoded}")), expected, "{selector}");
        }
        let unknown = Query::parse("fieldSelector=spec.x%3D1");
        assert_eq!(Selector::of(&unknown).unwrap_err().code, 400);
    }
}
