//! The board: its rows, which are the contract with task boards, values exactly so, and the fields that show one.
//! Used by `pull_request` for what news move, and by the decisions about Tasks for the rest.

use crate::api::{BuildStatus, Column, State, TaskStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// A row of the board.
pub type Row = (State, Column, BuildStatus);

/// New or waiting, or the pull request was closed without a merge.
pub const PENDING: Row = (State::Todo, Column::Research, BuildStatus::Pending);
/// At work, or the pull request is a draft.
pub const BUILDING: Row = (State::InProgress, Column::Development, BuildStatus::Building);
/// The pull request waits for review.
pub const REVIEW: Row = (State::Review, Column::Testing, BuildStatus::Ready);
/// The pull request is merged.
pub const DONE: Row = (State::Done, Column::Done, BuildStatus::Ready);
/// Stuck before the files were made.
pub const FAILED_EARLY: Row = (State::Todo, Column::Research, BuildStatus::Failed);
/// Stuck after the files were made.
pub const FAILED_LATE: Row = (State::InProgress, Column::Development, BuildStatus::Failed);
/// The files are those that the base branch has.
pub const NOTHING_CHANGED: Row = (State::Todo, Column::Research, BuildStatus::Ready);

/// The row of an open pull request.
pub fn of_open(draft: bool) -> Row {
    if draft { BUILDING } else { REVIEW }
}

/// The fields of a Task's status that a board shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Board {
    pub state: State,
    pub column: Column,
    pub build_status: BuildStatus,
    pub completed_at: Option<Time>,
}

impl Board {
    /// A row, with the time of the merge if there was one.
    pub fn new((state, column, build_status): Row, completed_at: Option<Time>) -> Self {
        Self { state, column, build_status, completed_at }
    }

    /// The board as a status has it.
    pub fn of(status: &TaskStatus) -> Self {
        Self::new((status.state, status.column, status.build_status), status.completed_at.clone())
    }

    /// Writes the board into a status.
    pub fn apply(&self, status: &mut TaskStatus) {
        status.state = self.state;
        status.column = self.column;
        status.build_status = self.build_status;
        status.completed_at.clone_from(&self.completed_at);
    }
}
