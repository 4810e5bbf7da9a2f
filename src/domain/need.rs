//! Whether a Task needs its sandbox kept up, read from the Task alone: both controllers ask the same question.
//! Used by the decisions about Sandboxes (what to keep alive) and Tasks (whose turn it is).

use super::conditions::{find, is_true};
use crate::api::{SandboxSpec, Task, TaskStatus, conditions as names, conditions::reason};
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
    let asked = has_asked(status);
    // A Task that is stalled by the sandbox itself still wants it: to drop the need would make the sandbox look idle.
    let stalled = is_true(&status.conditions, names::STALLED)
        && reason_of(status, names::STALLED) != Some(reason::SANDBOX_NOT_READY);
    if task.metadata.deletion_timestamp.is_some() || !asked || is_over(status) {
        Need::None
    } else if task.spec.suspend || stalled {
        Need::AgainstKill
    } else {
        Need::Work
    }
}

/// Whether the Task has asked for its sandbox. One that gives way to another template is not the one asked for:
/// nothing may be made from the old template meanwhile.
pub fn has_asked(status: &TaskStatus) -> bool {
    reason_of(status, names::SANDBOX_READY).is_some_and(|reason| reason != reason::TEMPLATE_CHANGED)
}

fn reason_of<'a>(status: &'a TaskStatus, type_: &str) -> Option<&'a str> {
    find(&status.conditions, type_).map(|condition| condition.reason.as_str())
}

fn is_over(status: &TaskStatus) -> bool {
    status.commit_sha.is_some()
        || status.pull_request.is_some()
        || reason_of(status, names::COMMITTED) == Some(reason::NOTHING_TO_COMMIT)
        || reason_of(status, names::GENERATED) == Some(reason::GENERATION_FAILED)
}

/// Name of the Sandbox the Task works in, in its namespace.
pub fn sandbox_name(task: &Task) -> String {
    match &task.spec.sandbox_ref {
        Some(reference) => reference.name.clone(),
        None => owned_sandbox_name(&task.name_any(), &task.uid().unwrap_or_default()),
    }
}

/// Whether the Task works in the Sandbox of this name. Every event of a Sandbox asks it of every Task: a name is made
/// only where it can be the one.
pub fn works_in(task: &Task, sandbox: &str) -> bool {
    if let Some(reference) = &task.spec.sandbox_ref {
        return reference.name == sandbox;
    }
    let uid = task.metadata.uid.as_deref().unwrap_or_default();
    sandbox.ends_with(uid.get(..8).unwrap_or(uid)) && sandbox_name(task) == sandbox
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

/// What a Task has of the turn in a shared sandbox. The smaller goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Claim {
    /// It has begun: its process or its files are in the sandbox.
    Begun,
    /// It has asked for the sandbox.
    Asked,
    /// It is going to ask.
    Coming,
}

/// Who has the turn in a sandbox that `task` would like to use: another Task that has begun or asked, or is about to
/// ask and is older. `None`: the turn is free or its own.
pub fn holder<'a>(task: &Task, others: impl IntoIterator<Item = &'a Task>) -> Option<&'a Task> {
    let own = precedence(task, claim(task).unwrap_or(Claim::Coming));
    others
        .into_iter()
        .filter(|other| other.uid() != task.uid() && sandbox_name(other) == sandbox_name(task))
        .filter_map(|other| Some((precedence(other, claim(other)?), other)))
        .filter(|(precedence, _)| *precedence < own)
        .min_by(|a, b| a.0.cmp(&b.0))
        .map(|(_, other)| other)
}

/// `None`: it has no use for the sandbox, or waits for a person before it has touched it.
fn claim(task: &Task) -> Option<Claim> {
    let status = task.status.clone().unwrap_or_default();
    let runs = status
        .code_generations
        .last()
        .is_some_and(|run| run.finished_at.is_none() && Some(&run.sandbox_id) == status.sandbox_id.as_ref());
    if task.metadata.deletion_timestamp.is_some() {
        return runs.then_some(Claim::Begun);
    }
    let lost = reason_of(&status, names::COMMITTED) == Some(reason::SANDBOX_FILES_LOST)
        || reason_of(&status, names::GENERATED) == Some(reason::GENERATION_KEEPS_DYING);
    if is_over(&status) || lost {
        return None;
    }
    if status.sandbox_id.is_some() {
        return Some(Claim::Begun);
    }
    let waits_for_a_person = task.spec.suspend
        || is_true(&status.conditions, names::STALLED)
        || reason_of(&status, names::READY) == Some(reason::REPOSITORY_SUSPENDED);
    if waits_for_a_person {
        return None;
    }
    Some(if has_asked(&status) { Claim::Asked } else { Claim::Coming })
}

fn precedence(task: &Task, claim: Claim) -> (Claim, Option<jiff::Timestamp>, Option<String>) {
    (claim, task.metadata.creation_timestamp.as_ref().map(|time| time.0), task.uid())
}

/// Whether a Task says that its sandbox gives no answer, so that it has to be looked at.
pub fn reports_unreachable(task: &Task) -> bool {
    of(task) != Need::None
        && task.status.as_ref().is_some_and(|status| {
            find(&status.conditions, names::SANDBOX_READY)
                .is_some_and(|ready| ready.status == "False" && ready.reason == reason::SANDBOX_UNREACHABLE)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::{OnTimeout, TaskSpec},
        domain::conditions,
    };
    use jiff::Timestamp;
    use serde_json::json;

    fn task(spec: serde_json::Value) -> Task {
        let mut task = Task::new("t", serde_json::from_value::<TaskSpec>(spec).expect("a spec"));
        task.metadata.uid = Some("0123abcd-0000-4000-8000-000000000000".into());
        task
    }

    #[test]
    fn a_task_works_in_the_sandbox_it_names_or_in_one_named_after_it() {
        let spec = json!({"title": "T", "repositoryRef": {"name": "r"}, "source": {"path": "/app"}});
        let mut shared = spec.clone();
        shared["sandboxRef"] = json!({"name": "box"});
        for (task, name) in [(task(shared), "box"), (task(spec), "t-0123abcd")] {
            assert_eq!(sandbox_name(&task), name);
            assert!(
                works_in(&task, name) && !works_in(&task, "u-0123abcd") && !works_in(&task, "t"),
                "{name}"
            );
        }
        assert_eq!(
            owned_sandbox_name(&"x".repeat(253), "0123abcd-1"),
            format!("{}-0123abcd", "x".repeat(200))
        );
    }

    #[test]
    fn a_task_at_rest_keeps_up_only_what_would_be_killed() {
        for (on_timeout, at_rest) in [(OnTimeout::Kill, true), (OnTimeout::Pause, false)] {
            let sandbox = SandboxSpec { on_timeout, ..SandboxSpec::default() };
            let kept = [Need::None, Need::AgainstKill, Need::Work].map(|need| keeps_up(need, &sandbox));
            assert_eq!(kept, [false, at_rest, true], "{on_timeout:?}");
        }
    }

    fn with_condition(type_: &str, holds: bool, reason: &str) -> Task {
        let mut task =
            task(json!({"title": "T", "repositoryRef": {"name": "r"}, "source": {"path": "/app"}}));
        let mut status = TaskStatus { sandbox_id: Some("sb1".into()), ..TaskStatus::default() };
        let asked = [(names::SANDBOX_READY, true, reason::RUNNING), (type_, holds, reason)];
        for (type_, holds, reason) in asked {
            conditions::set(&mut status.conditions, 1, Timestamp::UNIX_EPOCH, type_, holds, reason, "");
        }
        task.status = Some(status);
        task
    }

    #[test]
    fn whose_files_are_lost_has_no_use_for_the_sandbox_until_a_person_says_so() {
        for (type_, reason, claims) in [
            (names::COMMITTED, reason::SANDBOX_FILES_LOST, None),
            (names::GENERATED, reason::GENERATION_KEEPS_DYING, None),
            (names::GENERATED, reason::RUNNING, Some(Claim::Begun)),
        ] {
            assert_eq!(claim(&with_condition(type_, false, reason)), claims, "{reason}");
        }
    }

    #[test]
    fn only_a_task_that_needs_its_sandbox_reports_it_unreachable() {
        let says = |holds, reason| with_condition(names::SANDBOX_READY, holds, reason);
        assert!(reports_unreachable(&says(false, reason::SANDBOX_UNREACHABLE)));
        assert!(!reports_unreachable(&says(true, reason::SANDBOX_UNREACHABLE)));
        assert!(!reports_unreachable(&says(false, reason::SANDBOX_REQUESTED)));
        let mut over = says(false, reason::SANDBOX_UNREACHABLE);
        over.status.as_mut().expect("a status").commit_sha = Some("c".into());
        assert!(!reports_unreachable(&over));
    }
}
