//! GitHub failing half-way through a Task: each write of the way is tried again after 1, 2 and 4 s and made once.
//! Neighbours: `tests/repository` holds the same for lookups, limits and exhaustion.

use crate::{
    story::reviewed,
    world,
    world::{World, repository, task},
};
use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;
use serde_json::json;
use slipway::api::State;
use slipway_simulator::core::{Action, Rule, When};

const REFS: &str = "POST /repos/{owner}/{repo}/git/refs";
const TREES: &str = "POST /repos/{owner}/{repo}/git/trees";
const COMMITS: &str = "POST /repos/{owner}/{repo}/git/commits";
const PULLS: &str = "POST /repos/{owner}/{repo}/pulls";
const MERGE: &str = "PUT /repos/{owner}/{repo}/pulls/{pull_number}/merge";
const LIST: &str = "GET /repos/{owner}/{repo}/pulls";

/// One repository, one Task, one endpoint that fails.
struct Case {
    name: &'static str,
    operation: &'static str,
    endpoint: &'static str,
    action: Action,
    failures: u64,
}

fn status(status: u16) -> Action {
    let body = json!({"message": "try later"}).to_string();
    Action::Status { status, headers: Default::default(), body, after_effect: false }
}

fn cases() -> Vec<Case> {
    let case =
        |name, operation, endpoint, action, failures| Case { name, operation, endpoint, action, failures };
    vec![
        case("s408", "createCommit", COMMITS, status(408), 2),
        case("s429", "createBranch", REFS, status(429), 2),
        case("s500", "createPullRequest", PULLS, status(500), 2),
        case("s502", "createTree", TREES, status(502), 2),
        case("s503", "createPullRequest", PULLS, status(503), 3),
        case("s504", "listPullRequests", LIST, status(504), 2),
        case("cut-before", "createBranch", REFS, Action::CutBefore, 2),
        case("cut-after-branch", "createBranch", REFS, Action::CutAfter, 1),
        case("cut-after-pull", "createPullRequest", PULLS, Action::CutAfter, 1),
        case("m408", "mergePullRequest", MERGE, status(408), 1),
        case("m429", "mergePullRequest", MERGE, status(429), 1),
        case("m500", "mergePullRequest", MERGE, status(500), 2),
        case("m502", "mergePullRequest", MERGE, status(502), 2),
        case("m503", "mergePullRequest", MERGE, status(503), 1),
        case("m504", "mergePullRequest", MERGE, status(504), 1),
        case("cut-before-merge", "mergePullRequest", MERGE, Action::CutBefore, 2),
        case("cut-after-merge", "mergePullRequest", MERGE, Action::CutAfter, 1),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_step_is_tried_again_and_made_once() -> Result<()> {
    let world = world("retries").await?;
    for case in cases() {
        // A sync lists pull requests too: it would use up a failure that is meant for the Task.
        world.apply(&repository(case.name).with("/spec/syncIntervalSeconds", json!(86_400))).await?;
    }
    for case in cases() {
        let ready = world.repository(case.name, "ready", |repository| {
            repository.status.as_ref().is_some_and(|status| {
                status.conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True")
            })
        });
        ready.await?;
        let rule = Rule::on("github", case.endpoint).path_contains(&format!("/acme/{}/", case.name));
        world.simulator.faults.set(rule.when(When::Next(case.failures)).action(case.action.clone()));
    }
    let cases = cases();
    try_join_all(cases.iter().map(|case| run(&world, case))).await?;
    let log = world.controller_log();
    for line in ["github call failed", "retrying", "github call succeeded after retry"] {
        ensure!(log.contains(line), "{line} is not in the log");
    }
    Ok(())
}

async fn run(world: &World, case: &Case) -> Result<()> {
    let seen = world.task(case.name, "a retry in its status", |task| {
        task.status.as_ref().and_then(|status| status.retry.as_ref()).is_some_and(|retry| retry.attempt >= 1)
    });
    let merges = case.operation == "mergePullRequest";
    let mut manifest = task(case.name, case.name, "echo a > a");
    if merges {
        manifest = manifest
            .with("/spec/pullRequest", json!({"merge": {"policy": "WhenReady", "requireChecks": false}}));
    }
    let (applied, seen) = tokio::join!(world.apply(&manifest), seen);
    applied?;
    let retry = seen?.status.and_then(|status| status.retry).context("a retry")?;
    ensure!(retry.operation == case.operation, "{}: {} failed", case.name, retry.operation);
    ensure!(!retry.limited, "{}: a plain failure is no limit", case.name);

    if merges {
        world.task_in(case.name, State::Done).await?;
    } else {
        reviewed(world, case.name).await?;
    }
    let task = world.tasks().get(case.name).await?;
    ensure!(task.status.context("status")?.retry.is_none(), "{}: the retry is over", case.name);
    let full = format!("acme/{}", case.name);
    let refused = |refused| anyhow::anyhow!("{refused:?}");
    let pulls = world.simulator.github.pulls(&full).map_err(refused)?;
    let branches = world.simulator.github.branches(&full).map_err(refused)?;
    ensure!(pulls.len() == 1 && branches.len() == 2, "{}: {} pulls, {branches:?}", case.name, pulls.len());
    ensure!(pulls[0]["merged_at"].is_string() == merges, "{}: {}", case.name, pulls[0]);
    let path = format!("/repos/{full}/");
    let calls = world.simulator.calls.of("github", case.endpoint);
    let times: Vec<_> =
        calls.iter().filter(|call| call.path.starts_with(&path)).map(|call| call.real_at).collect();
    for (at, pair) in times.windows(2).enumerate().take(usize::try_from(case.failures)?) {
        let waited = pair[1].duration_since(pair[0]).as_millis();
        ensure!(waited >= 1000 << at, "{}: attempt {} came after {waited} ms", case.name, at + 2);
    }
    Ok(())
}
