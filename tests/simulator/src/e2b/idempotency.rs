//! `Idempotency-Key` of sandbox creation: the first request acts, its answer is replayed, errors included.
//! Used by `create`; the rules are those of E2B's idempotency middleware.

use std::collections::HashMap;

use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// How long an answer is replayed. E2B does not say; a day is longer than any retry.
const RETENTION: SignedDuration = SignedDuration::from_hours(24);

/// An answer as it was given.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub status: StatusCode,
    pub body: Value,
}

/// What a key means for a request.
#[derive(Debug, PartialEq)]
pub enum Admission {
    /// Nobody used the key: act, then `record`.
    Act,
    /// Answer this.
    Replay(Answer),
    /// The key was used with another request.
    Mismatch,
    /// The first request is still under way.
    InProgress,
}

/// All keys of all teams.
#[derive(Default)]
pub struct Keys(HashMap<(String, String), Entry>);

struct Entry {
    request: Value,
    answer: Option<Answer>,
    since: Timestamp,
}

impl Keys {
    /// Looks a key up and takes it if it is free.
    pub fn admit(&mut self, team: &str, key: &str, request: &Value, now: Timestamp) -> Admission {
        self.0.retain(|_, entry| entry.answer.is_none() || now.duration_since(entry.since) < RETENTION);
        let name = (team.to_owned(), key.to_owned());
        let Some(entry) = self.0.get(&name) else {
            self.0.insert(name, Entry { request: request.clone(), answer: None, since: now });
            return Admission::Act;
        };
        if entry.request != *request {
            return Admission::Mismatch;
        }
        entry.answer.clone().map_or(Admission::InProgress, Admission::Replay)
    }

    pub fn record(&mut self, team: &str, key: &str, answer: Answer) {
        if let Some(entry) = self.0.get_mut(&(team.to_owned(), key.to_owned())) {
            entry.answer = Some(answer);
        }
    }

    /// E2B's rule for keys: no hyphen, no capital.
    pub fn is_valid(key: &str) -> bool {
        (1..=255).contains(&key.len())
            && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_acts_once_for_its_team() {
        let (mut keys, now) = (Keys::default(), Timestamp::UNIX_EPOCH);
        let request = json!({"templateID": "base"});
        assert_eq!(keys.admit("a", "k", &request, now), Admission::Act);
        assert_eq!(keys.admit("a", "k", &request, now), Admission::InProgress);
        assert_eq!(keys.admit("b", "k", &request, now), Admission::Act);
        let answer = Answer { status: StatusCode::TOO_MANY_REQUESTS, body: json!({"code": 429}) };
        keys.record("a", "k", answer.clone());
        assert_eq!(keys.admit("a", "k", &request, now), Admission::Replay(answer));
        assert_eq!(keys.admit("a", "k", &json!({}), now), Admission::Mismatch);
        assert_eq!(keys.admit("a", "k", &request, now + RETENTION), Admission::Act);
    }

    #[test]
    fn keys_are_lower_case_letters_and_digits() {
        assert!(Keys::is_valid("0af3x1x2"));
        for key in ["", "a-b", "A", &"a".repeat(256)] {
            assert!(!Keys::is_valid(key), "{key}");
        }
    }
}
