//! Merging for `merge.policy: WhenReady`: when GitHub is asked, what its answer means, and what the merge waits for.
//! Used by `review`; what everybody sees meanwhile stands in `reflect`.

use super::{
    model::{Context, Plan, SeenPull, Step},
    reflect::{reflect_pull, reflect_pull_with},
    scope::Scope,
};
use crate::{api::TaskStatus, domain::plan::Next};
use jiff::{SignedDuration, Timestamp};

/// GitHub works out in the background whether a pull request can be merged: ask again this soon.
const MERGEABLE_SOON: SignedDuration = SignedDuration::from_secs(5);

/// Returns when a pull request that the operator merges is read again; `None`: now.
pub(super) fn next_look(context: &Context) -> Option<Timestamp> {
    let read = context.pull_read.as_ref()?;
    let interval = context.repository.as_ref()?.sync_interval;
    let wait = match read.undecided {
        0 => interval,
        times => (MERGEABLE_SOON * (1 << (times - 1).min(6))).min(interval),
    };
    Some(read.at + wait)
}

/// Merges our own commit when GitHub says that nothing stands in the way; otherwise says what does.
pub(super) fn merge(scope: Scope<'_>, context: &Context, pull: &SeenPull) -> Plan {
    let interval = context
        .repository
        .as_ref()
        .map_or(SignedDuration::from_secs(300), |repository| repository.sync_interval);
    let head = pull.observed.head_sha.clone();
    if head != scope.status.commit_sha {
        return Plan { next: Next::After(interval), ..reflect_pull(scope) };
    }
    match pull.mergeable_state.as_deref() {
        // Where the server runs pre-receive hooks it never says `clean`.
        Some("clean" | "has_hooks") => {
            let (number, sha) = (pull.observed.number, head.unwrap_or_default());
            let method = scope.task.spec.pull_request.merge.method;
            // Keep the visible status unchanged, so a refused merge causes no write.
            let said = context.pull_read.as_ref().and_then(|read| read.waits_for.clone());
            let retry = scope.status.retry.clone();
            let status = TaskStatus { retry, ..reflect_pull_with(scope, said.as_deref()).status };
            Plan { next: Next::After(interval), ..Plan::act(status, Step::Merge { number, sha, method }) }
        }
        None | Some("unknown") => Plan { next: Next::After(MERGEABLE_SOON), ..reflect_pull(scope) },
        Some(_) => {
            let message = pull.waits_for();
            Plan { next: Next::After(interval), ..reflect_pull_with(scope, message.as_deref()) }
        }
    }
}
