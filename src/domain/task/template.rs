//! A Task's own Sandbox against the `sandboxTemplate` it was made from: what has to change, and how.
//! `stage` asks it through the Sandbox's view; the patch is made by the Task controller.

use crate::api::{SandboxSpec, common::EnvVar};

/// How an own Sandbox differs from its template.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Drift {
    /// In fields that change in place.
    pub mutable: bool,
    /// In fields that are frozen while an E2B sandbox stands for the object: only another Sandbox has them.
    pub frozen: bool,
}

impl Drift {
    pub fn between(sandbox: &SandboxSpec, template: &SandboxSpec) -> Self {
        let followed = followed(sandbox, template);
        let same_frozen = followed.template == template.template
            && followed.on_timeout == template.on_timeout
            && followed.metadata == template.metadata
            && by_name(&followed.env) == by_name(&template.env);
        Self { mutable: followed != *sandbox, frozen: !same_frozen }
    }
}

/// The spec of the Sandbox once it follows its template as far as it can in place. `suspend` is a switch for people:
/// the template gives its first position only.
pub fn followed(sandbox: &SandboxSpec, template: &SandboxSpec) -> SandboxSpec {
    SandboxSpec {
        template: sandbox.template.clone(),
        on_timeout: sandbox.on_timeout,
        env: sandbox.env.clone(),
        metadata: sandbox.metadata.clone(),
        suspend: sandbox.suspend,
        ..template.clone()
    }
}

/// The list is a map by name to the API server: its order says nothing.
fn by_name(env: &[EnvVar]) -> Vec<&EnvVar> {
    let mut sorted: Vec<&EnvVar> = env.iter().collect();
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
    fn every_field_is_followed_in_place_or_by_another_sandbox() {
        let same = Drift::default();
        let (mutable, frozen) =
            (Drift { mutable: true, frozen: false }, Drift { mutable: false, frozen: true });
        let env = |value: &str| json!([{"name": "A", "value": value}, {"name": "B", "value": "b"}]);
        for (sandbox, template, drift) in [
            (json!({}), json!({}), same),
            (json!({"template": "base", "timeoutSeconds": 300, "recovery": {}}), json!({}), same),
            (json!({"suspend": true}), json!({}), same),
            (json!({}), json!({"suspend": true}), same),
            (json!({"env": env("a")}), json!({"env": [env("a")[1], env("a")[0]]}), same),
            (json!({}), json!({"timeoutSeconds": 600}), mutable),
            (json!({}), json!({"operatingMode": "Running"}), mutable),
            (json!({}), json!({"deletionPolicy": "Retain"}), mutable),
            (json!({"deletionPolicy": "Retain"}), json!({}), mutable),
            (json!({}), json!({"recovery": {"policy": "Hold"}}), mutable),
            (json!({}), json!({"credentialsSecretRef": {"name": "e2b"}}), mutable),
            (json!({}), json!({"template": "other"}), frozen),
            (json!({}), json!({"onTimeout": "Kill"}), frozen),
            (json!({"env": env("a")}), json!({"env": env("c")}), frozen),
            (json!({"env": env("a")}), json!({}), frozen),
            (json!({}), json!({"metadata": {"team": "a"}}), frozen),
            (
                json!({}),
                json!({"template": "other", "timeoutSeconds": 600}),
                Drift { mutable: true, frozen: true },
            ),
        ] {
            let (sandbox, template) = (spec(sandbox), spec(template));
            assert_eq!(Drift::between(&sandbox, &template), drift, "{sandbox:?} against {template:?}");
            let patched = followed(&sandbox, &template);
            let left = Drift { mutable: false, frozen: drift.frozen };
            assert_eq!(Drift::between(&patched, &template), left, "a patch is enough");
        }
    }
}
