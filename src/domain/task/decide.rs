//! One decision about one Task: the stage it stands at, with what was seen there, gives the plan.
//! What belongs to one part of the way stands in that part's file.

use super::{model::Plan, release, scope::Scope, stage::Observed};
use crate::{
    api::{Task, conditions::reason},
    domain::{
        board::{FAILED_EARLY, FAILED_LATE, NOTHING_CHANGED},
        conditions::Standing,
        plan::Next,
    },
};
use jiff::Timestamp;

/// What to do next about a Task.
pub fn decide(task: &Task, observed: Observed, now: Timestamp) -> Plan {
    let plan = match observed {
        Observed::Decided(plan) => *plan,
        Observed::Failed(plan, failure) => {
            let finalizer = plan.finalizer;
            Scope::new(task, plan.status, now).failed_plan(&failure).with_finalizer(finalizer)
        }
        Observed::Start(answered) => answered.decide(task, now),
        Observed::Generation(answered) => answered.decide(task, now),
        Observed::Collect(answered) => answered.decide(task, now),
        Observed::FindPulls(answered) => answered.decide(task, now),
        Observed::ReadPull(answered) => answered.decide(task, now),
        Observed::LeftBranch(answered) => answered.decide(task, now),
    };
    if task.metadata.deletion_timestamp.is_some() {
        return plan;
    }
    let finalizer = release::must_undo(task, &plan.status);
    plan.with_finalizer(finalizer)
}

/// The round is over before its pull request had a commit of it.
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
