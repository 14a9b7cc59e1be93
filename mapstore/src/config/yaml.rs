//! YAML as kubectl reads it, as the JSON that it makes of it: YAML 1.1 as
//! go.yaml.in/yaml/v2 has it (`yes` is a boolean, the last of equal keys counts,
//! only the first document is read), then sigs.k8s.io/yaml's conversion. Pure.
//! An error names a place and never quotes the text, which may hold secrets.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use granit_parser::{Event, Parser, ScalarStyle, Tag};
use serde_json::{Map, Number, Value};

/// Deeper than any kubeconfig; a limit so that no file exhausts the stack.
const DEEPEST: usize = 200;

/// What a document may grow to by aliases. Go bounds their share instead.
const MOST_NODES: usize = 400_000;

/// And its text, by the same: each alias of a large one is another copy here, where Go shares it.
const MOST_BYTES: usize = 64 << 20;

type Result<T> = std::result::Result<T, String>;

/// The first document as JSON; nothing at all is `null`.
pub(super) fn to_json(bytes: &[u8]) -> Result<Value> {
    let text = decode(bytes)?;
    let Some(root) = Composer::new(&text).document()? else { return Ok(Value::Null) };
    Converter::default().value(&root, 0)
}

/// UTF-8, or UTF-16 with a mark.
fn decode(bytes: &[u8]) -> Result<String> {
    let units = |big: bool| {
        let (pairs, rest) = bytes[2..].as_chunks::<2>();
        let unit = |pair: &[u8; 2]| if big { u16::from_be_bytes(*pair) } else { u16::from_le_bytes(*pair) };
        match (rest, char::decode_utf16(pairs.iter().map(unit)).collect::<std::result::Result<String, _>>()) {
            ([], Ok(text)) => Ok(text),
            _ => Err("its first bytes say that it is UTF-16, and it isn't".to_owned()),
        }
    };
    let text = match bytes {
        [0xfe, 0xff, ..] => units(true)?,
        [0xff, 0xfe, ..] => units(false)?,
        _ => {
            let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
            std::str::from_utf8(text).map_err(|_| "it is not valid UTF-8".to_owned())?.to_owned()
        }
    };
    match text.char_indices().find(|(_, c)| is_forbidden(*c)) {
        Some((at, _)) => {
            let line = text[..at].matches('\n').count() + 1;
            Err(format!("it has a control character in line {line}"))
        }
        None => Ok(text),
    }
}

/// Go: yaml_parser_update_buffer in readerc.go.
fn is_forbidden(c: char) -> bool {
    !matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..)
}

enum Node {
    Scalar {
        text: String,
        tag: Option<String>,
        plain: bool,
        line: usize,
    },
    List(Vec<Node>),
    Pairs {
        pairs: Vec<(Node, Node)>,
        line: usize,
    },
    /// The place of an anchor.
    Alias(std::rc::Rc<Node>),
    Anchored(std::rc::Rc<Node>),
}

struct Composer<'a> {
    events: Parser<'a, granit_parser::StrInput<'a>>,
    anchors: HashMap<usize, std::rc::Rc<Node>>,
}

impl<'a> Composer<'a> {
    fn new(text: &'a str) -> Self {
        Composer { events: Parser::new_from_str(text), anchors: HashMap::new() }
    }

    fn next(&mut self) -> Result<(Event<'a>, usize)> {
        match self.events.next_event() {
            Some(Ok((event, span))) => Ok((event, span.start.line())),
            Some(Err(error)) => {
                let at = error.marker();
                Err(format!("it is not valid YAML: see line {}, column {}", at.line(), at.col() + 1))
            }
            None => Ok((Event::StreamEnd, 0)),
        }
    }

    fn document(&mut self) -> Result<Option<Node>> {
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(None),
                (Event::DocumentStart(..), _) => {
                    let (event, line) = self.node_event()?;
                    return self.node(event, line, 0).map(Some);
                }
                _ => {}
            }
        }
    }

    /// The next event that isn't a comment.
    fn node_event(&mut self) -> Result<(Event<'a>, usize)> {
        loop {
            match self.next()? {
                (Event::Comment(..), _) => {}
                event => return Ok(event),
            }
        }
    }

    fn node(&mut self, event: Event<'a>, line: usize, depth: usize) -> Result<Node> {
        if depth > DEEPEST {
            return Err(format!("it is nested too deeply in line {line}"));
        }
        let (node, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.map(|tag| name(&tag));
                // "!" alone stands for "as if it had neither quotes nor tag".
                let alone = tag.as_deref() == Some("!");
                let plain = alone || (tag.is_none() && style == ScalarStyle::Plain);
                let tag = tag.filter(|_| !alone);
                (Node::Scalar { text: text.into_owned(), tag, plain, line }, anchor)
            }
            Event::SequenceStart(_, anchor, _) => (Node::List(self.list(depth)?), anchor),
            Event::MappingStart(_, anchor, _) => (Node::Pairs { pairs: self.pairs(depth)?, line }, anchor),
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some(node) => (Node::Alias(node.clone()), 0),
                None => return Err(format!("an anchor contains itself in line {line}")),
            },
            _ => return Err(format!("it is not valid YAML: see line {line}")),
        };
        if anchor == 0 {
            return Ok(node);
        }
        let node = std::rc::Rc::new(node);
        self.anchors.insert(anchor, node.clone());
        Ok(Node::Anchored(node))
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>> {
        let mut list = Vec::new();
        loop {
            match self.node_event()? {
                (Event::SequenceEnd, _) => return Ok(list),
                (event, line) => list.push(self.node(event, line, depth + 1)?),
            }
        }
    }

    fn pairs(&mut self, depth: usize) -> Result<Vec<(Node, Node)>> {
        let mut pairs = Vec::new();
        loop {
            let key = match self.node_event()? {
                (Event::MappingEnd, _) => return Ok(pairs),
                (event, line) => self.node(event, line, depth + 1)?,
            };
            let (event, line) = self.node_event()?;
            pairs.push((key, self.node(event, line, depth + 1)?));
        }
    }
}

/// `!!str`, `!own`, `!`.
fn name(tag: &Tag) -> String {
    match tag.suffix_in_namespace("tag:yaml.org,2002:") {
        Some(suffix) => format!("!!{suffix}"),
        None => format!("{}{}", tag.handle(), tag.suffix()),
    }
}

impl Node {
    fn target(&self) -> &Node {
        match self {
            Node::Alias(node) | Node::Anchored(node) => node.target(),
            node => node,
        }
    }

    fn is_merge(&self) -> bool {
        let own = match self {
            Node::Anchored(node) => node,
            node => node,
        };
        match own {
            Node::Scalar { text, tag, plain, .. } => {
                text == "<<" && (*plain || tag.as_deref() == Some("!!merge"))
            }
            _ => false,
        }
    }
}

#[derive(Default)]
struct Converter {
    nodes: usize,
    bytes: usize,
}

impl Converter {
    fn value(&mut self, node: &Node, depth: usize) -> Result<Value> {
        self.count(if let Node::Scalar { text, .. } = node { text.len() } else { 0 })?;
        if depth > DEEPEST {
            return Err("its aliases make too much of it".into());
        }
        match node {
            Node::Scalar { text, tag, plain, line } => scalar(text, tag.as_deref(), *plain, *line),
            Node::List(list) => {
                list.iter().map(|node| self.value(node, depth + 1)).collect::<Result<_>>().map(Value::Array)
            }
            Node::Pairs { .. } => {
                let mut map = Map::new();
                self.fill(node, &mut map, depth)?;
                Ok(Value::Object(map))
            }
            Node::Alias(node) | Node::Anchored(node) => self.value(node, depth + 1),
        }
    }

    /// Counts one more value, or mapping that is merged, with its text: aliases repeat them without end.
    fn count(&mut self, bytes: usize) -> Result<()> {
        self.nodes += 1;
        self.bytes += bytes;
        if self.nodes > MOST_NODES || self.bytes > MOST_BYTES {
            Err("its aliases make too much of it".into())
        } else {
            Ok(())
        }
    }

    /// Takes pairs in their order: a later one, merged or not, comes over those before it.
    fn fill(&mut self, node: &Node, map: &mut Map<String, Value>, depth: usize) -> Result<()> {
        let Node::Pairs { pairs, line } = node else { return Ok(()) };
        for (key, value) in pairs {
            if key.is_merge() {
                self.merge(value, map, depth, *line)?;
                continue;
            }
            let key = match self.value(key, depth + 1)? {
                Value::String(text) => text,
                Value::Number(number) => number.to_string(),
                Value::Bool(flag) => flag.to_string(),
                _ => return Err(format!("a key is neither text nor a number, in line {line} or after it")),
            };
            let value = self.value(value, depth + 1)?;
            map.insert(key, value);
        }
        Ok(())
    }

    fn merge(&mut self, value: &Node, map: &mut Map<String, Value>, depth: usize, line: usize) -> Result<()> {
        let list = match value {
            Node::List(list) => list.iter().rev().collect(),
            other => vec![other],
        };
        for part in list {
            let part = part.target();
            if !matches!(part, Node::Pairs { .. }) || depth > DEEPEST {
                return Err(format!("<< needs a mapping, in line {line} or after it"));
            }
            self.count(0)?;
            self.fill(part, map, depth + 1)?;
        }
        Ok(())
    }
}

/// Go: resolve in resolve.go, and `scalar` in decode.go.
fn scalar(text: &str, tag: Option<&str>, plain: bool, line: usize) -> Result<Value> {
    let resolvable = ["!!str", "!!bool", "!!int", "!!float", "!!null", "!!timestamp"];
    let wrong = || Err(format!("a value doesn't fit its tag in line {line}"));
    match tag {
        None if plain => plain_scalar(text, line),
        None | Some("!!str") => Ok(text.into()),
        Some("!!binary") => match go_base64(text) {
            Some(bytes) => Ok(String::from_utf8_lossy(&bytes).into()),
            None => wrong(),
        },
        Some(tag) if !resolvable.contains(&tag) => Ok(text.into()),
        Some(tag) => match (tag, plain_scalar(text, line)?) {
            ("!!bool", value @ Value::Bool(_)) | ("!!null", value @ Value::Null) => Ok(value),
            ("!!int", Value::Number(number)) if !number.is_f64() => Ok(number.into()),
            ("!!float", Value::Number(number)) => Ok(number.into()),
            ("!!timestamp", value @ Value::String(_)) if is_timestamp(text) => Ok(value),
            _ => wrong(),
        },
    }
}

fn plain_scalar(text: &str, line: usize) -> Result<Value> {
    Ok(match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => true.into(),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => false.into(),
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf"
        | "-.Inf" | "-.INF" => return Err(format!("a number that JSON doesn't have, in line {line}")),
        _ => number(text).map_or_else(|| text.into(), Value::Number),
    })
}

fn number(text: &str) -> Option<Number> {
    let float = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
    match text.as_bytes().first()? {
        b'.' if text.bytes().all(|b| b.is_ascii_digit() || b".eE+-".contains(&b)) => {
            float(text).and_then(Number::from_f64)
        }
        b'0'..=b'9' | b'+' | b'-' if !is_timestamp(text) => {
            let plain = text.replace('_', "");
            if let Some(number) = integer(&plain) {
                return Some(number);
            }
            is_float(&plain).then(|| float(&plain))?.and_then(Number::from_f64)
        }
        _ => None,
    }
}

/// Go: strconv.ParseInt and ParseUint with base 0.
fn integer(text: &str) -> Option<Number> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', ..] => (true, &text[1..]),
        [b'+', ..] => (false, &text[1..]),
        _ => (false, text),
    };
    let prefixed = |prefixes: [&str; 2]| prefixes.iter().find_map(|prefix| digits.strip_prefix(prefix));
    let (digits, base) = if let Some(digits) = prefixed(["0x", "0X"]) {
        (digits, 16)
    } else if let Some(digits) = prefixed(["0o", "0O"]) {
        (digits, 8)
    } else if let Some(digits) = prefixed(["0b", "0B"]) {
        (digits, 2)
    } else if digits.len() > 1 && digits.starts_with('0') {
        (&digits[1..], 8)
    } else {
        (digits, 10)
    };
    if !digits.chars().all(|c| c.is_digit(base)) || digits.is_empty() {
        return None;
    }
    let size = u64::from_str_radix(digits, base).ok()?;
    match (negative, text.starts_with('+')) {
        (true, _) => 0i64.checked_sub_unsigned(size).map(Number::from),
        (false, true) => i64::try_from(size).ok().map(Number::from),
        (false, false) => Some(size.into()),
    }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (text, None),
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let whole = match mantissa.split_once('.') {
        Some((before, after)) => digits(before) && digits(after) && !(before.is_empty() && after.is_empty()),
        None => digits(mantissa) && !mantissa.is_empty(),
    };
    whole && exponent.is_none_or(|exponent| digits(exponent) && !exponent.is_empty())
}

/// Looks like a date: stays text in any case. A float can't begin like this.
fn is_timestamp(text: &str) -> bool {
    text.len() > 4 && text.as_bytes()[4] == b'-' && text.as_bytes()[..4].iter().all(u8::is_ascii_digit)
}

/// Base64 as Go decodes it: line breaks are passed over, and nothing else.
pub(super) fn go_base64(text: &str) -> Option<Vec<u8>> {
    let kept: Vec<u8> = text.bytes().filter(|b| !matches!(b, b'\r' | b'\n')).collect();
    STANDARD.decode(&kept).ok().or_else(|| LENIENT.decode(&kept).ok())
}

/// Go minds padding, not the bits that padding leaves over.
const LENIENT: base64::engine::GeneralPurpose = base64::engine::GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    base64::engine::GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

#[cfg(test)]
mod tests;
