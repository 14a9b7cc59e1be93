//! Bytes as the table writes them: plain text with `${variables}`, hex, base64, or a repetition.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

/// How a variable's name becomes its text.
pub trait Variables {
    fn look_up(&self, name: &str) -> Result<String, String>;
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Spec {
    Text(String),
    Form(Form),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Form {
    Hex { hex: String },
    Base64 { base64: String },
    Repeat { repeat: Box<Spec>, count: usize },
    Join { join: Vec<Spec> },
}

impl Spec {
    pub fn bytes(&self, variables: &dyn Variables) -> Result<Vec<u8>, String> {
        Ok(match self {
            Spec::Text(text) => substitute(text, variables)?.into_bytes(),
            Spec::Form(Form::Hex { hex }) => from_hex(hex)?,
            Spec::Form(Form::Base64 { base64 }) => STANDARD.decode(base64).map_err(|e| e.to_string())?,
            Spec::Form(Form::Repeat { repeat, count }) => repeat.bytes(variables)?.repeat(*count),
            Spec::Form(Form::Join { join }) => {
                let parts: Result<Vec<_>, _> = join.iter().map(|part| part.bytes(variables)).collect();
                parts?.concat()
            }
        })
    }

    pub fn text(&self, variables: &dyn Variables) -> Result<String, String> {
        String::from_utf8(self.bytes(variables)?).map_err(|e| e.to_string())
    }
}

/// Replaces each `${name}`. A dollar without a brace stands for itself.
pub fn substitute(text: &str, variables: &dyn Variables) -> Result<String, String> {
    let mut done = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, tail) = after.split_once('}').ok_or_else(|| format!("${{ without }} in {text:?}"))?;
        done += before;
        done += &variables.look_up(name)?;
        rest = tail;
    }
    Ok(done + rest)
}

fn from_hex(hex: &str) -> Result<Vec<u8>, String> {
    let digits: Vec<u8> = hex.bytes().filter(|byte| *byte != b' ').collect();
    if !digits.len().is_multiple_of(2) {
        return Err(format!("an odd number of hex digits: {hex}"));
    }
    let pair = |pair: &[u8]| {
        let text = std::str::from_utf8(pair).map_err(|e| e.to_string())?;
        u8::from_str_radix(text, 16).map_err(|e| e.to_string())
    };
    digits.chunks(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct One;
    impl Variables for One {
        fn look_up(&self, name: &str) -> Result<String, String> {
            (name == "one").then(|| "1".to_owned()).ok_or_else(|| format!("no variable {name}"))
        }
    }

    fn bytes(yaml: &str) -> Result<Vec<u8>, String> {
        let spec: Spec = serde_saphyr::from_str(yaml).map_err(|e| e.to_string())?;
        spec.bytes(&One)
    }

    #[test]
    fn each_form_means_bytes() {
        assert_eq!(bytes("plain").unwrap(), b"plain");
        assert_eq!(bytes("'a${one}b$c'").unwrap(), b"a1b$c");
        assert_eq!(bytes("{hex: '00 ff'}").unwrap(), [0, 255]);
        assert_eq!(bytes("{base64: aGk=}").unwrap(), b"hi");
        assert_eq!(bytes("{repeat: ab, count: 2}").unwrap(), b"abab");
        assert_eq!(bytes("{join: [a, {repeat: b, count: 2}]}").unwrap(), b"abb");
    }

    #[test]
    fn a_slip_is_an_error_not_an_empty_value() {
        for slip in ["'${two}'", "'${one'", "{hex: '0'}", "{hex: zz}", "{bas64: aGk=}", "12"] {
            assert!(bytes(slip).is_err(), "{slip}");
        }
    }
}
