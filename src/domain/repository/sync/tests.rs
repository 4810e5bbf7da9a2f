//! Whose a pull request is, and how far back a sync reads.
//! Beside `sync`.

use super::*;
use crate::api::{PullRequest, PullRequestState, TaskSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::ObjectMeta;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).expect("in range")
}

fn listed(number: i64, state: PullRequestState, updated: i64) -> Listed {
    let pull = ObservedPullRequest {
        number,
        state,
        draft: Some(false),
        branch: Some("work".into()),
        node_id: None,
        url: None,
        head_sha: Some("c0ffee".into()),
        merge_sha: None,
        merged_at: (state == PullRequestState::Merged).then(|| at(updated)),
        updated_at: Some(at(updated)),
    };
    Listed { pull, own_branch: true }
}

pub(in crate::domain::repository) fn a_move() -> Move {
    Move { task: "t".into(), listed: listed(1, PullRequestState::Closed, 0) }
}

/// In review with pull request 4, or before its pull request is known.
fn task(number: Option<i64>) -> Task {
    let pull = |number| PullRequest {
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
        commit_sha: Some("c0ffee".into()),
        pull_request: number.map(pull),
        ..TaskStatus::default()
    };
    let metadata = ObjectMeta { name: Some("t".into()), ..ObjectMeta::default() };
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
    assert_eq!(apply(&task, &Listed { own_branch: false, ..ours.clone() }, at(9)), None);
    let mut earlier = ours;
    earlier.pull.head_sha = Some("other".into());
    assert_eq!(apply(&task, &earlier, at(9)), None, "the name served another before");
}

#[test]
fn one_move_per_task_that_something_happened_to() {
    let tasks = [task(Some(4)), task(Some(6))];
    let listed = [listed(4, PullRequestState::Closed, 5), listed(7, PullRequestState::Closed, 5)];
    let moves = moves(&tasks, &listed, at(9));
    assert_eq!(moves, [Move { task: "t".into(), listed: listed[0].clone() }]);
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
