//! A limit that GitHub names binds everything of its account until it is over, also in the next process, and the Repository says so.
//! Neighbours: `leader`'s line has the turns of many Tasks.

use crate::world::{PATIENCE, World, repository, task, within};
use anyhow::{Context as _, Result, ensure};
use jiff::SignedDuration;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, ResourceExt};
use serde_json::json;
use slipway::api::{Limits, Repository, State};
use slipway_simulator::{
    core::{Rule, When},
    github::secondary_limit,
};

/// Long enough for a restart, and for two renewals of the Lease before it.
const SECONDS: i64 = 25;

async fn limits(world: &World, what: &str, fits: impl Fn(Option<&Limits>) -> bool) -> Result<Option<Limits>> {
    let told = |repository: &Repository| {
        repository.status.as_ref().is_some_and(|status| fits(status.limits.as_ref()))
    };
    let repository = world.repository("app", what, told).await?;
    Ok(repository.status.and_then(|status| status.limits))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_outlives_the_process_and_stands_in_the_repositorys_status() -> Result<()> {
    let mut world = crate::world("limits").await?;
    // The next process looks at the Repository while the limit still holds.
    world.apply(&repository("app").with("/spec/syncIntervalSeconds", json!(30))).await?;
    let known = |repository: &Repository| {
        repository.status.as_ref().is_some_and(|status| status.account.as_deref() == Some("slipway-bot"))
    };
    world.repository("app", "with its account", known).await?;

    let limit = secondary_limit(Some(SECONDS.unsigned_abs()));
    let trees = Rule::on("github", "POST /repos/{owner}/{repo}/git/trees");
    let rule = world.simulator.faults.set(trees.when(When::Next(1)).action(limit));
    world.apply(&task("work", "app", "echo hello > hello")).await?;
    let told = limits(&world, "limited", |limits| limits.is_some()).await?.context("limits")?;
    ensure!(told.reason == "RateLimited", "{told:?}");
    let refused = world.simulator.calls.matching(|call| call.fault == Some(rule));
    let refused = refused.first().context("the refused call")?.real_at;
    let away = told.until.0.duration_since(refused).as_secs();
    ensure!((SECONDS - 1..=SECONDS + 1).contains(&away), "{away} s");

    // The next process reads it in the Lease, which is renewed every two seconds; a limit with a time has a t.
    let leases: Api<Lease> = Api::default_namespaced(world.client.clone());
    let name = format!("slipway-controller-{}", world.namespace);
    within(PATIENCE, "the limit in the Lease", || async {
        let lease = leases.get(&name).await.ok()?;
        lease.annotations().get("slipway.dev/handover")?.contains(";t").then_some(())
    })
    .await?;
    world.kill_controller();
    world.start_controller()?;
    world.synced().await?;
    world.task_in("work", State::Review).await.with_context(|| world.logs())?;
    let until = refused + SignedDuration::from_secs(SECONDS);
    let early = world.simulator.calls.matching(|call| {
        call.api == "github" && call.real_at > refused + SignedDuration::from_secs(1) && call.real_at < until
    });
    ensure!(early.is_empty(), "called while the limit held: {early:#?}");
    limits(&world, "without a limit", |limits| limits.is_none()).await.map(drop)
}
