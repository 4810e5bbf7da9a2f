//! Gives Tasks their turn in a Sandbox that they share: one at a time, the first to ask goes first.
//! Given by the Sandbox's own controller alone (`sandbox`), read by the Tasks, which ask by the request of `demand`.

use crate::api::{Holder, LastRun, Sandbox, SandboxRequest, SandboxStatus, Task};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource, ResourceExt};

/// The turn in a Sandbox, as it should stand in its status.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Turn {
    pub holder: Option<Holder>,
    /// Requests beyond the holder's.
    pub waiting: i64,
    /// The end of the holder's turn could not be confirmed: the holder stays, and is asked about again soon.
    pub unconfirmed: bool,
}

/// Returns whether Tasks take turns in the Sandbox. The one that a Task owns is that Task's alone.
pub fn is_shared(sandbox: &Sandbox) -> bool {
    let is_task = |owner: &OwnerReference| owner.controller == Some(true) && owner.kind == Task::kind(&());
    !sandbox.owner_references().iter().any(is_task)
}

/// Gives the turn in the Sandbox of this name; also tells how many requests wait beyond the holder's.
///
/// `tasks` are those of the Sandbox's namespace. The holder keeps its turn until its Task takes the request away, makes
/// another one or is gone: only then may anything else begin in the sandbox.
///
/// Nobody is given a turn while a Task of an older release has not said yet what it does there: its command may run.
pub fn grant<'a>(current: Option<&Holder>, sandbox: &str, tasks: impl IntoIterator<Item = &'a Task>) -> Turn {
    let tasks: Vec<&Task> = tasks.into_iter().collect();
    let unknown = tasks.iter().any(|task| is_of_older_release(task, sandbox));
    let mut asking: Vec<_> =
        tasks.into_iter().filter_map(|task| Some((task, request_for(task, sandbox)?))).collect();
    let keeps = |holder: &&Holder| asking.iter().any(|(task, request)| is_granted(holder, task, request));
    let kept = current.filter(keeps).cloned();
    // A deleted Task begins nothing any more: the turn would be lost until the object is gone.
    asking.retain(|(task, _)| task.metadata.deletion_timestamp.is_none());
    let holder = kept.or_else(|| {
        let asking = (!unknown).then_some(&asking)?;
        let (task, request) = asking.iter().min_by_key(|(task, request)| precedence(task, request))?;
        Some(Holder { task: task.name_any(), uid: task.uid()?, request: request.id.clone() })
    });
    let waits = |(task, request): &&(&Task, &SandboxRequest)| {
        holder.as_ref().is_none_or(|holder| !is_granted(holder, task, request))
    };
    let waiting = asking.iter().filter(waits).count();
    Turn { holder, waiting: i64::try_from(waiting).unwrap_or(i64::MAX), unconfirmed: false }
}

/// Returns the holder whose turn is over by what `tasks` say. They may be older than the grant, as those of a new leader are:
/// the Task has to be read once more from the API server before the turn goes on, or two would work at a time.
pub fn ending<'h, 'a>(
    current: Option<&'h Holder>,
    sandbox: &str,
    tasks: impl IntoIterator<Item = &'a Task>,
) -> Option<&'h Holder> {
    let keeps = |holder: &Holder, task: &Task| {
        request_for(task, sandbox).is_some_and(|request| is_granted(holder, task, request))
    };
    let holder = current?;
    (!tasks.into_iter().any(|task| keeps(holder, task))).then_some(holder)
}

/// Returns `tasks` with the holder's Task as the API server has it.
pub fn confirmed<T: std::borrow::Borrow<Task>>(
    mut tasks: Vec<T>,
    holder: &Holder,
    live: Option<T>,
) -> Vec<T> {
    let replaced = live.as_ref().and_then(|live| live.borrow().metadata.uid.clone());
    tasks.retain(|task| {
        let uid = &task.borrow().metadata.uid;
        uid.as_ref() != Some(&holder.uid) && *uid != replaced
    });
    tasks.extend(live);
    tasks
}

/// Keeps the turn with its holder because nobody could tell that it is over.
pub fn unconfirmed(holder: &Holder, sandbox: &Sandbox) -> Turn {
    let waiting = sandbox.status.as_ref().map_or(0, |status| status.waiting);
    Turn { holder: Some(holder.clone()), waiting, unconfirmed: true }
}

/// Returns the Task's place in the line for the Sandbox that its request names, from 1. `waiting` are the other Tasks of
/// the namespace, without the holder. `None`: the Task does not ask.
pub fn place<'a>(task: &Task, waiting: impl IntoIterator<Item = &'a Task>) -> Option<usize> {
    let own = task.status.as_ref()?.sandbox_request.as_ref()?;
    let before = waiting.into_iter().filter(|other| {
        other.metadata.uid != task.metadata.uid
            && other.metadata.deletion_timestamp.is_none()
            && request_for(other, &own.sandbox_name)
                .is_some_and(|request| precedence(other, request) < precedence(task, own))
    });
    Some(before.count() + 1)
}

/// Returns the last commands in the sandbox by `status` and by what `tasks` say, the newest of each of the last two Tasks. Two are
/// enough for each to know of another's.
pub fn last_runs<'a>(status: &SandboxStatus, tasks: impl IntoIterator<Item = &'a Task>) -> Vec<LastRun> {
    let started = tasks.into_iter().flat_map(|task| {
        let runs = task.status.iter().flat_map(|status| &status.code_generations);
        let here = runs.filter(|run| Some(&run.sandbox_id) == status.sandbox_id.as_ref());
        here.filter_map(|run| Some(LastRun { uid: task.uid()?, started_at: run.started_at.clone() }))
    });
    let mut all: Vec<LastRun> = status.last_runs.iter().cloned().chain(started).collect();
    all.sort_by(|a, b| (b.started_at.0, &a.uid).cmp(&(a.started_at.0, &b.uid)));
    let mut last: Vec<LastRun> = Vec::new();
    for run in all {
        if last.len() < 2 && last.iter().all(|known| known.uid != run.uid) {
            last.push(run);
        }
    }
    last
}

/// Returns when a Task other than `uid` last started a command in the sandbox, as its Sandbox has it on record.
pub fn others_began(status: &SandboxStatus, uid: &str) -> Option<Timestamp> {
    status.last_runs.iter().filter(|run| run.uid != uid).map(|run| run.started_at.0).max()
}

fn request_for<'a>(task: &'a Task, sandbox: &str) -> Option<&'a SandboxRequest> {
    let request = task.status.as_ref()?.sandbox_request.as_ref()?;
    (request.sandbox_name == sandbox).then_some(request)
}

/// Returns whether the Task has begun a round under a release that knew no requests, and uses the Sandbox of this name.
fn is_of_older_release(task: &Task, sandbox: &str) -> bool {
    let refers = task.spec.sandbox_ref.as_ref().is_some_and(|reference| reference.name == sandbox);
    refers && task.status.as_ref().is_some_and(|status| status.round.is_some() && status.phase.is_none())
}

fn is_granted(holder: &Holder, task: &Task, request: &SandboxRequest) -> bool {
    task.metadata.uid.as_deref() == Some(&holder.uid) && request.id == holder.request
}

/// The smaller goes first. Times are of whole seconds, so the uid decides between Tasks that were made together.
fn precedence<'a>(
    task: &'a Task,
    request: &SandboxRequest,
) -> (Timestamp, Option<Timestamp>, Option<&'a str>) {
    let created = task.metadata.creation_timestamp.as_ref().map(|time| time.0);
    (request.since.0, created, task.metadata.uid.as_deref())
}

#[cfg(test)]
mod tests;
