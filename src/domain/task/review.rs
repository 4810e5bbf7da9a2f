//! A Task with a pull request: confirming what a webhook said, waiting for people, merging when asked to, the end.
//! GitHub has the last word; the board moves through `pull_request::transition` alone.

use super::{Context, Plan, Seen, SeenPull, Step, board::Draft, decide::again, round};
use crate::{
    api::{MergePolicy, PullRequest, PullRequestState, Task, conditions as names, conditions::reason},
    domain::{
        conditions::remove,
        plan::{Next, Note},
        pull_request::{Source, Stored},
    },
};
use jiff::SignedDuration;
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
        return plan.with_note(Note::warning("MergeNotConfirmed", message));
    }
    plan
}

fn gone(mut draft: Draft<'_>) -> Plan {
    let number = draft.status.pull_request.as_ref().map_or(0, |pull| pull.number);
    let failure = crate::domain::failure::Failure {
        operation: "getPullRequest",
        class: crate::domain::failure::Class::NotFound,
        reason: "PullRequestNotFound",
        message: format!(
            "GitHub has no pull request {number} in this repository: check the token's access to it"
        ),
    };
    draft.failed(&failure);
    again(draft)
}

/// The pull request as it stands, with what GitHub says of merging it where that was read.
pub(super) fn review(mut draft: Draft<'_>, context: &Context, seen: &Seen) -> Plan {
    match seen {
        Seen::Pull(Some(pull)) => confirm_and_merge(draft, context, pull),
        Seen::Pull(None) => gone(draft),
        _ => {
            let at = context.pull_read_at.zip(context.repository.as_ref());
            let look = draft.status.pull_request.as_ref().is_some_and(|pull| merge_wanted(draft.task, pull));
            let at = at.filter(|_| look).map(|(read, repository)| read + repository.sync_interval);
            let now = draft.now;
            draft.status.retry = None;
            let mut plan = settle(draft);
            plan.next = plan.next.or_at(at, now);
            plan
        }
    }
}

fn confirm_and_merge(mut draft: Draft<'_>, context: &Context, pull: &SeenPull) -> Plan {
    take(&mut draft, pull);
    with_pull(draft, context, pull)
}

/// Takes GitHub's own word; whether it undoes a merge that a delivery has reported.
pub(super) fn take(draft: &mut Draft<'_>, pull: &SeenPull) -> bool {
    draft.status.retry = None;
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
fn merge(mut draft: Draft<'_>, context: &Context, pull: &SeenPull) -> Plan {
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
            draft.working(reason::IN_REVIEW, "merging the pull request");
            Plan::act(draft.status, Step::Merge { number, sha, method })
        }
        None | Some("unknown") => {
            let mut plan = settle(draft);
            plan.next = Next::After(MERGEABLE_SOON);
            plan
        }
        Some(state) => {
            let message = format!("merged as soon as GitHub allows it; now it says: {state}");
            let mut plan = settle_with(draft, Some(&message));
            plan.next = Next::After(interval);
            plan
        }
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
                "Open",
                &format!("pull request {number} is open"),
            );
            let moved = merge_wanted(draft.task, &pull) && pull.head_sha != draft.status.commit_sha;
            let waiting = format!("pull request {number} waits for review");
            let (reason, text) = if pull.draft {
                (reason::DRAFT, format!("pull request {number} is a draft: mark it ready for review"))
            } else if moved {
                let text = format!(
                    "somebody pushed to the branch of pull request {number}: it is not merged by itself"
                );
                (reason::HEAD_MOVED, text)
            } else {
                (reason::IN_REVIEW, message.map_or(waiting, str::to_owned))
            };
            draft.stand(crate::domain::conditions::Standing::Ready, reason, &text);
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
        "pull request {number} was closed without merging: set {} for a new round, or reopen it",
        crate::api::RERUN_ANNOTATION
    );
    draft.ready(reason::CLOSED, &message);
    Plan::settle(draft.status, Next::AwaitChange)
}

fn merged(mut draft: Draft<'_>) -> crate::api::TaskStatus {
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
    let status = merged(draft);
    let plan =
        if owned { Plan::act(status, Step::DeleteSandbox) } else { Plan::settle(status, Next::AwaitChange) };
    if refused {
        return plan.with_note(Note::warning(
            reason::RERUN_IGNORED,
            "the Task is done: a changed input or rerun is ignored; create a new Task",
        ));
    }
    plan
}
