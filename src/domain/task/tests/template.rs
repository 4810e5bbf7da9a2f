//! The own Sandbox follows its template, and never under the feet of a round.

use super::*;
use crate::api::PullRequestState;

const FROZEN: Drift = Drift { mutable: false, frozen: true };
const MUTABLE: Drift = Drift { mutable: true, frozen: false };

/// The template says something else from now on.
fn drifts(world: &mut World, drift: Drift) {
    world.sandbox.as_mut().expect("a Sandbox").drift = drift;
}

#[test]
fn before_anything_has_begun_another_sandbox_is_made_at_once() {
    let mut world = World::new();
    world.run_until(|world| world.sandbox.is_some());
    drifts(&mut world, FROZEN);
    world.rest();
    assert_eq!(world.row(), REVIEW);
    assert_eq!((world.made("CreateSandbox"), world.made("DeleteSandbox"), world.made("Start")), (2, 1, 1));
}

#[test]
fn while_it_goes_the_round_waits() {
    let mut world = World::new();
    world.run_until(|world| world.sandbox.as_ref().is_some_and(|sandbox| sandbox.running));
    drifts(&mut world, FROZEN);
    assert!(world.pass().is_ok_and(|passed| passed.stepped));
    assert!(!world.holds(names::SANDBOX_READY) && world.message().contains("sandboxTemplate has changed"));
    world.sandbox = Some(SandboxView { deleting: true, drift: FROZEN, ..old() });
    world.run_until(World::is_at_rest);
    assert_eq!((world.made("CreateSandbox"), world.made("Start")), (1, 0));
    world.sandbox = None;
    world.rest();
    assert_eq!(world.row(), REVIEW);
}

fn old() -> SandboxView {
    World::shared().sandbox.expect("a Sandbox that runs").owned()
}

impl SandboxView {
    fn owned(self) -> Self {
        Self { owner: Some(world::UID.into()), ..self }
    }
}

#[test]
fn a_round_that_has_begun_goes_on_in_its_sandbox_and_the_next_one_does_not() {
    let mut world = World::new();
    world.run_until(|world| world.status().sandbox_id.is_some());
    drifts(&mut world, FROZEN);
    world.rest();
    assert_eq!((world.row(), world.made("DeleteSandbox"), world.made("Start")), (REVIEW, 0, 1));
    world.delivered(PullRequestState::Closed);
    world.rerun("1");
    world.rest();
    assert_eq!((world.row(), world.made("DeleteSandbox"), world.made("CreateSandbox")), (REVIEW, 1, 2));
}

#[test]
fn what_changes_in_place_is_patched_at_any_time_and_once() {
    let mut world = World::new();
    world.run_until(|world| world.made("Start") == 1);
    drifts(&mut world, MUTABLE);
    world.rest();
    assert_eq!((world.row(), world.made("PatchSandbox"), world.made("DeleteSandbox")), (REVIEW, 1, 0));
    assert!(world.is_fixed_point());
}
