//! Objects as earlier releases have left them in the API server: today's types read them and lose nothing.
//! One folder per release with one file per stage; its README says how they were recorded.

mod carried;

use serde_json::{Map, Value};
use slipway::api::{Repository, Sandbox, Task};
use std::{collections::BTreeMap, path::PathBuf};

/// Fields that today's types drop, each with the reason; `object.field.field`, list positions left out.
const DROPPED: [&str; 0] = [];

/// Fields of today that the recorded objects lack and that have a default.
const DEFAULTED: [&str; 3] = [
    "repository.spec.checks",
    "task.spec.pullRequest.deleteBranch",
    "task.spec.pullRequest.merge.requireChecks",
];

/// The stages of one release by name.
fn recorded(release: &str) -> BTreeMap<String, Map<String, Value>> {
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.expect("a readable folder").path();
        let name = path.file_stem()?.to_str()?.to_owned();
        path.extension().filter(|extension| *extension == "json")?;
        let text = std::fs::read_to_string(&path).expect("a readable file");
        let objects = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        Some((name, objects))
    };
    std::fs::read_dir(folder(release)).expect("the folder of a release").filter_map(read).collect()
}

fn folder(release: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/upgrade").join(release)
}

/// What today's type makes of a recorded object.
fn through_todays_type(kind: &str, object: &Value) -> Result<Value, serde_json::Error> {
    fn there_and_back<K: serde::Serialize + serde::de::DeserializeOwned>(
        object: &Value,
    ) -> Result<Value, serde_json::Error> {
        serde_json::to_value(serde_json::from_value::<K>(object.clone())?)
    }
    match kind {
        "task" => there_and_back::<Task>(object),
        "sandbox" => there_and_back::<Sandbox>(object),
        "repository" => there_and_back::<Repository>(object),
        other => panic!("no kind is called {other}"),
    }
}

/// Every place where `after` is not as `before`, with both values.
fn differences(at: &str, before: &Value, after: &Value, found: &mut Vec<(String, Value, Value)>) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            let keys: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
            for key in keys {
                let side = |side: &Map<String, Value>| side.get(key).cloned().unwrap_or_default();
                differences(&format!("{at}.{key}"), &side(before), &side(after), found);
            }
        }
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
            for (before, after) in before.iter().zip(after) {
                differences(at, before, after, found);
            }
        }
        (before, after) if before == after => {}
        (before, after) => found.push((at.to_owned(), before.clone(), after.clone())),
    }
}

#[test]
fn todays_types_read_every_recorded_object_and_lose_nothing() {
    let stages = recorded("v0.1.0");
    assert!(stages.len() >= 22, "only {} stages", stages.len());
    let mut found = Vec::new();
    for (stage, objects) in &stages {
        let kinds: Vec<_> = objects.keys().map(String::as_str).collect();
        assert_eq!(kinds, ["repository", "sandbox", "task"], "{stage}");
        assert!(objects["task"].is_object(), "{stage} has no Task");
        for (kind, object) in objects.iter().filter(|(_, object)| !object.is_null()) {
            match through_todays_type(kind, object) {
                Ok(after) => differences(kind, object, &after, &mut found),
                Err(error) => panic!("{stage}: today's {kind} can't be read from it: {error}"),
            }
        }
    }
    found.retain(|(at, before, _)| {
        let defaulted = before.is_null() && DEFAULTED.contains(&at.as_str());
        !defaulted && !DROPPED.contains(&at.as_str())
    });
    found.dedup();
    assert!(found.is_empty(), "today's types change what was recorded: {found:#?}");
}

#[test]
fn a_field_that_is_lost_or_made_up_is_found() {
    let before = serde_json::json!({"status": {"runs": [{"id": "a", "old": 1}]}});
    let after = serde_json::json!({"status": {"runs": [{"id": "a", "new": 2}]}});
    let mut found = Vec::new();
    differences("task", &before, &after, &mut found);
    let places: Vec<_> = found.iter().map(|(at, ..)| at.as_str()).collect();
    assert_eq!(places, ["task.status.runs.new", "task.status.runs.old"]);
}

#[test]
fn every_recorded_stage_is_described() {
    let readme = std::fs::read_to_string(folder("v0.1.0").join("README.md")).expect("a README");
    let described = readme.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let described: Vec<_> = described.map(|(stage, _)| stage.to_owned()).collect();
    let mut sorted = described.clone();
    sorted.sort();
    let stages: Vec<_> = recorded("v0.1.0").into_keys().collect();
    assert_eq!(sorted, stages, "the README's table and the folder differ");
}

#[test]
fn the_recordings_are_clean() {
    for (stage, objects) in recorded("v0.1.0") {
        let text = Value::from(objects).to_string();
        assert!(!text.contains("managedFields"), "{stage} has managedFields");
        for secret in ["s3cr3t-value", "slipway-bot-token", "a-webhook-secret-of", "e2b_0000"] {
            assert!(!text.contains(secret), "{stage} has the value of a Secret");
        }
    }
}
