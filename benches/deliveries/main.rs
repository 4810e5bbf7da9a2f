//! Signed deliveries of GitHub's own payload to the released receiver: those that match no Task against a bare server that
//! only checks the signature, those that move a Task against a raw status PATCH and against an earlier release, and floods of
//! unsigned ones. `cargo bench --bench deliveries`; `SIZES=1000` for one number of Tasks.

mod bare;
mod flood;
mod load;
#[path = "../support/mod.rs"]
mod support;

use anyhow::{Context as _, Result, ensure};
use bare::Bare;
use kube::api::{Patch, PatchParams};
use load::{Hook, load, milliseconds};
use serde_json::{Value, json};
use std::{
    path::Path,
    time::{Duration, Instant},
};
use support::{
    Usage, options, settled_tasks, table,
    world::{World, free_port},
};

/// How long each server is loaded, and how often they take turns: often, since the machine's own speed drifts.
const TURN: Duration = Duration::from_secs(1);
const TURNS: u32 = 15;
/// Deliveries and raw patches whose latency is taken, one after the other.
const MOVES: usize = 200;
/// Long enough for the receiver to have heard of a write.
const SETTLE: Duration = Duration::from_millis(20);
/// The release that the CPU of a delivery is compared with.
const BASELINE: &str = "4299a6c";
/// Deliveries over which memory must not grow.
const MANY: usize = 100_000;

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match std::env::var("BARE_PORT") {
        Ok(port) => runtime.block_on(bare::serve(port.parse()?)),
        Err(_) => runtime.block_on(measure()),
    }
}

async fn measure() -> Result<()> {
    let (released, baseline) = (support::released()?, support::released_at(BASELINE)?);
    let plane = support::plane().await?;
    let (mut rates, mut moves) = (Vec::new(), Vec::new());
    for size in support::sizes(&[1000, 10_000]) {
        let mut world = World::start(plane, &released, options("deliveries")).await?;
        settled_tasks(&mut world, size).await?;
        start(&mut world, &released).await?;
        rates.push(no_task(&world, size).await?);
        // Each its own half of the Tasks, so that each delivery moves one.
        let ours = moving(&world, 0, size).await?;
        start(&mut world, &baseline).await?;
        let theirs = moving(&world, size / 2, size).await?;
        moves.push(ours.row(&theirs, size));
    }
    let head = [
        "Tasks",
        "receiver/s",
        "bare/s",
        "ratio",
        "receiver us CPU",
        "bare us CPU",
        "RSS MiB",
        "after 100,000",
    ];
    table(
        "Deliveries that match no Task (goals: 0.85 of the bare server's rate, 40 MiB, no growth)",
        &head,
        &rates,
    );
    let head = [
        "Tasks",
        "delivery p50 ms",
        "p99",
        "raw PATCH p50 ms",
        "p99",
        "ratio p50",
        "us CPU",
        "us CPU then",
        "ratio",
    ];
    table("Deliveries that move a Task (goals: 1.15 at p50, half the CPU of 4299a6c)", &head, &moves);

    let mut world = World::start(plane, &released, options("floods")).await?;
    settled_tasks(&mut world, 10).await?;
    let (mut rows, mut costs) = (Vec::new(), Vec::new());
    for count in [1, 1000] {
        flood::repositories(&world, count).await?;
        start(&mut world, &released).await?;
        let (row, cost) = flood::flood(&world, count).await?;
        rows.push(row);
        costs.push(cost);
    }
    let head = ["Repositories", "refused/s", "us CPU", "signed p50 ms", "p99", "RSS MiB"];
    table(
        "Floods of 24 KB that nobody has signed (goals: 1.3 times the CPU, p99 below a second)",
        &head,
        &rows,
    );
    println!(
        "\nCPU of a refused request with 1,000 Repositories, to that with one: {:.2}",
        costs[1] / costs[0]
    );
    Ok(())
}

/// Starts this receiver instead of the one that runs, and waits for its lists.
async fn start(world: &mut World, binary: &Path) -> Result<()> {
    world.receiver = None;
    binary.clone_into(&mut world.binary);
    world.start_receiver().await?;
    let (hook, url) = (Hook::of(world).await?, world.webhook_url());
    let body = hook.closed(9);
    support::world::within(Duration::from_mins(1), "the receiver's first list", || async {
        let answer = reqwest::Client::new().execute(hook.signed(&url, &body)).await.ok()?;
        answer.status().is_success().then_some(())
    })
    .await
}

/// Both servers in turns, each alone.
async fn no_task(world: &World, size: usize) -> Result<Vec<String>> {
    let port = free_port()?;
    let bare = Bare::start(port).await?;
    let (hook, mut count, mut cpu) = (Hook::of(world).await?, [0, 0], [0.0, 0.0]);
    let pids = [world.receiver.as_ref().context("a receiver")?.pid(), bare.pid()];
    let urls = [world.webhook_url(), format!("http://127.0.0.1:{port}/")];
    let body = hook.closed(9);
    let first = Usage::of(pids[0])?.rss;
    for _ in 0..TURNS {
        for (at, url) in urls.iter().enumerate() {
            let before = Usage::of(pids[at])?;
            count[at] += load(vec![hook.signed(url, &body)], TURN, &[202]).await?;
            cpu[at] += Usage::of(pids[at])?.cpu_since(before);
        }
    }
    ensure!(count[0] >= MANY, "only {} deliveries, too few to see memory grow", count[0]);
    let seconds = (TURN * TURNS).as_secs_f64();
    let rate = |at: usize| f64::from(u32::try_from(count[at]).unwrap_or(u32::MAX)) / seconds;
    Ok(vec![
        size.to_string(),
        format!("{:.0}", rate(0)),
        format!("{:.0}", rate(1)),
        format!("{:.2}", rate(0) / rate(1)),
        format!("{:.0}", cpu[0] / rate(0) / seconds * 1e6),
        format!("{:.0}", cpu[1] / rate(1) / seconds * 1e6),
        format!("{first:.0}"),
        format!("{:.0}", Usage::of(pids[0])?.rss),
    ])
}

/// What one release needs to move Tasks.
struct Moves {
    deliveries: Vec<Duration>,
    patches: Vec<Duration>,
    /// Microseconds of each delivery, hearing of its own write included.
    cpu: f64,
}

impl Moves {
    fn row(&self, then: &Self, size: usize) -> Vec<String> {
        let [p50, raw] = [&self.deliveries, &self.patches].map(|sorted| milliseconds(sorted, 50));
        vec![
            size.to_string(),
            format!("{p50:.2}"),
            format!("{:.2}", milliseconds(&self.deliveries, 99)),
            format!("{raw:.2}"),
            format!("{:.2}", milliseconds(&self.patches, 99)),
            format!("{:.2}", p50 / raw),
            format!("{:.0}", self.cpu),
            format!("{:.0}", then.cpu),
            format!("{:.2}", self.cpu / then.cpu),
        ]
    }
}

/// One delivery and one raw patch after the other, each of a Task of its own, from the Task number `first` on.
async fn moving(world: &World, first: usize, size: usize) -> Result<Moves> {
    let pid = world.receiver.as_ref().context("a receiver")?.pid();
    let (http, tasks, hook) = (reqwest::Client::new(), world.tasks(), Hook::of(world).await?);
    let (mut deliveries, mut patches, mut cpu) = (Vec::new(), Vec::new(), 0.0);
    let count = MOVES.min(size / 4);
    for at in first..first + count {
        let request = hook.signed(&world.webhook_url(), &hook.closed(1000 + at));
        let (before, started) = (Usage::of(pid)?, Instant::now());
        let answer = http.execute(request).await?;
        deliveries.push(started.elapsed());
        // The receiver hears of each write through its watch.
        tokio::time::sleep(SETTLE).await;
        cpu += Usage::of(pid)?.cpu_since(before);
        ensure!(answer.status() == 200, "{}: {}", answer.status(), answer.text().await?);

        let other = at + count;
        let name = format!("settled-{other}");
        let status = raw_patch(&name, tasks.get(&name).await?.metadata.resource_version.as_deref(), other);
        // Nothing is warmer for it than for a delivery.
        tokio::time::sleep(SETTLE).await;
        let started = Instant::now();
        tasks.patch_status(&name, &PatchParams::default(), &Patch::Merge(status)).await?;
        patches.push(started.elapsed());
        tokio::time::sleep(SETTLE).await;
    }
    deliveries.sort();
    patches.sort();
    Ok(Moves { cpu: cpu / f64::from(u32::try_from(count)?) * 1e6, deliveries, patches })
}

/// What a delivery writes, as somebody would write it by hand.
fn raw_patch(name: &str, version: Option<&str>, at: usize) -> Value {
    json!({
        "metadata": {"resourceVersion": version},
        "status": {
            "state": "todo", "column": "research", "buildStatus": "pending", "branch": null,
            "pullRequest": {"number": 1000 + at, "state": "closed", "updatedAt": "2036-01-01T00:00:00Z", "unconfirmed": true},
            "lastDelivery": {"id": name, "event": "pull_request.closed", "receivedAt": "2036-01-01T00:00:00Z"},
        },
    })
}
