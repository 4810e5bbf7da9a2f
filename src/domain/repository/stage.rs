//! Finds where a Repository stands, and so what has to be asked: a stage carries its question and takes only its answer.
//! Read from spec and status alone; asked by `controllers::repository` before it calls GitHub, answered into `decide`.

use super::{
    Account, Found, HookSeen, Listing,
    current::{is_current, standing_retry},
};
use crate::{
    api::{Repository, conditions::reason},
    domain::{failure::Failure, jitter, retry},
};
use jiff::{SignedDuration, Timestamp};

/// Position of a Repository, with what a pass has to ask for.
#[derive(Debug, Clone, PartialEq)]
pub enum Stage {
    /// Nothing: this is all there is to know.
    Rest(Finding),
    /// The repository itself.
    LookUp(LookUp),
    /// Asks what changed since the last time.
    List(List),
}

/// The question for the repository itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LookUp {
    settled: bool,
}

/// The question for the pull requests that changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct List(());

/// The answer to the question of a stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding(pub(super) Answer);

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer {
    Suspended,
    /// Nothing is due.
    NotAsked,
    /// `None`: GitHub shows no such repository to this token.
    LookedUp(Result<Option<Found>, Failure>),
    Listed(Result<Listing, Failure>),
}

/// Findings of a pass, and the time of the next sync.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    pub finding: Finding,
    pub next_sync: Timestamp,
    /// `None`: this process has not called yet.
    pub account: Option<Account>,
    pub hook: HookSeen,
    /// When the webhook is to be looked at next, where there is one to look at.
    pub next_hook: Option<Timestamp>,
}

impl LookUp {
    /// Returns whether the repository is known and in order, so that this is only the interval's one call.
    pub fn is_routine(self) -> bool {
        self.settled
    }

    /// The answer: `None` when GitHub shows no such repository to this token.
    pub fn answered(self, found: Result<Option<Found>, Failure>) -> Finding {
        Finding(Answer::LookedUp(found))
    }
}

impl List {
    /// The answer.
    pub fn answered(self, listing: Result<Listing, Failure>) -> Finding {
        Finding(Answer::Listed(listing))
    }
}

impl Finding {
    /// Whether it asks for a change of something else than the webhook.
    pub fn has_step(&self) -> bool {
        matches!(&self.0, Answer::Listed(Ok(Listing::Changes(changes))) if !changes.moves.is_empty())
    }

    /// Returns whether the interval's question was answered.
    pub fn is_answer(&self) -> bool {
        matches!(self.0, Answer::LookedUp(Ok(Some(_))) | Answer::Listed(Ok(Listing::Changes(_))))
    }
}

/// The finding of a pass that ran out of time.
pub fn timed_out(repository: &Repository, failure: Failure) -> Finding {
    LookUp { settled: is_settled(repository) }.answered(Err(failure))
}

/// Finds what to ask for now; nothing that `status.retry` still forbids. `open`: whether some Task has a pull request that could
/// move, asked only where it counts. Without one there is nothing to list; the interval's call then looks at the repository itself, which is free of
/// limits while unchanged (`ETag`).
pub fn stage(
    repository: &Repository,
    next_sync: Timestamp,
    now: Timestamp,
    open: impl FnOnce() -> bool,
) -> Stage {
    let retry = standing_retry(repository, now);
    if repository.spec.suspend {
        return Stage::Rest(Finding(Answer::Suspended));
    }
    if retry::wait_until(retry.as_ref(), now).is_some() || repository.metadata.deletion_timestamp.is_some() {
        return Stage::Rest(Finding(Answer::NotAsked));
    }
    let settled = is_settled(repository);
    if settled && retry.is_none() && now < next_sync {
        Stage::Rest(Finding(Answer::NotAsked))
    } else if settled && open() {
        Stage::List(List(()))
    } else {
        Stage::LookUp(LookUp { settled })
    }
}

/// Returns when a sync of this Repository is due first: anywhere in its interval, so that a start does not ask for all at once.
pub fn first_sync(uid: &str, interval: SignedDuration, now: Timestamp) -> Timestamp {
    let seconds = u32::try_from(interval.as_secs()).unwrap_or_default();
    now + SignedDuration::from_secs(jitter::below(seconds, uid, 0).into())
}

/// The Repository's sync interval.
pub fn interval(repository: &Repository) -> SignedDuration {
    SignedDuration::from_secs(repository.spec.sync_interval_seconds.into())
}

/// Returns whether the repository was looked up for this spec and nothing about it is open. A sync that failed leaves it settled
/// until the attempts are used up: its `retry` keeps the reason `Synced`.
pub fn is_settled(repository: &Repository) -> bool {
    is_current(repository)
        && repository.status.as_ref().is_some_and(|status| {
            status.repository_id.is_some()
                // A repository that was just created has not been looked up.
                && status.default_branch.is_some()
                && status.retry.as_ref().is_none_or(|retry| retry.reason == reason::SYNCED)
        })
}
