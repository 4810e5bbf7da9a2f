//! Every Secret of a run is a canary: commands do with them what they can, and then everything that leaves the operator is
//! searched for them.

#[path = "../controlplane/mod.rs"]
mod controlplane;
mod places;
mod rotation;
mod shared;
#[path = "../world/mod.rs"]
mod world;

use anyhow::{Context as _, Result, ensure};
use places::{Canaries, leaked};
use serde_json::{Value, json};
use slipway::api::{State, Task};
use slipway_simulator::github::MergeMethod;
use std::path::Path;
use world::{
    Manifest, Options, World, repository, task,
    wait::{message_of, reason_of},
};

const PLAIN: &str = "canary-plain-0123456789";
const URL: &str = "canary&url=/?+%25 ünd#end";
const BOX: &str = "canary-of-the-sandbox-42";
const PEM: &str = "-----BEGIN CANARY KEY-----\nY2FuYXJ5IG9uZSBvZiBhIGtleSBmaWxlIHdpdGggbGluZXM1\nY2FuYXJ5IHR3byBvZiBhIGtleSBmaWxlIHdpdGggbGluZXM2\n-----END CANARY KEY-----\n";

/// Prints every value in every form, to both streams.
const PRINTS: &str = r#"
for value in "$PLAIN" "$URL" "$BOX"; do
  echo "plain=$value"
  echo "base64=$(printf '%s' "$value" | base64 -w 0)"
  echo "within=$(printf 'user:%s!' "$value" | base64)"
  echo "url=$(printf '%s' "$value" | od -An -v -tx1 | tr -d ' \n' | sed 's/../%&/g')"
done
echo "$PEM" | base64
printf '%s' "$PEM" >&2
"#;

/// Files of every kind that hold a value, and a large one before them.
const WRITES: &str = r#"
head -c 300000 /dev/urandom > .a.bin
echo "KEY=$PLAIN" > .env
printf '%s' "$PEM" > key.pem
printf '#!/bin/sh\nexec curl "%s"\n' "$URL" > run; chmod +x run
ln -s "$BOX" link
echo ok > a.txt
"#;

/// Values where none travels from: git's own directory.
const CONFIGURES: &str = r#"
git init -q .
git config canary.token "$PLAIN"
printf '%s' "$PEM" > .git/key.pem
echo 'KEY=$PLAIN' > a.txt
"#;

async fn world_of(namespace: &'static str) -> Result<World> {
    let environment = vec![("RUST_LOG".to_owned(), "debug".to_owned())];
    let options = Options { environment, namespace, ..Options::default() };
    let world =
        World::start(controlplane::shared().await, Path::new(env!("CARGO_BIN_EXE_slipway")), options).await?;
    for (name, value) in [("plain", PLAIN), ("url", URL), ("pem", PEM), ("box", BOX)] {
        world.apply(&Manifest::secret(name, "value", value)).await?;
    }
    world.apply(&repository("app")).await?;
    world
        .repository("app", "known to GitHub", |repository| {
            repository.status.as_ref().is_some_and(|status| status.repository_id.is_some())
        })
        .await?;
    world.hook("acme/app")?;
    Ok(world)
}

/// A Task whose command and sandbox are given every value.
fn canary_task(name: &str, script: &str) -> Manifest {
    let from = |variable: &str, secret: &str| json!({"name": variable, "valueFrom": {"secretKeyRef": {"name": secret, "key": "value"}}});
    task(name, "app", script)
        .with("/spec/generate/env", json!([from("PLAIN", "plain"), from("URL", "url"), from("PEM", "pem")]))
        .with("/spec/sandboxTemplate/spec/env", json!([from("BOX", "box")]))
}

fn canaries() -> Canaries {
    Canaries::new(&[
        ("the GitHub token", world::GITHUB_TOKEN),
        ("the webhook secret", world::WEBHOOK_SECRET),
        ("the E2B key", slipway_simulator::e2b::API_KEY),
        ("the plain value", PLAIN),
        ("the value with URL characters", URL),
        ("the sandbox's value", BOX),
        ("the key file", PEM),
    ])
}

/// Waits until the Task has come to `reason`.
async fn stuck(world: &World, name: &str, reason: &'static str) -> Result<Task> {
    world
        .task(name, &format!("reason {reason}"), move |task| {
            let stalled = task.status.iter().flat_map(|status| &status.conditions);
            reason_of(task) == reason
                && stalled.clone().any(|one| one.type_ == "Stalled" && one.status == "True")
        })
        .await
}

async fn nothing_leaked(world: &World) -> Result<()> {
    let found = leaked(world, &canaries()).await?;
    ensure!(found.is_empty(), "secrets got out:\n{}", found.join("\n"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_commands_print_is_masked() -> Result<()> {
    let world = world_of("canary-print").await?;
    world.apply(&canary_task("prints", &format!("{PRINTS}exit 3"))).await?;
    world.apply(&canary_task("succeeds", &format!("{PRINTS}echo made > made"))).await?;
    let failed = stuck(&world, "prints", "GenerationFailed").await?;
    let shown = message_of(&failed, "Generated");
    for form in ["plain=***\n", "base64=***\n", "within=dXNlcj***", "url=***\n"] {
        ensure!(shown.matches(form).count() == 3, "{form:?} is not three times in\n{shown}");
    }
    world.task_in("succeeds", State::Review).await?;
    nothing_leaked(&world).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_would_be_published_with_a_value_in_it_is_held_back() -> Result<()> {
    let world = world_of("canary-files").await?;
    let before = world.simulator.calls.last_seq();
    let text = |name: &str, pointer: &str, value: &str| {
        canary_task(name, "echo ok > a.txt").with(pointer, Value::from(format!("it is {value}")))
    };
    let tasks = [
        (
            canary_task("writes", WRITES),
            "writes",
            "the file \".env\" holds the value of key value of Secret plain",
        ),
        (canary_task("names", r#"echo ok > "out-$BOX.log""#), "names", "the path \"out-***.log\" holds"),
        (text("message", "/spec/commit/message", PLAIN), "message", "the commit message holds"),
        (text("title", "/spec/pullRequest/title", BOX), "title", "the pull request's title holds"),
        (text("body", "/spec/pullRequest/body", URL), "body", "the pull request's text holds"),
    ];
    for (manifest, ..) in &tasks {
        world.apply(manifest).await?;
    }
    for (_, name, place) in &tasks {
        let held = stuck(&world, name, "SecretInFiles").await?;
        let said = message_of(&held, "Ready");
        ensure!(said.contains(place) && said.contains("take it out"), "{name}: {said}");
    }
    let sent = world.simulator.calls.since(before);
    let sent: Vec<_> = sent.iter().filter(|call| call.api == "github" && call.method != "GET").collect();
    ensure!(sent.is_empty(), "something was sent: {sent:#?}");
    nothing_leaked(&world).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_keeps_its_secrets_goes_through_to_the_merge() -> Result<()> {
    let world = world_of("canary-merge").await?;
    world.apply(&canary_task("keeps", CONFIGURES)).await?;
    let reviewed = world.task_in("keeps", State::Review).await?;
    let pull = reviewed.status.and_then(|status| status.pull_request).context("a pull request")?;
    let merged = world.simulator.github.merge("acme/app", u64::try_from(pull.number)?, MergeMethod::Merge);
    merged.map_err(|refused| anyhow::anyhow!("{refused:?}"))?;
    world.task_in("keeps", State::Done).await?;
    nothing_leaked(&world).await
}
