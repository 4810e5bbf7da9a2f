//! Changes of leader at any moment: what was written down, what was sent unseen since, and clocks that differ.
//! Neighbours: `model` is GitHub and the Tasks, `state` tests the text itself.

use super::{
    model::{Habits, World},
    time::{HOUR, MINUTE},
    *,
};

const BEGIN: Moment = 1_796_000_000_000;

fn crowd(settings: Settings, seed: u64) -> World {
    let mut world = World::new(Line::new(settings), BEGIN, seed, Habits { sleepy: 0, called: true });
    for _ in 0..400 {
        let blobs = 1 + usize::try_from(world.dice.roll(5)).unwrap();
        let begin = BEGIN + world.random(MINUTE);
        world.task(blobs, begin);
    }
    world
}

/// A leader's term. Returns the state that the next leader reads: the last of those that were written every 2 s.
fn term(world: &mut World, length: i64) -> String {
    world.run(world.now + length);
    let mut state = world.line.encode(world.clock(), false);
    assert!(state.len() <= 1024, "{} bytes: {state}", state.len());
    if world.dice.one_in(2) {
        // Ordered to stop: it begins no write, waits for the one under way, and writes its last state.
        while world.is_writing() {
            world.stop_asking();
            world.run(world.now + 100);
        }
        state = world.line.encode(world.clock(), true);
        world.pause(0);
        let gap = world.random(4 * SECOND);
        world.pause(gap);
    } else {
        // It can't write its state any more, and goes on as long as it leads; then it is gone.
        let unseen = world.random(10 * SECOND);
        world.run(world.now + unseen);
        let gap = if world.dice.one_in(5) { world.random(HOUR) } else { world.random(15 * SECOND) };
        world.pause(gap);
    }
    state
}

fn walk(settings: Settings, seed: u64, skew: i64) -> World {
    let mut world = crowd(settings, seed);
    while world.now < BEGIN + 6 * HOUR {
        let length = if world.dice.one_in(2) { world.random(MINUTE) } else { world.random(20 * MINUTE) };
        let state = term(&mut world, length);
        world.skew = world.random(2 * skew + 1) - skew;
        let line = Line::restore(settings, Some(&state), world.clock());
        world.leader(line);
    }
    world
}

/// `WALK_SEEDS` asks for more: one walk of leaders for a hundred of the others.
fn seeds() -> u64 {
    std::env::var("WALK_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).map_or(4, |seeds: u64| seeds / 100)
}

#[test]
fn on_any_walk_of_leaders_githubs_numbers_are_kept() {
    for seed in 0..seeds() {
        // Spacing a second: the hour binds. A fifth of it: the minute binds too, and a crash hides many writes.
        for settings in [Settings::default(), settings(200, 80, 500)] {
            let world = walk(settings, seed, SECOND);
            assert_eq!(world.github.violations, 0, "seed {seed}, {settings:?}");
            // The price: some places for each crash.
            let calls = world.github.counted.len();
            assert!(calls > 1000, "seed {seed}, {settings:?}: {calls} calls");
        }
    }
}

#[test]
fn an_orderly_change_costs_nothing() {
    let mut line = Line::new(Settings::default());
    for n in 0..60 {
        write(&mut line, "a", Write::Blob, n * 1000, n * 1000 + 300);
    }
    let state = line.encode(at(60_000), true);
    let mut next = Line::restore(Settings::default(), Some(&state), at(61_500));
    let ticket = next.ask(at(61_500), &waiter("a", Write::Blob, 0)).go();
    next.done(at(61_800), ticket);
    assert_eq!(next.window.latest().count(), 61);
}

#[test]
fn a_crash_costs_what_its_line_would_have_let_through() {
    let mut line = Line::new(Settings::default());
    write(&mut line, "a", Write::Blob, 0, 300);
    let under_way = line.ask(at(1_900), &waiter("a", Write::Blob, 0)).go();
    let next = Line::restore(Settings::default(), Some(&line.encode(at(2_000), false)), at(15_000));
    // Handed over with a write under way, it is not handed over.
    let early = Line::restore(Settings::default(), Some(&line.encode(at(2_000), true)), at(15_000));
    assert_eq!(early.window.latest().count(), 12);
    drop(under_way);
    // One known, one under way, and one each second from 2.9 s to 12 s.
    assert_eq!(next.window.latest().count(), 12);
    // The last of them may have told people, and just now.
    let wait = Line::restore(Settings::default(), Some(&line.encode(at(2_000), false)), at(15_000))
        .ask(at(15_000), &waiter("a", Write::Blob, 0))
        .wait();
    assert_eq!(wait.until, at(20_000));
    // The text tells the end of a call up to a second late: its place may have been free when the leader still led.
    let mut coarse = Line::new(settings(0, 1, 0));
    write(&mut coarse, "a", Write::Blob, 1_000, 1_100);
    let next = Line::restore(settings(0, 1, 0), Some(&coarse.encode(at(52_000), false)), at(70_000));
    assert_eq!(next.window.latest().count(), 2);
    // Nothing goes unseen while a limit holds.
    line.limit(at(2_000), Duration::from_mins(1), Named::Told);
    let next = Line::restore(Settings::default(), Some(&line.encode(at(2_000), false)), at(15_000));
    assert_eq!(next.window.latest().count(), 2);
    // A full hour lets nothing through unseen either.
    let mut full = Line::new(settings(1000, 0, 2));
    write(&mut full, "a", Write::Blob, 0, 300);
    write(&mut full, "a", Write::Blob, 1_000, 1_300);
    let next = Line::restore(settings(1000, 0, 2), Some(&full.encode(at(2_000), false)), at(15_000));
    assert_eq!(next.window.latest().count(), 2);
}

#[test]
fn limits_and_their_number_outlive_the_leader() {
    let mut line = Line::new(Settings::default());
    let first = line.limit(at(0), Duration::ZERO, Named::Silent);
    let state = line.encode(at(5_000), false);
    let mut next = Line::restore(Settings::default(), Some(&state), at(20_000));
    let until = next.blocked(at(20_000)).unwrap();
    assert!(until >= first && until <= first + Duration::from_secs(4), "{until}");
    assert_eq!(next.named(at(20_000)), Some(Named::Silent));
    assert_eq!(next.limit(at(100_000), Duration::ZERO, Named::Silent), at(220_000));
}

#[test]
fn without_any_state_no_minute_is_overdrawn_and_the_hour_is_used_evenly() {
    for settings in [Settings::default(), settings(200, 80, 500)] {
        for seed in 0..4 {
            // The leader before has written as much as it could in its last minute, and its state is lost.
            let mut world = crowd(settings, seed);
            world.github.per_hour = 1000;
            world.run(BEGIN + 46 * SECOND);
            for state in [None, Some(""), Some("nonsense")] {
                let line = Line::restore(settings, state, world.clock());
                world.leader(line);
                let before = world.github.counted.len();
                world.run(world.now + MINUTE);
                assert!(world.github.counted.len() - before <= 12, "no burst");
            }
            let before = world.github.counted.len();
            world.run(world.now + HOUR);
            assert_eq!(world.github.violations, 0);
            assert!(world.github.counted.len() - before >= 430, "{}", world.github.counted.len() - before);
        }
    }
    // Before the first write: 3 s.
    let wait =
        Line::restore(Settings::default(), None, at(0)).ask(at(0), &waiter("a", Write::Blob, 0)).wait();
    assert_eq!(wait.until, at(3_000));
    // Without spacing, the whole minute may have been used just now.
    let bursts = settings(0, 80, 0);
    let wait = Line::restore(bursts, None, at(0)).ask(at(0), &waiter("a", Write::Blob, 0)).wait();
    assert_eq!(wait.until, at(60_500));
    let unlimited = settings(0, 0, 0);
    Line::restore(unlimited, None, at(0)).ask(at(0), &waiter("a", Write::Blob, 0)).goes();
}

#[test]
fn an_account_that_is_not_mentioned_has_at_most_some_seconds_behind_it() {
    let mut line = Line::unmentioned(Settings::default(), at(0));
    assert_eq!(line.window.latest().count(), 11);
    assert_eq!(line.ask(at(0), &waiter("a", Write::Blob, 0)).wait().until, at(5_000));
    line.leave("a");
    assert!(!line.is_idle(at(HOUR)));
    assert!(line.is_idle(at(HOUR + 3_000)));
}

/// The Pods' settings differ while a new one is rolled out: what was let through is judged by the settings it was let through with.
#[test]
fn other_settings_than_the_leader_before_are_kept_from_the_first_write_on() {
    let mut line = Line::new(settings(0, 0, 0));
    for n in 0..30 {
        write(&mut line, "a", Write::Blob, n * 10, n * 10 + 5);
    }
    let state = line.encode(at(1_000), true);
    let wait = Line::restore(settings(0, 20, 0), Some(&state), at(2_000))
        .ask(at(2_000), &waiter("a", Write::Blob, 0))
        .wait();
    assert_eq!(wait.why, Why::PerMinute(20));
    let crashed = line.encode(at(1_000), false);
    let after = Line::restore(settings(0, 20, 0), Some(&crashed), at(2_000));
    assert_eq!(after.window.latest().count(), 50, "as many unseen as matter");
}
