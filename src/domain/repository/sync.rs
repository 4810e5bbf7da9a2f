//! Re-reading pull requests, so that a lost webhook only delays: whose they are, how far back to read, what moves.
//! Used by the Repository controller; what is found goes through the same transition as a delivery.

use crate::{
    api::{PullRequest, PullRequestState, State, Task, TaskStatus},
    domain::pull_request::{ObservedPullRequest, Source, Stored, is_own},
};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use std::borrow::Borrow;

/// Time before the newest change of the last sync from which the next one reads: GitHub's lists lag behind, and several
/// changes share a second.
const OVERLAP: SignedDuration = SignedDuration::from_secs(120);

/// A Task whose pull request has moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// Name of the Task, in the Repository's namespace.
    pub task: String,
    pub observed: ObservedPullRequest,
}

/// Returns whether a pull request can still move this Task: it may have one, and is not confirmed to be done.
pub fn is_open(task: &Task) -> bool {
    let Some(status) = &task.status else { return false };
    let unconfirmed = status.pull_request.as_ref().is_some_and(|pull| pull.unconfirmed);
    let may_have_one =
        status.pull_request.is_some() || (status.commit_sha.is_some() && status.branch.is_some());
    task.metadata.deletion_timestamp.is_none() && may_have_one && (status.state != State::Done || unconfirmed)
}

/// The change to read back to: shortly before the newest one of the last sync; after a start the oldest that a Task
/// of `tasks` knows of. `None`: no Task knows of any, so the first page has to do.
pub fn back_to<T: Borrow<Task>>(newest: Option<Timestamp>, tasks: &[T]) -> Option<Timestamp> {
    let newest = newest.map(|at| at.checked_sub(OVERLAP).unwrap_or(at));
    newest.or_else(|| tasks.iter().filter_map(|task| updated_at(task.borrow())).min())
}

fn updated_at(task: &Task) -> Option<Timestamp> {
    task.status.as_ref()?.pull_request.as_ref()?.updated_at.as_ref().map(|at| at.0)
}

/// Finds the pull requests that may have moved and that a list which ended early does not show: those that are open as far as
/// is known, or were never confirmed.
pub fn unreached<T: Borrow<Task>>(tasks: &[T], listed: &[ObservedPullRequest]) -> Vec<i64> {
    let pull = |task: &Task| task.status.as_ref().and_then(|status| status.pull_request.clone());
    let may_move = |pull: &PullRequest| pull.unconfirmed || pull.state == PullRequestState::Open;
    let numbers =
        tasks.iter().filter_map(|task| pull(task.borrow())).filter(may_move).map(|pull| pull.number);
    numbers.filter(|number| listed.iter().all(|listed| listed.number != *number)).collect()
}

/// Returns whether a move is something that a delivery should have brought: another state or another head, and not just a
/// later time or a word that confirms.
pub fn is_news(task: &Task, moved: &TaskStatus) -> bool {
    let shown = |status: &TaskStatus| {
        let pull = status.pull_request.as_ref();
        (status.state, pull.map(|pull| (pull.state, pull.draft, pull.head_sha.clone())))
    };
    task.status.as_ref().is_none_or(|status| shown(status) != shown(moved))
}

/// Finds which Tasks the list moves; at most one move per Task. Of several that fit the first in the list is taken.
pub fn moves<T: Borrow<Task>>(tasks: &[T], listed: &[ObservedPullRequest], now: Timestamp) -> Vec<Move> {
    let moved = |task: &Task| {
        let observed = listed.iter().find(|observed| apply(task, observed, now).is_some())?;
        Some(Move { task: task.name_any(), observed: observed.clone() })
    };
    tasks.iter().filter_map(|task| moved(task.borrow())).collect()
}

/// The status of the Task once `observed` is known; `None` when that changes nothing, because it is another's or no news.
pub fn apply(task: &Task, observed: &ObservedPullRequest, now: Timestamp) -> Option<TaskStatus> {
    let status = task.status.as_ref().filter(|_| task.metadata.deletion_timestamp.is_none())?;
    if !is_own(&task.uid()?, status, observed) {
        return None;
    }
    let change = Stored::of(status).transition(observed, Source::Sync, now)?;
    let mut status = status.clone();
    change.apply(&mut status);
    Some(status)
}

#[cfg(test)]
pub(super) mod tests;
