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

/// Something in a repository that this process has made or moved.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Made {
    Branch(String),
    Commit(String),
    Tree(String),
    Pull(u64),
    /// A pull request by its id in GraphQL.
    Node(String),
    Hook(u64),
}

#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<HashMap<(String, Option<Made>), Instant>>);

impl Recent {
    /// Notes that the repository (`None`) or something in it was just made.
    pub(super) fn created(&self, repository: &RepositoryName, made: Option<Made>, now: Instant) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, at| now.duration_since(*at) < LAG);
        known.insert((key(repository), made), now);
    }

    pub(super) fn deleted(&self, repository: &RepositoryName, made: Made) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&(key(repository), Some(made)));
    }

    /// Returns whether the repository or one of these is younger than a minute and ours.
    pub(super) fn knows(&self, repository: &RepositoryName, any: &[Made], now: Instant) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let repository = key(repository);
        let fresh = |made: Option<Made>| {
            known.get(&(repository.clone(), made)).is_some_and(|at| now.duration_since(*at) < LAG)
        };
        fresh(None) || any.iter().any(|made| fresh(Some(made.clone())))
    }
}

/// Repository names are compared without case, references are not.
fn key(repository: &RepositoryName) -> String {
    repository.to_string().to_lowercase()
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

    fn branch(name: &str) -> Made {
        Made::Branch(name.into())
    }

    #[test]
    fn a_creation_is_known_for_a_minute_and_for_its_own_names_only() {
        let (recent, now) = (Recent::default(), Instant::now());
        let ours = RepositoryName::new("Acme", "app");
        recent.created(&ours, Some(branch("a")), now);
        let (soon, late) = (now + Duration::from_secs(59), now + Duration::from_secs(60));
        assert!(recent.knows(&RepositoryName::new("acme", "App"), &[branch("a")], soon));
        assert!(!recent.knows(&ours, &[branch("a")], late));
        assert!(!recent.knows(&ours, &[branch("A")], soon));
        assert!(!recent.knows(&ours, &[], soon));
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
        while recent.knows(&ours, &[branch("nope")], created + passed) {
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
        assert!(recent.knows(&ours, &[branch("main")], now));
    }

    #[test]
    fn what_we_deleted_ourselves_is_absent_at_once() {
        let (recent, now) = (Recent::default(), Instant::now());
        let ours = RepositoryName::new("acme", "app");
        recent.created(&ours, Some(branch("a")), now);
        recent.deleted(&ours, branch("a"));
        assert!(!recent.knows(&ours, &[branch("a")], now));
    }
}
