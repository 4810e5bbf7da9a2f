//! Rounds while the pull request is open: one commit on top, and what people do to the branch meanwhile.
//! The others stand in `rounds`.

use super::*;
use crate::{
    api::{Phase, PullRequestState, conditions::reason},
    domain::{plan::Next, pull_request::Source},
};

/// In review, then asked for another round.
fn again_on_open(ask: impl FnOnce(&mut World)) -> World {
    let mut world = World::new();
    world.rest();
    assert_eq!(world.row(), REVIEW);
    ask(&mut world);
    world
}

#[test]
fn on_an_open_pull_request_a_round_puts_one_commit_on_top() {
    let mut world = again_on_open(|world| world.rerun("1"));
    let before = world.status();
    world.run_until(|world| world.made("Start") == 2);
    assert_eq!(world.row(), BUILDING, "in progress meanwhile");
    assert_eq!(world.status().commit_sha, before.commit_sha, "what was last published");
    world.rest();
    let status = world.status();
    assert_eq!((world.row(), status.round, world.number()), (REVIEW, Some(2), 1));
    assert_eq!((world.made("UpdateBranch"), world.made("CreatePullRequest")), (1, 1));
    assert_eq!((status.branch, status.parent_sha.clone()), (before.branch, before.commit_sha.clone()));
    let head = status.commit_sha.expect("committed");
    assert!(head.starts_with(&format!("{}>", before.commit_sha.expect("committed"))), "on top: {head}");
    assert_eq!(status.pull_request.and_then(|pull| pull.head_sha), Some(head));
    assert!(world.is_fixed_point());
}

#[test]
fn a_round_on_an_open_pull_request_is_crash_safe() {
    let mut whole = again_on_open(|world| world.rerun("1"));
    let before = whole.points;
    whole.rest();
    for point in 0..whole.points - before {
        let mut world = again_on_open(|world| world.rerun("1"));
        world.fuse = Some(point);
        world.rest();
        assert_eq!(world.effects, whole.effects, "abandoned at {point}");
        assert_eq!(world.row(), REVIEW, "abandoned at {point}");
    }
}

#[test]
fn a_failed_round_on_an_open_pull_request_says_so_and_the_next_may_heal_it() {
    let mut world = again_on_open(|world| {
        world.command.1 = 1;
        world.rerun("1");
    });
    world.rest();
    assert_eq!((world.row(), world.reason().as_str()), (FAILED_LATE, reason::GENERATION_FAILED));
    assert_eq!(world.github.open_pulls(), 1, "it stays");
    world.command.1 = 0;
    world.rerun("2");
    world.rest();
    assert_eq!((world.row(), world.status().round, world.number()), (REVIEW, Some(3), 1));
}

#[test]
fn a_round_that_changes_nothing_leaves_the_pull_request_in_review() {
    let mut world = again_on_open(|world| {
        world.command.2 = Some("as in base".into());
        world.rerun("1");
    });
    world.rest();
    assert_eq!((world.row(), world.reason().as_str()), (REVIEW, reason::NOTHING_TO_COMMIT));
    assert!(world.holds(names::READY) && world.is_fixed_point());
    assert_eq!(world.made("UpdateBranch"), 0);
}

#[test]
fn a_pull_request_closed_or_merged_in_mid_round_ends_the_round() {
    for (state, row) in [(PullRequestState::Closed, NEW), (PullRequestState::Merged, DONE)] {
        let mut world = again_on_open(|world| {
            world.command.0 = 600;
            world.rerun("1");
        });
        world.run_until(|world| world.made("Start") == 2);
        world.person_sets(state);
        world.news(Source::Delivery);
        world.rest();
        assert_eq!((world.row(), world.alive(), world.made("Signal")), (row, 0, 1), "{state:?}");
        assert_eq!(world.notes, [reason::ROUND_ABANDONED], "{state:?}");
        assert_eq!(world.made("UpdateBranch"), 0, "{state:?}: nothing is committed");
        let said = [names::GENERATED, names::SANDBOX_READY].map(|type_| world.reason_of(type_));
        assert_eq!(said, [reason::ROUND_ABANDONED, reason::NOT_NEEDED], "{state:?}: nothing goes on");
    }
}

#[test]
fn what_a_reviewer_pushed_before_the_round_stays_below_its_commit() {
    let mut world = again_on_open(|_| ());
    let ours = world.status().commit_sha.expect("committed");
    let pushed = format!("{ours}>review@1");
    world.github.branches.insert("task/t/do-it".into(), pushed.clone());
    world.person(|pull| pull.head = pushed.clone());
    world.rerun("1");
    world.rest();
    let status = world.status();
    assert_eq!((world.row(), status.parent_sha.as_ref()), (REVIEW, Some(&pushed)));
    assert!(status.commit_sha.expect("committed").starts_with(&format!("{pushed}>")));
}

#[test]
fn what_a_reviewer_pushes_meanwhile_is_never_taken_back() {
    let mut world = again_on_open(|world| world.rerun("1"));
    world.run_until(|world| world.status().phase == Some(Phase::Generating));
    let pushed = format!("{}>review@1", world.status().commit_sha.expect("committed"));
    world.github.branches.insert("task/t/do-it".into(), pushed.clone());
    world.person(|pull| pull.head = pushed.clone());
    world.rest();
    assert_eq!((world.row(), world.reason().as_str()), (FAILED_LATE, reason::HEAD_MOVED));
    assert_eq!(world.github.branches["task/t/do-it"], pushed);
    world.rerun("2");
    world.rest();
    assert_eq!(world.row(), REVIEW);
    assert!(world.github.branches["task/t/do-it"].starts_with(&pushed));
}

#[test]
fn what_a_reviewer_pushes_meanwhile_to_other_files_stays_below_the_commit() {
    let mut world = again_on_open(|world| world.rerun("1"));
    world.github.overlaps = false;
    world.run_until(|world| world.status().phase == Some(Phase::Generating));
    let ours = world.status().commit_sha.expect("committed");
    let pushed = format!("{ours}>review@1");
    world.github.branches.insert("task/t/do-it".into(), pushed.clone());
    world.person(|pull| pull.head = pushed.clone());
    world.rest();
    let status = world.status();
    assert_eq!((world.row(), status.parent_sha.as_ref()), (REVIEW, Some(&pushed)));
    let head = status.commit_sha.expect("committed");
    assert!(head.starts_with(&format!("{pushed}>")) && world.github.branches["task/t/do-it"] == head);
    assert_eq!((world.made("UpdateBranch"), world.made("Start")), (1, 2));
}

#[test]
fn another_publication_waits_while_the_pull_request_is_open_and_says_so() {
    let mut world = again_on_open(|world| world.edit(|spec| spec.source.exclude = vec!["*.log".into()]));
    world.rest();
    assert_eq!((world.row(), world.status().round, world.made("Start")), (REVIEW, Some(1), 1));
    assert!(world.message().contains("waits for the next round"), "{}", world.message());
    assert!(world.is_fixed_point());
}

#[test]
fn another_branch_asked_for_in_mid_round_does_not_take_the_commit_from_the_open_pull_request() {
    let mut world = again_on_open(|world| world.rerun("1"));
    let branch = world.status().branch;
    world.run_until(|world| world.made("Start") == 2);
    world.edit(|spec| spec.branch = Some("another/name".into()));
    assert!(world.pass().is_ok());
    assert_eq!(world.status().branch, branch);
    world.rest();
    assert_eq!((world.row(), world.number(), world.made("UpdateBranch")), (REVIEW, 1, 1));
}

#[test]
fn news_of_the_pull_request_do_not_hide_that_its_round_has_failed() {
    let mut world = again_on_open(|world| {
        world.command.1 = 1;
        world.rerun("1");
    });
    world.rest();
    world.person(|pull| pull.draft = true);
    world.news(Source::Delivery);
    assert!(world.pass().is_ok(), "GitHub is asked");
    assert_eq!((world.row(), world.reason().as_str()), (FAILED_LATE, reason::GENERATION_FAILED));
    assert!(world.holds(names::STALLED) && world.is_fixed_point());
    // Nor do they keep the next round waiting.
    world.person(|pull| pull.draft = false);
    world.news(Source::Delivery);
    world.rerun("2");
    assert!(world.pass().is_ok_and(|passed| passed.next == Next::Now));
}

#[test]
fn ready_is_never_said_of_a_change_that_the_next_pass_takes_up() {
    // Between commit and pull request, and beside a reopening that is still to be confirmed.
    let mut world = World::new();
    world.run_until(|world| world.status().phase == Some(Phase::BranchCreated));
    world.edit(|spec| spec.title = "Better words".into());
    world.run_until(|world| world.made("CreatePullRequest") == 1);
    assert!(!world.holds(names::READY), "{}", world.reason());
    world.rest();
    assert_eq!((world.row(), world.status().round), (REVIEW, Some(2)));
    world.delivered(PullRequestState::Closed);
    world.person_sets(PullRequestState::Open);
    world.news(Source::Delivery);
    world.rerun("1");
    assert!(world.pass().is_ok());
    assert!(!world.holds(names::READY), "{}", world.reason());
    world.rest();
    assert_eq!((world.row(), world.status().round), (REVIEW, Some(3)));
}

#[test]
fn a_round_on_an_open_pull_request_is_made_from_the_branch_that_it_goes_to() {
    let mut world = again_on_open(|world| {
        world.github.branches.insert("release".into(), "release01".into());
        world.repository.as_mut().expect("there").base_branch = Some("release".into());
        world.rerun("1");
    });
    world.rest();
    let status = world.status();
    assert_eq!((world.row(), status.round, status.base_branch.as_deref()), (REVIEW, Some(2), Some("main")));
    assert_eq!(status.base_sha.as_deref(), Some(github::BASE));
}

/// GitHub has the commit, and no branch shows it: what was published before is the last again.
#[test]
fn a_commit_that_was_never_published_is_not_taken_for_the_pull_requests() {
    let committed = || {
        let mut world = World::new();
        world.rest();
        let first = world.status().commit_sha;
        world.rerun("1");
        world.commit_unpublished();
        assert_eq!(world.status().published_sha, first);
        (world, first)
    };
    let (mut world, first) = committed();
    world.person_sets(PullRequestState::Closed);
    world.news(Source::Delivery);
    world.rest();
    assert_eq!((world.row(), world.status().commit_sha), (NEW, first));

    let (mut world, first) = committed();
    let pushed = format!("{}>review@1", first.clone().expect("published"));
    world.github.branches.insert("task/t/do-it".into(), pushed.clone());
    world.person(|pull| pull.head = pushed.clone());
    world.rest();
    assert_eq!((world.reason().as_str(), world.status().commit_sha), (reason::HEAD_MOVED, first));
    assert_eq!(world.status().published_sha, None);
}

#[test]
fn a_commit_on_an_open_pull_request_is_published_before_the_next_round() {
    let mut world = World::new();
    world.edit(|spec| spec.branch = Some("feature/x".into()));
    world.rest();
    world.rerun("1");
    world.commit_unpublished();
    world.rerun("2");
    world.rest();
    assert_eq!((world.row(), world.status().round), (REVIEW, Some(3)));
    assert_eq!(world.made("UpdateBranch"), 2, "{:?}", world.effects);
}

#[test]
fn a_read_in_mid_round_ends_the_round_only_where_the_pull_request_has_its_commit() {
    for (has_it, phase, next) in
        [(false, Phase::Committed, Next::Now), (true, Phase::PullRequestOpen, Next::AwaitChange)]
    {
        let mut world = again_on_open(|world| world.rerun("1"));
        world.commit_unpublished();
        let commit = world.status().commit_sha.expect("a commit");
        world.person(|pull| pull.head = if has_it { commit.clone() } else { "pushed".into() });
        world.news(Source::Delivery);
        world.pass_time(10);
        assert!(world.pass().is_ok_and(|passed| passed.next == next), "has it: {has_it}");
        assert_eq!(world.status().phase, Some(phase), "has it: {has_it}");
    }
}

#[test]
fn another_publication_begins_no_round_on_an_open_pull_request_that_is_stuck() {
    let mut world = World::new();
    world.rest();
    world.rerun("1");
    world.run_until(|world| world.status().phase == Some(Phase::Collecting));
    (world.faults.github, world.faults.steps_only) = (Some(crate::domain::failure::Class::Denied), true);
    world.rest();
    assert_eq!((world.status().phase, world.holds(names::STALLED)), (Some(Phase::Committed), true));
    world.edit(|spec| spec.source.exclude = vec!["*.log".into()]);
    for _ in 0..5 {
        assert!(world.pass().is_ok());
        world.pass_time(1);
    }
    assert_eq!((world.status().round, world.status().phase), (Some(2), Some(Phase::Committed)));
    world.faults = faults::Faults::default();
    world.annotate(crate::api::RECONCILE_ANNOTATION, "1");
    world.rest();
    assert_eq!((world.row(), world.status().round, world.made("Start")), (REVIEW, Some(2), 2));
    assert!(world.message().contains("waits for the next round"), "{}", world.message());
}
