//! Whether a Task needs its sandbox kept up, read from the Task alone: both controllers ask the same question.
//! Used by the decisions about Sandboxes (what to keep alive) and Tasks (whose turn it is).

use super::conditions::{find, is_true};
use crate::api::{SandboxSpec, Task, conditions as names, conditions::reason};
use kube::ResourceExt;

/// How much a Task needs its sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// Not yet asked for, or done with.
    None,
    /// At rest: only a sandbox that would be killed at its time-out has to be kept, a pause loses nothing.
    AgainstKill,
    /// At work.
    Work,
}

/// From the Task's request (`SandboxReady` exists) until its files are committed, nothing was to be committed,
/// generation failed, its pull request closed or merged, or it is being deleted.
pub fn of(task: &Task) -> Need {
    let Some(status) = &task.status else { return Need::None };
    let reason_of = |type_| find(&status.conditions, type_).map(|condition| condition.reason.as_str());
    let asked = find(&status.conditions, names::SANDBOX_READY).is_some();
    let over = status.commit_sha.is_some()
        || status.pull_request.is_some()
        || reason_of(names::COMMITTED) == Some(reason::NOTHING_TO_COMMIT)
        || reason_of(names::GENERATED) == Some(reason::GENERATION_FAILED);
    // A Task that is stalled by the sandbox itself still wants it: to drop the need would make the sandbox look idle.
    let stalled = is_true(&status.conditions, names::STALLED)
        && reason_of(names::STALLED) != Some(reason::SANDBOX_NOT_READY);
    if task.metadata.deletion_timestamp.is_some() || !asked || over {
        Need::None
    } else if task.spec.suspend || stalled {
        Need::AgainstKill
    } else {
        Need::Work
    }
}

/// Name of the Sandbox the Task works in, in its namespace.
pub fn sandbox_name(task: &Task) -> String {
    match &task.spec.sandbox_ref {
        Some(reference) => reference.name.clone(),
        None => owned_sandbox_name(&task.name_any(), &task.uid().unwrap_or_default()),
    }
}

/// Name of the Sandbox that a Task owns: `<task, cut to 200>-<first 8 of uid>`.
pub fn owned_sandbox_name(task: &str, uid: &str) -> String {
    let task: String = task.chars().take(200).collect();
    let uid: String = uid.chars().take(8).collect();
    format!("{task}-{uid}")
}

/// Whether a Task of this need keeps a sandbox of this spec up.
pub fn keeps_up(need: Need, sandbox: &SandboxSpec) -> bool {
    match need {
        Need::None => false,
        Need::AgainstKill => sandbox.on_timeout == crate::api::OnTimeout::Kill,
        Need::Work => true,
    }
}

/// Who has the turn in a sandbox that `task` would like to use: another Task that needs it and has begun, or asked and
/// is older. `None`: the turn is free or its own.
pub fn holder<'a>(task: &Task, others: impl IntoIterator<Item = &'a Task>) -> Option<&'a Task> {
    others
        .into_iter()
        .filter(|other| other.uid() != task.uid() && sandbox_name(other) == sandbox_name(task))
        .filter(|other| of(other) != Need::None && precedence(other) < precedence(task))
        .min_by_key(|other| precedence(other))
}

/// Who has begun comes before who has only asked, that before who has not; then the older one.
fn precedence(task: &Task) -> (bool, bool, Option<jiff::Timestamp>, Option<String>) {
    let begun = task.status.as_ref().is_some_and(|status| status.sandbox_id.is_some());
    let created = task.metadata.creation_timestamp.as_ref().map(|time| time.0);
    (!(begun && of(task) != Need::None), of(task) == Need::None, created, task.uid())
}

/// Whether a Task says that its sandbox gives no answer, so that it has to be looked at.
pub fn reports_unreachable(task: &Task) -> bool {
    of(task) != Need::None
        && task.status.as_ref().is_some_and(|status| {
            find(&status.conditions, names::SANDBOX_READY)
                .is_some_and(|ready| ready.status == "False" && ready.reason == reason::SANDBOX_UNREACHABLE)
        })
}
