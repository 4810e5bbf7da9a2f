//! Limits that E2B has named: nothing of that operation is sent under that key before its time is over.
//! Used by `e2b::lifecycle` around every call; clones share what they know.

use jiff::Timestamp;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// End of each limit, by the key's fingerprint and the operation: E2B limits its operations one by one.
#[derive(Clone, Default)]
pub(super) struct Limits(Arc<Mutex<HashMap<(String, &'static str), Timestamp>>>);

impl Limits {
    fn known(&self) -> MutexGuard<'_, HashMap<(String, &'static str), Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a limit; those that are over are forgotten.
    pub(super) fn note(&self, fingerprint: &str, operation: &'static str, until: Timestamp, now: Timestamp) {
        let mut known = self.known();
        known.retain(|_, until| *until > now);
        known.insert((fingerprint.to_owned(), operation), until);
    }

    /// Returns until when the operation must not be called, if so.
    pub(super) fn holds_until(
        &self,
        fingerprint: &str,
        operation: &'static str,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let until = self.known().get(&(fingerprint.to_owned(), operation)).copied();
        until.filter(|until| *until > now)
    }
}
