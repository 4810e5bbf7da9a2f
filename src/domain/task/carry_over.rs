//! Carries objects of the release before over, which kept the state of a round in conditions: puts it once into the fields that
//! decisions go by. Used by `position` before anything else; the only place here that reads conditions.

use super::{model::Context, publish, round, scope::Scope};
use crate::{
    api::{
        Phase, Publication, PullRequestState, RoundEnd, SandboxRequest, TaskStatus, bounds,
        conditions as names, conditions::reason,
    },
    domain::{
        conditions::{find, is_true},
        demand, input,
        output::Output,
    },
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Gives an object without a phase its phase and what belongs to it. No round begins by it.
pub(super) fn adopt(scope: &mut Scope<'_>, context: &Context) {
    if scope.status.phase.is_some() || scope.status.round.is_none() {
        return;
    }
    carry_digest(scope);
    carry_retry(&mut scope.status);
    let phase = phase_of(scope);
    scope.status.phase = Some(phase);
    let status = &mut scope.status;
    if status.base_sha.is_some() {
        status.parent_sha.clone_from(&status.base_sha);
        let base = round::wanted_base(scope.task, context.repository.as_ref());
        status.base_branch.get_or_insert(base);
    }
    match phase {
        Phase::Preparing | Phase::Generating | Phase::Collecting => carry_request(scope),
        Phase::Committed | Phase::BranchCreated => carry_publication(scope),
        _ => {}
    }
}

/// A digest of the first version covers what two cover now. An edit during the upgrade still counts: then the old one stays,
/// and is compared as it was made.
fn carry_digest(scope: &mut Scope<'_>) {
    let spec = &scope.task.spec;
    let recorded = scope.status.input_digest.clone().unwrap_or_default();
    if recorded == input::digest_like(&recorded, spec) {
        scope.status.input_digest = Some(input::digest(spec));
        scope.status.publication_digest = Some(input::publication_digest(spec));
    }
}

fn carry_retry(status: &mut TaskStatus) {
    let ready = find(&status.conditions, names::READY).map(|ready| ready.reason.clone());
    let stalled = is_true(&status.conditions, names::STALLED);
    if let Some(retry) = status.retry.as_mut().filter(|retry| retry.reason.is_empty()) {
        retry.reason = ready.unwrap_or_default();
        retry.stalled = stalled;
    }
}

fn phase_of(scope: &mut Scope<'_>) -> Phase {
    if let Some(pull) = &scope.status.pull_request {
        return match pull.state {
            PullRequestState::Open | PullRequestState::Unknown => Phase::PullRequestOpen,
            PullRequestState::Closed | PullRequestState::Merged => Phase::Ended,
        };
    }
    let conditions = &scope.status.conditions;
    let generated = is_true(conditions, names::GENERATED);
    if let Some((reason, message)) = end_of(scope) {
        scope.status.ended = Some(RoundEnd { reason, message, generated });
        return Phase::Ended;
    }
    let status = &scope.status;
    if status.commit_sha.is_some() {
        let stands = find(conditions, names::PULL_REQUEST_OPEN).is_some();
        return if stands { Phase::BranchCreated } else { Phase::Committed };
    }
    if status.branch.is_none() {
        let asked = find(conditions, names::SANDBOX_READY).is_some();
        return if asked { Phase::Preparing } else { Phase::Pending };
    }
    match round::generation(scope.task, status) {
        Some(run) if run.finished_at.is_none() || !generated => Phase::Generating,
        _ => Phase::Collecting,
    }
}

/// Reads from the conditions how the round ended.
fn end_of(scope: &Scope<'_>) -> Option<(String, String)> {
    let ends = [
        (names::GENERATED, [reason::GENERATION_FAILED, reason::GENERATION_KEEPS_DYING].as_slice()),
        (names::COMMITTED, [reason::NOTHING_TO_COMMIT, reason::SANDBOX_FILES_LOST].as_slice()),
    ];
    ends.into_iter().find_map(|(type_, reasons)| {
        let condition = find(&scope.status.conditions, type_)?;
        let ended = condition.status == "False" && reasons.contains(&condition.reason.as_str());
        ended.then(|| {
            let message = bounds::cut(&condition.message, bounds::CONDITION_MESSAGE);
            (condition.reason.clone(), message)
        })
    })
}

/// Asks for the sandbox as of the command's start, so that a Task at work goes on before those that only wait.
fn carry_request(scope: &mut Scope<'_>) {
    let since =
        round::generation(scope.task, &scope.status).map_or(Time(scope.now), |run| run.started_at.clone());
    scope.status.sandbox_request = Some(SandboxRequest {
        id: scope.request_id(),
        sandbox_name: demand::sandbox_name(scope.task),
        since,
        unreachable_since: None,
        resting: is_true(&scope.status.conditions, names::STALLED) || scope.task.spec.suspend,
        begun: None,
    });
}

fn carry_publication(scope: &mut Scope<'_>) {
    let (title, body) = publish::pull_request_text(scope.task, &scope.status, &Output::default());
    let base = scope.status.base_branch.clone().unwrap_or_default();
    scope.status.publication = Some(Publication { title, body, base, sandbox: None });
}
