//! Whose Task a delivery moves: by number, by branch, by neither; by the repository's id and, before it is known, by its name.

use crate::{
    delivery::delivery,
    payload::{HEAD, Payload, payload},
    world::{REPOSITORY_ID, SECRET, World, eventually, in_review, pull_request, row, world},
};
use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::events::v1::Event;
use kube::{
    Api,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use reqwest::StatusCode;
use serde_json::json;
use slipway::api::{Repository, State, TaskStatus};

/// The Task's commit stands on its branch, and its pull request is not known yet.
fn committed(status: &mut TaskStatus) {
    status.state = State::InProgress;
    status.repository_id = Some(REPOSITORY_ID);
    status.branch = Some("task/t-42/work".to_owned());
    status.commit_sha = Some(HEAD.to_owned());
}

async fn ignored(world: &World<'_>, payload: &Payload) -> Result<()> {
    let reply = world.deliver(payload, SECRET).await?;
    ensure!(reply.status == StatusCode::ACCEPTED, "{reply:?} to {payload:?}");
    Ok(())
}

#[tokio::test]
async fn a_branch_counts_only_in_the_repository_itself() -> Result<()> {
    let world = world("forks").await?;
    world.octo_app().await?;
    let task = world.task("task", committed).await?;
    // A fork may call its branch like ours, and a fork may be gone.
    ignored(&world, &Payload { head_repository_id: 999, ..payload("opened", 42, 1) }).await?;
    let mut gone = payload("opened", 42, 1).json();
    gone["pull_request"]["head"]["repo"] = json!(null);
    let reply = world.send(&delivery("pull_request", gone.to_string(), SECRET)).await?;
    ensure!(reply.status == StatusCode::ACCEPTED, "{reply:?}");
    ignored(&world, &Payload { branch: "task/t-42/work-2".to_owned(), ..payload("opened", 42, 1) }).await?;
    ensure!(world.tasks().get("task").await?.metadata.resource_version == task.metadata.resource_version);
    ensure!(world.deliver(&payload("opened", 42, 1), SECRET).await?.status == StatusCode::OK);
    // From now on it has a number: another pull request from the same branch is nothing to it.
    let known = world.tasks().get("task").await?;
    world.settle(&known).await?;
    ignored(&world, &Payload { branch: "task/t-42/work".to_owned(), ..payload("opened", 43, 2) }).await?;
    world.end().await
}

#[tokio::test]
async fn a_pull_request_of_an_earlier_round_gives_an_event_and_no_more() -> Result<()> {
    let world = world("history").await?;
    world.octo_app().await?;
    let second_round = |status: &mut TaskStatus| {
        committed(status);
        status.round = Some(2);
        status.pull_request_history = vec![pull_request(41)];
    };
    let task = world.task("task", second_round).await?;
    // Even from the branch that the Task works on now.
    let reopened = Payload { branch: "task/t-42/work".to_owned(), ..payload("reopened", 41, 1) };
    ignored(&world, &reopened).await?;
    ignored(&world, &payload("closed", 41, 2).merged("2026-01-02T00:02:00Z")).await?;
    ignored(&world, &payload("synchronize", 41, 3)).await?;
    let stored = world.tasks().get("task").await?;
    ensure!(stored.metadata.resource_version == task.metadata.resource_version, "nothing moved");
    let events: Api<Event> = Api::namespaced(world.client.clone(), &world.namespace);
    let found = events.list(&ListParams::default()).await?.items;
    let mut notes: Vec<_> = found.iter().filter_map(|event| event.note.clone()).collect();
    notes.sort();
    ensure!(notes.len() == 2, "one per state, none for a push: {notes:?}");
    ensure!(notes[0].starts_with("pull_request.closed: pull request #41"), "{notes:?}");
    ensure!(found.iter().all(|event| event.reason.as_deref() == Some("OldPullRequestMoved")));
    let object = found[0].regarding.as_ref().context("an object")?;
    ensure!(object.name.as_deref() == Some("task") && object.uid == task.metadata.uid);
    world.end().await
}

#[tokio::test]
async fn a_task_that_is_being_deleted_is_left_alone() -> Result<()> {
    let world = world("deleting").await?;
    world.octo_app().await?;
    world.task("task", in_review(42)).await?;
    let held = json!({"metadata": {"finalizers": ["slipway.dev/task"]}});
    world.tasks().patch("task", &PatchParams::default(), &Patch::Merge(&held)).await?;
    world.tasks().delete("task", &DeleteParams::default()).await?;
    let deleting = world.tasks().get("task").await?;
    ensure!(deleting.metadata.deletion_timestamp.is_some());
    world.settle(&deleting).await?;
    ignored(&world, &payload("closed", 42, 1).closed()).await?;
    ensure!(row(&deleting.status.context("a status")?)?[0] == "review");
    world.end().await
}

#[tokio::test]
async fn a_repository_is_known_by_id_and_before_that_by_name() -> Result<()> {
    let world = world("names").await?;
    world.secret("hook", &[("current", SECRET)]).await?;
    // New: its controller has not yet read its id. Names have no case.
    world.repository(&world.namespace, "new", "Octo/New", None, Some("hook")).await?;
    world
        .task_in(&world.namespace, "new", "new", |status| {
            in_review(42)(status);
            status.repository_id = None;
        })
        .await?;
    let reply = world.deliver(&payload("closed", 42, 1).closed().of(77, "octo/NEW"), SECRET).await?;
    ensure!(reply.status == StatusCode::OK, "{reply:?}");
    // Known by id: renamed at GitHub it is still the same; another one that took its old name is not.
    world.repository(&world.namespace, "repo", "octo/app", Some(REPOSITORY_ID), Some("hook")).await?;
    world.task("task", in_review(42)).await?;
    ignored(&world, &payload("closed", 42, 1).closed().of(88, "octo/app")).await?;
    let reply =
        world.deliver(&payload("closed", 42, 1).closed().of(REPOSITORY_ID, "octo/renamed"), SECRET).await?;
    ensure!(reply.status == StatusCode::OK, "{reply:?}");
    world.end().await
}

#[tokio::test]
async fn a_task_of_another_repository_under_the_same_name_stays() -> Result<()> {
    let world = world("replaced").await?;
    world.octo_app().await?;
    world
        .task("task", |status| {
            in_review(42)(status);
            status.repository_id = Some(55);
        })
        .await?;
    ignored(&world, &payload("closed", 42, 1).closed()).await?;
    world.end().await
}

/// Suspending stops the operator, not what people do at GitHub.
#[tokio::test]
async fn suspended_objects_still_follow_their_pull_request() -> Result<()> {
    let world = world("suspended").await?;
    world.octo_app().await?;
    world.task("task", in_review(42)).await?;
    let suspended = json!({"spec": {"suspend": true}});
    let (merge, patch) = (PatchParams::default(), Patch::Merge(&suspended));
    let task = world.tasks().patch("task", &merge, &patch).await?;
    world.settle(&task).await?;
    let repositories: Api<Repository> = Api::namespaced(world.client.clone(), &world.namespace);
    let version = repositories.patch("repo", &merge, &patch).await?.metadata.resource_version;
    eventually("the receiver's view of the Repository", || async {
        (world.receiver.repository_version(&world.namespace, "repo") == version).then_some(())
    })
    .await?;
    ensure!(world.deliver(&payload("closed", 42, 1).closed(), SECRET).await?.status == StatusCode::OK);
    ensure!(world.row("task").await?[0] == "todo");
    world.end().await
}
