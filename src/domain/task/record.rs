//! What a step has changed: from the plan that took it and its outcome to the plan that is written.
//! Every failure goes through `status.retry`, so that the next pass waits as the policy says.

use super::{
    DeleteBranch, Outcome, Plan, Step, case::Case, decide::again, generation, publish, release, review, round,
};
use crate::{
    api::{Task, conditions as names, conditions::reason},
    domain::{
        failure::{Class, Failure},
        plan::{Next, Note},
    },
};
use jiff::{SignedDuration, Timestamp};

/// What `plan` becomes once the outcome of its step is known.
pub fn record(task: &Task, plan: Plan, step: &Step, outcome: Outcome, now: Timestamp) -> Plan {
    let (next, notes) = (plan.next, plan.notes);
    let mut case = Case::new(task, plan.status, now);
    let mut recorded = match outcome {
        Outcome::Failed(failure) => {
            if task.metadata.deletion_timestamp.is_some() {
                return release::failed(case, &failure);
            }
            match step {
                Step::DeleteBranch { branch, why: DeleteBranch::NewRound }
                    if !failure.class.is_retryable() =>
                {
                    branch_stays(case, branch, &failure)
                }
                _ => {
                    generation::note_unreachable(&mut case, &failure);
                    case.failed(&failure);
                    again(case)
                }
            }
        }
        Outcome::Done => done(case, step, next),
        Outcome::BranchExists { ours: true } => branch_stands(case),
        Outcome::BranchExists { ours: false } => branch_taken(case),
        Outcome::PullRequest(pull) => publish::adopt(case, &pull),
        Outcome::PullRequestExists => {
            case.failed(&Failure {
                operation: "createPullRequest",
                class: Class::Transient,
                reason: reason::RETRYING,
                message: "GitHub says that there is a pull request for the branch, but does not list it yet"
                    .into(),
            });
            again(case)
        }
        Outcome::Merged { sha } => {
            if let Some(pull) = &mut case.status.pull_request {
                pull.merge_sha = sha;
            }
            reread(case)
        }
        Outcome::NotMergeable(message) => {
            let text = format!("GitHub does not allow the merge yet: {message}");
            let mut plan = review::settle_with(case, Some(&text));
            plan.next = next;
            plan
        }
        Outcome::HeadChanged => head_changed(case),
    };
    recorded.notes.splice(0..0, notes);
    let finalizer = release::must_undo(task, &recorded.status);
    recorded.with_finalizer(finalizer)
}

fn done(mut case: Case<'_>, step: &Step, next: Next) -> Plan {
    match step {
        Step::CreateBranch { .. } => branch_stands(case),
        Step::DeleteBranch { why: DeleteBranch::NewRound, .. } => {
            round::begin(&mut case);
            Plan::settle(case.status, Next::Now)
        }
        Step::DeleteBranch { why: DeleteBranch::Deletion, .. } => release::branch_gone(case),
        Step::Start { .. } | Step::Signal { .. } => {
            case.status.retry = None;
            let soon = Next::After(SignedDuration::from_secs(5));
            Plan::settle(case.status, if next == Next::Now { soon } else { next })
        }
        // The Sandbox may have been written meanwhile: then nothing was patched, and the next pass sees why.
        Step::PatchSandbox => {
            case.status.retry = None;
            Plan::settle(case.status, Next::After(SignedDuration::from_secs(1)))
        }
        // The other object's events bring the Task back.
        Step::CreateSandbox | Step::DeleteSandbox | Step::CreatePullRequest { .. } | Step::Merge { .. } => {
            case.status.retry = None;
            Plan::settle(case.status, Next::AwaitChange)
        }
    }
}

/// The branch stands at our commit: the pull request is next. The condition remembers it, so that no call has to.
fn branch_stands(mut case: Case<'_>) -> Plan {
    case.status.retry = None;
    case.condition(
        names::PULL_REQUEST_OPEN,
        false,
        reason::OPENING_PULL_REQUEST,
        "the branch stands at the commit",
    );
    case.working(reason::OPENING_PULL_REQUEST, "opening the pull request");
    Plan::settle(case.status, Next::Now)
}

/// GitHub does not let the branch of the round before go: no reason not to begin the next.
fn branch_stays(mut case: Case<'_>, branch: &str, failure: &Failure) -> Plan {
    let message = format!("branch {branch} of the round before stays at GitHub: {}", failure.message);
    round::begin(&mut case);
    Plan::settle(case.status, Next::Now).with_note(Note::warning(reason::LEFT_BEHIND, message))
}

/// Somebody else has the name: the same commit goes under another one.
fn branch_taken(mut case: Case<'_>) -> Plan {
    let suffix: String = case.uid().chars().take(8).collect();
    let branch = case.status.branch.clone().unwrap_or_default();
    if branch.ends_with(&suffix) {
        let message = format!(
            "the branches {branch} and the name without its suffix belong to somebody else: \
             delete {branch}, or set another spec.branch"
        );
        case.failed(&Failure {
            operation: "createBranch",
            class: Class::Invalid,
            reason: reason::BRANCH_TAKEN,
            message,
        });
        return again(case);
    }
    case.status.branch = Some(round::suffixed(&branch, &suffix));
    case.working(reason::OPENING_PULL_REQUEST, "the branch's name is taken: using another one");
    Plan::settle(case.status, Next::Now)
}

/// 409: read again, but not in a circle where GitHub's two answers do not agree.
fn head_changed(mut case: Case<'_>) -> Plan {
    case.failed(&Failure {
        operation: "mergePullRequest",
        class: Class::Transient,
        reason: reason::RETRYING,
        message: "GitHub says that the branch of the pull request has moved: it is read again".into(),
    });
    if let Some(pull) = &mut case.status.pull_request {
        pull.unconfirmed = true;
    }
    again(case)
}

/// GitHub has the last word on a pull request that we have just changed.
fn reread(mut case: Case<'_>) -> Plan {
    case.status.retry = None;
    if let Some(pull) = &mut case.status.pull_request {
        pull.unconfirmed = true;
    }
    Plan::settle(case.status, Next::Now)
}
