//! The sandbox of a Task on its way: there, this Task's to use, as its template says, and still the one the round began in.
//! Part of `stage`, which asks for it until the files are committed.

use super::{
    Context, Drift, Health, SandboxView,
    board::{BUILDING, PENDING},
    case::Case,
    round,
    stage::{Stage, gate},
};
use crate::{
    api::{conditions as names, conditions::reason},
    domain::{
        conditions::{find, is_true},
        failure::operation,
        need,
        plan::Next,
        retry,
    },
};
use jiff::SignedDuration;
use kube::ResourceExt;

/// How often a Task that waits for its turn looks for it: the end of another's turn may give no event of the Sandbox.
const TURN: SignedDuration = SignedDuration::from_secs(30);
/// Why an own Sandbox is not ready while it gives way to the next.
const REPLACED: &str = "another one is made, because sandboxTemplate has changed";
const PATCHED: &str = "its Sandbox is patched, because sandboxTemplate has changed";

/// The sandbox that a Task may work in now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RunningSandbox {
    /// E2B's id.
    pub id: String,
    pub incarnation: i64,
}

/// The sandbox is up and this Task's to use.
pub(super) fn running(case: &mut Case<'_>, context: &Context) -> Result<RunningSandbox, Stage> {
    let task = case.task;
    let name = need::sandbox_name(task);
    if let Some(holder) = &context.holder {
        if is_true(&case.status.conditions, names::STALLED) {
            // Who waits for a person stays so: to stand in line again would take the turn from whoever is next.
            gate(case)?;
        }
        case.row(PENDING);
        case.working(reason::WAITING_FOR_SANDBOX, &format!("Task {holder} works in Sandbox {name}"));
        return Err(Stage::Wait(Next::After(TURN)));
    }
    let Some(sandbox) = &context.sandbox else {
        if task.spec.sandbox_template.is_some() {
            gate(case)?;
            return Err(Stage::CreateSandbox);
        }
        let message = format!("Sandbox {name} does not exist in this namespace: create it");
        let at = case.missing(operation::FIND_SANDBOX, reason::SANDBOX_NOT_FOUND, &message);
        return Err(Stage::Wait(Next::At(at)));
    };
    case.found(operation::FIND_SANDBOX);
    if task.spec.sandbox_template.is_some() && sandbox.owner != task.uid() {
        let message = format!("Sandbox {name} is not this Task's: delete it, or set sandboxRef to use it");
        case.stalled(reason::SANDBOX_NOT_READY, &message);
        return Err(Stage::Wait(Next::AwaitChange));
    }
    follow_template(case, sandbox)?;
    if let Some(id) = sandbox.id.clone().filter(|_| sandbox.running && !sandbox.deleting) {
        ask(case, &name)?;
        return Ok(RunningSandbox { id, incarnation: sandbox.incarnation });
    }
    Err(wait_for_sandbox(case, sandbox))
}

/// The own Sandbox follows its template; where that takes another Sandbox, only before the round has begun in this one.
/// The patch comes first: what becomes of the old sandbox is for the new `deletionPolicy` to say.
fn follow_template(case: &mut Case<'_>, sandbox: &SandboxView) -> Result<(), Stage> {
    let Drift { mutable, frozen } = sandbox.drift;
    if mutable && !sandbox.deleting {
        gate(case)?;
        case.stay(reason::SANDBOX_NOT_READY, PATCHED);
        return Err(Stage::PatchSandbox);
    }
    if frozen && case.status.sandbox_id.is_none() {
        gate(case)?;
        case.waits_for_sandbox(&Health::NotReady(REPLACED.into()));
        case.condition(names::SANDBOX_READY, false, reason::TEMPLATE_CHANGED, REPLACED);
        return Err(if sandbox.deleting { Stage::Wait(Next::AwaitChange) } else { Stage::ReplaceSandbox });
    }
    Ok(())
}

/// The turn in a shared Sandbox is taken by asking for it, in a write of its own: who looks later sees that.
fn ask(case: &mut Case<'_>, name: &str) -> Result<(), Stage> {
    if need::has_asked(&case.status) {
        return Ok(());
    }
    case.condition(names::SANDBOX_READY, false, reason::SANDBOX_REQUESTED, "the sandbox is asked for");
    if case.task.spec.sandbox_ref.is_none() {
        return Ok(());
    }
    gate(case)?;
    case.row(BUILDING);
    case.working(reason::SANDBOX_REQUESTED, &format!("taking the turn in Sandbox {name}"));
    Err(Stage::Wait(Next::Now))
}

fn wait_for_sandbox(case: &mut Case<'_>, sandbox: &SandboxView) -> Stage {
    heard_of(case);
    if let Err(stage) = gate(case) {
        return stage;
    }
    case.waits_for_sandbox(&sandbox.health);
    Stage::Wait(Next::AwaitChange)
}

/// The sandbox that gave no answer is down or replaced: waiting for it is not waiting for a call to be repeated.
fn heard_of(case: &mut Case<'_>) {
    let unreachable = find(&case.status.conditions, names::SANDBOX_READY)
        .is_some_and(|ready| ready.reason == reason::SANDBOX_UNREACHABLE);
    if unreachable {
        case.status.retry = retry::hurry(case.status.retry.take(), case.now);
        let message = "the sandbox that gave no answer is down or replaced";
        case.condition(names::SANDBOX_READY, false, reason::SANDBOX_REQUESTED, message);
    }
}

/// The sandbox the round worked in has been replaced. A new empty one must never look like a recovery.
pub(super) fn replaced(case: &mut Case<'_>, sandbox: &RunningSandbox) -> Result<(), Stage> {
    let Some(lost) = case.status.sandbox_id.clone().filter(|known| *known != sandbox.id) else {
        return Ok(());
    };
    heard_of(case);
    let Some(generate) = &case.task.spec.generate else {
        let message = format!(
            "sandbox {lost} was lost with files that were not committed, and there is no command to make them again: \
             put them into the new sandbox and set the annotation {} to a new value",
            crate::api::RERUN_ANNOTATION
        );
        case.condition(names::COMMITTED, false, reason::SANDBOX_FILES_LOST, &message);
        return Err(Stage::Ended);
    };
    if round::attempts(case.task, &case.status) >= i64::from(generate.max_attempts) {
        super::generation::keeps_dying(case);
        return Err(Stage::Ended);
    }
    Ok(())
}
