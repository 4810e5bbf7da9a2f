//! Answers that are lost, servers that fail after the effect, an operator that dies: one sandbox, whatever happened.

use crate::world::{CREATE, LIST, World};
use serde_json::json;
use slipway_simulator::core::{Action, When};
use slipway_simulator::e2b::KeyMode;
use std::collections::BTreeMap;
use std::time::Duration;

fn failing(status: u16, after_effect: bool) -> Action {
    let body = json!({"code": status, "message": "broken"}).to_string();
    Action::Status { status, headers: BTreeMap::new(), body, after_effect }
}

async fn comes_up_once(world: &World, creates: usize) {
    world.apply(json!({})).await;
    let status = world.until_running().await;
    assert_eq!(world.live().len(), 1);
    assert_eq!(Some(&world.live()[0].sandbox_id), status.sandbox_id.as_ref());
    assert_eq!((world.count(CREATE), world.sim.e2b.counters().creates), (creates, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_lost_is_found_by_the_list() {
    let world = World::new("cutafter").await;
    world.fault(CREATE, When::Nth(1), Action::CutAfter);
    comes_up_once(&world, 1).await;
    assert_eq!(world.count(LIST), 1);
    assert!(world.status().await.orphan_check_at.is_some(), "one more list is planned");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_an_answer_is_a_lost_one() {
    let world = World::new("truncated").await;
    world.fault(CREATE, When::Nth(1), Action::TruncateBody { after: 20 });
    comes_up_once(&world, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_never_arrived_is_made_again_under_its_key() {
    let world = World::new("cutbefore").await;
    world.fault(CREATE, When::Nth(1), Action::CutBefore);
    comes_up_once(&world, 2).await;
    let keys: Vec<_> =
        world.sim.calls.of("e2b", CREATE).into_iter().map(|call| call.idempotency_key).collect();
    assert_eq!(keys[0], keys[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_that_the_list_hides_is_replayed() {
    let world = World::new("hidden").await;
    world.sim.e2b.hide_new(Duration::from_hours(1));
    world.fault(CREATE, When::Nth(1), Action::CutAfter);
    comes_up_once(&world, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_error_after_the_effect_is_found_by_the_list() {
    let world = World::new("failedafter").await;
    world.fault(CREATE, When::Nth(1), failing(500, true));
    comes_up_once(&world, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_error_is_followed_by_a_new_attempt_after_100_seconds() {
    let world = World::new("failed").await;
    world.fault(CREATE, When::Nth(1), failing(503, false));
    world.apply(json!({})).await;
    let up = |s: &slipway::api::SandboxStatus| s.sandbox_id.is_some();
    world.until_within(Duration::from_secs(160), "the second attempt", up).await;
    let calls = world.sim.calls.of("e2b", CREATE);
    assert_eq!((calls.len(), world.live().len()), (2, 1));
    let waited = calls[1].real_at.duration_since(calls[0].real_at).as_secs();
    assert!((98..140).contains(&waited), "{waited} s");
    let keys: Vec<_> = calls.into_iter().filter_map(|call| call.idempotency_key).collect();
    assert!(keys[0].ends_with("x1x1") && keys[1].ends_with("x1x2"), "{keys:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_that_dies_with_the_answer_under_way_adopts_what_it_made() {
    let mut world = World::new("crashafter").await;
    let rule = world.fault(CREATE, When::Nth(1), Action::Hold { after_effect: true });
    world.apply(json!({})).await;
    world.until_called(CREATE, 1).await;
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while world.live().is_empty() {
        assert!(std::time::Instant::now() < deadline, "the effect takes place");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    world.crash();
    world.sim.faults.remove(rule);
    assert!(world.status().await.creating.is_some(), "the intent is what a restart finds");
    world.start_operator();
    world.until_running().await;
    assert_eq!((world.count(CREATE), world.live().len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_that_dies_before_the_call_makes_it_after_30_seconds_under_the_same_key() {
    let mut world = World::new("crashbefore").await;
    let rule = world.fault(CREATE, When::Nth(1), Action::Hold { after_effect: false });
    world.apply(json!({})).await;
    let first = world.until_called(CREATE, 1).await;
    world.crash();
    let intent = world.status().await.creating.unwrap();
    world.start_operator();
    world.until_running().await;
    world.sim.faults.remove(rule);
    let calls = world.sim.calls.of("e2b", CREATE);
    assert_eq!((calls.len(), world.live().len()), (2, 1));
    assert_eq!(calls[1].idempotency_key, first.idempotency_key);
    assert!(calls[1].real_at.duration_since(intent.requested_at.0).as_secs() >= 30);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_of_a_doubtful_create_later_is_killed() {
    let world = World::new("orphan").await;
    // The answer is lost and its sandbox adopted; a twin turns up, as from a server that ignores idempotency keys.
    world.fault(CREATE, When::Nth(1), Action::CutAfter);
    world.apply(json!({})).await;
    let status = world.until_running().await;
    let own = world.live()[0].clone();
    let twin = make_twin(&world, &own.metadata).await;
    assert_eq!(world.live().len(), 2);
    let check = status.orphan_check_at.unwrap().0;
    let gone = |s: &slipway::api::SandboxStatus| s.orphan_check_at.is_none();
    world.until_within(Duration::from_secs(160), "the check of orphans", gone).await;
    assert!(jiff::Timestamp::now() >= check);
    let live: Vec<_> = world.live().into_iter().map(|one| one.sandbox_id).collect();
    assert_eq!(live, [own.sandbox_id], "{twin} is killed, the own one is not");
}

/// Makes a sandbox with the same marks.
async fn make_twin(world: &World, metadata: &BTreeMap<String, String>) -> String {
    let answer = reqwest::Client::new()
        .post(format!("{}/v2/sandboxes", world.sim.e2b_api_url()))
        .header("x-api-key", slipway_simulator::e2b::API_KEY)
        .json(&json!({"templateID": "base", "timeout": 300, "metadata": metadata}))
        .send()
        .await
        .unwrap();
    let body: serde_json::Value = answer.error_for_status().unwrap().json().await.unwrap();
    body["sandboxID"].as_str().unwrap().to_owned()
}

/// The answer to the first create is lost, and for a minute no list shows what it made.
async fn lost_and_hidden(prefix: &str, mode: KeyMode) -> World {
    let world = World::new(prefix).await;
    world.sim.e2b.set_key_mode(mode);
    world.sim.e2b.hide_new(Duration::from_mins(1));
    world.fault(CREATE, When::Nth(1), Action::CutAfter);
    world.apply(json!({})).await;
    world
}

/// One is live in the end, the recorded one, whatever the server makes of idempotency keys.
async fn until_one_is_left(world: &World) {
    let gone = |s: &slipway::api::SandboxStatus| s.sandbox_id.is_some() && s.orphan_check_at.is_none();
    let status = world.until_within(Duration::from_secs(200), "the check of orphans", gone).await;
    let live: Vec<_> = world.live().into_iter().map(|one| one.sandbox_id).collect();
    assert_eq!(live, [status.sandbox_id.unwrap()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_ignores_keys_makes_a_second_one_and_one_of_them_stays() {
    let world = lost_and_hidden("ignored", KeyMode::Ignore).await;
    world.until_running().await;
    assert_eq!(world.sim.e2b.counters().creates, 2);
    until_one_is_left(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_forgets_outcomes_makes_no_second_one() {
    let world = lost_and_hidden("forgotten", KeyMode::ForgetOutcomes).await;
    until_one_is_left(&world).await;
    assert_eq!(world.sim.e2b.counters().creates, 1);
}
