//! Records what a step has changed: from the plan that took it and its outcome to the plan that is written.
//! Every failure goes through `status.retry`, so that the next pass waits as the policy says.

use super::{
    model::{DeleteBranch, Outcome, Plan, Step, refusal},
    publish, queue, reflect, release, review, round,
    scope::Scope,
};
use crate::{
    api::{MergeQueueState, RERUN_ANNOTATION, Task, conditions::reason},
    domain::{
        failure::{Class, Failure},
        plan::{Next, Note},
    },
};
use jiff::{SignedDuration, Timestamp};

/// Returns the plan to write once the outcome of its step is known.
pub fn record(task: &Task, plan: Plan, step: &Step, outcome: Outcome, now: Timestamp) -> Plan {
    let deleting = task.metadata.deletion_timestamp.is_some();
    let (next, notes, guarded) =
        (plan.next, plan.notes, plan.finalizer && matches!(step, Step::UpdateBranch { .. }));
    let scope = Scope::new(task, plan.status, now);
    let mut recorded = match outcome {
        Outcome::Failed(failure) if deleting => release::failed(scope, &failure),
        Outcome::Failed(failure) => failed(scope, step, &failure),
        Outcome::Done => done(scope, step, next),
        Outcome::BranchExists { ours: true } => publish::branch_stands(scope),
        Outcome::BranchExists { ours: false } => branch_taken(scope),
        Outcome::BranchNotVisible => scope.failed_plan(&not_visible("createBranch", "the branch exists")),
        Outcome::BranchElsewhere => {
            // The next look finds where, and says so.
            let failure = not_visible("deleteBranch", "the branch stands at another commit by now");
            if deleting { release::failed(scope, &failure) } else { scope.failed_plan(&failure) }
        }
        Outcome::BranchMoved => branch_moved(scope),
        Outcome::Rebased { parent, tree, commit } => rebased(scope, parent, tree, commit),
        Outcome::PullRequest(pull) => publish::adopt(scope, &pull),
        Outcome::PullRequestExists => {
            scope.failed_plan(&not_visible("createPullRequest", "there is a pull request for the branch"))
        }
        Outcome::Merged { sha } => {
            let mut scope = scope;
            if let Some(pull) = &mut scope.status.pull_request {
                pull.merge_sha = sha;
            }
            review::reread(scope)
        }
        Outcome::NotMergeable(message) => {
            let text = refusal(step, &message);
            Plan { next, ..reflect::reflect_pull_with(scope, Some(&text)) }
        }
        Outcome::HeadChanged => review::head_changed(scope),
        Outcome::InQueue => stands(scope, step, MergeQueueState::Queued),
        Outcome::NoQueue => stands(scope, step, MergeQueueState::Absent),
        Outcome::DequeueUnclear => queue::left_perhaps(scope),
        Outcome::PartRefused(words) => match step {
            Step::SetPart { part, .. } => publish::part_set(scope, *part, Some(&words)),
            _ => scope.requeue(),
        },
    };
    recorded.notes.splice(0..0, notes);
    if deleting {
        return recorded;
    }
    // The files of a commit that was made in this pass are in the spool until the next.
    let finalizer = guarded || release::must_undo(task, &recorded.status);
    recorded.with_finalizer(finalizer)
}

/// Records that a step has failed, where the Task is not being deleted.
fn failed(scope: Scope<'_>, step: &Step, failure: &Failure) -> Plan {
    match step {
        Step::DeleteBranch { branch, why: DeleteBranch::NewRound, .. } if !failure.class.is_retryable() => {
            branch_stays(scope, branch, failure)
        }
        Step::DeleteBranch { why: DeleteBranch::Merged, .. } if !failure.class.is_retryable() => {
            release::merged_branch_left(scope, Some(&failure.message))
        }
        Step::Merge { sha, .. } if failure.reason == reason::MERGE_QUEUE_REQUIRED => {
            queue_required(scope, sha, failure)
        }
        Step::UpdateBranch { .. } if failure.reason == reason::IN_MERGE_QUEUE => {
            queue::locked(scope, failure)
        }
        _ => scope.failed_plan(failure),
    }
}

fn done(mut scope: Scope<'_>, step: &Step, next: Next) -> Plan {
    match step {
        Step::CreateBranch { .. } => publish::branch_stands(scope),
        Step::UpdateBranch { .. } => publish::branch_moved_forward(scope),
        Step::DeleteBranch { why: DeleteBranch::NewRound, .. } => {
            round::begin(&mut scope);
            Plan::settle(scope.status, Next::Now)
        }
        Step::DeleteBranch { why: DeleteBranch::Deletion, .. } => release::branch_gone(scope),
        Step::DeleteBranch { why: DeleteBranch::Merged, .. } => release::merged_branch_left(scope, None),
        Step::SetPart { part, .. } => publish::part_set(scope, *part, None),
        Step::Dequeue { .. } => queue::left(scope),
        Step::Start { .. } | Step::Signal { .. } => {
            scope.status.retry = None;
            let soon = Next::After(SignedDuration::from_secs(5));
            let deleting = scope.task.metadata.deletion_timestamp.is_some();
            let next = if next == Next::Now { soon } else { next };
            Plan::settle(scope.status, next).with_finalizer(deleting)
        }
        // The Sandbox may have been written meanwhile: then nothing was patched, and the next pass sees why.
        Step::PatchSandbox { .. } => {
            scope.status.retry = None;
            Plan::settle(scope.status, Next::After(SignedDuration::from_secs(1)))
        }
        // The other object's events bring the Task back.
        Step::CreateSandbox { .. }
        | Step::DeleteSandbox { .. }
        | Step::CreatePullRequest { .. }
        | Step::Merge { .. }
        | Step::Enqueue { .. } => {
            scope.status.retry = None;
            Plan::settle(scope.status, Next::AwaitChange)
        }
    }
}

/// Notes how the head stands towards the merge queue; what follows from it the next look says.
fn stands(mut scope: Scope<'_>, step: &Step, state: MergeQueueState) -> Plan {
    if let Step::Merge { sha, .. } | Step::Enqueue { sha, .. } = step {
        queue::note(&mut scope, sha, state);
    }
    review::reread(scope)
}

/// Takes the way through the queue, of which a refused merge tells. Where GitHub has said of the same head that there is none, a
/// person has to help.
fn queue_required(scope: Scope<'_>, sha: &str, failure: &Failure) -> Plan {
    let known = scope.status.pull_request.as_ref().and_then(queue::known);
    if matches!(known, Some(MergeQueueState::Absent | MergeQueueState::Removed)) {
        return scope.failed_plan(failure);
    }
    let mut scope = scope;
    queue::note(&mut scope, sha, MergeQueueState::Entering);
    review::reread(scope)
}

/// Reports what GitHub says exists and does not show: it is looked for again, never made a second time.
fn not_visible(operation: &'static str, what: &str) -> Failure {
    Failure {
        operation,
        class: Class::Transient,
        reason: reason::NOT_VISIBLE_YET,
        message: format!("GitHub says that {what}, but does not show it yet"),
    }
}

/// Begins the next round although GitHub keeps the branch of the round before, and names the branch in a Warning.
fn branch_stays(mut scope: Scope<'_>, branch: &str, failure: &Failure) -> Plan {
    let message = format!("branch {branch} of the round before stays at GitHub: {}", failure.message);
    round::begin(&mut scope);
    Plan::settle(scope.status, Next::Now).with_note(Note::warning(reason::LEFT_BEHIND, message))
}

/// Takes another name for the branch, because somebody else has this one: the commit stays the same.
fn branch_taken(mut scope: Scope<'_>) -> Plan {
    let branch = scope.status.branch.clone().unwrap_or_default();
    let wanted = round::wanted_branch(scope.task, &scope.status);
    let beside = round::beside(if branch == wanted { &branch } else { &wanted }, scope.task);
    if branch == beside {
        let message = format!(
            "the branches {branch} and the name without its suffix belong to somebody else: \
             delete {branch}, or set another spec.branch"
        );
        return scope.failed_plan(&Failure {
            operation: "createBranch",
            class: Class::Invalid,
            reason: reason::BRANCH_TAKEN,
            message,
        });
    }
    scope.status.branch = Some(beside);
    scope.working(reason::OPENING_PULL_REQUEST, "the branch's name is taken: using another one");
    Plan::settle(scope.status, Next::Now)
}

/// Takes the commit that was made again on top of what somebody has pushed: the branch moves to it next.
fn rebased(mut scope: Scope<'_>, parent: String, tree: String, commit: String) -> Plan {
    let status = &mut scope.status;
    status.retry = None;
    (status.parent_sha, status.tree_sha, status.commit_sha) = (Some(parent), Some(tree), Some(commit));
    scope.working(
        reason::OPENING_PULL_REQUEST,
        "somebody pushed to the branch: the commit was made again on top of that",
    );
    Plan::settle(scope.status, Next::Now)
}

/// Ends the round because somebody pushed to the open branch meanwhile: what they pushed is never taken back.
fn branch_moved(mut scope: Scope<'_>) -> Plan {
    let message = format!(
        "somebody pushed to the branch of the pull request while the round worked, and changed the same files: \
         set the annotation {RERUN_ANNOTATION} to a new value for a round on top of it"
    );
    scope.unpublish();
    scope.end(reason::HEAD_MOVED, &message);
    super::ending::ended(scope)
}
