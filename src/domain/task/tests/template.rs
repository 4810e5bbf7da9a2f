//! An own Sandbox is made as the template says when a round begins in it, and fixed for that round.

use super::*;
use crate::{
    api::{PullRequestState, conditions::reason},
    domain::failure::Class,
};

/// Only another Sandbox can have this.
fn change(world: &mut World) {
    world.edit_template(|spec| spec.template = "other".into());
}

/// This changes in place.
fn adjust(world: &mut World) {
    world.edit_template(|spec| spec.timeout_seconds += 60);
}

fn templates(world: &World) -> Vec<&str> {
    world.boxes.iter().map(|e2b| e2b.template.as_str()).collect()
}

fn running() -> World {
    let mut world = World::new();
    world.run_until(|world| world.sandbox().is_some_and(|sandbox| sandbox.running));
    world
}

#[test]
fn before_anything_has_begun_another_sandbox_is_made_at_once() {
    let mut world = running();
    change(&mut world);
    world.rest();
    assert_eq!(world.row(), REVIEW);
    assert_eq!((world.made("CreateSandbox"), world.made("DeleteSandbox"), world.made("Start")), (2, 1, 1));
    assert_eq!(templates(&world), ["base", "other"]);
}

#[test]
fn a_template_that_changes_again_before_anything_has_begun_is_followed_again() {
    let mut world = World::new();
    for (made, template) in [(1, "other"), (2, "third")] {
        world.run_until(|world| world.made("CreateSandbox") == made);
        world.edit_template(|spec| spec.template = template.into());
    }
    world.rest();
    assert_eq!((world.row(), world.made("Start")), (REVIEW, 1));
    assert_eq!(templates(&world), ["base", "other", "third"]);
}

#[test]
fn a_sandbox_that_has_the_only_free_name_makes_room_for_the_one_from_the_new_template() {
    let mut world = World::new();
    let name = crate::domain::demand::owned_sandbox_name("t", world::UID);
    world.sandboxes.push(world::sandbox(&name, Some("another"), crate::api::SandboxSpec::default()));
    world.run_until(|world| world.boxes.len() == 1);
    change(&mut world);
    world.rest();
    assert_eq!((world.row(), world.made("Start"), world.made("DeleteSandbox")), (REVIEW, 1, 1));
    assert_eq!(templates(&world), ["base", "other"]);
}

#[test]
fn whatever_is_abandoned_when_it_changes_the_round_runs_in_one_made_from_the_new() {
    for point in 0..12 {
        let mut world = running();
        change(&mut world);
        world.fuse = Some(point);
        world.rest();
        assert_eq!((world.row(), world.made("Start")), (REVIEW, 1), "point {point}");
        assert_eq!(templates(&world).last(), Some(&"other"), "point {point}");
        assert_eq!(world.sandboxes.len(), 1, "point {point}: the other is deleted");
    }
}

#[test]
fn a_change_in_mid_round_ends_the_command_and_the_next_round_has_another_sandbox() {
    let mut world = World::new();
    world.command.0 = 1000;
    world.run_until(|world| world.made("Start") == 1);
    world.command.0 = 12;
    change(&mut world);
    world.rest();
    assert_eq!((world.row(), world.status().round), (REVIEW, Some(2)));
    assert_eq!((world.made("Signal"), world.made("Start"), world.made("DeleteSandbox")), (1, 2, 1));
    assert_eq!(templates(&world), ["base", "other"]);
    assert!(world.sandboxes[0].name.ends_with("-2"), "named with its round: {}", world.sandboxes[0].name);
}

#[test]
fn the_next_round_takes_over_a_sandbox_that_is_as_the_template_says() {
    let mut world = World::new();
    world.rest();
    world.delivered(PullRequestState::Closed);
    world.rerun("1");
    world.rest();
    assert_eq!((world.row(), world.made("DeleteSandbox"), world.made("CreateSandbox")), (REVIEW, 0, 1));
    world.delivered(PullRequestState::Closed);
    change(&mut world);
    world.rest();
    assert_eq!((world.row(), world.made("DeleteSandbox"), world.made("CreateSandbox")), (REVIEW, 1, 2));
    assert_eq!(templates(&world).last(), Some(&"other"));
}

#[test]
fn two_fields_follow_in_place_at_any_time_and_once() {
    let mut world = World::new();
    world.run_until(|world| world.made("Start") == 1);
    adjust(&mut world);
    world.rest();
    assert_eq!((world.row(), world.made("PatchSandbox"), world.made("DeleteSandbox")), (REVIEW, 1, 0));
    assert_eq!((world.made("Start"), world.status().round), (1, Some(1)), "that is no new input");
    assert!(world.is_fixed_point());
}

#[test]
fn anothers_sandbox_of_the_name_stays_after_the_merge() {
    let mut world = World::new();
    world.rest();
    let owner = OwnerView { uid: "another".into(), name: "Task other".into() };
    world.sandboxes[0].owner = Some(owner);
    world.delivered(PullRequestState::Merged);
    world.rest();
    assert_eq!((world.row(), world.made("DeleteSandbox")), (DONE, 0));
}

#[test]
fn a_sandbox_of_the_name_that_is_not_the_tasks_own_is_refused_with_the_cure() {
    let owner = |uid: &str| OwnerView { uid: uid.into(), name: "Task other".into() };
    for owner in [None, Some(owner("another"))] {
        let mut world = World::new();
        let names = crate::domain::demand::sandbox_names(&world.task);
        world.sandboxes = names
            .iter()
            .map(|name| SandboxView {
                owner: owner.clone(),
                ..world::sandbox(name, None, crate::api::SandboxSpec::default())
            })
            .collect();
        world.rest();
        assert_eq!((world.row(), world.reason().as_str()), (FAILED_EARLY, reason::SANDBOX_NOT_READY));
        assert!(world.message().contains("is not this Task's: delete it"), "{}", world.message());
        assert!(world.calls.is_empty(), "nothing is done in it, or to it: {:?}", world.calls);
    }
}

#[test]
fn every_sandbox_of_the_tasks_own_is_deleted_after_the_merge() {
    let mut world = World::new();
    world.rest();
    let old = world.sandboxes[0].clone();
    world.sandboxes.push(SandboxView { name: format!("{}-2", old.name), ..old });
    world.delivered(PullRequestState::Merged);
    world.rest();
    assert_eq!((world.row(), world.made("DeleteSandbox")), (DONE, 2));
}

/// The Task that has its own Sandbox running refers to the shared `box` now.
fn referring() -> World {
    let mut world = running();
    let shared = SandboxView {
        id: Some("sb9".into()),
        running: true,
        health: Health::Ready,
        ..world::sandbox("box", None, crate::api::SandboxSpec::default())
    };
    world.boxes.push(world::E2bSandbox {
        id: "sb9".into(),
        of: "box".into(),
        alive: true,
        ..Default::default()
    });
    world.sandboxes.push(shared);
    world.edit(|spec| {
        spec.sandbox_template = None;
        spec.sandbox_ref = Some(crate::api::common::LocalRef { name: "box".into() });
    });
    world
}

#[test]
fn a_task_that_refers_to_another_sandbox_now_deletes_its_own() {
    let mut world = referring();
    world.rest();
    assert_eq!((world.row(), world.made("DeleteSandbox"), world.made("Start")), (REVIEW, 1, 1));
    assert_eq!(world.sandboxes.iter().map(|view| view.name.as_str()).collect::<Vec<_>>(), ["box"]);
    // One of that name which belongs to another Task stays.
    let mut world = referring();
    world.sandboxes[0].owner = Some(OwnerView { uid: "another".into(), name: "Task other".into() });
    world.rest();
    assert_eq!((world.row(), world.made("DeleteSandbox")), (REVIEW, 0));
}

#[test]
fn a_refused_step_is_told_and_made_again() {
    for change in [change as fn(&mut World), adjust] {
        let mut world = running();
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
fn an_own_sandbox_is_known_in_every_later_round_and_goes_with_the_last() {
    let mut world = running();
    change(&mut world);
    // The one before is still on its way out when the next is made: this one has the number of the first round.
    for _ in 0..4 {
        assert!(world.pass().is_ok());
        world.pass_time(1);
    }
    world.rest();
    assert_eq!((world.row(), world.sandboxes[0].name.as_str()), (REVIEW, "t-0123abcd-1"));
    for round in 2..15 {
        world.rerun(&round.to_string());
        world.rest();
        assert_eq!((world.row(), world.status().round, world.sandboxes.len()), (REVIEW, Some(round), 1));
    }
    assert_eq!((world.made("CreateSandbox"), world.made("DeleteSandbox")), (2, 1));
    world.delivered(PullRequestState::Merged);
    world.rest();
    assert_eq!((world.row(), world.made("DeleteSandbox")), (DONE, 2), "none is left behind");
}
