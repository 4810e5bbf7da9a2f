//! GitHub's numbers to the millisecond: spacing, one write at a time, any minute, any hour.
//! Neighbours: `load` holds them under load.

use super::{
    time::{HOUR, MINUTE},
    *,
};

#[test]
fn writes_begin_an_interval_apart_and_three_after_what_tells_people() {
    for (before, interval) in [
        (Write::Blob, 1_000),
        (Write::Ref, 1_000),
        (Write::Merge, 3_000),
        (Write::PullRequest, 3_000),
        (Write::Comment, 3_000),
    ] {
        let mut line = Line::new(Settings::default());
        write(&mut line, "a", before, 0, 300);
        let b = waiter("b", Write::Blob, 0);
        let wait = line.ask(at(interval - 1), &b).wait();
        assert_eq!((wait.place, wait.why), (1, Why::Spacing(Duration::from_secs(1))));
        assert!(wait.until >= at(interval));
        line.ask(at(interval), &b).goes();
    }
}

#[test]
fn one_write_at_a_time() {
    let mut line = Line::new(settings(100, 0, 0));
    let ticket = line.ask(at(0), &waiter("a", Write::Blob, 0)).go();
    let wait = line.ask(at(5_000), &waiter("b", Write::Blob, 0)).wait();
    assert_eq!((wait.why, wait.until), (Why::AWriteUnderWay, at(7_500)), "half as long again");
    line.done(at(9_000), ticket);
    line.ask(at(9_000), &waiter("b", Write::Blob, 0)).goes();
}

#[test]
fn a_write_that_is_never_done_is_given_up() {
    let mut line = Line::new(settings(100, 0, 2));
    let lost = line.ask(at(0), &waiter("a", Write::Blob, 0)).go();
    let b = waiter("b", Write::Blob, 0);
    assert_eq!(line.ask(at(3 * MINUTE - 1), &b).wait().why, Why::AWriteUnderWay);
    let ticket = line.ask(at(3 * MINUTE), &b).go();
    // It ends late, while another is under way: that one still is, and it counts once more.
    line.done(at(4 * MINUTE), lost);
    assert_eq!(line.window.latest().count(), 2);
    line.done(at(5 * MINUTE), ticket);
    let wait = line.ask(at(5 * MINUTE), &b).wait();
    assert_eq!((wait.why, wait.until), (Why::PerHour(2), at(HOUR + 4 * MINUTE + 500)));
}

#[test]
fn a_call_counts_from_its_end_and_a_little_longer() {
    for (settings, span, why) in
        [(settings(0, 3, 0), MINUTE, Why::PerMinute(3)), (settings(0, 0, 3), HOUR, Why::PerHour(3))]
    {
        let mut line = Line::new(settings);
        write(&mut line, "a", Write::Blob, 0, 700);
        write(&mut line, "a", Write::Blob, 1_000, 1_100);
        write(&mut line, "a", Write::Blob, 2_000, 2_100);
        let b = waiter("b", Write::Blob, 0);
        let wait = line.ask(at(3_000), &b).wait();
        assert_eq!((wait.why, wait.until), (why, at(span + 1_200)));
        line.ask(at(span + 1_199), &b).wait();
        let ticket = line.ask(at(span + 1_200), &b).go();
        line.done(at(span + 1_300), ticket);
        // The next place is that of the second call.
        let wait = line.ask(at(span + 1_300), &b).wait();
        assert_eq!(wait.until, at(span + 1_600));
    }
}

#[test]
fn the_longer_of_two_numbers_binds() {
    let mut line = Line::new(settings(0, 2, 3));
    write(&mut line, "a", Write::Blob, 0, 100);
    write(&mut line, "a", Write::Blob, 200, 300);
    assert_eq!(line.ask(at(400), &waiter("a", Write::Blob, 0)).wait().why, Why::PerMinute(2));
    write(&mut line, "a", Write::Blob, 60_600, 60_700);
    let wait = line.ask(at(60_800), &waiter("a", Write::Blob, 0)).wait();
    assert_eq!((wait.why, wait.until), (Why::PerHour(3), at(HOUR + 600)));
}

#[test]
fn without_limits_nothing_waits_but_for_the_write_under_way() {
    let mut line = Line::new(settings(0, 0, 0));
    for n in 0..2_000 {
        write(&mut line, "a", Write::Merge, n, n);
    }
    assert!(line.window.latest().count() <= 501, "what nobody counts is not kept");
}

#[test]
fn a_clock_that_goes_back_lets_nothing_through_early() {
    let mut line = Line::new(settings(1_000, 0, 0));
    write(&mut line, "a", Write::Blob, 10_000, 10_300);
    line.ask(at(5_000), &waiter("a", Write::Blob, 0)).wait();
    line.ask(at(10_999), &waiter("a", Write::Blob, 0)).wait();
    line.ask(at(11_000), &waiter("a", Write::Blob, 0)).goes();
    // Nor does a write end before it began.
    let mut line = Line::new(settings(0, 1, 0));
    write(&mut line, "a", Write::Blob, 10_000, 5_000);
    let wait = line.ask(at(6_000), &waiter("a", Write::Blob, 0)).wait();
    assert_eq!(wait.until, at(70_500));
}

#[test]
fn parts_of_a_millisecond_count_against_the_line() {
    let mut line = Line::new(settings(0, 0, 1));
    let ticket = line.ask(at(0), &waiter("a", Write::Blob, 0)).go();
    line.done(at(100) + Duration::from_nanos(1), ticket);
    let a = waiter("a", Write::Blob, 0);
    let free = at(HOUR + 601);
    line.ask(free - Duration::from_nanos(1), &a).wait();
    line.ask(free, &a).goes();
}

#[test]
fn an_idle_line_may_be_forgotten() {
    let mut line = Line::new(Settings::default());
    assert!(line.is_idle(at(0)));
    let ticket = line.ask(at(0), &waiter("a", Write::Blob, 0)).go();
    assert!(!line.is_idle(at(0)));
    line.done(at(100), ticket);
    assert!(!line.is_idle(at(HOUR + 599)));
    assert!(line.is_idle(at(HOUR + 600)));
    line.limit(at(HOUR + 600), Duration::from_secs(5), Named::Told);
    assert!(!line.is_idle(at(HOUR + 5_599)));
    assert!(line.is_idle(at(HOUR + 5_600)));
    // How often GitHub named a limit in a row is remembered for an hour.
    line.limit(at(2 * HOUR), Duration::ZERO, Named::Silent);
    assert!(!line.is_idle(at(3 * HOUR + MINUTE - 1)));
    assert!(line.is_idle(at(3 * HOUR + MINUTE)));
    let mut spaced = Line::restore(settings(1_000, 0, 0), None, at(0));
    assert!(!spaced.is_idle(at(2_999)));
    assert!(spaced.is_idle(at(3_000)));
    let mut waits = Line::new(settings(HOUR.unsigned_abs(), 0, 0));
    write(&mut waits, "a", Write::Blob, 0, 100);
    waits.ask(at(100), &waiter("b", Write::Blob, 0)).wait();
    waits.leave("a");
    assert!(!waits.is_idle(at(HOUR + 600)), "b waits");
    waits.leave("b");
    assert!(waits.is_idle(at(HOUR + 600)));
}
