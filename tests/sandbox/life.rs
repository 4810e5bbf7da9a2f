//! Up, idle, resumed, renewed, replaced: and nothing else.

use crate::world::{CREATE, GET, LIST, TIMEOUT, World, message, ready};
use serde_json::json;
use slipway::api::SandboxState;
use slipway_simulator::core::{Action, When};
use slipway_simulator::e2b::{API_KEY, TEAM, Team};
use std::collections::BTreeMap;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn comes_up_with_three_writes_and_one_call_and_then_rests() {
    let world = World::new("up").await;
    world.apply(json!({"metadata": {"team": "blue"}, "env": [{"name": "A", "value": "1"}]})).await;
    let status = world.until_running().await;
    assert_eq!(
        (status.incarnation, status.creating.is_none(), status.observed_generation),
        (Some(1), true, 1)
    );
    let live = world.live();
    assert_eq!(live.len(), 1);
    assert_eq!(Some(&live[0].sandbox_id), status.sandbox_id.as_ref());
    let marks = &live[0].metadata;
    assert_eq!(marks["team"], "blue");
    assert_eq!(
        (marks["slipway/incarnation"].as_str(), marks["slipway/namespace"].as_str()),
        ("1", world.namespace.as_str())
    );
    let expires = status.expires_at.unwrap().0;
    assert!(expires <= live[0].end_at && live[0].end_at.duration_since(expires).as_secs() < 30);

    // Only the turn is written when a Task begins to use it. That nothing else happens shows only in time.
    world.ask("task").await;
    world.until("the turn", |s| s.holder.is_some()).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(world.writes().await, 4, "finalizer, intent, record, turn");
    let mark = ("envd POST /process.Process/Start".to_owned(), 1);
    assert_eq!(world.sim.calls.counts(), BTreeMap::from([(format!("e2b {CREATE}"), 1), mark]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_spec_is_frozen_and_the_refusal_says_so() {
    let world = World::new("frozen").await;
    world.apply(json!({})).await;
    world.until_running().await;
    let refused = world.patch(json!({"spec": {"template": "no-tar"}})).await.unwrap_err().to_string();
    assert!(refused.contains("must not change while a sandbox is up"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_always_running_is_replaced_when_it_is_killed() {
    let world = World::new("replaced").await;
    world.apply(json!({"operatingMode": "Running"})).await;
    let first = world.until_running().await.sandbox_id.unwrap();
    assert!(world.sim.e2b.kill(&first).await);
    world.poke().await;
    let status =
        world.until("a replacement", |s| s.incarnation == Some(2) && ready(s) == "True/Running").await;
    assert_eq!((status.recreations, status.history.len()), (1, 1));
    assert_eq!((status.history[0].sandbox_id.as_str(), status.history[0].incarnation), (first.as_str(), 1));
    assert_eq!(world.live().len(), 1);
    assert_eq!(world.live()[0].metadata["slipway/incarnation"], "2");

    // The second loss within an hour is replaced after a pause.
    assert!(world.sim.e2b.kill(&status.sandbox_id.unwrap()).await);
    world.poke().await;
    let gone =
        world.until("waiting", |s| s.state == Some(SandboxState::Gone) && ready(s) == "False/Retrying").await;
    let status = world.until("the third", |s| s.incarnation == Some(3) && ready(s) == "True/Running").await;
    let waited = status.started_at.unwrap().0.duration_since(gone.history[1].ended_at.0);
    assert!((10..60).contains(&waited.as_secs()), "{waited:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hold_reports_the_loss_and_waits() {
    let world = World::new("hold").await;
    world.apply(json!({"operatingMode": "Running", "recovery": {"policy": "Hold"}})).await;
    let id = world.until_running().await.sandbox_id.unwrap();
    assert!(world.sim.e2b.kill(&id).await);
    world.poke().await;
    let status = world.until("held", |s| ready(s) == "False/SandboxGone").await;
    assert!(message(&status).contains("set it to Recreate"));
    assert_eq!(world.count(CREATE), 1);
    world.patch(json!({"spec": {"recovery": {"policy": "Recreate"}}})).await.unwrap();
    world.until("replaced", |s| s.incarnation == Some(2) && ready(s) == "True/Running").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unneeded_one_expires_into_a_pause_and_a_task_resumes_it() {
    let world = World::new("idle").await;
    world.apply(json!({"timeoutSeconds": 120})).await;
    let up = world.until_running().await;
    world.sim.clock.advance(Duration::from_secs(125));
    // By itself the operator looks 10 s after the end; the stand-in's clock runs ahead of it.
    world.poke().await;
    let idle = world.until("idle", |s| ready(s) == "True/Idle").await;
    assert_eq!(
        (idle.state, idle.expires_at, idle.sandbox_id.clone()),
        (Some(SandboxState::Paused), None, up.sandbox_id)
    );

    world.ask("task").await;
    let status = world.until_running().await;
    assert_eq!((status.sandbox_id, status.reconnects), (idle.sandbox_id, 1));
    assert!(status.last_reconnect_time.is_some() && status.expires_at.is_some());
    assert_eq!((world.count(CREATE), world.live().len()), (1, 1));

    // The Task is done with it: it is left to its time-out again.
    world.delete_task("task").await;
    world.sim.clock.advance(Duration::from_secs(125));
    world.poke().await;
    world.until("idle again", |s| ready(s) == "True/Idle").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_e2b_that_fails_is_waited_for_and_nothing_is_recreated() {
    let world = World::new("away").await;
    world.apply(json!({"operatingMode": "Running"})).await;
    let up = world.until_running().await;
    for action in [
        Action::Status {
            status: 503,
            headers: BTreeMap::new(),
            body: "{\"code\":503}".into(),
            after_effect: false,
        },
        Action::CutBefore,
        // A 404 that is not E2B's own proves nothing.
        Action::Status {
            status: 404,
            headers: BTreeMap::new(),
            body: "no such page".into(),
            after_effect: false,
        },
        Action::Status {
            status: 429,
            headers: BTreeMap::new(),
            body: "{\"code\":429}".into(),
            after_effect: false,
        },
    ] {
        let rule = world.fault(GET, When::All, action);
        world.report_unreachable("task").await;
        world.poke().await;
        let failing =
            world.until("retrying", |s| s.retry.as_ref().is_some_and(|retry| retry.attempt >= 2)).await;
        assert_eq!((failing.state, &failing.sandbox_id), (Some(SandboxState::Running), &up.sandbox_id));
        assert!(
            ["False/Retrying", "False/RetriesExhausted", "False/E2BUnknownRoute"]
                .contains(&ready(&failing).as_str())
        );
        world.sim.faults.remove(rule);
        world.poke().await;
        world.until_running().await;
    }
    assert_eq!((world.count(CREATE), world.count(LIST)), (1, 0), "no answer of these is a 404 of E2B's own");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_cannot_reach_it_makes_the_operator_look_at_once() {
    let world = World::new("report").await;
    world.apply(json!({})).await;
    let first = world.until_running().await.sandbox_id.unwrap();
    assert!(world.sim.e2b.kill(&first).await);
    assert_eq!(world.count(GET), 0);
    world.report_unreachable("task").await;
    world.until("replaced", |s| s.incarnation == Some(2) && ready(s) == "True/Running").await;
    assert_eq!(world.live().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_longer_time_to_live_is_renewed_up_to_the_limit_of_the_plan() {
    let world = World::new("renewed").await;
    world.sim.e2b.set_team(Team { max_hours: 1, ..Team::new(TEAM, API_KEY) });
    world.apply(json!({"operatingMode": "Running", "timeoutSeconds": 120, "onTimeout": "Kill"})).await;
    let up = world.until_running().await;
    world.patch(json!({"spec": {"timeoutSeconds": 1000}})).await.unwrap();
    let renewed =
        world.until("renewed", |s| s.expires_at > up.expires_at && ready(s) == "True/Running").await;
    let gained = renewed.expires_at.unwrap().0.duration_since(up.expires_at.unwrap().0);
    // To 1,000 s from when it was renewed, which was some time after its creation.
    assert!((880..1000).contains(&gained.as_secs()), "{gained:?}");
    assert_eq!(world.count(TIMEOUT), 1, "one renewal until two thirds are over");
    let end = world.live()[0].end_at;
    assert_eq!(
        world.status().await.expires_at.unwrap().0.as_second(),
        end.as_second(),
        "E2B's own end is recorded"
    );

    // The plan allows an hour from the start of the run.
    world.patch(json!({"spec": {"timeoutSeconds": 3600}})).await.unwrap();
    world.until("at an hour", |s| s.expires_at.as_ref().is_some_and(|at| at.0 > end)).await;
    world.patch(json!({"spec": {"timeoutSeconds": 14400}})).await.unwrap();
    let limited = world.until("limited", |s| s.lifetime_limited).await;
    assert_eq!(ready(&limited), "True/Running");
    let note = world.until_event("SandboxLifetimeLimit").await;
    assert!(note.contains("not committed"), "{note}");
    let renewals = world.count(TIMEOUT);
    world.poke().await;
    world.until("looked", |s| s.observed_reconcile.is_some()).await;
    assert_eq!(world.count(TIMEOUT), renewals, "no further renewal in this run");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renewed_when_two_thirds_of_the_life_are_over() {
    let world = World::new("thirds").await;
    world.apply(json!({"operatingMode": "Running", "timeoutSeconds": 120})).await;
    let up = world.until_running().await;
    let renewed =
        world.until_within(Duration::from_mins(2), "renewed", |s| s.expires_at > up.expires_at).await;
    let call = world.until_called(TIMEOUT, 1).await;
    let lived = call.real_at.duration_since(up.started_at.unwrap().0).as_secs();
    assert!((79..118).contains(&lived), "{lived} s");
    assert_eq!((renewed.sandbox_id, world.count(CREATE)), (up.sandbox_id, 1));
    assert!(!renewed.lifetime_limited);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn suspended_it_is_ready_and_nothing_is_made() {
    let world = World::new("suspend").await;
    world.apply(json!({"suspend": true})).await;
    world.until("suspended", |s| ready(s) == "True/Suspended").await;
    assert_eq!(world.sim.calls.all().len(), 0);
    world.patch(json!({"spec": {"suspend": false}})).await.unwrap();
    world.until_running().await;
}
