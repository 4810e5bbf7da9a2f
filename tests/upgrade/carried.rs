//! What this release makes of the recorded objects: where each Task stands, and that no round begins by it.
//! Part of `upgrade`; needs no server.

use crate::recorded;
use jiff::Timestamp;
use serde_json::Value;
use slipway::{
    api::{Phase, Repository, Sandbox, Task, TaskStatus},
    domain::{
        failure::{Class, Failure},
        task::{Context, Position, RepositoryView, SandboxView, decide, locate},
        turn,
    },
};
use std::{collections::BTreeMap, fmt::Write as _};

struct Stage {
    task: Task,
    context: Context,
    now: Timestamp,
}

fn latest(value: &Value, newest: &mut Option<Timestamp>) {
    match value {
        Value::String(text) => *newest = (*newest).max(text.parse().ok()),
        Value::Array(values) => values.iter().for_each(|value| latest(value, newest)),
        Value::Object(fields) => fields.values().for_each(|value| latest(value, newest)),
        _ => {}
    }
}

fn stages() -> Vec<(String, Stage)> {
    let mut stages = Vec::new();
    for (name, objects) in recorded("v0.1.0") {
        let object = |kind: &str| objects.get(kind).cloned().filter(|object| !object.is_null());
        let task: Task = serde_json::from_value(object("task").expect("a Task")).expect("readable");
        let sandbox: Option<Sandbox> =
            object("sandbox").map(|object| serde_json::from_value(object).expect("readable"));
        let repository: Option<Repository> =
            object("repository").map(|object| serde_json::from_value(object).expect("readable"));
        let mut newest = None;
        objects.values().for_each(|value| latest(value, &mut newest));
        let context = Context {
            repository: repository.as_ref().map(RepositoryView::of),
            sandboxes: sandbox.iter().map(SandboxView::of).collect(),
            ..Context::default()
        };
        stages.push((name, Stage { task, context, now: newest.expect("a time") }));
    }
    stages
}

/// What is looked at or done, in a word.
fn next(position: &Position) -> String {
    match position {
        Position::Decided(plan) => match &plan.step {
            Some(step) => format!("{step:?}").split([' ', '{']).next().unwrap_or_default().to_owned(),
            None => "-".into(),
        },
        Position::Start(_) => "start?".into(),
        Position::Generation(_) => "command?".into(),
        Position::Collect(_) => "files?".into(),
        Position::FindPulls(_) => "pulls?".into(),
        Position::ReadPull(_) => "pull?".into(),
        Position::InQueue(_) => "queue?".into(),
        Position::LeftBranch(_) => "branch?".into(),
    }
}

/// The status after a first pass that could ask nobody.
fn carried(stage: &Stage) -> TaskStatus {
    let nobody = Failure {
        operation: "getBranch",
        class: Class::Transient,
        reason: "GitHubUnreachable",
        message: "nobody answers".into(),
    };
    match locate(&stage.task, &stage.context, stage.now) {
        Position::Decided(plan) => plan.status,
        asks => decide(&stage.task, asks.failed(&nobody), stage.now).status,
    }
}

/// Stage, phase, whether the sandbox is asked for, and what comes first.
#[test]
fn every_recorded_task_stands_where_it_stood() {
    let mut table = String::new();
    for (name, stage) in stages() {
        let status = carried(&stage);
        let phase = status.phase.map_or_else(|| "-".into(), |phase| format!("{phase:?}"));
        let asks = if status.sandbox_request.is_some() { "asks" } else { "-" };
        let first = next(&locate(&stage.task, &stage.context, stage.now));
        writeln!(table, "{name:42} {phase:16} {asks:5} {first}").expect("memory");
    }
    let expected = include_str!("v0.1.0/carried.txt");
    assert_eq!(table, expected, "\n{table}");
}

#[test]
fn no_round_begins_and_no_command_runs_again_by_the_upgrade() {
    for (name, stage) in stages() {
        let before = stage.task.status.clone().unwrap_or_default();
        let Some(round) = before.round else { continue };
        let status = carried(&stage);
        assert_eq!(status.round, Some(round), "{name}");
        assert_eq!(
            (&status.branch, &status.commit_sha, &status.base_sha),
            (&before.branch, &before.commit_sha, &before.base_sha),
            "{name}"
        );
        let runs = |status: &TaskStatus| {
            status.code_generations.iter().map(|run| run.id.clone()).collect::<Vec<_>>()
        };
        assert_eq!(runs(&status), runs(&before), "{name}");
        assert_eq!(status.pull_request_history, before.pull_request_history, "{name}");
        let digest = status.input_digest.expect("recorded");
        assert!(digest.starts_with("v2:") && status.publication_digest.is_some(), "{name}: {digest}");
        let to_publish = matches!(status.phase, Some(Phase::Committed | Phase::BranchCreated));
        assert_eq!(
            status.publication.is_some(),
            to_publish,
            "{name}: its text is fixed before it is published"
        );
        if before.base_sha.is_some() {
            assert!(status.base_branch.is_some() && status.parent_sha.is_some(), "{name}");
        }
    }
}

#[test]
fn the_board_does_not_move_by_the_upgrade() {
    for (name, stage) in stages() {
        let before = stage.task.status.clone().unwrap_or_default();
        let after = carried(&stage);
        let row = |status: &TaskStatus| (status.state, status.column, status.build_status);
        // What is called again meanwhile moves as the call says.
        let waits = before.round.is_none() || before.retry.is_some() || after.phase < Some(Phase::Committed);
        if !waits {
            assert_eq!(row(&after), row(&before), "{name}");
        }
    }
}

/// The one that waits may be carried over first: the other's command runs in the sandbox.
#[test]
fn nobody_is_given_a_turn_before_all_of_the_release_before_are_carried_over() {
    let stages: BTreeMap<_, _> = stages().into_iter().collect();
    let (waits, runs) = (&stages["waiting-for-its-turn"], &stages["generating-in-shared-sandbox"]);
    let carry = |stage: &Stage| Task { status: Some(carried(stage)), ..stage.task.clone() };
    let holder = |tasks: [&Task; 2]| turn::grant(None, "box", tasks).holder.map(|holder| holder.task);
    let name = |stage: &Stage| stage.task.metadata.name.clone();
    assert_ne!(name(waits), name(runs));
    assert_eq!(holder([&carry(waits), &runs.task]), None);
    assert_eq!(holder([&carry(waits), &carry(runs)]), name(runs));
}

#[test]
fn an_edit_during_the_upgrade_counts() {
    for (name, mut stage) in stages() {
        let before = stage.task.status.clone().unwrap_or_default();
        let merged = before.state == slipway::api::State::Done;
        if before.input_digest.is_none() || merged || stage.task.metadata.deletion_timestamp.is_some() {
            continue;
        }
        stage.task.spec.suspend = true;
        stage.task.spec.description = Some("something else".into());
        let status = carried(&stage);
        let digest = status.input_digest.expect("recorded");
        assert!(digest.starts_with("v1:"), "{name}: it still says what the round was made from, {digest}");
    }
}
