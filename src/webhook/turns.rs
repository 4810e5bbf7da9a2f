//! Deliveries about one Task, one after the other: what waits while one is written is merged into the next write.
//! Called by `delivery`; `domain::pull_request` decides what changes, `cluster::status` writes it.

use super::{
    receiver::{Inner, MANAGER},
    repositories::TrackedRepository,
    tasks::{Key, SeenTask, TrackedTask},
};
use crate::{
    api::{BuildStatus, Column, Delivery, PullRequest, State, Task},
    cluster::{self, Error, status},
    domain::{
        failure::Class,
        pull_request::{ObservedPullRequest, Source, Stored},
    },
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use serde::Serialize;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep, timeout_at},
};

/// Wait after the first write that met another writer's or no answer, doubling up to the longest. Half of each is left to
/// chance: another replica may be at the same Task.
const FIRST_WAIT: Duration = Duration::from_millis(5);
const LONGEST_WAIT: Duration = Duration::from_millis(500);

/// What one delivery says of one pull request.
pub(super) struct News {
    pub(super) observed: ObservedPullRequest,
    pub(super) delivery: Delivery,
    pub(super) received_at: Timestamp,
    /// Until when somebody waits for the answer.
    pub(super) until: Instant,
}

/// News that wait for their turn at a Task.
struct Waiting {
    news: Arc<News>,
    repository: Arc<TrackedRepository>,
    /// The Task they were found to be about, and not another one of that name.
    uid: Option<String>,
    told: oneshot::Sender<Result<bool, Error>>,
}

/// The Tasks that are being written, and what waits for each.
#[derive(Default)]
pub(super) struct Turns(Mutex<HashMap<Key, Vec<Waiting>>>);

impl Turns {
    /// Queues for a Task; true if nobody is at work on it.
    fn enter(&self, key: &Key, waiting: Waiting) -> bool {
        let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = !queues.contains_key(key);
        queues.entry(key.clone()).or_default().push(waiting);
        first
    }
}

/// The turn at one Task. Gone with the work, however that ends: nobody must wait for a worker that is no more.
struct Turn<'a> {
    turns: &'a Turns,
    key: Key,
    over: bool,
}

impl Turn<'_> {
    /// Adds what waits; false, and the turn is over, when nothing is left to do.
    fn take(&mut self, batch: &mut Vec<Waiting>) -> bool {
        let mut queues = self.turns.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = queues.get_mut(&self.key).map(std::mem::take).unwrap_or_default();
        batch.extend(waiting);
        // Whoever waited for it has been told that it failed.
        batch.retain(|waiting| waiting.news.until > Instant::now());
        self.over = batch.is_empty();
        if self.over {
            queues.remove(&self.key);
        }
        !self.over
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // After its turn somebody else may have one.
        if !self.over {
            self.turns.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
        }
    }
}

impl Inner {
    /// Writes what the news change in one Task; whether they changed anything. Goes on when nobody waits for the answer any
    /// more: a client that goes away stops nothing.
    pub(super) async fn move_task(
        self: &Arc<Self>,
        repository: &Arc<TrackedRepository>,
        task: &TrackedTask,
        news: &Arc<News>,
    ) -> Result<bool, Error> {
        let (told, answer) = oneshot::channel();
        let (news, repository) = (news.clone(), repository.clone());
        let key = task.key();
        if self.turns.enter(&key, Waiting { news, repository, uid: task.uid.clone(), told }) {
            let inner = self.clone();
            tokio::spawn(async move { inner.work(key).await });
        }
        answer.await.unwrap_or_else(|_| Err(Error::Unavailable("nothing was written in time".to_owned())))
    }

    /// Writes what waits for a Task until nothing does.
    async fn work(&self, key: Key) {
        let mut turn = Turn { turns: &self.turns, key, over: false };
        let (mut batch, mut read, mut wait) = (Vec::new(), None, FIRST_WAIT);
        while turn.take(&mut batch) {
            let known =
                || self.projection.tasks.ask(|tasks| tasks.get(&turn.key).map(|task| (**task).clone()));
            let Some(task) = read.take().or_else(|| known().flatten()) else {
                tell(&mut batch, |_| Ok(false));
                continue;
            };
            let until = batch.iter().map(|waiting| waiting.news.until).max().unwrap_or_else(Instant::now);
            let written = timeout_at(until, self.write(&task, &batch)).await;
            match written.unwrap_or_else(|_| Err(Error::Unavailable("no answer in time".to_owned()))) {
                Ok(moved) => {
                    let mut moved = moved.into_iter();
                    tell(&mut batch, |_| Ok(moved.next().unwrap_or_default()));
                    wait = FIRST_WAIT;
                    continue;
                }
                Err(Error::NotFound(_)) => {
                    tell(&mut batch, |_| Ok(false));
                    continue;
                }
                Err(error) if error.class() != Class::Transient => {
                    tracing::warn!(namespace = &*turn.key.0, name = &*turn.key.1, %error, "Task not moved");
                    tell(&mut batch, |_| Err(Error::Unavailable(error.to_string())));
                    continue;
                }
                Err(error) => {
                    tracing::debug!(namespace = &*turn.key.0, name = &*turn.key.1, %error, "trying again");
                }
            }
            sleep(wait / 2 + (wait / 2).mul_f64(cluster::chance())).await;
            wait = (wait * 2).min(LONGEST_WAIT);
            read = self.read(&turn.key, until).await;
        }
    }

    /// The Task as it is now; `None` if that can't be told, so that what is known has to do.
    async fn read(&self, (namespace, name): &Key, until: Instant) -> Option<TrackedTask> {
        let api: Api<SeenTask> = Api::namespaced(self.client.clone(), namespace);
        let read = timeout_at(until, api.get_opt(name)).await.ok()?.ok()?;
        let task = read.map(TrackedTask::from)?;
        self.projection.tasks.change(|tasks| tasks.note(task.clone()));
        Some(task)
    }

    /// Makes one write of all that the batch changes; which of it changed something.
    async fn write(&self, task: &TrackedTask, batch: &[Waiting]) -> Result<Vec<bool>, Error> {
        let (mut new, mut delivery, mut moved) = (task.clone(), None, Vec::with_capacity(batch.len()));
        for Waiting { news, repository, uid, .. } in batch {
            let ours = new.uid == *uid && new.is_moved_by(repository, &news.observed);
            let change =
                ours.then(|| new.stored.transition(&news.observed, Source::Delivery, news.received_at));
            let change = change.flatten();
            moved.push(change.is_some());
            if let Some(change) = change {
                new.stored.board = change.board;
                new.stored.pull_request = Some(change.pull_request);
                delivery = Some(&news.delivery);
            }
        }
        let Some(delivery) = delivery else { return Ok(moved) };
        let (place, version) = ((&*task.namespace, &*task.name), task.version.as_deref());
        let fields = Fields::of(&new.stored, delivery);
        let written = status::write_fields::<Task>(&self.client, place, version, &fields, MANAGER);
        new.version = Some(written.await?);
        self.projection.tasks.change(|tasks| tasks.note(new));
        Ok(moved)
    }
}

/// What the receiver writes: exactly these fields, whatever they were. News may take back the time of a merge, and remove
/// nothing else.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Fields<'a> {
    state: State,
    column: Column,
    build_status: BuildStatus,
    completed_at: Option<&'a Time>,
    pull_request: Option<&'a PullRequest>,
    last_delivery: &'a Delivery,
}

impl<'a> Fields<'a> {
    fn of(stored: &'a Stored, last_delivery: &'a Delivery) -> Self {
        Self {
            state: stored.board.state,
            column: stored.board.column,
            build_status: stored.board.build_status,
            completed_at: stored.board.completed_at.as_ref(),
            pull_request: stored.pull_request.as_ref(),
            last_delivery,
        }
    }
}

/// Answers everybody in the batch.
fn tell(batch: &mut Vec<Waiting>, mut answer: impl FnMut(&Waiting) -> Result<bool, Error>) {
    for waiting in batch.drain(..) {
        let answer = answer(&waiting);
        // Who has gone away is told nothing.
        let _ = waiting.told.send(answer);
    }
}
