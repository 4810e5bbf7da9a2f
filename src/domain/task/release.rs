//! Deletion: what a Task has to undo before it goes, and when it goes without.
//! The finalizer is on the object only while there is something to undo.

use super::{
    model::{Context, DeleteBranch, Look, Plan, Step},
    publish, round,
    scope::Scope,
    seen_pull::SeenPull,
    signal::{GRACE, signal},
    stage::{Decide, Generation, LeftBranch, Leftover, Position, Purpose},
};
use crate::{
    api::{Phase, PullRequestState, Task, TaskStatus, conditions::reason},
    domain::{
        demand,
        failure::Failure,
        plan::{Next, Note},
        pull_request, retry,
    },
};
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

/// Time for which GitHub or E2B may fail before the Task goes anyway.
const PATIENCE: SignedDuration = SignedDuration::from_mins(10);

/// Returns whether the Task, if it were deleted now, would leave something behind.
pub(super) fn must_undo(task: &Task, status: &TaskStatus) -> bool {
    process(task, status).is_some() || branch(status).is_some() || may_be_spooled(task, status)
}

/// Finds the process in a Sandbox that outlives the Task: by the request, else by what the spec names.
fn process(task: &Task, status: &TaskStatus) -> Option<Generation> {
    let own = demand::owned_sandbox_name(&task.name_any(), &task.uid().unwrap_or_default());
    let outlives = match &status.sandbox_request {
        Some(request) => !request.sandbox_name.starts_with(&own),
        None => task.spec.sandbox_ref.is_some(),
    };
    let run = round::live_run(task, status).filter(|_| outlives)?;
    Some(Generation { id: run.id.clone(), sandbox: run.sandbox_id.clone(), purpose: Purpose::Undo })
}

/// Finds a branch that no pull request carries.
fn branch(status: &TaskStatus) -> Option<(String, String)> {
    let alone = status.pull_request.is_none();
    Some((status.branch.clone().filter(|_| alone)?, status.commit_sha.clone()?))
}

/// Returns whether files may be spooled: the controller deletes them when it sees the deletion, those of a round that has
/// just ended with its next pass.
fn may_be_spooled(task: &Task, status: &TaskStatus) -> bool {
    let before = task.status.as_ref().and_then(|status| status.phase);
    status.phase == Some(Phase::Collecting) || before == Some(Phase::Collecting)
}

/// Finds the next thing to undo.
pub(super) fn locate(mut scope: Scope<'_>, context: &Context) -> Position {
    let position = |plan| Position::Decided(Box::new(plan));
    if let Some(question) = process(scope.task, &scope.status) {
        let name = super::sandbox::requested(&scope);
        let there = context
            .sandbox(&name)
            .filter(|sandbox| !sandbox.deleting && sandbox.id.as_ref() == Some(&question.sandbox));
        if there.is_some_and(|sandbox| sandbox.missing) && waited(&scope) < PATIENCE {
            // Whether the process is gone with it, or lives, the next look tells.
            scope.working(reason::DELETING, UNDOING);
            let patience = scope.now + PATIENCE - waited(&scope);
            return position(Plan::settle(scope.status, Next::At(patience)).with_finalizer(true));
        }
        if there.is_none_or(|sandbox| !sandbox.running) {
            let message = "the sandbox is gone or paused: a process of the Task may still be in it";
            return position(give_up(scope, message));
        }
        if let Some(wait) = wait(&scope) {
            return position(wait.plan(scope));
        }
        scope.working(reason::DELETING, UNDOING);
        return question.asked(scope, context);
    }
    let Some((branch, sha)) = branch(&scope.status) else {
        return position(Plan::settle(scope.status, Next::AwaitChange));
    };
    match &context.repository {
        Some(repository) if repository.id.is_some() && repository.id != scope.status.repository_id => {
            let message = format!("the Repository is another one now: branch {branch} stays in the former");
            position(give_up(scope, &message))
        }
        Some(repository) if !repository.suspended => {
            if let Some(wait) = wait(&scope) {
                return position(wait.plan(scope));
            }
            scope.working(reason::DELETING, UNDOING);
            LeftBranch { branch, sha, why: DeleteBranch::Deletion }.asked(scope, context)
        }
        _ => {
            let message = format!("the Repository is gone or suspended: branch {branch} stays at GitHub");
            position(give_up(scope, &message))
        }
    }
}

const UNDOING: &str = "undoing what the Task has left outside";

/// Reason for asking nothing now.
enum Wait {
    Until(Next),
    /// For longer than [`PATIENCE`] already; what failed.
    TooLong(String),
}

impl Wait {
    fn plan(self, mut scope: Scope<'_>) -> Plan {
        match self {
            Self::Until(next) => {
                scope.hold();
                Plan::settle(scope.status, next).with_finalizer(true)
            }
            Self::TooLong(what) => give_up(scope, &what),
        }
    }
}

fn wait(scope: &Scope<'_>) -> Option<Wait> {
    let retry = scope.status.retry.as_ref()?;
    let at = retry::wait_until(Some(retry), scope.now)?;
    if waited(scope) >= PATIENCE {
        return Some(Wait::TooLong(format!("{}: {}", retry.operation, retry.last_error)));
    }
    Some(Wait::Until(Next::At(at.min(scope.now + PATIENCE - waited(scope)))))
}

/// Signals the process of a Task that is being deleted, until it has ended.
pub(super) fn look(mut scope: Scope<'_>, context: &Context, question: &Generation, look: &Look) -> Plan {
    if *look == Look::Running {
        let mut step = signal(context, question, scope.now);
        if let Step::Signal { kill, .. } = &mut step {
            *kill |= waited(&scope) >= GRACE;
        }
        let plan = Plan { next: Next::After(GRACE / 2), ..Plan::act(scope.status, step) };
        return plan.with_finalizer(true);
    }
    let now = scope.now;
    if let Some(run) = scope.status.code_generations.iter_mut().find(|run| run.id == question.id) {
        run.finished_at = Some(Time(now));
    }
    let finalizer = branch(&scope.status).is_some();
    Plan::settle(scope.status, Next::Now).with_finalizer(finalizer)
}

impl Decide for LeftBranch {
    fn decide(self, scope: Scope<'_>, _: &Context, found: Leftover) -> Plan {
        match self.why {
            DeleteBranch::NewRound => self.before_next_round(scope, &found),
            DeleteBranch::Deletion if may_delete(&found, &self.sha) => Plan::act(
                scope.status,
                Step::DeleteBranch { branch: self.branch, sha: self.sha, why: self.why },
            )
            .with_finalizer(true),
            DeleteBranch::Deletion => branch_gone(scope),
            DeleteBranch::Merged if may_delete(&found, &self.sha) => Plan::act(
                scope.status,
                Step::DeleteBranch { branch: self.branch, sha: self.sha, why: self.why },
            ),
            // Gone already, as GitHub does it where the repository says so.
            DeleteBranch::Merged if found.tip.is_none() => merged_branch_left(scope, None),
            DeleteBranch::Merged => merged_branch_left(
                scope,
                Some("somebody has pushed to it, or another pull request comes from it"),
            ),
        }
    }

    fn failed(self, scope: Scope<'_>, failure: &Failure) -> Plan {
        match self.why {
            DeleteBranch::Merged if !failure.class.is_retryable() => {
                merged_branch_left(scope, Some(&failure.message))
            }
            DeleteBranch::NewRound | DeleteBranch::Merged => scope.failed_plan(failure),
            DeleteBranch::Deletion => failed(scope, failure),
        }
    }
}

impl LeftBranch {
    /// Deletes the branch of the round before if it still stands where we left it. Nobody may have told us that its pull
    /// request was opened again, or that a round which was stuck has one all the same.
    fn before_next_round(self, mut scope: Scope<'_>, found: &Leftover) -> Plan {
        let uid = scope.uid();
        let known = scope.status.pull_request.is_some();
        let goes_on = |pull: &&SeenPull| {
            pull_request::is_own(&uid, &scope.status, &pull.observed)
                && (!known || pull.observed.state == PullRequestState::Open)
        };
        if let Some(pull) = found.pulls.iter().find(goes_on).cloned() {
            return publish::adopt(scope, &pull);
        }
        if may_delete(found, &self.sha) {
            scope.stand(
                crate::domain::conditions::Standing::Reconciling,
                reason::PENDING,
                "deleting the branch of the round before",
            );
            return Plan::act(
                scope.status,
                Step::DeleteBranch { branch: self.branch, sha: self.sha, why: self.why },
            );
        }
        round::begin(&mut scope);
        Plan::settle(scope.status, Next::Now)
    }
}

/// Returns whether a branch is as we left it, and nobody's. Without its branch GitHub would close a pull request: one may stand
/// that is not recorded.
fn may_delete(found: &Leftover, ours: &str) -> bool {
    found.tip.as_deref() == Some(ours)
        && found.pulls.iter().all(|pull| pull.observed.state != PullRequestState::Open)
}

/// Forgets a branch that is gone, carries a pull request, or stands where somebody else has put it.
pub(super) fn branch_gone(mut scope: Scope<'_>) -> Plan {
    scope.status.branch = None;
    Plan::settle(scope.status, Next::AwaitChange)
}

/// Forgets the branch of a merged pull request: it is gone, or stays, and `why` says so.
pub(super) fn merged_branch_left(mut scope: Scope<'_>, why: Option<&str>) -> Plan {
    scope.status.retry = None;
    let branch = scope.status.branch.take().unwrap_or_default();
    let plan = Plan::settle(super::reflect::merged(scope), Next::AwaitChange);
    match why {
        None => plan,
        Some(why) => {
            let message = format!("branch {branch} of the merged pull request stays at GitHub: {why}");
            plan.with_note(Note::warning(reason::LEFT_BEHIND, message))
        }
    }
}

/// Tries again where GitHub or E2B fails, and gives up after [`PATIENCE`]. A failure that no retry can cure ends it at once.
pub(super) fn failed(mut scope: Scope<'_>, failure: &Failure) -> Plan {
    // A long line is no failure: its end is known.
    let is_late = waited(&scope) >= PATIENCE && failure.reason != reason::WAITING_FOR_GITHUB;
    if is_late || !failure.class.is_retryable() {
        return give_up(scope, &format!("{}: {}", failure.operation, failure.message));
    }
    scope.failed(failure);
    scope.requeue().with_finalizer(true)
}

fn give_up(scope: Scope<'_>, message: &str) -> Plan {
    let message = format!("deleted with something left behind: {message}");
    Plan::settle(scope.status, Next::AwaitChange).with_note(Note::warning(reason::LEFT_BEHIND, message))
}

fn waited(scope: &Scope<'_>) -> SignedDuration {
    let since = scope.task.metadata.deletion_timestamp.as_ref().map_or(scope.now, |time| time.0);
    scope.now.duration_since(since)
}
