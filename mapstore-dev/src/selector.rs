//! fieldSelector and labelSelector of a list. Pure.

use crate::gostr;
use crate::object::ObjectMeta;
use crate::query::Query;
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

    /// Selects everything.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.labels.is_empty()
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
                "invalid selector: '{term}'; can't understand '{term}'"
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

/// The twin of apimachinery/pkg/labels/selector.go: its grammar, its complaints.
struct Parser<'a> {
    tokens: Vec<&'a str>,
    at: usize,
}

fn labels(text: &str) -> Result<Vec<(String, Test)>, Status> {
    let parsed = Parser { tokens: tokens(text), at: 0 }.requirements();
    parsed.map_err(Status::bad_request)
}

fn symbol(c: char) -> bool {
    matches!(c, '=' | '!' | '(' | ')' | ',' | '>' | '<')
}

/// Words and operators, as they stand in the text.
fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '(' | ')' | ',' => 1,
            c if symbol(c) => {
                if rest.starts_with("==") || rest.starts_with("!=") {
                    2
                } else {
                    1
                }
            }
            _ => rest.find(|c: char| symbol(c) || c.is_whitespace()).unwrap_or(rest.len()),
        };
        let (token, after) = rest.split_at(length);
        tokens.push(token);
        rest = after.trim_start();
    }
    tokens
}

fn is_word(token: &str) -> bool {
    token.chars().next().is_some_and(|c| !symbol(c))
}

impl<'a> Parser<'a> {
    /// The next token; "" is the end.
    fn peek(&self) -> &'a str {
        self.tokens.get(self.at).copied().unwrap_or_default()
    }

    fn next(&mut self) -> &'a str {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn requirements(&mut self) -> Result<Vec<(String, Test)>, String> {
        let mut list = Vec::new();
        loop {
            match self.peek() {
                "" => return Ok(list),
                t if t == "!" || is_word(t) => {}
                t => return Err(format!("found '{t}', expected: !, identifier, or 'end of string'")),
            }
            let one = self.requirement().map_err(|e| format!("unable to parse requirement: {e}"))?;
            list.push(one);
            match self.next() {
                "" => return Ok(list),
                "," if self.peek() == "!" || is_word(self.peek()) => {}
                "," => return Err(format!("found '{}', expected: identifier after ','", self.peek())),
                t => return Err(format!("found '{t}', expected: ',' or 'end of string'")),
            }
        }
    }

    fn requirement(&mut self) -> Result<(String, Test), String> {
        let absent = self.peek() == "!";
        if absent {
            self.next();
        }
        let name = self.next();
        if !is_word(name) {
            return Err(format!("found '{name}', expected: identifier"));
        }
        if let Some(complaint) = crate::names::qualified(name).first() {
            return Err(format!("<nil>: Invalid value: {}: {complaint}", gostr::quote(name)));
        }
        let name = name.to_string();
        match self.peek() {
            _ if absent => return Ok((name, Test::Absent)),
            "" | "," => return Ok((name, Test::Exists)),
            _ => {}
        }
        match self.next() {
            "=" | "==" => Ok((name, Test::In(vec![self.value()?]))),
            "!=" => Ok((name, Test::NotIn(vec![self.value()?]))),
            "in" => Ok((name, Test::In(self.values()?))),
            "notin" => Ok((name, Test::NotIn(self.values()?))),
            t => Err(format!("found '{t}', expected: in, notin, =, ==, !=, gt, lt")),
        }
    }

    fn value(&mut self) -> Result<String, String> {
        match self.peek() {
            "" | "," => Ok(String::new()),
            t if is_word(t) => {
                self.next();
                Ok(t.into())
            }
            t => Err(format!("found '{t}', expected: identifier")),
        }
    }

    fn values(&mut self) -> Result<Vec<String>, String> {
        match self.next() {
            "(" => {}
            t => return Err(format!("found '{t}' expected: '('")),
        }
        let mut values = Vec::new();
        loop {
            match self.next() {
                t if is_word(t) => values.push(t.to_string()),
                "," => {}
                ")" => return Ok(values),
                t => return Err(format!("found '{t}', expected: ',', ')' or identifier")),
            }
        }
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
        for (selector, complaint) in [
            ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
            ("=", "found '=', expected: !, identifier, or 'end of string'"),
            ("a in b", "unable to parse requirement: found 'b' expected: '('"),
            ("a=b c", "found 'c', expected: ',' or 'end of string'"),
        ] {
            assert_eq!(labels(selector).unwrap_err().message, complaint);
        }
        let unknown = Query::parse("fieldSelector=spec.x%3D1");
        assert_eq!(Selector::of(&unknown).unwrap_err().code, 400);
    }
}
