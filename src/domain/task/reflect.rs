//! Says how a Task stands whose pull request has the last word: open, closed or merged.
//! Used by `review`, `merge` and `publish`.

use super::{
    ending::ended,
    model::Plan,
    queue,
    round::{self, Input},
    scope::Scope,
    seen_pull::SeenPull,
};
use crate::{
    api::{
        MergePolicy, MergeQueueState, Phase, PullRequest, PullRequestState, RERUN_ANNOTATION, Task,
        TaskStatus, conditions as names, conditions::reason,
    },
    domain::{
        conditions::remove,
        plan::Next,
        pull_request::{Source, Stored},
    },
};

/// Returns whether the operator merges this pull request at all.
pub(super) fn merge_wanted(task: &Task, pull: &PullRequest) -> bool {
    task.spec.pull_request.merge.policy == MergePolicy::WhenReady
        && pull.state == PullRequestState::Open
        && !pull.draft
}

/// Adopts what GitHub itself shows. Returns whether that undoes a merge that a delivery has reported.
pub(super) fn adopt_observation(scope: &mut Scope<'_>, pull: &SeenPull) -> bool {
    let change = Stored::of(&scope.status).transition(&pull.observed, Source::Confirmation, scope.now);
    if let Some(change) = &change {
        change.apply(&mut scope.status);
    }
    change.is_some_and(|change| change.merge_undone)
}

/// Sets the conditions of a Task by its pull request.
pub(super) fn reflect_pull(scope: Scope<'_>) -> Plan {
    reflect_pull_with(scope, None)
}

pub(super) fn reflect_pull_with(mut scope: Scope<'_>, message: Option<&str>) -> Plan {
    let Some(pull) = scope.status.pull_request.clone() else { return scope.requeue() };
    let due = match round::input(scope.task, &scope.status) {
        Input::Changed => pull.state != PullRequestState::Merged,
        Input::Publication => pull.state == PullRequestState::Closed,
        Input::New | Input::Same => false,
    };
    let next = if due { Next::Now } else { Next::AwaitChange };
    if scope.has_open_pull() && scope.phase() == Phase::Ended && scope.status.ended.is_some() {
        // News of the pull request do not hide that its round has failed.
        return Plan { next, ..ended(scope) };
    }
    if due {
        // Ready would say that the changed input has been seen to.
        scope.working(reason::PENDING, "the input has changed: another round begins");
        return Plan::settle(scope.status, next);
    }
    match pull.state {
        PullRequestState::Merged => Plan::settle(merged(scope), Next::Now),
        PullRequestState::Closed => closed(scope),
        PullRequestState::Open | PullRequestState::Unknown => {
            // A reopened pull request brings its branch back.
            if scope.status.branch.is_none() {
                scope.status.branch.clone_from(&pull.branch);
            }
            if pull.draft {
                // GitHub takes a draft out of the queue.
                queue::forget(&mut scope);
            }
            remove(&mut scope.status.conditions, names::MERGED);
            let open = format!("pull request {} is open", pull.number);
            scope.condition(names::PULL_REQUEST_OPEN, true, reason::OPEN, &open);
            let (reason, mut text) = waits_for_people(&scope, &pull, message);
            if round::input(scope.task, &scope.status) == Input::Publication {
                text += "; the change of source, commit or branch waits for the next round";
            }
            scope.ready(&reason, &text);
            Plan::settle(scope.status, Next::AwaitChange)
        }
    }
}

fn waits_for_people(scope: &Scope<'_>, pull: &PullRequest, message: Option<&str>) -> (String, String) {
    let number = pull.number;
    if let Some(end) = &scope.status.ended {
        return (end.reason.clone(), end.message.clone());
    }
    let moved = merge_wanted(scope.task, pull) && pull.head_sha != scope.status.commit_sha;
    if pull.draft {
        let text = format!("pull request {number} is a draft: mark it ready for review");
        (reason::DRAFT.into(), text)
    } else if moved {
        let text = format!(
            "somebody pushed to the branch of pull request {number}: it is not merged automatically any more, a person merges it"
        );
        (reason::HEAD_MOVED.into(), text)
    } else if merge_wanted(scope.task, pull) && queue::known(pull) == Some(MergeQueueState::Removed) {
        let text = format!(
            "pull request {number} has left the merge queue without being merged (its page at GitHub says why): it is not put in \
             again by itself; put it in by hand, or set the annotation {RERUN_ANNOTATION} to a new value for another round"
        );
        (reason::DEQUEUED.into(), text)
    } else {
        let waiting = format!("pull request {number} waits for review");
        (reason::IN_REVIEW.into(), message.map_or(waiting, str::to_owned))
    }
}

/// Rests after a person has closed the pull request, until one asks for a new round or reopens it.
pub(super) fn closed(mut scope: Scope<'_>) -> Plan {
    let number = scope.status.pull_request.as_ref().map_or(0, |pull| pull.number);
    // The branch is given up with the pull request, which remembers its name for a reopening.
    scope.status.branch = None;
    scope.status.phase = Some(Phase::Ended);
    scope.status.ended = None;
    queue::forget(&mut scope);
    remove(&mut scope.status.conditions, names::MERGED);
    let text = "the pull request was closed without merging";
    scope.condition(names::PULL_REQUEST_OPEN, false, reason::CLOSED, text);
    let message = format!(
        "pull request {number} was closed without merging: set the annotation {RERUN_ANNOTATION} to a new value for a new round, or reopen it"
    );
    scope.ready(reason::CLOSED, &message);
    Plan::settle(scope.status, Next::AwaitChange)
}

pub(super) fn merged(mut scope: Scope<'_>) -> TaskStatus {
    let number = scope.status.pull_request.as_ref().map_or(0, |pull| pull.number);
    scope.status.phase = Some(Phase::Ended);
    scope.status.ended = None;
    queue::forget(&mut scope);
    scope.release_sandbox();
    scope.condition(names::PULL_REQUEST_OPEN, false, reason::MERGED, "the pull request was merged");
    let text = format!("GitHub confirms the merge of pull request {number}");
    scope.condition(names::MERGED, true, reason::MERGED, &text);
    scope.ready(reason::MERGED, &format!("pull request {number} is merged"));
    scope.status
}
