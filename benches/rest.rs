//! The operator at rest with many settled Tasks: memory, CPU, API calls, and the time from start to ready.
//! `cargo bench --bench rest`; `SIZES=1000` for one size, `SECONDS=60` for how long it is watched.

mod support;

use anyhow::{Context as _, Result};
use std::time::{Duration, Instant};
use support::{Usage, controlplane::process::Process, metric, options, settled_tasks, table, world::World};

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
        let receiver = started.elapsed();
        // The first passes over all Tasks are not rest.
        tokio::time::sleep(Duration::from_secs(20)).await;
        let pid = |process: &Option<Process>| process.as_ref().map(Process::pid).context("it runs");
        let (pids, ready) = ([pid(&world.controller)?, pid(&world.receiver)?], [controller, receiver]);
        let before = [Usage::of(pids[0])?, Usage::of(pids[1])?];
        let text = world.ops("/metrics").await.context("metrics")?;
        tokio::time::sleep(Duration::from_secs(seconds.into())).await;
        let later = world.ops("/metrics").await.context("metrics")?;
        let calls = |text: &str, labels: &str| metric(text, "slipway_external_calls_total", labels);
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
