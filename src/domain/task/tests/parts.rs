//! What is set of a pull request once it is open, and its branch after the merge.

use super::*;
use crate::api::{PullRequestState, conditions::reason};

fn with_parts() -> World {
    let mut world = World::new();
    world.edit(|spec| {
        spec.pull_request.labels = vec!["ai".into()];
        spec.pull_request.reviewers = vec!["ann".into()];
    });
    world
}

#[test]
fn labels_and_reviewers_are_set_once_when_it_is_opened_and_never_again() {
    let mut world = with_parts();
    world.rest();
    assert_eq!((world.made("SetPart Labels"), world.made("SetPart Reviewers")), (1, 1));
    assert_eq!((world.reason().as_str(), world.row()), (reason::IN_REVIEW, REVIEW));
    world.rerun("1");
    world.rest();
    world.edit(|spec| spec.pull_request.labels = vec!["other".into()]);
    world.rest();
    assert_eq!((world.made("SetPart"), world.row()), (2, REVIEW));
    let mut plain = World::new();
    plain.rest();
    assert_eq!(plain.made("SetPart"), 0);
}

#[test]
fn what_github_refuses_of_them_is_a_warning() {
    let mut world = with_parts();
    world.github.refuses_parts = true;
    world.rest();
    assert_eq!((world.made("SetPart"), world.row()), (2, REVIEW));
    assert_eq!(world.notes, [reason::PULL_REQUEST_REFUSED; 2]);
    assert!(world.status().retry.is_none() && world.holds(names::READY));
}

#[test]
fn a_delivery_that_is_faster_than_the_answer_changes_nothing_of_it() {
    let mut world = with_parts();
    world.run_until(|world| world.made("CreatePullRequest") == 1);
    let mut early = world.clone();
    early.rest();
    assert_eq!(early.made("SetPart"), 2);
}

#[test]
fn the_branch_goes_after_the_merge_where_the_spec_says_so() {
    for (wanted, pushed, branch, notes) in
        [(false, false, true, 0), (true, false, false, 0), (true, true, true, 1)]
    {
        let mut world = World::new();
        world.edit(|spec| spec.pull_request.delete_branch = wanted);
        world.rest();
        let name = world.status().branch.expect("a branch");
        if pushed {
            world.github.branches.insert(name.clone(), "somebody's".into());
        }
        world.delivered(PullRequestState::Merged);
        world.rest();
        assert_eq!((world.row(), world.reason().as_str()), (DONE, reason::MERGED));
        let about = format!("wanted {wanted}, pushed {pushed}");
        assert_eq!(world.github.branches.contains_key(&name), branch, "{about}");
        assert_eq!(world.notes.iter().filter(|note| **note == reason::LEFT_BEHIND).count(), notes, "{about}");
        assert_eq!(world.status().branch.is_none(), wanted, "{about}");
    }
    let mut later = World::new();
    later.rest();
    later.delivered(PullRequestState::Merged);
    later.rest();
    assert_eq!(later.row(), DONE);
    let name = later.status().branch.expect("a branch");
    later.edit(|spec| spec.pull_request.delete_branch = true);
    later.rest();
    assert!(!later.github.branches.contains_key(&name) && later.row() == DONE, "it applies in place");
}
