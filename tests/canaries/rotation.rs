//! Secrets that change while a command runs, or before it: the old value is still in the sandbox.

use crate::{
    canary_task, nothing_leaked, stuck,
    world::{Manifest, World, gate::Gate, sandbox, task, wait::message_of},
    world_of,
};
use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;
use slipway::api::{Sandbox, SandboxState};

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

/// A Sandbox that has lived for long, with a value from the Secret `box`; it runs.
async fn long_lived(world: &World) -> Result<Sandbox> {
    let from = json!([{"name": "BOX", "valueFrom": {"secretKeyRef": {"name": "box", "key": "value"}}}]);
    world.apply(&sandbox("dev").with("/spec/env", from)).await?;
    let runs = |sandbox: &Sandbox| {
        sandbox.status.as_ref().is_some_and(|status| status.state == Some(SandboxState::Running))
    };
    world.sandbox("dev", "it runs", runs).await
}

/// A Task in it that was given nothing itself.
fn guest(name: &str) -> Manifest {
    let script = r#"echo "box=$BOX"; echo "KEY=$BOX" > .env"#;
    task(name, "app", script).without("sandboxTemplate").with("/spec/sandboxRef", json!({"name": "dev"}))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_a_sandbox_has_from_its_creation_is_masked_and_found() -> Result<()> {
    let world = world_of("canary-old").await?;
    let made = long_lived(&world).await?;
    let versions = made.status.map(|status| status.secret_versions).unwrap_or_default();
    ensure!(versions.iter().map(|version| version.name.as_str()).eq(["box"]), "{versions:?}");
    rotate(&world, "box").await?;
    world.apply(&guest("later")).await?;
    let held = stuck(&world, "later", "SecretInFiles").await?;
    let shown = message_of(&held, "Generated");
    ensure!(shown.contains("box=***"), "{shown}");
    nothing_leaked(&world).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_sandbox_has_from_its_creation_and_nobody_knows_is_neither_shown_nor_sent() -> Result<()> {
    let mut world = world_of("canary-older").await?;
    let made = long_lived(&world).await?;
    world.terminate_controller().await?;
    rotate(&world, "box").await?;
    world.start_controller()?;
    // One whose command tells, and one without a command, whose file somebody has put there.
    world.apply(&guest("later")).await?;
    let held = stuck(&world, "later", "SecretRotated").await?;
    let said = message_of(&held, "Ready");
    ensure!(said.contains("Secret box has changed") && said.contains("slipway.dev/reconcile"), "{said}");
    let id = made.status.and_then(|status| status.sandbox_id).unwrap_or_default();
    ensure!(world.simulator.e2b.host_path(&id, "/home/user/app/.env").is_some_and(|file| file.exists()));
    world.apply(&guest("idle").without("generate")).await?;
    stuck(&world, "idle", "SecretRotated").await?;
    nothing_leaked(&world).await
}
