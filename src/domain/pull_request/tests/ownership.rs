//! No pull request but the Task's own moves it: twins, forks, namesakes, lists that hold others' pull requests.
//! Part of the tests of `pull_request`.

use super::*;

const REPOSITORY: i64 = 7;
const COMMIT: &str = "c0ffee";

/// The Task has its commit, and its branch stands there.
fn committed() -> TaskStatus {
    TaskStatus {
        round: Some(2),
        repository_id: Some(REPOSITORY),
        branch: Some("work".to_owned()),
        commit_sha: Some(COMMIT.to_owned()),
        ..TaskStatus::default()
    }
}

/// The Task has planned its branch, and its command runs.
fn generating() -> TaskStatus {
    TaskStatus { commit_sha: None, ..committed() }
}

/// A pull request from the branch `work` of the repository itself.
fn from(head: &str, marker: Option<&str>) -> ObservedPullRequest {
    ObservedPullRequest {
        branch: Some("work".to_owned()),
        head_repository_id: Some(REPOSITORY),
        base_repository_id: Some(REPOSITORY),
        head_sha: Some(head.to_owned()),
        marker: marker.map(str::to_owned),
        ..ObservedPullRequest::new(5, PullRequestState::Open)
    }
}

#[test]
fn a_pull_request_is_known_by_its_commit_or_its_marker_and_never_by_its_branch_alone() {
    let marked = marker("uid", 2);
    for (status, observed, own) in [
        (committed(), from(COMMIT, None), true),
        (committed(), ObservedPullRequest { stands_on_commit: true, ..from("later", None) }, true),
        (committed(), from("later", Some(&marked)), true),
        (committed(), from("later", None), false),
        (generating(), from(COMMIT, None), false),
        (generating(), ObservedPullRequest { stands_on_commit: true, ..from("later", None) }, false),
        (generating(), ObservedPullRequest { head_sha: None, ..from("", None) }, false),
        (generating(), from("later", Some(&marked)), true),
        // The line of another Task, of another round, and of a Task without a uid.
        (committed(), from("later", Some(&marker("another", 2))), false),
        (committed(), from("later", Some(&marker("uid", 1))), false),
        (committed(), from("later", Some(&marker("", 2))), false),
    ] {
        assert_eq!(is_own("uid", &status, &observed), own, "{status:?} {observed:?}");
    }
    assert!(!is_own("", &committed(), &from("later", Some(&marker("", 2)))));
}

#[test]
fn a_fork_that_copies_branch_commit_and_marker_is_not_the_tasks() {
    let copied = from(COMMIT, Some(&marker("uid", 2)));
    assert!(is_own("uid", &committed(), &copied));
    for head_repository_id in [Some(424_242), None] {
        let fork = ObservedPullRequest { head_repository_id, ..copied.clone() };
        assert!(!is_own("uid", &committed(), &fork), "{head_repository_id:?}");
    }
}

/// A filter by head that is not in the form GitHub expects is ignored without a word, and all pull requests come back.
#[test]
fn a_list_that_ignores_its_filter_gives_nothing_to_the_task() {
    let other_branch =
        ObservedPullRequest { branch: Some("other".to_owned()), ..from(&"1".repeat(40), None) };
    let other_repository = ObservedPullRequest { head_repository_id: Some(424_242), ..from(COMMIT, None) };
    let ours = from(COMMIT, None);
    for state in [PullRequestState::Open, PullRequestState::Closed, PullRequestState::Merged] {
        let list = [&other_branch, &other_repository, &ours];
        let list = list.map(|pull| ObservedPullRequest { state, ..pull.clone() });
        let found: Vec<_> = list.iter().filter(|pull| is_own("uid", &committed(), pull)).collect();
        assert_eq!(found, [&list[2]]);
    }
    // Its commit under another branch's name is somebody's own doing.
    let renamed = ObservedPullRequest { branch: Some("other".to_owned()), ..from(COMMIT, None) };
    assert!(!is_own("uid", &committed(), &renamed));
}

#[test]
fn another_repository_is_never_the_tasks_and_one_that_is_not_known_adopts_nothing() {
    let elsewhere = ObservedPullRequest {
        head_repository_id: Some(8),
        base_repository_id: Some(8),
        ..from(COMMIT, Some(&marker("uid", 2)))
    };
    assert!(!is_own("uid", &committed(), &elsewhere));
    let unknown = TaskStatus { repository_id: None, ..committed() };
    assert!(!is_own("uid", &unknown, &from(COMMIT, Some(&marker("uid", 2)))));
    let untold =
        ObservedPullRequest { head_repository_id: None, base_repository_id: None, ..from(COMMIT, None) };
    assert!(!is_own("uid", &committed(), &untold));
}

#[test]
fn once_the_number_is_known_it_decides_in_its_repository() {
    let numbered = TaskStatus { repository_id: Some(REPOSITORY), ..in_review(10) };
    let own = |observed: &ObservedPullRequest| is_own("uid", &numbered, observed);
    assert!(own(&ObservedPullRequest::new(42, PullRequestState::Merged)), "somebody typed it");
    assert!(!own(&ObservedPullRequest {
        branch: Some("task/t/work".to_owned()),
        ..from("x", Some(&marker("uid", 1)))
    }));
    let elsewhere =
        ObservedPullRequest { base_repository_id: Some(8), ..seen(PullRequestState::Merged, false, 20) };
    assert!(!own(&elsewhere), "another repository under the same name numbers its pull requests anew");
}

#[test]
fn a_pull_request_of_an_earlier_round_is_never_this_rounds() {
    let mut status = committed();
    let earlier = in_review(10).pull_request.expect("known");
    status.pull_request_history.push(PullRequest { number: 5, ..earlier });
    assert!(!is_own("uid", &status, &from(COMMIT, Some(&marker("uid", 2)))));
}

#[test]
fn a_marker_counts_in_the_last_line_alone() {
    let marked = marker("uid", 2);
    assert_eq!(marked, "Slipway-Task: uid/2");
    for (body, found) in [
        (format!("Why.\n\n{marked}"), Some(marked.as_str())),
        (format!("Why.\r\n\r\n  {marked}  \r\n\r\n"), Some(marked.as_str())),
        (format!("{marked}\n\nWhy."), None),
        (" \n\n".to_owned(), None),
        (String::new(), None),
    ] {
        assert_eq!(marker_in(&body), found, "{body:?}");
    }
}

#[test]
fn the_text_of_others_claims_nothing() {
    assert_eq!(strip_markers("Why.\n\nMore: Slipway-Task: x"), "Why.\n\nMore: Slipway-Task: x");
    assert_eq!(strip_markers("Why.\r\n  slipway-task: a/1\r\nMore.\n"), "Why.\r\nMore.\n");
    assert_eq!(strip_markers("Slipway-Task: a/1"), "");
    assert_eq!(strip_markers("Ünïcödé – text"), "Ünïcödé – text");
    let hostile = format!("Text\n{}\n\n", marker("another", 1));
    assert_eq!(marker_in(&strip_markers(&hostile)), None);
}
