//! Returns the plan to write once its step has an outcome.
//! Builds on `scope`, as `decide` does; called by `controllers::shell`.

use super::{
    Found, Outcome,
    decide::with_hook,
    hook,
    scope::{Decided, Scope},
};
use crate::{
    api::{Repository, conditions::reason},
    domain::{
        conditions::Standing,
        plan::{Next, Plan},
    },
};
use jiff::{SignedDuration, Timestamp};

/// Wait after a failed write to a Task before the sync is made again.
pub(super) const MOVE_AGAIN: SignedDuration = SignedDuration::from_secs(5);

/// Returns the plan to write once its step has an outcome.
pub fn record(
    repository: &Repository,
    plan: Decided,
    outcome: Outcome,
    next_sync: Timestamp,
    now: Timestamp,
) -> Decided {
    let scope = || Scope::new(repository, next_sync, now);
    match outcome {
        Outcome::Created(Ok(found)) => created(scope(), &found),
        Outcome::Created(Err(failure)) => scope().failed(&failure),
        Outcome::Moved { all: true } => plan,
        Outcome::Moved { all: false } => Plan { next: Next::After(MOVE_AGAIN), ..plan },
        Outcome::Hook(outcome) => {
            let mut plan = Plan { step: None, next: Next::Now, ..plan };
            let tended = hook::recorded(&mut plan.status, repository, outcome, now);
            with_hook(plan, tended)
        }
    }
}

/// It is there now; the next pass looks at it like at any other.
fn created(mut scope: Scope<'_>, found: &Found) -> Decided {
    scope.identify(found);
    scope.status.retry = None;
    let message = format!("{} was created", found.full_name);
    scope.stand(Standing::Reconciling, reason::CREATING, &message);
    Plan::settle(scope.status, Next::Now)
}
