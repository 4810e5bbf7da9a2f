//! Which failed deliveries of a hook GitHub is to send again, and how far its log need not be read any more. Pure.
//! Asked by the Repository controller once an interval; the receiver takes what comes like any other delivery.

use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, HashMap};

/// Attempts of one delivery in all, GitHub's own first one among them.
pub const ATTEMPTS: usize = 4;
/// At most so many are sent again in one pass.
pub const AT_ONCE: usize = 100;
/// GitHub keeps its log for so long, and sends nothing again that is older.
/// Source: <https://docs.github.com/en/webhooks/testing-and-troubleshooting-webhooks/redelivering-webhooks>.
pub const KEPT: SignedDuration = SignedDuration::from_hours(3 * 24);
/// Attempts enter the log when they have ended, which takes up to GitHub's 10 s, and not in the order of their times: what is
/// younger may still get a neighbour.
const SETTLING: SignedDuration = SignedDuration::from_mins(1);

/// One attempt, as the log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    pub id: u64,
    /// The same for all attempts of a delivery.
    pub guid: String,
    pub delivered_at: Timestamp,
    /// GitHub calls it `OK`.
    pub arrived: bool,
    /// Status of the answer. Without one GitHub gives 0, or 502 or 504: what failed is told by `arrived` alone.
    pub status_code: u16,
    /// The delivery is of an event and action that can move a Task.
    pub moves: bool,
}

/// Up to where all that GitHub tried has been settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Checkpoint {
    pub delivered_at: Timestamp,
    pub id: u64,
}

/// A delivery to send again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Again {
    /// Its last attempt, by which GitHub is asked for another.
    pub attempt: u64,
    pub guid: String,
}

/// What a look at the log comes to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Findings {
    /// The deliveries to send again, the oldest first.
    pub again: Vec<Again>,
    /// The log need not be read beyond it the next time; absent: it stays where it is.
    pub checkpoint: Option<Checkpoint>,
    /// The last delivery that arrived.
    pub last_success: Option<Timestamp>,
    /// Deliveries that have not arrived, and may still.
    pub failing: usize,
    /// Nothing is sent again while nothing arrives: its attempts would be used up. Whether something does now, a ping tells.
    pub ping: bool,
}

/// Returns whether a delivery of `pull_request` with this action can change what a Task shows.
pub fn moves(action: Option<&str>) -> bool {
    matches!(
        action,
        Some(
            "opened"
                | "closed"
                | "reopened"
                | "ready_for_review"
                | "converted_to_draft"
                | "synchronize"
                | "enqueued"
                | "dequeued"
        )
    )
}

impl Attempt {
    /// Its place in the log.
    pub fn place(&self) -> Checkpoint {
        Checkpoint { delivered_at: self.delivered_at, id: self.id }
    }

    /// The receiver is there: it has taken it, or refused it itself.
    fn was_answered(&self) -> bool {
        self.arrived || self.is_refused_for_good()
    }

    /// It says nothing any more of whether the receiver can be reached. A signature that it did not know is this webhook's own trouble.
    fn is_outdated(&self, arrival: Option<Timestamp>) -> bool {
        self.status_code != 401 && arrival.is_some_and(|arrival| arrival > self.delivered_at)
    }

    /// The receiver has read it and will say the same again. A 404 is not among these: the receiver has but one path, so it
    /// comes from what stands before it, and is an outage.
    fn is_refused_for_good(&self) -> bool {
        matches!(self.status_code, 400 | 413 | 415 | 422)
    }
}

/// All attempts of one delivery, in the order of the log read backwards: the oldest first.
struct Delivery<'a> {
    first: &'a Attempt,
    last: &'a Attempt,
    attempts: usize,
    settled: bool,
}

impl<'a> Delivery<'a> {
    fn begin(attempt: &'a Attempt) -> Self {
        Self { first: attempt, last: attempt, attempts: 0, settled: false }
    }

    fn again(&self) -> Again {
        Again { attempt: self.last.id, guid: self.last.guid.clone() }
    }

    fn note(&mut self, attempt: &'a Attempt) {
        self.attempts += 1;
        self.first = std::cmp::min_by_key(self.first, attempt, |attempt| attempt.place());
        self.last = std::cmp::max_by_key(self.last, attempt, |attempt| attempt.place());
        self.settled |= attempt.arrived || attempt.is_refused_for_good() || !attempt.moves;
    }

    fn is_settled(&self, asked: usize, now: Timestamp) -> bool {
        let attempts = self.attempts.max(1 + asked);
        self.settled || attempts >= ATTEMPTS || self.first.delivered_at + KEPT <= now
    }

    /// Settled, and nothing of it comes any more.
    fn is_over(&self, asked: usize, now: Timestamp) -> bool {
        self.is_settled(asked, now) && (self.attempts > asked || self.first.delivered_at + KEPT <= now)
    }
}

/// What is known beside the log.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// How often GitHub has been asked for each delivery, by GUID: the log shows an attempt only when it is over.
    pub asked: &'a BTreeMap<String, usize>,
    /// Time of the last delivery of any webhook that the same receiver has taken.
    pub arrival: Option<Timestamp>,
}

/// Judges the log since the last checkpoint: `attempts` in any order.
pub fn judge(attempts: &[Attempt], known: Known<'_>, now: Timestamp) -> Findings {
    let mut by_guid: HashMap<&str, Delivery<'_>> = HashMap::new();
    for attempt in attempts {
        by_guid.entry(&attempt.guid).or_insert_with(|| Delivery::begin(attempt)).note(attempt);
    }
    let asked = |delivery: &Delivery<'_>| known.asked.get(&delivery.first.guid).copied().unwrap_or_default();
    let mut open: Vec<_> =
        by_guid.values().filter(|delivery| !delivery.is_settled(asked(delivery), now)).collect();
    open.sort_by_key(|delivery| delivery.first.place());
    let newest = attempts.iter().max_by_key(|attempt| attempt.place());
    let arrives = newest.is_none_or(|newest| newest.was_answered() || newest.is_outdated(known.arrival));
    let again =
        open.iter().take(if arrives { AT_ONCE } else { 0 }).map(|delivery| delivery.again()).collect();
    let unfinished = by_guid
        .values()
        .filter(|delivery| !delivery.is_over(asked(delivery), now))
        .map(|one| one.first.place())
        .min();
    Findings {
        again,
        checkpoint: checkpoint(attempts, &by_guid, unfinished, now),
        last_success: attempts
            .iter()
            .filter(|attempt| attempt.arrived)
            .map(|attempt| attempt.delivered_at)
            .max(),
        failing: open.len(),
        ping: !arrives && !open.is_empty(),
    }
}

/// The last place that nothing open stands before, and no delivery on both sides of: what a later look sees of one is all of it.
fn checkpoint(
    attempts: &[Attempt],
    by_guid: &HashMap<&str, Delivery<'_>>,
    unfinished: Option<Checkpoint>,
    now: Timestamp,
) -> Option<Checkpoint> {
    let mut places: Vec<_> =
        attempts.iter().map(|attempt| (attempt.place(), attempt.guid.as_str())).collect();
    places.sort_unstable();
    let (mut ends, mut found) = (None, None);
    for (place, guid) in places {
        if unfinished.is_some_and(|unfinished| place >= unfinished) || place.delivered_at + SETTLING > now {
            break;
        }
        ends = ends.max(by_guid.get(guid).map(|delivery| delivery.last.place()));
        if ends == Some(place) {
            found = Some(place);
        }
    }
    found
}

#[cfg(test)]
mod tests;
