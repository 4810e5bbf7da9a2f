//! Primary rate limits per token and resource, with the headers that go on every answer.
//! Secondary limits are faults: see `secondary_limit` and `primary_limit`.

use std::collections::{BTreeMap, HashMap};

use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::answer::Answer;
use super::auth::{Caller, TokenKind};
use crate::core::Action;

/// One caller's budget of one resource within the current hour.
#[derive(Clone)]
struct Bucket {
    limit: u64,
    used: u64,
    reset: Timestamp,
}

impl Bucket {
    fn leave(&mut self, remaining: u64, reset: Timestamp) {
        // More than the usual hour is what GitHub gives to apps of large organizations.
        self.limit = self.limit.max(remaining);
        self.used = self.limit - remaining;
        self.reset = reset;
    }
}

/// Budgets of all callers; an unknown one starts with a full hour.
#[derive(Default)]
pub(super) struct Limits {
    buckets: HashMap<(String, &'static str), Bucket>,
}

/// Whom the limits of a call bind, and how many calls it has in an hour.
pub(super) fn owner(caller: &Caller) -> (String, u64) {
    match caller {
        // Rate limits belong to the user, whatever the number of their tokens.
        Caller::Token(token) if token.kind == TokenKind::Personal => (token.login.clone(), 5000),
        Caller::Token(token) => (token.value.clone(), 5000),
        Caller::Installation(acting) => (installation(acting.installation), 5000),
        Caller::App(id) => (format!("app {id}"), 5000),
        Caller::Anonymous => (String::new(), 60),
        Caller::Person(_) => (String::new(), u64::MAX),
    }
}

/// All tokens of an installation share one budget.
fn installation(id: u64) -> String {
    format!("installation {id}")
}

impl Limits {
    fn bucket(&mut self, caller: &Caller, resource: &'static str, now: Timestamp) -> &mut Bucket {
        self.bucket_of(owner(caller), resource, now)
    }

    fn bucket_of(
        &mut self,
        (name, limit): (String, u64),
        resource: &'static str,
        now: Timestamp,
    ) -> &mut Bucket {
        let fresh = Bucket { limit, used: 0, reset: now + SignedDuration::from_hours(1) };
        let bucket = self.buckets.entry((name, resource)).or_insert_with(|| fresh.clone());
        if now >= bucket.reset {
            *bucket = fresh;
        }
        bucket
    }

    /// Refuses the call when nothing is left until the reset (REST docs, "Exceeding the rate limit").
    pub(super) fn check(
        &mut self,
        caller: &Caller,
        resource: &'static str,
        now: Timestamp,
        who: &str,
    ) -> Result<(), Answer> {
        let bucket = self.bucket(caller, resource, now);
        if bucket.used < bucket.limit {
            return Ok(());
        }
        let message = format!("API rate limit exceeded for {who}.");
        let url = "https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api";
        let mut body = json!({ "message": message, "documentation_url": url });
        body["status"] = "403".into();
        Err(Answer::new(StatusCode::FORBIDDEN, body))
    }

    /// Counts one call.
    pub(super) fn count(&mut self, caller: &Caller, resource: &'static str, now: Timestamp) {
        self.bucket(caller, resource, now).used += 1;
    }

    pub(super) fn headers(
        &mut self,
        caller: &Caller,
        resource: &'static str,
        now: Timestamp,
    ) -> [(&'static str, String); 5] {
        let bucket = self.bucket(caller, resource, now);
        [
            ("x-ratelimit-limit", bucket.limit.to_string()),
            ("x-ratelimit-remaining", bucket.limit.saturating_sub(bucket.used).to_string()),
            ("x-ratelimit-used", bucket.used.to_string()),
            ("x-ratelimit-reset", bucket.reset.as_second().to_string()),
            ("x-ratelimit-resource", resource.to_owned()),
        ]
    }

    /// Leaves the caller this many calls until `reset`.
    pub(super) fn set(
        &mut self,
        caller: &Caller,
        resource: &'static str,
        now: Timestamp,
        remaining: u64,
        reset: Timestamp,
    ) {
        self.bucket(caller, resource, now).leave(remaining, reset);
    }

    /// Leaves an installation, whatever the number of its tokens, this many calls until `reset`.
    pub(super) fn set_installation(
        &mut self,
        id: u64,
        resource: &'static str,
        now: Timestamp,
        remaining: u64,
        reset: Timestamp,
    ) {
        self.bucket_of((installation(id), 5000), resource, now).leave(remaining, reset);
    }
}

const SECONDARY_URL: &str = "https://docs.github.com/free-pro-team@latest/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits";

/// GitHub's answer to a caller over a secondary limit; `retry_after` in seconds.
pub fn secondary_limit(retry_after: Option<u64>) -> Action {
    let mut headers = BTreeMap::new();
    if let Some(seconds) = retry_after {
        headers.insert("retry-after".to_owned(), seconds.to_string());
    }
    let message = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again. \
                   If you reach out to GitHub Support for help, please include the request ID 0000:0000:0:0:0.";
    let body = json!({ "documentation_url": SECONDARY_URL, "message": message });
    Action::Status { status: 403, headers, body: body.to_string(), after_effect: false }
}

/// GitHub's answer to a caller without calls left until `reset`.
pub fn primary_limit(reset: Timestamp) -> Action {
    let mut headers = BTreeMap::new();
    for (name, value) in [
        ("x-ratelimit-limit", "5000".to_owned()),
        ("x-ratelimit-remaining", "0".to_owned()),
        ("x-ratelimit-used", "5000".to_owned()),
        ("x-ratelimit-reset", reset.as_second().to_string()),
        ("x-ratelimit-resource", "core".to_owned()),
    ] {
        headers.insert(name.to_owned(), value);
    }
    let url = "https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api";
    let body = json!({ "message": "API rate limit exceeded for user ID 1001.", "documentation_url": url, "status": "403" });
    Action::Status { status: 403, headers, body: body.to_string(), after_effect: false }
}
