//! What a step has changed: from the plan that took it and its outcome to the plan that is written.
//! Every failure goes through `status.retry`, so that the next pass waits as the policy says.

use super::{
    DeleteBranch, Outcome, Plan, Step, board::Draft, decide::again, generation, publish, release, review,
    round,
};
use crate::{
    api::{Task, conditions as names, conditions::reason},
    domain::{
        failure::{Class, Failure},
        plan::Next,
    },
};
use jiff::{SignedDuration, Timestamp};

/// What `plan` becomes once the outcome of its step is known.
pub fn record(task: &Task, plan: Plan, step: &Step, outcome: Outcome, now: Timestamp) -> Plan {
    let (next, notes) = (plan.next, plan.notes);
    let mut draft = Draft::new(task, plan.status, now);
    let mut recorded = match outcome {
        Outcome::Failed(failure) => {
            if task.metadata.deletion_timestamp.is_some() {
                return release::failed(draft, &failure);
            }
            generation::note_unreachable(&mut draft, &failure);
            draft.failed(&failure);
            again(draft)
        }
        Outcome::Done => done(draft, step, next),
        Outcome::BranchExists { ours: true } => branch_stands(draft),
        Outcome::BranchExists { ours: false } => branch_taken(draft),
        Outcome::PullRequest(pull) => publish::adopt(draft, &pull),
        Outcome::PullRequestExists => {
            draft.failed(&Failure {
                operation: "createPullRequest",
                class: Class::Transient,
                reason: reason::RETRYING,
                message: "GitHub says that there is a pull request for the branch, but does not list it yet"
                    .into(),
            });
            again(draft)
        }
        Outcome::Merged { sha } => {
            if let Some(pull) = &mut draft.status.pull_request {
                pull.merge_sha = sha;
            }
            reread(draft)
        }
        Outcome::NotMergeable(message) => {
            let text = format!("GitHub does not allow the merge yet: {message}");
            let mut plan = review::settle_with(draft, Some(&text));
            plan.next = next;
            plan
        }
        Outcome::HeadChanged => head_changed(draft),
    };
    recorded.notes.splice(0..0, notes);
    let finalizer = release::must_undo(task, &recorded.status);
    recorded.with_finalizer(finalizer)
}

fn done(mut draft: Draft<'_>, step: &Step, next: Next) -> Plan {
    match step {
        Step::CreateBranch { .. } => branch_stands(draft),
        Step::DeleteBranch { why: DeleteBranch::NewRound, .. } => {
            round::begin(&mut draft);
            Plan::settle(draft.status, Next::Now)
        }
        Step::DeleteBranch { why: DeleteBranch::Deletion, .. } => release::branch_gone(draft),
        Step::Start { .. } | Step::Signal { .. } => {
            draft.status.retry = None;
            let soon = Next::After(SignedDuration::from_secs(5));
            Plan::settle(draft.status, if next == Next::Now { soon } else { next })
        }
        // The Sandbox may have been written meanwhile: then nothing was patched, and the next pass sees why.
        Step::PatchSandbox => {
            draft.status.retry = None;
            Plan::settle(draft.status, Next::After(SignedDuration::from_secs(1)))
        }
        // The other object's events bring the Task back.
        Step::CreateSandbox | Step::DeleteSandbox | Step::CreatePullRequest { .. } | Step::Merge { .. } => {
            draft.status.retry = None;
            Plan::settle(draft.status, Next::AwaitChange)
        }
    }
}

/// The branch stands at our commit: the pull request is next. The condition remembers it, so that no call has to.
fn branch_stands(mut draft: Draft<'_>) -> Plan {
    draft.status.retry = None;
    draft.condition(
        names::PULL_REQUEST_OPEN,
        false,
        reason::OPENING_PULL_REQUEST,
        "the branch stands at the commit",
    );
    draft.working(reason::OPENING_PULL_REQUEST, "opening the pull request");
    Plan::settle(draft.status, Next::Now)
}

/// Somebody else has the name: the same commit goes under another one.
fn branch_taken(mut draft: Draft<'_>) -> Plan {
    let suffix: String = draft.uid().chars().take(8).collect();
    let branch = draft.status.branch.clone().unwrap_or_default();
    if branch.ends_with(&suffix) {
        let message = format!(
            "the branches {branch} and the name without its suffix belong to somebody else: \
             delete one of them"
        );
        draft.failed(&Failure {
            operation: "createBranch",
            class: Class::Invalid,
            reason: reason::BRANCH_TAKEN,
            message,
        });
        return again(draft);
    }
    draft.status.branch = Some(round::suffixed(&branch, &suffix));
    draft.working(reason::OPENING_PULL_REQUEST, "the branch's name is taken: using another one");
    Plan::settle(draft.status, Next::Now)
}

/// 409: read again, but not in a circle where GitHub's two answers do not agree.
fn head_changed(mut draft: Draft<'_>) -> Plan {
    draft.failed(&Failure {
        operation: "mergePullRequest",
        class: Class::Transient,
        reason: reason::RETRYING,
        message: "GitHub says that the branch of the pull request has moved: it is read again".into(),
    });
    if let Some(pull) = &mut draft.status.pull_request {
        pull.unconfirmed = true;
    }
    again(draft)
}

/// GitHub has the last word on a pull request that we have just changed.
fn reread(mut draft: Draft<'_>) -> Plan {
    draft.status.retry = None;
    if let Some(pull) = &mut draft.status.pull_request {
        pull.unconfirmed = true;
    }
    Plan::settle(draft.status, Next::Now)
}
