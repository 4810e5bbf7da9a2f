//! Commands that find the repository in their sandbox: what they change is the pull request's, round after round.
//! `tests/worktree` has the many kinds of trees and faults; here the way is a Task's.

use crate::{
    rounds::{Spent, in_review, rerun, spent},
    story::{at_origin, known, refused, reviewed},
    world,
    world::{Manifest, PATIENCE, World, repository, task, wait::message_of, within},
};
use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use slipway::api::{State, TaskStatus};
use std::collections::BTreeMap;

/// The files of a branch, with their contents.
fn files(world: &World, branch: &str) -> Result<BTreeMap<String, String>> {
    let names = at_origin(world, &["ls-tree", "-r", "--name-only", branch])?;
    names
        .lines()
        .map(|name| Ok((name.to_owned(), at_origin(world, &["show", &format!("{branch}:{name}")])?)))
        .collect()
}

/// A Task whose command finds the repository.
fn checked_out(name: &str, script: &str) -> Manifest {
    task(name, "app", script).with("/spec/source/checkout", json!({}))
}

/// Somebody edits the Task.
async fn edit(world: &World, manifest: &Manifest) -> Result<()> {
    manifest.patch(world.client.clone(), &world.namespace).await
}

/// The repository, known, with these files.
async fn filled(world: &World, files: &[(&str, Option<&str>)]) -> Result<String> {
    // A sync's calls come at times of their own.
    known(world, &repository("app").with("/spec/syncIntervalSeconds", json!(86_400))).await?;
    world.simulator.github.push("acme/app", "main", files, "by hand").map_err(refused)
}

async fn status(world: &World, name: &str) -> Result<TaskStatus> {
    world.tasks().get(name).await?.status.context("a status")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_and_a_second_round_cost_few_calls() -> Result<()> {
    let world = world("checkout").await?;
    let tip = filled(&world, &[("src/a", Some("1")), ("src/b", Some("1"))]).await?;
    let start = world.simulator.calls.last_seq();
    let script = "git mv README.md docs.md; git rm -q src/b; for i in $(seq 20); do echo line $i $SLIPWAY_ROUND >> file$i; done";
    world.apply(&checked_out("cheap", script)).await?;
    reviewed(&world, "cheap").await?;
    let Spent { mut rest, git, .. } = spent(&world, start);
    let opened =
        rest.iter().position(|call| call == "POST /repos/acme/app/pulls").context("it was opened")?;
    rest.truncate(opened + 1);
    ensure!(rest.len() <= 7 && git == 1, "{git} packs and {} calls: {rest:#?}", rest.len());
    let first = status(&world, "cheap").await?;
    ensure!(first.parent_sha.as_ref() == Some(&tip), "{first:?}");
    ensure!(first.code_generations[0].checkout_sha.as_ref() == Some(&tip), "{first:?}");
    let there = files(&world, "task/cheap/add-cheap")?;
    ensure!(
        there.contains_key("docs.md") && !there.contains_key("README.md") && !there.contains_key("src/b")
    );

    let start = world.simulator.calls.last_seq();
    let more = "git status --porcelain > /var/tmp/found; echo more > more";
    edit(&world, &checked_out("cheap", more)).await?;
    let second = in_review(&world, "cheap", 2).await?;
    let Spent { rest, git, .. } = spent(&world, start);
    ensure!(rest.len() <= 5 && git == 1, "{git} packs and {} calls: {rest:#?}", rest.len());
    ensure!(second.parent_sha == first.commit_sha, "it stands on the head: {second:?}");
    let sandbox = second.sandbox_id.context("a sandbox")?;
    let found = world.simulator.e2b.host_path(&sandbox, "/var/tmp/found").context("its home")?;
    ensure!(std::fs::read_to_string(found)?.is_empty(), "the second round began with a clean tree");
    let commits = world.simulator.github.pull("acme/app", 1).map_err(refused)?["commits"].clone();
    ensure!(commits == 2, "one commit a round: {commits}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_merge_meanwhile_and_push_to_the_branch_stays() -> Result<()> {
    let world = world("others").await?;
    let tip = filled(&world, &[("a", Some("1")), ("b", Some("1"))]).await?;
    let script = "echo mine > a; touch /home/user/there; until [ -e /home/user/go ]; do sleep 0.1; done";
    world.apply(&checked_out("slow", script)).await?;
    let home = within(PATIENCE, "the command runs", || async {
        let sandbox = world.simulator.e2b.sandboxes().first()?.sandbox_id.clone();
        let home = world.simulator.e2b.host_path(&sandbox, "/home/user")?;
        home.join("there").exists().then_some(home)
    })
    .await?;
    world.simulator.github.push("acme/app", "main", &[("b", Some("theirs"))], "theirs").map_err(refused)?;
    std::fs::write(home.join("go"), "")?;
    reviewed(&world, "slow").await?;
    let branch = "task/slow/add-slow";
    let first = status(&world, "slow").await?;
    ensure!((first.parent_sha.as_ref(), first.base_sha.as_ref()) == (Some(&tip), Some(&tip)), "{first:?}");
    let there = files(&world, branch)?;
    ensure!(there["a"] == "mine\n" && there["b"] == "1", "the branch is main as it was, with the change");

    let push = world.simulator.github.push("acme/app", branch, &[("c", Some("a reviewer's"))], "help");
    let push = push.map_err(refused)?;
    edit(&world, &checked_out("slow", "cat c > d; git rm -q b")).await?;
    let second = in_review(&world, "slow", 2).await?;
    ensure!(
        second.parent_sha.as_ref() == Some(&push),
        "the command worked on the reviewer's commit: {second:?}"
    );
    let there = files(&world, branch)?;
    ensure!(there["d"] == "a reviewer's" && !there.contains_key("b") && there["c"] == "a reviewer's");
    Ok(())
}

/// A round that only publishes takes the files as they are: what others have merged since is no change of theirs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_publication_of_a_closed_pull_request_stands_on_what_was_checked_out() -> Result<()> {
    let world = world("again").await?;
    let tip = filled(&world, &[("a", Some("1")), ("b", Some("1"))]).await?;
    world.apply(&checked_out("again", "echo mine > a")).await?;
    reviewed(&world, "again").await?;
    world.simulator.github.push("acme/app", "main", &[("b", Some("theirs"))], "theirs").map_err(refused)?;
    world.simulator.github.close("acme/app", 1).map_err(refused)?;
    world.task_because("again", "Closed").await?;
    let message = json!({"message": "Another message"});
    edit(&world, &checked_out("again", "echo mine > a").with("/spec/commit", message)).await?;
    let second = in_review(&world, "again", 2).await?;
    ensure!(second.parent_sha.as_ref() == Some(&tip) && second.base_sha.as_ref() != Some(&tip), "{second:?}");
    ensure!(second.code_generations.len() == 1, "the command ran once: {second:?}");
    let changed = world.simulator.github.pull("acme/app", 2).map_err(refused)?["changed_files"].clone();
    ensure!(changed == 1, "it takes back nothing: {changed}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stands_in_the_way_is_named_and_a_rerun_goes_on() -> Result<()> {
    let world = world("blocked").await?;
    filled(&world, &[("a", Some("1"))]).await?;
    world.apply(&crate::world::sandbox("box")).await?;
    let own = json!({"name": "box"});
    let in_box = |name: &str, script: &str| {
        checked_out(name, script).without("sandboxTemplate").with("/spec/sandboxRef", own.clone())
    };
    let plain = task("before", "app", "echo 1 > notes").without("sandboxTemplate");
    world.apply(&plain.with("/spec/sandboxRef", own.clone())).await?;
    reviewed(&world, "before").await?;
    world.apply(&in_box("blocked", "echo 2 > a")).await?;
    let blocked = world.task_because("blocked", "PathNotEmpty").await?;
    let status = blocked.status.clone().context("a status")?;
    ensure!(message_of(&blocked, "Ready").contains("notes"), "{}", message_of(&blocked, "Ready"));
    ensure!(status.state == State::Todo && status.code_generations.is_empty(), "{status:?}");
    let sandbox = world.simulator.e2b.sandboxes()[0].sandbox_id.clone();
    let path = world.simulator.e2b.host_path(&sandbox, "/home/user/app").context("its home")?;
    std::fs::remove_file(path.join("notes"))?;
    rerun(&world, "blocked", "1").await?;
    reviewed(&world, "blocked").await?;
    Ok(())
}
