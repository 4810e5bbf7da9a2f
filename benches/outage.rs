//! The API server is killed under five running Tasks: how long after its return the operator goes on.
//! `cargo bench --bench outage`; `SECONDS=5,30,60` for how long it is gone, one run each.

mod support;

use anyhow::{Context as _, Result, ensure};
use kube::api::ListParams;
use slipway::api::{Phase, State, Task};
use std::time::{Duration, Instant};
use support::{
    controlplane, metric, options, table,
    world::{PATIENCE, World, repository, task, within},
};

const NAMES: [&str; 5] = ["one", "two", "three", "four", "five"];
/// Waits for `open` in the home directory of its sandbox.
const SCRIPT: &str =
    "touch /home/user/waits; until [ -e /home/user/open ]; do sleep 0.1; done; echo hello > hello";

#[tokio::main]
async fn main() -> Result<()> {
    let plane = support::plane().await?;
    let given = std::env::var("SECONDS").unwrap_or_default();
    let given: Vec<u64> = given.split(',').filter_map(|seconds| seconds.trim().parse().ok()).collect();
    let mut rows = Vec::new();
    for seconds in if given.is_empty() { vec![5, 30, 30, 60] } else { given } {
        rows.push(run(plane, seconds).await?);
    }
    let head = ["s gone", "first pass s", "all five went on s", "all five in review s", "conflicts"];
    table("Five running Tasks, seconds from the API server's readiness", &head, &rows);
    Ok(())
}

/// One outage.
async fn run(plane: &'static controlplane::ControlPlane, seconds: u64) -> Result<Vec<String>> {
    let mut world = World::start(plane, support::operator(), options("outage")).await?;
    world.start_controller()?;
    world.apply(&repository("app")).await?;
    for name in NAMES {
        world.apply(&task(name, "app", SCRIPT)).await?;
    }
    let homes = within(PATIENCE, "five running commands", || async {
        let e2b = &world.simulator.e2b;
        let homes = e2b.sandboxes().into_iter();
        let homes = homes.filter_map(|sandbox| e2b.host_path(&sandbox.sandbox_id, "/home/user"));
        let homes: Vec<_> = homes.filter(|home| home.join("waits").exists()).collect();
        (homes.len() == NAMES.len()).then_some(homes)
    });
    let homes = homes.await.with_context(|| world.logs())?;
    within(PATIENCE, "five Tasks that generate", || async {
        let tasks = tasks(&world).await?;
        tasks.iter().all(|task| phase(task) == Some(Phase::Generating)).then_some(())
    })
    .await?;

    plane.kill_apiserver();
    for home in homes {
        std::fs::write(home.join("open"), "")?;
    }
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let passes = applied(&world).await.context("metrics")?;
    let back = async {
        plane.restart_apiserver().await?;
        anyhow::Ok(Instant::now())
    };
    let first =
        reached("a pass", || async { applied(&world).await.filter(|count| *count > passes).map(drop) });
    let went_on = reached("all five going on", || async {
        let moved = |task: &Task| phase(task) != Some(Phase::Generating);
        tasks(&world).await.filter(|tasks| tasks.iter().all(moved)).map(drop)
    });
    let reviewed = reached("all five in review", || async {
        let reviewed = |task: &Task| task.status.as_ref().is_some_and(|status| status.state == State::Review);
        tasks(&world).await.filter(|tasks| tasks.iter().all(reviewed)).map(drop)
    });
    let times = tokio::try_join!(back, first, went_on, reviewed).with_context(|| world.logs())?;
    let (back, first, went_on, reviewed) = times;
    let after = |at: Instant| format!("{:.1}", at.saturating_duration_since(back).as_secs_f32());
    let conflicts = conflicts(&world).await?.to_string();
    let row = vec![seconds.to_string(), after(first), after(went_on), after(reviewed), conflicts];
    ensure!(world.simulator.github.counts().pulls_created == 5, "{:?}", world.simulator.github.counts());
    println!("{row:?}");
    Ok(row)
}

/// When `ask` has an answer.
async fn reached<F: Future<Output = Option<()>>>(what: &str, ask: impl FnMut() -> F) -> Result<Instant> {
    within(PATIENCE * 2, what, ask).await?;
    Ok(Instant::now())
}

fn phase(task: &Task) -> Option<Phase> {
    task.status.as_ref()?.phase
}

/// All Tasks; `None` while the API server does not answer.
async fn tasks(world: &World) -> Option<Vec<Task>> {
    Some(world.tasks().list(&ListParams::default()).await.ok()?.items)
}

/// Passes that have changed something.
async fn applied(world: &World) -> Option<f64> {
    Some(metric(&world.ops("/metrics").await?, "slipway_reconciles_total", "result=\"applied\""))
}

/// Writes to Tasks and Sandboxes that were refused because the object had changed.
async fn conflicts(world: &World) -> Result<usize> {
    let log = world.plane.audit_log().await?;
    let refused = log.iter().filter(|event| {
        event.is_write()
            && event.response_status.code == 409
            && event.object_ref.namespace == world.namespace
            && ["tasks", "sandboxes"].contains(&event.object_ref.resource.as_str())
    });
    Ok(refused.count())
}
