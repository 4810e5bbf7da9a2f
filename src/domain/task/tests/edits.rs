//! Edits of a Task's spec in the random walks: every field that the API has, as far as the API server admits it.
//! Used by `events`; a field that is added to the API and not here fails a test.

use super::{dice::Dice, *};
use crate::api::{PullRequestState, State, TaskSpec, crds};
use serde_json::{Value, json};

/// Each field of the spec, and what it may be set to: JSON, `null` where it is taken away.
const FIELDS: &[(&str, &[&str])] = &[
    ("title", &[r#""Do it""#, r#""Do it well""#]),
    ("description", &["null", r#""one""#, r#""two""#]),
    // The API server refuses every change.
    ("repositoryRef.name", &[]),
    ("sandboxRef.name", &[r#""box""#, r#""box""#, r#""second""#, r#""theirs""#, r#""absent""#]),
    ("sandboxTemplate.spec.template", &[r#""base""#, r#""other""#]),
    ("sandboxTemplate.spec.credentialsSecretRef.name", &["null", r#""key""#]),
    ("sandboxTemplate.spec.operatingMode", &[r#""OnDemand""#, r#""Running""#]),
    ("sandboxTemplate.spec.timeoutSeconds", &["300", "600"]),
    ("sandboxTemplate.spec.onTimeout", &[r#""Pause""#, r#""Kill""#]),
    ("sandboxTemplate.spec.env", &["[]", r#"[{"name": "A", "value": "1"}]"#]),
    ("sandboxTemplate.spec.metadata", &["{}", r#"{"team": "a"}"#]),
    ("sandboxTemplate.spec.recovery.policy", &[r#""Recreate""#, r#""Hold""#]),
    ("sandboxTemplate.spec.deletionPolicy", &["null", r#""Retain""#]),
    ("sandboxTemplate.spec.suspend", &["false", "true"]),
    ("generate.command", &[r#"["make"]"#, r#"["make", "all"]"#]),
    ("generate.workingDir", &["null", r#""/work""#]),
    ("generate.timeoutSeconds", &["3600", "60", "10"]),
    ("generate.maxAttempts", &["1", "3"]),
    ("generate.env", &["[]", r#"[{"name": "B", "value": "2"}]"#]),
    ("source.path", &[r#""/app""#, r#""/lib""#]),
    ("source.checkout.depth", &["1", "5"]),
    ("source.checkout.clean", &[r#""KeepIgnored""#, r#""All""#]),
    ("source.include", &["[]", r#"["src/"]"#]),
    ("source.exclude", &["[]", r#"["*.log"]"#]),
    ("source.destination", &["null", r#""docs""#]),
    ("source.includeIgnored", &["false", "true"]),
    ("branch", &["null", r#""feature/x""#, r#""feature/y""#]),
    ("baseBranch", &["null", r#""main""#, r#""release""#, r#""gone""#]),
    ("commit.message", &["null", r#""words""#]),
    ("commit.authorName", &["null", r#""A""#]),
    ("commit.authorEmail", &["null", r#""a@b""#]),
    ("pullRequest.title", &["null", r#""Title""#]),
    ("pullRequest.body", &["null", r#""Body""#]),
    ("pullRequest.draft", &["false", "false", "true"]),
    ("pullRequest.labels", &["[]", r#"["ai"]"#]),
    ("pullRequest.reviewers", &["[]", r#"["ann"]"#]),
    ("pullRequest.teamReviewers", &["[]", r#"["team"]"#]),
    ("pullRequest.deleteBranch", &["false", "true"]),
    ("pullRequest.merge.policy", &[r#""Manual""#, r#""WhenReady""#]),
    ("pullRequest.merge.method", &[r#""merge""#, r#""squash""#]),
    ("pullRequest.merge.requireChecks", &["true", "false"]),
    ("suspend", &["true", "false", "false"]),
];

/// What exists or not as a whole: a part of it is set only where it does.
const WHOLE: [&str; 3] = ["sandboxRef", "sandboxTemplate", "generate"];

impl World {
    /// Somebody sets a field, or writes the sandbox or the command anew.
    pub(super) fn edit_something(&mut self, dice: &mut Dice) {
        let mut spec = serde_json::to_value(&self.task.spec).expect("JSON");
        let before = spec.clone();
        match dice.roll(12) {
            0 => switch_sandbox(&mut spec, dice),
            1 => {
                spec["generate"] = dice.one_of(&[json!(null), json!({"command": ["make"]})]);
            }
            2 => spec["suspend"] = json!(dice.one_in(3)),
            3 => spec["source"]["checkout"] = dice.one_of(&[json!(null), json!({})]),
            _ => {
                let (field, values) = dice.one_of(FIELDS);
                if !values.is_empty() {
                    let value = serde_json::from_str(dice.one_of(values)).expect("JSON");
                    set(&mut spec, field, value);
                }
            }
        }
        if spec != before
            && let Ok(spec) = serde_json::from_value::<TaskSpec>(spec)
            && self.admits(&spec)
        {
            self.edit(|old| *old = spec);
        }
    }

    /// The rules of the API server for a changed spec.
    pub(super) fn admits(&self, new: &TaskSpec) -> bool {
        let (old, status) = (&self.task.spec, self.status());
        let frozen = status.pull_request.is_some_and(|pull| pull.state != PullRequestState::Closed)
            || status.state == State::Done;
        let same = new.branch == old.branch
            && new.base_branch == old.base_branch
            && new.sandbox_ref == old.sandbox_ref
            && new.sandbox_template == old.sandbox_template;
        let checkout =
            new.source.checkout.is_none() || (new.generate.is_some() && new.source.destination.is_none());
        new.sandbox_ref.is_some() != new.sandbox_template.is_some() && checkout && (same || !frozen)
    }
}

fn switch_sandbox(spec: &mut Value, dice: &mut Dice) {
    if spec["sandboxRef"].is_null() {
        spec["sandboxTemplate"].take();
        spec["sandboxRef"] = json!({"name": dice.one_of(&["box", "box", "second"])});
    } else {
        spec["sandboxRef"].take();
        spec["sandboxTemplate"] = json!({"spec": {"template": dice.one_of(&["base", "other"])}});
    }
}

fn set(spec: &mut Value, field: &str, value: Value) {
    let mut at = &mut *spec;
    for (depth, key) in field.split('.').enumerate() {
        if depth == 0 && at[key].is_null() && WHOLE.contains(&key) {
            return;
        }
        at = &mut at[key];
    }
    *at = value;
}

/// Every field of an object schema, down to scalars, lists and maps.
fn fields(schema: &Value, path: &str, found: &mut Vec<String>) {
    match schema["properties"].as_object() {
        Some(properties) => {
            for (key, schema) in properties {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                fields(schema, &path, found);
            }
        }
        None => found.push(path.to_owned()),
    }
}

#[test]
fn the_walks_edit_every_field_that_the_api_has() {
    let crds = crds::all();
    let task = crds.iter().find(|crd| crd["spec"]["names"]["kind"] == "Task").expect("there");
    let schema = &task["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let mut there = Vec::new();
    fields(&schema["properties"]["spec"], "", &mut there);
    there.sort_unstable();
    let mut edited: Vec<_> = FIELDS.iter().map(|(field, _)| (*field).to_owned()).collect();
    edited.sort_unstable();
    assert_eq!(edited, there);
}
