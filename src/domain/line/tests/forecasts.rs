//! What who waits is told: the sentence, and times that hold.
//! Neighbours: `window` tests the times of the next write, `order` the places.

use super::{time::HOUR, *};

#[test]
fn a_wait_is_a_sentence() {
    let until = "2026-11-30T10:00:04.001Z".parse().unwrap();
    let told = |place, why| Wait { place, why, until }.to_string();
    assert_eq!(
        told(12, Why::PerMinute(80)),
        "place 12 in the line of this GitHub account, which may make 80 content-creating calls a minute; its turn comes about 2026-11-30T10:00:05Z"
    );
    let second = Duration::from_millis(1_500);
    for (why, words) in [
        (Why::PerHour(500), "which may make 500 content-creating calls an hour;"),
        (Why::Spacing(second), "whose writes begin 1.5 s apart;"),
        (Why::Spacing(Duration::from_secs(1)), "whose writes begin 1 s apart;"),
        (Why::AWriteUnderWay, "which makes one write at a time;"),
        (Why::Limit(Named::Told), "which GitHub has limited;"),
        (Why::Limit(Named::Silent), "which GitHub has limited;"),
        (Why::Limit(Named::Spent), "which has spent the calls that GitHub gives it;"),
    ] {
        let told = told(1, why);
        assert!(told.starts_with(&format!("place 1 in the line of this GitHub account, {words}")), "{told}");
    }
}

/// Without anybody else, the line keeps to the millisecond what it has told.
#[test]
fn turns_come_when_foreseen() {
    for settings in
        [settings(1_000, 20, 50), settings(100, 20, 50), settings(100, 20, 0), settings(9_000, 20, 50)]
    {
        let mut line = Line::new(settings);
        let mut waiters: Vec<(Waiter, Option<Timestamp>)> =
            (0..170).map(|n| (waiter(&format!("{n:03}"), Write::Other, n), None)).collect();
        let ticket = line.ask(at(0), &waiter("x", Write::Other, 0)).go();
        for (waiter, told) in &mut waiters {
            *told = Some(line.ask(at(100), waiter).wait().until);
        }
        line.done(at(500), ticket);
        let mut now = at(500);
        for (waiter, told) in waiters {
            let ticket = loop {
                match line.ask(now, &waiter) {
                    Asked::Go(ticket) => break ticket,
                    Asked::Wait(wait) => now = wait.until,
                }
            };
            let told = told.unwrap();
            let late = (now.as_millisecond() - told.as_millisecond()).abs();
            assert!(late <= 10, "{settings:?} {}: told {told}, came {now}", waiter.uid);
            now += Duration::from_millis(500);
            line.done(now, ticket);
        }
    }
}

#[test]
fn the_writes_that_follow_those_ahead_are_foreseen_too() {
    let mut line = Line::new(settings(1_000, 0, 0));
    let ticket = line.ask(at(0), &waiter("x", Write::Other, 0)).go();
    // Each blob is followed by tree, commit, ref and pull request, and behind that are three intervals.
    // The second has to be there all the same, in case that the first brings no tree.
    for (n, turn) in [(0, 1_000), (1, 2_000), (2, 15_000)] {
        let told = line.ask(at(0), &waiter(&format!("{n}"), Write::Blob, n)).wait();
        assert_eq!(told.until, at(turn));
    }
    // A merge is behind none of them; a repository behind all, and behind the merge.
    assert_eq!(line.ask(at(0), &waiter("m", Write::Merge, 0)).wait().until, at(1_000));
    assert_eq!(line.ask(at(0), &waiter("r", Write::Repository, 0)).wait().until, at(25_000));
    line.done(at(500), ticket);
}

#[test]
fn behind_a_full_hour_the_forecast_counts_hours() {
    let mut line = Line::new(Settings::default());
    for n in 0..500 {
        write(&mut line, "a", Write::Blob, n * 1_000, n * 1_000 + 300);
    }
    let told = line.ask(at(500_000), &waiter("b", Write::Other, 0)).wait();
    assert_eq!((told.why, told.until), (Why::PerHour(500), at(HOUR + 800)));
    for n in 0..1_200 {
        line.ask(at(500_000), &waiter(&format!("{n}"), Write::Other, 1)).wait();
    }
    let last = line.ask(at(500_000), &waiter("last", Write::Other, 2)).wait();
    assert_eq!((last.place, last.why), (1_202, Why::PerHour(500)));
    // Two whole hours behind the first opening, each with the margin and the 300 ms of a write; then the 202nd of that one.
    let hours = ceil(last.until) - ceil(at(HOUR + 800)) - 2 * HOUR;
    assert!((202_550..=202_650).contains(&hours), "{hours}");
}

#[test]
fn nobody_is_told_the_past_or_the_present() {
    let mut line = Line::new(settings(0, 0, 0));
    let ticket = line.ask(at(0), &waiter("a", Write::Blob, 0)).go();
    for now in [0, 1, 499, 500, 10_000] {
        let told = line.ask(at(now), &waiter("b", Write::Blob, 0)).wait();
        assert!(told.until > at(now));
    }
    line.done(at(20_000), ticket);
    line.ask(at(20_000), &waiter("c", Write::Merge, 0)).goes();
}

#[test]
fn how_long_writes_take_is_learned() {
    let mut line = Line::new(settings(1_000, 0, 0));
    for n in 0..30 {
        write(&mut line, "a", Write::Blob, n * 10_000, n * 10_000 + 4_000);
    }
    let ticket = line.ask(at(300_000), &waiter("a", Write::Blob, 0)).go();
    line.ask(at(300_100), &waiter("b", Write::Ref, 0)).wait();
    let told = line.ask(at(300_100), &waiter("c", Write::Ref, 1)).wait();
    let ahead = ceil(told.until) - ceil(at(300_000));
    assert!((8_000..=14_000).contains(&ahead), "{ahead}");
    line.done(at(304_000), ticket);
}
