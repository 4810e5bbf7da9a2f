//! The main way: from `kubectl apply` to a merged pull request, what it leaves behind and what it costs.

use crate::{
    restart::is_sync,
    world,
    world::{Manifest, World, repository, task, wait::within},
};
use anyhow::{Context as _, Result, ensure};
use kube::api::ListParams;
use slipway::api::{PullRequestState, State};
use slipway_simulator::github::{MergeMethod, Refused};
use std::{path::Path, process::Command, time::Duration};

/// A small project with everything that is hard to carry: modes, symlinks, binary, empty, odd names.
const PROJECT: &str = r#"
mkdir -p src bin docs 'odd names'
printf 'pub fn answer() -> u32 { 42 }\n' > src/lib.rs
printf '#!/bin/sh\necho 42\n' > bin/answer; chmod +x bin/answer
ln -s ../src/lib.rs docs/lib.rs
ln -s nowhere docs/dangling
head -c 70000 /dev/urandom > docs/picture.bin
: > empty
printf 'x' > 'odd names/a b'
printf 'y' > 'odd names/ünïcödé'
printf 'z' > 'odd names/-dash'
printf 'no newline at the end' > 'odd names/quote"and\back'
mkdir -p .git target; printf 'never' > .git/config; printf 'target/\n' > .gitignore; printf 'ignored' > target/out
"#;

fn git(dir: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new("git").current_dir(dir).args(arguments).output()?;
    ensure!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs git in the bare repository of `acme/app`.
pub fn at_origin(world: &World, arguments: &[&str]) -> Result<String> {
    let origin = world.simulator.github.git_dir("acme/app").map_err(refused)?;
    git(&origin, &[["-c", "safe.directory=*"].as_slice(), arguments].concat())
}

/// What the stand-in says to a person.
#[allow(clippy::needless_pass_by_value, reason = "map_err passes it by value")]
pub fn refused(refused: Refused) -> anyhow::Error {
    anyhow::anyhow!("the stand-in refused: {refused:?}")
}

/// Relative path, mode (`x`, `l` or `-`) and content of everything below `dir` that may travel.
fn tree(dir: &Path) -> Result<Vec<(String, char, Vec<u8>)>> {
    use std::os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _};
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(at) = open.pop() {
        for entry in std::fs::read_dir(&at)? {
            let path = entry?.path();
            let name = path.strip_prefix(dir)?.display().to_string();
            let kind = path.symlink_metadata()?;
            if [".git", "target"].contains(&name.as_str()) || (kind.is_file() && name == "README.md") {
                continue;
            }
            if kind.is_symlink() {
                found.push((name, 'l', std::fs::read_link(&path)?.as_os_str().as_bytes().to_vec()));
            } else if kind.is_dir() {
                open.push(path);
            } else {
                let mode = if kind.permissions().mode() & 0o111 == 0 { '-' } else { 'x' };
                found.push((name, mode, std::fs::read(&path)?));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Applies a repository and a Task, and brings the Task to review; the pull request's number.
pub async fn to_review(world: &World, name: &str, script: &str) -> Result<u64> {
    known_repository(world).await?;
    world.apply(&task(name, "app", script)).await?;
    reviewed(world, name).await
}

/// Applies the repository, waits until GitHub has it, and points its webhook at the receiver.
pub async fn known_repository(world: &World) -> Result<()> {
    known(world, &repository("app")).await
}

/// The same of a repository with settings of its own.
pub async fn known(world: &World, repository: &Manifest) -> Result<()> {
    world.apply(repository).await?;
    world
        .repository("app", "ready", |repository| {
            let conditions =
                repository.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
            conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
        })
        .await?;
    world.hook("acme/app")?;
    Ok(())
}

pub async fn reviewed(world: &World, name: &str) -> Result<u64> {
    let task = world.task_in(name, State::Review).await?;
    let pull =
        task.status.and_then(|status| status.pull_request).context("a Task in review has a pull request")?;
    Ok(u64::try_from(pull.number)?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_goes_from_apply_to_merged_with_every_file_as_it_was() -> Result<()> {
    let world = world("story").await?;
    let number = to_review(&world, "carry", PROJECT).await?;
    let sandbox = world.simulator.e2b.sandboxes().first().context("a sandbox is up")?.sandbox_id.clone();
    let path = world.simulator.e2b.host_path(&sandbox, "/home/user/app").context("the sandbox's files")?;
    let made = tree(&path)?;
    ensure!(made.len() == 11, "the script made {} files", made.len());

    world
        .simulator
        .github
        .merge("acme/app", number, MergeMethod::Merge)
        .map_err(|e| anyhow::anyhow!("{e:?}"))?;
    let done = world
        .kubectl(&["wait", "--for=jsonpath={.status.state}=done", "swtask/carry", "--timeout=60s"])
        .await?;
    ensure!(done.contains("condition met"), "{done}");
    let task = world.task_in("carry", State::Done).await?;
    let status = task.status.context("status")?;
    ensure!(
        status.completed_at.is_some()
            && status.pull_request.is_some_and(|p| p.state == PullRequestState::Merged)
    );
    ensure!(status.last_delivery.is_some_and(|delivery| delivery.event == "pull_request.closed"));

    let clone = tempfile::tempdir()?;
    let origin = world.simulator.github.git_dir("acme/app").map_err(|e| anyhow::anyhow!("{e:?}"))?;
    git(clone.path(), &["clone", "--quiet", &origin.display().to_string(), "."])?;
    git(clone.path(), &["fsck", "--strict"])?;
    let arrived = tree(clone.path())?;
    ensure!(arrived == made, "sent {:?}, arrived {:?}", names(&made), names(&arrived));
    let log = git(clone.path(), &["log", "--format=%an <%ae>%n%B", "-1", "HEAD^2"])?;
    ensure!(
        log.contains("Slipway-Task: ") && log.contains("Slipway <slipway@users.noreply.github.com>"),
        "{log}"
    );

    // The Task's own sandbox goes with the merge.
    within(Duration::from_secs(60), "the sandbox's end", || async {
        (world.simulator.e2b.sandboxes().is_empty()
            && world.sandboxes().list(&ListParams::default()).await.ok()?.items.is_empty())
        .then_some(())
    })
    .await?;
    Ok(())
}

fn names(tree: &[(String, char, Vec<u8>)]) -> Vec<(&str, char, usize)> {
    tree.iter().map(|(name, mode, content)| (name.as_str(), *mode, content.len())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_small_files_cost_seven_calls_and_a_settled_task_costs_none() -> Result<()> {
    let world = world("cost").await?;
    let script = "for i in $(seq 20); do echo line $i > file$i; done";
    // A Repository's first sync comes anywhere in its interval: it is none of the Task's calls.
    known(&world, &repository("app").with("/spec/syncIntervalSeconds", 86_400.into())).await?;
    let start = world.simulator.calls.last_seq();
    world.apply(&task("cheap", "app", script)).await?;
    reviewed(&world, "cheap").await?;
    let calls = world.simulator.calls.since(start);
    let syncs = "GET /repositories/{repository_id}";
    let github = calls.iter().filter(|call| call.api == "github" && call.endpoint != syncs);
    let mut spent: Vec<String> = github.map(|call| format!("{} {}", call.method, call.path)).collect();
    // What follows the opening is GitHub's own news of it being confirmed.
    let opened =
        spent.iter().position(|call| call == "POST /repos/acme/app/pulls").context("it was opened")?;
    spent.truncate(opened + 1);
    // The branches of the planned name are read before the command starts, not on the way from files to pull request.
    let on_the_way = spent.iter().filter(|call| !call.contains("/matching-refs/")).count();
    ensure!(on_the_way <= 7, "{on_the_way} calls: {spent:#?}");

    let before = (world.simulator.calls.last_seq(), writes(&world).await?);
    // Ten seconds are two polls of a running command: whatever still ticks shows up.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let after = writes(&world).await?;
    let later = world.simulator.calls.since(before.0);
    let later: Vec<_> =
        later.iter().filter(|call| !is_sync(call)).map(|call| call.endpoint.clone()).collect();
    ensure!(later.is_empty(), "a settled Task called {later:?}");
    ensure!(after == before.1, "a settled Task wrote {after:?} after {:?}", before.1);
    Ok(())
}

/// The operator's writes to Tasks and Sandboxes of this namespace so far: events are not counted, nor what was refused
/// because somebody else had written first.
pub async fn writes(world: &World) -> Result<Vec<String>> {
    let log = world.plane.audit_log().await?;
    Ok(log
        .iter()
        .filter(|event| event.is_complete() && event.is_write())
        .filter(|event| {
            event.object_ref.namespace == world.namespace
                && ["tasks", "sandboxes"].contains(&event.object_ref.resource.as_str())
                && !(event.verb == "create" && event.object_ref.resource == "tasks")
                && event.response_status.code != 409
        })
        .map(|event| format!("{} {}", event.verb, event.request_uri))
        .collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn manifests_may_arrive_in_any_order() -> Result<()> {
    let world = world("order").await?;
    world.apply(&task("early", "app", "echo hello > hello")).await?;
    world.task_because("early", "RepositoryNotFound").await?;
    let late = repository("app").with("/spec/credentialsSecretRef/name", "late".into());
    world.apply(&late).await?;
    world.task_because("early", "RepositoryNotReady").await?;
    world.apply(&Manifest::secret("late", "token", world::GITHUB_TOKEN)).await?;
    reviewed(&world, "early").await?;
    Ok(())
}
