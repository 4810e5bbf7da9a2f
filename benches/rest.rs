//! The operator at rest with many settled Tasks: memory, CPU, API calls, and the time from start to ready.
//! `cargo bench --bench rest`; `SIZES=1000` for one size, `SECONDS=60` for how long it is watched.

mod support;

use anyhow::{Context as _, Result, ensure};
use std::time::{Duration, Instant};
use support::{
    Usage,
    controlplane::process::Process,
    metric, options, settled_tasks, table,
    world::{WEBHOOK_SECRET, World, within},
};

#[tokio::main]
async fn main() -> Result<()> {
    let plane = support::plane().await?;
    let seconds: u32 = std::env::var("SECONDS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(60);
    let mut rows = Vec::new();
    for size in support::sizes(&[1000, 10_000]) {
        let mut world = World::start(plane, support::operator(), options("rest")).await?;
        settled_tasks(&mut world, size).await?;
        let started = Instant::now();
        world.start_controller()?;
        world.synced().await?;
        let controller = started.elapsed();
        let started = Instant::now();
        world.start_receiver().await?;
        pinged(&world).await?;
        let receiver = started.elapsed();
        quiet(&world).await?;
        let pid = |process: &Option<Process>| process.as_ref().map(Process::pid).context("it runs");
        let (pids, ready) = ([pid(&world.controller)?, pid(&world.receiver)?], [controller, receiver]);
        let before = [Usage::of(pids[0])?, Usage::of(pids[1])?];
        let text = world.ops("/metrics").await.context("metrics")?;
        tokio::time::sleep(Duration::from_secs(seconds.into())).await;
        let later = world.ops("/metrics").await.context("metrics")?;
        for (at, name) in ["controller", "receiver"].into_iter().enumerate() {
            let usage = Usage::of(pids[at])?;
            let per_second = |labels: &str| {
                let made = calls(&later, labels) - calls(&text, labels);
                format!("{:.2}", made / f64::from(seconds))
            };
            let made = match name {
                "controller" => (per_second("api=\"kubernetes\""), per_second("resource=\"leases\"")),
                // It has no metrics of a second port here; at rest it holds two watches.
                _ => ("-".into(), "-".into()),
            };
            rows.push(vec![
                size.to_string(),
                name.to_owned(),
                format!("{:.0}", ready[at].as_secs_f64() * 1000.0),
                format!("{:.0}", usage.rss),
                format!("{:.1}", usage.cpu_since(before[at]) * 1000.0 / f64::from(seconds)),
                made.0,
                made.1,
            ]);
        }
    }
    let head =
        ["Tasks", "process", "ready after ms", "RSS MiB", "CPU ms/s", "kube calls/s", "of these Lease/s"];
    table("At rest", &head, &rows);
    Ok(())
}

/// Until the receiver takes signed requests: before it has listed all Tasks it refuses them.
async fn pinged(world: &World) -> Result<()> {
    let url = world.webhook_url();
    let base = url.strip_suffix("/api/webhooks/github").context("the receiver's URL")?;
    let ping = || async {
        let mut ping = tokio::process::Command::new(support::operator());
        ping.args(["ping", "--url", base]).env("GITHUB_WEBHOOK_SECRET", WEBHOOK_SECRET);
        ping.output().await.is_ok_and(|output| output.status.success()).then_some(())
    };
    within(Duration::from_mins(1), "an accepted ping", ping).await
}

fn calls(text: &str, labels: &str) -> f64 {
    metric(text, "slipway_external_calls_total", labels)
}

/// Waits for the end of the first passes over all Tasks, which are not rest: until the API server hears of nothing but
/// the Lease and a watch now and then.
async fn quiet(world: &World) -> Result<()> {
    let (deadline, window) = (Instant::now() + Duration::from_mins(10), Duration::from_secs(10));
    loop {
        let before = world.ops("/metrics").await.context("metrics")?;
        tokio::time::sleep(window).await;
        let after = world.ops("/metrics").await.context("metrics")?;
        if calls(&after, "api=\"kubernetes\"") - calls(&before, "api=\"kubernetes\"") <= 10.0 {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "never at rest");
    }
}
