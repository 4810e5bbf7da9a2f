//! From files to an open pull request: the commit that GitHub has, the branch at it, the pull request from it.
//! Each is looked for before it is made.

use super::{
    Context, Files, Plan, Seen, SeenPull, Step,
    case::{Case, id as cut_id},
    decide::{again, ended},
    review, round,
    stage::base_branch,
};
use crate::{
    api::{PullRequestState, Task, TaskStatus, conditions as names, conditions::reason},
    domain::plan::Next,
};
use jiff::SignedDuration;
use kube::ResourceExt;

/// How far the files have come, and what that means.
pub(super) fn collect(mut case: Case<'_>, spool: String, seen: &Seen) -> Plan {
    let Seen::Files(files) = seen else { return again(case) };
    case.status.retry = None;
    case.condition(names::SANDBOX_READY, true, reason::RUNNING, "the sandbox runs");
    match files {
        Files::Committed { tree, commit, digest } => {
            note_digest(&mut case, digest);
            case.status.tree_sha = Some(tree.clone());
            case.status.commit_sha = Some(commit.clone());
            case.condition(names::COMMITTED, true, reason::SUCCEEDED, "GitHub has the commit");
            let branch = case.status.branch.clone().unwrap_or_default();
            let short: String = commit.chars().take(7).collect();
            case.working(
                reason::OPENING_PULL_REQUEST,
                &format!("creating branch {branch} at commit {short}"),
            );
            Plan::intend(case.status, Step::CreateBranch { branch, sha: commit.clone(), generation: spool })
        }
        Files::Unchanged { digest } => {
            note_digest(&mut case, digest);
            let message = "the base branch has all these files already: nothing to commit";
            case.condition(names::COMMITTED, false, reason::NOTHING_TO_COMMIT, message);
            ended(case)
        }
        Files::Progress { uploaded, of, failure } => {
            let message = format!("{uploaded} of {of} files uploaded");
            case.condition(names::COMMITTED, false, reason::COMMITTING, &message);
            if let Some(failure) = failure {
                case.failed(failure);
                return again(case);
            }
            case.working(reason::COMMITTING, &message);
            Plan::settle(case.status, Next::Now)
        }
        Files::WaitingForSpool => {
            let message = "waiting for room in the operator's spool: \
                           if this lasts, raise SLIPWAY_SPOOL_BYTES (in the chart files.spoolSize)";
            case.working(reason::WAITING_FOR_SPOOL, message);
            Plan::settle(case.status, Next::After(SignedDuration::from_secs(10)))
        }
    }
}

fn note_digest(case: &mut Case<'_>, digest: &str) {
    let prefix = round::generation_prefix(case.task, &case.status);
    if let Some(run) = case.status.code_generations.iter_mut().rfind(|run| run.id.starts_with(&prefix)) {
        run.files_digest = Some(cut_id(digest));
    }
}

/// The intent stands in status: the branch may or may not be there. Creating it tells.
pub(super) fn create_branch(case: Case<'_>) -> Plan {
    let status = &case.status;
    let step = Step::CreateBranch {
        branch: status.branch.clone().unwrap_or_default(),
        sha: status.commit_sha.clone().unwrap_or_default(),
        generation: round::spool_id(case.task, status),
    };
    Plan::act(case.status, step)
}

/// The branch stands: find the round's pull request, or open it.
pub(super) fn open(mut case: Case<'_>, branch: String, context: &Context, seen: &Seen) -> Plan {
    let Seen::Pulls(pulls) = seen else { return again(case) };
    if let Some(pull) = pulls.iter().find(|pull| is_ours(case.task, &case.status, pull)) {
        return adopt(case, pull);
    }
    let Some(repository) = &context.repository else { return again(case) };
    case.working(reason::OPENING_PULL_REQUEST, "opening the pull request");
    Plan::act(case.status, Step::CreatePullRequest { branch, base: base_branch(case.task, repository) })
}

/// A pull request from a branch that is ours: one that bears our marks, and any that is open, because the branch only
/// moves forward and so contains our commit. An old one that was moved to history is not this round's.
pub(super) fn is_ours(task: &Task, status: &TaskStatus, pull: &SeenPull) -> bool {
    let open = pull.observed.state == PullRequestState::Open;
    is_marked(task, status, pull) || (open && !is_past(status, pull))
}

/// Whether a pull request is this round's whoever made the branch: its head is our commit, or its body carries our line.
pub(super) fn is_marked(task: &Task, status: &TaskStatus, pull: &SeenPull) -> bool {
    let marked = pull.body.lines().any(|line| line.trim() == marker(task, status));
    let head = pull.observed.head_sha.is_some() && pull.observed.head_sha == status.commit_sha;
    (head || marked) && !is_past(status, pull)
}

fn is_past(status: &TaskStatus, pull: &SeenPull) -> bool {
    status.pull_request_history.iter().any(|old| old.number == pull.observed.number)
}

/// The line in a pull request's body that names Task and round.
pub(super) fn marker(task: &Task, status: &TaskStatus) -> String {
    format!("Slipway-Task: {}/{}", task.uid().unwrap_or_default(), round::number(status))
}

/// Takes a pull request, found or just made, as the round's own: wherever it stands by now.
pub(super) fn adopt(mut case: Case<'_>, pull: &SeenPull) -> Plan {
    review::take(&mut case, pull);
    review::settle(case)
}

/// Title and body of the round's pull request. The Task's marker stands in the last line.
pub fn pull_request_text(task: &Task, status: &TaskStatus) -> (String, String) {
    let spec = &task.spec.pull_request;
    let title = spec.title.clone().unwrap_or_else(|| task.spec.title.clone());
    let text = spec.body.clone().or_else(|| task.spec.description.clone()).unwrap_or_default();
    let marker = marker(task, status);
    let body = if text.trim().is_empty() { marker } else { format!("{}\n\n{marker}", text.trim_end()) };
    (title, body)
}
