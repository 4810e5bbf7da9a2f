//! The webhooks of a repository and the log of their deliveries, over the adapter.
//! What is done with them the Repository controller decides; the table's own tests have the refusals in full.

use crate::{
    app_support::{AppWorld, INSTALLATION, all_permissions, told},
    support::{USER, World, fault},
};
use secrecy::SecretString;
use serde_json::json;
use slipway::{
    domain::failure::Class,
    github::{ChangedHook, CreatedHook, Hook, HookDelivery, LastResponse, NewHook, Redelivered},
};
use slipway_simulator::{
    core::{Action, When},
    github::{Delivery, DeliveryManners, Token, signature},
};
use std::{collections::BTreeMap, time::Duration};

/// Nobody listens there.
const NOBODY: &str = "http://127.0.0.1:9/api/webhooks/github?repository=0b1c";
const EVENTS: &[&str] = &["pull_request"];
const HOOK: &str = "GET /repos/{owner}/{repo}/hooks/{hook_id}";
const HOOKS: &str = "GET /repos/{owner}/{repo}/hooks";
const LOG: &str = "GET /repos/{owner}/{repo}/hooks/{hook_id}/deliveries";
const DEADLINE: Duration = Duration::from_secs(20);

fn secret() -> SecretString {
    "the first secret of the hook".into()
}

impl World {
    async fn made(&self, url: &str, events: &[&str]) -> Hook {
        let new = NewHook { url, secret: &secret(), events };
        match self.client.create_hook(&self.repository, &new).await.unwrap() {
            CreatedHook::Created(hook) => hook,
            CreatedHook::Exists => panic!("it is the first"),
        }
    }

    /// The deliveries, once so many of them have ended.
    async fn ended(&self, count: usize) -> Vec<Delivery> {
        let deliveries = &self.simulator.github.deliveries;
        let ended = deliveries.wait_for(DEADLINE, |all| {
            let over = all.iter().filter(|one| one.ended_at.is_some()).count();
            (over >= count).then(|| all.to_vec())
        });
        ended.await.expect("they end")
    }

    fn answer(&self, endpoint: &str, body: &serde_json::Value) {
        let body = body.to_string();
        let action = Action::Status { status: 200, headers: BTreeMap::new(), body, after_effect: false };
        self.simulator.faults.set(fault(endpoint).when(When::Next(1)).action(action));
    }
}

#[tokio::test]
async fn a_hook_is_made_once_and_found_by_its_id_and_its_url() {
    let world = World::new();
    let (client, repository) = (&world.client, &world.repository);
    assert_eq!(client.find_hook(repository, NOBODY).await.unwrap(), None);
    let made = world.made(NOBODY, EVENTS).await;
    assert_eq!(
        (made.url.as_str(), made.active, made.events.as_slice()),
        (NOBODY, true, &["pull_request".to_owned()][..])
    );
    assert_eq!((made.content_type.as_str(), made.insecure_ssl), ("json", false));
    world.ended(1).await;
    let found = client.get_hook(repository, made.id).await.unwrap().expect("it is there");
    let last = LastResponse {
        code: Some(502),
        status: "connection_error".into(),
        message: Some("failed to connect to host".into()),
    };
    assert_eq!(found.last_response, Some(last));
    assert_eq!(client.get_hook(repository, made.id).await.unwrap().as_ref(), Some(&found));
    let statuses: Vec<_> =
        world.simulator.calls.of("github", HOOK).iter().map(slipway_simulator::core::Call::status).collect();
    assert_eq!(statuses, [Some(200), Some(304)], "unchanged it costs nothing");
    assert_eq!(client.find_hook(repository, NOBODY).await.unwrap(), Some(found));
    let again = NewHook { url: NOBODY, secret: &secret(), events: &["push", "pull_request"] };
    assert_eq!(client.create_hook(repository, &again).await.unwrap(), CreatedHook::Exists);
    client.delete_hook(repository, made.id).await.unwrap();
    client.delete_hook(repository, made.id).await.expect("it is gone already");
    assert_eq!(client.get_hook(repository, made.id).await.unwrap(), None);
    assert_eq!(client.repair_hook(repository, made.id, EVENTS, true).await.unwrap(), ChangedHook::Gone);
    let changed = client.set_hook_config(repository, made.id, NOBODY, &secret()).await.unwrap();
    assert_eq!(changed, ChangedHook::Gone);
}

#[tokio::test]
async fn of_several_hooks_with_the_url_ours_is_found_on_whatever_page_it_stands() {
    let world = World::new();
    let github = &world.simulator.github;
    let add = |url: &str, events: &[&str]| github.add_hook(&world.full_name(), url, "s", events).unwrap();
    let events = ["push", "issues", "create", "delete", "fork", "star"];
    for number in 0..102 {
        add(&format!("http://127.0.0.1:9/{number}"), &[events[number % events.len()]]);
    }
    let other = add(NOBODY, &["release"]);
    let found = world.client.find_hook(&world.repository, NOBODY).await.unwrap();
    assert_eq!(found.map(|hook| hook.id), Some(other), "for want of another");
    let ours = add(NOBODY, &["pull_request", "check_suite"]);
    let found = world.client.find_hook(&world.repository, NOBODY).await.unwrap();
    assert_eq!(found.map(|hook| hook.id), Some(ours));
    assert_eq!(world.calls(HOOKS), 4);
}

#[tokio::test]
async fn a_hook_is_repaired_without_its_secret_being_lost() {
    let world = World::new();
    let (client, repository) = (&world.client, &world.repository);
    let made = world.made(NOBODY, EVENTS).await;
    let changed = client.repair_hook(repository, made.id, &["pull_request", "issues"], false).await.unwrap();
    assert_eq!(changed, ChangedHook::Changed);
    let off = client.get_hook(repository, made.id).await.unwrap().unwrap();
    assert_eq!((off.active, off.events.len()), (false, 2));
    client.repair_hook(repository, made.id, EVENTS, true).await.unwrap();
    let signed_by = async |count: usize, secret: &str| {
        let all = world.ended(count).await;
        let last = all.last().unwrap();
        assert_eq!(last.request_headers["X-Hub-Signature-256"], signature(secret, &last.body));
    };
    world.push("task/a", &[("a", Some("1"))]);
    let pull = json!({"title": "A", "head": "task/a", "base": "main"});
    let path = format!("/repos/{repository}/pulls");
    world.simulator.github.act("reviewer", &http::Method::POST, &path, pull).unwrap();
    signed_by(2, "the first secret of the hook").await;
    let other = "http://127.0.0.1:9/other";
    let second = SecretString::from("the second secret of the hook");
    client.set_hook_config(repository, made.id, other, &second).await.unwrap();
    world.simulator.github.close(&world.full_name(), 1).unwrap();
    signed_by(3, "the second secret of the hook").await;
    let shown = client.get_hook(repository, made.id).await.unwrap().unwrap();
    assert_eq!((shown.url.as_str(), shown.content_type.as_str(), shown.insecure_ssl), (other, "json", false));
}

#[tokio::test]
async fn a_hook_is_read_whatever_stands_in_it() {
    let world = World::new();
    let odd = json!({"id": 7, "name": "web", "active": null, "events": null, "config": {"url": NOBODY, "insecure_ssl": 1}, "last_response": null});
    world.answer(HOOK, &odd);
    let hook = world.client.get_hook(&world.repository, 7).await.unwrap().unwrap();
    assert_eq!((hook.id, hook.active, hook.insecure_ssl, hook.last_response), (7, true, true, None));
    let unused = json!({"code": null, "status": "unused", "message": null});
    let list = json!([{"id": "odd"}, {"id": 8}, {"id": 9, "config": {"url": NOBODY, "insecure_ssl": "0"}, "last_response": unused}]);
    world.answer(HOOKS, &list);
    let found = world.client.find_hook(&world.repository, NOBODY).await.unwrap().unwrap();
    let last = LastResponse { code: None, status: "unused".into(), message: None };
    assert_eq!((found.id, found.insecure_ssl, found.last_response), (9, false, Some(last)));
}

#[tokio::test]
async fn what_github_does_not_take_is_said_with_a_reason_of_its_own() {
    let world = World::new();
    let localhost = NewHook { url: "http://localhost:3000/hook", secret: &secret(), events: EVENTS };
    let (class, reason, message) = told(world.client.create_hook(&world.repository, &localhost).await);
    assert_eq!((class, reason), (Class::Invalid, "WebhookRefused"));
    assert!(message.contains("public Internet") && message.contains("SLIPWAY_WEBHOOK_URL"), "{message}");
    assert!(!message.contains("the first secret"), "{message}");
    for number in 0..20 {
        world.made(&format!("http://127.0.0.1:9/{number}"), EVENTS).await;
    }
    let one_more = NewHook { url: NOBODY, secret: &secret(), events: EVENTS };
    let (class, reason, message) = told(world.client.create_hook(&world.repository, &one_more).await);
    assert_eq!((class, reason), (Class::Invalid, "WebhookRefused"));
    assert!(message.contains("more than 20 hooks"), "{message}");
}

#[tokio::test]
async fn who_may_not_see_hooks_is_told_which_permission_is_missing() {
    let world = World::new();
    let fine = crate::app_support::permissions(&[("contents", "write")]);
    let tokens = [
        Token { write: false, ..Token::personal("another", "reviewer") },
        Token { permissions: Some(fine), ..Token::personal("fine", USER) },
    ];
    // To a classic token hooks that it may not see do not exist; a fine-grained one is told no.
    for token in tokens {
        world.simulator.github.add_token(token.clone());
        let client = world.client_of(&token.value);
        let new = NewHook { url: NOBODY, secret: &secret(), events: EVENTS };
        for refused in [
            told(client.find_hook(&world.repository, NOBODY).await),
            told(client.create_hook(&world.repository, &new).await),
        ] {
            let (class, reason, message) = refused;
            assert_eq!((class, reason), (Class::Denied, "PermissionMissing"), "{message}");
            assert!(message.contains("\"Webhooks: write\""), "{message}");
        }
    }
}

#[tokio::test]
async fn an_app_asks_for_hooks_only_where_it_is_about_hooks_and_buys_one_token_for_all_of_it() {
    let world = AppWorld::new();
    let client = world.client();
    client.get_repository(&world.repository).await.unwrap();
    assert_eq!(world.newest()["permissions"].get("repository_hooks"), None);
    let new = NewHook { url: NOBODY, secret: &secret(), events: EVENTS };
    assert_eq!(client.find_hook(&world.repository, NOBODY).await.unwrap(), None);
    let CreatedHook::Created(hook) = client.create_hook(&world.repository, &new).await.unwrap() else {
        panic!("it is the first");
    };
    client.hook_deliveries(&world.repository, hook.id, None).await.unwrap();
    assert_eq!(world.newest()["permissions"], json!({"metadata": "read", "repository_hooks": "write"}));
    assert_eq!(world.bought(), 2);

    let world = AppWorld::new();
    let mut granted = all_permissions();
    granted.remove("repository_hooks");
    world.simulator.github.grant(INSTALLATION, granted).unwrap();
    let (class, reason, message) = told(world.client().find_hook(&world.repository, NOBODY).await);
    assert_eq!((class, reason), (Class::Denied, "PermissionMissing"));
    assert!(message.contains("Webhooks: write"), "{message}");
}

#[tokio::test]
async fn the_log_is_read_page_by_page_with_ids_of_any_size() {
    let world = World::new();
    let github = &world.simulator.github;
    let large = (1 << 53) + 1;
    let manners = DeliveryManners { next_id: Some(large), without_status_codes: true, ..Default::default() };
    github.deliveries.set_manners(manners);
    let hook = world.made(NOBODY, EVENTS).await.id;
    world.ended(1).await;
    for _ in 0..100 {
        github.redeliver(large).await.expect("it is known");
    }
    let page = world.client.hook_deliveries(&world.repository, hook, None).await.unwrap();
    assert_eq!(page.deliveries.len(), 100);
    assert!(page.deliveries.windows(2).all(|pair| pair[0].id > pair[1].id), "the newest first");
    let next = page.next.expect("another page");
    let last = world.client.hook_deliveries(&world.repository, hook, Some(&next)).await.unwrap();
    assert_eq!(last.next, None);
    let [ping] = &last.deliveries[..] else { panic!("the first is left: {last:?}") };
    assert_eq!((ping.id, ping.redelivery, ping.status_code), (large, false, 0));
    assert_eq!((ping.event.as_str(), ping.action.as_deref()), ("ping", None));
    assert_eq!(ping.status, "failed to connect to host");
    assert!(page.deliveries.iter().all(|one| one.redelivery && one.guid == ping.guid));

    let at = "2026-11-30T10:00:00Z";
    let whole = json!({"id": 2, "guid": "g", "delivered_at": at, "redelivery": null, "status": "OK", "status_code": 200, "event": "issues", "action": "opened"});
    let odd = json!([{"id": 1}, whole, {"id": "x", "guid": "g", "delivered_at": at, "event": "push"}, null]);
    world.answer(LOG, &odd);
    let read = world.client.hook_deliveries(&world.repository, hook, None).await.unwrap().deliveries;
    let delivery = HookDelivery {
        id: 2,
        guid: "g".into(),
        delivered_at: at.parse().unwrap(),
        redelivery: false,
        status: "OK".into(),
        status_code: 200,
        event: "issues".into(),
        action: Some("opened".into()),
    };
    assert_eq!(read, [delivery], "what can't be read is left out");
    let (class, reason, _) = told(world.client.hook_deliveries(&world.repository, hook, Some("v1_x")).await);
    assert_eq!((class, reason), (Class::Transient, "Refused"));
    let (class, reason, _) = told(world.client.hook_deliveries(&world.repository, 1, None).await);
    assert_eq!((class, reason), (Class::Transient, "WebhookMissing"));
}

#[tokio::test]
async fn a_delivery_is_sent_again_for_three_days() {
    let world = World::new();
    let (client, repository) = (&world.client, &world.repository);
    let hook = world.made(NOBODY, EVENTS).await.id;
    let first = world.ended(1).await[0].clone();
    assert_eq!(client.redeliver(repository, hook, first.id).await.unwrap(), Redelivered::Accepted);
    world.ended(2).await;
    let listed = client.hook_deliveries(repository, hook, None).await.unwrap().deliveries;
    let told: Vec<_> =
        listed.iter().map(|one| (one.guid.as_str(), one.redelivery, one.status_code)).collect();
    assert_eq!(told, [(first.guid.as_str(), true, 502), (first.guid.as_str(), false, 502)]);
    assert_eq!(client.redeliver(repository, hook, 1).await.unwrap(), Redelivered::Gone);
    world.simulator.clock.advance(Duration::from_hours(72));
    assert_eq!(client.redeliver(repository, hook, first.id).await.unwrap(), Redelivered::Gone);
    let listed = client.hook_deliveries(repository, hook, None).await.unwrap();
    assert_eq!((listed.deliveries.len(), listed.next), (0, None));
}
