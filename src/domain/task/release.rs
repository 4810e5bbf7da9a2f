//! Deletion: what a Task has to undo before it goes, and when it goes without.
//! The finalizer is on the object only while there is something to undo.

use super::{
    Context, DeleteBranch, Look, Looking, Plan, Seen, SeenPull, Step, case::Case, decide::again,
    generation::GRACE, round,
};
use crate::{
    api::{PullRequestState, Task, TaskStatus, conditions::reason},
    domain::{
        failure::Failure,
        plan::{Next, Note},
        retry,
    },
};
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// How long GitHub or E2B may fail before the Task goes anyway.
const PATIENCE: SignedDuration = SignedDuration::from_mins(10);

/// The next thing to undo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Undo {
    Nothing,
    /// A process that runs in a Sandbox which outlives the Task.
    Process {
        id: String,
    },
    /// A branch that no pull request carries.
    Branch {
        branch: String,
        sha: String,
    },
    Wait(Next),
    /// It can't be undone: the Task goes with a Warning.
    GiveUp(String),
}

impl Undo {
    pub(super) fn looking(self) -> Looking {
        match self {
            Self::Process { id } => Looking::Generation { id },
            Self::Branch { branch, .. } => Looking::Leftover { branch },
            Self::Nothing | Self::Wait(_) | Self::GiveUp(_) => Looking::Nothing,
        }
    }
}

/// Whether the Task, if it were deleted now, would leave something behind.
pub(super) fn must_undo(task: &Task, status: &TaskStatus) -> bool {
    process(task, status).is_some() || branch(status).is_some()
}

fn process(task: &Task, status: &TaskStatus) -> Option<String> {
    task.spec.sandbox_ref.as_ref()?;
    round::generation(task, status).filter(|run| run.finished_at.is_none()).map(|run| run.id.clone())
}

fn branch(status: &TaskStatus) -> Option<(String, String)> {
    let none = status.pull_request.is_none();
    Some((status.branch.clone().filter(|_| none)?, status.commit_sha.clone()?))
}

pub(super) fn undo(case: &Case<'_>, context: &Context) -> Undo {
    let (task, status) = (case.task, &case.status);
    let waiting = |undo| match (&status.retry, retry::wait_until(status.retry.as_ref(), case.now)) {
        (Some(retry), Some(_)) if waited(case) >= PATIENCE => {
            Undo::GiveUp(format!("{}: {}", retry.operation, retry.last_error))
        }
        (_, Some(at)) => Undo::Wait(Next::At(at.min(case.now + PATIENCE - waited(case)))),
        (_, None) => undo,
    };
    if let Some(id) = process(task, status) {
        return match &context.sandbox {
            Some(sandbox) if sandbox.running && !sandbox.deleting && sandbox.id == status.sandbox_id => {
                waiting(Undo::Process { id })
            }
            _ => {
                Undo::GiveUp("the sandbox is gone or paused: a process of the Task may still be in it".into())
            }
        };
    }
    match (branch(status), &context.repository) {
        (None, _) => Undo::Nothing,
        (Some((branch, _)), Some(repository))
            if repository.id.is_some() && repository.id != status.repository_id =>
        {
            Undo::GiveUp(format!("the Repository is another one now: branch {branch} stays in the former"))
        }
        (Some((branch, sha)), Some(repository)) if !repository.suspended => {
            waiting(Undo::Branch { branch, sha })
        }
        (Some((branch, _)), _) => {
            Undo::GiveUp(format!("the Repository is gone or suspended: branch {branch} stays at GitHub"))
        }
    }
}

pub(super) fn decide(mut case: Case<'_>, undo: Undo, seen: &Seen) -> Plan {
    if let Undo::Wait(next) = undo {
        case.hold();
        return Plan::settle(case.status, next).with_finalizer(true);
    }
    case.working(reason::DELETING, "undoing what the Task has left outside");
    if let Seen::Failed(failure) = seen {
        return failed(case, failure);
    }
    match (undo, seen) {
        (Undo::Nothing | Undo::Wait(_), _) => Plan::settle(case.status, Next::AwaitChange),
        (Undo::GiveUp(message), _) => give_up(case, &message),
        (Undo::Process { id }, Seen::Generation(Look::Running)) => {
            let kill = waited(&case) >= GRACE;
            let mut plan = Plan::act(case.status, Step::Signal { generation: id, kill });
            plan.next = Next::After(GRACE / 2);
            plan.with_finalizer(true)
        }
        (Undo::Process { id }, _) => {
            let now = case.now;
            if let Some(run) = case.status.code_generations.iter_mut().find(|run| run.id == id) {
                run.finished_at = Some(Time(now));
            }
            let finalizer = must_undo(case.task, &case.status);
            Plan::settle(case.status, Next::Now).with_finalizer(finalizer)
        }
        (Undo::Branch { branch, sha }, Seen::Leftover { tip, pulls })
            if may_delete(tip.as_deref(), &sha, pulls) =>
        {
            Plan::act(case.status, Step::DeleteBranch { branch, why: DeleteBranch::Deletion })
                .with_finalizer(true)
        }
        (Undo::Branch { .. }, _) => branch_gone(case),
    }
}

/// Whether a branch is as we left it, and nobody's. Without its branch GitHub would close a pull request: one may stand
/// that is not recorded.
pub(super) fn may_delete(tip: Option<&str>, ours: &str, pulls: &[SeenPull]) -> bool {
    tip == Some(ours) && pulls.iter().all(|pull| pull.observed.state != PullRequestState::Open)
}

/// The branch is gone, carries a pull request, or stands where somebody else has put it.
pub(super) fn branch_gone(mut case: Case<'_>) -> Plan {
    case.status.branch = None;
    Plan::settle(case.status, Next::AwaitChange)
}

/// GitHub or E2B fails: tried again, and given up after [`PATIENCE`]. What no retry can cure is given up at once.
pub(super) fn failed(mut case: Case<'_>, failure: &Failure) -> Plan {
    if waited(&case) >= PATIENCE || !failure.class.is_retryable() {
        return give_up(case, &format!("{}: {}", failure.operation, failure.message));
    }
    case.failed(failure);
    again(case).with_finalizer(true)
}

fn give_up(case: Case<'_>, message: &str) -> Plan {
    let message = format!("deleted with something left behind: {message}");
    Plan::settle(case.status, Next::AwaitChange).with_note(Note::warning(reason::LEFT_BEHIND, message))
}

fn waited(case: &Case<'_>) -> SignedDuration {
    let since = case.task.metadata.deletion_timestamp.as_ref().map_or(case.now, |time| time.0);
    case.now.duration_since(since)
}
