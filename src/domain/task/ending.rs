//! Says how a Task stands whose round is over before its pull request had a commit of it, or whose transfer waits for room.
//! Used by every part of the decision that can end a round, or moves files.

use super::{model::Plan, round, scope::Scope};
use crate::{
    api::{Phase, RERUN_ANNOTATION, conditions as names, conditions::reason},
    domain::{
        board::{FAILED_EARLY, FAILED_LATE, NOTHING_CHANGED},
        conditions::Standing,
        plan::Next,
    },
};
use jiff::SignedDuration;

/// Rests after a round that ended before its pull request had a commit of it.
pub(super) fn ended(mut scope: Scope<'_>) -> Plan {
    let Some(end) = scope.status.ended.clone() else { return scope.requeue() };
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

/// Wait before a transfer asks again for room or a worker.
const ROOM: SignedDuration = SignedDuration::from_secs(10);

/// Comes again when there may be room for a transfer, or a worker, or when a checkout that was begun before may have ended.
pub(super) fn wait_for_transfer(mut scope: Scope<'_>, reason: &'static str) -> Plan {
    let message = match reason {
        reason::WAITING_FOR_SPOOL => {
            "waiting for room in the operator's spool: \
             if this lasts, raise SLIPWAY_SPOOL_BYTES (in the chart files.spoolSize)"
        }
        reason::CHECKING_OUT => "the checkout that was begun before is still at work in the sandbox",
        _ => "waiting for a free worker: other transfers are under way",
    };
    scope.working(reason, message);
    Plan::settle(scope.status, Next::After(ROOM))
}

/// Ends a round that has used up its attempts.
pub(super) fn keeps_dying(scope: &mut Scope<'_>) {
    let attempts = round::attempts(scope.task, &scope.status);
    let message = format!(
        "the command was lost {attempts} times with its sandbox or process: \
         look for what ends it (memory, the sandbox's life time), then set the annotation {RERUN_ANNOTATION} to a new value"
    );
    round::finish_run(scope, None);
    scope.condition(names::GENERATED, false, reason::GENERATION_KEEPS_DYING, &message);
    scope.status.phase = Some(Phase::Generating);
    scope.end(reason::GENERATION_KEEPS_DYING, &message);
    scope.release_sandbox();
}
