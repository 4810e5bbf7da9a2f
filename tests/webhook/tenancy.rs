//! Namespaces are isolated as far as they have secrets of their own, whatever the headers and payloads claim.

use crate::{
    controlplane::{self, ControlPlane},
    delivery::{Reply, delivery},
    payload::{Payload, payload},
    world::{OWNER_ID, REPOSITORY_ID, Setup, World, eventually, in_review, own_server},
};
use anyhow::{Context as _, Result, ensure};
use kube::Api;
use serde_json::json;
use slipway::api::Task;

const OURS: &str = "the secret of the first namespace";
const THEIRS: &str = "the secret of the second namespace";
const EVERYBODYS: &str = "the secret of the whole operator";

struct Tenants<'a> {
    world: World<'a>,
    other: String,
}

/// Two namespaces with the same repository at GitHub, a pull request of the same number, and a secret each.
async fn tenants(
    operator_wide: Option<&'static str>,
    secrets: [Option<&str>; 2],
) -> Result<Tenants<'static>> {
    tenants_of(controlplane::shared().await, operator_wide, secrets).await
}

async fn tenants_of<'a>(
    server: &'a ControlPlane,
    operator_wide: Option<&'static str>,
    secrets: [Option<&str>; 2],
) -> Result<Tenants<'a>> {
    let setup = Setup { operator_wide, all_namespaces: true, ..Setup::default() };
    let world = World::start(server, "tenant", setup).await?;
    let other = world.server.namespace("tenant").await?;
    for (namespace, secret) in [&world.namespace, &other].into_iter().zip(secrets) {
        if let Some(secret) = secret {
            world.secret_in(namespace, "hook", &[("current", secret)]).await?;
        }
        world.repository(namespace, "repo", "octo/app", Some(REPOSITORY_ID), secret.map(|_| "hook")).await?;
        world.task_in(namespace, "task", "repo", in_review(42)).await?;
    }
    Ok(Tenants { world, other })
}

impl Tenants<'_> {
    /// The states of both Tasks.
    async fn states(&self) -> Result<[String; 2]> {
        let mut states = Vec::new();
        for namespace in [&self.world.namespace, &self.other] {
            let tasks: Api<Task> = Api::namespaced(self.world.client.clone(), namespace);
            let task = tasks.get("task").await?;
            states.push(crate::world::row(&task.status.context("a status")?)?[0].clone());
        }
        states.try_into().ok().context("two")
    }

    async fn deliver(&self, payload: &Payload, secret: &str) -> Result<Reply> {
        self.world.deliver(payload, secret).await
    }
}

#[tokio::test]
async fn a_secret_moves_only_the_tasks_of_its_namespace() -> Result<()> {
    let tenants = tenants(None, [Some(OURS), Some(THEIRS)]).await?;
    let closed = payload("closed", 42, 1).closed();
    let reply = tenants.deliver(&closed, THEIRS).await?;
    ensure!(reply.body == json!({"status": "moved", "tasks": 1}), "{reply:?}");
    ensure!(tenants.states().await? == ["review", "todo"]);
    // Whatever hook the headers claim.
    for (target, id) in [
        ("repository", REPOSITORY_ID),
        ("organization", OWNER_ID),
        ("repository", 7),
        ("organization", 7),
        ("integration", 7),
    ] {
        let request = delivery("pull_request", closed.json().to_string(), THEIRS).from(target, id);
        let reply = tenants.world.send(&request).await?;
        ensure!(reply.status.as_u16() == 202, "{reply:?}");
        ensure!(tenants.states().await? == ["review", "todo"], "{target} {id}");
    }
    let reply = tenants.deliver(&closed, OURS).await?;
    ensure!(reply.body == json!({"status": "moved", "tasks": 1}), "{reply:?}");
    ensure!(tenants.states().await? == ["todo", "todo"]);
    tenants.world.end().await
}

#[tokio::test]
async fn a_secret_that_both_have_moves_both() -> Result<()> {
    let tenants =
        tenants(None, [Some("one secret for both of them"), Some("one secret for both of them")]).await?;
    let reply = tenants.deliver(&payload("closed", 42, 1).closed(), "one secret for both of them").await?;
    ensure!(reply.body == json!({"status": "moved", "tasks": 2}), "{reply:?}");
    ensure!(tenants.states().await? == ["todo", "todo"]);
    tenants.world.end().await
}

#[tokio::test]
async fn the_operator_wide_secret_is_for_those_without_their_own() -> Result<()> {
    let tenants = tenants(Some(EVERYBODYS), [Some("the first one has its own secret"), None]).await?;
    let reply = tenants.deliver(&payload("closed", 42, 1).closed(), EVERYBODYS).await?;
    ensure!(reply.body == json!({"status": "moved", "tasks": 1}), "{reply:?}");
    ensure!(tenants.states().await? == ["review", "todo"]);
    tenants.world.end().await
}

/// A valid signature by the secret of one repository says nothing about another.
#[tokio::test]
async fn the_secret_of_one_repository_does_not_speak_for_another() -> Result<()> {
    let setup = Setup { operator_wide: Some(EVERYBODYS), ..Setup::default() };
    let world = World::start(controlplane::shared().await, "deputy", setup).await?;
    world.octo_app().await?;
    world.task("task", in_review(42)).await?;
    world.secret("mine", &[("current", "the secret of another repository")]).await?;
    world.repository(&world.namespace, "mine", "mallory/own", Some(666), Some("mine")).await?;
    for secret in ["the secret of another repository", EVERYBODYS] {
        for payload in [
            payload("closed", 42, 1).closed(),
            Payload {
                repository: (REPOSITORY_ID, "mallory/own".to_owned()),
                ..payload("closed", 42, 1).closed()
            },
            Payload { repository: (666, "octo/app".to_owned()), ..payload("closed", 42, 1).closed() },
            payload("closed", 42, 1).merged("2026-01-02T00:01:00Z"),
        ] {
            for (target, id) in
                [("repository", REPOSITORY_ID), ("repository", 666), ("organization", OWNER_ID)]
            {
                let request = delivery("pull_request", payload.json().to_string(), secret).from(target, id);
                let reply = world.send(&request).await?;
                ensure!([202, 401].contains(&reply.status.as_u16()), "{reply:?}");
                ensure!(world.row("task").await?[0] == "review", "{secret} {payload:?} {target} {id}");
            }
        }
    }
    world.end().await
}

const TYPED: &str = r#"{"action":"closed","pull_request":{"merged":true,"number":42}}"#;

#[tokio::test]
async fn a_payload_without_repository_belongs_to_the_one_whose_secret_signed_it() -> Result<()> {
    // Alone, because the operator-wide secret serves every Repository without its own.
    let server = own_server().await?;
    let tenants = tenants_of(
        &server,
        Some(EVERYBODYS),
        [Some("a first secret to type with"), Some("a second secret to type with")],
    )
    .await?;
    let world = &tenants.world;
    let reply = world.send(&delivery("pull_request", TYPED, "a second secret to type with")).await?;
    ensure!(reply.body == json!({"status": "moved", "tasks": 1}), "{reply:?}");
    ensure!(tenants.states().await? == ["review", "done"]);
    // The operator-wide secret serves nobody here: known, but nothing to move.
    let reply = world.send(&delivery("pull_request", TYPED, EVERYBODYS)).await?;
    ensure!(reply.status.as_u16() == 202, "{reply:?}");
    // Now it serves one, then two.
    world.repository(&world.namespace, "wide", "octo/wide", Some(2), None).await?;
    world
        .task_in(&world.namespace, "wide", "wide", |status| {
            in_review(42)(status);
            status.repository_id = Some(2);
        })
        .await?;
    let reply = world.send(&delivery("pull_request", TYPED, EVERYBODYS)).await?;
    ensure!(reply.body == json!({"status": "moved", "tasks": 1}), "{reply:?}");
    world.repository(&tenants.other, "wider", "octo/wider", Some(3), None).await?;
    let reply = world.send(&delivery("pull_request", TYPED, EVERYBODYS)).await?;
    ensure!(reply.status.as_u16() == 422, "{reply:?}");
    let message = reply.body["error"].as_str().context("a message")?;
    ensure!(message.contains("names no repository") && message.contains("several"), "{message}");
    ensure!(tenants.states().await? == ["review", "done"]);
    // The hook that a header claims makes no difference.
    let claimed = delivery("pull_request", TYPED, EVERYBODYS).from("repository", REPOSITORY_ID);
    ensure!(world.send(&claimed).await?.status.as_u16() == 422);
    // Named in full, it is clear again.
    let named = r#"{"action":"closed","pull_request":{"merged":true,"number":42},"repository":{"full_name":"octo/wider"}}"#;
    ensure!(world.send(&delivery("pull_request", named, EVERYBODYS)).await?.status.as_u16() == 202);
    tenants.world.end().await
}

/// A receiver for one namespace knows nothing of the others.
#[tokio::test]
async fn a_receiver_of_one_namespace_serves_only_that() -> Result<()> {
    let server = controlplane::shared().await;
    let world = World::start(server, "alone", Setup::default()).await?;
    let wide = World::start(server, "alone", Setup { all_namespaces: true, ..Setup::default() }).await?;
    wide.secret("hook", &[("current", "a secret of the other namespace")]).await?;
    wide.repository(&wide.namespace, "repo", "octo/app", Some(REPOSITORY_ID), Some("hook")).await?;
    let closed = payload("closed", 42, 1).closed();
    eventually("the one that serves all", || async {
        let reply = wide.deliver(&closed, "a secret of the other namespace").await.ok()?;
        (reply.status.as_u16() == 202).then_some(())
    })
    .await?;
    ensure!(world.deliver(&closed, "a secret of the other namespace").await?.status.as_u16() == 401);
    world.end().await?;
    wide.end().await
}
