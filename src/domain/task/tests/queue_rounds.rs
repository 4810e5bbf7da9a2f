//! Rounds on a pull request that is in the merge queue: out of it first, and no circle where GitHub does not let it go.
//! Into the queue and along it: `queue`.

use super::{
    queue::queued,
    queues::{Out, place},
    *,
};
use crate::{
    api::{MergePolicy, MergeQueueState, conditions::reason},
    domain::{failure::Class, pull_request::Source, retry},
};

#[test]
fn a_rerun_takes_it_out_first_and_the_new_head_goes_in() {
    for silent in [false, true] {
        let mut world = queued();
        world.github.queue.out = if silent { Out::Silent } else { Out::Told };
        let first = world.status().commit_sha;
        world.pass_time(60);
        world.rerun("1");
        world.run_until(|world| world.status().round == Some(2));
        assert_eq!((world.made("Dequeue"), world.github.queue.place), (1, None), "{silent}");
        world.run_until(|world| world.row() == REVIEW);
        world.looks_on(10);
        assert_ne!(world.status().commit_sha, first);
        assert_eq!(
            (world.made("Enqueue"), world.made("Dequeue"), world.queue_state()),
            (2, 1, Some(MergeQueueState::Queued)),
            "{silent}"
        );
        assert!(!world.notes.contains(&reason::DEQUEUED), "{silent}: {:?}", world.notes);
    }
}

#[test]
fn a_round_waits_until_a_failed_way_out_of_the_queue_is_tried_again() {
    let mut world = queued();
    world.faults = faults::Faults { github: Some(Class::Transient), steps_only: true, ..Default::default() };
    world.rerun("1");
    for _ in 0..4 {
        assert!(world.pass().is_ok());
        assert_eq!(world.status().round, Some(1), "begun while it is in the queue");
    }
    world.faults = faults::Faults::default();
    world.run_until(|world| world.status().round == Some(2));
    assert_eq!((world.made("Dequeue"), world.github.queue.place), (1, None));
}

#[test]
fn another_round_puts_a_removed_head_in_again_even_where_it_commits_nothing() {
    let mut world = queued();
    world.github.queue.place = None;
    world.looks_on(335);
    world.command.2 = Some("as in base".into());
    world.rerun("1");
    world.run_until(|world| world.status().round == Some(2) && world.row() == REVIEW);
    world.looks_on(310);
    assert_eq!(
        (world.made("Enqueue"), world.reason().as_str()),
        (2, reason::NOTHING_TO_COMMIT),
        "{}",
        world.message()
    );
}

#[test]
fn what_is_about_to_be_merged_is_waited_for() {
    let mut world = queued();
    world.github.queue.place = Some(place(1, QueueProgress::Locked, 1));
    world.rerun("1");
    world.looks_on(40);
    assert_eq!((world.status().round, world.made("Dequeue")), (Some(1), 0));
    assert!(world.message().contains("about to merge"), "{}", world.message());
    world.queue_merges();
    world.looks_on(60);
    world.rest();
    assert_eq!((world.row(), world.notes.contains(&reason::RERUN_IGNORED)), (DONE, true));
}

#[test]
fn what_somebody_queued_while_a_round_worked_is_taken_out_when_the_branch_moves() {
    for (policy, silent) in [(MergePolicy::Manual, false), (MergePolicy::WhenReady, true)] {
        let mut world = World::new();
        world.task.spec.pull_request.merge.policy = policy;
        world.github.mergeable = "blocked";
        world.rest();
        world.rerun("1");
        world.run_until(|world| world.status().round == Some(2));
        world.github.queue.place = Some(place(1, QueueProgress::Queued, 5));
        world.github.queue.out = if silent { Out::Silent } else { Out::Told };
        world.run_until(|world| world.row() == REVIEW);
        assert_eq!(
            (world.made("Dequeue"), world.made("UpdateBranch")),
            (1, 1),
            "{silent}: {}",
            world.message()
        );
        assert_eq!(world.queue_state(), None);
        let asked = world.calls.iter().filter(|(_, call)| *call == "dequeuePullRequest").count();
        assert_eq!(asked, 1, "{silent}: {:?}", world.calls);
    }
}

#[test]
fn a_queue_that_does_not_let_it_go_is_not_asked_in_a_circle() {
    for (state, sticky) in [(QueueProgress::Locked, false), (QueueProgress::Queued, true)] {
        let mut world = World::new();
        world.rest();
        world.rerun("1");
        world.run_until(|world| world.status().round == Some(2));
        world.github.queue.place = Some(place(1, state, 1));
        world.github.queue.out = if sticky { Out::Sticky } else { Out::Told };
        world.run_until(|world| world.status().commit_sha.is_some() && world.status().retry.is_some());
        let calls = world.calls.len();
        for _ in 0..240 {
            world.pass_time(1);
            assert!(world.pass().is_ok());
        }
        assert!(world.calls.len() - calls <= 10, "{sticky}: {:?}", &world.calls[calls..]);
        assert_eq!(world.status().round, Some(2));
        world.github.queue.place = None;
        world.run_until(|world| world.row() == REVIEW);
    }
}

#[test]
fn without_an_answer_about_the_queue_a_round_begins_all_the_same() {
    let mut world = World::new();
    world.rest();
    world.github.queue.hidden = true;
    world.rerun("1");
    world.run_until(|world| world.status().round == Some(2) && world.row() == REVIEW);
    let mut world = World::new();
    world.rest();
    world.faults.github = Some(Class::Transient);
    world.rerun("1");
    assert!(world.pass().is_ok());
    assert_eq!(world.status().round, Some(2), "nothing says that there is a queue");
    // What is known to be in it is asked for until there is an answer: it would be merged during the round.
    let mut world = queued();
    world.faults.github = Some(Class::Transient);
    world.rerun("1");
    world.looks_on(900);
    assert_eq!(world.status().round, Some(1), "{}", world.message());
    world.faults.github = None;
    world.run_until(|world| world.status().round == Some(2));
    assert_eq!((world.made("Dequeue"), world.github.queue.place), (1, None));
    // Of what is not shown it is taken out unseen.
    let mut world = queued();
    world.github.queue.hidden = true;
    world.rerun("1");
    world.run_until(|world| world.status().round == Some(2));
    assert_eq!((world.made("Dequeue"), world.github.queue.place), (1, None));
}

#[test]
fn no_wait_for_something_else_lets_a_round_begin_on_what_is_in_the_queue() {
    for operation in ["getPullRequest", "getSecret", "mintToken"] {
        let mut world = queued();
        let now = world.now;
        let status = world.task.status.as_mut().expect("there");
        let failure = world::failure(operation, Class::Transient, reason::RETRYING);
        status.retry = Some(retry::after(None, &failure, "uid", now).retry);
        world.rerun("1");
        assert!(world.pass().is_ok());
        assert_eq!(
            (world.status().round, world.github.queue.place.is_some()),
            (Some(1), true),
            "{operation}"
        );
        world.run_until(|world| world.status().round == Some(2));
        assert_eq!((world.made("Dequeue"), world.github.queue.place), (1, None), "{operation}");
    }
}

#[test]
fn a_queue_that_takes_it_back_before_a_round_is_not_asked_in_a_circle() {
    let mut world = queued();
    world.github.queue.out = Out::Sticky;
    world.rerun("1");
    let calls = world.calls.len();
    for _ in 0..240 {
        world.pass_time(1);
        assert!(world.pass().is_ok());
        world.news(Source::Delivery);
    }
    assert!(world.made("Dequeue") <= 8, "{:?}", &world.calls[calls..]);
    world.github.queue.out = Out::Told;
    world.github.queue.place = None;
    world.run_until(|world| world.status().round == Some(2) && world.row() == REVIEW);
}
