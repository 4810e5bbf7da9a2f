//! `merge.requireChecks`: nothing is merged that has not been checked, and what has no checks says so.

use super::*;
use crate::{
    api::{MergePolicy, conditions::reason},
    domain::failure::Class,
};

fn when_ready(change: impl FnOnce(&mut World)) -> World {
    let mut world = World::new();
    world.task.spec.pull_request.merge.policy = MergePolicy::WhenReady;
    change(&mut world);
    world.run_until(|world| world.row() == REVIEW);
    world
}

/// Passes until the Task is done, or for so many seconds; returns how long it took.
fn until_done(world: &mut World, seconds: i64) -> Option<i64> {
    for second in 0..seconds {
        if world.row() == DONE {
            return Some(second);
        }
        world.pass_time(1);
        assert!(world.pass().is_ok());
    }
    None
}

fn checks(passed: usize, running: &[&str], failed: &[&str]) -> Checks {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Checks { passed, running: owned(running), failed: owned(failed) }
}

#[test]
fn nothing_is_merged_within_a_minute_of_the_push_however_clean_it_looks() {
    let mut world = when_ready(|_| ());
    let reads = world.calls.len();
    assert_eq!(until_done(&mut world, 58), None);
    assert_eq!(world.calls.len(), reads, "nor is GitHub asked before that");
    assert!(until_done(&mut world, 10).is_some(), "{}", world.message());
    // The minute counts from each round's own push.
    let mut world = when_ready(|world| world.github.mergeable = "blocked");
    world.pass_time(600);
    world.rerun("1");
    world.run_until(|world| world.status().round == Some(2) && world.row() == REVIEW);
    world.github.mergeable = "clean";
    assert_eq!(until_done(&mut world, 55), None);
    assert!(until_done(&mut world, 310).is_some(), "{}", world.message());
}

#[test]
fn every_check_has_to_succeed_whatever_the_branch_requires() {
    for (state, seen, said) in [
        ("clean", checks(1, &["ci"], &[]), "still running: ci"),
        ("clean", checks(1, &[], &["lint", "ci"]), "failed: lint, ci"),
        ("unstable", checks(0, &[], &["ci"]), "failed: ci"),
        ("unstable", checks(2, &[], &[]), "a check fails or still runs"),
        ("has_hooks", checks(0, &["ci"], &["a", "b", "c", "d", "e", "f", "g"]), "a, b, c, d, e and 2 more"),
    ] {
        let mut world = when_ready(|world| (world.github.mergeable, world.github.checks) = (state, seen));
        assert_eq!(until_done(&mut world, 900), None, "{said}");
        assert!(world.message().contains(said), "{said}: {}", world.message());
        assert_eq!((world.row(), world.reason().as_str()), (REVIEW, reason::IN_REVIEW));
        (world.github.mergeable, world.github.checks) = ("clean", checks(1, &[], &[]));
        assert!(until_done(&mut world, 310).is_some(), "{said}");
    }
}

#[test]
fn a_commit_without_checks_is_merged_only_where_the_repository_says_that_it_has_none() {
    let mut world = when_ready(|world| world.github.checks = Checks::default());
    assert_eq!(until_done(&mut world, 900), None);
    for cure in ["checks: None on the Repository", "requireChecks: false"] {
        assert!(world.message().contains(cure), "{}", world.message());
    }
    world.repository.as_mut().expect("there").checks_expected = false;
    assert!(until_done(&mut world, 310).is_some(), "{}", world.message());
}

#[test]
fn without_the_field_what_github_lets_pass_is_merged_at_once() {
    for state in ["clean", "unstable"] {
        let mut world = when_ready(|world| {
            world.task.spec.pull_request.merge.require_checks = false;
            (world.github.mergeable, world.github.checks) = (state, checks(0, &[], &["ci"]));
        });
        assert!(until_done(&mut world, 20).is_some(), "{state}: {}", world.message());
    }
}

#[test]
fn checks_that_still_run_are_asked_for_soon_and_less_and_less() {
    let mut world = when_ready(|world| world.github.checks = checks(0, &["ci"], &[]));
    let calls = world.calls.len();
    assert_eq!(until_done(&mut world, 600), None);
    let calls = world.calls.len() - calls;
    assert!((5..=9).contains(&calls), "{calls} looks in ten minutes");
}

/// What waiting does not cure is told with what does, and the Task stays in review.
#[test]
fn a_merge_that_is_refused_for_good_is_stalled_with_the_cure_and_heals() {
    let refused = world::failure("mergePullRequest", Class::Invalid, reason::MERGE_METHOD_NOT_ALLOWED);
    let mut world = when_ready(|world| world.github.merge_answer = Some(Outcome::Failed(refused)));
    assert_eq!(until_done(&mut world, 200), None);
    assert_eq!((world.row(), world.reason().as_str()), (REVIEW, reason::MERGE_METHOD_NOT_ALLOWED));
    assert!(world.holds(names::STALLED));
    let tried = world.calls.len();
    assert_eq!(until_done(&mut world, 200), None);
    assert!(world.calls.len() - tried <= 4, "not in a circle");
    world.github.merge_answer = None;
    world.edit(|spec| spec.pull_request.merge.method = crate::api::MergeMethod::Squash);
    assert!(until_done(&mut world, 5).is_some(), "at once: {}", world.message());
}

#[test]
fn a_base_that_has_just_moved_is_tried_again_in_seconds() {
    let moved = world::failure("mergePullRequest", Class::Transient, reason::BASE_BRANCH_MOVED);
    let mut world = when_ready(|world| world.github.merge_answer = Some(Outcome::Failed(moved)));
    assert_eq!(until_done(&mut world, 61), None);
    world.github.merge_answer = None;
    assert!(until_done(&mut world, 6).is_some(), "{}", world.message());
}
