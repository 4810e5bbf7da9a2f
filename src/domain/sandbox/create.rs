//! Bringing a sandbox up, so that a crash at any point leaves one: intent, list by metadata, adoption, new attempts.
//! Beside `known`, which takes over once there is an id.

use super::{
    CREATE_OVER, LIST_AGAIN, Observed, Seen, Step,
    case::{Case, EXPIRED},
    idempotency_key, known,
    marks::{incarnation, is_ours},
    seen::Asked,
};
use crate::{
    api::{CreateAnswer, Creating, RecoveryPolicy, SandboxStatus, conditions::reason},
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

/// Whether a create is due: never had one, or a lost one is needed and may be replaced now.
pub(super) fn is_wanted(case: &Case<'_>, asked: &Asked) -> bool {
    case.status.sandbox_id.is_none()
        || (asked.needed
            && case.sandbox.spec.recovery.policy == RecoveryPolicy::Recreate
            && not_before(case).is_none_or(|at| at <= case.now))
}

/// There is no sandbox, or it is gone.
pub(super) fn bring_up(mut case: Case<'_>, observed: &Observed) -> Plan<SandboxStatus, Step> {
    if observed.listed.is_some() {
        return known::sweep_orphans(case, observed);
    }
    if is_wanted(&case, &observed.asked) {
        let newest = case.status.history.iter().map(|past| past.incarnation).max().unwrap_or_default();
        let next = newest.max(case.status.incarnation.unwrap_or_default()) + 1;
        return begin(case, observed, next, 1);
    }
    let id = case.id();
    case.status.retry = None;
    let next = if case.sandbox.spec.recovery.policy == RecoveryPolicy::Hold {
        rest_in_hold(&mut case, observed.asked.needed, &id);
        Next::AwaitChange
    } else if observed.asked.needed {
        let message = format!(
            "E2B sandbox {id} is gone, like others within the last hour: the next is created after a pause of up to 10 minutes"
        );
        case.stand(Standing::Reconciling, reason::RETRYING, &message);
        not_before(&case).map_or(Next::Now, Next::At)
    } else {
        let message = format!("E2B sandbox {id} is gone; a new one is created when a Task needs it");
        case.stand(Standing::Ready, reason::IDLE, &message);
        Next::AwaitChange
    };
    let orphan_check = case.status.orphan_check_at.as_ref().map(|at| at.0);
    let now = case.now;
    case.settle(next.or_at(orphan_check, now))
}

/// A time-out that nobody needed to prevent is no loss to report.
fn rest_in_hold(case: &mut Case<'_>, needed: bool, id: &str) {
    let expired = case.status.history.last().is_some_and(|past| past.reason == EXPIRED);
    let message = format!(
        "E2B sandbox {id} is gone and recovery.policy is Hold: set it to Recreate to get a new one, or delete the Sandbox"
    );
    if needed || !expired {
        case.stand(Standing::Stalled, reason::SANDBOX_GONE, &message);
    } else {
        case.stand(Standing::Ready, reason::IDLE, &message);
    }
}

/// When the next replacement may be made: at once after a quiet hour, later the more were lost within one.
fn not_before(case: &Case<'_>) -> Option<Timestamp> {
    let past = &case.status.history;
    let is_recent = |ended: Timestamp| case.now.duration_since(ended) < QUIET;
    let lost = past.iter().filter(|past| past.reason != EXPIRED && is_recent(past.ended_at.0)).count();
    let doublings = i32::try_from(lost).unwrap_or(i32::MAX).checked_sub(2).filter(|n| *n >= 0)?;
    let wait = FIRST_WAIT.saturating_mul(1 << doublings.min(10)).min(LONGEST_WAIT);
    past.last().map(|last| last.ended_at.0 + wait)
}

/// A create is under way, and its end is not recorded: its sandbox is looked for, then it is made again.
pub(super) fn resume(mut case: Case<'_>, observed: &Observed) -> Plan<SandboxStatus, Step> {
    let (Some(creating), Some(listed)) = (case.status.creating.clone(), &observed.listed) else {
        return case.settle(Next::After(SignedDuration::from_secs(5)));
    };
    if creating.answer != Some(CreateAnswer::Refused) {
        case.doubt(creating.requested_at.0);
    }
    match listed {
        Err(failure) => case.fail(failure),
        Ok(listed) => {
            let mut found: Vec<&Seen> = listed
                .iter()
                .filter(|seen| is_ours(seen, case.sandbox) && incarnation(seen) == Some(creating.incarnation))
                .collect();
            found.sort_by(|a, b| (a.started_at, &a.id).cmp(&(b.started_at, &b.id)));
            match found.split_first() {
                Some((oldest, rest)) => adopt(case, observed, &creating, oldest, rest),
                None => again(case, observed, &creating),
            }
        }
    }
}

/// Takes the oldest and kills the next; what else there is, the check of orphans finds.
fn adopt(
    mut case: Case<'_>,
    observed: &Observed,
    creating: &Creating,
    oldest: &Seen,
    rest: &[&Seen],
) -> Plan<SandboxStatus, Step> {
    let Some(Ok(credential)) = &observed.credential else {
        return case.settle(Next::After(SignedDuration::from_secs(5)));
    };
    case.own(&oldest.id, creating);
    case.take(oldest, credential);
    if let Some(extra) = rest.first() {
        let message = format!("E2B sandbox {} was found by its metadata", oldest.id);
        case.stand(Standing::Reconciling, reason::CREATING, &message);
        return Plan::intend(case.status, Step::Kill { id: extra.id.clone() });
    }
    known::rest(case, observed)
}

/// None was found: when and under which key the create is made again.
fn again(mut case: Case<'_>, observed: &Observed, creating: &Creating) -> Plan<SandboxStatus, Step> {
    let (wait, attempt) = match creating.answer {
        None | Some(CreateAnswer::Unknown) => (LIST_AGAIN, creating.attempt),
        Some(CreateAnswer::Lost) => (SignedDuration::ZERO, creating.attempt),
        // Errors are replayed under their key.
        Some(CreateAnswer::Refused) => (SignedDuration::ZERO, creating.attempt + 1),
        Some(CreateAnswer::Failed) => (CREATE_OVER, creating.attempt + 1),
    };
    let from = creating.requested_at.0 + wait;
    if case.now < from {
        if case.status.retry.is_none() {
            let message = "looking for the sandbox of a create whose answer is not known";
            case.stand(Standing::Reconciling, reason::CREATING, message);
        }
        return case.settle(Next::At(from));
    }
    begin(case, observed, creating.incarnation, attempt)
}

/// Writes the intent, then creates.
fn begin(
    mut case: Case<'_>,
    observed: &Observed,
    incarnation: i64,
    attempt: i64,
) -> Plan<SandboxStatus, Step> {
    if let Some(Err(lack)) = &observed.env {
        return case.lack(lack);
    }
    case.status.creating =
        Some(Creating { incarnation, attempt, requested_at: Time(case.now), answer: None });
    // A repeated attempt keeps what was said of the last one: nothing flips while nothing has changed.
    if case.status.retry.is_none() {
        let message = format!("creating an E2B sandbox from template {}", case.sandbox.spec.template);
        case.stand(Standing::Reconciling, reason::CREATING, &message);
    }
    let key = idempotency_key(case.uid(), incarnation, attempt);
    Plan::intend(case.status, Step::Create { incarnation, key })
}

impl Case<'_> {
    /// The sandbox `id` came of the create: the intent is fulfilled.
    pub(super) fn own(&mut self, id: &str, creating: &Creating) {
        let status = &mut self.status;
        if status.sandbox_id.is_some() {
            status.recreations += 1;
        }
        status.sandbox_id = Some(id.to_owned());
        status.incarnation = Some(creating.incarnation);
        status.creating = None;
        status.retry = None;
        status.lifetime_limited = false;
        status.paused_at = None;
        status.paused_seconds = 0;
    }
}
