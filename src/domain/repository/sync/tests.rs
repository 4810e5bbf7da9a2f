//! Whose a pull request is, and how far back a sync reads.
//! Part of the tests of `sync`.

use super::*;
use crate::{
    api::{PullRequest, PullRequestState, TaskSpec},
    domain::pull_request::marker,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::ObjectMeta;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).expect("in range")
}

const REPOSITORY: i64 = 7;

fn listed(number: i64, state: PullRequestState, updated: i64) -> ObservedPullRequest {
    ObservedPullRequest {
        branch: Some("work".into()),
        head_repository_id: Some(REPOSITORY),
        base_repository_id: Some(REPOSITORY),
        head_sha: Some("c0ffee".into()),
        merged_at: (state == PullRequestState::Merged).then(|| at(updated)),
        updated_at: Some(at(updated)),
        ..ObservedPullRequest::new(number, state)
    }
}

pub(in crate::domain::repository) fn a_move() -> Move {
    Move { task: "t".into(), observed: listed(1, PullRequestState::Closed, 0) }
}

/// In review with pull request 4, or before its pull request is known.
fn task(number: Option<i64>) -> Task {
    let pull = |number| PullRequest {
        due: Vec::new(),
        merge_queue: None,
        number,
        branch: None,
        node_id: None,
        url: None,
        state: PullRequestState::Open,
        draft: false,
        head_sha: None,
        merge_sha: None,
        updated_at: Some(Time(at(0))),
        unconfirmed: false,
    };
    let status = TaskStatus {
        state: State::Review,
        branch: Some("work".into()),
        repository_id: Some(REPOSITORY),
        commit_sha: Some("c0ffee".into()),
        pull_request: number.map(pull),
        ..TaskStatus::default()
    };
    let metadata = ObjectMeta { name: Some("t".into()), uid: Some("uid".into()), ..ObjectMeta::default() };
    Task { metadata, spec: TaskSpec::default(), status: Some(status) }
}

#[test]
fn by_number_and_never_by_another() {
    let task = task(Some(4));
    assert_eq!(
        apply(&task, &listed(4, PullRequestState::Merged, 5), at(9)).expect("moves").state,
        State::Done
    );
    assert_eq!(apply(&task, &listed(5, PullRequestState::Merged, 5), at(9)), None);
    assert_eq!(apply(&task, &listed(4, PullRequestState::Closed, -5), at(9)), None, "older news");
}

#[test]
fn by_branch_only_at_the_rounds_own_commit_and_never_from_a_fork() {
    let task = task(None);
    let ours = listed(9, PullRequestState::Closed, 5);
    let pull = apply(&task, &ours, at(9)).expect("found").pull_request.expect("adopted");
    assert_eq!(pull.number, 9);
    let fork = ObservedPullRequest {
        head_repository_id: Some(8),
        marker: Some(marker("uid", 1).into()),
        ..ours.clone()
    };
    assert_eq!(apply(&task, &fork, at(9)), None);
    let earlier = ObservedPullRequest { head_sha: Some("other".into()), ..ours };
    assert_eq!(apply(&task, &earlier, at(9)), None, "the name served another before");
    let pushed = ObservedPullRequest { marker: Some(marker("uid", 1).into()), ..earlier };
    assert!(apply(&task, &pushed, at(9)).is_some(), "somebody pushed to it");
}

/// Two Tasks may have one branch: in a namespace, in two, of two operators, or one after the other under one name.
#[test]
fn of_two_tasks_with_one_branch_only_the_one_that_made_the_pull_request_moves() {
    let (first, mut second) = (task(None), task(None));
    second.metadata.uid = Some("another".into());
    let status = second.status.as_mut().expect("set");
    status.commit_sha = Some("facade".into());
    let merged = ObservedPullRequest {
        marker: Some(marker("uid", 1).into()),
        ..listed(9, PullRequestState::Merged, 5)
    };
    assert_eq!(moves(&[&second, &first], std::slice::from_ref(&merged), at(9)).len(), 1);
    assert_eq!(apply(&first, &merged, at(9)).map(|status| status.state), Some(State::Done));
    assert_eq!(apply(&second, &merged, at(9)), None);
    second.status.as_mut().expect("set").commit_sha = None;
    assert_eq!(apply(&second, &merged, at(9)), None, "its command still runs");
}

#[test]
fn a_task_that_is_being_deleted_is_not_moved() {
    let mut task = task(Some(4));
    task.metadata.deletion_timestamp = Some(Time(at(0)));
    assert_eq!(apply(&task, &listed(4, PullRequestState::Merged, 5), at(9)), None);
}

#[test]
fn one_move_per_task_that_something_happened_to() {
    let tasks = [task(Some(4)), task(Some(6))];
    let listed = [listed(4, PullRequestState::Closed, 5), listed(7, PullRequestState::Closed, 5)];
    let moves = moves(&tasks, &listed, at(9));
    assert_eq!(moves, [Move { task: "t".into(), observed: listed[0].clone() }]);
}

#[test]
fn done_and_deleted_tasks_and_those_without_a_commit_are_not_open() {
    assert!(is_open(&task(Some(4))) && is_open(&task(None)));
    let status = |change: fn(&mut TaskStatus)| {
        let mut task = task(Some(4));
        change(task.status.as_mut().expect("set"));
        task
    };
    assert!(!is_open(&status(|status| status.state = State::Done)));
    assert!(is_open(&status(|status| {
        status.state = State::Done;
        status.pull_request.as_mut().expect("set").unconfirmed = true;
    })));
    assert!(!is_open(&status(|status| (status.pull_request, status.commit_sha) = (None, None))));
    let mut deleted = task(Some(4));
    deleted.metadata.deletion_timestamp = Some(Time(at(0)));
    assert!(!is_open(&deleted));
}

#[test]
fn reads_back_to_the_last_sync_or_to_the_oldest_task() {
    let tasks = [task(Some(4)), task(None)];
    assert_eq!(back_to(None, &tasks), Some(at(0)));
    assert_eq!(back_to(None, &[task(None)]), None);
    assert_eq!(back_to(Some(at(500)), &tasks), Some(at(380)), "with an overlap");
}

#[test]
fn what_the_list_did_not_reach_and_may_have_moved_is_read_one_by_one() {
    let with = |number, state, unconfirmed| {
        let mut task = task(Some(number));
        let status = task.status.as_mut().expect("there");
        let pull = status.pull_request.as_mut().expect("there");
        (pull.state, pull.unconfirmed) = (state, unconfirmed);
        task
    };
    let tasks = [
        task(None),
        with(1, PullRequestState::Open, false),
        with(2, PullRequestState::Open, false),
        with(3, PullRequestState::Closed, false),
        with(4, PullRequestState::Merged, true),
    ];
    assert_eq!(unreached(&tasks, &[listed(2, PullRequestState::Open, 5)]), [1, 4]);
}
