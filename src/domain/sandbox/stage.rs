//! Finds where a Sandbox stands, and so what has to be looked at: once in a pass, before anything is read.
//! Uses the timing rules of `create`, `existing` and `delete`; `decide` goes on from the answer.

use super::{Context, Look, Quiet, Search, Stage, create, delete, existing, scope::Scope};
use crate::{
    api::{Sandbox, SandboxState},
    domain::retry,
};
use jiff::Timestamp;

/// Finds the stage of one pass.
pub fn locate(sandbox: &Sandbox, context: &Context, now: Timestamp) -> Stage {
    let scope = Scope::open(sandbox, now);
    if scope.is_deleting() {
        return delete::locate(&scope);
    }
    let status = &scope.status;
    if let Some(until) = retry::wait_until(status.retry.as_ref(), now) {
        return Stage::Quiet(Quiet::Waits(until));
    }
    if sandbox.spec.suspend {
        let runs = status.state == Some(SandboxState::Running);
        let due = runs && existing::renewal_is_due(&scope, context);
        return if due { Stage::Look(Look::Suspended) } else { Stage::Quiet(Quiet::Suspended) };
    }
    if let Some(creating) = &status.creating {
        return Stage::Unfinished(creating.clone());
    }
    // First, because it always ends: a look that is due again and again would keep it off for ever.
    if status.orphan_check_at.as_ref().is_some_and(|at| at.0 <= now) {
        return Stage::Search(Search::Orphans);
    }
    if scope.exists() {
        return match existing::at_rest(&scope, context) {
            Some(quiet) => Stage::Quiet(quiet),
            None => Stage::Look(Look::Existing),
        };
    }
    if create::is_wanted(&scope, context) {
        Stage::Create(create::next(&scope))
    } else {
        Stage::Quiet(Quiet::Gone)
    }
}
