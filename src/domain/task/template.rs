//! A Task's own Sandbox against the `sandboxTemplate` it was made from: what follows it in place, and what takes another.
//! Used by `round` and `sandbox`; the patch is made by the Task controller.

use crate::api::{SandboxSpec, common::EnvVar};

/// Returns the Sandbox's spec with what follows its template in place: `timeoutSeconds` and `suspend`.
pub fn apply_in_place(sandbox: &SandboxSpec, template: &SandboxSpec) -> SandboxSpec {
    SandboxSpec { timeout_seconds: template.timeout_seconds, suspend: template.suspend, ..sandbox.clone() }
}

/// Returns whether only another Sandbox would be as the template says.
pub fn needs_another(sandbox: &SandboxSpec, template: &SandboxSpec) -> bool {
    let sorted = |spec: &SandboxSpec| SandboxSpec { env: by_name(&spec.env), ..spec.clone() };
    sorted(&apply_in_place(sandbox, template)) != sorted(template)
}

/// The list is a map by name to the API server: its order says nothing.
fn by_name(env: &[EnvVar]) -> Vec<EnvVar> {
    let mut sorted = env.to_vec();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn spec(value: Value) -> SandboxSpec {
        serde_json::from_value(value).expect("a spec")
    }

    #[test]
    fn two_fields_follow_in_place_and_every_other_takes_another_sandbox() {
        let env = |value: &str| json!([{"name": "A", "value": value}, {"name": "B", "value": "b"}]);
        for (sandbox, template, another) in [
            (json!({}), json!({}), false),
            (json!({"template": "base", "timeoutSeconds": 300, "recovery": {}}), json!({}), false),
            (json!({"suspend": true}), json!({}), false),
            (json!({}), json!({"suspend": true}), false),
            (json!({}), json!({"timeoutSeconds": 600}), false),
            (json!({"env": env("a")}), json!({"env": [env("a")[1], env("a")[0]]}), false),
            (json!({}), json!({"operatingMode": "Running"}), true),
            (json!({}), json!({"deletionPolicy": "Retain"}), true),
            (json!({}), json!({"recovery": {"policy": "Hold"}}), true),
            (json!({}), json!({"credentialsSecretRef": {"name": "e2b"}}), true),
            (json!({}), json!({"template": "other"}), true),
            (json!({}), json!({"onTimeout": "Kill"}), true),
            (json!({"env": env("a")}), json!({"env": env("c")}), true),
            (json!({"env": env("a")}), json!({}), true),
            (json!({}), json!({"metadata": {"team": "a"}}), true),
        ] {
            let (sandbox, template) = (spec(sandbox), spec(template));
            assert_eq!(needs_another(&sandbox, &template), another, "{sandbox:?} against {template:?}");
            let patched = apply_in_place(&sandbox, &template);
            assert!(patched == template || another || patched.env != template.env);
            assert_eq!(needs_another(&patched, &template), another, "a patch does not hide the rest");
        }
    }
}
