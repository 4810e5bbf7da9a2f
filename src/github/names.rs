//! The names that repositories with known ids have just been shown under. A name that was read longer ago may be another's by now.
//! Used by `follow`, which asks before each write.

use super::{name::RepositoryName, token::Fingerprint};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Time for which a name is believed. Asking again costs no rate limit while nothing has changed (`ETag`).
const BELIEVED: Duration = Duration::from_secs(10);

/// By token and id: no token is told what another was.
#[derive(Debug, Default)]
pub(super) struct Names(Mutex<HashMap<(Fingerprint, u64), (RepositoryName, Instant)>>);

impl Names {
    pub(super) fn saw(&self, token: Fingerprint, id: u64, name: RepositoryName) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, (_, at)| at.elapsed() < BELIEVED);
        known.insert((token, id), (name, Instant::now()));
    }

    pub(super) fn today(&self, token: Fingerprint, id: u64) -> Option<RepositoryName> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (name, at) = known.get(&(token, id))?;
        (at.elapsed() < BELIEVED).then(|| name.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> RepositoryName {
        RepositoryName::new("acme", name)
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_is_believed_for_ten_seconds_and_told_to_its_own_token() {
        let names = Names::default();
        names.saw([1; 32], 7, name("app"));
        assert_eq!(names.today([1; 32], 7), Some(name("app")));
        assert_eq!((names.today([2; 32], 7), names.today([1; 32], 8)), (None, None));
        tokio::time::advance(BELIEVED).await;
        assert_eq!(names.today([1; 32], 7), None);
        names.saw([1; 32], 7, name("new"));
        assert_eq!(names.today([1; 32], 7), Some(name("new")));
    }
}
