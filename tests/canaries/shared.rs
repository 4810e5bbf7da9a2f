//! A sandbox that several Tasks use: what one was given lies where another reads.

use crate::{
    canary_task, nothing_leaked, stuck,
    world::{sandbox, task, wait::message_of},
    world_of,
};
use anyhow::{Result, ensure};
use serde_json::json;
use slipway::api::State;

/// Leaves its value where the next Task has its files.
const LEAVES: &str = r#"echo ok > leaves.txt; mkdir -p ../next; echo "KEY=$PLAIN" > ../next/.env"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_another_task_left_in_a_shared_sandbox_is_masked_and_found() -> Result<()> {
    let world = world_of("canary-share").await?;
    world.apply(&sandbox("box")).await?;
    let shared = json!({"name": "box"});
    let leaves = canary_task("leaves", LEAVES).without("sandboxTemplate");
    world.apply(&leaves.with("/spec/sandboxRef", shared.clone())).await?;
    world.task_in("leaves", State::Review).await?;
    let next = task("next", "app", "cat .env").without("sandboxTemplate");
    let next = next.with("/spec/sandboxRef", shared).with("/spec/source/path", "/home/user/next".into());
    world.apply(&next).await?;
    let held = stuck(&world, "next", "SecretInFiles").await?;
    let (shown, said) = (message_of(&held, "Generated"), message_of(&held, "Ready"));
    ensure!(shown.contains("KEY=***"), "{shown}");
    ensure!(said.contains("the file \".env\" holds the value of key value of Secret plain"), "{said}");
    nothing_leaked(&world).await
}
