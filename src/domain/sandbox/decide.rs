//! The decision of one pass: each stage, with the answer to its question, goes to the file that knows what follows.
//! The turn of the Tasks is written here for all stages alike.

use super::{
    Look, Observed, Quiet, Search, Seen, Step, adopt, create, delete, existing, mark, orphans, scope::Scope,
};
use crate::{
    api::{Sandbox, SandboxStatus},
    domain::plan::{Next, Plan},
};
use jiff::{SignedDuration, Timestamp};

/// Wait before the API server is asked again whether the holder's turn is over.
const CONFIRM: SignedDuration = SignedDuration::from_secs(5);

/// Decides what the pass does.
pub fn decide(sandbox: &Sandbox, observed: &Observed, now: Timestamp) -> Plan<SandboxStatus, Step> {
    let Observed { context, seen } = observed;
    let mut scope = Scope::open(sandbox, now);
    scope.needed = context.needed;
    scope.last_finished = context.last_finished;
    if !scope.is_deleting() {
        // Whatever else holds the object up, the Tasks' turns go on.
        scope.status.holder.clone_from(&context.turn.holder);
        scope.status.waiting = context.turn.waiting;
        scope.status.last_runs.clone_from(&context.last_runs);
    }
    let mut plan = match seen {
        // The finalizer goes with these alone.
        Seen::Quiet(Quiet::Release) => return delete::release(scope),
        Seen::Quiet(Quiet::Keep) => return delete::keep(scope),
        Seen::Look(Look::Deletion, answer) => return delete::looked(scope, answer),
        Seen::Search(Search::Deletion, answer) => return delete::searched(scope, answer),

        Seen::Quiet(Quiet::Waits(until)) => scope.wait(*until),
        Seen::Quiet(Quiet::Suspended) => existing::suspended(scope, context),
        Seen::Quiet(Quiet::Running) => existing::running(scope, context),
        Seen::Quiet(Quiet::Paused) => existing::paused(scope, context),
        Seen::Quiet(Quiet::Gone) => create::rest(scope, context),
        Seen::Create(new, answer) => create::first_attempt(scope, *new, answer),
        Seen::Unfinished(creating, answer) => adopt::decide(scope, context, creating, answer),
        Seen::Look(Look::Existing, answer) => existing::looked(scope, context, answer),
        Seen::Look(Look::Suspended, answer) => existing::looked_while_suspended(scope, context, answer),
        Seen::Search(Search::Orphans, answer) => orphans::decide(scope, answer),
    };
    if context.turn.unconfirmed {
        // A step has no time of its own before its outcome is known.
        let next = if plan.step.is_some() { Next::AwaitChange } else { plan.next };
        plan.next = next.or_at(Some(now + CONFIRM), now);
    }
    plan.notes.extend(mark::note(sandbox.status.as_ref(), &plan.status));
    plan.notes.extend(mark::silence(sandbox.status.as_ref(), &plan.status));
    // Before the first create, so that no deletion can overtake it.
    plan.with_finalizer(true)
}
