//! Waiting for conditions, always with a deadline and with what was seen last when it passes.
//! Part of `world`.

use super::{PATIENCE, World};
use anyhow::{Context as _, Result, bail};
use kube::{Api, Resource, ResourceExt as _, runtime::wait::await_condition};
use serde::de::DeserializeOwned;
use slipway::api::{Repository, Sandbox, State, Task};
use std::{
    fmt::Debug,
    time::{Duration, Instant},
};

/// Asks again every 50 ms until there is an answer; fails after `deadline`.
pub async fn within<T, F: Future<Output = Option<T>>>(
    deadline: Duration,
    what: &str,
    mut ask: impl FnMut() -> F,
) -> Result<T> {
    let end = Instant::now() + deadline;
    loop {
        if let Some(answer) = ask().await {
            return Ok(answer);
        }
        if Instant::now() >= end {
            bail!("{what}: not within {deadline:?}");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits on a watch until `holds` is true of the object, and returns it.
pub async fn until<K>(api: &Api<K>, name: &str, what: &str, holds: impl Fn(&K) -> bool + Clone) -> Result<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + serde::Serialize + 'static,
{
    let condition = {
        let holds = holds.clone();
        move |object: Option<&K>| object.is_some_and(&holds)
    };
    if let Ok(object) = tokio::time::timeout(PATIENCE, await_condition(api.clone(), name, condition)).await {
        return object?.context("the object is gone");
    }
    let mut last = api.get_opt(name).await?;
    if let Some(object) = &mut last {
        object.managed_fields_mut().clear();
    }
    bail!("{name}: {what}: not within {PATIENCE:?}; it is\n{}", serde_json::to_string_pretty(&last)?)
}

/// Waits until the Task is in this column of the board with its conditions settled.
pub async fn in_column(tasks: &Api<Task>, name: &str, state: State) -> Result<Task> {
    let holds =
        move |task: &Task| task.status.as_ref().is_some_and(|status| status.state == state) && settled(task);
    until(tasks, name, &format!("state {state:?} and Ready"), holds).await
}

impl World {
    /// Waits until `holds` is true of the Task.
    pub async fn task(&self, name: &str, what: &str, holds: impl Fn(&Task) -> bool + Clone) -> Result<Task> {
        until(&self.tasks(), name, what, holds).await.with_context(|| self.logs())
    }

    /// `in_column`, with the logs when it fails.
    pub async fn task_in(&self, name: &str, state: State) -> Result<Task> {
        in_column(&self.tasks(), name, state).await.with_context(|| self.logs())
    }

    /// Waits for a reason of the Task's `Ready`.
    pub async fn task_because(&self, name: &str, reason: &'static str) -> Result<Task> {
        self.task(name, &format!("reason {reason}"), move |task| reason_of(task) == reason).await
    }

    pub async fn sandbox(
        &self,
        name: &str,
        what: &str,
        holds: impl Fn(&Sandbox) -> bool + Clone,
    ) -> Result<Sandbox> {
        until(&self.sandboxes(), name, what, holds).await.with_context(|| self.logs())
    }

    pub async fn repository(
        &self,
        name: &str,
        what: &str,
        holds: impl Fn(&Repository) -> bool + Clone,
    ) -> Result<Repository> {
        until(&self.repositories(), name, what, holds).await.with_context(|| self.logs())
    }
}

/// Whether the operator has said its last word on the Task for now: ready, confirmed, nothing left to undo.
pub fn settled(task: &Task) -> bool {
    let pull = task.status.as_ref().and_then(|status| status.pull_request.as_ref());
    ready(task) && task.finalizers().is_empty() && !pull.is_some_and(|pull| pull.unconfirmed)
}

/// Whether `Ready` is `True` for the present spec.
pub fn ready(task: &Task) -> bool {
    let Some(status) = &task.status else { return false };
    let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
    ready.is_some_and(|ready| ready.status == "True" && ready.observed_generation == task.metadata.generation)
}

/// The reason of the Task's `Ready`.
pub fn reason_of(task: &Task) -> &str {
    let conditions = task.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    conditions.iter().find(|condition| condition.type_ == "Ready").map_or("", |ready| &ready.reason)
}

/// The message of one of the Task's conditions.
pub fn message_of<'a>(task: &'a Task, type_: &str) -> &'a str {
    let conditions = task.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    conditions.iter().find(|condition| condition.type_ == type_).map_or("", |condition| &condition.message)
}
