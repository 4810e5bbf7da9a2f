//! A pass that ran out of time, wherever the Task stands.
//! Part of the tests of `task`; the shell cuts the pass off.

use super::*;
use crate::domain::{
    failure::{Failure, operation},
    plan::Next,
};
use std::{cell::RefCell, collections::BTreeSet, time::Duration};

fn name(position: &Position) -> &'static str {
    match position {
        Position::Decided(_) => "Decided",
        Position::Start(_) => "Start",
        Position::Generation(_) => "Generation",
        Position::Collect(_) => "Collect",
        Position::FindPulls(_) => "FindPulls",
        Position::ReadPull(_) => "ReadPull",
        Position::InQueue(_) => "InQueue",
        Position::LeftBranch(_) => "LeftBranch",
    }
}

#[test]
fn a_pass_that_ran_out_of_time_says_so_in_retry_and_backs_off_wherever_the_task_stands() {
    let failure = Failure::out_of_time(Duration::from_secs(120));
    let stood = RefCell::new(BTreeSet::new());
    let cut_off = |world: &World| {
        let position = locate(&world.task, &world.context(), world.now);
        stood.borrow_mut().insert(name(&position));
        let plan = decide(&world.task, position.failed(&failure), world.now);
        let retry = plan.status.retry.clone().expect("said in status");
        assert_eq!((retry.operation.as_str(), retry.attempt), (operation::RECONCILE, 1));
        assert_eq!(retry.last_error, failure.message);
        assert!(retry.next_attempt_at.0 > world.now, "it backs off");
        assert_eq!((plan.next, plan.step), (Next::At(retry.next_attempt_at.0), None));
        assert_eq!(plan.status.commit_sha, world.status().commit_sha, "nothing is taken back");
    };
    let mut world = World::new();
    world.run_until(|world| {
        cut_off(world);
        world.row() == REVIEW
    });
    assert_eq!(world.row(), REVIEW, "its own passes go on");
    let all = ["Collect", "Decided", "FindPulls", "Generation", "Start"];
    assert!(all.iter().all(|position| stood.borrow().contains(position)), "{stood:?}");
}
