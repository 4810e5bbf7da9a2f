//! How long nobody acts when the leader is killed, and when it is told to end.
//! The figures are promises of the design (at real speed), so these tests measure time.

use crate::{
    controlplane,
    replica::{Replica, first_write, holder, is_write, now, taken},
    world,
    world::{PATIENCE, World, repository, sandbox, task, wait::ready, within},
};
use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use slipway::api::{Sandbox, SandboxState, State};
use slipway_simulator::core::{Action, Rule};
use std::time::Duration;
use tokio::{sync::Mutex, task::JoinSet};

/// Leaders killed; one world each, at the same time.
const KILLS: usize = 10;
/// Leaders told to end.
const ENDS: usize = 3;

/// One at a time: what is measured is the operator, not how busy the machine is with other tests.
static MEASURING: Mutex<()> = Mutex::const_new(());

/// Kills the leader right before new work arrives; how long it took until the other acted on it.
async fn killed() -> Result<Duration> {
    let world = world(controlplane::shared().await, "killed").await?;
    let leader = Replica::start(&world, "a").await?;
    leader.leads(&world).await?;
    let standby = Replica::start(&world, "b").await?;
    world.apply(&sandbox("first")).await?;
    running(&world, "first").await?;

    leader.process.signal(Signal::SIGKILL)?;
    let killed = now();
    world.apply(&sandbox("second")).await?;
    let took = first_write(&world, &standby, killed).await?;
    ensure!(holder(&world).await? == "b");
    running(&world, "second").await?;
    let creates = world.simulator.e2b.counters().creates;
    ensure!(creates == 2, "{creates} sandboxes were created for two");
    Ok(took)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_leader_is_killed_the_other_acts_within_17_seconds() -> Result<()> {
    let _alone = MEASURING.lock().await;
    let took = sorted((0..KILLS).map(|_| killed()).collect()).await?;
    println!("SIGKILL to the first write of the other: {took:.1?}");
    let median = took[took.len() / 2];
    ensure!(median <= Duration::from_secs(17), "median {median:?} of {took:?}");
    ensure!(took.iter().all(|took| *took <= Duration::from_secs(20)), "{took:?}");
    Ok(())
}

/// Tells the leader to end right before new work arrives; how long it took until the other acted on it.
async fn ended() -> Result<Duration> {
    let world = world(controlplane::shared().await, "told").await?;
    let leader = Replica::start(&world, "a").await?;
    leader.leads(&world).await?;
    let standby = Replica::start(&world, "b").await?;
    ensure!(holder(&world).await? == "a");

    leader.process.signal(Signal::SIGTERM)?;
    let told = now();
    // Until the signal has reached it, it may rightly do the work itself.
    within(PATIENCE, "the leader's word", || async {
        leader.process.log().contains("stopping: no new external write is sent").then_some(())
    })
    .await?;
    world.apply(&sandbox("box")).await?;
    let took = first_write(&world, &standby, told).await?;
    running(&world, "box").await?;
    let creates = world.simulator.e2b.counters().creates;
    ensure!(creates == 1, "{creates} sandboxes were created for one");
    Ok(took)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_leader_is_told_to_end_the_other_acts_within_3_seconds() -> Result<()> {
    let _alone = MEASURING.lock().await;
    let took = sorted((0..ENDS).map(|_| ended()).collect()).await?;
    println!("SIGTERM to the first write of the other: {took:.1?}");
    ensure!(took.iter().all(|took| *took <= Duration::from_secs(3)), "{took:?}");
    Ok(())
}

async fn sorted(mut measured: JoinSet<Result<Duration>>) -> Result<Vec<Duration>> {
    let mut all = Vec::new();
    while let Some(took) = measured.join_next().await {
        all.push(took??);
    }
    all.sort();
    Ok(all)
}

/// The leader may not wait for ever for what it has sent; what lands after the handover changes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_is_in_flight_at_the_end_lands_late_and_does_no_harm() -> Result<()> {
    let _alone = MEASURING.lock().await;
    let world = world(controlplane::shared().await, "late").await?;
    let leader = Replica::start(&world, "a").await?;
    leader.leads(&world).await?;
    let standby = Replica::start(&world, "b").await?;
    let pulls = Rule::on("github", "POST /repos/{owner}/{repo}/pulls");
    let rule = world.simulator.faults.set(pulls.action(Action::Hold { after_effect: true }));
    world.apply(&repository("app")).await?;
    world.apply(&task("late", "app", "echo hello > hello")).await?;
    world.held(rule).await?;

    leader.process.signal(Signal::SIGTERM)?;
    let told = now();
    standby.leads(&world).await?;
    let took = Duration::try_from(taken(&world).await?.duration_since(told))?;
    println!("SIGTERM with a call in flight to the Lease of the other: {took:.1?}");
    // Two seconds of it the call was waited for.
    ensure!(took <= Duration::from_secs(3), "{took:?}");
    world.simulator.faults.remove(rule);

    in_review(&world, "late").await?;
    let ended = within(PATIENCE, "the end of the old leader", || async {
        leader.process.exit_status().ok().flatten()
    });
    ensure!(ended.await?.success(), "{}", leader.process.log_tail());
    let counts = world.simulator.github.counts();
    ensure!(counts.pulls_created == 1 && counts.refs_created == 1, "{counts:?}");
    let late =
        world.simulator.calls.matching(|call| is_write(call) && leader.made(call) && call.real_at > told);
    ensure!(late.is_empty(), "{late:#?}");
    Ok(())
}

async fn running(world: &World, name: &str) -> Result<()> {
    let is_running = |sandbox: &Sandbox| {
        sandbox.status.as_ref().is_some_and(|status| status.state == Some(SandboxState::Running))
    };
    world.sandbox(name, "Running", is_running).await.map(drop)
}

/// Waits until the Task is in review and nothing is left to say about it.
pub async fn in_review(world: &World, name: &str) -> Result<()> {
    world
        .task(name, "in review", |task| {
            ready(task) && task.status.as_ref().is_some_and(|status| status.state == State::Review)
        })
        .await
        .map(drop)
        .with_context(|| format!("{:#?}", world.simulator.calls.all().iter().map(told).collect::<Vec<_>>()))
}

fn told(call: &slipway_simulator::core::Call) -> String {
    format!("{} {} {:?} by {:?}", call.real_at, call.endpoint, call.outcome, call.headers.get("host"))
}
