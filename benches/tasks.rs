//! Tasks from apply to open pull request, with stand-ins that answer at once and no spacing of writes.
//! `cargo bench --bench tasks`; `SIZES=100` for one size.

mod support;

use anyhow::{Context as _, Result, bail};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::{
    ResourceExt as _,
    runtime::{WatchStreamExt as _, watcher},
};
use slipway::api::State;
use slipway_simulator::e2b::TEAM;
use std::{
    collections::HashSet,
    time::{Duration, Instant},
};
use support::{
    Usage, controlplane, metric, options, table,
    world::{GITHUB_TOKEN, World, repository, task},
};

/// Longest a size may take.
const PATIENCE: Duration = Duration::from_mins(20);

#[tokio::main]
async fn main() -> Result<()> {
    let plane = support::plane().await?;
    let (mut rates, mut times) = (Vec::new(), Vec::new());
    for size in support::sizes(&[100, 300, 1000]) {
        let (rate, time) = run(plane, size).await?;
        println!("{size} Tasks: {} s", rate[1]);
        rates.push(rate);
        times.push(time);
    }
    let head = ["Tasks", "s", "Tasks/s", "kube writes/Task", "GitHub/Task", "E2B/Task", "envd/Task"];
    table("From apply to open pull request (goal: at most 12 kube writes)", &head, &rates);
    let head = [
        "Tasks",
        "operator",
        "API server",
        "etcd",
        "stand-ins",
        "in passes",
        "kube",
        "GitHub",
        "E2B, envd",
        "own",
    ];
    table("CPU ms per Task, and where the time of passes goes (ms per Task)", &head, &times);
    Ok(())
}

async fn run(plane: &'static controlplane::ControlPlane, size: usize) -> Result<(Vec<String>, Vec<String>)> {
    let mut world = World::start(plane, support::operator(), options("tasks")).await?;
    // The usual 100 sandboxes of a plan and 5,000 calls an hour of a token would measure the waiting for more of them.
    let (calls, reset) = (u64::try_from(size)? * 20 + 1000, jiff::Timestamp::now() + Duration::from_hours(1));
    let simulator = &world.simulator;
    let raised = simulator.e2b.set_concurrency_limit(TEAM, size + 1)
        && simulator.github.set_rate_limit(GITHUB_TOKEN, calls, reset);
    anyhow::ensure!(raised, "the stand-ins know no such team or token");
    world.start_controller()?;
    world.synced().await?;
    world.apply(&repository("app")).await?;
    world
        .repository("app", "ready", |repository| {
            repository.status.as_ref().is_some_and(|status| status.repository_id.is_some())
        })
        .await?;
    let operator = world.controller.as_ref().context("a controller")?.pid();
    let pids = [operator, plane.pids()[1], plane.pids()[0], std::process::id()];
    let look = || pids.iter().map(|pid| Usage::of(*pid)).collect::<Result<Vec<_>>>();
    let (seq, text, before) = (world.simulator.calls.last_seq(), world.ops("/metrics").await, look()?);
    let text = text.context("metrics")?;

    let started = Instant::now();
    let names: Vec<_> = (0..size).map(|at| format!("t-{at}")).collect();
    let apply = stream::iter(&names).map(|name| {
        let (world, manifest) = (&world, task(name, "app", &format!("echo {name} > {name}")));
        async move { world.apply(&manifest).await }
    });
    let apply = apply.buffer_unordered(24).try_collect::<Vec<()>>();
    let (applied, reviewed) = tokio::join!(apply, all_in_review(&world, size));
    applied?;
    reviewed?;
    let took = started.elapsed().as_secs_f64();

    let (after, later) = (look()?, world.ops("/metrics").await.context("metrics")?);
    let calls = world.simulator.calls.since(seq);
    let per_task = |count: f64| count / f64::from(u32::try_from(size).unwrap_or(u32::MAX));
    let made = |api: &str| {
        let count = calls.iter().filter(|call| call.api == api).count();
        format!("{:.1}", per_task(f64::from(u32::try_from(count).unwrap_or(u32::MAX))))
    };
    let written = kube_writes(&world).await?;
    let rate = vec![
        size.to_string(),
        format!("{took:.0}"),
        format!("{:.1}", per_task(1.0).recip() / took),
        format!("{:.2}", per_task(f64::from(written))),
        made("github"),
        made("e2b"),
        made("envd"),
    ];
    let ms = |seconds: f64| format!("{:.0}", per_task(seconds * 1000.0));
    let spent = |labels: &str| {
        let name = "slipway_external_call_duration_seconds_sum";
        metric(&later, name, labels) - metric(&text, name, labels)
    };
    let passes = "controller_runtime_reconcile_time_seconds_sum";
    let passes = metric(&later, passes, "") - metric(&text, passes, "");
    // Watches and the Lease are no part of a pass.
    let aside = spent("operation=\"watch\"") + spent("operation=\"replace\"");
    let (kube, github) = (spent("api=\"kubernetes\"") - aside, spent("api=\"github\""));
    let e2b = spent("api=\"e2b\"") + spent("api=\"envd\"");
    let mut time = vec![size.to_string()];
    time.extend(after.iter().zip(&before).map(|(after, before)| ms(after.cpu_since(*before))));
    time.extend([ms(passes), ms(kube), ms(github), ms(e2b), ms(passes - kube - github - e2b)]);
    Ok((rate, time))
}

async fn all_in_review(world: &World, size: usize) -> Result<()> {
    let mut tasks =
        Box::pin(watcher(world.tasks(), watcher::Config::default()).default_backoff().applied_objects());
    let mut reviewed = HashSet::new();
    let waiting = async {
        while let Some(task) = tasks.next().await {
            let task = task?;
            if task.status.as_ref().is_some_and(|status| status.state == State::Review) {
                reviewed.insert(task.name_any());
            }
            if reviewed.len() == size {
                return Ok(());
            }
        }
        bail!("the watch ended")
    };
    match tokio::time::timeout(PATIENCE, waiting).await {
        Ok(done) => done.with_context(|| world.logs()),
        Err(_) => bail!("not all in review within {PATIENCE:?}\n{}", world.logs()),
    }
}

/// The operator's writes to Tasks and Sandboxes; renewals of a sandbox's time are among them.
async fn kube_writes(world: &World) -> Result<u32> {
    let log = world.plane.audit_log().await?;
    let ours = log.iter().filter(|event| {
        event.is_write()
            && event.object_ref.namespace == world.namespace
            && ["tasks", "sandboxes"].contains(&event.object_ref.resource.as_str())
            && !(event.verb == "create" && event.object_ref.resource == "tasks")
    });
    Ok(u32::try_from(ours.count())?)
}
