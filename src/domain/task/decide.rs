//! One decision about one Task: the stage it stands at, with what was seen there, gives the plan.
//! What belongs to one part of the way stands in that part's file.

use super::{
    model::Plan,
    release,
    scope::Scope,
    stage::{Observed, conclude},
};
use crate::api::Task;
use jiff::Timestamp;

/// Decides what to do next about a Task.
pub fn decide(task: &Task, observed: Observed, now: Timestamp) -> Plan {
    let plan = match observed {
        Observed::Decided(plan) => *plan,
        Observed::Failed(plan, failure) => {
            let finalizer = plan.finalizer;
            Scope::new(task, plan.status, now).failed_plan(&failure).with_finalizer(finalizer)
        }
        Observed::Start(answered) => conclude(answered, task, now),
        Observed::Generation(answered) => conclude(answered, task, now),
        Observed::Collect(answered) => conclude(answered, task, now),
        Observed::FindPulls(answered) => conclude(answered, task, now),
        Observed::ReadPull(answered) => conclude(answered, task, now),
        Observed::InQueue(answered) => conclude(answered, task, now),
        Observed::LeftBranch(answered) => conclude(answered, task, now),
    };
    if task.metadata.deletion_timestamp.is_some() {
        return plan;
    }
    let finalizer = release::must_undo(task, &plan.status);
    plan.with_finalizer(finalizer)
}
