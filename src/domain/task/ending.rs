//! Says how a Task stands whose round is over before its pull request had a commit of it.
//! Used by every part of the decision that can end a round.

use super::{model::Plan, scope::Scope};
use crate::{
    api::conditions::reason,
    domain::{
        board::{FAILED_EARLY, FAILED_LATE, NOTHING_CHANGED},
        conditions::Standing,
        plan::Next,
    },
};

/// Rests after a round that ended before its pull request had a commit of it.
pub(super) fn ended(mut scope: Scope<'_>) -> Plan {
    let Some(end) = scope.status.ended.clone() else { return scope.again() };
    scope.status.retry = None;
    if end.reason == reason::NOTHING_TO_COMMIT {
        scope.row(NOTHING_CHANGED);
        scope.status.branch = None;
        scope.stand(Standing::Ready, &end.reason, &end.message);
    } else if end.generated || scope.has_open_pull() {
        scope.row(FAILED_LATE);
        scope.stand(Standing::Stalled, &end.reason, &end.message);
    } else {
        scope.row(FAILED_EARLY);
        scope.status.branch = None;
        scope.stand(Standing::Stalled, &end.reason, &end.message);
    }
    Plan::settle(scope.status, Next::AwaitChange)
}
