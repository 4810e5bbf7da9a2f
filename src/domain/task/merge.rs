//! Merging for `merge.policy: WhenReady`: when GitHub is asked, what its answer means, and what the merge waits for.
//! Used by `review`; what everybody sees meanwhile stands in `reflect`.

use super::{
    mergeability::{MergeWanted, Mergeability},
    model::{Context, Plan, SeenPull, Step},
    reflect::{reflect_pull, reflect_pull_with},
    scope::Scope,
};
use crate::{
    api::{Task, TaskStatus},
    domain::plan::Next,
};
use jiff::{SignedDuration, Timestamp};

/// GitHub works out in the background whether a pull request can be merged: ask again this soon.
const MERGEABLE_SOON: SignedDuration = SignedDuration::from_secs(5);

/// Time after a push within which checks of it may not have appeared yet.
const CHECKS_APPEAR: SignedDuration = SignedDuration::from_secs(60);

/// Returns the merge that the Task asks for.
pub(super) fn wanted(task: &Task, context: &Context) -> MergeWanted {
    MergeWanted {
        require_checks: task.spec.pull_request.merge.require_checks,
        checks_expected: context.repository.as_ref().is_none_or(|repository| repository.checks_expected),
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
    let Some((read, repository)) = read.zip(context.repository.as_ref()) else { return appear };
    let interval = repository.sync_interval;
    let wait = match read.undecided {
        0 => interval,
        times => (MERGEABLE_SOON * (1 << (times - 1).min(6))).min(interval),
    };
    Some(read.at + wait)
}

/// Merges our own commit when nothing stands in the way; otherwise says what does.
pub(super) fn merge(scope: Scope<'_>, context: &Context, pull: &SeenPull) -> Plan {
    let interval = context
        .repository
        .as_ref()
        .map_or(SignedDuration::from_secs(300), |repository| repository.sync_interval);
    let head = pull.observed.head_sha.clone();
    if head != scope.status.commit_sha {
        return Plan { next: Next::After(interval), ..reflect_pull(scope) };
    }
    if let Some(appear) = checks_appear(scope.task, &scope.status).filter(|appear| *appear > scope.now) {
        return Plan { next: Next::At(appear), ..reflect_pull(scope) };
    }
    match pull.mergeability(wanted(scope.task, context)) {
        Mergeability::Yes => {
            let (number, sha) = (pull.observed.number, head.unwrap_or_default());
            let method = scope.task.spec.pull_request.merge.method;
            // Keep the visible status unchanged, so a refused merge causes no write.
            let said = context.pull_read.as_ref().and_then(|read| read.waits_for.clone());
            let retry = scope.status.retry.clone();
            let status = TaskStatus { retry, ..reflect_pull_with(scope, said.as_deref()).status };
            Plan { next: Next::After(interval), ..Plan::act(status, Step::Merge { number, sha, method }) }
        }
        Mergeability::Undecided(message) => {
            Plan { next: Next::After(MERGEABLE_SOON), ..reflect_pull_with(scope, message.as_deref()) }
        }
        Mergeability::No(message) => {
            Plan { next: Next::After(interval), ..reflect_pull_with(scope, Some(&message)) }
        }
    }
}
