//! What a pull request says, and what an edit does to a round that has little or nothing left to publish.

use super::*;
use crate::{
    api::{Phase, PullRequestState, conditions::reason},
    domain::{output::Output, pull_request::marker},
};

#[test]
fn the_text_is_the_tasks_where_the_spec_has_none_and_ends_with_the_line() {
    let mut world = World::new();
    let status = world.status();
    let line = marker(world::UID, 1);
    assert_eq!(pull_request_text(&world.task, &status, &Output::default()), ("Do it".into(), line.clone()));
    world.edit(|spec| spec.description = Some("Why.\n".into()));
    assert_eq!(pull_request_text(&world.task, &status, &Output::default()).1, format!("Why.\n\n{line}"));
    world.edit(|spec| {
        spec.pull_request.title = Some("Title".into());
        spec.pull_request.body = Some("Body".into());
    });
    assert_eq!(
        pull_request_text(&world.task, &status, &Output::default()),
        ("Title".into(), format!("Body\n\n{line}"))
    );
}

#[test]
fn nobody_elses_text_claims_a_pull_request() {
    let mut world = World::new();
    let claim = marker("another", 1);
    world.edit(|spec| spec.description = Some(format!("Why.\n{claim}")));
    let body = pull_request_text(&world.task, &world.status(), &Output::default()).1;
    assert_eq!(body, format!("Why.\n\n{}", marker(world::UID, 1)));
}

#[test]
fn another_publication_of_a_closed_pull_request_whose_last_round_failed_runs_no_command() {
    let mut world = World::new();
    world.rest();
    world.command.1 = 1;
    world.rerun("1");
    world.rest();
    assert_eq!(world.reason(), reason::GENERATION_FAILED);
    world.delivered(PullRequestState::Closed);
    world.rest();
    world.command.1 = 0;
    world.edit(|spec| spec.source.exclude = vec!["*.log".into()]);
    world.rest();
    assert_eq!((world.row(), world.reason().as_str(), world.made("Start")), (NEW, reason::CLOSED, 2));
    world.rerun("2");
    world.rest();
    assert_eq!((world.row(), world.made("Start")), (REVIEW, 3));
}

#[test]
fn another_publication_after_a_round_without_a_pull_request_publishes_the_files_that_there_are() {
    for (code, made, round) in [(1, "made", 1), (0, "as in base", 2)] {
        let mut world = World::new();
        world.command = (12, code, Some(made.into()));
        world.rest();
        let row = world.row();
        world.edit(|spec| spec.source.exclude = vec!["*.log".into()]);
        world.rest();
        assert_eq!((world.row(), world.status().round, world.made("Start")), (row, Some(round), 1), "{made}");
    }
}

#[test]
fn a_commit_is_not_given_up_while_it_goes_where_the_spec_says_or_beside_it() {
    for taken in [false, true] {
        let mut world = World::new();
        world.task.spec.branch = Some("feature/x".into());
        if taken {
            world.github.take_name("feature/x");
        }
        world.run_until(|world| world.status().phase == Some(Phase::BranchCreated));
        world.edit(|spec| spec.title = "Better words".into());
        world.rest();
        assert_eq!((world.row(), world.status().round, world.number()), (REVIEW, Some(2), 1));
        assert_eq!((world.made("DeleteBranch"), world.made("UpdateBranch")), (0, 1), "taken: {taken}");
    }
}

#[test]
fn a_commit_is_not_given_up_because_nobody_knows_the_base_branch_now() {
    let mut world = World::new();
    world.github.branches.insert("develop".into(), "develop01".into());
    world.repository.as_mut().expect("there").base_branch = Some("develop".into());
    world.run_until(|world| world.status().phase == Some(Phase::BranchCreated));
    let repository = world.repository.take();
    world.edit(|spec| spec.title = "Better words".into());
    for _ in 0..3 {
        assert!(world.pass().is_ok());
        world.pass_time(1);
    }
    assert_eq!((world.status().phase, world.status().round), (Some(Phase::BranchCreated), Some(1)));
    world.repository = repository;
    world.rest();
    assert_eq!((world.row(), world.status().round, world.number()), (REVIEW, Some(2), 1));
    assert_eq!(world.made("DeleteBranch"), 0);
}

#[test]
fn work_that_is_not_part_of_the_result_is_named() {
    for made in ["as in base", "made"] {
        let mut world = World::new();
        world.command = (12, 0, Some(made.into()));
        world.remarks.elsewhere = vec!["branch agent".into(), "the stash".into()];
        world.remarks.submodules = vec!["lib".into()];
        world.rest();
        assert_eq!(world.notes, [reason::SUBMODULE_MOVED, reason::WORK_ELSEWHERE], "{made}");
        let says = |text: &str| world.message().contains(text);
        let nothing = made == "as in base";
        assert_eq!((says("on: branch agent, the stash"), says("travel: lib")), (nothing, nothing), "{made}");
    }
}

/// Calls go by the repository's name, which may be another's by now: the answer tells, and nothing more is done there.
#[test]
fn a_pull_request_in_another_repository_is_not_the_tasks_and_ends_its_way() {
    let mut world = World::new();
    world.run_until(|world| world.status().phase == Some(Phase::BranchCreated));
    world.github.replaced_by = Some(99);
    world.rest();
    assert_eq!((world.row(), world.reason().as_str()), (FAILED_LATE, reason::REPOSITORY_CHANGED));
    assert!(world.holds(names::STALLED) && world.status().pull_request.is_none());
    assert!(
        world.message().contains("id 99") && world.message().contains("pull request 1"),
        "{}",
        world.message()
    );
    for _ in 0..20 {
        world.pass_time(100);
        assert!(world.pass().is_ok());
    }
    assert_eq!((world.made("CreatePullRequest"), world.reason().as_str()), (1, reason::REPOSITORY_CHANGED));
}
