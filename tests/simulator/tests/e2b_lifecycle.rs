//! The lifecycle API of the E2B stand-in: keys, creation, lists, lifetimes by the simulated clock, switches.
//! What envd does is in `e2b_envd.rs`, what was recorded in `e2b_golden.rs`.

mod e2b_support;

use std::time::Duration;

use e2b_support::{World, answer};
use reqwest::Method;
use serde_json::{Value, json};
use slipway_simulator::Options;
use slipway_simulator::e2b::{Refusal, TEAM, Team, Unreachable};

fn world() -> World {
    World::new(Options::default())
}

#[tokio::test]
async fn a_key_sees_its_teams_sandboxes_only() {
    let world = world();
    world.simulator.e2b.set_team(Team::new("other", "e2b_other"));
    world.simulator.e2b.set_team(Team { blocked: true, ..Team::new("blocked", "e2b_blocked") });
    let sandbox = world.create(json!({})).await;
    let url = |path: &str| format!("{}{path}", world.simulator.e2b_api_url());
    let with = async |key: Option<&str>, method: Method, path: &str| {
        let request = world.http.request(method, url(path));
        let request = key.into_iter().fold(request, |request, key| request.header("X-API-KEY", key));
        answer(request.send().await.expect("an answer")).await
    };
    let path = format!("/sandboxes/{}", sandbox.id);
    for key in [None, Some("nonsense"), Some("e2b_unknown")] {
        let (status, body) = with(key, Method::GET, &path).await;
        assert_eq!((status, &body["code"]), (401, &json!(401)), "{key:?}");
    }
    assert_eq!(with(Some("e2b_blocked"), Method::GET, &path).await.0, 403);
    let unknown = json!({
        "code": 404,
        "message": format!("Sandbox \"{}\" doesn't exist or you don't have access to it", sandbox.id),
    });
    for (method, path) in [
        (Method::GET, path.clone()),
        (Method::DELETE, path.clone()),
        (Method::POST, format!("{path}/pause")),
        (Method::POST, format!("/v2{path}/connect")),
    ] {
        assert_eq!(with(Some("e2b_other"), method, &path).await, (404, unknown.clone()), "{path}");
    }
    let (_, list) = with(Some("e2b_other"), Method::GET, "/v2/sandboxes").await;
    assert_eq!(list, json!([]));
    assert_eq!(world.detail(&sandbox).await["state"], "running");
}

#[tokio::test]
async fn a_create_is_checked_and_answered_in_e2bs_words() {
    let world = world();
    let message = |body: &Value| body["message"].as_str().expect("a message").to_owned();
    for (body, status, wanted) in [
        (json!({"templateID": "nope"}), 404, "template 'nope' not found"),
        (json!({"templateID": "base", "timeout": 0}), 400, "Timeout must be greater than 0"),
        (json!({"templateID": "base", "timeout": 86_401}), 400, "Timeout cannot be greater than 24 hours"),
        (json!({"templateID": "base", "autoPauseMemory": false}), 400, "autoPauseMemory=false only applies"),
    ] {
        let (got, answer) = world.post("/v2/sandboxes", body.clone()).await;
        assert_eq!((got, &answer["code"]), (status, &json!(status)), "{body}");
        assert!(message(&answer).starts_with(wanted), "{answer}");
    }
    let (status, body) = world.post("/v2/sandboxes", json!({"timeout": 1})).await;
    assert_eq!(status, 400);
    assert!(message(&body).contains("property \"templateID\" is missing"), "{body}");
    let sent = world.api(Method::POST, "/v2/sandboxes").header("Content-Type", "application/json").body("{");
    assert_eq!(answer(sent.send().await.expect("an answer")).await.0, 400);
    assert_eq!(world.simulator.e2b.counters().creates, 0);
    assert_eq!(world.get("/sandboxes/NOT_AN_ID").await.1["message"], "Invalid sandbox ID");
    assert_eq!(world.post("/sandboxes/iabc/snapshots", json!({})).await.0, 404);
}

#[tokio::test]
async fn a_sandbox_shows_what_it_was_created_with() {
    let world = world();
    let body =
        json!({"metadata": {"a": "1"}, "timeout": 600, "autoPause": true, "allow_internet_access": false});
    let sandbox = world.create(body).await;
    let detail = world.detail(&sandbox).await;
    assert_eq!(sandbox.id.len(), 21);
    assert!(sandbox.id.starts_with('i'));
    assert_eq!(detail["envdAccessToken"], json!(sandbox.token));
    assert_eq!(detail["lifecycle"], json!({"autoResume": false, "onTimeout": "pause"}));
    assert_eq!(detail["allowInternetAccess"], json!(false));
    assert_eq!(detail["alias"], "base");
    assert_ne!(detail["templateID"], "base");
    for field in
        ["clientID", "cpuCount", "memoryMB", "diskSizeMB", "envdVersion", "metadata", "state", "startedAt"]
    {
        assert!(!detail[field].is_null(), "{field}");
    }
    assert_eq!(world.life(&sandbox).await, 600);
    // The old form of an id, with a client id.
    assert_eq!(world.get(&format!("/sandboxes/{}-6532622b", sandbox.id)).await.0, 200);
}

#[tokio::test]
async fn an_idempotency_key_acts_once_and_replays_errors_too() {
    let world = world();
    let create = async |key: &str, body: Value| {
        let request = world.api(Method::POST, "/v2/sandboxes").header("Idempotency-Key", key).json(&body);
        answer(request.send().await.expect("an answer")).await
    };
    let body = json!({"templateID": "base"});
    let first = create("k1", body.clone()).await;
    assert_eq!(first.0, 201);
    assert_eq!(create("k1", body.clone()).await, first);
    assert_eq!(world.simulator.e2b.counters().creates, 1);
    let (status, mismatch) = create("k1", json!({"templateID": "base", "timeout": 9})).await;
    assert_eq!((status, &mismatch["error_code"]), (409, &json!("idempotency_request_mismatch")));
    assert_eq!(create("K-1", body.clone()).await.0, 400);
    let refusal = Refusal {
        status: 503,
        message: "no room".into(),
        error_code: Some("sandbox_capacity_unavailable".into()),
    };
    world.simulator.e2b.refuse_next_create(refusal);
    let refused = create("k2", body.clone()).await;
    assert_eq!(
        refused.1,
        json!({"code": 503, "message": "no room", "error_code": "sandbox_capacity_unavailable"})
    );
    assert_eq!(create("k2", body.clone()).await, refused);
    assert_eq!(create("k3", body.clone()).await.0, 201);
    world.simulator.e2b.set_create_latency(Duration::from_secs(2));
    let (slow, (status, pending)) = tokio::join!(create("k4", body.clone()), async {
        let calls = &world.simulator.calls;
        let seen = calls
            .wait_for_call(0, e2b_support::DEADLINE, |call| call.idempotency_key.as_deref() == Some("k4"));
        seen.await.expect("the first request");
        // It was logged before it was handled.
        tokio::time::sleep(Duration::from_millis(300)).await;
        create("k4", body.clone()).await
    });
    assert_eq!((slow.0, status), (201, 409));
    assert_eq!(pending["error_code"], "idempotency_in_progress");
}

#[tokio::test]
async fn lists_are_filtered_and_paged() {
    let world = world();
    let mut ids = Vec::new();
    for n in 0..5 {
        let metadata = json!({"slipway/uid": format!("u{}", n % 2), "n": n.to_string()});
        ids.push(world.create(json!({"metadata": metadata})).await.id);
    }
    world.post(&format!("/sandboxes/{}/pause", ids[4]), json!({})).await;
    let list = async |query: &str| {
        let response =
            world.api(Method::GET, &format!("/v2/sandboxes{query}")).send().await.expect("an answer");
        let header =
            |name: &str| response.headers().get(name).map(|value| value.to_str().expect("text").to_owned());
        let (next, running) = (header("x-next-token"), header("x-total-running"));
        let sandboxes: Vec<Value> = response.json().await.expect("a list");
        let ids = sandboxes.iter().map(|sandbox| sandbox["sandboxID"].as_str().expect("an id").to_owned());
        (ids.collect::<Vec<_>>(), next, running)
    };
    let newest_first: Vec<String> = ids.iter().rev().cloned().collect();
    assert_eq!(list("").await, (newest_first.clone(), None, Some("4".to_owned())));
    assert_eq!(list("?state=paused").await, (vec![ids[4].clone()], None, None));
    assert_eq!(list("?state=running%2Cpaused&order=asc").await.0, ids);
    for metadata in ["slipway%252Fuid%3Du1", "slipway%25252Fuid%3Du1", "slipway%252Fuid%3Du1%26n%3D3"] {
        let found = list(&format!("?metadata={metadata}")).await.0;
        assert!(found.contains(&ids[3]) && !found.contains(&ids[0]), "{metadata}: {found:?}");
    }
    let (first, next, _) = list("?limit=2").await;
    let (second, next, _) = list(&format!("?limit=2&nextToken={}", next.expect("more"))).await;
    let (third, end, _) = list(&format!("?limit=2&nextToken={}", next.expect("more"))).await;
    assert_eq!([first, second, third].concat(), newest_first);
    assert_eq!(end, None);
    for bad in ["?limit=0", "?limit=101", "?nextToken=%21", "?state=gone", "?order=up", "?metadata=x"] {
        assert_eq!(world.get(&format!("/v2/sandboxes{bad}")).await.0, 400, "{bad}");
    }
    // Lists show no token.
    let (_, all) = world.get("/v2/sandboxes").await;
    assert!(all[0].get("envdAccessToken").is_none());
    let (_, running) = world.get("/sandboxes").await;
    assert_eq!(running.as_array().expect("a list").len(), 4);
}

#[tokio::test]
async fn a_new_sandbox_can_be_missing_from_lists() {
    let world = world();
    world.simulator.e2b.hide_new(Duration::from_secs(30));
    let sandbox = world.create(json!({})).await;
    assert_eq!(world.get("/v2/sandboxes").await.1, json!([]));
    assert_eq!(world.detail(&sandbox).await["state"], "running");
    world.simulator.clock.advance(Duration::from_secs(31));
    assert_eq!(world.get("/v2/sandboxes").await.1[0]["sandboxID"], json!(sandbox.id));
}

#[tokio::test]
async fn a_teams_sandboxes_are_limited_where_they_run() {
    let world = world();
    assert!(world.simulator.e2b.set_concurrency_limit(TEAM, 1));
    let first = world.create(json!({})).await;
    let (status, body) = world.post("/v2/sandboxes", json!({"templateID": "base"})).await;
    assert_eq!(status, 429);
    let message = body["message"].as_str().expect("a message");
    assert!(
        message.starts_with("you have reached the maximum number of concurrent E2B sandboxes (1)"),
        "{message}"
    );
    world.post(&format!("/sandboxes/{}/pause", first.id), json!({})).await;
    let second = world.create(json!({})).await;
    assert_eq!(world.post(&format!("/v2/sandboxes/{}/connect", first.id), json!({})).await.0, 429);
    world.delete(&format!("/sandboxes/{}", second.id)).await;
    assert_eq!(world.post(&format!("/v2/sandboxes/{}/connect", first.id), json!({})).await.0, 201);
}

#[tokio::test]
async fn a_sandbox_can_be_lost_paused_or_made_unreachable_behind_everybodys_back() {
    let world = world();
    let sandbox = world.create(json!({})).await;
    let e2b = &world.simulator.e2b;
    let health = async || {
        let response = world.gateway(&sandbox.id, Method::GET, "/health").send().await.expect("an answer");
        let (status, body) = answer(response).await;
        (status, body["message"].as_str().unwrap_or_default().to_owned())
    };
    assert!(e2b.set_unreachable(&sandbox.id, Some(Unreachable::NotFound)));
    assert_eq!(health().await, (502, "The sandbox was not found".to_owned()));
    assert_eq!(world.detail(&sandbox).await["state"], "running");
    assert!(e2b.set_unreachable(&sandbox.id, Some(Unreachable::PortClosed)));
    assert_eq!(health().await, (502, "The sandbox is running but port is not open".to_owned()));
    assert!(e2b.set_unreachable(&sandbox.id, None));
    assert_eq!(health().await.0, 204);
    assert!(e2b.pause(&sandbox.id).await);
    assert!(!e2b.pause(&sandbox.id).await);
    assert_eq!(world.detail(&sandbox).await["state"], "paused");
    assert!(e2b.kill(&sandbox.id).await);
    assert!(!e2b.kill(&sandbox.id).await);
    assert_eq!(world.get(&format!("/sandboxes/{}", sandbox.id)).await.0, 404);
    assert_eq!((e2b.counters().lost, e2b.counters().deletes), (1, 0));
}

#[tokio::test]
async fn the_switches_are_on_the_control_side_too() {
    let world = world();
    let control = async |method: Method, path: &str, body: Value| {
        let url = format!("{}{path}", world.simulator.control_url());
        answer(world.http.request(method, url).json(&body).send().await.expect("an answer")).await
    };
    let team = json!({"name": "other", "keys": ["e2b_other"], "max_sandboxes": 0});
    assert_eq!(control(Method::POST, "/e2b/teams", team).await.0, 200);
    assert_eq!(control(Method::POST, "/e2b/teams/other/limit", json!({"limit": 3})).await.0, 200);
    let template = json!({"name": "mine", "hidden_commands": ["git"]});
    assert_eq!(control(Method::POST, "/e2b/templates", template).await.0, 200);
    let sandbox = world.create(json!({"templateID": "mine"})).await;
    let path = format!("/e2b/sandboxes/{}", sandbox.id);
    assert_eq!(
        control(Method::POST, &format!("{path}/unreachable"), json!({"unreachable": "not_found"})).await.0,
        200
    );
    assert_eq!(world.envd(&sandbox, Method::GET, "/health").send().await.expect("an answer").status(), 502);
    assert_eq!(
        control(Method::POST, &format!("{path}/unreachable"), json!({"unreachable": null})).await.0,
        200
    );
    assert_eq!(control(Method::POST, &format!("{path}/pause"), json!({})).await.0, 200);
    let (_, state) = control(Method::GET, "/state", json!({})).await;
    assert_eq!(state["e2b"]["sandboxes"][0]["state"], "paused");
    assert_eq!(state["e2b"]["counters"]["pauses"], 1);
    assert_eq!(control(Method::POST, &format!("{path}/kill"), json!({})).await.0, 200);
    assert_eq!(control(Method::POST, &format!("{path}/kill"), json!({})).await.0, 404);
    assert_eq!(control(Method::POST, "/e2b/hide-new", json!({"seconds": "x"})).await.0, 400);
    for (path, body) in [
        ("/e2b/hide-new", json!({"seconds": 1})),
        ("/e2b/create-latency", json!({"seconds": 0.1})),
        ("/e2b/refuse-create", json!({"status": 500, "message": "no", "errorCode": "sandbox_create_failed"})),
    ] {
        assert_eq!(control(Method::POST, path, body).await.0, 200, "{path}");
    }
    assert_eq!(
        world.post("/v2/sandboxes", json!({"templateID": "base"})).await.1["error_code"],
        "sandbox_create_failed"
    );
    assert_eq!(control(Method::DELETE, "/e2b/templates/mine", json!({})).await.0, 200);
    assert_eq!(world.post("/v2/sandboxes", json!({"templateID": "mine"})).await.0, 404);
    assert_eq!(control(Method::GET, "/e2b/sandboxes", json!({})).await.1, json!({"sandboxes": []}));
    assert_eq!(control(Method::GET, "/e2b/nope", json!({})).await.0, 404);
}
