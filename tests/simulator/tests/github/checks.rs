//! Checks as CI has them: late, never ending, run again, of several Apps, with commit statuses beside them.
//! Which of them a merge needs is in `branch_rules`.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use slipway_simulator::github::{BranchRule, Check, Manners, RuleKind};
use slipway_simulator::{Options, Simulator};

use crate::app_support::send;
use crate::support::{DEMO, TOKEN, call, open_pull, simulator};

fn check(name: &str, conclusion: Option<&str>) -> Check {
    Check { name: name.into(), conclusion: conclusion.map(str::to_owned), ..Check::default() }
}

async fn get(simulator: &Simulator, path: &str) -> Value {
    call(simulator, Method::GET, &format!("/repos/{DEMO}{path}"), json!({})).await.expect("an answer").1
}

fn told(runs: &Value) -> Vec<(String, String, Option<String>)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let runs = runs["check_runs"].as_array().into_iter().flatten();
    runs.map(|run| {
        let (name, status) = (text(&run["name"]), text(&run["status"]));
        (name.unwrap_or_default(), status.unwrap_or_default(), text(&run["conclusion"]))
    })
    .collect()
}

#[tokio::test]
async fn a_suite_is_queued_before_it_has_runs_and_some_come_later_than_others() {
    let simulator = simulator(Options::default());
    let deploy = Check { after_seconds: 60, status: Some("queued".into()), ..check("deploy", None) };
    let bot = Check { app: Some(77), ..check("bot", Some("skipped")) };
    let checks = vec![check("build", Some("success")), deploy, bot];
    let manners = Manners { checks, checks_after_seconds: 30, ..Manners::default() };
    simulator.github.set_manners(DEMO, manners).expect("set");
    open_pull(&simulator, "b");
    assert_eq!(get(&simulator, "/commits/b/check-runs").await["total_count"], 0);
    let suites = get(&simulator, "/commits/b/check-suites").await;
    assert_eq!(suites["total_count"], 2);
    let first = &suites["check_suites"][0];
    assert_eq!((&first["status"], &first["conclusion"]), (&json!("queued"), &Value::Null));
    assert_eq!(first["latest_check_runs_count"], 0);
    simulator.clock.advance(Duration::from_secs(31));
    assert_eq!(get(&simulator, "/commits/b/check-runs").await["total_count"], 2);
    simulator.clock.advance(Duration::from_secs(60));
    let runs = get(&simulator, "/commits/b/check-runs").await;
    let row = |name: &str, status: &str, conclusion: Option<&str>| {
        (name.to_owned(), status.to_owned(), conclusion.map(str::to_owned))
    };
    let expected = [
        row("bot", "completed", Some("skipped")),
        row("deploy", "queued", None),
        row("build", "completed", Some("success")),
    ];
    assert_eq!(told(&runs), expected);
    let suites = get(&simulator, "/commits/b/check-suites").await;
    let state = |at: usize| {
        (suites["check_suites"][at]["status"].clone(), suites["check_suites"][at]["conclusion"].clone())
    };
    assert_eq!(state(0), (json!("completed"), json!("skipped")), "the App with the lower id");
    assert_eq!(state(1), (json!("in_progress"), Value::Null));
    let suite = suites["check_suites"][1]["id"].as_u64().expect("an id");
    let of_suite = get(&simulator, &format!("/check-suites/{suite}/check-runs")).await;
    assert_eq!(of_suite["total_count"], 2);
    assert_eq!(get(&simulator, "/commits/b/check-runs?status=queued").await["total_count"], 1);
    assert_eq!(get(&simulator, "/commits/b/check-runs?app_id=77").await["total_count"], 1);
    assert_eq!(get(&simulator, "/commits/b/check-runs?check_name=build").await["total_count"], 1);
}

#[tokio::test]
async fn a_check_that_is_run_again_keeps_its_old_result_for_those_who_ask_for_all() {
    let simulator = simulator(Options::default());
    open_pull(&simulator, "b");
    let sha = simulator.github.branch(DEMO, "b").expect("b");
    let first = vec![check("build", Some("failure")), check("lint", Some("success"))];
    simulator.github.set_checks(DEMO, &sha, first).expect("set");
    let suite = |suites: &Value| {
        (suites["check_suites"][0]["conclusion"].clone(), suites["check_suites"][0]["status"].clone())
    };
    let suites = get(&simulator, "/commits/b/check-suites").await;
    assert_eq!(suite(&suites), (json!("failure"), json!("completed")));
    simulator.clock.advance(Duration::from_secs(5));
    simulator.github.add_check(DEMO, &sha, check("build", None)).expect("again");
    let names = |runs: &[(String, String, Option<String>)]| {
        runs.iter().map(|(name, status, _)| format!("{name} {status}")).collect::<Vec<_>>()
    };
    let latest = told(&get(&simulator, "/commits/b/check-runs").await);
    assert_eq!(names(&latest), ["build in_progress", "lint completed"]);
    let all = told(&get(&simulator, "/commits/b/check-runs?filter=all").await);
    assert_eq!(names(&all), ["build in_progress", "lint completed", "build completed"]);
    let suites = get(&simulator, "/commits/b/check-suites").await;
    assert_eq!(suite(&suites), (Value::Null, json!("in_progress")));
    let path = format!("/repos/{DEMO}/commits/b/check-runs?filter=all&per_page=2");
    let page = send(&simulator, Method::GET, &path, Some(TOKEN), Value::Null).await;
    assert_eq!((told(&page.body).len(), &page.body["total_count"]), (2, &json!(3)));
    assert!(page.header("link").contains("rel=\"next\""));
    let odd = check("build", Some("passed"));
    assert_eq!(simulator.github.add_check(DEMO, &sha, odd).expect_err("refused").status, 422);
}

#[tokio::test]
async fn statuses_are_combined_by_the_newest_of_each_context() {
    let simulator = simulator(Options::default());
    open_pull(&simulator, "b");
    let sha = simulator.github.branch(DEMO, "b").expect("b");
    let status = |name: &str, state: Option<&str>| Check { commit_status: true, ..check(name, state) };
    let combined = async |checks: Vec<Check>| {
        simulator.github.set_checks(DEMO, &sha, checks).expect("set");
        get(&simulator, "/commits/b/status").await["state"].clone()
    };
    assert_eq!(combined(vec![check("run", Some("failure"))]).await, "pending", "runs are no statuses");
    assert_eq!(combined(vec![status("ci", Some("success")), status("bot", None)]).await, "pending");
    assert_eq!(combined(vec![status("ci", Some("success")), status("bot", Some("error"))]).await, "failure");
    assert_eq!(combined(vec![status("ci", Some("error")), status("ci", Some("success"))]).await, "success");
    let all = get(&simulator, "/commits/b/statuses").await;
    let states: Vec<_> = all.as_array().into_iter().flatten().map(|one| one["state"].clone()).collect();
    assert_eq!(states, ["success", "error"], "every one of them, the newest first");
    assert_eq!(get(&simulator, "/commits/b/status").await["total_count"], 1);
}

#[tokio::test]
async fn graphql_says_which_of_them_a_pull_request_needs() {
    let simulator = simulator(Options::default());
    let number = open_pull(&simulator, "b");
    let sha = simulator.github.branch(DEMO, "b").expect("b");
    let parameters = json!({ "required_status_checks": [{ "context": "build" }, { "context": "ci" }] });
    let rule = BranchRule::new("main", RuleKind::RequiredStatusChecks, &parameters);
    simulator.github.set_rules(DEMO, vec![rule]).expect("set");
    let ci = Check { commit_status: true, ..check("ci", None) };
    let checks = vec![check("build", Some("success")), check("extra", Some("failure")), ci];
    simulator.github.set_checks(DEMO, &sha, checks).expect("set");
    let ask = async |first: u64, after: &str| {
        let query = format!(
            "query($n: Int!) {{ repository(owner: \"acme\", name: \"demo\") {{ pullRequest(number: $n) {{ mergeStateStatus
             statusCheckRollup {{ state contexts(first: {first}{after}) {{ totalCount pageInfo {{ hasNextPage endCursor }} nodes {{
             __typename ... on CheckRun {{ name isRequired(pullRequestNumber: $n) }}
             ... on StatusContext {{ context isRequired(pullRequestNumber: $n) }} }} }} }} }} }} }}"
        );
        let body = json!({ "query": query, "variables": { "n": number } });
        let (_, answer) = call(&simulator, Method::POST, "/graphql", body).await.expect("an answer");
        answer
    };
    let answer = ask(2, "").await;
    let pull = &answer["data"]["repository"]["pullRequest"];
    // The first look only makes GitHub find out.
    assert_eq!(
        (&pull["mergeStateStatus"], &pull["statusCheckRollup"]["state"]),
        (&json!("UNKNOWN"), &json!("FAILURE"))
    );
    let contexts = &pull["statusCheckRollup"]["contexts"];
    assert_eq!((&contexts["totalCount"], &contexts["pageInfo"]["hasNextPage"]), (&json!(3), &json!(true)));
    let needed = |contexts: &Value| {
        let nodes = contexts["nodes"].as_array().cloned().unwrap_or_default();
        nodes.iter().map(|node| node["isRequired"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(needed(contexts), [true, false]);
    let cursor = contexts["pageInfo"]["endCursor"].as_str().expect("a cursor").to_owned();
    let answer = ask(2, &format!(", after: \"{cursor}\"")).await;
    let pull = &answer["data"]["repository"]["pullRequest"];
    assert_eq!(pull["mergeStateStatus"], "BLOCKED");
    assert_eq!(needed(&pull["statusCheckRollup"]["contexts"]), [true]);
    let refused = ask(200, "").await;
    assert_eq!(refused["errors"][0]["type"], "EXCESSIVE_PAGINATION");
}
