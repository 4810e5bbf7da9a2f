//! One delivery, from a well-formed signature to the answer: who signed, whose Task, what changes, one patch each.
//! Neighbours: `keyring`, `payload` and `projection` inform; `domain::pull_request` decides; `cluster::status` writes.

use super::{
    admission::{Name, Signed},
    answer::{Answer, Refusal},
    keyring::{Check, NOT_SYNCED},
    payload::{Action, Head, Payload},
    receiver::Inner,
    repositories::TrackedRepository,
    secret_store::Patience,
    turns::News,
};
use crate::api::{Delivery, bounds, common::whole_seconds};
use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, timeout_at};

/// GitHub waits 10 s for an answer.
const DEADLINE: Duration = Duration::from_secs(8);

/// Facts for the log line of a delivery, in addition to the answer.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// Somebody whose secret we know signed it.
    pub(super) authentic: bool,
    /// The action, once the signature has been checked.
    pub(super) action: Option<String>,
    /// The Tasks that were changed, `namespace/name`.
    pub(super) moved: Vec<String>,
}

impl Inner {
    /// Answers within 8 s.
    pub(super) async fn receive(
        self: &Arc<Self>,
        name: &Name<'_>,
        signed: &Signed,
        record: &mut Record,
    ) -> Answer {
        let until = Instant::now() + DEADLINE;
        match timeout_at(until, self.handle(name, signed, until, record)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(refusal)) => refusal.into(),
            Err(_) => NO_ANSWER.into(),
        }
    }

    /// Checks that somebody whose secret we know signed the request.
    async fn authenticate(&self, check: &mut Check<'_>) -> Result<(), Refusal> {
        let authentic = check.is_authentic(&self.projection.repositories).await;
        self.warn_of_weak_secrets();
        if authentic? { Ok(()) } else { Err(Refusal::Unsigned) }
    }

    /// The route for pings: signed like a delivery, whatever the body says.
    pub(super) async fn pong(&self, signed: &Signed) -> Answer {
        let mut check = self.keyring.check(signed);
        match tokio::time::timeout(DEADLINE, self.authenticate(&mut check)).await {
            Ok(Ok(())) => Answer::Pong,
            Ok(Err(refusal)) => refusal.into(),
            Err(_) => NO_ANSWER.into(),
        }
    }

    async fn handle(
        self: &Arc<Self>,
        name: &Name<'_>,
        signed: &Signed,
        until: Instant,
        record: &mut Record,
    ) -> Result<Answer, Refusal> {
        let mut check = self.keyring.check(signed);
        self.authenticate(&mut check).await?;
        record.authentic = true;
        let event = name.event.unwrap_or_default();
        match event {
            "pull_request" => {}
            "ping" => return Ok(Answer::Pong),
            _ => return Ok(Answer::Ignored("This event moves no Task")),
        }
        if let Some(answer) = self.foresee(&signed.body, record) {
            return answer;
        }
        let Some((action, payload)) = told(signed, record)? else { return Ok(Answer::Ignored(NO_MOVE)) };
        let Some(mut observed) = payload.observed(action) else {
            return Ok(Answer::Ignored("The payload tells no state of the pull request"));
        };
        // People click on it. Where GitHub's own answer has another one, that is stored when it confirms.
        observed.url = observed.url.filter(|url| url.starts_with(&self.github_url));
        let repositories = match payload.repository() {
            Some(named) => {
                let named = self.projection.repositories.ask(|known| known.named(named)).ok_or(NOT_SYNCED)?;
                check.verified(named, Patience::Waits).await?
            }
            None => check.only(&self.projection.repositories).await?,
        };
        let label = format!("{event}.{}", record.action.as_deref().unwrap_or_default());
        let delivery = Delivery {
            id: bounds::cut(name.delivery.unwrap_or_default(), bounds::ID),
            event: bounds::cut(&label, bounds::ID),
            received_at: Time(whole_seconds(Timestamp::now())),
        };
        let received_at = delivery.received_at.0;
        let news = Arc::new(News { observed, asks: action.asks(), delivery, received_at, until });
        self.fan_out(&repositories, action, &news, record).await
    }

    /// Answers what can be told from the beginning of the payload: most deliveries are about pull requests of others.
    fn foresee(&self, body: &[u8], record: &mut Record) -> Option<Result<Answer, Refusal>> {
        let (seen, concerns) = self.projection.tasks.ask(|tasks| tasks.glance(body))??;
        let moves = Action::parse(seen.action).is_some();
        if moves && concerns {
            return None;
        }
        record.action = Some(bounds::cut(seen.action, bounds::ID));
        Some(if moves { self.miss("No Task has this pull request") } else { Ok(Answer::Ignored(NO_MOVE)) })
    }

    /// Nothing is known of what a delivery is about. That is final only while nothing can have been missed.
    fn miss(&self, why: &'static str) -> Result<Answer, Refusal> {
        if self.projection.is_current() { Ok(Answer::Ignored(why)) } else { Err(NOT_CURRENT) }
    }

    /// Moves every Task of `repositories` that the news are about.
    async fn fan_out(
        self: &Arc<Self>,
        repositories: &[Arc<TrackedRepository>],
        action: Action,
        news: &Arc<News>,
        record: &mut Record,
    ) -> Result<Answer, Refusal> {
        let (mut current, mut once) = (Vec::new(), Vec::new());
        for repository in repositories {
            let found = self.projection.tasks.ask(|tasks| {
                let (observed, number) = (&news.observed, news.observed.number);
                (tasks.moved_by(repository, observed), tasks.once_of(repository, number))
            });
            let (moved_by, once_of) = found.ok_or(NOT_SYNCED)?;
            current.extend(moved_by.into_iter().map(|task| (repository, task)));
            once.extend(once_of);
        }
        let moves = current.iter().map(|(repository, task)| self.move_task(repository, task, news));
        let mut failed = false;
        for ((_, task), moved) in current.iter().zip(join_all(moves).await) {
            match moved {
                Ok(true) => record.moved.push(format!("{}/{}", task.namespace, task.name)),
                Ok(false) => {}
                Err(error) => {
                    tracing::debug!(namespace = &*task.namespace, name = &*task.name, %error, "not moved");
                    failed = true;
                }
            }
        }
        if action.moves() {
            self.warn_of_old(&once, &news.delivery.event, news.observed.number);
        }
        if failed {
            // Tasks that did move are left as they are by the same delivery sent again.
            return Err(Refusal::Unavailable("A Task can't be written now"));
        }
        match record.moved.len() {
            0 if current.is_empty() && once.is_empty() => self.miss("No Task has this pull request"),
            0 if current.is_empty() => Ok(Answer::Ignored("No Task has this pull request")),
            0 => Ok(Answer::Ignored("Nothing changes")),
            changed => Ok(Answer::Moved(changed)),
        }
    }
}

/// Reads a signed payload whole; `None`: its action moves no Task.
fn told(signed: &Signed, record: &mut Record) -> Result<Option<(Action, Payload)>, Refusal> {
    let payload = Payload::parse(&signed.body);
    let told = match &payload {
        Ok(payload) => payload.action.clone(),
        // Of an action that moves no Task nothing else matters.
        Err(_) => Head::parse(&signed.body).map_err(Refusal::Malformed)?.action,
    };
    record.action = told.as_deref().map(|action| bounds::cut(action, bounds::ID));
    let Some(action) = told.as_deref().and_then(Action::parse) else { return Ok(None) };
    let payload = payload.map_err(Refusal::Malformed)?;
    if payload.number().is_none() {
        return Err(Refusal::Malformed("pull_request.number must be there, from 1".to_owned()));
    }
    Ok(Some((action, payload)))
}

const NO_MOVE: &str = "This action moves no Task";
const NOT_CURRENT: Refusal =
    Refusal::Unavailable("The receiver has lost sight of the cluster, try again in a moment");
const NO_ANSWER: Refusal = Refusal::Unavailable("The Kubernetes API server does not answer");
