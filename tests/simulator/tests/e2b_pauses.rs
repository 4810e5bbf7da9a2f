//! Pauses of the E2B stand-in that keep less than one would think: snapshots that outlive a kill, disks without memory, pauses that
//! fail or come late. The plain ones are in `e2b_lifetimes.rs`.

mod e2b_support;

use std::time::Duration;

use e2b_support::{Sandbox, World, eventually};
use serde_json::{Value, json};
use slipway_simulator::Options;

async fn connect(world: &World, sandbox: &Sandbox, body: Value) -> u16 {
    world.post(&format!("/v2/sandboxes/{}/connect", sandbox.id), body).await.0
}

async fn pause(world: &World, sandbox: &Sandbox) -> u16 {
    world.post(&format!("/sandboxes/{}/pause", sandbox.id), json!({})).await.0
}

/// How many processes of ours tick.
async fn ticks(world: &World, sandbox: &Sandbox) -> String {
    world.sh(sandbox, "pgrep -c -f '[t]icker' || :").await
}

#[tokio::test]
async fn killed_at_the_end_of_its_time_it_is_paused_with_the_files_of_its_last_pause() {
    let world = World::new(Options::default());
    let sandbox = world.create(json!({"timeout": 60})).await;
    world.sh(&sandbox, "echo old >a; mkdir -p d; echo old >d/b").await;
    assert_eq!(pause(&world, &sandbox).await, 204);
    world.simulator.clock.advance(Duration::from_mins(5));
    assert_eq!(connect(&world, &sandbox, json!({"timeout": 60})).await, 201);
    world.sh(&sandbox, "echo new >a; rm -r d; echo new >c").await;
    let before = world.detail(&sandbox).await;
    world.simulator.clock.advance(Duration::from_secs(61));
    let after = world.detail(&sandbox).await;
    assert_eq!(after["state"], "paused");
    assert!(after["endAt"].as_str() < before["startedAt"].as_str(), "the time of the snapshot: {after}");
    assert_eq!(connect(&world, &sandbox, json!({"timeout": 60})).await, 201);
    assert_eq!(world.sh(&sandbox, "cat a d/b; ls c 2>/dev/null || echo none").await, "old\nold\nnone\n");
    // What is killed by DELETE is gone with its snapshots.
    assert_eq!(world.delete(&format!("/sandboxes/{}", sandbox.id)).await.0, 204);
    assert_eq!(world.get(&format!("/sandboxes/{}", sandbox.id)).await.0, 404);
}

#[tokio::test]
async fn without_its_memory_a_sandbox_keeps_its_files_and_nothing_that_ran() {
    let world = World::new(Options::default());
    for degraded in [true, false] {
        let sandbox = world.create(json!({"timeout": 600, "autoPause": true})).await;
        let script =
            "echo kept >a; printf 'while :; do sleep 1; done' >ticker; setsid sh ticker >/dev/null 2>&1 &";
        world.sh(&sandbox, script).await;
        eventually("it runs", async || ticks(&world, &sandbox).await == "1\n").await;
        if degraded {
            world.simulator.e2b.degrade_next_pauses(1);
        }
        assert_eq!(pause(&world, &sandbox).await, 204);
        let body = if degraded { json!({"timeout": 600}) } else { json!({"timeout": 600, "memory": false}) };
        assert_eq!(connect(&world, &sandbox, body).await, 201);
        assert_eq!(world.sh(&sandbox, "cat a").await, "kept\n");
        // What was killed takes a moment to be gone.
        eventually("nothing runs", async || ticks(&world, &sandbox).await == "0\n").await;
        // The next pause keeps all.
        world.sh(&sandbox, "setsid sh ticker >/dev/null 2>&1 &").await;
        eventually("it runs again", async || ticks(&world, &sandbox).await == "1\n").await;
        assert_eq!(pause(&world, &sandbox).await, 204);
        assert_eq!(connect(&world, &sandbox, json!({"timeout": 600})).await, 201);
        assert_eq!(ticks(&world, &sandbox).await, "1\n");
    }
}

#[tokio::test]
async fn an_automatic_pause_that_fails_loses_the_sandbox_and_one_that_is_late_does_not() {
    let world = World::new(Options::default());
    let late = world.create(json!({"timeout": 60, "autoPause": true})).await;
    world.simulator.e2b.set_overdue(Duration::from_secs(30));
    world.simulator.clock.advance(Duration::from_secs(61));
    assert_eq!(world.detail(&late).await["state"], "running", "its time is over, and nobody has noticed");
    world.simulator.clock.advance(Duration::from_secs(30));
    assert_eq!(world.detail(&late).await["state"], "paused");
    world.simulator.e2b.set_overdue(Duration::ZERO);
    let lost = world.create(json!({"timeout": 60, "autoPause": true})).await;
    world.simulator.e2b.fail_next_pause(true);
    world.simulator.clock.advance(Duration::from_secs(61));
    assert_eq!(world.get(&format!("/sandboxes/{}", lost.id)).await.0, 404);
}
