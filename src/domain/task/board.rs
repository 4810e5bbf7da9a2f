//! The rows of the board that the decision about a Task sets.
//! They stand in `domain::board`; used by `case` and the parts of the decision.

pub(super) use crate::domain::board::{BUILDING, FAILED_EARLY, FAILED_LATE, NOTHING_CHANGED, PENDING, Row};
