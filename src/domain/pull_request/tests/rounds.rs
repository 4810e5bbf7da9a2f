//! While a round runs on an open pull request the board shows the round.
//! Part of the tests of `pull_request`.

use super::*;

const RUNNING: [Phase; 6] = [
    Phase::Pending,
    Phase::Preparing,
    Phase::Generating,
    Phase::Collecting,
    Phase::Committed,
    Phase::BranchCreated,
];

/// A later round on an open pull request, as the controller shows it.
fn in_a_round(phase: Phase) -> TaskStatus {
    let mut status =
        TaskStatus { phase: Some(phase), round: Some(2), commit_sha: Some("c".repeat(40)), ..in_review(10) };
    Board::new(board::BUILDING, None).apply(&mut status);
    status
}

#[test]
fn a_draft_or_a_push_during_a_round_changes_the_pull_request_and_not_the_board() {
    for phase in RUNNING {
        for source in [Source::Delivery, Source::Sync, Source::Confirmation] {
            let mut status = in_a_round(phase);
            for (draft, time) in [(true, 20), (false, 30), (false, 40)] {
                assert!(report_to(&mut status, &seen(PullRequestState::Open, draft, time), source));
                assert_eq!(row(&status), BUILDING, "{phase:?} {source:?} {draft}");
                assert_eq!(pull_request(&status).draft, draft);
            }
            assert_eq!(pull_request(&status).updated_at, Some(Time(at(40))));
        }
    }
}

#[test]
fn close_and_merge_move_the_board_at_any_time() {
    for phase in RUNNING {
        let mut status = in_a_round(phase);
        assert!(deliver(&mut status, &seen(PullRequestState::Closed, false, 20)));
        assert_eq!(row(&status), TODO, "{phase:?}");
        let mut status = in_a_round(phase);
        assert!(deliver(&mut status, &seen(PullRequestState::Merged, false, 20)));
        assert_eq!(row(&status), done(20), "{phase:?}");
    }
}

#[test]
fn at_rest_a_draft_moves_the_board() {
    for phase in [None, Some(Phase::PullRequestOpen), Some(Phase::Ended), Some(Phase::Unknown)] {
        let mut status = TaskStatus { phase, ..in_review(10) };
        deliver(&mut status, &seen(PullRequestState::Open, true, 20));
        assert_eq!(row(&status), BUILDING, "{phase:?}");
        deliver(&mut status, &seen(PullRequestState::Open, false, 30));
        assert_eq!(row(&status), REVIEW, "{phase:?}");
    }
}

/// `opened` may come before the controller has written that it opened the pull request.
#[test]
fn a_pull_request_at_the_rounds_commit_is_shown_before_the_controller_knows_it() {
    let opened = seen(PullRequestState::Open, false, 10);
    let mut status = TaskStatus {
        phase: Some(Phase::BranchCreated),
        commit_sha: opened.head_sha.clone(),
        ..TaskStatus::default()
    };
    deliver(&mut status, &opened);
    assert_eq!(row(&status), REVIEW);
    let draft = ObservedPullRequest { head_sha: opened.head_sha, ..seen(PullRequestState::Open, true, 20) };
    deliver(&mut status, &draft);
    assert_eq!(row(&status), BUILDING);
}
