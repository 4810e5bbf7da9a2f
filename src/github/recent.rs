//! Remembers what this process created in the last minute. GitHub's replicas lag behind: a 404 for our own creation is then a
//! matter of waiting and not of absence. In memory only: after a restart a minute has usually passed.

use super::name::RepositoryName;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Time for which a 404 of our own creation counts as lag.
const LAG: Duration = Duration::from_mins(1);

#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<HashMap<String, Instant>>);

impl Recent {
    pub(super) fn created(&self, repository: &RepositoryName, reference: Option<&str>, now: Instant) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, at| now.duration_since(*at) < LAG);
        known.insert(key(repository, reference), now);
    }

    pub(super) fn deleted(&self, repository: &RepositoryName, reference: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&key(repository, Some(reference)));
    }

    /// Returns whether the repository or the reference is younger than a minute and ours.
    pub(super) fn knows(&self, repository: &RepositoryName, reference: Option<&str>, now: Instant) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |key: String| known.get(&key).is_some_and(|at| now.duration_since(*at) < LAG);
        fresh(key(repository, None)) || reference.is_some_and(|r| fresh(key(repository, Some(r))))
    }
}

/// Repository names are compared without case, references are not.
fn key(repository: &RepositoryName, reference: Option<&str>) -> String {
    format!("{} {}", repository.to_string().to_lowercase(), reference.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::conditions::reason,
        domain::{
            failure::{Class, Failure},
            retry,
        },
    };
    use jiff::Timestamp;

    #[test]
    fn a_creation_is_known_for_a_minute_and_for_its_own_names_only() {
        let (recent, now) = (Recent::default(), Instant::now());
        let ours = RepositoryName::new("Acme", "app");
        recent.created(&ours, Some("heads/a"), now);
        let (soon, late) = (now + Duration::from_secs(59), now + Duration::from_secs(60));
        assert!(recent.knows(&RepositoryName::new("acme", "App"), Some("heads/a"), soon));
        assert!(!recent.knows(&ours, Some("heads/a"), late));
        assert!(!recent.knows(&ours, Some("heads/A"), soon));
        assert!(!recent.knows(&ours, None, soon));
    }

    #[test]
    fn what_is_missing_is_told_soon_after_the_minute() {
        let (recent, created) = (Recent::default(), Instant::now());
        let ours = RepositoryName::new("acme", "app");
        recent.created(&ours, None, created);
        let lag = Failure {
            operation: "getRef",
            class: Class::Transient,
            reason: reason::NOT_VISIBLE_YET,
            message: "not visible".into(),
        };
        let (mut retry, mut passed) = (None, Duration::ZERO);
        while recent.knows(&ours, Some("heads/nope"), created + passed) {
            let now = Timestamp::UNIX_EPOCH + passed;
            let verdict = retry::after(retry.as_ref(), &lag, "uid", now);
            assert_eq!(verdict.reason, reason::NOT_VISIBLE_YET, "after {passed:?}");
            passed += verdict.retry.next_attempt_at.0.duration_since(now).unsigned_abs();
            retry = Some(verdict.retry);
        }
        assert!(passed <= Duration::from_secs(75), "{passed:?}");
    }

    #[test]
    fn a_new_repository_excuses_all_its_references() {
        let (recent, now) = (Recent::default(), Instant::now());
        let ours = RepositoryName::new("acme", "app");
        recent.created(&ours, None, now);
        assert!(recent.knows(&ours, Some("heads/main"), now));
    }

    #[test]
    fn what_we_deleted_ourselves_is_absent_at_once() {
        let (recent, now) = (Recent::default(), Instant::now());
        let ours = RepositoryName::new("acme", "app");
        recent.created(&ours, Some("heads/a"), now);
        recent.deleted(&ours, "heads/a");
        assert!(!recent.knows(&ours, Some("heads/a"), now));
    }
}
