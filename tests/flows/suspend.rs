//! `spec.suspend` on each kind: no further call, nothing lost, and the board still follows people.

use crate::{
    story::{reviewed, to_review},
    world,
    world::{PATIENCE, World, gate::Gate, repository, sandbox, task, within},
};
use anyhow::{Context as _, Result, ensure};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use slipway::api::{PullRequestState, State, Task};
use slipway_simulator::github::MergeMethod;
use std::time::Duration;

/// Longer than a running command is left unlooked at.
const QUIET: Duration = Duration::from_secs(6);

fn suspended(yes: bool) -> Patch<Value> {
    Patch::Merge(json!({"spec": {"suspend": yes}}))
}

async fn suspend_task(world: &World, name: &str, yes: bool) -> Result<()> {
    world.tasks().patch(name, &PatchParams::default(), &suspended(yes)).await?;
    if yes {
        world.task_because(name, "Suspended").await?;
    }
    Ok(())
}

fn merge(world: &World, number: u64) -> Result<()> {
    let merged = world.simulator.github.merge("acme/app", number, MergeMethod::Merge);
    merged.map(drop).map_err(|refused| anyhow::anyhow!("{refused:?}"))
}

/// A delivery has moved the Task to `done`; whether GitHub's own word is still awaited.
fn is_done(task: &Task, unconfirmed: bool) -> bool {
    task.status.as_ref().is_some_and(|status| {
        let merged = |pull: &slipway::api::PullRequest| {
            pull.state == PullRequestState::Merged && pull.unconfirmed == unconfirmed
        };
        status.state == State::Done && status.pull_request.as_ref().is_some_and(merged)
    })
}

async fn no_call_since(world: &World, seq: u64) -> Result<()> {
    tokio::time::sleep(QUIET).await;
    let calls = world.simulator.calls.since(seq);
    let calls: Vec<_> = calls.iter().map(|call| format!("{} {}", call.api, call.endpoint)).collect();
    ensure!(calls.is_empty(), "called while suspended: {calls:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_task_calls_nobody_and_follows_its_pull_request() -> Result<()> {
    let world = world("hold-task").await?;
    // A sync is a call that suspends with its Repository, not with the Task.
    world.apply(&repository("app").with("/spec/syncIntervalSeconds", json!(86_400))).await?;
    world.apply(&task("held", "app", &Gate::script(&world, "echo made > made"))).await?;
    let gate = Gate::reached(&world).await?;
    suspend_task(&world, "held", true).await?;
    let seq = world.simulator.calls.last_seq();
    gate.open()?;
    within(PATIENCE, "the command's result", || async { gate.file("made").ok() }).await?;
    no_call_since(&world, seq).await?;

    suspend_task(&world, "held", false).await?;
    let number = reviewed(&world, "held").await?;
    world.hook("acme/app")?;
    suspend_task(&world, "held", true).await?;
    let seq = world.simulator.calls.last_seq();
    merge(&world, number)?;
    world.task("held", "done by a delivery", |task| is_done(task, true)).await?;
    no_call_since(&world, seq).await?;
    ensure!(world.simulator.e2b.sandboxes().len() == 1, "the sandbox went before GitHub's own word");

    suspend_task(&world, "held", false).await?;
    world.task("held", "done and confirmed", |task| is_done(task, false)).await?;
    within(PATIENCE, "the sandbox's end", || async {
        world.simulator.e2b.sandboxes().is_empty().then_some(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_sandbox_comes_up_with_the_resume() -> Result<()> {
    let world = world("hold-box").await?;
    world.apply(&repository("app")).await?;
    world.apply(&sandbox("box").with("/spec/suspend", true.into())).await?;
    let shared = task("waits", "app", "echo hello > hello")
        .without("sandboxTemplate")
        .with("/spec/sandboxRef", json!({"name": "box"}));
    world.apply(&shared).await?;
    world
        .sandbox("box", "suspended", |sandbox| {
            let conditions = sandbox.status.as_ref().map(|status| status.conditions.as_slice());
            conditions.unwrap_or_default().iter().any(|c| c.type_ == "Ready" && c.reason == "Suspended")
        })
        .await?;
    world.task_because("waits", "SandboxNotReady").await?;
    ensure!(world.simulator.calls.count(|call| call.api != "github") == 0, "E2B was called");

    world.sandboxes().patch("box", &PatchParams::default(), &suspended(false)).await?;
    reviewed(&world, "waits").await?;
    world.sandboxes().patch("box", &PatchParams::default(), &suspended(true)).await?;
    world.sandboxes().delete("box", &Default::default()).await?;
    within(PATIENCE, "the suspended Sandbox's end", || async {
        let gone = world.sandboxes().get_opt("box").await.ok()?.is_none();
        (gone && world.simulator.e2b.sandboxes().is_empty()).then_some(())
    })
    .await
    .with_context(|| world.logs())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_repository_holds_its_tasks_and_deliveries_still_move_them() -> Result<()> {
    let world = world("hold-repo").await?;
    let number = to_review(&world, "open", "echo open > open").await?;
    world.repositories().patch("app", &PatchParams::default(), &suspended(true)).await?;
    world
        .repository("app", "suspended", |repository| {
            let conditions = repository.status.as_ref().map(|status| status.conditions.as_slice());
            conditions.unwrap_or_default().iter().any(|c| c.type_ == "Ready" && c.reason == "Suspended")
        })
        .await?;
    let seq = world.simulator.calls.last_seq();
    world.apply(&task("late", "app", "echo late > late")).await?;
    world.task_because("late", "RepositorySuspended").await?;
    merge(&world, number)?;
    world.task("open", "done by a delivery", |task| is_done(task, true)).await?;
    no_call_since(&world, seq).await?;

    world.repositories().patch("app", &PatchParams::default(), &suspended(false)).await?;
    world.task("open", "done and confirmed", |task| is_done(task, false)).await?;
    reviewed(&world, "late").await?;
    Ok(())
}
