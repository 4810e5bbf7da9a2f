//! What a Task costs the API server.

use crate::{
    story, world,
    world::{repository, task},
};
use anyhow::{Result, ensure};

/// Writes to the Task and its own Sandbox, from apply to review; deliveries would add their own.
const MOST: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_apply_to_review_a_task_is_written_seldom() -> Result<()> {
    let world = world("count").await?;
    world.apply(&repository("app")).await?;
    world
        .repository("app", "ready", |repository| {
            repository.status.as_ref().is_some_and(|status| {
                status.conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True")
            })
        })
        .await?;
    world.apply(&task("cheap", "app", "echo hello > hello")).await?;
    story::reviewed(&world, "cheap").await?;
    let writes = story::writes(&world).await?;
    println!("{} writes:\n{}", writes.len(), writes.join("\n"));
    ensure!(writes.len() <= MOST, "{} writes, {MOST} are allowed:\n{}", writes.len(), writes.join("\n"));
    Ok(())
}
