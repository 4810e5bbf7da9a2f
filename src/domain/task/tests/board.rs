//! The board's table, row by row, and what leads back from a row to the next.

use super::*;
use crate::{
    api::{PullRequestState, conditions::reason},
    domain::failure::Class,
};

fn at(world: &World) -> (Row, String) {
    (world.row(), world.reason())
}

/// Rests, and tells where.
fn rested(world: &mut World) -> (Row, String) {
    world.rest();
    at(world)
}

#[test]
fn a_new_task_that_waits_for_its_repository_is_pending() {
    let mut world = World::new();
    world.repository = None;
    assert!(world.pass().is_ok());
    assert_eq!(at(&world), (NEW, reason::REPOSITORY_NOT_FOUND.into()));
    assert!(world.message().contains("Repository r does not exist"), "{}", world.message());
    world.repository = Some(world::repository());
    world.repository.as_mut().expect("there").health = Health::NotReady("the token is being read".into());
    assert!(world.pass().is_ok());
    assert_eq!(at(&world), (NEW, reason::REPOSITORY_NOT_READY.into()));
    assert!(world.message().contains("the token is being read"), "its message is repeated");
    world.repository.as_mut().expect("there").suspended = true;
    assert!(world.pass().is_ok());
    assert_eq!(at(&world), (NEW, reason::REPOSITORY_SUSPENDED.into()));
    world.repository = Some(world::repository());
    assert_eq!(rested(&mut world), (REVIEW, reason::IN_REVIEW.into()));
}

#[test]
fn a_task_that_waits_for_its_turn_is_pending_and_names_the_holder() {
    let mut world = World::shared();
    world.holder = Some("first".into());
    assert!(world.pass().is_ok());
    assert_eq!(at(&world), (NEW, reason::WAITING_FOR_SANDBOX.into()));
    assert!(world.message().contains("first"));
    world.holder = None;
    assert_eq!(rested(&mut world), (REVIEW, reason::IN_REVIEW.into()));
}

#[test]
fn sandbox_generation_and_commit_are_building() {
    let mut world = World::new();
    let mut seen = Vec::new();
    for _ in 0..40 {
        let passed = world.pass();
        assert!(passed.is_ok());
        world.sandbox_controller();
        world.pass_time(5);
        if world.row() == BUILDING && !seen.contains(&world.reason()) {
            seen.push(world.reason());
        }
    }
    let way =
        [reason::SANDBOX_NOT_READY, reason::GENERATING, reason::COMMITTING, reason::OPENING_PULL_REQUEST];
    assert_eq!(seen, way);
}

#[test]
fn a_draft_is_building_and_ready_until_it_is_marked_ready() {
    let mut world = World::new();
    world.task.spec.pull_request.draft = true;
    assert_eq!(rested(&mut world), (BUILDING, reason::DRAFT.into()));
    assert!(world.holds(names::READY));
    world.person(|pull| pull.draft = false);
    world.news(crate::domain::pull_request::Source::Delivery);
    assert_eq!(rested(&mut world), (REVIEW, reason::IN_REVIEW.into()));
}

#[test]
fn closed_is_pending_reopened_is_review_and_draft_wins_over_reopened() {
    let mut world = World::new();
    world.rest();
    let branch = world.status().branch;
    world.delivered(PullRequestState::Closed);
    assert_eq!(at(&world), (NEW, reason::CLOSED.into()));
    assert_eq!(world.status().branch, None, "cleared with the way back to todo");
    world.delivered(PullRequestState::Open);
    assert_eq!(at(&world), (REVIEW, reason::IN_REVIEW.into()));
    assert_eq!(world.status().branch, branch, "a reopened pull request brings its branch back");
    world.delivered(PullRequestState::Closed);
    world.person(|pull| pull.draft = true);
    world.delivered(PullRequestState::Open);
    assert_eq!(at(&world), (BUILDING, reason::DRAFT.into()));
}

#[test]
fn merged_is_done_at_the_time_of_the_merge_and_never_left() {
    let mut world = World::new();
    world.rest();
    world.person_sets(PullRequestState::Merged);
    let merged_at = world.now;
    world.pass_time(500);
    world.news(crate::domain::pull_request::Source::Sync);
    assert_eq!(rested(&mut world), (DONE, reason::MERGED.into()));
    assert_eq!(world.status().completed_at.map(|time| time.0), Some(merged_at));
    assert!(world.holds(names::MERGED) && !world.holds(names::PULL_REQUEST_OPEN));
    let mut late = world.github.observed(world.number()).expect("there").observed;
    (late.state, late.merged_at, late.updated_at) = (PullRequestState::Open, None, Some(world.now));
    world.tell(&late, crate::domain::pull_request::Source::Delivery);
    assert_eq!(rested(&mut world), (DONE, reason::MERGED.into()));
}

#[test]
fn a_merge_that_github_does_not_confirm_is_undone_with_a_warning() {
    let mut world = World::new();
    world.rest();
    let mut said = world.github.observed(world.number()).expect("there").observed;
    said.state = PullRequestState::Merged;
    world.tell(&said, crate::domain::pull_request::Source::Delivery);
    assert_eq!(world.row(), DONE);
    assert_eq!(rested(&mut world), (REVIEW, reason::IN_REVIEW.into()));
    assert_eq!(world.notes, ["MergeNotConfirmed"]);
    assert_eq!(world.made("DeleteSandbox"), 0);
}

#[test]
fn stuck_before_or_in_generation_is_todo_and_failed() {
    let mut world = World::new();
    world.command.1 = 3;
    assert_eq!(rested(&mut world), (FAILED_EARLY, reason::GENERATION_FAILED.into()));
    assert!(world.message().contains("exit code 3") && world.message().contains("said this"));
    assert_eq!(world.status().branch, None);
    assert_eq!(world.made("Start"), 1, "never repeated by itself");

    let mut world = World::new();
    world.github.branches.clear();
    assert_eq!(rested(&mut world), (FAILED_EARLY, reason::BASE_BRANCH_MISSING.into()));
}

#[test]
fn stuck_after_generation_stays_in_development_with_its_branch() {
    let mut world = World::new();
    world.command.2 = None;
    assert_eq!(rested(&mut world), (FAILED_LATE, reason::NO_FILES.into()));
    assert!(world.status().branch.is_some());

    let mut world = World::new();
    world.run_until(|world| world.status().commit_sha.is_some());
    world.faults.github = Some(Class::Invalid);
    assert_eq!(rested(&mut world), (FAILED_LATE, "Refused".into()));
    assert!(world.status().branch.is_some());
}

#[test]
fn nothing_changed_is_ready_in_todo() {
    let mut world = World::new();
    world.command.2 = Some("as in base".into());
    assert_eq!(rested(&mut world), (NOTHING_CHANGED, reason::NOTHING_TO_COMMIT.into()));
    assert!(world.holds(names::READY));
    assert_eq!(world.status().branch, None);
    assert_eq!((world.made("CreateBranch"), world.made("CreatePullRequest")), (0, 0));
}

/// Each stuck row heals when its cause is gone, without anybody's help.
#[test]
fn a_stuck_row_heals_with_its_cause() {
    type Change = fn(&mut World);
    let causes: [(&str, Change, Change); 6] = [
        ("repository missing", |w| w.repository = None, |w| w.repository = Some(world::repository())),
        (
            "repository stalled",
            |w| w.repository.as_mut().expect("there").health = Health::Stalled("no token".into()),
            |w| w.repository.as_mut().expect("there").health = Health::Ready,
        ),
        ("base branch", |w| w.github.branches.clear(), |w| w.github = github::GitHub::new()),
        ("secret", |w| w.faults.secret_missing = true, |w| w.faults.secret_missing = false),
        ("github", |w| w.faults.github = Some(Class::Denied), |w| w.faults.github = None),
        ("e2b", |w| w.faults.e2b = Some(Class::Denied), |w| w.faults.e2b = None),
    ];
    for (name, cause, cure) in causes {
        let mut world = World::new();
        cause(&mut world);
        world.rest();
        assert_eq!(world.row(), FAILED_EARLY, "{name}: {}", world.reason());
        assert!(world.holds(names::STALLED), "{name}");
        cure(&mut world);
        for _ in 0..30 {
            world.pass_time(30);
            assert!(world.pass().is_ok());
            world.sandbox_controller();
        }
        world.rest();
        assert_eq!(at(&world), (REVIEW, reason::IN_REVIEW.into()), "{name}");
    }
}

#[test]
fn a_sandbox_that_is_stalled_is_said_with_its_message_and_heals() {
    let mut world = World::new();
    assert!(world.pass().is_ok());
    world.sandbox_mut().expect("made").health = Health::Stalled("template x does not exist".into());
    assert_eq!(rested(&mut world), (FAILED_EARLY, reason::SANDBOX_NOT_READY.into()));
    assert!(world.message().contains("template x does not exist"));
    world.sandbox_mut().expect("made").health = Health::NotReady("trying again".into());
    assert!(world.pass().is_ok());
    assert_eq!(at(&world), (BUILDING, reason::SANDBOX_NOT_READY.into()));
    assert_eq!(rested(&mut world), (REVIEW, reason::IN_REVIEW.into()));
}

#[test]
fn suspending_moves_nothing_and_resuming_goes_on() {
    let mut whole = World::new();
    whole.rest();
    let passes = 9;
    for stop in 0..passes {
        let mut world = World::new();
        for _ in 0..stop {
            assert!(world.pass().is_ok());
            world.sandbox_controller();
            world.pass_time(3);
        }
        let before = world.row();
        world.edit(|spec| spec.suspend = true);
        let calls = world.calls.len();
        assert_eq!(rested(&mut world), (before, reason::SUSPENDED.into()), "after {stop} passes");
        assert!(world.holds(names::READY));
        world.pass_time(100);
        assert!(world.pass().is_ok());
        assert_eq!(world.calls.len(), calls, "no call while suspended");
        world.edit(|spec| spec.suspend = false);
        assert_eq!(rested(&mut world), (REVIEW, reason::IN_REVIEW.into()), "after {stop} passes");
        assert_eq!(world.effects, whole.effects);
    }
}

#[test]
fn a_delivery_while_suspended_moves_the_board_and_is_confirmed_after_the_resume() {
    let mut world = World::new();
    world.rest();
    world.edit(|spec| spec.suspend = true);
    world.rest();
    world.person_sets(PullRequestState::Merged);
    world.news(crate::domain::pull_request::Source::Delivery);
    assert!(world.pass().is_ok());
    assert_eq!(at(&world), (DONE, reason::SUSPENDED.into()));
    assert!(world.status().pull_request.is_some_and(|pull| pull.unconfirmed));
    assert_eq!(world.made("DeleteSandbox"), 0, "not before GitHub has confirmed");
    world.edit(|spec| spec.suspend = false);
    assert_eq!(rested(&mut world), (DONE, reason::MERGED.into()));
    assert_eq!(world.made("DeleteSandbox"), 1);
}

#[test]
fn another_repository_under_the_same_name_is_refused() {
    let mut world = World::new();
    world.run_until(|world| world.reason() == reason::GENERATING);
    world.repository.as_mut().expect("there").id = Some(8);
    assert_eq!(rested(&mut world), (FAILED_EARLY, reason::REPOSITORY_CHANGED.into()));
}
