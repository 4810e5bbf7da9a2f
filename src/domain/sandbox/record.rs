//! Records in the status what a step has changed, once its outcome is known.
//! Called by the shell through `controllers::sandbox`, after `decide` and the step.

use super::{
    ConnectEnd, E2bSandbox, Ended, Life, Listing, LookupResult, Marked, Outcome, Step, delete, existing,
    mark, orphans, pauses,
    scope::{Absence, Scope},
};
use crate::{
    api::{
        CreateAnswer, OnTimeout, Sandbox, SandboxState, SandboxStatus, bounds, common::whole_seconds,
        conditions::reason,
    },
    domain::{
        failure::{Class, Failure},
        plan::{Next, Note, Plan},
    },
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// A renewal that moves the end by less than this has met the plan's maximum run.
const LEAST_GAIN: SignedDuration = SignedDuration::from_secs(30);

/// Operations of the steps, as `status.retry` names them.
const CONNECT: &str = "connectSandbox";
const RENEW: &str = "setSandboxTimeout";

/// Returns the plan to write with the outcome of its step.
pub fn record(
    sandbox: &Sandbox,
    plan: Plan<SandboxStatus, Step>,
    outcome: Outcome,
    now: Timestamp,
) -> Plan<SandboxStatus, Step> {
    let mut notes = plan.notes;
    // The decision may have a time of its own at which it has to be made again.
    let planned = if let Next::At(at) = plan.next { Some(at) } else { None };
    let decided = plan.status.clone();
    let mut scope = Scope::resume(sandbox, plan.status, now);
    // Steps are made for a sandbox that somebody needs.
    scope.needed = true;
    let Outcome { credential, sent, ended, mark: marked } = outcome;
    let mut recorded = if scope.is_deleting() {
        delete::record(scope, ended, &credential)
    } else {
        let recorded = match ended {
            Ended::Created { id } => created(scope, &id, &credential, sent, marked),
            Ended::NotCreated { answer, failure } => not_created(scope, answer, &failure),
            Ended::Connected(Ok(ConnectEnd::Resumed)) => resumed(scope, &credential, sent, marked),
            Ended::Connected(Ok(ConnectEnd::Ran)) => ran(scope, &credential, sent, marked),
            Ended::Marked => {
                let now = scope.now;
                mark::record(&mut scope.status, marked, now);
                runs(scope)
            }
            Ended::Renewed(Ok(LookupResult::Found(seen))) => renewed(scope, &seen, &credential),
            Ended::Connected(Ok(ConnectEnd::NotFound(listed))) => {
                not_there(scope, &listed, &credential, CONNECT)
            }
            Ended::Renewed(Ok(LookupResult::NotFound(listed))) => {
                not_there(scope, &listed, &credential, RENEW)
            }
            Ended::Connected(Err(failure)) => {
                // Its memory does not come back: the next connect leaves it out, once.
                scope.status.memory_dropped |= failure.reason == reason::SANDBOX_SNAPSHOT_UNRESPONSIVE;
                scope.fail(&failure)
            }
            Ended::Renewed(Err(failure)) => scope.fail(&failure),
            Ended::Killed { result, .. } => orphans::record(scope, &result),
            // Only a deletion pauses or keeps.
            Ended::Paused { .. } | Ended::Kept(_) => scope.settle(Next::Now),
        };
        recorded.with_finalizer(true)
    };
    recorded.next = recorded.next.or_at(planned, now);
    notes.append(&mut recorded.notes);
    notes.extend(mark::note(Some(&decided), &recorded.status));
    notes.extend(mark::silence(Some(&decided), &recorded.status));
    recorded.notes = notes;
    recorded
}

/// Returns the plan to write when a pass ran out of time: the object backs off as after any failed call.
pub fn timed_out(sandbox: &Sandbox, failure: &Failure, now: Timestamp) -> Plan<SandboxStatus, Step> {
    let mut scope = Scope::resume(sandbox, sandbox.status.clone().unwrap_or_default(), now);
    scope.needed = true;
    if scope.is_deleting() {
        delete::failed(scope, failure)
    } else {
        scope.fail(failure).with_finalizer(true)
    }
}

fn created(
    mut scope: Scope<'_>,
    id: &str,
    credential: &str,
    sent: Timestamp,
    marked: Option<Marked>,
) -> Plan<SandboxStatus, Step> {
    if let Some(creating) = scope.status.creating.clone() {
        scope.own(id, &creating);
    }
    let now = scope.now;
    mark::record(&mut scope.status, marked, now);
    run_begins(&mut scope, credential, sent);
    runs(scope)
}

/// It runs. Where its daemon does not tell with which files, it is asked again at an even pace: a retry with a time of its own
/// would be a write, and would wake every Task, each time.
fn runs(mut scope: Scope<'_>) -> Plan<SandboxStatus, Step> {
    existing::tell_running(&mut scope);
    let awaited = mark::is_awaited(&scope.status);
    let next = if awaited { Next::At(scope.now + mark::AGAIN) } else { Next::Now };
    scope.settle(next)
}

/// The answers of create and connect don't say when the sandbox ends: the time to live runs from their arrival, so
/// from the sending it is never over-estimated.
fn run_begins(scope: &mut Scope<'_>, credential: &str, sent: Timestamp) {
    let expires = Time(whole_seconds(sent + scope.time_to_live()));
    let status = &mut scope.status;
    status.state = Some(SandboxState::Running);
    status.credential = Some(bounds::cut(credential, bounds::SHA));
    status.started_at = Some(Time(whole_seconds(sent)));
    status.last_running_at = Some(Time(whole_seconds(sent)));
    status.expires_at = Some(expires);
    status.lifetime_limited = false;
    status.missing_since = None;
    status.retry = None;
}

fn not_created(mut scope: Scope<'_>, answer: CreateAnswer, failure: &Failure) -> Plan<SandboxStatus, Step> {
    if let Some(creating) = &mut scope.status.creating {
        creating.answer = Some(answer);
    }
    scope.fail(failure)
}

fn resumed(
    mut scope: Scope<'_>,
    credential: &str,
    sent: Timestamp,
    marked: Option<Marked>,
) -> Plan<SandboxStatus, Step> {
    let now = scope.now;
    // The silence of an earlier run must not cost this one its memory.
    scope.status.unmarked_since = None;
    mark::record(&mut scope.status, marked, now);
    scope.status.reconnects += 1;
    scope.status.last_reconnect_time = Some(Time(scope.now));
    pauses::end(&mut scope.status, scope.now);
    run_begins(&mut scope, credential, sent);
    runs(scope)
}

/// Somebody else resumed it: since when and for how long, only a look tells.
fn ran(
    mut scope: Scope<'_>,
    credential: &str,
    sent: Timestamp,
    marked: Option<Marked>,
) -> Plan<SandboxStatus, Step> {
    let now = scope.now;
    mark::record(&mut scope.status, marked, now);
    scope.status.reconnects += 1;
    run_begins(&mut scope, credential, sent);
    scope.status.expires_at = None;
    runs(scope)
}

fn renewed(mut scope: Scope<'_>, seen: &E2bSandbox, credential: &str) -> Plan<SandboxStatus, Step> {
    let before = scope.status.expires_at.as_ref().map(|at| at.0);
    scope.adopt_observation(seen, credential);
    let id = scope.id();
    let mut note = None;
    if seen.life == Life::Running {
        scope.status.last_running_at = Some(Time(scope.now));
        existing::tell_running(&mut scope);
        let is_limited = before.is_some_and(|before| seen.end_at.duration_since(before) < LEAST_GAIN);
        if is_limited && !scope.status.lifetime_limited && scope.sandbox.spec.on_timeout == OnTimeout::Kill {
            note = Some(Note::warning(
                reason::SANDBOX_LIFETIME_LIMIT,
                format!(
                    "E2B does not extend the run of sandbox {id} beyond {}: it is killed then, with all files that are not \
                     committed; set onTimeout to Pause on the next Sandbox to keep them",
                    whole_seconds(seen.end_at)
                ),
            ));
        }
        scope.status.lifetime_limited |= is_limited;
    }
    let plan = scope.settle(Next::Now);
    match note {
        Some(note) => plan.with_note(note),
        None => plan,
    }
}

/// A step did not find the sandbox that a look has just shown. Whoever needs it may have files in it: a look of its own has
/// to say the same before it counts as gone.
fn not_there(
    mut scope: Scope<'_>,
    listed: &Listing,
    credential: &str,
    operation: &'static str,
) -> Plan<SandboxStatus, Step> {
    match scope.not_found(listed, credential, true) {
        Absence::Gone => existing::lost(scope),
        Absence::Once => scope.look_twice(),
        Absence::Unclear(failure) => scope.fail(&failure),
        Absence::Listed(_) => {
            scope.status.missing_since = None;
            scope.fail(&Failure {
                operation,
                class: Class::Transient,
                reason: reason::RETRYING,
                message: "E2B answered 404 for a sandbox that it lists, so it is there".into(),
            })
        }
    }
}
