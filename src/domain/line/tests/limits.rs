//! Limits that GitHub names: how long they hold, and what forgives them.
//! Neighbours: `load` has them under load, `leaders` over a change of leader.

use super::{
    time::{HOUR, MINUTE},
    *,
};

fn silent(line: &mut Line, now: i64) -> i64 {
    ceil(line.limit(at(now), Duration::ZERO, Named::Silent)) - ceil(at(now))
}

#[test]
fn a_silent_limit_waits_a_minute_doubling_to_ten() {
    let mut line = Line::new(Settings::default());
    let mut now = 0;
    for wait in [1, 2, 4, 8, 10, 10] {
        assert_eq!(silent(&mut line, now), wait * MINUTE);
        now += wait * MINUTE;
    }
    line.unlimited(at(now));
    assert_eq!(silent(&mut line, now), MINUTE);
}

#[test]
fn answers_to_calls_from_before_a_limit_neither_double_nor_forgive_it() {
    let mut line = Line::new(Settings::default());
    assert_eq!(silent(&mut line, 0), MINUTE);
    assert_eq!(silent(&mut line, 100), MINUTE, "one punishment, told twice");
    line.unlimited(at(200));
    assert_eq!(silent(&mut line, MINUTE + 100), 2 * MINUTE);
}

#[test]
fn a_limit_holds_for_reads_and_writes_until_its_end() {
    let mut line = Line::new(Settings::default());
    assert_eq!(line.blocked(at(0)), None);
    let until = line.limit(at(0), Duration::from_secs(30), Named::Told);
    assert_eq!((until, line.blocked(at(29_999))), (at(30_000), Some(at(30_000))));
    assert_eq!(line.named(at(29_999)), Some(Named::Told));
    let wait = line.ask(at(1_000), &waiter("a", Write::Blob, 0)).wait();
    assert_eq!((wait.why, wait.until), (Why::Limit(Named::Told), at(30_000)));
    assert_eq!((line.blocked(at(30_000)), line.named(at(30_000))), (None, None));
    line.ask(at(30_000), &waiter("a", Write::Blob, 0)).goes();
}

#[test]
fn a_limit_binds_who_was_told_to_come_before_it() {
    let mut line = Line::new(Settings::default());
    write(&mut line, "a", Write::Blob, 0, 300);
    let wait = line.ask(at(500), &waiter("a", Write::Blob, 0)).wait();
    let limited = line.limit(at(600), Duration::from_mins(1), Named::Told);
    assert_eq!(line.ask(wait.until, &waiter("a", Write::Blob, 0)).wait().until, limited);
}

#[test]
fn a_shorter_limit_never_shortens_a_longer_one() {
    let mut line = Line::new(Settings::default());
    line.limit(at(0), Duration::from_secs(100), Named::Told);
    assert_eq!(line.limit(at(1_000), Duration::from_secs(5), Named::Spent), at(100_000));
    assert_eq!(line.named(at(2_000)), Some(Named::Told));
    assert_eq!(line.limit(at(2_000), Duration::from_secs(200), Named::Spent), at(202_000));
    assert_eq!(line.named(at(2_000)), Some(Named::Spent));
}

#[test]
fn no_limit_is_longer_than_a_day() {
    let mut line = Line::new(Settings::default());
    assert_eq!(line.limit(at(0), Duration::MAX, Named::Told), at(24 * HOUR));
}

#[test]
fn calls_that_are_spent_are_no_punishment() {
    let mut line = Line::new(Settings::default());
    assert_eq!(line.limit(at(0), Duration::from_secs(10), Named::Spent), at(10_000));
    assert_eq!(silent(&mut line, 10_000), MINUTE);
    // A limit during which others are told is not told twice.
    line.limit(at(20_000), Duration::from_mins(50), Named::Told);
    assert_eq!(silent(&mut line, 4_000_000), 2 * MINUTE);
}
