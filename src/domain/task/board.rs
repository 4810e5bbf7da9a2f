//! The board's rows: the contract with task boards, values exactly so.
//! Set by `case` and the parts of the decision.

use crate::api::{BuildStatus, Column, State};

/// A row of the board.
pub(super) type Row = (State, Column, BuildStatus);

pub(super) const PENDING: Row = (State::Todo, Column::Research, BuildStatus::Pending);
pub(super) const BUILDING: Row = (State::InProgress, Column::Development, BuildStatus::Building);
pub(super) const FAILED_EARLY: Row = (State::Todo, Column::Research, BuildStatus::Failed);
pub(super) const FAILED_LATE: Row = (State::InProgress, Column::Development, BuildStatus::Failed);
pub(super) const NOTHING_CHANGED: Row = (State::Todo, Column::Research, BuildStatus::Ready);
