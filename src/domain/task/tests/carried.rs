//! Rounds that the release before has left under way: it kept in conditions what fields say now.
//! The objects that were recorded of that release stand in `tests/upgrade`.

use super::*;
use crate::{api::Phase, domain::failure::Class};
use jiff::SignedDuration;

fn generating() -> World {
    let mut world = World::shared();
    world.command.0 = 1000;
    world.run_until(|world| world.made("Start") == 1);
    world
}

/// The status that the next pass goes by, where the fields are not known yet.
fn carried(world: &World) -> TaskStatus {
    let mut task = world.task.clone();
    let status = task.status.as_mut().expect("a status");
    (status.phase, status.sandbox_request) = (None, None);
    if let Some(retry) = &mut status.retry {
        (retry.reason, retry.stalled) = (String::new(), false);
    }
    match locate(&task, &world.context(), world.now) {
        Position::Decided(plan) => plan.status,
        Position::Start(asked) => asked.task(&task).status.expect("a status"),
        other => panic!("nothing else is next: {other:?}"),
    }
}

#[test]
fn a_retry_says_what_the_conditions_said_of_it() {
    for class in [Class::Transient, Class::Denied] {
        let mut world = generating();
        world.faults.e2b = Some(class);
        assert!(world.pass().is_ok());
        let retry = world.status().retry;
        assert!(retry.as_ref().is_some_and(|retry| retry.stalled == (class == Class::Denied)));
        assert_eq!(carried(&world).retry, retry, "{class:?}");
    }
}

#[test]
fn a_command_that_was_lost_is_not_taken_for_one_that_has_ended() {
    let mut world = generating();
    world.kill_process();
    assert!(world.pass().is_ok());
    world.now += SignedDuration::from_secs(10);
    assert!(world.pass().is_ok());
    assert!(world.status().code_generations[0].finished_at.is_some() && !world.holds(names::GENERATED));
    assert_eq!(carried(&world).phase, Some(Phase::Generating));
}
