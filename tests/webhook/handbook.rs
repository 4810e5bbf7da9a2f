//! The line that people type to try a webhook, with the real openssl and curl.

use crate::{
    controlplane,
    world::{SECRET, Setup, World, in_review},
};
use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;

const LINE: &str = r#"PAYLOAD='{"action":"closed","pull_request":{"merged":true,"number":42}}'; SIGNATURE=$(echo -n "$PAYLOAD" | openssl dgst -sha256 -hmac "$WEBHOOK_SECRET" | sed 's/^.* //'); curl -X POST http://localhost:3000/api/webhooks/github -H "Content-Type: application/json" -H "X-GitHub-Event: pull_request" -H "X-Hub-Signature-256: sha256=$SIGNATURE" -H "X-GitHub-Delivery: test-123" -d "$PAYLOAD""#;

async fn type_it(world: &World<'_>, secret: &str) -> Result<String> {
    // As it stands, but for the port and that a failure shall show.
    let line = LINE
        .replace("localhost:3000", &world.address.to_string())
        .replace("curl ", "curl -sS -w ' %{http_code}' ");
    let mut bash = Command::new("bash");
    bash.args(["-euo", "pipefail", "-c", &line])
        .env("WEBHOOK_SECRET", secret)
        .env_remove("http_proxy")
        .kill_on_drop(true);
    let output = bash.output().await.context("bash, openssl and curl are needed")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

#[tokio::test]
async fn the_handbooks_line_moves_the_task() -> Result<()> {
    let setup = Setup { operator_wide: Some(SECRET), ..Setup::default() };
    let world = World::start(controlplane::shared().await, "handbook", setup).await?;
    world.repository(&world.namespace, "repo", "octo/app", Some(crate::world::REPOSITORY_ID), None).await?;
    world.task("task", in_review(42)).await?;
    let refused = type_it(&world, "not the secret of the operator").await?;
    ensure!(refused == r#"{"error":"Invalid signature"} 401"#, "{refused}");
    let moved = type_it(&world, SECRET).await?;
    ensure!(moved == r#"{"status":"moved","tasks":1} 200"#, "{moved}");
    let status = world.status("task").await?;
    ensure!(crate::world::row(&status)?[..3] == ["done", "done", "ready"]);
    ensure!(
        status.completed_at.is_some()
            && status.pull_request.as_ref().is_some_and(|stored| stored.unconfirmed)
    );
    ensure!(status.last_delivery.as_ref().is_some_and(|last| last.id == "test-123"));
    world.end().await
}
