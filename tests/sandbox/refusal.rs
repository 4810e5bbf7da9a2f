//! What a person has to fix: keys, Secrets, templates. The condition says what; fixing it is all that is needed.

use crate::world::{CREATE, World, message, ready};
use serde_json::json;
use slipway::api::SandboxState;
use slipway_simulator::core::{Action, When};
use slipway_simulator::e2b::{API_KEY, Team};

const OTHER_KEY: &str = "e2b_1111111111111111111111111111111111111111";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_secret_is_named_and_used_when_it_comes() {
    let mut world = World::without_operator("secret").await;
    world.start_operator_with(None);
    world.apply(json!({"credentialsSecretRef": {"name": "key"}})).await;
    let status = world.until("named", |s| ready(s) == "False/SecretNotFound").await;
    assert!(message(&status).contains("key") && message(&status).contains("apiKey"), "{}", message(&status));
    assert!(status.creating.is_none());
    world.put_key(API_KEY).await;
    world.until_running().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_any_key_the_condition_says_where_to_put_one() {
    let mut world = World::without_operator("nokey").await;
    world.start_operator_with(None);
    world.apply(json!({})).await;
    let status = world.until("named", |s| ready(s) == "False/CredentialsInvalid").await;
    assert!(message(&status).contains("E2B_API_KEY"), "{}", message(&status));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_key_stalls_and_a_right_one_goes_on() {
    let world = World::new("denied").await;
    world.put_key("e2b_2222222222222222222222222222222222222222").await;
    world.apply(json!({"credentialsSecretRef": {"name": "key"}})).await;
    let status = world.until("denied", |s| ready(s) == "False/CredentialsDenied").await;
    assert!(status.conditions.iter().any(|c| c.type_ == "Stalled" && c.status == "True"));
    assert!(message(&status).contains("credentialsSecretRef"), "{}", message(&status));
    world.put_key(API_KEY).await;
    world.poke().await;
    world.until_running().await;
    assert_eq!(world.live().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_template_stalls_and_may_be_mended() {
    let world = World::new("template").await;
    world.apply(json!({"template": "nonsense"})).await;
    let status = world.until("refused", |s| ready(s) == "False/TemplateNotFound").await;
    assert!(
        message(&status).contains("nonsense") && message(&status).contains("spec.template"),
        "{}",
        message(&status)
    );
    assert_eq!(status.creating.unwrap().attempt, 1);
    world.patch(json!({"spec": {"template": "base"}})).await.unwrap();
    let status = world.until_running().await;
    assert_eq!((status.incarnation, world.live().len()), (Some(1), 1));
    let keys: Vec<_> =
        world.sim.calls.of("e2b", CREATE).into_iter().filter_map(|call| call.idempotency_key).collect();
    assert!(keys.len() == 2 && keys[0].ends_with("x1x1") && keys[1].ends_with("x1x2"), "{keys:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_create_under_way_was_made_from_stays_as_it_is() {
    let mut world = World::new("making").await;
    let rule = world.fault(CREATE, When::Nth(1), Action::Hold { after_effect: false });
    world.apply(json!({})).await;
    world.until_called(CREATE, 1).await;
    world.crash();
    for (spec, words) in [
        (json!({"template": "other"}), "must not change while a sandbox is up or being created"),
        (
            json!({"credentialsSecretRef": {"name": "key"}}),
            "must not change while a sandbox is being created",
        ),
    ] {
        let refused = world.patch(json!({"spec": spec})).await.unwrap_err().to_string();
        assert!(refused.contains(words), "{refused}");
    }
    world.sim.faults.remove(rule);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_create_that_was_refused_for_good_may_be_tried_under_another_key() {
    let world = World::new("otherref").await;
    world.put_key("e2b_2222222222222222222222222222222222222222").await;
    world.apply(json!({"credentialsSecretRef": {"name": "key"}})).await;
    world.until("denied", |s| ready(s) == "False/CredentialsDenied").await;
    world.patch(json!({"spec": {"credentialsSecretRef": null}})).await.unwrap();
    world.until_running().await;
    assert_eq!(world.live().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_know_the_create_is_named_and_the_template_is_not_blamed() {
    let unknown =
        json!({"code": 404, "message": "validation error: no matching operation was found"}).to_string();
    for (status, body) in [(404, "404 page not found".to_owned()), (405, String::new()), (404, unknown)] {
        let world = World::new("route").await;
        let headers = std::collections::BTreeMap::new();
        let answer = Action::Status { status, headers, body, after_effect: false };
        let rule = world.fault(CREATE, When::All, answer);
        world.apply(json!({})).await;
        let said = world.until("named", |s| ready(s) == "False/E2BUnknownRoute").await;
        assert!(
            message(&said).contains("E2B_API_URL") && message(&said).contains("version"),
            "{}",
            message(&said)
        );
        world.sim.faults.remove(rule);
        world.poke().await;
        world.until_running().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_quota_is_waited_for() {
    let world = World::new("quota").await;
    world.sim.e2b.set_concurrency_limit(slipway_simulator::e2b::TEAM, 0);
    world.apply(json!({})).await;
    let status = world.until("waiting", |s| ready(s) == "False/SandboxQuota").await;
    assert!(message(&status).contains("kill some, or raise the plan's limit"), "{}", message(&status));
    let failed = world.until_called(CREATE, 1).await.real_at;
    let again = status.retry.unwrap().next_attempt_at.0.duration_since(failed).as_secs();
    assert!((29..=65).contains(&again), "{again} s");
    world.sim.e2b.set_concurrency_limit(slipway_simulator::e2b::TEAM, 5);
    world.poke().await;
    world.until_running().await;
    assert_eq!(world.live().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_has_never_seen_the_sandbox_proves_nothing_until_a_person_says_so() {
    let world = World::new("otherkey").await;
    world.sim.e2b.set_team(Team::new("other", OTHER_KEY));
    world.put_key(API_KEY).await;
    world.apply(json!({"credentialsSecretRef": {"name": "key"}, "operatingMode": "Running"})).await;
    let up = world.until_running().await;
    world.put_key(OTHER_KEY).await;
    world.poke().await;
    let status = world.until("not visible", |s| ready(s) == "False/SandboxNotVisible").await;
    assert_eq!((&status.sandbox_id, status.state), (&up.sandbox_id, Some(SandboxState::Running)));
    assert_eq!(world.count(CREATE), 1);

    world.put_key(API_KEY).await;
    world.poke().await;
    world.until_running().await;
    assert_eq!(world.count(CREATE), 1, "the old key sees it as before");

    world.put_key(OTHER_KEY).await;
    world.poke().await;
    world.until("not visible again", |s| ready(s) == "False/SandboxNotVisible").await;
    world.poke().await;
    let status = world.until("replaced", |s| s.incarnation == Some(2) && ready(s) == "True/Running").await;
    let given_up = up.sandbox_id.unwrap();
    assert_eq!(status.history[0].sandbox_id, given_up);
    let note = world.until_event("SandboxLeaked").await;
    assert!(note.contains(&given_up) && note.contains("stays paused until killed"), "{note}");
    assert_eq!(world.live().len(), 2, "the other team's is left alone");
}
