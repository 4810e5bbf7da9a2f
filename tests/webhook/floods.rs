//! Floods by clients without a secret: what they cost the API server, and whom they keep out.

use crate::{
    delivery::{Request, delivery},
    payload::payload,
    world::{OWNER_ID, REPOSITORY_ID, SECRET, Setup, World, eventually, in_review, own_server},
};
use anyhow::{Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, future::try_join_all, stream};
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

/// Repositories of one owner, each with a Secret of its own; the last is `octo/app`.
async fn repositories(world: &World<'_>, count: usize) -> Result<()> {
    let made = stream::iter(1..count).map(|n| async move {
        let (name, secret) = (format!("r-{n}"), format!("the secret of number {n}"));
        world.secret(&name, &[("current", &secret)]).await?;
        let full_name = format!("octo/{name}");
        world.repository(&world.namespace, &name, &full_name, Some(i64::try_from(n)?), Some(&name)).await
    });
    made.buffer_unordered(16).try_collect::<()>().await?;
    world.octo_app().await
}

/// What nobody has signed with a secret of ours, from a hook of every kind; `n` varies it.
fn unsigned(n: usize, repositories: usize) -> Request {
    let id = i64::try_from(1 + n / 8 % repositories).unwrap_or(1);
    let wrong = delivery("pull_request", format!(r#"{{"n":{n}}}"#), "a secret that nobody has");
    let hook = |request: Request| request.with("X-GitHub-Hook-ID", n.to_string());
    match n % 8 {
        0 => hook(wrong),
        1 => hook(wrong.from("repository", id)),
        2 => hook(wrong.from("organization", OWNER_ID)),
        3 => hook(wrong.from("integration", 1)),
        4 => hook(wrong.from("repository", -1)),
        5 => wrong.from("repository", id),
        6 => wrong.without("X-Hub-Signature-256").from("repository", id),
        _ => wrong.with("X-GitHub-Hook-Installation-Target-Type", "repository"),
    }
}

/// Floods the receiver for some seconds; statuses by count. Meanwhile every signed delivery has to be taken.
async fn flood(world: &World<'_>, repositories: usize, seconds: u64) -> Result<BTreeMap<u16, usize>> {
    let (next, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let client = || async {
        let mut answers = BTreeMap::<u16, usize>::new();
        while !over.load(Ordering::Relaxed) {
            let request = unsigned(next.fetch_add(1, Ordering::Relaxed), repositories);
            *answers.entry(world.send(&request).await?.status.as_u16()).or_default() += 1;
        }
        anyhow::Ok(answers)
    };
    let signed = async {
        let until = Instant::now() + Duration::from_secs(seconds);
        let mut taken = 0;
        while Instant::now() < until {
            let reply = world.deliver(&payload("closed", 41, 1).closed(), SECRET).await?;
            ensure!(reply.status.as_u16() == 202, "{reply:?} after {taken}");
            taken += 1;
        }
        over.store(true, Ordering::Relaxed);
        anyhow::Ok(taken)
    };
    let (counts, taken) = tokio::try_join!(try_join_all((0..16).map(|_| client())), signed)?;
    let mut answers = BTreeMap::new();
    for (status, count) in counts.into_iter().flatten() {
        *answers.entry(status).or_default() += count;
    }
    println!("{repositories} Repositories: {answers:?}, {taken} signed");
    Ok(answers)
}

/// How often each Secret has been read.
async fn reads(world: &World<'_>) -> Result<BTreeMap<String, usize>> {
    let mut reads = BTreeMap::new();
    let log = world.server.audit_log().await?;
    let own = log.iter().filter(|event| event.is_by(&world.user) && event.is_complete());
    for event in own.filter(|event| event.object_ref.resource == "secrets") {
        ensure!(event.verb == "get", "{event:?}");
        *reads.entry(event.object_ref.name.clone()).or_default() += 1;
    }
    Ok(reads)
}

async fn a_flood_costs_next_to_nothing(count: usize) -> Result<()> {
    let server = own_server().await?;
    let world = World::start(&server, "flood", Setup::default()).await?;
    repositories(&world, count).await?;
    world.task("task", in_review(42)).await?;
    let started = Instant::now();
    // The Secret of `octo/app` is known from now on, as in any receiver that has been running for a minute.
    eventually("a first delivery", || async {
        let reply = world.deliver(&payload("labeled", 42, 1), SECRET).await.ok()?;
        (reply.status.as_u16() == 202).then_some(())
    })
    .await?;
    let answers = flood(&world, count, 6).await?;
    ensure!(answers.keys().all(|status| [401, 503].contains(status)), "{answers:?}");
    let reads = reads(&world).await?;
    let (all, seconds) = (reads.values().sum::<usize>(), started.elapsed().as_secs());
    let most = 20 + 20 * usize::try_from(seconds + 1)?;
    println!("{all} reads of {} Secrets in {seconds} s", reads.len());
    ensure!(all <= most, "{all} reads in {seconds} s");
    let each = 2 + usize::try_from(seconds / 10)?;
    ensure!(reads.values().all(|count| *count <= each), "{reads:?}");
    // And the Task is moved as ever.
    ensure!(world.deliver(&payload("closed", 42, 1).closed(), SECRET).await?.status.as_u16() == 200);
    world.end().await
}

#[tokio::test]
async fn a_flood_upon_one_repository_costs_next_to_nothing() -> Result<()> {
    a_flood_costs_next_to_nothing(1).await
}

#[tokio::test]
async fn a_flood_upon_200_repositories_costs_next_to_nothing() -> Result<()> {
    a_flood_costs_next_to_nothing(200).await
}

#[tokio::test]
async fn a_flood_upon_1000_repositories_costs_next_to_nothing() -> Result<()> {
    a_flood_costs_next_to_nothing(1_000).await
}

/// Each value of a Secret takes a pass over the whole body, so those of one Repository must not hold up all others.
#[tokio::test]
async fn a_secret_with_many_values_stops_nobody_else() -> Result<()> {
    let server = own_server().await?;
    let world = World::start(&server, "values", Setup::default()).await?;
    repositories(&world, 2).await?;
    let values: Vec<_> =
        (0..5_000).map(|n| (format!("k{n:04}"), format!("the secret of number {n:04}"))).collect();
    let values: Vec<_> = values.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    world.secret("r-1", &values).await?;
    world.task("task", in_review(42)).await?;
    let ping =
        |secret: &str| delivery("ping", "{}", secret).from("repository", 1).with("X-GitHub-Hook-ID", "7");
    eventually("the value under the last key", || async {
        let reply = world.send(&ping("the secret of number 4999")).await.ok()?;
        (reply.status.as_u16() == 200).then_some(())
    })
    .await?;
    ensure!(world.send(&ping("the secret of number 4967")).await?.status.as_u16() == 401);
    ensure!(world.deliver(&payload("labeled", 42, 1), SECRET).await?.status.as_u16() == 202);
    let body = "x".repeat(1 << 20);
    let flood = (0..20).map(|n: usize| {
        let request =
            delivery("pull_request", body.as_str(), "a secret that nobody has").from("repository", 1);
        let world = &world;
        async move { world.send(&request.with("X-GitHub-Hook-ID", n.to_string())).await }
    });
    let others = async {
        for _ in 0..20 {
            let reply = world.deliver(&payload("labeled", 42, 1), SECRET).await?;
            ensure!(reply.status.as_u16() == 202, "{reply:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    };
    let (replies, ()) = tokio::try_join!(try_join_all(flood), others)?;
    let refused = replies.iter().filter(|reply| [401, 503].contains(&reply.status.as_u16())).count();
    ensure!(refused == 20, "{replies:?}");
    world.end().await
}

/// However many ask for it at once.
#[tokio::test]
async fn a_secret_that_is_not_known_yet_is_read_once() -> Result<()> {
    let server = own_server().await?;
    let world = World::start(&server, "once", Setup::default()).await?;
    world.octo_app().await?;
    let wrong = delivery("ping", "{}", "a secret that nobody has").from("repository", REPOSITORY_ID);
    let right = delivery("ping", "{}", SECRET).from("repository", REPOSITORY_ID);
    let requests = (0..64).map(|n| world.send(if n % 4 == 0 { &right } else { &wrong }));
    let replies = try_join_all(requests).await?;
    for (n, reply) in replies.iter().enumerate() {
        ensure!(reply.status.as_u16() == if n % 4 == 0 { 200 } else { 401 }, "{n}: {reply:?}");
    }
    let reads = reads(&world).await?;
    ensure!(reads == BTreeMap::from([("hook".to_owned(), 1)]), "{reads:?}");
    world.end().await
}

/// A payload that names no repository is tried with every secret; those that can't be read so soon hold it up no more than
/// those that are wrong.
#[tokio::test]
async fn a_payload_without_a_repository_waits_for_no_secret_but_its_own() -> Result<()> {
    let server = own_server().await?;
    let world = World::start(&server, "unnamed", Setup::default()).await?;
    repositories(&world, 40).await?;
    world.task("task", in_review(42)).await?;
    ensure!(world.deliver(&payload("labeled", 42, 1), SECRET).await?.status.as_u16() == 202);
    let body = r#"{"action":"closed","pull_request":{"merged":true,"number":42}}"#;
    let by_hand = delivery("pull_request", body, SECRET);
    let reply = world.send(&by_hand).await?;
    ensure!(reply.status.as_u16() == 200, "{reply:?}");
    let reads = reads(&world).await?;
    ensure!(reads.len() < 40, "all were read, so nothing was held up: {}", reads.len());
    world.end().await
}
