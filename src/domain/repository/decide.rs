//! Decides by what was found. Total: every finding has its plan.
//! Builds on `scope`, which writes status; `controllers::shell` carries the plan out.

use super::{
    Account, Changes, Found, Listing, Observed, Step,
    hook::{self, Tended},
    scope::{Decided, Scope},
    stage::Answer,
};
use crate::{
    api::{Repository, RepositoryStatus, bounds, conditions::reason},
    domain::{
        conditions::Standing,
        failure::{Class, Failure, operation},
        plan::{Next, Plan},
        retry,
    },
};
use jiff::{SignedDuration, Timestamp};

/// Total: every state of the world has its plan.
pub fn decide(repository: &Repository, observed: &Observed, now: Timestamp) -> Decided {
    let mut plan = by_finding(repository, observed, now);
    if let Some(account) = &observed.account {
        tell_of(account, &mut plan.status);
    } else {
        // A limit that ends is told by who knows the account; nobody may know it by now.
        plan.status.limits = plan.status.limits.take().filter(|limits| limits.until.0 > now);
    }
    let tended = hook::tend(&mut plan.status, repository, &observed.hook, now);
    let mut plan = with_hook(plan, tended);
    let over = plan.status.limits.as_ref().map(|limits| limits.until.0 + SignedDuration::from_secs(1));
    plan.next = plan.next.or_at(over, now).or_at(observed.next_hook, now);
    plan
}

/// The webhook's part of a plan. A step for the repository itself comes first; the webhook's waits for the next pass.
pub(super) fn with_hook(mut plan: Decided, tended: Tended) -> Decided {
    plan.finalizer = tended.finalizer;
    plan.notes.extend(tended.note);
    match tended.step {
        Some(step) if plan.step.is_none() => Plan { step: Some(Step::Hook(step)), next: Next::Now, ..plan },
        _ => plan,
    }
}

/// A limit that moves by less is not written again: each answer of GitHub's may name another second.
const MOVED: SignedDuration = SignedDuration::from_mins(1);

fn tell_of(account: &Account, status: &mut RepositoryStatus) {
    if let Some(name) = &account.name {
        status.account = Some(bounds::cut(name, bounds::ID));
    }
    let stays = match (&status.limits, &account.limits) {
        (Some(told), Some(now)) => {
            told.reason == now.reason && now.until.0.duration_since(told.until.0).abs() <= MOVED
        }
        _ => false,
    };
    if !stays {
        status.limits.clone_from(&account.limits);
    }
}

fn by_finding(repository: &Repository, observed: &Observed, now: Timestamp) -> Decided {
    let scope = Scope::new(repository, observed.next_sync, now);
    match &observed.finding.0 {
        Answer::Suspended => suspended(scope),
        Answer::NotAsked => waiting(scope),
        Answer::LookedUp(Ok(Some(looked_up))) => found(scope, looked_up),
        Answer::LookedUp(Ok(None)) | Answer::Listed(Ok(Listing::Absent)) => absent(scope),
        // What Tasks write by its name would go to another: this is told at once.
        Answer::Listed(Ok(Listing::Replaced)) => absent(scope.unsettled()),
        Answer::Listed(Ok(Listing::Changes(changes))) => synced(scope, changes),
        Answer::LookedUp(Err(failure)) | Answer::Listed(Err(failure)) => hindered(scope, failure),
    }
}

fn suspended(mut scope: Scope<'_>) -> Decided {
    scope.status.retry = retry::clear_backoff(scope.retry.take(), scope.now);
    scope.stand(Standing::Ready, reason::SUSPENDED, "spec.suspend is true: GitHub is not called");
    Plan::settle(scope.status, Next::AwaitChange)
}

/// Nothing was asked: the status stays as it is, word for word.
fn waiting(scope: Scope<'_>) -> Decided {
    let next = retry::wait_until(scope.retry.as_ref(), scope.now).unwrap_or(scope.next_sync);
    Plan::settle(scope.status, Next::At(next))
}

/// The repository itself is missing, whichever call has found out.
const OF_REPOSITORY: [&str; 3] =
    [reason::REPOSITORY_NOT_FOUND, reason::REPOSITORY_NOT_IN_INSTALLATION, reason::REPOSITORY_GONE];

fn hindered(scope: Scope<'_>, failure: &Failure) -> Decided {
    // An App's token for a repository can't be had where there is no such repository.
    if failure.reason == reason::REPOSITORY_NOT_IN_INSTALLATION && scope.may_create() {
        return create(scope);
    }
    // It may still come, or be shown again, and is named by whoever looked for it.
    match failure.class {
        Class::NotFound if OF_REPOSITORY.contains(&failure.reason) => {
            scope.missing(operation::FIND_REPOSITORY, failure.reason, &failure.message)
        }
        Class::NotFound => scope.missing(failure.operation, failure.reason, &failure.message),
        _ => scope.failed(failure),
    }
}

/// GitHub knows no such repository, or shows it to this token as if there were none.
fn absent(scope: Scope<'_>) -> Decided {
    if let Some(id) = scope.status.repository_id {
        let message = format!(
            "GitHub does not show the repository with id {id} ({}) to this token any more: restore it or the token's access to it; \
             it is never created again. For another repository create another Repository",
            scope.status.full_name.clone().unwrap_or_else(|| scope.name())
        );
        // One 404 proves little: GitHub answers it in moments of trouble too.
        return scope.missing(operation::FIND_REPOSITORY, reason::REPOSITORY_GONE, &message);
    }
    if scope.may_create() {
        return create(scope);
    }
    let message = format!(
        "there is no repository {} that this token may see: create it, give the token access to it, or set createPolicy: IfMissing",
        scope.name()
    );
    scope.missing(operation::FIND_REPOSITORY, reason::REPOSITORY_NOT_FOUND, &message)
}

fn create(mut scope: Scope<'_>) -> Decided {
    let create = scope.repository.spec.create.clone().unwrap_or_default();
    // Tried again and again until it is shown: to say each time that it is being created would hide what to do.
    if scope.retry.as_ref().is_none_or(|retry| retry.reason != reason::EXISTS_BUT_NOT_VISIBLE) {
        let message = format!("creating {}", scope.name());
        scope.stand(Standing::Reconciling, reason::CREATING, &message);
    }
    Plan::act(scope.status, Step::Create(create))
}

fn found(mut scope: Scope<'_>, found: &Found) -> Decided {
    scope.identify(found);
    scope.describe_branch(found);
    if found.archived {
        let failure = Failure {
            operation: "getRepository",
            class: Class::Invalid,
            reason: reason::REPOSITORY_ARCHIVED,
            message: format!("{} is archived and read-only: unarchive it", found.full_name),
        };
        return scope.failed(&failure);
    }
    scope.status.retry = None;
    let message = scope.description(found);
    scope.stand(Standing::Ready, reason::SYNCED, &message);
    Plan::settle(scope.status, Next::At(scope.next_sync))
}

fn synced(mut scope: Scope<'_>, changes: &Changes) -> Decided {
    if let Some(described) = &changes.repository {
        if described.archived && changes.moves.is_empty() {
            return found(scope, described);
        }
        let before = scope.status.clone();
        scope.identify(described);
        scope.describe_branch(described);
        if scope.status != before {
            // The list says nothing of the base branch, so what was said of it stands while nothing else has changed.
            let message = scope.description(described);
            scope.stand(Standing::Ready, reason::SYNCED, &message);
        }
    }
    scope.status.retry = None;
    let next = Next::At(scope.next_sync);
    if changes.moves.is_empty() {
        return Plan::settle(scope.status, next);
    }
    Plan { next, ..Plan::act(scope.status, Step::Move(changes.moves.clone())) }
}
