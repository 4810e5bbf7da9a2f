//! What a merge waits for, by name: rules of the base branch against checks and reviews of the head, and which of them are asked for.

use super::{queues::check, *};
use crate::{
    api::{MergeQueue, MergeQueueState, PullRequestState},
    domain::pull_request::ObservedPullRequest,
};
use CheckProgress::{Failed, Passed, Running};
use mergeability::Mergeability;

const HEAD: &str = "head";

fn wanted(queue: Option<MergeQueueState>) -> MergeWanted {
    let queue = queue.map(|state| MergeQueue { head_sha: HEAD.into(), state });
    MergeWanted { require_checks: false, checks_expected: true, commit: Some(HEAD.into()), queue }
}

fn pull(state: &str, rules: Option<RulesView>, view: Option<MergeView>) -> SeenPull {
    SeenPull {
        observed: ObservedPullRequest {
            head_sha: Some(HEAD.into()),
            ..ObservedPullRequest::new(1, PullRequestState::Open)
        },
        body: String::new(),
        mergeable_state: Some(state.into()),
        checks: None,
        rules,
        view,
        updated: false,
    }
}

fn view(checks: Vec<HeadCheck>) -> MergeView {
    MergeView { open: true, head: HEAD.into(), review: Review::Fine, place: None, checks, unread: None }
}

/// Rules that require these checks, each of an App or of anybody.
fn requires(checks: &[(&str, Option<u64>)]) -> RulesView {
    let checks = checks.iter().map(|(name, app)| RequiredCheck { name: (*name).into(), app: *app });
    RulesView { checks: checks.collect(), ..RulesView::default() }
}

/// What GitHub's `state` is told as, and whether it is looked at again soon.
fn told(state: &str, rules: Option<RulesView>, view: Option<MergeView>) -> (String, bool) {
    match pull(state, rules, view).mergeability(&wanted(None)) {
        Mergeability::No(message) => (message, false),
        Mergeability::Undecided(message) => (message.expect("said"), true),
        other => panic!("{other:?}"),
    }
}

fn blocked(rules: RulesView, checks: Vec<HeadCheck>) -> (String, bool) {
    told("blocked", Some(rules), Some(view(checks)))
}

#[test]
fn required_checks_are_named_by_how_far_they_are() {
    let rules = || requires(&[("a", None), ("b", None), ("c", None)]);
    let begins = "merged as soon as GitHub allows it; now it says blocked: ";
    for (checks, said, soon) in [
        (vec![], "required checks that have not begun: a, b, c", true),
        (
            vec![check("a", Passed, None), check("b", Running, None), check("other", Failed, None)],
            "required checks that have not begun: c; required checks that still run: b",
            true,
        ),
        (
            vec![check("a", Failed, None), check("b", Failed, None), check("c", Running, None)],
            "required checks that still run: c; required checks that have failed: a, b",
            false,
        ),
    ] {
        assert_eq!(blocked(rules(), checks), (format!("{begins}{said}"), soon));
    }
    // All are there, and it is blocked for something that is not shown.
    let all = ["a", "b", "c"].map(|name| check(name, Passed, None)).to_vec();
    let (message, soon) = blocked(rules(), all);
    assert!(message.contains("a review or a check") && !soon, "{message}");
}

#[test]
fn only_the_app_that_a_rule_names_answers_for_its_check() {
    let rules = || requires(&[("build", Some(7))]);
    for (checks, said) in [
        (vec![check("build", Passed, Some(8)), check("build", Passed, None)], "not begun: build"),
        (vec![check("build", Passed, Some(8)), check("build", Running, Some(7))], "still run: build"),
        // Another one's failure is not the required one's.
        (vec![check("build", Failed, Some(8)), check("build", Passed, Some(7))], "a review or a check"),
        (vec![check("build", Passed, Some(7)), check("build", Failed, Some(7))], "have failed: build"),
    ] {
        let (message, _) = blocked(rules(), checks);
        assert!(message.contains(said), "{said}: {message}");
    }
}

#[test]
fn checks_that_only_the_older_protection_requires_are_named_too() {
    let required = HeadCheck { required: true, ..check("classic", Failed, None) };
    let (message, _) = blocked(RulesView::default(), vec![required.clone()]);
    assert!(message.ends_with("required checks that have failed: classic"), "{message}");
    let (message, _) = told("blocked", None, Some(view(vec![required])));
    assert!(message.ends_with("required checks that have failed: classic"), "{message}");
}

#[test]
fn a_message_names_five_and_counts_the_rest() {
    let names = ["a", "b", "c", "d", "e", "f", "g"].map(|name| (name, None));
    let (message, _) = blocked(requires(&names), Vec::new());
    assert!(message.ends_with("have not begun: a, b, c, d, e and 2 more"), "{message}");
}

#[test]
fn reviews_are_named_with_their_number() {
    for (review, approvals, said) in [
        (Review::Missing, 0, "an approving review is needed"),
        (Review::Missing, 1, "an approving review is needed"),
        (Review::Missing, 2, "2 approving reviews are needed"),
        (Review::ChangesRequested, 1, "a review asks for changes"),
    ] {
        let rules = RulesView { approvals, ..requires(&[("a", None)]) };
        let (message, soon) = told("blocked", Some(rules), Some(MergeView { review, ..view(Vec::new()) }));
        assert!(message.ends_with(&format!("have not begun: a; {said}")) && !soon, "{message}");
    }
}

#[test]
fn what_is_behind_is_told_first_and_signatures_where_nothing_else_is_missing() {
    let (message, soon) = told("behind", Some(requires(&[("a", None)])), Some(view(Vec::new())));
    let behind =
        "now it says behind: update the branch from the base branch; required checks that have not begun: a";
    assert!(message.ends_with(behind) && !soon, "{message}");
    let signed = || RulesView { signatures: true, ..requires(&[("a", None)]) };
    let (message, _) = blocked(signed(), vec![check("a", Passed, None)]);
    assert!(
        message.ends_with("asks for verified signatures of all commits: see whether that is met"),
        "{message}"
    );
    let (message, _) = blocked(signed(), Vec::new());
    assert!(!message.contains("signatures"), "{message}");
}

#[test]
fn what_only_github_can_tell_is_named_where_nothing_else_is_missing() {
    let others = vec!["all conversations to be resolved", "deployments"];
    let rules = || RulesView { others: others.clone(), ..requires(&[("a", None)]) };
    let (message, _) = blocked(rules(), vec![check("a", Passed, None)]);
    assert!(message.contains("asks for all conversations to be resolved, deployments"), "{message}");
    let (message, _) = blocked(rules(), Vec::new());
    assert!(!message.contains("conversations"), "{message}");
    let (message, _) = told("blocked", Some(rules()), None);
    assert!(
        message.contains("asks for the checks a, all conversations to be resolved, deployments, and"),
        "{message}"
    );
    let (message, _) = blocked(requires(&[("a", None)]), vec![check("a", Passed, None)]);
    assert!(message.ends_with("is missing, or the token may not push to it"), "{message}");
}

#[test]
fn what_can_not_be_read_is_said_and_never_called_missing() {
    let unread = MergeView { unread: Some("Resource not accessible".into()), ..view(Vec::new()) };
    let (message, _) = told("blocked", Some(requires(&[("a", None)])), Some(unread.clone()));
    assert!(message.contains("does not show (not all can be read: Resource not accessible): a"), "{message}");
    assert!(!message.contains("begun"), "{message}");
    // A queue that might take it is asked: GitHub knows.
    let rules = RulesView { queue: true, ..requires(&[("a", None)]) };
    assert_eq!(pull("blocked", Some(rules), Some(unread)).mergeability(&wanted(None)), Mergeability::ByQueue);
    let rules = RulesView { approvals: 2, signatures: true, ..requires(&[("a", None)]) };
    let (message, _) = told("blocked", Some(rules), None);
    let asked = "the base branch asks for the checks a, 2 approving reviews, verified signatures of all commits, and GitHub does not tell this token";
    assert!(message.contains(asked), "{message}");
    let (message, _) = told("blocked", None, None);
    assert!(message.contains("a review or a check"), "{message}");
    let (message, _) = told("something_new", None, Some(view(Vec::new())));
    assert!(message.ends_with("now it says something_new"), "{message}");
}

/// Rules, view and checks that are read for a state, before anything is known of a queue and for what is in one.
#[test]
fn nothing_is_asked_that_decides_nothing() {
    let checked = MergeWanted { require_checks: true, ..wanted(None) };
    let in_queue = MergeWanted { require_checks: true, ..wanted(Some(MergeQueueState::Queued)) };
    let absent = MergeWanted { require_checks: true, ..wanted(Some(MergeQueueState::Absent)) };
    let other = MergeWanted { commit: Some("pushed".into()), ..checked.clone() };
    let asked = |state: &str, wanted: &MergeWanted, queue: bool| {
        let rules = Some(RulesView { queue, ..RulesView::default() });
        let pull = pull(state, rules, None);
        (pull.asks_for_rules(wanted), pull.asks_for_view(wanted), pull.asks_for_checks(wanted))
    };
    for (state, before, of_queue, in_it) in [
        ("clean", (true, false, true), (true, false, true), (true, true, true)),
        ("has_hooks", (true, false, true), (true, false, true), (true, true, true)),
        ("unstable", (true, false, true), (true, false, true), (true, true, true)),
        ("blocked", (true, true, false), (true, true, true), (true, true, true)),
        ("behind", (true, true, false), (true, true, true), (true, true, true)),
        ("unknown", (false, false, false), (false, false, false), (false, true, false)),
        ("dirty", (false, false, false), (false, false, false), (false, true, false)),
        ("draft", (false, false, false), (false, false, false), (false, true, false)),
    ] {
        assert_eq!(asked(state, &checked, false), before, "{state}");
        assert_eq!(asked(state, &checked, true), of_queue, "{state}, with a queue");
        assert_eq!(asked(state, &in_queue, true), in_it, "{state}, in the queue");
        assert_eq!(asked(state, &absent, true), before, "{state}, where GitHub says that there is none");
        let (rules, view, _) = asked(state, &other, true);
        assert!(!rules && !view, "{state}: of a head that is not merged");
        assert!(!asked(state, &wanted(None), true).2, "{state}: checks that nobody asks for");
    }
    // What the view shows of the checks is not read a second time, unless it does not show them all.
    let shown = view(vec![check("a", Passed, None)]);
    assert!(!pull("clean", None, Some(shown.clone())).asks_for_checks(&checked));
    let unread = MergeView { unread: Some("x".into()), ..shown };
    assert!(pull("clean", None, Some(unread)).asks_for_checks(&checked));
}

#[test]
fn two_answers_about_two_moments_decide_nothing() {
    let known = wanted(Some(MergeQueueState::Queued));
    for odd in [
        MergeView { open: false, ..view(Vec::new()) },
        MergeView { head: "another".into(), ..view(Vec::new()) },
    ] {
        assert_eq!(pull("clean", None, Some(odd)).mergeability(&known), Mergeability::Undecided(None));
    }
    // What is known is of one head alone.
    let other = MergeWanted {
        queue: Some(MergeQueue { head_sha: "before".into(), state: MergeQueueState::Removed }),
        ..wanted(None)
    };
    assert_eq!(pull("clean", None, None).mergeability(&other), Mergeability::Yes);
}

#[test]
fn what_is_known_of_the_queue_goes_before_what_github_says_of_merging() {
    let queue = || Some(RulesView { queue: true, ..RulesView::default() });
    let all = || Some(view(vec![check("a", Passed, None)]));
    for (known, expected) in [
        (None, Mergeability::ByQueue),
        (Some(MergeQueueState::Entering), Mergeability::ByQueue),
        (Some(MergeQueueState::Unknown), Mergeability::ByQueue),
        (Some(MergeQueueState::Queued), Mergeability::LeftQueue),
        (Some(MergeQueueState::Removed), Mergeability::Removed),
        (Some(MergeQueueState::Absent), Mergeability::Yes),
    ] {
        assert_eq!(pull("clean", queue(), all()).mergeability(&wanted(known)), expected, "{known:?}");
        let place = super::queues::place(1, QueueProgress::Queued, 5);
        let inside = MergeView { place: Some(place), ..view(Vec::new()) };
        let seen = pull("blocked", None, Some(inside)).mergeability(&wanted(known));
        assert_eq!(seen, Mergeability::InQueue(place), "{known:?}");
    }
}
