//! The operator ends on SIGTERM and starts again: in the middle of work, with everything settled, with nothing to do.

use crate::{
    story::{reviewed, to_review},
    world,
    world::{PATIENCE, World, gate::Gate, repository, task, within},
};
use anyhow::{Context as _, Result, ensure};
use slipway_simulator::core::{Action, Call, Rule, When};
use std::time::Duration;

/// Kubernetes kills after 30 s; the operator promises this.
const END: Duration = Duration::from_secs(25);
/// Long enough for whatever a start would set off at once to show.
const QUIET: Duration = Duration::from_secs(3);

async fn terminated(world: &mut World) -> Result<()> {
    let took = world.terminate_controller().await?;
    ensure!(took <= END, "the controller took {took:?} to end");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn terminated_in_the_middle_of_work_it_goes_on() -> Result<()> {
    let mut world = world("sigterm").await?;
    world.apply(&repository("app")).await?;
    world.apply(&task("worker", "app", &Gate::script(&world, "echo ran >> ran"))).await?;
    let gate = Gate::reached(&world).await?;
    terminated(&mut world).await?;

    ensure!(gate.runs(), "the command ended with the operator");

    // A call that never answers is cut off in time.
    let refs = Rule::on("github", "POST /repos/{owner}/{repo}/git/refs");
    let rule = world.simulator.faults.set(refs.action(Action::Hold { after_effect: false }));
    gate.open()?;
    world.start_controller()?;
    world.held(rule).await?;
    terminated(&mut world).await?;
    world.simulator.faults.remove(rule);

    // One that answers late is waited for, and what it brought is recorded.
    let pulls = Rule::on("github", "POST /repos/{owner}/{repo}/pulls");
    let rule = world.simulator.faults.set(pulls.when(When::Nth(1)).delay_ms(2000));
    world.start_controller()?;
    within(PATIENCE, "the late call", || async { world.simulator.faults.hits(rule).filter(|n| *n > 0) })
        .await?;
    terminated(&mut world).await?;
    let stopped = world.tasks().get("worker").await?.status.context("status")?;
    ensure!(stopped.pull_request.is_some(), "the pull request is not recorded: {stopped:?}");

    world.start_controller()?;
    reviewed(&world, "worker").await?;
    let (github, e2b) = (world.simulator.github.counts(), world.simulator.e2b.counters());
    ensure!(github.pulls_created == 1 && github.refs_created == 1, "{github:?}");
    ensure!(e2b.creates == 1 && gate.file("ran")? == "ran\n", "{e2b:?}");
    Ok(())
}

/// Every write in the namespace by the operator and the test.
async fn writes(world: &World) -> Result<Vec<String>> {
    let log = world.plane.audit_log().await?;
    let mine = log.iter().filter(|event| {
        event.is_write()
            && event.object_ref.namespace == world.namespace
            // Kubernetes' own controllers furnish a new namespace when they get to it.
            && !event.user.username.starts_with("system:")
    });
    Ok(mine.map(|event| format!("{} {}", event.verb, event.request_uri)).collect())
}

/// Reads of a sync that a start spreads over the interval.
pub fn is_sync(call: &Call) -> bool {
    call.api == "github"
        && call.method == "GET"
        && [
            "GET /repositories/{repository_id}",
            "GET /repos/{owner}/{repo}",
            "GET /repos/{owner}/{repo}/pulls",
        ]
        .contains(&call.endpoint.as_str())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_everything_settled_a_restart_costs_nothing() -> Result<()> {
    let mut world = world("settled").await?;
    to_review(&world, "waiting", "echo hello > hello").await?;
    terminated(&mut world).await?;
    let (before, seq) = (writes(&world).await?, world.simulator.calls.last_seq());
    world.start_controller()?;
    for kind in ["repository", "sandbox", "task"] {
        world.reconciled(kind).await?;
    }
    tokio::time::sleep(QUIET).await;
    let after = writes(&world).await?;
    let calls = world.simulator.calls.since(seq);
    let more: Vec<_> = calls.iter().filter(|call| !is_sync(call)).map(|call| &call.endpoint).collect();
    ensure!(more.is_empty() && calls.len() <= 3, "a restart called {more:?}, {} in all", calls.len());
    ensure!(after == before, "a restart wrote {:?}", &after[before.len()..]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_nothing_to_do_it_changes_nothing() -> Result<()> {
    let world = world("nothing").await?;
    world.synced().await?;
    let before = writes(&world).await?;
    tokio::time::sleep(QUIET).await;
    let after = writes(&world).await?;
    ensure!(after == before, "it wrote {:?}", &after[before.len()..]);
    // What the test itself has made.
    let own = after.iter().filter(|write| !write.contains("/secrets"));
    ensure!(own.clone().next().is_none(), "it wrote {:?}", own.collect::<Vec<_>>());
    ensure!(world.simulator.calls.last_seq() == 0, "it called {:?}", world.simulator.calls.counts());
    Ok(())
}
