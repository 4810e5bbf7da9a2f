//! What a round does in its sandbox, from the first intent to the files: which question comes next.
//! Part of `position`, which has found that the sandbox runs and is this Task's to use.

use super::{
    model::Context,
    round,
    scope::Scope,
    stage::{Checkout, Collect, Generation, PlannedRound, Position, Purpose, RunningSandbox, Start},
};
use crate::api::Phase;

/// Finds what the round has not yet done in its sandbox.
pub(super) fn locate(scope: Scope<'_>, context: &Context, sandbox: RunningSandbox) -> Position {
    let (task, status) = (scope.task, &scope.status);
    let runs = task.spec.generate.is_some() && status.files_from.is_none();
    if !round::has_begun(status) {
        let open = scope.has_open_pull();
        let branch = status.branch.clone().filter(|_| open);
        let base = status.base_branch.clone().filter(|_| open);
        let plan = PlannedRound {
            branch: branch.unwrap_or_else(|| round::wanted_branch(task, status)),
            base: base.unwrap_or_else(|| round::wanted_base(task, context.repository.as_ref())),
            open,
        };
        // With a checkout there is a pass between the intent and the start.
        let starts = runs && task.spec.source.checkout.is_none();
        let feedback = round::feedback(&scope, &sandbox.id).filter(|_| starts);
        return Start { plan: Some(plan), sandbox, runs, checkout: None, feedback }.asked(scope, context);
    }
    match round::live_run(task, status) {
        _ if scope.phase() == Phase::Collecting => collect(scope, context, Some(sandbox.id)),
        Some(run) => {
            let question = Generation { id: run.id.clone(), sandbox: sandbox.id, purpose: Purpose::Follow };
            question.asked(scope, context)
        }
        None => {
            let checkout = checkout(&scope, &sandbox).filter(|_| runs);
            let feedback = round::feedback(&scope, &sandbox.id).filter(|_| runs);
            Start { plan: None, sandbox, runs, checkout, feedback }.asked(scope, context)
        }
    }
}

/// What the next attempt has to find in the sandbox.
fn checkout(scope: &Scope<'_>, sandbox: &RunningSandbox) -> Option<Checkout> {
    let (task, status) = (scope.task, &scope.status);
    Some(Checkout {
        how: task.spec.source.checkout.clone()?,
        path: task.spec.source.path.clone(),
        sandbox: sandbox.id.clone(),
        commit: status.parent_sha.clone()?,
        branch: status.branch.clone()?,
        generation: round::next_attempt_id(task, status),
        turn: status.sandbox_request.as_ref().map(|request| request.id.clone()).unwrap_or_default(),
    })
}

/// Asks for the files, tree and commit.
pub(super) fn collect(scope: Scope<'_>, context: &Context, sandbox: Option<String>) -> Position {
    let status = &scope.status;
    let question = Collect {
        spool: round::spool_id(scope.task, status).unwrap_or_default(),
        sandbox,
        parent: status.parent_sha.clone().or_else(|| status.base_sha.clone()).unwrap_or_default(),
        base_branch: status.base_branch.clone().unwrap_or_default(),
        base: status.base_sha.clone().unwrap_or_default(),
        last: status.commit_sha.clone().filter(|_| scope.has_open_pull()),
        source: scope.task.spec.source.clone(),
        opens: !scope.has_open_pull(),
    };
    question.asked(scope, context)
}
