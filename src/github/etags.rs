//! The last answers that came with an `ETag`: asking again whether they still hold costs no rate limit.
//! Used by `client`, for every read that is repeated.

use super::token::Fingerprint;
use bytes::Bytes;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// Answers kept at the same time.
const MOST: usize = 1024;
/// Longest answer that is kept (bytes).
const LONGEST: usize = 32 << 10;

/// An answer and what names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) etag: String,
    pub(super) body: Bytes,
    /// The numbers of the next and the last page, as `call::Success` has them.
    pub(super) pages: [Option<u32>; 2],
}

/// By token and path: no token is shown what another was answered.
#[derive(Debug, Default)]
pub(super) struct Etags(Mutex<HashMap<(Fingerprint, String), Answer>>);

impl Etags {
    pub(super) fn get(&self, token: Fingerprint, path: &str) -> Option<Answer> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&(token, path.to_owned())).cloned()
    }

    pub(super) fn set(&self, token: Fingerprint, path: String, answer: Answer) {
        if answer.body.len() > LONGEST {
            return;
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert((token, path), answer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_token_sees_what_another_was_answered() {
        let etags = Etags::default();
        let answer = Answer { etag: "\"a\"".into(), body: Bytes::from_static(b"{}"), pages: [None; 2] };
        etags.set([1; 32], "/repos/o/r".into(), answer.clone());
        assert_eq!(etags.get([1; 32], "/repos/o/r"), Some(answer));
        assert_eq!(etags.get([2; 32], "/repos/o/r"), None);
        assert_eq!(etags.get([1; 32], "/repos/o/other"), None);
    }
}
