//! One decision about one Task: the stage it stands at, with what was seen, gives the plan.
//! Total: every stage has its arm; what belongs to one part of the way stands in that part's file.

use super::{
    COMING_UP, Health, Observed, Plan, Seen, Step,
    board::{BUILDING, Draft, FAILED_EARLY, FAILED_LATE, NOTHING_CHANGED},
    generation, publish, release, review, round,
    stage::{Stage, position},
};
use crate::{
    api::{Task, conditions as names, conditions::reason},
    domain::{
        conditions::{Standing, is_true},
        plan::Next,
    },
};
use jiff::Timestamp;

/// What to do next about a Task.
pub fn decide(task: &Task, observed: &Observed, now: Timestamp) -> Plan {
    let mut draft = Draft::new(task, task.status.clone().unwrap_or_default(), now);
    let stage = position(&mut draft, &observed.context);
    if let Stage::Release(undo) = stage {
        return release::decide(draft, undo, &observed.seen);
    }
    if let Seen::Failed(failure) = &observed.seen {
        generation::note_unreachable(&mut draft, failure);
        draft.failed(failure);
        let finalizer = release::must_undo(task, &draft.status);
        return again(draft).with_finalizer(finalizer);
    }
    let plan = match stage {
        // Handled above: deletion keeps its own rules for failures.
        Stage::Release(_) => again(draft),
        Stage::Suspended => suspended(draft),
        Stage::Wait(next) => Plan::settle(draft.status, next),
        Stage::LeaveBranch { branch, sha } => leave_branch(draft, branch, &sha, &observed.seen),
        Stage::CreateSandbox => create_sandbox(draft),
        Stage::PatchSandbox => Plan::act(draft.status, Step::PatchSandbox),
        // Written first: the Sandbox must not go while the status still says that a round works in it.
        Stage::ReplaceSandbox => Plan::intend(draft.status, Step::DeleteSandbox),
        Stage::Start { plan, sandbox } => generation::start(draft, plan.as_ref(), &sandbox, &observed.seen),
        Stage::Generating { .. } => generation::look(draft, &observed.context, &observed.seen),
        Stage::Collect { id } => publish::collect(draft, id, &observed.seen),
        Stage::CreateBranch => publish::create_branch(draft),
        Stage::OpenPullRequest { branch } => publish::open(draft, branch, &observed.context, &observed.seen),
        Stage::Confirm { .. } => review::confirm(draft, &observed.context, &observed.seen),
        Stage::Review { .. } => review::review(draft, &observed.context, &observed.seen),
        Stage::Closed => review::closed(draft),
        Stage::Done => review::done(draft, &observed.context),
        Stage::Ended => ended(draft),
    };
    let finalizer = release::must_undo(task, &plan.status);
    plan.with_finalizer(finalizer)
}

/// Comes back when `status.retry` says so; without one, when something changes.
pub(super) fn again(draft: Draft<'_>) -> Plan {
    let next = draft.retry_at().map_or(Next::AwaitChange, Next::At);
    Plan::settle(draft.status, next)
}

fn suspended(mut draft: Draft<'_>) -> Plan {
    draft.stand(Standing::Ready, reason::SUSPENDED, "spec.suspend is true: all work but deletion is stopped");
    Plan::settle(draft.status, Next::AwaitChange)
}

fn create_sandbox(mut draft: Draft<'_>) -> Plan {
    draft.row(BUILDING);
    draft.waits_for_sandbox(&Health::NotReady(COMING_UP.into()));
    // Its name is fixed by the Task: creating it twice gives one.
    Plan::act(draft.status, Step::CreateSandbox)
}

/// The branch of the round before goes if it still stands where we left it. A round that was stuck may have its pull
/// request all the same, when nobody has told us of it.
fn leave_branch(mut draft: Draft<'_>, branch: String, sha: &str, seen: &Seen) -> Plan {
    let Seen::Leftover { tip, pulls } = seen else { return again(draft) };
    if draft.status.pull_request.is_none()
        && let Some(pull) = pulls.iter().find(|pull| publish::is_ours(draft.task, &draft.status, pull))
    {
        return publish::adopt(draft, pull);
    }
    if release::may_delete(tip.as_deref(), sha, pulls) {
        draft.working(reason::PENDING, "deleting the branch of the round before");
        return Plan::act(draft.status, Step::DeleteBranch { branch, why: super::DeleteBranch::NewRound });
    }
    round::begin(&mut draft);
    Plan::settle(draft.status, Next::Now)
}

/// The round is over without a pull request.
pub(super) fn ended(mut draft: Draft<'_>) -> Plan {
    let Some((reason, message)) = round::end_reason(&draft.status) else { return again(draft) };
    let (reason, message) = (reason.to_owned(), message.to_owned());
    let late = is_true(&draft.status.conditions, names::GENERATED);
    draft.status.retry = None;
    if reason == reason::NOTHING_TO_COMMIT {
        draft.row(NOTHING_CHANGED);
        draft.status.branch = None;
        draft.stand(Standing::Ready, &reason, &message);
    } else if late {
        draft.row(FAILED_LATE);
        draft.stand(Standing::Stalled, &reason, &message);
    } else {
        draft.row(FAILED_EARLY);
        draft.status.branch = None;
        draft.stand(Standing::Stalled, &reason, &message);
    }
    Plan::settle(draft.status, Next::AwaitChange)
}
