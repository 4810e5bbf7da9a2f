//! Routes, methods, and the order of the checks: which of several faults is named.

use crate::{
    delivery::{Reply, Request, delivery, signature},
    payload::payload,
    world::{SECRET, World, eventually, in_review, world},
};
use anyhow::{Result, ensure};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

fn good() -> Request {
    delivery("pull_request", payload("closed", 42, 1).closed().json().to_string(), SECRET)
}

/// From a hook that is known, so that the number of tries is not the limit.
fn known(event: &str, body: &str) -> Request {
    delivery(event, body, SECRET).from("repository", crate::world::REPOSITORY_ID)
}

async fn refuses(world: &World<'_>, request: Request, status: u16) -> Result<Reply> {
    let reply = world.send(&request).await?;
    let shown = String::from_utf8_lossy(&request.body[..request.body.len().min(100)]).into_owned();
    ensure!(reply.status.as_u16() == status, "{reply:?} to {} {:?} {shown}", request.path, request.headers);
    Ok(reply)
}

#[tokio::test]
async fn faults_are_named_in_order() -> Result<()> {
    let world = world("order").await?;
    world.octo_app().await?;
    world.task("task", in_review(42)).await?;
    let large = "x".repeat(1024 * 1024 + 1);
    // Each request has one fault less than the one before.
    let every = delivery("pull_request", large, "wrong")
        .with("Content-Type", "application/x-www-form-urlencoded")
        .without("X-GitHub-Event");
    let at = |path: &str| Request { path: path.to_owned(), ..every.clone() };
    refuses(&world, at("/api/webhooks/gitlab"), 404).await?;
    refuses(&world, Request { method: Method::PUT, ..every.clone() }, 405).await?;
    refuses(&world, every.clone(), 415).await?;
    refuses(&world, every.clone().with("Content-Type", "application/json"), 413).await?;
    let small = Request { body: b"{}".to_vec(), ..every.with("Content-Type", "application/json") };
    let missing = refuses(&world, small.clone(), 400).await?;
    ensure!(missing.body == json!({"error": "Header X-GitHub-Event is missing"}), "{missing:?}");
    refuses(&world, small.clone().with("X-GitHub-Event", "").with("X-Hub-Signature-256", "x"), 400).await?;
    let named = small.with("X-GitHub-Event", "pull_request");
    refuses(&world, named.clone().without("X-GitHub-Delivery"), 400).await?;
    refuses(&world, named.clone(), 401).await?;
    refuses(&world, named.clone().with("X-Hub-Signature-256", signature(b"{}", SECRET)), 202).await?;
    refuses(&world, good(), 200).await?;
    world.end().await
}

#[tokio::test]
async fn only_the_routes_of_the_contract_answer() -> Result<()> {
    let world = world("routes").await?;
    for path in [
        "/api",
        "/api/webhooks",
        "/api/webhooks/",
        "/api/webhooks/github/",
        "/api/webhooks/github/pong",
        "/api/webhooks/GitHub",
        "//api/webhooks/github",
        "/api/webhooks/health/",
        "/metrics",
        "/healthz",
        "/livez",
        "/readyz",
        "/api/webhooks/github/../health",
        "/api/webhooks/github%2Fping",
    ] {
        // A URL parser would fold the dots: the target is sent as it is.
        let reply = crate::connections::exchange(
            world.address,
            &format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
        )
        .await?;
        ensure!(reply.starts_with("HTTP/1.1 404 Not Found\r\n"), "{path}: {reply}");
        ensure!(!reply.to_lowercase().contains("server:"), "no banner: {reply}");
    }
    for (path, allowed) in [
        ("/api/webhooks/github", "POST"),
        ("/api/webhooks/github/ping", "POST"),
        ("/api/webhooks/health", "GET"),
        ("/", "GET"),
    ] {
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "BREW"] {
            if method == allowed {
                continue;
            }
            let request = format!(
                "{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            );
            let reply = crate::connections::exchange(world.address, &request).await?;
            ensure!(reply.starts_with("HTTP/1.1 405 "), "{method} {path}: {reply}");
            ensure!(
                reply.to_lowercase().contains(&format!("\r\nallow: {}\r\n", allowed.to_lowercase())),
                "{reply}"
            );
        }
    }
    world.end().await
}

/// A target need not be a path: the answer is one all the same.
#[tokio::test]
async fn every_form_of_a_target_has_an_answer() -> Result<()> {
    let world = world("targets-odd").await?;
    for (line, status) in [
        ("GET hub", "404 Not Found"),
        ("GET a:80", "404 Not Found"),
        ("OPTIONS *", "404 Not Found"),
        ("GET http://a/api/webhooks/health", "200 OK"),
        ("GET http://a", "200 OK"),
        ("GET /?a=b", "200 OK"),
        ("GET /api/webhooks/health?a", "200 OK"),
        ("POST hub", "404 Not Found"),
        ("CONNECT a:80", "404 Not Found"),
    ] {
        let request = format!("{line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let answer = crate::connections::exchange(world.address, &request).await?;
        ensure!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{line}: {answer}");
    }
    world.end().await
}

/// Load balancers ask there whether anybody is at home.
#[tokio::test]
async fn the_root_answers_and_says_nothing() -> Result<()> {
    let world = world("root").await?;
    let reply = world.http.get(format!("http://{}/", world.address)).send().await?;
    ensure!(reply.status() == StatusCode::OK && reply.bytes().await?.is_empty());
    world.end().await
}

#[tokio::test]
async fn only_json_is_taken() -> Result<()> {
    let world = world("media").await?;
    world.octo_app().await?;
    world.task("task", in_review(42)).await?;
    for refused in [
        "application/x-www-form-urlencoded",
        "text/plain",
        "application/jsonp",
        "application/vnd.github+json",
        "application",
        "",
    ] {
        refuses(&world, good().with("Content-Type", refused), 415).await?;
    }
    refuses(&world, good().without("Content-Type"), 415).await?;
    refuses(&world, good().and("Content-Type", "application/json"), 415).await?;
    for (status, taken) in [(200, "application/json; charset=utf-8"), (202, "Application/JSON")] {
        refuses(&world, good().with("Content-Type", taken), status).await?;
    }
    world.end().await
}

/// Always the same answer, so that nobody learns how near a guess was or whether there is a secret at all.
#[tokio::test]
async fn every_bad_signature_gets_the_same_answer() -> Result<()> {
    let world = world("signature").await?;
    world.octo_app().await?;
    let task = world.task("task", in_review(42)).await?;
    let body = good().body;
    let right = signature(&body, SECRET);
    let digest = right.trim_start_matches("sha256=").to_owned();
    let bad: Vec<Request> = [
        String::new(),
        "sha256=".to_owned(),
        "sha256".to_owned(),
        digest.clone(),
        format!("sha1={digest}"),
        format!("SHA256={digest}"),
        format!("sha256={}", &digest[..63]),
        format!("sha256={}", &digest[..62]),
        format!("sha256={digest}00"),
        format!("sha256=0x{}", &digest[2..]),
        format!("sha256={}", "0".repeat(64)),
        format!("sha256={}g", &digest[..63]),
        format!("sha256= {digest}"),
        format!("sha512={digest}{digest}"),
        format!("{right},{right}"),
        format!("{right};"),
        signature(&body, "another secret of the same kind"),
        signature(&body, ""),
        signature(&body, &format!("{SECRET}\n")),
        signature(&body, &SECRET.to_uppercase()),
        signature(&body[1..], SECRET),
        signature(b"", SECRET),
        signature(&body, "null"),
        format!("Bearer {digest}"),
    ]
    .map(|header| good().with("X-Hub-Signature-256", header))
    .into();
    ensure!(bad.len() >= 20);
    let sha1 = good().without("X-Hub-Signature-256").with("X-Hub-Signature", right.replace("sha256", "sha1"));
    let others = [
        good().without("X-Hub-Signature-256"),
        good().and("X-Hub-Signature-256", right.clone()),
        good().and("X-Hub-Signature-256", "sha256=00"),
        sha1,
        Request { body: [body.as_slice(), b" "].concat(), ..good() },
        Request { body: Vec::new(), ..good() },
    ];
    for request in bad.into_iter().chain(others) {
        // From a hook that is known, so that the number of tries is not the limit.
        let reply = refuses(&world, request.from("repository", crate::world::REPOSITORY_ID), 401).await?;
        ensure!(reply.body == json!({"error": "Invalid signature"}), "{reply:?}");
    }
    let stored = world.tasks().get("task").await?;
    ensure!(stored.metadata.resource_version == task.metadata.resource_version, "nothing moved");
    world.end().await
}

#[tokio::test]
async fn without_any_secret_nothing_is_believed() -> Result<()> {
    let world = world("secretless").await?;
    let reply = refuses(&world, good(), 401).await?;
    ensure!(reply.body == json!({"error": "Invalid signature"}));
    // A Repository whose Secret is missing, and one whose Secret is empty.
    world
        .repository(&world.namespace, "repo", "octo/app", Some(crate::world::REPOSITORY_ID), Some("absent"))
        .await?;
    world.secret("empty", &[("none", "")]).await?;
    world.repository(&world.namespace, "other", "octo/other", None, Some("empty")).await?;
    for secret in [SECRET, ""] {
        let body = good().body;
        let reply = refuses(&world, delivery("pull_request", body, secret), 401).await?;
        ensure!(reply.body == json!({"error": "Invalid signature"}));
    }
    world.end().await
}

#[tokio::test]
async fn events_and_actions_that_move_nothing_are_accepted() -> Result<()> {
    let world = world("events").await?;
    world.octo_app().await?;
    let task = world.task("task", in_review(42)).await?;
    let body = payload("closed", 42, 1).closed().json();
    for event in [
        "push",
        "issues",
        "pull_request_review",
        "check_run",
        "installation",
        "something_new",
        "PULL_REQUEST",
    ] {
        refuses(&world, known(event, &body.to_string()), 202).await?;
        refuses(&world, known(event, "not even JSON"), 202).await?;
    }
    for action in
        ["labeled", "assigned", "edited", "auto_merge_enabled", "locked", "something_new", "Closed", ""]
    {
        let mut body = body.clone();
        body["action"] = json!(action);
        refuses(&world, known("pull_request", &body.to_string()), 202).await?;
    }
    let foreign = payload("closed", 41, 1).closed().json();
    let reply = refuses(&world, delivery("pull_request", foreign.to_string(), SECRET), 202).await?;
    ensure!(
        reply.body == json!({"status": "ignored", "reason": "No Task has this pull request"}),
        "{reply:?}"
    );
    // An unknown event is counted as one of few, whatever it calls itself.
    let counted = world.counted();
    let has = |event: &str| counted.contains_key(&("ignored".to_owned(), event.to_owned()));
    ensure!(has("other") && has("pull_request"), "{counted:?}");
    let all: u64 = counted.values().sum();
    ensure!(all == 14 + 8 + 1, "one count per delivery: {all}");
    let stored = world.tasks().get("task").await?;
    ensure!(stored.metadata.resource_version == task.metadata.resource_version, "nothing moved");
    world.end().await
}

#[tokio::test]
async fn pings_are_answered_when_signed() -> Result<()> {
    let world = world("ping").await?;
    world.octo_app().await?;
    let zen = json!({"zen": "Keep it logically awesome.", "hook_id": 1, "hook": {"type": "Repository"}})
        .to_string();
    let event = delivery("ping", zen.clone(), SECRET);
    let route = Request { path: "/api/webhooks/github/ping".to_owned(), ..event.clone() };
    let bare = route.clone().without("X-GitHub-Event").without("X-GitHub-Delivery");
    for request in [event.clone(), route.clone(), bare] {
        let reply = refuses(&world, request, 200).await?;
        ensure!(reply.body == json!({"pong": true}), "{reply:?}");
    }
    for request in [event, route] {
        let reply = refuses(
            &world,
            request.clone().with("X-Hub-Signature-256", signature(zen.as_bytes(), "wrong")),
            401,
        )
        .await?;
        ensure!(reply.body == json!({"error": "Invalid signature"}));
        refuses(&world, request.clone().without("X-Hub-Signature-256"), 401).await?;
        refuses(&world, request.with("Content-Type", "text/plain"), 415).await?;
    }
    world.end().await
}

async fn health(world: &World<'_>) -> Result<Value> {
    let reply = world.http.get(format!("http://{}/api/webhooks/health", world.address)).send().await?;
    ensure!(reply.status() == StatusCode::OK);
    Ok(reply.json().await?)
}

#[tokio::test]
async fn health_tells_whether_anybody_could_sign() -> Result<()> {
    let world = world("health").await?;
    ensure!(health(&world).await? == json!({"status": "ok", "webhookSecret": false}));
    world.secret("hook", &[("short", "under16bytes"), ("token", SECRET)]).await?;
    world.repository(&world.namespace, "repo", "octo/app", None, Some("hook")).await?;
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    ensure!(health(&world).await? == json!({"status": "ok", "webhookSecret": false}), "no usable value");
    world.secret("usable", &[("current", SECRET)]).await?;
    world.repository(&world.namespace, "other", "octo/other", None, Some("usable")).await?;
    eventually("a usable secret", || async {
        (health(&world).await.ok()? == json!({"status": "ok", "webhookSecret": true})).then_some(())
    })
    .await?;
    world.end().await?;

    let setup = crate::world::Setup { operator_wide: Some(SECRET), ..Default::default() };
    let world = World::start(crate::controlplane::shared().await, "health", setup).await?;
    ensure!(health(&world).await? == json!({"status": "ok", "webhookSecret": true}), "the operator-wide one");
    world.end().await
}
