//! A Task with a pull request: confirming what a webhook said, waiting for people, merging when asked to, the end.
//! GitHub has the last word; the board moves through `pull_request::transition` alone.

use super::{Context, Plan, Seen, SeenPull, Step, case::Case, decide::again, round};
use crate::{
    api::{
        MergePolicy, PullRequest, PullRequestState, Task, TaskStatus, conditions as names, conditions::reason,
    },
    domain::{
        conditions::{find, is_true, remove},
        plan::{Next, Note},
        pull_request::{Source, Stored},
        retry,
    },
};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

/// GitHub works out in the background whether a pull request can be merged: ask again this soon.
const MERGEABLE_SOON: SignedDuration = SignedDuration::from_secs(5);

/// Whether the operator is to merge this pull request at all.
pub(super) fn merge_wanted(task: &Task, pull: &PullRequest) -> bool {
    task.spec.pull_request.merge.policy == MergePolicy::WhenReady
        && pull.state == PullRequestState::Open
        && !pull.draft
}

/// GitHub's word on what a webhook has said.
pub(super) fn confirm(mut case: Case<'_>, context: &Context, seen: &Seen) -> Plan {
    let Seen::Pull(pull) = seen else { return again(case) };
    let Some(pull) = pull else { return gone(case) };
    let undone = take(&mut case, pull);
    let plan = with_pull(case, context, pull);
    if undone {
        let message = "a delivery said merged, GitHub says it is not: the board follows GitHub";
        return plan.with_note(Note::warning(reason::MERGE_NOT_CONFIRMED, message));
    }
    plan
}

fn gone(mut case: Case<'_>) -> Plan {
    let number = case.status.pull_request.as_ref().map_or(0, |pull| pull.number);
    let failure = crate::domain::failure::Failure {
        operation: "getPullRequest",
        class: crate::domain::failure::Class::NotFound,
        reason: reason::PULL_REQUEST_NOT_FOUND,
        message: format!(
            "GitHub has no pull request {number} in this repository: check the token's access to it"
        ),
    };
    case.failed(&failure);
    again(case)
}

/// The pull request as it stands, with what GitHub says of merging it where that was read.
pub(super) fn review(mut case: Case<'_>, context: &Context, seen: &Seen) -> Plan {
    match seen {
        Seen::Pull(Some(pull)) => {
            take(&mut case, pull);
            with_pull(case, context, pull)
        }
        Seen::Pull(None) => gone(case),
        _ => unlooked(case, context),
    }
}

/// Nothing was read in this pass: what the last read said of merging stands until the next.
fn unlooked(case: Case<'_>, context: &Context) -> Plan {
    let (task, now) = (case.task, case.now);
    if !case.status.pull_request.as_ref().is_some_and(|pull| merge_wanted(task, pull)) {
        return settle(case);
    }
    let said = said(&case);
    let mut plan = settle_with(case, said.as_deref());
    plan.next = plan.next.or_at(next_look(context), now);
    plan
}

/// What the last read said of merging.
fn said(case: &Case<'_>) -> Option<String> {
    find(&case.status.conditions, names::READY)
        .filter(|ready| ready.status == "True" && ready.reason == reason::IN_REVIEW)
        .map(|ready| ready.message.clone())
}

/// When a pull request that is to be merged is read again; `None`: now.
pub(super) fn next_look(context: &Context) -> Option<Timestamp> {
    let read = context.pull_read?;
    let interval = context.repository.as_ref()?.sync_interval;
    let wait = match read.undecided {
        0 => interval,
        times => (MERGEABLE_SOON * (1 << (times - 1).min(6))).min(interval),
    };
    Some(read.at + wait)
}

/// Takes GitHub's own word; whether it undoes a merge that a delivery has reported.
pub(super) fn take(case: &mut Case<'_>, pull: &SeenPull) -> bool {
    let change = Stored::of(&case.status).transition(&pull.observed, Source::Confirmation, case.now);
    if let Some(change) = &change {
        change.apply(&mut case.status);
    }
    change.is_some_and(|change| change.merge_undone)
}

/// Settles on what was just read, or merges.
fn with_pull(case: Case<'_>, context: &Context, pull: &SeenPull) -> Plan {
    let wanted = case.status.pull_request.as_ref().is_some_and(|stored| merge_wanted(case.task, stored));
    if !wanted {
        return match case.status.pull_request.as_ref().map(|pull| pull.state) {
            Some(PullRequestState::Merged) => done(case, context),
            _ => settle(case),
        };
    }
    merge(case, context, pull)
}

/// Merges our own commit when GitHub says that nothing stands in the way; otherwise says what does.
fn merge(case: Case<'_>, context: &Context, pull: &SeenPull) -> Plan {
    let interval = context
        .repository
        .as_ref()
        .map_or(SignedDuration::from_secs(300), |repository| repository.sync_interval);
    let head = pull.observed.head_sha.clone();
    if head != case.status.commit_sha {
        let mut plan = settle(case);
        plan.next = Next::After(interval);
        return plan;
    }
    match pull.mergeable_state.as_deref() {
        Some("clean") => {
            let (number, sha) = (pull.observed.number, head.unwrap_or_default());
            let method = case.task.spec.pull_request.merge.method;
            // Still in review as far as anybody sees: a merge that is refused changes nothing, not even a time.
            let (said, retry) = (said(&case), case.status.retry.clone());
            let status = TaskStatus { retry, ..settle_with(case, said.as_deref()).status };
            let mut plan = Plan::act(status, Step::Merge { number, sha, method });
            plan.next = Next::After(interval);
            plan
        }
        None | Some("unknown") => {
            let mut plan = settle(case);
            plan.next = Next::After(MERGEABLE_SOON);
            plan
        }
        Some(state) => {
            let message = format!("merged as soon as GitHub allows it; now it says {state}{}", cure(state));
            let mut plan = settle_with(case, Some(&message));
            plan.next = Next::After(interval);
            plan
        }
    }
}

/// What helps against GitHub's `mergeable_state`
/// (<https://docs.github.com/en/graphql/reference/enums#mergestatestatus>).
fn cure(state: &str) -> &'static str {
    match state {
        "dirty" => ": resolve the conflicts with the base branch",
        "behind" => ": update the branch from the base branch",
        "blocked" => ": a review or a check that the base branch asks for is missing",
        "unstable" => ": a check fails or still runs",
        _ => "",
    }
}

/// Conditions of a Task whose pull request is the last word.
pub(super) fn settle(case: Case<'_>) -> Plan {
    settle_with(case, None)
}

pub(super) fn settle_with(mut case: Case<'_>, message: Option<&str>) -> Plan {
    let Some(pull) = case.status.pull_request.clone() else { return again(case) };
    match pull.state {
        PullRequestState::Merged => Plan::settle(merged(case), Next::Now),
        PullRequestState::Closed => closed(case),
        PullRequestState::Open | PullRequestState::Unknown => {
            // A reopened pull request brings its branch back.
            if case.status.branch.is_none() {
                case.status.branch.clone_from(&pull.branch);
            }
            remove(&mut case.status.conditions, names::MERGED);
            let number = pull.number;
            case.condition(
                names::PULL_REQUEST_OPEN,
                true,
                reason::OPEN,
                &format!("pull request {number} is open"),
            );
            let moved = merge_wanted(case.task, &pull) && pull.head_sha != case.status.commit_sha;
            let waiting = format!("pull request {number} waits for review");
            let (reason, text) = if pull.draft {
                (reason::DRAFT, format!("pull request {number} is a draft: mark it ready for review"))
            } else if moved {
                let text = format!(
                    "somebody pushed to the branch of pull request {number}: it is not merged by itself any more, a person merges it"
                );
                (reason::HEAD_MOVED, text)
            } else {
                (reason::IN_REVIEW, message.map_or(waiting, str::to_owned))
            };
            case.ready(reason, &text);
            Plan::settle(case.status, Next::AwaitChange)
        }
    }
}

/// A person closed it: nothing is done until a person asks for a new round or reopens it.
pub(super) fn closed(mut case: Case<'_>) -> Plan {
    let number = case.status.pull_request.as_ref().map_or(0, |pull| pull.number);
    // The branch is given up with the pull request, which remembers its name for a reopening.
    case.status.branch = None;
    remove(&mut case.status.conditions, names::MERGED);
    case.condition(
        names::PULL_REQUEST_OPEN,
        false,
        reason::CLOSED,
        "the pull request was closed without merging",
    );
    let message = format!(
        "pull request {number} was closed without merging: set the annotation {} to a new value for a new round, or reopen it",
        crate::api::RERUN_ANNOTATION
    );
    case.ready(reason::CLOSED, &message);
    Plan::settle(case.status, Next::AwaitChange)
}

fn merged(mut case: Case<'_>) -> TaskStatus {
    let number = case.status.pull_request.as_ref().map_or(0, |pull| pull.number);
    case.condition(names::PULL_REQUEST_OPEN, false, reason::MERGED, "the pull request was merged");
    case.condition(
        names::MERGED,
        true,
        reason::MERGED,
        &format!("GitHub confirms the merge of pull request {number}"),
    );
    case.ready(reason::MERGED, &format!("pull request {number} is merged"));
    case.status
}

/// The end. A Sandbox of the Task's own goes; a changed input is refused.
pub(super) fn done(mut case: Case<'_>, context: &Context) -> Plan {
    let refused = round::input(case.task, &case.status) == round::Input::Changed;
    if refused {
        round::record_input(case.task, &mut case.status);
    }
    let (task, uid) = (case.task, case.task.uid());
    let owned = task.spec.sandbox_template.is_some()
        && context
            .sandbox
            .as_ref()
            .is_some_and(|sandbox| sandbox.owner == uid && uid.is_some() && !sandbox.deleting);
    let plan = if owned { delete_sandbox(case) } else { Plan::settle(merged(case), Next::AwaitChange) };
    if refused {
        return plan.with_note(Note::warning(
            reason::RERUN_IGNORED,
            "the Task is done: a changed input or rerun is ignored; create a new Task",
        ));
    }
    plan
}

/// The confirmed merge is written before the Sandbox goes.
fn delete_sandbox(mut case: Case<'_>) -> Plan {
    let confirmed = is_true(&case.status.conditions, names::MERGED);
    let retry = case.status.retry.take_if(|_| confirmed);
    if let Some(at) = retry::wait_until(retry.as_ref(), case.now) {
        case.status.retry = retry;
        case.hold();
        return Plan::settle(case.status, Next::At(at));
    }
    let status = TaskStatus { retry, ..merged(case) };
    Plan::intend(status, Step::DeleteSandbox)
}
