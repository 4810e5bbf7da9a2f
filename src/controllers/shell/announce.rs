//! Tells people of a pass: events when an object stands otherwise and for the plan's notes, one line when a wait begins.
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
use k8s_openapi::{api::core::v1::ObjectReference, apimachinery::pkg::apis::meta::v1::Condition};
use kube::runtime::events::EventType;
use std::time::Duration;

/// Publishes the plan's notes, and one event when the object stands otherwise than before.
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
    let before = observed_status.map_or(&[][..], Conditioned::conditions);
    let Some((after, kind)) = news(before, desired_status.conditions()) else { return };
    tracing::info!(
        kind = controller.as_str(),
        namespace = reference.namespace,
        name = reference.name,
        ready = after.status,
        reason = after.reason,
        message = after.message,
        "state changed"
    );
    events.publish(&reference, kind, &after.reason, "Reconcile", &after.message).await;
}

/// `Ready`, where there is news of it: another reason or status, or the same reason but now a person has to act.
fn news<'a>(before: &[Condition], after: &'a [Condition]) -> Option<(&'a Condition, EventType)> {
    let ready = find(after, READY)?;
    let known = find(before, READY).map(|ready| (&ready.reason, &ready.status));
    let changed = known != Some((&ready.reason, &ready.status));
    if is_stuck(after) {
        return (changed || !is_stuck(before)).then_some((ready, EventType::Warning));
    }
    changed.then_some((ready, EventType::Normal))
}

fn is_stuck(conditions: &[Condition]) -> bool {
    let exhausted = |ready: &Condition| ready.reason == reason::RETRIES_EXHAUSTED;
    is_true(conditions, STALLED) || find(conditions, READY).is_some_and(exhausted)
}

/// One line when a wait begins.
fn log_retry<S: Conditioned>(before: Option<&S>, after: &S) {
    let Some(retry) = after.retry() else { return };
    if before.and_then(Conditioned::retry) != Some(retry) {
        let wait = retry.next_attempt_at.0.duration_since(Timestamp::now());
        telemetry::retries::retrying(&retry.operation, Duration::try_from(wait).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::conditions::{Standing, stand};

    fn standing(standing: Standing, reason: &str, message: &str) -> Vec<Condition> {
        let mut conditions = Vec::new();
        stand(&mut conditions, 1, Timestamp::UNIX_EPOCH, standing, reason, message);
        conditions
    }

    #[test]
    fn what_becomes_stuck_is_warned_of_once_also_under_the_reason_it_had() {
        let waits = standing(Standing::Reconciling, reason::SECRET_NOT_FOUND, "looked for again");
        let stuck = standing(Standing::Stalled, reason::SECRET_NOT_FOUND, "create it");
        let exhausted = standing(Standing::Reconciling, reason::RETRIES_EXHAUSTED, "tried four times");
        let ready = standing(Standing::Ready, reason::SYNCED, "");
        let unseen = Vec::new();
        for (before, after, told) in [
            (&unseen, &waits, Some(EventType::Normal)),
            (&waits, &waits, None),
            (&waits, &stuck, Some(EventType::Warning)),
            (&stuck, &stuck, None),
            (&stuck, &waits, None),
            (&stuck, &exhausted, Some(EventType::Warning)),
            (&exhausted, &exhausted, None),
            (&exhausted, &ready, Some(EventType::Normal)),
            (&ready, &unseen, None),
        ] {
            let heard = news(before, after).map(|(_, kind)| kind);
            assert_eq!(heard, told, "{before:?} -> {after:?}");
        }
    }
}
