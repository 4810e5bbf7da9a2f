//! The lifecycle API: every answer the controllers tell apart.

use crate::support::{API_KEY, World, e2b, key, request, standby};
use slipway::api::conditions::reason;
use slipway::domain::{
    failure::Class,
    sandbox::{Life, PauseEnd},
};
use slipway::e2b::Error;
use slipway_simulator::core::{Action, Rule, When};
use slipway_simulator::e2b::{Refusal, TEAM, Team};
use std::collections::BTreeMap;

const CREATE: &str = "POST /v2/sandboxes";
const GET: &str = "GET /sandboxes/{sandboxID}";

fn is(error: &Error, class: Class, reason: &str) {
    assert_eq!((error.class, error.reason), (class, reason), "{error:?}");
}

#[tokio::test]
async fn a_life_from_create_to_kill() {
    let world = World::new();
    let account = &world.account;
    let request = request("base");
    let created = account.create(&request, &key()).await.unwrap();
    let id = created.sandbox_id.as_str();
    assert!(created.token.is_some(), "v2 sandboxes are always secured");

    let detail = account.get(id).await.unwrap().unwrap();
    assert_eq!((detail.seen.life, &detail.seen.metadata), (Life::Running, &request.metadata));
    let life = detail.seen.end_at.duration_since(detail.seen.started_at).as_secs();
    assert!((298..=302).contains(&life), "{life} s");

    assert!(account.set_timeout(id, 900).await.unwrap());
    let renewed = account.get(id).await.unwrap().unwrap();
    assert!(renewed.seen.end_at > detail.seen.end_at);

    assert_eq!(account.pause(id).await.unwrap(), PauseEnd::Paused);
    assert_eq!(account.pause(id).await.unwrap(), PauseEnd::Unclear);
    assert_eq!(account.get(id).await.unwrap().unwrap().seen.life, Life::Paused);
    assert!(!account.set_timeout(id, 900).await.unwrap(), "a paused one has no time to set");

    assert!(account.connect(id, 600, true).await.unwrap().unwrap().was_paused);
    assert!(!account.connect(id, 600, true).await.unwrap().unwrap().was_paused);

    assert!(account.kill(id).await.unwrap());
    assert!(!account.kill(id).await.unwrap());
    assert!(account.get(id).await.unwrap().is_none());
    assert!(account.connect(id, 600, true).await.unwrap().is_none());
    assert_eq!(account.pause(id).await.unwrap(), PauseEnd::Gone);
}

#[tokio::test]
async fn an_answer_that_is_no_sandbox_is_no_connection() {
    let world = World::new();
    let access = world.account.create(&request("base"), &key()).await.unwrap();
    let page = Action::Status {
        status: 200,
        headers: BTreeMap::new(),
        body: "<html>".to_owned(),
        after_effect: false,
    };
    let connect = Rule::on("e2b", "POST /v2/sandboxes/{sandboxID}/connect");
    let rule = world.sim.faults.set(connect.action(page));
    assert!(world.account.connect(&access.sandbox_id, 600, true).await.is_err());
    assert_eq!(world.sim.faults.hits(rule), Some(1));
}

#[tokio::test]
async fn lists_by_metadata_over_all_pages() {
    let world = World::new();
    world.sim.e2b.set_concurrency_limit(TEAM, 1000);
    let mut odd = request("base");
    odd.metadata.insert("slipway/name".to_owned(), "a b&c=d/é%25+".to_owned());
    let created = world.account.create(&odd, &key()).await.unwrap();
    for _ in 0..3 {
        world.account.create(&request("base"), &key()).await.unwrap();
    }
    world.account.pause(&created.sandbox_id).await.unwrap();

    let found = world.account.list(&odd.metadata).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].id.as_str(), found[0].life), (created.sandbox_id.as_str(), Life::Paused));
    assert_eq!(found[0].metadata, odd.metadata);

    let token = "bmV4dA==";
    let headers = BTreeMap::from([("x-next-token".to_owned(), token.to_owned())]);
    let page = Action::Status { status: 200, headers, body: "[]".to_owned(), after_effect: false };
    world.sim.faults.set(Rule::on("e2b", "GET /v2/sandboxes").when(When::Next(1)).action(page));
    // The second page is asked for by the token, which the stand-in does not know.
    let error = world.account.list(&BTreeMap::new()).await.unwrap_err();
    is(&error, Class::Invalid, reason::E2B_INVALID_REQUEST);
    let calls = world.sim.calls.all();
    assert!(calls.last().unwrap().query.contains("nextToken=bmV4dA%3D%3D"), "{:?}", calls.last());
    assert_eq!(world.account.list(&BTreeMap::new()).await.unwrap().len(), 4);
}

#[tokio::test]
async fn only_e2bs_own_404_means_gone() {
    let world = World::new();
    let html = Action::Status {
        status: 404,
        headers: BTreeMap::new(),
        body: "<h1>Not Found</h1>".to_owned(),
        after_effect: false,
    };
    let rule = world.sim.faults.set(Rule::on("e2b", GET).action(html));
    let error = world.account.get("iabc").await.unwrap_err();
    is(&error, Class::Transient, reason::E2B_UNKNOWN_ROUTE);
    world.sim.faults.remove(rule);
    // Too short to be told from the whole by anything but the length.
    world.sim.faults.set(Rule::on("e2b", GET).action(Action::TruncateBody { after: 5 }));
    let error = world.account.get("iabcdefghijklmnopqrst").await.unwrap_err();
    is(&error, Class::Transient, reason::E2B_UNREACHABLE);
    assert!(!error.answered());
    let error = world.account.get("../v2/sandboxes").await.unwrap_err();
    is(&error, Class::Invalid, reason::E2B_INVALID_REQUEST);
}

#[tokio::test]
async fn credentials_and_templates_name_their_cure() {
    let world = World::new();
    let stranger = e2b(&world.sim.e2b_api_url(), &world.sim.e2b_sandbox_url()).account("e2b_wrong".into());
    assert_ne!(stranger.fingerprint(), world.account.fingerprint());
    assert_eq!(world.account.fingerprint().len(), 16);
    let error = stranger.create(&request("base"), &key()).await.unwrap_err();
    is(&error, Class::Denied, reason::E2B_UNAUTHORIZED);
    assert!(error.message.contains("E2B_API_KEY") && !error.message.contains("e2b_wrong"), "{error}");

    let garbled = e2b(&world.sim.e2b_api_url(), &world.sim.e2b_sandbox_url()).account("e2b_\u{1}x".into());
    let calls = || world.sim.calls.count(|_| true);
    let before = calls();
    let error = garbled.create(&request("base"), &key()).await.unwrap_err();
    is(&error, Class::Denied, reason::E2B_UNAUTHORIZED);
    assert!(error.answered() && error.message.contains("no header may carry"), "{error}");
    assert_eq!(calls(), before, "it is not sent in any form");

    let error = world.account.create(&request("no-such-template-2026"), &key()).await.unwrap_err();
    is(&error, Class::Invalid, reason::TEMPLATE_NOT_FOUND);
    assert!(
        error.message.contains("no-such-template-2026") && error.message.contains("spec.template"),
        "{error}"
    );
    assert!(error.answered());

    let blocked = Team { blocked: true, ..Team::new(TEAM, API_KEY) };
    world.sim.e2b.set_team(blocked);
    let error = world.account.get("iabc").await.unwrap_err();
    is(&error, Class::Denied, reason::E2B_FORBIDDEN);
}

#[tokio::test]
async fn quota_and_rate_limit_are_told_apart() {
    let world = World::new();
    world.sim.e2b.set_concurrency_limit(TEAM, 1);
    world.sandbox("base").await;
    let error = world.account.create(&request("base"), &key()).await.unwrap_err();
    is(&error, Class::Transient, reason::SANDBOX_QUOTA);

    let headers = BTreeMap::from([("retry-after".to_owned(), "7".to_owned())]);
    let body = r#"{"code":429,"message":"Rate limit exceeded"}"#.to_owned();
    let limit = Action::Status { status: 429, headers, body, after_effect: false };
    world.sim.faults.set(Rule::on("e2b", GET).action(limit));
    let error = world.account.get("iabc").await.unwrap_err();
    let Class::Throttled { until } = error.class else { panic!("{error:?}") };
    let left = until.duration_since(jiff::Timestamp::now()).as_secs_f64();
    assert!((5.0..=7.0).contains(&left), "{left} s");
}

#[tokio::test]
async fn a_lost_answer_is_not_an_answer() {
    let world = World::new();
    let (request, key) = (request("base"), key());
    for action in [Action::CutAfter, Action::CutBefore, Action::TruncateBody { after: 10 }] {
        let rule = world.sim.faults.set(Rule::on("e2b", CREATE).action(action.clone()));
        let error = world.account.create(&request, &key).await.unwrap_err();
        is(&error, Class::Transient, reason::E2B_UNREACHABLE);
        assert!(!error.answered(), "{action:?}");
        world.sim.faults.remove(rule);
    }
    // The same key finds what the first create made.
    let created = world.account.create(&request, &key).await.unwrap();
    assert_eq!(world.sim.e2b.counters().creates, 1);
    let calls = world.sim.calls.all();
    assert!(calls.iter().all(|call| call.idempotency_key.as_deref() == Some(key.as_str())));
    assert_eq!(world.account.list(&request.metadata).await.unwrap()[0].id, created.sandbox_id);

    let nobody = e2b("http://127.0.0.1:9", "http://127.0.0.1:9").account(API_KEY.into());
    let error = nobody.create(&request, &key).await.unwrap_err();
    assert!(!error.answered() && error.message.contains("refused"), "{error}");
}

#[tokio::test]
async fn refused_creates_by_their_codes() {
    let world = World::new();
    let table = [
        (409, Some("idempotency_in_progress"), Class::Transient, reason::IDEMPOTENCY_IN_PROGRESS),
        (409, Some("idempotency_request_mismatch"), Class::Transient, reason::IDEMPOTENCY_MISMATCH),
        (422, Some("idempotency_outcome_unknown"), Class::Transient, reason::IDEMPOTENCY_UNKNOWN),
        (500, Some("sandbox_create_refused"), Class::Invalid, reason::SANDBOX_CREATE_REFUSED),
        (500, Some("sandbox_create_failed"), Class::Transient, reason::E2B_UNAVAILABLE),
        (503, Some("sandbox_capacity_unavailable"), Class::Transient, reason::SANDBOX_CAPACITY),
        (504, Some("sandbox_placement_timeout"), Class::Transient, reason::SANDBOX_CAPACITY),
        (400, None, Class::Invalid, reason::E2B_INVALID_REQUEST),
        (403, None, Class::Denied, reason::E2B_FORBIDDEN),
        (502, None, Class::Transient, reason::E2B_UNAVAILABLE),
    ];
    for (status, code, class, reason) in table {
        let message = "request 5b8efff798038103 failed near s3cret-value".to_owned();
        world.sim.e2b.refuse_next_create(Refusal { status, message, error_code: code.map(str::to_owned) });
        let error = world.account.create(&request("base"), &key()).await.unwrap_err();
        is(&error, class, reason);
        assert!(error.answered() && error.status == Some(status));
        assert!(!error.message.contains("s3cret-value"), "{error}");
        assert!(class == Class::Invalid || !error.message.contains("5b8efff798038103"), "{error}");
    }
    assert_eq!(world.sim.e2b.counters().creates, 0);
}

#[tokio::test]
async fn only_the_leader_writes() {
    let world = World::new();
    let standby = standby(&world.sim.e2b_api_url(), &world.sim.e2b_sandbox_url()).account(API_KEY.into());
    let sandbox = world.sandbox("base").await;
    let before = world.sim.calls.last_seq();
    let error = standby.create(&request("base"), &key()).await.unwrap_err();
    is(&error, Class::Transient, reason::NOT_LEADING);
    assert!(!error.answered());
    is(&standby.kill(sandbox.id()).await.unwrap_err(), Class::Transient, reason::NOT_LEADING);
    assert_eq!(world.sim.calls.last_seq(), before, "nothing was sent");
    assert!(standby.get(sandbox.id()).await.unwrap().is_some());
}
