//! News of pull requests: whose they are (`ownership`) and what they do to the board of their Task (`transition`).
//! Used by the receiver for deliveries, by the Repository controller for sync, by the Task's decision for GitHub's answers.

mod ownership;
mod transition;

#[cfg(test)]
mod tests;

pub use ownership::{is_own, marker, marker_in, strip_markers};
pub use transition::is_older;

use super::board::Board;
use crate::api::{Phase, PullRequest, PullRequestState, TaskStatus};
use jiff::Timestamp;

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
    /// GitHub's id of the repository that the head branch is in: a fork's is another than the base's.
    pub head_repository_id: Option<i64>,
    /// GitHub's id of the repository that the pull request is in.
    pub base_repository_id: Option<i64>,
    pub node_id: Option<String>,
    pub url: Option<String>,
    pub head_sha: Option<String>,
    /// The head is a commit on top of the Task's own. Only who has asked GitHub for it says so.
    pub stands_on_commit: bool,
    /// The [`marker`] that the body ends with.
    pub marker: Option<Box<str>>,
    pub merge_sha: Option<String>,
    pub merged_at: Option<Timestamp>,
    /// GitHub's time of the last change, whole seconds: what orders reports.
    pub updated_at: Option<Timestamp>,
}

impl ObservedPullRequest {
    /// A report of number and state, and nothing else.
    pub fn new(number: i64, state: PullRequestState) -> Self {
        Self {
            number,
            state,
            draft: None,
            branch: None,
            head_repository_id: None,
            base_repository_id: None,
            node_id: None,
            url: None,
            head_sha: None,
            stands_on_commit: false,
            marker: None,
            merge_sha: None,
            merged_at: None,
            updated_at: None,
        }
    }
}

/// The state of a pull request, from GitHub's two words for it: a merged one is `closed` too.
pub fn state_of(open: bool, merged: bool) -> PullRequestState {
    match (merged, open) {
        (true, _) => PullRequestState::Merged,
        (false, true) => PullRequestState::Open,
        (false, false) => PullRequestState::Closed,
    }
}

/// Source of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A signed webhook delivery: believed until GitHub is asked.
    Delivery,
    /// An entry of GitHub's list of pull requests.
    Sync,
    /// GitHub's answer about this very pull request (a GET, or the answer to a create or merge): the last word.
    Confirmation,
}

/// The part of a Task's status that news of a pull request can change or must respect.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    pub board: Board,
    pub phase: Option<Phase>,
    pub round: i64,
    /// GitHub's id of the repository that the Task's branch and pull request are in.
    pub repository_id: Option<i64>,
    /// The round's branch.
    pub branch: Option<String>,
    /// The last commit that was published.
    pub commit_sha: Option<String>,
    pub pull_request: Option<PullRequest>,
    /// Numbers of the pull requests of earlier rounds.
    pub history: Vec<i64>,
}

impl Stored {
    /// The part of `status` that counts here.
    pub fn of(status: &TaskStatus) -> Self {
        Self {
            board: Board::of(status),
            phase: status.phase,
            round: status.round.unwrap_or(1),
            repository_id: status.repository_id,
            branch: status.branch.clone(),
            commit_sha: status.commit_sha.clone(),
            pull_request: status.pull_request.clone(),
            history: status.pull_request_history.iter().map(|past| past.number).collect(),
        }
    }
}

/// Change that news have made.
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
