//! Rounds: one way from an input to a pull request. When one begins, what it takes over, what it leaves behind.
//! Used by `stage` before anything else is asked.

use super::{board::PENDING, case::Case};
use crate::{
    api::{
        CodeGeneration, PullRequestState, RECONCILE_ANNOTATION, RERUN_ANNOTATION, Task, TaskStatus, bounds,
        conditions as names, conditions::reason,
    },
    domain::{
        conditions::{find, remove},
        git, input, retry,
    },
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

/// How the recorded input compares with what the Task asks for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    /// Never recorded.
    New,
    Same,
    Changed,
}

/// Why a Task with a commit may be stalled and still go on with it, once somebody mends another object. The rule for
/// frozen fields in `api::task` names the same.
pub(super) const HEALS: [&str; 3] =
    [reason::REPOSITORY_NOT_READY, reason::REPOSITORY_NOT_FOUND, reason::SECRET_NOT_FOUND];

/// The value of an annotation, as status remembers it.
fn annotation(task: &Task, name: &str) -> Option<String> {
    task.annotations()
        .get(name)
        .filter(|value| !value.is_empty())
        .map(|value| bounds::cut(value, bounds::ANNOTATION))
}

pub(super) fn input(task: &Task, status: &TaskStatus) -> Input {
    let Some(recorded) = &status.input_digest else { return Input::New };
    // Removing the annotation is nothing.
    let rerun = annotation(task, RERUN_ANNOTATION)
        .is_some_and(|value| status.observed_rerun.as_ref() != Some(&value));
    if rerun || *recorded != input::digest(&task.spec) { Input::Changed } else { Input::Same }
}

/// What a person's annotation or a new spec does before anything else: `status.retry` no longer holds, limits excepted.
pub(super) fn hurry(task: &Task, status: &mut TaskStatus, now: Timestamp) {
    let reconcile = annotation(task, RECONCILE_ANNOTATION);
    let asked = reconcile.is_some() && reconcile != status.observed_reconcile;
    if asked {
        status.observed_reconcile = reconcile;
    }
    // Deletion counts as a change too: the API server raises the generation with it.
    let changed = task.metadata.generation.unwrap_or_default() != status.observed_generation;
    if asked || changed {
        status.retry = retry::hurry(status.retry.take(), now);
    }
}

/// Takes the input as it is now for the round that is on or about to begin.
pub(super) fn record_input(task: &Task, status: &mut TaskStatus) {
    status.input_digest = Some(input::digest(&task.spec));
    if let Some(rerun) = annotation(task, RERUN_ANNOTATION) {
        status.observed_rerun = Some(rerun);
    }
}

/// Whether the round has done something that a changed input would waste.
pub(super) fn begun(status: &TaskStatus) -> bool {
    status.branch.is_some() || status.pull_request.is_some() || ended(status)
}

/// Whether the round is over without a merge, so that a changed input begins the next.
pub(super) fn over(task: &Task, status: &TaskStatus) -> bool {
    match &status.pull_request {
        Some(pull) => pull.state == PullRequestState::Closed && !pull.unconfirmed,
        None => ended(status) || given_up(task, status),
    }
}

/// Stuck, with no command that may still run. A commit is not given up for want of a Repository or a token: that heals.
fn given_up(task: &Task, status: &TaskStatus) -> bool {
    let runs = generation(task, status).is_some_and(|run| run.finished_at.is_none());
    let stalled = find(&status.conditions, names::STALLED).filter(|stalled| stalled.status == "True");
    stalled.is_some_and(|stalled| status.commit_sha.is_none() || !HEALS.contains(&stalled.reason.as_str()))
        && !runs
}

/// Whether the round has come to an end that only a new round leaves.
pub(super) fn ended(status: &TaskStatus) -> bool {
    end_reason(status).is_some()
}

/// The reason and message of such an end.
pub(super) fn end_reason(status: &TaskStatus) -> Option<(&str, &str)> {
    let ends = [
        (names::GENERATED, [reason::GENERATION_FAILED, reason::GENERATION_KEEPS_DYING].as_slice()),
        (names::COMMITTED, [reason::NOTHING_TO_COMMIT, reason::SANDBOX_FILES_LOST].as_slice()),
        (names::PULL_REQUEST_OPEN, [reason::ROUND_ABANDONED].as_slice()),
    ];
    ends.into_iter().find_map(|(type_, reasons)| {
        find(&status.conditions, type_)
            .filter(|condition| condition.status == "False" && reasons.contains(&condition.reason.as_str()))
            .map(|condition| (condition.reason.as_str(), condition.message.as_str()))
    })
}

/// Ends a round that is stuck after its commit when a new one is asked for, whatever may hold that one up: nothing of it
/// is tried again. It goes on when the asking is taken back before the new one has begun.
pub(super) fn abandon(case: &mut Case<'_>) {
    if case.status.pull_request.is_some() || left_behind(&case.status).is_none() {
        return;
    }
    let abandoned = end_reason(&case.status).is_some_and(|(reason, _)| reason == reason::ROUND_ABANDONED);
    match input(case.task, &case.status) {
        Input::Changed if !ended(&case.status) && over(case.task, &case.status) => {
            let message = "the round was stuck when a new one was asked for";
            case.condition(names::PULL_REQUEST_OPEN, false, reason::ROUND_ABANDONED, message);
            case.status.retry = retry::hurry(case.status.retry.take(), case.now);
        }
        Input::Same if abandoned => remove(&mut case.status.conditions, names::PULL_REQUEST_OPEN),
        _ => {}
    }
}

/// The branch the round that ends has left behind: its name and the commit it stood at when it was ours.
pub(super) fn left_behind(status: &TaskStatus) -> Option<(String, String)> {
    if let Some(pull) = &status.pull_request {
        return Some((pull.branch.clone()?, status.commit_sha.clone().or_else(|| pull.head_sha.clone())?));
    }
    Some((status.branch.clone()?, status.commit_sha.clone()?))
}

/// Begins the first or the next round. One write raises `round` and moves the old pull request to history: a
/// `reopened` that comes later finds it there.
pub(super) fn begin(case: &mut Case<'_>) {
    let now = case.now;
    let status = &mut case.status;
    status.round = Some(status.round.unwrap_or(0) + 1);
    status.round_started_at = Some(Time(now));
    if let Some(pull) = status.pull_request.take() {
        status.pull_request_history.push(pull);
        bounds::keep_newest(&mut status.pull_request_history);
    }
    status.branch = None;
    status.base_sha = None;
    status.tree_sha = None;
    status.commit_sha = None;
    status.sandbox_id = None;
    status.completed_at = None;
    status.retry = retry::hurry(status.retry.take(), now);
    for type_ in
        [names::SANDBOX_READY, names::GENERATED, names::COMMITTED, names::PULL_REQUEST_OPEN, names::MERGED]
    {
        remove(&mut status.conditions, type_);
    }
    record_input(case.task, &mut case.status);
    case.row(PENDING);
    case.working(reason::PENDING, "the round is about to begin");
}

/// The number of the round.
pub(super) fn number(status: &TaskStatus) -> i64 {
    status.round.unwrap_or(1)
}

/// The branch the round would like to have: the Task's, and from the second round on with the round's number.
pub(super) fn wanted_branch(task: &Task, status: &TaskStatus) -> String {
    let branch = task
        .spec
        .branch
        .clone()
        .unwrap_or_else(|| git::default_branch_name(&task.name_any(), &task.spec.title));
    match number(status) {
        1 => branch,
        round => suffixed(&branch, &round.to_string()),
    }
}

/// The name instead of one that somebody else has.
pub(super) fn suffixed(branch: &str, suffix: &str) -> String {
    let room = bounds::BRANCH as usize - suffix.len() - 1;
    let cut: String = branch.chars().take(room).collect();
    format!("{}-{suffix}", cut.trim_end_matches(['/', '.']))
}

/// The round's last run of the command.
pub(super) fn generation<'a>(task: &Task, status: &'a TaskStatus) -> Option<&'a CodeGeneration> {
    let prefix = generation_prefix(task, status);
    status.code_generations.iter().rfind(|generation| generation.id.starts_with(&prefix))
}

/// How many attempts the round has had, as the ids count them: the list keeps only the last ten.
pub(super) fn attempts(task: &Task, status: &TaskStatus) -> i64 {
    let prefix = generation_prefix(task, status);
    generation(task, status)
        .and_then(|generation| generation.id.strip_prefix(&prefix)?.parse().ok())
        .unwrap_or(0)
}

/// `<task uid>-<round>-`.
pub(super) fn generation_prefix(task: &Task, status: &TaskStatus) -> String {
    format!("{}-{}-", task.uid().unwrap_or_default(), number(status))
}

/// Under which id the round's files are spooled: that of the run that made them, or the round's own.
pub fn spool_id(task: &Task, status: &TaskStatus) -> String {
    generation(task, status)
        .map_or_else(|| format!("{}0", generation_prefix(task, status)), |generation| generation.id.clone())
}
