//! Whose a token is: GitHub's limits are those of its user, however many tokens that user has. Asked once per token.
//! Used by `client`, which names the account of a token's calls by it.

use super::{Error, token::Fingerprint};
use serde::Deserialize;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// After a failure the next calls go on without the answer for so long: their own failures say what is wrong.
const AGAIN: Duration = Duration::from_mins(1);

/// Tokens that are remembered at most.
const MOST: usize = 10_000;

/// A user as `GET /user` describes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct User {
    pub(super) id: u64,
    pub(super) login: String,
}

/// The users of the tokens that this process has called with, by fingerprint.
#[derive(Debug, Default)]
pub(super) struct Identities {
    known: Mutex<HashMap<Fingerprint, Arc<tokio::sync::Mutex<Asked>>>>,
}

#[derive(Debug, Default)]
enum Asked {
    #[default]
    Never,
    Answered(Arc<User>),
    /// GitHub does not tell: the token is nobody's, such as one that a workflow was given.
    Refused(Instant),
    Failed(Instant),
}

/// A refusal is believed for so long.
const BELIEVED: Duration = Duration::from_hours(1);

impl Identities {
    /// The user of a token, where GitHub tells; whoever needs it first asks for all.
    pub(super) async fn user(
        &self,
        token: Fingerprint,
        ask: impl Future<Output = Result<User, Error>>,
    ) -> Option<Arc<User>> {
        let known = self.slot(token);
        let mut asked = known.lock().await;
        match &*asked {
            Asked::Answered(user) => return Some(user.clone()),
            Asked::Refused(at) if at.elapsed() < BELIEVED => return None,
            Asked::Failed(at) if at.elapsed() < AGAIN => return None,
            Asked::Refused(_) | Asked::Failed(_) | Asked::Never => {}
        }
        let (answer, user) = match ask.await {
            Ok(user) => {
                let user = Arc::new(user);
                (Asked::Answered(user.clone()), Some(user))
            }
            Err(error) if error.class.is_retryable() || error.status == Some(401) => {
                (Asked::Failed(Instant::now()), None)
            }
            Err(_) => (Asked::Refused(Instant::now()), None),
        };
        *asked = answer;
        user
    }
}

impl Identities {
    fn slot(&self, token: Fingerprint) -> Arc<tokio::sync::Mutex<Asked>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            // Tokens are rotated; what is asked for once more costs a call.
            known.retain(|_, asked| Arc::strong_count(asked) > 1);
        }
        known.entry(token).or_default().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::failure::Class;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn octocat() -> User {
        User { id: 583_231, login: "octocat".to_owned() }
    }

    fn failed(class: Class) -> Error {
        Error { operation: "getUser", class, reason: "Retrying", message: String::new(), status: None }
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_asked_about_once_by_all_who_need_it() {
        let (identities, asked) = (Identities::default(), AtomicUsize::new(0));
        let ask = || async {
            asked.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(octocat())
        };
        let users = futures::future::join_all((0..5).map(|_| identities.user([1; 32], ask()))).await;
        assert!(users.iter().all(|user| user.as_deref() == Some(&octocat())));
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        identities.user([2; 32], ask()).await;
        assert_eq!(asked.load(Ordering::Relaxed), 2, "another token");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_no_answer_and_a_refusal_is_one() {
        let identities = Identities::default();
        let never = || async { panic!("it is not asked") };
        assert_eq!(identities.user([1; 32], async { Err(failed(Class::Transient)) }).await, None);
        assert_eq!(identities.user([1; 32], never()).await, None);
        tokio::time::advance(AGAIN).await;
        assert!(identities.user([1; 32], async { Ok(octocat()) }).await.is_some());
        assert_eq!(identities.user([2; 32], async { Err(failed(Class::Denied)) }).await, None);
        tokio::time::advance(AGAIN).await;
        assert_eq!(identities.user([2; 32], never()).await, None);
    }
}
