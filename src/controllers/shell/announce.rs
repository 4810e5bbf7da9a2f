//! What a pass tells: events when the reason of `Ready` changes and for the plan's notes, one line when a wait begins.
//! Called by `shell` once the status is written.

use super::kind::{Conditioned, Kind};
use crate::{
    api::conditions::{READY, STALLED, reason},
    cluster::Events,
    domain::{
        conditions::{find, is_true},
        plan::Note,
    },
    telemetry,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::EventType;
use std::time::Duration;

/// Publishes the plan's notes, and one event when the reason of `Ready` has changed.
pub(super) async fn announce<K: Kind>(
    events: &Events,
    controller: telemetry::Controller,
    object: &K,
    observed_status: Option<&K::Status>,
    desired_status: &K::Status,
    notes: &[Note],
) {
    let reference = ObjectReference { resource_version: None, ..object.object_ref(&()) };
    for note in notes {
        let kind = if note.warning { EventType::Warning } else { EventType::Normal };
        events.publish(&reference, kind, note.reason, "Reconcile", &note.message).await;
    }
    log_retry(observed_status, desired_status);
    let before = observed_status.and_then(|status| find(status.conditions(), READY));
    let Some(after) = find(desired_status.conditions(), READY) else { return };
    if before.map(|ready| (&ready.reason, &ready.status)) == Some((&after.reason, &after.status)) {
        return;
    }
    tracing::info!(
        kind = controller.as_str(),
        namespace = reference.namespace,
        name = reference.name,
        ready = after.status,
        reason = after.reason,
        message = after.message,
        "state changed"
    );
    let stuck = is_true(desired_status.conditions(), STALLED) || after.reason == reason::RETRIES_EXHAUSTED;
    let kind = if stuck { EventType::Warning } else { EventType::Normal };
    events.publish(&reference, kind, &after.reason, "Reconcile", &after.message).await;
}

/// One line when a wait begins.
fn log_retry<S: Conditioned>(before: Option<&S>, after: &S) {
    let Some(retry) = after.retry() else { return };
    if before.and_then(Conditioned::retry) != Some(retry) {
        let wait = retry.next_attempt_at.0.duration_since(Timestamp::now());
        telemetry::retries::retrying(&retry.operation, Duration::try_from(wait).unwrap_or_default());
    }
}
