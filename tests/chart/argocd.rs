//! What Argo CD makes of our objects by the script of `deploy/argocd`, run as Argo CD runs it: in Lua 5.1.
//! The objects are recorded ones and made-up ones.

use crate::helm::root;
use anyhow::{Context as _, Result, ensure};
use mlua::{Lua, LuaSerdeExt as _};
use serde_json::{Map, Value, json};
use std::fs;

/// What is merged into Argo CD's ConfigMap.
fn data() -> Result<Map<String, Value>> {
    let patch = fs::read_to_string(root().join("deploy/argocd/argocd-cm.yaml"))?;
    let patch: Value = serde_saphyr::from_str(&patch)?;
    patch["data"].as_object().cloned().context("data")
}

/// The script, which is the same for each kind.
fn script() -> Result<String> {
    let key = "resource.customizations.health.slipway.dev_Task";
    Ok(data()?[key].as_str().context("a script")?.to_owned())
}

/// A key that others write too would replace what they have written.
#[test]
fn the_patch_has_one_key_for_each_kind_and_touches_no_other() -> Result<()> {
    let kinds = ["Repository", "Sandbox", "Task"];
    let expected = kinds.map(|kind| format!("resource.customizations.health.slipway.dev_{kind}"));
    let data = data()?;
    ensure!(data.keys().eq(&expected), "{:?}", data.keys());
    let script = script()?;
    ensure!(data.values().all(|value| *value == script), "one script for all");
    Ok(())
}

/// Status and message, by the script.
fn health(object: &Value) -> Result<(String, String)> {
    let lua = Lua::new();
    lua.globals().set("obj", lua.to_value(object)?)?;
    let health: Value = lua.from_value(lua.load(script()?).eval()?)?;
    let text = |field: &str| health[field].as_str().map(str::to_owned).context(field.to_owned());
    Ok((text("status")?, text("message")?))
}

#[test]
fn an_object_is_healthy_only_when_the_operator_has_looked_and_has_nothing_left_to_do() -> Result<()> {
    let condition = |kind: &str, status: &str, reason: &str| json!({"type": kind, "status": status, "reason": reason, "message": "why"});
    let object = |generation: i64, conditions: Value| {
        let status = json!({"observedGeneration": generation, "conditions": conditions});
        json!({"metadata": {"generation": 2}, "status": status})
    };
    let ready = condition("Ready", "True", "InReview");
    let not_ready = condition("Ready", "False", "Retrying");
    let stalled = condition("Stalled", "True", "TemplateNotFound");
    for (object, status, message) in [
        (json!({"metadata": {"generation": 1}}), "Progressing", "not looked at it yet"),
        (object(1, json!([ready])), "Progressing", "not looked at it yet"),
        (object(2, json!([ready])), "Healthy", "InReview: why"),
        (object(2, json!([not_ready])), "Progressing", "Retrying: why"),
        (object(2, json!([not_ready, stalled])), "Degraded", "TemplateNotFound: why"),
        (object(2, json!([condition("Ready", "True", "Suspended")])), "Suspended", "Suspended: why"),
    ] {
        let (found, said) = health(&object)?;
        ensure!(found == status && said.contains(message), "{object}: {found}, {said}");
    }
    Ok(())
}

#[test]
fn recorded_objects_have_the_health_that_their_names_say() -> Result<()> {
    let recorded = |stage: &str| -> Result<Value> {
        let path = root().join(format!("tests/upgrade/v0.1.0/{stage}.json"));
        let objects: Value = serde_json::from_str(&fs::read_to_string(path)?)?;
        Ok(objects["task"].clone())
    };
    for (stage, status) in [
        ("never-looked-at", "Progressing"),
        ("generating", "Progressing"),
        ("in-review", "Healthy"),
        ("done", "Healthy"),
        ("generation-failed", "Degraded"),
        ("stalled-branch-refused", "Degraded"),
    ] {
        let found = health(&recorded(stage)?)?;
        ensure!(found.0 == status, "{stage}: {found:?}");
    }
    Ok(())
}
