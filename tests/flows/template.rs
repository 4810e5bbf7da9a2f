//! A Task's own Sandbox is as its `sandboxTemplate` says when a round begins in it; two fields follow in place.
//! Neighbours: `sandbox` is about sandboxes that come and go by themselves.

use crate::{
    story::{known_repository, reviewed},
    world,
    world::{PATIENCE, World, gate::Gate, task, wait::message_of, within},
};
use anyhow::{Context as _, Result, ensure};
use kube::{ResourceExt as _, api::ListParams};
use serde_json::json;
use slipway::{api::Sandbox, domain::demand};

/// Name of the Task's own Sandbox.
async fn own(world: &World, name: &str) -> Result<String> {
    Ok(demand::sandbox_name(&world.tasks().get(name).await?))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_follows_in_place_leaves_the_command_alone_and_the_rest_takes_another_round() -> Result<()> {
    let world = world("template").await?;
    known_repository(&world).await?;
    let manifest = task("fits", "app", &Gate::script(&world, "echo ${MODE:-one} > mode"));
    world.apply(&manifest).await?;
    let gate = Gate::reached(&world).await?;
    let first = world.simulator.e2b.sandboxes().pop().context("a sandbox")?.sandbox_id;

    let longer = manifest.clone().with("/spec/sandboxTemplate/spec/timeoutSeconds", json!(600));
    longer.patch(world.client.clone(), &world.namespace).await?;
    let name = own(&world, "fits").await?;
    let patched = world
        .sandbox(&name, "timeoutSeconds of the template", |sandbox: &Sandbox| {
            sandbox.spec.timeout_seconds == 600
        })
        .await?;
    ensure!(gate.runs(), "the command goes on");
    ensure!(world.tasks().get("fits").await?.status.and_then(|status| status.round) == Some(1));

    let spec = json!({
        "credentialsSecretRef": {"name": "e2b"}, "timeoutSeconds": 600, "env": [{"name": "MODE", "value": "two"}],
    });
    let changed = manifest.with("/spec/sandboxTemplate/spec", spec);
    changed.patch(world.client.clone(), &world.namespace).await?;
    let next = within(PATIENCE, "the next sandbox alone", || async {
        let sandboxes = world.simulator.e2b.sandboxes();
        (sandboxes.len() == 1 && sandboxes[0].sandbox_id != first).then_some(())
    });
    next.await.with_context(|| world.logs())?;
    let gate = Gate::reached(&world).await?;
    gate.open()?;
    reviewed(&world, "fits").await?;
    ensure!(gate.file("mode")? == "two\n");
    let counters = world.simulator.e2b.counters();
    ensure!(counters.creates == 2 && counters.deletes == 1, "{counters:?}");
    let own = world.sandboxes().list(&ListParams::default()).await?.items;
    ensure!(own.len() == 1 && own[0].metadata.uid != patched.metadata.uid, "{own:?}");
    ensure!(own[0].name_any() == format!("{name}-2"), "named with its round: {}", own[0].name_any());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_template_that_nobody_knows_is_mended_in_the_task() -> Result<()> {
    let world = world("unknown").await?;
    known_repository(&world).await?;
    let manifest = task("typo", "app", "echo hello > hello");
    world.apply(&manifest.clone().with("/spec/sandboxTemplate/spec/template", json!("bsae"))).await?;
    let stalled = world.task("typo", "stalled", |task| message_of(task, "Stalled").contains("bsae")).await?;
    ensure!(message_of(&stalled, "Stalled").contains("TemplateNotFound"), "{:?}", stalled.status);
    let mended = manifest.with("/spec/sandboxTemplate/spec/template", json!("base"));
    mended.patch(world.client.clone(), &world.namespace).await?;
    reviewed(&world, "typo").await?;
    Ok(())
}
