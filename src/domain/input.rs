//! Digests of what a round of a Task is made from: when one changes, a new round is due.
//! Used by the decisions about Tasks.
//!
//! A digest is `<version>:<SHA-256, hex>` over the canonical form of its fields: keys sorted, without fields that are absent or
//! equal to their default, so that a release which adds a field gives the same digest for a spec that does not use it.

use crate::api::{SandboxSpec, TaskSpec};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

const VERSION_1: &str = "v1";
const VERSION_2: &str = "v2";
/// Of `source`, what the command depends on; the rest only says what is published of its files.
const SOURCE_INPUT: [&str; 2] = ["path", "checkout"];
/// Objects that say something even where all in them is default.
const SAYS_SOMETHING: [&str; 1] = ["checkout"];
/// Of the template, what follows in place.
const TEMPLATE_IN_PLACE: [&str; 2] = ["timeoutSeconds", "suspend"];

/// Digest of what the command is run for and with: title, description, generate, source.path, source.checkout, baseBranch,
/// sandboxRef, and of sandboxTemplate what takes another sandbox.
pub fn digest(spec: &TaskSpec) -> String {
    let mut chosen = canonical(
        spec,
        &["title", "description", "generate", "source", "baseBranch", "sandboxRef", "sandboxTemplate"],
    );
    if let Some(Value::Object(source)) = chosen.get_mut("source") {
        source.retain(|key, _| SOURCE_INPUT.contains(&key.as_str()));
    }
    keep_what_needs_another(&mut chosen);
    hashed(VERSION_2, chosen)
}

/// Digest of the Sandbox that a Task works in: sandboxRef, and of sandboxTemplate what takes another sandbox.
pub fn sandbox_digest(spec: &TaskSpec) -> String {
    let mut chosen = canonical(spec, &["sandboxRef", "sandboxTemplate"]);
    keep_what_needs_another(&mut chosen);
    hashed(VERSION_2, chosen)
}

/// Keeps of sandboxTemplate what takes another sandbox.
fn keep_what_needs_another(chosen: &mut Map<String, Value>) {
    if let Some(Value::Object(template)) = chosen.get_mut("sandboxTemplate") {
        if let Some(Value::Object(spec)) = template.get_mut("spec") {
            spec.retain(|key, _| !TEMPLATE_IN_PLACE.contains(&key.as_str()));
        }
        template.retain(|_, value| value.as_object().is_none_or(|fields| !fields.is_empty()));
    }
}

/// Digest of what is published of the same files: source's other fields, commit and branch.
pub fn publication_digest(spec: &TaskSpec) -> String {
    let mut chosen = canonical(spec, &["source", "commit", "branch"]);
    if let Some(Value::Object(source)) = chosen.get_mut("source") {
        source.retain(|key, _| !SOURCE_INPUT.contains(&key.as_str()));
    }
    hashed(VERSION_2, chosen)
}

/// The input digest by the version that `recorded` was made by: a digest of an older release is compared by its own rules.
pub fn digest_like(recorded: &str, spec: &TaskSpec) -> String {
    if recorded.starts_with(VERSION_1) { digest_v1(spec) } else { digest(spec) }
}

/// One digest for all: the first version made no difference between what is run and what is published.
fn digest_v1(spec: &TaskSpec) -> String {
    let fields = [
        "title",
        "description",
        "generate",
        "source",
        "commit",
        "branch",
        "baseBranch",
        "sandboxRef",
        "sandboxTemplate",
    ];
    hashed(VERSION_1, canonical(spec, &fields))
}

fn canonical(spec: &TaskSpec, fields: &[&str]) -> Map<String, Value> {
    let whole = serde_json::to_value(spec).expect("a spec has string keys only");
    let mut chosen = Map::new();
    for key in fields {
        if let Some(value) = whole.get(key)
            && !(*key == "commit" && value.as_object().is_some_and(Map::is_empty))
            && let Some(value) = without_defaults(value, &defaults(key))
        {
            chosen.insert((*key).to_owned(), value);
        }
    }
    chosen
}

fn hashed(version: &str, chosen: Map<String, Value>) -> String {
    let mut canonical = Value::Object(chosen);
    // Sorted already, unless some crate of the build turns on serde_json's `preserve_order`.
    canonical.sort_all_objects();
    format!("{version}:{}", hex::encode(Sha256::digest(canonical.to_string())))
}

/// The values a field has when nobody sets it.
fn defaults(key: &str) -> Value {
    match key {
        "generate" => json!({"timeoutSeconds": 3600, "maxAttempts": 3}),
        "source" => json!({"includeIgnored": false, "checkout": {"depth": 1, "clean": "KeepIgnored"}}),
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
                .filter(|(key, value)| {
                    SAYS_SOMETHING.contains(&key.as_str()) || default.get(key.as_str()) != Some(*value)
                })
                .filter_map(|(key, value)| {
                    Some((key.clone(), without_defaults(value, default.get(key).unwrap_or(&Value::Null))?))
                })
                .collect();
            // The object itself says something: an own sandbox, a command, a checkout.
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

    fn smallest() -> Value {
        json!({"title": "T", "repositoryRef": {"name": "r"}, "sandboxRef": {"name": "s"}, "source": {"path": "/a"}})
    }

    fn usual() -> Value {
        json!({"title": "T", "description": "D", "repositoryRef": {"name": "r"},
                    "sandboxTemplate": {"spec": {"template": "x", "timeoutSeconds": 600}},
                    "generate": {"command": ["sh", "-c", "true"], "env": [{"name": "A", "value": "1"}]},
                    "source": {"path": "/a", "exclude": ["target/"]}, "branch": "b", "baseBranch": "main",
                    "commit": {"message": "m"}})
    }

    /// Digests of recorded specs. They must never change: a Task that an older release wrote would rerun.
    #[test]
    fn recorded_specs_keep_their_digest() {
        for (recorded, expected) in [
            (smallest(), "v1:b81447fc612b5297cb85d9189295c9eb8adce28d8ac62b6052b606461788036f"),
            (usual(), "v1:4ad468a891ac17662834193e0a07db21b5c02d39c0791385d1f4cf23c943826c"),
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
            assert_eq!(digest_v1(&spec(recorded.clone())), expected, "{recorded}");
            assert_eq!(digest_like(expected, &spec(recorded.clone())), expected, "{recorded}");
        }
    }

    /// The same of what is recorded today: what is run, what is published, and the sandbox.
    #[test]
    fn recorded_specs_keep_their_digests_of_today() {
        for (recorded, expected) in [
            (
                smallest(),
                [
                    "v2:b81447fc612b5297cb85d9189295c9eb8adce28d8ac62b6052b606461788036f",
                    "v2:aafbd262706f833d28abe0388fd6a43d94a60a6f3f8898afb53c1b7dd5a654f4",
                    "v2:b7fea35880c014ae51016281ae3a63be5a22a8ede18dd249698bf85fc346d209",
                ],
            ),
            (
                usual(),
                [
                    "v2:b4dc8e4375b39abf836be4e5f73766cd0768226e4b8637e1ed8cb051e2b27cae",
                    "v2:0ea2c9d7dd224cbe8e6ed9fcb006e76eac8b9f17ca9326c886a713928a429c72",
                    "v2:6d0dfb3f32831ad9e6af1790066b2dc60e4ce302c067c357cb319399a9a7ec55",
                ],
            ),
            (
                json!({"title": "Every field", "description": "D", "repositoryRef": {"name": "r"},
                    "sandboxTemplate": {"spec": {"template": "x", "credentialsSecretRef": {"name": "k"},
                        "operatingMode": "Running", "timeoutSeconds": 600, "onTimeout": "Kill",
                        "env": [{"name": "A", "value": "1"}], "metadata": {"b": "2", "a": "1"},
                        "recovery": {"policy": "Hold"}, "deletionPolicy": "Pause", "suspend": true}},
                    "generate": {"command": ["a"], "workingDir": "/w", "timeoutSeconds": 60, "maxAttempts": 1,
                        "env": [{"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]},
                    "source": {"path": "/a", "include": ["src/"], "exclude": ["target/"], "includeIgnored": true,
                        "destination": "d", "checkout": {"depth": 5, "clean": "All"}},
                    "branch": "b", "baseBranch": "main",
                    "commit": {"message": "m", "authorName": "n", "authorEmail": "e@x"},
                    "pullRequest": {"title": "p", "body": "b", "draft": true,
                        "merge": {"policy": "WhenReady", "method": "squash"}}, "suspend": true}),
                [
                    "v2:9837acdb1ca1c4c19e372835293e25bda080cd2114a53ed876d95d6ea4afd42a",
                    "v2:f63e98da59a4e6f06128030e0a768b7057e03360777998ae0bba3ffa4d6a2afe",
                    "v2:154440ba2bf334f745b5c762681a33c996fb3f3af361e7f62c07e61263f717f0",
                ],
            ),
            (
                json!({"title": "T", "repositoryRef": {"name": "r"}, "sandboxTemplate": {}, "generate": {"command": ["a"]},
                    "source": {"path": "/a", "checkout": {}}}),
                [
                    "v2:5e9db9cdfe7d4691c3f413e7c7ccbc69d40ec8f57dc4e971de8e1d421dfec372",
                    "v2:aafbd262706f833d28abe0388fd6a43d94a60a6f3f8898afb53c1b7dd5a654f4",
                    "v2:88778848f5fdeb5cfab9f490e7f4f1d0e4544ea307c4a77e17c840b041104d25",
                ],
            ),
        ] {
            let spec = spec(recorded.clone());
            let found = [digest(&spec), publication_digest(&spec), sandbox_digest(&spec)];
            assert_eq!(found, expected, "{recorded}");
        }
    }

    /// The places of all defaults below `schema`, each with its value.
    fn all_defaults(schema: &Value, place: &[String], found: &mut Vec<(Vec<String>, Value)>) {
        if let Some(default) = schema.get("default").filter(|_| !place.is_empty()) {
            found.push((place.to_vec(), default.clone()));
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            all_defaults(property, &[place, std::slice::from_ref(name)].concat(), found);
        }
    }

    /// Else a release that adds a field with a default would rerun every Task.
    #[test]
    fn no_default_of_the_schema_is_part_of_an_input() {
        let crds = crate::api::crds::all();
        let task = crds.iter().find(|crd| crd["spec"]["names"]["kind"] == "Task").expect("a Task");
        let schema = &task["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        let mut all = Vec::new();
        all_defaults(schema, &[], &mut all);
        assert!(all.len() > 15, "{all:?}");
        for (place, default) in all {
            let mut short = json!({"title": "T", "repositoryRef": {"name": "r"}, "sandboxTemplate": {},
                "generate": {"command": ["a"]}, "source": {"path": "/a"}});
            let (name, parents) = place.split_last().expect("it has a name");
            let parent = parents.iter().fold(&mut short, |object, name| {
                let fields = object.as_object_mut().expect("an object");
                fields.entry(name).or_insert_with(|| json!({}))
            });
            let written = parent.as_object_mut().expect("an object");
            written.remove(name);
            let mut long = short.clone();
            long.pointer_mut(&pointer(parents)).expect("its parent")[name] = default;
            let [short, long] = [short, long].map(spec);
            for digest in [digest, publication_digest, sandbox_digest] {
                assert_eq!(digest(&short), digest(&long), "{place:?}");
            }
            let fields =
                ["generate", "source", "commit", "branch", "baseBranch", "sandboxRef", "sandboxTemplate"];
            let canonical = Value::Object(canonical(&long, &fields));
            assert_eq!(
                canonical.pointer(&pointer(&place)),
                None,
                "what nobody has set says something: {place:?}"
            );
        }
    }

    fn pointer(place: &[String]) -> String {
        place.iter().flat_map(|name| ["/", name]).collect()
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
        let [short, long] = [short, long].map(spec);
        assert_eq!(digest(&short), digest(&long));
        assert_eq!(publication_digest(&short), publication_digest(&long));
    }

    #[test]
    fn how_a_checkout_is_made_is_part_of_the_input() {
        let with = |checkout: Value| {
            digest(&spec(json!({"title": "T", "repositoryRef": {"name": "r"}, "sandboxRef": {"name": "s"},
                "source": {"path": "/a", "checkout": checkout}})))
        };
        let plain = with(json!({}));
        assert_eq!(plain, with(json!({"depth": 1, "clean": "KeepIgnored"})));
        for other in [json!({"depth": 2}), json!({"clean": "All"}), json!(null)] {
            assert_ne!(plain, with(other.clone()), "{other}");
        }
    }

    #[test]
    fn each_field_counts_for_the_one_or_the_other() {
        let base = smallest();
        let both = |value: &Value| (digest(&spec(value.clone())), publication_digest(&spec(value.clone())));
        let plain = both(&base);
        for (field, value, runs, publishes) in [
            ("title", json!("U"), true, false),
            ("description", json!("d"), true, false),
            ("generate", json!({"command": ["a"]}), true, false),
            ("source", json!({"path": "/b"}), true, false),
            ("source", json!({"path": "/a", "checkout": {}}), true, false),
            ("source", json!({"path": "/a", "includeIgnored": true}), false, true),
            ("source", json!({"path": "/a", "include": ["x"]}), false, true),
            ("source", json!({"path": "/a", "exclude": ["x"]}), false, true),
            ("commit", json!({"message": "m"}), false, true),
            ("branch", json!("b"), false, true),
            ("baseBranch", json!("b"), true, false),
            ("sandboxRef", json!({"name": "t"}), true, false),
            ("pullRequest", json!({"title": "t"}), false, false),
            ("suspend", json!(true), false, false),
        ] {
            let mut changed = base.clone();
            changed[field] = value;
            let changed = both(&changed);
            assert_eq!((changed.0 != plain.0, changed.1 != plain.1), (runs, publishes), "{field}");
        }
    }

    #[test]
    fn another_sandbox_is_known_by_the_reference_and_by_what_it_is_made_from() {
        let sandbox = |field: &str, value: Value| {
            let mut whole = json!({"title": "T", "repositoryRef": {"name": "r"}, "source": {"path": "/a"}, "branch": "b"});
            whole[field] = value;
            sandbox_digest(&spec(whole))
        };
        let own = |template: Value| sandbox("sandboxTemplate", json!({"spec": template}));
        let all = [
            sandbox("sandboxRef", json!({"name": "s"})),
            sandbox("sandboxRef", json!({"name": "t"})),
            own(json!({})),
            own(json!({"template": "x"})),
        ];
        assert_eq!(std::collections::BTreeSet::from(all.clone()).len(), all.len(), "{all:?}");
        assert_eq!(own(json!({"timeoutSeconds": 600})), all[2], "it follows in place");
        assert_eq!(sandbox("title", json!("U")), sandbox("branch", json!("c")), "nothing else counts");
    }

    #[test]
    fn what_follows_a_template_in_place_is_no_new_input() {
        let with = |template: Value| {
            digest(&spec(json!({"title": "T", "repositoryRef": {"name": "r"}, "source": {"path": "/a"},
                "sandboxTemplate": {"spec": template}})))
        };
        let plain = with(json!({}));
        assert_eq!(plain, with(json!({"timeoutSeconds": 600, "suspend": true})));
        for other in
            [json!({"template": "x"}), json!({"onTimeout": "Kill"}), json!({"deletionPolicy": "Pause"})]
        {
            assert_ne!(plain, with(other.clone()), "{other}");
        }
    }
}
