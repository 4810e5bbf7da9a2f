//! Several Tasks in one Sandbox: one turn at a time, by who asked first, whatever happens to the Task that has it.

use crate::world::World;
use serde_json::json;
use slipway::api::SandboxStatus;
use slipway_simulator::core::{Action, When};

fn holds(task: &'static str, waiting: i64) -> impl Fn(&SandboxStatus) -> bool {
    move |status| {
        status.holder.as_ref().is_some_and(|holder| holder.task == task) && status.waiting == waiting
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_take_turns_in_the_order_in_which_they_ask() {
    let mut world = World::without_operator("turns").await;
    for (task, second) in [("c", 3), ("a", 1), ("b", 2)] {
        world.ask_at(task, second).await;
    }
    world.apply(json!({})).await;
    world.start_operator();
    let status = world.until("the first asked first", holds("a", 2)).await;
    assert_eq!(status.holder.unwrap().request, "a-1");
    world.let_go("a").await;
    world.until("the next", holds("b", 1)).await;
    // Who asks again stands at the end of the line, and a holder that is deleted keeps nobody waiting.
    world.ask_at("a", 9).await;
    world.until("one more waits", holds("b", 2)).await;
    world.delete_task("b").await;
    world.until("the last of the first three", holds("c", 1)).await;
    world.let_go("c").await;
    world.until("and again", holds("a", 0)).await;
    world.let_go("a").await;
    world.until("nobody", |status| status.holder.is_none() && status.waiting == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn turns_go_on_while_the_sandbox_is_suspended_or_stalled() {
    let world = World::new("turnsstalled").await;
    world.fault(
        crate::world::CREATE,
        When::All,
        Action::Status {
            status: 403,
            headers: std::collections::BTreeMap::new(),
            body: json!({"code": 403, "message": "no"}).to_string(),
            after_effect: false,
        },
    );
    world.apply(json!({})).await;
    world.until("stalled", |s| s.retry.as_ref().is_some_and(|retry| retry.stalled)).await;
    world.ask_at("a", 1).await;
    world.ask_at("b", 2).await;
    world.until("the first", holds("a", 1)).await;
    world.let_go("a").await;
    world.until("the next while stalled", holds("b", 0)).await;
    world.patch(json!({"spec": {"suspend": true}})).await.unwrap();
    world.ask_at("a", 3).await;
    world.until("one waits while suspended", holds("b", 1)).await;
    world.let_go("b").await;
    world.until("the next while suspended", holds("a", 0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sandbox_that_a_task_owns_has_no_turns() {
    let mut world = World::without_operator("turnsowned").await;
    world.ask_at("a", 1).await;
    world.apply(json!({})).await;
    let owner = json!([{
        "apiVersion": "slipway.dev/v1alpha1", "kind": "Task", "name": "a", "uid": world.task_uid("a").await,
        "controller": true,
    }]);
    world.patch(json!({"metadata": {"ownerReferences": owner}})).await.unwrap();
    world.start_operator();
    let status = world.until_running().await;
    assert_eq!((status.holder, status.waiting), (None, 0));
    // Handed on: what was one Task's is shared from now on.
    world.patch(json!({"metadata": {"ownerReferences": null}})).await.unwrap();
    world.until("the first turn", holds("a", 0)).await;
}
