//! A sandbox that has an id and is not known to be gone: look, resume, renew, let expire.
//! Beside `create`, which makes the next one when this one is gone.

use super::{
    AFTER_EXPIRY, Observed, Step, UNREACHABLE,
    case::{Case, NOT_OURS},
    create,
    marks::{is_anothers, is_ours},
    seen::Asked,
};
use crate::{
    api::{SandboxState, SandboxStatus, bounds, common::whole_seconds, conditions::reason},
    domain::{
        conditions::Standing,
        plan::{Next, Plan},
    },
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Whether the sandbox has to be looked at now. While it is known to be alive nothing is asked.
pub(super) fn look_is_due(case: &Case<'_>, asked: &Asked) -> bool {
    let report = asked.unreachable && asked.last_look.is_none_or(|at| at + UNREACHABLE <= case.now);
    let state = match case.status.state {
        Some(SandboxState::Running) => due_at(case, asked) <= case.now,
        // Before it is resumed.
        Some(SandboxState::Paused) => asked.needed,
        _ => true,
    };
    case.hurried || case.status.retry.is_some() || report || state
}

/// When a running sandbox needs attention: at two thirds of its life if it is needed and can be renewed, else when it
/// has ended.
fn due_at(case: &Case<'_>, asked: &Asked) -> Timestamp {
    let Some(expires) = case.status.expires_at.as_ref().map(|at| at.0) else { return case.now };
    if asked.needed && !case.status.lifetime_limited {
        expires - case.time_to_live() / 3
    } else {
        expires + AFTER_EXPIRY
    }
}

/// Whether a running sandbox is to be renewed: needed, not at the plan's limit, a third of its life or less is left.
pub(super) fn renewal_is_due(case: &Case<'_>, asked: &Asked) -> bool {
    let ends = case.status.expires_at.is_some();
    asked.needed && !case.status.lifetime_limited && ends && due_at(case, asked) <= case.now
}

/// What was seen is taken, then what it asks for is done.
pub(super) fn decide(mut case: Case<'_>, observed: &Observed) -> Plan<SandboxStatus, Step> {
    if observed.listed.is_some() {
        return sweep_orphans(case, observed);
    }
    match absorb(&mut case, observed) {
        Absorbed::Failed(failure) => case.fail(&failure),
        Absorbed::Lost if create::is_wanted(&case, &observed.asked) => lost(case),
        Absorbed::Lost => create::bring_up(case, observed),
        Absorbed::Known => rest(case, observed),
    }
}

/// Only renewal goes on. What a look saw is recorded, nothing follows from it.
pub(super) fn while_suspended(mut case: Case<'_>, observed: &Observed) -> Plan<SandboxStatus, Step> {
    if let Absorbed::Failed(failure) = absorb(&mut case, observed) {
        return case.fail(&failure);
    }
    case.stand(Standing::Ready, reason::SUSPENDED, "");
    let runs = case.status.state == Some(SandboxState::Running);
    if runs && observed.look.is_some() && renewal_is_due(&case, &observed.asked) {
        let id = case.id();
        return Plan::act(case.status, Step::Renew { id });
    }
    let renews = runs && observed.asked.needed && !case.status.lifetime_limited;
    let next = if renews { overdue_or(&case, &observed.asked) } else { Next::AwaitChange };
    case.settle(next)
}

enum Absorbed {
    /// As far as known it is there.
    Known,
    /// It is gone, and that is noted.
    Lost,
    Failed(crate::domain::failure::Failure),
}

fn absorb(case: &mut Case<'_>, observed: &Observed) -> Absorbed {
    let (Some(look), Some(Ok(credential))) = (&observed.look, &observed.credential) else {
        return Absorbed::Known;
    };
    match look {
        Err(failure) => Absorbed::Failed(failure.clone()),
        Ok(None) => match case.not_found(credential) {
            Ok(()) => Absorbed::Lost,
            Err(failure) => Absorbed::Failed(failure),
        },
        Ok(Some(seen)) if is_anothers(seen, case.sandbox) => {
            case.lose(NOT_OURS);
            Absorbed::Lost
        }
        Ok(Some(seen)) => {
            case.take(seen, credential);
            Absorbed::Known
        }
    }
}

/// The loss is recorded first; what follows from it is the next pass's.
pub(super) fn lost(mut case: Case<'_>) -> Plan<SandboxStatus, Step> {
    let message = format!("E2B sandbox {} is gone", case.id());
    case.stand(Standing::Reconciling, reason::PROGRESSING, &message);
    case.settle(Next::Now)
}

/// The state is known: resume, renew, or leave it alone.
pub(super) fn rest(mut case: Case<'_>, observed: &Observed) -> Plan<SandboxStatus, Step> {
    let asked = &observed.asked;
    let id = case.id();
    match case.status.state {
        Some(SandboxState::Running) => {
            case.stand(Standing::Ready, reason::RUNNING, &running(&id));
            if observed.look.is_some() && renewal_is_due(&case, asked) {
                return Plan::act(case.status, Step::Renew { id });
            }
        }
        Some(SandboxState::Paused) if asked.needed => {
            let message = format!("resuming E2B sandbox {id}");
            case.stand(Standing::Reconciling, reason::PROGRESSING, &message);
            return Plan::act(case.status, Step::Connect { id });
        }
        Some(SandboxState::Paused) => {
            let message = format!("E2B sandbox {id} is paused; it is resumed when a Task needs it");
            case.stand(Standing::Ready, reason::IDLE, &message);
        }
        Some(SandboxState::Gone) => return create::bring_up(case, observed),
        // Never looked at; the next pass does.
        Some(SandboxState::Unknown) | None => return case.settle(Next::After(AFTER_EXPIRY)),
    }
    let next = attention(&case, observed);
    case.settle(next)
}

pub(super) fn running(id: &str) -> String {
    format!("E2B sandbox {id} is running")
}

/// When a sandbox at rest is next looked at.
fn attention(case: &Case<'_>, observed: &Observed) -> Next {
    let now = case.now;
    let mut next = Next::AwaitChange;
    if case.status.state == Some(SandboxState::Running) {
        next = overdue_or(case, &observed.asked);
    }
    if observed.asked.unreachable {
        let last = if observed.look.is_some() { Some(now) } else { observed.asked.last_look };
        next = next.or_at(Some(last.unwrap_or(now) + UNREACHABLE), now);
    }
    next.or_at(case.status.orphan_check_at.as_ref().map(|at| at.0), now)
}

/// What is overdue although it was just seen is asked again after a while, not in a circle.
fn overdue_or(case: &Case<'_>, asked: &Asked) -> Next {
    let due = due_at(case, asked);
    Next::At(if due <= case.now { case.now + AFTER_EXPIRY } else { due })
}

/// Kills what came of doubtful creates beside the sandbox of this object, one a pass.
pub(super) fn sweep_orphans(mut case: Case<'_>, observed: &Observed) -> Plan<SandboxStatus, Step> {
    match &observed.listed {
        Some(Ok(listed)) => {
            let own = case.status.sandbox_id.as_deref();
            if let Some(Ok(credential)) = &observed.credential
                && listed.iter().any(|seen| Some(seen.id.as_str()) == own)
            {
                case.status.credential = Some(bounds::cut(credential, bounds::SHA));
            }
            let orphan =
                listed.iter().find(|seen| is_ours(seen, case.sandbox) && Some(seen.id.as_str()) != own);
            if let Some(orphan) = orphan {
                return Plan::act(case.status, Step::Kill { id: orphan.id.clone() });
            }
            case.status.orphan_check_at = None;
        }
        Some(Err(failure)) => postpone_orphans(&mut case, failure.class.is_retryable()),
        None => {}
    }
    case.settle(Next::Now)
}

/// A check in the background that failed is made again later; the object is none the worse for it.
pub(super) fn postpone_orphans(case: &mut Case<'_>, retryable: bool) {
    check_orphans_in(case, if retryable { UNREACHABLE } else { crate::domain::retry::SLOW });
}

/// One was killed: whether there are more, a later list tells, when E2B's own view has caught up.
pub(super) fn orphan_is_killed(case: &mut Case<'_>) {
    if case.status.orphan_check_at.as_ref().is_none_or(|at| at.0 <= case.now) {
        check_orphans_in(case, AFTER_EXPIRY);
    }
}

fn check_orphans_in(case: &mut Case<'_>, wait: SignedDuration) {
    case.status.orphan_check_at = Some(Time(whole_seconds(case.now + wait)));
}
