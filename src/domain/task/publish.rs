//! From files to an open pull request: the commit that GitHub has, the branch at it, the pull request from it.
//! Each is looked for before it is made.

use super::{
    ending::{ended, wait_for_transfer},
    model::{Context, Files, Plan, Remarks, Step},
    reflect, round,
    scope::{Scope, id as cut_id},
    seen_pull::SeenPull,
    stage::{Collect, Decide, FindPulls},
};
use crate::{
    api::{
        Phase, Publication, PullRequestPart, Task, TaskStatus, bounds, conditions as names,
        conditions::reason,
    },
    domain::{
        board,
        failure::{Class, Failure},
        input,
        output::Output,
        plan::{Next, Note},
        pull_request,
    },
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

impl Decide for Collect {
    /// Decides by how far the files have come.
    fn decide(self, mut scope: Scope<'_>, _: &Context, files: Files) -> Plan {
        scope.status.retry = None;
        if self.sandbox.is_some() {
            scope.reached();
        }
        match files {
            Files::Committed { tree, commit, parent, digest, text, remarks } => {
                note_digest(&mut scope, &digest);
                scope.status.parent_sha = Some(parent);
                let plan = committed(scope, tree, commit, text, &remarks);
                remarked(plan, &remarks)
            }
            Files::Unchanged { digest, remarks } => {
                note_digest(&mut scope, &digest);
                remarked(nothing_to_commit(scope, &remarks), &remarks)
            }
            Files::Progress { uploaded, of, failure } => {
                let message = format!("{uploaded} of {of} files uploaded");
                scope.condition(names::COMMITTED, false, reason::COMMITTING, &message);
                if let Some(failure) = failure {
                    return scope.failed_plan(&failure);
                }
                scope.working(reason::COMMITTING, &message);
                Plan::settle(scope.status, Next::Now)
            }
            Files::Waiting { reason } => wait_for_transfer(scope, reason),
            Files::NotSpooled => {
                scope.working(reason::COMMITTING, "reading the files from the sandbox");
                Plan::settle(scope.status, Next::Now)
            }
        }
    }
}

/// Names the submodules whose links stay although the sandbox has them elsewhere, work that is not part of the result, and
/// texts of the command that are not used as they are.
fn remarked(mut plan: Plan, remarks: &Remarks) -> Plan {
    if !remarks.submodules.is_empty() {
        let message = format!(
            "submodules are {} otherwise in the sandbox: the links in the repository stay as they are, and what changed inside \
             does not travel",
            remarks.submodules.join(", ")
        );
        plan = plan.with_note(Note::warning(reason::SUBMODULE_MOVED, message));
    }
    if !remarks.elsewhere.is_empty() {
        let message = format!("{}: merge or apply them there in a further round", not_part(remarks));
        plan = plan.with_note(Note::warning(reason::WORK_ELSEWHERE, message));
    }
    if !remarks.output.is_empty() {
        let message = format!("what the command has left in SLIPWAY_OUTPUT: {}", remarks.output.join("; "));
        plan = plan.with_note(Note::warning(reason::OUTPUT_NOT_USED, message));
    }
    plan
}

/// Says what the sandbox has besides the result.
fn not_part(remarks: &Remarks) -> String {
    format!("the sandbox has commits that are not part of the result, on: {}", remarks.elsewhere.join(", "))
}

fn committed(
    mut scope: Scope<'_>,
    tree: String,
    commit: String,
    text: Option<(String, String)>,
    remarks: &Remarks,
) -> Plan {
    let base = scope.status.base_branch.clone().unwrap_or_default();
    let status = &mut scope.status;
    status.tree_sha = Some(tree);
    status.published_sha = status.commit_sha.replace(commit.clone());
    status.phase = Some(Phase::Committed);
    let sandbox = Some(input::sandbox_digest(&scope.task.spec));
    status.publication = text.map(|(title, body)| Publication { title, body, base, sandbox });
    scope.release_sandbox();
    let verified = if remarks.verified { ", and has signed it (verified)" } else { "" };
    let stay = match remarks.stays {
        0 => String::new(),
        1 => "; 1 file of the repository that the directory lacks stays".to_owned(),
        stays => format!("; {stays} files of the repository that the directory lacks stay"),
    };
    let message = format!("GitHub has the commit{verified}{stay}");
    scope.condition(names::COMMITTED, true, reason::SUCCEEDED, &message);
    let branch = scope.status.branch.clone().unwrap_or_default();
    let short: String = commit.chars().take(7).collect();
    let (verb, step) = if scope.has_open_pull() {
        ("moving", Step::UpdateBranch { branch: branch.clone(), sha: commit })
    } else {
        ("creating", Step::CreateBranch { branch: branch.clone(), sha: commit })
    };
    scope.working(reason::OPENING_PULL_REQUEST, &format!("{verb} branch {branch} at commit {short}"));
    Plan::intend(scope.status, step)
}

/// Ends a round that has changed nothing. An open pull request stays in review as it is.
fn nothing_to_commit(mut scope: Scope<'_>, remarks: &Remarks) -> Plan {
    let open = scope.has_open_pull();
    let message = if open {
        "the branch of the pull request has all these files already: nothing to commit"
    } else {
        "the base branch has all these files already: nothing to commit"
    };
    let mut message = message.to_owned();
    if !remarks.elsewhere.is_empty() {
        message = format!("{message}; {}", not_part(remarks));
    }
    if !remarks.submodules.is_empty() {
        message = format!(
            "{message}; what changed in submodules does not travel: {}",
            remarks.submodules.join(", ")
        );
    }
    scope.condition(names::COMMITTED, false, reason::NOTHING_TO_COMMIT, &message);
    scope.end(reason::NOTHING_TO_COMMIT, &message);
    scope.release_sandbox();
    if open {
        scope.status.phase = Some(Phase::PullRequestOpen);
        show_pull(&mut scope);
        return reflect::reflect_pull(scope);
    }
    ended(scope)
}

/// Shows the pull request's row of the board again.
fn show_pull(scope: &mut Scope<'_>) {
    if let Some(pull) = &scope.status.pull_request {
        let row = board::of_open(pull.draft);
        scope.row(row);
    }
}

fn note_digest(scope: &mut Scope<'_>, digest: &str) {
    let source = round::source_generation(scope.task, &scope.status).map(|run| run.id.clone());
    let run = scope.status.code_generations.iter_mut().rfind(|run| Some(&run.id) == source.as_ref());
    if let Some(run) = run {
        run.files_digest = Some(cut_id(digest));
    }
}

/// Follows a change of what is published, before it is published. Where the branch is there already under another
/// name, that is noticed when it is created.
pub(super) fn follow(scope: &mut Scope<'_>) {
    let (task, now) = (scope.task, scope.now);
    scope.status.publication_digest = Some(input::publication_digest(&task.spec));
    scope.status.retry = crate::domain::retry::clear_backoff(scope.status.retry.take(), now);
    if scope.status.branch.is_some() && !scope.has_open_pull() && scope.is_under_way() {
        let wanted = round::wanted_branch(task, &scope.status);
        let beside = round::beside(&wanted, task);
        if scope.status.branch.as_ref() != Some(&beside) {
            scope.status.branch = Some(wanted);
        }
    }
}

/// Records that the branch has moved forward to the round's commit, so that the pull request carries it.
pub(super) fn branch_moved_forward(mut scope: Scope<'_>) -> Plan {
    scope.status.retry = None;
    let head = scope.status.commit_sha.clone();
    if let Some(pull) = &mut scope.status.pull_request {
        pull.head_sha = head;
        // GitHub is asked what else has become of it meanwhile.
        pull.unconfirmed = true;
    }
    carried(&mut scope);
    scope.working(reason::OPENING_PULL_REQUEST, "the branch of the pull request stands at the commit");
    Plan::settle(scope.status, Next::Now)
}

/// Records that the branch stands at our commit: the pull request is next.
pub(super) fn branch_stands(mut scope: Scope<'_>) -> Plan {
    scope.status.retry = None;
    scope.status.phase = Some(Phase::BranchCreated);
    let message = "the branch stands at the commit";
    scope.condition(names::PULL_REQUEST_OPEN, false, reason::OPENING_PULL_REQUEST, message);
    scope.working(reason::OPENING_PULL_REQUEST, "opening the pull request");
    Plan::settle(scope.status, Next::Now)
}

impl Decide for FindPulls {
    /// Finds the round's pull request, or opens it: the branch stands.
    fn decide(self, mut scope: Scope<'_>, _: &Context, pulls: Vec<SeenPull>) -> Plan {
        if let Some(failure) = pulls.iter().find_map(|pull| elsewhere(&scope, pull)) {
            return scope.failed_plan(&failure);
        }
        let uid = scope.uid();
        if let Some(pull) =
            pulls.iter().find(|pull| pull_request::is_own(&uid, &scope.status, &pull.observed))
        {
            return adopt(scope, pull);
        }
        scope.working(reason::OPENING_PULL_REQUEST, "opening the pull request");
        Plan::act(scope.status, Step::CreatePullRequest { branch: self.branch })
    }
}

/// Reports a pull request that another repository has answered with: nothing more is done there. Calls go by the repository's name,
/// which is another's once the repository was deleted and made again.
fn elsewhere(scope: &Scope<'_>, pull: &SeenPull) -> Option<Failure> {
    let (known, id) = (scope.status.repository_id?, pull.observed.base_repository_id?);
    (known != id).then(|| Failure {
        operation: "createPullRequest",
        class: Class::Invalid,
        reason: reason::REPOSITORY_CHANGED,
        message: format!(
            "the name is another GitHub repository's now (id {id}, was {known}), with pull request {}: close what this Task has \
             opened there, and create a new Task for it",
            pull.observed.number
        ),
    })
}

/// Adopts a pull request, found or just made, as the round's own, whatever its state is by now.
pub(super) fn adopt(mut scope: Scope<'_>, pull: &SeenPull) -> Plan {
    if let Some(failure) = elsewhere(&scope, pull) {
        return scope.failed_plan(&failure);
    }
    reflect::adopt_observation(&mut scope, pull);
    if scope.status.pull_request.is_none() {
        return scope.requeue();
    }
    carried(&mut scope);
    reflect::reflect_pull(scope)
}

/// Records that the pull request carries the round's commit: the board is the pull request's again.
pub(super) fn carried(scope: &mut Scope<'_>) {
    let spec = &scope.task.spec.pull_request;
    let asked = !spec.reviewers.is_empty() || !spec.team_reviewers.is_empty();
    let due = [(PullRequestPart::Labels, !spec.labels.is_empty()), (PullRequestPart::Reviewers, asked)];
    if scope.phase() == Phase::BranchCreated
        && let Some(pull) = &mut scope.status.pull_request
    {
        // It has just been opened. What a later round adds to it is a commit alone.
        pull.due = due.into_iter().filter_map(|(part, wanted)| wanted.then_some(part)).collect();
    }
    scope.status.phase = Some(Phase::PullRequestOpen);
    scope.status.pushed_at = Some(Time(scope.now));
    scope.status.feedback_since.clone_from(&scope.status.round_started_at);
    scope.status.publication = None;
    scope.status.published_sha = None;
    scope.status.ended = None;
    if scope.has_open_pull() {
        show_pull(scope);
    }
}

/// Records that a part of the pull request was set, or that GitHub does not take it: `refused` has its words.
pub(super) fn part_set(mut scope: Scope<'_>, part: PullRequestPart, refused: Option<&str>) -> Plan {
    scope.status.retry = None;
    if let Some(pull) = &mut scope.status.pull_request {
        pull.due.retain(|due| *due != part);
    }
    let plan = Plan { next: Next::Now, ..reflect::reflect_pull(scope) };
    match refused {
        None => plan,
        Some(words) => plan.with_note(Note::warning(reason::PULL_REQUEST_REFUSED, words)),
    }
}

/// Writes title and body of the round's pull request: what the spec says of it, else what the command has left, else what the
/// Task is. The Task's marker stands in the last line, and in no other.
pub fn pull_request_text(task: &Task, status: &TaskStatus, output: &Output) -> (String, String) {
    let spec = &task.spec.pull_request;
    let title =
        spec.title.clone().or_else(|| output.title.clone()).unwrap_or_else(|| task.spec.title.clone());
    let text = spec.body.clone().or_else(|| output.body.clone());
    let text = text.or_else(|| task.spec.description.clone()).unwrap_or_default();
    let text = pull_request::strip_markers(&text);
    let marker = pull_request::marker(&task.uid().unwrap_or_default(), round::number(status));
    let body = if text.trim().is_empty() { marker } else { format!("{}\n\n{marker}", text.trim_end()) };
    (bounds::cut(&title, 256), body)
}
