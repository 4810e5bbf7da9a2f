//! E2B lies once: each call in the life of a Sandbox, at each time that it is made, in a life of its own. The calls are those of a
//! life that goes undisturbed. Nothing is created, killed or given up for a lie.

use crate::world::{World, ready};
use futures::future::join_all;
use serde_json::json;
use slipway_simulator::core::{Action, Rule, When};
use std::collections::BTreeMap;
use std::time::Duration;

/// Seconds; the least that a spec may ask for.
const TIMEOUT: u64 = 120;
/// Of one endpoint so many calls are lied about: later ones are looks like those before.
const TIMES: u64 = 4;

fn answer(status: u16, message: &str, after_effect: bool) -> Action {
    let body = json!({"code": status, "message": message}).to_string();
    Action::Status { status, headers: BTreeMap::new(), body, after_effect }
}

/// What E2B is known to answer although it is not so: 404 where its own store fails, errors and nothing at all after it has
/// done what was asked.
fn lies(endpoint: &str) -> Vec<Action> {
    let missing = || answer(404, "Sandbox \"i\" doesn't exist or you don't have access to it", false);
    let failed = |done| answer(500, "Error when handling the request", done);
    match endpoint.split(' ').next().unwrap_or_default() {
        "GET" => vec![missing(), failed(false)],
        "DELETE" => vec![
            failed(true),
            failed(false),
            answer(409, "Sandbox is transitioning", false),
            Action::CutAfter,
        ],
        _ if endpoint.ends_with("/connect") => vec![missing(), failed(true), Action::CutAfter],
        // Creates: what a 5xx has made only a list tells, 100 s later; `crash` and `refusal` have those.
        _ => vec![Action::CutAfter],
    }
}

/// Up, needed, looked at, paused at its end, woken, looked at, deleted.
async fn live(world: &World) {
    world.apply(json!({"timeoutSeconds": TIMEOUT})).await;
    let id = world.until_running().await.sandbox_id;
    world.ask("task").await;
    world.until("the turn", |s| s.holder.is_some()).await;
    look(world).await;
    world.delete_task("task").await;
    world.until("no turn", |s| s.holder.is_none()).await;
    world.sim.clock.advance(Duration::from_secs(TIMEOUT + 5));
    look(world).await;
    world.until("idle", |s| ready(s) == "True/Idle").await;
    world.ask("another").await;
    let woken = world.until("awake", |s| s.reconnects == 1 && ready(s) == "True/Running").await;
    look(world).await;
    let status = world.until_running().await;
    assert_eq!((&woken.sandbox_id, &status.sandbox_id), (&id, &id));
    assert_eq!((status.incarnation, status.recreations, status.history.len()), (Some(1), 0, 0));
    assert_eq!(world.sim.e2b.counters().deletes, 0);
    world.delete().await;
    world.until_deleted(Duration::from_mins(2)).await;
    let counters = world.sim.e2b.counters();
    assert_eq!((counters.creates, counters.deletes, world.live().len()), (1, 1, 0));
}

/// A person asks for a look, and it is made.
async fn look(world: &World) {
    let before = world.status().await.observed_reconcile;
    world.poke().await;
    world.until("a look", |s| s.observed_reconcile != before && s.retry.is_none()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_lie_of_e2b_about_any_call_changes_nothing() {
    let truth = World::new("truth").await;
    live(&truth).await;
    let mut times: BTreeMap<String, u64> = BTreeMap::new();
    for call in truth.sim.calls.matching(|call| call.api == "e2b") {
        *times.entry(call.endpoint).or_default() += 1;
    }
    assert!(times.len() >= 4, "create, look, connect, kill: {times:?}");
    let mut lives = Vec::new();
    for (endpoint, times) in &times {
        for nth in 1..=(*times).min(TIMES) {
            for lie in lies(endpoint) {
                lives.push(async move {
                    let world = World::new("lie").await;
                    let rule = Rule::on("e2b", endpoint).when(When::Nth(nth)).action(lie.clone());
                    let rule = world.sim.faults.set(rule);
                    println!("{}: the {nth}th {endpoint} answers {lie:?}", world.namespace);
                    live(&world).await;
                    assert!(
                        world.sim.faults.hits(rule) == Some(1) || nth > 1,
                        "{endpoint}: {lie:?} was never told"
                    );
                });
            }
        }
    }
    assert!(lives.len() >= 12, "{}", lives.len());
    join_all(lives).await;
}
