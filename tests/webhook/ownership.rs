//! No pull request but the Task's own moves it: twins with one branch, namesakes of old, forks that copy everything.

use crate::{
    controlplane,
    payload::{HEAD, Payload, payload},
    world::{REPOSITORY_ID, SECRET, Setup, World, eventually, in_review, row, world},
};
use anyhow::{Context as _, Result, ensure};
use kube::{Api, ResourceExt as _, api::DeleteParams};
use reqwest::StatusCode;
use slipway::{
    api::{BuildStatus, Column, Phase, State, Task, TaskStatus},
    domain::pull_request::marker,
};

const OTHER: &str = "0123456789012345678901234567890123456789";

/// A Task whose command still runs, with the branch that it has planned.
fn generating(status: &mut TaskStatus) {
    status.phase = Some(Phase::Generating);
    (status.state, status.column, status.build_status) =
        (State::InProgress, Column::Development, BuildStatus::Building);
    status.repository_id = Some(REPOSITORY_ID);
    status.branch = Some("task/t-42/work".to_owned());
    status.round = Some(1);
}

/// A Task whose branch stands at this commit.
fn committed(commit: &'static str) -> impl Fn(&mut TaskStatus) {
    move |status| {
        generating(status);
        status.phase = Some(Phase::BranchCreated);
        status.commit_sha = Some(commit.to_owned());
    }
}

async fn moves(world: &World<'_>, payload: &Payload, tasks: u64) -> Result<()> {
    let reply = world.deliver(payload, SECRET).await?;
    let moved = reply.body["tasks"].as_u64().unwrap_or(0);
    ensure!(reply.status.is_success() && moved == tasks, "{reply:?} to {payload:?}");
    Ok(())
}

async fn unmoved(world: &World<'_>, task: &Task) -> Result<()> {
    let namespace = task.namespace().context("namespaced")?;
    let stored = Api::<Task>::namespaced(world.client.clone(), &namespace).get(&task.name_any()).await?;
    ensure!(stored.metadata.resource_version == task.metadata.resource_version, "{:?}", stored.status);
    Ok(())
}

/// One pull request's whole life, from the branch of the Task and at its commit.
fn life(body: &str) -> [Payload; 4] {
    let of = |payload: Payload| Payload { body: Some(body.to_owned()), ..payload };
    [
        of(payload("opened", 42, 1)),
        of(payload("closed", 42, 2).closed()),
        of(payload("reopened", 42, 3)),
        of(payload("closed", 42, 4).merged("2026-01-02T00:04:00Z")),
    ]
}

/// Whose command still runs, and whose commit is another, keep out of the pull request of whose commit it is.
#[tokio::test]
async fn of_tasks_with_one_branch_only_the_one_that_made_the_pull_request_moves() -> Result<()> {
    let world = world("twins").await?;
    world.octo_app().await?;
    let first = world.task("first", committed(HEAD)).await?;
    let running = world.task("running", generating).await?;
    let other = world.task("other", committed(OTHER)).await?;
    for news in life(&marker(&first.uid().context("a uid")?, 1)) {
        moves(&world, &news, 1).await?;
    }
    ensure!(world.row("first").await?[0] == "done");
    unmoved(&world, &running).await?;
    unmoved(&world, &other).await?;
    world.end().await
}

#[tokio::test]
async fn a_namesake_in_another_namespace_keeps_out_of_it() -> Result<()> {
    let setup = Setup { all_namespaces: true, ..Setup::default() };
    let world = World::start(controlplane::shared().await, "twins", setup).await?;
    // A secret of its own: this receiver serves the namespaces of the other tests too.
    let secret = "a secret of the twins alone";
    let elsewhere = world.server.namespace("twins").await?;
    for namespace in [&world.namespace, &elsewhere] {
        world.secret_in(namespace, "hook", &[("current", secret)]).await?;
        world.repository(namespace, "repo", "octo/app", Some(REPOSITORY_ID), Some("hook")).await?;
    }
    world.task("task", committed(HEAD)).await?;
    let namesake = world.task_in(&elsewhere, "task", "repo", generating).await?;
    for news in life("") {
        let reply = world.deliver(&news, secret).await?;
        ensure!(reply.body["tasks"] == 1, "{reply:?} to {news:?}");
    }
    unmoved(&world, &namesake).await?;
    world.end().await
}

/// Another operator at the same repository may have the same branch; its Tasks have other uids and other commits.
#[tokio::test]
async fn a_pull_request_of_another_operator_moves_nothing() -> Result<()> {
    let world = world("operators").await?;
    world.octo_app().await?;
    let running = world.task("running", generating).await?;
    let ours = world.task("ours", committed(OTHER)).await?;
    for news in life(&marker("00000000-0000-4000-8000-000000000000", 1)) {
        moves(&world, &news, 0).await?;
    }
    unmoved(&world, &running).await?;
    unmoved(&world, &ours).await?;
    world.end().await
}

/// What was about a Task that is gone is not about the one that has its name now: late, doubled or sent again by hand.
#[tokio::test]
async fn a_task_made_again_under_its_name_is_not_moved_by_its_predecessors_pull_request() -> Result<()> {
    let world = world("again").await?;
    world.octo_app().await?;
    let before = world.task("task", committed(HEAD)).await?;
    let old = life(&marker(&before.uid().context("a uid")?, 1));
    moves(&world, &old[0], 1).await?;
    world.tasks().delete("task", &DeleteParams::default()).await?;
    eventually("the receiver to forget it", || async {
        world.receiver.task_version(&world.namespace, "task").is_none().then_some(())
    })
    .await?;
    let again = world.task("task", generating).await?;
    for news in old.iter().chain(old.iter().rev()) {
        moves(&world, news, 0).await?;
    }
    unmoved(&world, &again).await?;
    let again = world.write(&again, committed(OTHER)).await?;
    for news in &old {
        moves(&world, news, 0).await?;
    }
    unmoved(&world, &again).await?;
    let own = Payload { head_sha: OTHER, ..payload("opened", 43, 9) };
    moves(&world, &Payload { branch: "task/t-42/work".to_owned(), ..own }, 1).await?;
    ensure!(world.row("task").await?[0] == "review");
    world.end().await
}

#[tokio::test]
async fn a_fork_that_copies_branch_commit_and_marker_moves_nothing() -> Result<()> {
    let world = world("copies").await?;
    world.octo_app().await?;
    let task = world.task("task", committed(HEAD)).await?;
    let copied = marker(&task.uid().context("a uid")?, 1);
    for news in life(&copied) {
        moves(&world, &Payload { head_repository_id: 999, ..news }, 0).await?;
    }
    unmoved(&world, &task).await?;
    // Its own is known by the marker too, when somebody has pushed on top before the delivery came.
    let pushed =
        Payload { head_sha: OTHER, body: Some(format!("Why.\r\n\r\n{copied}")), ..payload("opened", 42, 1) };
    moves(&world, &pushed, 1).await?;
    world.end().await
}

/// While a later round runs on the open pull request, the board shows the round until somebody closes or merges.
#[tokio::test]
async fn a_draft_during_a_round_leaves_the_board_to_the_round() -> Result<()> {
    let world = world("round").await?;
    world.octo_app().await?;
    let second_round = |status: &mut TaskStatus| {
        in_review(42)(status);
        generating(status);
        status.round = Some(2);
    };
    world.task("task", second_round).await?;
    let building = ["in-progress", "development", "building", "absent"];
    for news in [payload("converted_to_draft", 42, 1).draft(), payload("ready_for_review", 42, 2)] {
        let draft = news.draft;
        moves(&world, &news, 1).await?;
        let status = world.status("task").await?;
        ensure!(row(&status)? == building, "{status:?}");
        ensure!(status.pull_request.is_some_and(|pull| pull.draft == draft));
    }
    let reply = world.deliver(&payload("closed", 42, 3).closed(), SECRET).await?;
    ensure!(reply.status == StatusCode::OK, "{reply:?}");
    ensure!(world.row("task").await? == ["todo", "research", "pending", "absent"]);
    world.end().await
}
