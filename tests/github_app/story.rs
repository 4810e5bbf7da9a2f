//! The whole way under an App: a repository that is created, a command that finds it, a commit that GitHub signs, a merge.
//! Once at github.com's paths and once at those of a GitHub Enterprise Server.

use crate::{
    INSTALLATION, refused, repository, world,
    world::{World, task, wait::message_of, within},
};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use slipway::{
    api::{Repository, State},
    domain::conditions::is_true,
};
use std::{process::Command, time::Duration};

/// What git prints of `acme/app`.
fn at_origin(world: &World, arguments: &[&str]) -> Result<String> {
    let origin = world.simulator.github.git_dir("acme/app").map_err(refused)?;
    let output =
        Command::new("git").args(["-c", "safe.directory=*"]).args(arguments).current_dir(origin).output()?;
    ensure!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

async fn known(world: &World) -> Result<()> {
    let managed = repository("app").with("/spec/webhook", json!({"manage": "Repository"}));
    world.apply(&managed.with("/spec/checks", json!("None"))).await?;
    let message = crate::because(world, "app", "Synced").await?;
    ensure!(message.contains("acme/app"), "{message}");
    let status = world.repositories().get("app").await?.status.context("a status")?;
    ensure!(status.app_id == i64::try_from(crate::APP).ok(), "{status:?}");
    let delivers = |repository: &Repository| {
        let status = repository.status.as_ref();
        status.is_some_and(|status| is_true(&status.conditions, "WebhookReady"))
    };
    world.repository("app", "WebhookReady", delivers).await.map(drop)
}

/// From `kubectl apply` to the merge, by the operator alone.
async fn merged(world: &World) -> Result<()> {
    known(world).await?;
    // Both take nothing but what is signed.
    for branch in ["main", "task/carry"] {
        world.simulator.github.require_signatures("acme/app", branch, true).map_err(refused)?;
    }
    let carry = task(
        "carry",
        "app",
        "test -e README.md; mkdir -p .github/workflows; echo 'on: push' > .github/workflows/ci.yml",
    )
    .with("/spec/source/checkout", json!({}))
    .with("/spec/branch", json!("task/carry"))
    .with("/spec/pullRequest", json!({"merge": {"policy": "WhenReady"}, "deleteBranch": true}));
    world.apply(&carry).await?;
    let done = world.task_in("carry", State::Done).await?;
    ensure!(message_of(&done, "Committed").contains("has signed it (verified)"), "{:?}", done.status);
    ensure!(at_origin(world, &["show", "main:.github/workflows/ci.yml"])? == "on: push\n");
    let authors = at_origin(world, &["log", "--format=%an", "-1", "main^2"])?;
    ensure!(authors == "slipway[bot]\n", "{authors}");
    within(Duration::from_secs(60), "the end of the merged branch", || async {
        at_origin(world, &["rev-parse", "--verify", "-q", "refs/heads/task/carry"]).is_err().then_some(())
    })
    .await?;
    bought_for_the_work_alone(world)
}

/// One token to create the repository, one to look for it before, and the others for it alone; none of them is shown anywhere.
fn bought_for_the_work_alone(world: &World) -> Result<()> {
    let minted = world.simulator.github.minted(INSTALLATION);
    let (for_all, for_one): (Vec<_>, Vec<_>) =
        minted.iter().partition(|token| token["repositories"] == Value::Null);
    let may: Vec<_> = for_all.iter().map(|token| &token["permissions"]).collect();
    let create = json!({"administration": "write", "metadata": "read"});
    ensure!(may == [&json!({"metadata": "read"}), &create], "{for_all:?}");
    for token in &for_one {
        ensure!(token["repositories"] == json!(["app"]), "{token}");
        ensure!(token["permissions"].get("administration").is_none(), "{token}");
    }
    // One of each: for ordinary work, for workflow files, for check runs, for commit statuses, for the webhook.
    ensure!(for_one.len() <= 5, "{for_one:#?}");
    let log = world.controller_log();
    ensure!(!log.contains("ghs_") && !log.contains("PRIVATE KEY"), "a secret in the log");
    let odd =
        world.simulator.calls.matching(|call| call.api == "github" && call.endpoint.ends_with("unknown"));
    ensure!(odd.is_empty(), "{odd:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_goes_to_its_merge_under_an_app_alone() -> Result<()> {
    merged(&world("app-story", false).await?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_way_leads_through_an_enterprise_server() -> Result<()> {
    let world = world("app-enterprise", true).await?;
    ensure!(world.simulator.github_url().ends_with("/api/v3"));
    merged(&world).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_names_its_author_is_told_to_drop_it_where_signatures_are_wanted() -> Result<()> {
    let world = world("app-author", false).await?;
    known(&world).await?;
    world.simulator.github.require_signatures("acme/app", "task/named", true).map_err(refused)?;
    let named = task("named", "app", "echo 1 > a")
        .with("/spec/branch", json!("task/named"))
        .with("/spec/commit", json!({"authorName": "Ada"}));
    world.apply(&named).await?;
    let stalled = world.task_because("named", "BranchProtected").await?;
    let message = message_of(&stalled, "Ready");
    ensure!(message.contains("leave commit.authorName and commit.authorEmail out"), "{message}");
    ensure!(!message_of(&stalled, "Committed").contains("verified"), "{:?}", stalled.status);
    Ok(())
}
