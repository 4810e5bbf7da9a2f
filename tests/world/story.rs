//! The steps of the story that the demo and the whole-cluster test tell: each waits until the API server shows it, printing
//! what moves meanwhile. Part of `world`, but asks only the API server.

use super::wait::{in_column, until};
use anyhow::{Context as _, Result, ensure};
use futures::StreamExt as _;
use kube::{
    Api, Client, ResourceExt as _,
    runtime::{WatchStreamExt as _, watcher},
};
use slipway::api::{PullRequestState, Repository, Sandbox, State, Task};
use std::{collections::HashMap, time::Instant};

/// Tells what happens to the Tasks and Sandboxes of one namespace.
pub struct Story {
    tasks: Api<Task>,
    repositories: Api<Repository>,
    started: Instant,
    tellers: Vec<tokio::task::JoinHandle<()>>,
}

impl Drop for Story {
    fn drop(&mut self) {
        self.tellers.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

impl Story {
    pub fn watch(client: &Client, namespace: &str, started: Instant) -> Self {
        let tasks: Api<Task> = Api::namespaced(client.clone(), namespace);
        let sandboxes = Api::namespaced(client.clone(), namespace);
        let repositories = Api::namespaced(client.clone(), namespace);
        let tellers = vec![
            tokio::spawn(tell(tasks.clone(), started, task_line)),
            tokio::spawn(tell(sandboxes, started, sandbox_line)),
        ];
        Self { tasks, repositories, started, tellers }
    }

    fn say(&self, line: &str) {
        say(self.started, line);
    }

    pub async fn repository(&self, name: &str) -> Result<()> {
        let known = |repository: &Repository| {
            repository.status.as_ref().is_some_and(|status| status.repository_id.is_some())
        };
        let repository = until(&self.repositories, name, "known to GitHub", known).await?;
        let full = repository.status.and_then(|status| status.full_name).unwrap_or_default();
        self.say(&format!("Repository    {name}: {full} was missing and is created"));
        Ok(())
    }

    /// The number of the pull request the Task is in review with.
    pub async fn review(&self, name: &str) -> Result<u64> {
        let task = in_column(&self.tasks, name, State::Review).await?;
        let pull = task
            .status
            .and_then(|status| status.pull_request)
            .context("a Task in review has a pull request")?;
        Ok(u64::try_from(pull.number)?)
    }

    /// The Task is in review again, in this round.
    pub async fn round(&self, name: &str, round: i64) -> Result<()> {
        let there = move |task: &Task| {
            task.status
                .as_ref()
                .is_some_and(|status| status.round == Some(round) && status.state == State::Review)
        };
        until(&self.tasks, name, "in review again", there).await.map(drop)
    }

    pub async fn done(&self, name: &str) -> Result<()> {
        let task = in_column(&self.tasks, name, State::Done).await?;
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
    pub async fn delivered(&self, name: &str, number: u64) -> Result<()> {
        let task = self.tasks.get(name).await?;
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
        let runs =
            |task: &Task| task.status.as_ref().is_some_and(|status| !status.code_generations.is_empty());
        let task = until(&self.tasks, name, "the command runs", runs).await?;
        task.status.and_then(|status| status.sandbox_id).context("a running command has a sandbox")
    }

    /// The Task goes on in another sandbox and says which one it has replaced.
    pub async fn replaced(&self, name: &str, lost: &str) -> Result<()> {
        let gone = lost.to_owned();
        let carried = move |task: &Task| {
            task.status.as_ref().is_some_and(|status| {
                status.code_generations.iter().any(|run| run.migrated_from.contains(&gone))
            })
        };
        let task = until(&self.tasks, name, "carried over to a new sandbox", carried).await?;
        let sandbox = task.status.and_then(|status| status.sandbox_id).unwrap_or_default();
        self.say(&format!("Task          {name}: carried over from {lost} to {sandbox}"));
        Ok(())
    }
}

/// One line of the story.
pub fn say(started: Instant, line: &str) {
    println!("{:>6.1}s  {line}", started.elapsed().as_secs_f32());
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
