//! JSON Patch (RFC 6902) and JSON merge patch (RFC 7386), with the habits of
//! the library the real server uses, gopkg.in/evanphx/json-patch.v4: it
//! replaces keys that aren't there, and a `test` of null passes on a missing
//! key. Pure.

use serde_json::{Map, Value};

/// handlers/patch.go, maxJSONPatchOperations.
pub const MAX_OPERATIONS: usize = 10_000;

/// The operation doesn't apply; the real server tells its client no more.
#[derive(Debug, PartialEq)]
pub struct Inapplicable;

type Applied<T = ()> = Result<T, Inapplicable>;

/// Applies the operations in turn.
pub fn apply(document: &mut Value, operations: &[Value]) -> Applied {
    operations.iter().try_for_each(|op| operation(document, op))
}

fn text<'a>(op: &'a Value, name: &str) -> Applied<&'a str> {
    op.get(name).and_then(Value::as_str).ok_or(Inapplicable)
}

fn operation(document: &mut Value, op: &Value) -> Applied {
    let value = || op.get("value").cloned().unwrap_or(Value::Null);
    let path = text(op, "path")?;
    match text(op, "op")? {
        "add" => add(document, path, value()),
        "remove" => remove(document, path).map(drop),
        "replace" if path.is_empty() => {
            let new = value();
            if !new.is_object() && !new.is_array() {
                return Err(Inapplicable);
            }
            *document = new;
            Ok(())
        }
        "replace" => set(document, path, value()),
        "move" => {
            let moved = remove(document, text(op, "from")?)?;
            add(document, path, moved)
        }
        "copy" => {
            let copied = get(document, text(op, "from")?)?.cloned();
            add(document, path, copied.unwrap_or(Value::Null))
        }
        "test" if path.is_empty() => same(document == &value()),
        "test" => match get(document, path)? {
            None | Some(Value::Null) => same(value().is_null()),
            Some(found) => same(op.get("value") == Some(found)),
        },
        _ => Err(Inapplicable),
    }
}

fn same(equal: bool) -> Applied {
    if equal { Ok(()) } else { Err(Inapplicable) }
}

fn decode(part: &str) -> String {
    part.replace("~1", "/").replace("~0", "~")
}

/// The container a path points into, and the key there (findObject).
fn container<'a>(document: &'a mut Value, path: &str) -> Applied<(&'a mut Value, String)> {
    let mut parts: Vec<&str> = path.split('/').collect();
    if parts.len() < 2 {
        return Err(Inapplicable);
    }
    let key = decode(parts.pop().unwrap_or_default());
    let mut at = document;
    for part in &parts[1..] {
        let part = decode(part);
        at = match at {
            Value::Object(map) => map.get_mut(&part).ok_or(Inapplicable)?,
            Value::Array(items) => {
                let i = index(&part, items.len())?;
                items.get_mut(i).ok_or(Inapplicable)?
            }
            _ => return Err(Inapplicable),
        };
    }
    if at.is_object() || at.is_array() { Ok((at, key)) } else { Err(Inapplicable) }
}

/// An index as strconv.Atoi reads it; a negative one counts from the end.
fn index(key: &str, len: usize) -> Applied<usize> {
    let n: i64 = key.parse().map_err(|_| Inapplicable)?;
    let n = if n < 0 { n + len as i64 } else { n };
    usize::try_from(n).map_err(|_| Inapplicable)
}

fn get<'a>(document: &'a mut Value, path: &str) -> Applied<Option<&'a Value>> {
    match container(document, path)? {
        (Value::Object(map), key) => Ok(map.get(&key)),
        (Value::Array(items), key) => {
            let i = index(&key, items.len())?;
            items.get(i).map(Some).ok_or(Inapplicable)
        }
        _ => Err(Inapplicable),
    }
}

fn set(document: &mut Value, path: &str, value: Value) -> Applied {
    match container(document, path)? {
        (Value::Object(map), key) => drop(map.insert(key, value)),
        (Value::Array(items), key) => {
            let i = index(&key, items.len())?;
            *items.get_mut(i).ok_or(Inapplicable)? = value;
        }
        _ => return Err(Inapplicable),
    }
    Ok(())
}

fn add(document: &mut Value, path: &str, value: Value) -> Applied {
    match container(document, path)? {
        (Value::Object(map), key) => drop(map.insert(key, value)),
        (Value::Array(items), key) if key == "-" => items.push(value),
        (Value::Array(items), key) => {
            let i = index(&key, items.len() + 1)?;
            if i > items.len() {
                return Err(Inapplicable);
            }
            items.insert(i, value);
        }
        _ => return Err(Inapplicable),
    }
    Ok(())
}

fn remove(document: &mut Value, path: &str) -> Applied<Value> {
    match container(document, path)? {
        (Value::Object(map), key) => map.remove(&key).ok_or(Inapplicable),
        (Value::Array(items), key) => {
            let i = index(&key, items.len())?;
            if i < items.len() { Ok(items.remove(i)) } else { Err(Inapplicable) }
        }
        _ => Err(Inapplicable),
    }
}

/// Merges a merge patch into an object.
pub fn merge(document: &mut Map<String, Value>, patch: Map<String, Value>) {
    for (key, value) in patch {
        match (document.get_mut(&key), value) {
            (_, Value::Null) => drop(document.remove(&key)),
            (Some(Value::Object(old)), Value::Object(new)) => merge(old, new),
            // An object that meets another one keeps the nulls of an array put in its place.
            (Some(Value::Object(_)), value) => drop(document.insert(key, value)),
            (_, mut value) => {
                prune_nulls(&mut value);
                document.insert(key, value);
            }
        }
    }
}

fn prune_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, v| !v.is_null());
            map.values_mut().for_each(prune_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(prune_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn run(mut doc: Value, ops: Value) -> Applied<Value> {
        apply(&mut doc, ops.as_array().unwrap())?;
        Ok(doc)
    }

    #[test]
    fn operations() {
        let doc = json!({"data": {"a": "1"}, "l": ["x"]});
        let op = |o: Value| run(doc.clone(), json!([o]));
        let added = op(json!({"op": "add", "path": "/data/b~1c", "value": "2"})).unwrap();
        assert_eq!(added["data"], json!({"a": "1", "b/c": "2"}));
        // json-patch v4 replaces what isn't there.
        assert!(op(json!({"op": "replace", "path": "/data/z", "value": "2"})).is_ok());
        assert!(op(json!({"op": "remove", "path": "/data/z"})).is_err());
        assert!(op(json!({"op": "add", "path": "/binaryData/z", "value": ""})).is_err());
        assert!(op(json!({"op": "nonsense", "path": "/data/z"})).is_err());
        let moved = op(json!({"op": "move", "from": "/data/a", "path": "/data/b"})).unwrap();
        assert_eq!(moved["data"], json!({"b": "1"}));
        let listed = op(json!({"op": "add", "path": "/l/-", "value": "y"})).unwrap();
        assert_eq!(listed["l"], json!(["x", "y"]));
    }

    #[test]
    fn test_compares_and_null_means_absent() {
        let doc = json!({"data": {"a": "1"}});
        let test = |path: &str, value: Value| {
            run(doc.clone(), json!([{"op": "test", "path": path, "value": value}])).is_ok()
        };
        assert!(test("/data/a", json!("1")));
        assert!(!test("/data/a", json!("2")));
        assert!(test("/data/b", Value::Null));
        assert!(!test("/data/a", Value::Null));
        assert!(!test("/binaryData/b", Value::Null), "its parent is missing");
    }

    #[test]
    fn merge_patches() {
        let mut doc = json!({"data": {"a": "1", "b": "2"}, "x": {"y": 1}});
        let patch = json!({"data": {"a": null, "c": "3"}, "x": null, "n": {"m": null, "o": 1}});
        merge(doc.as_object_mut().unwrap(), patch.as_object().unwrap().clone());
        assert_eq!(doc, json!({"data": {"b": "2", "c": "3"}, "n": {"o": 1}}));
    }
}
