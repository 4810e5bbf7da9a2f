//! Secrets that change while a command runs: the old value is still in the sandbox.

use crate::{
    canary_task, nothing_leaked, stuck,
    world::{World, gate::Gate, wait::message_of},
    world_of,
};
use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;

/// Prints and writes what the command was given.
const TELLS: &str = r#"echo "plain=$PLAIN box=$BOX"; echo "KEY=$PLAIN" > .env"#;

async fn rotate(world: &World, name: &str) -> Result<()> {
    let secrets: Api<Secret> = Api::namespaced(world.client.clone(), &world.namespace);
    let new = json!({"stringData": {"value": "another-value-of-the-secret"}});
    secrets.patch(name, &PatchParams::default(), &Patch::Merge(new)).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_was_rotated_while_the_command_ran_is_masked_and_found() -> Result<()> {
    let world = world_of("canary-rotate").await?;
    world.apply(&canary_task("rotated", &Gate::script(&world, TELLS))).await?;
    let gate = Gate::reached(&world).await?;
    rotate(&world, "plain").await?;
    rotate(&world, "box").await?;
    gate.open()?;
    let held = stuck(&world, "rotated", "SecretInFiles").await?;
    let shown = message_of(&held, "Generated");
    ensure!(shown.contains("plain=*** box=***"), "{shown}");
    nothing_leaked(&world).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_nobody_knows_any_more_is_neither_shown_nor_sent() -> Result<()> {
    let mut world = world_of("canary-forgot").await?;
    world.apply(&canary_task("forgotten", &Gate::script(&world, TELLS))).await?;
    let gate = Gate::reached(&world).await?;
    world.terminate_controller().await?;
    rotate(&world, "plain").await?;
    gate.open()?;
    world.start_controller()?;
    let held = stuck(&world, "forgotten", "SecretRotated").await?;
    let said = message_of(&held, "Ready");
    ensure!(said.contains("Secret plain has changed") && said.contains("slipway.dev/reconcile"), "{said}");
    nothing_leaked(&world).await
}
