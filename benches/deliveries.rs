//! Signed deliveries of 25 KB: those that match no Task against a bare server that only checks the signature, and those
//! that move a Task against a raw status PATCH. `cargo bench --bench deliveries`; `SIZES=1000` for one number of Tasks.

mod support;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use sha2::Sha256;
use std::{
    convert::Infallible,
    process::{Child, Command},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use support::{
    Usage, options, settled_tasks, table,
    world::{WEBHOOK_SECRET, World, free_port},
};

const BODY: usize = 25 << 10;
/// Connections of the load.
const CONNECTIONS: usize = 16;
/// How long each server is loaded, and how often they take turns.
const TURN: Duration = Duration::from_secs(5);
const TURNS: usize = 3;
/// Deliveries and raw patches whose latency is taken, one after the other.
const MOVES: usize = 200;
/// Long enough for the receiver to have heard of a write.
const SETTLE: Duration = Duration::from_millis(20);

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match std::env::var("BARE_PORT") {
        Ok(port) => runtime.block_on(bare(port.parse()?)),
        Err(_) => runtime.block_on(measure()),
    }
}

async fn measure() -> Result<()> {
    let plane = support::plane().await?;
    let (mut rates, mut moves) = (Vec::new(), Vec::new());
    for size in support::sizes(&[1000, 10_000]) {
        let mut world = World::start(plane, support::operator(), options("deliveries")).await?;
        settled_tasks(&mut world, size).await?;
        world.start_receiver().await?;
        rates.push(no_task(&world, size).await?);
        moves.push(moving(&world, size).await?);
    }
    let head =
        ["Tasks", "receiver/s", "bare/s", "ratio", "receiver us CPU each", "bare us CPU each", "RSS MiB"];
    table("Deliveries that match no Task (goal: at least 0.9 of the bare server's rate)", &head, &rates);
    let head = [
        "Tasks",
        "delivery p50 ms",
        "p99",
        "raw PATCH p50 ms",
        "p99",
        "ratio p50",
        "CPU us each",
        "us to hear of a write",
    ];
    table("Deliveries that move a Task (goals: at most 1.25 at p50, at most 300 us)", &head, &moves);
    Ok(())
}

/// Both servers in turns, each alone.
async fn no_task(world: &World, size: usize) -> Result<Vec<String>> {
    let port = free_port()?;
    let bare = Bare::start(port).await?;
    let pids = [world.receiver.as_ref().context("a receiver")?.pid(), bare.0.id()];
    let urls = [world.webhook_url(), format!("http://127.0.0.1:{port}/")];
    let body = payload(world, 9, "closed").await?;
    let repository = repository_id(world).await?;
    support::world::within(Duration::from_secs(30), "the receiver's first list", || async {
        let answer = reqwest::Client::new().execute(signed(&urls[0], &body, repository)).await.ok()?;
        answer.status().is_success().then_some(())
    })
    .await?;
    let (mut count, mut cpu) = ([0, 0], [0.0, 0.0]);
    for _ in 0..TURNS {
        for (at, url) in urls.iter().enumerate() {
            let before = Usage::of(pids[at])?;
            count[at] += load(url, &body, repository).await?;
            cpu[at] += Usage::of(pids[at])?.cpu_since(before);
        }
    }
    let seconds = (TURN * u32::try_from(TURNS)?).as_secs_f64();
    let rate = |at: usize| f64::from(u32::try_from(count[at]).unwrap_or(u32::MAX)) / seconds;
    Ok(vec![
        size.to_string(),
        format!("{:.0}", rate(0)),
        format!("{:.0}", rate(1)),
        format!("{:.2}", rate(0) / rate(1)),
        format!("{:.0}", cpu[0] / rate(0) / seconds * 1e6),
        format!("{:.0}", cpu[1] / rate(1) / seconds * 1e6),
        format!("{:.0}", Usage::of(pids[0])?.rss),
    ])
}

/// How many deliveries are answered well within a turn.
async fn load(url: &str, body: &Bytes, repository: i64) -> Result<usize> {
    let (http, answered, started) = (reqwest::Client::new(), Arc::new(AtomicUsize::new(0)), Instant::now());
    let mut connections = tokio::task::JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (http, answered, request) = (http.clone(), answered.clone(), signed(url, body, repository));
        connections.spawn(async move {
            while started.elapsed() < TURN {
                let request = request.try_clone().context("a request of bytes")?;
                let answer = http.execute(request).await?;
                let status = answer.status();
                let text = answer.text().await?;
                ensure!(status.is_success(), "{status}: {text}");
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

/// One delivery and one raw patch after the other, each of a Task of its own.
async fn moving(world: &World, size: usize) -> Result<Vec<String>> {
    let pid = world.receiver.as_ref().context("a receiver")?.pid();
    let (http, tasks, repository) = (reqwest::Client::new(), world.tasks(), repository_id(world).await?);
    let (mut deliveries, mut patches, mut cpu, mut watching) = (Vec::new(), Vec::new(), 0.0, 0.0);
    for at in 0..MOVES.min(size / 2) {
        let body = payload(world, 1000 + at, "closed").await?;
        let request = signed(&world.webhook_url(), &body, repository);
        let (before, started) = (Usage::of(pid)?, Instant::now());
        let answer = http.execute(request).await?;
        deliveries.push(started.elapsed());
        // The receiver hears of each write through its watch.
        tokio::time::sleep(SETTLE).await;
        cpu += Usage::of(pid)?.cpu_since(before);
        ensure!(answer.status() == 200, "{}: {}", answer.status(), answer.text().await?);

        let name = format!("settled-{}", size - 1 - at);
        let status =
            raw_patch(&name, tasks.get(&name).await?.metadata.resource_version.as_deref(), size - 1 - at);
        let (before, started) = (Usage::of(pid)?, Instant::now());
        tasks.patch_status(&name, &PatchParams::default(), &Patch::Merge(status)).await?;
        patches.push(started.elapsed());
        tokio::time::sleep(SETTLE).await;
        watching += Usage::of(pid)?.cpu_since(before);
    }
    deliveries.sort();
    patches.sort();
    let ms =
        |sorted: &[Duration], part: usize| sorted[(sorted.len() - 1) * part / 100].as_secs_f64() * 1000.0;
    let count = f64::from(u32::try_from(deliveries.len())?);
    Ok(vec![
        size.to_string(),
        format!("{:.2}", ms(&deliveries, 50)),
        format!("{:.2}", ms(&deliveries, 99)),
        format!("{:.2}", ms(&patches, 50)),
        format!("{:.2}", ms(&patches, 99)),
        format!("{:.2}", ms(&deliveries, 50) / ms(&patches, 50)),
        format!("{:.0}", (cpu - watching) / count * 1e6),
        format!("{:.0}", watching / count * 1e6),
    ])
}

/// What a delivery writes, as somebody would write it by hand.
fn raw_patch(name: &str, version: Option<&str>, at: usize) -> Value {
    json!({
        "metadata": {"resourceVersion": version},
        "status": {
            "state": "todo", "column": "research", "buildStatus": "pending", "branch": null,
            "pullRequest": {"number": 1000 + at, "state": "closed", "updatedAt": "2036-01-01T00:00:00Z", "unconfirmed": true},
            "lastDelivery": {"id": name, "event": "pull_request.closed", "receivedAt": "2036-01-01T00:00:00Z"},
        },
    })
}

async fn repository_id(world: &World) -> Result<i64> {
    let status = world.repositories().get("app").await?.status;
    status.and_then(|status| status.repository_id).context("a repository that GitHub knows")
}

/// A payload of [`BODY`] bytes about the pull request.
async fn payload(world: &World, number: usize, action: &str) -> Result<Bytes> {
    let repository = world.repositories().get("app").await?.status.context("a status")?;
    let repository = json!({"id": repository.repository_id, "full_name": "acme/app", "owner": {"id": repository.owner_id}});
    let mut payload = json!({
        "action": action, "number": number,
        "pull_request": {
            "number": number, "state": "closed", "draft": false, "merged": false, "merged_at": null,
            "updated_at": "2036-01-01T00:00:00Z", "node_id": "PR_1", "html_url": "https://github.com/acme/app/pull/1",
            "head": {"ref": "x", "sha": "0".repeat(40), "repo": repository}, "base": {"ref": "main", "repo": repository},
            "body": "",
        },
        "repository": repository,
    });
    let length = serde_json::to_vec(&payload)?.len();
    payload["pull_request"]["body"] = json!("x".repeat(BODY - length));
    Ok(serde_json::to_vec(&payload)?.into())
}

fn signature(body: &[u8]) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(WEBHOOK_SECRET.as_bytes()).expect("HMAC takes any key");
    format!("sha256={}", hex::encode(mac.chain_update(body).finalize().into_bytes()))
}

/// From the hook of the repository: those of an unknown hook are limited to 20 a second.
fn signed(url: &str, body: &Bytes, repository: i64) -> reqwest::Request {
    let mut request = reqwest::Request::new(reqwest::Method::POST, url.parse().expect("our own URL"));
    let mut header = |name: &'static str, value: &str| {
        request.headers_mut().insert(name, value.parse().expect("visible ASCII"));
    };
    header("content-type", "application/json");
    header("x-github-event", "pull_request");
    header("x-github-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958");
    header("x-github-hook-installation-target-type", "repository");
    header("x-github-hook-installation-target-id", &repository.to_string());
    header("x-hub-signature-256", &signature(body));
    *request.body_mut() = Some(body.clone().into());
    request
}

/// The bare server, as a process of its own.
struct Bare(Child);

impl Bare {
    async fn start(port: u16) -> Result<Self> {
        let child = Command::new(std::env::current_exe()?).env("BARE_PORT", port.to_string()).spawn()?;
        let bare = Self(child);
        support::world::within(Duration::from_secs(30), "the bare server", || async {
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()
        })
        .await?;
        Ok(bare)
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// hyper, the same HMAC, and nothing else.
async fn bare(port: u16) -> Result<()> {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let service = service_fn(|request: Request<Incoming>| async {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            let claimed = head.headers.get("x-hub-signature-256").map(|value| value.as_bytes().to_vec());
            let claimed =
                hex::decode(claimed.unwrap_or_default().get(7..).unwrap_or_default()).unwrap_or_default();
            let mac = Hmac::<Sha256>::new_from_slice(WEBHOOK_SECRET.as_bytes()).expect("HMAC takes any key");
            let status = if mac.chain_update(&body).verify_slice(&claimed).is_ok() { 202 } else { 401 };
            let answer = Response::builder().status(status).body(Full::new(Bytes::from_static(b"{}")));
            Ok::<_, Infallible>(answer.expect("a status and a body"))
        });
        tokio::spawn(
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
        );
    }
}
