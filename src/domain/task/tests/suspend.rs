//! A suspended Task: whose command it watches, how often, and when it looks at nothing.

use super::*;
use crate::domain::{failure::Class, plan::Next};
use jiff::SignedDuration;

const WATCH: Next = Next::After(SignedDuration::from_secs(30));

fn generating(mut world: World) -> World {
    world.command.0 = 1000;
    world.run_until(|world| world.made("Start") == 1);
    world
}

/// When the Task looks again, where it looks at nothing now.
fn next(world: &World) -> Next {
    match locate(&world.task, &world.context(), world.now) {
        Position::Decided(plan) => plan.next,
        other => panic!("nothing is looked at: {other:?}"),
    }
}

#[test]
fn its_command_in_a_shared_sandbox_is_watched_every_30_seconds() {
    let mut world = generating(World::shared());
    world.edit(|spec| spec.suspend = true);
    assert_eq!(looked(&world, Look::Running, world.now).next, WATCH);
    world.pause_sandbox();
    assert_eq!(next(&world), WATCH, "a sandbox that does not run is not asked");
}

#[test]
fn a_limit_is_waited_for_before_its_command_is_watched() {
    let mut world = generating(World::shared());
    world.faults.e2b = Some(Class::Throttled { until: world.now + SignedDuration::from_secs(100) });
    assert!(world.pass().is_ok());
    world.edit(|spec| spec.suspend = true);
    assert_eq!(next(&world), WATCH);
}

#[test]
fn its_command_in_a_sandbox_of_its_own_is_not_watched() {
    let mut world = generating(World::new());
    world.edit(|spec| spec.suspend = true);
    assert_eq!(next(&world), Next::AwaitChange, "nobody else waits for the turn");
}
