//! Rounds: when a new one begins, what it leaves behind, and that nothing but a person begins one.

use super::*;
use crate::{
    api::{PullRequestState, conditions::reason},
    domain::{conditions, pull_request::Source},
};

fn closed() -> World {
    let mut world = World::new();
    world.rest();
    world.delivered(PullRequestState::Closed);
    world
}

#[test]
fn what_a_person_closed_stays_closed() {
    let mut world = closed();
    for _ in 0..20 {
        world.pass_time(300);
        world.news(Source::Sync);
        assert!(world.pass().is_ok_and(|passed| !passed.wrote && !passed.stepped));
    }
    assert_eq!((world.row(), world.status().round), (NEW, Some(1)));
}

#[test]
fn a_rerun_after_a_close_makes_a_new_pull_request_from_the_base_on_a_numbered_branch() {
    let mut world = closed();
    world.github.branches.insert("main".into(), "base01".into());
    world.rerun("1");
    world.rest();
    assert_eq!(world.row(), REVIEW);
    let status = world.status();
    assert_eq!((status.round, status.branch.as_deref()), (Some(2), Some("task/t/do-it-2")));
    assert_eq!(status.base_sha.as_deref(), Some("base01"), "from the base as it is now");
    assert_eq!(status.pull_request_history.iter().map(|old| old.number).collect::<Vec<_>>(), [1]);
    assert_eq!(world.number(), 2);
    assert_eq!(status.observed_rerun.as_deref(), Some("1"));
    assert!(!world.github.branches.contains_key("task/t/do-it"), "the old branch is deleted");
    assert_eq!((world.made("Start"), world.made("DeleteBranch")), (2, 1));
    assert!(world.is_fixed_point());
}

#[test]
fn the_old_branch_stays_where_somebody_has_pushed_to_it() {
    let mut world = closed();
    world.github.branches.insert("task/t/do-it".into(), "pushed".into());
    world.rerun("1");
    world.rest();
    assert_eq!((world.row(), world.made("DeleteBranch")), (REVIEW, 0));
    assert_eq!(world.github.branches.get("task/t/do-it").map(String::as_str), Some("pushed"));
}

#[test]
fn a_new_round_is_crash_safe_too() {
    let mut whole = closed();
    let before = whole.points;
    whole.rerun("1");
    whole.rest();
    for point in 0..whole.points - before {
        let mut world = closed();
        world.rerun("1");
        world.fuse = Some(point);
        world.rest();
        assert_eq!(world.effects, whole.effects, "abandoned at {point}");
    }
}

#[test]
fn each_field_of_the_input_begins_a_round_and_the_others_apply_in_place() {
    let mut world = closed();
    world.edit(|spec| spec.pull_request.title = Some("another".into()));
    world.edit(|spec| spec.pull_request.merge.policy = crate::api::MergePolicy::WhenReady);
    world.rest();
    assert_eq!((world.row(), world.status().round), (NEW, Some(1)));
    world.edit(|spec| spec.title = "Do it well".into());
    world.rest();
    assert_eq!(world.status().round, Some(2));
    assert_eq!(world.status().branch.as_deref(), Some("task/t/do-it-well-2"));
}

#[test]
fn removing_the_annotation_is_nothing() {
    let mut world = World::new();
    world.rerun("first");
    world.rest();
    assert_eq!(world.status().observed_rerun.as_deref(), Some("first"), "recorded without a rerun");
    world.delivered(PullRequestState::Closed);
    world.task.metadata.annotations = None;
    world.rest();
    assert_eq!((world.row(), world.status().round), (NEW, Some(1)));
}

#[test]
fn reopened_before_the_new_round_wins_and_after_it_moves_nothing() {
    let mut world = closed();
    world.rerun("1");
    world.person_sets(PullRequestState::Open);
    world.news(Source::Delivery);
    world.rest();
    assert_eq!((world.row(), world.status().round, world.number()), (REVIEW, Some(1), 1));

    let mut world = closed();
    world.rerun("1");
    world.run_until(|world| world.status().round == Some(2));
    let mut old = world.github.observed(1).expect("there").observed;
    (old.state, old.updated_at) = (PullRequestState::Open, Some(world.now));
    let before = world.status();
    world.tell(&old, Source::Delivery);
    assert_eq!(world.status(), before);
    world.rest();
    assert_eq!((world.row(), world.number()), (REVIEW, 2));
}

#[test]
fn an_input_that_changes_before_anything_was_done_goes_into_the_same_round() {
    type Wait = fn(&mut World);
    let waits: [Wait; 3] = [
        |world| world.repository.as_mut().expect("there").health = Health::NotReady("soon".into()),
        |world| world.repository.as_mut().expect("there").health = Health::Stalled("no token".into()),
        |world| world.github.branches.clear(),
    ];
    for wait in waits {
        let mut world = World::new();
        wait(&mut world);
        world.run_until(|world| world.status_writes.len() > 3);
        world.edit(|spec| spec.title = "Another title".into());
        world.rerun("1");
        assert!(world.pass().is_ok());
        world.repository = Some(world::repository());
        world.github = github::GitHub::new();
        world.pass_time(400);
        world.rest();
        assert_eq!((world.row(), world.status().round), (REVIEW, Some(1)));
        assert_eq!(world.status().branch.as_deref(), Some("task/t/another-title"));
    }
}

#[test]
fn a_failed_round_and_one_with_nothing_to_commit_are_followed_by_the_next() {
    type End = (fn(&mut World), &'static str);
    let ends: [End; 3] = [
        (|world| world.command.1 = 1, reason::GENERATION_FAILED),
        (|world| world.command.2 = Some("as in base".into()), reason::NOTHING_TO_COMMIT),
        (|world| world.command.2 = None, reason::NO_FILES),
    ];
    for (break_it, end) in ends {
        let mut world = World::new();
        break_it(&mut world);
        world.rest();
        assert_eq!(world.reason(), end);
        world.command = (12, 0, Some("better".into()));
        world.rerun("1");
        world.rest();
        let status = world.status();
        assert_eq!((world.row(), status.round), (REVIEW, Some(2)), "{end}");
        assert_eq!(status.branch.as_deref(), Some("task/t/do-it-2"));
        assert!(status.pull_request_history.is_empty());
        assert_eq!(world.alive(), 0);
    }
}

#[test]
fn no_round_begins_beside_a_command_that_runs() {
    let mut world = World::new();
    world.command.0 = 60;
    world.run_until(|world| world.made("Start") == 1);
    world.repository.as_mut().expect("there").health = Health::Stalled("no token".into());
    world.rest();
    assert!(world.holds(names::STALLED));
    world.rerun("1");
    assert!(world.pass().is_ok());
    assert_eq!((world.status().round, world.alive()), (Some(1), 1));
    world.repository = Some(world::repository());
    world.rest();
    assert_eq!((world.row(), world.made("Start")), (REVIEW, 1));
}

#[test]
fn done_refuses_another_round_with_one_warning() {
    let mut world = World::new();
    world.rest();
    world.delivered(PullRequestState::Merged);
    world.rest();
    assert!(world.notes.is_empty());
    world.rerun("1");
    world.edit(|spec| spec.title = "More".into());
    for _ in 0..5 {
        world.rest();
        world.pass_time(60);
        assert!(world.pass().is_ok());
    }
    assert_eq!((world.row(), world.status().round), (DONE, Some(1)));
    assert_eq!(world.notes, [reason::RERUN_IGNORED]);
}

#[test]
fn a_long_branch_keeps_its_suffix_and_its_length() {
    assert_eq!(round::suffixed(&"a".repeat(244), "12"), "a".repeat(241) + "-12");
    assert_eq!(round::suffixed("feature/x", "2"), "feature/x-2");
    assert_eq!(
        round::suffixed(&("a".repeat(240) + "/./b"), "12"),
        "a".repeat(240) + "-12",
        "no part ends with a dot"
    );
}

#[test]
fn a_rerun_waits_while_the_task_is_suspended() {
    let mut world = closed();
    world.edit(|spec| spec.suspend = true);
    world.rerun("1");
    world.rest();
    assert_eq!((world.reason().as_str(), world.status().round), (reason::SUSPENDED, Some(1)));
    world.edit(|spec| spec.suspend = false);
    world.rest();
    assert_eq!((world.row(), world.status().round), (REVIEW, Some(2)));
}

#[test]
fn somebody_elses_branch_is_left_alone_and_ours_gets_another_name() {
    let mut world = World::new();
    world.github.take_name("task/t/do-it");
    world.rest();
    assert_eq!(world.row(), REVIEW);
    assert_eq!(world.status().branch.as_deref(), Some("task/t/do-it-0123abcd"));

    let mut world = World::new();
    world.run_until(|world| world.holds(names::GENERATED));
    world.github.take_name("task/t/do-it");
    world.rest();
    assert_eq!(world.status().branch.as_deref(), Some("task/t/do-it-0123abcd"), "taken only at the creation");
    assert_eq!(world.github.branches["task/t/do-it"], "theirs");
    assert_eq!(world.github.branches["task/t/do-it-0123abcd"], world.status().commit_sha.expect("a commit"));

    let mut world = World::new();
    world.run_until(|world| world.holds(names::GENERATED));
    world.github.take_name("task/t/do-it");
    world.github.take_name("task/t/do-it-0123abcd");
    world.rest();
    assert_eq!((world.row(), world.reason().as_str()), (FAILED_LATE, "BranchTaken"));
}

#[test]
fn a_pull_request_of_an_earlier_round_is_not_this_ones_even_from_the_same_branch() {
    let mut world = closed();
    world.rerun("1");
    world.run_until(|world| world.made("CreateBranch") == 2);
    assert!(world.pass().is_ok_and(|passed| passed.stepped), "the pull request is made");
    let mut status = world.status();
    status.pull_request = None;
    conditions::remove(&mut status.conditions, names::STALLED);
    let mut old = world.github.observed(1).expect("there");
    old.observed.state = PullRequestState::Open;
    world.task.status = Some(status);
    let seen = Seen::Pulls(vec![old]);
    let plan = decide(&world.task, &Observed { context: world.context(), seen }, world.now);
    assert!(matches!(plan.step, Some(Step::CreatePullRequest { .. })), "{:?}", plan.step);
}

#[test]
fn a_pull_request_that_is_there_already_is_taken_wherever_it_stands() {
    for (state, row) in
        [(PullRequestState::Open, REVIEW), (PullRequestState::Closed, NEW), (PullRequestState::Merged, DONE)]
    {
        let mut world = World::new();
        world.faults.steps_only = true;
        world.faults.answer_lost = true;
        world.faults.github = Some(crate::domain::failure::Class::Transient);
        world.run_until(|world| world.made("CreatePullRequest") == 1);
        world.person_sets(state);
        world.rest();
        assert_eq!((world.row(), world.made("CreatePullRequest")), (row, 1), "{state:?}");
    }
}
