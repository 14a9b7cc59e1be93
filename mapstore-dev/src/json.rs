//! JSON read with encoding/json's manners: its error texts, its repair of bad
//! UTF-8, and a list of the fields that came twice. serde_json has other texts,
//! and clients see them in 400 answers. Pure.

use std::fmt;

use serde_json::{Map, Number, Value};

/// Depth at which encoding/json gives up (scanner.go).
const MAX_DEPTH: usize = 10_000;

/// A document and what a strict reading of it has to say.
#[derive(Debug, PartialEq)]
pub struct Document {
    pub value: Value,
    /// Paths of fields that came more than once; the last one counts.
    pub duplicates: Vec<String>,
}

/// What encoding/json says about text that isn't JSON.
#[derive(Debug, PartialEq)]
pub struct SyntaxError(String);

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads one JSON document.
pub fn parse(text: &[u8]) -> Result<Document, SyntaxError> {
    let mut p = Parser { text, at: 0, depth: 0, path: Vec::new(), duplicates: Vec::new() };
    let value = p.value()?;
    p.space();
    match p.peek() {
        None => Ok(Document { value, duplicates: p.duplicates }),
        Some(c) => Err(invalid(c, "after top-level value")),
    }
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
    path: Vec<String>,
    duplicates: Vec<String>,
}

fn invalid(c: u8, context: &str) -> SyntaxError {
    let shown = match c {
        b'\'' => r"'\''".to_string(),
        b'"' => "'\"'".to_string(),
        // Go turns the byte into a rune of that number before quoting it.
        c => {
            let quoted = crate::gostr::quote(&(c as char).to_string());
            format!("'{}'", &quoted[1..quoted.len() - 1])
        }
    };
    SyntaxError(format!("invalid character {shown} {context}"))
}

fn end() -> SyntaxError {
    SyntaxError("unexpected end of JSON input".into())
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// The next character after white space.
    fn next(&mut self) -> Result<u8, SyntaxError> {
        self.space();
        self.peek().ok_or_else(end)
    }

    fn value(&mut self) -> Result<Value, SyntaxError> {
        match self.next()? {
            b'{' => self.nested(Self::object),
            b'[' => self.nested(Self::array),
            b'"' => Ok(Value::String(self.string()?)),
            b't' => self.literal("true", Value::Bool(true)),
            b'f' => self.literal("false", Value::Bool(false)),
            b'n' => self.literal("null", Value::Null),
            b'-' | b'0'..=b'9' => self.number(),
            c => Err(invalid(c, "looking for beginning of value")),
        }
    }

    fn nested(&mut self, body: fn(&mut Self) -> Result<Value, SyntaxError>) -> Result<Value, SyntaxError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(SyntaxError("exceeded max depth".into()));
        }
        self.at += 1;
        let value = body(self);
        self.depth -= 1;
        value
    }

    fn object(&mut self) -> Result<Value, SyntaxError> {
        let mut map = Map::new();
        if self.next()? == b'}' {
            self.at += 1;
            return Ok(Value::Object(map));
        }
        loop {
            match self.next()? {
                b'"' => {}
                c => return Err(invalid(c, "looking for beginning of object key string")),
            }
            let key = self.string()?;
            match self.next()? {
                b':' => self.at += 1,
                c => return Err(invalid(c, "after object key")),
            }
            let dot = if self.path.is_empty() { "" } else { "." };
            self.path.push(format!("{dot}{key}"));
            let value = self.value()?;
            if map.insert(key, value).is_some() {
                let path = self.path.concat();
                if !self.duplicates.contains(&path) && self.duplicates.len() < 100 {
                    self.duplicates.push(path);
                }
            }
            self.path.pop();
            match self.next()? {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Ok(Value::Object(map));
                }
                c => return Err(invalid(c, "after object key:value pair")),
            }
        }
    }

    fn array(&mut self) -> Result<Value, SyntaxError> {
        let mut items = Vec::new();
        if self.next()? == b']' {
            self.at += 1;
            return Ok(Value::Array(items));
        }
        loop {
            self.path.push(format!("[{}]", items.len()));
            items.push(self.value()?);
            self.path.pop();
            match self.next()? {
                b',' => self.at += 1,
                b']' => {
                    self.at += 1;
                    return Ok(Value::Array(items));
                }
                c => return Err(invalid(c, "after array element")),
            }
        }
    }

    fn literal(&mut self, word: &str, value: Value) -> Result<Value, SyntaxError> {
        for expected in word.chars() {
            match self.peek() {
                None => return Err(end()),
                Some(c) if c == expected as u8 => self.at += 1,
                Some(c) => {
                    let context = format!("in literal {word} (expecting '{expected}')");
                    return Err(invalid(c, &context));
                }
            }
        }
        Ok(value)
    }

    fn digits(&mut self, context: &str) -> Result<(), SyntaxError> {
        match self.peek() {
            Some(b'0'..=b'9') => {}
            Some(c) => return Err(invalid(c, context)),
            None => return Err(end()),
        }
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Value, SyntaxError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits("in numeric literal")?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits("after decimal point in numeric literal")?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits("in exponent of numeric literal")?;
        }
        let text = std::str::from_utf8(&self.text[start..self.at]).unwrap_or("0");
        // sigs.k8s.io/json: an integer that fits stays one.
        Ok(match text.parse::<i64>() {
            Ok(n) => Value::Number(n.into()),
            Err(_) => text.parse::<f64>().ok().and_then(Number::from_f64).map_or(Value::Null, Value::Number),
        })
    }

    fn string(&mut self) -> Result<String, SyntaxError> {
        self.at += 1;
        let mut out: Vec<u8> = Vec::new();
        loop {
            match self.peek().ok_or_else(end)? {
                b'"' => {
                    self.at += 1;
                    // Go replaces what isn't UTF-8 instead of refusing it.
                    return Ok(match String::from_utf8(out) {
                        Ok(text) => text,
                        Err(e) => go_lossy(e.as_bytes()),
                    });
                }
                b'\\' => self.escape(&mut out)?,
                c if c < 0x20 => return Err(invalid(c, "in string literal")),
                c => {
                    out.push(c);
                    self.at += 1;
                }
            }
        }
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), SyntaxError> {
        self.at += 1;
        let c = self.peek().ok_or_else(end)?;
        self.at += 1;
        match c {
            b'"' | b'\\' | b'/' => out.push(c),
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'u' => {
                let c = self.unicode()?;
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            c => return Err(invalid(c, "in string escape code")),
        }
        Ok(())
    }

    fn hex4(&mut self) -> Result<u32, SyntaxError> {
        let mut code = 0;
        for _ in 0..4 {
            let c = self.peek().ok_or_else(end)?;
            let digit =
                (c as char).to_digit(16).ok_or_else(|| invalid(c, "in \\u hexadecimal character escape"))?;
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }

    /// One \uXXXX, with its second half if it is the first of a surrogate
    /// pair; halves without a partner become U+FFFD.
    fn unicode(&mut self) -> Result<char, SyntaxError> {
        let first = self.hex4()?;
        if (0xd800..0xdc00).contains(&first) && self.text[self.at..].starts_with(b"\\u") {
            let back = self.at;
            self.at += 2;
            let second = self.hex4()?;
            if (0xdc00..0xe000).contains(&second) {
                let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = back;
        }
        Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
    }
}

/// Bad UTF-8 as Go repairs it: one U+FFFD for every byte that fits nowhere,
/// where `from_utf8_lossy` makes one of a truncated sequence.
fn go_lossy(mut bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    loop {
        match std::str::from_utf8(bytes) {
            Ok(rest) => {
                out.push_str(rest);
                return out;
            }
            Err(e) => {
                let (good, bad) = bytes.split_at(e.valid_up_to());
                out.push_str(std::str::from_utf8(good).unwrap_or_default());
                out.push(char::REPLACEMENT_CHARACTER);
                bytes = &bad[1..];
            }
        }
    }
}

/// What encoding/json calls the kind of a value in its errors.
pub fn kind(v: &Value) -> &'static str {
    match v {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn error(text: &str) -> String {
        parse(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn errors_are_gos() {
        assert_eq!(error(""), "unexpected end of JSON input");
        assert_eq!(error("{"), "unexpected end of JSON input");
        assert_eq!(error("{a:1}"), "invalid character 'a' looking for beginning of object key string");
        assert_eq!(error("hello"), "invalid character 'h' looking for beginning of value");
        assert_eq!(error("{\"a\" 1}"), "invalid character '1' after object key");
        assert_eq!(error("{\"a\":1 2}"), "invalid character '2' after object key:value pair");
        assert_eq!(error("[1 2]"), "invalid character '2' after array element");
        assert_eq!(error("{} x"), "invalid character 'x' after top-level value");
        assert_eq!(error("tru3"), "invalid character '3' in literal true (expecting 'e')");
        assert_eq!(error("[1.]"), "invalid character ']' after decimal point in numeric literal");
        assert_eq!(error("\"\\x\""), "invalid character 'x' in string escape code");
        assert_eq!(error("\"a\nb\""), "invalid character '\\n' in string literal");
    }

    #[test]
    fn deep_nesting_is_refused_without_overflow() {
        let deep = "[".repeat(200_000);
        let body = std::thread::Builder::new()
            .stack_size(crate::server::STACK)
            .spawn(move || parse(deep.as_bytes()).unwrap_err().to_string())
            .unwrap();
        assert_eq!(body.join().unwrap(), "exceeded max depth");
    }

    #[test]
    fn values_and_duplicates() {
        let d = parse(br#"{"a":{"b":1,"b":2.5},"c":["\u00e9\ud83d\ude00\ud800"]}"#).unwrap();
        assert_eq!(d.value, json!({"a": {"b": 2.5}, "c": ["é😀\u{fffd}"]}));
        assert_eq!(d.duplicates, ["a.b"]);
        let d = parse(b"\"\xff\xe2\x82x\"").unwrap();
        assert_eq!(d.value, json!("\u{fffd}\u{fffd}\u{fffd}x"));
    }
}
