//! The CRDs: what is in `crds/` is what the types say, and every field is described and bounded.
//! Neighbours: `slipway::api::crds` makes them.

use serde_json::Value;
use slipway::api::crds;

/// Integers without both bounds, and why that is right. By kind and path.
const UNBOUNDED: [(&str, &str); 3] = [
    ("exitCode", "whatever the operating system says"),
    ("observedGeneration", "counted by Kubernetes; -1 until the object was looked at"),
    ("incarnation", "counts sandboxes: no end is known"),
];

/// One schema node with the path that leads to it.
struct Node<'a> {
    path: String,
    name: String,
    schema: &'a Value,
}

/// Every node of the `OpenAPI` schema below `spec` and `status`.
fn nodes(crd: &Value) -> Vec<Node<'_>> {
    let kind = crd["spec"]["names"]["kind"].as_str().unwrap();
    let root = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
    let mut all = Vec::new();
    for part in ["spec", "status"] {
        collect(&root[part], format!("{kind}.{part}"), part, &mut all);
    }
    all
}

fn collect<'a>(schema: &'a Value, path: String, name: &str, all: &mut Vec<Node<'a>>) {
    if let Some(properties) = schema["properties"].as_object() {
        for (name, property) in properties {
            collect(property, format!("{path}.{name}"), name, all);
        }
    }
    if schema["items"].is_object() {
        collect(&schema["items"], format!("{path}[]"), "[]", all);
    }
    if schema["additionalProperties"].is_object() {
        collect(&schema["additionalProperties"], format!("{path}{{}}"), "{}", all);
    }
    all.push(Node { path, name: name.to_owned(), schema });
}

/// What is wrong with a node.
fn faults(node: &Node<'_>) -> Vec<&'static str> {
    let schema = node.schema;
    let mut faults = Vec::new();
    let own_field = !matches!(node.name.as_str(), "[]" | "{}");
    if own_field && schema["description"].as_str().is_none_or(|text| text.trim().is_empty()) {
        faults.push("has no description");
    }
    // A Task's own is the operator's memory of the round, and no summary for people: conditions are that.
    if node.name == "phase" && node.path != "Task.status.phase" {
        faults.push("is called phase");
    }
    let closed = schema["enum"].is_array() || schema["format"] == "date-time";
    match schema["type"].as_str() {
        Some("string") if !closed && schema["maxLength"].is_null() => faults.push("has no maxLength"),
        Some("array") if schema["maxItems"].is_null() => faults.push("has no maxItems"),
        Some("object") if schema["additionalProperties"].is_object() && schema["maxProperties"].is_null() => {
            faults.push("has no maxProperties");
        }
        Some("integer") => {
            let excused = UNBOUNDED.iter().any(|(name, _)| *name == node.name);
            // Ids and counters are bounded below; only spec fields need an end as well.
            let needs_end = node.path.contains(".spec");
            if !excused && (schema["minimum"].is_null() || (needs_end && schema["maximum"].is_null())) {
                faults.push("has no bounds");
            }
        }
        Some("number") => faults.push("is a float"),
        None if !schema["x-kubernetes-int-or-string"].as_bool().unwrap_or_default() => {
            faults.push("has no type");
        }
        _ => {}
    }
    if schema["nullable"].as_bool() == Some(true) {
        faults.push("is nullable");
    }
    faults
}

#[test]
fn every_field_is_described_and_bounded() {
    let crds = crds::all();
    let nodes: Vec<_> = crds.iter().flat_map(nodes).collect();
    assert!(nodes.len() > 150, "{} fields: the schema is not where it is looked for", nodes.len());
    let found: Vec<_> = nodes
        .iter()
        .flat_map(|node| faults(node).into_iter().map(|fault| format!("{} {fault}", node.path)))
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_bad_field_is_found() {
    let bad = serde_json::json!({"spec": {"names": {"kind": "Bad"}, "versions": [{"schema": {"openAPIV3Schema": {"properties": {
        "spec": {"type": "object", "description": "d", "properties": {
            "name": {"type": "string", "description": "d"},
            "list": {"type": "array", "description": "d", "items": {"type": "string", "maxLength": 1}},
            "map": {"type": "object", "description": "d", "additionalProperties": {"type": "string"}},
            "count": {"type": "integer", "description": "d", "minimum": 0},
            "phase": {"type": "string", "maxLength": 1}
        }},
        "status": {"type": "object", "description": "d", "properties": {"sum": {"type": "integer", "description": "d"}}}
    }}}}]}});
    let found: Vec<String> = nodes(&bad)
        .iter()
        .flat_map(|node| faults(node).into_iter().map(|f| format!("{} {f}", node.path)))
        .collect();
    for expected in [
        "Bad.spec.name has no maxLength",
        "Bad.spec.list has no maxItems",
        "Bad.spec.map has no maxProperties",
        "Bad.spec.map{} has no maxLength",
        "Bad.spec.count has no bounds",
        "Bad.spec.phase is called phase",
        "Bad.spec.phase has no description",
        "Bad.status.sum has no bounds",
    ] {
        assert!(found.iter().any(|line| line == expected), "{expected} in {found:#?}");
    }
}

#[test]
fn the_generated_crds_are_the_ones_in_the_repository() {
    let path = crate::sources::root().join("crds/slipway.dev.yaml");
    let stored = std::fs::read_to_string(&path).unwrap();
    let generated = crds::yaml().unwrap();
    let line = stored.lines().zip(generated.lines()).position(|(a, b)| a != b).map_or(0, |line| line + 1);
    assert!(
        stored == generated,
        "crds/slipway.dev.yaml differs from the types from line {line} on: run `slipway crds > crds/slipway.dev.yaml`"
    );
}
