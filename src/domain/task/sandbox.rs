//! The sandbox of a Task on its way: asked for, there, this Task's to use, and still the one the round began in.
//! Part of `position`, which needs it until the files are safe.

use super::{
    ending::keeps_dying,
    model::{COMING_UP, Context, Health, SandboxView, Step},
    preconditions::wait_is_on,
    round,
    scope::Scope,
    stage::{Purpose, RunningSandbox},
    template,
};
use crate::{
    api::{Phase, RERUN_ANNOTATION, SandboxRequest, conditions as names, conditions::reason},
    domain::{demand, failure::operation, plan::Next, retry},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

/// Result of reaching for the sandbox.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Reach {
    Running(RunningSandbox),
    /// The conditions already say what is waited for.
    Waits(Next),
    /// Something has to be done to a Sandbox object first.
    Acts(Step),
    /// The command there is ended first: the Sandbox is not this Task's to use, or what the command makes is lost and it may live all
    /// the same. The conditions already say why.
    Ends(Purpose),
    /// The round is over: its files are lost.
    Ended,
}

/// Reaches for the sandbox of the round: asks for it, and waits until it runs and it is this Task's turn.
pub(super) fn reach(scope: &mut Scope<'_>, context: &Context) -> Reach {
    let name = request(scope, context);
    let own = scope.task.spec.sandbox_template.is_some();
    let Some(sandbox) = context.sandbox(&name) else {
        return if own { create(scope, &name) } else { look_for(scope, &name) };
    };
    scope.found(operation::FIND_SANDBOX);
    if let Some(reach) = refused(scope, context, sandbox, own) {
        return reach;
    }
    if own {
        if let Some(reach) = follow_template(scope, context, sandbox) {
            return reach;
        }
    } else if let Some(reach) =
        drop_own(scope, context, sandbox).or_else(|| wait_for_turn(scope, context, sandbox))
    {
        return reach;
    }
    if scope.phase() == Phase::Pending {
        scope.status.phase = Some(Phase::Preparing);
    }
    match sandbox.id.clone().filter(|_| sandbox.running && !sandbox.deleting) {
        Some(id) => {
            let running = RunningSandbox {
                id,
                incarnation: sandbox.incarnation,
                paused_seconds: sandbox.paused_seconds,
                rolled_back_at: sandbox.rolled_back_at,
            };
            lost_files(scope, context, &running).unwrap_or(Reach::Running(running))
        }
        None => wait_for_sandbox(scope, sandbox),
    }
}

/// Asks for the sandbox, once per round and need. Before the round has begun it follows what the spec names.
fn request(scope: &mut Scope<'_>, context: &Context) -> String {
    let wanted = round::wanted_sandbox(scope, context);
    let begun = round::has_begun(&scope.status);
    if let Some(request) = &scope.status.sandbox_request
        && (begun || request.sandbox_name == wanted)
    {
        return request.sandbox_name.clone();
    }
    scope.status.sandbox_request = Some(SandboxRequest {
        id: scope.request_id(),
        sandbox_name: wanted.clone(),
        since: Time(scope.now),
        unreachable_since: None,
        resting: false,
        begun: None,
    });
    let message = "the sandbox is asked for";
    scope.condition(names::SANDBOX_READY, false, reason::SANDBOX_REQUESTED, message);
    wanted
}

fn create(scope: &mut Scope<'_>, name: &str) -> Reach {
    if wait_is_on(scope, &Context::default()).is_some() {
        return held(scope);
    }
    if scope.phase() == Phase::Pending {
        scope.status.phase = Some(Phase::Preparing);
    }
    scope.waits_for_sandbox(name, &Health::NotReady(COMING_UP.into()));
    Reach::Acts(Step::CreateSandbox { name: name.to_owned() })
}

fn look_for(scope: &mut Scope<'_>, name: &str) -> Reach {
    let message = format!("Sandbox {name} does not exist in this namespace: create it");
    scope.missing(operation::FIND_SANDBOX, reason::SANDBOX_NOT_FOUND, &message);
    Reach::Waits(retry_time(scope))
}

/// Refuses a Sandbox that this Task must not use.
fn refused(scope: &mut Scope<'_>, context: &Context, sandbox: &SandboxView, own: bool) -> Option<Reach> {
    let (name, uid) = (&sandbox.name, scope.uid());
    let another = own && round::wanted_sandbox(scope, context) != *name;
    let (why, message) = match &sandbox.owner {
        owner if own && owner.as_ref().is_none_or(|owner| owner.uid != uid) => {
            let cure = if another {
                "the round goes on in another one"
            } else {
                "delete it, or set sandboxRef to use it"
            };
            (reason::SANDBOX_NOT_READY, format!("Sandbox {name} is not this Task's: {cure}"))
        }
        Some(owner) if owner.uid != uid => {
            let message = format!(
                "Sandbox {name} belongs to {}, which deletes it when it is done: \
                 refer to one of its own, or set sandboxTemplate",
                owner.name
            );
            (reason::SANDBOX_OWNED, message)
        }
        _ => return None,
    };
    if another {
        scope.working(why, &message);
    } else {
        scope.stalled(why, &message);
    }
    if round::live_run(scope.task, &scope.status).is_some() {
        return Some(Reach::Ends(Purpose::GiveBack));
    }
    scope.release_sandbox();
    Some(Reach::Waits(if another { Next::Now } else { Next::AwaitChange }))
}

/// Brings an own Sandbox in line with its template. It is fixed for its round: two fields are patched in place, and a Sandbox
/// that is made otherwise gives way to another until the round has begun in it. Those of earlier rounds are deleted once this
/// one exists.
fn follow_template(scope: &mut Scope<'_>, context: &Context, sandbox: &SandboxView) -> Option<Reach> {
    let template = &scope.task.spec.sandbox_template.as_ref()?.spec;
    let name = sandbox.name.clone();
    let uid = scope.uid();
    if template::needs_another(&sandbox.spec, template) && !round::has_begun(&scope.status) {
        scope.waits_for_sandbox(
            &name,
            &Health::NotReady("another one is made, because sandboxTemplate has changed".into()),
        );
        if sandbox.deleting {
            return Some(Reach::Waits(Next::AwaitChange));
        }
        if wait_is_on(scope, context).is_some() {
            return Some(held(scope));
        }
        return Some(Reach::Acts(Step::DeleteSandbox { name }));
    }
    let old = context
        .sandboxes
        .iter()
        .find(|other| other.name != name && other.is_owned_by(&uid) && !other.deleting);
    let patched = !sandbox.deleting && template::apply_in_place(&sandbox.spec, template) != sandbox.spec;
    let step = match old {
        Some(old) => Step::DeleteSandbox { name: old.name.clone() },
        None if patched => Step::PatchSandbox { name },
        None => return None,
    };
    if wait_is_on(scope, context).is_some() {
        return Some(held(scope));
    }
    scope.working(reason::SANDBOX_NOT_READY, "its Sandboxes are brought in line with sandboxTemplate");
    Some(Reach::Acts(step))
}

/// Deletes own Sandboxes of a Task that refers to another one by now.
fn drop_own(scope: &mut Scope<'_>, context: &Context, sandbox: &SandboxView) -> Option<Reach> {
    let uid = scope.uid();
    let is_left =
        |other: &&SandboxView| other.name != sandbox.name && other.is_owned_by(&uid) && !other.deleting;
    let left = context.sandboxes.iter().find(is_left)?;
    if wait_is_on(scope, context).is_some() {
        return Some(held(scope));
    }
    let message = "its own Sandbox is deleted, because the Task refers to another one now";
    scope.working(reason::SANDBOX_NOT_READY, message);
    Some(Reach::Acts(Step::DeleteSandbox { name: left.name.clone() }))
}

/// Waits for the turn, which the Sandbox's own controller gives: until it names the present request, nothing is done in there.
fn wait_for_turn(scope: &mut Scope<'_>, context: &Context, sandbox: &SandboxView) -> Option<Reach> {
    if sandbox.owner.is_some() {
        return None;
    }
    let request = scope.status.sandbox_request.as_ref().map(|request| request.id.clone());
    let holder = sandbox.holder.as_ref();
    if holder.is_some_and(|holder| Some(&holder.request) == request.as_ref()) {
        return None;
    }
    if wait_is_on(scope, context).is_some() {
        return Some(held(scope));
    }
    let name = &sandbox.name;
    let uid = scope.uid();
    if let Some(holder) = holder.filter(|holder| holder.uid != uid) {
        let line = context.place.map_or_else(String::new, |place| format!(", place {place} in the line"));
        let message = format!("Task {} works in Sandbox {name}{line}", holder.task);
        scope.working(reason::WAITING_FOR_SANDBOX, &message);
    } else {
        let message = format!("asking for the turn in Sandbox {name}");
        scope.working(reason::SANDBOX_REQUESTED, &message);
    }
    Some(Reach::Waits(Next::AwaitChange))
}

fn wait_for_sandbox(scope: &mut Scope<'_>, sandbox: &SandboxView) -> Reach {
    let unreachable =
        scope.status.sandbox_request.as_ref().is_some_and(|request| request.unreachable_since.is_some());
    if unreachable {
        // The sandbox that gave no answer is down or replaced: waiting for it is not waiting for a call to be repeated.
        scope.status.retry = retry::clear_backoff(scope.status.retry.take(), scope.now);
        if let Some(request) = &mut scope.status.sandbox_request {
            request.unreachable_since = None;
        }
    }
    if retry::wait_until(scope.status.retry.as_ref(), scope.now).is_some() {
        return held(scope);
    }
    scope.waits_for_sandbox(&sandbox.name, &sandbox.health);
    Reach::Waits(Next::AwaitChange)
}

fn held(scope: &mut Scope<'_>) -> Reach {
    scope.hold();
    Reach::Waits(retry_time(scope))
}

fn retry_time(scope: &Scope<'_>) -> Next {
    scope.status.retry.as_ref().map_or(Next::AwaitChange, |retry| Next::At(retry.next_attempt_at.0))
}

/// Notices that the round's files are lost: its sandbox was replaced, or another Task has worked in it meanwhile. A new empty
/// sandbox must never look like a recovery. Ends the round where nothing can be run again.
fn lost_files(scope: &mut Scope<'_>, context: &Context, sandbox: &RunningSandbox) -> Option<Reach> {
    let source = round::source_generation(scope.task, &scope.status);
    let taken = scope.status.files_from.is_some();
    let lived_in = source.map(|run| run.sandbox_id.clone()).or_else(|| scope.status.sandbox_id.clone());
    let made = match source {
        Some(run) => run.finished_at.as_ref().or(Some(&run.started_at)),
        // Without a command the files were there when the round's work began in the sandbox.
        None => scope.status.round_started_at.as_ref().filter(|_| lived_in.is_some()),
    };
    // Times are of whole seconds: within the same one only the turn tells what came first.
    let here = round::begun_in_turn(scope.task, &scope.status);
    let disturbed = made
        .zip(context.others_began)
        .is_some_and(|(made, began)| began > made.0 || (began == made.0 && !here));
    let replaced = lived_in.clone().filter(|known| *known != sandbox.id);
    // The same sandbox may come back with the files of an earlier pause.
    let rolled_back = made.zip(sandbox.rolled_back_at).is_some_and(|(made, at)| at > made.0);
    if replaced.is_none() && !disturbed && !rolled_back {
        return None;
    }
    if let Some(request) = &mut scope.status.sandbox_request {
        request.unreachable_since = None;
    }
    let what = loss(replaced.as_deref(), rolled_back.then_some(sandbox.id.as_str()));
    let cure = format!("set the annotation {RERUN_ANNOTATION} to a new value");
    match &scope.task.spec.generate {
        Some(_) if taken => {
            let message = format!("{what}, and a round that only publishes runs no command: {cure}");
            end_lost(scope, &message);
            Some(Reach::Ended)
        }
        None => {
            let message = format!(
                "{what}, and there is no command to make them again: put them into the sandbox and {cure}"
            );
            end_lost(scope, &message);
            Some(Reach::Ended)
        }
        Some(_) if replaced.is_none() && rolled_back => {
            lost(scope, &what);
            // E2B brings back what ran in the memory of then, also what has ended since.
            round::reopen_run(scope);
            Some(Reach::Ends(Purpose::End))
        }
        Some(generate) => {
            let allowed = i64::from(generate.max_attempts);
            if round::attempts(scope.task, &scope.status) >= allowed {
                keeps_dying(scope);
                return Some(Reach::Ended);
            }
            // Whatever the run's result was, its files are lost: it counts as not yet run.
            round::finish_run(scope, None);
            lost(scope, &what);
            None
        }
    }
}

fn lost(scope: &mut Scope<'_>, what: &str) {
    let message = format!("{what}: the command runs again");
    scope.condition(names::GENERATED, false, reason::GENERATION_LOST, &message);
    scope.status.phase = Some(Phase::Generating);
}

/// Words how the files were lost: with their sandbox, by its return with older ones, or by another Task.
fn loss(replaced: Option<&str>, rolled_back: Option<&str>) -> String {
    match (replaced, rolled_back) {
        (Some(lost), _) => format!("sandbox {lost} was lost with files that were not committed"),
        (None, Some(id)) => {
            format!("sandbox {id} came back with older files than those that were not committed")
        }
        (None, None) => "another Task has worked in the sandbox since the files were made".to_owned(),
    }
}

fn end_lost(scope: &mut Scope<'_>, message: &str) {
    scope.condition(names::COMMITTED, false, reason::SANDBOX_FILES_LOST, message);
    scope.end(reason::SANDBOX_FILES_LOST, message);
    scope.release_sandbox();
}

/// Name of the Sandbox that the round's command runs in: what was asked for, whatever the spec names now.
pub(super) fn requested(scope: &Scope<'_>) -> String {
    let request = scope.status.sandbox_request.as_ref();
    request.map_or_else(|| demand::sandbox_name(scope.task), |request| request.sandbox_name.clone())
}

/// Returns whether the Task has asked for a Sandbox that Tasks share.
pub(super) fn is_shared(scope: &Scope<'_>) -> bool {
    let own = demand::owned_sandbox_name(&scope.task.name_any(), &scope.uid());
    scope.status.sandbox_request.as_ref().is_some_and(|request| !request.sandbox_name.starts_with(&own))
}
