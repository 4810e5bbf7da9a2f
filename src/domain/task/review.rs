//! A Task with a pull request: confirming what a webhook said, waiting for people, merging when asked to, the end.
//! GitHub has the last word; the board moves through `pull_request::transition` alone.

use super::{Context, Plan, Seen, SeenPull, Step, board::Draft, decide::again, round};
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
pub(super) fn confirm(mut draft: Draft<'_>, context: &Context, seen: &Seen) -> Plan {
    let Seen::Pull(pull) = seen else { return again(draft) };
    let Some(pull) = pull else { return gone(draft) };
    let undone = take(&mut draft, pull);
    let plan = with_pull(draft, context, pull);
    if undone {
        let message = "a delivery said merged, GitHub says it is not: the board follows GitHub";
        return plan.with_note(Note::warning(reason::MERGE_NOT_CONFIRMED, message));
    }
    plan
}

fn gone(mut draft: Draft<'_>) -> Plan {
    let number = draft.status.pull_request.as_ref().map_or(0, |pull| pull.number);
    let failure = crate::domain::failure::Failure {
        operation: "getPullRequest",
        class: crate::domain::failure::Class::NotFound,
        reason: reason::PULL_REQUEST_NOT_FOUND,
        message: format!(
            "GitHub has no pull request {number} in this repository: check the token's access to it"
        ),
    };
    draft.failed(&failure);
    again(draft)
}

/// The pull request as it stands, with what GitHub says of merging it where that was read.
pub(super) fn review(draft: Draft<'_>, context: &Context, seen: &Seen) -> Plan {
    match seen {
        Seen::Pull(Some(pull)) => confirm_and_merge(draft, context, pull),
        Seen::Pull(None) => gone(draft),
        _ => unlooked(draft, context),
    }
}

/// Nothing was read in this pass: what the last read said of merging stands until the next.
fn unlooked(draft: Draft<'_>, context: &Context) -> Plan {
    let (task, now) = (draft.task, draft.now);
    if !draft.status.pull_request.as_ref().is_some_and(|pull| merge_wanted(task, pull)) {
        return settle(draft);
    }
    let said = said(&draft);
    let mut plan = settle_with(draft, said.as_deref());
    plan.next = plan.next.or_at(next_look(context), now);
    plan
}

/// What the last read said of merging.
fn said(draft: &Draft<'_>) -> Option<String> {
    find(&draft.status.conditions, names::READY)
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

fn confirm_and_merge(mut draft: Draft<'_>, context: &Context, pull: &SeenPull) -> Plan {
    take(&mut draft, pull);
    with_pull(draft, context, pull)
}

/// Takes GitHub's own word; whether it undoes a merge that a delivery has reported.
pub(super) fn take(draft: &mut Draft<'_>, pull: &SeenPull) -> bool {
    let change = Stored::of(&draft.status).transition(&pull.observed, Source::Confirmation, draft.now);
    if let Some(change) = &change {
        change.apply(&mut draft.status);
    }
    change.is_some_and(|change| change.merge_undone)
}

/// Settles on what was just read, or merges.
fn with_pull(draft: Draft<'_>, context: &Context, pull: &SeenPull) -> Plan {
    let wanted = draft.status.pull_request.as_ref().is_some_and(|stored| merge_wanted(draft.task, stored));
    if !wanted {
        return match draft.status.pull_request.as_ref().map(|pull| pull.state) {
            Some(PullRequestState::Merged) => done(draft, context),
            _ => settle(draft),
        };
    }
    merge(draft, context, pull)
}

/// Merges our own commit when GitHub says that nothing stands in the way; otherwise says what does.
fn merge(draft: Draft<'_>, context: &Context, pull: &SeenPull) -> Plan {
    let interval = context
        .repository
        .as_ref()
        .map_or(SignedDuration::from_secs(300), |repository| repository.sync_interval);
    let head = pull.observed.head_sha.clone();
    if head != draft.status.commit_sha {
        let mut plan = settle(draft);
        plan.next = Next::After(interval);
        return plan;
    }
    match pull.mergeable_state.as_deref() {
        Some("clean") => {
            let (number, sha) = (pull.observed.number, head.unwrap_or_default());
            let method = draft.task.spec.pull_request.merge.method;
            // Still in review as far as anybody sees: a merge that is refused changes nothing, not even a time.
            let (said, retry) = (said(&draft), draft.status.retry.clone());
            let status = TaskStatus { retry, ..settle_with(draft, said.as_deref()).status };
            let mut plan = Plan::act(status, Step::Merge { number, sha, method });
            plan.next = Next::After(interval);
            plan
        }
        None | Some("unknown") => {
            let mut plan = settle(draft);
            plan.next = Next::After(MERGEABLE_SOON);
            plan
        }
        Some(state) => {
            let message = format!("merged as soon as GitHub allows it; now it says {state}{}", cure(state));
            let mut plan = settle_with(draft, Some(&message));
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
pub(super) fn settle(draft: Draft<'_>) -> Plan {
    settle_with(draft, None)
}

pub(super) fn settle_with(mut draft: Draft<'_>, message: Option<&str>) -> Plan {
    let Some(pull) = draft.status.pull_request.clone() else { return again(draft) };
    match pull.state {
        PullRequestState::Merged => Plan::settle(merged(draft), Next::Now),
        PullRequestState::Closed => closed(draft),
        PullRequestState::Open | PullRequestState::Unknown => {
            // A reopened pull request brings its branch back.
            if draft.status.branch.is_none() {
                draft.status.branch.clone_from(&pull.branch);
            }
            remove(&mut draft.status.conditions, names::MERGED);
            let number = pull.number;
            draft.condition(
                names::PULL_REQUEST_OPEN,
                true,
                reason::OPEN,
                &format!("pull request {number} is open"),
            );
            let moved = merge_wanted(draft.task, &pull) && pull.head_sha != draft.status.commit_sha;
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
            draft.ready(reason, &text);
            Plan::settle(draft.status, Next::AwaitChange)
        }
    }
}

/// A person closed it: nothing is done until a person asks for a new round or reopens it.
pub(super) fn closed(mut draft: Draft<'_>) -> Plan {
    let number = draft.status.pull_request.as_ref().map_or(0, |pull| pull.number);
    // The branch is given up with the pull request, which remembers its name for a reopening.
    draft.status.branch = None;
    remove(&mut draft.status.conditions, names::MERGED);
    draft.condition(
        names::PULL_REQUEST_OPEN,
        false,
        reason::CLOSED,
        "the pull request was closed without merging",
    );
    let message = format!(
        "pull request {number} was closed without merging: set the annotation {} to a new value for a new round, or reopen it",
        crate::api::RERUN_ANNOTATION
    );
    draft.ready(reason::CLOSED, &message);
    Plan::settle(draft.status, Next::AwaitChange)
}

fn merged(mut draft: Draft<'_>) -> TaskStatus {
    let number = draft.status.pull_request.as_ref().map_or(0, |pull| pull.number);
    draft.condition(names::PULL_REQUEST_OPEN, false, reason::MERGED, "the pull request was merged");
    draft.condition(
        names::MERGED,
        true,
        reason::MERGED,
        &format!("GitHub confirms the merge of pull request {number}"),
    );
    draft.ready(reason::MERGED, &format!("pull request {number} is merged"));
    draft.status
}

/// The end. A Sandbox of the Task's own goes; a changed input is refused.
pub(super) fn done(mut draft: Draft<'_>, context: &Context) -> Plan {
    let refused = round::input(draft.task, &draft.status) == round::Input::Changed;
    if refused {
        round::record_input(draft.task, &mut draft.status);
    }
    let (task, uid) = (draft.task, draft.task.uid());
    let owned = task.spec.sandbox_template.is_some()
        && context
            .sandbox
            .as_ref()
            .is_some_and(|sandbox| sandbox.owner == uid && uid.is_some() && !sandbox.deleting);
    let plan = if owned { delete_sandbox(draft) } else { Plan::settle(merged(draft), Next::AwaitChange) };
    if refused {
        return plan.with_note(Note::warning(
            reason::RERUN_IGNORED,
            "the Task is done: a changed input or rerun is ignored; create a new Task",
        ));
    }
    plan
}

/// The confirmed merge is written before the Sandbox goes.
fn delete_sandbox(mut draft: Draft<'_>) -> Plan {
    let confirmed = is_true(&draft.status.conditions, names::MERGED);
    let retry = draft.status.retry.take_if(|_| confirmed);
    if let Some(at) = retry::wait_until(retry.as_ref(), draft.now) {
        draft.status.retry = retry;
        draft.hold();
        return Plan::settle(draft.status, Next::At(at));
    }
    let status = TaskStatus { retry, ..merged(draft) };
    Plan::intend(status, Step::DeleteSandbox)
}
