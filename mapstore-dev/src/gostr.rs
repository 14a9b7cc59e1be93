//! Text as Go prints it: the API server's messages are made of `%q`, `%v` and
//! RFC 3339 times, and clients read them. Pure; knows nothing of Kubernetes.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

/// `%q` of a string (`strconv.Quote`).
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0b' => out.push_str("\\v"),
            '\x0c' => out.push_str("\\f"),
            c if printable(c) => out.push(c),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => out.push_str(&format!("\\x{:02x}", c as u32)),
            c if (c as u32) < 0x10000 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push_str(&format!("\\U{:08x}", c as u32)),
        }
    }
    out.push('"');
    out
}

/// `unicode.IsPrint`, near enough: what Rust's own escaping leaves alone, and
/// no space but the ASCII one.
pub fn printable(c: char) -> bool {
    c == '\'' || c == '"' || c == '\\' || c == ' ' || { !c.is_whitespace() && c.escape_debug().count() == 1 }
}

/// `%v` of a decoded JSON value: maps sorted by key, floats in Go's shortest form.
pub fn value(v: &Value) -> String {
    match v {
        Value::Null => "<nil>".into(),
        Value::Bool(b) => b.to_string(),
        Value::String(s) => s.clone(),
        Value::Number(n) => match n.as_f64() {
            Some(f) if n.is_f64() => float(f),
            _ => n.to_string(),
        },
        Value::Array(items) => {
            let inner: Vec<_> = items.iter().map(value).collect();
            format!("[{}]", inner.join(" "))
        }
        Value::Object(map) => {
            let mut keys: Vec<_> = map.keys().collect();
            keys.sort();
            let inner: Vec<_> = keys.iter().map(|k| format!("{k}:{}", value(&map[*k]))).collect();
            format!("map[{}]", inner.join(" "))
        }
    }
}

/// `%s` of a decoded JSON value: Go names the type of what isn't a string.
pub fn as_string(v: &Value) -> String {
    match v {
        Value::Bool(b) => format!("%!s(bool={b})"),
        Value::Number(n) if n.is_f64() => format!("%!s(float64={})", value(v)),
        Value::Number(n) => format!("%!s(int64={n})"),
        Value::Null => "%!s(<nil>)".into(),
        v => value(v),
    }
}

/// `%v` of a float64: plain between 1e-4 and 1e21, otherwise with an exponent
/// of at least two digits.
fn float(f: f64) -> String {
    let magnitude = f.abs();
    if f == 0.0 || (1e-4..1e21).contains(&magnitude) {
        return format!("{f}");
    }
    let text = format!("{f:e}");
    match text.split_once('e') {
        Some((mantissa, exponent)) => {
            let exponent: i32 = exponent.parse().unwrap_or(0);
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{mantissa}e{sign}{:02}", exponent.abs())
        }
        None => text,
    }
}

/// time.ParseDuration's complaint, if it has one.
pub fn duration(text: &str) -> Result<(), String> {
    let quoted = quote(text);
    let invalid = || format!("invalid duration {quoted}");
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return Ok(());
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (digits, after) = rest.split_at(number);
        if digits.is_empty() || digits == "." || digits.matches('.').count() > 1 {
            return Err(invalid());
        }
        let unit = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        match unit {
            "" => return Err(format!("missing unit in duration {quoted}")),
            "ns" | "us" | "µs" | "μs" | "ms" | "s" | "m" | "h" => rest = after,
            unit => return Err(format!("unknown unit {} in duration {quoted}", quote(unit))),
        }
    }
    Ok(())
}

/// Now, as metav1.Time is written: UTC, whole seconds.
pub fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    rfc3339(since.as_secs() as i64)
}

/// Seconds since 1970 as `2006-01-02T15:04:05Z`.
pub fn rfc3339(seconds: i64) -> String {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days to civil date, by the era method (400-year cycles from March).
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    let (h, m, s) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}Z")
}

/// The seconds that a zone is ahead of UTC: `Z` or `+HH:MM`.
fn offset(zone: &str) -> Option<i64> {
    if zone == "Z" {
        return Some(0);
    }
    let (hours, minutes) = zone.get(1..)?.split_once(':').filter(|(h, m)| h.len() == 2 && m.len() == 2)?;
    let seconds = hours.parse::<i64>().ok()? * 3600 + minutes.parse::<i64>().ok()? * 60;
    match zone.as_bytes().first()? {
        b'+' => Some(seconds),
        b'-' => Some(-seconds),
        _ => None,
    }
}

/// time.Parse's complaint of RFC3339Micro, or the time as it is written again: in UTC.
pub fn micro_time(text: &str) -> Result<String, String> {
    const LAYOUT: &str = "2006-01-02T15:04:05.000000Z07:00";
    let fail = |rest: &str, wanted: &str| {
        Err(format!(
            "parsing time {} as {}: cannot parse {} as {}",
            quote(text),
            quote(LAYOUT),
            quote(rest),
            quote(wanted)
        ))
    };
    let whole = text.get(..19).filter(|whole| seconds(&format!("{whole}Z")).is_some());
    let Some(whole) = whole else { return fail(text, "2006") };
    let rest = &text[19..];
    let digits =
        rest.strip_prefix('.').map_or("", |r| &r[..r.bytes().take_while(u8::is_ascii_digit).count().min(6)]);
    if digits.len() != 6 {
        return fail(rest, ".000000");
    }
    let zone = &rest[7..];
    let local = seconds(&format!("{whole}Z"));
    match local.zip(offset(zone)).map(|(local, offset)| local - offset) {
        Some(seconds) => Ok(rfc3339(seconds).replace('Z', &format!(".{digits}Z"))),
        None => fail(zone, "Z07:00"),
    }
}

/// Seconds since 1970 of a time written `2006-01-02T15:04:05Z`, as [`rfc3339`] writes it.
pub fn seconds(text: &str) -> Option<i64> {
    let b = text.as_bytes();
    if b.len() != 20 || !text.is_ascii() || b[10] != b'T' || b[19] != b'Z' {
        return None;
    }
    let n = |range: std::ops::Range<usize>| text[range].parse::<i64>().ok();
    let (y, m, d) = (n(0..4)?, n(5..7)?, n(8..10)?);
    let (hh, mm, ss) = (n(11..13)?, n(14..16)?, n(17..19)?);
    if !(1..=12).contains(&m) || !(1..=31).contains(&d) || hh > 23 || mm > 59 || ss > 59 {
        return None;
    }
    let y = if m <= 2 { y - 1 } else { y };
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let doy = (153 * (if m > 2 { m - 3 } else { m + 9 }) + 2) / 5 + d - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    Some((era * 146_097 + doe - 719_468) * 86_400 + hh * 3_600 + mm * 60 + ss)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn quotes_like_go() {
        assert_eq!(quote("a\"b\\c\n\u{1}ü\u{7f}"), r#""a\"b\\c\n\x01ü\x7f""#);
    }

    #[test]
    fn prints_values_like_go() {
        let v = json!({"b": [1, 2.5, null], "a": {"x": "y z"}, "c": 1e30});
        assert_eq!(value(&v), "map[a:map[x:y z] b:[1 2.5 <nil>] c:1e+30]");
    }

    #[test]
    fn durations() {
        for good in ["0", "5s", "1h2m", "-1.5ms"] {
            assert_eq!(duration(good), Ok(()));
        }
        assert_eq!(duration("abc").unwrap_err(), "invalid duration \"abc\"");
        assert_eq!(duration("5").unwrap_err(), "missing unit in duration \"5\"");
        assert_eq!(duration("5x").unwrap_err(), "unknown unit \"x\" in duration \"5x\"");
    }

    #[test]
    fn times_go_both_ways() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        for t in [951_782_400, 1_700_000_000, 4_102_444_799] {
            assert_eq!(seconds(&rfc3339(t)), Some(t));
        }
        assert_eq!(rfc3339(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(seconds("tomorrow"), None);
    }

    #[test]
    fn micro_times_have_six_digits() {
        let utc = |text: &str| micro_time(text);
        assert_eq!(utc("2026-01-02T03:04:05.123456Z").as_deref(), Ok("2026-01-02T03:04:05.123456Z"));
        assert_eq!(utc("2026-01-02T03:04:05.123456+02:00").as_deref(), Ok("2026-01-02T01:04:05.123456Z"));
        assert_eq!(utc("2026-01-02T03:04:05.123456-00:30").as_deref(), Ok("2026-01-02T03:34:05.123456Z"));
        assert!(utc("2026-01-02T03:04:05Z").unwrap_err().ends_with("cannot parse \"Z\" as \".000000\""));
        assert!(utc("2026-01-02T03:04:05.12345Z").is_err() && utc("2026-01-02T03:04:05.1234567Z").is_err());
        assert!(
            utc("2026-01-02T03:04:05.123456+é:00").is_err()
                && utc("").is_err()
                && utc("ééééééééééé").is_err()
        );
    }
}
