//! Re-reading pull requests, so that a lost webhook only delays: whose they are, how far back to read, what moves.
//! Beside `repository`; what is found goes through the same transition as a delivery.

use crate::{
    api::{State, Task, TaskStatus},
    domain::pull_request::{ObservedPullRequest, Source, Stored},
};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use std::borrow::Borrow;

/// How far before the newest change of the last sync the next one reads: GitHub's lists lag behind, and several
/// changes share a second.
const OVERLAP: SignedDuration = SignedDuration::from_secs(120);

/// A pull request as a list of GitHub's shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub pull: ObservedPullRequest,
    /// Whether its head is a branch of this repository and not of a fork.
    pub own_branch: bool,
}

/// A Task whose pull request has moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// Name of the Task, in the Repository's namespace.
    pub task: String,
    pub listed: Listed,
}

/// Whether a pull request can still move this Task: it may have one, and is not confirmed to be done.
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

/// Which Tasks `listed` moves; at most one move per Task. Of several that fit the first in the list is taken.
pub fn moves<T: Borrow<Task>>(tasks: &[T], listed: &[Listed], now: Timestamp) -> Vec<Move> {
    let moved = |task: &Task| {
        let listed = listed.iter().find(|listed| apply(task, listed, now).is_some())?;
        Some(Move { task: task.name_any(), listed: listed.clone() })
    };
    tasks.iter().filter_map(|task| moved(task.borrow())).collect()
}

/// The status of the Task once `listed` is known; `None` when that changes nothing.
pub fn apply(task: &Task, listed: &Listed, now: Timestamp) -> Option<TaskStatus> {
    let status = task.status.as_ref().filter(|status| is_its(status, listed))?;
    let change = Stored::of(status).transition(&listed.pull, Source::Sync, now)?;
    let mut status = status.clone();
    change.apply(&mut status);
    Some(status)
}

/// By number; without one by the head branch at the round's own commit: a branch name may have served before,
/// and a pull request of that time is none of this Task's.
fn is_its(status: &TaskStatus, listed: &Listed) -> bool {
    match &status.pull_request {
        Some(known) => known.number == listed.pull.number,
        None => {
            listed.own_branch
                && status.branch.is_some()
                && status.branch == listed.pull.branch
                && status.commit_sha.is_some()
                && status.commit_sha == listed.pull.head_sha
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
