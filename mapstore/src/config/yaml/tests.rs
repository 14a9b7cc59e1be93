//! What go.yaml.in/yaml/v2 makes of it.

use super::*;
use serde_json::json;

fn json(text: &str) -> Value {
    to_json(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn scalars_as_yaml_1_1_has_them() {
    let table = [
        ("yes", json!(true)),
        ("n", json!(false)),
        ("'n'", json!("n")),
        ("~", Value::Null),
        ("''", json!("")),
        ("0x1F", json!(31)),
        ("010", json!(8)),
        ("08", json!(8.0)),
        ("0b11", json!(3)),
        ("-5", json!(-5)),
        ("+5", json!(5)),
        ("1_000", json!(1000)),
        ("1e3", json!(1000.0)),
        ("1e999", json!("1e999")),
        ("18446744073709551615", json!(u64::MAX)),
        ("2026-11-25", json!("2026-11-25")),
        ("1.2.3", json!("1.2.3")),
        ("1:20", json!("1:20")),
        ("!!str 12", json!("12")),
        ("!!int '12'", json!(12)),
        ("! '12'", json!(12)),
        ("!own 12", json!("12")),
        ("!!binary aGk=", json!("hi")),
        ("|\n  12\n", json!("12\n")),
    ];
    for (text, value) in table {
        assert_eq!(json(&format!("a: {text}")), json!({ "a": value }), "{text}");
    }
    for wrong in ["a: .nan", "a: !!int x", "? [a]\n: b", "~: a", "a: *gone", "&a [*a]", "\u{1}", "a: <<: b"] {
        assert!(to_json(wrong.as_bytes()).is_err(), "{wrong}");
    }
}

#[test]
fn keys_documents_and_merges() {
    assert_eq!(json("a: 1\na: 2"), json!({"a": 2}));
    assert_eq!(json("1: a\nyes: b"), json!({"1": "a", "true": "b"}));
    assert_eq!(json("a: 1\n---\nb: 2"), json!({"a": 1}));
    assert_eq!(json(""), Value::Null);
    assert_eq!(json("# nothing"), Value::Null);
    assert_eq!(json("---\n"), Value::Null);
    assert_eq!(
        json("o: &o {a: 1, b: 2}\np: {<<: *o, b: 3}"),
        json!({"o": {"a": 1, "b": 2}, "p": {"a": 1, "b": 3}})
    );
    assert_eq!(json("{a: &x {v: 1}, b: &y {v: 2}, c: {<<: [*x, *y]}}")["c"], json!({"v": 1}));
    assert_eq!(json(r#"{"a": "\u0041", "b": [true, null]}"#), json!({"a": "A", "b": [true, null]}));
}

#[test]
fn marks_of_an_encoding() {
    let utf16: Vec<u8> =
        [0xff, 0xfe].into_iter().chain("a: ü".encode_utf16().flat_map(u16::to_le_bytes)).collect();
    assert_eq!(to_json(&utf16), Ok(json!({"a": "ü"})));
    assert_eq!(to_json(b"\xef\xbb\xbfa: b"), Ok(json!({"a": "b"})));
    for broken in
        [&b"\xff\xfe"[..], b"\xff\xfea", b"\xfe\xff\xd8\x00", b"\xff", b"\xff\xfea\x00b", b"a: \xff"]
    {
        if broken != b"\xff\xfe" {
            assert!(to_json(broken).is_err(), "{broken:?}");
        }
    }
}

#[test]
fn aliases_do_not_explode() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let refs = vec![format!("*a{}", level - 1); 10].join(", ");
        text += &format!("a{level}: &a{level} [{refs}]\n");
    }
    assert!(to_json(text.as_bytes()).is_err());
    assert!(to_json("[".repeat(5000).as_bytes()).is_err());
}

/// Each level merged ten empty mappings of the one below, and none of them was counted.
#[test]
fn merged_mappings_do_not_explode() {
    let mut text = "a0: &a0 {}\n".to_owned();
    for level in 1..13 {
        let refs = vec![format!("*a{}", level - 1); 10].join(", ");
        text += &format!("a{level}: &a{level} {{<<: [{refs}]}}\n");
    }
    assert!(to_json(text.as_bytes()).is_err());
}

/// A file of half a megabyte asked for 20 GB of memory.
#[test]
fn aliases_of_a_long_text_do_not_explode() {
    let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(200_000), "*a,".repeat(100_000));
    assert!(to_json(text.as_bytes()).is_err());
    let long = "x".repeat(2_000_000);
    assert_eq!(json(&format!("a: &a {long}\nb: [*a, *a]"))["b"][1], json!(long));
}

#[test]
fn base64_as_go_has_it() {
    assert_eq!(go_base64("aG\r\nk=\n"), Some(b"hi".to_vec()));
    for wrong in ["aGk", "aG k=", "aGk=\t", "a-_=", "="] {
        assert_eq!(go_base64(wrong), None, "{wrong:?}");
    }
    assert_eq!(go_base64("aGl="), Some(b"hi".to_vec()));
}
