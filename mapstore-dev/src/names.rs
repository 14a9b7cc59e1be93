//! The syntax of names, keys and labels, and what the real server says of the
//! wrong ones (apimachinery/pkg/util/validation and pkg/api/validate/content).
//! Every function returns the list of complaints, empty for a good value. Pure.

const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const QUALIFIED: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";

fn regex(message: &str, regex: &str, examples: &[&str]) -> String {
    let list: Vec<_> = examples.iter().map(|e| format!("'{e}', ")).collect();
    // Two spaces before each "or": so says the real server.
    format!("{message} (e.g. {}regex used for validation is '{regex}')", list.join(" or "))
}

fn at_most(n: usize, unit: &str) -> String {
    format!("must be no more than {n} {unit}")
}

/// A lower-case DNS label's characters, without its length.
fn label_form(s: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    edge(s.chars().next()) && edge(s.chars().last()) && s.chars().all(inner)
}

fn subdomain_form(s: &str) -> bool {
    s.split('.').all(label_form)
}

/// A ConfigMap's name. `unit` differs between the two copies of this check in
/// the real server: "characters" for names, "bytes" for a label's prefix.
pub fn subdomain(s: &str, unit: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    if s.len() > 253 {
        complaints.push(at_most(253, unit));
    }
    if !subdomain_form(s) {
        complaints.push(regex(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
            &format!("{LABEL}(\\.{LABEL})*"),
            &["example.com"],
        ));
    }
    complaints
}

/// A namespace's name.
pub fn label(s: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    if s.len() > 63 {
        complaints.push(at_most(63, "characters"));
    }
    if !label_form(s) {
        complaints.push(if subdomain_form(s) {
            "must not contain dots".into()
        } else {
            regex(
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
                LABEL,
                &["my-name", "123-abc"],
            )
        });
    }
    complaints
}

/// generateName is checked as a prefix: a final dash is fine.
pub fn prefix(s: &str) -> String {
    match s.strip_suffix('-') {
        Some(rest) if !rest.is_empty() => format!("{rest}a"),
        _ => s.into(),
    }
}

/// A key of `data` or `binaryData`.
pub fn config_key(s: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    if s.len() > 253 {
        complaints.push(at_most(253, "characters"));
    }
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if s.is_empty() || !s.chars().all(good) {
        complaints.push(regex(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
            "[-._a-zA-Z0-9]+",
            &["key.name", "KEY_NAME", "key-name"],
        ));
    }
    match s {
        "." => complaints.push("must not be '.'".into()),
        ".." => complaints.push("must not be '..'".into()),
        s if s.starts_with("..") => complaints.push("must not start with '..'".into()),
        _ => {}
    }
    complaints
}

fn qualified_form(s: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    edge(s.chars().next()) && edge(s.chars().last()) && s.chars().all(inner)
}

/// A label key, an annotation key (lower-cased by the caller) or a finalizer.
pub fn qualified(s: &str) -> Vec<String> {
    let form = regex(
        "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
        QUALIFIED,
        &["MyName", "my.name", "123-abc"],
    );
    let mut complaints = Vec::new();
    let parts: Vec<&str> = s.split('/').collect();
    let name = match parts.as_slice() {
        [name] => name,
        [prefix, name] => {
            if prefix.is_empty() {
                complaints.push("prefix part must be non-empty".into());
            } else {
                complaints.extend(subdomain(prefix, "bytes").iter().map(|m| format!("prefix part {m}")));
            }
            name
        }
        _ => {
            let hint = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
            return vec![format!("a valid label key {form} {hint}")];
        }
    };
    if name.is_empty() {
        complaints.push("name part must be non-empty".into());
    } else if name.len() > 63 {
        complaints.push(format!("name part {}", at_most(63, "bytes")));
    }
    if !qualified_form(name) {
        complaints.push(format!("name part {form}"));
    }
    complaints
}

pub fn label_value(s: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    if s.len() > 63 {
        complaints.push(at_most(63, "bytes"));
    }
    if !s.is_empty() && !qualified_form(s) {
        complaints.push(regex(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
            &format!("({QUALIFIED})?"),
            &["MyValue", "my_value", "12345"],
        ));
    }
    complaints
}

/// The further rule for a ConfigMap's finalizers (core/validation, validateKubeFinalizerName).
pub fn standard_finalizer(s: &str) -> bool {
    s.contains('/') || matches!(s, "kubernetes" | "orphan" | "foregroundDeletion")
}

/// A name that fits into one segment of a path (validatePathSegment).
pub fn path_segment(s: &str) -> Vec<String> {
    match s {
        "." | ".." => vec![format!("may not be '{s}'")],
        s => {
            let bad = ["/", "%"].into_iter().filter(|c| s.contains(c));
            bad.map(|c| format!("may not contain '{c}'")).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_values_have_no_complaints() {
        for s in ["a", "a.b-c", &"a".repeat(253)] {
            assert!(subdomain(s, "characters").is_empty(), "{s}");
        }
        for s in ["a", ".a", "A_b-c.d", &"k".repeat(253), "a..b"] {
            assert!(config_key(s).is_empty(), "{s}");
        }
        for s in ["a", "example.com/A_b", "9"] {
            assert!(qualified(s).is_empty(), "{s}");
        }
        assert!(label_value("").is_empty());
        assert!(subdomain(&prefix("abc-"), "characters").is_empty());
    }

    #[test]
    fn bad_values_have() {
        assert_eq!(
            config_key("a b"),
            [
                "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
            ]
        );
        assert_eq!(config_key(".."), ["must not be '..'"]);
        assert_eq!(config_key("..a"), ["must not start with '..'"]);
        assert_eq!(config_key("").len(), 1);
        assert_eq!(label("a.b"), ["must not contain dots"]);
        for s in ["", "-a", "a-", "A", "a..b", "a_b"] {
            assert_eq!(subdomain(s, "characters").len(), 1, "{s}");
        }
        assert_eq!(qualified("a/b/c").len(), 1);
        assert_eq!(qualified("/b"), ["prefix part must be non-empty"]);
        assert_eq!(path_segment("a%b"), ["may not contain '%'"]);
    }
}
