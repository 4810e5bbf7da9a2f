//! What the status becomes once the outcome of a step is known.
//! Called by the shell through `controllers::sandbox`, after `decide` and the step.

use super::{Ended, LEAST_GAIN, Life, Outcome, Seen, Step, case::Case, delete, known};
use crate::{
    api::{
        CreateAnswer, OnTimeout, Sandbox, SandboxState, SandboxStatus, bounds, common::whole_seconds,
        conditions::reason,
    },
    domain::{
        conditions::Standing,
        failure::Failure,
        plan::{Next, Note, Plan},
    },
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// What `plan` becomes with the outcome of its step.
pub fn record(
    sandbox: &Sandbox,
    plan: Plan<SandboxStatus, Step>,
    outcome: Outcome,
    now: Timestamp,
) -> Plan<SandboxStatus, Step> {
    let mut notes = plan.notes;
    // The decision may have a time of its own at which it has to be made again.
    let planned = if let Next::At(at) = plan.next { Some(at) } else { None };
    let case = Case::resume(sandbox, plan.status, now);
    let Outcome { credential, sent, ended } = outcome;
    let mut recorded = if case.is_deleting() {
        delete::record(case, ended)
    } else {
        let recorded = match ended {
            Ended::Created { id } => created(case, &id, &credential, sent),
            Ended::NotCreated { answer, failure } => not_created(case, answer, &failure),
            Ended::Connected(Ok(Some(resumed))) => connected(case, &credential, sent, resumed),
            Ended::Renewed(Ok(Some(seen))) => renewed(case, &seen, &credential),
            Ended::Connected(Ok(None)) | Ended::Renewed(Ok(None)) => not_there(case, &credential),
            Ended::Connected(Err(failure)) | Ended::Renewed(Err(failure)) => case.fail(&failure),
            Ended::Killed { result, .. } => orphan_killed(case, result),
            // Only a deletion pauses.
            Ended::Paused { .. } => case.settle(Next::Now),
        };
        recorded.with_finalizer(true)
    };
    recorded.next = recorded.next.or_at(planned, now);
    notes.append(&mut recorded.notes);
    recorded.notes = notes;
    recorded
}

fn created(mut case: Case<'_>, id: &str, credential: &str, sent: Timestamp) -> Plan<SandboxStatus, Step> {
    if let Some(creating) = case.status.creating.clone() {
        case.own(id, &creating);
    }
    run_begins(&mut case, credential, sent);
    case.settle(Next::Now)
}

/// The answers of create and connect don't say when the sandbox ends: the time to live runs from their arrival, so
/// from the sending it is never over-estimated.
fn run_begins(case: &mut Case<'_>, credential: &str, sent: Timestamp) {
    let expires = Time(whole_seconds(sent + case.time_to_live()));
    let id = case.id();
    let status = &mut case.status;
    status.state = Some(SandboxState::Running);
    status.credential = Some(bounds::cut(credential, bounds::SHA));
    status.started_at = Some(Time(whole_seconds(sent)));
    status.expires_at = Some(expires);
    status.lifetime_limited = false;
    status.retry = None;
    case.stand(Standing::Ready, reason::RUNNING, &known::running(&id));
}

fn not_created(mut case: Case<'_>, answer: CreateAnswer, failure: &Failure) -> Plan<SandboxStatus, Step> {
    if let Some(creating) = &mut case.status.creating {
        creating.answer = Some(answer);
    }
    case.fail(failure)
}

fn connected(
    mut case: Case<'_>,
    credential: &str,
    sent: Timestamp,
    resumed: bool,
) -> Plan<SandboxStatus, Step> {
    if resumed {
        case.status.reconnects += 1;
        case.status.last_reconnect_time = Some(Time(case.now));
        case.count_resume();
        run_begins(&mut case, credential, sent);
    } else {
        // Somebody else resumed it: since when and for how long, only a look tells.
        run_begins(&mut case, credential, sent);
        case.status.expires_at = None;
    }
    case.settle(Next::Now)
}

fn renewed(mut case: Case<'_>, seen: &Seen, credential: &str) -> Plan<SandboxStatus, Step> {
    let before = case.status.expires_at.as_ref().map(|at| at.0);
    case.take(seen, credential);
    let id = case.id();
    let mut note = None;
    if seen.life == Life::Running {
        case.stand(Standing::Ready, reason::RUNNING, &known::running(&id));
        let is_limited = before.is_some_and(|before| seen.end_at.duration_since(before) < LEAST_GAIN);
        if is_limited && !case.status.lifetime_limited && case.sandbox.spec.on_timeout == OnTimeout::Kill {
            note = Some(Note::warning(
                reason::SANDBOX_LIFETIME_LIMIT,
                format!(
                    "E2B does not extend the run of sandbox {id} beyond {}: it is killed then, with all files that are not \
                     committed; set onTimeout to Pause on the next Sandbox to keep them",
                    whole_seconds(seen.end_at)
                ),
            ));
        }
        case.status.lifetime_limited |= is_limited;
    }
    let plan = case.settle(Next::Now);
    match note {
        Some(note) => plan.with_note(note),
        None => plan,
    }
}

fn not_there(mut case: Case<'_>, credential: &str) -> Plan<SandboxStatus, Step> {
    match case.not_found(credential) {
        Ok(()) => known::lost(case),
        Err(failure) => case.fail(&failure),
    }
}

fn orphan_killed(mut case: Case<'_>, result: Result<(), Failure>) -> Plan<SandboxStatus, Step> {
    match result {
        Ok(()) => known::orphan_is_killed(&mut case),
        Err(failure) => known::postpone_orphans(&mut case, failure.class.is_retryable()),
    }
    case.settle(Next::Now)
}
