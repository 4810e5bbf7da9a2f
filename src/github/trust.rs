//! Whether a token that GitHub refuses is not valid any more. GitHub answers valid ones 401 now and then, in moments of trouble.
//! Asked by `session`, before each call and about each 401; what a 401 means then stands in `table`.

use super::token::Fingerprint;
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, sleep_until};

/// A token that has served is not valid any more once all calls of so long a time were refused.
const SURE: Duration = Duration::from_secs(8);
/// Time between two calls with a token in doubt: GitHub counts refused ones, and may lock out the user.
const APART: Duration = Duration::from_secs(2);
/// After so long a refusal has nothing to do with the one before.
const FORGOTTEN: Duration = Duration::from_mins(1);
/// Tokens that are remembered at most.
const MOST: usize = 10_000;

/// What a token is shown to: where the one takes it, the other need not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Server {
    Api,
    /// Git's own protocol, and the API of git LFS.
    Git,
}

/// A token, and what it is shown to.
pub(super) type Shown = (Fingerprint, Server);

/// The tokens that GitHub has taken in this process.
#[derive(Debug, Default)]
pub(super) struct Trust(Mutex<HashMap<Shown, Standing>>);

#[derive(Debug, Clone, Copy)]
enum Standing {
    Valid,
    Doubtful {
        since: Instant,
        last: Instant,
        /// From when on one more call may find out.
        next: Instant,
    },
    /// It was valid once.
    Refused,
}

/// The token was refused while a call waited for whether it is valid.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Revoked;

impl Trust {
    fn known(&self) -> MutexGuard<'_, HashMap<Shown, Standing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while another call finds out whether the token is valid.
    pub(super) async fn pass(&self, token: Shown) -> Result<(), Revoked> {
        let mut waited = false;
        loop {
            let now = Instant::now();
            let until = match self.known().get_mut(&token) {
                // Neither taken nor refused since: something else is the matter.
                Some(Standing::Doubtful { last, .. }) if now - *last > FORGOTTEN => return Ok(()),
                Some(Standing::Doubtful { next, .. }) if now < *next => *next,
                Some(Standing::Doubtful { next, .. }) => {
                    *next = now + APART;
                    return Ok(());
                }
                Some(Standing::Refused) if waited => return Err(Revoked),
                _ => return Ok(()),
            };
            sleep_until(until).await;
            waited = true;
        }
    }

    /// GitHub has taken the token.
    pub(super) fn accepted(&self, token: Shown) {
        let mut known = self.known();
        if known.len() >= MOST && !known.contains_key(&token) {
            known.clear();
        }
        known.insert(token, Standing::Valid);
    }

    /// GitHub has not taken the token. Returns whether it may be valid all the same.
    pub(super) fn refused(&self, token: Shown) -> bool {
        let now = Instant::now();
        let mut known = self.known();
        // What has served at the API is shown to git for the first time: that may be a stray as well.
        if let Some(standing) = known.get(&(token.0, Server::Api)).copied() {
            known.entry(token).or_insert(standing);
        }
        let Some(standing) = known.get_mut(&token) else { return false };
        let since = match *standing {
            Standing::Valid => now,
            Standing::Doubtful { last, .. } if now - last > FORGOTTEN => now,
            Standing::Doubtful { since, .. } => since,
            Standing::Refused => return false,
        };
        let doubtful = now - since < SURE;
        *standing = if doubtful {
            Standing::Doubtful { since, last: now, next: now + APART }
        } else {
            Standing::Refused
        };
        doubtful
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    const TOKEN: Shown = ([1; 32], Server::Api);
    const OVER_GIT: Shown = ([1; 32], Server::Git);

    fn served() -> Trust {
        let trust = Trust::default();
        trust.accepted(TOKEN);
        trust
    }

    /// Calls of one object, which come again as `status.retry` says; how often GitHub is asked before it is told.
    async fn asked_until_sure(trust: &Trust) -> usize {
        for (asked, wait) in [2, 3, 5, 300].into_iter().enumerate() {
            assert_eq!(trust.pass(TOKEN).await, Ok(()));
            if !trust.refused(TOKEN) {
                return asked + 1;
            }
            tokio::time::advance(Duration::from_secs(wait)).await;
        }
        panic!("never told");
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_that_never_served_is_refused_at_once() {
        assert!(!Trust::default().refused(TOKEN));
        assert!(!served().refused(([2; 32], Server::Api)));
    }

    #[tokio::test(start_paused = true)]
    async fn one_stray_refusal_says_nothing_however_often_it_comes() {
        let trust = served();
        for _ in 0..100 {
            assert!(trust.refused(TOKEN));
            assert_eq!(trust.pass(TOKEN).await, Ok(()));
            trust.accepted(TOKEN);
            tokio::time::advance(Duration::from_secs(10)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_revoked_token_is_told_within_ten_seconds_and_four_calls() {
        let (trust, began) = (served(), Instant::now());
        assert_eq!(asked_until_sure(&trust).await, 4);
        assert!(began.elapsed() <= Duration::from_secs(10));
        assert!(!trust.refused(TOKEN), "from then on at once");
        assert_eq!(trust.pass(TOKEN).await, Ok(()), "who asks later may ask");
        trust.accepted(TOKEN);
        assert!(trust.refused(TOKEN), "it has served again");
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_that_lie_far_apart_are_strays_all_of_them() {
        let trust = served();
        for _ in 0..5 {
            assert!(trust.refused(TOKEN));
            tokio::time::advance(FORGOTTEN + Duration::from_secs(1)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn of_many_calls_one_finds_out_and_the_others_wait_for_it() {
        let trust = Arc::new(served());
        assert!(trust.refused(TOKEN));
        let sent = Arc::new(Mutex::new(0));
        let calls: Vec<_> = (0..50)
            .map(|_| {
                let (trust, sent) = (trust.clone(), sent.clone());
                tokio::spawn(async move {
                    trust.pass(TOKEN).await?;
                    *sent.lock().unwrap_or_else(PoisonError::into_inner) += 1;
                    Ok::<_, Revoked>(trust.refused(TOKEN))
                })
            })
            .collect();
        let mut told = Vec::new();
        for call in calls {
            told.push(call.await.expect("it ends"));
        }
        let sent = *sent.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(sent <= 5, "{sent} calls with a token in doubt");
        assert_eq!(told.iter().filter(|told| **told == Err(Revoked)).count(), 50 - sent);
        assert!(told.contains(&Ok(false)));
    }

    #[tokio::test(start_paused = true)]
    async fn where_nothing_is_answered_nobody_waits_for_longer_than_a_minute() {
        let (trust, began) = (served(), Instant::now());
        assert!(trust.refused(TOKEN));
        for _ in 0..100 {
            assert_eq!(trust.pass(TOKEN).await, Ok(()));
        }
        assert!(began.elapsed() <= FORGOTTEN + APART);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_goes_on_once_the_token_is_taken() {
        let trust = Arc::new(served());
        assert!(trust.refused(TOKEN));
        let waits = tokio::spawn({
            let trust = trust.clone();
            async move { trust.pass(TOKEN).await }
        });
        tokio::task::yield_now().await;
        trust.accepted(TOKEN);
        assert_eq!(waits.await.expect("it ends"), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_git_alone_never_takes_is_told_and_holds_up_no_call_of_the_api() {
        let (trust, began) = (served(), Instant::now());
        let mut told = 0;
        while trust.refused(OVER_GIT) {
            told += 1;
            for _ in 0..5 {
                assert_eq!(trust.pass(TOKEN).await, Ok(()));
                trust.accepted(TOKEN);
                tokio::time::advance(Duration::from_secs(1)).await;
            }
        }
        assert_eq!((told, began.elapsed()), (2, Duration::from_secs(10)), "nobody has waited");
        assert_eq!(trust.pass(OVER_GIT).await, Ok(()), "who asks later may ask");
        trust.accepted(OVER_GIT);
        assert!(trust.refused(OVER_GIT), "it has served there too");
        assert_eq!(trust.pass(TOKEN).await, Ok(()));
    }
}
