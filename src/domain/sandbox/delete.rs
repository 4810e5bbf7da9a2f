//! The end of a Sandbox: its E2B sandbox is killed, paused or left, and one that a create may still make is waited for.
//! What is to stay is put on record first, or the sweep would end it. The finalizer goes when nothing is left to do, or can be done.

use super::{
    E2bSandbox, Ended, Keyed, KillEnd, Life, Listing, Look, LookupResult, PauseEnd, Quiet, Search, Stage,
    Step,
    marks::{is_anothers, is_ours},
    scope::{CREATE_OVER, KILLED, NOT_FOUND, NOT_OURS, Scope},
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

/// Time for which a key that works is waited for.
const WITHOUT_KEY: SignedDuration = SignedDuration::from_mins(10);
/// Time for which E2B is waited for.
const WITHOUT_E2B: SignedDuration = SignedDuration::from_hours(1);
/// Interval at which the list is asked for sandboxes that a create may still make.
const POLL: SignedDuration = SignedDuration::from_secs(10);

fn policy(scope: &Scope<'_>) -> DeletionPolicy {
    scope.sandbox.spec.deletion_policy.unwrap_or(DeletionPolicy::Kill)
}

/// Returns whether the recorded sandbox still has to be dealt with.
fn has_work(scope: &Scope<'_>) -> bool {
    let paused = scope.status.state == Some(SandboxState::Paused);
    // A pause that was recorded earlier may be over: the beginning of the deletion looks once.
    scope.exists() && !(policy(scope) == DeletionPolicy::Pause && paused && !scope.hurried)
}

/// Returns until when a sandbox may turn up that a create without a recorded id has made.
fn search_until(scope: &Scope<'_>) -> Option<Timestamp> {
    let creating = scope.status.creating.as_ref();
    // A refused create makes no sandbox.
    let creating = creating.filter(|creating| creating.answer != Some(CreateAnswer::Refused));
    let creating = creating.map(|creating| creating.requested_at.0 + CREATE_OVER);
    // What was kept for its files is ended like everything else.
    let kept = scope.status.history.iter().any(|past| past.kept).then_some(scope.now);
    creating.max(scope.status.orphan_check_at.as_ref().map(|at| at.0)).max(kept)
}

/// Returns whether something is to stay at E2B that carries the marks of this object, and is not on record yet.
fn is_to_be_kept(scope: &Scope<'_>) -> bool {
    let stays = policy(scope) != DeletionPolicy::Kill && (scope.exists() || search_until(scope).is_some());
    stays && !scope.status.kept
}

/// Finds the stage of a deletion: the recorded sandbox first, then the search for others.
pub(super) fn locate(scope: &Scope<'_>) -> Stage {
    let searches = search_until(scope).is_some();
    let rests = policy(scope) == DeletionPolicy::Retain || !(has_work(scope) || searches);
    if rests && !is_to_be_kept(scope) {
        Stage::Quiet(Quiet::Release)
    } else if let Some(until) = retry::wait_until(scope.status.retry.as_ref(), scope.now) {
        Stage::Quiet(Quiet::Waits(until))
    } else if is_to_be_kept(scope) {
        Stage::Quiet(Quiet::Keep)
    } else if has_work(scope) {
        Stage::Look(Look::Deletion)
    } else {
        Stage::Search(Search::Deletion)
    }
}

/// Decides by a look at the recorded sandbox.
pub(super) fn looked(
    scope: Scope<'_>,
    answer: &Keyed<Result<LookupResult, Failure>>,
) -> Plan<SandboxStatus, Step> {
    answered(scope, answer, |scope, found, credential| match found {
        // E2B's GET answers 404 for living ones too: the call that ends it is made all the same, and its answer counts.
        LookupResult::NotFound(_) => {
            let id = scope.id();
            match step(&scope, id, Life::Other) {
                Some(step) => Plan::act(scope.status, step).with_finalizer(true),
                None => go_on(scope),
            }
        }
        LookupResult::Found(seen) => existing(scope, seen, credential),
    })
}

/// Decides by a list of the sandboxes that creates without a recorded id have made.
pub(super) fn searched(scope: Scope<'_>, answer: &Keyed<Listing>) -> Plan<SandboxStatus, Step> {
    answered(scope, answer, |scope, listed, _| found(scope, listed))
}

/// Decides by what E2B has answered under some key. Without a key or an answer it is tried again, with an end.
fn answered<'a, T>(
    mut scope: Scope<'a>,
    answer: &Keyed<Result<T, Failure>>,
    decide: impl FnOnce(Scope<'a>, &T, &str) -> Plan<SandboxStatus, Step>,
) -> Plan<SandboxStatus, Step> {
    let under = match answer {
        Ok(under) => under,
        Err(failure) => return without_key(scope, failure),
    };
    stand(&mut scope);
    match &under.answer {
        Err(failure) => failed(scope, failure),
        Ok(found) => decide(scope, found, &under.credential),
    }
}

fn stand(scope: &mut Scope<'_>) {
    let message = "dealing with the E2B sandbox as deletionPolicy says";
    scope.stand(Standing::Reconciling, reason::DELETING, message);
}

/// The recorded sandbox is there.
fn existing(mut scope: Scope<'_>, seen: &E2bSandbox, credential: &str) -> Plan<SandboxStatus, Step> {
    if is_anothers(seen, scope.sandbox) {
        scope.lose(NOT_OURS, false);
        return go_on(scope);
    }
    scope.adopt_observation(seen, credential);
    match step(&scope, seen.id.clone(), seen.life) {
        Some(step) => Plan::act(scope.status, step).with_finalizer(true),
        None => go_on(scope),
    }
}

/// Returns the step that the policy asks for one sandbox.
fn step(scope: &Scope<'_>, id: String, life: Life) -> Option<Step> {
    match (policy(scope), life) {
        (DeletionPolicy::Kill, _) => Some(Step::Kill { id }),
        (DeletionPolicy::Pause, Life::Running | Life::Other) => Some(Step::Pause { id }),
        (DeletionPolicy::Pause, Life::Paused) | (DeletionPolicy::Retain, _) => None,
    }
}

/// Finds the sandboxes that creates without a recorded id have made.
fn found(mut scope: Scope<'_>, listed: &[E2bSandbox]) -> Plan<SandboxStatus, Step> {
    let own = scope.status.sandbox_id.as_deref();
    let mut others =
        listed.iter().filter(|seen| is_ours(seen, scope.sandbox) && Some(seen.id.as_str()) != own);
    if let Some(step) = others.find_map(|seen| step(&scope, seen.id.clone(), seen.life)) {
        return Plan::act(scope.status, step).with_finalizer(true);
    }
    scope.status.retry = None;
    match search_until(&scope).filter(|until| *until > scope.now) {
        Some(until) => {
            let message = "waiting for a create with unknown result to expire";
            scope.stand(Standing::Reconciling, reason::DELETING, message);
            let next = Next::At(until.min(scope.now + POLL));
            scope.settle(next).with_finalizer(true)
        }
        None => release(scope),
    }
}

/// The recorded sandbox is dealt with: the search for others comes next, if there may be any.
fn go_on(scope: Scope<'_>) -> Plan<SandboxStatus, Step> {
    if search_until(&scope).is_some() { scope.settle(Next::Now).with_finalizer(true) } else { release(scope) }
}

/// Puts on record that what was made for the object stays.
pub(super) fn keep(mut scope: Scope<'_>) -> Plan<SandboxStatus, Step> {
    stand(&mut scope);
    // The look at the beginning of the deletion is still to come.
    let before = scope.sandbox.status.as_ref();
    scope.status.observed_generation = before.map(|before| before.observed_generation).unwrap_or_default();
    Plan::act(scope.status, Step::Keep).with_finalizer(true)
}

pub(super) fn record(mut scope: Scope<'_>, ended: Ended, credential: &str) -> Plan<SandboxStatus, Step> {
    // A key that has never seen the sandbox gets a 404 for one that runs.
    let sees = scope.status.credential.as_deref() == Some(credential);
    match ended {
        Ended::Killed { result: Err(failure), .. } | Ended::Paused { result: Err(failure), .. } => {
            failed(scope, &failure)
        }
        Ended::Killed { id, result: Ok(end) } if Some(&id) == scope.status.sandbox_id.as_ref() => {
            if end == KillEnd::NotFound && !sees {
                let failure = scope.not_visible();
                return failed(scope, &failure);
            }
            scope.lose(if end == KillEnd::Killed { KILLED } else { NOT_FOUND }, false);
            go_on(scope)
        }
        Ended::Paused { id, result: Ok(end) } if Some(&id) == scope.status.sandbox_id.as_ref() => match end {
            PauseEnd::Paused => {
                scope.status.state = Some(SandboxState::Paused);
                scope.status.expires_at = None;
                scope.status.paused_at = Some(Time(scope.now));
                go_on(scope)
            }
            PauseEnd::Gone if sees => {
                scope.lose(NOT_FOUND, false);
                go_on(scope)
            }
            PauseEnd::Gone => {
                let failure = scope.not_visible();
                failed(scope, &failure)
            }
            PauseEnd::Unclear => {
                let failure = Failure {
                    operation: "pauseSandbox",
                    class: Class::Transient,
                    reason: reason::RETRYING,
                    message: "the sandbox changes its state".into(),
                };
                failed(scope, &failure)
            }
        },
        Ended::Kept(Ok(())) => {
            scope.status.kept = true;
            scope.status.retry = None;
            scope.settle(Next::Now).with_finalizer(true)
        }
        Ended::Kept(Err(failure)) => {
            // Or each pass would take the deletion for news, and cut the wait short.
            scope.status.observed_generation = scope.generation();
            failed(scope, &failure)
        }
        // One of the found ones: the next list tells what is left.
        _ => scope.settle(Next::After(SignedDuration::from_secs(1))).with_finalizer(true),
    }
}

/// No key: its Secret is gone or of no use.
fn without_key(scope: Scope<'_>, error: &Failure) -> Plan<SandboxStatus, Step> {
    let verdict = scope.verdict_on_secret(error);
    helpless(scope, verdict, WITHOUT_KEY)
}

/// A key that is refused or sees nothing is as good as none; anything else may pass.
pub(super) fn failed(scope: Scope<'_>, failure: &Failure) -> Plan<SandboxStatus, Step> {
    let limit = match failure.class {
        Class::Denied | Class::NotFound => WITHOUT_KEY,
        Class::Transient | Class::Throttled { .. } | Class::Invalid => WITHOUT_E2B,
    };
    let verdict = scope.verdict(failure);
    helpless(scope, verdict, limit)
}

/// Tries again, until `limit` after the deletion was asked for; then lets go and names what is left.
fn helpless(mut scope: Scope<'_>, mut verdict: Verdict, limit: SignedDuration) -> Plan<SandboxStatus, Step> {
    let asked = scope.sandbox.metadata.deletion_timestamp.as_ref().map_or(scope.now, |at| at.0);
    let deadline = asked + limit;
    if scope.now >= deadline {
        let note = Note::warning(reason::SANDBOX_LEAKED, leak(&scope, &verdict.message));
        return scope.settle(Next::AwaitChange).with_note(note);
    }
    let message = format!(
        "{}; the Sandbox is let go {} minutes after its deletion was asked for, with its E2B sandbox left behind",
        verdict.message,
        limit.as_mins()
    );
    scope.stand(Standing::Reconciling, reason::DELETING, &message);
    if !verdict.retry.limited && verdict.retry.next_attempt_at.0 > deadline {
        verdict.retry.next_attempt_at = Time(deadline);
    }
    let next = Next::At(verdict.retry.next_attempt_at.0);
    scope.status.retry = Some(verdict.retry);
    scope.settle(next).with_finalizer(true)
}

/// Lists what this deletion leaks, for the Warning event.
fn leak(scope: &Scope<'_>, why: &str) -> String {
    let pauses = scope.sandbox.spec.on_timeout == OnTimeout::Pause;
    let mut left = Vec::new();
    if has_work(scope) {
        let fate = match (scope.status.state, pauses) {
            (Some(SandboxState::Paused), _) => "stays paused until killed",
            (_, true) => "pauses at its time-out and stays paused until killed",
            (_, false) => "runs until its time-out",
        };
        left.push(format!("E2B sandbox {} was left behind and {fate}", scope.id()));
    }
    if search_until(scope).is_some() {
        let fate = if pauses { ", which stays paused until killed," } else { "" };
        left.push(format!("an E2B sandbox{fate} may exist with metadata slipway/uid={}", scope.uid()));
    }
    if is_to_be_kept(scope) {
        left.push("it is not on record as kept, so the operator may kill it later".to_owned());
    }
    format!("{}: {why}", left.join("; "))
}

/// Nothing is left to do: the finalizer goes.
pub(super) fn release(scope: Scope<'_>) -> Plan<SandboxStatus, Step> {
    let left = match policy(&scope) {
        DeletionPolicy::Kill => None,
        DeletionPolicy::Pause => Some("stays paused until killed"),
        DeletionPolicy::Retain => Some("is left as it is"),
    };
    let exists = scope.exists();
    let id = scope.id();
    let plan = scope.settle(Next::AwaitChange);
    match left {
        Some(fate) if exists => plan.with_note(Note {
            warning: false,
            reason: reason::DELETING,
            message: format!("E2B sandbox {id} {fate}, as deletionPolicy says"),
        }),
        _ => plan,
    }
}
