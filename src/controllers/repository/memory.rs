//! What the controller remembers of each Repository between syncs: when the next is due and how far the last one read.
//! In memory only: after a restart the first sync reads further back.

use crate::domain::repository::first_sync;
use jiff::{SignedDuration, Timestamp};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The longest interval is a day: what is overdue for longer is no Repository that is synced.
const FORGET: SignedDuration = SignedDuration::from_hours(72);

/// By uid of the Repository.
#[derive(Default)]
pub(super) struct Memory(Mutex<HashMap<String, Entry>>);

/// How far the last sync read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// Time of the newest change that was seen.
    pub(super) newest: Option<Timestamp>,
    /// `ETag` of the list's first page.
    pub(super) etag: Option<String>,
}

#[derive(Default)]
struct Entry {
    next_sync: Option<Timestamp>,
    position: Position,
    has_branch: bool,
}

impl Memory {
    fn entries(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, uid: &str, change: impl FnOnce(&mut Entry) -> T) -> T {
        change(self.entries().entry(uid.to_owned()).or_default())
    }

    /// When the next sync is due. A shorter interval in the spec counts at once.
    pub(super) fn next_sync(&self, uid: &str, interval: SignedDuration, now: Timestamp) -> Timestamp {
        self.with(uid, |entry| {
            let due = *entry.next_sync.get_or_insert_with(|| first_sync(uid, interval, now));
            due.min(now + interval)
        })
    }

    /// A sync has succeeded; the next is due at `next`. Entries that were due days ago belong to nobody any more.
    pub(super) fn synced(&self, uid: &str, next: Timestamp) {
        let forgotten = next.checked_sub(FORGET).unwrap_or(Timestamp::MIN);
        self.entries().retain(|_, entry| entry.next_sync.is_none_or(|due| due > forgotten));
        self.with(uid, |entry| entry.next_sync = Some(next));
    }

    /// What the last sync found did not reach every Task: it is read once more.
    pub(super) fn again(&self, uid: &str, now: Timestamp) {
        self.with(uid, |entry| {
            entry.next_sync = Some(now);
            entry.position = Position::default();
        });
    }

    pub(super) fn position(&self, uid: &str) -> Position {
        self.with(uid, |entry| entry.position.clone())
    }

    pub(super) fn set_position(&self, uid: &str, position: Position) {
        self.with(uid, |entry| entry.position = position);
    }

    /// Whether the base branch has been seen by this process.
    pub(super) fn has_branch(&self, uid: &str) -> bool {
        self.with(uid, |entry| entry.has_branch)
    }

    pub(super) fn set_branch(&self, uid: &str, seen: bool) {
        self.with(uid, |entry| entry.has_branch = seen);
    }
}
