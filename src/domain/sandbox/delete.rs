//! The end of a Sandbox: its E2B sandbox is killed, paused or left, and what may still come of a create is awaited.
//! Beside `known` and `create`; the finalizer goes when nothing is left to do, or nothing can be done.

use super::{
    CREATE_OVER, Ended, Lack, Life, Looking, Observed, PauseEnd, Read, Seen, Step,
    case::{Case, KILLED, NOT_FOUND, NOT_OURS},
    marks::{is_anothers, is_ours},
};
use crate::{
    api::{CreateAnswer, DeletionPolicy, OnTimeout, SandboxState, SandboxStatus, conditions::reason},
    domain::{
        conditions::Standing,
        failure::{Class, Failure},
        plan::{Next, Note, Plan},
        retry::{self, Verdict},
    },
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// How long a key that works is waited for.
const WITHOUT_KEY: SignedDuration = SignedDuration::from_mins(10);
/// How long E2B is waited for.
const WITHOUT_E2B: SignedDuration = SignedDuration::from_hours(1);
/// How often the list is asked for what may come of a create.
const POLL: SignedDuration = SignedDuration::from_secs(10);

fn policy(case: &Case<'_>) -> DeletionPolicy {
    case.sandbox.spec.deletion_policy.unwrap_or(DeletionPolicy::Kill)
}

/// Whether the known sandbox still has to be dealt with.
fn has_work(case: &Case<'_>) -> bool {
    let paused = case.status.state == Some(SandboxState::Paused);
    // A pause that was recorded earlier may be over: the beginning of the deletion looks once.
    case.is_known() && !(policy(case) == DeletionPolicy::Pause && paused && !case.hurried)
}

/// Until when a sandbox may turn up that came of a create without a recorded id.
fn search_until(case: &Case<'_>) -> Option<Timestamp> {
    let creating = case.status.creating.as_ref();
    // Nothing comes of a refused create.
    let creating = creating.filter(|creating| creating.answer != Some(CreateAnswer::Refused));
    let creating = creating.map(|creating| creating.requested_at.0 + CREATE_OVER);
    creating.max(case.status.orphan_check_at.as_ref().map(|at| at.0))
}

pub(super) fn wants(case: &Case<'_>) -> Looking {
    let waits = retry::wait_until(case.status.retry.as_ref(), case.now).is_some();
    if waits || policy(case) == DeletionPolicy::Retain {
        Looking::default()
    } else if has_work(case) {
        Looking::read(Read::Get)
    } else if search_until(case).is_some() {
        Looking::read(Read::List)
    } else {
        Looking::default()
    }
}

pub(super) fn decide(mut case: Case<'_>, observed: &Observed) -> Plan<SandboxStatus, Step> {
    if policy(&case) == DeletionPolicy::Retain || !(has_work(&case) || search_until(&case).is_some()) {
        return release(case);
    }
    if let Some(until) = retry::wait_until(case.status.retry.as_ref(), case.now) {
        return case.wait(until).with_finalizer(true);
    }
    let credential = match &observed.credential {
        Some(Ok(credential)) => credential,
        Some(Err(lack)) => return without_key(case, lack),
        None => return case.settle(Next::After(POLL)).with_finalizer(true),
    };
    case.stand(
        Standing::Reconciling,
        reason::DELETING,
        "dealing with the E2B sandbox as deletionPolicy says",
    );
    match (&observed.look, &observed.listed) {
        (Some(Err(failure)), _) | (None, Some(Err(failure))) => failed(case, failure),
        (Some(Ok(None)), _) => match case.not_found(credential) {
            Ok(()) => go_on(case),
            Err(failure) => failed(case, &failure),
        },
        (Some(Ok(Some(seen))), _) => known(case, seen, credential),
        (None, Some(Ok(listed))) => found(case, listed),
        (None, None) => case.settle(Next::After(POLL)).with_finalizer(true),
    }
}

/// The known sandbox is there.
fn known(mut case: Case<'_>, seen: &Seen, credential: &str) -> Plan<SandboxStatus, Step> {
    if is_anothers(seen, case.sandbox) {
        case.lose(NOT_OURS);
        return go_on(case);
    }
    case.take(seen, credential);
    match step(&case, seen) {
        Some(step) => Plan::act(case.status, step).with_finalizer(true),
        None => go_on(case),
    }
}

/// What the policy asks for one sandbox.
fn step(case: &Case<'_>, seen: &Seen) -> Option<Step> {
    let id = seen.id.clone();
    match (policy(case), seen.life) {
        (DeletionPolicy::Kill, _) => Some(Step::Kill { id }),
        (DeletionPolicy::Pause, Life::Running) => Some(Step::Pause { id }),
        (DeletionPolicy::Pause, Life::Paused) | (DeletionPolicy::Retain, _) => None,
    }
}

/// Sandboxes that came of creates without a recorded id.
fn found(mut case: Case<'_>, listed: &[Seen]) -> Plan<SandboxStatus, Step> {
    let own = case.status.sandbox_id.as_deref();
    let mut others =
        listed.iter().filter(|seen| is_ours(seen, case.sandbox) && Some(seen.id.as_str()) != own);
    if let Some(step) = others.find_map(|seen| step(&case, seen)) {
        return Plan::act(case.status, step).with_finalizer(true);
    }
    case.status.retry = None;
    match search_until(&case).filter(|until| *until > case.now) {
        Some(until) => {
            let message = "waiting until nothing can come any more of a create whose answer is not known";
            case.stand(Standing::Reconciling, reason::DELETING, message);
            let next = Next::At(until.min(case.now + POLL));
            case.settle(next).with_finalizer(true)
        }
        None => release(case),
    }
}

/// The known sandbox is dealt with: the search for others comes next, if there may be any.
fn go_on(case: Case<'_>) -> Plan<SandboxStatus, Step> {
    if search_until(&case).is_some() { case.settle(Next::Now).with_finalizer(true) } else { release(case) }
}

pub(super) fn record(mut case: Case<'_>, ended: Ended) -> Plan<SandboxStatus, Step> {
    match ended {
        Ended::Killed { result: Err(failure), .. } | Ended::Paused { result: Err(failure), .. } => {
            failed(case, &failure)
        }
        Ended::Killed { id, result: Ok(()) } if Some(&id) == case.status.sandbox_id.as_ref() => {
            case.lose(KILLED);
            go_on(case)
        }
        Ended::Paused { id, result: Ok(end) } if Some(&id) == case.status.sandbox_id.as_ref() => match end {
            PauseEnd::Paused => {
                case.status.state = Some(SandboxState::Paused);
                case.status.expires_at = None;
                case.status.paused_at = Some(Time(case.now));
                go_on(case)
            }
            PauseEnd::Gone => {
                case.lose(NOT_FOUND);
                go_on(case)
            }
            PauseEnd::Unclear => {
                let failure = Failure {
                    operation: "pauseSandbox",
                    class: Class::Transient,
                    reason: reason::RETRYING,
                    message: "the sandbox changes its state".into(),
                };
                failed(case, &failure)
            }
        },
        // One of the found ones: the next list tells what is left.
        _ => case.settle(Next::After(SignedDuration::from_secs(1))).with_finalizer(true),
    }
}

/// No key: its Secret is gone or of no use.
fn without_key(case: Case<'_>, lack: &Lack) -> Plan<SandboxStatus, Step> {
    let verdict = case.verdict_on(lack);
    helpless(case, verdict, WITHOUT_KEY)
}

/// A key that is refused or sees nothing is as good as none; anything else may pass.
fn failed(case: Case<'_>, failure: &Failure) -> Plan<SandboxStatus, Step> {
    let limit = match failure.class {
        Class::Denied | Class::NotFound => WITHOUT_KEY,
        Class::Transient | Class::Throttled { .. } | Class::Invalid => WITHOUT_E2B,
    };
    let verdict = case.verdict(failure);
    helpless(case, verdict, limit)
}

/// Tries again, until `limit` after the deletion was asked for; then lets go and names what is left.
fn helpless(mut case: Case<'_>, mut verdict: Verdict, limit: SignedDuration) -> Plan<SandboxStatus, Step> {
    let asked = case.sandbox.metadata.deletion_timestamp.as_ref().map_or(case.now, |at| at.0);
    let deadline = asked + limit;
    if case.now >= deadline {
        let note = Note::warning(reason::SANDBOX_LEAKED, leak(&case, &verdict.message));
        return case.settle(Next::AwaitChange).with_note(note);
    }
    let message = format!(
        "{}; the Sandbox is let go {} minutes after its deletion was asked for, with its E2B sandbox left behind",
        verdict.message,
        limit.as_mins()
    );
    case.stand(Standing::Reconciling, reason::DELETING, &message);
    if !verdict.retry.limited && verdict.retry.next_attempt_at.0 > deadline {
        verdict.retry.next_attempt_at = Time(deadline);
    }
    let next = Next::At(verdict.retry.next_attempt_at.0);
    case.status.retry = Some(verdict.retry);
    case.settle(next).with_finalizer(true)
}

/// What is left behind, for whom it may concern.
fn leak(case: &Case<'_>, why: &str) -> String {
    let pauses = case.sandbox.spec.on_timeout == OnTimeout::Pause;
    let mut left = Vec::new();
    if has_work(case) {
        let fate = match (case.status.state, pauses) {
            (Some(SandboxState::Paused), _) => "stays paused until killed",
            (_, true) => "pauses at its time-out and stays paused until killed",
            (_, false) => "runs until its time-out",
        };
        left.push(format!("E2B sandbox {} was left behind and {fate}", case.id()));
    }
    if search_until(case).is_some() {
        let fate = if pauses { ", which stays paused until killed," } else { "" };
        left.push(format!("an E2B sandbox{fate} may exist with metadata slipway/uid={}", case.uid()));
    }
    format!("{}: {why}", left.join("; "))
}

/// Nothing is left to do: the finalizer goes.
fn release(case: Case<'_>) -> Plan<SandboxStatus, Step> {
    let left = match policy(&case) {
        DeletionPolicy::Kill => None,
        DeletionPolicy::Pause => Some("stays paused until killed"),
        DeletionPolicy::Retain => Some("is left as it is"),
    };
    let known = case.is_known();
    let id = case.id();
    let plan = case.settle(Next::AwaitChange);
    match left {
        Some(fate) if known => plan.with_note(Note {
            warning: false,
            reason: reason::DELETING,
            message: format!("E2B sandbox {id} {fate}, as deletionPolicy says"),
        }),
        _ => plan,
    }
}
