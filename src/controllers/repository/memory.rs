//! Remembers each Repository between syncs: when the next is due and how far the last one read.
//! In memory only: after a restart the first sync reads further back.

use crate::{
    domain::{redelivery::Checkpoint, repository::first_sync},
    github::Account,
};
use jiff::{SignedDuration, Timestamp};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The longest interval is a day: an entry that is overdue for longer belongs to a Repository that is not synced any more.
const FORGET: SignedDuration = SignedDuration::from_hours(72);

#[derive(Default)]
pub(super) struct Memory {
    /// By uid of the Repository.
    entries: Mutex<HashMap<String, Entry>>,
    receiver: Mutex<Receiver>,
}

/// What all webhooks together tell of their receiver. One of them asks for all whether it is there: pings count for the limits of an
/// account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Receiver {
    /// Time of the last delivery that has arrived.
    pub(super) arrival: Option<Timestamp>,
    /// Time of the last ping, and the uid of the Repository whose webhook it was.
    pub(super) pinged: Option<(Timestamp, String)>,
}

impl Receiver {
    /// The wait before the webhook of this Repository asks; `None` where another does. One takes over when the other has stopped.
    pub(super) fn asks(&self, uid: &str, every: SignedDuration, now: Timestamp) -> Option<SignedDuration> {
        let Some((at, by)) = &self.pinged else { return Some(SignedDuration::ZERO) };
        let asks = by == uid || *at + every * 3 <= now;
        asks.then(|| (*at + every).duration_since(now).max(SignedDuration::ZERO))
    }
}

/// Place up to which the last sync read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// Time of the newest change that was seen.
    pub(super) newest: Option<Timestamp>,
    /// `ETag` of the list's first page.
    pub(super) etag: Option<String>,
    /// Numbers of pull requests that no list has reached: the next syncs read them one by one.
    pub(super) unreached: Vec<i64>,
}

#[derive(Default)]
struct Entry {
    next_sync: Option<Timestamp>,
    position: Position,
    /// Place up to which the last list was read and when the next sync would be due, until all that it said has been applied.
    pending: Option<(Position, Timestamp)>,
    has_branch: bool,
    account: Option<Arc<Account>>,
    hook: HookMemory,
}

/// What is known of the webhook.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct HookMemory {
    /// When it is to be looked at next; `None`: this process has not looked yet, or there is none.
    pub(super) next: Option<Timestamp>,
    /// Since when all calls about it have failed.
    pub(super) failing_since: Option<Timestamp>,
    /// The last call has to wait for its turn in the line of the account.
    pub(super) awaits_turn: bool,
    /// Place in its log up to which all is settled.
    pub(super) checkpoint: Option<Checkpoint>,
    /// How often GitHub has been asked to send each delivery again, by GUID.
    pub(super) asked: BTreeMap<String, usize>,
    /// Time at which its secret was given again because of a signature.
    pub(super) signed: Option<Timestamp>,
}

impl Memory {
    fn entries(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, uid: &str, change: impl FnOnce(&mut Entry)) {
        change(self.entries().entry(uid.to_owned()).or_default());
    }

    /// Plans the first sync of a Repository that has none yet; when the next is due.
    pub(super) fn schedule(&self, uid: &str, interval: SignedDuration, now: Timestamp) -> Timestamp {
        self.change(uid, |entry| {
            entry.next_sync.get_or_insert_with(|| first_sync(uid, interval, now));
        });
        self.next_sync(uid, interval, now)
    }

    /// Returns when the next sync is due. A shorter interval in the spec counts at once.
    pub(super) fn next_sync(&self, uid: &str, interval: SignedDuration, now: Timestamp) -> Timestamp {
        let planned = self.entries().get(uid).and_then(|entry| entry.next_sync);
        planned.map_or(now + interval, |due| due.min(now + interval))
    }

    /// A sync has succeeded; the next is due at `next`. Entries that were due days ago belong to nobody any more.
    pub(super) fn synced(&self, uid: &str, next: Timestamp) {
        let forgotten = next.checked_sub(FORGET).unwrap_or(Timestamp::MIN);
        self.entries().retain(|_, entry| entry.next_sync.is_none_or(|due| due > forgotten));
        self.change(uid, |entry| entry.next_sync = Some(next));
    }

    /// A list has been read. A pass may end before what it said is applied: the next one then reads it again, since GitHub would
    /// only say that nothing has changed since.
    pub(super) fn read(&self, uid: &str, position: Position, next: Timestamp) {
        self.change(uid, |entry| entry.pending = Some((position, next)));
    }

    /// All that the last list said has been applied.
    pub(super) fn applied(&self, uid: &str) {
        let pending = self.entries().get_mut(uid).and_then(|entry| entry.pending.take());
        let Some((position, next)) = pending else { return };
        self.change(uid, |entry| entry.position = position);
        self.synced(uid, next);
    }

    pub(super) fn position(&self, uid: &str) -> Position {
        self.entries().get(uid).map(|entry| entry.position.clone()).unwrap_or_default()
    }

    /// Returns whether this process has seen the base branch.
    pub(super) fn has_branch(&self, uid: &str) -> bool {
        self.entries().get(uid).is_some_and(|entry| entry.has_branch)
    }

    pub(super) fn hook(&self, uid: &str) -> HookMemory {
        self.entries().get(uid).map(|entry| entry.hook.clone()).unwrap_or_default()
    }

    pub(super) fn change_hook(&self, uid: &str, change: impl FnOnce(&mut HookMemory)) {
        self.change(uid, |entry| change(&mut entry.hook));
    }

    pub(super) fn receiver(&self) -> MutexGuard<'_, Receiver> {
        self.receiver.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The account that this process has called through.
    pub(super) fn account(&self, uid: &str) -> Option<Arc<Account>> {
        self.entries().get(uid)?.account.clone()
    }

    pub(super) fn set_account(&self, uid: &str, account: Arc<Account>) {
        self.change(uid, |entry| entry.account = Some(account));
    }

    pub(super) fn set_branch(&self, uid: &str, seen: bool) {
        self.change(uid, |entry| entry.has_branch = seen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: SignedDuration = SignedDuration::from_secs(300);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).expect("in range")
    }

    #[test]
    fn asking_remembers_nothing() {
        let memory = Memory::default();
        assert_eq!(memory.next_sync("uid", INTERVAL, at(0)), at(300));
        assert_eq!((memory.position("uid"), memory.has_branch("uid")), (Position::default(), false));
        assert!(memory.entries().is_empty());
    }

    #[test]
    fn the_first_sync_stays_where_it_was_planned_and_a_shorter_interval_counts_at_once() {
        let memory = Memory::default();
        let first = memory.schedule("uid", INTERVAL, at(0));
        assert_eq!(first, first_sync("uid", INTERVAL, at(0)));
        assert_eq!(memory.schedule("uid", INTERVAL, at(50)), first, "planned once");
        memory.synced("uid", at(1_000));
        assert_eq!(memory.next_sync("uid", INTERVAL, at(900)), at(1_000));
        assert_eq!(memory.next_sync("uid", SignedDuration::from_secs(30), at(900)), at(930));
    }

    #[test]
    fn one_webhook_asks_for_all_until_it_stops() {
        let every = SignedDuration::from_mins(1);
        let receiver = Receiver { arrival: None, pinged: Some((at(0), "a".into())) };
        let wait = |second| Some(SignedDuration::from_secs(second));
        assert_eq!(Receiver::default().asks("a", every, at(0)), wait(0));
        assert_eq!(receiver.asks("a", every, at(11)), wait(49));
        assert_eq!(receiver.asks("a", every, at(70)), wait(0));
        assert_eq!(receiver.asks("b", every, at(179)), None);
        assert_eq!(receiver.asks("b", every, at(180)), wait(0));
    }

    #[test]
    fn a_list_counts_once_what_it_said_has_been_applied() {
        let memory = Memory::default();
        let position = |etag: &str| Position { etag: Some(etag.into()), ..Position::default() };
        memory.synced("uid", at(10));
        memory.read("uid", position("a"), at(310));
        assert_eq!(
            (memory.position("uid"), memory.next_sync("uid", INTERVAL, at(11))),
            (Position::default(), at(10))
        );
        memory.read("uid", position("b"), at(311));
        memory.applied("uid");
        assert_eq!(
            (memory.position("uid"), memory.next_sync("uid", INTERVAL, at(11))),
            (position("b"), at(311))
        );
        memory.synced("uid", at(600));
        memory.applied("uid");
        assert_eq!(memory.next_sync("uid", INTERVAL, at(500)), at(600), "it counts once");
    }
}
