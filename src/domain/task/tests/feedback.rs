//! What the command of a later round is told: why it runs again, and of which pull request.

use super::*;
use crate::api::PullRequestState;

/// The question before the next start.
fn wanted(world: &mut World) -> WantedFeedback {
    for _ in 0..20 {
        if let Position::Start(asked) = locate(&world.task, &world.context(), world.now)
            && let Some(feedback) = asked.question.feedback.clone()
        {
            return feedback;
        }
        assert!(world.pass().is_ok());
        world.sandbox_controller();
        world.pass_time(1);
    }
    panic!("no start: {}", world.message())
}

#[test]
fn a_first_round_has_none() {
    let mut world = World::new();
    world.run_until(|world| world.made("Start") == 1);
    assert!(!has_feedback(&world.status()));
    let mut world = World::with_checkout();
    world.run_until(|world| world.status().parent_sha.is_some());
    let Position::Start(asked) = locate(&world.task, &world.context(), world.now) else { panic!("a start") };
    assert!(asked.question.feedback.is_none() && asked.question.checkout.is_some());
}

#[test]
fn the_words_of_the_annotation_are_told_in_the_round_that_they_ask_for() {
    for make in [World::new, World::with_checkout] {
        let mut world = make();
        world.rest();
        let began = world.status().round_started_at.map(|at| at.0);
        world.rerun("please handle the empty list");
        let feedback = wanted(&mut world);
        assert_eq!(feedback.rerun.as_deref(), Some("please handle the empty list"));
        let pull = feedback.pull.expect("it is open");
        assert_eq!((pull.number, pull.head, pull.since), (1, world.status().commit_sha, began));
        world.rest();
        world.edit(|spec| spec.description = Some("Otherwise.".into()));
        assert_eq!(wanted(&mut world).rerun, None, "this round is the change's");
        world.rest();
        assert_eq!(world.row(), REVIEW);
    }
}

#[test]
fn what_a_failed_round_was_told_is_told_again() {
    let mut world = World::new();
    world.rest();
    let began = world.status().round_started_at.map(|at| at.0);
    world.command.1 = 1;
    world.rerun("1");
    world.rest();
    world.rerun("2");
    let since = wanted(&mut world).pull.map(|pull| pull.since);
    assert_eq!(since, Some(began), "the first round was the last that answered");
}

#[test]
fn a_round_after_a_closed_pull_request_is_told_what_was_said_of_it() {
    let mut world = World::new();
    world.rest();
    let (first, began) = (world.status().commit_sha, world.status().round_started_at.map(|at| at.0));
    world.delivered(PullRequestState::Closed);
    world.rest();
    // One that fails has answered nothing: the next is told the same.
    for (rerun, code) in [("again", 1), ("once more", 0)] {
        world.command.1 = code;
        world.rerun(rerun);
        let feedback = wanted(&mut world);
        let pull = feedback.pull.expect("the closed one");
        assert_eq!(feedback.rerun.as_deref(), Some(rerun));
        assert_eq!((pull.number, pull.closed, &pull.head, pull.since), (1, true, &first, began));
        world.rest();
    }
    // From then on it is the new one that is talked of.
    assert_eq!(world.row(), REVIEW);
    let began = world.status().round_started_at.map(|at| at.0);
    world.rerun("and again");
    let pull = wanted(&mut world).pull.expect("the open one");
    assert_eq!((pull.number, pull.closed, pull.since), (2, false, began));
}
