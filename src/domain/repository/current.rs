//! Whether a Repository's status speaks of its present spec, and which retry holds then.
//! Read by `stage`, `hook` and `scope`, before anything is asked.

use crate::{
    api::{RECONCILE_ANNOTATION, Repository, bounds, common::Retry},
    domain::retry,
};
use jiff::Timestamp;
use kube::ResourceExt;

/// The value of the annotation that asks to look again at once.
pub(super) fn asked_again(repository: &Repository) -> Option<String> {
    repository.annotations().get(RECONCILE_ANNOTATION).map(|value| bounds::cut(value, bounds::ANNOTATION))
}

/// Returns whether status speaks of this spec and this `slipway.dev/reconcile`.
pub(super) fn is_current(repository: &Repository) -> bool {
    repository.status.as_ref().is_some_and(|status| {
        Some(status.observed_generation) == repository.metadata.generation
            && status.observed_reconcile == asked_again(repository)
    })
}

/// The retry as it holds now: a new spec or a person in a hurry leaves only the wait of a limit.
pub(super) fn standing_retry(repository: &Repository, now: Timestamp) -> Option<Retry> {
    let retry = repository.status.as_ref()?.retry.clone();
    if is_current(repository) { retry } else { retry::clear_backoff(retry, now) }
}
