//! The least version of each object that a decision may be made from: a store lags behind writes, ours and others'.
//! Used by `shell::objects`, which writes and reads the objects.

use crate::domain::jitter;
use kube::{Resource, ResourceExt};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Time for which the store may lag before the object itself is read. A restored etcd counts from a lower version: waiting
/// longer would be waiting for ever.
const LAG_LIMIT: Duration = Duration::from_secs(2);
/// Wait for the watch.
const LAG: Duration = Duration::from_millis(50);
/// Wait after the first conflict, doubling with each further one up to the longest. A part of it depends on the object.
const FIRST_CONFLICT: Duration = Duration::from_millis(100);
const LONGEST_CONFLICT: Duration = Duration::from_secs(5);
/// An entry this old belongs to an object that was deleted without a last pass.
const FORGET: Duration = Duration::from_hours(1);

/// Age of the store's copy of an object, as far as it matters for decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Freshness {
    Current,
    /// Known to be old, and not yet to be read: the watch may bring the newer object, or a conflict has to be waited out.
    Lagging(Duration),
    /// Known to be old: the object itself has to be read before anything is decided.
    Overdue,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    /// No older version may be decided from.
    at_least: Option<u64>,
    /// Time of the last change of this entry.
    since: Instant,
    /// Time when the API server last gave the object itself.
    confirmed: Option<Instant>,
    /// Writes in a row that met a conflict.
    conflicts: u32,
    /// After a conflict, and after a write whose answer is missing, the object itself is read, from this time on.
    to_read: Option<Instant>,
}

/// By uid.
#[derive(Debug, Default)]
pub(super) struct Versions(Mutex<HashMap<String, Known>>);

impl Versions {
    fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, object: &impl Resource) -> Option<Known> {
        object.uid().and_then(|uid| self.known().get(&uid).copied())
    }

    /// Judges whether a decision may be made from this copy.
    pub(super) fn freshness(&self, object: &impl Resource) -> Freshness {
        let Some(known) = self.of(object) else { return Freshness::Current };
        if let Some(from) = known.to_read {
            let wait = from.saturating_duration_since(Instant::now());
            return if wait.is_zero() { Freshness::Overdue } else { Freshness::Lagging(wait) };
        }
        match (version_of(object), known.at_least) {
            (Some(version), Some(at_least)) if version < at_least => {
                if known.since.elapsed() < LAG_LIMIT {
                    Freshness::Lagging(LAG)
                } else {
                    Freshness::Overdue
                }
            }
            _ => Freshness::Current,
        }
    }

    /// Whether the API server has given the object itself since then.
    pub(super) fn is_confirmed(&self, object: &impl Resource, since: Instant) -> bool {
        self.of(object).and_then(|known| known.confirmed).is_some_and(|at| at >= since)
    }

    /// A write is about to be sent. Until its answer is here, nobody knows whether it took place: a pass may be cut off
    /// meanwhile.
    pub(super) fn writing(&self, object: &impl Resource) {
        self.change(object, |known| known.to_read = Some(known.since));
    }

    /// The write turned out to be none: nothing differed.
    pub(super) fn wrote_nothing(&self, object: &impl Resource) {
        self.change(object, |known| known.to_read = None);
    }

    /// Our own write gave this object.
    pub(super) fn wrote(&self, object: &impl Resource) {
        self.given(object);
        self.change(object, |known| known.conflicts = 0);
    }

    /// The API server gave this object: whatever was known before is settled. A read is no success: the next conflict
    /// waits longer all the same.
    pub(super) fn read(&self, object: &impl Resource) {
        self.given(object);
    }

    fn given(&self, object: &impl Resource) {
        self.change(object, |known| {
            known.at_least = version_of(object);
            known.confirmed = Some(known.since);
            known.to_read = None;
        });
    }

    /// A write against this object met a conflict, so a newer version exists. How long to wait before it is read.
    pub(super) fn conflicted(&self, object: &impl Resource) -> Duration {
        let conflicts = self.of(object).map_or(0, |known| known.conflicts);
        let longest = FIRST_CONFLICT.saturating_mul(1 << conflicts.min(10)).min(LONGEST_CONFLICT);
        let half = longest / 2;
        let spread = u32::try_from(half.as_millis()).unwrap_or(u32::MAX);
        let salt = i32::try_from(conflicts).unwrap_or(i32::MAX);
        let part = jitter::below(spread, &object.uid().unwrap_or_default(), salt);
        let wait = half + Duration::from_millis(part.into());
        self.change(object, |known| {
            known.at_least = version_of(object).map(|version| version.saturating_add(1));
            known.conflicts = conflicts.saturating_add(1);
            known.to_read = Some(known.since + wait);
        });
        wait
    }

    pub(super) fn forget(&self, object: &impl Resource) {
        if let Some(uid) = object.uid() {
            self.known().remove(&uid);
        }
    }

    /// Changes the entry of the object, whose `since` is now.
    fn change(&self, object: &impl Resource, change: impl FnOnce(&mut Known)) {
        let Some(uid) = object.uid() else { return };
        let since = Instant::now();
        let new = Known { at_least: None, since, confirmed: None, conflicts: 0, to_read: None };
        let mut all = self.known();
        all.retain(|_, known| known.since.elapsed() < FORGET);
        let known = all.entry(uid).or_insert(new);
        known.since = since;
        change(known);
    }
}

/// Versions are opaque by contract but ordered numbers since Kubernetes 1.35 (KEP-5504); anything else is never stale.
fn version_of(object: &impl Resource) -> Option<u64> {
    object.meta().resource_version.as_deref()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Repository;

    fn object(version: &str) -> Repository {
        let mut object = Repository::new("app", Default::default());
        object.metadata.uid = Some("uid".into());
        object.metadata.resource_version = Some(version.into());
        object
    }

    #[tokio::test(start_paused = true)]
    async fn a_copy_older_than_our_own_write_waits_for_the_watch_and_then_for_a_read() {
        let versions = Versions::default();
        assert_eq!(versions.freshness(&object("6")), Freshness::Current, "nothing is known");
        versions.wrote(&object("7"));
        assert_eq!(versions.freshness(&object("6")), Freshness::Lagging(LAG));
        assert_eq!(versions.freshness(&object("7")), Freshness::Current);
        tokio::time::advance(LAG_LIMIT).await;
        assert_eq!(versions.freshness(&object("6")), Freshness::Overdue, "never current by itself");
        // A restored etcd counts from a lower version: the read says so.
        versions.read(&object("3"));
        assert_eq!(versions.freshness(&object("3")), Freshness::Current);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_conflict_no_copy_is_current_before_the_object_was_read() {
        let versions = Versions::default();
        let wait = versions.conflicted(&object("6"));
        assert!((FIRST_CONFLICT / 2..FIRST_CONFLICT).contains(&wait), "{wait:?}");
        assert_eq!(versions.freshness(&object("6")), Freshness::Lagging(wait));
        assert_eq!(
            versions.freshness(&object("7")),
            Freshness::Lagging(wait),
            "who knows what comes after it"
        );
        tokio::time::advance(wait).await;
        assert_eq!(versions.freshness(&object("7")), Freshness::Overdue);
        versions.read(&object("9"));
        assert_eq!(versions.freshness(&object("7")), Freshness::Lagging(LAG));
        assert_eq!(versions.freshness(&object("9")), Freshness::Current);
    }

    #[tokio::test(start_paused = true)]
    async fn each_further_conflict_waits_longer_until_a_write_succeeds() {
        let versions = Versions::default();
        for longest in [100, 200, 400, 800, 1600, 3200, 5000, 5000] {
            let wait = versions.conflicted(&object("6")).as_millis();
            assert!((longest / 2..longest).contains(&wait), "{wait} of {longest}");
            versions.read(&object("6"));
        }
        versions.wrote(&object("12"));
        assert!(versions.conflicted(&object("12")) < FIRST_CONFLICT);
        versions.forget(&object("12"));
        assert_eq!(versions.freshness(&object("1")), Freshness::Current);
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_without_an_answer_makes_every_copy_doubtful() {
        let versions = Versions::default();
        versions.writing(&object("6"));
        assert_eq!(versions.freshness(&object("6")), Freshness::Overdue);
        versions.wrote_nothing(&object("6"));
        assert_eq!(versions.freshness(&object("6")), Freshness::Current);
        versions.writing(&object("6"));
        versions.wrote(&object("7"));
        assert_eq!(versions.freshness(&object("7")), Freshness::Current);
        // Without an order of versions, too.
        versions.writing(&object("x"));
        assert_eq!(versions.freshness(&object("y")), Freshness::Overdue);
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_the_api_server_gave_is_confirmed() {
        let versions = Versions::default();
        let before = Instant::now();
        versions.writing(&object("6"));
        assert!(!versions.is_confirmed(&object("6"), before));
        versions.wrote(&object("7"));
        assert!(versions.is_confirmed(&object("7"), before));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!versions.is_confirmed(&object("7"), Instant::now()));
        versions.conflicted(&object("7"));
        assert!(!versions.is_confirmed(&object("7"), Instant::now()));
        versions.read(&object("9"));
        assert!(versions.is_confirmed(&object("9"), Instant::now()));
    }
}
