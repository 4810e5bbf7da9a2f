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
}

/// Returns whether a delivery of `pull_request` with this action can change what a Task shows.
pub fn moves(action: Option<&str>) -> bool {
    matches!(
        action,
        Some("opened" | "closed" | "reopened" | "ready_for_review" | "converted_to_draft" | "synchronize")
    )
}

impl Attempt {
    /// Its place in the log.
    pub fn place(&self) -> Checkpoint {
        Checkpoint { delivered_at: self.delivered_at, id: self.id }
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
}

/// Judges the log since the last checkpoint: `attempts` in any order. `asked`: how often GitHub has been asked for each delivery,
/// as far as it is known; the log shows an attempt only when it is over.
pub fn judge(attempts: &[Attempt], asked: &BTreeMap<String, usize>, now: Timestamp) -> Findings {
    let mut by_guid: HashMap<&str, Delivery<'_>> = HashMap::new();
    for attempt in attempts {
        by_guid.entry(&attempt.guid).or_insert_with(|| Delivery::begin(attempt)).note(attempt);
    }
    let asked = |delivery: &Delivery<'_>| asked.get(&delivery.first.guid).copied().unwrap_or_default();
    let mut open: Vec<_> =
        by_guid.values().filter(|delivery| !delivery.is_settled(asked(delivery), now)).collect();
    open.sort_by_key(|delivery| delivery.first.place());
    let end = open.first().map(|delivery| delivery.first.place());
    let behind = |attempt: &&Attempt| {
        end.is_none_or(|end| attempt.place() < end) && attempt.delivered_at + SETTLING <= now
    };
    Findings {
        again: open.iter().take(AT_ONCE).map(|delivery| delivery.again()).collect(),
        checkpoint: attempts.iter().filter(behind).map(Attempt::place).max(),
        last_success: attempts
            .iter()
            .filter(|attempt| attempt.arrived)
            .map(|attempt| attempt.delivered_at)
            .max(),
        failing: open.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn now() -> Timestamp {
        Timestamp::from_second(NOW).expect("in range")
    }

    /// An attempt so many seconds ago.
    fn attempt(id: u64, guid: &str, ago: i64, status_code: u16) -> Attempt {
        let delivered_at = Timestamp::from_second(NOW - ago).expect("in range");
        let arrived = (200..300).contains(&status_code);
        Attempt { id, guid: guid.into(), delivered_at, arrived, status_code, moves: true }
    }

    fn judge(attempts: &[Attempt], now: Timestamp) -> Findings {
        super::judge(attempts, &BTreeMap::new(), now)
    }

    fn ids(findings: &Findings) -> Vec<u64> {
        findings.again.iter().map(|again| again.attempt).collect()
    }

    fn checkpoint(findings: &Findings) -> Option<u64> {
        findings.checkpoint.map(|checkpoint| checkpoint.id)
    }

    #[test]
    fn what_has_not_arrived_is_sent_again_the_oldest_first() {
        let log = [
            attempt(9, "c", 100, 0),
            attempt(8, "b", 200, 404),
            attempt(7, "a", 300, 200),
            attempt(6, "b", 400, 503),
        ];
        let findings = judge(&log, now());
        assert_eq!(ids(&findings), [8, 9], "by the first attempt of each, as its last one");
        assert_eq!((checkpoint(&findings), findings.failing), (None, 2), "nothing is settled before b");
        assert_eq!(findings.last_success.map(|at| NOW - at.as_second()), Some(300));
    }

    #[test]
    fn a_delivery_is_settled_by_an_answer_four_attempts_or_three_days() {
        for status in [200, 202, 400, 413, 415, 422] {
            assert_eq!(ids(&judge(&[attempt(1, "a", 100, status)], now())), [0; 0], "{status}");
        }
        for status in [0, 301, 401, 404, 408, 429, 500, 502, 503, 504] {
            assert_eq!(ids(&judge(&[attempt(1, "a", 100, status)], now())), [1], "{status}");
        }
        let tried: Vec<_> =
            (1..=4).map(|id| attempt(id, "a", 500 - i64::try_from(id).unwrap_or(0), 0)).collect();
        assert_eq!(ids(&judge(&tried[..3], now())), [3]);
        assert_eq!(
            judge(&tried, now()),
            Findings { checkpoint: Some(tried[3].place()), ..Findings::default() }
        );
        let days = 3 * 24 * 3600;
        assert_eq!(ids(&judge(&[attempt(1, "a", days - 1, 0)], now())), [1]);
        assert_eq!(ids(&judge(&[attempt(1, "a", days, 0)], now())), [0; 0]);
        let ping = Attempt { moves: false, ..attempt(1, "a", 100, 0) };
        assert_eq!(ids(&judge(&[ping], now())), [0; 0]);
        let late = [attempt(1, "a", 200, 503), attempt(2, "a", 100, 200)];
        assert_eq!(ids(&judge(&late, now())), [0; 0], "one attempt has arrived");
    }

    #[test]
    fn what_was_asked_for_counts_before_the_log_shows_it() {
        let log = [attempt(1, "a", 100, 503), attempt(2, "b", 90, 503)];
        let asked = BTreeMap::from([("a".to_owned(), 3), ("b".to_owned(), 2)]);
        assert_eq!(ids(&super::judge(&log, &asked, now())), [2]);
    }

    #[test]
    fn the_checkpoint_passes_nothing_that_is_open_or_that_may_still_get_a_neighbour() {
        let log = [
            attempt(5, "d", 10, 200),
            attempt(4, "c", 90, 200),
            attempt(3, "b", 100, 0),
            attempt(2, "a", 110, 200),
        ];
        assert_eq!(checkpoint(&judge(&log, now())), Some(2));
        assert_eq!(checkpoint(&judge(&log[..2], now())), Some(4));
        assert_eq!(checkpoint(&judge(&log[..1], now())), None);
    }

    #[test]
    fn a_pass_sends_a_hundred_at_most() {
        let log: Vec<_> = (0..150)
            .map(|id| attempt(id, &id.to_string(), 1000 - i64::try_from(id).unwrap_or(0), 0))
            .collect();
        let findings = judge(&log, now());
        assert_eq!((findings.again.len(), findings.again[0].attempt, findings.failing), (AT_ONCE, 0, 150));
    }
}
