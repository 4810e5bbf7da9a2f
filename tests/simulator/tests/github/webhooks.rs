//! Deliveries as GitHub makes them, and the ways in which tests may disturb them.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use slipway_simulator::github::{Delivery, DeliveryState, Mode, Order, signature};
use slipway_simulator::{Options, Simulator};

use crate::support::{DEADLINE, DEMO, Receiver, open_pull, simulator};

const SECRET: &str = "It's a Secret to Everybody";

/// A simulator whose `acme/demo` tells the receiver of pull requests; its ping has arrived.
async fn hooked(options: Options) -> (Simulator, Receiver) {
    let (simulator, receiver) = (simulator(options), Receiver::start().await);
    simulator.github.add_hook(DEMO, &receiver.url(), SECRET, &["pull_request"]).expect("a hook");
    settled(&simulator, 1).await;
    (simulator, receiver)
}

/// Waits until `count` deliveries have ended one way or the other.
async fn settled(simulator: &Simulator, count: usize) -> Vec<Delivery> {
    let ended = |delivery: &&Delivery| !matches!(delivery.state, DeliveryState::Sending);
    let deliveries = simulator.github.deliveries.wait_for(DEADLINE, |all| {
        (all.len() >= count && all.iter().filter(ended).count() == all.len()).then(|| all.to_vec())
    });
    deliveries.await.expect("they end")
}

#[test]
fn the_signature_is_the_documented_one() {
    let documented = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    assert_eq!(signature(SECRET, "Hello, World!"), documented);
}

#[tokio::test]
async fn a_delivery_is_signed_and_recorded() {
    let (simulator, receiver) = hooked(Options::default()).await;
    let number = open_pull(&simulator, "task/one");
    let deliveries = settled(&simulator, 2).await;
    let (sent, got) = (&deliveries[1], &receiver.received()[1]);
    assert_eq!(got.header("x-github-event"), "pull_request");
    assert_eq!(got.header("x-github-delivery"), sent.guid);
    assert_eq!(got.header("content-type"), "application/json");
    assert_eq!(got.header("x-hub-signature-256"), signature(SECRET, &got.body));
    assert_eq!(got.header("x-github-hook-installation-target-type"), "repository");
    let payload: Value = serde_json::from_str(&got.body).expect("JSON");
    assert_eq!(got.header("x-github-hook-installation-target-id"), payload["repository"]["id"].to_string());
    assert_eq!((&payload["action"], &payload["number"]), (&json!("opened"), &json!(number)));
    assert_eq!(payload["repository"]["owner"]["login"], "acme");
    assert_eq!(payload["organization"]["login"], "acme");
    assert_eq!((sent.state, sent.status.as_str()), (DeliveryState::Succeeded, "OK"));
    assert_eq!((sent.status_code, sent.response_body.as_str()), (Some(200), "answer"));
}

#[tokio::test]
async fn every_act_of_a_person_is_told() {
    let (simulator, receiver) = hooked(Options::default()).await;
    let github = &simulator.github;
    let number = open_pull(&simulator, "task/one");
    github.draft(DEMO, number).expect("a draft");
    github.ready(DEMO, number).expect("ready");
    github.push(DEMO, "task/one", &[("more.txt", Some(""))], "More").expect("pushed");
    github.edit(DEMO, number, json!({ "title": "Other" })).expect("edited");
    github.close(DEMO, number).expect("closed");
    github.reopen(DEMO, number).expect("reopened");
    github.merge(DEMO, number, slipway_simulator::github::MergeMethod::Squash).expect("merged");
    let deliveries = settled(&simulator, 9).await;
    let actions: Vec<&str> = deliveries[1..].iter().filter_map(|one| one.action.as_deref()).collect();
    let expected = [
        "opened",
        "converted_to_draft",
        "ready_for_review",
        "synchronize",
        "edited",
        "closed",
        "reopened",
        "closed",
    ];
    assert_eq!(actions, expected);
    let merged = |delivery: &Delivery| delivery.payload()["pull_request"]["merged"].clone();
    assert_eq!((merged(&deliveries[6]), merged(&deliveries[8])), (json!(false), json!(true)));
    assert_eq!(deliveries[8].payload()["pull_request"]["merged_by"]["login"], "reviewer");
    assert_eq!(receiver.received().len(), 9);
}

#[tokio::test]
async fn failures_are_recorded_and_never_repeated_by_themselves() {
    let mut options = Options::default();
    options.github.settings.webhook_timeout = Duration::from_secs(3);
    let (simulator, receiver) = hooked(options).await;
    receiver.answer(Some(503));
    let number = open_pull(&simulator, "task/one");
    let refused = settled(&simulator, 2).await.remove(1);
    assert_eq!((refused.state, refused.status_code), (DeliveryState::Failed, Some(503)));
    receiver.answer(None);
    simulator.github.close(DEMO, number).expect("closed");
    let silent = settled(&simulator, 3).await.remove(2);
    assert_eq!(
        (silent.state, silent.status.as_str(), silent.status_code),
        (DeliveryState::Failed, "timed out", None)
    );
    // Redelivered by hand: the same GUID and the same bytes.
    receiver.answer(Some(200));
    let again = simulator.github.redeliver(refused.id).await.expect("known");
    assert_eq!((again.state, again.redelivery), (DeliveryState::Succeeded, true));
    let got = receiver.received();
    assert_eq!(got.len(), 4, "ping, 503, time-out, redelivery: nothing else");
    assert_eq!(got[3].header("x-github-delivery"), got[1].header("x-github-delivery"));
    assert_eq!(got[3].body, got[1].body);
    drop(receiver);
    simulator.github.reopen(DEMO, number).expect("reopened");
    let unreachable = settled(&simulator, 5).await.remove(4);
    assert_eq!((unreachable.state, unreachable.status_code), (DeliveryState::Failed, None));
}

#[tokio::test]
async fn held_deliveries_are_released_reordered_and_doubled() {
    let (simulator, receiver) = hooked(Options::default()).await;
    simulator.github.deliveries.set_mode(Mode::Hold);
    let number = open_pull(&simulator, "task/one");
    simulator.github.close(DEMO, number).expect("closed");
    simulator.github.deliveries.set_mode(Mode::Lose);
    simulator.github.reopen(DEMO, number).expect("reopened");
    assert_eq!(receiver.received().len(), 1, "the ping alone");
    let released = simulator.github.deliveries.release(Order::Reversed, 2).await;
    assert_eq!(released.len(), 2);
    let mut actions = Vec::new();
    for one in &receiver.received()[1..] {
        let payload: Value = serde_json::from_str(&one.body).expect("JSON");
        actions.push(payload["action"].as_str().expect("an action").to_owned());
    }
    assert_eq!(actions, ["closed", "closed", "opened", "opened"]);
    let all = simulator.github.deliveries.all();
    let lost: Vec<&Delivery> = all.iter().filter(|one| one.state == DeliveryState::Lost).collect();
    assert_eq!(lost.len(), 1);
    assert_eq!(lost[0].action.as_deref(), Some("reopened"));
}

#[tokio::test]
async fn a_hook_without_content_type_sends_forms_signed_as_sent() {
    let (simulator, receiver) = (simulator(Options::default()), Receiver::start().await);
    let body = json!({ "config": { "url": receiver.url(), "secret": SECRET } });
    simulator.github.act("reviewer", &Method::POST, &format!("/repos/{DEMO}/hooks"), body).expect("a hook");
    settled(&simulator, 1).await;
    let got = &receiver.received()[0];
    assert_eq!(got.header("content-type"), "application/x-www-form-urlencoded");
    assert!(got.body.starts_with("payload=%7B"));
    assert_eq!(got.header("x-hub-signature-256"), signature(SECRET, &got.body));
}
