//! What a deleted object leaves behind: nothing of ours but what people may still want.

use crate::{
    story::to_review,
    world,
    world::{Manifest, PATIENCE, World, gate::Gate, repository, sandbox, task, within},
};
use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use slipway_simulator::{
    core::{Action, Rule},
    e2b::State as Life,
};

const PULLS: &str = "POST /repos/{owner}/{repo}/pulls";
const NAME: &str = "late";

/// A Task in a Sandbox that outlives it.
fn shared(name: &str, script: &str) -> Manifest {
    task(name, "app", script).without("sandboxTemplate").with("/spec/sandboxRef", json!({"name": "box"}))
}

async fn delete(world: &World, name: &str) -> Result<()> {
    world.tasks().delete(name, &Default::default()).await?;
    Ok(())
}

async fn gone(world: &World, name: &str) -> Result<()> {
    within(PATIENCE, &format!("the end of Task {name}"), || async {
        world.tasks().get_opt(name).await.ok()?.is_none().then_some(())
    })
    .await
    .with_context(|| world.logs())
}

/// Waits until neither E2B nor the API server has a sandbox.
async fn no_sandbox(world: &World) -> Result<()> {
    within(PATIENCE, "the end of every sandbox", || async {
        let objects = world.sandboxes().list(&Default::default()).await.ok()?.items;
        (objects.is_empty() && world.simulator.e2b.sandboxes().is_empty()).then_some(())
    })
    .await
    .with_context(|| world.logs())
}

fn branches(world: &World) -> Result<Vec<String>> {
    world.simulator.github.branches("acme/app").map_err(|refused| anyhow::anyhow!("{refused:?}"))
}

/// State of the only pull request.
fn pull_state(world: &World) -> Result<String> {
    let pulls = world.simulator.github.pulls("acme/app").map_err(|refused| anyhow::anyhow!("{refused:?}"))?;
    ensure!(pulls.len() == 1, "{pulls:?}");
    Ok(pulls[0]["state"].as_str().unwrap_or_default().to_owned())
}

/// Waits for a Warning about `name` with this text.
async fn warned(world: &World, name: &str, text: &str) -> Result<()> {
    within(PATIENCE, &format!("a Warning that says {text}"), || async {
        let events = world.kubectl(&["events", "--types=Warning", "--for", &format!("swtask/{name}")]).await;
        events.ok()?.contains(text).then_some(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_in_a_shared_sandbox_ends_with_its_task() -> Result<()> {
    let world = world("del-shared").await?;
    world.apply(&repository("app")).await?;
    world.apply(&sandbox("box")).await?;
    world.apply(&shared("endless", &Gate::script(&world, "true"))).await?;
    let gate = Gate::reached(&world).await?;
    ensure!(gate.runs());
    delete(&world, "endless").await?;
    gone(&world, "endless").await?;
    within(PATIENCE, "the end of the process", || async { (!gate.runs()).then_some(()) }).await?;
    ensure!(world.simulator.e2b.sandboxes().len() == 1, "the sandbox is somebody else's");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_own_sandbox_goes_with_its_task() -> Result<()> {
    let world = world("del-own").await?;
    world.apply(&repository("app")).await?;
    world.apply(&task("owner", "app", &Gate::script(&world, "true"))).await?;
    Gate::reached(&world).await?;
    delete(&world, "owner").await?;
    gone(&world, "owner").await?;
    no_sandbox(&world).await?;
    let counters = world.simulator.e2b.counters();
    ensure!(counters.creates == 1 && counters.deletes == 1, "{counters:?}");
    ensure!(branches(&world)? == ["main"], "{:?}", branches(&world)?);
    Ok(())
}

/// A Task whose pull request is being opened; the rule that holds the call.
async fn opening(namespace: &'static str, after_effect: bool) -> Result<(World, u64)> {
    let world = world(namespace).await?;
    world.apply(&repository("app")).await?;
    let rule = Rule::on("github", PULLS).action(Action::Hold { after_effect });
    let rule = world.simulator.faults.set(rule);
    world.apply(&task(NAME, "app", "echo hello > hello")).await?;
    world.held(rule).await?;
    ensure!(branches(&world)?.len() == 2, "{:?}", branches(&world)?);
    Ok((world, rule))
}

/// The operator dies in the held call, and its successor deletes the Task.
async fn deleted_by_a_successor((mut world, rule): (World, u64)) -> Result<World> {
    world.kill_in_held_call(rule).await?;
    delete(&world, NAME).await?;
    world.start_controller()?;
    gone(&world, NAME).await?;
    Ok(world)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_branch_without_a_pull_request_goes() -> Result<()> {
    let world = deleted_by_a_successor(opening("del-branch", false).await?).await?;
    ensure!(branches(&world)? == ["main"], "{:?}", branches(&world)?);
    ensure!(world.simulator.github.counts().pulls_created == 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pull_request_that_nobody_has_recorded_stays() -> Result<()> {
    let world = deleted_by_a_successor(opening("del-pull", true).await?).await?;
    ensure!(branches(&world)?.len() == 2, "{:?}", branches(&world)?);
    ensure!(pull_state(&world)? == "open", "{}", pull_state(&world)?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_branch_that_somebody_has_moved_stays() -> Result<()> {
    let (world, rule) = opening("del-moved", false).await?;
    let branch = branches(&world)?.into_iter().find(|branch| branch != "main").context("our branch")?;
    let pushed = world.simulator.github.push("acme/app", &branch, &[("theirs", Some("work"))], "More");
    let tip = pushed.map_err(|refused| anyhow::anyhow!("{refused:?}"))?;
    let world = deleted_by_a_successor((world, rule)).await?;
    ensure!(world.simulator.github.branch("acme/app", &branch) == Some(tip), "somebody's work is gone");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_pull_request_stays_and_the_sandbox_follows_its_policy() -> Result<()> {
    for (namespace, policy, left) in [
        ("del-kill", "Kill", None),
        ("del-pause", "Pause", Some(Life::Paused)),
        ("del-retain", "Retain", Some(Life::Running)),
    ] {
        let world = world(namespace).await?;
        world.apply(&repository("app")).await?;
        let manifest = task("reviewed", "app", "echo hello > hello")
            .with("/spec/sandboxTemplate/spec/deletionPolicy", policy.into());
        world.apply(&manifest).await?;
        crate::story::reviewed(&world, "reviewed").await?;
        delete(&world, "reviewed").await?;
        gone(&world, "reviewed").await?;
        within(PATIENCE, "the Sandbox's end", || async {
            world.sandboxes().list(&Default::default()).await.ok()?.items.is_empty().then_some(())
        })
        .await?;
        let lives: Vec<_> = world.simulator.e2b.sandboxes().iter().map(|one| one.state).collect();
        ensure!(lives == Vec::from_iter(left), "{policy}: {lives:?}");
        ensure!(pull_state(&world)? == "open" && branches(&world)?.len() == 2, "{policy}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_secret_a_task_goes_with_a_warning() -> Result<()> {
    let (world, rule) = opening("del-secret", false).await?;
    world.kubectl(&["delete", "secret", "github"]).await?;
    let world = deleted_by_a_successor((world, rule)).await?;
    warned(&world, NAME, "left behind").await?;
    ensure!(branches(&world)?.len() == 2, "{:?}", branches(&world)?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_ends_with_all_that_is_in_it() -> Result<()> {
    let world = world("del-all").await?;
    to_review(&world, "reviewed", "echo hello > hello").await?;
    world.apply(&sandbox("box")).await?;
    world.apply(&shared("busy", &Gate::script(&world, "true"))).await?;
    world.task_because("busy", "Generating").await?;
    world
        .kubectl(&["delete", "namespace", &world.namespace, "--timeout=90s"])
        .await
        .with_context(|| world.logs())?;
    let (left, counters) = (world.simulator.e2b.sandboxes(), world.simulator.e2b.counters());
    ensure!(left.is_empty() && counters.creates == 2 && counters.deletes == 2, "{left:?} {counters:?}");
    Ok(())
}
