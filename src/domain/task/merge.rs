//! Merging for `merge.policy: WhenReady`: when GitHub is asked, what its answer means, and what the merge waits for.
//! Used by `review`; what everybody sees meanwhile stands in `reflect`.

use super::{
    mergeability::{MergeWanted, Mergeability},
    model::{Context, Plan, PullRead, Step},
    queue,
    reflect::{reflect_pull, reflect_pull_with},
    scope::Scope,
    seen_pull::SeenPull,
};
use crate::{
    api::{MergeQueueState, Task, TaskStatus, conditions::reason},
    domain::plan::{Next, Note},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// GitHub works out in the background whether a pull request can be merged: ask again this soon.
const MERGEABLE_SOON: SignedDuration = SignedDuration::from_secs(5);

/// Time for which a pull request has to be outside of the queue before that counts: what the queue merges leaves it too, and
/// GitHub's answers may lag.
const LEFT_FOR: SignedDuration = SignedDuration::from_secs(15);

/// What GitHub refuses again and again is tried every fourth interval.
const REFUSED_MOST: u32 = 2;

/// Time after a push within which checks of it may not have appeared yet.
const CHECKS_APPEAR: SignedDuration = SignedDuration::from_secs(60);

/// Returns the merge that the Task asks for.
pub(super) fn wanted(task: &Task, status: &TaskStatus, context: &Context) -> MergeWanted {
    MergeWanted {
        require_checks: task.spec.pull_request.merge.require_checks,
        checks_expected: context.repository.as_ref().is_none_or(|repository| repository.checks_expected),
        commit: status.commit_sha.clone(),
        queue: status.pull_request.as_ref().and_then(|pull| pull.merge_queue.clone()),
    }
}

/// Returns from when on the checks of the pushed commit count; `None`: nothing has to be waited for.
pub(super) fn checks_appear(task: &Task, status: &TaskStatus) -> Option<Timestamp> {
    let pushed = status.pushed_at.as_ref().filter(|_| task.spec.pull_request.merge.require_checks);
    pushed.map(|pushed| pushed.0 + CHECKS_APPEAR)
}

/// Returns when a pull request that the operator merges is read again; `None`: now.
pub(super) fn next_look(task: &Task, status: &TaskStatus, context: &Context) -> Option<Timestamp> {
    let appear = checks_appear(task, status);
    // A read before that said nothing of the checks.
    let read = context.pull_read.as_ref().filter(|read| appear.is_none_or(|appear| read.at >= appear));
    let read = read.filter(|read| read.commit == status.commit_sha);
    let Some((read, repository)) = read.zip(context.repository.as_ref()) else { return appear };
    let interval = repository.sync_interval;
    let wait = match read.undecided {
        // Each try is a write that goes before those of others.
        0 => interval * (1 << read.refused.saturating_sub(1).min(REFUSED_MOST)),
        times => (MERGEABLE_SOON * (1 << (times - 1).min(6))).min(interval),
    };
    Some(read.at + wait)
}

/// Merges our own commit when nothing stands in the way; otherwise says what does.
pub(super) fn merge(mut scope: Scope<'_>, context: &Context, pull: &SeenPull) -> Plan {
    let interval = context
        .repository
        .as_ref()
        .map_or(SignedDuration::from_secs(300), |repository| repository.sync_interval);
    let head = pull.observed.head_sha.clone();
    if head != scope.status.commit_sha {
        if pull.updated {
            return updated(scope, head);
        }
        return Plan { next: Next::After(interval), ..reflect_pull(scope) };
    }
    if let Some(appear) = checks_appear(scope.task, &scope.status).filter(|appear| *appear > scope.now) {
        return Plan { next: Next::At(appear), ..reflect_pull(scope) };
    }
    let wanted = wanted(scope.task, &scope.status, context);
    let read = PullRead::after(context.pull_read.as_ref(), Some(pull), Some(&wanted), scope.now);
    let head = head.unwrap_or_default();
    match pull.mergeability(&wanted) {
        Mergeability::Yes => {
            let method = scope.task.spec.pull_request.merge.method;
            let step = Step::Merge { number: pull.observed.number, sha: head, method };
            Plan { next: Next::After(interval), ..Plan::act(unchanged(scope, context), step) }
        }
        Mergeability::ByQueue => {
            // A crash after the call finds that it may have been made.
            queue::note(&mut scope, &head, MergeQueueState::Entering);
            let step =
                Step::Enqueue { node_id: pull.observed.node_id.clone().unwrap_or_default(), sha: head };
            Plan { next: Next::After(interval), ..Plan::intend(unchanged(scope, context), step) }
        }
        Mergeability::InQueue(_) => {
            queue::note(&mut scope, &head, MergeQueueState::Queued);
            Plan { next: Next::After(interval), ..reflect_pull_with(scope, read.waits_for.as_deref()) }
        }
        Mergeability::LeftQueue => match read.outside_since {
            Some(since) if since + LEFT_FOR <= scope.now => removed(scope, &head, interval),
            _ => {
                let said = read.waits_for.as_deref();
                Plan { next: Next::After(MERGEABLE_SOON), ..reflect_pull_with(scope, said) }
            }
        },
        Mergeability::Removed => Plan { next: Next::After(interval), ..reflect_pull(scope) },
        Mergeability::Undecided(message) => {
            Plan { next: Next::After(MERGEABLE_SOON), ..reflect_pull_with(scope, message.as_deref()) }
        }
        Mergeability::No(message) => {
            Plan { next: Next::After(interval), ..reflect_pull_with(scope, Some(&message)) }
        }
    }
}

/// Goes on with GitHub's own update of the branch as the commit that is merged: it has checks of its own.
fn updated(mut scope: Scope<'_>, head: Option<String>) -> Plan {
    // What a person took out of the merge queue does not go in again with another head.
    let queue = scope.status.pull_request.as_mut().and_then(|pull| pull.merge_queue.as_mut());
    if let Some((queue, head)) = queue.zip(head.as_ref())
        && queue.state == MergeQueueState::Removed
    {
        queue.head_sha.clone_from(head);
    }
    scope.status.commit_sha = head;
    scope.status.pushed_at = Some(Time(scope.now));
    let next = checks_appear(scope.task, &scope.status).map_or(Next::Now, Next::At);
    Plan { next, ..reflect_pull(scope) }
}

/// Keeps what everybody sees, so that a merge which is refused again causes no write.
fn unchanged(scope: Scope<'_>, context: &Context) -> TaskStatus {
    let said = context.pull_read.as_ref().and_then(|read| read.waits_for.clone());
    let retry = scope.status.retry.clone();
    TaskStatus { retry, ..reflect_pull_with(scope, said.as_deref()).status }
}

/// Leaves it to people to say whether a head that was taken out of the queue goes in again.
fn removed(mut scope: Scope<'_>, head: &str, interval: SignedDuration) -> Plan {
    queue::note(&mut scope, head, MergeQueueState::Removed);
    let message =
        "the pull request has left the merge queue without being merged: its page at GitHub says why";
    let plan = Plan { next: Next::After(interval), ..reflect_pull(scope) };
    plan.with_note(Note::warning(reason::DEQUEUED, message))
}
