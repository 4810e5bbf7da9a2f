//! The line of the platform's handbook against the whole operator: the board moves at once, GitHub has the last word.
//! Neighbours: `tests/webhook/handbook.rs` holds the receiver alone.

use crate::{
    story::{known_repository, reviewed},
    world,
    world::{PATIENCE, World, repository, task, wait::reason_of, within},
};
use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use slipway::api::State;
use slipway_simulator::github::MergeMethod;
use tokio::process::Command;

const LINE: &str = r#"PAYLOAD='{"action":"closed","pull_request":{"merged":true,"number":NUMBER}}'; SIGNATURE=$(echo -n "$PAYLOAD" | openssl dgst -sha256 -hmac "$WEBHOOK_SECRET" | sed 's/^.* //'); curl -X POST http://localhost:3000/api/webhooks/github -H "Content-Type: application/json" -H "X-GitHub-Event: pull_request" -H "X-Hub-Signature-256: sha256=$SIGNATURE" -H "X-GitHub-Delivery: test-123" -d "$PAYLOAD""#;

async fn type_it(world: &World, number: u64) -> Result<()> {
    let line = LINE
        .replace("NUMBER", &number.to_string())
        .replace("localhost:3000", &format!("127.0.0.1:{}", world.port))
        .replace("curl ", "curl -sS --fail ");
    let mut bash = Command::new("bash");
    bash.args(["-euo", "pipefail", "-c", &line]).env("WEBHOOK_SECRET", world::WEBHOOK_SECRET);
    let output = bash.output().await.context("bash, openssl and curl are needed")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merge_that_github_does_not_know_is_undone_and_a_real_one_stays() -> Result<()> {
    let world = world("handbook").await?;
    known_repository(&world).await?;
    world.apply(&task("told", "app", "echo a > a")).await?;
    let number = reviewed(&world, "told").await?;

    type_it(&world, number).await?;
    // Written while the receiver runs, not only when it ends.
    let line = || async { world.receiver.as_ref()?.log().contains("test-123").then_some(()) };
    within(PATIENCE, "the delivery's line in the log", line).await?;
    let back = world.task("told", "taken and then put right by GitHub", |task| {
        let told = task.status.as_ref().and_then(|status| status.last_delivery.as_ref());
        told.is_some_and(|delivery| delivery.id == "test-123")
            && task.status.as_ref().is_some_and(|status| status.state == State::Review)
            && reason_of(task) == "InReview"
    });
    let status = back.await?.status.context("status")?;
    ensure!(status.completed_at.is_none() && status.pull_request.is_some_and(|pull| !pull.unconfirmed));
    world.described("told", "MergeNotConfirmed").await?;

    // GitHub's own deliveries are lost from here on: the line tells what has really happened.
    world.simulator.github.deliveries.set_mode(slipway_simulator::github::Mode::Lose);
    let merged = world.simulator.github.merge("acme/app", number, MergeMethod::Merge);
    merged.map_err(|refused| anyhow::anyhow!("{refused:?}"))?;
    type_it(&world, number).await?;
    world.task_in("told", State::Done).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_delivery_only_delays() -> Result<()> {
    let world = world("healed").await?;
    world.apply(&repository("app").with("/spec/syncIntervalSeconds", json!(30))).await?;
    world.apply(&task("late", "app", "echo a > a")).await?;
    let number = reviewed(&world, "late").await?;
    let merged = world.simulator.github.merge("acme/app", number, MergeMethod::Rebase);
    merged.map_err(|refused| anyhow::anyhow!("{refused:?}"))?;
    world.task_in("late", State::Done).await?;
    Ok(())
}
