//! The log of a hook's deliveries as the API has it: outcomes, pages, attempts, and three days after which it forgets.
//! Beside `webhooks`, which disturbs deliveries, and `hooks`, which makes and changes hooks.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use slipway_simulator::github::{Delivery, DeliveryManners, primary_limit, signature};
use slipway_simulator::{Options, Simulator};

use crate::app_support::{Reply, say, send};
use crate::support::{DEADLINE, DEMO, Receiver, TOKEN, open_pull, simulator};

const OLD: &str = "the old secret of the hook";
const NEW: &str = "the new secret of the hook";

struct Hooked {
    simulator: Simulator,
    receiver: Receiver,
    hook: u64,
}

impl Hooked {
    async fn new() -> Self {
        let (simulator, receiver) = (simulator(Options::default()), Receiver::start().await);
        let hook = simulator.github.add_hook(DEMO, &receiver.url(), OLD, &["pull_request"]).expect("a hook");
        let hooked = Self { simulator, receiver, hook };
        hooked.ended(1).await;
        hooked
    }

    async fn ended(&self, count: usize) -> Vec<Delivery> {
        let ended = self.simulator.github.deliveries.wait_for(DEADLINE, |all| {
            let ended = all.iter().filter(|one| one.ended_at.is_some()).count();
            (ended >= count).then(|| all.to_vec())
        });
        ended.await.expect("they end")
    }

    async fn api(&self, method: Method, path: &str) -> Reply {
        let path = format!("/repos/{DEMO}/hooks/{}/deliveries{path}", self.hook);
        send(&self.simulator, method, &path, Some(TOKEN), Value::Null).await
    }

    async fn list(&self, query: &str) -> Vec<Value> {
        let reply = self.api(Method::GET, query).await;
        assert_eq!(reply.status, StatusCode::OK, "{:?}", reply.body);
        reply.body.as_array().cloned().unwrap_or_default()
    }
}

#[tokio::test]
async fn what_went_wrong_is_said_as_github_says_it() {
    let hooked = Hooked::new().await;
    let (simulator, receiver) = (&hooked.simulator, &hooked.receiver);
    let number = open_pull(simulator, "task/one");
    hooked.ended(2).await;
    receiver.answer(Some(404));
    simulator.github.close(DEMO, number).expect("closed");
    hooked.ended(3).await;
    let manners = DeliveryManners { timeout_seconds: Some(0.2), ..DeliveryManners::default() };
    simulator.github.deliveries.set_manners(manners);
    receiver.answer(None);
    simulator.github.reopen(DEMO, number).expect("reopened");
    hooked.ended(4).await;
    simulator.github.deliveries.set_manners(DeliveryManners::default());
    let nowhere = json!({ "url": "http://127.0.0.1:9/gone" });
    let config = format!("/repos/{DEMO}/hooks/{}/config", hooked.hook);
    simulator.github.act("reviewer", &Method::PATCH, &config, nowhere).expect("moved");
    simulator.github.close(DEMO, number).expect("closed");
    hooked.ended(5).await;
    let all = hooked.list("").await;
    let told: Vec<_> = all.iter().map(|one| (one["status"].as_str(), one["status_code"].as_u64())).collect();
    let expected = [
        ("failed to connect to host", 502),
        ("timed out", 504),
        ("Invalid HTTP Response: 404", 404),
        ("OK", 200),
        ("OK", 200),
    ];
    assert_eq!(told, expected.map(|(status, code)| (Some(status), Some(code))), "the newest first");
    assert_eq!((&all[3]["event"], &all[3]["action"]), (&json!("pull_request"), &json!("opened")));
    assert_eq!((&all[4]["event"], &all[4]["action"]), (&json!("ping"), &Value::Null));
    assert!(all[0]["id"].as_u64() > Some(170_000_000_000) && all[3]["installation_id"].is_null());
    let one = hooked.api(Method::GET, &format!("/{}", all[3]["id"])).await.body;
    assert_eq!(one["request"]["headers"]["X-GitHub-Delivery"], all[3]["guid"]);
    assert_eq!(one["request"]["payload"]["number"], number);
    assert_eq!(one["response"]["payload"], "answer");
    assert_eq!(hooked.list("?status=success").await.len(), 2);
    assert_eq!(hooked.list("?status=failure").await.len(), 3);
    let hook = send(simulator, Method::GET, &config.replace("/config", ""), Some(TOKEN), Value::Null).await;
    assert_eq!(
        hook.body["last_response"],
        json!({ "code": 502, "status": "connection_error", "message": "failed to connect to host" })
    );
    // Some are told without a code, which no filter finds.
    let manners = DeliveryManners { without_status_codes: true, ..DeliveryManners::default() };
    simulator.github.deliveries.set_manners(manners);
    simulator.github.reopen(DEMO, number).expect("reopened");
    hooked.ended(6).await;
    assert_eq!(hooked.list("").await[0]["status_code"], 0);
    assert_eq!(hooked.list("?status=failure").await.len(), 3);
    assert_eq!(say(&hooked.api(Method::GET, "?status=failed").await).0, 422);
}

#[tokio::test]
async fn an_attempt_comes_later_with_the_same_guid_and_the_secret_of_now() {
    let hooked = Hooked::new().await;
    let (simulator, receiver) = (&hooked.simulator, &hooked.receiver);
    receiver.answer(Some(503));
    open_pull(simulator, "task/one");
    let failed = hooked.ended(2).await.remove(1);
    receiver.answer(Some(200));
    simulator.github.set_hook_secret(DEMO, hooked.hook, NEW).expect("rotated");
    // The log lags behind what has been done.
    let manners = DeliveryManners { log_lag_seconds: 30, ..DeliveryManners::default() };
    simulator.github.deliveries.set_manners(manners);
    simulator.clock.advance(Duration::from_secs(31));
    let again = hooked.api(Method::POST, &format!("/{}/attempts", failed.id)).await;
    assert_eq!((again.status, again.body), (StatusCode::ACCEPTED, json!({})));
    let attempt = hooked.ended(3).await.remove(2);
    assert_eq!((attempt.redelivery, &attempt.guid), (true, &failed.guid));
    assert!(attempt.id > failed.id);
    assert_eq!(hooked.list("").await.len(), 2);
    simulator.clock.advance(Duration::from_secs(31));
    let all = hooked.list("").await;
    assert_eq!((&all[0]["id"], &all[0]["redelivery"]), (&json!(attempt.id), &json!(true)));
    assert_eq!((&all[1]["guid"], &all[1]["redelivery"]), (&json!(failed.guid), &json!(false)));
    let received = receiver.received();
    assert_eq!(received.len(), 3, "ping, the failure, one attempt: GitHub tries nothing by itself");
    assert_eq!(received[1].header("x-hub-signature-256"), signature(OLD, &received[1].body));
    assert_eq!(received[2].header("x-hub-signature-256"), signature(NEW, &received[1].body));
    // A person's click is the same.
    let third = simulator.github.redeliver(attempt.id).await.expect("redelivered");
    assert_eq!((third.status.as_str(), &third.guid), ("OK", &failed.guid));
}

#[tokio::test]
async fn pages_follow_a_cursor_that_survives_new_deliveries() {
    let hooked = Hooked::new().await;
    let (simulator, number) = (&hooked.simulator, open_pull(&hooked.simulator, "task/one"));
    // Ids that a double does not hold.
    let next_id = Some(9_007_199_254_740_993);
    simulator.github.deliveries.set_manners(DeliveryManners { next_id, ..DeliveryManners::default() });
    for _ in 0..2 {
        simulator.github.close(DEMO, number).expect("closed");
        simulator.github.reopen(DEMO, number).expect("reopened");
    }
    let ids: Vec<u64> = hooked.ended(6).await.iter().rev().map(|one| one.id).collect();
    assert!(ids.contains(&9_007_199_254_740_993) && ids[5] < 180_000_000_000, "{ids:?}");
    let (mut seen, mut query) = (Vec::new(), "?per_page=2".to_owned());
    loop {
        let reply = hooked.api(Method::GET, &query).await;
        seen.extend(reply.body.as_array().into_iter().flatten().filter_map(|one| one["id"].as_u64()));
        let link = reply.header("link").to_owned();
        let Some(next) = link.split(", ").find(|one| one.ends_with("rel=\"next\"")) else { break };
        query = next.split(['?', '>']).nth(1).map(|query| format!("?{query}")).expect("a query");
        assert!(query.contains("cursor=v1_"), "{query}");
        // What comes meanwhile moves no page.
        simulator.github.touch(DEMO, number).expect("touched");
        simulator
            .github
            .edit(DEMO, number, json!({ "title": format!("After {}", seen.len()) }))
            .expect("edited");
        hooked.ended(6 + seen.len() / 2).await;
    }
    assert_eq!(seen, ids);
    assert_eq!(say(&hooked.api(Method::GET, "?cursor=170000000001").await).0, 400);
}

#[tokio::test]
async fn after_three_days_a_delivery_is_forgotten() {
    let hooked = Hooked::new().await;
    let simulator = &hooked.simulator;
    let ping = hooked.ended(1).await.remove(0);
    simulator.clock.advance(Duration::from_hours(71));
    let number = open_pull(simulator, "task/one");
    hooked.ended(2).await;
    assert_eq!(hooked.list("").await.len(), 2);
    simulator.clock.advance(Duration::from_hours(1));
    assert_eq!(hooked.list("").await.len(), 1);
    for (method, path) in [(Method::GET, ""), (Method::POST, "/attempts")] {
        assert_eq!(say(&hooked.api(method, &format!("/{}{path}", ping.id)).await), (404, "Not Found"));
    }
    // Another hook's deliveries are not this one's, and attempts count like any call.
    let other = simulator.github.add_hook(DEMO, &hooked.receiver.url(), OLD, &["push"]).expect("a hook");
    simulator.github.close(DEMO, number).expect("closed");
    let mine = hooked.ended(4).await.remove(1);
    let elsewhere = format!("/repos/{DEMO}/hooks/{other}/deliveries/{}/attempts", mine.id);
    assert_eq!(send(simulator, Method::POST, &elsewhere, Some(TOKEN), Value::Null).await.status, 404);
    let attempts = "POST /repos/{owner}/{repo}/hooks/{hook_id}/deliveries/{delivery_id}/attempts";
    let reset = simulator.clock.now();
    let rule = slipway_simulator::core::Rule::on("github", attempts).action(primary_limit(reset));
    simulator.faults.set(rule);
    let limited = hooked.api(Method::POST, &format!("/{}/attempts", mine.id)).await;
    assert_eq!((limited.status.as_u16(), limited.header("x-ratelimit-remaining")), (403, "0"));
    simulator.clock.advance(Duration::from_hours(30 * 24));
    let hook = format!("/repos/{DEMO}/hooks/{}", hooked.hook);
    let reply = send(simulator, Method::GET, &hook, Some(TOKEN), Value::Null).await;
    assert_eq!(reply.body.get("last_response"), Some(&Value::Null), "there, and null");
}

#[tokio::test]
async fn hooks_of_one_event_share_its_guid() {
    let hooked = Hooked::new().await;
    let simulator = &hooked.simulator;
    let second = format!("{}?second", hooked.receiver.url());
    simulator.github.add_hook(DEMO, &second, NEW, &["pull_request"]).expect("a hook");
    open_pull(simulator, "task/one");
    let told = hooked.ended(4).await;
    let opened: Vec<&Delivery> = told.iter().filter(|one| one.event == "pull_request").collect();
    assert_eq!(opened.len(), 2);
    assert_eq!(opened[0].guid, opened[1].guid);
    assert_ne!((opened[0].id, opened[0].hook_id), (opened[1].id, opened[1].hook_id));
}
