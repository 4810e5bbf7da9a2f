//! The one error of the adapter: a failed call, with its class, a stable reason, and cause and cure in words.
//! States that are answers (absent, already there, not a fast forward) are never errors.

use crate::domain::failure::{Class, Failure};

/// A call that failed, or that was not sent because a limit holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// The operation under its stable name: `createPullRequest`.
    pub operation: &'static str,
    pub class: Class,
    /// Stable CamelCase reason, fit for a condition.
    pub reason: &'static str,
    /// Cause and cure, without request ids or times.
    pub message: String,
    /// HTTP status of the answer; absent when there was none.
    pub status: Option<u16>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { operation: error.operation, class: error.class, reason: error.reason, message: error.message }
    }
}
