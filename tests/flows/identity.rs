//! Whose a name is, and whether a token is still valid: a repository that was made again under its name, one that was renamed, and
//! refusals that mean nothing. Neighbours: `manners` has what GitHub asks for, `lies` what it says wrongly.

use crate::{
    story::refused,
    world,
    world::{GITHUB_TOKEN, Manifest, PATIENCE, World, repository, task, wait::reason_of, within},
};
use anyhow::{Context as _, Result, ensure};
use http::Method;
use serde_json::{Value, json};
use slipway::api::{Repository, State};
use slipway_simulator::{
    core::{Call, Rule, When},
    github::{NewRepository, Token},
};

const LIST: &str = "GET /repos/{owner}/{repo}/pulls";

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

/// Where no sync is due for an hour, the first write of a Task finds out.
async fn told_by_a_write(world: &World) -> Result<()> {
    known(world, "late", 3600).await?;
    // What was asked within 10 s is believed.
    world.apply(&task("late", "late", "sleep 15; echo 1 > a")).await?;
    world.task_because("late", "Generating").await?;
    make_again(world, "late")?;
    let since = world.simulator.calls.last_seq();
    world.task("late", "told", |task| reason_of(task) == "RepositoryGone").await?;
    untouched(world, "late", since)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_written_to_another_repository_of_the_same_name() -> Result<()> {
    let world = world("stranger").await?;
    tokio::try_join!(told_by_a_sync(&world), told_by_a_write(&world)).map(drop)
}

/// Files by the API, git's own protocol and git LFS: each of them goes to the old name.
fn with_large_files(name: &str) -> Manifest {
    let script =
        "echo '*.bin filter=lfs diff=lfs merge=lfs -text' > .gitattributes; echo large > a.bin; echo 1 > b";
    let merge = json!({"merge": {"policy": "WhenReady", "requireChecks": false}});
    task(name, "app", script).with("/spec/source/checkout", json!({})).with("/spec/pullRequest", merge)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rename_is_no_event_for_the_tasks_under_way_and_those_that_begin() -> Result<()> {
    let world = world("renamed").await?;
    known(&world, "app", 3600).await?;
    world.apply(&task("running", "app", "sleep 5; echo 1 > a")).await?;
    world.task_because("running", "Generating").await?;
    world.simulator.github.rename("acme/app", "other").map_err(refused)?;
    world.task_in("running", State::Review).await?;
    world.apply(&with_large_files("new")).await?;
    world.task_in("new", State::Done).await?;
    let pulls = world.simulator.github.pulls("acme/other").map_err(refused)?;
    ensure!(pulls.len() == 2, "{pulls:#?}");
    let failed = "-o=jsonpath={range .items[?(@.type==\"Warning\")]}{.reason}: {.message}{\"\\n\"}{end}";
    let warnings = world.kubectl(&["get", "events", failed]).await?;
    ensure!(!warnings.contains("epository"), "{warnings}");
    let log = world.controller_log();
    ensure!(!log.contains("github call failed"), "a failure for a rename\n{log}");
    Ok(())
}

fn unauthorized(call: &Call) -> bool {
    call.api == "github" && call.status() == Some(401)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stray_401_is_no_event_and_a_revoked_token_is_told_in_half_a_minute() -> Result<()> {
    let world = world("stray").await?;
    known(&world, "app", 30).await?;
    world.apply(&task("first", "app", "echo 1 > a")).await?;
    world.task_in("first", State::Review).await?;
    world.apply(&task("second", "app", "sleep 5; echo 2 > b")).await?;
    world.task_because("second", "Generating").await?;
    let ready = |value: &Value| value["status"]["conditions"].clone();
    let before = ready(&serde_json::to_value(world.repositories().get("app").await?)?);
    let stray = world
        .simulator
        .faults
        .set(Rule::on("github", LIST).when(When::Next(1)).status(401, "Bad credentials"));
    let hit = || async { (world.simulator.faults.hits(stray) == Some(1)).then_some(()) };
    within(PATIENCE, "a stray 401", hit).await?;
    let seq = world.simulator.calls.last_seq();
    let again = || async {
        let calls = world.simulator.calls.since(seq);
        calls
            .iter()
            .any(|call| call.endpoint == LIST && matches!(call.status(), Some(200 | 304)))
            .then_some(())
    };
    within(PATIENCE, "the same again", again).await?;
    world.task_in("second", State::Review).await?;
    let after = ready(&serde_json::to_value(world.repositories().get("app").await?)?);
    ensure!(before == after, "{before:#} became {after:#}");

    world.simulator.github.revoke_token(GITHUB_TOKEN);
    let denied = |repository: &Repository| reason(repository) == "BadCredentials";
    world.repository("app", "denied", denied).await?;
    let told = jiff::Timestamp::now();
    let refusals = world.simulator.calls.matching(|call| unauthorized(call) && call.seq > seq);
    let first = refusals.first().context("it was refused")?.real_at;
    ensure!(told.duration_since(first).as_secs() <= 30, "told {} after", told.duration_since(first));
    ensure!(refusals.len() <= 8, "{} calls with it", refusals.len());

    world.simulator.github.add_token(Token::personal(GITHUB_TOKEN, "slipway-bot"));
    world.kubectl(&["annotate", "swrepo", "app", "slipway.dev/reconcile=1"]).await?;
    world.repository("app", "well again", |repository| reason(repository) == "Synced").await.map(drop)
}
