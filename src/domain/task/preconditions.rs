//! Checks what has to hold before GitHub may be called for a Task: each check names what is in the way.
//! Used by `position`; none of them changes anything.

use super::{
    model::{Context, Health, Plan, RepositoryView},
    scope::Scope,
};
use crate::{
    api::conditions::reason,
    domain::{conditions::Standing, failure::operation, plan::Next, retry},
};

/// Something that is in the way.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Blocked {
    /// The Task's standing meanwhile, and when it looks again.
    By { standing: Standing, reason: &'static str, message: String, next: Next },
    /// An object that does not exist yet: looked for on a schedule of its own.
    Missing { operation: &'static str, reason: &'static str, message: String },
    /// `status.retry` allows no call yet.
    Waiting,
}

/// Checks of the Repository before anything is done for a Task, in this order.
const REPOSITORY: [fn(&Scope<'_>, &Context) -> Option<Blocked>; 4] =
    [repository_missing, repository_suspended, repository_changed, repository_unready];

/// Finds what is in the way on the Repository's side, if anything is.
pub(super) fn of_repository(scope: &Scope<'_>, context: &Context) -> Option<Blocked> {
    REPOSITORY.iter().find_map(|check| check(scope, context))
}

/// Finds what is in the way of a call to GitHub now, if anything is.
pub(super) fn of_github(scope: &Scope<'_>, context: &Context) -> Option<Blocked> {
    of_repository(scope, context).or_else(|| wait_is_on(scope, context))
}

impl Blocked {
    fn by(standing: Standing, reason: &'static str, message: String) -> Self {
        Self::By { standing, reason, message, next: Next::AwaitChange }
    }

    /// Says what is in the way.
    pub(super) fn tell(&self, scope: &mut Scope<'_>) -> Next {
        match self {
            Self::By { standing: Standing::Stalled, reason, message, next } => {
                scope.stalled(reason, message);
                *next
            }
            Self::By { standing: Standing::Ready, reason, message, next } => {
                scope.ready(reason, message);
                *next
            }
            Self::By { standing: Standing::Reconciling, reason, message, next } => {
                scope.working(reason, message);
                *next
            }
            Self::Missing { operation, reason, message } => {
                scope.missing(operation, reason, message);
                retry_time(scope)
            }
            Self::Waiting => {
                scope.hold();
                retry_time(scope)
            }
        }
    }

    /// Waits for it.
    pub(super) fn plan(&self, mut scope: Scope<'_>) -> Plan {
        let next = self.tell(&mut scope);
        Plan::settle(scope.status, next)
    }
}

fn retry_time(scope: &Scope<'_>) -> Next {
    scope.status.retry.as_ref().map_or(Next::AwaitChange, |retry| Next::At(retry.next_attempt_at.0))
}

fn name<'t>(scope: &Scope<'t>) -> &'t str {
    &scope.task.spec.repository_ref.name
}

fn repository_missing(scope: &Scope<'_>, context: &Context) -> Option<Blocked> {
    context.repository.is_none().then(|| Blocked::Missing {
        operation: operation::FIND_REPOSITORY,
        reason: reason::REPOSITORY_NOT_FOUND,
        message: format!("Repository {} does not exist in this namespace: create it", name(scope)),
    })
}

fn repository_suspended(scope: &Scope<'_>, context: &Context) -> Option<Blocked> {
    context.repository.as_ref()?.suspended.then(|| {
        let message = format!("Repository {} is suspended: set its spec.suspend to false", name(scope));
        Blocked::by(Standing::Reconciling, reason::REPOSITORY_SUSPENDED, message)
    })
}

fn repository_changed(scope: &Scope<'_>, context: &Context) -> Option<Blocked> {
    let RepositoryView { id, .. } = context.repository.as_ref()?;
    let (known, id) = (scope.status.repository_id?, (*id)?);
    (known != id).then(|| {
        let message = format!(
            "Repository {} is another GitHub repository now (id {id}, was {known}): create a new Task for it",
            name(scope)
        );
        Blocked::by(Standing::Stalled, reason::REPOSITORY_CHANGED, message)
    })
}

fn repository_unready(scope: &Scope<'_>, context: &Context) -> Option<Blocked> {
    let name = name(scope);
    let why = reason::REPOSITORY_NOT_READY;
    match &context.repository.as_ref()?.health {
        Health::Ready => None,
        Health::NotReady(message) => {
            let message = format!("Repository {name} is not ready: {message}");
            Some(Blocked::by(Standing::Reconciling, why, message))
        }
        Health::Stalled(message) => {
            let message = format!("Repository {name} is stalled: {message}");
            Some(Blocked::by(Standing::Stalled, why, message))
        }
    }
}

/// Forbids calls until `status.retry` allows them, and before the Task is called whose turn at GitHub is still to come.
pub(super) fn wait_is_on(scope: &Scope<'_>, context: &Context) -> Option<Blocked> {
    let retry = scope.status.retry.as_ref();
    let waits = retry::wait_until(retry, scope.now).is_some()
        || (context.awaits_turn && retry.is_some_and(|retry| retry::is_for_turn(retry, scope.now)));
    waits.then_some(Blocked::Waiting)
}
