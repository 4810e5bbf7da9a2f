//! What is checked out before a command starts: once for each attempt, from the commit that the round stands on.

use super::*;
use crate::{
    api::{Phase, PullRequestState, conditions::reason},
    domain::failure::Class,
};

fn checkouts(world: &World) -> usize {
    world.calls.iter().filter(|(_, call)| *call == "checkOut").count()
}

fn last_checkout(world: &World) -> Option<String> {
    world.status().code_generations.last().and_then(|run| run.checkout_sha.clone())
}

#[test]
fn it_comes_between_the_intent_and_the_start_and_costs_one_look() {
    let mut world = World::with_checkout();
    world.run_until(|world| world.status().parent_sha.is_some());
    assert_eq!((world.reason().as_str(), world.row()), (reason::CHECKING_OUT, BUILDING));
    assert!(world.message().contains("task/t/do-it at commit base00 in /app"), "{}", world.message());
    assert!(may_check_out(&world.task), "its pass may take as long as a transfer");
    world.rest();
    assert_eq!((checkouts(&world), world.row()), (1, REVIEW));
    assert_eq!(last_checkout(&world).as_deref(), Some(github::BASE));
    assert!(!may_check_out(&world.task));
}

#[test]
fn a_failed_one_is_no_attempt_of_the_command() {
    for (class, stuck) in [(Class::Transient, false), (Class::Invalid, true)] {
        let mut world = World::with_checkout();
        world.run_until(|world| world.status().parent_sha.is_some());
        world.faults.e2b = Some(class);
        for _ in 0..8 {
            assert!(world.pass().is_ok());
            world.pass_time(5);
        }
        assert_eq!(world.row(), if stuck { FAILED_EARLY } else { BUILDING }, "{class:?}");
        assert!(world.status().code_generations.is_empty(), "{class:?}");
        world.faults.e2b = None;
        world.pass_time(400);
        world.rest();
        assert_eq!((world.row(), world.made("Start")), (REVIEW, 1), "{class:?}");
    }
}

#[test]
fn it_waits_for_a_worker() {
    let mut world = World::with_checkout();
    world.faults.no_worker = Some(reason::WAITING_FOR_TRANSFER);
    world.run_until(|world| world.reason() == reason::WAITING_FOR_TRANSFER);
    world.faults.no_worker = None;
    world.rest();
    assert_eq!((world.row(), world.made("Start")), (REVIEW, 1));
}

#[test]
fn one_that_another_process_has_begun_is_waited_for_and_is_no_failure() {
    let mut world = World::with_checkout();
    world.faults.no_worker = Some(reason::CHECKING_OUT);
    world.run_until(|world| world.message().contains("begun before"));
    for _ in 0..20 {
        assert!(world.pass().is_ok());
        world.pass_time(10);
        assert_eq!((world.row(), world.reason().as_str()), (BUILDING, reason::CHECKING_OUT));
        assert_eq!(world.status().retry, None);
    }
    world.faults.no_worker = None;
    world.rest();
    assert_eq!((world.row(), world.made("Start")), (REVIEW, 1));
}

#[test]
fn another_sandbox_gets_it_again() {
    let mut world = World::with_checkout();
    world.command.0 = 1000;
    world.run_until(|world| world.made("Start") == 1);
    world.lose_sandbox();
    world.run_until(|world| world.made("Start") == 2);
    let second = world.status().sandbox_id;
    assert_eq!(world.boxes.last().map(|e2b| &e2b.id), second.as_ref(), "in another sandbox");
}

#[test]
fn a_further_round_on_the_pull_request_gets_its_head() {
    let mut world = World::with_checkout();
    world.rest();
    let head = world.status().commit_sha;
    world.rerun("1");
    world.rest();
    assert_eq!((world.row(), checkouts(&world)), (REVIEW, 2));
    assert_eq!(last_checkout(&world), head);
}

#[test]
fn a_round_that_only_publishes_stands_on_what_its_files_were_checked_out_from() {
    let mut world = World::with_checkout();
    world.rest();
    world.delivered(PullRequestState::Closed);
    world.rest();
    world.github.branches.insert("main".into(), "base00>merged".into());
    world.edit(|spec| spec.source.exclude = vec!["*.log".into()]);
    world.rest();
    let status = world.status();
    assert_eq!((status.round, world.made("Start"), checkouts(&world)), (Some(2), 1, 1));
    assert_eq!(status.base_sha.as_deref(), Some("base00>merged"));
    assert_eq!(status.parent_sha.as_deref(), Some(github::BASE), "what others merged is no change of it");
}

#[test]
fn another_input_before_the_start_begins_another_round() {
    let mut world = World::with_checkout();
    world.run_until(|world| world.reason() == reason::CHECKING_OUT);
    world.edit(|spec| spec.description = Some("Otherwise.".into()));
    assert!(world.pass().is_ok());
    world.rest();
    assert_eq!((world.status().round, world.row(), world.made("Start")), (Some(2), REVIEW, 1));
    assert_eq!(world.status().phase, Some(Phase::PullRequestOpen));
}
