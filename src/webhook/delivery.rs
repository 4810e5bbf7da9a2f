//! One delivery, from a well-formed signature to the answer: who signed, whose Task, what changes, one patch each.
//! Neighbours: `keyring`, `payload` and `projection` inform; `domain::pull_request` decides; `cluster::status` writes.

use super::{
    admission::{Name, Signed},
    answer::{Answer, Refusal},
    keyring::Check,
    payload::{Action, Head, Payload},
    receiver::{Inner, MANAGER},
    repositories::{NamedRepository, Repositories, TrackedRepository},
    tasks::TrackedTask,
};
use crate::{
    api::{Delivery, Task, bounds, common::whole_seconds},
    cluster::{Error, Written, status},
    domain::pull_request::{ObservedPullRequest, Source},
};
use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use std::{sync::Arc, time::Duration};

/// GitHub waits 10 s for an answer.
const DEADLINE: Duration = Duration::from_secs(8);
/// Number of times a Task is read again because somebody else wrote it meanwhile.
const TRIES: usize = 3;

/// Facts for the log line of a delivery, in addition to the answer.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// The action, once the signature has been checked.
    pub(super) action: Option<String>,
    /// The Tasks that were changed, `namespace/name`.
    pub(super) moved: Vec<String>,
}

/// One delivery on its way to the Tasks of one pull request.
struct News {
    action: Action,
    observed: ObservedPullRequest,
    delivery: Delivery,
    received_at: Timestamp,
}

impl Inner {
    /// Answers within 8 s.
    pub(super) async fn receive(&self, name: &Name, signed: &Signed, record: &mut Record) -> Answer {
        let received_at = whole_seconds(Timestamp::now());
        let answered = tokio::time::timeout(DEADLINE, self.handle(name, signed, received_at, record)).await;
        match answered {
            Ok(Ok(answer)) => answer,
            Ok(Err(refusal)) => refusal.into(),
            Err(_) => NO_ANSWER.into(),
        }
    }

    /// Checks that somebody whose secret we know signed the request.
    pub(super) async fn authenticate(
        &self,
        check: &mut Check<'_>,
    ) -> Result<Vec<Arc<TrackedRepository>>, Refusal> {
        let repositories = self.projection.repositories(Repositories::all).ok_or(NOT_SYNCED)?;
        let authentic = check.is_authentic(&repositories).await;
        self.warn_of_weak_secrets(&repositories);
        if authentic? { Ok(repositories) } else { Err(Refusal::Unsigned) }
    }

    /// The route for pings: signed like a delivery, whatever the body says.
    pub(super) async fn pong(&self, signed: &Signed) -> Answer {
        let mut check = self.keyring.check(signed);
        match tokio::time::timeout(DEADLINE, self.authenticate(&mut check)).await {
            Ok(Ok(_)) => Answer::Pong,
            Ok(Err(refusal)) => refusal.into(),
            Err(_) => NO_ANSWER.into(),
        }
    }

    async fn handle(
        &self,
        name: &Name,
        signed: &Signed,
        received_at: Timestamp,
        record: &mut Record,
    ) -> Result<Answer, Refusal> {
        let mut check = self.keyring.check(signed);
        let repositories = self.authenticate(&mut check).await?;
        let event = name.event.as_deref().unwrap_or_default();
        match event {
            "pull_request" => {}
            "ping" => return Ok(Answer::Pong),
            _ => return Ok(Answer::Ignored("This event moves no Task")),
        }
        let payload = Payload::parse(&signed.body);
        let told = match &payload {
            Ok(payload) => payload.action.clone(),
            // Of an action that moves no Task nothing else matters.
            Err(_) => Head::parse(&signed.body).map_err(Refusal::Malformed)?.action,
        };
        record.action = told.as_deref().map(|action| bounds::cut(action, bounds::ID));
        let Some(action) = told.as_deref().and_then(Action::parse) else {
            return Ok(Answer::Ignored("This action moves no Task"));
        };
        let payload = payload.map_err(Refusal::Malformed)?;
        if payload.number().is_none() {
            return Err(Refusal::Malformed("pull_request.number must be there, from 1".to_owned()));
        }
        let Some(observed) = payload.observed(action) else {
            return Ok(Answer::Ignored("The payload tells no state of the pull request"));
        };
        let named = payload.repository();
        let repositories = addressed(&mut check, named, repositories).await?;
        let label = format!("{event}.{}", told.unwrap_or_default());
        let delivery = Delivery {
            id: bounds::cut(name.delivery.as_deref().unwrap_or_default(), bounds::ID),
            event: bounds::cut(&label, bounds::ID),
            received_at: Time(received_at),
        };
        self.fan_out(&repositories, &News { action, observed, delivery, received_at }, record).await
    }

    /// Moves every Task of `repositories` that the news are about.
    async fn fan_out(
        &self,
        repositories: &[Arc<TrackedRepository>],
        news: &News,
        record: &mut Record,
    ) -> Result<Answer, Refusal> {
        let (mut current, mut once) = (Vec::new(), Vec::new());
        for repository in repositories {
            let found = self.projection.tasks(|tasks| {
                let (observed, number) = (&news.observed, news.observed.number);
                (tasks.moved_by(repository, observed), tasks.once_of(repository, number))
            });
            let (moved_by, once_of) = found.ok_or(NOT_SYNCED)?;
            current.extend(moved_by.into_iter().map(|task| (repository, task)));
            once.extend(once_of);
        }
        let known = !current.is_empty();
        let moves = current.iter().map(|(repository, task)| self.move_task(repository, task, news));
        let mut failed = false;
        for ((_, task), moved) in current.iter().zip(join_all(moves).await) {
            match moved {
                Ok(true) => record.moved.push(format!("{}/{}", task.namespace, task.name)),
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(namespace = &*task.namespace, name = &*task.name, %error, "Task not moved");
                    failed = true;
                }
            }
        }
        if news.action.moves() {
            self.warn_of_old(&once, &news.delivery.event, news.observed.number).await;
        }
        if failed {
            // Tasks that did move are left as they are by the same delivery sent again.
            return Err(Refusal::Unavailable("A Task can't be written now"));
        }
        Ok(match record.moved.len() {
            0 if known => Answer::Ignored("Nothing changes"),
            0 => Answer::Ignored("No Task has this pull request"),
            changed => Answer::Moved(changed),
        })
    }

    /// Writes what the news change in one Task; whether they changed anything.
    async fn move_task(
        &self,
        repository: &TrackedRepository,
        known: &TrackedTask,
        news: &News,
    ) -> Result<bool, Error> {
        let api: Api<Task> = Api::namespaced(self.client.clone(), &known.namespace);
        let mut task = known.clone();
        for _ in 0..TRIES {
            let Some(change) = task.stored.transition(&news.observed, Source::Delivery, news.received_at)
            else {
                return Ok(false);
            };
            let old = task.status();
            let mut new = old.clone();
            change.apply(&mut new);
            new.last_delivery = Some(news.delivery.clone());
            match status::write(&api, &task.object(), Some(&old), &new, MANAGER).await {
                Ok(Written::Patched(_)) => return Ok(true),
                Ok(Written::Unchanged) | Err(Error::NotFound(_)) => return Ok(false),
                Ok(Written::Conflict) => {}
                Err(error) => return Err(error),
            }
            let Some(read) = api.get_opt(&known.name).await? else { return Ok(false) };
            task = TrackedTask::of(&read);
            if task.uid != known.uid || !task.is_moved_by(repository, &news.observed) {
                return Ok(false);
            }
        }
        Err(Error::Conflict(format!("written by somebody else {TRIES} times in a row")))
    }
}

const NOT_SYNCED: Refusal = Refusal::Unavailable("The receiver has just started, try again in a moment");
const NO_ANSWER: Refusal = Refusal::Unavailable("The Kubernetes API server does not answer");

/// The Repositories that a delivery is about, as far as their own secret signed it.
async fn addressed(
    check: &mut Check<'_>,
    named: Option<&NamedRepository>,
    mut repositories: Vec<Arc<TrackedRepository>>,
) -> Result<Vec<Arc<TrackedRepository>>, Refusal> {
    if let Some(named) = named {
        repositories.retain(|repository| repository.is(named));
        return check.verified(repositories).await;
    }
    check.spend()?;
    let signed = check.verified(repositories).await?;
    if signed.len() > 1 { Err(Refusal::Ambiguous) } else { Ok(signed) }
}
