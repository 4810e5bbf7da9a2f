//! What to do about a Repository: look it up, create it where that is wanted and it was never seen, and re-read its
//! pull requests once per interval. Pure; fed and carried out by `controllers::repository`.

mod case;
mod credentials;
pub mod sync;

pub use credentials::{Credentials, TOKEN, credentials};

use super::{conditions, failure::Failure, jitter, plan::Next, plan::Plan, retry};
use crate::api::{
    CreateRepository, RECONCILE_ANNOTATION, Repository, RepositoryStatus, bounds, common::Retry,
    conditions as names, conditions::reason,
};
use case::Case;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use sync::Move;

/// How long after a failed write to a Task the sync is made again.
const MOVE_AGAIN: SignedDuration = SignedDuration::from_secs(5);

/// A repository as GitHub describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub id: i64,
    pub owner_id: i64,
    /// `owner/name` as it is today.
    pub full_name: String,
    pub default_branch: String,
    pub html_url: String,
    pub archived: bool,
    pub base: Base,
}

/// What is known of the branch that pull requests go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// Nobody asked.
    Unknown,
    Exists,
    Missing,
    /// The repository has no commit at all.
    Empty,
}

/// What a pass has to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looking {
    /// Suspended, waiting for a retry, or nothing is due.
    Nothing,
    /// The repository itself.
    LookUp,
    /// What changed since the last time.
    Sync,
}

/// What was seen.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    NotAsked,
    /// The Secret with the credentials is not there.
    NoSecret,
    /// The Secret is of no use; why.
    NoToken(Credentials),
    Failed(Failure),
    Absent,
    Found(Found),
    /// Pull requests were re-read. `renamed`: the repository had to be looked up by its id on the way.
    Synced {
        moves: Vec<Move>,
        renamed: Option<Found>,
    },
}

/// What was seen, and when the next sync is due.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    pub seen: Seen,
    pub next_sync: Timestamp,
}

/// The one effect of a pass.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    Create(CreateRepository),
    /// Tasks whose pull requests have moved.
    Move(Vec<Move>),
}

/// What became of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Created(Result<Found, Failure>),
    /// Whether every Task was written.
    Moved {
        all: bool,
    },
}

/// When a sync of this Repository is due first: anywhere in its interval, so that a start does not ask for all at once.
pub fn first_sync(uid: &str, interval: SignedDuration, now: Timestamp) -> Timestamp {
    let seconds = u32::try_from(interval.as_secs()).unwrap_or_default();
    now + SignedDuration::from_secs(jitter::below(seconds, uid, 0).into())
}

/// The Repository's sync interval.
pub fn interval(repository: &Repository) -> SignedDuration {
    SignedDuration::from_secs(repository.spec.sync_interval_seconds.into())
}

/// What to ask for now; nothing that `status.retry` still forbids.
pub fn wants(repository: &Repository, next_sync: Timestamp, now: Timestamp) -> Looking {
    let retry = standing_retry(repository, now);
    if repository.spec.suspend || retry::wait_until(retry.as_ref(), now).is_some() {
        Looking::Nothing
    } else if !is_settled(repository) {
        Looking::LookUp
    } else if retry.is_some() || now >= next_sync {
        Looking::Sync
    } else {
        Looking::Nothing
    }
}

/// Total: every state of the world has its plan.
pub fn decide(repository: &Repository, observed: &Observed, now: Timestamp) -> Plan<RepositoryStatus, Step> {
    let case = Case::new(repository, observed.next_sync, now);
    if repository.spec.suspend {
        return case.suspended();
    }
    match &observed.seen {
        Seen::NotAsked => case.waiting(),
        Seen::NoSecret => case.no_secret(),
        Seen::NoToken(credentials) => case.no_token(*credentials),
        Seen::Failed(failure) => case.failed(failure),
        Seen::Absent => case.absent(),
        Seen::Found(found) => case.found(found),
        Seen::Synced { moves, renamed } => case.synced(moves, renamed.as_ref()),
    }
}

/// What a plan becomes once its step has an outcome.
pub fn record(
    repository: &Repository,
    plan: Plan<RepositoryStatus, Step>,
    outcome: Outcome,
    next_sync: Timestamp,
    now: Timestamp,
) -> Plan<RepositoryStatus, Step> {
    match outcome {
        Outcome::Created(Ok(found)) => Case::new(repository, next_sync, now).created(&found),
        Outcome::Created(Err(failure)) => Case::new(repository, next_sync, now).failed(&failure),
        Outcome::Moved { all: true } => plan,
        Outcome::Moved { all: false } => Plan { next: Next::After(MOVE_AGAIN), ..plan },
    }
}

/// The value of the annotation that asks to look again at once.
fn asked_again(repository: &Repository) -> Option<String> {
    repository.annotations().get(RECONCILE_ANNOTATION).map(|value| bounds::cut(value, bounds::ANNOTATION))
}

/// Whether status speaks of this spec and this `slipway.dev/reconcile`.
fn is_current(repository: &Repository) -> bool {
    repository.status.as_ref().is_some_and(|status| {
        Some(status.observed_generation) == repository.metadata.generation
            && status.observed_reconcile == asked_again(repository)
    })
}

/// Whether the repository was found and nothing about it is open.
fn is_settled(repository: &Repository) -> bool {
    is_current(repository)
        && repository.status.as_ref().is_some_and(|status| {
            status.repository_id.is_some()
                && conditions::find(&status.conditions, names::READY)
                    .is_some_and(|ready| ready.status == "True" && ready.reason == reason::SYNCED)
        })
}

/// The retry as it holds now: a new spec or a person in a hurry leaves only the wait of a limit.
fn standing_retry(repository: &Repository, now: Timestamp) -> Option<Retry> {
    let retry = repository.status.as_ref()?.retry.clone();
    if is_current(repository) { retry } else { retry::hurry(retry, now) }
}

#[cfg(test)]
mod tests;
