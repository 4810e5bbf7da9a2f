//! The classes every failure of an outbound call falls into, and what each means for a retry.
//! Used by the adapters (`github`, `e2b`, `cluster`) to speak and by the decisions to listen.

use crate::api::conditions::reason;
use jiff::Timestamp;
use std::time::Duration;

/// Operations that look for what others have to make, or GitHub has to show again, as `status.retry` names them. They use up
/// no attempt of a call.
pub mod operation {
    /// Reading a Secret that the object refers to.
    pub const GET_SECRET: &str = "getSecret";
    /// Looking for a Repository, or for its repository at GitHub.
    pub const FIND_REPOSITORY: &str = "findRepository";
    /// Looking for a pull request that GitHub has shown before.
    pub const FIND_PULL_REQUEST: &str = "findPullRequest";
    /// Looking for a Task's Sandbox.
    pub const FIND_SANDBOX: &str = "findSandbox";
    /// All of them.
    pub const LOOKED_FOR: [&str; 4] = [GET_SECRET, FIND_REPOSITORY, FIND_PULL_REQUEST, FIND_SANDBOX];
    /// Deleting a Task's own Sandbox.
    pub const DELETE_SANDBOX: &str = "deleteSandbox";
    /// One whole pass over the object.
    pub const RECONCILE: &str = "reconcile";
}

/// Class of a failed call: policy follows from it alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The other side or the network failed (408, 429 without a limit's marks, 5xx, cut, time-out): the same call may succeed later.
    Transient,
    /// The other side named a limit: nothing of this credential is sent before `until`, and no attempt is used up.
    Throttled { until: Timestamp },
    /// The object of the call is not there.
    NotFound,
    /// The credential is wrong or lacks a right: a person has to act.
    Denied,
    /// The request itself is refused as it stands: repeating it can't help.
    Invalid,
}

impl Class {
    /// Returns whether the same call, unchanged, is worth repeating automatically.
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::Transient | Self::Throttled { .. })
    }
}

/// A failed call as the decisions see it: no status code, no client type, just what follows from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The operation that failed, under its stable name (for example `createPullRequest`).
    pub operation: &'static str,
    pub class: Class,
    /// A stable CamelCase reason, fit for a condition.
    pub reason: &'static str,
    /// Cause and cure in words, without request ids or times: the same failure gives the same text.
    pub message: String,
}

impl Failure {
    /// A pass that was cut off after `deadline`. The same call may come further another time: the class is transient.
    pub fn out_of_time(deadline: Duration) -> Self {
        Self {
            operation: operation::RECONCILE,
            class: Class::Transient,
            reason: reason::DEADLINE_EXCEEDED,
            message: format!(
                "the work on the object did not end within {} s and was cut off",
                deadline.as_secs()
            ),
        }
    }
}
