//! Orphans: sandboxes that doubtful creates have made in addition to the recorded one. They are killed, one in a pass.
//! A check in the background: that it fails changes nothing of how the object stands.

use super::{
    E2bSandbox, Keyed, Listing, Step,
    marks::{incarnation, is_ours},
    scope::Scope,
};
use crate::{
    api::{SandboxStatus, bounds, common::whole_seconds},
    domain::{
        failure::Failure,
        plan::{Next, Plan},
        retry,
    },
};
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Wait before a check that failed is made again.
const AGAIN: SignedDuration = SignedDuration::from_secs(30);
/// Time after which E2B's list shows that one was killed.
const SETTLED: SignedDuration = SignedDuration::from_secs(10);

pub(super) fn decide(mut scope: Scope<'_>, answer: &Keyed<Listing>) -> Plan<SandboxStatus, Step> {
    let under = match answer {
        Ok(under) => under,
        Err(error) => return scope.without_secret(error),
    };
    scope.accept_credential(&under.credential);
    match &under.answer {
        Ok(listed) => {
            let own = scope.status.sandbox_id.clone();
            let is_own = |seen: &&E2bSandbox| Some(&seen.id) == own.as_ref();
            if listed.iter().any(|seen| is_own(&seen)) {
                scope.status.credential = Some(bounds::cut(&under.credential, bounds::SHA));
            }
            // A status that another leader has overtaken knows nothing of a later incarnation: that one is not an orphan.
            let is_earlier = |seen: &E2bSandbox| incarnation(seen) <= scope.status.incarnation;
            let is_orphan =
                |seen: &&E2bSandbox| is_ours(seen, scope.sandbox) && is_earlier(seen) && !is_own(seen);
            if let Some(orphan) = listed.iter().find(is_orphan) {
                return Plan::act(scope.status, Step::Kill { id: orphan.id.clone() });
            }
            scope.status.orphan_check_at = None;
        }
        Err(failure) => postpone(&mut scope, failure),
    }
    scope.settle(Next::Now)
}

/// Records the kill of one. A later list tells whether there are more.
pub(super) fn record(mut scope: Scope<'_>, result: &Result<(), Failure>) -> Plan<SandboxStatus, Step> {
    match result {
        Ok(()) => {
            if scope.status.orphan_check_at.as_ref().is_none_or(|at| at.0 <= scope.now) {
                check_in(&mut scope, SETTLED);
            }
        }
        Err(failure) => postpone(&mut scope, failure),
    }
    scope.settle(Next::Now)
}

fn postpone(scope: &mut Scope<'_>, failure: &Failure) {
    check_in(scope, if failure.class.is_retryable() { AGAIN } else { retry::SLOW });
}

fn check_in(scope: &mut Scope<'_>, wait: SignedDuration) {
    scope.status.orphan_check_at = Some(Time(whole_seconds(scope.now + wait)));
}
