//! The story's steps: each waits until the API server shows it, printing what moves meanwhile.
//! Part of the demo.

use crate::{say, world::World};
use anyhow::{Context as _, Result, ensure};
use futures::StreamExt as _;
use kube::{
    Api, ResourceExt as _,
    runtime::{WatchStreamExt as _, watcher},
};
use slipway::api::{PullRequestState, Sandbox, State, Task};
use slipway_simulator::github::MergeMethod;
use std::{collections::HashMap, time::Instant};

/// Tells what happens to the Tasks and Sandboxes of one world.
pub struct Story<'w> {
    world: &'w World,
    started: Instant,
    tellers: Vec<tokio::task::JoinHandle<()>>,
}

impl Drop for Story<'_> {
    fn drop(&mut self) {
        self.tellers.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

impl<'w> Story<'w> {
    pub fn watch(world: &'w World, started: Instant) -> Self {
        let tasks = tell(world.tasks(), started, task_line);
        let sandboxes = tell(world.sandboxes(), started, sandbox_line);
        Self { world, started, tellers: vec![tokio::spawn(tasks), tokio::spawn(sandboxes)] }
    }

    fn say(&self, line: &str) {
        say(self.started, line);
    }

    pub async fn repository(&self, name: &str) -> Result<()> {
        let repository = self
            .world
            .repository(name, "known to GitHub", |repository| {
                repository.status.as_ref().is_some_and(|status| status.repository_id.is_some())
            })
            .await?;
        let full = repository.status.and_then(|status| status.full_name).unwrap_or_default();
        self.say(&format!("Repository    {name}: {full} was missing and is created"));
        Ok(())
    }

    /// The number of the pull request the Task is in review with.
    pub async fn review(&self, name: &str) -> Result<u64> {
        let task = self.world.task_in(name, State::Review).await?;
        let pull = task
            .status
            .and_then(|status| status.pull_request)
            .context("a Task in review has a pull request")?;
        Ok(u64::try_from(pull.number)?)
    }

    pub fn merge(&self, repository: &str, number: u64) -> Result<()> {
        let merged = self.world.simulator.github.merge(repository, number, MergeMethod::Merge);
        merged.map(drop).map_err(|refused| anyhow::anyhow!("the merge was refused: {refused:?}"))
    }

    pub async fn done(&self, name: &str) -> Result<()> {
        let task = self.world.task_in(name, State::Done).await?;
        let status = task.status.context("a done Task has a status")?;
        ensure!(status.completed_at.is_some(), "{name} is done without completedAt");
        let state = status.pull_request.map(|pull| pull.state);
        ensure!(
            state == Some(PullRequestState::Merged),
            "{name} is done with a pull request that is {state:?}"
        );
        Ok(())
    }

    /// The signed delivery was taken: the Task's status names it.
    pub async fn delivered(&self, number: u64) -> Result<()> {
        let task = self.world.tasks().get("greet").await?;
        let delivery = task
            .status
            .and_then(|status| status.last_delivery)
            .context("no webhook delivery was recorded")?;
        ensure!(delivery.event == "pull_request.closed", "the last delivery was {}", delivery.event);
        self.say(&format!("webhook       signed delivery {} said that #{number} was merged", delivery.id));
        Ok(())
    }

    /// The sandbox in which the command runs.
    pub async fn generating(&self, name: &str) -> Result<String> {
        let task = self
            .world
            .task(name, "the command runs", |task| {
                task.status.as_ref().is_some_and(|status| !status.code_generations.is_empty())
            })
            .await?;
        task.status.and_then(|status| status.sandbox_id).context("a running command has a sandbox")
    }

    /// The Task goes on in another sandbox and says which one it has replaced.
    pub async fn replaced(&self, name: &str, lost: &str) -> Result<()> {
        let gone = lost.to_owned();
        let task = self
            .world
            .task(name, "carried over to a new sandbox", move |task| {
                task.status.as_ref().is_some_and(|status| {
                    status.code_generations.iter().any(|run| run.migrated_from.contains(&gone))
                })
            })
            .await?;
        let sandbox = task.status.and_then(|status| status.sandbox_id).unwrap_or_default();
        self.say(&format!("Task          {name}: carried over from {lost} to {sandbox}"));
        Ok(())
    }

    /// The merged branch holds what was generated.
    pub async fn files(&self) -> Result<()> {
        let dir = tempfile::tempdir()?;
        let source =
            self.world.simulator.github.git_dir("acme/greeting").map_err(|e| anyhow::anyhow!("{e:?}"))?;
        let clone = tokio::process::Command::new("git")
            .args(["clone", "--quiet"])
            .arg(source)
            .arg(dir.path())
            .status()
            .await?;
        ensure!(clone.success(), "git clone of the merged branch failed");
        let test = tokio::process::Command::new(dir.path().join("tests/greet_test.sh")).output().await?;
        ensure!(test.status.success(), "the generated tests fail in the clone");
        println!(
            "\n$ git clone acme/greeting && tests/greet_test.sh\n{}",
            String::from_utf8_lossy(&test.stdout).trim_end()
        );
        for (path, what) in [
            ("bin/greet", "executable"),
            ("docs/index.md", "symlink"),
            ("docs/boat.png", "picture"),
            ("bin/farewell", "second Task's"),
        ] {
            ensure!(dir.path().join(path).exists(), "{path} ({what}) did not arrive");
        }
        Ok(())
    }
}

/// Prints a line whenever what it says changes.
async fn tell<K>(api: Api<K>, started: Instant, line: fn(&K) -> Option<String>)
where
    K: kube::Resource<DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + Send
        + 'static,
{
    let mut last: HashMap<String, String> = HashMap::new();
    let mut objects =
        std::pin::pin!(watcher(api, watcher::Config::default()).default_backoff().applied_objects());
    while let Some(object) = objects.next().await {
        let Ok(object) = object else { continue };
        let Some(line) = line(&object) else { continue };
        if last.insert(object.name_any(), line.clone()).as_ref() != Some(&line) {
            say(started, &line);
        }
    }
}

fn task_line(task: &Task) -> Option<String> {
    let status = task.status.as_ref()?;
    let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready")?;
    let state = serde_json::to_value(status.state).ok()?;
    let first = ready.message.lines().next().unwrap_or_default();
    Some(format!("Task          {}: {} – {} ({first})", task.name_any(), state.as_str()?, ready.reason))
}

fn sandbox_line(sandbox: &Sandbox) -> Option<String> {
    let status = sandbox.status.as_ref()?;
    let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready")?;
    let id = status.sandbox_id.as_deref().unwrap_or("-");
    Some(format!("Sandbox       {}: {} {id} ({})", sandbox.name_any(), ready.reason, ready.message))
}
