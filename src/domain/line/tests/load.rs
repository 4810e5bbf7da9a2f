//! Hundreds of Tasks at once: GitHub's numbers are used and kept, nobody starves, and what is nearly finished finishes.
//! Neighbours: `model` is GitHub and the Tasks.

use super::{
    model::{Habits, World},
    time::{HOUR, MINUTE},
    *,
};

const BEGIN: Moment = 1_796_000_000_000;
const GOOD: Habits = Habits { sleepy: 0, called: true };

fn crowd(tasks: usize, blobs: u64, seed: u64, habits: Habits) -> World {
    let mut world = World::new(Line::new(Settings::default()), BEGIN, seed, habits);
    for _ in 0..tasks {
        let blobs = 1 + usize::try_from(world.dice.roll(blobs)).unwrap();
        let begin = BEGIN + world.random(MINUTE);
        world.task(blobs, begin);
    }
    world
}

#[test]
fn under_full_load_the_hours_calls_are_used_and_never_overdrawn() {
    for seed in 0..3 {
        let mut world = crowd(1000, 5, seed, GOOD);
        world.run(BEGIN + 8 * HOUR);
        let hours = world.github.by_hour(BEGIN, 8);
        assert!(hours.iter().all(|calls| (495..=500).contains(calls)), "{hours:?}");
        assert_eq!(world.github.violations, 0);
        // Who comes when told to asks some times for a turn, not once for each who goes before.
        assert!(world.asks < 6 * world.github.counted.len(), "{} asks", world.asks);
    }
}

#[test]
fn some_that_do_not_come_cost_nothing() {
    for (seed, habits) in [(1, Habits { sleepy: 4, called: true }), (2, Habits { sleepy: 0, called: false })]
    {
        let mut world = crowd(500, 5, seed, habits);
        world.run(BEGIN + 6 * HOUR);
        let hours = world.github.by_hour(BEGIN, 6);
        assert!(hours.iter().all(|calls| (475..=500).contains(calls)), "{habits:?} {hours:?}");
        assert_eq!(world.github.violations, 0);
    }
}

#[test]
fn everybody_finishes_and_the_first_do_so_long_before_the_last() {
    let mut world = crowd(300, 5, 7, GOOD);
    // 300 Tasks make 8 writes each: 2,400 of 500 an hour.
    world.run(BEGIN + 6 * HOUR);
    let mut finished: Vec<Moment> = world.tasks.iter().filter_map(|task| task.finished).collect();
    finished.sort_unstable();
    assert_eq!(finished.len(), 300);
    assert!(world.longest_wait() < 5 * HOUR, "{} min", world.longest_wait() / MINUTE);
    // Side by side, none would be finished before the end: an hour's calls would finish nobody. One after the other they are 62
    // an hour, and each has to be reviewed.
    let within = |hours: i64| finished.iter().filter(|time| **time < BEGIN + hours * HOUR).count();
    assert!(within(1) >= 5 && within(2) >= 60 && within(3) >= 120 && within(4) >= 180, "{}", within(2));
}

#[test]
fn a_task_of_a_thousand_files_does_not_hold_up_the_small_ones() {
    let mut world = World::new(Line::new(Settings::default()), BEGIN, 3, GOOD);
    world.task(2000, BEGIN);
    for minute in 0..100 {
        world.task(1, BEGIN + SECOND + minute * MINUTE);
    }
    world.run(BEGIN + 5 * HOUR);
    let opened = world.tasks[1..].iter().filter(|task| task.opened.is_some()).count();
    assert_eq!(opened, 100);
    world.run(BEGIN + 7 * HOUR);
    assert!(world.tasks[0].opened.is_some(), "nor is it held up by them for ever");
    assert_eq!(world.github.violations, 0);
}

/// Somebody else uses the account too: GitHub punishes what the line knows nothing of, and its limits are kept.
#[test]
fn limits_of_calls_that_others_make_are_waited_for() {
    let mut world = crowd(60, 3, 5, GOOD);
    for minute in 0..240 {
        let now = BEGIN + minute * MINUTE;
        world.run(now);
        if minute % 60 == 0 && minute < 180 {
            world.others(90);
        }
    }
    world.run(BEGIN + 8 * HOUR);
    let finished = world.tasks.iter().filter(|task| task.finished.is_some()).count();
    assert_eq!(finished, 60, "{:?} refused {}", world.github.by_hour(BEGIN, 8), world.refused);
    // One call learns of each limit; no other is sent while it holds.
    assert!((1..=40).contains(&world.refused), "{}", world.refused);
}

#[test]
fn a_quiet_account_waits_for_spacing_alone() {
    let mut world = World::new(Line::new(Settings::default()), BEGIN, 1, GOOD);
    world.task(3, BEGIN);
    world.run(BEGIN + HOUR);
    assert!(world.tasks[0].opened.unwrap() < BEGIN + 20 * SECOND);
    assert!(world.tasks[0].longest <= 3 * SECOND, "{} ms", world.tasks[0].longest);
}
