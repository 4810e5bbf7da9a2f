//! What counts as gone and what does not: an E2B whose GET lies, whose lists lack what is being snapshotted, and whose
//! sandboxes come back. Neighbours: `life` has a sandbox that is really lost.

use crate::world::{CREATE, GET, KILL, LIST, World, message, ready};
use serde_json::json;
use slipway::api::SandboxState;
use slipway_simulator::core::{Action, When};
use std::collections::BTreeMap;
use std::time::Duration;

const CONNECT: &str = "POST /v2/sandboxes/{sandboxID}/connect";

/// E2B's own 404.
fn not_found() -> Action {
    let body = json!({"code": 404, "message": "Sandbox \"i\" doesn't exist or you don't have access to it"});
    Action::Status { status: 404, headers: BTreeMap::new(), body: body.to_string(), after_effect: false }
}

/// Hides the sandbox from one look: the list shows it, and nothing happens.
async fn is_kept_after_a_404(world: &World, id: String) {
    assert!(world.sim.e2b.hide_from_get(&id, 1));
    world.poke().await;
    world.until_called(LIST, 1).await;
    let status =
        world.until("looked", |s| s.observed_reconcile.is_some() && ready(s) == "True/Running").await;
    assert_eq!((status.sandbox_id, status.incarnation, status.history.len()), (Some(id), Some(1), 0));
    assert_eq!((world.count(CREATE), world.live().len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_get_that_answers_404_for_a_living_sandbox_loses_nothing() {
    let world = World::new("lies").await;
    world.apply(json!({"operatingMode": "Running"})).await;
    let up = world.until_running().await;
    let id = up.sandbox_id.clone().unwrap();
    is_kept_after_a_404(&world, id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_404_while_it_wakes_up_costs_nothing() {
    for endpoint in [GET, CONNECT] {
        let world = World::new("wakes").await;
        world.apply(json!({})).await;
        let up = world.until_running().await;
        let id = up.sandbox_id.clone().unwrap();
        assert!(world.sim.e2b.pause(&id).await);
        world.poke().await;
        world.until("idle", |s| ready(s) == "True/Idle").await;
        world.fault(endpoint, When::Next(1), not_found());
        world.ask("task").await;
        let status = world.until_running().await;
        assert_eq!((status.sandbox_id, status.incarnation), (Some(id), Some(1)), "{endpoint}");
        assert_eq!((world.count(CREATE), world.count(KILL), world.live().len()), (1, 0, 1), "{endpoint}");
    }
}

/// A sandbox that is being snapshotted is missing from lists for moments: with files in it, one look is not enough.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sandbox_with_files_is_missed_twice_before_it_is_replaced() {
    let mut world = World::new("twice").await;
    world.apply(json!({})).await;
    let id = world.until_running().await.sandbox_id.unwrap();
    assert!(
        world.sim.e2b.hide_from_get(&id, 1) && world.sim.e2b.hide_from_lists(&id, Duration::from_secs(5))
    );
    world.report_unreachable("task").await;
    let missing = world.until("missing", |s| ready(s) == "False/SandboxMissing").await;
    assert_eq!(missing.state, Some(SandboxState::Running));
    assert!(message(&missing).contains(&id), "{}", message(&missing));
    // What was seen once outlasts a restart.
    world.crash();
    world.start_operator();
    let status = world.until_running().await;
    assert_eq!((status.sandbox_id, status.missing_since, world.count(CREATE)), (Some(id.clone()), None, 1));

    assert!(world.sim.e2b.kill(&id).await);
    let gone = world.until("gone", |s| s.history.len() == 1).await;
    assert!(gone.history[0].uncommitted_files);
    world.until("replaced", |s| s.incarnation == Some(2) && ready(s) == "True/Running").await;
}

/// The objects outlive an installation: after another one takes them over, the lists still show what the first has made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_reinstall_a_lying_404_makes_no_second_sandbox() {
    let mut world = World::new("reinstalled").await;
    world.apply(json!({"operatingMode": "Running"})).await;
    let id = world.until_running().await.sandbox_id.unwrap();
    world.crash();
    world.installation = "elsewhere";
    world.start_operator();
    is_kept_after_a_404(&world, id).await;
    // Nothing else would tell that the other one still runs.
    world.poke().await;
    let note = world.until_event("OtherInstallation").await;
    assert!(note.contains("test-installation"), "{note}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_state_is_looked_at_again_and_spoils_no_list() {
    let world = World::new("states").await;
    world.apply(json!({"operatingMode": "Running"})).await;
    let id = world.until_running().await.sandbox_id.unwrap();
    for state in ["snapshotting", "pausing", "killing", "hibernating"] {
        assert!(world.sim.e2b.show_as(&id, Some(state)));
        world.poke().await;
        let status = world.until(state, |s| ready(s) == "False/Progressing").await;
        assert_eq!((status.state, &status.sandbox_id), (None, &Some(id.clone())));
        // Also where only the list shows it.
        assert!(world.sim.e2b.hide_from_get(&id, 1));
        world.poke().await;
        world.until("listed", |s| s.observed_reconcile != status.observed_reconcile).await;
        assert!(world.sim.e2b.show_as(&id, None));
        world.poke().await;
        world.until_running().await;
    }
    assert_eq!((world.count(CREATE), world.count(KILL)), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_404_before_a_deletion_leaves_nothing_behind() {
    let world = World::new("leaks").await;
    world.apply(json!({})).await;
    let id = world.until_running().await.sandbox_id.unwrap();
    assert!(world.sim.e2b.hide_from_get(&id, 5));
    world.delete().await;
    world.until_deleted(Duration::from_mins(1)).await;
    assert_eq!((world.count(KILL), world.live().len()), (1, 0));
}

/// E2B keeps older snapshots under the same id; nothing in its answers says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sandbox_that_comes_back_with_older_files_is_told_of() {
    let world = World::new("older").await;
    world.apply(json!({})).await;
    let up = world.until_running().await;
    let id = up.sandbox_id.unwrap();
    let file = world.sim.e2b.host_path(&id, "/var/tmp/slipway/sandbox").unwrap();
    assert_eq!(
        (up.mark.as_deref(), std::fs::read_to_string(&file).unwrap().as_str()),
        (Some("1.0.0"), "1.0.0")
    );
    world.sim.e2b.keep_files(&id).unwrap();
    for old in [false, true] {
        if old {
            world.sim.e2b.roll_back(&id).await.unwrap();
        } else {
            assert!(world.sim.e2b.pause(&id).await);
        }
        world.poke().await;
        world.until("idle", |s| ready(s) == "True/Idle").await;
        world.ask("task").await;
        let status = world.until_running().await;
        assert_eq!(status.rolled_back_at.is_some(), old, "{status:#?}");
        let text = std::fs::read_to_string(&file).unwrap();
        // The older one stays behind it, for whoever has to judge in place of an operator that died.
        assert_eq!(status.mark.as_deref(), text.split(" <- ").next(), "{text}");
        assert_eq!(text.ends_with(" <- 1.0.0"), old, "{text}");
        world.let_go("task").await;
    }
    let note = world.until_event("SandboxRolledBack").await;
    assert!(note.contains(&id), "{note}");
    assert_eq!(world.count(CREATE), 1);
}

/// The mark may be right, or unknown: what a command has left there tells too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sandbox_that_lacks_what_a_finished_command_left_is_told_of() {
    for there in [true, false] {
        let world = World::new("lacks").await;
        world.apply(json!({})).await;
        let id = world.until_running().await.sandbox_id.unwrap();
        world.ask("task").await;
        world.finish_command("task", "gen-1", &id).await;
        if there {
            let directory = world.sim.e2b.host_path(&id, "/var/tmp/slipway/gen-1").unwrap();
            std::fs::create_dir(directory).unwrap();
        }
        assert!(world.sim.e2b.pause(&id).await);
        world.poke().await;
        let status = world.until("awake", |s| s.reconnects == 1 && ready(s) == "True/Running").await;
        assert_eq!((status.sandbox_id, status.rolled_back_at.is_some()), (Some(id), !there));
    }
}
