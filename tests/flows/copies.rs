//! Commands that work on a copy of the repository: what git says has changed is what the pull request has.
//! `tests/worktree` has the many kinds of repositories; here the way is a Task's.

use crate::{
    story::{at_origin, known, known_repository, reviewed},
    world,
    world::{Manifest, PATIENCE, World, repository, task, wait::message_of, within},
};
use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use slipway::api::{State, TaskStatus};

/// A command that clones the repository, then does `script` in it.
fn clone_and(world: &World, script: &str) -> String {
    let url = world.clone_url("app");
    format!("[ -d .git ] || git clone -q {url} .\n{script}")
}

/// What the newest commit of a branch changes on its parent.
fn changes(world: &World, branch: &str) -> Result<Vec<String>> {
    let arguments = ["diff-tree", "-r", "--no-commit-id", "--name-status", "--no-renames", branch];
    Ok(at_origin(world, &arguments)?.lines().map(|line| line.replace('\t', " ")).collect())
}

async fn status(world: &World, name: &str) -> Result<TaskStatus> {
    world.tasks().get(name).await?.status.context("a status")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_small_files_and_a_rename_in_a_copy_cost_seven_calls() -> Result<()> {
    let world = world("copy").await?;
    known(&world, &repository("app").with("/spec/syncIntervalSeconds", json!(86_400))).await?;
    let start = world.simulator.calls.last_seq();
    let script =
        clone_and(&world, "git mv README.md docs.md; for i in $(seq 20); do echo line $i > file$i; done");
    world.apply(&task("cheap", "app", &script)).await?;
    reviewed(&world, "cheap").await?;
    let is_its_own = |path: &str| path.starts_with("/repos/acme/app/") || path == "/repos/acme/app";
    let calls = world.simulator.calls.since(start);
    let github = calls.iter().filter(|call| call.api == "github" && is_its_own(&call.path));
    let mut spent: Vec<String> = github.map(|call| format!("{} {}", call.method, call.path)).collect();
    let opened =
        spent.iter().position(|call| call == "POST /repos/acme/app/pulls").context("it was opened")?;
    spent.truncate(opened + 1);
    ensure!(spent.len() <= 7, "{} calls: {spent:#?}", spent.len());
    let changes = changes(&world, "task/cheap/add-cheap")?;
    ensure!(changes.len() == 22 && changes.contains(&"D README.md".to_owned()), "{changes:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_merge_while_the_command_runs_is_not_taken_back() -> Result<()> {
    let world = world("behind").await?;
    known_repository(&world).await?;
    let script = clone_and(
        &world,
        "echo mine > a; touch /home/user/copied; until [ -e /home/user/go ]; do sleep 0.1; done",
    );
    world.apply(&task("slow", "app", &script)).await?;
    let host = within(PATIENCE, "the copy", || async {
        let sandbox = world.simulator.e2b.sandboxes().first()?.sandbox_id.clone();
        let home = world.simulator.e2b.host_path(&sandbox, "/home/user")?;
        home.join("copied").exists().then_some(home)
    })
    .await?;
    let old = world.simulator.github.push(
        "acme/app",
        "main",
        &[("README.md", Some("theirs")), ("b", Some("theirs"))],
        "theirs",
    );
    old.map_err(|refused| anyhow::anyhow!("{refused:?}"))?;
    std::fs::write(host.join("go"), "")?;
    reviewed(&world, "slow").await?;
    let changes = changes(&world, "task/slow/add-slow")?;
    ensure!(changes == ["A a"], "{changes:?}");
    let status = status(&world, "slow").await?;
    ensure!(status.parent_sha == status.base_sha, "the copy is the base as it was");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_round_on_the_open_pull_request_changes_only_what_is_new() -> Result<()> {
    let world = world("copies").await?;
    known_repository(&world).await?;
    let script =
        clone_and(&world, "echo $SLIPWAY_TASK_NAME >> rounds; [ -e first ] && rm first || echo 1 > first");
    world.apply(&task("again", "app", &script)).await?;
    reviewed(&world, "again").await?;
    ensure!(changes(&world, "task/again/add-again")? == ["A first", "A rounds"]);
    world.kubectl(&["annotate", "swtask", "again", "slipway.dev/rerun=1"]).await?;
    world
        .task("again", "in review in round 2", |task| {
            task.status.as_ref().is_some_and(|s| s.round == Some(2) && s.state == State::Review)
        })
        .await?;
    let changes = changes(&world, "task/again/add-again")?;
    ensure!(changes == ["D first", "M rounds"], "{changes:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_in_a_copy_and_a_repository_inside_stop_the_task_by_name() -> Result<()> {
    let world = world("refused").await?;
    known_repository(&world).await?;
    world.apply(&Manifest::secret("keys", "k", "sk-live-0123456789abcdef")).await?;
    let env = json!([{"name": "API_KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "k"}}}]);
    let script = clone_and(
        &world,
        "printf 'a=1\\nKEY=%s\\n' \"$API_KEY\" > .env; git add .env; git -c user.name=a -c user.email=a@b commit -qm x",
    );
    world.apply(&task("leaky", "app", &script).with("/spec/generate/env", env)).await?;
    let script = clone_and(&world, "git init -q inside; echo 1 > inside/a");
    world.apply(&task("nested", "app", &script)).await?;
    let leaky = world.task_because("leaky", "SecretInFiles").await?;
    let message = message_of(&leaky, "Ready");
    ensure!(message.contains("\".env\"") && !message.contains("sk-live"), "{message}");
    let nested = world.task_because("nested", "EmbeddedRepository").await?;
    ensure!(message_of(&nested, "Ready").contains("\"inside\""), "{}", message_of(&nested, "Ready"));
    ensure!(world.simulator.github.branches("acme/app").map_err(|r| anyhow::anyhow!("{r:?}"))? == ["main"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_submodule_that_moved_is_a_warning_and_what_a_directory_lacks_is_counted() -> Result<()> {
    let world = world("remarks").await?;
    known_repository(&world).await?;
    let lib = "git -c user.name=a -c user.email=a@b";
    let script = clone_and(
        &world,
        &format!(
            "git update-index --add --cacheinfo 160000,1234567890123456789012345678901234567890,lib
             printf '[submodule \"lib\"]\\n\\tpath = lib\\n\\turl = https://example.com/lib\\n' > .gitmodules; git add .gitmodules
             git init -q lib; cd lib; echo 1 > a; git add .; {lib} commit -qm 1"
        ),
    );
    world.apply(&task("adds", "app", &script)).await?;
    let number = reviewed(&world, "adds").await?;
    ensure!(changes(&world, "task/adds/add-adds")? == ["A .gitmodules", "A lib"]);
    let merged =
        world.simulator.github.merge("acme/app", number, slipway_simulator::github::MergeMethod::Merge);
    merged.map_err(|refused| anyhow::anyhow!("{refused:?}"))?;
    world.task_in("adds", State::Done).await?;

    let script = clone_and(
        &world,
        &format!("echo 1 > a; git init -q lib; cd lib; echo 2 > a; git add .; {lib} commit -qm 2"),
    );
    world.apply(&task("moves", "app", &script)).await?;
    reviewed(&world, "moves").await?;
    ensure!(changes(&world, "task/moves/add-moves")? == ["A a"]);
    world.described("moves", "SubmoduleMoved").await?;

    world.apply(&task("plain", "app", "echo 1 > b")).await?;
    reviewed(&world, "plain").await?;
    let plain = world.tasks().get("plain").await?;
    let message = message_of(&plain, "Committed");
    ensure!(message.ends_with("3 files of the repository that the directory lacks stay"), "{message}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_publication_takes_the_same_changes_and_runs_nothing() -> Result<()> {
    let world = world("publish").await?;
    known_repository(&world).await?;
    let script = clone_and(&world, "echo run >> /home/user/runs; rm README.md; echo 1 > a; echo 1 > b");
    world.apply(&task("twice", "app", &script)).await?;
    let number = reviewed(&world, "twice").await?;
    let closed = world.simulator.github.close("acme/app", number);
    closed.map_err(|refused| anyhow::anyhow!("{refused:?}"))?;
    world.task_in("twice", State::Todo).await?;
    world
        .kubectl(&[
            "patch",
            "swtask",
            "twice",
            "--type=merge",
            "-p",
            r#"{"spec":{"source":{"exclude":["/b"]}}}"#,
        ])
        .await?;
    world
        .task("twice", "in review in round 2", |task| {
            task.status.as_ref().is_some_and(|s| s.round == Some(2) && s.state == State::Review)
        })
        .await?;
    let changes = changes(&world, "task/twice/add-twice-2")?;
    ensure!(changes == ["D README.md", "A a"], "{changes:?}");
    let sandbox = status(&world, "twice").await?.sandbox_id.context("a sandbox")?;
    let runs = world.simulator.e2b.host_path(&sandbox, "/home/user/runs").context("the sandbox's files")?;
    ensure!(std::fs::read_to_string(runs)? == "run\n");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_attempt_in_the_same_copy_publishes_what_both_have_left() -> Result<()> {
    let world = world("attempt").await?;
    known_repository(&world).await?;
    let script = clone_and(
        &world,
        "if ! [ -e /home/user/once ]; then touch /home/user/once; rm README.md; echo 1 > first; kill -9 0; fi; echo 2 > second",
    );
    world.apply(&task("dies", "app", &script)).await?;
    reviewed(&world, "dies").await?;
    let changes = changes(&world, "task/dies/add-dies")?;
    ensure!(changes == ["D README.md", "A first", "A second"], "{changes:?}");
    let runs = status(&world, "dies").await?.code_generations;
    ensure!(runs.len() == 2 && runs[0].sandbox_id == runs[1].sandbox_id, "{runs:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_reviewer_pushes_while_the_round_works_stays_below_its_commit() -> Result<()> {
    let world = world("meanwhile").await?;
    known_repository(&world).await?;
    let script = clone_and(
        &world,
        "echo x >> mine; [ -e /home/user/again ] || exit 0; touch /home/user/waits; until [ -e /home/user/go ]; do sleep 0.1; done",
    );
    world.apply(&task("both", "app", &script)).await?;
    reviewed(&world, "both").await?;
    let sandbox = status(&world, "both").await?.sandbox_id.context("a sandbox")?;
    let home = world.simulator.e2b.host_path(&sandbox, "/home/user").context("the sandbox's files")?;
    let push = |name: &str| {
        let pushed = world.simulator.github.push(
            "acme/app",
            "task/both/add-both",
            &[(name, Some("theirs"))],
            "review",
        );
        pushed.map_err(|refused| anyhow::anyhow!("{refused:?}"))
    };
    std::fs::write(home.join("again"), "")?;
    for (round, file) in [(2, "theirs"), (3, "mine")] {
        world
            .kubectl(&["annotate", "--overwrite", "swtask", "both", &format!("slipway.dev/rerun={round}")])
            .await?;
        within(PATIENCE, "the running command", || async { home.join("waits").exists().then_some(()) })
            .await?;
        let pushed = push(file)?;
        std::fs::remove_file(home.join("waits"))?;
        std::fs::write(home.join("go"), "")?;
        if file == "mine" {
            world.task_because("both", "HeadMoved").await?;
            break;
        }
        world
            .task("both", "in review again", |task| {
                task.status.as_ref().is_some_and(|s| s.round == Some(round) && s.state == State::Review)
            })
            .await?;
        std::fs::remove_file(home.join("go"))?;
        let status = status(&world, "both").await?;
        ensure!(status.parent_sha.as_ref() == Some(&pushed), "{:?}", status.parent_sha);
        ensure!(changes(&world, "task/both/add-both")? == ["M mine"]);
    }
    Ok(())
}
