//! Secondary limits on calls that make content: so many in any time of a length, of one account. Who exceeds one is punished, and
//! longer with each call that comes meanwhile. Asked by the request's way through `mod`; set by the control side.

use std::collections::{HashMap, VecDeque};

use http::{Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::GitHub;
use super::answer::Answer;

const URL: &str = "https://docs.github.com/free-pro-team@latest/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits";

/// Limits on what makes content, for each account; GitHub's own are 80 a minute and 500 an hour. None by default: a test's hour
/// is short.
#[derive(Clone, Debug, Default)]
pub struct ContentLimits {
    /// At most so many calls in any time of this length.
    pub windows: Vec<(SignedDuration, usize)>,
    /// Length of the first punishment, of which GitHub does not tell; doubled by each call that comes meanwhile.
    pub punishment: SignedDuration,
}

/// The calls of all accounts, as far as they count.
#[derive(Default)]
pub(super) struct Secondary {
    limits: ContentLimits,
    accounts: HashMap<String, Account>,
    /// Calls that came too many, or while a punishment held.
    violations: usize,
}

#[derive(Default)]
struct Account {
    made: VecDeque<Timestamp>,
    punished: Option<(Timestamp, SignedDuration)>,
}

/// Whether a call makes content. Tokens are none; of GraphQL, mutations are.
pub(super) fn makes_content(method: &Method, path: &str, body: &[u8]) -> bool {
    let reads = [Method::GET, Method::HEAD].contains(method) || path.ends_with("/access_tokens");
    let mutates = || body.windows(8).any(|word| word == b"mutation");
    !reads && (path != "/graphql" || mutates())
}

impl Secondary {
    /// Counts a call of this account that makes content, or refuses it.
    pub(super) fn check(&mut self, account: &str, now: Timestamp) -> Result<(), Answer> {
        let Some(longest) = self.limits.windows.iter().map(|(length, _)| *length).max() else {
            return Ok(());
        };
        let account = self.accounts.entry(account.to_owned()).or_default();
        if let Some((until, length)) = account.punished.filter(|(until, _)| now < *until) {
            let length = length * 2;
            account.punished = Some((until.max(now + length), length));
            self.violations += 1;
            return Err(refusal());
        }
        while account.made.front().is_some_and(|made| *made + longest <= now) {
            account.made.pop_front();
        }
        let exceeded = self.limits.windows.iter().any(|(length, most)| {
            account.made.iter().rev().take_while(|made| **made + *length > now).count() >= *most
        });
        if exceeded {
            account.punished = Some((now + self.limits.punishment, self.limits.punishment));
            self.violations += 1;
            return Err(refusal());
        }
        account.made.push_back(now);
        Ok(())
    }
}

/// As GitHub words it, without a time.
fn refusal() -> Answer {
    let message = "You have exceeded a secondary rate limit and have been temporarily blocked from content creation. \
                   Please retry your request again later.";
    Answer::new(StatusCode::FORBIDDEN, json!({ "documentation_url": URL, "message": message }))
}

impl GitHub {
    /// Limits what makes content from now on.
    pub fn set_content_limits(&self, limits: ContentLimits) {
        self.inner.state().secondary.limits = limits;
    }

    /// Number of calls that exceeded a limit on content, or came while one was being punished.
    pub fn content_violations(&self) -> usize {
        self.inner.state().secondary.violations
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    #[test]
    fn too_many_in_any_window_are_punished_and_the_impatient_longer() {
        let windows = vec![(SignedDuration::from_secs(10), 2), (SignedDuration::from_secs(60), 3)];
        let limits = ContentLimits { windows, punishment: SignedDuration::from_secs(60) };
        let mut secondary = Secondary { limits, ..Secondary::default() };
        let mut check = |account: &str, second| secondary.check(account, at(second)).is_ok();
        assert!(check("a", 0) && check("a", 9) && check("a", 10), "two in any ten seconds");
        assert!(check("b", 10), "another account");
        assert!(!check("a", 59), "four in a minute");
        assert!(!check("a", 118), "punished, and from here on for two minutes");
        assert!(!check("a", 237), "and for four");
        assert!(check("a", 480));
        assert_eq!(secondary.violations, 3);
    }

    #[test]
    fn what_makes_content_is_told_by_the_call() {
        assert!(makes_content(&Method::PUT, "/repos/o/r/pulls/1/merge", b"{}"));
        assert!(!makes_content(&Method::POST, "/app/installations/1/access_tokens", b"{}"));
        assert!(!makes_content(&Method::POST, "/graphql", br#"{"query":"query { viewer { login } }"}"#));
        assert!(makes_content(&Method::POST, "/graphql", br#"{"query":"mutation { x }"}"#));
    }
}
