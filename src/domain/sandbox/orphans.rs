//! Orphans: sandboxes that doubtful creates have made in addition to the recorded one. They are killed, one in a pass.
//! A check in the background: that it fails changes nothing of how the object stands.

use super::{
    E2bSandbox, Keyed, KillEnd, Listing, Step,
    marks::{incarnation, is_ours},
    scope::Scope,
};
use crate::{
    api::{SandboxStatus, bounds, common::whole_seconds, conditions::reason},
    domain::{
        failure::{Class, Failure},
        plan::{Next, Note, Plan},
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
    let given_up = scope.accept_credential(&under.credential);
    match &under.answer {
        Ok(listed) => {
            let own = scope.status.sandbox_id.clone();
            let is_own = |seen: &&E2bSandbox| Some(&seen.id) == own.as_ref();
            let shows_own = listed.iter().any(|seen| is_own(&seen));
            if shows_own {
                scope.status.credential = Some(bounds::cut(&under.credential, bounds::SHA));
            }
            let mut notes = keep(&mut scope, listed);
            notes.extend(given_up.filter(|_| !shows_own));
            // A status that another leader has overtaken knows nothing of a later incarnation: that one is not an orphan.
            let is_earlier = |seen: &E2bSandbox| incarnation(seen) <= scope.status.incarnation;
            let kept = |seen: &E2bSandbox| {
                scope.status.history.iter().any(|past| past.kept && past.sandbox_id == seen.id)
            };
            let is_orphan = |seen: &&E2bSandbox| {
                is_ours(seen, scope.sandbox) && is_earlier(seen) && !is_own(seen) && !kept(seen)
            };
            let step = listed.iter().find(is_orphan).map(|orphan| Step::Kill { id: orphan.id.clone() });
            let mut plan = if let Some(step) = step {
                Plan::act(scope.status, step)
            } else {
                scope.status.orphan_check_at = None;
                scope.settle(Next::Now)
            };
            plan.notes = notes;
            plan
        }
        Err(failure) => {
            postpone(&mut scope, failure);
            let mut plan = scope.settle(Next::Now);
            // The annotation counts once: no later list says it.
            plan.notes.extend(given_up);
            plan
        }
    }
}

/// Keeps a replaced sandbox that is there after all, if it may hold files that are not committed, and names it once.
fn keep(scope: &mut Scope<'_>, listed: &[E2bSandbox]) -> Vec<Note> {
    let mut notes = Vec::new();
    for past in scope.status.history.iter_mut().filter(|past| past.uncommitted_files && !past.kept) {
        if listed.iter().any(|seen| seen.id == past.sandbox_id) {
            past.kept = true;
            let message = format!(
                "E2B sandbox {} was replaced because E2B did not show it, and is there after all: it is left there because it \
                 may hold files that are not committed; take them out and kill it, or delete this Sandbox",
                past.sandbox_id
            );
            notes.push(Note::warning(reason::SANDBOX_KEPT, message));
        }
    }
    notes
}

/// Records the kill of one. A later list tells whether there are more.
pub(super) fn record(mut scope: Scope<'_>, result: &Result<KillEnd, Failure>) -> Plan<SandboxStatus, Step> {
    match result {
        Ok(_) => {
            if scope.status.orphan_check_at.as_ref().is_none_or(|at| at.0 <= scope.now) {
                check_in(&mut scope, SETTLED);
            }
        }
        Err(failure) => postpone(&mut scope, failure),
    }
    scope.settle(Next::Now)
}

fn postpone(scope: &mut Scope<'_>, failure: &Failure) {
    let wait = match failure.class {
        // Nothing is asked before a limit is over.
        Class::Throttled { until } => until.duration_since(scope.now).max(AGAIN),
        Class::Transient => AGAIN,
        Class::NotFound | Class::Denied | Class::Invalid => retry::SLOW,
    };
    check_in(scope, wait);
}

fn check_in(scope: &mut Scope<'_>, wait: SignedDuration) {
    scope.status.orphan_check_at = Some(Time(whole_seconds(scope.now + wait)));
}
