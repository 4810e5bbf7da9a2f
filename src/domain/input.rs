//! The digest of what a round of a Task is made from: when it changes, a new round is due.
//! Used by the decisions about Tasks.

use crate::api::{SandboxSpec, TaskSpec};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// `v1:<SHA-256, hex>` over the canonical form of the fields that make a round: title, description, generate, source,
/// commit, branch, baseBranch, sandboxRef and sandboxTemplate.
///
/// Canonical: keys sorted; without fields that are absent or equal to their default, so that a release which adds a field
/// gives the same digest for a spec that does not use it.
pub fn digest(spec: &TaskSpec) -> String {
    let whole = serde_json::to_value(spec).expect("a spec has string keys only");
    let mut chosen = Map::new();
    for key in [
        "title",
        "description",
        "generate",
        "source",
        "commit",
        "branch",
        "baseBranch",
        "sandboxRef",
        "sandboxTemplate",
    ] {
        if let Some(value) = whole.get(key)
            && !(key == "commit" && value.as_object().is_some_and(Map::is_empty))
            && let Some(value) = without_defaults(value, &defaults(key))
        {
            chosen.insert(key.to_owned(), value);
        }
    }
    let mut canonical = Value::Object(chosen);
    // Sorted already, unless some crate of the build turns on serde_json's `preserve_order`.
    canonical.sort_all_objects();
    format!("v1:{}", hex::encode(Sha256::digest(canonical.to_string())))
}

/// The values a field has when nobody sets it.
fn defaults(key: &str) -> Value {
    match key {
        "generate" => json!({"timeoutSeconds": 3600, "maxAttempts": 3}),
        "source" => json!({"includeIgnored": false}),
        "sandboxTemplate" => json!({
            "spec": serde_json::to_value(SandboxSpec::default()).expect("a spec has string keys only")
        }),
        _ => Value::Null,
    }
}

/// `value` less what is null, empty or equal to its default; `None` when nothing is left of a value that has a default.
fn without_defaults(value: &Value, default: &Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Object(fields) => {
            let left: Map<_, _> = fields
                .iter()
                .filter(|(key, value)| default.get(key.as_str()) != Some(*value))
                .filter_map(|(key, value)| {
                    Some((key.clone(), without_defaults(value, default.get(key).unwrap_or(&Value::Null))?))
                })
                .collect();
            // The object itself says something even when all in it is default: an own sandbox, a command.
            Some(Value::Object(left))
        }
        other => Some(other.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::from_value;

    fn spec(value: Value) -> TaskSpec {
        from_value(value).expect("valid spec")
    }

    /// Digests of recorded specs. They must never change: a Task that an older release wrote would rerun.
    #[test]
    fn recorded_specs_keep_their_digest() {
        for (recorded, expected) in [
            (
                json!({"title": "T", "repositoryRef": {"name": "r"}, "sandboxRef": {"name": "s"}, "source": {"path": "/a"}}),
                "v1:b81447fc612b5297cb85d9189295c9eb8adce28d8ac62b6052b606461788036f",
            ),
            (
                json!({"title": "T", "description": "D", "repositoryRef": {"name": "r"},
                    "sandboxTemplate": {"spec": {"template": "x", "timeoutSeconds": 600}},
                    "generate": {"command": ["sh", "-c", "true"], "env": [{"name": "A", "value": "1"}]},
                    "source": {"path": "/a", "exclude": ["target/"]}, "branch": "b", "baseBranch": "main",
                    "commit": {"message": "m"}}),
                "v1:4ad468a891ac17662834193e0a07db21b5c02d39c0791385d1f4cf23c943826c",
            ),
            (
                json!({"title": "Every field", "description": "D", "repositoryRef": {"name": "r"},
                    "sandboxTemplate": {"spec": {"template": "x", "credentialsSecretRef": {"name": "k"},
                        "operatingMode": "Running", "timeoutSeconds": 600, "onTimeout": "Kill",
                        "env": [{"name": "A", "value": "1"}], "metadata": {"b": "2", "a": "1"},
                        "recovery": {"policy": "Hold"}, "deletionPolicy": "Pause", "suspend": true}},
                    "generate": {"command": ["a"], "workingDir": "/w", "timeoutSeconds": 60, "maxAttempts": 1,
                        "env": [{"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]},
                    "source": {"path": "/a", "include": ["src/"], "exclude": ["target/"], "includeIgnored": true},
                    "branch": "b", "baseBranch": "main",
                    "commit": {"message": "m", "authorName": "n", "authorEmail": "e@x"},
                    "pullRequest": {"title": "p", "body": "b", "draft": true,
                        "merge": {"policy": "WhenReady", "method": "squash"}}, "suspend": true}),
                "v1:d8c0a843403e70e995b3676d10c8d365da43c56d3318ab4081028dc377b8bec4",
            ),
        ] {
            assert_eq!(digest(&spec(recorded.clone())), expected, "{recorded}");
        }
    }

    #[test]
    fn a_default_written_out_is_the_same_input() {
        let short = json!({"title": "T", "repositoryRef": {"name": "r"}, "sandboxTemplate": {"spec": {}},
            "generate": {"command": ["a"]}, "source": {"path": "/a"}});
        let long = json!({"title": "T", "repositoryRef": {"name": "r"},
            "sandboxTemplate": {"spec": {"template": "base", "recovery": {"policy": "Recreate"}, "suspend": false}},
            "generate": {"command": ["a"], "timeoutSeconds": 3600, "maxAttempts": 3},
            "source": {"path": "/a", "includeIgnored": false}, "commit": {}, "suspend": true,
            "pullRequest": {"draft": true}});
        assert_eq!(digest(&spec(short)), digest(&spec(long)));
    }

    #[test]
    fn each_field_of_the_input_counts() {
        let base = json!({"title": "T", "repositoryRef": {"name": "r"}, "sandboxRef": {"name": "s"}, "source": {"path": "/a"}});
        let plain = digest(&spec(base.clone()));
        for (field, value) in [
            ("title", json!("U")),
            ("description", json!("d")),
            ("generate", json!({"command": ["a"]})),
            ("source", json!({"path": "/a", "includeIgnored": true})),
            ("commit", json!({"message": "m"})),
            ("branch", json!("b")),
            ("baseBranch", json!("b")),
            ("sandboxRef", json!({"name": "t"})),
        ] {
            let mut changed = base.clone();
            changed[field] = value;
            assert_ne!(digest(&spec(changed)), plain, "{field}");
        }
    }
}
