//! Rounds that are stuck after their commit: what a person may ask for then, and what must not come of it.

use super::{world::E2bSandbox, *};
use crate::{
    api::{PullRequestState, common::LocalRef, conditions::reason},
    domain::failure::Class,
};

/// The branch stands, and GitHub refuses whatever is to be done next.
fn refused() -> World {
    let mut world = World::new();
    world.run_until(|world| world.made("CreateBranch") == 1);
    world.faults.steps_only = true;
    world.faults.github = Some(Class::Invalid);
    world.rest();
    assert_eq!(world.row(), FAILED_LATE);
    world
}

fn heal(world: &mut World) {
    world.faults = Default::default();
    world.repository = Some(world::repository());
}

#[test]
fn another_branch_or_a_rerun_begins_the_next_round() {
    let mut world = World::new();
    world.run_until(|world| world.holds(names::GENERATED));
    world.github.take_name("task/t/do-it");
    world.github.take_name("task/t/do-it-0123abcd");
    world.rest();
    assert_eq!(world.reason(), reason::BRANCH_TAKEN);
    world.edit(|spec| spec.branch = Some("another/name".into()));
    world.rest();
    assert_eq!((world.row(), world.status().branch.as_deref()), (REVIEW, Some("another/name-2")));
    assert_eq!(world.github.branches["task/t/do-it-0123abcd"], "theirs");

    // The branch that was made goes.
    let mut world = refused();
    world.rerun("1");
    heal(&mut world);
    world.rest();
    assert_eq!((world.row(), world.status().round), (REVIEW, Some(2)));
    assert_eq!((world.made("DeleteBranch"), world.github.branches.len()), (1, 2));
}

#[test]
fn a_pull_request_that_nobody_has_recorded_is_taken_instead() {
    let mut world = World::new();
    world.run_until(|world| world.made("CreateBranch") == 1);
    (world.faults.steps_only, world.faults.answer_lost) = (true, true);
    world.faults.github = Some(Class::Invalid);
    world.rest();
    heal(&mut world);
    world.rerun("1");
    world.rest();
    assert_eq!((world.row(), world.status().round, world.number()), (REVIEW, Some(2), 1), "a round on it");
    assert_eq!((world.made("DeleteBranch"), world.made("CreatePullRequest")), (0, 1));
}

#[test]
fn anothers_pull_request_from_a_branch_of_the_name_is_left_alone() {
    let mut world = World::new();
    world.run_until(|world| world.holds(names::GENERATED));
    let taken = ["task/t/do-it", "task/t/do-it-0123abcd"];
    for name in taken {
        world.github.take_name(name);
    }
    world.rest();
    world.github.pulls.push(github::Pull {
        number: 1,
        branch: taken[1].into(),
        body: "theirs".into(),
        state: PullRequestState::Open,
        draft: false,
        head: "theirs".into(),
        updated_at: world.now,
        merged_at: None,
        base: "main".into(),
        repository: Some(7),
    });
    world.rerun("1");
    world.rest();
    assert_eq!((world.row(), world.number()), (REVIEW, 2));
    assert_eq!(world.github.pulls[0].state, PullRequestState::Open);
    assert_eq!(world.github.branches[taken[1]], "theirs");
}

#[test]
fn taken_back_before_the_next_has_begun_the_round_goes_on() {
    let mut world = refused();
    world.repository.as_mut().expect("there").health = Health::NotReady("soon".into());
    world.rerun("1");
    assert!(world.pass().is_ok());
    let open = find(&world.status().conditions, names::PULL_REQUEST_OPEN).cloned().expect("set");
    assert_eq!(open.reason, reason::ROUND_ABANDONED);
    world.task.metadata.annotations = None;
    heal(&mut world);
    world.rest();
    assert_eq!((world.row(), world.status().round, world.number()), (REVIEW, Some(1), 1));
}

#[test]
fn what_is_asked_for_while_it_is_suspended_is_not_forgotten() {
    let mut world = refused();
    world.edit(|spec| {
        spec.suspend = true;
        spec.base_branch = Some("release".into());
    });
    world.rest();
    assert_eq!(world.reason(), reason::SUSPENDED);
    heal(&mut world);
    world.github.branches.insert("release".into(), "release01".into());
    world.edit(|spec| spec.suspend = false);
    world.rest();
    assert_eq!((world.row(), world.status().round), (REVIEW, Some(2)));
    assert_eq!(world.status().base_sha.as_deref(), Some("release01"), "not the old commit onto the new base");
}

#[test]
fn a_branch_that_github_keeps_is_named_and_holds_up_nothing() {
    let mut world = refused();
    world.rerun("1");
    world.run_until(|world| world.status().round == Some(2));
    assert_eq!(world.notes, [reason::LEFT_BEHIND]);
    heal(&mut world);
    world.rest();
    assert_eq!((world.row(), world.made("DeleteBranch")), (REVIEW, 0));
    assert!(world.github.branches.contains_key("task/t/do-it"));
}

#[test]
fn a_branch_that_cannot_be_deleted_just_now_is_tried_again_before_the_next_round() {
    let mut world = refused();
    world.faults.github = Some(Class::Transient);
    world.rerun("1");
    world.run_until(|world| world.calls.iter().any(|(_, operation)| *operation == "deleteBranch"));
    assert_eq!((world.status().round, world.notes.len()), (Some(1), 0));
    heal(&mut world);
    world.rest();
    assert_eq!((world.row(), world.status().round, world.made("DeleteBranch")), (REVIEW, Some(2), 1));
}

#[test]
fn a_pull_request_that_was_opened_again_unheard_goes_on() {
    let mut world = World::new();
    world.rest();
    world.delivered(PullRequestState::Closed);
    world.person_sets(PullRequestState::Open);
    world.rerun("1");
    world.rest();
    assert_eq!((world.row(), world.status().round, world.number()), (REVIEW, Some(2), 1), "a round on it");
    assert_eq!(world.made("CreatePullRequest"), 1);
}

/// The first answer of the create was lost, and the replica that is read lags: it is this Task's branch all the same.
#[test]
fn a_branch_that_exists_and_is_not_shown_never_gets_a_second_name() {
    let mut world = World::new();
    world.commit_unpublished();
    let branch = world.status().branch.clone();
    let step = Step::CreateBranch { branch: branch.clone().expect("planned"), sha: "c".into() };
    let plan = Plan::act(world.status(), step.clone());
    let plan = record(&world.task, plan, &step, Outcome::BranchNotVisible, world.now);
    assert_eq!(plan.status.branch, branch);
    assert_eq!(plan.status.retry.map(|retry| retry.reason).as_deref(), Some(reason::NOT_VISIBLE_YET));
    world.rest();
    assert_eq!((world.row(), world.status().branch), (REVIEW, branch));
}

/// A Secret of the run has changed, and nobody knows its old value any more.
/// Its pull request is not opened first: nobody wants what that sandbox made any more.
#[test]
fn another_sandbox_before_the_pull_request_gives_the_round_up() {
    let mut world = World::shared();
    world.commit_unpublished();
    let second = SandboxView { name: "second".into(), id: Some("sb9".into()), ..world.sandboxes[0].clone() };
    world.sandboxes.push(second);
    world.boxes.push(E2bSandbox { id: "sb9".into(), alive: true, ..world.boxes[0].clone() });
    world.edit(|spec| spec.sandbox_ref = Some(LocalRef { name: "second".into() }));
    world.rest();
    assert_eq!((world.row(), world.status().round), (REVIEW, Some(2)));
    assert_eq!((world.made("CreatePullRequest"), world.status().sandbox_id.as_deref()), (1, Some("sb9")));
}

#[test]
fn a_rotated_secret_is_accepted_by_reconcile_and_by_nothing_else() {
    let mut world = World::new();
    world.run_until(|world| world.status().phase == Some(crate::api::Phase::Collecting));
    let rotated = world::failure("getSecret", Class::Invalid, reason::SECRET_ROTATED);
    let observed = locate(&world.task, &world.context(), world.now).failed(&rotated);
    let mut status = decide(&world.task, observed, world.now).status;
    let version = crate::api::SecretVersion { name: "keys".into(), version: "1".into() };
    status.code_generations[0].secret_versions = vec![version];
    world.task.status = Some(status);
    assert_eq!(world.reason(), reason::SECRET_ROTATED);
    let recorded = |world: &World| world.status().code_generations[0].secret_versions.len();
    world.edit(|spec| spec.pull_request.draft = true);
    assert!(world.pass().is_ok());
    assert_eq!(recorded(&world), 1, "another edit says nothing of it");
    let observed = locate(&world.task, &world.context(), world.now).failed(&rotated);
    world.task.status = Some(decide(&world.task, observed, world.now).status);
    world.annotate(crate::api::RECONCILE_ANNOTATION, "1");
    assert!(world.pass().is_ok());
    assert_eq!(recorded(&world), 0, "the old value is worthless");
    assert_eq!(
        world.status().accepted_rotation.as_deref(),
        Some("sb1"),
        "and so is what the sandbox was made with"
    );
}

#[test]
fn a_commit_is_not_given_up_for_want_of_a_repository() {
    let mut world = World::new();
    world.run_until(|world| world.status().commit_sha.is_some());
    world.repository.as_mut().expect("there").health = Health::Stalled("the token is refused".into());
    world.rest();
    assert!(world.holds(names::STALLED));
    world.edit(|spec| spec.title = "Better words".into());
    assert!(world.pass().is_ok());
    heal(&mut world);
    world.rest();
    assert_eq!(
        (world.row(), world.status().round, world.number()),
        (REVIEW, Some(2), 1),
        "opened, then the next"
    );
}
