//! The board's table, that no order of news ends elsewhere, and whose a pull request is.

mod orders;
mod ownership;
mod rounds;

use super::*;
use crate::{
    api::{BuildStatus, Column, State, bounds},
    domain::board,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("in range")
}

const NOW: i64 = 9_000;

fn seen(state: PullRequestState, draft: bool, updated_at: i64) -> ObservedPullRequest {
    ObservedPullRequest {
        number: 42,
        state,
        draft: Some(draft),
        branch: Some("task/t/work".to_owned()),
        node_id: Some("PR_1".to_owned()),
        url: Some("https://github.test/o/r/pull/42".to_owned()),
        head_sha: Some(format!("{updated_at:040}")),
        merge_sha: (state == PullRequestState::Merged).then(|| "f".repeat(40)),
        merged_at: (state == PullRequestState::Merged).then(|| at(updated_at)),
        updated_at: Some(at(updated_at)),
        ..ObservedPullRequest::new(42, state)
    }
}

/// A payload somebody typed: state and number, nothing else.
fn typed(state: PullRequestState) -> ObservedPullRequest {
    ObservedPullRequest::new(42, state)
}

/// A Task in review whose pull request GitHub has confirmed.
fn in_review(updated_at: i64) -> TaskStatus {
    let mut status = TaskStatus::default();
    let news = seen(PullRequestState::Open, false, updated_at);
    transition(&status, &news, Source::Confirmation, at(NOW)).expect("new").apply(&mut status);
    status
}

fn row(status: &TaskStatus) -> Shown {
    let completed_at = status.completed_at.as_ref().map(|time| time.0.as_second());
    (status.state, status.column, status.build_status, completed_at)
}

fn pull_request(status: &TaskStatus) -> &PullRequest {
    status.pull_request.as_ref().expect("known")
}

/// Delivers, and tells whether anything changed.
fn deliver(status: &mut TaskStatus, news: &ObservedPullRequest) -> bool {
    report_to(status, news, Source::Delivery)
}

fn report_to(status: &mut TaskStatus, news: &ObservedPullRequest, source: Source) -> bool {
    let change = transition(status, news, source, at(NOW));
    if let Some(change) = &change {
        change.apply(status);
    }
    change.is_some()
}

/// The row as the contract with task boards spells it, and the second of `completedAt`.
type Shown = (State, Column, BuildStatus, Option<i64>);

const TODO: Shown = (State::Todo, Column::Research, BuildStatus::Pending, None);
const BUILDING: Shown = (State::InProgress, Column::Development, BuildStatus::Building, None);
const REVIEW: Shown = (State::Review, Column::Testing, BuildStatus::Ready, None);

fn done(at: i64) -> Shown {
    (State::Done, Column::Done, BuildStatus::Ready, Some(at))
}

fn transition(
    stored: &TaskStatus,
    observed: &ObservedPullRequest,
    source: Source,
    now: Timestamp,
) -> Option<Change> {
    Stored::of(stored).transition(observed, source, now)
}

#[test]
fn every_row_from_every_row() {
    use PullRequestState::{Closed, Merged, Open};
    let rows = [
        (Open, false, REVIEW),
        (Open, true, BUILDING),
        (Closed, false, TODO),
        (Closed, true, TODO),
        (Merged, false, done(20)),
        (Merged, true, done(20)),
    ];
    for (before, draft_before, _) in rows {
        for (after, draft_after, expected) in rows {
            let mut status = in_review(1);
            deliver(&mut status, &seen(before, draft_before, 10));
            deliver(&mut status, &seen(after, draft_after, 20));
            let expected = match (before, after) {
                // A second report of the merge has the same time of merge at GitHub; here it was made up.
                (Merged, Merged) => done(20),
                (Merged, _) => done(10),
                _ => expected,
            };
            assert_eq!(row(&status), expected, "{before:?} {draft_before} to {after:?} {draft_after}");
            assert!(pull_request(&status).unconfirmed);
        }
    }
}

#[test]
fn a_first_report_places_the_task() {
    for (state, draft, expected) in [
        (PullRequestState::Open, false, REVIEW),
        (PullRequestState::Open, true, BUILDING),
        (PullRequestState::Closed, false, TODO),
        (PullRequestState::Merged, false, done(5)),
    ] {
        let mut status = TaskStatus { state: State::InProgress, ..TaskStatus::default() };
        assert!(deliver(&mut status, &seen(state, draft, 5)));
        assert_eq!(row(&status), expected);
        assert_eq!((pull_request(&status).number, pull_request(&status).unconfirmed), (42, true));
    }
}

#[test]
fn repeated_news_change_nothing() {
    for source in [Source::Delivery, Source::Sync, Source::Confirmation] {
        let mut status = in_review(10);
        assert!(!report_to(&mut status, &seen(PullRequestState::Open, false, 10), source), "{source:?}");
    }
}

#[test]
fn older_news_change_nothing_newer_news_without_effect_are_remembered() {
    let mut status = in_review(10);
    assert!(!deliver(&mut status, &seen(PullRequestState::Closed, false, 9)));
    let change = transition(&status, &seen(PullRequestState::Open, false, 11), Source::Delivery, at(NOW))
        .expect("a newer time");
    change.apply(&mut status);
    assert_eq!(row(&status), REVIEW);
    assert_eq!(pull_request(&status).updated_at, Some(Time(at(11))));
}

#[test]
fn equal_times_are_applied_and_asked_for_again() {
    for source in [Source::Delivery, Source::Sync] {
        let mut status = in_review(10);
        assert!(report_to(&mut status, &seen(PullRequestState::Closed, false, 10), source));
        assert_eq!(row(&status), TODO);
        assert!(pull_request(&status).unconfirmed, "{source:?}");
    }
}

#[test]
fn only_state_and_draft_move_the_board() {
    let mut status = in_review(10);
    (status.state, status.column, status.build_status) =
        (State::InProgress, Column::Development, BuildStatus::Failed);
    let pushed = seen(PullRequestState::Open, false, 20);
    assert!(deliver(&mut status, &pushed));
    assert_eq!(row(&status), (State::InProgress, Column::Development, BuildStatus::Failed, None));
    assert_eq!(pull_request(&status).head_sha, pushed.head_sha);
}

#[test]
fn a_closed_draft_made_ready_does_not_move() {
    let mut status = in_review(1);
    deliver(&mut status, &seen(PullRequestState::Closed, true, 10));
    status.build_status = BuildStatus::Failed;
    deliver(&mut status, &seen(PullRequestState::Closed, false, 20));
    assert_eq!(status.build_status, BuildStatus::Failed);
}

#[test]
fn without_a_time_news_are_applied_and_the_stored_time_stays() {
    let mut status = in_review(10);
    assert!(deliver(&mut status, &typed(PullRequestState::Merged)));
    assert_eq!(row(&status), done(NOW));
    let stored = pull_request(&status);
    assert_eq!((&stored.updated_at, stored.unconfirmed), (&Some(Time(at(10))), true));
    assert!(stored.branch.is_some() && stored.url.is_some(), "what is not said stays");
}

#[test]
fn fractions_of_a_second_never_enter_the_status() {
    let mut status = TaskStatus::default();
    let fraction = |second: i64| Timestamp::new(second, 700_000_000).expect("in range");
    let news = ObservedPullRequest {
        updated_at: Some(fraction(10)),
        merged_at: None,
        ..seen(PullRequestState::Merged, false, 10)
    };
    transition(&status, &news, Source::Delivery, fraction(50)).expect("new").apply(&mut status);
    assert_eq!(row(&status), done(50));
    assert_eq!(pull_request(&status).updated_at, Some(Time(at(10))));
    assert!(!deliver(&mut status, &news), "the same news again");
}

#[test]
fn a_merge_is_believed_however_late_it_is_told() {
    let mut status = in_review(30);
    assert!(deliver(&mut status, &seen(PullRequestState::Merged, false, 20)));
    assert_eq!(row(&status), done(20));
    assert_eq!(pull_request(&status).updated_at, Some(Time(at(30))));
}

#[test]
fn late_news_never_undo_a_merge() {
    for source in [Source::Delivery, Source::Sync] {
        for state in [PullRequestState::Open, PullRequestState::Closed] {
            for news in [seen(state, false, 5), seen(state, true, 20), seen(state, false, 99), typed(state)] {
                let mut status = in_review(1);
                deliver(&mut status, &seen(PullRequestState::Merged, false, 20));
                assert!(!report_to(&mut status, &news, source), "{source:?} {news:?}");
            }
        }
    }
}

#[test]
fn github_may_undo_a_merge_it_has_not_confirmed() {
    let mut status = in_review(10);
    deliver(&mut status, &typed(PullRequestState::Merged));
    let change = transition(&status, &seen(PullRequestState::Open, false, 10), Source::Confirmation, at(NOW))
        .expect("undone");
    assert!(change.merge_undone);
    change.apply(&mut status);
    assert_eq!(row(&status), REVIEW);
    assert_eq!((pull_request(&status).unconfirmed, &pull_request(&status).merge_sha), (false, &None));
}

#[test]
fn a_confirmed_merge_is_never_left() {
    let mut confirmed = in_review(10);
    deliver(&mut confirmed, &typed(PullRequestState::Merged));
    assert!(report_to(&mut confirmed, &seen(PullRequestState::Merged, false, 20), Source::Confirmation));
    assert_eq!(row(&confirmed), done(20), "GitHub's time of the merge wins over the time of receipt");
    for source in [Source::Delivery, Source::Sync, Source::Confirmation] {
        for state in [PullRequestState::Open, PullRequestState::Closed, PullRequestState::Merged] {
            for news in [seen(state, true, 99), seen(state, false, 5), typed(state)] {
                let mut status = confirmed.clone();
                assert!(!report_to(&mut status, &news, source), "{source:?} {news:?}");
                assert_eq!(row(&status), done(20));
                assert_eq!(pull_request(&status).state, PullRequestState::Merged);
            }
        }
    }
}

#[test]
fn a_confirmation_applies_whatever_its_time_and_settles() {
    let mut status = in_review(10);
    // Somebody with the secret claims a time far ahead.
    deliver(&mut status, &seen(PullRequestState::Closed, false, 1_000_000));
    assert_eq!(row(&status), TODO);
    assert!(report_to(&mut status, &seen(PullRequestState::Open, false, 12), Source::Confirmation));
    assert_eq!(row(&status), REVIEW);
    assert_eq!(pull_request(&status).updated_at, Some(Time(at(12))));
    assert!(!pull_request(&status).unconfirmed);
    assert!(
        deliver(&mut status, &seen(PullRequestState::Closed, false, 13)),
        "and the next delivery counts again"
    );
}

#[test]
fn sync_moves_without_asking_again_and_leaves_what_is_unconfirmed() {
    let mut status = in_review(10);
    assert!(report_to(&mut status, &seen(PullRequestState::Merged, false, 20), Source::Sync));
    assert_eq!(row(&status), done(20));
    assert!(!pull_request(&status).unconfirmed);
    let mut status = in_review(10);
    deliver(&mut status, &seen(PullRequestState::Closed, false, 20));
    report_to(&mut status, &seen(PullRequestState::Open, false, 30), Source::Sync);
    assert_eq!(row(&status), REVIEW);
    assert!(pull_request(&status).unconfirmed);
}

#[test]
fn other_pull_requests_never_move_a_task() {
    let other = |number| ObservedPullRequest { number, ..seen(PullRequestState::Merged, false, 99) };
    let with_number = in_review(10);
    let mut with_history = TaskStatus::default();
    with_history.pull_request_history.push(PullRequest { number: 7, ..pull_request(&with_number).clone() });
    for source in [Source::Delivery, Source::Sync, Source::Confirmation] {
        assert_eq!(transition(&with_number, &other(41), source, at(NOW)), None);
        assert_eq!(transition(&with_history, &other(7), source, at(NOW)), None);
        assert_eq!(transition(&with_history, &other(0), source, at(NOW)), None);
        assert_eq!(transition(&with_history, &other(-42), source, at(NOW)), None);
    }
}

#[test]
fn oversized_values_are_cut_to_the_schema() {
    let mut status = TaskStatus::default();
    let news = ObservedPullRequest {
        url: Some(format!("https://{}", "u".repeat(5_000))),
        branch: Some("ä".repeat(5_000)),
        ..seen(PullRequestState::Open, false, 1)
    };
    deliver(&mut status, &news);
    let stored = pull_request(&status);
    assert_eq!(stored.url.as_ref().map(|url| url.chars().count()), Some(bounds::URL as usize));
    assert_eq!(stored.branch.as_ref().map(|name| name.chars().count()), Some(bounds::BRANCH as usize));
}

/// A condition is told to people and read by nobody: only what GitHub has said settles a merge.
#[test]
fn a_condition_settles_no_merge() {
    let mut status = in_review(1);
    deliver(&mut status, &seen(PullRequestState::Merged, false, 10));
    let (merged, now) = (crate::api::conditions::MERGED, at(NOW));
    crate::domain::conditions::set(&mut status.conditions, 1, now, merged, true, "Merged", "merged");
    assert!(report_to(&mut status, &seen(PullRequestState::Open, false, 20), Source::Confirmation));
    assert_eq!(row(&status), REVIEW);
}

#[test]
fn only_a_web_page_is_stored_for_people_to_click_on() {
    for (told, stored) in [
        ("https://github.test/o/r/pull/42", true),
        ("javascript:alert(1)", false),
        ("http://github.test/o/r/pull/42", false),
        ("data:text/html,<p>", false),
        (" https://github.test", false),
        ("", false),
    ] {
        let mut status = TaskStatus::default();
        let news =
            ObservedPullRequest { url: Some(told.to_owned()), ..seen(PullRequestState::Open, false, 1) };
        deliver(&mut status, &news);
        assert_eq!(pull_request(&status).url.as_deref(), stored.then_some(told), "{told}");
    }
    let mut known = in_review(1);
    let odd = ObservedPullRequest { url: Some("javascript:0".into()), ..typed(PullRequestState::Closed) };
    deliver(&mut known, &odd);
    assert_eq!(pull_request(&known).url, in_review(1).pull_request.and_then(|pull| pull.url), "stays");
}

#[test]
fn every_row_is_one_of_the_board() {
    let rows = [TODO, BUILDING, REVIEW, done(0)].map(|(state, column, build, _)| (state, column, build));
    assert_eq!(rows, [board::PENDING, board::BUILDING, board::REVIEW, board::DONE]);
}

fn pull_request_mut(status: &mut TaskStatus) -> &mut PullRequest {
    status.pull_request.as_mut().expect("known")
}

#[test]
fn the_commit_of_a_test_merge_is_not_that_of_a_merge() {
    let mut status = in_review(1);
    let open =
        ObservedPullRequest { merge_sha: Some("e".repeat(40)), ..seen(PullRequestState::Open, false, 10) };
    deliver(&mut status, &open);
    assert_eq!(pull_request(&status).merge_sha, None);
    deliver(&mut status, &seen(PullRequestState::Merged, false, 20));
    assert_eq!(pull_request(&status).merge_sha, Some("f".repeat(40)));
}

#[test]
fn a_merged_pull_request_is_done_whatever_the_board_says() {
    let mut status = in_review(1);
    pull_request_mut(&mut status).state = PullRequestState::Merged;
    assert!(deliver(&mut status, &seen(PullRequestState::Merged, false, 10)));
    assert_eq!(row(&status), done(10));
}
