//! Moves Tasks: one write of all that waits for its turn at one, tried again while somebody else writes it too.
//! Called by `delivery`; `turns` queues, `domain::pull_request` decides what changes, `cluster::status` writes it.

use super::{
    receiver::{Inner, MANAGER},
    repositories::TrackedRepository,
    tasks::{Key, SeenTask, TrackedTask},
    turns::{News, Turn, Waiting, tell},
};
use crate::{
    api::{BuildStatus, Column, Delivery, PullRequest, State, Task},
    cluster::{self, Error, status},
    domain::{
        failure::Class,
        pull_request::{Source, Stored},
    },
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use serde::Serialize;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout_at};

/// Wait after the first write that met another writer's or no answer, doubling up to the longest. Half of each is left to
/// chance: another replica may be at the same Task.
const FIRST_WAIT: Duration = Duration::from_millis(5);
const LONGEST_WAIT: Duration = Duration::from_millis(500);

impl Inner {
    /// Writes what the news change in one Task; whether they changed anything. Goes on when nobody waits for the answer any
    /// more: a client that goes away stops nothing.
    pub(super) async fn move_task(
        self: &Arc<Self>,
        repository: &Arc<TrackedRepository>,
        task: &TrackedTask,
        news: &Arc<News>,
    ) -> Result<bool, Error> {
        let (answer, turn) = self.turns.enter(task, repository, news);
        if let Some(turn) = turn {
            let inner = self.clone();
            self.runtime.spawn(async move { inner.work(turn).await });
        }
        answer.await.unwrap_or_else(|_| Err(Error::Unavailable("nothing was written in time".to_owned())))
    }

    /// Writes what waits for a Task until nothing does.
    async fn work(&self, mut turn: Turn) {
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
            let asked = (ours && news.asks && change.is_none()).then(|| new.stored.asked_again()).flatten();
            moved.push(change.is_some() || asked.is_some());
            if let Some(pull_request) = asked {
                new.stored.pull_request = Some(pull_request);
                delivery = Some(&news.delivery);
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::{PullRequestState, TaskStatus},
        domain::{patch::diff, pull_request::ObservedPullRequest},
    };
    use jiff::Timestamp;
    use serde_json::{Value, json};

    /// Whether `fields` sets all that `patch` does.
    fn covers(fields: &Value, patch: &Value) -> bool {
        match patch {
            Value::Object(patch) => patch.iter().all(|(key, patch)| covers(&fields[key], patch)),
            value => fields == value,
        }
    }

    fn news(state: PullRequestState, draft: bool, second: i64) -> ObservedPullRequest {
        let at = |second| Timestamp::from_second(second).ok();
        ObservedPullRequest {
            draft: Some(draft),
            merged_at: (state == PullRequestState::Merged).then(|| at(second)).flatten(),
            merge_sha: (second % 2 == 0).then(|| "a".repeat(40)),
            head_sha: (second % 3 == 0).then(|| "b".repeat(40)),
            updated_at: (second % 5 != 0).then(|| at(second)).flatten(),
            ..ObservedPullRequest::new(42, state)
        }
    }

    /// News never take back anything but the time of a merge, so fields that are left out of a patch are right as they are.
    #[test]
    fn what_is_written_is_all_that_news_change() {
        use PullRequestState::{Closed, Merged, Open};
        let states = [Open, Closed, Merged].into_iter().flat_map(|state| [(state, false), (state, true)]);
        let all: Vec<_> =
            states.flat_map(|(state, draft)| (10..16).map(move |at| news(state, draft, at))).collect();
        let delivery =
            Delivery { id: "d".into(), event: "e".into(), received_at: Time(Timestamp::UNIX_EPOCH) };
        let mut changes = 0;
        for first in &all {
            for second in &all {
                let mut status = TaskStatus::default();
                for news in [first, second] {
                    let stored = Stored::of(&status);
                    let Some(change) = stored.transition(news, Source::Delivery, Timestamp::UNIX_EPOCH)
                    else {
                        continue;
                    };
                    let old = json!(status);
                    change.apply(&mut status);
                    status.last_delivery = Some(delivery.clone());
                    let fields = json!(Fields::of(&Stored::of(&status), &delivery));
                    let patch = diff(&old, &json!(status)).expect("a change");
                    assert!(covers(&fields, &patch), "{patch} by {fields}");
                    changes += 1;
                }
            }
        }
        assert!(changes > all.len(), "{changes}");
    }
}
