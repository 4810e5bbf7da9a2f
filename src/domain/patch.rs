//! The difference of two JSON values as a merge patch (RFC 7386): what a status write sends.
//! Used by `cluster::status`; pure.

use serde_json::{Map, Value};

/// The merge patch that turns `old` into `new`; `None` when they are equal.
///
/// Objects are compared key by key and a missing key becomes `null`; everything else, lists included, is replaced
/// whole ([RFC 7386](https://www.rfc-editor.org/rfc/rfc7386)). A `null` inside `new` can't be told from a removal,
/// so values to be written must leave absent keys out.
pub fn diff(old: &Value, new: &Value) -> Option<Value> {
    let (Value::Object(old), Value::Object(new)) = (old, new) else {
        return (old != new).then(|| new.clone());
    };
    let removed = old.keys().filter(|key| !new.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    let changed = new.iter().filter_map(|(key, value)| {
        let patch = match old.get(key) {
            Some(before) => diff(before, value)?,
            None => value.clone(),
        };
        Some((key.clone(), patch))
    });
    let patch: Map<String, Value> = removed.chain(changed).collect();
    (!patch.is_empty()).then_some(Value::Object(patch))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// RFC 7386, section 2: how a server applies the patch.
    fn apply(target: Value, patch: &Value) -> Value {
        let Value::Object(patch) = patch else { return patch.clone() };
        let mut target = match target {
            Value::Object(map) => map,
            _ => Map::new(),
        };
        for (key, value) in patch {
            if value.is_null() {
                target.remove(key);
            } else {
                let before = target.remove(key).unwrap_or(Value::Null);
                target.insert(key.clone(), apply(before, value));
            }
        }
        Value::Object(target)
    }

    #[test]
    fn equal_values_need_no_patch() {
        for value in [json!({}), json!({"a": {"b": [1, {"c": 2}]}}), json!([1]), json!("x")] {
            assert_eq!(diff(&value, &value), None);
        }
    }

    #[test]
    fn only_what_differs_is_sent() {
        let old = json!({"state": "review", "branch": "b", "pullRequest": {"number": 1, "draft": false, "headSHA": "a"}});
        let new = json!({"state": "done", "branch": "b", "pullRequest": {"number": 1, "draft": false, "mergeSHA": "c"}});
        assert_eq!(
            diff(&old, &new),
            Some(json!({"state": "done", "pullRequest": {"headSHA": null, "mergeSHA": "c"}}))
        );
    }

    #[test]
    fn applying_the_patch_gives_the_new_value() {
        let values = [
            json!({}),
            json!({"a": 1}),
            json!({"a": {"b": 1}}),
            json!({"a": {"b": 1, "c": [1, 2]}}),
            json!({"a": {"c": [2]}, "d": "x"}),
            json!({"a": [], "d": {}}),
            json!({"d": {"e": {"f": true}}}),
        ];
        for old in &values {
            for new in &values {
                let patched = diff(old, new).map_or_else(|| old.clone(), |patch| apply(old.clone(), &patch));
                assert_eq!(&patched, new, "from {old}");
            }
        }
    }

    #[test]
    fn lists_are_replaced_whole() {
        assert_eq!(
            diff(&json!({"l": [{"a": 1}, {"a": 2}]}), &json!({"l": [{"a": 1}]})),
            Some(json!({"l": [{"a": 1}]}))
        );
    }
}
