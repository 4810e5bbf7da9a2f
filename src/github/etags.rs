//! The last answers that came with an `ETag`: asking again whether they still hold costs no rate limit.
//! Used by `client`, for every read that is repeated.

use super::token::Fingerprint;
use bytes::Bytes;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// Bytes of all answers that are kept: of some 700 pull requests, say.
const MOST: usize = 16 << 20;
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
pub(super) struct Etags(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    answers: HashMap<(Fingerprint, String), Answer>,
    bytes: usize,
}

impl Etags {
    pub(super) fn get(&self, token: Fingerprint, path: &str) -> Option<Answer> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.answers.get(&(token, path.to_owned())).cloned()
    }

    pub(super) fn set(&self, token: Fingerprint, path: String, answer: Answer) {
        if answer.body.len() > LONGEST {
            return;
        }
        let Kept { answers, bytes } = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *bytes += answer.body.len();
        if let Some(before) = answers.insert((token, path), answer) {
            *bytes -= before.body.len();
        }
        // Any: of answers that are asked for in turn, the oldest is the one that is wanted next.
        while *bytes > MOST
            && let Some(key) = answers.keys().next().cloned()
            && let Some(dropped) = answers.remove(&key)
        {
            *bytes -= dropped.body.len();
        }
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

    #[test]
    fn what_is_kept_stays_below_its_bound() {
        let etags = Etags::default();
        let body = Bytes::from(vec![b'x'; LONGEST]);
        for number in 0..2 * MOST / LONGEST {
            let answer = Answer { etag: "\"a\"".into(), body: body.clone(), pages: [None; 2] };
            for _ in 0..2 {
                etags.set([1; 32], format!("/{number}"), answer.clone());
            }
        }
        let kept = etags.0.into_inner().expect("no panic");
        assert_eq!((kept.answers.len(), kept.bytes), (MOST / LONGEST, MOST));
    }
}
