//! Who goes first, who loses its turn, who is called, who is forgotten.
//! Neighbours: `load` has the same with hundreds of Tasks.

use super::{
    queue::{FOLLOWS, LONG, MISSED, PATIENCE, ROUND, SILENT},
    time::MINUTE,
    *,
};

/// A line with a write under way, so that whoever asks waits.
fn busy() -> (Line, Ticket) {
    let mut line = Line::new(settings(0, 0, 0));
    let ticket = line.ask(at(0), &waiter("first", Write::Blob, 0)).go();
    (line, ticket)
}

/// The uids in the order in which they go, if each comes when the one before is done.
fn order(line: &mut Line, ticket: Ticket, now: i64, waiters: &[Waiter]) -> Vec<String> {
    line.done(at(now), ticket);
    let mut order = Vec::new();
    while order.len() < waiters.len() {
        let gone = waiters.iter().filter(|one| !order.contains(&one.uid.to_string())).find_map(|one| {
            match line.ask(at(now), one) {
                Asked::Go(ticket) => Some((one.uid.to_string(), ticket)),
                Asked::Wait(_) => None,
            }
        });
        let (uid, ticket) = gone.expect("somebody goes");
        line.done(at(now), ticket);
        order.push(uid);
    }
    order
}

#[test]
fn what_ends_a_task_goes_before_what_begins_one() {
    let classes = Write::ALL;
    assert!(classes.is_sorted() && classes.iter().enumerate().all(|(at, write)| write.index() == at));
    let (mut line, ticket) = busy();
    // The last class has waited longest, and its Task is the oldest.
    let named = |(n, write): (i64, Write)| waiter(&format!("{write:?}"), write, -n);
    let mut waiters: Vec<Waiter> = (0..).zip(classes).map(named).collect();
    waiters.reverse();
    for (n, waiter) in (0..).zip(&waiters) {
        line.ask(at(n), waiter).wait();
    }
    let expected: Vec<String> = classes.iter().map(|write| format!("{write:?}")).collect();
    assert_eq!(order(&mut line, ticket, 100, &waiters), expected);
}

#[test]
fn within_a_class_the_older_work_goes_first_then_who_came_first() {
    let (mut line, ticket) = busy();
    let waiters = [
        waiter("young", Write::Blob, 9_000),
        waiter("twin", Write::Blob, 5_000),
        waiter("late twin", Write::Blob, 5_000),
        waiter("old", Write::Blob, 1_000),
    ];
    let places: Vec<usize> = waiters.iter().map(|one| line.ask(at(10), one).wait().place).collect();
    assert_eq!(places, [1, 1, 2, 1]);
    let places: Vec<usize> = waiters.iter().map(|one| line.ask(at(20), one).wait().place).collect();
    assert_eq!(places, [4, 2, 3, 1]);
    assert_eq!(order(&mut line, ticket, 100, &waiters), ["old", "twin", "late twin", "young"]);
}

#[test]
fn who_asks_for_another_write_changes_its_class() {
    let (mut line, ticket) = busy();
    assert_eq!(line.ask(at(1), &waiter("a", Write::Blob, 0)).wait().place, 1);
    assert_eq!(line.ask(at(2), &waiter("b", Write::Tree, 0)).wait().place, 1);
    assert_eq!(line.ask(at(3), &waiter("a", Write::Ref, 0)).wait().place, 1);
    let waiters = [waiter("a", Write::Ref, 0), waiter("b", Write::Tree, 0)];
    assert_eq!(order(&mut line, ticket, 100, &waiters), ["a", "b"]);
}

#[test]
fn who_has_waited_ten_minutes_goes_before_all_who_have_not() {
    for (waited, first) in [(LONG, "blob"), (LONG - 1, "merge")] {
        let (mut line, ticket) = busy();
        let blob = waiter("blob", Write::Blob, 0);
        line.ask(at(1_000), &blob).wait();
        let merge = waiter("merge", Write::Merge, -9_000);
        line.ask(at(2_000), &merge).wait();
        let order = order(&mut line, ticket, 1_000 + waited, &[merge, blob]);
        assert_eq!(order[0], first);
    }
}

#[test]
fn of_those_who_have_waited_long_work_at_its_end_takes_every_second_turn() {
    let (mut line, _) = busy();
    let mut waiters: Vec<Waiter> = (0..4).map(|n| waiter(&format!("blob {n}"), Write::Blob, -n)).collect();
    waiters.extend((0..2).map(|n| waiter(&format!("merge {n}"), Write::Merge, -n)));
    for (n, waiter) in (0..).zip(&waiters) {
        line.ask(at(n), waiter).wait();
    }
    let now = LONG + 10;
    let ticket = line.ask(at(now), &waiters[0]).go();
    let places = |line: &mut Line| -> Vec<usize> {
        waiters[1..].iter().map(|one| line.ask(at(now), one).wait().place).collect()
    };
    assert_eq!(places(&mut line), [2, 4, 5, 1, 3]);
    let next = line.queue.next(4);
    let next: Vec<&str> = next.iter().map(|number| &**line.queue.promise(*number).unwrap().uid).collect();
    assert_eq!(next, ["merge 0", "blob 1", "merge 1", "blob 2"]);
    line.done(at(now), ticket);
    let ticket = line.ask(at(now), &waiters[4]).go();
    assert_eq!(line.ask(at(now), &waiters[5]).wait().place, 2);
    assert_eq!(line.ask(at(now), &waiters[1]).wait().place, 1);
    let order = order(&mut line, ticket, now, &[&waiters[1..4], &waiters[5..]].concat());
    assert_eq!(order, ["blob 1", "merge 1", "blob 2", "blob 3"]);
}

#[test]
fn a_place_is_kept_from_write_to_write_but_not_for_ever() {
    let (mut line, _) = busy();
    let (big, small) = (waiter("big", Write::Blob, 0), waiter("small", Write::Blob, 0));
    line.ask(at(0), &big).wait();
    line.ask(at(1), &small).wait();
    let (mut now, mut in_a_row) = (LONG + 1, 1);
    let mut ticket = line.ask(at(now), &big).go();
    loop {
        line.ask(at(now), &big).wait();
        line.done(at(now), ticket);
        if let Asked::Go(next) = line.ask(at(now), &small) {
            line.done(at(now), next);
            break;
        }
        ticket = line.ask(at(now), &big).go();
        (now, in_a_row) = (now + 100, in_a_row + 1);
    }
    assert_eq!(in_a_row, ROUND);
    // Who stays away for a while between two writes begins anew.
    line.leave("big");
    let ticket = line.ask(at(now), &waiter("x", Write::Merge, 0)).go();
    line.ask(at(now), &big).wait();
    line.done(at(now), ticket);
    let ticket = line.ask(at(now + LONG), &big).go();
    line.done(at(now + LONG), ticket);
    let later = now + LONG + FOLLOWS;
    let ticket = line.ask(at(later), &waiter("y", Write::Merge, 0)).go();
    line.ask(at(later), &waiter("tree", Write::Tree, 0)).wait();
    assert_eq!(line.ask(at(later), &big).wait().place, 2);
    line.done(at(later), ticket);
}

#[test]
fn a_turn_passes_on_from_who_does_not_come_and_its_place_is_kept_a_while() {
    let (mut line, ticket) = busy();
    let (a, b) = (waiter("a", Write::Tree, 0), waiter("b", Write::Blob, 0));
    line.ask(at(10), &a).wait();
    line.ask(at(11), &b).wait();
    line.done(at(1_000), ticket);
    assert_eq!(line.ask(at(1_000), &b).wait().place, 2);
    assert_eq!(line.ask(at(1_000 + PATIENCE - 1), &b).wait().place, 2);
    let ticket = line.ask(at(1_000 + PATIENCE), &b).go();
    assert_eq!(line.ask(at(1_000 + MISSED - 1), &a).wait().place, 1);
    line.done(at(1_000 + MISSED), ticket);
    line.ask(at(1_000 + MISSED), &a).goes();
}

#[test]
fn however_many_do_not_come_a_turn_waits_for_them_once() {
    let (mut line, ticket) = busy();
    for n in 0..100 {
        line.ask(at(10), &waiter(&format!("{n}"), Write::Tree, 0)).wait();
    }
    let b = waiter("b", Write::Blob, 0);
    line.ask(at(11), &b).wait();
    line.done(at(1_000), ticket);
    line.ask(at(1_000), &b).wait();
    let ticket = line.ask(at(1_000 + PATIENCE), &b).go();
    // The one whose turn it was has lost it, the others keep their places.
    line.done(at(5_000), ticket);
    assert_eq!(line.ask(at(5_000), &b).wait().place, 100);
    // Each turn waits anew, and for the next of them.
    line.ask(at(5_000 + PATIENCE - 1), &b).wait();
    let ticket = line.ask(at(5_000 + PATIENCE), &b).go();
    line.done(at(20_000), ticket);
    // A call passes the turn on to the next, who is called for it and has time to come.
    line.call(at(20_000));
    line.call(at(20_000 + PATIENCE));
    line.ask(at(20_000 + 2 * PATIENCE - 1), &b).wait();
    line.ask(at(20_000 + 2 * PATIENCE), &b).goes();
}

#[test]
fn who_does_not_come_is_forgotten() {
    let (mut line, ticket) = busy();
    let wait = line.ask(at(10), &waiter("a", Write::Tree, 0)).wait();
    line.done(at(20), ticket);
    assert_eq!(line.call(at(1_000)).len(), 0, "its time has just come");
    assert_eq!(line.call(at(2_000)), [Arc::from("a")]);
    line.pass(at(1_000 + MISSED - 1));
    assert!(line.queue.knows("a"));
    line.pass(at(1_000 + MISSED));
    assert!(!line.queue.knows("a"));
    // Who was told a later time and not called has until then.
    let (mut line, ticket) = busy();
    line.limit(at(10), Duration::from_mins(5), Named::Told);
    line.ask(at(10), &waiter("a", Write::Tree, 0)).wait();
    line.ask(at(10), &waiter("b", Write::Blob, 0)).wait();
    line.done(at(20), ticket);
    line.limits = Limits::default();
    line.forecast = None;
    line.ask(at(30), &waiter("b", Write::Blob, 0)).wait();
    line.ask(at(30 + PATIENCE), &waiter("b", Write::Blob, 0)).goes();
    line.pass(at(10 + 5 * MINUTE + MISSED - 1));
    assert!(line.queue.knows("a"));
    line.pass(at(10 + 5 * MINUTE + MISSED));
    assert!(!line.queue.knows("a"));
    // And without a turn, long after the time that it was told.
    let mut line = Line::new(Settings::default());
    line.limit(at(0), Duration::from_hours(1), Named::Told);
    let until = line.ask(at(0), &waiter("a", Write::Tree, 0)).wait().until;
    assert!(until > wait.until);
    let forgotten = ceil(until) - ceil(at(0)) + SILENT;
    line.limit(at(1), Duration::from_hours(3), Named::Told);
    line.pass(at(forgotten - 1));
    assert!(line.queue.knows("a"));
    line.pass(at(forgotten));
    assert!(!line.queue.knows("a"));
}

#[test]
fn who_leaves_holds_nobody_up() {
    let (mut line, ticket) = busy();
    line.ask(at(1), &waiter("a", Write::Merge, 0)).wait();
    line.ask(at(2), &waiter("b", Write::Blob, 0)).wait();
    line.leave("a");
    line.leave("nobody");
    line.done(at(3), ticket);
    line.ask(at(3), &waiter("b", Write::Blob, 0)).goes();
}

#[test]
fn who_is_told_a_later_time_than_its_turn_is_called_once() {
    let mut line = Line::new(settings(1_000, 0, 1_000));
    let ticket = line.ask(at(0), &waiter("x", Write::Blob, 0)).go();
    let waiters: Vec<Waiter> = (0..20).map(|n| waiter(&format!("{n:02}"), Write::Blob, n)).collect();
    for waiter in &waiters {
        line.ask(at(100), waiter).wait();
    }
    assert_eq!(line.call(at(200)), Vec::<Arc<str>>::new(), "all come by themselves");
    line.done(at(300), ticket);
    // Half of them are gone: the others' turns come sooner than they were told.
    for waiter in &waiters[..10] {
        line.leave(&waiter.uid);
    }
    let named: Vec<Arc<str>> = vec!["10".into(), "11".into(), "12".into()];
    assert_eq!(line.call(at(1_000)), named, "those whose turn comes within two seconds");
    assert_eq!(line.call(at(1_001)), Vec::<Arc<str>>::new());
    // Who has come and waits again can be called again.
    let ticket = line.ask(at(1_100), &waiters[10]).go();
    line.ask(at(1_100), &waiters[11]).wait();
    line.done(at(1_200), ticket);
    assert_eq!(line.call(at(2_100)), [Arc::from("13")]);
    let ticket = line.ask(at(2_100), &waiters[11]).go();
    line.ask(at(2_100), &waiters[12]).wait();
    let merges: Vec<Waiter> = (0..10).map(|n| waiter(&format!("merge {n}"), Write::Merge, n)).collect();
    for merge in &merges {
        line.ask(at(2_100), merge).wait();
    }
    line.ask(at(2_100), &waiters[12]).wait();
    for merge in &merges {
        line.leave(&merge.uid);
    }
    assert_eq!(line.call(at(2_200)), [Arc::from("12")]);
    line.done(at(2_300), ticket);
}
