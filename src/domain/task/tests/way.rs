//! The way from a new Task to a merged pull request, also with the operator dying at every point of it.

use super::*;
use crate::{
    api::{PullRequestState, conditions::reason},
    domain::pull_request::Source,
};

/// A new Task, its review, and the end: somebody merges, a delivery says so.
fn to_the_end(world: &mut World) {
    world.rest();
    assert_eq!((world.row(), world.reason().as_str()), (REVIEW, reason::IN_REVIEW));
    world.delivered(PullRequestState::Merged);
    assert_eq!((world.row(), world.reason().as_str()), (DONE, reason::MERGED));
}

#[test]
fn a_new_task_comes_to_review_in_six_writes_and_to_its_end_with_each_effect_once() {
    let mut world = World::new();
    world.rest();
    assert_eq!(world.row(), REVIEW);
    assert!(
        world.status_writes.len() <= 6,
        "{} writes: {:#?}",
        world.status_writes.len(),
        world.status_writes
    );
    to_the_end(&mut world);
    let id = format!("{}-1-1", world::UID);
    let branch = "task/t/do-it";
    assert_eq!(
        world.effects,
        [
            "CreateSandbox".to_owned(),
            format!("Start {id}"),
            format!("CreateBranch 1/{branch}"),
            "CreatePullRequest 1".to_owned(),
            "DeleteSandbox".to_owned(),
        ]
    );
    assert!(world.is_fixed_point());
    assert!(world.task.metadata.finalizers.is_none(), "nothing is left to undo");
}

#[test]
fn a_task_whose_files_are_there_already_needs_no_command() {
    let mut world = World::without_command();
    to_the_end(&mut world);
    assert_eq!(world.made("Start"), 0);
    assert_eq!(world.made("DeleteSandbox"), 0, "a shared Sandbox stays");
}

#[test]
fn a_pass_that_is_abandoned_anywhere_does_nothing_twice() {
    for (name, start) in [
        ("owned", World::new as fn() -> World),
        ("shared", World::shared),
        ("by hand", World::without_command),
    ] {
        let mut whole = start();
        to_the_end(&mut whole);
        assert!(whole.points > 12, "{name}: {} points", whole.points);
        for point in 0..whole.points {
            let mut world = start();
            world.fuse = Some(point);
            to_the_end(&mut world);
            assert_eq!(world.effects, whole.effects, "{name}, abandoned at {point}");
            assert_eq!(world.status().commit_sha.is_some(), whole.status().commit_sha.is_some());
            assert!(world.is_fixed_point(), "{name}, abandoned at {point}");
        }
    }
}

#[test]
fn two_abandoned_passes_do_no_more_harm_than_one() {
    let mut whole = World::shared();
    to_the_end(&mut whole);
    for first in 0..whole.points {
        for second in 0..4 {
            let mut world = World::shared();
            world.fuse = Some(first);
            world.run_until(|world| world.fuse.is_none() || world.is_at_rest());
            world.fuse = Some(second);
            to_the_end(&mut world);
            assert_eq!(world.effects, whole.effects, "abandoned at {first} and {second} later");
        }
    }
}

#[test]
fn a_lost_answer_is_looked_up_before_the_call_is_repeated() {
    let mut whole = World::new();
    to_the_end(&mut whole);
    for side in ["github", "e2b"] {
        let mut world = World::new();
        let broken = Some(crate::domain::failure::Class::Transient);
        world.faults.steps_only = true;
        world.faults.answer_lost = true;
        match side {
            "github" => world.faults.github = broken,
            _ => world.faults.e2b = broken,
        }
        to_the_end(&mut world);
        assert_eq!(world.effects, whole.effects, "{side}");
    }
}

#[test]
fn a_settled_task_is_left_alone_however_often_it_is_looked_at() {
    let mut world = World::new();
    world.rest();
    let (writes, calls) = (world.status_writes.len(), world.calls.len());
    for _ in 0..20 {
        world.pass_time(60);
        assert!(world.pass().is_ok_and(|passed| !passed.wrote && !passed.stepped));
        world.news(Source::Sync);
    }
    assert_eq!((world.status_writes.len(), world.calls.len()), (writes, calls));
}
