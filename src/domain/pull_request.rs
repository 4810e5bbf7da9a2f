//! The transition: what news of a pull request do to the board of its Task, whoever brings the news and in whatever order.
//! Used by the receiver for deliveries, by the Task and Repository controllers for sync and confirmations.

#[cfg(test)]
mod tests;

use crate::api::{
    BuildStatus, Column, PullRequest, PullRequestState, State, TaskStatus, bounds, common::whole_seconds,
    conditions as names,
};
use crate::domain::conditions;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// A pull request as somebody reports it. What the report leaves out stays as it was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedPullRequest {
    /// From 1.
    pub number: i64,
    /// `Merged` when GitHub says `merged: true` or gives a `merged_at`.
    pub state: PullRequestState,
    pub draft: Option<bool>,
    /// Head branch, without `refs/heads/`.
    pub branch: Option<String>,
    pub node_id: Option<String>,
    pub url: Option<String>,
    pub head_sha: Option<String>,
    pub merge_sha: Option<String>,
    pub merged_at: Option<Timestamp>,
    /// GitHub's time of the last change, whole seconds: what orders reports.
    pub updated_at: Option<Timestamp>,
}

/// The state of a pull request, from GitHub's two words for it: `merged` is said beside `closed`.
pub fn state_of(open: bool, merged: bool) -> PullRequestState {
    match (merged, open) {
        (true, _) => PullRequestState::Merged,
        (false, true) => PullRequestState::Open,
        (false, false) => PullRequestState::Closed,
    }
}

/// Who reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A signed webhook delivery: believed until GitHub is asked.
    Delivery,
    /// An entry of GitHub's list of pull requests.
    Sync,
    /// GitHub's answer about this very pull request (a GET, or the answer to a create or merge): the last word.
    Confirmation,
}

/// The fields of the board.
#[derive(Debug, Clone, PartialEq)]
pub struct Board {
    pub state: State,
    pub column: Column,
    pub build_status: BuildStatus,
    pub completed_at: Option<Time>,
}

/// What the transition knows of a Task: the part of its status that news of a pull request can change or must respect.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    pub board: Board,
    pub pull_request: Option<PullRequest>,
    /// Numbers of the pull requests of earlier rounds.
    pub history: Vec<i64>,
    /// Whether the condition `Merged` is `True`: GitHub has confirmed the merge.
    pub merged: bool,
}

/// What news have changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    pub board: Board,
    pub pull_request: PullRequest,
    /// GitHub says that a merge which a delivery reported has not happened: worth a Warning.
    pub merge_undone: bool,
}

impl Change {
    /// Writes the change into a status.
    pub fn apply(&self, status: &mut TaskStatus) {
        self.board.apply(status);
        status.pull_request = Some(self.pull_request.clone());
    }
}

impl Board {
    fn of(status: &TaskStatus) -> Self {
        Self {
            state: status.state,
            column: status.column,
            build_status: status.build_status,
            completed_at: status.completed_at.clone(),
        }
    }

    /// Writes the board into a status.
    pub fn apply(&self, status: &mut TaskStatus) {
        status.state = self.state;
        status.column = self.column;
        status.build_status = self.build_status;
        status.completed_at.clone_from(&self.completed_at);
    }

    /// The row of a pull request that is open, a draft, closed or merged.
    fn row(phase: Phase, completed_at: Option<Time>) -> Self {
        let (state, column, build_status) = match phase {
            Phase::Open => (State::Review, Column::Testing, BuildStatus::Ready),
            Phase::Draft => (State::InProgress, Column::Development, BuildStatus::Building),
            Phase::Closed => (State::Todo, Column::Research, BuildStatus::Pending),
            Phase::Merged => (State::Done, Column::Done, BuildStatus::Ready),
        };
        Self { state, column, build_status, completed_at }
    }
}

impl Stored {
    /// The part of `status` that counts here.
    pub fn of(status: &TaskStatus) -> Self {
        Self {
            board: Board::of(status),
            pull_request: status.pull_request.clone(),
            history: status.pull_request_history.iter().map(|past| past.number).collect(),
            merged: conditions::is_true(&status.conditions, names::MERGED),
        }
    }

    /// Whether the Task is `done` for good: GitHub has confirmed the merge, so nothing moves it any more.
    fn is_final(&self) -> bool {
        let confirmed = self.merged || self.pull_request.as_ref().is_none_or(|stored| !stored.unconfirmed);
        self.board.state == State::Done && confirmed
    }

    /// What `observed` changes; `None` when it changes nothing, is older than what is stored, or is about another pull request.
    ///
    /// Reports are ordered by `updated_at`; of equal ones the last to arrive is applied and marked to be asked for again.
    /// A report without a time is applied and leaves the stored time. A merge is believed whenever it is reported, and
    /// only GitHub's own answer can undo it, as long as it has not confirmed it. `now` is the time of receipt.
    pub fn transition(
        &self,
        observed: &ObservedPullRequest,
        source: Source,
        now: Timestamp,
    ) -> Option<Change> {
        if observed.number < 1 || observed.state == PullRequestState::Unknown {
            return None;
        }
        let Some(stored) = &self.pull_request else { return self.adopt(observed, source, now) };
        if stored.number != observed.number {
            return None;
        }
        if self.is_final() {
            return self.settle(stored, source);
        }
        let older = source != Source::Confirmation && is_older(observed.updated_at, stored);
        let merged = observed.state == PullRequestState::Merged;
        let unmerging = stored.state == PullRequestState::Merged && !merged;
        if (older && !merged) || (unmerging && source != Source::Confirmation) {
            return None;
        }
        let mut new = stored.clone();
        if older {
            new.state = PullRequestState::Merged;
            overlay(&mut new.merge_sha, observed.merge_sha.as_deref(), bounds::SHA);
        } else {
            report(&mut new, observed);
        }
        if unmerging {
            new.merge_sha = None;
        }
        self.change(stored, new, observed, source, now)
    }

    /// The first news of a pull request of this round.
    fn adopt(&self, observed: &ObservedPullRequest, source: Source, now: Timestamp) -> Option<Change> {
        if self.history.contains(&observed.number) || self.is_final() {
            return None;
        }
        let mut new = PullRequest {
            number: observed.number,
            branch: None,
            node_id: None,
            url: None,
            state: observed.state,
            draft: false,
            head_sha: None,
            merge_sha: None,
            updated_at: None,
            unconfirmed: source == Source::Delivery,
        };
        report(&mut new, observed);
        let board = Board::row(Phase::of(&new), completed(&new, observed, None, now));
        Some(Change { board, pull_request: new, merge_undone: false })
    }

    /// News of a merge that GitHub has confirmed: they change nothing, and a confirmation has nothing left to confirm.
    fn settle(&self, stored: &PullRequest, source: Source) -> Option<Change> {
        let asked = source == Source::Confirmation && stored.unconfirmed;
        let pull_request = PullRequest { unconfirmed: false, ..stored.clone() };
        let board = self.board.clone();
        asked.then_some(Change { board, pull_request, merge_undone: false })
    }

    fn change(
        &self,
        stored: &PullRequest,
        mut new: PullRequest,
        observed: &ObservedPullRequest,
        source: Source,
        now: Timestamp,
    ) -> Option<Change> {
        let phase = Phase::of(&new);
        let board = if phase == Phase::of(stored) && phase != Phase::Merged {
            self.board.clone()
        } else {
            Board::row(phase, completed(&new, observed, self.board.completed_at.as_ref(), now))
        };
        if source == Source::Confirmation {
            new.unconfirmed = false;
        } else if new != *stored || board != self.board {
            let equal = new.updated_at == stored.updated_at;
            new.unconfirmed |= source == Source::Delivery || equal;
        }
        if new == *stored && board == self.board {
            return None;
        }
        let merge_undone = stored.state == PullRequestState::Merged && new.state != PullRequestState::Merged;
        Some(Change { board, pull_request: new, merge_undone })
    }
}

/// What of a pull request the board shows: draft counts only while it is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    Draft,
    Closed,
    Merged,
}

impl Phase {
    /// A state of another release counts as open: the next report says what it is.
    fn of(pull_request: &PullRequest) -> Self {
        match pull_request.state {
            PullRequestState::Merged => Self::Merged,
            PullRequestState::Closed => Self::Closed,
            PullRequestState::Open | PullRequestState::Unknown if pull_request.draft => Self::Draft,
            PullRequestState::Open | PullRequestState::Unknown => Self::Open,
        }
    }
}

fn is_older(updated_at: Option<Timestamp>, stored: &PullRequest) -> bool {
    updated_at.zip(stored.updated_at.as_ref()).is_some_and(|(new, Time(old))| whole_seconds(new) < *old)
}

/// Everything that `observed` says, over what is stored.
fn report(new: &mut PullRequest, observed: &ObservedPullRequest) {
    new.state = observed.state;
    new.draft = observed.draft.unwrap_or(new.draft);
    overlay(&mut new.branch, observed.branch.as_deref(), bounds::BRANCH);
    overlay(&mut new.node_id, observed.node_id.as_deref(), bounds::ID);
    overlay(&mut new.url, observed.url.as_deref(), bounds::URL);
    overlay(&mut new.head_sha, observed.head_sha.as_deref(), bounds::SHA);
    if observed.state == PullRequestState::Merged {
        overlay(&mut new.merge_sha, observed.merge_sha.as_deref(), bounds::SHA);
    }
    if let Some(updated_at) = observed.updated_at {
        new.updated_at = Some(Time(whole_seconds(updated_at)));
    }
}

fn overlay(stored: &mut Option<String>, observed: Option<&str>, max: u32) {
    if let Some(text) = observed {
        *stored = Some(bounds::cut(text, max));
    }
}

/// The time of the merge: GitHub's, else what is known, else the time of receipt.
fn completed(
    new: &PullRequest,
    observed: &ObservedPullRequest,
    known: Option<&Time>,
    now: Timestamp,
) -> Option<Time> {
    if new.state != PullRequestState::Merged {
        return None;
    }
    let merged_at = observed.merged_at.map(|at| Time(whole_seconds(at)));
    Some(merged_at.or_else(|| known.cloned()).unwrap_or_else(|| Time(whole_seconds(now))))
}
