//! The line protocol between the driver and a runner: a verb and named values, separated by one space, the values
//! percent-encoded. Text only: no process, no clock. The driver and the Rust runner share it.

use std::collections::BTreeMap;

/// A request, or an answer. Values are held as they travel, so that lists can be split before they are decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    pub verb: String,
    fields: BTreeMap<String, String>,
}

impl Line {
    pub fn new(verb: &str) -> Line {
        Line { verb: verb.to_owned(), fields: BTreeMap::new() }
    }

    pub fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Line {
        self.fields.insert(name.to_owned(), encode(value.as_ref()));
        self
    }

    /// `a,b,c`, each member encoded on its own.
    pub fn with_list<B: AsRef<[u8]>>(mut self, name: &str, members: impl IntoIterator<Item = B>) -> Line {
        let encoded: Vec<String> = members.into_iter().map(|member| encode(member.as_ref())).collect();
        self.fields.insert(name.to_owned(), encoded.join(","));
        self
    }

    /// `k:v,k:v`, each part encoded on its own.
    pub fn with_pairs<K, V>(mut self, name: &str, pairs: impl IntoIterator<Item = (K, V)>) -> Line
    where
        K: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        let pair = |(key, value): (K, V)| format!("{}:{}", encode(key.as_ref()), encode(value.as_ref()));
        let encoded: Vec<String> = pairs.into_iter().map(pair).collect();
        self.fields.insert(name.to_owned(), encoded.join(","));
        self
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.keys().map(String::as_str)
    }

    pub fn has(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        self.fields.get(name).and_then(|value| decode(value))
    }

    pub fn text(&self, name: &str) -> Option<String> {
        String::from_utf8(self.bytes(name)?).ok()
    }

    pub fn number<N: std::str::FromStr>(&self, name: &str) -> Option<N> {
        self.text(name)?.parse().ok()
    }

    pub fn list(&self, name: &str) -> Option<Vec<Vec<u8>>> {
        match self.fields.get(name)?.as_str() {
            "" => Some(Vec::new()),
            members => members.split(',').map(decode).collect(),
        }
    }

    pub fn pairs(&self, name: &str) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
        let pair = |pair: &str| {
            let (key, value) = pair.split_once(':')?;
            Some((decode(key)?, decode(value)?))
        };
        match self.fields.get(name)?.as_str() {
            "" => Some(Vec::new()),
            members => members.split(',').map(pair).collect(),
        }
    }

    /// Strict: two spaces, a word without `=`, a name given twice or a byte that should be encoded are errors.
    pub fn parse(line: &str) -> Result<Line, String> {
        let mut words = line.split(' ');
        let mut parsed = Line::new(words.next().unwrap_or_default());
        for word in words {
            let (name, value) = word.split_once('=').ok_or_else(|| format!("the word {word:?} has no ="))?;
            let is_text = |part: &str| decode(part).is_some();
            if !value.split([',', ':']).all(is_text) {
                return Err(format!("{name} is not percent-encoded"));
            }
            if parsed.fields.insert(name.to_owned(), value.to_owned()).is_some() {
                return Err(format!("{name} is given twice"));
            }
        }
        Ok(parsed)
    }

    pub fn encode(&self) -> String {
        let words = self.fields.iter().map(|(name, value)| format!(" {name}={value}"));
        std::iter::once(self.verb.clone()).chain(words).collect()
    }
}

/// Every byte but letters, digits and `-._~` as %XX.
fn encode(bytes: &[u8]) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        if is_plain(byte) {
            text.push(char::from(byte));
        } else {
            text.push('%');
            text.push(char::from(HEX[usize::from(byte >> 4)]));
            text.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    text
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = match (first, tail) {
            (b'%', [high, low, tail @ ..]) => {
                bytes.push(digit(*high)? << 4 | digit(*low)?);
                tail
            }
            (&plain, tail) if is_plain(plain) => {
                bytes.push(plain);
                tail
            }
            _ => return None,
        };
    }
    Some(bytes)
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._~-".contains(&byte)
}

fn digit(hex: u8) -> Option<u8> {
    char::from(hex).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_survives() {
        let all: Vec<u8> = (0..=255).collect();
        let line = Line::new("set").with("value", &all);
        assert!(line.encode().is_ascii());
        let back = Line::parse(&line.encode()).unwrap();
        assert_eq!(back.bytes("value").unwrap(), all);
    }

    #[test]
    fn lists_tell_no_member_from_an_empty_one_by_the_pair() {
        let line = Line::new("ok").with_pairs("entries", [("a", ","), ("b", ":")]);
        assert_eq!(line.encode(), "ok entries=a:%2C,b:%3A");
        let back = Line::parse(&line.encode()).unwrap();
        let pairs = back.pairs("entries").unwrap();
        assert_eq!(pairs, [(b"a".to_vec(), b",".to_vec()), (b"b".to_vec(), b":".to_vec())]);
        let none: [&str; 0] = [];
        let empty = Line::new("ok").with_list("keys", none);
        assert_eq!(empty.list("keys").unwrap(), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn sloppy_lines_are_refused() {
        for sloppy in ["ok  a=1", "ok a", "ok a=1 a=2", "ok a=%4", "ok a=%zz", "ok a=b/c", "ok "] {
            assert!(Line::parse(sloppy).is_err(), "{sloppy:?}");
        }
    }
}
