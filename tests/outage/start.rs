//! An operator that starts while there is no API server: it waits, and says so.

use crate::{
    world,
    world::{Options, PATIENCE, within},
};
use anyhow::{Context as _, Result, ensure};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_that_starts_without_an_api_server_waits_for_it() -> Result<()> {
    let mut world = world(Options { namespace: "start", operator: false, ..Options::default() }).await?;
    world.plane.kill_apiserver();
    world.start_controller()?;
    within(PATIENCE, "its word that it tries again", || async {
        world.controller_log().contains("trying again").then_some(())
    })
    .await
    .with_context(|| world.logs())?;
    let ended = world.controller.as_ref().context("a controller")?.exit_status()?;
    ensure!(ended.is_none(), "it ended: {ended:?}\n{}", world.logs());
    world.plane.restart_apiserver().await?;
    world.synced().await
}
