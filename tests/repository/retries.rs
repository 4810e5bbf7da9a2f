//! The retry policy as a Repository shows it: every status code and a cut connection, with the waits in `status.retry`
//! and in the stand-in's log; limits, which use up no attempt; and the end of patience.

use crate::support::{GET_REPOSITORY, World, has, ready};
use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use jiff::Timestamp;
use kube::{
    ResourceExt as _,
    runtime::{WatchStreamExt as _, watcher},
};
use serde_json::json;
use slipway::api::common::Retry;
use slipway_simulator::{
    core::{Action, Rule, When},
    github::secondary_limit,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

/// Every value of `status.retry` that was ever stored, by Repository.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<BTreeMap<String, Vec<Retry>>>>);

impl Seen {
    fn watch(world: &World) -> Self {
        let seen = Self::default();
        let all = seen.clone();
        let mut objects = Box::pin(
            watcher(world.repositories(), watcher::Config::default()).default_backoff().applied_objects(),
        );
        tokio::spawn(async move {
            while let Some(object) = objects.next().await {
                let Ok(object) = object else { continue };
                let Some(retry) = object.status.as_ref().and_then(|status| status.retry.clone()) else {
                    continue;
                };
                let mut all = all.0.lock().unwrap();
                let list = all.entry(object.name_any()).or_default();
                if list.last() != Some(&retry) {
                    list.push(retry);
                }
            }
        });
        seen
    }

    fn of(&self, name: &str) -> Vec<Retry> {
        self.0.lock().unwrap().get(name).cloned().unwrap_or_default()
    }
}

/// When the calls about a repository arrived, by the real clock.
fn arrivals(world: &World, name: &str) -> Vec<Timestamp> {
    let calls = world.sim.calls.of("github", GET_REPOSITORY);
    calls.iter().filter(|call| call.path.ends_with(&format!("/{name}"))).map(|call| call.real_at).collect()
}

#[tokio::test]
async fn every_status_of_the_policy_is_tried_again_after_1_2_and_4_seconds() -> Result<()> {
    let world = World::new("retries").await?;
    world.token().await?;
    let seen = Seen::watch(&world);
    let mut names = Vec::new();
    for status in [408, 429, 500, 502, 503, 504] {
        names.push((format!("status-{status}"), Rule::default().status(status, "try later").action));
    }
    names.push(("cut-before".to_owned(), Action::CutBefore));
    names.push(("cut-after".to_owned(), Action::CutAfter));
    names.push(("truncated".to_owned(), Action::TruncateBody { after: 20 }));
    for (name, action) in &names {
        world.at_github(name)?;
        let rule =
            Rule::on("github", GET_REPOSITORY).path_contains(name).when(When::Next(3)).action(action.clone());
        world.sim.faults.set(rule);
        world.repository(name, json!({})).await?;
    }
    for (name, _) in &names {
        let status = world.repository_with(name, "Synced").await?;
        assert!(status.retry.is_none(), "{name}: settled, so nothing is left of the retry");
        let retries = seen.of(name);
        let attempts: Vec<_> = retries.iter().map(|retry| (retry.attempt, retry.limited)).collect();
        assert_eq!(attempts, [(1, false), (2, false), (3, false)], "{name}: {retries:#?}");
        assert!(retries.iter().all(|retry| retry.operation == "getRepository"), "{name}: {retries:#?}");
        let at = arrivals(&world, name);
        assert_eq!(at.len(), 4, "{name}: {at:?}");
        for (i, wait) in [1, 2, 4].into_iter().enumerate() {
            let waited = at[i + 1].duration_since(at[i]);
            assert!(waited.as_secs() >= wait, "{name}: waited {waited:#} instead of {wait} s");
            let announced = retries[i].next_attempt_at.0;
            assert!(at[i + 1] >= announced, "{name}: called at {} before {announced}", at[i + 1]);
            let announced = announced.duration_since(at[i]);
            assert!(announced.as_secs() <= wait + 10, "{name}: a wait of {announced:#} instead of {wait} s");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_create_that_fails_is_tried_again_and_made_once() -> Result<()> {
    let status = |status| Rule::default().status(status, "try later").action;
    let cases = [
        ("c408", status(408), 2),
        ("c429", status(429), 2),
        ("c500", status(500), 3),
        ("c502", status(502), 2),
        ("c503", status(503), 2),
        ("c504", status(504), 2),
        ("cut-before", Action::CutBefore, 2),
        ("cut-after", Action::CutAfter, 1),
    ];
    // The name of what is created stands in the body: each case needs a stand-in of its own.
    let cases = cases.map(|(name, action, failures)| create_fails(name, action, failures));
    futures::future::try_join_all(cases).await?;
    Ok(())
}

async fn create_fails(name: &str, action: Action, failures: u64) -> Result<()> {
    let world = World::new(name).await?;
    world.token().await?;
    let seen = Seen::watch(&world);
    let create = "POST /user/repos";
    world.sim.faults.set(Rule::on("github", create).when(When::Next(failures)).action(action));
    world.repository("app", json!({"createPolicy": "IfMissing"})).await?;
    let status = world.repository_with("app", "Synced").await?;
    assert!(status.retry.is_none() && status.repository_id.is_some(), "{name}: {status:#?}");
    let retries = seen.of("app");
    let attempts: Vec<_> = retries.iter().map(|retry| retry.attempt).collect();
    assert!(attempts.iter().copied().eq(1..=i32::try_from(failures)?), "{name}: {retries:#?}");
    assert!(retries.iter().all(|retry| retry.operation == "createRepository"), "{name}: {retries:#?}");
    let calls = world.sim.calls.of("github", create);
    // An answer that was lost is looked up before anything is made again.
    let expected = if name == "cut-after" { 1 } else { usize::try_from(failures)? + 1 };
    assert_eq!(calls.len(), expected, "{name}");
    for (at, pair) in calls.windows(2).enumerate() {
        let waited = pair[1].real_at.duration_since(pair[0].real_at).as_secs();
        assert!(waited >= 1 << at, "{name}: attempt {} came after {waited} s", at + 2);
    }
    Ok(())
}

#[tokio::test]
async fn after_the_last_attempt_it_is_told_and_tried_slowly() -> Result<()> {
    let world = World::new("exhausted").await?;
    world.token().await?;
    world.at_github("down")?;
    let rule = world.sim.faults.set(Rule::on("github", GET_REPOSITORY).status(502, "bad gateway"));
    world.repository("down", json!({})).await?;
    let status = world.repository_with("down", "RetriesExhausted").await?;
    assert!(!ready(&status).unwrap().0 && has(&status, "Reconciling") && !has(&status, "Stalled"));
    assert_eq!(arrivals(&world, "down").len(), 4);
    let retry = status.retry.context("it is tried again")?;
    let wait = retry.next_attempt_at.0.duration_since(*arrivals(&world, "down").last().unwrap()).as_secs();
    assert!((235..=365).contains(&wait), "slow and spread: {wait} s");
    // An outage heals itself; a person need not wait for it.
    world.sim.faults.remove(rule);
    world.annotate("down", "now").await?;
    world.repository_with("down", "Synced").await?;
    Ok(())
}

#[tokio::test]
async fn a_limit_uses_up_no_attempt_and_holds_for_every_object_of_the_credential() -> Result<()> {
    let world = World::new("limits").await?;
    world.token().await?;
    let seen = Seen::watch(&world);
    world.at_github("first")?;
    world.at_github("second")?;
    let rule = Rule::on("github", GET_REPOSITORY)
        .path_contains("first")
        .when(When::Nth(1))
        .action(secondary_limit(Some(5)));
    world.sim.faults.set(rule);
    world.repository("first", json!({})).await?;
    let limited =
        |status: &slipway::api::RepositoryStatus| status.retry.as_ref().is_some_and(|retry| retry.limited);
    let status = world.repository_when("first", "limited", limited).await?;
    assert_eq!(status.retry.as_ref().map(|retry| retry.attempt), Some(0));
    let until = status.retry.context("limited")?.next_attempt_at.0;
    // Nothing shortens a limit's wait, and no other object of the credential gets past it.
    world.annotate("first", "hurry").await?;
    world.repository("second", json!({})).await?;
    world.repository_with("first", "Synced").await?;
    world.repository_with("second", "Synced").await?;
    let hit = arrivals(&world, "first")[0];
    for name in ["first", "second"] {
        let next = *arrivals(&world, name).last().unwrap();
        assert!(
            next.duration_since(hit).as_secs() >= 5,
            "{name} was asked for {:#} after the limit",
            next.duration_since(hit)
        );
    }
    assert!(until.duration_since(hit).as_secs() >= 5);
    assert!(seen.of("first").iter().all(|retry| retry.attempt == 0), "{:#?}", seen.of("first"));
    Ok(())
}
