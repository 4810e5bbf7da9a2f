//! Rounds: one way from an input to a pull request. When one begins, what it takes over, what it leaves behind.
//! Used by `position` before anything else is asked.

use super::{
    model::RepositoryView,
    scope::{Scope, id, is_under_way},
    stage::{DiscussedPull, WantedFeedback},
};
use crate::{
    api::{
        CodeGeneration, Phase, PullRequestState, RECONCILE_ANNOTATION, RERUN_ANNOTATION, Task, TaskStatus,
        bounds, conditions as names, conditions::reason,
    },
    domain::{
        board::{BUILDING, PENDING},
        conditions::remove,
        demand,
        failure::operation,
        git, input, retry,
    },
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use sha2::{Digest, Sha256};

/// Result of comparing the recorded input with what the Task asks for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    /// Never recorded.
    New,
    Same,
    /// Only what is published of the same files has changed.
    Publication,
    /// The command has to run again.
    Changed,
}

/// Reads an annotation as status remembers it: a long one by its SHA-256, so that two never look the same.
fn annotation(task: &Task, name: &str) -> Option<String> {
    let value = task.annotations().get(name).filter(|value| !value.is_empty())?;
    let fits = value.chars().count() <= bounds::ANNOTATION as usize;
    Some(if fits { value.clone() } else { hex::encode(Sha256::digest(value)) })
}

pub(super) fn input(task: &Task, status: &TaskStatus) -> Input {
    let Some(recorded) = &status.input_digest else { return Input::New };
    // Removing the annotation is nothing.
    let rerun = annotation(task, RERUN_ANNOTATION)
        .is_some_and(|value| status.observed_rerun.as_ref() != Some(&value));
    if rerun || *recorded != input::digest_like(recorded, &task.spec) {
        return Input::Changed;
    }
    let publication = input::publication_digest(&task.spec);
    let same = status.publication_digest.as_ref().is_none_or(|recorded| *recorded == publication);
    if same { Input::Same } else { Input::Publication }
}

/// Clears `status.retry`, limits excepted, when a person has set an annotation or changed the spec. Comes before anything else.
pub(super) fn clear_backoff(scope: &mut Scope<'_>) {
    let reconcile = annotation(scope.task, RECONCILE_ANNOTATION);
    let asked = reconcile.is_some() && reconcile != scope.status.observed_reconcile;
    if asked {
        accept_rotation(scope);
        scope.status.observed_reconcile = reconcile;
    }
    // Deletion counts as a change too: the API server raises the generation with it.
    let changed = scope.task.metadata.generation.unwrap_or_default() != scope.status.observed_generation;
    if asked || changed {
        scope.hurried = true;
        scope.status.retry = retry::clear_backoff(scope.status.retry.take(), scope.now);
    }
}

/// Forgets which Secrets the run and its sandbox were given, when a person asks to go on although one has changed unseen: the annotation says
/// that the old value is worthless by now.
fn accept_rotation(scope: &mut Scope<'_>) {
    let rotated = scope.status.retry.as_ref().is_some_and(|retry| retry.reason == reason::SECRET_ROTATED);
    let source = source_generation(scope.task, &scope.status).map(|run| run.id.clone()).filter(|_| rotated);
    if rotated {
        let lived_in = source_generation(scope.task, &scope.status).map(|run| run.sandbox_id.clone());
        scope.status.accepted_rotation = lived_in.or_else(|| scope.status.sandbox_id.clone());
    }
    for run in scope.status.code_generations.iter_mut().filter(|run| Some(&run.id) == source.as_ref()) {
        run.secret_versions.clear();
    }
}

/// Records the input as it is now for the round that is under way or about to begin.
pub(super) fn record_input(task: &Task, status: &mut TaskStatus) {
    status.input_digest = Some(input::digest(&task.spec));
    status.publication_digest = Some(input::publication_digest(&task.spec));
    if let Some(rerun) = annotation(task, RERUN_ANNOTATION) {
        if status.observed_rerun.as_ref() != Some(&rerun) {
            status.rerun_round = Some(number(status));
        }
        status.observed_rerun = Some(rerun);
    }
}

/// Returns whether the round has done something that a changed input would waste: its first intent is written.
pub(super) fn has_begun(status: &TaskStatus) -> bool {
    status.base_sha.is_some() || !is_under_way(status)
}

/// Returns whether the round's commit goes onto a pull request that is open already.
fn is_on_open(status: &TaskStatus) -> bool {
    let pull = status.pull_request.as_ref();
    pull.is_some_and(|pull| matches!(pull.state, PullRequestState::Open | PullRequestState::Unknown))
}

/// Returns the base branch that the Task, its Repository or GitHub names now.
pub(super) fn wanted_base(task: &Task, repository: Option<&RepositoryView>) -> String {
    let base = task.spec.base_branch.clone();
    base.or_else(|| repository?.base_branch.clone()).unwrap_or_else(|| "main".into())
}

/// Returns whether a round that has its commit is given up for a changed input: it waits for a person, or it would go where
/// nobody wants it any more. Otherwise its pull request is opened first. A missing Secret or object may still arrive, so it
/// does not count as waiting for a person.
pub(super) fn is_given_up(task: &Task, status: &TaskStatus, repository: Option<&RepositoryView>) -> bool {
    let stuck = status
        .retry
        .as_ref()
        .is_some_and(|retry| retry.stalled && !operation::LOOKED_FOR.contains(&retry.operation.as_str()));
    if is_on_open(status) {
        // It goes where its pull request goes.
        return stuck;
    }
    // A Repository that is not there, or not read yet, names none.
    let named = task.spec.base_branch.as_ref().or_else(|| repository?.base_branch.as_ref());
    let base = status.base_branch.as_ref().zip(named).is_some_and(|(base, named)| base != named);
    let wanted = wanted_branch(task, status);
    // The default one follows the title, which may change although nobody wants another branch.
    let branch = task.spec.branch.is_some()
        && status.branch.as_ref().is_some_and(|branch| *branch != wanted && *branch != beside(&wanted, task));
    let made_in = status.publication.as_ref().and_then(|publication| publication.sandbox.as_ref());
    let sandbox = made_in.is_some_and(|made_in| *made_in != input::sandbox_digest(&task.spec));
    stuck || base || branch || sandbox
}

/// Returns the branch that the round has left behind: its name and the commit it stood at when it was ours.
pub(super) fn left_behind(status: &TaskStatus) -> Option<(String, String)> {
    if let Some(pull) = &status.pull_request {
        return Some((pull.branch.clone()?, status.commit_sha.clone()?));
    }
    Some((status.branch.clone()?, status.commit_sha.clone()?))
}

/// Begins the first or the next round from the base. One write raises `round` and moves the old pull request to history: a
/// `reopened` that comes later finds it there.
pub(super) fn begin(scope: &mut Scope<'_>) {
    let takes = files_to_take(scope);
    next(scope);
    let status = &mut scope.status;
    if let Some(pull) = status.pull_request.take() {
        status.pull_request_history.push(pull);
        bounds::keep_newest(&mut status.pull_request_history);
    }
    status.branch = None;
    status.base_branch = None;
    status.commit_sha = None;
    status.completed_at = None;
    status.files_from = takes;
    remove(&mut status.conditions, names::PULL_REQUEST_OPEN);
    scope.row(PENDING);
    scope.working(reason::PENDING, "the round is about to begin");
}

/// Begins the next round on the open pull request: its commit goes on top of the branch, and where the pull request goes
/// stays as it is.
pub(super) fn begin_on_open(scope: &mut Scope<'_>) {
    scope.unpublish();
    next(scope);
    let status = &mut scope.status;
    status.files_from = None;
    if let Some(pull) = &mut status.pull_request {
        pull.merge_queue = None;
        status.branch = pull.branch.clone().or(status.branch.take());
    }
    scope.row(BUILDING);
    scope.working(reason::PENDING, "the round is about to begin on the open pull request");
}

/// Resets what every next round starts from.
fn next(scope: &mut Scope<'_>) {
    let now = scope.now;
    let status = &mut scope.status;
    status.round = Some(status.round.unwrap_or(0) + 1);
    status.round_started_at = Some(Time(now));
    status.phase = Some(Phase::Pending);
    status.ended = None;
    status.base_sha = None;
    status.parent_sha = None;
    status.tree_sha = None;
    status.sandbox_id = None;
    status.publication = None;
    status.pushed_at = None;
    status.retry = retry::clear_backoff(status.retry.take(), now);
    for type_ in [names::SANDBOX_READY, names::GENERATED, names::COMMITTED, names::MERGED] {
        remove(&mut status.conditions, type_);
    }
    // The next round asks anew: a request names one round.
    status.sandbox_request = None;
    record_input(scope.task, &mut scope.status);
}

/// Returns the run whose files a round that only publishes takes; none, where the command has to run.
fn files_to_take(scope: &Scope<'_>) -> Option<String> {
    let only = input(scope.task, &scope.status) == Input::Publication;
    if !only || scope.task.spec.generate.is_none() {
        return None;
    }
    source_generation(scope.task, &scope.status)
        .filter(|run| run.exit_code == Some(0))
        .map(|run| run.id.clone())
}

/// The number of the round.
pub(super) fn number(status: &TaskStatus) -> i64 {
    status.round.unwrap_or(1)
}

/// The branch the round would like to have: the Task's, and from the second round on with the round's number.
pub(super) fn wanted_branch(task: &Task, status: &TaskStatus) -> String {
    let branch = task
        .spec
        .branch
        .clone()
        .unwrap_or_else(|| git::default_branch_name(&task.name_any(), &task.spec.title));
    match number(status) {
        1 => branch,
        round => suffixed(&branch, &round.to_string()),
    }
}

/// The name instead of one that somebody else has: with the first 8 of the Task's uid.
pub(super) fn beside(branch: &str, task: &Task) -> String {
    let suffix: String = task.uid().unwrap_or_default().chars().take(8).collect();
    suffixed(branch, &suffix)
}

pub(super) fn suffixed(branch: &str, suffix: &str) -> String {
    let room = bounds::BRANCH as usize - suffix.len() - 1;
    let cut: String = branch.chars().take(room).collect();
    format!("{}-{suffix}", cut.trim_end_matches(['/', '.']))
}

/// The round's own last run of the command.
pub(super) fn generation<'a>(task: &Task, status: &'a TaskStatus) -> Option<&'a CodeGeneration> {
    let prefix = generation_prefix(task, status);
    status.code_generations.iter().rfind(|generation| generation.id.starts_with(&prefix))
}

/// The run whose files the round publishes: its own, or the one of an earlier round that it takes them from.
pub fn source_generation<'a>(task: &Task, status: &'a TaskStatus) -> Option<&'a CodeGeneration> {
    match &status.files_from {
        Some(id) => status.code_generations.iter().rfind(|generation| generation.id == *id),
        None => generation(task, status),
    }
}

/// The round's run that has not been seen to end.
pub(super) fn live_run<'a>(task: &Task, status: &'a TaskStatus) -> Option<&'a CodeGeneration> {
    generation(task, status).filter(|run| run.finished_at.is_none())
}

/// Counts the attempts of the round by their ids: the list keeps only the last ten.
pub(super) fn attempts(task: &Task, status: &TaskStatus) -> i64 {
    let prefix = generation_prefix(task, status);
    generation(task, status)
        .and_then(|generation| generation.id.strip_prefix(&prefix)?.parse().ok())
        .unwrap_or(0)
}

/// Returns whether the command of this round finds a file that says why it runs again.
pub fn has_feedback(status: &TaskStatus) -> bool {
    number(status) > 1
}

/// What the command is to be told of the round, where another one came before it.
pub(super) fn feedback(scope: &Scope<'_>, sandbox: &str) -> Option<WantedFeedback> {
    let (task, status) = (scope.task, &scope.status);
    let asked = status.rerun_round == Some(number(status));
    let words = task.annotations().get(RERUN_ANNOTATION).filter(|_| asked);
    let open = status.pull_request.as_ref().filter(|_| scope.has_open_pull());
    // Why it was closed is what the next round has to know most of all.
    let pull = open.or(status.pull_request_history.last());
    has_feedback(status).then(|| WantedFeedback {
        sandbox: sandbox.to_owned(),
        generation: next_attempt_id(task, status),
        rerun: words.cloned(),
        pull: pull.map(|pull| DiscussedPull {
            number: pull.number,
            head: pull.head_sha.clone(),
            since: status.feedback_since.as_ref().map(|since| since.0),
            closed: open.is_none(),
        }),
        last_try: status.retry.as_ref().is_some_and(|retry| retry.attempt >= retry::ATTEMPTS - 1),
    })
}

/// `<task uid>-<round>-<attempt>` of the attempt that comes next.
pub(super) fn next_attempt_id(task: &Task, status: &TaskStatus) -> String {
    format!("{}{}", generation_prefix(task, status), attempts(task, status) + 1)
}

/// The commit that the files which a round takes over were checked out from: what has changed since then is theirs, and what
/// others have merged since is not.
pub(super) fn checked_out(status: &TaskStatus) -> Option<String> {
    let taken = status.files_from.as_ref()?;
    status.code_generations.iter().rfind(|run| run.id == *taken)?.checkout_sha.clone()
}

/// Returns whether the next pass may bring a checkout into the sandbox.
pub fn may_check_out(task: &Task) -> bool {
    let due = |status: &TaskStatus| {
        let before = matches!(status.phase, Some(Phase::Preparing | Phase::Generating));
        before && status.parent_sha.is_some() && live_run(task, status).is_none()
    };
    task.spec.source.checkout.is_some() && task.status.as_ref().is_some_and(due)
}

/// Notes the end of the round's last run, once.
pub(super) fn finish_run(scope: &mut Scope<'_>, code: Option<i32>) {
    let prefix = generation_prefix(scope.task, &scope.status);
    let now = scope.now;
    let last = scope.status.code_generations.iter_mut().rfind(|run| run.id.starts_with(&prefix));
    if let Some(run) = last.filter(|run| run.finished_at.is_none()) {
        run.finished_at = Some(Time(now));
        run.exit_code = code;
    }
}

/// Takes back that the round's last run has ended.
pub(super) fn reopen_run(scope: &mut Scope<'_>) {
    let prefix = generation_prefix(scope.task, &scope.status);
    if let Some(run) = scope.status.code_generations.iter_mut().rfind(|run| run.id.starts_with(&prefix)) {
        (run.finished_at, run.exit_code) = (None, None);
    }
}

/// `<task uid>-<round>-`.
pub(super) fn generation_prefix(task: &Task, status: &TaskStatus) -> String {
    format!("{}-{}-", task.uid().unwrap_or_default(), number(status))
}

/// Stands for the round where the command of a run would: the files are there already.
fn without_command(task: &Task, status: &TaskStatus) -> String {
    format!("{}0", generation_prefix(task, status))
}

/// Notes in the request what begins in its turn: a run of the command, or the round without one.
pub(super) fn note_begun(scope: &mut Scope<'_>, run: Option<&str>) {
    let begun = run.map_or_else(|| without_command(scope.task, &scope.status), str::to_owned);
    if let Some(request) = &mut scope.status.sandbox_request {
        request.begun = Some(id(&begun));
    }
}

/// Returns whether the round's files were made in the turn that the Task has now.
pub(super) fn begun_in_turn(task: &Task, status: &TaskStatus) -> bool {
    let begun = status.sandbox_request.as_ref().and_then(|request| request.begun.as_ref());
    let source = source_generation(task, status)
        .map_or_else(|| without_command(task, status), |generation| generation.id.clone());
    begun == Some(&source)
}

/// Returns the id that the round's files are spooled under, while they may be: that of the run that made them or the round's
/// own, and a part of the publication's digest.
pub fn spool_id(task: &Task, status: &TaskStatus) -> Option<String> {
    if status.phase != Some(Phase::Collecting) {
        return None;
    }
    let run = generation(task, status)
        .map_or_else(|| without_command(task, status), |generation| generation.id.clone());
    let publication = status.publication_digest.as_deref().unwrap_or_default();
    let short: String = publication.chars().filter(char::is_ascii_alphanumeric).take(14).collect();
    Some(format!("{run}-{short}"))
}

/// The name of the Sandbox to ask for: the one the spec refers to, or an own one. One of an earlier round is taken over
/// while it is as the template says; otherwise another is made, named with the round.
pub(super) fn wanted_sandbox(scope: &Scope<'_>, context: &super::model::Context) -> String {
    let (task, uid) = (scope.task, scope.uid());
    let Some(template) = &task.spec.sandbox_template else {
        return task.spec.sandbox_ref.as_ref().map(|reference| reference.name.clone()).unwrap_or_default();
    };
    let own = context.sandboxes.iter().filter(|sandbox| sandbox.is_owned_by(&uid));
    let same = own
        .clone()
        .find(|sandbox| !sandbox.deleting && !super::template::needs_another(&sandbox.spec, &template.spec));
    if let Some(same) = same {
        return same.name.clone();
    }
    let first = demand::owned_sandbox_name(&task.name_any(), &uid);
    if context.sandbox(&first).is_none() {
        return first;
    }
    demand::owned_sandbox_name_of_round(&task.name_any(), &uid, number(&scope.status))
}
