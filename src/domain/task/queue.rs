//! The merge queue of the base branch: what status knows of it, and out of it before another round.
//! Used by `merge`, `publish`, `position` and `record`; how a place in it is told stands in `requirements`.

use super::{
    model::{Context, Plan, Step},
    requirements::{MergeView, QueueProgress},
    round::{self, Input},
    scope::Scope,
    stage::{Decide, InQueue},
};
use crate::{
    api::{MergeQueue, MergeQueueState, PullRequest, bounds, conditions::reason},
    domain::{
        failure::{Class, Failure},
        plan::Next,
        retry,
    },
};
use jiff::SignedDuration;

/// Asking how a pull request stands, and taking it out of the queue, as `status.retry` names them.
const GET_QUEUE: &str = "getQueueState";
const DEQUEUE: &str = "dequeuePullRequest";

/// Wait for a merge that can't be stopped any more.
const LOCKED: SignedDuration = SignedDuration::from_secs(15);

/// How the pull request's present head stands towards the queue, as far as is known.
pub(super) fn known(pull: &PullRequest) -> Option<MergeQueueState> {
    let queue = pull.merge_queue.as_ref()?;
    (pull.head_sha.as_ref() == Some(&queue.head_sha)).then_some(queue.state)
}

/// Notes how a head stands towards the queue.
pub(super) fn note(scope: &mut Scope<'_>, head: &str, state: MergeQueueState) {
    if let Some(pull) = &mut scope.status.pull_request {
        pull.merge_queue = Some(MergeQueue { head_sha: bounds::cut(head, bounds::SHA), state });
    }
}

/// Forgets what was known: it begins anew.
pub(super) fn forget(scope: &mut Scope<'_>) {
    if let Some(pull) = &mut scope.status.pull_request {
        pull.merge_queue = None;
    }
}

/// Returns whether the present head is in the queue, or may be.
pub(super) fn may_hold(pull: &PullRequest) -> bool {
    matches!(known(pull), Some(MergeQueueState::Entering | MergeQueueState::Queued))
}

/// Returns whether the queue has to be asked before another round begins on the pull request. In a queue its branch is locked,
/// and what is merged meanwhile is not what is asked for now.
pub(super) fn is_asked(scope: &Scope<'_>, pull: &PullRequest) -> bool {
    let gave_up = retry_of_queue(scope).is_some_and(|retry| retry.attempt >= retry::ATTEMPTS);
    !pull.draft && known(pull) != Some(MergeQueueState::Absent) && (!gave_up || may_hold(pull))
}

/// Returns the wait for the queue's own answers, where it is on.
pub(super) fn retry_of_queue<'s>(scope: &'s Scope<'_>) -> Option<&'s crate::api::common::Retry> {
    scope.status.retry.as_ref().filter(|retry| [GET_QUEUE, DEQUEUE].contains(&retry.operation.as_str()))
}

/// Takes the pull request out of the queue: its branch is to move, or it is not to be merged any more.
pub(super) fn leave(mut scope: Scope<'_>) -> Plan {
    let node_id =
        scope.status.pull_request.as_ref().and_then(|pull| pull.node_id.clone()).unwrap_or_default();
    scope.working(reason::PENDING, "taking the pull request out of the merge queue");
    Plan::act(scope.status, Step::Dequeue { node_id })
}

impl Decide for InQueue {
    /// Begins the round once the pull request is in no queue.
    fn decide(self, mut scope: Scope<'_>, _: &Context, view: MergeView) -> Plan {
        if !view.open {
            scope.failed(&Failure {
                operation: GET_QUEUE,
                class: Class::Transient,
                reason: reason::RETRYING,
                message: "GitHub says that the pull request is not open any more: it is read again".into(),
            });
            if let Some(pull) = &mut scope.status.pull_request {
                pull.unconfirmed = true;
            }
            return scope.requeue();
        }
        match view.place.map(|place| place.state) {
            None => begin(scope),
            Some(QueueProgress::Locked) => {
                let message = "the input has changed, but the merge queue is about to merge the pull request, which can't be \
                     stopped any more";
                scope.working(reason::PENDING, message);
                Plan::settle(scope.status, Next::After(LOCKED))
            }
            Some(_) => leave(scope),
        }
    }

    /// Where nothing says that there is a queue, the round does not wait for an answer: GitHub locks the branch of what is in one.
    /// What is in it, and is not shown, is taken out unseen.
    fn failed(self, scope: Scope<'_>, failure: &Failure) -> Plan {
        match scope.status.pull_request.as_ref() {
            Some(pull) if may_hold(pull) && failure.class.is_retryable() => scope.failed_plan(failure),
            Some(pull) if may_hold(pull) => leave(scope),
            _ => begin(scope),
        }
    }
}

fn begin(mut scope: Scope<'_>) -> Plan {
    round::begin_on_open(&mut scope);
    Plan::settle(scope.status, Next::Now)
}

/// Goes on once the pull request has left the queue. `retry` stays while a round waits to move the branch, and begins to count
/// where one is due: a queue that says so and has it all the same is not asked in a circle.
pub(super) fn left(mut scope: Scope<'_>) -> Plan {
    forget(&mut scope);
    if scope.is_under_way() {
        return Plan::settle(scope.status, Next::Now);
    }
    if round::input(scope.task, &scope.status) == Input::Changed {
        return scope.failed_plan(&Failure {
            operation: DEQUEUE,
            class: Class::Transient,
            reason: reason::IN_MERGE_QUEUE,
            message: "the pull request has been taken out of the merge queue: whether it has left is looked at once more".into(),
        });
    }
    scope.status.retry = None;
    Plan::settle(scope.status, Next::Now)
}

/// Looks again whether the pull request has left: moving the branch, or the question before the round, tells.
pub(super) fn left_perhaps(mut scope: Scope<'_>) -> Plan {
    forget(&mut scope);
    scope.failed_plan(&Failure {
        operation: DEQUEUE,
        class: Class::Transient,
        reason: reason::IN_MERGE_QUEUE,
        message:
            "GitHub does not say whether the pull request has left the merge queue: it is looked at again"
                .into(),
    })
}

/// Says that the branch can't move before the pull request has left the queue, which comes next.
pub(super) fn locked(mut scope: Scope<'_>, failure: &Failure) -> Plan {
    if let Some(head) = scope.status.pull_request.as_ref().and_then(|pull| pull.head_sha.clone()) {
        note(&mut scope, &head, MergeQueueState::Queued);
    }
    scope.failed_plan(failure)
}
