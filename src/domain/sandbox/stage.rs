//! Finds where a Sandbox stands, and so what has to be looked at: once in a pass, before anything is read.
//! Uses the timing rules of `create`, `existing` and `delete`; `decide` goes on from the answer.

use super::{
    Context, Look, Quiet, Search, Stage, create, delete, existing,
    scope::{Scope, WHILE_IT_LIVES},
};
use crate::{
    api::{Sandbox, SandboxState},
    domain::retry,
};
use jiff::Timestamp;

/// Returns until when nothing is asked because a call has failed. No such wait outlasts the life of a needed sandbox: from
/// the time of its renewal on it is asked for again and again. What a limit asks for stands.
fn waits_until(scope: &Scope<'_>, context: &Context) -> Option<Timestamp> {
    let retry = scope.status.retry.as_ref();
    let until = retry::wait_until(retry, scope.now)?;
    if !context.needed || !scope.lives() || retry.is_some_and(|retry| retry.limited) {
        return Some(until);
    }
    let due = existing::due_at(scope, context);
    if due > scope.now {
        return Some(until.min(due));
    }
    Some(until).filter(|until| *until <= scope.now + WHILE_IT_LIVES)
}

/// Finds the stage of one pass.
pub fn locate(sandbox: &Sandbox, context: &Context, now: Timestamp) -> Stage {
    let scope = Scope::open(sandbox, now);
    if scope.is_deleting() {
        return delete::locate(&scope);
    }
    let status = &scope.status;
    if let Some(until) = waits_until(&scope, context) {
        return Stage::Quiet(Quiet::Waits(until));
    }
    // Whoever is in a hurry: what counts is the time between the looks.
    if let Some(at) = scope.looks_again_at() {
        return Stage::Quiet(Quiet::Waits(at));
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
