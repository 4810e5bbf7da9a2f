//! Out of the merge queue for other reasons than a round, and what keeps a pull request from trying to get in.
//! Beside `queue`, which has the ordinary way.

use super::{
    queue::{queued, unchecked},
    queues::{Out, place},
    *,
};
use crate::{
    api::{MergePolicy, MergeQueueState, conditions::reason},
    domain::pull_request::Source,
};

#[test]
fn where_the_queue_is_gone_what_it_threw_out_is_merged() {
    let mut world = queued();
    world.github.queue.place = None;
    world.looks_on(335);
    assert_eq!(world.reason(), reason::DEQUEUED);
    world.github.queue.exists = false;
    world.github.queue.rules = Some(RulesView::default());
    world.looks_on(310);
    assert_eq!(
        (world.row(), world.made("Merge"), world.made("Enqueue")),
        (DONE, 1, 1),
        "{}",
        world.message()
    );
}

#[test]
fn a_draft_leaves_the_queue_without_a_word_and_goes_in_again_when_it_is_ready() {
    let mut world = queued();
    world.github.queue.place = None;
    world.person(|pull| pull.draft = true);
    world.news(Source::Delivery);
    world.looks_on(60);
    assert_eq!((world.reason().as_str(), world.queue_state()), (reason::DRAFT, None));
    world.person(|pull| pull.draft = false);
    world.news(Source::Delivery);
    world.looks_on(310);
    assert_eq!((world.made("Enqueue"), world.queue_state()), (2, Some(MergeQueueState::Queued)));
    assert!(!world.notes.contains(&reason::DEQUEUED), "{:?}", world.notes);
}

#[test]
fn what_is_refused_again_and_again_is_tried_more_seldom() {
    let mut world = unchecked();
    world.github.mergeable = "blocked";
    world.github.queue.refuses = Some("A conversation must be resolved.".into());
    world.rest();
    let tries = |world: &World| world.calls.iter().filter(|(_, call)| *call == "enqueuePullRequest").count();
    world.looks_on(3600);
    let first = tries(&world);
    assert!((3..=6).contains(&first), "{first} in an hour");
    world.looks_on(3600);
    assert!(tries(&world) - first <= 3, "{} in the next", tries(&world) - first);
    world.github.queue.refuses = None;
    world.looks_on(1210);
    assert_eq!(world.queue_state(), Some(MergeQueueState::Queued));
}

#[test]
fn a_missing_review_keeps_it_out_also_where_not_all_checks_can_be_read() {
    let mut world = unchecked();
    world.github.mergeable = "blocked";
    world.github.queue.unread = Some("Resource not accessible".into());
    world.github.queue.review = Review::Missing;
    world.rest();
    world.looks_on(900);
    assert!(!world.calls.iter().any(|(_, call)| *call == "enqueuePullRequest"), "{:?}", world.calls);
    assert!(world.message().contains("an approving review is needed"), "{}", world.message());
}

#[test]
fn who_wants_to_merge_by_hand_finds_it_out_of_the_queue() {
    for silent in [false, true] {
        let mut world = queued();
        world.github.queue.out = if silent { Out::Silent } else { Out::Told };
        world.task.spec.pull_request.merge.policy = MergePolicy::Manual;
        world.task.metadata.generation = world.task.metadata.generation.map(|generation| generation + 1);
        world.looks_on(60);
        assert_eq!((world.made("Dequeue"), world.github.queue.place, world.queue_state()), (1, None, None));
        let status = world.status();
        assert_eq!((world.reason().as_str(), status.retry), (reason::IN_REVIEW, None), "{silent}");
        // Who puts it in now has the last word.
        world.github.queue.place = Some(place(1, QueueProgress::Queued, 5));
        world.looks_on(900);
        assert!(world.github.queue.place.is_some());
    }
}
