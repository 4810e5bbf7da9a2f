//! `merge.policy: WhenReady`: our own commit, when GitHub says that nothing stands in the way, and never in a circle.

use super::*;
use crate::{
    api::{MergePolicy, PullRequestState, conditions::reason},
    domain::{failure::operation, plan::Next, pull_request::Source},
};
use jiff::SignedDuration;

fn when_ready() -> World {
    let mut world = World::new();
    world.task.spec.pull_request.merge.policy = MergePolicy::WhenReady;
    world
}

/// Merges what GitHub lets pass, whatever its checks say: nothing has to appear first.
fn unchecked() -> World {
    let mut world = when_ready();
    world.task.spec.pull_request.merge.require_checks = false;
    world
}

impl World {
    /// Passes for so many seconds, one each 5 s whatever they ask for; how many status writes and calls they made.
    fn idle(&mut self, seconds: i64) -> (usize, usize) {
        let (writes, calls) = (self.status_writes.len(), self.calls.len());
        for _ in 0..seconds / 5 {
            self.pass_time(5);
            assert!(self.pass().is_ok());
        }
        (self.status_writes.len() - writes, self.calls.len() - calls)
    }
}

#[test]
fn a_clean_pull_request_is_merged_once_and_confirmed() {
    let mut world = unchecked();
    world.rest();
    world.idle(10);
    world.rest();
    assert_eq!((world.row(), world.reason().as_str(), world.made("Merge")), (DONE, reason::MERGED, 1));
    assert_eq!(world.status().pull_request.and_then(|pull| pull.merge_sha).as_deref(), Some("merged"));
    assert_eq!(world.made("DeleteSandbox"), 1);
}

#[test]
fn an_abandoned_merge_is_not_made_twice() {
    let mut whole = unchecked();
    whole.rest();
    whole.idle(10);
    for point in 0..whole.points {
        let mut world = unchecked();
        world.fuse = Some(point);
        world.rest();
        for _ in 0..10 {
            world.pass_time(5);
            let _abandoned = world.pass();
        }
        world.rest();
        assert_eq!((world.row(), world.made("Merge")), (DONE, 1), "abandoned at {point}");
    }
}

#[test]
fn manual_never_merges() {
    let mut world = World::new();
    world.rest();
    assert_eq!(world.idle(900), (0, 0));
    assert_eq!(world.row(), REVIEW);
}

#[test]
fn a_draft_is_not_merged_and_not_looked_at() {
    let mut world = when_ready();
    world.task.spec.pull_request.draft = true;
    world.rest();
    assert_eq!(world.idle(900), (0, 0));
    assert_eq!((world.reason().as_str(), world.made("Merge")), (reason::DRAFT, 0));
}

#[test]
fn while_github_works_out_whether_it_can_be_merged_it_is_asked_soon_and_less_and_less() {
    let mut world = unchecked();
    world.github.mergeable = "unknown";
    world.rest();
    let (writes, calls) = world.idle(600);
    assert!((6..=9).contains(&calls), "{calls} looks in ten minutes");
    assert_eq!(writes, 0);
    let mut world = unchecked();
    world.github.mergeable = "unknown";
    world.rest();
    world.idle(5);
    world.github.mergeable = "clean";
    world.idle(10);
    assert_eq!(world.row(), DONE, "not a whole interval later");
}

#[test]
fn what_stands_in_the_way_is_said_once_and_looked_at_once_per_interval() {
    type Way = (&'static str, fn(&mut World), &'static str, i64);
    let blocked = |world: &mut World| world.github.mergeable = "blocked";
    let refused =
        |world: &mut World| world.github.merge_answer = Some(Outcome::NotMergeable("Required review".into()));
    // Each try is a write: what is refused again and again is tried every fourth interval.
    let ways: [Way; 2] = [("blocked", blocked, "blocked", 310), ("405", refused, "Required review", 1210)];
    for (name, way, said, longest) in ways {
        let mut world = unchecked();
        way(&mut world);
        world.rest();
        world.idle(5);
        assert!(world.message().contains(said), "{name}: {}", world.message());
        assert_eq!((world.row(), world.reason().as_str()), (REVIEW, reason::IN_REVIEW));
        let (writes, calls) = world.idle(900);
        assert_eq!(writes, 0, "{name}: the same again and again");
        assert!((2..=6).contains(&calls), "{name}: {calls}");
        (world.github.mergeable, world.github.merge_answer) = ("clean", None);
        world.idle(longest);
        assert_eq!(world.row(), DONE, "{name}");
    }
}

#[test]
fn what_is_refused_for_hours_is_tried_a_few_times_an_hour_and_another_commit_at_once() {
    let mut world = unchecked();
    world.github.merge_answer = Some(Outcome::NotMergeable("no".into()));
    world.rest();
    world.idle(5);
    let calls = world.idle(7200).1;
    assert!((8..=16).contains(&calls), "a look and a try every 20 minutes, not {calls} calls");
    world.github.merge_answer = None;
    world.rerun("1");
    world.rest();
    world.idle(310);
    assert_eq!(world.row(), DONE, "{}", world.message());
}

#[test]
fn the_next_look_is_due_an_interval_later_and_soon_while_github_works_it_out() {
    for (state, pushed, wait) in
        [("blocked", false, 300), ("clean", false, 300), ("unknown", false, 5), ("clean", true, 300)]
    {
        let mut world = unchecked();
        world.github.mergeable = "blocked";
        world.rest();
        world.github.mergeable = state;
        if pushed {
            world.person(|pull| pull.head = "pushed".into());
        }
        world.pull_read = None;
        let Position::ReadPull(asked) = locate(&world.task, &world.context(), world.now) else {
            panic!("it is read");
        };
        let pull = world.github.observed(asked.question.number);
        let plan = decide(&world.task, asked.answered(Ok(pull)), world.now);
        let due = Next::After(SignedDuration::from_secs(wait));
        assert_eq!(plan.next, due, "{state}, pushed: {pushed}");
        if let Some(step) = plan.step.clone() {
            let refused = Outcome::NotMergeable("Required review".into());
            assert_eq!(record(&world.task, plan, &step, refused, world.now).next, due);
        }
    }
}

#[test]
fn what_stands_in_the_way_is_said_with_its_cure() {
    for (state, cure) in [
        ("dirty", "resolve the conflicts"),
        ("behind", "update the branch"),
        ("blocked", "a review or a check"),
    ] {
        let mut world = unchecked();
        world.github.mergeable = state;
        world.rest();
        world.idle(5);
        assert!(world.message().contains(cure), "{state}: {}", world.message());
    }
    let mut world = unchecked();
    world.github.mergeable = "has_hooks";
    world.rest();
    assert_eq!(world.row(), DONE, "with pre-receive hooks it never says clean");
}

#[test]
fn somebody_elses_push_stops_the_automatic_merge() {
    let mut world = when_ready();
    world.github.mergeable = "blocked";
    world.rest();
    world.person(|pull| pull.head = "pushed".into());
    world.github.mergeable = "clean";
    world.news(Source::Delivery);
    world.idle(900);
    assert_eq!((world.row(), world.reason().as_str(), world.made("Merge")), (REVIEW, reason::HEAD_MOVED, 0));
    assert!(world.holds(names::READY));
}

/// Somebody presses *Update branch*; returns the head that GitHub makes.
fn update(world: &mut World) -> String {
    let updated = format!("{}>merged main", world.status().commit_sha.expect("published"));
    world.github.updates.push(updated.clone());
    world.github.branches.insert("task/t/do-it".into(), updated.clone());
    world.person(|pull| pull.head.clone_from(&updated));
    world.news(Source::Delivery);
    updated
}

#[test]
fn githubs_own_update_of_the_branch_is_merged_once_its_checks_have_had_their_time() {
    for after in [10, 300] {
        let mut world = when_ready();
        world.github.mergeable = "behind";
        world.rest();
        world.idle(after);
        let updated = update(&mut world);
        world.github.mergeable = "clean";
        world.idle(50);
        let status = world.status();
        assert_eq!((status.commit_sha.as_ref(), world.made("Merge")), (Some(&updated), 0), "after {after} s");
        assert_eq!(world.reason(), reason::IN_REVIEW);
        world.idle(70);
        assert_eq!((world.row(), world.made("Merge")), (DONE, 1), "after {after} s: {}", world.message());
    }
}

#[test]
fn a_round_after_githubs_own_update_stands_on_it_and_is_merged() {
    let mut world = unchecked();
    world.github.mergeable = "behind";
    world.rest();
    let updated = update(&mut world);
    world.idle(10);
    world.rerun("1");
    world.rest();
    let status = world.status();
    assert_eq!((status.round, status.parent_sha.as_ref()), (Some(2), Some(&updated)));
    world.github.mergeable = "clean";
    world.idle(310);
    assert_eq!((world.row(), world.made("Merge")), (DONE, 1), "{}", world.message());
}

#[test]
fn a_later_round_that_failed_stops_the_merge_and_one_with_nothing_to_commit_does_not() {
    for (code, made, merged) in [(1, "made", 0), (0, "as in base", 1)] {
        let mut world = when_ready();
        world.github.mergeable = "blocked";
        world.rest();
        world.command = (12, code, Some(made.into()));
        world.rerun("1");
        world.rest();
        assert!(world.status().ended.is_some(), "{made}");
        world.github.mergeable = "clean";
        world.person(|pull| pull.body.insert_str(0, "More.\n"));
        world.news(Source::Delivery);
        world.idle(20);
        assert_eq!(world.made("Merge"), merged, "{made}: {}", world.message());
    }
}

#[test]
fn a_head_that_moved_under_the_merge_is_read_again_but_not_in_a_circle() {
    let mut world = unchecked();
    world.github.merge_answer = Some(Outcome::HeadChanged);
    world.run_until(|world| world.row() == REVIEW);
    let (writes, calls) = world.idle(900);
    assert!(calls < 20, "{calls} calls in 15 minutes");
    assert!(writes < 30, "{writes} writes");
    world.github.merge_answer = None;
    world.idle(400);
    assert_eq!((world.row(), world.made("Merge")), (DONE, 1));
}

#[test]
fn the_policy_applies_in_place() {
    let mut world = World::new();
    world.rest();
    world.edit(|spec| spec.pull_request.merge.policy = MergePolicy::WhenReady);
    world.idle(70);
    world.rest();
    assert_eq!((world.row(), world.status().round), (DONE, Some(1)));
}

#[test]
fn a_pull_request_that_github_has_no_more_is_stalled_with_the_cure() {
    let mut world = World::new();
    world.rest();
    world.person_sets(PullRequestState::Closed);
    world.news(Source::Delivery);
    let gone = std::mem::take(&mut world.github.pulls);
    world.rest();
    assert!(world.holds(names::STALLED) && world.message().contains("token"), "{}", world.message());
    world.github.pulls = gone;
    world.annotate(crate::api::RECONCILE_ANNOTATION, "1");
    world.rest();
    assert_eq!((world.row(), world.reason().as_str()), (NEW, reason::CLOSED));
}

#[test]
fn an_answer_that_is_older_than_the_news_is_asked_for_again_for_about_a_minute() {
    for (looks, state) in [(3, PullRequestState::Closed), (100, PullRequestState::Open)] {
        let mut world = World::new();
        world.rest();
        world.person_sets(PullRequestState::Closed);
        world.github.lagging.as_mut().expect("the open one").1 = looks;
        world.news(Source::Delivery);
        let told = world.now;
        assert!(world.pass().is_ok());
        assert_eq!((world.reason().as_str(), world.row()), (reason::NOT_VISIBLE_YET, NEW));
        world.rest();
        assert_eq!(world.status().pull_request.expect("there").state, state, "after {looks} stale looks");
        let waited = world.now.duration_since(told).as_secs();
        assert_eq!((60..90).contains(&waited), looks == 100, "{waited} s");
    }
}

#[test]
fn a_sandbox_that_cannot_be_deleted_at_the_end_is_tried_as_the_policy_says() {
    let mut world = World::new();
    world.rest();
    world.person_sets(PullRequestState::Merged);
    world.news(Source::Delivery);
    let mut tries = Vec::new();
    for second in 0..60 {
        let observed = match locate(&world.task, &world.context(), world.now) {
            Position::Decided(plan) => Observed::Decided(plan),
            Position::ReadPull(asked) => {
                let pull = world.github.observed(asked.question.number);
                asked.answered(Ok(pull))
            }
            other => panic!("nothing else is looked at: {other:?}"),
        };
        let mut plan = decide(&world.task, observed, world.now);
        if let Some(step) = plan.step.take() {
            tries.push(second);
            assert!(
                plan.intent && is_true(&plan.status.conditions, names::MERGED),
                "confirmed before it goes"
            );
            let failure = world::failure(
                operation::DELETE_SANDBOX,
                crate::domain::failure::Class::Transient,
                "ApiServerUnavailable",
            );
            plan = record(&world.task, plan, &step, Outcome::Failed(failure), world.now);
        }
        world.task.status = Some(plan.status);
        world.pass_time(1);
    }
    assert_eq!(tries, [0, 2, 5, 10]);
    assert_eq!(world.row(), DONE);
}
