//! A Task with a pull request: confirming what a webhook said, waiting for people, the end.
//! GitHub has the last word; the board moves through `pull_request::transition` alone. Merging stands in `merge`.

use super::{
    merge,
    model::{Context, Plan, SeenPull, Step},
    round::{self, Input},
    scope::Scope,
    stage::{Decide, ReadPull},
};
use crate::{
    api::{
        MergePolicy, PullRequest, PullRequestState, RERUN_ANNOTATION, Task, TaskStatus, conditions as names,
        conditions::reason,
    },
    domain::{
        conditions::remove,
        failure::{Class, Failure},
        plan::{Next, Note},
        pull_request::{self, Source, Stored},
        retry,
    },
};

pub(super) use merge::next_look;

/// Whether the operator is to merge this pull request at all.
pub(super) fn merge_wanted(task: &Task, pull: &PullRequest) -> bool {
    task.spec.pull_request.merge.policy == MergePolicy::WhenReady
        && pull.state == PullRequestState::Open
        && !pull.draft
}

impl Decide for ReadPull {
    /// GitHub's word on the pull request: on what a webhook has said, or before a merge.
    fn decide(self, mut scope: Scope<'_>, context: &Context, pull: Option<SeenPull>) -> Plan {
        let Some(pull) = pull else { return gone(scope, self.number) };
        if !pull_request::is_own(&scope.uid(), &scope.status, &pull.observed) {
            return scope.failed_plan(&not_ours(self.number));
        }
        let undone = adopt_observation(&mut scope, &pull);
        let plan = with_pull(scope, context, &pull);
        if undone {
            let message = "a delivery said merged, GitHub says it is not: the board follows GitHub";
            return plan.with_note(Note::warning(reason::MERGE_NOT_CONFIRMED, message));
        }
        plan
    }
}

fn gone(scope: Scope<'_>, number: i64) -> Plan {
    scope.failed_plan(&Failure {
        operation: "getPullRequest",
        class: Class::NotFound,
        reason: reason::PULL_REQUEST_NOT_FOUND,
        message: format!(
            "GitHub has no pull request {number} in this repository: check the token's access to it"
        ),
    })
}

fn not_ours(number: i64) -> Failure {
    Failure {
        operation: "getPullRequest",
        class: Class::Invalid,
        reason: reason::PULL_REQUEST_NOT_FOUND,
        message: format!("pull request {number} at GitHub is not this Task's: it moves nothing"),
    }
}

/// Adopts what GitHub itself shows; whether it undoes a merge that a delivery has reported.
pub(super) fn adopt_observation(scope: &mut Scope<'_>, pull: &SeenPull) -> bool {
    let change = Stored::of(&scope.status).transition(&pull.observed, Source::Confirmation, scope.now);
    if let Some(change) = &change {
        change.apply(&mut scope.status);
    }
    change.is_some_and(|change| change.merge_undone)
}

/// Settles on what was just read, or merges.
fn with_pull(mut scope: Scope<'_>, context: &Context, pull: &SeenPull) -> Plan {
    scope.status.retry = None;
    if scope.is_under_way() {
        // The round on it goes on, or ends with it: the next pass says which.
        return Plan { next: Next::Now, ..scope.again() };
    }
    let due = round::input(scope.task, &scope.status) == Input::Changed;
    let wanted = scope.status.pull_request.as_ref().is_some_and(|stored| merge_wanted(scope.task, stored));
    if wanted && !due && scope.status.ended.as_ref().is_none_or(is_harmless) {
        return merge::merge(scope, context, pull);
    }
    match scope.status.pull_request.as_ref().map(|pull| pull.state) {
        Some(PullRequestState::Merged) => done(scope, context),
        _ => settle(scope),
    }
}

/// A later round that found nothing to commit leaves the pull request as it was.
fn is_harmless(end: &crate::api::RoundEnd) -> bool {
    end.reason == reason::NOTHING_TO_COMMIT
}

/// Nothing was read in this pass: what the last read said of merging stands until the next.
pub(super) fn unlooked(scope: Scope<'_>, context: &Context) -> Plan {
    let (task, now) = (scope.task, scope.now);
    if !scope.status.pull_request.as_ref().is_some_and(|pull| merge_wanted(task, pull)) {
        return settle(scope);
    }
    let said = context.pull_read.as_ref().and_then(|read| read.waits_for.clone());
    let mut plan = settle_with(scope, said.as_deref());
    plan.next = plan.next.or_at(next_look(context), now);
    plan
}

/// Conditions of a Task whose pull request is the last word.
pub(super) fn settle(scope: Scope<'_>) -> Plan {
    settle_with(scope, None)
}

pub(super) fn settle_with(mut scope: Scope<'_>, message: Option<&str>) -> Plan {
    let Some(pull) = scope.status.pull_request.clone() else { return scope.again() };
    match pull.state {
        PullRequestState::Merged => Plan::settle(merged(scope), Next::Now),
        PullRequestState::Closed => closed(scope),
        PullRequestState::Open | PullRequestState::Unknown => {
            // A reopened pull request brings its branch back.
            if scope.status.branch.is_none() {
                scope.status.branch.clone_from(&pull.branch);
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
    } else {
        let waiting = format!("pull request {number} waits for review");
        (reason::IN_REVIEW.into(), message.map_or(waiting, str::to_owned))
    }
}

/// A person closed it: nothing is done until a person asks for a new round or reopens it.
pub(super) fn closed(mut scope: Scope<'_>) -> Plan {
    let number = scope.status.pull_request.as_ref().map_or(0, |pull| pull.number);
    // The branch is given up with the pull request, which remembers its name for a reopening.
    scope.status.branch = None;
    scope.status.phase = Some(crate::api::Phase::Ended);
    scope.status.ended = None;
    remove(&mut scope.status.conditions, names::MERGED);
    let text = "the pull request was closed without merging";
    scope.condition(names::PULL_REQUEST_OPEN, false, reason::CLOSED, text);
    let message = format!(
        "pull request {number} was closed without merging: set the annotation {RERUN_ANNOTATION} to a new value for a new round, or reopen it"
    );
    scope.ready(reason::CLOSED, &message);
    Plan::settle(scope.status, Next::AwaitChange)
}

fn merged(mut scope: Scope<'_>) -> TaskStatus {
    let number = scope.status.pull_request.as_ref().map_or(0, |pull| pull.number);
    scope.status.phase = Some(crate::api::Phase::Ended);
    scope.status.ended = None;
    scope.release_sandbox();
    scope.condition(names::PULL_REQUEST_OPEN, false, reason::MERGED, "the pull request was merged");
    let text = format!("GitHub confirms the merge of pull request {number}");
    scope.condition(names::MERGED, true, reason::MERGED, &text);
    scope.ready(reason::MERGED, &format!("pull request {number} is merged"));
    scope.status
}

/// The end. Sandboxes of the Task's own are deleted; a changed input is refused.
pub(super) fn done(mut scope: Scope<'_>, context: &Context) -> Plan {
    let input = round::input(scope.task, &scope.status);
    let refused = matches!(input, Input::Changed | Input::Publication);
    if refused {
        round::record_input(scope.task, &mut scope.status);
    }
    let uid = scope.uid();
    let own = context.sandboxes.iter().find(|sandbox| sandbox.is_owned_by(&uid) && !sandbox.deleting);
    let plan = match own {
        Some(sandbox) => delete_sandbox(scope, sandbox.name.clone()),
        None => Plan::settle(merged(scope), Next::AwaitChange),
    };
    if refused {
        return plan.with_note(Note::warning(
            reason::RERUN_IGNORED,
            "the Task is done: a changed input or rerun is ignored; create a new Task",
        ));
    }
    plan
}

/// The confirmed merge is written before the Sandbox is deleted.
fn delete_sandbox(mut scope: Scope<'_>, name: String) -> Plan {
    let retry = scope.status.retry.take();
    if let Some(at) = retry::wait_until(retry.as_ref(), scope.now) {
        scope.status.retry = retry;
        scope.hold();
        return Plan::settle(scope.status, Next::At(at));
    }
    let status = TaskStatus { retry, ..merged(scope) };
    Plan::intend(status, Step::DeleteSandbox { name })
}

/// 409: read again, but not in a circle where GitHub's two answers do not agree.
pub(super) fn head_changed(mut scope: Scope<'_>) -> Plan {
    scope.failed(&Failure {
        operation: "mergePullRequest",
        class: Class::Transient,
        reason: reason::RETRYING,
        message: "GitHub says that the branch of the pull request has moved: it is read again".into(),
    });
    if let Some(pull) = &mut scope.status.pull_request {
        pull.unconfirmed = true;
    }
    scope.again()
}

/// GitHub has the last word on a pull request that we have just changed.
pub(super) fn reread(mut scope: Scope<'_>) -> Plan {
    scope.status.retry = None;
    if let Some(pull) = &mut scope.status.pull_request {
        pull.unconfirmed = true;
    }
    Plan::settle(scope.status, Next::Now)
}
