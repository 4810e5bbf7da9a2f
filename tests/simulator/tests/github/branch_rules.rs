//! Rules of branches: what the API lists, what it refuses by them, in GitHub's words.
//! `merge_queue` has the rule that needs a place of its own, `verified` the one about signatures.

use http::Method;
use serde_json::{Value, json};
use slipway_simulator::github::{BranchRule, Check, Manners, RuleKind};
use slipway_simulator::{Options, Simulator};

use crate::support::{DEMO, call, open_pull, simulator};

fn required(names: &[&str], strict: bool) -> BranchRule {
    let checks: Vec<Value> = names.iter().map(|name| json!({ "context": name })).collect();
    let parameters =
        json!({ "required_status_checks": checks, "strict_required_status_checks_policy": strict });
    BranchRule::new("~DEFAULT_BRANCH", RuleKind::RequiredStatusChecks, &parameters)
}

async fn list(simulator: &Simulator, branch: &str) -> (u16, Value) {
    let path = format!("/repos/{DEMO}/rules/branches/{branch}");
    let (status, body) = call(simulator, Method::GET, &path, json!({})).await.expect("an answer");
    (status.as_u16(), body)
}

async fn merge(simulator: &Simulator, number: u64, method: &str) -> (u16, String) {
    let path = format!("/repos/{DEMO}/pulls/{number}/merge");
    let body = json!({ "merge_method": method });
    let (status, body) = call(simulator, Method::PUT, &path, body).await.expect("an answer");
    (status.as_u16(), body["message"].as_str().unwrap_or_default().to_owned())
}

fn mergeable_state(simulator: &Simulator, number: u64) -> String {
    simulator.github.pull(DEMO, number).expect("a look that computes");
    let pull = simulator.github.pull(DEMO, number).expect("a pull request");
    pull["mergeable_state"].as_str().unwrap_or_default().to_owned()
}

fn violation(words: &str) -> (u16, String) {
    (405, format!("Repository rule violations found\n\n{words}\n\n"))
}

fn check(name: &str, conclusion: Option<&str>) -> Check {
    Check { name: name.into(), conclusion: conclusion.map(str::to_owned), ..Check::default() }
}

#[tokio::test]
async fn rules_are_listed_with_all_their_parameters_also_of_branches_that_are_not_there() {
    let simulator = simulator(Options::default());
    assert_eq!(list(&simulator, "main").await, (200, json!([])));
    let mut release =
        BranchRule::new("release/*", RuleKind::PullRequest, &json!({ "required_approving_review_count": 2 }));
    release.organization = true;
    let queue =
        BranchRule::new("~DEFAULT_BRANCH", RuleKind::MergeQueue, &json!({ "merge_method": "SQUASH" }));
    simulator.github.set_rules(DEMO, vec![required(&["build"], true), release, queue]).expect("set");
    let (_, main) = list(&simulator, "main").await;
    assert_eq!(main.as_array().map(Vec::len), Some(2));
    assert_eq!(main[0]["type"], "required_status_checks");
    let parameters = json!({
        "do_not_enforce_on_create": false,
        "required_status_checks": [{ "context": "build" }],
        "strict_required_status_checks_policy": true,
    });
    assert_eq!(main[0]["parameters"], parameters);
    assert_eq!(
        (&main[0]["ruleset_source_type"], &main[0]["ruleset_source"]),
        (&json!("Repository"), &json!(DEMO))
    );
    assert_eq!(main[1]["parameters"]["merge_method"], "SQUASH");
    assert_eq!(main[1]["parameters"]["grouping_strategy"], "ALLGREEN");
    let (_, later) = list(&simulator, "release/2.0").await;
    assert_eq!((&later[0]["type"], &later[0]["ruleset_source"]), (&json!("pull_request"), &json!("acme")));
    assert_eq!(later[0]["parameters"]["required_approving_review_count"], 2);
    let (_, second) = list(&simulator, "main?per_page=1&page=2").await;
    assert_eq!(second[0]["type"], "merge_queue");
    let odd = BranchRule::new("main", RuleKind::MergeQueue, &json!({ "method": "MERGE" }));
    assert_eq!(simulator.github.set_rules(DEMO, vec![odd]).expect_err("refused").status, 422);
    // What tests ask for in shorter words are rules as well.
    simulator.github.set_rules(DEMO, Vec::new()).expect("set");
    simulator.github.protect(DEMO, "main", true).expect("protected");
    let manners = Manners { signed_commits: true, merge_queue: true, ..Manners::default() };
    simulator.github.set_manners(DEMO, manners).expect("set");
    let (_, short) = list(&simulator, "main").await;
    let kinds: Vec<_> = short.as_array().into_iter().flatten().map(|one| one["type"].clone()).collect();
    assert_eq!(kinds, ["pull_request", "required_signatures", "merge_queue"]);
    assert_eq!(short[1].get("parameters"), None);
    // Not everybody has paid for them.
    let private = json!({ "private": true });
    simulator.github.act("reviewer", &Method::PATCH, &format!("/repos/{DEMO}"), private).expect("private");
    simulator
        .github
        .set_manners(DEMO, Manners { plan_without_rules: true, ..Manners::default() })
        .expect("set");
    let (status, body) = list(&simulator, "main").await;
    assert_eq!(status, 403);
    assert_eq!(
        body["message"],
        "Upgrade to GitHub Pro or make this repository public to enable this feature."
    );
}

#[tokio::test]
async fn required_checks_hold_a_merge_back_and_are_counted_as_github_counts() {
    let simulator = simulator(Options::default());
    let number = open_pull(&simulator, "b");
    let sha = simulator.github.branch(DEMO, "b").expect("b");
    simulator.github.set_rules(DEMO, vec![required(&["build"], false)]).expect("set");
    let set = |checks: Vec<Check>| simulator.github.set_checks(DEMO, &sha, checks).expect("set");
    assert_eq!(mergeable_state(&simulator, number), "blocked");
    for (conclusion, word) in [
        (None, "in progress"),
        (Some("failure"), "failing"),
        (Some("cancelled"), "failing"),
        (Some("timed_out"), "failing"),
        (Some("action_required"), "failing"),
        (Some("stale"), "failing"),
    ] {
        set(vec![check("build", conclusion), check("other", Some("failure"))]);
        let words = format!("Required status check \"build\" is {word}.");
        assert_eq!(merge(&simulator, number, "merge").await, violation(&words), "{conclusion:?}");
    }
    simulator.github.set_rules(DEMO, vec![required(&["a", "b", "c"], false)]).expect("set");
    set(Vec::new());
    let words = "3 of 3 required status checks are expected.";
    assert_eq!(merge(&simulator, number, "merge").await, violation(words));
    set(vec![check("a", Some("failure")), check("b", None)]);
    let words = "3 of 3 required status checks have not succeeded: 1 expected and 1 failing.";
    assert_eq!(merge(&simulator, number, "merge").await, violation(words));
    set(vec![check("a", Some("failure")), check("b", None), check("c", Some("skipped"))]);
    let words = "2 of 3 required status checks have not succeeded: 1 failing.";
    assert_eq!(merge(&simulator, number, "merge").await, violation(words));
    // Who runs it again counts by its last run; a status of the name is as good as a run.
    simulator.github.add_check(DEMO, &sha, check("a", Some("neutral"))).expect("again");
    let status = Check { commit_status: true, ..check("b", Some("success")) };
    simulator.github.add_check(DEMO, &sha, status).expect("a status");
    let words = "Required status check \"b\" is in progress.";
    assert_eq!(merge(&simulator, number, "merge").await, violation(words), "both have to pass");
    simulator.github.add_check(DEMO, &sha, check("b", Some("success"))).expect("again");
    assert_eq!(mergeable_state(&simulator, number), "clean");
    assert_eq!(merge(&simulator, number, "merge").await.0, 200);
}

#[tokio::test]
async fn a_check_may_have_to_be_an_apps_own_and_of_the_latest_base() {
    let simulator = simulator(Options::default());
    let number = open_pull(&simulator, "b");
    let sha = simulator.github.branch(DEMO, "b").expect("b");
    let of_app = json!({ "required_status_checks": [{ "context": "build", "integration_id": 77 }] });
    let rules = vec![BranchRule::new("main", RuleKind::RequiredStatusChecks, &of_app)];
    simulator.github.set_rules(DEMO, rules).expect("set");
    simulator.github.set_checks(DEMO, &sha, vec![check("build", Some("success"))]).expect("set");
    let expected = violation("Required status check \"build\" is expected.");
    assert_eq!(merge(&simulator, number, "merge").await, expected);
    let own = Check { app: Some(77), ..check("build", Some("success")) };
    simulator.github.add_check(DEMO, &sha, own).expect("added");
    assert_eq!(mergeable_state(&simulator, number), "clean");
    // What has passed was not what would be merged.
    simulator.github.set_rules(DEMO, vec![required(&["build"], true)]).expect("set");
    simulator.github.push(DEMO, "main", &[("new.txt", Some("new"))], "New").expect("pushed");
    assert_eq!(mergeable_state(&simulator, number), "behind");
    assert_eq!(merge(&simulator, number, "merge").await, expected);
}

#[tokio::test]
async fn reviews_methods_and_history_are_asked_for_in_one_answer() {
    let simulator = simulator(Options::default());
    let number = open_pull(&simulator, "b");
    let reviews =
        json!({ "required_approving_review_count": 1, "allowed_merge_methods": ["merge", "squash"] });
    let rules = vec![
        BranchRule::new("main", RuleKind::PullRequest, &reviews),
        required(&["build"], false),
        BranchRule::new("main", RuleKind::RequiredLinearHistory, &json!({})),
    ];
    simulator.github.set_rules(DEMO, rules).expect("set");
    let review = "At least 1 approving review is required by reviewers with write access.";
    let words = format!(
        "{review}\n\nRequired status check \"build\" is expected.\n\nThis branch must not contain merge commits."
    );
    assert_eq!(merge(&simulator, number, "merge").await, violation(&words));
    let method = (405, "Rebase merges are not allowed on this repository.".to_owned());
    assert_eq!(merge(&simulator, number, "rebase").await, method);
    let sha = simulator.github.branch(DEMO, "b").expect("b");
    simulator.github.set_checks(DEMO, &sha, vec![check("build", Some("success"))]).expect("set");
    // Somebody without write access may say what he likes.
    simulator.github.review("stranger", DEMO, number, "APPROVE", "").expect("reviewed");
    assert_eq!(merge(&simulator, number, "squash").await, violation(review));
    simulator.github.review("acme", DEMO, number, "APPROVE", "").expect("reviewed");
    assert_eq!(merge(&simulator, number, "squash").await.0, 200);
    let path = format!("/repos/{DEMO}/git/refs/heads/main");
    let body = json!({ "sha": sha, "force": true });
    let (status, answer) = call(&simulator, Method::PATCH, &path, body).await.expect("an answer");
    assert_eq!(status.as_u16(), 422);
    assert_eq!(
        answer["message"],
        "Repository rule violations found\n\nChanges must be made through a pull request.\n\n"
    );
}
