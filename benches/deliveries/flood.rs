//! Requests that nobody has signed, against one Repository and against a thousand: what each costs, and how long a signed
//! delivery takes meanwhile. One table of `main`.

use super::{
    load::{Hook, load, milliseconds, request},
    support::{Usage, world::World},
};
use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use slipway::api::Repository;
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

const FLOOD: Duration = Duration::from_secs(20);
/// GitHub's id of the account that owns all of them.
const OWNER: i64 = 77;

/// Adds Repositories with Secrets of their own until there are `count`.
pub async fn repositories(world: &World, count: usize) -> Result<()> {
    let secrets: Api<Secret> = Api::namespaced(world.client.clone(), &world.namespace);
    let repositories = world.repositories();
    let made = (1..count).map(|at| {
        let (secrets, repositories) = (secrets.clone(), repositories.clone());
        async move {
            let name = format!("r-{at}");
            let secret = json!({
                "metadata": {"name": name}, "stringData": {"secret": format!("the webhook secret number {at}")},
            });
            secrets.create(&PostParams::default(), &serde_json::from_value(secret)?).await?;
            let repository = json!({
                "apiVersion": "slipway.dev/v1alpha1", "kind": "Repository", "metadata": {"name": name},
                "spec": {
                    "owner": "acme", "name": name, "credentialsSecretRef": {"name": "github"},
                    "webhookSecretRef": {"name": name},
                },
            });
            let repository: Repository = serde_json::from_value(repository)?;
            repositories.create(&PostParams::default(), &repository).await?;
            let status = json!({"status": {"repositoryID": 1_000_000 + at, "ownerID": OWNER}});
            repositories.patch_status(&name, &PatchParams::default(), &Patch::Merge(status)).await?;
            anyhow::Ok(())
        }
    });
    stream::iter(made).buffer_unordered(24).try_collect::<Vec<()>>().await?;
    Ok(())
}

/// The row of so many Repositories, and the CPU of each refused request in microseconds.
pub async fn flood(world: &World, count: usize) -> Result<(Vec<String>, f64)> {
    let (hook, url) = (Hook::of(world).await?, world.webhook_url());
    let pid = world.receiver.as_ref().context("a receiver")?.pid();
    let body = hook.closed(9);
    let wrong = |target| request(&url, &body, "a secret that nobody has", target);
    let mut requests = Vec::new();
    for at in 0..1000 {
        let id = 1_000_000 + i64::try_from(1 + at % count.max(2))?;
        requests.extend([
            wrong(None),
            wrong(Some(("repository", id))),
            wrong(Some(("repository", hook.0))),
            wrong(Some(("organization", OWNER))),
            wrong(Some(("integration", 1))),
        ]);
    }
    // As in any receiver that has been running for a minute, every Secret has been read: 20 a second are.
    let first: Vec<_> = (1..count)
        .map(|at| Ok(wrong(Some(("repository", 1_000_000 + i64::try_from(at)?)))))
        .collect::<Result<_>>()?;
    let http = reqwest::Client::new();
    stream::iter(first)
        .map(|request| http.execute(request))
        .buffer_unordered(8)
        .try_collect::<Vec<_>>()
        .await?;
    let over = AtomicBool::new(false);
    let signed = async {
        let (http, request, mut took) = (reqwest::Client::new(), hook.signed(&url, &body), Vec::new());
        while !over.load(Ordering::Relaxed) {
            let started = Instant::now();
            let answer = http.execute(request.try_clone().context("a request of bytes")?).await?;
            ensure!(answer.status() == 202, "{}: {}", answer.status(), answer.text().await?);
            took.push(started.elapsed());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        took.sort();
        anyhow::Ok(took)
    };
    let before = Usage::of(pid)?;
    let refused = async {
        let refused = load(requests, FLOOD, &[401, 503]).await;
        over.store(true, Ordering::Relaxed);
        refused
    };
    let (refused, took) = tokio::try_join!(refused, signed)?;
    let after = Usage::of(pid)?;
    let refused = f64::from(u32::try_from(refused)?);
    let cpu = after.cpu_since(before) / refused * 1e6;
    let row = vec![
        count.to_string(),
        format!("{:.0}", refused / FLOOD.as_secs_f64()),
        format!("{cpu:.0}"),
        format!("{:.1}", milliseconds(&took, 50)),
        format!("{:.1}", milliseconds(&took, 99)),
        format!("{:.0}", after.rss),
    ];
    Ok((row, cpu))
}
