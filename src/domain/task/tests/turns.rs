//! Two Tasks, one Sandbox: one at a time, oldest first, and who has begun goes on.

use super::*;
use crate::{
    api::{Holder, conditions::reason},
    domain::{
        demand::{self, Demand},
        turn,
    },
};
use jiff::SignedDuration;

/// Two Tasks in one world's Sandbox; `b` is a second younger.
fn two() -> (World, World) {
    let (a, mut b) = (World::shared(), World::shared());
    b.task.metadata.uid = Some("99999999-0000-4000-8000-000000000000".into());
    b.task.metadata.name = Some("b".into());
    let created = b.now + SignedDuration::from_secs(1);
    b.task.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(created));
    (a, b)
}

/// The Sandbox's controller gives the turn by what it sees of both.
fn grant(current: Option<&Holder>, a: &World, b: &World) -> Option<Holder> {
    turn::grant(current, "box", [&a.task, &b.task]).holder
}

/// The Sandbox's controller, then one pass of each; what the other holds is seen by both.
fn both(first: &mut World, second: &mut World, holder: &mut Option<Holder>) {
    *holder = grant(holder.as_ref(), first, second);
    let uids = [&*first, &*second].map(|world| world.task.metadata.uid.clone().unwrap_or_default());
    let began = [&*first, &*second].map(|world| {
        let runs = world.status().code_generations;
        runs.iter().map(|run| run.started_at.0).max()
    });
    for (at, world) in [first, second].into_iter().enumerate() {
        let theirs = holder.as_ref().filter(|holder| holder.uid != uids[at]);
        world.holder = Some(theirs.map_or_else(String::new, |holder| holder.task.clone()))
            .filter(|_| holder.as_ref().is_none_or(|holder| holder.uid != uids[at]));
        world.others_began = began[1 - at];
        assert!(world.pass().is_ok());
        world.pass_time(5);
    }
}

fn working(world: &World) -> bool {
    world.status().sandbox_id.is_some() && world.status().commit_sha.is_none()
}

#[test]
fn of_two_that_arrive_together_the_older_goes_first_whoever_looks_first() {
    for younger_first in [false, true] {
        let ((mut a, mut b), mut holder) = (two(), None);
        let mut order = Vec::new();
        for _ in 0..60 {
            if younger_first {
                both(&mut b, &mut a, &mut holder);
            } else {
                both(&mut a, &mut b, &mut holder);
            }
            assert!(!(working(&a) && working(&b)), "both work in one sandbox");
            for world in [&a, &b] {
                if working(world) && order.last() != world.task.metadata.name.as_ref() {
                    order.extend(world.task.metadata.name.clone());
                }
            }
        }
        assert_eq!(order, ["t", "b"], "younger first: {younger_first}");
        assert_eq!((a.row(), b.row()), (REVIEW, REVIEW));
    }
}

#[test]
fn nothing_is_done_in_a_shared_sandbox_before_the_turn_is_given() {
    let (mut a, _) = two();
    a.holder = Some(String::new());
    for _ in 0..10 {
        assert!(a.pass().is_ok());
        a.pass_time(5);
    }
    assert!(!working(&a) && a.calls.is_empty(), "not even GitHub is read: {:?}", a.calls);
    assert_eq!(a.row(), NEW);
}

#[test]
fn who_waits_names_the_holder_and_the_place_in_the_line() {
    let ((mut a, mut b), mut holder) = (two(), None);
    a.command.0 = 1000;
    for _ in 0..4 {
        both(&mut a, &mut b, &mut holder);
    }
    assert!(working(&a) && !working(&b));
    assert_eq!((b.row(), b.reason().as_str()), (NEW, reason::WAITING_FOR_SANDBOX));
    assert!(b.message().contains("Task t works in Sandbox box, place 1"), "{}", b.message());
}

#[test]
fn a_suspended_task_gives_its_turn_back_once_its_command_has_ended_by_itself() {
    let ((mut a, mut b), mut holder) = (two(), None);
    a.command.0 = 60;
    for _ in 0..3 {
        both(&mut a, &mut b, &mut holder);
    }
    a.edit(|spec| spec.suspend = true);
    let mut waited = 0;
    while a.alive() > 0 {
        both(&mut a, &mut b, &mut holder);
        assert!(!working(&b), "it runs on, and its turn with it");
        waited += 1;
    }
    assert!(waited > 3 && a.made("Signal") == 0);
    for _ in 0..60 {
        both(&mut a, &mut b, &mut holder);
    }
    assert_eq!((a.reason().as_str(), b.row()), (reason::SUSPENDED, REVIEW));
    // Another has worked in there since: what it left is not read, the command runs again.
    a.edit(|spec| spec.suspend = false);
    for _ in 0..60 {
        both(&mut a, &mut b, &mut holder);
    }
    assert_eq!(
        (a.row(), a.made("Start")),
        (REVIEW, 2),
        "{} {:?} {:?}",
        a.message(),
        a.status().code_generations,
        b.status().code_generations
    );
}

#[test]
fn a_suspended_task_whose_sandbox_was_replaced_or_deleted_gives_its_turn_back() {
    let losses: [fn(&mut World); 2] = [
        |world| {
            world.lose_sandbox();
            let view = world.sandbox_mut().expect("shared");
            (view.id, view.incarnation, view.running) = (Some("sb2".into()), 2, true);
        },
        |world| world.sandboxes.clear(),
    ];
    for lose in losses {
        let mut world = World::shared();
        world.command.0 = 1000;
        world.run_until(|world| world.made("Start") == 1);
        world.edit(|spec| spec.suspend = true);
        world.rest();
        assert_eq!(demand::of(&world.task), Demand::AgainstKill, "its command runs");
        lose(&mut world);
        world.rest();
        assert_eq!((world.reason().as_str(), demand::of(&world.task)), (reason::SUSPENDED, Demand::None));
    }
}

#[test]
fn a_stalled_task_ends_its_command_and_gives_its_turn_back() {
    let ((mut a, mut b), mut holder) = (two(), None);
    a.command.0 = 1000;
    for _ in 0..3 {
        both(&mut a, &mut b, &mut holder);
    }
    assert!(working(&a));
    a.repository.as_mut().expect("there").health = Health::Stalled("the token is refused".into());
    for _ in 0..60 {
        both(&mut a, &mut b, &mut holder);
        assert!(!(b.alive() > 0 && a.alive() > 0), "two commands in one sandbox");
    }
    assert_eq!((a.made("Signal"), a.alive(), b.row()), (1, 0, REVIEW));
    assert!(a.message().contains("the token is refused"));
    a.repository = Some(world::repository());
    a.command.0 = 12;
    for _ in 0..60 {
        both(&mut a, &mut b, &mut holder);
    }
    assert_eq!((a.row(), a.made("Start")), (REVIEW, 2));
}

/// Seen only when its end is asked for: what ended by itself is no lost command.
#[test]
fn a_command_that_has_ended_before_it_was_signalled_is_not_run_again() {
    for (code, row, starts) in [(1, FAILED_EARLY, 1), (0, REVIEW, 1)] {
        let ((mut a, mut b), mut holder) = (two(), None);
        a.command = (5, code, Some("made".into()));
        for _ in 0..2 {
            both(&mut a, &mut b, &mut holder);
        }
        assert!(working(&a));
        a.pass_time(60);
        a.repository.as_mut().expect("there").health = Health::Stalled("the token is refused".into());
        for _ in 0..3 {
            a.pass().ok().expect("a pass");
        }
        a.repository = Some(world::repository());
        for _ in 0..60 {
            a.pass().ok().expect("a pass");
            a.pass_time(5);
        }
        assert_eq!((a.row(), a.made("Start"), a.made("Signal")), (row, starts, 0), "{}", a.message());
    }
}

#[test]
fn two_requests_never_have_the_same_name() {
    let mut world = World::shared();
    let ids = ["1", "2"].map(|version| {
        world.task.metadata.resource_version = Some(version.into());
        match locate(&world.task, &world.context(), world.now) {
            Position::Decided(plan) => plan.status.sandbox_request.expect("asked").id,
            other => panic!("it asks first: {other:?}"),
        }
    });
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn the_turn_ends_with_the_need() {
    type End = fn(&mut World);
    let ends: [(&str, End); 5] = [
        ("failed", |world| world.command.1 = 1),
        ("nothing changed", |world| world.command.2 = Some("as in base".into())),
        ("no files", |world| world.command.2 = None),
        ("in review", |_| ()),
        ("without a base branch", |world| world.github.branches.clear()),
    ];
    for (name, end) in ends {
        let ((mut a, mut b), mut holder) = (two(), None);
        end(&mut a);
        for _ in 0..60 {
            both(&mut a, &mut b, &mut holder);
            assert!(!(a.alive() > 0 && b.alive() > 0), "{name}");
        }
        assert_eq!(b.row(), REVIEW, "{name}: {}", b.message());
    }
}

#[test]
fn tasks_of_a_stalled_sandbox_say_so_and_then_say_nothing_more() {
    let ((mut a, mut b), mut holder) = (two(), None);
    for world in [&mut a, &mut b] {
        let view = world.sandbox_mut().expect("shared");
        (view.running, view.health) = (false, Health::Stalled("the key is refused".into()));
    }
    for _ in 0..20 {
        both(&mut a, &mut b, &mut holder);
    }
    let said = [a.status_writes.len(), b.status_writes.len()];
    for _ in 0..60 {
        both(&mut a, &mut b, &mut holder);
    }
    assert_eq!([a.status_writes.len(), b.status_writes.len()], said, "{} {}", a.message(), b.message());
    assert!(a.message().contains("the key is refused"), "{}", a.message());
}

#[test]
fn a_task_that_is_deleted_keeps_the_turn_until_it_is_gone() {
    let ((mut a, mut b), mut holder) = (two(), None);
    a.command.0 = 1000;
    for _ in 0..4 {
        both(&mut a, &mut b, &mut holder);
    }
    a.delete();
    assert_eq!(grant(holder.as_ref(), &a, &b).map(|holder| holder.task).as_deref(), Some("t"));
    let next = turn::grant(holder.as_ref(), "box", [&b.task]).holder;
    assert_eq!(next.map(|holder| holder.task).as_deref(), Some("b"));
}

#[test]
fn a_sandbox_of_another_task_is_refused() {
    let mut world = World::shared();
    let owner = OwnerView { uid: "another".into(), name: "Task other".into() };
    world.sandbox_mut().expect("shared").owner = Some(owner);
    world.rest();
    assert_eq!((world.row(), world.reason().as_str()), (FAILED_EARLY, reason::SANDBOX_OWNED));
    assert!(world.message().contains("Task other"));
    assert_eq!((world.made("Start"), demand::of(&world.task)), (0, Demand::None));
}

/// A Sandbox is handed on while the command runs: it is the other's now, and needs no turn.
#[test]
fn a_command_is_ended_in_a_sandbox_that_is_given_to_another_task() {
    for shared in [true, false] {
        let mut world = if shared { World::shared() } else { World::new() };
        world.command.0 = 1000;
        world.run_until(|world| world.made("Start") == 1);
        let owner = OwnerView { uid: "another".into(), name: "Task other".into() };
        world.sandbox_mut().expect("there").owner = Some(owner);
        world.command.0 = 12;
        world.rest();
        assert_eq!((world.made("Signal"), world.alive()), (1, 0), "shared: {shared}");
        assert_eq!(demand::of(&world.task), Demand::None, "shared: {shared}");
        // One of its own is made anew; another to refer to only a person can name.
        let (why, starts) = if shared { (reason::SANDBOX_OWNED, 1) } else { (reason::IN_REVIEW, 2) };
        assert_eq!((world.reason().as_str(), world.made("Start")), (why, starts), "shared: {shared}");
    }
}

/// From the request until the first of the ends.
#[test]
fn a_sandbox_is_needed_from_the_request_until_the_commit() {
    let mut world = World::new();
    assert_eq!(demand::of(&world.task), Demand::None);
    let mut needs = vec![Demand::None];
    for _ in 0..40 {
        assert!(world.pass().is_ok());
        world.sandbox_controller();
        world.pass_time(5);
        let need = demand::of(&world.task);
        assert_eq!(need == Demand::Work, world.status().commit_sha.is_none(), "at {}", world.reason());
        needs.push(need);
    }
    needs.dedup();
    assert_eq!(needs, [Demand::None, Demand::Work, Demand::None]);
}

#[test]
fn a_suspended_or_stalled_task_needs_only_what_would_be_killed() {
    let mut world = World::new();
    world.run_until(|world| world.made("Start") == 1);
    world.edit(|spec| spec.suspend = true);
    world.rest();
    assert_eq!(demand::of(&world.task), Demand::AgainstKill);
    world.edit(|spec| spec.suspend = false);
    world.command.2 = None;
    world.rest();
    assert_eq!((world.reason().as_str(), demand::of(&world.task)), (reason::NO_FILES, Demand::AgainstKill));
}

#[test]
fn files_without_a_command_that_another_task_has_disturbed_are_lost() {
    for (later, row, why) in [(-60, REVIEW, reason::IN_REVIEW), (60, FAILED_LATE, reason::SANDBOX_FILES_LOST)]
    {
        let mut world = World::without_command();
        world.others_began = Some(world.now - SignedDuration::from_secs(60));
        world.run_until(|world| world.status().phase == Some(crate::api::Phase::Collecting));
        world.others_began = Some(world.now + SignedDuration::from_secs(later));
        world.pass_time(100);
        world.rest();
        assert_eq!((world.row(), world.reason().as_str()), (row, why), "{}", world.message());
    }
}

#[test]
fn files_that_another_task_has_disturbed_count_as_not_generated() {
    let mut world = World::shared();
    world.run_until(|world| world.status().phase == Some(crate::api::Phase::Collecting));
    world.others_began = Some(world.now + SignedDuration::from_secs(1));
    world.pass_time(2);
    world.faults.secret_missing = true;
    assert!(world.pass().is_ok());
    assert_eq!(world.status().phase, Some(crate::api::Phase::Generating));
    assert!(!world.holds(names::GENERATED), "{}", world.message());
    world.faults.secret_missing = false;
    world.rest();
    assert_eq!((world.row(), world.made("Start")), (REVIEW, 2));
}

/// Status holds whole seconds, and a quick command with all before and after it fits into one.
#[test]
fn within_one_second_the_turn_tells_what_came_first() {
    for (new, runs) in [(World::shared as fn() -> World, 1), (World::without_command, 0)] {
        let mut world = new();
        world.others_began = Some(world.now);
        world.command.0 = 0;
        let began = world.now;
        for _ in 0..30 {
            assert!(world.pass().is_ok());
            world.now = began;
        }
        assert_eq!((world.row(), world.made("Start")), (REVIEW, runs), "{}", world.message());
    }
    // What was made in an earlier turn of the same second may be lost.
    let mut world = World::without_command();
    world.run_until(|world| world.status().phase == Some(crate::api::Phase::Collecting));
    world.others_began = world.status().round_started_at.map(|at| at.0);
    let mut status = world.status();
    status.sandbox_request.as_mut().expect("its turn").begun = None;
    world.task.status = Some(status);
    world.rest();
    assert_eq!(world.reason(), reason::SANDBOX_FILES_LOST);
}
