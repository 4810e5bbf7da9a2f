//! The least version of each object that a decision may be made from: a store lags behind writes, ours and others'.
//! Used by `shell::objects`, which writes and reads the objects.

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
/// Wait after the first conflict, doubling with each further one up to the longest.
const FIRST_CONFLICT: Duration = Duration::from_millis(100);
const LONGEST_CONFLICT: Duration = Duration::from_secs(5);
/// An entry this old belongs to an object that was deleted without a last pass.
const FORGET: Duration = Duration::from_hours(1);

/// Age of the store's copy of an object, as far as it matters for decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Freshness {
    Current,
    /// Known to be old; the watch is expected to bring the newer object.
    Lagging,
    /// Known to be old, and the watch has had its time: the object itself has to be read.
    Overdue,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    /// No older version may be decided from.
    at_least: u64,
    since: Instant,
    /// Writes in a row that met a conflict.
    conflicts: u32,
}

/// By uid.
#[derive(Debug, Default)]
pub(super) struct Versions(Mutex<HashMap<String, Known>>);

impl Versions {
    fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Judges whether a decision may be made from this copy.
    pub(super) fn freshness(&self, object: &impl Resource) -> Freshness {
        let known = object.uid().and_then(|uid| self.known().get(&uid).copied());
        match (known, version_of(object)) {
            (Some(known), Some(version)) if version < known.at_least => {
                if known.since.elapsed() < LAG_LIMIT {
                    Freshness::Lagging
                } else {
                    Freshness::Overdue
                }
            }
            _ => Freshness::Current,
        }
    }

    /// Our own write gave this object.
    pub(super) fn wrote(&self, object: &impl Resource) {
        self.insert(object, 0, |version| version);
    }

    /// The API server gave this object: whatever was known before is settled.
    pub(super) fn read(&self, object: &impl Resource) {
        let conflicts = self.conflicts_of(object);
        self.insert(object, conflicts, |version| version);
    }

    /// A write against this object met a conflict, so a newer version exists. How long to wait before the next pass.
    pub(super) fn conflicted(&self, object: &impl Resource) -> Duration {
        let conflicts = self.conflicts_of(object);
        self.insert(object, conflicts.saturating_add(1), |version| version.saturating_add(1));
        FIRST_CONFLICT.saturating_mul(1 << conflicts.min(10)).min(LONGEST_CONFLICT)
    }

    pub(super) fn forget(&self, object: &impl Resource) {
        if let Some(uid) = object.uid() {
            self.known().remove(&uid);
        }
    }

    fn conflicts_of(&self, object: &impl Resource) -> u32 {
        object.uid().and_then(|uid| self.known().get(&uid).map(|known| known.conflicts)).unwrap_or_default()
    }

    fn insert(&self, object: &impl Resource, conflicts: u32, at_least: impl FnOnce(u64) -> u64) {
        if let (Some(uid), Some(version)) = (object.uid(), version_of(object)) {
            let mut known = self.known();
            known.retain(|_, known| known.since.elapsed() < FORGET);
            known.insert(uid, Known { at_least: at_least(version), since: Instant::now(), conflicts });
        }
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
        assert_eq!(versions.freshness(&object("6")), Freshness::Lagging);
        assert_eq!(versions.freshness(&object("7")), Freshness::Current);
        tokio::time::advance(LAG_LIMIT).await;
        assert_eq!(versions.freshness(&object("6")), Freshness::Overdue, "never current by itself");
        // A restored etcd counts from a lower version: the read says so.
        versions.read(&object("3"));
        assert_eq!(versions.freshness(&object("3")), Freshness::Current);
    }

    #[tokio::test(start_paused = true)]
    async fn a_conflict_makes_the_copy_old_and_each_further_one_waits_longer() {
        let versions = Versions::default();
        let waits: Vec<_> = (0..8).map(|_| versions.conflicted(&object("6")).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(versions.freshness(&object("6")), Freshness::Lagging);
        assert_eq!(versions.freshness(&object("7")), Freshness::Current);
        versions.read(&object("9"));
        assert_eq!(versions.conflicted(&object("9")), LONGEST_CONFLICT, "a read is no success");
        versions.wrote(&object("12"));
        assert_eq!(versions.conflicted(&object("12")), FIRST_CONFLICT);
        versions.forget(&object("12"));
        assert_eq!(versions.freshness(&object("1")), Freshness::Current);
    }
}
