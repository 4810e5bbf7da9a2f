//! GitHub's own payload, signed as GitHub signs, and load of it over several connections.
//! Used by every table of `main`.

use super::support::world::{WEBHOOK_SECRET, World};
use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// Connections of the load.
pub const CONNECTIONS: usize = 16;

/// A closed pull request as GitHub reports it (`tests/payloads`), 24 KB.
const CLOSED: &str = include_str!("../../tests/payloads/pull_request.closed.json");

/// The repository `acme/app` of a world, as payloads name it.
#[derive(Clone, Copy)]
pub struct Hook(pub i64);

impl Hook {
    pub async fn of(world: &World) -> Result<Self> {
        let status = world.repositories().get("app").await?.status.context("a status")?;
        Ok(Self(status.repository_id.context("a repository that GitHub knows")?))
    }

    /// GitHub's payload about the pull request of this number.
    pub fn closed(self, number: usize) -> Bytes {
        let text = CLOSED.replace("\"number\":2,", &format!("\"number\":{number},"));
        let text =
            text.replace("186853002", &self.0.to_string()).replace("Codertocat/Hello-World", "acme/app");
        text.replace("2019-05-15T15:21:18Z", "2036-01-01T00:00:00Z").into()
    }

    /// A delivery with the headers of GitHub's hookshot.
    pub fn signed(self, url: &str, body: &Bytes) -> reqwest::Request {
        request(url, body, WEBHOOK_SECRET, Some(("repository", self.0)))
    }
}

/// A delivery signed with `secret`, from the hook of `target`.
pub fn request(url: &str, body: &Bytes, secret: &str, target: Option<(&str, i64)>) -> reqwest::Request {
    let mut request = reqwest::Request::new(reqwest::Method::POST, url.parse().expect("our own URL"));
    let mut header = |name: &'static str, value: &str| {
        request.headers_mut().insert(name, value.parse().expect("visible ASCII"));
    };
    header("accept", "*/*");
    header("content-type", "application/json");
    header("user-agent", "GitHub-Hookshot/3aaed84");
    header("x-github-event", "pull_request");
    header("x-github-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958");
    header("x-github-hook-id", "292430182");
    if let Some((kind, id)) = target {
        header("x-github-hook-installation-target-type", kind);
        header("x-github-hook-installation-target-id", &id.to_string());
    }
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes any key");
    let signature = mac.chain_update(body).finalize().into_bytes();
    header("x-hub-signature-256", &format!("sha256={}", hex::encode(signature)));
    *request.body_mut() = Some(body.clone().into());
    request
}

/// Sends these requests in turn over [`CONNECTIONS`] connections for a while; how many were answered as `expected`.
pub async fn load(
    requests: Vec<reqwest::Request>,
    lasting: Duration,
    expected: &'static [u16],
) -> Result<usize> {
    let (http, answered, started) = (reqwest::Client::new(), Arc::new(AtomicUsize::new(0)), Instant::now());
    let mut connections = tokio::task::JoinSet::new();
    for first in 0..CONNECTIONS {
        let (http, answered) = (http.clone(), answered.clone());
        let requests: Vec<_> = requests.iter().filter_map(reqwest::Request::try_clone).collect();
        connections.spawn(async move {
            let mut next = first;
            while started.elapsed() < lasting {
                let request = requests[next % requests.len()].try_clone().context("a request of bytes")?;
                next += 1;
                let answer = http.execute(request).await?;
                let status = answer.status();
                let text = answer.text().await?;
                ensure!(expected.contains(&status.as_u16()), "{status}: {text}");
                answered.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(())
        });
    }
    while let Some(connection) = connections.join_next().await {
        connection??;
    }
    Ok(answered.load(Ordering::Relaxed))
}

/// One part in a hundred of sorted durations, in milliseconds.
pub fn milliseconds(sorted: &[Duration], part: usize) -> f64 {
    sorted[(sorted.len() - 1) * part / 100].as_secs_f64() * 1000.0
}
