//! Deletion: a finalizer only while there is something to undo, and never for longer than it helps.

use super::*;
use crate::{
    api::PullRequestState,
    domain::{failure::Class, plan::Next},
};
use jiff::SignedDuration;

fn generating() -> World {
    let mut world = World::shared();
    world.command.0 = 1000;
    world.run_until(|world| world.made("Start") == 1);
    world
}

fn branched() -> World {
    let mut world = World::new();
    world.run_until(|world| world.made("CreateBranch") == 1);
    world
}

impl World {
    /// Deletes, and how many seconds it took until the Task was gone.
    fn gone_after(&mut self) -> i64 {
        self.delete();
        let start = self.now;
        for _ in 0..2000 {
            if self.released {
                return self.now.duration_since(start).as_secs();
            }
            let _abandoned = self.pass();
            self.pass_time(1);
        }
        panic!("never released: {}", self.message());
    }

    fn has_finalizer(&self) -> bool {
        self.task.metadata.finalizers.as_ref().is_some_and(|list| !list.is_empty())
    }
}

#[test]
fn the_finalizer_is_there_only_while_there_is_something_to_undo() {
    let mut world = World::shared();
    let mut seen = Vec::new();
    for _ in 0..60 {
        assert!(world.pass().is_ok());
        let status = world.status();
        let runs = status.code_generations.last().is_some_and(|run| run.finished_at.is_none());
        let branch = status.commit_sha.is_some() && status.pull_request.is_none();
        let spooled = status.phase == Some(crate::api::Phase::Collecting);
        assert_eq!(world.has_finalizer(), runs || spooled || branch, "at {}", world.reason());
        seen.push(world.has_finalizer());
        world.pass_time(2);
    }
    seen.dedup();
    assert_eq!(seen, [false, true, false], "a process, spooled files, then a branch without a pull request");
}

#[test]
fn a_task_with_nothing_to_undo_goes_at_once() {
    for prepare in [(|_: &mut World| ()) as fn(&mut World), World::rest, |world| {
        world.rest();
        world.delivered(PullRequestState::Closed);
    }] {
        let mut world = World::new();
        prepare(&mut world);
        assert_eq!(world.gone_after(), 0);
        assert!(world.notes.is_empty());
        assert_eq!(world.made("DeleteBranch"), 0, "a pull request stays, and its branch");
    }
}

#[test]
fn a_process_in_a_shared_sandbox_is_signalled_and_its_end_awaited() {
    let mut world = generating();
    assert!(world.gone_after() <= 15);
    assert_eq!((world.made("Signal"), world.alive()), (1, 0));
    assert!(world.notes.is_empty());
}

#[test]
fn a_sandbox_that_e2b_misses_is_given_up_only_when_it_is_gone() {
    for comes_back in [true, false] {
        let mut world = generating();
        world.miss_sandbox(true);
        world.delete();
        for _ in 0..12 {
            assert!(world.pass().is_ok());
            assert!(!world.released, "the second look is awaited");
            world.pass_time(1);
        }
        world.miss_sandbox(false);
        if !comes_back {
            world.lose_sandbox();
        }
        assert!(world.gone_after() <= 15);
        assert_eq!((world.made("Signal"), world.notes.len()), if comes_back { (1, 0) } else { (0, 1) });
    }
    let mut world = generating();
    world.miss_sandbox(true);
    assert!((600..=605).contains(&world.gone_after()), "no longer than for anything else");
}

#[test]
fn the_end_of_the_process_is_noted_and_nothing_else_is_left_to_undo() {
    let mut world = generating();
    world.delete();
    let plan = looked(&world, Look::PidDead, world.now);
    assert!(plan.status.code_generations[0].finished_at.is_some());
    assert_eq!((plan.step, plan.finalizer, plan.next), (None, false, Next::Now));
}

#[test]
fn a_process_that_does_not_end_is_killed_after_ten_seconds() {
    let mut world = generating();
    world.delete();
    let now = world.now;
    for (after, kill) in [(0, false), (9, false), (10, true)] {
        let plan = looked(&world, Look::Running, now + SignedDuration::from_secs(after));
        assert!(
            matches!(plan.step, Some(Step::Signal { kill: sent, .. }) if sent == kill),
            "after {after} s"
        );
        assert_eq!((plan.finalizer, plan.next), (true, Next::After(SignedDuration::from_secs(5))));
    }
}

#[test]
fn no_wait_is_longer_than_a_deletion_waits_in_all() {
    let mut world = branched();
    world.delete();
    let mut status = world.status();
    status.observed_generation = world.task.metadata.generation.unwrap_or_default();
    let limited = Class::Throttled { until: world.now + SignedDuration::from_secs(1_000) };
    let failure = crate::domain::failure::Failure {
        operation: "deleteBranch",
        class: limited,
        reason: "RateLimited",
        message: "wait".into(),
    };
    status.retry = Some(crate::domain::retry::after(None, &failure, world::UID, world.now).retry);
    world.task.status = Some(status);
    let later = world.now + SignedDuration::from_secs(200);
    let Position::Decided(plan) = locate(&world.task, &world.context(), later) else { panic!("it waits") };
    assert_eq!(plan.next, Next::At(world.now + SignedDuration::from_secs(600)));
}

#[test]
fn a_branch_without_a_pull_request_is_deleted_at_our_commit_and_left_where_it_moved() {
    let mut world = branched();
    assert!(world.gone_after() <= 5);
    assert_eq!(world.made("DeleteBranch"), 1);
    let mut world = branched();
    world.github.branches.insert("task/t/do-it".into(), "pushed".into());
    world.gone_after();
    assert_eq!(world.made("DeleteBranch"), 0);
}

#[test]
fn what_cannot_be_undone_is_named_in_a_warning_and_lets_go_at_once() {
    type Change = fn(&mut World);
    let process: [Change; 4] = [
        World::pause_sandbox,
        |world| world.sandboxes.clear(),
        |world| world.faults.e2b = Some(Class::Denied),
        |world| (world.faults.e2b, world.faults.steps_only) = (Some(Class::Denied), true),
    ];
    let branch: [Change; 6] = [
        |world| world.repository = None,
        |world| world.repository.as_mut().expect("there").suspended = true,
        |world| world.repository.as_mut().expect("there").id = Some(8),
        |world| world.faults.github = Some(Class::Denied),
        |world| world.faults.github = Some(Class::NotFound),
        |world| (world.faults.github, world.faults.steps_only) = (Some(Class::Denied), true),
    ];
    for (start, changes) in [(generating as fn() -> World, &process[..]), (branched, &branch[..])] {
        for (at, change) in changes.iter().enumerate() {
            let mut world = start();
            change(&mut world);
            assert!(world.gone_after() <= 1, "change {at}");
            assert_eq!(world.notes, ["LeftBehind"], "change {at}");
        }
    }
}

#[test]
fn github_or_e2b_failing_is_waited_for_ten_minutes_and_no_longer() {
    for start in [generating as fn() -> World, branched] {
        for class in
            [Class::Transient, Class::Throttled { until: start().now + SignedDuration::from_hours(1) }]
        {
            let mut world = start();
            (world.faults.github, world.faults.e2b) = (Some(class), Some(class));
            let after = world.gone_after();
            assert!((600..=605).contains(&after), "{after} s, {class:?}");
            assert_eq!(world.notes, ["LeftBehind"]);
            assert!(world.status_writes.len() < 40);
        }
        let mut world = start();
        (world.faults.github, world.faults.e2b) = (Some(Class::Transient), Some(Class::Transient));
        world.delete();
        for _ in 0..8 {
            assert!(world.pass().is_ok());
            world.pass_time(1);
        }
        world.faults = faults::Faults::default();
        world.gone_after();
        assert!(world.notes.is_empty(), "it came back in time");
    }
}

#[test]
fn deletion_does_not_wait_for_a_retry_that_began_before_it() {
    let mut world = branched();
    world.faults.github = Some(Class::Denied);
    assert!(world.pass().is_ok());
    assert!(world.holds(names::STALLED));
    world.faults.github = None;
    assert!(world.gone_after() <= 2);
    assert_eq!(world.made("DeleteBranch"), 1);
}

#[test]
fn suspending_does_not_keep_a_task_from_going() {
    let mut world = branched();
    world.edit(|spec| spec.suspend = true);
    world.rest();
    assert!(world.gone_after() <= 2);
    assert_eq!(world.made("DeleteBranch"), 1);
}

#[test]
fn deletion_at_any_moment_leaves_nothing_behind_even_when_passes_are_abandoned() {
    for start in [World::new as fn() -> World, World::shared] {
        let mut whole = start();
        whole.rest();
        for point in 0..whole.points {
            for second in 0..6 {
                let mut world = start();
                world.fuse = Some(point);
                world.run_until(|world| world.fuse.is_none());
                world.fuse = Some(second);
                world.gone_after();
                assert!(world.notes.is_empty());
                let ours = world.github.branches.len() - 1;
                assert!(ours <= world.github.open_pulls(), "a branch is left behind, deleted at {point}");
                let closed = world.github.pulls.len() - world.github.open_pulls();
                assert_eq!(closed, 0, "an open pull request stays, deleted at {point}");
                assert!(world.task.spec.sandbox_ref.is_none() || world.alive() == 0, "deleted at {point}");
            }
        }
    }
}

#[test]
fn spooled_files_of_a_round_that_has_just_ended_do_not_outlive_their_task() {
    let mut world = World::new();
    world.command.2 = Some("as in base".into());
    world.run_until(|world| world.status().ended.is_some());
    assert!(!world.spool.is_empty() && world.has_finalizer());
    assert_eq!(world.gone_after(), 1);
    assert!(world.spool.is_empty());

    // The commit of a later round, whose branch does not move at once.
    let mut world = World::new();
    world.rest();
    world.rerun("1");
    world.run_until(|world| world.status().phase == Some(crate::api::Phase::Collecting));
    world.faults.github = Some(Class::Transient);
    world.faults.steps_only = true;
    assert!(world.pass().is_ok());
    assert!(!world.spool.is_empty() && world.has_finalizer());
    assert_eq!(world.gone_after(), 1);
    assert!(world.spool.is_empty());
}
