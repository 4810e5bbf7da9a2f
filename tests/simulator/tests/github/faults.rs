//! Injected faults really do what they say, the log tells it, and the clock moves what depends on it.

use std::time::Duration;

use http::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};
use slipway_simulator::core::{Action, Outcome, Rule, When};
use slipway_simulator::github::{primary_limit, secondary_limit};
use slipway_simulator::{Options, Simulator};

use crate::support::{DEADLINE, DEMO, call, client, open_pull, simulator};

const CREATE_REF: &str = "POST /repos/{owner}/{repo}/git/refs";

async fn create_ref(simulator: &Simulator, branch: &str) -> Result<(StatusCode, Value), reqwest::Error> {
    let sha = simulator.github.branch(DEMO, "main").expect("main");
    let body = json!({ "ref": format!("refs/heads/{branch}"), "sha": sha });
    call(simulator, Method::POST, &format!("/repos/{DEMO}/git/refs"), body).await
}

#[tokio::test]
async fn a_call_cut_before_has_no_effect_and_one_cut_after_has() {
    let simulator = simulator(Options::default());
    let before = Rule::on("github", CREATE_REF).when(When::Nth(2)).action(Action::CutBefore);
    let after = Rule::on("github", CREATE_REF).when(When::Nth(3)).action(Action::CutAfter);
    let ids = [simulator.faults.set(before), simulator.faults.set(after)];
    assert_eq!(create_ref(&simulator, "one").await.expect("an answer").0, StatusCode::CREATED);
    assert!(create_ref(&simulator, "two").await.is_err());
    assert_eq!(simulator.github.branch(DEMO, "two"), None);
    assert!(create_ref(&simulator, "three").await.is_err());
    assert!(simulator.github.branch(DEMO, "three").is_some());
    assert_eq!(create_ref(&simulator, "four").await.expect("an answer").0, StatusCode::CREATED);
    assert_eq!(ids.map(|id| simulator.faults.hits(id)), [Some(1), Some(1)]);

    let calls = simulator.calls.of("github", CREATE_REF);
    let outcomes: Vec<Outcome> = calls.iter().map(|call| call.outcome).collect();
    assert_eq!(outcomes, [Outcome::Status(201), Outcome::Cut, Outcome::Cut, Outcome::Status(201)]);
    assert_eq!(calls.iter().map(|call| call.ordinal).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(
        calls.iter().map(|call| call.fault).collect::<Vec<_>>(),
        [None, Some(ids[0]), Some(ids[1]), None]
    );
    assert_eq!(calls[0].headers.get("authorization").map(String::as_str), Some("REDACTED"));
    assert!(calls[0].request_bytes > 0);
}

#[tokio::test]
async fn statuses_come_instead_of_the_effect_or_after_it() {
    let simulator = simulator(Options::default());
    let id =
        simulator.faults.set(Rule::on("github", CREATE_REF).when(When::Next(2)).status(503, "Unavailable"));
    for _ in 0..2 {
        let (status, body) = create_ref(&simulator, "one").await.expect("an answer");
        assert_eq!((status.as_u16(), &body["message"]), (503, &json!("Unavailable")));
    }
    assert_eq!(create_ref(&simulator, "one").await.expect("an answer").0, StatusCode::CREATED);
    simulator.faults.remove(id).expect("was set");
    let lost = Action::Status { status: 502, headers: [].into(), body: "<html>".into(), after_effect: true };
    simulator.faults.set(Rule::on("github", CREATE_REF).action(lost));
    assert_eq!(create_ref(&simulator, "two").await.expect("an answer").0, StatusCode::BAD_GATEWAY);
    assert!(simulator.github.branch(DEMO, "two").is_some());
}

#[tokio::test]
async fn a_truncated_body_breaks_off_after_a_whole_head() {
    let simulator = simulator(Options::default());
    let rule = Rule::on("github", "GET /repos/{owner}/{repo}").action(Action::TruncateBody { after: 10 });
    simulator.faults.set(rule);
    let url = format!("{}/repos/{DEMO}", simulator.github_url());
    let answer = client().get(url).send().await.expect("a head");
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.content_length().is_some_and(|length| length > 10));
    assert!(answer.bytes().await.is_err(), "the body must break off");
}

#[tokio::test]
async fn a_held_call_waits_and_has_no_effect_when_its_client_goes() {
    let simulator = simulator(Options::default());
    let rule = Rule::on("github", CREATE_REF).action(Action::Hold { after_effect: false });
    let id = simulator.faults.set(rule);
    // The client gives up: dropping the future closes the connection.
    let seq = simulator.calls.last_seq();
    tokio::select! {
        answer = create_ref(&simulator, "one") => panic!("answered: {answer:?}"),
        held = simulator.calls.wait_for_call(seq, DEADLINE, |call| call.endpoint == CREATE_REF) => {
            assert_eq!(held.expect("arrives").outcome, Outcome::Pending);
        }
    }
    let cut = simulator.calls.wait_for_call(seq, DEADLINE, |call| call.outcome == Outcome::Cut).await;
    cut.expect("ends with its client");
    // Released: it goes on as if nothing had been.
    let released = async {
        let arrived = simulator.calls.wait_for_call(seq + 1, DEADLINE, |call| call.endpoint == CREATE_REF);
        arrived.await.expect("arrives");
        simulator.faults.remove(id).expect("was set");
    };
    let (answer, ()) = tokio::join!(create_ref(&simulator, "two"), released);
    assert_eq!(answer.expect("an answer").0, StatusCode::CREATED);
    assert_eq!(simulator.github.branch(DEMO, "one"), None);
}

#[tokio::test]
async fn a_delay_delays() {
    let simulator = simulator(Options::default());
    simulator.faults.set(Rule::all_of("github").delay_ms(300));
    let started = std::time::Instant::now();
    assert_eq!(create_ref(&simulator, "one").await.expect("an answer").0, StatusCode::CREATED);
    assert!(started.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn limits_say_what_github_says() {
    let simulator = simulator(Options::default());
    let reset = simulator.clock.now() + jiff::SignedDuration::from_secs(90);
    simulator.faults.set(Rule::all_of("github").when(When::Nth(1)).action(secondary_limit(Some(7))));
    simulator.faults.set(Rule::all_of("github").when(When::Nth(2)).action(primary_limit(reset)));
    let url = format!("{}/repos/{DEMO}", simulator.github_url());
    let secondary = client().get(&url).send().await.expect("an answer");
    assert_eq!(secondary.status(), StatusCode::FORBIDDEN);
    assert_eq!(secondary.headers()["retry-after"], "7");
    assert!(secondary.text().await.expect("a body").contains("secondary rate limit"));
    let primary = client().get(&url).send().await.expect("an answer");
    assert_eq!(primary.headers()["x-ratelimit-remaining"], "0");
    assert_eq!(primary.headers()["x-ratelimit-reset"], reset.as_second().to_string().as_str());
    let passed = client().get(&url).send().await.expect("an answer");
    assert_eq!(passed.status(), StatusCode::OK);
    assert_eq!(passed.headers()["x-ratelimit-limit"], "60", "no token: the anonymous limit");
}

#[tokio::test]
async fn the_clock_moves_timestamps_and_wakes_sleepers() {
    let simulator = simulator(Options::default());
    let number = open_pull(&simulator, "task/one");
    let updated = |pull: &Value| {
        pull["updated_at"].as_str().and_then(|at| at.parse::<Timestamp>().ok()).expect("a time")
    };
    let before = updated(&simulator.github.pull(DEMO, number).expect("there"));
    let deadline = simulator.clock.now() + jiff::SignedDuration::from_hours(1);
    let sleeper = tokio::spawn({
        let clock = simulator.clock.clone();
        async move { clock.sleep_until(deadline).await }
    });
    simulator.clock.advance(Duration::from_hours(1));
    tokio::time::timeout(DEADLINE, sleeper).await.expect("wakes at once").expect("no panic");
    let closed = simulator.github.close(DEMO, number).expect("closed");
    let passed = updated(&closed).duration_since(before);
    assert!(passed >= jiff::SignedDuration::from_hours(1), "{passed}");
}

#[tokio::test]
async fn the_control_side_sets_faults_and_shows_calls_and_state() {
    let simulator = simulator(Options::default());
    let control = simulator.control_url();
    let rule = json!({
        "api": "github", "endpoint": CREATE_REF, "when": { "nth": 1 },
        "action": { "status": { "status": 500, "body": "{}" } },
    });
    let set = client().post(format!("{control}/faults")).json(&rule).send().await.expect("an answer");
    let id = set.json::<Value>().await.expect("JSON")["id"].as_u64().expect("an id");
    let wrong = json!({ "endpoint": CREATE_REF, "acton": "cut_before" });
    let wrong = client().post(format!("{control}/faults")).json(&wrong).send().await.expect("an answer");
    assert_eq!(wrong.status(), StatusCode::BAD_REQUEST);
    assert_eq!(create_ref(&simulator, "one").await.expect("an answer").0, StatusCode::INTERNAL_SERVER_ERROR);
    let get = async |path: &str| {
        let answer = client().get(format!("{control}{path}")).send().await.expect("an answer");
        answer.json::<Value>().await.expect("JSON")
    };
    let faults = get("/faults").await;
    assert_eq!((&faults["faults"][0]["id"], &faults["faults"][0]["hits"]), (&json!(id), &json!(1)));
    assert_eq!(get("/calls").await["calls"][0]["outcome"], json!({ "status": 500 }));
    let removed = client().delete(format!("{control}/faults/{id}")).send().await.expect("an answer");
    assert_eq!(removed.status(), StatusCode::OK);
    assert_eq!(create_ref(&simulator, "one").await.expect("an answer").0, StatusCode::CREATED);
    let state = get("/state").await;
    assert_eq!(state["github"]["counts"]["refsCreated"], json!(1));
    assert_eq!(state["calls"][format!("github {CREATE_REF}")], json!(2));
}

#[test]
fn a_simulator_outlives_the_runtime_it_was_used_from() {
    let simulator = simulator(Options::default());
    for branch in ["one", "two"] {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (status, _) = runtime.block_on(create_ref(&simulator, branch)).expect("an answer");
        assert_eq!(status, StatusCode::CREATED);
    }
}
