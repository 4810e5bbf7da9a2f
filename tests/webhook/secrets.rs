//! Which secrets sign: rotation, what is never one, which are tried, and how often.

use crate::{
    controlplane,
    delivery::delivery,
    payload::payload,
    world::{OWNER_ID, REPOSITORY_ID, SECRET, Setup, World, eventually, in_review, world},
};
use anyhow::{Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, future::try_join_all, stream};
use k8s_openapi::api::events::v1::Event;
use kube::{Api, api::ListParams};
use std::time::{Duration, Instant};

/// The status of a signed ping from the hook of `octo/app`.
async fn ping(world: &World<'_>, secret: &str) -> Result<u16> {
    let request = delivery("ping", "{}", secret).from("repository", REPOSITORY_ID);
    Ok(world.send(&request).await?.status.as_u16())
}

const NEW: &str = "the next secret of the hook, also long";

#[tokio::test]
async fn a_secret_is_rotated_without_a_gap_and_without_a_restart() -> Result<()> {
    let world = world("rotation").await?;
    world.octo_app().await?;
    ensure!(ping(&world, SECRET).await? == 200 && ping(&world, NEW).await? == 401);
    world.secret("hook", &[("current", SECRET), ("next", NEW)]).await?;
    let started = Instant::now();
    eventually("the new secret", || async { (ping(&world, NEW).await.ok()? == 200).then_some(()) }).await?;
    ensure!(
        started.elapsed() < Duration::from_secs(25),
        "a failed signature re-reads: {:?}",
        started.elapsed()
    );
    ensure!(ping(&world, SECRET).await? == 200, "both count during the overlap");
    world.secret("hook", &[("next", NEW)]).await?;
    eventually("the end of the old secret", || async {
        (ping(&world, SECRET).await.ok()? == 401).then_some(())
    })
    .await?;
    ensure!(ping(&world, NEW).await? == 200);
    world.end().await
}

#[tokio::test]
async fn what_is_no_webhook_secret_signs_nothing() -> Result<()> {
    let world = world("values").await?;
    let long = |name: &str| format!("a long value of the key {name}");
    let forbidden = ["token", "appID", "installationID", "privateKey", "apiKey"];
    let values: Vec<(String, String)> = forbidden.iter().map(|key| ((*key).to_owned(), long(key))).collect();
    let mut all: Vec<(&str, &str)> =
        values.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    all.extend([
        ("short", "fifteen bytes!!"),
        ("just", "sixteen bytes!!!"),
        ("file", "from a file, with a newline\n"),
        ("any.name_at-all", SECRET),
    ]);
    world.secret("hook", &all).await?;
    world.repository(&world.namespace, "repo", "octo/app", Some(REPOSITORY_ID), Some("hook")).await?;
    for key in forbidden {
        ensure!(ping(&world, &long(key)).await? == 401, "{key}");
    }
    ensure!(ping(&world, "fifteen bytes!!").await? == 401);
    for good in ["sixteen bytes!!!", "from a file, with a newline", SECRET] {
        ensure!(ping(&world, good).await? == 200, "{good}");
    }
    ensure!(ping(&world, "from a file, with a newline\n").await? == 401);

    // Whoever put the short one there is told so, once, without a word of it.
    let events: Api<Event> = Api::namespaced(world.client.clone(), &world.namespace);
    let told = eventually("the Warning about the short value", || async {
        let told = events.list(&ListParams::default()).await.ok()?.items;
        told.into_iter().find(|event| event.reason.as_deref() == Some("WebhookSecretTooShort"))
    })
    .await?;
    let (note, about) = (told.note.clone().unwrap_or_default(), told.regarding.clone().unwrap_or_default());
    ensure!(told.type_.as_deref() == Some("Warning") && about.name.as_deref() == Some("repo"), "{told:?}");
    ensure!(
        note.contains("Secret hook") && note.contains("ignored: short.") && !note.contains("fifteen"),
        "{note}"
    );
    ensure!(told.series.is_none(), "told more than once: {told:?}");
    world.end().await
}

#[tokio::test]
async fn the_hook_named_in_the_headers_chooses_what_is_tried_never_the_verdict() -> Result<()> {
    let setup = Setup { operator_wide: Some("the secret of the whole operator"), ..Setup::default() };
    let world = World::start(controlplane::shared().await, "targets", setup).await?;
    world.octo_app().await?;
    let body = payload("closed", 42, 1).closed().json().to_string();
    let status = |secret: &'static str, target: &'static str, id: i64| {
        let request = delivery("pull_request", body.clone(), secret).from(target, id);
        let world = &world;
        async move { anyhow::Ok(world.send(&request).await?.status.as_u16()) }
    };
    for (secret, good) in
        [(SECRET, true), ("the secret of the whole operator", true), ("some other secret of somebody", false)]
    {
        for (target, id) in [
            ("repository", REPOSITORY_ID),
            ("organization", OWNER_ID),
            ("repository", 1),
            ("organization", 1),
            ("integration", 12_345),
            ("business", 1),
            ("", 0),
        ] {
            let found = status(secret, target, id).await?;
            ensure!((found == 202) == good && [202, 401].contains(&found), "{secret} {target} {id}: {found}");
        }
        let bare = world.send(&delivery("pull_request", body.clone(), secret)).await?;
        ensure!((bare.status.as_u16() == 202) == good, "{bare:?}");
    }
    world.end().await
}

/// Deliveries of unknown hooks try every secret: so few per second that nobody can keep the receiver busy with them.
#[tokio::test]
async fn unknown_hooks_share_twenty_tries_a_second_known_ones_are_not_limited() -> Result<()> {
    let world = world("bucket").await?;
    world.octo_app().await?;
    let unknown = delivery("ping", "{}", "not a secret that anybody has");
    let known = delivery("ping", "{}", SECRET).from("repository", REPOSITORY_ID);
    let started = Instant::now();
    let replies = stream::iter(0..1_000).map(|_| world.send(&unknown));
    let replies: Vec<_> = replies.buffer_unordered(100).try_collect().await?;
    let seconds = started.elapsed().as_secs_f64();
    let refused = replies.iter().filter(|reply| reply.status.as_u16() == 503).count();
    let tried = replies.iter().filter(|reply| reply.status.as_u16() == 401).count();
    ensure!(refused + tried == 1_000);
    ensure!(tried >= 20, "{tried}");
    #[allow(clippy::cast_precision_loss, reason = "small numbers")]
    let most = 20.0 + 20.0 * seconds + 1.0;
    #[allow(clippy::cast_precision_loss, reason = "small numbers")]
    let within = (tried as f64) <= most;
    ensure!(within, "{tried} in {seconds} s");
    ensure!(refused > 0, "the bucket has a bottom: {seconds} s for 1,000");
    let replies = try_join_all((0..100).map(|_| world.send(&known))).await?;
    ensure!(replies.iter().all(|reply| reply.status.as_u16() == 200));
    world.end().await
}

/// However often signatures fail, the Secret is read once per 10 seconds, by GET, and never listed or watched.
#[tokio::test]
async fn failed_signatures_cost_the_api_server_next_to_nothing() -> Result<()> {
    let world = world("reread").await?;
    world.octo_app().await?;
    world.task("task", in_review(42)).await?;
    let started = Instant::now();
    for _ in 0..100 {
        ensure!(ping(&world, "a wrong secret of some length").await? == 401);
    }
    let elapsed = started.elapsed().as_secs();
    let log = world.server.audit_log().await?;
    let reads: Vec<_> = log
        .iter()
        .filter(|event| {
            event.is_by(&world.user) && event.object_ref.resource == "secrets" && event.is_complete()
        })
        .collect();
    let most = 2 + usize::try_from(elapsed / 10 + elapsed / 30)?;
    ensure!(!reads.is_empty() && reads.len() <= most, "{} reads in {elapsed} s", reads.len());
    ensure!(reads.iter().all(|event| event.verb == "get" && event.object_ref.name == "hook"), "{reads:?}");
    ensure!(world.counted().values().sum::<u64>() == 100, "{:?}", world.counted());
    world.end().await
}
