//! Says how a suspended Task stands, and ends its turn in a shared Sandbox all the same.
//! Used by `position` and `generation`.

use super::{
    model::{Context, Plan},
    preconditions, round, sandbox,
    scope::Scope,
    stage::{Generation, Position, Purpose},
};
use crate::{
    api::conditions::reason,
    domain::{conditions::Standing, plan::Next},
};
use jiff::SignedDuration;

/// Interval at which a suspended Task looks whether its command has ended, so that others get their turn.
const WATCH: SignedDuration = SignedDuration::from_secs(30);

/// Does nothing, because of `spec.suspend`. A command in a shared Sandbox is left to run, and its turn ends with it.
pub(super) fn suspended(mut scope: Scope<'_>, context: &Context) -> Position {
    if sandbox::is_shared(&scope) {
        let name = sandbox::requested(&scope);
        match round::live_run(scope.task, &scope.status).cloned() {
            None => scope.release_sandbox(),
            Some(run) => {
                let there =
                    context.sandbox(&name).filter(|sandbox| sandbox.id.as_ref() == Some(&run.sandbox_id));
                if there.is_none() {
                    // The command is gone with its sandbox, and with it what the turn was kept for.
                    scope.release_sandbox();
                }
                let runs = there.is_some_and(|sandbox| sandbox.running);
                let waits = preconditions::wait_is_on(&scope, context).is_some();
                if runs && !waits {
                    let question =
                        Generation { id: run.id, sandbox: run.sandbox_id, purpose: Purpose::Watch };
                    return question.asked(scope, context);
                }
            }
        }
    }
    let watched = scope.status.sandbox_request.is_some() && sandbox::is_shared(&scope);
    let next = if watched { Next::After(WATCH) } else { Next::AwaitChange };
    Position::Decided(Box::new(Plan { next, ..rest_suspended(scope) }))
}

/// Sets the conditions of a suspended Task.
fn rest_suspended(mut scope: Scope<'_>) -> Plan {
    scope.stand(Standing::Ready, reason::SUSPENDED, "spec.suspend is true: all work but deletion is stopped");
    Plan::settle(scope.status, Next::AwaitChange)
}

/// Ends the turn of a suspended Task when its command has ended.
pub(super) fn watched(mut scope: Scope<'_>, runs: bool) -> Plan {
    if runs {
        return Plan { next: Next::After(WATCH), ..rest_suspended(scope) };
    }
    scope.release_sandbox();
    rest_suspended(scope)
}
