//! Completes the derived schema before an API server sees it, and gives the schemas that derive can't express.
//! Used by the kinds of this folder and by `crds`.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

/// A string map with bounds: schemars ignores `inner(length)` on maps.
pub(super) fn string_map<const ITEMS: u32, const LENGTH: u32>(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": ITEMS,
        "additionalProperties": {"type": "string", "maxLength": LENGTH},
    })
}

/// Makes a derived CRD fit for an API server, in place:
/// no `nullable` and no null in enums (explicit nulls are then pruned instead of stored), bounds on
/// `metav1.Condition`, no Go prose on times, and `default` as the status of an object nobody has looked at.
pub(super) fn finish(crd: &mut Value, status_default: &Value) {
    if let Some(versions) = crd.pointer_mut("/spec/versions").and_then(Value::as_array_mut) {
        for version in versions {
            if let Some(schema) = version.pointer_mut("/schema/openAPIV3Schema") {
                clean(schema);
                if let Some(status) = schema.pointer_mut("/properties/status").and_then(Value::as_object_mut)
                {
                    status.insert("default".into(), status_default.clone());
                }
            }
        }
    }
}

fn clean(node: &mut Value) {
    match node {
        Value::Array(items) => items.iter_mut().for_each(clean),
        Value::Object(object) => {
            clean_object(object);
            object.values_mut().for_each(clean);
        }
        _ => {}
    }
}

fn clean_object(object: &mut Map<String, Value>) {
    object.remove("nullable");
    if let Some(Value::Array(values)) = object.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    if object.get("format").and_then(Value::as_str) == Some("date-time")
        && object
            .get("description")
            .and_then(Value::as_str)
            .is_some_and(|text| text.starts_with("Time is a wrapper"))
    {
        object.remove("description");
    }
    if let Some(Value::Object(fields)) = object.get_mut("properties")
        && fields.contains_key("lastTransitionTime")
        && fields.contains_key("reason")
    {
        bound_condition(fields);
    }
}

/// The bounds of `metav1.Condition` as apimachinery's own markers state them.
fn bound_condition(fields: &mut Map<String, Value>) {
    let bounds = [
        ("type", json!({"maxLength": 316})),
        (
            "reason",
            json!({"minLength": 1, "maxLength": 1024, "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"}),
        ),
        ("message", json!({"maxLength": 32768})),
        ("status", json!({"enum": ["True", "False", "Unknown"]})),
        ("observedGeneration", json!({"minimum": 0})),
    ];
    for (name, bound) in bounds {
        if let (Some(Value::Object(field)), Value::Object(bound)) = (fields.get_mut(name), bound) {
            field.extend(bound);
        }
    }
}
