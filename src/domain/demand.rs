//! Tells how much a Task needs its sandbox, and which Sandbox that is: from the Task's request alone.
//! Used by the decisions about Sandboxes (what to keep alive) and Tasks (where they work); `turn` says whose turn it is.

use crate::api::{OnTimeout, SandboxRequest, SandboxSpec, Task};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use std::collections::BTreeSet;

/// Time without an answer after which a sandbox is started from its disk.
const SILENT: SignedDuration = SignedDuration::from_mins(2);
/// Length of a Task's name in the name of its own Sandbox: the rest of an object name is for uid and round.
const TASK_NAME: usize = 200;

/// Demand of a Task for its sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Demand {
    /// It does not ask for it.
    None,
    /// It is at rest: a pause loses nothing, so only a sandbox that would be killed at its time-out has to be kept up.
    AgainstKill,
    /// It is at work.
    Work,
}

/// Reads the demand from the Task's request. A deleted Task demands nothing: its finalizer ends what still runs.
pub fn of(task: &Task) -> Demand {
    match request(task) {
        Some(_) if task.metadata.deletion_timestamp.is_some() => Demand::None,
        Some(request) if request.resting => Demand::AgainstKill,
        Some(_) => Demand::Work,
        None => Demand::None,
    }
}

/// Returns whether a Task with this demand keeps a sandbox of this spec up.
pub fn keeps_up(demand: Demand, sandbox: &SandboxSpec) -> bool {
    match demand {
        Demand::None => false,
        Demand::AgainstKill => sandbox.on_timeout == OnTimeout::Kill,
        Demand::Work => true,
    }
}

/// Returns whether a Task that demands its sandbox gets no answer from it, so that the sandbox has to be looked at.
pub fn reports_unreachable(task: &Task) -> bool {
    of(task) != Demand::None && request(task).is_some_and(|request| request.unreachable_since.is_some())
}

/// Returns whether a Task that demands its sandbox has had no answer from it for two minutes.
pub fn is_silent(task: &Task, now: Timestamp) -> bool {
    let since = request(task).and_then(|request| request.unreachable_since.as_ref());
    of(task) == Demand::Work && since.is_some_and(|since| now.duration_since(since.0) >= SILENT)
}

/// Returns the name of the Sandbox the Task works in. A request keeps its Sandbox whatever the spec says by now.
pub fn sandbox_name(task: &Task) -> String {
    match (request(task), &task.spec.sandbox_ref) {
        (Some(request), _) => request.sandbox_name.clone(),
        (None, Some(reference)) => reference.name.clone(),
        (None, None) => owned_sandbox_name(&task.name_any(), uid(task)),
    }
}

/// Returns whether the Task works in the Sandbox of this name. Every event of a Sandbox asks this of every Task, so a name is
/// built only where it can match.
pub fn works_in(task: &Task, sandbox: &str) -> bool {
    match (request(task), &task.spec.sandbox_ref) {
        (Some(request), _) => request.sandbox_name == sandbox,
        (None, Some(reference)) => reference.name == sandbox,
        (None, None) => sandbox.ends_with(short(uid(task))) && sandbox_name(task) == sandbox,
    }
}

/// Name of the Sandbox that a Task owns: `<task, cut to 200 and to its last letter or digit>-<first 8 of uid>`.
/// The API server refuses a name in which a dot comes before the dash.
pub fn owned_sandbox_name(task: &str, uid: &str) -> String {
    let task: String = task.chars().take(TASK_NAME).collect();
    let task = task.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
    format!("{task}-{}", short(uid))
}

/// Name of the Sandbox that a Task owns from `round` on, when the one of an earlier round can't be taken over.
pub fn owned_sandbox_name_of_round(task: &str, uid: &str, round: i64) -> String {
    format!("{}-{round}", owned_sandbox_name(task, uid))
}

/// Names of the Sandboxes that concern the Task: those it asks for, names in its spec, or may own. One of any earlier round
/// may be its own still: a later round takes it over while it is as the template says.
pub fn sandbox_names(task: &Task) -> BTreeSet<String> {
    let (name, uid) = (task.name_any(), uid(task));
    let round = task.status.as_ref().and_then(|status| status.round).unwrap_or(1);
    let later = (1..=round + 1).map(|round| owned_sandbox_name_of_round(&name, uid, round));
    let referred = task.spec.sandbox_ref.iter().map(|reference| reference.name.clone());
    let first = [sandbox_name(task), owned_sandbox_name(&name, uid)];
    first.into_iter().chain(referred).chain(later).collect()
}

fn request(task: &Task) -> Option<&SandboxRequest> {
    task.status.as_ref()?.sandbox_request.as_ref()
}

fn uid(task: &Task) -> &str {
    task.metadata.uid.as_deref().unwrap_or_default()
}

fn short(uid: &str) -> &str {
    uid.get(..8).unwrap_or(uid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{TaskSpec, TaskStatus, common::is_object_name};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use serde_json::json;

    const UID: &str = "0123abcd-0000-4000-8000-000000000000";

    fn time(second: i64) -> Time {
        Time(Timestamp::from_second(1_800_000_000 + second).expect("in range"))
    }

    fn task(sandbox_ref: Option<&str>) -> Task {
        let spec = json!({
            "title": "T", "repositoryRef": {"name": "r"}, "source": {"path": "/app"},
            "sandboxRef": sandbox_ref.map(|name| json!({"name": name})),
        });
        let mut task = Task::new("t", serde_json::from_value::<TaskSpec>(spec).expect("a spec"));
        task.metadata.uid = Some(UID.into());
        task
    }

    fn asking(sandbox_ref: Option<&str>, change: impl FnOnce(&mut SandboxRequest)) -> Task {
        let mut request = SandboxRequest {
            id: "q1".into(),
            sandbox_name: "box".into(),
            since: time(0),
            unreachable_since: None,
            resting: false,
            begun: None,
        };
        change(&mut request);
        let mut task = task(sandbox_ref);
        task.status = Some(TaskStatus { sandbox_request: Some(request), ..TaskStatus::default() });
        task
    }

    #[test]
    fn the_request_alone_says_how_much_the_sandbox_is_needed() {
        let resting = asking(None, |request| request.resting = true);
        let mut deleted = asking(None, |_| ());
        deleted.metadata.deletion_timestamp = Some(time(0));
        let mut suspended = asking(None, |_| ());
        suspended.spec.suspend = true;
        for (task, demand) in [
            (task(Some("box")), Demand::None),
            (asking(None, |_| ()), Demand::Work),
            (suspended, Demand::Work),
            (resting, Demand::AgainstKill),
            (deleted, Demand::None),
        ] {
            assert_eq!(of(&task), demand, "{task:?}");
        }
    }

    #[test]
    fn a_task_at_rest_keeps_up_only_what_would_be_killed() {
        for (on_timeout, at_rest) in [(OnTimeout::Kill, true), (OnTimeout::Pause, false)] {
            let sandbox = SandboxSpec { on_timeout, ..SandboxSpec::default() };
            let kept =
                [Demand::None, Demand::AgainstKill, Demand::Work].map(|demand| keeps_up(demand, &sandbox));
            assert_eq!(kept, [false, at_rest, true], "{on_timeout:?}");
        }
    }

    #[test]
    fn a_task_works_where_its_request_says_else_where_its_spec_does() {
        for (task, name) in [
            (task(Some("box")), "box"),
            (task(None), "t-0123abcd"),
            (asking(Some("other"), |_| ()), "box"),
            (asking(None, |request| request.sandbox_name = "t-0123abcd-2".into()), "t-0123abcd-2"),
        ] {
            assert_eq!(sandbox_name(&task), name);
            for other in ["box", "other", "t", "t-0123abcd", "u-0123abcd", "t-0123abcd-2"] {
                assert_eq!(works_in(&task, other), other == name, "{name} and {other}");
            }
        }
    }

    #[test]
    fn only_a_task_that_demands_its_sandbox_reports_it_unreachable() {
        let silent = |request: &mut SandboxRequest| request.unreachable_since = Some(time(1));
        let mut deleted = asking(None, silent);
        deleted.metadata.deletion_timestamp = Some(time(2));
        for (task, reports) in [
            (asking(None, silent), true),
            (asking(None, |_| ()), false),
            (deleted, false),
            (task(None), false),
        ] {
            assert_eq!(reports_unreachable(&task), reports, "{task:?}");
        }
    }

    /// Every length up to the longest, over every order in which letters, dashes and dots may stand.
    #[test]
    fn the_name_of_an_own_sandbox_is_valid_for_every_valid_task_name() {
        let mut seen = 0;
        for pattern in ["a", "a.b", "a-b", "a--b", "a.b-c", "0-.x", "ab.cd--e.f", "a.b.c.d"] {
            for length in 1..=253 {
                for shift in 0..pattern.len() {
                    let name: String = pattern.chars().cycle().skip(shift).take(length).collect();
                    if !is_object_name(&name) {
                        continue;
                    }
                    seen += 1;
                    let own = owned_sandbox_name(&name, UID);
                    assert!(is_object_name(&own), "{name} gives {own}");
                    assert!(own.ends_with("-0123abcd") && own.len() <= 209, "{own}");
                    let later = owned_sandbox_name_of_round(&name, UID, i64::MAX);
                    assert!(is_object_name(&later), "{name} gives {later}");
                }
            }
        }
        assert!(seen > 2_000, "{seen} names");
    }

    #[test]
    fn a_name_is_cut_to_its_last_letter_or_digit() {
        let cut = |name: &str| owned_sandbox_name(name, "0123abcd-1");
        assert_eq!(cut(&"x".repeat(253)), format!("{}-0123abcd", "x".repeat(200)));
        assert_eq!(cut(&format!("{}.b", "a".repeat(199))), format!("{}-0123abcd", "a".repeat(199)));
        assert_eq!(cut(&format!("{}--b", "a".repeat(198))), format!("{}-0123abcd", "a".repeat(198)));
        assert_eq!(owned_sandbox_name_of_round("t", UID, 3), "t-0123abcd-3");
    }
}
