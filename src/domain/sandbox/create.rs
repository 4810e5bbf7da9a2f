//! Making a sandbox: whether one is wanted now, and the intent that is written before the call.
//! `adopt` goes on with a create whose end is not recorded.

use super::{
    Context, Keyed, NewIncarnation, Step, idempotency_key,
    scope::{EXPIRED, Scope},
};
use crate::{
    api::{CreateAnswer, Creating, RecoveryPolicy, SandboxStatus, SecretVersion, bounds, conditions::reason},
    domain::{
        conditions::Standing,
        plan::{Next, Plan},
    },
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Replacements wait from this long …
const FIRST_WAIT: SignedDuration = SignedDuration::from_secs(10);
/// … to this long, doubling …
const LONGEST_WAIT: SignedDuration = SignedDuration::from_mins(10);
/// … with every sandbox lost within this time.
const QUIET: SignedDuration = SignedDuration::from_hours(1);

/// Returns whether a create is due: there never was a sandbox, or a lost one is needed and may be replaced now.
pub(super) fn is_wanted(scope: &Scope<'_>, context: &Context) -> bool {
    scope.status.sandbox_id.is_none()
        || (context.needed
            && scope.sandbox.spec.recovery.policy == RecoveryPolicy::Recreate
            && not_before(scope).is_none_or(|at| at <= scope.now))
}

/// Returns the incarnation that comes next. No number is ever used twice.
pub(super) fn next(scope: &Scope<'_>) -> NewIncarnation {
    let newest = scope.status.history.iter().map(|past| past.incarnation).max().unwrap_or_default();
    NewIncarnation(newest.max(scope.status.incarnation.unwrap_or_default()) + 1)
}

/// Rests with the sandbox gone and no other made now.
pub(super) fn rest(mut scope: Scope<'_>, context: &Context) -> Plan<SandboxStatus, Step> {
    let id = scope.id();
    scope.status.retry = None;
    let next = if scope.sandbox.spec.recovery.policy == RecoveryPolicy::Hold {
        rest_in_hold(&mut scope, context.needed, &id);
        Next::AwaitChange
    } else if context.needed {
        let message = format!(
            "E2B sandbox {id} is gone, like others within the last hour: the next is created after a pause of up to 10 minutes"
        );
        scope.stand(Standing::Reconciling, reason::RETRYING, &message);
        not_before(&scope).map_or(Next::Now, Next::At)
    } else {
        let message = format!("E2B sandbox {id} is gone; a new one is created when a Task needs it");
        scope.stand(Standing::Ready, reason::IDLE, &message);
        Next::AwaitChange
    };
    let orphan_check = scope.status.orphan_check_at.as_ref().map(|at| at.0);
    let now = scope.now;
    scope.settle(next.or_at(orphan_check, now))
}

/// Rests where the policy is `Hold`. A time-out that nobody needed to prevent is not a loss to report.
fn rest_in_hold(scope: &mut Scope<'_>, needed: bool, id: &str) {
    let expired = scope.status.history.last().is_some_and(|past| past.reason == EXPIRED);
    let message = format!(
        "E2B sandbox {id} is gone and recovery.policy is Hold: set it to Recreate to get a new one, or delete the Sandbox"
    );
    if needed || !expired {
        scope.stand(Standing::Stalled, reason::SANDBOX_GONE, &message);
    } else {
        scope.stand(Standing::Ready, reason::IDLE, &message);
    }
}

/// Returns when the next replacement may be made: at once after a quiet hour, later the more were lost within one.
fn not_before(scope: &Scope<'_>) -> Option<Timestamp> {
    let past = &scope.status.history;
    let is_recent = |ended: Timestamp| scope.now.duration_since(ended) < QUIET;
    let lost = past.iter().filter(|past| past.reason != EXPIRED && is_recent(past.ended_at.0)).count();
    let doublings = i32::try_from(lost).unwrap_or(i32::MAX).checked_sub(2).filter(|n| *n >= 0)?;
    let wait = FIRST_WAIT.saturating_mul(1 << doublings.min(10)).min(LONGEST_WAIT);
    past.last().map(|last| last.ended_at.0 + wait)
}

/// The first attempt of an incarnation.
pub(super) fn first_attempt(
    scope: Scope<'_>,
    NewIncarnation(incarnation): NewIncarnation,
    answer: &Keyed<Vec<SecretVersion>>,
) -> Plan<SandboxStatus, Step> {
    match answer {
        Ok(under) => begin(scope, incarnation, 1, &under.answer),
        Err(error) => scope.without_secret(error),
    }
}

/// Writes the intent, then creates. `secrets`: what the sandbox is given now.
pub(super) fn begin(
    mut scope: Scope<'_>,
    incarnation: i64,
    attempt: i64,
    secrets: &[SecretVersion],
) -> Plan<SandboxStatus, Step> {
    // An attempt that was not refused may have made the sandbox, with what the Secrets said then.
    let before = scope.status.creating.take().filter(|creating| {
        creating.incarnation == incarnation && creating.answer != Some(CreateAnswer::Refused)
    });
    let mut secret_versions = before.map(|creating| creating.secret_versions).unwrap_or_default();
    secret_versions.retain(|version| !secrets.contains(version));
    secret_versions.extend(secrets.iter().cloned());
    secret_versions.drain(..secret_versions.len().saturating_sub(bounds::SECRETS as usize));
    let requested_at = Time(scope.now);
    scope.status.creating =
        Some(Creating { incarnation, attempt, requested_at, answer: None, secret_versions });
    // A repeated attempt keeps what was said of the last one: nothing flips while nothing has changed.
    if scope.status.retry.is_none() {
        let message = format!("creating an E2B sandbox from template {}", scope.sandbox.spec.template);
        scope.stand(Standing::Reconciling, reason::CREATING, &message);
    }
    let key = idempotency_key(scope.uid(), incarnation, attempt);
    Plan::intend(scope.status, Step::Create { incarnation, key })
}
