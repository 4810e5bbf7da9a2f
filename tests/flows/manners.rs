//! Repositories with rules and slow replicas: lag costs time and nothing else, checks that come late are waited for, and a rule that
//! refuses the merge is named with its cure. The stand-in's `Manners` say what GitHub does in each case.

use crate::{
    world,
    world::{PATIENCE, World, repository, task, within},
};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use slipway::api::{Repository, State};
use slipway_simulator::core::Call;
use slipway_simulator::github::{Check, Manners, MergeMethod, NewRepository};

/// GitHub has the repository.
async fn known(world: &World, name: &str) -> Result<()> {
    let is_known = |repository: &Repository| {
        repository.status.as_ref().is_some_and(|status| status.repository_id.is_some())
    };
    world.repository(name, "known", is_known).await.map(drop)
}

fn set_manners(world: &World, name: &str, manners: Manners) -> Result<()> {
    let refused = |refused| anyhow::anyhow!("{refused:?}");
    world.simulator.github.set_manners(&format!("acme/{name}"), manners).map_err(refused)
}

/// A repository with these manners, and a Task that is merged as soon as it can be.
async fn begin(world: &World, name: &str, manners: Manners, merge: Value) -> Result<()> {
    world.apply(&repository(name)).await?;
    world
        .repository(name, "known", |repository| {
            repository.status.as_ref().is_some_and(|status| status.repository_id.is_some())
        })
        .await?;
    let refused = |refused| anyhow::anyhow!("{refused:?}");
    world.simulator.github.set_manners(&format!("acme/{name}"), manners).map_err(refused)?;
    let pull_request = json!({ "merge": merge });
    world.apply(&task(name, name, "echo a > a").with("/spec/pullRequest", pull_request)).await
}

fn unchecked() -> Value {
    json!({"policy": "WhenReady", "requireChecks": false})
}

fn pulls(world: &World, name: &str) -> Result<Vec<Value>> {
    world.simulator.github.pulls(&format!("acme/{name}")).map_err(|refused| anyhow::anyhow!("{refused:?}"))
}

/// What lags is asked for again: nothing is made twice, and no person is asked.
async fn lag(world: &World) -> Result<()> {
    let manners = Manners { lag_seconds: 3, delete_merged_branches: true, ..Manners::default() };
    begin(world, "lag", manners, unchecked()).await?;
    world.task_in("lag", State::Done).await?;
    let pulls = pulls(world, "lag")?;
    ensure!(pulls.len() == 1 && pulls[0]["merged_at"].is_string(), "{pulls:#?}");
    for endpoint in ["POST /repos/{owner}/{repo}/git/commits", "POST /repos/{owner}/{repo}/pulls"] {
        let made = world.simulator.calls.matching(|call| {
            call.endpoint == endpoint && call.path.contains("/acme/lag/") && call.status() == Some(201)
        });
        ensure!(made.len() == 1, "{endpoint} took effect {} times", made.len());
    }
    Ok(())
}

/// Nothing is merged before the checks are there, though GitHub says `clean` all along.
async fn late_checks(world: &World) -> Result<()> {
    let checks = vec![Check { name: "build".into(), conclusion: Some("success".into()), ..Check::default() }];
    let manners = Manners { checks, checks_after_seconds: 20, ..Manners::default() };
    begin(world, "late", manners, json!({"policy": "WhenReady"})).await?;
    world.task_in("late", State::Review).await?;
    let done = within(3 * PATIENCE, "the merge", || async {
        let task = world.tasks().get("late").await.ok()?;
        task.status.as_ref().is_some_and(|status| status.state == State::Done).then_some(task)
    });
    let done = done.await.with_context(|| world.logs())?.status.context("status")?;
    let pushed = done.pushed_at.context("pushedAt")?.0;
    let merged: jiff::Timestamp =
        pulls(world, "late")?[0]["merged_at"].as_str().context("merged")?.parse()?;
    let waited = merged.duration_since(pushed).as_secs();
    ensure!(waited >= 59, "merged {waited} s after the push");
    Ok(())
}

/// A rule is named, and once the spec fits it the same Task goes on.
async fn method(world: &World) -> Result<()> {
    let manners = Manners { merge_methods: vec!["squash".into()], ..Manners::default() };
    begin(world, "method", manners, unchecked()).await?;
    world.task_because("method", "MergeMethodNotAllowed").await?;
    let described = world.kubectl(&["describe", "swtask", "method"]).await?;
    ensure!(described.contains("set pullRequest.merge.method"), "{described}");
    let squash = json!({"spec": {"pullRequest": {"merge": {"method": "squash"}}}}).to_string();
    world.kubectl(&["patch", "swtask", "method", "--type=merge", "-p", &squash]).await?;
    world.task_in("method", State::Done).await.map(drop)
}

/// What GitHub will never merge says so, with what helps, though the pull request is `clean`; once it helps the same Task goes on.
async fn restricted(world: &World) -> Result<()> {
    let manners = Manners { restricts_pushes: true, ..Manners::default() };
    begin(world, "restricted", manners, unchecked()).await?;
    let task = world.task_because("restricted", "BranchProtected").await?;
    ensure!(task.status.context("status")?.state == State::Review);
    world.described("restricted", "a person merges the pull request").await?;
    set_manners(world, "restricted", Manners::default())?;
    world.kubectl(&["annotate", "swtask", "restricted", "slipway.dev/reconcile=1"]).await?;
    world.task_in("restricted", State::Done).await.map(drop)
}

/// Files that GitHub does not take are named with their cure; once GitHub takes them the same Task goes on.
async fn files(world: &World) -> Result<()> {
    let workflows = Manners { refuses_workflows: true, ..Manners::default() };
    let secrets = Manners { secrets: vec!["AKIA-CANARY".into()], ..Manners::default() };
    for (name, manners, script, cure) in [
        (
            "workflows",
            workflows,
            "mkdir -p .github/workflows; echo on: push > .github/workflows/ci.yml",
            "Workflows: write",
        ),
        ("push-protection", secrets, "echo key=AKIA-CANARY > settings", "push protection sees a secret in"),
    ] {
        // Made by somebody else: what we have just made ourselves is waited for, for a minute, whatever a 404 may mean.
        let new = NewRepository { owner: "acme".into(), name: name.into(), ..NewRepository::default() };
        world.simulator.github.create_repository(&new).map_err(|refused| anyhow::anyhow!("{refused:?}"))?;
        world.apply(&repository(name)).await?;
        known(world, name).await?;
        set_manners(world, name, manners)?;
        world.apply(&task(name, name, script)).await?;
        world.described(name, cure).await?;
        set_manners(world, name, Manners::default())?;
        world.kubectl(&["annotate", "swtask", name, "slipway.dev/reconcile=1"]).await?;
        world.task_in(name, State::Review).await?;
    }
    Ok(())
}

/// What comes too quickly for GitHub comes later.
async fn quickly(world: &World) -> Result<()> {
    world.apply(&repository("quick")).await?;
    known(world, "quick").await?;
    set_manners(world, "quick", Manners { pull_interval_seconds: 5, ..Manners::default() })?;
    for name in ["quick-a", "quick-b"] {
        world.apply(&task(name, "quick", &format!("echo {name} > {name}"))).await?;
    }
    for name in ["quick-a", "quick-b"] {
        within(3 * PATIENCE, name, || async {
            let task = world.tasks().get(name).await.ok()?;
            task.status.as_ref().is_some_and(|status| status.state == State::Review).then_some(())
        })
        .await
        .with_context(|| world.logs())?;
    }
    ensure!(pulls(world, "quick")?.len() == 2);
    Ok(())
}

/// Without a webhook, a sync finds the Task's own pull request among those of forks that look like it.
async fn forks(world: &World) -> Result<()> {
    world.apply(&repository("forks").with("/spec/syncIntervalSeconds", json!(30))).await?;
    known(world, "forks").await?;
    set_manners(world, "forks", Manners { foreign_pulls: true, ..Manners::default() })?;
    world.apply(&task("forks", "forks", "echo a > a")).await?;
    world.task_in("forks", State::Review).await?;
    let lists = || {
        let listed = |call: &Call| call.path == "/repos/acme/forks/pulls" && !call.query.contains("head=");
        world.simulator.calls.matching(listed).len()
    };
    let before = lists();
    within(PATIENCE, "a sync", || async { (lists() > before).then_some(()) }).await?;
    ensure!(
        world.tasks().get("forks").await?.status.context("status")?.state == State::Review,
        "moved by a fork's"
    );
    let merged = world.simulator.github.merge("acme/forks", 1, MergeMethod::Merge);
    merged.map_err(|refused| anyhow::anyhow!("{refused:?}"))?;
    world.task_in("forks", State::Done).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_github_does_not_take_is_named_and_what_is_not_ours_is_passed_over() -> Result<()> {
    let world = world("refusals").await?;
    tokio::try_join!(files(&world), quickly(&world), forks(&world)).map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_are_named_and_lateness_costs_only_time() -> Result<()> {
    let world = world("manners").await?;
    tokio::try_join!(lag(&world), late_checks(&world), method(&world), restricted(&world)).map(drop)
}
