//! What is left of a Sandbox that is deleted: what its policy says, and nothing that nobody knows of.

use crate::world::{CREATE, KILL, World, ready};
use serde_json::json;
use slipway_simulator::core::{Action, When};
use slipway_simulator::e2b::{API_KEY, State};
use std::time::Duration;

const SOON: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_pause_and_retain() {
    for (policy, left) in [
        (None, None),
        (Some("Kill"), None),
        (Some("Pause"), Some(State::Paused)),
        (Some("Retain"), Some(State::Running)),
    ] {
        let world = World::new("policy").await;
        world.apply(json!({"deletionPolicy": policy})).await;
        world.until_running().await;
        world.delete().await;
        world.until_deleted(SOON).await;
        assert_eq!(world.live().first().map(|one| one.state), left, "{policy:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_that_fails_is_made_again() {
    let world = World::new("killfails").await;
    world.apply(json!({})).await;
    world.until_running().await;
    world.fault(KILL, When::Nth(1), Action::CutBefore);
    world.fault(KILL, When::Nth(2), Action::CutAfter);
    world.delete().await;
    world.until_deleted(SOON).await;
    assert!(world.live().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_never_made_one_goes_at_once() {
    let world = World::new("never").await;
    world.apply(json!({"template": "nonsense"})).await;
    world.until("refused", |s| ready(s) == "False/TemplateNotFound").await;
    world.delete().await;
    world.until_deleted(SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_with_a_create_under_way_nothing_is_left() {
    let mut world = World::new("midcreate").await;
    let rule = world.fault(CREATE, When::Nth(1), Action::Hold { after_effect: true });
    world.apply(json!({})).await;
    world.until_called(CREATE, 1).await;
    world.delete().await;
    world.crash();
    world.sim.faults.remove(rule);
    world.start_operator();
    world.until_deleted(Duration::from_secs(160)).await;
    assert!(world.live().is_empty(), "{:?}", world.live());
    assert_eq!(world.sim.e2b.counters().creates, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_key_that_worked_outlives_its_secret() {
    let world = World::new("lastkey").await;
    world.put_key(API_KEY).await;
    world.apply(json!({"credentialsSecretRef": {"name": "key"}})).await;
    world.until_running().await;
    world.delete_key().await;
    world.delete().await;
    world.until_deleted(SOON).await;
    assert!(world.live().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_any_key_the_object_waits_and_says_so() {
    let mut world = World::new("nokeyleft").await;
    world.put_key(API_KEY).await;
    world.apply(json!({"credentialsSecretRef": {"name": "key"}})).await;
    world.until_running().await;
    world.crash();
    world.delete_key().await;
    world.delete().await;
    world.start_operator();
    let waiting = world.until("deleting", |s| ready(s) == "False/Deleting").await;
    let message = crate::world::message(&waiting);
    assert!(message.contains("10 minutes") && message.contains("does not exist"), "{message}");
    world.put_key(API_KEY).await;
    world.until_deleted(SOON).await;
    assert!(world.live().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_that_fails_is_made_again_and_one_that_loses_the_sandbox_ends_it() {
    for (lost, left) in [(false, Some(State::Paused)), (true, None)] {
        let world = World::new("pausefails").await;
        world.apply(json!({"deletionPolicy": "Pause"})).await;
        world.until_running().await;
        world.sim.e2b.fail_next_pause(lost);
        world.delete().await;
        world.until_deleted(SOON).await;
        assert_eq!(world.live().first().map(|one| one.state), left, "lost: {lost}");
    }
}
