//! Re-reading pull requests, so that a lost webhook only delays: whose they are, how far back to read, what moves.
//! Beside `repository`; what is found goes through the same transition as a delivery.

use crate::api::{PullRequestState, State, Task};
use jiff::{SignedDuration, Timestamp};

/// How far before the newest change of the last sync the next one reads: GitHub's lists lag behind, and several
/// changes share a second.
const OVERLAP: SignedDuration = SignedDuration::from_secs(120);

/// A pull request as a list of GitHub's shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub number: i64,
    pub node_id: String,
    pub url: String,
    pub state: PullRequestState,
    pub draft: bool,
    /// Head branch, and whether it is a branch of this repository and not of a fork.
    pub branch: String,
    pub own_branch: bool,
    pub head_sha: String,
    /// Commit and time of the merge.
    pub merge_sha: Option<String>,
    pub merged_at: Option<Timestamp>,
    pub updated_at: Timestamp,
}

/// A Task whose pull request has moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// Name of the Task, in the Repository's namespace.
    pub task: String,
    pub pull: Listed,
}

/// Whether a pull request can still move this Task: it may have one, and is not confirmed to be done.
pub fn is_open(task: &Task) -> bool {
    let Some(status) = &task.status else { return false };
    let unconfirmed = status.pull_request.as_ref().is_some_and(|pull| pull.unconfirmed);
    let may_have_one = status.pull_request.is_some() || (status.commit_sha.is_some() && status.branch.is_some());
    task.metadata.deletion_timestamp.is_none() && may_have_one && (status.state != State::Done || unconfirmed)
}

/// The change to read back to: shortly before the newest one of the last sync; after a start the oldest that a Task
/// of `tasks` knows of. `None`: a Task knows of none, so the first page has to do.
pub fn back_to<'a>(
    newest: Option<Timestamp>,
    tasks: impl IntoIterator<Item = &'a Task>,
) -> Option<Timestamp> {
    let newest = newest.map(|at| at.checked_sub(OVERLAP).unwrap_or(at));
    newest.or_else(|| tasks.into_iter().filter_map(updated_at).min())
}

fn updated_at(task: &Task) -> Option<Timestamp> {
    task.status.as_ref()?.pull_request.as_ref()?.updated_at.as_ref().map(|at| at.0)
}
