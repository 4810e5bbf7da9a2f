//! A Task with a pull request: confirming what a webhook said, waiting for people, the end.
//! GitHub has the last word; the board moves through `pull_request::transition` alone. Merging stands in `merge`.

use super::{
    merge::{self, next_look},
    model::{Context, Plan, Step},
    publish, queue,
    reflect::{adopt_observation, merge_wanted, merged, reflect_pull, reflect_pull_with},
    round::{self, Input},
    scope::{Scope, has_committed},
    seen_pull::SeenPull,
    stage::{Decide, ReadPull},
};
use crate::{
    api::{PullRequestState, RoundEnd, TaskStatus, conditions::reason},
    domain::{
        failure::{Class, Failure, operation},
        plan::{Next, Note},
        pull_request, retry,
    },
};

/// Reading the pull request, as `status.retry` names it.
pub(super) const GET_PULL: &str = "getPullRequest";

impl Decide for ReadPull {
    /// Decides by GitHub's own word on the pull request: after a webhook delivery, or before a merge.
    fn decide(self, mut scope: Scope<'_>, context: &Context, pull: Option<SeenPull>) -> Plan {
        let Some(pull) = pull else { return gone(scope, self.number) };
        if !pull_request::is_own(&scope.uid(), &scope.status, &pull.observed) {
            return scope.failed_plan(&not_ours(self.number));
        }
        if is_behind(&scope, &pull) {
            return scope.failed_plan(&lags(self.number));
        }
        let undone = adopt_observation(&mut scope, &pull);
        let plan = with_pull(scope, context, &pull);
        if undone {
            let message = "a delivery said merged, GitHub says it is not: the board follows GitHub";
            return plan.with_note(Note::warning(reason::MERGE_NOT_CONFIRMED, message));
        }
        plan
    }
}

/// Returns whether GitHub's answer is older than what is known already: its replicas lag. For about a minute it is asked again,
/// then its answer counts all the same.
fn is_behind(scope: &Scope<'_>, pull: &SeenPull) -> bool {
    let stored = scope.status.pull_request.as_ref();
    stored.is_some_and(|stored| pull_request::is_older(pull.observed.updated_at, stored))
        && !retry::has_looked(scope.status.retry.as_ref(), GET_PULL)
}

fn lags(number: i64) -> Failure {
    Failure {
        operation: GET_PULL,
        class: Class::Transient,
        reason: reason::NOT_VISIBLE_YET,
        message: format!(
            "GitHub still shows pull request {number} as it was before its last news: it is asked again"
        ),
    }
}

/// One 404 proves little: it is looked for again before a person is asked.
fn gone(mut scope: Scope<'_>, number: i64) -> Plan {
    let message = format!(
        "GitHub does not show pull request {number} of this repository: check the token's access to it"
    );
    scope.missing(operation::FIND_PULL_REQUEST, reason::PULL_REQUEST_NOT_FOUND, &message);
    scope.requeue()
}

fn not_ours(number: i64) -> Failure {
    Failure {
        operation: GET_PULL,
        class: Class::Invalid,
        reason: reason::PULL_REQUEST_NOT_FOUND,
        message: format!(
            "pull request {number} at GitHub is not this Task's, so it moves nothing: create another Task if the repository was made again"
        ),
    }
}

/// Settles on what was just read, or merges.
fn with_pull(mut scope: Scope<'_>, context: &Context, pull: &SeenPull) -> Plan {
    let carries = has_committed(&scope.status) && pull.observed.head_sha == scope.status.commit_sha;
    if scope.is_under_way() && carries && scope.has_open_pull() {
        // A delivery was faster than the answer to our own call: the pull request has the round's commit.
        publish::carried(&mut scope);
    }
    if scope.is_under_way() {
        // What is waited for because of the merge queue goes on: its deliveries end no circle.
        if queue::retry_of_queue(&scope).is_none() {
            scope.status.retry = None;
        }
        scope.working(reason::PENDING, "the pull request was read while a round on it is under way");
        // The round goes on, or ends with it: the next pass says which.
        return Plan { next: Next::Now, ..scope.requeue() };
    }
    let due = round::input(scope.task, &scope.status) == Input::Changed;
    let wanted = scope.status.pull_request.as_ref().is_some_and(|stored| merge_wanted(scope.task, stored));
    if wanted && !due && scope.status.ended.as_ref().is_none_or(is_harmless) {
        return merge::merge(scope, context, pull);
    }
    match scope.status.pull_request.as_ref().map(|pull| pull.state) {
        Some(PullRequestState::Merged) => done(scope, context),
        _ => reflect_pull(scope),
    }
}

/// Returns whether the end of a later round leaves the pull request as it was: it found nothing to commit.
fn is_harmless(end: &RoundEnd) -> bool {
    end.reason == reason::NOTHING_TO_COMMIT
}

/// Settles without a read: what the last read said of merging stands until the next.
pub(super) fn unlooked(scope: Scope<'_>, context: &Context) -> Plan {
    let (task, now) = (scope.task, scope.now);
    if !scope.status.pull_request.as_ref().is_some_and(|pull| merge_wanted(task, pull)) {
        return reflect_pull(scope);
    }
    let said = context.pull_read.as_ref().and_then(|read| read.waits_for.clone());
    let mut plan = reflect_pull_with(scope, said.as_deref());
    plan.next = plan.next.or_at(next_look(task, &plan.status, context), now);
    plan
}

/// Settles a merged Task. Its own Sandboxes are deleted; a changed input is refused.
pub(super) fn done(mut scope: Scope<'_>, context: &Context) -> Plan {
    let input = round::input(scope.task, &scope.status);
    let refused = matches!(input, Input::Changed | Input::Publication);
    if refused {
        round::record_input(scope.task, &mut scope.status);
    }
    let uid = scope.uid();
    let own = context.sandboxes.iter().find(|sandbox| sandbox.is_owned_by(&uid) && !sandbox.deleting);
    let plan = match own {
        Some(sandbox) => delete_sandbox(scope, sandbox.name.clone()),
        None => Plan::settle(merged(scope), Next::AwaitChange),
    };
    if refused {
        return plan.with_note(Note::warning(
            reason::RERUN_IGNORED,
            "the Task is done: a changed input or rerun is ignored; create a new Task",
        ));
    }
    plan
}

/// Deletes an own Sandbox, once the confirmed merge is written.
fn delete_sandbox(mut scope: Scope<'_>, name: String) -> Plan {
    // Whatever failed on the way to the merge is over with it.
    let retry = scope.status.retry.take().filter(|retry| retry.operation == operation::DELETE_SANDBOX);
    if let Some(at) = retry::wait_until(retry.as_ref(), scope.now) {
        scope.status.retry = retry;
        scope.hold();
        return Plan::settle(scope.status, Next::At(at));
    }
    let status = TaskStatus { retry, ..merged(scope) };
    Plan::intend(status, Step::DeleteSandbox { name })
}

/// Reads the pull request again after a 409, with a wait: GitHub's two answers may not agree.
pub(super) fn head_changed(mut scope: Scope<'_>) -> Plan {
    scope.failed(&Failure {
        operation: "mergePullRequest",
        class: Class::Transient,
        reason: reason::RETRYING,
        message: "GitHub says that the branch of the pull request has moved: it is read again".into(),
    });
    if let Some(pull) = &mut scope.status.pull_request {
        pull.unconfirmed = true;
    }
    scope.requeue()
}

/// Asks GitHub about a pull request that we have just changed: it has the last word.
pub(super) fn reread(mut scope: Scope<'_>) -> Plan {
    scope.status.retry = None;
    if let Some(pull) = &mut scope.status.pull_request {
        pull.unconfirmed = true;
    }
    Plan::settle(scope.status, Next::Now)
}
