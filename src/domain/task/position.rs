//! Finds where a Task stands: the first thing that is not yet as it should be, from its status and the cluster alone.
//! Gives a `stage` whose question the controller answers, or a plan where nothing has to be looked at.

use super::{
    carry_over,
    ending::ended,
    in_sandbox, merge,
    model::{Context, DeleteBranch, Plan, Step},
    preconditions, publish, queue, reflect, release, review,
    round::{self, Input},
    sandbox::{self, Reach},
    scope::{Scope, has_committed},
    stage::{FindPulls, Generation, InQueue, LeftBranch, Position, Purpose, ReadPull},
    suspend::suspended,
};
use crate::{
    api::{
        MergePolicy, MergeQueueState, Phase, PullRequest, PullRequestState, Task, conditions as names,
        conditions::reason,
    },
    domain::{
        conditions::remove,
        failure::operation,
        plan::{Next, Note},
        retry,
    },
};
use jiff::Timestamp;

/// Finds where `task` stands.
pub fn locate(task: &Task, context: &Context, now: Timestamp) -> Position {
    let mut scope = Scope::new(task, task.status.clone().unwrap_or_default(), now);
    carry_over::adopt(&mut scope, context);
    round::clear_backoff(&mut scope);
    if context.repository.is_some() {
        scope.found(operation::FIND_REPOSITORY);
    }
    if task.metadata.deletion_timestamp.is_some() {
        return release::locate(scope, context);
    }
    if task.spec.suspend {
        return suspended(scope, context);
    }
    if scope.status.phase == Some(Phase::Unknown) {
        let message =
            "a newer release of the operator has written status.phase: this one leaves the Task alone";
        scope.stalled(reason::UNDECODABLE, message);
        return decided(Plan::settle(scope.status, Next::AwaitChange));
    }
    if scope.status.round.is_none() {
        round::begin(&mut scope);
    }
    match scope.status.pull_request.clone() {
        Some(pull) => with_pull(scope, context, &pull),
        None => on_the_way(scope, context),
    }
}

pub(super) fn decided(plan: Plan) -> Position {
    Position::Decided(Box::new(plan))
}

/// Goes by the pull request of a Task that has one.
fn with_pull(mut scope: Scope<'_>, context: &Context, pull: &PullRequest) -> Position {
    if pull.unconfirmed {
        return match preconditions::of_github(&scope, context) {
            Some(blocked) => {
                let next = blocked.tell(&mut scope);
                waits(scope, context, next)
            }
            None => read_pull(scope, context, pull),
        };
    }
    let is_open = matches!(pull.state, PullRequestState::Open | PullRequestState::Unknown);
    if !is_open && scope.is_under_way() {
        return abandon(scope, context);
    }
    match (pull.state, round::input(scope.task, &scope.status)) {
        (PullRequestState::Merged, _) => {
            scope.status.phase = Some(Phase::Ended);
            after_the_merge(scope, context)
        }
        (PullRequestState::Closed, Input::Changed) => leave(scope, context),
        (PullRequestState::Closed, Input::Publication) if has_files(&scope) => leave(scope, context),
        (PullRequestState::Closed, input) => {
            if input == Input::Publication {
                publish::follow(&mut scope);
            }
            scope.status.phase = Some(Phase::Ended);
            decided(reflect::closed(scope))
        }
        _ if scope.is_under_way() => on_the_way(scope, context),
        (_, Input::Changed) => {
            if queue::is_asked(&scope, pull) {
                match preconditions::of_github(&scope, context) {
                    None => return InQueue { number: pull.number }.asked(scope, context),
                    // Begun now, the round would be overtaken by the merge of what it replaces.
                    Some(blocked) if queue::may_hold(pull) || queue::retry_of_queue(&scope).is_some() => {
                        return decided(blocked.plan(scope));
                    }
                    Some(_) => {}
                }
            }
            round::begin_on_open(&mut scope);
            on_the_way(scope, context)
        }
        _ if scope.phase() == Phase::Ended && scope.status.ended.is_some() => decided(ended(scope)),
        _ => {
            // It may have been opened again.
            scope.status.phase = Some(Phase::PullRequestOpen);
            in_review(scope, context, pull)
        }
    }
}

/// Deletes the branch where the spec wants it gone; then nothing is left to do.
fn after_the_merge(scope: Scope<'_>, context: &Context) -> Position {
    let left = scope.status.branch.clone().zip(scope.status.commit_sha.clone());
    let left = left.filter(|_| scope.task.spec.pull_request.delete_branch);
    let own = context.sandboxes.iter().any(|sandbox| sandbox.is_owned_by(&scope.uid()) && !sandbox.deleting);
    match left {
        Some((branch, sha)) if !own => match preconditions::of_github(&scope, context) {
            Some(blocked) => decided(blocked.plan(scope)),
            None => LeftBranch { branch, sha, why: DeleteBranch::Merged }.asked(scope, context),
        },
        _ => decided(review::done(scope, context)),
    }
}

/// Waits for people, or reads the pull request when a merge is due. What is to be set of it comes first.
fn in_review(scope: Scope<'_>, context: &Context, pull: &PullRequest) -> Position {
    if let Some(part) = pull.due.first().copied() {
        let step = Step::SetPart { number: pull.number, part };
        return match preconditions::of_github(&scope, context) {
            Some(blocked) => decided(blocked.plan(scope)),
            None => decided(Plan::act(scope.status, step)),
        };
    }
    let manual = scope.task.spec.pull_request.merge.policy == MergePolicy::Manual;
    if manual && !pull.draft && queue::may_hold(pull) {
        return match preconditions::of_github(&scope, context) {
            Some(blocked) => decided(blocked.plan(scope)),
            None => decided(queue::leave(scope)),
        };
    }
    // A merge that failed is tried again when `status.retry` says, not when the next look is due.
    let (task, status, now) = (scope.task, &scope.status, scope.now);
    let due = scope.hurried || status.retry.is_some() || merge::next_look(task, status, context) <= Some(now);
    let early = merge::checks_appear(task, status) > Some(now);
    if !reflect::merge_wanted(task, pull) || early || !due {
        return decided(review::unlooked(scope, context));
    }
    match preconditions::of_github(&scope, context) {
        Some(blocked) => decided(blocked.plan(scope)),
        None => read_pull(scope, context, pull),
    }
}

/// Reads the pull request, and its checks where the operator is to merge it.
fn read_pull(scope: Scope<'_>, context: &Context, pull: &PullRequest) -> Position {
    let (task, status) = (scope.task, &scope.status);
    // Nothing is merged while checks may still appear. Of another head it is asked whose it is.
    let early = merge::checks_appear(task, status) > Some(scope.now) && pull.head_sha == status.commit_sha;
    let merge = (reflect::merge_wanted(task, pull) && !early).then(|| merge::wanted(task, status, context));
    ReadPull { number: pull.number, merge }.asked(scope, context)
}

/// Ends a round whose pull request a person has closed or merged meanwhile: nothing of the round is committed.
fn abandon(mut scope: Scope<'_>, context: &Context) -> Position {
    if round::live_run(scope.task, &scope.status).is_some() {
        return end_command(scope, context, Purpose::End);
    }
    let (round, number) =
        (round::number(&scope.status), scope.status.pull_request.as_ref().map_or(0, |pull| pull.number));
    scope.unpublish();
    scope.status.phase = Some(Phase::Ended);
    scope.status.ended = None;
    scope.status.publication = None;
    scope.release_sandbox();
    let message =
        format!("round {round} was abandoned: pull request {number} was closed or merged meanwhile");
    scope.leave_work(reason::ROUND_ABANDONED, &message);
    decided(reflect::reflect_pull(scope).with_note(Note::warning(reason::ROUND_ABANDONED, message)))
}

/// Finds the next thing to do on the way to a commit on its branch.
fn on_the_way(mut scope: Scope<'_>, context: &Context) -> Position {
    let input = round::input(scope.task, &scope.status);
    if scope.phase() == Phase::Ended {
        return after_the_end(scope, context, input);
    }
    if matches!(input, Input::Changed | Input::Publication) {
        scope = match changed(scope, context, input) {
            Followed::InPlace(scope) => *scope,
            Followed::Elsewhere(position) => return *position,
        };
    }
    if has_committed(&scope.status) {
        return match preconditions::of_github(&scope, context) {
            Some(blocked) => decided(blocked.plan(scope)),
            None => published(scope, context),
        };
    }
    if let Some(blocked) = preconditions::of_repository(&scope, context) {
        let next = blocked.tell(&mut scope);
        return waits(scope, context, next);
    }
    if scope.phase() == Phase::Collecting && context.spooled {
        return match preconditions::wait_is_on(&scope, context) {
            Some(blocked) => decided(blocked.plan(scope)),
            None => in_sandbox::collect(scope, context, None),
        };
    }
    if scope.status.sandbox_request.is_none()
        && let Some(blocked) = preconditions::wait_is_on(&scope, context)
    {
        // Who waits for a person does not stand in line meanwhile.
        return decided(blocked.plan(scope));
    }
    match sandbox::reach(&mut scope, context) {
        Reach::Running(running) => match preconditions::wait_is_on(&scope, context) {
            Some(blocked) => {
                let next = blocked.tell(&mut scope);
                waits(scope, context, next)
            }
            None => in_sandbox::locate(scope, context, running),
        },
        Reach::Waits(next) => waits(scope, context, next),
        Reach::Ends(purpose) => end_command(scope, context, purpose),
        Reach::Acts(step @ Step::DeleteSandbox { .. }) => decided(Plan::intend(scope.status, step)),
        Reach::Acts(step) => decided(Plan::act(scope.status, step)),
        Reach::Ended => decided(ended(scope)),
    }
}

/// Waits. A Task that waits for a person must not hold others up in a shared Sandbox: its command is ended, its turn given back.
fn waits(mut scope: Scope<'_>, context: &Context, next: Next) -> Position {
    let resting = scope.status.sandbox_request.as_ref().is_some_and(|request| request.resting);
    if resting && sandbox::is_shared(&scope) {
        if round::live_run(scope.task, &scope.status).is_some() {
            return end_command(scope, context, Purpose::GiveBack);
        }
        scope.release_sandbox();
    }
    decided(Plan::settle(scope.status, next))
}

/// Result of following a changed spec or a rerun in mid-round.
enum Followed<'a> {
    /// The same round goes on with it.
    InPlace(Box<Scope<'a>>),
    Elsewhere(Box<Position>),
}

/// Follows a changed spec or a rerun while the round is under way, as the README's table on rounds says.
fn changed<'a>(mut scope: Scope<'a>, context: &Context, input: Input) -> Followed<'a> {
    let (task, open) = (scope.task, scope.has_open_pull());
    if !round::has_begun(&scope.status) {
        if input == Input::Changed {
            // Files of an earlier input are no result of this one: its command runs.
            scope.status.files_from = None;
        }
        round::record_input(task, &mut scope.status);
        scope.status.retry = retry::clear_backoff(scope.status.retry.take(), scope.now);
        return Followed::InPlace(Box::new(scope));
    }
    if has_committed(&scope.status) {
        // Another publication begins no round on an open pull request, stuck or not.
        let waits = open && input == Input::Publication;
        if waits || !round::is_given_up(task, &scope.status, context.repository.as_ref()) {
            return Followed::InPlace(Box::new(scope));
        }
        let position = if open {
            round::begin_on_open(&mut scope);
            on_the_way(scope, context)
        } else {
            give_up(&mut scope);
            leave(scope, context)
        };
        return Followed::Elsewhere(Box::new(position));
    }
    if input == Input::Publication {
        publish::follow(&mut scope);
        return Followed::InPlace(Box::new(scope));
    }
    if round::live_run(task, &scope.status).is_some() {
        return Followed::Elsewhere(Box::new(end_command(scope, context, Purpose::End)));
    }
    if open {
        round::begin_on_open(&mut scope);
    } else {
        round::begin(&mut scope);
    }
    Followed::InPlace(Box::new(scope))
}

/// Leaves or keeps a round that is over without a pull request.
fn after_the_end(mut scope: Scope<'_>, context: &Context, input: Input) -> Position {
    match input {
        Input::Changed => leave(scope, context),
        Input::Publication if has_files(&scope) => leave(scope, context),
        Input::Publication => {
            publish::follow(&mut scope);
            decided(ended(scope))
        }
        Input::New | Input::Same if was_given_up(&scope) => {
            // Taken back before the next round has begun: this one goes on.
            scope.status.ended = None;
            scope.status.phase = Some(Phase::Committed);
            remove(&mut scope.status.conditions, names::PULL_REQUEST_OPEN);
            on_the_way(scope, context)
        }
        Input::New | Input::Same => decided(ended(scope)),
    }
}

/// Whether a round for another publication alone has files to publish. Otherwise only a rerun makes some.
fn has_files(scope: &Scope<'_>) -> bool {
    scope.task.spec.generate.is_none()
        || round::source_generation(scope.task, &scope.status).is_some_and(|run| run.exit_code == Some(0))
}

/// Ends a round that is stuck after its commit, because another is asked for: nothing of it is tried again.
fn give_up(scope: &mut Scope<'_>) {
    let message = "the round was stuck when a new one was asked for";
    scope.condition(names::PULL_REQUEST_OPEN, false, reason::ROUND_ABANDONED, message);
    let retry = retry::clear_backoff(scope.status.retry.take(), scope.now);
    scope.end(reason::ROUND_ABANDONED, message);
    scope.status.retry = retry;
}

fn was_given_up(scope: &Scope<'_>) -> bool {
    scope.status.ended.as_ref().is_some_and(|end| end.reason == reason::ROUND_ABANDONED)
}

/// Begins the next round; the branch of this one goes first, where it left one.
fn leave(mut scope: Scope<'_>, context: &Context) -> Position {
    let Some((branch, sha)) = round::left_behind(&scope.status) else {
        round::begin(&mut scope);
        return on_the_way(scope, context);
    };
    match preconditions::of_github(&scope, context) {
        Some(blocked) => decided(blocked.plan(scope)),
        None => LeftBranch { branch, sha, why: DeleteBranch::NewRound }.asked(scope, context),
    }
}

/// Goes on from a commit that GitHub has: the branch, then the pull request.
fn published(mut scope: Scope<'_>, context: &Context) -> Position {
    let status = &scope.status;
    let (branch, sha) =
        (status.branch.clone().unwrap_or_default(), status.commit_sha.clone().unwrap_or_default());
    if scope.phase() == Phase::BranchCreated {
        return FindPulls { branch }.asked(scope, context);
    }
    if status.pull_request.as_ref().and_then(queue::known) == Some(MergeQueueState::Queued) {
        return decided(queue::leave(scope));
    }
    // The intent stands in status: the branch may or may not be there. Creating or moving it tells.
    let step = if scope.has_open_pull() {
        Step::UpdateBranch { branch, sha }
    } else {
        Step::CreateBranch { branch, sha }
    };
    scope.release_sandbox();
    decided(Plan::act(scope.status, step))
}

/// Ends the command in the sandbox it runs in, whatever the spec names now.
fn end_command(mut scope: Scope<'_>, context: &Context, purpose: Purpose) -> Position {
    let Some(run) = round::live_run(scope.task, &scope.status).cloned() else {
        return decided(Plan::settle(scope.status, Next::Now));
    };
    let name = sandbox::requested(&scope);
    // Without a request the command has ended: a turn is given back only then.
    let there = context.sandbox(&name).filter(|sandbox| {
        scope.status.sandbox_request.is_some() && sandbox.id.as_ref() == Some(&run.sandbox_id)
    });
    match there {
        None => {
            // The sandbox is gone, and the command with it.
            round::finish_run(&mut scope, None);
            scope.working(reason::GENERATING, "the command is gone with its sandbox");
            decided(Plan::settle(scope.status, Next::Now))
        }
        Some(sandbox) if !sandbox.running => {
            scope.waits_for_sandbox(&name, &sandbox.health);
            decided(Plan::settle(scope.status, Next::AwaitChange))
        }
        Some(_) => {
            // What GitHub does not answer holds no sandbox up.
            let github = scope.status.retry.as_ref().is_some_and(|retry| retry.operation == review::GET_PULL);
            if let Some(blocked) = preconditions::wait_is_on(&scope, context).filter(|_| !github) {
                return decided(blocked.plan(scope));
            }
            let question = Generation { id: run.id, sandbox: run.sandbox_id, purpose };
            question.asked(scope, context)
        }
    }
}
