//! What becomes of a Task when its sandbox is lost, paused, silent or busy.
//! Neighbours: `tests/sandbox` holds the Sandbox controller alone.

use crate::{
    story::{known_repository, reviewed},
    world,
    world::{Manifest, World, sandbox, task, wait::message_of},
};
use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use slipway_simulator::core::{Rule, When};
use slipway_simulator::e2b::Unreachable;

/// Leaves a mark outside the source per run, thinks, and makes a file.
const SLOW: &str = "echo ran >> /var/tmp/ran; sleep 6; echo made > made";

fn shared(name: &str, script: &str) -> Manifest {
    let own = task(name, "app", script).without("sandboxTemplate");
    own.with("/spec/sandboxRef", json!({"name": "box"}))
}

/// The sandbox in which the Task's command has left its mark.
async fn running_in(world: &World, name: &str) -> Result<String> {
    let task = world
        .task(name, "the command runs", |task| {
            task.status.as_ref().is_some_and(|status| !status.code_generations.is_empty())
        })
        .await?;
    let id = task.status.and_then(|status| status.sandbox_id).context("a running command has a sandbox")?;
    let mark = world.simulator.e2b.host_path(&id, "/var/tmp/ran").context("the sandbox's files")?;
    world::within(world::PATIENCE, "the command's mark", || async { mark.exists().then_some(()) }).await?;
    Ok(id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_sandbox_is_replaced_and_the_command_runs_again() -> Result<()> {
    let world = world("lost").await?;
    known_repository(&world).await?;
    world.apply(&sandbox("box")).await?;
    world.apply(&shared("carried", SLOW)).await?;
    let lost = running_in(&world, "carried").await?;
    ensure!(world.simulator.e2b.kill(&lost).await);
    reviewed(&world, "carried").await?;
    let status = world.tasks().get("carried").await?.status.context("status")?;
    let last = status.code_generations.last().context("a generation")?;
    ensure!(last.migrated_from == [lost.clone()] && last.sandbox_id != lost, "{:?}", status.code_generations);
    ensure!(status.code_generations.len() == 2 && last.exit_code == Some(0), "{:?}", status.code_generations);
    let live = world.simulator.e2b.sandboxes();
    ensure!(live.len() == 1 && live[0].sandbox_id == last.sandbox_id, "{live:?}");
    let sandbox = world.sandboxes().get("box").await?.status.context("status")?;
    ensure!(sandbox.recreations == 1 && sandbox.incarnation == Some(2), "{sandbox:?}");
    // What mends itself is nothing to warn of, and the seconds until it is sure use up no attempts.
    world.described("carried", "InReview").await?;
    let told = world.kubectl(&["describe", "swtask", "carried"]).await?;
    ensure!(told.contains("SandboxMissing") && !told.contains("RetriesExhausted"), "{told}");
    ensure!(!told.lines().any(|line| line.trim_start().starts_with("Warning")), "{told}");

    // From the commit on the round does not look at the sandbox.
    ensure!(world.simulator.e2b.kill(&last.sandbox_id).await);
    let number = u64::try_from(status.pull_request.context("in review")?.number)?;
    let merged =
        world.simulator.github.merge("acme/app", number, slipway_simulator::github::MergeMethod::Merge);
    merged.map_err(|refused| anyhow::anyhow!("{refused:?}"))?;
    world.task_in("carried", slipway::api::State::Done).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_sandbox_is_resumed_and_a_silent_one_is_never_replaced() -> Result<()> {
    let world = world("silent").await?;
    known_repository(&world).await?;
    world.apply(&sandbox("box")).await?;
    world.apply(&shared("paused", SLOW)).await?;
    let id = running_in(&world, "paused").await?;
    ensure!(world.simulator.e2b.pause(&id).await);
    reviewed(&world, "paused").await?;
    let status = world.tasks().get("paused").await?.status.context("status")?;
    ensure!(status.code_generations.len() == 1 && status.sandbox_id == Some(id.clone()), "{status:?}");
    let sandbox = world.sandboxes().get("box").await?.status.context("status")?;
    ensure!(sandbox.reconnects >= 1 && sandbox.recreations == 0, "{sandbox:?}");

    world.apply(&shared("silent", SLOW)).await?;
    world
        .task("silent", "the command runs", |task| {
            task.status.as_ref().is_some_and(|status| !status.code_generations.is_empty())
        })
        .await?;
    world.simulator.e2b.set_unreachable(&id, Some(Unreachable::PortClosed));
    world
        .task("silent", "unreachable", |task| {
            task.status.as_ref().is_some_and(|status| {
                status
                    .conditions
                    .iter()
                    .any(|c| c.type_ == "SandboxReady" && c.reason == "SandboxUnreachable")
            })
        })
        .await?;
    world.simulator.e2b.set_unreachable(&id, None);
    reviewed(&world, "silent").await?;
    ensure!(world.simulator.e2b.counters().creates == 1, "a silent sandbox was replaced");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_nothing_can_make_again_are_reported_lost() -> Result<()> {
    let world = world("files").await?;
    known_repository(&world).await?;
    world.apply(&sandbox("box").with("/spec/operatingMode", json!("Running"))).await?;
    let up = world.sandbox("box", "running", |sandbox| {
        sandbox.status.as_ref().is_some_and(|status| status.sandbox_id.is_some() && status.state.is_some())
    });
    let id = up.await?.status.and_then(|status| status.sandbox_id).context("an id")?;
    let home = world.simulator.e2b.host_path(&id, "/home/user").context("the sandbox's files")?;
    std::fs::create_dir_all(home.join("app"))?;
    std::fs::write(home.join("app/by-hand"), "precious")?;
    // The sandbox gives no files: nothing is read of them when it goes.
    let files = "POST /process.Process/Start";
    let rule = world.simulator.faults.set(Rule::on("envd", files).when(When::All).status(503, "busy"));
    world.apply(&shared("by-hand", "true").without("generate")).await?;
    world
        .task("by-hand", "files that can't be read", |task| {
            task.status.as_ref().is_some_and(|status| status.retry.is_some())
        })
        .await?;
    ensure!(world.simulator.e2b.kill(&id).await);
    world.kubectl(&["annotate", "swbox", "box", "slipway.dev/reconcile=look"]).await?;
    let lost = world.task_because("by-hand", "SandboxFilesLost").await?;
    ensure!(message_of(&lost, "Stalled").contains("slipway.dev/rerun"), "{}", message_of(&lost, "Stalled"));
    ensure!(lost.status.context("status")?.sandbox_id == Some(id), "the lost id stays until a new round");
    world.simulator.faults.remove(rule);
    Ok(())
}

/// A complete result on the operator's disk lets the round go on: nothing is run or asked for again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_were_read_are_committed_although_their_sandbox_is_lost() -> Result<()> {
    let world = world("spooled").await?;
    known_repository(&world).await?;
    let trees = "POST /repos/{owner}/{repo}/git/trees";
    let rule = world.simulator.faults.set(Rule::on("github", trees).when(When::All).status(503, "busy"));
    world.apply(&task("spooled", "app", "echo once >> made")).await?;
    world
        .task("spooled", "a commit that fails", |task| {
            task.status.as_ref().is_some_and(|status| {
                status.retry.as_ref().is_some_and(|retry| retry.operation == "createTree")
            })
        })
        .await?;
    let id = world.simulator.e2b.sandboxes().pop().context("a sandbox")?.sandbox_id;
    ensure!(world.simulator.e2b.kill(&id).await);
    world.simulator.faults.remove(rule);
    reviewed(&world, "spooled").await?;
    ensure!(world.simulator.e2b.counters().creates == 1, "no other sandbox is made");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_sandbox_is_waited_for_and_a_command_ends_at_its_time_out() -> Result<()> {
    let world = world("busy").await?;
    known_repository(&world).await?;
    world.apply(&sandbox("box")).await?;
    world.apply(&shared("first", SLOW)).await?;
    running_in(&world, "first").await?;
    world.apply(&shared("second", "echo second > second")).await?;
    let waiting = world.task_because("second", "WaitingForSandbox").await?;
    ensure!(message_of(&waiting, "Ready").contains("first"), "{}", message_of(&waiting, "Ready"));
    reviewed(&world, "first").await?;
    reviewed(&world, "second").await?;
    ensure!(world.simulator.e2b.counters().creates == 1);

    let slow = shared("slow", "sleep 300").with("/spec/generate/timeoutSeconds", json!(2));
    world.apply(&slow).await?;
    let failed = world.task_because("slow", "GenerationFailed").await?;
    let message = message_of(&failed, "Generated");
    ensure!(message.contains("did not end within 2 s"), "{message}");
    Ok(())
}
