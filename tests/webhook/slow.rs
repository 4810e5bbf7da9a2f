//! Many clients that are slow in every way, for as long as they are let: signed deliveries go through meanwhile.

use crate::{
    delivery::delivery,
    world::{REPOSITORY_ID, SECRET, World, world},
};
use anyhow::{Result, ensure};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};

/// Everything runs in this process: both ends of each connection.
const FILES: u64 = 4_096;

#[derive(Clone, Copy)]
enum Manner {
    /// Never ends its header.
    Header,
    /// Sends its body a byte at a time.
    Body,
    /// Sends most of a large body, and no more.
    Stalls,
    /// Asks again and again on one connection.
    Keeps,
}

const HEAD: &str = "POST /api/webhooks/github HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nX-GitHub-Event: ping\r\n\
    X-GitHub-Delivery: d\r\nX-Hub-Signature-256: sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17\r\n";

/// Connects anew as soon as it is closed.
async fn client(address: SocketAddr, manner: Manner) {
    loop {
        if let Ok(stream) = TcpStream::connect(address).await {
            // However it ends.
            let _ = connection(stream, manner).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn connection(mut stream: TcpStream, manner: Manner) -> std::io::Result<()> {
    let second = Duration::from_secs(1);
    match manner {
        Manner::Header => stream.write_all(b"POST /api/webhooks/github HTTP/1.1\r\nHost: a\r\n").await?,
        Manner::Body => stream.write_all(format!("{HEAD}Content-Length: 1000\r\n\r\n").as_bytes()).await?,
        Manner::Stalls => {
            stream.write_all(format!("{HEAD}Content-Length: {}\r\n\r\n", 1 << 20).as_bytes()).await?;
            stream.write_all(&vec![b' '; 900 << 10]).await?;
            stream.read_u8().await?;
        }
        Manner::Keeps => {}
    }
    loop {
        match manner {
            Manner::Header => stream.write_all(b"X-A: b\r\n").await?,
            Manner::Body => stream.write_all(b" ").await?,
            Manner::Stalls => return Ok(()),
            Manner::Keeps => {
                stream.write_all(b"GET /api/webhooks/health HTTP/1.1\r\nHost: a\r\n\r\n").await?;
                stream.read_exact(&mut [0; 32]).await?;
            }
        }
        tokio::time::sleep(second).await;
    }
}

/// Signed deliveries, each on a connection of its own, as GitHub's come; the slowest.
async fn signed(world: &World<'_>) -> Result<Duration> {
    let http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build()?;
    let request = delivery("ping", "{}", SECRET).from("repository", REPOSITORY_ID);
    let (started, mut slowest) = (Instant::now(), Duration::ZERO);
    while started.elapsed() < Duration::from_secs(15) {
        let began = Instant::now();
        let mut sent =
            http.post(format!("http://{}{}", world.address, request.path)).body(request.body.clone());
        for (name, value) in &request.headers {
            sent = sent.header(name, value);
        }
        let reply = sent.timeout(Duration::from_secs(10)).send().await?;
        ensure!(reply.status() == 200, "{}", reply.status());
        slowest = slowest.max(began.elapsed());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(slowest)
}

#[tokio::test]
async fn a_thousand_slow_clients_and_stalled_bodies_shut_nobody_out() -> Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    ensure!(hard >= FILES, "this test needs {FILES} open files: raise the hard limit (ulimit -Hn)");
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(FILES), hard)?;
    let world = world("slow-many").await?;
    world.octo_app().await?;
    let mut clients = JoinSet::new();
    for n in 0..1_000 {
        let manner = [Manner::Header, Manner::Body, Manner::Keeps][n % 3];
        clients.spawn(client(world.address, manner));
    }
    for _ in 0..64 {
        clients.spawn(client(world.address, Manner::Stalls));
    }
    let slowest = signed(&world).await?;
    println!("the slowest signed delivery took {slowest:?}");
    clients.shutdown().await;
    world.end().await
}
