//! A Secret of the command that goes at the wrong moment.
//! Part of the tests of `task`; the values themselves never come here.

use super::*;
use crate::{
    api::conditions::reason,
    domain::failure::{Class, operation},
};

#[test]
fn a_secret_deleted_between_the_look_and_the_start_holds_the_start_back() {
    let mut world = World::new();
    let is_about_to_start =
        |world: &World| matches!(locate(&world.task, &world.context(), world.now), Position::Start(_));
    world.run_until(is_about_to_start);
    let position = locate(&world.task, &world.context(), world.now);
    let observed = world.answer(position);
    let mut plan = decide(&world.task, observed, world.now);
    let step = plan.step.take().expect("a start");
    assert!(matches!(step, Step::Start { .. }) && plan.intent, "{step:?}");
    world.task.status = Some(plan.status.clone());
    let gone = world::failure(operation::GET_SECRET, Class::NotFound, reason::SECRET_NOT_FOUND);
    let plan = record(&world.task, plan, &step, Outcome::Failed(gone), world.now);
    let retry = plan.status.retry.as_ref().expect("looked for again");
    assert_eq!((retry.reason.as_str(), retry.stalled), (reason::SECRET_NOT_FOUND, false));
    assert!(retry.next_attempt_at.0 > world.now);
    world.task.status = Some(plan.status);
    world.rest();
    assert_eq!((world.row(), world.made("Start")), (REVIEW, 1), "it starts once, when all is there");
}
