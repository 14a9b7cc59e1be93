//! Strategic merge patch for a ConfigMap: the twin of
//! apimachinery/pkg/util/strategicpatch/patch.go with the two merging lists a
//! ConfigMap has, ownerReferences (by uid) and finalizers. Pure.

use serde_json::{Map, Value};

use crate::gostr;

type Object = Map<String, Value>;

/// A patch that can't be used: the client's fault, or (as in the real server)
/// an error that surfaces as a 500.
#[derive(Debug, PartialEq)]
pub enum Refused {
    BadRequest(String),
    Internal(String),
}

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList";
const SET_ORDER: &str = "$setElementOrder";

/// How a list is merged.
#[derive(Clone, Copy, PartialEq)]
enum Lists {
    Replaced,
    Set,
    ByKey(&'static str),
}

/// The patch strategies of the lists in a ConfigMap (struct tags in meta/v1/types.go).
fn strategy(field: &str) -> Lists {
    match field {
        "ownerReferences" => Lists::ByKey("uid"),
        "finalizers" => Lists::Set,
        _ => Lists::Replaced,
    }
}

/// The merged object. Nulls remove, and are ignored where there is nothing to remove.
pub fn merge(mut original: Object, mut patch: Object) -> Result<Object, Refused> {
    match patch.remove(DIRECTIVE) {
        None => {}
        Some(Value::String(d)) if d == "replace" => return Ok(patch),
        Some(Value::String(d)) if d == "delete" => return Ok(Object::new()),
        Some(other) => {
            let directive = gostr::as_string(&other);
            patch.insert(DIRECTIVE.into(), other);
            let map = gostr::value(&Value::Object(patch));
            return Err(Refused::Internal(format!("unknown patch type: {directive} in map: {map}")));
        }
    }
    retain_keys(&mut original, &mut patch)?;
    set_element_orders(&mut original, &mut patch)?;
    for (key, value) in patch {
        merge_field(&mut original, key, value)?;
    }
    Ok(original)
}

fn merge_field(original: &mut Object, key: String, mut value: Value) -> Result<(), Refused> {
    if key.starts_with(DELETE_FROM) {
        let field = list_name(&key, DELETE_FROM, "invalid patch format of primitive list")?;
        if let (Some(Value::Array(old)), Value::Array(gone)) = (original.get_mut(field), &value) {
            old.retain(|item| !gone.contains(item));
        }
        return Ok(());
    }
    if value.is_null() {
        original.remove(&key);
        return Ok(());
    }
    let merged = match (original.remove(&key), value) {
        (Some(Value::Object(old)), Value::Object(new)) => Some(Value::Object(merge(old, new)?)),
        (Some(Value::Array(old)), Value::Array(new)) => {
            Some(Value::Array(merge_list(old, new, strategy(&key))?))
        }
        (Some(old), new) if same_type(&old, &new) => without_directives(new),
        (_, new) => {
            value = new;
            discard_nulls(&mut value);
            // A directive where there is nothing to direct takes its map with it.
            without_directives(value)
        }
    };
    if let Some(merged) = merged {
        original.insert(key, merged);
    }
    Ok(())
}

fn same_type(a: &Value, b: &Value) -> bool {
    std::mem::discriminant(a) == std::mem::discriminant(b)
}

fn list_name<'a>(key: &'a str, prefix: &str, complaint: &str) -> Result<&'a str, Refused> {
    match key.split_once('/') {
        Some((found, name)) if found == prefix => Ok(name),
        _ => Err(Refused::BadRequest(complaint.into())),
    }
}

fn discard_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, v| !v.is_null());
            map.values_mut().for_each(discard_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(discard_nulls),
        _ => {}
    }
}

/// removeDirectives: drops every map that holds one.
fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(map) if map.contains_key(DIRECTIVE) => None,
        Value::Object(map) => {
            let kept = map.into_iter().filter_map(|(k, v)| Some((k, without_directives(v)?)));
            Some(Value::Object(kept.collect()))
        }
        Value::Array(items) => Some(Value::Array(items.into_iter().filter_map(without_directives).collect())),
        other => Some(other),
    }
}

fn retain_keys(original: &mut Object, patch: &mut Object) -> Result<(), Refused> {
    let bad = || Refused::BadRequest("invalid patch format of retainKeys".into());
    let Some(list) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    let Value::Array(list) = list else { return Err(bad()) };
    let kept = |key: &str| list.iter().any(|v| v.as_str() == Some(key));
    let directive = |key: &str| key.starts_with(DELETE_FROM) || key.starts_with(SET_ORDER);
    if patch.iter().any(|(k, v)| !v.is_null() && !directive(k) && !kept(k)) {
        return Err(bad());
    }
    original.retain(|k, _| kept(k));
    Ok(())
}

/// Applies each `$setElementOrder/list` with its list, so that the pass over
/// the other fields doesn't see either (mergePatchIntoOriginal).
fn set_element_orders(original: &mut Object, patch: &mut Object) -> Result<(), Refused> {
    let keys: Vec<String> = patch.keys().filter(|k| k.starts_with(SET_ORDER)).cloned().collect();
    for key in keys {
        let field = list_name(&key, SET_ORDER, "invalid patch format of setElementOrder list")?;
        let order = array(patch.remove(&key))?;
        let strategy = strategy(field);
        let live = original.get(field).cloned().map(|v| array(Some(v))).transpose()?;
        let merged = match (live.clone(), patch.remove(field)) {
            (None, None) => continue,
            (Some(old), None) => old,
            (None, new) => array(new.and_then(without_directives))?,
            (Some(old), new) => merge_list(old, array(new)?, strategy)?,
        };
        let ordered = in_order(merged, &order, &live.unwrap_or_default(), strategy);
        original.insert(field.into(), Value::Array(ordered));
    }
    Ok(())
}

fn array(value: Option<Value>) -> Result<Vec<Value>, Refused> {
    match value {
        Some(Value::Array(items)) => Ok(items),
        other => {
            let found = other.map_or("nil".into(), |v| format!("{:?}", crate::json::kind(&v)));
            Err(Refused::Internal(format!("expected a []interface {{}}, but received a {found}")))
        }
    }
}

fn merge_list(old: Vec<Value>, new: Vec<Value>, lists: Lists) -> Result<Vec<Value>, Refused> {
    let live = old.clone();
    let order = new.clone();
    let merged = match lists {
        Lists::Replaced => return Ok(new),
        _ if old.is_empty() && new.is_empty() => return Ok(old),
        Lists::Set => {
            let mut merged = old;
            for item in new {
                if !merged.contains(&item) {
                    merged.push(item);
                }
            }
            merged
        }
        Lists::ByKey(key) => merge_by_key(old, new, key)?,
    };
    Ok(in_order(merged, &order, &live, lists))
}

fn merge_by_key(mut old: Vec<Value>, new: Vec<Value>, key: &str) -> Result<Vec<Value>, Refused> {
    let mut replace = false;
    let mut plain = Vec::new();
    for item in new {
        let id = item.get(key).cloned();
        let missing = || {
            let map = gostr::value(&item);
            Refused::Internal(format!("map: {map} does not contain declared merge key: {key}"))
        };
        match item.get(DIRECTIVE).map(gostr::value).as_deref() {
            None if id.is_none() => return Err(missing()),
            None => plain.push(item),
            Some("delete") if id.is_none() => return Err(missing()),
            Some("delete") => old.retain(|o| o.get(key) != id.as_ref()),
            Some("replace") => replace = true,
            Some("merge") => {
                let text = "merging lists cannot yet be specified in the patch";
                return Err(Refused::Internal(text.into()));
            }
            Some(other) => {
                let map = gostr::value(&item);
                return Err(Refused::Internal(format!("unknown patch type: {other} in map: {map}")));
            }
        }
    }
    if replace {
        return Ok(plain);
    }
    for item in plain {
        match old.iter().position(|o| o.get(key) == item.get(key)) {
            None => old.push(item),
            Some(at) => {
                if let (Value::Object(o), Value::Object(n)) = (old[at].take(), item) {
                    old[at] = Value::Object(merge(o, n)?);
                }
            }
        }
    }
    Ok(old)
}

/// Items named in `order` come in that order, the others keep their place
/// relative to the live list (normalizeElementOrder).
fn in_order(items: Vec<Value>, order: &[Value], live: &[Value], lists: Lists) -> Vec<Value> {
    let id = |v: &Value| match lists {
        Lists::ByKey(key) => v.get(key).cloned().unwrap_or(Value::Null),
        _ => v.clone(),
    };
    let place = |list: &[Value], v: &Value| list.iter().position(|o| id(o) == id(v));
    let (mut named, mut others): (Vec<_>, Vec<_>) =
        items.into_iter().partition(|v| place(order, v).is_some());
    named.sort_by_key(|v| place(order, v));
    others.sort_by_key(|v| place(live, v));
    let (mut named, mut others) = (named.into_iter().peekable(), others.into_iter().peekable());
    let mut merged = Vec::new();
    while let (Some(n), Some(o)) = (named.peek(), others.peek()) {
        let first = match (place(live, o), place(live, n)) {
            (Some(o), Some(n)) if o < n => others.next(),
            _ => named.next(),
        };
        merged.extend(first);
    }
    merged.extend(named);
    merged.extend(others);
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn patched(original: Value, patch: Value) -> Value {
        let (Value::Object(o), Value::Object(p)) = (original, patch) else { unreachable!() };
        Value::Object(merge(o, p).unwrap())
    }

    #[test]
    fn null_removes_and_replace_replaces() {
        let cm = json!({"data": {"a": "1", "b": "2"}});
        assert_eq!(
            patched(cm.clone(), json!({"data": {"a": null, "z": null, "c": "3"}})),
            json!({"data": {"b": "2", "c": "3"}})
        );
        let replace = json!({"data": {"$patch": "replace", "c": "3"}});
        assert_eq!(patched(cm.clone(), replace.clone()), json!({"data": {"c": "3"}}));
        // Where there is no map to replace, the whole directive is dropped.
        assert_eq!(patched(json!({}), replace), json!({}));
        assert_eq!(patched(cm, json!({"data": {"$patch": "delete"}})), json!({"data": {}}));
    }

    #[test]
    fn owners_merge_by_uid() {
        let cm = json!({"ownerReferences": [{"uid": "a", "name": "1"}, {"uid": "b", "name": "2"}]});
        let patch = json!({"ownerReferences": [{"uid": "b", "name": "3"}, {"uid": "c"}]});
        let want = json!({"ownerReferences": [
            {"uid": "a", "name": "1"}, {"uid": "b", "name": "3"}, {"uid": "c"}]});
        assert_eq!(patched(cm.clone(), patch), want);
        let patch = json!({"ownerReferences": [{"uid": "a", "$patch": "delete"}]});
        assert_eq!(patched(cm, patch)["ownerReferences"], json!([{"uid": "b", "name": "2"}]));
    }

    #[test]
    fn finalizers_are_a_set() {
        let cm = json!({"finalizers": ["a", "b"]});
        let patch = json!({"finalizers": ["c"], "$deleteFromPrimitiveList/finalizers": ["a"]});
        assert_eq!(patched(cm.clone(), patch)["finalizers"], json!(["c", "b"]));
        let patch = json!({"$setElementOrder/finalizers": ["c", "a"], "finalizers": ["c"]});
        assert_eq!(patched(cm, patch)["finalizers"], json!(["c", "a", "b"]));
    }

    #[test]
    fn unknown_directives_are_refused() {
        let p = json!({"$patch": "merge"});
        let error = merge(Object::new(), p.as_object().unwrap().clone()).unwrap_err();
        let text = "unknown patch type: merge in map: map[$patch:merge]";
        assert_eq!(error, Refused::Internal(text.into()));
    }
}
