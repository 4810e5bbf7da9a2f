//! What a webhook did not bring: it comes by redelivery alone, or by the sync alone, and the loop ends.
//! Beside `hook`; the stand-in keeps its log of deliveries as GitHub does.

use crate::{
    hook::{delivering, hook_world, managed, webhook_ready},
    story::refused,
    world::{Manifest, PATIENCE, World, task, within},
};
use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use slipway::api::State;
use slipway_simulator::{
    core::{Action, Rule},
    github::MergeMethod,
};
use std::{collections::BTreeMap, time::Instant};
use tokio::{sync::oneshot, task::JoinHandle};
use warp::Filter as _;

const APP: &str = "acme/app";
/// Pull requests that are merged while nothing arrives.
const PULLS: usize = 50;
const REDELIVER: &str = "POST /repos/{owner}/{repo}/hooks/{hook_id}/deliveries/{delivery_id}/attempts";
const PING: &str = "POST /repos/{owner}/{repo}/hooks/{hook_id}/pings";
const LOG: &str = "GET /repos/{owner}/{repo}/hooks/{hook_id}/deliveries";
const UNDELIVERED: &str = "slipway_undelivered_changes_total";

/// So many Tasks of a Repository in review, with the numbers of their pull requests.
async fn in_review(world: &World, repository: &str, count: usize) -> Result<Vec<(String, u64)>> {
    let names: Vec<_> = (0..count).map(|n| format!("{repository}-{n}")).collect();
    for name in &names {
        world.apply(&task(name, repository, &format!("echo 1 > {name}"))).await?;
    }
    let mut pulls = Vec::new();
    for name in names {
        let task = world.task_in(&name, State::Review).await?;
        let pull = task.status.and_then(|status| status.pull_request).context("a pull request")?;
        pulls.push((name, u64::try_from(pull.number)?));
    }
    Ok(pulls)
}

/// From now on no sync sees anything: the list of pull requests lags behind for as long as the test takes.
fn hold_off_sync(world: &World) {
    let headers = BTreeMap::from([("content-type".to_owned(), "application/json".to_owned())]);
    let nothing = Action::Status { status: 200, headers, body: "[]".to_owned(), after_effect: false };
    world.simulator.faults.set(Rule::on("github", "GET /repos/{owner}/{repo}/pulls").action(nothing));
}

fn merge_all(world: &World, pulls: &[(String, u64)]) -> Result<()> {
    for (_, number) in pulls {
        world.simulator.github.merge(APP, *number, MergeMethod::Merge).map_err(refused)?;
    }
    Ok(())
}

async fn all_done(world: &World, pulls: &[(String, u64)]) -> Result<()> {
    for (name, _) in pulls {
        world.task_in(name, State::Done).await?;
    }
    Ok(())
}

/// Changes that a sync had to find, by the metric.
async fn undelivered(world: &World) -> Result<usize> {
    let metrics = world.ops("/metrics").await.context("metrics")?;
    let line = metrics.lines().find_map(|line| line.strip_prefix(UNDELIVERED)).context("the metric")?;
    Ok(line.trim().parse()?)
}

/// Waits for so many more pings.
async fn pinged(world: &World, more: usize) -> Result<()> {
    let pings = || world.simulator.calls.of("github", PING).len();
    let until = pings() + more;
    within(2 * PATIENCE, "pings", || async { (pings() >= until).then_some(()) })
        .await
        .with_context(|| world.logs())
}

/// No delivery was tried more than four times, and two more looks at the log send nothing again.
async fn has_ended(world: &World) -> Result<()> {
    let mut attempts: BTreeMap<String, usize> = BTreeMap::new();
    for delivery in world.simulator.github.deliveries.all() {
        *attempts.entry(format!("{} to {}", delivery.guid, delivery.hook_id)).or_default() += 1;
    }
    ensure!(attempts.values().all(|count| *count <= 4), "{attempts:?}");
    let calls = |call: &str| world.simulator.calls.of("github", call).len();
    let (sent, looks) = (calls(REDELIVER), calls(LOG));
    within(PATIENCE, "two more looks at the log", || async { (calls(LOG) >= looks + 2).then_some(()) })
        .await?;
    ensure!(calls(REDELIVER) == sent, "{} more", calls(REDELIVER) - sent);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happened_while_the_receiver_was_gone_comes_back_by_redelivery_alone() -> Result<()> {
    let mut world = hook_world("redelivery").await?;
    world.apply(&managed("app", true)).await?;
    delivering(&world, "app").await?;
    world.receiver = None;
    let pulls = in_review(&world, "app", PULLS).await?;
    hold_off_sync(&world);
    merge_all(&world, &pulls)?;
    webhook_ready(&world, "app", "False", "DeliveriesFailing").await?;
    // However long it takes, no attempt is used up, and another leader goes on.
    world.kill_controller();
    world.start_controller()?;
    pinged(&world, 2).await?;
    ensure!(world.simulator.calls.of("github", REDELIVER).is_empty(), "nobody is there to take it");
    world.start_receiver().await?;
    let pings = || world.simulator.calls.of("github", PING).len();
    let (back, before) = (Instant::now(), pings());
    all_done(&world, &pulls).await?;
    println!("{PULLS} Tasks right {:?} after the receiver was back", back.elapsed());
    // The next ping has told, or one that was on its way did not.
    ensure!(pings() - before <= 2, "{} pings", pings() - before);
    let told = delivering(&world, "app").await?;
    ensure!(told.failing == 0 && told.redelivered >= i64::try_from(PULLS)?, "{told:?}");
    ensure!(undelivered(&world).await? == 0, "all by redelivery");
    has_ended(&world).await
}

/// An Ingress that has lost its backend answers 404, which is the outage and no verdict on a delivery. Two Repositories stand for
/// the repository: each has a hook, and comes back by its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_404_of_an_ingress_settles_nothing() -> Result<()> {
    let mut world = hook_world("ingress").await?;
    world.apply(&Manifest::secret("second", "secret", "the-webhook-secret-of-another-team")).await?;
    world.apply(&managed("app", true)).await?;
    delivering(&world, "app").await?;
    world.apply(&managed("second", true).with("/spec/webhookSecretRef/name", json!("second"))).await?;
    delivering(&world, "second").await?;
    world.receiver = None;
    let ingress = Ingress::start(world.port).await;
    let mut pulls = in_review(&world, "app", 3).await?;
    pulls.extend(in_review(&world, "second", 3).await?);
    hold_off_sync(&world);
    merge_all(&world, &pulls)?;
    for name in ["app", "second"] {
        webhook_ready(&world, name, "False", "DeliveriesFailing").await?;
    }
    pinged(&world, 1).await?;
    ingress.end().await?;
    world.start_receiver().await?;
    all_done(&world, &pulls).await?;
    has_ended(&world).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nothing_is_sent_again_the_sync_finds_it_and_the_metric_says_so() -> Result<()> {
    let mut world = hook_world("syncalone").await?;
    world.apply(&managed("app", false)).await?;
    delivering(&world, "app").await?;
    let pulls = in_review(&world, "app", 5).await?;
    let before = undelivered(&world).await?;
    world.receiver = None;
    merge_all(&world, &pulls)?;
    all_done(&world, &pulls).await?;
    let found = undelivered(&world).await? - before;
    ensure!(found == pulls.len(), "{found}");
    ensure!(
        world.simulator.calls.of("github", REDELIVER).is_empty()
            && world.simulator.calls.of("github", LOG).is_empty()
    );
    Ok(())
}

/// Answers everything with 404, as an Ingress without a backend does.
struct Ingress {
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

impl Ingress {
    async fn start(port: u16) -> Self {
        let (stop, stopped) = oneshot::channel();
        let nothing = warp::any().map(|| warp::http::StatusCode::NOT_FOUND);
        let server = warp::serve(nothing).bind(([127, 0, 0, 1], port)).await;
        let server = server.graceful(async { drop(stopped.await) });
        Self { stop, server: tokio::spawn(server.run()) }
    }

    async fn end(self) -> Result<()> {
        drop(self.stop);
        Ok(self.server.await?)
    }
}
