//! Whose a name is: a repository that was made again under its name.
//! Neighbours: `manners` has what GitHub asks for, `lies` what it says wrongly.

use crate::{
    story::refused,
    world,
    world::{World, repository, task},
};
use anyhow::{Context as _, Result, ensure};
use http::Method;
use serde_json::json;
use slipway::api::{Repository, State};
use slipway_simulator::github::NewRepository;

/// A Repository that is synced this often, ready.
async fn known(world: &World, name: &str, interval: u32) -> Result<()> {
    world.apply(&repository(name).with("/spec/syncIntervalSeconds", json!(interval))).await?;
    world.repository(name, "ready", |repository| reason(repository) == "Synced").await.map(drop)
}

fn reason(repository: &Repository) -> &str {
    let conditions =
        repository.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    conditions.iter().find(|condition| condition.type_ == "Ready").map_or("", |ready| &ready.reason)
}

/// The repository is deleted, and somebody makes another of its name with a pull request.
fn make_again(world: &World, name: &str) -> Result<()> {
    let (github, full) = (&world.simulator.github, format!("acme/{name}"));
    github.delete_repository(&full).map_err(refused)?;
    let new = NewRepository { owner: "acme".into(), name: name.into(), ..NewRepository::default() };
    github.create_repository(&new).map_err(refused)?;
    github.push(&full, "theirs", &[("theirs", Some("1"))], "theirs").map_err(refused)?;
    let pull = json!({"title": "theirs", "head": "theirs", "base": "main"});
    github.act("reviewer", &Method::POST, &format!("/repos/{full}/pulls"), pull).map_err(refused)?;
    Ok(())
}

/// Everything that was made in the repository of this name is the stranger's own.
fn untouched(world: &World, name: &str, since: u64) -> Result<()> {
    let full = format!("acme/{name}");
    let branches = world.simulator.github.branches(&full).map_err(refused)?;
    ensure!(branches == ["main", "theirs"], "{branches:?}");
    let pulls = world.simulator.github.pulls(&full).map_err(refused)?;
    ensure!(pulls.len() == 1 && pulls[0]["title"] == "theirs", "{pulls:#?}");
    let path = format!("/repos/{full}/");
    let writes = world.simulator.calls.since(since);
    let writes: Vec<_> =
        writes.iter().filter(|call| call.path.starts_with(&path) && call.method != "GET").collect();
    ensure!(writes.is_empty(), "{writes:#?}");
    Ok(())
}

/// Where a sync finds out, no Task goes on.
async fn told_by_a_sync(world: &World) -> Result<()> {
    known(world, "soon", 30).await?;
    world.apply(&task("soon", "soon", "echo 1 > a")).await?;
    world.task_in("soon", State::Review).await?;
    let id = world.repositories().get("soon").await?.status.context("a status")?.repository_id;
    make_again(world, "soon")?;
    let since = world.simulator.calls.last_seq();
    let gone = world.repository("soon", "gone", |repository| reason(repository) == "RepositoryGone").await?;
    ensure!(gone.status.context("a status")?.repository_id == id, "another's id");
    world.apply(&task("soon-after", "soon", "echo 2 > b")).await?;
    world.task_because("soon-after", "RepositoryNotReady").await?;
    untouched(world, "soon", since)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_written_to_another_repository_of_the_same_name() -> Result<()> {
    let world = world("stranger").await?;
    told_by_a_sync(&world).await
}
