//! A sandbox that comes back with older files, while the operator dies, is disturbed, or does not reach its daemon: what proves it
//! is neither lost nor passed over. Neighbours: `loss` has the plain case.

use crate::world::{World, ready};
use serde_json::json;
use slipway_simulator::core::{Action, Rule, When};
use std::path::PathBuf;
use std::time::{Duration, Instant};

const START: &str = "POST /process.Process/Start";

/// A sandbox that E2B has paused and given the files back that it had before its last pause; its id, and the file with its mark.
async fn rolled_back(world: &World) -> (String, PathBuf) {
    world.apply(json!({})).await;
    let id = world.until_running().await.sandbox_id.unwrap();
    let file = world.sim.e2b.host_path(&id, "/var/tmp/slipway/sandbox").unwrap();
    world.sim.e2b.keep_files(&id).unwrap();
    assert!(world.sim.e2b.pause(&id).await);
    world.poke().await;
    world.until("idle", |s| ready(s) == "True/Idle").await;
    world.ask("task").await;
    assert_eq!(world.until_running().await.mark.as_deref(), Some("1.1.0"));
    world.let_go("task").await;
    world.sim.e2b.roll_back(&id).await.unwrap();
    world.poke().await;
    world.until("idle again", |s| ready(s) == "True/Idle").await;
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "1.0.0");
    (id, file)
}

fn on_envd(world: &World, when: When, action: Action) -> u64 {
    world.sim.faults.set(Rule::on("envd", START).when(when).action(action))
}

/// Waits until the sandbox has this mark.
async fn until_marked(file: &PathBuf, mark: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !std::fs::read_to_string(file).is_ok_and(|text| text.starts_with(mark)) {
        assert!(Instant::now() < deadline, "not marked: {:?}", std::fs::read_to_string(file));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// It runs, and is known to have come back with older files.
async fn is_told_of(world: &World, id: &str) {
    let status = world.until_running().await;
    assert!(status.rolled_back_at.is_some(), "{status:#?}");
    assert_eq!((status.sandbox_id.as_deref(), status.mark.as_deref()), (Some(id), Some("1.2.0")));
    let note = world.until_event("SandboxRolledBack").await;
    assert!(note.contains(id), "{note}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_that_dies_right_after_it_has_marked_the_sandbox_leaves_the_proof_there() {
    let mut world = World::new("olderdies").await;
    let (id, file) = rolled_back(&world).await;
    let rule = on_envd(&world, When::Next(1), Action::Hold { after_effect: true });
    world.ask("task").await;
    until_marked(&file, "1.2.0").await;
    world.crash();
    world.sim.faults.remove(rule);
    world.start_operator();
    is_told_of(&world, &id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_in_between_does_not_take_the_proof_away() {
    let world = World::new("olderwrites").await;
    let (id, file) = rolled_back(&world).await;
    let rule = on_envd(&world, When::Next(1), Action::Hold { after_effect: true });
    world.ask("task").await;
    until_marked(&file, "1.2.0").await;
    world.patch(json!({"metadata": {"annotations": {"somebody": "writes"}}})).await.unwrap();
    world.sim.faults.remove(rule);
    is_told_of(&world, &id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_answers_late_is_asked_again_before_a_task_works_there() {
    let world = World::new("olderlate").await;
    let (id, _) = rolled_back(&world).await;
    let body = r#"{"message":"The sandbox is running but port is not open","code":502}"#.to_owned();
    let headers = std::collections::BTreeMap::new();
    on_envd(&world, When::Next(2), Action::Status { status: 502, headers, body, after_effect: false });
    world.ask("task").await;
    is_told_of(&world, &id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sandbox_that_was_found_by_the_list_has_its_mark() {
    let world = World::new("oldermark").await;
    world.fault(crate::world::CREATE, When::Nth(1), Action::CutAfter);
    world.apply(json!({})).await;
    let status = world.until("marked", |s| s.mark.as_deref() == Some("1.0.0")).await;
    let file = world.sim.e2b.host_path(&status.sandbox_id.unwrap(), "/var/tmp/slipway/sandbox").unwrap();
    assert_eq!((std::fs::read_to_string(file).unwrap().as_str(), status.unmarked_since), ("1.0.0", None));
}
