//! Where a Task stands: the first thing that is not yet as it should be, found from its status and the cluster alone.
//! Asked twice in a pass: to know what has to be looked at, and again to decide with what was seen.

use super::{
    Context, Health, RepositoryView,
    board::BUILDING,
    case::Case,
    release, round,
    sandbox::{self, RunningSandbox},
};
use crate::{
    api::{PullRequestState, Task, conditions as names, conditions::reason},
    domain::{
        conditions::{find, is_true},
        failure::operation,
        plan::Next,
        retry,
    },
};
use jiff::Timestamp;

/// What has to be looked at before deciding. One or two reads, never more than the stage needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Looking {
    Nothing,
    /// The Secrets of the command's environment; with `plan`, first the base branch and the branches of that name.
    Start {
        plan: Option<PlannedBranch>,
    },
    Generation {
        id: String,
    },
    /// Files, tree and commit, spooled under this id.
    Files {
        id: String,
    },
    Pulls {
        branch: String,
    },
    Pull {
        number: i64,
    },
    /// The tip of a branch that is to go, and the pull requests from it.
    Leftover {
        branch: String,
    },
}

/// The branch a round would like to have, and the one it starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedBranch {
    pub branch: String,
    pub base: String,
}

/// Where a Task stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Stage {
    /// Being deleted.
    Release(release::Undo),
    Suspended,
    /// Nothing to do before this; conditions are set already.
    Wait(Next),
    /// A new round is due; the old branch goes first.
    LeaveBranch {
        branch: String,
        sha: String,
    },
    CreateSandbox,
    /// The own Sandbox follows its template: in place,
    PatchSandbox,
    /// or by another Sandbox, which is made once this one is gone.
    ReplaceSandbox,
    /// The round's first sight of the sandbox, or a new attempt in another one.
    Start {
        plan: Option<PlannedBranch>,
        sandbox: RunningSandbox,
    },
    Generating {
        id: String,
    },
    Collect {
        id: String,
    },
    CreateBranch,
    OpenPullRequest {
        branch: String,
    },
    /// A webhook has said something: GitHub has the last word.
    Confirm {
        number: i64,
    },
    Review {
        number: i64,
        look: bool,
    },
    Closed,
    Done,
    /// Over without a pull request, until a new round.
    Ended,
}

/// What one pass has to look at.
pub fn wants(task: &Task, context: &Context, now: Timestamp) -> Looking {
    let mut case = Case::new(task, task.status.clone().unwrap_or_default(), now);
    match position(&mut case, context) {
        Stage::Release(undo) => undo.looking(),
        Stage::LeaveBranch { branch, .. } => Looking::Leftover { branch },
        Stage::Start { plan, .. } => Looking::Start { plan },
        Stage::Generating { id } => Looking::Generation { id },
        Stage::Collect { id } => Looking::Files { id },
        Stage::OpenPullRequest { branch } => Looking::Pulls { branch },
        Stage::Confirm { number } | Stage::Review { number, look: true } => Looking::Pull { number },
        Stage::Suspended
        | Stage::Wait(_)
        | Stage::CreateSandbox
        | Stage::PatchSandbox
        | Stage::ReplaceSandbox
        | Stage::CreateBranch
        | Stage::Review { .. }
        | Stage::Closed
        | Stage::Done
        | Stage::Ended => Looking::Nothing,
    }
}

/// Finds the stage, and sets on the way what is true whatever is seen later.
pub(super) fn position(case: &mut Case<'_>, context: &Context) -> Stage {
    let task = case.task;
    round::hurry(task, &mut case.status, case.now);
    if task.metadata.deletion_timestamp.is_some() {
        return Stage::Release(release::undo(case, context));
    }
    round::abandon(case);
    if task.spec.suspend {
        return Stage::Suspended;
    }
    match on_pull_request(case, context) {
        Some(stage) => stage,
        None => on_the_way(case, context).unwrap_or_else(|stage| stage),
    }
}

/// A Task with a pull request: what the pull request says.
fn on_pull_request(case: &mut Case<'_>, context: &Context) -> Option<Stage> {
    let pull = case.status.pull_request.clone()?;
    if pull.unconfirmed {
        return Some(match github(case, context) {
            Ok(_) => Stage::Confirm { number: pull.number },
            Err(stage) => stage,
        });
    }
    match pull.state {
        PullRequestState::Merged => Some(Stage::Done),
        PullRequestState::Closed if round::input(case.task, &case.status) == round::Input::Changed => None,
        PullRequestState::Closed => Some(Stage::Closed),
        PullRequestState::Open | PullRequestState::Unknown => {
            // A merge that failed is tried again when `status.retry` says, not when the next look is due.
            let unsettled = !is_true(&case.status.conditions, names::READY);
            let due = unsettled || super::review::next_look(context) <= Some(case.now);
            let look = super::review::merge_wanted(case.task, &pull) && due;
            if look && let Err(stage) = github(case, context) {
                return Some(stage);
            }
            Some(Stage::Review { number: pull.number, look })
        }
    }
}

/// A Task on its way to a pull request. `Err` carries the stage that ends the search early.
fn on_the_way(case: &mut Case<'_>, context: &Context) -> Result<Stage, Stage> {
    rounds(case, context)?;
    if round::ended(&case.status) {
        return Ok(Stage::Ended);
    }
    let repository = repository(case, context)?.clone();
    if case.status.commit_sha.is_some() {
        gate(case)?;
        return Ok(published(case));
    }
    let sandbox = sandbox::running(case, context)?;
    sandbox::replaced(case, &sandbox)?;
    gate(case)?;
    case.row(BUILDING);
    Ok(in_sandbox(case, &repository, sandbox))
}

/// The sandbox runs and is this Task's to use: what the round has not yet done there.
fn in_sandbox(case: &Case<'_>, repository: &RepositoryView, sandbox: RunningSandbox) -> Stage {
    if case.status.branch.is_none() {
        let plan = plan_branch(case.task, &case.status, repository);
        return Stage::Start { plan: Some(plan), sandbox };
    }
    match round::generation(case.task, &case.status) {
        Some(run) if run.sandbox_id != sandbox.id => Stage::Start { plan: None, sandbox },
        Some(run) if run.finished_at.is_none() => Stage::Generating { id: run.id.clone() },
        _ => Stage::Collect { id: round::spool_id(case.task, &case.status) },
    }
}

/// Begins rounds: the first one, the one a changed input asks for, or takes a changed input before anything was done.
fn rounds(case: &mut Case<'_>, context: &Context) -> Result<(), Stage> {
    let task = case.task;
    if case.status.round.is_none() {
        round::begin(case);
        return Ok(());
    }
    if round::input(task, &case.status) == round::Input::Same {
        return Ok(());
    }
    if !round::begun(&case.status) {
        round::record_input(task, &mut case.status);
        case.status.retry = retry::hurry(case.status.retry.take(), case.now);
    } else if round::over(task, &case.status) {
        if let Some((branch, sha)) = round::left_behind(&case.status) {
            github(case, context)?;
            return Err(Stage::LeaveBranch { branch, sha });
        }
        round::begin(case);
    }
    Ok(())
}

/// The commit is at GitHub: the branch, then the pull request.
fn published(case: &Case<'_>) -> Stage {
    let opening = find(&case.status.conditions, names::PULL_REQUEST_OPEN).is_some();
    match (&case.status.branch, opening) {
        (Some(branch), true) => Stage::OpenPullRequest { branch: branch.clone() },
        _ => Stage::CreateBranch,
    }
}

fn plan_branch(task: &Task, status: &crate::api::TaskStatus, repository: &RepositoryView) -> PlannedBranch {
    PlannedBranch { branch: round::wanted_branch(task, status), base: base_branch(task, repository) }
}

/// The Task's own base branch, the Repository's, or GitHub's default one.
pub(super) fn base_branch(task: &Task, repository: &RepositoryView) -> String {
    task.spec.base_branch.clone().or_else(|| repository.base_branch.clone()).unwrap_or_else(|| "main".into())
}

/// GitHub may be called for this Task now.
fn github<'c>(case: &mut Case<'_>, context: &'c Context) -> Result<&'c RepositoryView, Stage> {
    let repository = repository(case, context)?;
    gate(case)?;
    Ok(repository)
}

/// The Task's Repository is there, ready, not suspended and still the same one.
fn repository<'c>(case: &mut Case<'_>, context: &'c Context) -> Result<&'c RepositoryView, Stage> {
    let name = &case.task.spec.repository_ref.name;
    let Some(repository) = &context.repository else {
        let message = format!("Repository {name} does not exist in this namespace: create it");
        let at = case.missing(operation::FIND_REPOSITORY, reason::REPOSITORY_NOT_FOUND, &message);
        return Err(Stage::Wait(Next::At(at)));
    };
    case.found(operation::FIND_REPOSITORY);
    if repository.suspended {
        case.working(
            reason::REPOSITORY_SUSPENDED,
            &format!("Repository {name} is suspended: set its spec.suspend to false"),
        );
        return Err(Stage::Wait(Next::AwaitChange));
    }
    if let (Some(known), Some(id)) = (case.status.repository_id, repository.id)
        && known != id
    {
        let message = format!(
            "Repository {name} is another GitHub repository now (id {id}, was {known}): create a new Task for it"
        );
        case.stalled(reason::REPOSITORY_CHANGED, &message);
        return Err(Stage::Wait(Next::AwaitChange));
    }
    match &repository.health {
        Health::Ready => {}
        Health::NotReady(message) => {
            let message = format!("Repository {name} is not ready: {message}");
            case.working(reason::REPOSITORY_NOT_READY, &message);
            return Err(Stage::Wait(Next::AwaitChange));
        }
        Health::Stalled(message) => {
            let message = format!("Repository {name} is stalled: {message}");
            case.stalled(reason::REPOSITORY_NOT_READY, &message);
            return Err(Stage::Wait(Next::AwaitChange));
        }
    }
    case.status.repository_id = case.status.repository_id.or(repository.id);
    Ok(repository)
}

/// No call before `status.retry` allows it.
pub(super) fn gate(case: &mut Case<'_>) -> Result<(), Stage> {
    let Some(at) = retry::wait_until(case.status.retry.as_ref(), case.now) else { return Ok(()) };
    case.hold();
    Err(Stage::Wait(Next::At(at)))
}
