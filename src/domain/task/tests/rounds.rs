//! Rounds: when a new one begins, what it leaves behind, and that nothing but a person begins one.

use super::*;
use crate::{
    api::{Phase, PullRequestState, conditions::reason},
    domain::pull_request::Source,
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
    assert_eq!((world.row(), world.status().round, world.number()), (REVIEW, Some(2), 1), "a round on it");
    assert_eq!(world.made("CreatePullRequest"), 1);

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
        for _ in 0..5 {
            assert!(world.pass().is_ok());
            world.pass_time(1);
        }
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
    type Ask = fn(&mut World);
    let asks: [Ask; 4] = [
        |world| world.rerun("1"),
        |world| world.edit(|spec| spec.description = Some("something else".into())),
        |world| world.edit(|spec| spec.base_branch = Some("release".into())),
        |world| world.edit_template(|spec| spec.template = "other".into()),
    ];
    for ask in asks {
        let mut world = World::new();
        world.github.branches.insert("release".into(), "release01".into());
        world.command.0 = 600;
        world.run_until(|world| world.made("Start") == 1);
        world.command.0 = 12;
        ask(&mut world);
        world.run_until(|world| world.status().round == Some(2));
        assert!(world.processes[0].signalled && world.alive() <= 1, "signalled, its end awaited");
        world.rest();
        assert_eq!((world.row(), world.made("Start")), (REVIEW, 2));
        let base = if world.task.spec.base_branch.is_some() { "release01" } else { github::BASE };
        assert_eq!(world.status().base_sha.as_deref(), Some(base));
    }
}

#[test]
fn files_that_were_read_and_not_committed_are_discarded() {
    let mut world = World::new();
    world.faults.github = None;
    world.run_until(|world| world.status().phase == Some(Phase::Collecting));
    world.faults.github = Some(crate::domain::failure::Class::Transient);
    assert!(world.pass().is_ok());
    world.faults.github = None;
    world.edit(|spec| spec.title = "Another title".into());
    world.rest();
    assert_eq!((world.row(), world.status().round, world.made("Start")), (REVIEW, Some(2), 2));
    assert!(world.spool.is_empty(), "its room is given back");
}

#[test]
fn another_publication_runs_no_command_again() {
    let publish: fn(&mut crate::api::TaskSpec) = |spec| spec.source.exclude = vec!["*.log".into()];
    let mut world = closed();
    world.edit(publish);
    world.rest();
    let status = world.status();
    assert_eq!((world.row(), status.round, world.number()), (REVIEW, Some(2), 2));
    assert_eq!((world.made("Start"), status.files_from.is_some()), (1, true));
    assert_eq!(status.branch.as_deref(), Some("task/t/do-it-2"));

    // Its files went with their sandbox.
    let mut world = closed();
    world.lose_sandbox();
    world.edit(publish);
    world.rest();
    assert_eq!((world.row(), world.reason().as_str()), (FAILED_EARLY, reason::SANDBOX_FILES_LOST));
    assert!(world.message().contains("slipway.dev/rerun"), "{}", world.message());
    assert_eq!(world.made("Start"), 1);
    world.rerun("1");
    world.rest();
    assert_eq!((world.row(), world.made("Start")), (REVIEW, 2));
}

#[test]
fn files_of_an_earlier_input_are_not_published_under_another() {
    let mut world = closed();
    world.edit(|spec| spec.source.exclude = vec!["*.log".into()]);
    world.run_until(|world| world.status().files_from.is_some());
    world.edit(|spec| spec.description = Some("something else".into()));
    world.rest();
    assert_eq!((world.row(), world.status().round, world.made("Start")), (REVIEW, Some(2), 2));
}

#[test]
fn another_publication_before_the_commit_goes_into_the_same_round() {
    for phase in [Phase::Generating, Phase::Collecting] {
        let mut world = World::new();
        world.run_until(|world| world.status().phase == Some(phase));
        world.edit(|spec| {
            spec.source.exclude = vec!["*.log".into()];
            spec.branch = Some("another/name".into());
        });
        world.rest();
        let status = world.status();
        assert_eq!((world.row(), status.round, world.made("Start")), (REVIEW, Some(1), 1), "{phase:?}");
        assert_eq!(status.branch.as_deref(), Some("another/name"), "{phase:?}");
    }
}

#[test]
fn a_change_between_commit_and_pull_request_opens_that_first() {
    let mut world = World::new();
    world.run_until(|world| world.status().phase == Some(Phase::BranchCreated));
    let text = world.status().publication.expect("fixed");
    world.edit(|spec| {
        spec.title = "Better words".into();
        spec.pull_request.title = Some("Later words".into());
    });
    world.run_until(|world| world.made("CreatePullRequest") == 1);
    assert_eq!(world.github.pulls[0].body, text.body);
    world.rest();
    assert_eq!((world.row(), world.status().round, world.number()), (REVIEW, Some(2), 1));

    // Where it would go somewhere else by now, it is not opened at all.
    let mut world = World::new();
    world.github.branches.insert("release".into(), "release01".into());
    world.run_until(|world| world.status().phase == Some(Phase::BranchCreated));
    world.edit(|spec| spec.base_branch = Some("release".into()));
    world.rest();
    assert_eq!((world.row(), world.status().round, world.number()), (REVIEW, Some(2), 1));
    assert_eq!((world.made("CreatePullRequest"), world.made("DeleteBranch")), (1, 1));
    assert_eq!(world.status().base_branch.as_deref(), Some("release"));
}

#[test]
fn a_phase_of_a_newer_release_is_left_alone() {
    let mut world = World::new();
    world.run_until(|world| world.made("Start") == 1);
    let mut status = world.status();
    status.phase = Some(Phase::Unknown);
    world.task.status = Some(status);
    let effects = world.effects.len();
    world.rest();
    assert_eq!((world.reason().as_str(), world.effects.len()), (reason::UNDECODABLE, effects));
    assert_eq!(world.status().phase, Some(Phase::Unknown));
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
    (status.phase, status.publication) = (Some(Phase::BranchCreated), None);
    let mut old = world.github.observed(1).expect("there");
    old.observed.state = PullRequestState::Open;
    world.task.status = Some(status);
    let observed = match locate(&world.task, &world.context(), world.now) {
        Position::FindPulls(asked) => asked.answered(Ok(vec![old])),
        other => panic!("the pull request is looked for: {other:?}"),
    };
    let plan = decide(&world.task, observed, world.now);
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
