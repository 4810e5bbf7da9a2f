//! A sandbox that has an id and is not known to be gone: look, resume, renew, let expire.
//! When it turns out to be gone, `create` says what follows.

use super::{
    Context, E2bSandbox, Keyed, Life, LookupResult, Quiet, Step, create, mark,
    marks::is_anothers,
    scope::{Absence, NOT_OURS, Scope},
};
use crate::{
    api::{SandboxState, SandboxStatus, conditions::reason},
    domain::{
        conditions::Standing,
        failure::Failure,
        plan::{Next, Note, Plan},
    },
};
use jiff::{SignedDuration, Timestamp};

/// E2B ends a sandbox within moments of its time-out; a look this long after sees the result.
const AFTER_EXPIRY: SignedDuration = SignedDuration::from_secs(10);
/// Interval of looks at a sandbox in a state of another name.
const CHANGING: SignedDuration = SignedDuration::from_secs(10);
/// Interval of looks at a sandbox while a Task says that it gives no answer.
const UNREACHABLE: SignedDuration = SignedDuration::from_secs(30);

/// The stage of a sandbox that needs no look now; `None`: look first.
pub(super) fn at_rest(scope: &Scope<'_>, context: &Context) -> Option<Quiet> {
    let reported = context.unreachable && context.last_look.is_none_or(|at| at + UNREACHABLE <= scope.now);
    let missing = scope.status.missing_since.is_some();
    let runs = scope.status.state == Some(SandboxState::Running);
    let unmarked = runs && mark::is_due(&scope.status, context.last_look, scope.now);
    if scope.hurried || missing || scope.status.retry.is_some() || reported || unmarked {
        return None;
    }
    match scope.status.state {
        Some(SandboxState::Running) => (due_at(scope, context) > scope.now).then_some(Quiet::Running),
        // It is looked at before it is resumed.
        Some(SandboxState::Paused) => (!context.needed).then_some(Quiet::Paused),
        Some(SandboxState::Gone | SandboxState::Unknown) | None => None,
    }
}

/// Returns when a running sandbox needs attention: at two thirds of its life if it is needed and can be renewed, else when it
/// has ended.
pub(super) fn due_at(scope: &Scope<'_>, context: &Context) -> Timestamp {
    let Some(expires) = scope.status.expires_at.as_ref().map(|at| at.0) else { return scope.now };
    if context.needed && !scope.status.lifetime_limited {
        expires - scope.time_to_live() / 3
    } else {
        expires + AFTER_EXPIRY
    }
}

/// Returns whether a running sandbox has to be renewed: needed, not at the plan's limit, a third of its life or less is left.
pub(super) fn renewal_is_due(scope: &Scope<'_>, context: &Context) -> bool {
    let ends = scope.status.expires_at.is_some();
    context.needed && !scope.status.lifetime_limited && ends && due_at(scope, context) <= scope.now
}

/// Result of a look at the sandbox.
enum Absorbed {
    There(Life),
    /// It is gone, and that is noted; with what people have to know.
    Lost(Option<Note>),
    /// It was not found, and is looked at once more.
    Missing(Option<Note>),
    /// What people have to know of a key is said now or never: the annotation counts once.
    Failed(Failure, Option<Note>),
    /// There was no key to look with.
    WithoutKey(Failure),
}

/// Adopts what a look has shown.
fn absorb(
    scope: &mut Scope<'_>,
    context: &Context,
    answer: &Keyed<Result<LookupResult, Failure>>,
) -> Absorbed {
    let (credential, look) = match answer {
        Ok(under) => (under.credential.as_str(), &under.answer),
        Err(failure) => return Absorbed::WithoutKey(failure.clone()),
    };
    let given_up = scope.accept_credential(credential);
    match look {
        Err(failure) => Absorbed::Failed(failure.clone(), given_up),
        Ok(LookupResult::NotFound(listed)) => {
            match scope.not_found(listed, credential, context.uncommitted) {
                Absence::Gone => Absorbed::Lost(given_up),
                Absence::Once => Absorbed::Missing(given_up),
                Absence::Listed(seen) => there(scope, &seen, credential),
                Absence::Unclear(failure) => Absorbed::Failed(failure, given_up),
            }
        }
        Ok(LookupResult::Found(seen)) if is_anothers(seen, scope.sandbox) => {
            scope.lose(NOT_OURS, false);
            Absorbed::Lost(None)
        }
        Ok(LookupResult::Found(seen)) => there(scope, seen, credential),
    }
}

fn there(scope: &mut Scope<'_>, seen: &E2bSandbox, credential: &str) -> Absorbed {
    scope.adopt_observation(seen, credential);
    Absorbed::There(seen.life)
}

/// Decides by a look.
pub(super) fn looked(
    mut scope: Scope<'_>,
    context: &Context,
    answer: &Keyed<Result<LookupResult, Failure>>,
) -> Plan<SandboxStatus, Step> {
    match absorb(&mut scope, context, answer) {
        Absorbed::WithoutKey(failure) => scope.without_secret(&failure),
        Absorbed::Failed(failure, note) => noted(scope.fail(&failure), note),
        Absorbed::Missing(note) => noted(scope.look_twice(), note),
        Absorbed::Lost(note) if create::is_wanted(&scope, context) => noted(lost(scope), note),
        Absorbed::Lost(note) => noted(create::rest(scope, context), note),
        Absorbed::There(life) => seen(scope, context, life),
    }
}

/// Goes on with renewal alone. Records what the look saw; nothing else follows from it.
pub(super) fn looked_while_suspended(
    mut scope: Scope<'_>,
    context: &Context,
    answer: &Keyed<Result<LookupResult, Failure>>,
) -> Plan<SandboxStatus, Step> {
    match absorb(&mut scope, context, answer) {
        Absorbed::WithoutKey(failure) => scope.without_secret(&failure),
        Absorbed::Failed(failure, note) => noted(scope.fail(&failure), note),
        Absorbed::Missing(note) => noted(scope.look_twice(), note),
        Absorbed::There(Life::Running) if renewal_is_due(&scope, context) => {
            scope.stand(Standing::Ready, reason::SUSPENDED, "");
            let id = scope.id();
            Plan::act(scope.status, Step::Renew { id })
        }
        Absorbed::Lost(note) => noted(suspended(scope, context), note),
        Absorbed::There(_) => suspended(scope, context),
    }
}

fn noted(mut plan: Plan<SandboxStatus, Step>, note: Option<Note>) -> Plan<SandboxStatus, Step> {
    plan.notes.extend(note);
    plan
}

/// Rests while suspended, and comes back for what it would renew.
pub(super) fn suspended(mut scope: Scope<'_>, context: &Context) -> Plan<SandboxStatus, Step> {
    scope.stand(Standing::Ready, reason::SUSPENDED, "");
    let runs = scope.status.state == Some(SandboxState::Running);
    let renews = runs && context.needed && !scope.status.lifetime_limited;
    let next = if renews { next_look(&scope, context) } else { Next::AwaitChange };
    scope.settle(next)
}

/// Records a loss; the next pass does what follows from it.
pub(super) fn lost(mut scope: Scope<'_>) -> Plan<SandboxStatus, Step> {
    let message = format!("E2B sandbox {} is gone", scope.id());
    scope.stand(Standing::Reconciling, reason::PROGRESSING, &message);
    scope.settle(Next::Now)
}

/// Decides about a sandbox that E2B has just shown: resumes it, renews it, or leaves it alone.
pub(super) fn seen(mut scope: Scope<'_>, context: &Context, life: Life) -> Plan<SandboxStatus, Step> {
    // This is the look that a Task's report asks for.
    let context = Context { last_look: Some(scope.now), ..context.clone() };
    let id = scope.id();
    mark::give_up(&mut scope.status, scope.now);
    let silent = context.silent || (context.needed && mark::is_silent(&scope.status, scope.now));
    match life {
        Life::Running if silent && !scope.status.memory_dropped => {
            scope.status.memory_dropped = true;
            let message =
                format!("starting E2B sandbox {id} from its disk, because its daemon gives no answer");
            scope.stand(Standing::Reconciling, reason::PROGRESSING, &message);
            Plan::act(scope.status, Step::Connect { id, memory: false })
        }
        // Before the mark: a daemon that stays silent must not cost the sandbox its life.
        Life::Running if renewal_is_due(&scope, &context) => {
            tell_running(&mut scope);
            Plan::act(scope.status, Step::Renew { id })
        }
        Life::Running if scope.status.unmarked_since.is_some() => {
            tell_running(&mut scope);
            let text = mark::owed(&scope.status);
            Plan::act(scope.status, Step::Mark { id, text })
        }
        Life::Running => running(scope, &context),
        Life::Paused if context.needed => {
            let message = format!("resuming E2B sandbox {id}");
            scope.stand(Standing::Reconciling, reason::PROGRESSING, &message);
            let memory = !scope.status.memory_dropped;
            // What this look tells of the pause, no other will: E2B forgets its date with the resume.
            Plan::intend(scope.status, Step::Connect { id, memory })
        }
        Life::Paused => paused(scope, &context),
        Life::Other => changing(scope, &context),
    }
}

/// E2B shows a state that is neither running nor paused: it lasts for moments, or it is one that this release does not know.
fn changing(mut scope: Scope<'_>, context: &Context) -> Plan<SandboxStatus, Step> {
    let message =
        format!("E2B shows sandbox {} neither running nor paused: it is looked at again", scope.id());
    scope.stand(Standing::Reconciling, reason::PROGRESSING, &message);
    let next = Next::At(scope.now + CHANGING);
    rest(scope, context, next)
}

/// It runs, and nothing is to be done now.
pub(super) fn running(mut scope: Scope<'_>, context: &Context) -> Plan<SandboxStatus, Step> {
    tell_running(&mut scope);
    let next = next_look(&scope, context);
    rest(scope, context, next)
}

/// It is paused, and nobody needs it.
pub(super) fn paused(mut scope: Scope<'_>, context: &Context) -> Plan<SandboxStatus, Step> {
    let message = format!("E2B sandbox {} is paused; it is resumed when a Task needs it", scope.id());
    scope.stand(Standing::Ready, reason::IDLE, &message);
    rest(scope, context, Next::AwaitChange)
}

/// Says that it runs, or what is still to be known of it before a Task works in it.
pub(super) fn tell_running(scope: &mut Scope<'_>) {
    let id = scope.id();
    if mark::is_awaited(&scope.status) {
        let (reason, message) = mark::awaited(&scope.status, scope.now);
        scope.stand(Standing::Reconciling, reason, &message);
    } else {
        scope.stand(Standing::Ready, reason::RUNNING, &format!("E2B sandbox {id} is running"));
    }
}

/// Comes back at `next`, or earlier for a Task that reports no answer, for a mark that is owed and for the check of orphans.
fn rest(scope: Scope<'_>, context: &Context, next: Next) -> Plan<SandboxStatus, Step> {
    let now = scope.now;
    let report = context.unreachable.then(|| context.last_look.unwrap_or(now) + UNREACHABLE);
    let orphan_check = scope.status.orphan_check_at.as_ref().map(|at| at.0);
    let runs = scope.status.state == Some(SandboxState::Running);
    let mark = mark::next_try(&scope.status, context.last_look, now).filter(|_| runs);
    scope.settle(next.or_at(report, now).or_at(orphan_check, now).or_at(mark, now))
}

/// Returns when a running sandbox is next looked at. Still overdue right after a look, it backs off instead of spinning.
fn next_look(scope: &Scope<'_>, context: &Context) -> Next {
    let due = due_at(scope, context);
    Next::At(if due <= scope.now { scope.now + AFTER_EXPIRY } else { due })
}
