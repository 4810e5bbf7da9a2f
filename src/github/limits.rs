//! Keeps what binds all calls of one credential: the limit GitHub named last, and the turn of the next write.
//! A limit is kept here and refused locally; nothing is sent while it holds.

use super::{classify::Limit, token::Fingerprint};
use jiff::{SignedDuration, Timestamp};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// A limit that says nothing: the first wait, doubling to the longest. Source: GitHub, "Rate limits for the REST API",
/// exceeding the secondary limit: at least one minute, then exponentially longer.
const SILENT_FIRST: Duration = Duration::from_mins(1);
const SILENT_LONGEST: Duration = Duration::from_mins(10);
/// A wait longer than this is a wrong clock or header: primary limits reset within the hour.
const LONGEST: Duration = Duration::from_hours(24);
/// Longest wait of a write for its turn inside the adapter.
const MAX_TURN: Duration = Duration::from_secs(5);

/// The credentials seen by this process, by fingerprint.
#[derive(Debug)]
pub(super) struct Credentials {
    known: Mutex<HashMap<Fingerprint, Arc<Credential>>>,
    write_interval: Duration,
}

impl Credentials {
    pub(super) fn new(write_interval: Duration) -> Self {
        Self { known: Mutex::default(), write_interval }
    }

    /// By what stands for a token or for an App's installation.
    pub(super) fn of(&self, fingerprint: Fingerprint) -> Arc<Credential> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(credential) = known.get(&fingerprint) {
            return credential.clone();
        }
        // Rotated tokens would pile up; one that nobody holds and that nothing binds can be forgotten.
        known.retain(|_, credential| Arc::strong_count(credential) > 1 || credential.is_bound());
        let credential = Arc::new(Credential::new(self.write_interval));
        known.insert(fingerprint, credential.clone());
        credential
    }
}

/// Limits of one credential.
#[derive(Debug)]
pub(super) struct Credential {
    limit: Mutex<LimitState>,
    writes: tokio::sync::Mutex<Instant>,
    waiting: AtomicU32,
    /// The latest slot promised to a write that was sent away, so that they do not all come back at once.
    promised: Mutex<Instant>,
    write_interval: Duration,
    max_turn: Duration,
}

#[derive(Debug, Default)]
struct LimitState {
    until: Option<Timestamp>,
    /// Number of times in a row that GitHub named a limit without saying how long.
    silent: u32,
}

impl Credential {
    fn new(write_interval: Duration) -> Self {
        let now = Instant::now();
        Self {
            limit: Mutex::default(),
            writes: tokio::sync::Mutex::new(now),
            waiting: AtomicU32::new(0),
            promised: Mutex::new(now),
            write_interval,
            max_turn: MAX_TURN,
        }
    }

    fn is_bound(&self) -> bool {
        let limited = self.limited(Timestamp::now()).is_some();
        limited || self.writes.try_lock().map_or(true, |next| *next > Instant::now())
    }

    /// Returns until when nothing may be sent, if a limit holds at `now`.
    pub(super) fn limited(&self, now: Timestamp) -> Option<Timestamp> {
        self.limit.lock().unwrap_or_else(PoisonError::into_inner).until.filter(|until| *until > now)
    }

    /// GitHub named a limit at `now`: keeps it and says when it ends. A shorter one never shortens a longer one.
    pub(super) fn limit(&self, limit: Limit, now: Timestamp) -> Timestamp {
        let mut state = self.limit.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = limit.wait.unwrap_or_else(|| {
            let doubled = SILENT_FIRST.saturating_mul(1 << state.silent.min(4)).min(SILENT_LONGEST);
            state.silent += 1;
            doubled
        });
        let wait = SignedDuration::try_from(wait.min(LONGEST)).unwrap_or(SignedDuration::from_hours(24));
        let until = now.saturating_add(wait).unwrap_or(now);
        let until = state.until.map_or(until, |held| held.max(until));
        state.until = Some(until);
        until
    }

    /// A call was answered without a limit: the next silent one starts at a minute again.
    pub(super) fn unlimited(&self) {
        self.limit.lock().unwrap_or_else(PoisonError::into_inner).silent = 0;
    }

    /// The turn to write: serial, and `write_interval` after the last write began. Waits up to [`MAX_TURN`]; after that,
    /// or when the queue is known to be longer, the error is the time to come back.
    pub(super) async fn turn(&self) -> Result<Turn<'_>, Timestamp> {
        let _waiting = Waiting::enter(&self.waiting);
        let ahead = self.waiting.load(Ordering::Relaxed).saturating_sub(1);
        let deadline = Instant::now() + self.max_turn;
        if self.write_interval.saturating_mul(ahead) > self.max_turn {
            return Err(self.promise(ahead));
        }
        let Ok(mut next) = tokio::time::timeout_at(deadline, self.writes.lock()).await else {
            return Err(self.promise(ahead));
        };
        if *next > deadline {
            return Err(self.promise(ahead));
        }
        tokio::time::sleep_until(*next).await;
        // Set before the write is sent: a write whose future is dropped has been sent all the same.
        *next = Instant::now() + self.write_interval;
        Ok(Turn(next))
    }

    /// A slot of its own for each write that is sent away, behind those that wait.
    fn promise(&self, ahead: u32) -> Timestamp {
        let now = Instant::now();
        let mut promised = self.promised.lock().unwrap_or_else(PoisonError::into_inner);
        let free = now + self.write_interval.saturating_mul(ahead.max(1));
        *promised = (*promised + self.write_interval).max(free);
        let wait = SignedDuration::try_from(*promised - now).unwrap_or(SignedDuration::from_secs(5));
        let now = Timestamp::now();
        now.saturating_add(wait).unwrap_or(now)
    }
}

/// Held while a write is under way: the next one waits for it.
#[derive(Debug)]
pub(super) struct Turn<'a>(
    #[expect(dead_code, reason = "held for its drop")] tokio::sync::MutexGuard<'a, Instant>,
);

struct Waiting<'a>(&'a AtomicU32);

impl<'a> Waiting<'a> {
    fn enter(count: &'a AtomicU32) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
