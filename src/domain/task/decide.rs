//! One decision about one Task: the stage it stands at, with what was seen, gives the plan.
//! Total: every stage has its arm; what belongs to one part of the way stands in that part's file.

use super::{
    COMING_UP, DeleteBranch, Health, Observed, Plan, Seen, SeenPull, Step,
    board::{BUILDING, FAILED_EARLY, FAILED_LATE, NOTHING_CHANGED},
    case::Case,
    generation, publish, release, review, round,
    stage::{Stage, position},
};
use crate::{
    api::{PullRequestState, Task, conditions as names, conditions::reason},
    domain::{
        conditions::{Standing, is_true},
        plan::Next,
    },
};
use jiff::Timestamp;

/// What to do next about a Task.
pub fn decide(task: &Task, observed: &Observed, now: Timestamp) -> Plan {
    let mut case = Case::new(task, task.status.clone().unwrap_or_default(), now);
    let stage = position(&mut case, &observed.context);
    if let Stage::Release(undo) = stage {
        return release::decide(case, undo, &observed.seen);
    }
    if let Seen::Failed(failure) = &observed.seen {
        generation::note_unreachable(&mut case, failure);
        case.failed(failure);
        let finalizer = release::must_undo(task, &case.status);
        return again(case).with_finalizer(finalizer);
    }
    let plan = match stage {
        // Handled above: deletion keeps its own rules for failures.
        Stage::Release(_) => again(case),
        Stage::Suspended => suspended(case),
        Stage::Wait(next) => Plan::settle(case.status, next),
        Stage::LeaveBranch { branch, sha } => leave_branch(case, branch, &sha, &observed.seen),
        Stage::CreateSandbox => create_sandbox(case),
        Stage::PatchSandbox => Plan::act(case.status, Step::PatchSandbox),
        // Written first: the Sandbox must not go while the status still says that a round works in it.
        Stage::ReplaceSandbox => Plan::intend(case.status, Step::DeleteSandbox),
        Stage::Start { plan, sandbox } => generation::start(case, plan.as_ref(), &sandbox, &observed.seen),
        Stage::Generating { .. } => generation::look(case, &observed.context, &observed.seen),
        Stage::Collect { id } => publish::collect(case, id, &observed.seen),
        Stage::CreateBranch => publish::create_branch(case),
        Stage::OpenPullRequest { branch } => publish::open(case, branch, &observed.context, &observed.seen),
        Stage::Confirm { .. } => review::confirm(case, &observed.context, &observed.seen),
        Stage::Review { .. } => review::review(case, &observed.context, &observed.seen),
        Stage::Closed => review::closed(case),
        Stage::Done => review::done(case, &observed.context),
        Stage::Ended => ended(case),
    };
    let finalizer = release::must_undo(task, &plan.status);
    plan.with_finalizer(finalizer)
}

/// Comes back when `status.retry` says so; without one, when something changes.
pub(super) fn again(case: Case<'_>) -> Plan {
    let next = case.retry_at().map_or(Next::AwaitChange, Next::At);
    Plan::settle(case.status, next)
}

fn suspended(mut case: Case<'_>) -> Plan {
    case.stand(Standing::Ready, reason::SUSPENDED, "spec.suspend is true: all work but deletion is stopped");
    Plan::settle(case.status, Next::AwaitChange)
}

fn create_sandbox(mut case: Case<'_>) -> Plan {
    case.row(BUILDING);
    case.waits_for_sandbox(&Health::NotReady(COMING_UP.into()));
    // Its name is fixed by the Task: creating it twice gives one.
    Plan::act(case.status, Step::CreateSandbox)
}

/// The branch of the round before goes if it still stands where we left it. Nobody may have told us that its pull request
/// was opened again, or that a round which was stuck has one all the same.
fn leave_branch(mut case: Case<'_>, branch: String, sha: &str, seen: &Seen) -> Plan {
    let Seen::Leftover { tip, pulls } = seen else { return again(case) };
    let goes_on = |pull: &&SeenPull| match &case.status.pull_request {
        Some(known) => known.number == pull.observed.number && pull.observed.state == PullRequestState::Open,
        None => publish::is_marked(case.task, &case.status, pull),
    };
    if let Some(pull) = pulls.iter().find(goes_on) {
        return publish::adopt(case, pull);
    }
    if release::may_delete(tip.as_deref(), sha, pulls) {
        case.working(reason::PENDING, "deleting the branch of the round before");
        return Plan::act(case.status, Step::DeleteBranch { branch, why: DeleteBranch::NewRound });
    }
    round::begin(&mut case);
    Plan::settle(case.status, Next::Now)
}

/// The round is over without a pull request.
pub(super) fn ended(mut case: Case<'_>) -> Plan {
    let Some((reason, message)) = round::end_reason(&case.status) else { return again(case) };
    let (reason, message) = (reason.to_owned(), message.to_owned());
    let late = is_true(&case.status.conditions, names::GENERATED);
    case.status.retry = None;
    if reason == reason::NOTHING_TO_COMMIT {
        case.row(NOTHING_CHANGED);
        case.status.branch = None;
        case.stand(Standing::Ready, &reason, &message);
    } else if late {
        case.row(FAILED_LATE);
        case.stand(Standing::Stalled, &reason, &message);
    } else {
        case.row(FAILED_EARLY);
        case.status.branch = None;
        case.stand(Standing::Stalled, &reason, &message);
    }
    Plan::settle(case.status, Next::AwaitChange)
}
