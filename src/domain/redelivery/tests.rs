//! What is sent again, how far the log is settled, and a walk through outages, restarts and deliveries that never arrive.
//! Part of `redelivery`.

use super::*;
use crate::domain::dice::Dice;

const NOW: i64 = 1_800_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(NOW + second).expect("in range")
}

/// An attempt so many seconds ago.
fn attempt(id: u64, guid: &str, ago: i64, status_code: u16) -> Attempt {
    let arrived = (200..300).contains(&status_code);
    Attempt { id, guid: guid.into(), delivered_at: at(-ago), arrived, status_code, moves: true }
}

/// A ping that has arrived just now.
fn ping() -> Attempt {
    Attempt { moves: false, ..attempt(10_000, "ping", 0, 200) }
}

fn judge(attempts: &[Attempt], asked: &BTreeMap<String, usize>, now: Timestamp) -> Findings {
    super::judge(attempts, Known { asked, arrival: None }, now)
}

/// Judges a log whose receiver is there again.
fn judged(attempts: &[Attempt]) -> Findings {
    judge(&[attempts, &[ping()]].concat(), &BTreeMap::new(), at(0))
}

fn ids(findings: &Findings) -> Vec<u64> {
    findings.again.iter().map(|again| again.attempt).collect()
}

fn sent_again(attempts: &[Attempt]) -> Vec<u64> {
    ids(&judged(attempts))
}

fn checkpoint(attempts: &[Attempt]) -> Option<u64> {
    judged(attempts).checkpoint.map(|checkpoint| checkpoint.id)
}

#[test]
fn what_has_not_arrived_is_sent_again_the_oldest_first() {
    let log = [
        attempt(9, "c", 100, 0),
        attempt(8, "b", 200, 404),
        attempt(7, "a", 300, 200),
        attempt(6, "b", 400, 503),
    ];
    let findings = judged(&log);
    assert_eq!(ids(&findings), [8, 9], "by the first attempt of each, as its last one");
    assert_eq!((findings.checkpoint, findings.failing, findings.ping), (None, 2, false));
    let before = judge(&log, &BTreeMap::new(), at(0));
    assert_eq!(before.last_success, Some(at(-300)));
}

#[test]
fn nothing_is_sent_again_while_nothing_arrives_and_a_ping_tells() {
    let tell = |log: &[Attempt]| {
        let findings = judge(log, &BTreeMap::new(), at(0));
        (ids(&findings), findings.failing, findings.ping)
    };
    let lost = attempt(1, "a", 100, 503);
    assert_eq!(tell(std::slice::from_ref(&lost)), (vec![], 1, true));
    let no_ping = Attempt { moves: false, ..attempt(2, "p", 50, 0) };
    assert_eq!(tell(&[lost.clone(), no_ping.clone()]), (vec![], 1, true));
    assert_eq!(tell(&[lost.clone(), attempt(2, "p", 50, 200)]), (vec![1], 1, false));
    assert_eq!(tell(&[lost, attempt(2, "b", 50, 413)]), (vec![1], 1, false), "the receiver has said so");
    assert_eq!(tell(&[no_ping]), (vec![], 0, false), "there is nothing to send");
    let asked = BTreeMap::new();
    let pings = |status: u16, arrival: i64| {
        let known = Known { asked: &asked, arrival: Some(at(arrival)) };
        super::judge(&[attempt(1, "a", 100, status)], known, at(0)).ping
    };
    assert_eq!(
        (pings(503, -99), pings(503, -100), pings(401, -99)),
        (false, true, true),
        "another webhook tells too"
    );
}

#[test]
fn a_delivery_is_settled_by_an_answer_four_attempts_or_three_days() {
    for status in [200, 202, 400, 413, 415, 422] {
        assert_eq!(sent_again(&[attempt(1, "a", 100, status)]), [0; 0], "{status}");
    }
    for status in [0, 301, 401, 404, 408, 429, 500, 502, 503, 504] {
        assert_eq!(sent_again(&[attempt(1, "a", 100, status)]), [1], "{status}");
    }
    let tried: Vec<_> =
        (1..=4).map(|id| attempt(id, "a", 500 - i64::try_from(id).expect("few"), 0)).collect();
    assert_eq!(sent_again(&tried[..3]), [3]);
    assert_eq!((sent_again(&tried), checkpoint(&tried)), (vec![], Some(4)));
    let days = 3 * 24 * 3600;
    assert_eq!(sent_again(&[attempt(1, "a", days - 1, 0)]), [1]);
    assert_eq!(sent_again(&[attempt(1, "a", days, 0)]), [0; 0]);
    assert_eq!(sent_again(&[Attempt { moves: false, ..attempt(1, "a", 100, 0) }]), [0; 0]);
    assert_eq!(
        sent_again(&[attempt(1, "a", 200, 503), attempt(2, "a", 100, 200)]),
        [0; 0],
        "one has arrived"
    );
}

#[test]
fn what_was_asked_for_counts_before_the_log_shows_it() {
    let log = [attempt(1, "a", 100, 503), attempt(2, "b", 90, 503), ping()];
    let asked = BTreeMap::from([("a".to_owned(), 3), ("b".to_owned(), 2)]);
    let findings = judge(&log, &asked, at(0));
    assert_eq!((ids(&findings), findings.failing), (vec![2], 1));
    let asked = BTreeMap::from([("a".to_owned(), 3), ("b".to_owned(), 3)]);
    assert_eq!(judge(&log, &asked, at(0)).checkpoint, None, "more of both may come");
}

#[test]
fn the_checkpoint_passes_nothing_open_cuts_no_delivery_in_two_and_stays_a_minute_behind() {
    let log = [
        attempt(5, "d", 10, 200),
        attempt(4, "c", 90, 200),
        attempt(3, "b", 100, 0),
        attempt(2, "a", 110, 200),
    ];
    assert_eq!(checkpoint(&log), Some(2));
    assert_eq!(checkpoint(&log[..2]), Some(4));
    assert_eq!(checkpoint(&log[..1]), None);
    // What a look after a restart sees of "a" would be fewer than its attempts.
    let four = |last: i64| {
        let mut log: Vec<_> =
            (2..5).map(|id| attempt(id, "a", 600 - i64::try_from(id).expect("few"), 0)).collect();
        log.extend([attempt(1, "z", 700, 200), attempt(8, "b", 300, 0), attempt(9, "a", last, 0)]);
        log
    };
    assert_eq!(checkpoint(&four(200)), Some(1), "b is open, and a goes on behind it");
    assert_eq!(checkpoint(&four(400)), Some(9));
}

#[test]
fn a_pass_sends_a_hundred_at_most() {
    let log: Vec<_> =
        (0..150).map(|id| attempt(id, &id.to_string(), 1000 - i64::try_from(id).expect("few"), 0)).collect();
    let findings = judged(&log);
    assert_eq!((findings.again.len(), findings.again[0].attempt, findings.failing), (AT_ONCE, 0, 150));
}

/// GitHub, a receiver that comes and goes, and an operator that looks at the log and forgets at restarts.
struct World {
    dice: Dice,
    log: Vec<Attempt>,
    now: i64,
    last_id: u64,
    up: bool,
    /// Never taken, whoever is there: a payload that the receiver stumbles over.
    poison: Vec<String>,
    asked: BTreeMap<String, usize>,
    settled: Option<Checkpoint>,
    /// The checkpoint in status, which is written now and then.
    written: Option<Checkpoint>,
}

impl World {
    fn deliver(&mut self, guid: &str, moves: bool) {
        self.last_id += 1 + self.dice.roll(5);
        let arrived = self.up && !self.poison.iter().any(|one| one == guid);
        let status_code = if arrived { 202 } else { self.dice.one_of(&[0, 404, 503]) };
        let delivered_at = at(self.now);
        self.log.push(Attempt {
            id: self.last_id,
            guid: guid.into(),
            delivered_at,
            arrived,
            status_code,
            moves,
        });
    }

    fn look(&mut self) {
        // What ended a moment ago is not shown yet.
        let shown: Vec<_> =
            self.log.iter().filter(|attempt| attempt.delivered_at <= at(self.now - 5)).cloned().collect();
        let shown: Vec<_> = shown
            .into_iter()
            .filter(|one| self.settled.is_none_or(|settled| one.place() > settled))
            .collect();
        self.asked.retain(|guid, _| shown.iter().any(|attempt| attempt.guid == *guid));
        let findings = judge(&shown, &self.asked, at(self.now));
        assert!(findings.checkpoint.is_none_or(|found| self.settled.is_none_or(|settled| found > settled)));
        self.settled = findings.checkpoint.or(self.settled);
        if self.dice.one_in(4) {
            self.written = self.settled;
        }
        for Again { guid, .. } in findings.again {
            *self.asked.entry(guid.clone()).or_default() += 1;
            self.now += 1;
            self.deliver(&guid, true);
        }
        if findings.ping {
            self.now += 1;
            self.deliver(&format!("ping-{}", self.now), false);
        }
    }
}

#[test]
fn whatever_goes_down_all_that_can_arrive_does_and_the_loop_ends() {
    for seed in 0..300 {
        let mut world = World {
            dice: Dice(seed),
            log: Vec::new(),
            now: 0,
            last_id: 0,
            up: true,
            poison: Vec::new(),
            asked: BTreeMap::new(),
            settled: None,
            written: None,
        };
        for step in 0..120 {
            world.now += 30 + i64::try_from(world.dice.roll(300)).expect("few");
            match world.dice.roll(8) {
                0 => world.up = !world.up,
                1 => {
                    world.asked.clear();
                    world.settled = world.written;
                }
                2..=4 => {
                    let guid = format!("guid-{step}");
                    if world.dice.one_in(10) {
                        world.poison.push(guid.clone());
                    }
                    world.deliver(&guid, true);
                }
                _ => world.look(),
            }
        }
        world.up = true;
        for _ in 0..12 {
            world.now += 300;
            world.look();
        }
        let ended = world.log.len();
        world.now += 300;
        world.look();
        assert_eq!(world.log.len(), ended, "seed {seed}: nothing more is sent");
        let mut by_guid: BTreeMap<&str, Vec<bool>> = BTreeMap::new();
        for attempt in world.log.iter().filter(|attempt| attempt.moves) {
            by_guid.entry(&attempt.guid).or_default().push(attempt.arrived);
        }
        for (guid, attempts) in by_guid {
            let lost = world.poison.iter().any(|one| one == guid);
            assert!(attempts.len() <= ATTEMPTS, "seed {seed}, {guid}: {attempts:?}");
            assert!(lost || attempts.contains(&true), "seed {seed}, {guid}: {attempts:?}");
        }
    }
}
