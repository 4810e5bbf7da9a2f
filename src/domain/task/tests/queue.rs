//! The merge queue: in at our own commit under the conditions of a merge, followed, and never in again by itself.
//! Out of it before another round: `queue_rounds`.

use super::{
    queues::{check, place},
    *,
};
use crate::{
    api::{MergePolicy, MergeQueue, MergeQueueState, PullRequestState, conditions::reason},
    domain::{failure::Class, pull_request::Source},
};

fn when_ready() -> World {
    let mut world = World::new().with_queue();
    world.task.spec.pull_request.merge.policy = MergePolicy::WhenReady;
    world
}

/// What GitHub lets in goes in, whatever its checks say: nothing has to appear first.
pub(super) fn unchecked() -> World {
    let mut world = when_ready();
    world.task.spec.pull_request.merge.require_checks = false;
    world
}

impl World {
    pub(super) fn queue_state(&self) -> Option<MergeQueueState> {
        self.status().pull_request?.merge_queue.map(|queue| queue.state)
    }

    /// Passes for so many seconds, one each 5 s; how many status writes they made.
    pub(super) fn looks_on(&mut self, seconds: i64) -> usize {
        let writes = self.status_writes.len();
        for _ in 0..seconds / 5 {
            self.pass_time(5);
            assert!(self.pass().is_ok());
        }
        self.status_writes.len() - writes
    }
}

pub(super) fn queued() -> World {
    let mut world = unchecked();
    world.rest();
    world.looks_on(10);
    assert_eq!((world.made("Enqueue"), world.queue_state()), (1, Some(MergeQueueState::Queued)));
    world
}

#[test]
fn what_could_be_merged_goes_into_the_queue_at_its_head_and_is_followed_to_the_merge() {
    let mut world = queued();
    let status = world.status();
    let head = status.commit_sha.clone().expect("a commit");
    assert_eq!((world.made(&format!("Enqueue {head}")), world.made("Merge")), (1, 0));
    assert_eq!((world.row(), world.reason().as_str()), (REVIEW, reason::IN_REVIEW));
    assert!(
        world.message().contains("in the merge queue at place 1 (waiting for its turn, about 5 min)"),
        "{}",
        world.message()
    );
    world.github.queue.place = Some(place(3, QueueProgress::AwaitingChecks, 12));
    assert_eq!(world.looks_on(310), 1, "its place is news");
    assert!(world.message().contains("at place 3 (awaiting checks, about 12 min)"), "{}", world.message());
    for minutes in [11, 9, 4] {
        world.github.queue.place = Some(place(3, QueueProgress::AwaitingChecks, minutes));
        assert_eq!(world.looks_on(310), 0, "a guess is none");
    }
    assert!(world.github.queue.looks < 10, "{} looks", world.github.queue.looks);
    world.queue_merges();
    world.news(Source::Delivery);
    world.rest();
    assert_eq!((world.row(), world.made("Enqueue"), world.queue_state()), (DONE, 1, None));
}

#[test]
fn where_only_a_refused_merge_tells_of_the_queue_the_queue_is_taken_all_the_same() {
    for rules in [None, Some(RulesView::default())] {
        let mut world = unchecked();
        world.github.queue.rules = rules;
        world.rest();
        world.looks_on(10);
        assert_eq!(
            (world.made("Enqueue"), world.queue_state()),
            (1, Some(MergeQueueState::Queued)),
            "{}",
            world.message()
        );
        assert!(world.holds(names::READY));
    }
}

#[test]
fn a_queue_that_github_denies_is_passed_by_and_a_contradiction_needs_a_person() {
    let mut world = unchecked();
    world.github.queue.exists = false;
    world.rest();
    world.looks_on(10);
    assert_eq!((world.row(), world.made("Merge"), world.made("Enqueue")), (DONE, 1, 0));
    let mut world = unchecked();
    world.github.queue.exists = false;
    let required = world::failure("mergePullRequest", Class::Invalid, reason::MERGE_QUEUE_REQUIRED);
    world.github.merge_answer = Some(Outcome::Failed(required));
    world.run_until(|world| world.holds(names::STALLED));
    assert_eq!(world.reason(), reason::MERGE_QUEUE_REQUIRED);
    let tried = world.calls.len();
    world.looks_on(200);
    assert!(world.calls.len() - tried <= 6, "not in a circle: {:?}", &world.calls[tried..]);
}

#[test]
fn nothing_goes_in_that_would_not_be_merged() {
    let failing =
        |world: &mut World| world.github.checks = Checks { failed: vec!["ci".into()], ..Checks::default() };
    let unchecked = |world: &mut World| world.github.checks = Checks::default();
    let review = |world: &mut World| world.github.queue.review = Review::Missing;
    for (state, way, said) in [
        ("clean", failing as fn(&mut World), "failed: ci"),
        ("blocked", failing, "failed: ci"),
        ("behind", failing, "failed: ci"),
        ("blocked", unchecked, "the commit has none"),
        ("blocked", review, "an approving review is needed"),
        ("dirty", |_| (), "resolve the conflicts"),
    ] {
        let mut world = when_ready();
        world.github.mergeable = state;
        way(&mut world);
        world.rest();
        world.looks_on(400);
        assert_eq!((world.made("Enqueue"), world.reason().as_str()), (0, reason::IN_REVIEW), "{state}");
        assert!(world.message().contains(said), "{state}: {}", world.message());
        (world.github.mergeable, world.github.queue.review) = ("clean", Review::Fine);
        world.github.checks = Checks { passed: 1, ..Checks::default() };
        world.looks_on(310);
        assert_eq!(world.made("Enqueue"), 1, "{state}: {}", world.message());
    }
}

#[test]
fn what_the_queue_alone_blocks_is_tried_and_a_refusal_is_told_in_githubs_words_once() {
    for state in ["blocked", "behind", "something_new"] {
        let mut world = when_ready();
        world.github.mergeable = state;
        world.github.queue.refuses = Some("Required status check \"build\" is expected.".into());
        world.rest();
        world.looks_on(70);
        assert!(
            world.message().contains("into the merge queue yet: Required status check"),
            "{}",
            world.message()
        );
        assert_eq!(world.reason(), reason::IN_REVIEW);
        assert_eq!(world.looks_on(900), 0, "{state}: the same again and again");
        world.github.queue.refuses = None;
        world.looks_on(1210);
        assert_eq!(world.made("Enqueue"), 1, "{state}");
    }
}

#[test]
fn what_left_the_queue_without_a_merge_is_told_once_and_does_not_go_in_again() {
    let mut world = queued();
    world.github.queue.place = None;
    assert_eq!(world.looks_on(335), 1, "told at once, when it is sure");
    assert_eq!((world.row(), world.reason().as_str()), (REVIEW, reason::DEQUEUED));
    assert!(
        world.holds(names::READY) && world.message().contains("slipway.dev/rerun"),
        "{}",
        world.message()
    );
    assert_eq!(world.notes.iter().filter(|note| **note == reason::DEQUEUED).count(), 1);
    // The next process knows it too.
    world.pull_read = None;
    assert_eq!(world.looks_on(900), 0);
    assert_eq!((world.made("Enqueue"), world.reason().as_str()), (1, reason::DEQUEUED));
    // A person puts it in again, and it is followed.
    world.github.queue.place = Some(place(2, QueueProgress::Queued, 10));
    world.looks_on(310);
    assert_eq!(
        (world.reason().as_str(), world.queue_state()),
        (reason::IN_REVIEW, Some(MergeQueueState::Queued))
    );
    world.github.queue.place = None;
    world.looks_on(335);
    assert_eq!(world.notes.iter().filter(|note| **note == reason::DEQUEUED).count(), 2, "again");
}

#[test]
fn a_merge_that_githubs_answers_do_not_show_yet_is_no_removal() {
    let mut world = queued();
    let number = world.number();
    world.queue_merges();
    world.github.lagging.as_mut().expect("the open one").1 = 3;
    world.looks_on(330);
    assert!(!world.notes.contains(&reason::DEQUEUED), "{number}: {:?}", world.notes);
    assert_eq!(world.row(), DONE, "{}", world.message());
}

#[test]
fn one_look_that_finds_it_outside_is_not_enough() {
    let mut world = queued();
    let seen = world.github.queue.place.take();
    world.pull_read = None;
    assert!(world.pass().is_ok());
    world.github.queue.place = seen;
    world.looks_on(20);
    assert_eq!(
        (world.reason().as_str(), world.queue_state()),
        (reason::IN_REVIEW, Some(MergeQueueState::Queued))
    );
    assert!(world.notes.is_empty(), "{:?}", world.notes);
}

#[test]
fn an_operator_that_dies_anywhere_puts_it_in_once_and_follows_it() {
    let mut whole = unchecked();
    whole.rest();
    whole.looks_on(10);
    for point in 0..whole.points {
        let mut world = unchecked();
        world.fuse = Some(point);
        for _ in 0..600 {
            if world.pass().is_err() {
                break;
            }
            world.sandbox_controller();
            world.pass_time(5);
        }
        assert!(world.made("Enqueue") == 0 || world.queue_state().is_some(), "without an intent at {point}");
        world.rest();
        for _ in 0..10 {
            world.pass_time(5);
            let _abandoned = world.pass();
        }
        assert_eq!(
            (world.made("Enqueue"), world.queue_state()),
            (1, Some(MergeQueueState::Queued)),
            "abandoned at {point}"
        );
        assert!(!world.notes.contains(&reason::DEQUEUED), "abandoned at {point}");
    }
}

#[test]
fn an_answer_that_was_lost_is_no_second_entry() {
    let mut world = unchecked();
    world.github.mergeable = "blocked";
    world.github.queue.review = Review::Missing;
    world.rest();
    world.faults = faults::Faults {
        github: Some(Class::Transient),
        steps_only: true,
        answer_lost: true,
        ..Default::default()
    };
    world.github.queue.review = Review::Fine;
    world.looks_on(330);
    world.faults = faults::Faults::default();
    // In the queue its state says nothing of what it was let in for.
    world.github.mergeable = "unstable";
    world.github.checks = Checks { failed: vec!["ci".into()], ..Checks::default() };
    world.looks_on(330);
    assert_eq!(
        (world.made("Enqueue"), world.queue_state()),
        (1, Some(MergeQueueState::Queued)),
        "{}",
        world.message()
    );
    assert!(world.message().contains("at place 1"), "{}", world.message());
}

#[test]
fn a_closed_pull_request_forgets_the_queue_and_a_push_stops_the_merge() {
    let mut world = queued();
    world.delivered(PullRequestState::Closed);
    assert_eq!((world.row(), world.queue_state()), (NEW, None));
    world.person_sets(PullRequestState::Open);
    world.news(Source::Delivery);
    world.looks_on(310);
    assert_eq!(
        (world.made("Enqueue"), world.queue_state()),
        (2, Some(MergeQueueState::Queued)),
        "{}",
        world.message()
    );
    let mut world = queued();
    world.person(|pull| pull.head = "pushed".into());
    world.news(Source::Delivery);
    world.looks_on(900);
    assert_eq!((world.made("Enqueue"), world.reason().as_str()), (1, reason::HEAD_MOVED));
}

#[test]
fn what_is_known_of_another_head_says_nothing_and_a_draft_is_in_no_queue() {
    let mut world = unchecked();
    world.github.mergeable = "dirty";
    world.rest();
    let pull = world.task.status.as_mut().and_then(|status| status.pull_request.as_mut()).expect("there");
    pull.merge_queue = Some(MergeQueue { head_sha: "another".into(), state: MergeQueueState::Removed });
    world.looks_on(600);
    assert_eq!(world.reason(), reason::IN_REVIEW);
    let mut world = when_ready();
    world.task.spec.pull_request.draft = true;
    world.rest();
    world.rerun("1");
    world.run_until(|world| world.status().round == Some(2) && world.reason() == reason::DRAFT);
    assert_eq!(world.github.queue.looks, 0);
}

#[test]
fn a_token_that_sees_no_queue_is_no_reason_to_say_that_it_left() {
    let mut world = queued();
    world.github.queue.hidden = true;
    world.looks_on(900);
    assert_eq!(
        (world.reason().as_str(), world.queue_state()),
        (reason::IN_REVIEW, Some(MergeQueueState::Queued))
    );
    assert!(world.message().contains("does not show its place"), "{}", world.message());
}

#[test]
fn checks_that_the_head_has_decide_where_only_the_queue_blocks() {
    let mut world = when_ready();
    world.github.mergeable = "blocked";
    world.github.queue.checks = Some(vec![check("ci", CheckProgress::Running, None)]);
    world.rest();
    world.looks_on(90);
    assert!(world.message().contains("still running: ci"), "{}", world.message());
    world.github.queue.checks = Some(vec![check("ci", CheckProgress::Passed, None)]);
    world.looks_on(310);
    assert_eq!(world.made("Enqueue"), 1, "{}", world.message());
}
