//! Who waits, in which order, and who is forgotten: the nearest to a merge first, and first of all who has waited long.
//! Neighbours: `lane` keeps one order; `line` says when a turn is there, and gives it to the first.

use super::{
    lane::{Key, Lane, Load},
    time::{MINUTE, Moment, SECOND},
    write::Write,
};
use jiff::Timestamp;
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

/// Who has waited so long goes before all who have not.
pub(super) const LONG: i64 = 10 * MINUTE;
/// A turn that nobody comes for whose it is goes to whoever asks after this: a pass of a controller takes less.
pub(super) const PATIENCE: i64 = 3 * SECOND;
/// A waiter that has not come so long after its turn is forgotten.
pub(super) const MISSED: i64 = 30 * SECOND;
/// So is one that has not asked so long after the time it was told, though its turn has not come.
pub(super) const SILENT: i64 = 15 * MINUTE;
/// Who comes with its next write so soon after the begin of the one before, which may take minutes, was in the line all the time.
pub(super) const FOLLOWS: i64 = 5 * MINUTE;
/// A place in the line is good for so many writes in a row: a Task of a thousand files lets others in between.
pub(super) const ROUND: u32 = 50;

/// An object that wants to write.
#[derive(Debug, Clone)]
pub struct Waiter {
    /// The object's uid: who asks again keeps its place.
    pub uid: Arc<str>,
    /// Its next write.
    pub write: Write,
    /// Since when its work has been under way: the older goes first within a class.
    pub since: Timestamp,
}

/// Where an entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// By class and age.
    Usual,
    /// Has waited long: by the time it first asked.
    Long,
    /// Has waited long for what brings a Task to its end. These and the others that have waited long take turns: in a line of
    /// hours, reviewed work would wait behind all that has only begun.
    Ending,
    /// Its turn came, it did not.
    Away,
    /// Has just written, and may come with the next write.
    Between,
}

#[derive(Debug)]
struct Entry {
    uid: Arc<str>,
    write: Write,
    since: Moment,
    /// When it first asked, for this write or for those that went before in a row.
    asked: Moment,
    in_a_row: u32,
    standing: Standing,
    /// When it was told to come.
    until: Moment,
    called: bool,
    /// Since when its turn is there and it is not.
    missed: Option<Moment>,
    expires: Moment,
}

/// Where a waiter stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Ahead {
    pub(super) waiters: usize,
    pub(super) load: Load,
}

/// What a caller has to know of a waiter.
#[derive(Debug)]
pub(super) struct Promise<'a> {
    pub(super) uid: &'a Arc<str>,
    pub(super) until: Moment,
    pub(super) called: bool,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    entries: HashMap<u64, Entry>,
    numbers: HashMap<Arc<str>, u64>,
    last: u64,
    usual: Lane,
    long: Lane,
    ending: Lane,
    /// The next turn of those that have waited long is one of `ending`.
    ending_next: bool,
    /// Those in `usual`, by when they first asked.
    ageing: BTreeSet<(Moment, u64)>,
    expiring: BTreeSet<(Moment, u64)>,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    #[cfg(test)]
    pub(super) fn knows(&self, uid: &str) -> bool {
        self.numbers.contains_key(uid)
    }

    /// Puts the waiter into its place, or leaves it there, and returns its number.
    pub(super) fn enter(&mut self, now: Moment, waiter: &Waiter) -> u64 {
        let since = super::time::floor(waiter.since);
        let number = self.numbers.get(&waiter.uid).copied().unwrap_or_else(|| self.add(now, &waiter.uid));
        self.take_out(number);
        if let Some(entry) = self.entries.get_mut(&number) {
            if entry.in_a_row >= ROUND {
                (entry.asked, entry.in_a_row) = (now, 0);
            }
            (entry.write, entry.since, entry.called, entry.missed) = (waiter.write, since, false, None);
            entry.until = now;
        }
        self.put_in(now, number);
        self.expire_at(number, now + SILENT);
        number
    }

    fn add(&mut self, now: Moment, uid: &Arc<str>) -> u64 {
        self.last += 1;
        let entry = Entry {
            uid: uid.clone(),
            write: Write::Other,
            since: now,
            asked: now,
            in_a_row: 0,
            standing: Standing::Between,
            until: now,
            called: false,
            missed: None,
            expires: now,
        };
        self.expiring.insert((entry.expires, self.last));
        self.entries.insert(self.last, entry);
        self.numbers.insert(uid.clone(), self.last);
        self.last
    }

    /// Moves those that have waited long, and forgets those that do not come.
    pub(super) fn tidy(&mut self, now: Moment) {
        while let Some(&(_, number)) = self.ageing.first().filter(|(asked, _)| asked + LONG <= now) {
            self.take_out(number);
            self.put_in(now, number);
        }
        while let Some(&(_, number)) = self.expiring.first().filter(|(expires, _)| *expires <= now) {
            self.forget(number);
        }
    }

    pub(super) fn leave(&mut self, uid: &str) {
        if let Some(number) = self.numbers.get(uid) {
            self.forget(*number);
        }
    }

    fn forget(&mut self, number: u64) {
        self.take_out(number);
        if let Some(entry) = self.entries.remove(&number) {
            self.numbers.remove(&entry.uid);
            self.expiring.remove(&(entry.expires, number));
        }
    }

    pub(super) fn first(&self) -> Option<u64> {
        let (one, other) =
            if self.ending_next { (&self.ending, &self.long) } else { (&self.long, &self.ending) };
        one.first().or_else(|| other.first()).or_else(|| self.usual.first())
    }

    /// The first waiters in the order of their turns.
    pub(super) fn next(&self, count: usize) -> Vec<u64> {
        let (mut long, mut ending) = (self.long.numbers(), self.ending.numbers());
        let mut is_ending = self.ending_next;
        let have_waited = std::iter::from_fn(move || {
            let one = if is_ending { ending.next() } else { long.next() };
            is_ending = !is_ending;
            one.or_else(|| if is_ending { ending.next() } else { long.next() })
        });
        have_waited.chain(self.usual.numbers()).take(count).collect()
    }

    pub(super) fn ahead(&self, number: u64) -> Option<Ahead> {
        let entry = self.entries.get(&number)?;
        let key = entry.key(number);
        let (waiters, load) = match entry.standing {
            Standing::Usual => {
                let before = self.usual.before(&key);
                let have_waited = self.long.load_of_any(self.long.len());
                let have_waited = have_waited.plus(self.ending.load_by_class(self.ending.len()));
                let load = have_waited.plus(self.usual.load_by_class(before));
                (before + self.long.len() + self.ending.len(), load)
            }
            Standing::Long => {
                let before = self.long.before(&key);
                let between = self.ending.len().min(before + usize::from(self.ending_next));
                (before + between, self.long.load_of_any(before).plus(self.ending.load_of_any(between)))
            }
            Standing::Ending => {
                let before = self.ending.before(&key);
                let between = self.long.len().min(before + usize::from(!self.ending_next));
                let load = Load { writes: before + between, notices: before };
                (before + between, load)
            }
            Standing::Away | Standing::Between => return None,
        };
        Some(Ahead { waiters, load })
    }

    pub(super) fn promise(&self, number: u64) -> Option<Promise<'_>> {
        let entry = self.entries.get(&number)?;
        Some(Promise { uid: &entry.uid, until: entry.until, called: entry.called })
    }

    /// The waiter was told to come at `until`.
    pub(super) fn promised(&mut self, number: u64, until: Moment) {
        if let Some(entry) = self.entries.get_mut(&number) {
            entry.until = until;
            self.expire_at(number, until + SILENT);
        }
    }

    pub(super) fn called(&mut self, number: u64) {
        if let Some(entry) = self.entries.get_mut(&number) {
            entry.called = true;
        }
    }

    /// The waiter's turn is there, and it is not.
    pub(super) fn missed(&mut self, now: Moment, number: u64) {
        let Some(entry) = self.entries.get_mut(&number) else { return };
        let since = *entry.missed.get_or_insert(now);
        // Who has not been called comes when it was told to.
        let due = if entry.called { since } else { since.max(entry.until) };
        self.expire_at(number, due + MISSED);
    }

    /// The waiter has not come, and its turn goes to others until it comes.
    pub(super) fn pass_over(&mut self, number: u64) {
        self.take_out(number);
        if let Some(entry) = self.entries.get_mut(&number) {
            entry.standing = Standing::Away;
        }
    }

    /// The waiter writes now.
    pub(super) fn served(&mut self, now: Moment, number: u64) {
        let standing = self.take_out(number);
        match standing {
            Some(Standing::Ending) => self.ending_next = false,
            Some(Standing::Long) => self.ending_next = true,
            _ => {}
        }
        if let Some(entry) = self.entries.get_mut(&number) {
            entry.in_a_row += 1;
        }
        self.expire_at(number, now + FOLLOWS);
    }

    fn expire_at(&mut self, number: u64, expires: Moment) {
        if let Some(entry) = self.entries.get_mut(&number) {
            self.expiring.remove(&(entry.expires, number));
            entry.expires = expires;
            self.expiring.insert((expires, number));
        }
    }

    fn put_in(&mut self, now: Moment, number: u64) {
        let Some(entry) = self.entries.get_mut(&number) else { return };
        let is_ending = matches!(entry.write, Write::Merge | Write::PullRequest);
        entry.standing = match entry.asked + LONG <= now {
            false => Standing::Usual,
            true if is_ending => Standing::Ending,
            true => Standing::Long,
        };
        let (key, write, asked, standing) = (entry.key(number), entry.write, entry.asked, entry.standing);
        if standing == Standing::Usual {
            self.ageing.insert((asked, number));
        }
        if let Some(lane) = self.lane(standing) {
            lane.insert(key, write);
        }
    }

    /// Takes the waiter out of its lane, and returns where it stood.
    fn take_out(&mut self, number: u64) -> Option<Standing> {
        let entry = self.entries.get_mut(&number)?;
        let standing = std::mem::replace(&mut entry.standing, Standing::Between);
        let (key, write) = (key(standing, entry, number), entry.write);
        self.ageing.remove(&(entry.asked, number));
        if let Some(lane) = self.lane(standing) {
            lane.remove(&key, write);
        }
        Some(standing)
    }

    fn lane(&mut self, standing: Standing) -> Option<&mut Lane> {
        match standing {
            Standing::Usual => Some(&mut self.usual),
            Standing::Long => Some(&mut self.long),
            Standing::Ending => Some(&mut self.ending),
            Standing::Away | Standing::Between => None,
        }
    }
}

impl Entry {
    fn key(&self, number: u64) -> Key {
        key(self.standing, self, number)
    }
}

fn key(standing: Standing, entry: &Entry, number: u64) -> Key {
    match standing {
        Standing::Usual => (Some(entry.write), entry.since, number),
        _ => (None, entry.asked, number),
    }
}
