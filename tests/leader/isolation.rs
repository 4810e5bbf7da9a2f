//! A leader that can't renew: API server paused, network cut, process paused. It starts no external write, and what it had
//! in flight lands late without harm.

use crate::{
    controlplane::{self, ControlPlane, Options},
    proxy::Proxy,
    replica::{Replica, holder, is_write, now},
    takeover::in_review,
    world,
    world::{PATIENCE, World, repository, task, within},
};
use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use nix::sys::signal::Signal;
use slipway_simulator::core::{Action, Call, Rule, When};
use std::{path::Path, time::Duration};

/// A leader knows its Lease for this long after its last renewal; one second for clocks and schedulers.
const KNOWN: Duration = Duration::from_secs(11);

/// A Task whose branch is being created by `a`, the leader: the call is held before its effect, or after it.
struct InFlight {
    a: Replica,
    b: Replica,
    rule: u64,
}

impl InFlight {
    async fn start(world: &World, proxy: Option<&Proxy>, after_effect: bool) -> Result<Self> {
        let a = Replica::start_behind(world, "a", proxy.map(|proxy| proxy.address)).await?;
        a.leads(world).await?;
        let b = Replica::start(world, "b").await?;
        let refs = Rule::on("github", "POST /repos/{owner}/{repo}/git/refs");
        let rule = world.simulator.faults.set(refs.when(When::Nth(1)).action(Action::Hold { after_effect }));
        world.apply(&repository("app")).await?;
        world.apply(&task("work", "app", "echo ran >> ran")).await?;
        world.held(rule).await?;
        Ok(Self { a, b, rule })
    }

    /// Lets the held call go on.
    fn land(&self, world: &World) {
        world.simulator.faults.remove(self.rule);
    }

    /// The Task is in review, and nothing has been done twice.
    async fn did_no_harm(&self, world: &World) -> Result<()> {
        in_review(world, "work").await.with_context(|| self.logs())?;
        let (github, e2b) = (world.simulator.github.counts(), world.simulator.e2b.counters());
        ensure!(github.refs_created == 1 && github.pulls_created == 1, "{github:?}");
        ensure!(e2b.creates == 1, "{e2b:?}");
        let pulls = world.tasks().get("work").await?.status.and_then(|status| status.pull_request);
        ensure!(pulls.is_some_and(|pull| pull.number == 1), "the Task has lost its pull request");
        Ok(())
    }

    /// Writes that `replica` sent after `since`.
    fn writes(world: &World, replica: &Replica, since: Timestamp) -> Vec<Call> {
        let sent = |call: &Call| is_write(call) && replica.made(call) && call.real_at > since;
        world.simulator.calls.matching(sent)
    }

    fn logs(&self) -> String {
        format!("{}{}", self.a.process.log_tail(), self.b.process.log_tail())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_server_stands_still_for_30_seconds() -> Result<()> {
    // A server of its own: the others' tests must go on meanwhile.
    let crds = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("crds")];
    let plane: &'static ControlPlane =
        Box::leak(Box::new(ControlPlane::start(Options { crds, ..Options::default() }).await?));
    let world = world(plane, "still").await?;
    let flight = InFlight::start(&world, None, false).await?;

    plane.pause()?;
    let paused = now();
    tokio::time::sleep(KNOWN).await;
    flight.land(&world);
    tokio::time::sleep(Duration::from_secs(30).saturating_sub(KNOWN)).await;
    let resumed = now();
    plane.resume()?;

    flight.did_no_harm(&world).await?;
    for replica in [&flight.a, &flight.b] {
        let mut early = InFlight::writes(&world, replica, paused + KNOWN);
        early.retain(|call| call.real_at < resumed);
        ensure!(early.is_empty(), "written without leadership: {early:?}\n{}", flight.logs());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_is_cut_off_by_a_network_that_delivers_nothing() -> Result<()> {
    for after_effect in [false, true] {
        let plane = controlplane::shared().await;
        let world = world(plane, "cut").await?;
        let upstream = plane.url().trim_start_matches("https://").parse()?;
        let proxy = Proxy::start(upstream).await?;
        let flight = InFlight::start(&world, Some(&proxy), after_effect).await?;

        proxy.freeze();
        let frozen = now();
        flight.b.leads(&world).await?;
        flight.land(&world);
        flight.did_no_harm(&world).await?;
        proxy.thaw();
        let thawed = now();
        // The old leader hears of all it has missed, and of its successor.
        within(PATIENCE, "the old leader's word", || async {
            flight.a.process.log().contains("no longer leading").then_some(())
        })
        .await?;
        ensure!(holder(&world).await? == "b", "the Lease went back");
        flight.did_no_harm(&world).await?;
        let late = InFlight::writes(&world, &flight.a, frozen + KNOWN);
        ensure!(late.is_empty(), "the old leader wrote (thawed {thawed}): {late:?}\n{}", flight.logs());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leaders_process_stands_still_for_25_seconds() -> Result<()> {
    let world = world(controlplane::shared().await, "paused").await?;
    let flight = InFlight::start(&world, None, false).await?;

    flight.a.process.freeze()?;
    let stopped = now();
    flight.b.leads(&world).await?;
    flight.did_no_harm(&world).await?;
    // Now that the other has made the branch, the old call arrives.
    flight.land(&world);
    flight.did_no_harm(&world).await?;
    let rest = Duration::from_secs(25).saturating_sub(Duration::try_from(now().duration_since(stopped))?);
    tokio::time::sleep(rest).await;
    flight.a.process.signal(Signal::SIGCONT)?;
    within(PATIENCE, "the old leader's word", || async {
        flight.a.process.log().contains("no longer leading").then_some(())
    })
    .await?;
    flight.did_no_harm(&world).await?;
    ensure!(holder(&world).await? == "b", "the Lease went back");
    let late = InFlight::writes(&world, &flight.a, stopped);
    ensure!(late.is_empty(), "the old leader wrote: {late:?}\n{}", flight.logs());
    Ok(())
}
