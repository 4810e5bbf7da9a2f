//! The own Sandbox follows its template, and never under the feet of a round.

use super::*;
use crate::{
    api::{DeletionPolicy, PullRequestState, conditions::reason},
    domain::failure::Class,
};

/// Only another Sandbox can have this.
fn freeze(world: &mut World) {
    world.edit_template(|spec| spec.template = "other".into());
}

/// This changes in place.
fn adjust(world: &mut World) {
    world.edit_template(|spec| spec.timeout_seconds += 60);
}

fn templates(world: &World) -> Vec<&str> {
    world.boxes.iter().map(|e2b| e2b.template.as_str()).collect()
}

#[test]
fn before_anything_has_begun_another_sandbox_is_made_at_once() {
    let mut world = World::new();
    world.run_until(|world| world.sandbox.as_ref().is_some_and(|sandbox| sandbox.running));
    freeze(&mut world);
    world.rest();
    assert_eq!(world.row(), REVIEW);
    assert_eq!((world.made("CreateSandbox"), world.made("DeleteSandbox"), world.made("Start")), (2, 1, 1));
    assert_eq!(templates(&world), ["base", "other"]);
}

#[test]
fn while_it_goes_the_round_waits() {
    let mut world = World::new();
    world.run_until(|world| world.sandbox.as_ref().is_some_and(|sandbox| sandbox.running));
    freeze(&mut world);
    assert!(world.pass().is_ok_and(|passed| passed.stepped));
    let ready = find(&world.status().conditions, names::SANDBOX_READY).expect("told").clone();
    assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("False", reason::TEMPLATE_CHANGED));
    assert!(world.message().contains("sandboxTemplate has changed"), "{}", world.message());
    assert!(world.sandbox.as_ref().is_some_and(|sandbox| sandbox.deleting) && world.is_fixed_point());
    assert_eq!((world.made("CreateSandbox"), world.made("Start")), (1, 0));
    world.rest();
    assert_eq!((world.row(), world.made("DeleteSandbox")), (REVIEW, 1));
}

#[test]
fn what_gives_way_is_not_needed_and_nothing_is_made_from_the_old_template() {
    for point in 0..4 {
        let mut world = World::new();
        world.run_until(|world| world.sandbox.is_some());
        freeze(&mut world);
        world.fuse = Some(point);
        let abandoned = world.pass().is_err();
        if world.status().observed_generation == 2 {
            assert_eq!(
                crate::domain::need::of(&world.task),
                crate::domain::need::Need::None,
                "point {point}"
            );
        }
        world.rest();
        assert!(abandoned, "point {point}: write, written, step, stepped");
        assert_eq!((world.row(), world.made("Start")), (REVIEW, 1), "point {point}");
        assert_eq!(templates(&world).last(), Some(&"other"), "point {point}");
    }
}

#[test]
fn a_round_that_has_begun_goes_on_in_its_sandbox_and_the_next_one_does_not() {
    let mut world = World::new();
    world.run_until(|world| world.status().sandbox_id.is_some());
    freeze(&mut world);
    world.rest();
    assert_eq!((world.row(), world.made("DeleteSandbox"), world.made("Start")), (REVIEW, 0, 1));
    world.delivered(PullRequestState::Closed);
    world.rerun("1");
    world.rest();
    assert_eq!((world.row(), world.made("DeleteSandbox"), world.made("CreateSandbox")), (REVIEW, 1, 2));
    assert_eq!(templates(&world), ["base", "other"]);
}

#[test]
fn the_next_round_is_written_before_its_old_sandbox_goes() {
    for point in 0..12 {
        let mut world = World::new();
        world.command.1 = 1;
        world.rest();
        assert_eq!(world.reason(), reason::GENERATION_FAILED);
        freeze(&mut world);
        world.command.1 = 0;
        world.rerun("1");
        world.fuse = Some(point);
        world.rest();
        assert_eq!((world.row(), world.made("Start")), (REVIEW, 2), "point {point}");
    }
}

#[test]
fn what_changes_in_place_is_patched_at_any_time_and_once() {
    let mut world = World::new();
    world.run_until(|world| world.made("Start") == 1);
    adjust(&mut world);
    world.rest();
    assert_eq!((world.row(), world.made("PatchSandbox"), world.made("DeleteSandbox")), (REVIEW, 1, 0));
    assert!(world.is_fixed_point());
}

#[test]
fn where_both_change_the_new_deletion_policy_says_what_becomes_of_the_old_sandbox() {
    let mut world = World::new();
    world.run_until(|world| world.sandbox.as_ref().is_some_and(|sandbox| sandbox.running));
    freeze(&mut world);
    world.edit_template(|spec| spec.deletion_policy = Some(DeletionPolicy::Retain));
    world.run_until(|world| world.made("DeleteSandbox") == 1);
    assert_eq!(world.sandbox_spec.deletion_policy, Some(DeletionPolicy::Retain));
    world.rest();
    assert_eq!(world.row(), REVIEW);
}

#[test]
fn anothers_sandbox_of_the_name_stays_after_the_merge() {
    let mut world = World::new();
    world.rest();
    world.sandbox.as_mut().expect("there").owner = Some("another".into());
    world.delivered(PullRequestState::Merged);
    world.rest();
    assert_eq!((world.row(), world.made("DeleteSandbox")), (DONE, 0));
}

#[test]
fn a_refused_step_is_told_and_made_again() {
    for change in [freeze as fn(&mut World), adjust] {
        let mut world = World::new();
        world.run_until(|world| world.sandbox.as_ref().is_some_and(|sandbox| sandbox.running));
        change(&mut world);
        world.faults.kubernetes = Some(Class::Denied);
        world.run_until(|world| world.holds(names::STALLED));
        assert_eq!(world.reason(), reason::CREDENTIALS_DENIED);
        world.faults.kubernetes = None;
        world.annotate(crate::api::RECONCILE_ANNOTATION, "1");
        world.rest();
        assert_eq!((world.row(), world.made("Start")), (REVIEW, 1));
    }
}

#[test]
fn a_patch_leaves_what_was_said_of_the_task() {
    let mut world = World::new();
    world.faults.github = Some(Class::Denied);
    world.run_until(|world| world.holds(names::STALLED));
    let told = (world.reason(), world.message());
    adjust(&mut world);
    assert!(world.pass().is_ok_and(|passed| passed.stepped));
    assert_eq!((world.reason(), world.message()), told);
    assert!(world.holds(names::STALLED) && world.status().observed_generation == 2);
}
