//! A repository's webhooks over the API: made once, changed with and without their secret, hidden from those who may not see them.
//! What is sent to them is in `webhooks`, the log of it in `delivery_log`.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use slipway_simulator::github::{NewRepository, Token, signature};
use slipway_simulator::{Options, Simulator};

use crate::app_support::{INSTALLATION, Reply, installed, permissions, say, send, token_of};
use crate::support::{DEADLINE, DEMO, Receiver, TOKEN, open_pull, simulator};

const HOOKS: &str = "/repos/acme/demo/hooks";
const SECRET: &str = "first secret of sixteen bytes";

async fn api(simulator: &Simulator, method: Method, path: &str, body: Value) -> Reply {
    send(simulator, method, path, Some(TOKEN), body).await
}

fn wanted(url: &str, events: &[&str]) -> Value {
    json!({ "events": events, "config": { "url": url, "content_type": "json", "secret": SECRET } })
}

async fn made(simulator: &Simulator, url: &str) -> String {
    let reply = api(simulator, Method::POST, HOOKS, wanted(url, &["pull_request"])).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{:?}", reply.body);
    assert!(reply.header("location").ends_with(&format!("{HOOKS}/{}", reply.body["id"])));
    format!("{HOOKS}/{}", reply.body["id"])
}

fn complaint(reply: &Reply) -> (u16, &str) {
    (reply.status.as_u16(), reply.body["errors"][0]["message"].as_str().unwrap_or_default())
}

#[tokio::test]
async fn a_hook_is_shown_without_its_secret_and_with_its_last_response() {
    let (simulator, receiver) = (simulator(Options::default()), Receiver::start().await);
    let url = format!("{}?repository=0b1c", receiver.url());
    let path = made(&simulator, &url).await;
    let pinged = simulator.github.deliveries.wait_for(DEADLINE, |all| {
        all.first().filter(|ping| ping.event == "ping" && ping.ended_at.is_some()).map(drop)
    });
    pinged.await.expect("a ping");
    let shown = api(&simulator, Method::GET, &path, Value::Null).await.body;
    assert!(!shown.to_string().contains(SECRET));
    let config = json!({ "url": url, "content_type": "json", "insecure_ssl": "0", "secret": "********" });
    assert_eq!(shown["config"], config);
    assert_eq!(shown["last_response"], json!({ "code": 200, "status": "active", "message": "OK" }));
    assert_eq!(api(&simulator, Method::GET, &format!("{path}/config"), Value::Null).await.body, config);
    let ping: Value = serde_json::from_str(&receiver.received()[0].body).expect("JSON");
    assert_eq!(ping["hook"]["last_response"], json!({ "code": null, "status": "unused", "message": null }));
    assert_eq!(ping["hook"]["config"]["secret"], "********");
}

#[tokio::test]
async fn a_second_hook_of_the_same_address_and_an_event_of_both_is_refused() {
    let simulator = simulator(Options::default());
    let url = "http://127.0.0.1:9/hook?repository=one";
    let path = made(&simulator, url).await;
    let again = |url: &str, events: &[&str]| {
        let body = wanted(url, events);
        let simulator = &simulator;
        async move { api(simulator, Method::POST, HOOKS, body).await }
    };
    let twice = (422, "Hook already exists on this repository");
    assert_eq!(complaint(&again(url, &["push", "pull_request"]).await), twice);
    assert_eq!(complaint(&again(url, &["*"]).await), twice);
    let other = again(url, &["push"]).await;
    assert_eq!(other.status, StatusCode::CREATED, "another event is another hook: {:?}", other.body);
    assert_eq!(again("http://127.0.0.1:9/hook?repository=two", &["pull_request"]).await.status, 201);
    // Neither may a change make a double.
    let change = api(&simulator, Method::PATCH, &path, json!({ "add_events": ["push"] })).await;
    assert_eq!(complaint(&change), twice);
    let config = json!({ "url": "http://127.0.0.1:9/hook?repository=two" });
    assert_eq!(complaint(&api(&simulator, Method::PATCH, &format!("{path}/config"), config).await), twice);
}

#[tokio::test]
async fn addresses_events_and_numbers_that_github_does_not_take() {
    let simulator = simulator(Options::default());
    let create = |body: Value| {
        let simulator = &simulator;
        async move { api(simulator, Method::POST, HOOKS, body).await }
    };
    for (body, message) in [
        (json!({ "config": {} }), "Config must contain URL for webhooks"),
        (wanted("hooks.example.com", &["push"]), "The URL you've entered is not valid"),
        (wanted("ftp://hooks.example.com/x", &["push"]), "The URL you've entered is not valid"),
        (
            wanted("http://localhost:3000/hook", &["push"]),
            "url is not supported because it isn't reachable over the public Internet (localhost)",
        ),
        (wanted("http://127.0.0.1:9", &["pulls"]), "These events are not allowed for this hook: pulls"),
    ] {
        assert_eq!(complaint(&create(body).await), (422, message));
    }
    let odd = create(json!({ "config": { "url": "http://127.0.0.1:9" }, "event": ["push"] })).await;
    assert_eq!(say(&odd), (422, "Invalid request.\n\n\"event\" is not a permitted key."));
    for number in 0..20 {
        let hook = wanted(&format!("http://127.0.0.1:9/{number}"), &["push", "pull_request"]);
        assert_eq!(create(hook).await.status, StatusCode::CREATED);
    }
    let full = create(wanted("http://127.0.0.1:9/20", &["pull_request", "push", "issues"])).await;
    assert_eq!(complaint(&full), (422, "The \"pull_request\" event cannot have more than 20 hooks"));
    assert_eq!(full.body["errors"].as_array().map(Vec::len), Some(2), "one for each event that is full");
    assert_eq!(create(wanted("http://127.0.0.1:9/20", &["issues"])).await.status, StatusCode::CREATED);
    // They come in pages.
    let page = api(&simulator, Method::GET, &format!("{HOOKS}?per_page=15&page=2"), Value::Null).await;
    assert_eq!(page.body.as_array().map(Vec::len), Some(6));
    assert!(page.header("link").contains("rel=\"prev\""));
}

#[tokio::test]
async fn a_config_without_a_secret_removes_it_and_a_part_of_the_config_does_not() {
    let (simulator, receiver) = (simulator(Options::default()), Receiver::start().await);
    let path = made(&simulator, &receiver.url()).await;
    let config = format!("{path}/config");
    let rotated =
        api(&simulator, Method::PATCH, &config, json!({ "secret": "second secret, as long" })).await;
    assert_eq!(rotated.body["secret"], "********");
    assert_eq!(rotated.body["content_type"], "json");
    let number = open_pull(&simulator, "task/one");
    let signed_with = async |count: usize, secret: Option<&str>| {
        let arrived = simulator.github.deliveries.wait_for(DEADLINE, |all| {
            (all.iter().filter(|one| one.ended_at.is_some()).count() >= count).then_some(())
        });
        arrived.await.expect("it arrives");
        let received = receiver.received();
        let last = received.iter().max_by_key(|got| got.header("x-github-event") == "pull_request");
        let last = last.expect("a delivery");
        let expected = secret.map(|secret| signature(secret, &last.body)).unwrap_or_default();
        assert_eq!(last.header("x-hub-signature-256"), expected);
    };
    signed_with(2, Some("second secret, as long")).await;
    // Switching it off and on leaves the secret where it is.
    for active in [false, true] {
        let body = json!({ "active": active });
        let shown = api(&simulator, Method::PATCH, &path, body).await.body;
        assert_eq!((&shown["active"], &shown["config"]["secret"]), (&json!(active), &json!("********")));
    }
    let whole = json!({ "config": { "url": receiver.url(), "content_type": "json" } });
    let shown = api(&simulator, Method::PATCH, &path, whole).await.body;
    assert_eq!(shown["config"].get("secret"), None);
    simulator.github.close(DEMO, number).expect("closed");
    signed_with(3, None).await;
}

#[tokio::test]
async fn pings_and_tests_are_sent_on_demand() {
    let (simulator, receiver) = (simulator(Options::default()), Receiver::start().await);
    let path = made(&simulator, &receiver.url()).await;
    for (order, status) in [("pings", 204), ("tests", 204)] {
        let reply = api(&simulator, Method::POST, &format!("{path}/{order}"), Value::Null).await;
        assert_eq!(reply.status.as_u16(), status);
    }
    let push = json!({ "add_events": ["push"] });
    assert_eq!(
        api(&simulator, Method::PATCH, &path, push).await.body["events"],
        json!(["pull_request", "push"])
    );
    api(&simulator, Method::POST, &format!("{path}/tests"), Value::Null).await;
    let sent = simulator.github.deliveries.wait_for(DEADLINE, |all| {
        let push = all.iter().find(|one| one.event == "push" && one.ended_at.is_some())?;
        Some((push.payload()["ref"].clone(), all.len()))
    });
    // The first test was none of its business.
    assert_eq!(sent.await.expect("sent"), (json!("refs/heads/main"), 3));
}

#[tokio::test]
async fn hooks_are_hidden_from_those_who_may_not_have_them() {
    let simulator = installed();
    let all = permissions(&[("metadata", "read"), ("contents", "write"), ("repository_hooks", "write")]);
    simulator.github.grant(INSTALLATION, all.clone()).expect("granted");
    let path = made(&simulator, "http://127.0.0.1:9/hook").await;
    let app = token_of(&simulator, json!({ "permissions": { "contents": "write" } })).await;
    let fine = |value: &str, granted: &[(&str, &str)], owners: &[&str]| Token {
        permissions: Some(permissions(granted)),
        owners: owners.iter().map(|owner| (*owner).to_owned()).collect(),
        ..Token::personal(value, "slipway-bot")
    };
    simulator.github.add_token(fine("fine", &[("contents", "write")], &["acme"]));
    simulator.github.add_token(fine("elsewhere", &[("repository_hooks", "write")], &["others"]));
    simulator.github.add_token(fine("hooks", &[("repository_hooks", "read")], &["acme"]));
    simulator.github.add_token(Token { write: false, ..Token::personal("reader", "reader") });
    let by = |token: &'static str, method: Method| {
        let (simulator, path) = (&simulator, &path);
        async move { send(simulator, method, path, Some(token), Value::Null).await }
    };
    let reply = send(&simulator, Method::GET, &path, Some(&app), Value::Null).await;
    let needs = "x-accepted-github-permissions";
    assert_eq!(say(&reply), (403, "Resource not accessible by integration"));
    assert_eq!(reply.header(needs), "repository_hooks=read");
    let reply = by("fine", Method::GET).await;
    assert_eq!(say(&reply), (403, "Resource not accessible by personal access token"));
    assert_eq!(reply.header(needs), "repository_hooks=read");
    assert_eq!(say(&by("elsewhere", Method::GET).await).0, 404);
    assert_eq!(say(&by("reader", Method::GET).await).0, 404);
    assert_eq!(say(&by("hooks", Method::GET).await).0, 200);
    assert_eq!(by("hooks", Method::DELETE).await.header(needs), "repository_hooks=write");
    // In a public repository too, and in an archived one they can be seen and not changed.
    let public = NewRepository { owner: "acme".into(), name: "open".into(), ..NewRepository::default() };
    simulator.github.create_repository(&public).expect("created");
    assert_eq!(say(&send(&simulator, Method::GET, "/repos/acme/open/hooks", None, Value::Null).await).0, 404);
    simulator.github.archive(DEMO, true).expect("archived");
    assert_eq!(say(&by(TOKEN, Method::GET).await).0, 200);
    assert_eq!(say(&by(TOKEN, Method::DELETE).await), (403, "Repository was archived so is read-only."));
}
