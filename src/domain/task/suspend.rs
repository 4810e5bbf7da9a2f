//! Says how a suspended Task stands, and ends its turn in a shared Sandbox all the same.
//! Used by `position` and `generation`.

use super::{model::Plan, scope::Scope};
use crate::{
    api::conditions::reason,
    domain::{conditions::Standing, plan::Next},
};
use jiff::SignedDuration;

/// Interval at which a suspended Task looks whether its command has ended, so that others get their turn.
pub(super) const WATCH: SignedDuration = SignedDuration::from_secs(30);

/// Sets the conditions of a suspended Task.
pub(super) fn rest_suspended(mut scope: Scope<'_>) -> Plan {
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
