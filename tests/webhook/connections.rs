//! Clients that are slow, large, many or speak something else: closed or refused in time, and nobody else suffers.

use crate::{
    delivery::delivery,
    payload::payload,
    world::{DEADLINE, REPOSITORY_ID, SECRET, World, eventually, world},
};
use anyhow::{Context as _, Result, ensure};
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Sends `request` as it is and reads until the other side closes.
pub async fn exchange(address: SocketAddr, request: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    read_to_end(&mut stream).await
}

async fn read_to_end(stream: &mut TcpStream) -> Result<String> {
    let mut answer = Vec::new();
    let read =
        tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await.context("never closed")?;
    // A reset after the answer is as good as a close.
    if let Err(error) = read {
        ensure!(error.kind() == std::io::ErrorKind::ConnectionReset, "{error}");
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

async fn closed_after(address: SocketAddr, sent: &str) -> Result<(f64, String)> {
    let started = Instant::now();
    let answer = exchange(address, sent).await?;
    Ok((started.elapsed().as_secs_f64(), answer))
}

async fn ping(world: &World<'_>) -> Result<Duration> {
    let started = Instant::now();
    let reply = world.send(&delivery("ping", "{}", SECRET).from("repository", REPOSITORY_ID)).await?;
    ensure!(reply.status.as_u16() == 200, "{reply:?}");
    Ok(started.elapsed())
}

const HEAD: &str = "POST /api/webhooks/github HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nX-GitHub-Event: ping\r\n\
    X-GitHub-Delivery: d\r\nX-Hub-Signature-256: sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17\r\n";

#[tokio::test]
async fn slow_clients_are_closed_in_time_and_hold_up_nobody() -> Result<()> {
    let world = world("slow").await?;
    world.octo_app().await?;
    let address = world.address;
    let silent = closed_after(address, "");
    let half = closed_after(address, "POST /api/webhooks/github HTTP/1.1\r\nHost: a\r\nX-A: ");
    let stalled = format!("{HEAD}Content-Length: 100\r\n\r\n{{");
    let stalled = closed_after(address, &stalled);
    // Bad from the start: still not for ever.
    let hopeless = HEAD.replace("application/json", "text/plain");
    let hopeless = format!("{hopeless}Content-Length: 100\r\n\r\n{{");
    let hopeless = closed_after(address, &hopeless);
    let kept = closed_after(address, "GET /api/webhooks/health HTTP/1.1\r\nHost: a\r\n\r\n");
    let others = async {
        // Two hundred that say nothing.
        let mut idle = Vec::new();
        for _ in 0..200 {
            idle.push(TcpStream::connect(address).await?);
        }
        let took = ping(&world).await?;
        ensure!(took < Duration::from_secs(5), "{took:?}");
        anyhow::Ok(())
    };
    let (silent, half, stalled, hopeless, kept, ()) =
        tokio::try_join!(silent, half, stalled, hopeless, kept, others)?;
    for (name, (seconds, _)) in [("silent", &silent), ("half a header", &half), ("kept alive", &kept)] {
        ensure!((9.0..30.0).contains(seconds), "{name}: {seconds} s");
    }
    for (name, (seconds, answer), status) in [("body", &stalled, "408"), ("refused body", &hopeless, "415")] {
        ensure!((4.5..25.0).contains(seconds), "{name}: {seconds} s");
        ensure!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{name}: {answer}");
    }
    world.end().await
}

/// Before any signature is checked, everybody together can't make the receiver hold more than it has.
#[tokio::test]
async fn what_is_held_of_all_bodies_together_is_bounded() -> Result<()> {
    const MIB: usize = 1 << 20;
    let world = world("held").await?;
    world.octo_app().await?;
    let head = format!("{HEAD}Content-Length: {MIB}\r\n\r\n");
    let nearly = vec![b' '; MIB - 1];
    let another = delivery("ping", vec![b' '; MIB], SECRET).from("repository", REPOSITORY_ID);
    let mut half_sent = Vec::new();
    // Room for 128 MiB of what exceeds 64 KiB of each; a delivery behind them tells whether there is some left.
    for (bodies, status) in [(100, 200), (150, 503)] {
        while half_sent.len() < bodies {
            let mut stream = TcpStream::connect(world.address).await?;
            stream.write_all(head.as_bytes()).await?;
            // Those that come too late are refused, perhaps in the middle.
            let _ = stream.write_all(&nearly).await;
            half_sent.push(stream);
        }
        let reply = eventually(&format!("{status} behind {bodies} bodies"), || async {
            world.send(&another).await.ok().filter(|reply| reply.status == status)
        })
        .await?;
        ensure!(
            status == 200 || reply.body["error"].as_str().is_some_and(|e| e.contains("try again later")),
            "{reply:?}"
        );
    }
    // Ordinary deliveries have room of their own.
    for _ in 0..10 {
        ping(&world).await?;
        let usual = delivery("ping", vec![b' '; 60 << 10], SECRET).from("repository", REPOSITORY_ID);
        ensure!(world.send(&usual).await?.status.as_u16() == 200);
    }
    drop(half_sent);
    let started = Instant::now();
    while ping(&world).await.is_err() {
        ensure!(started.elapsed() < DEADLINE, "the room is not given back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    world.end().await
}

#[tokio::test]
async fn large_headers_and_bodies_are_refused() -> Result<()> {
    let world = world("large").await?;
    world.octo_app().await?;
    let large =
        format!("GET /api/webhooks/health HTTP/1.1\r\nHost: a\r\nX-A: {}\r\n\r\n", "a".repeat(200 * 1024));
    let answer = exchange(world.address, &large).await?;
    ensure!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let many: Vec<_> = (0..100).map(|index| format!("X-{index}: a\r\n")).collect();
    let many = many.concat();
    let answer =
        exchange(world.address, &format!("GET /api/webhooks/health HTTP/1.1\r\nHost: a\r\n{many}\r\n"))
            .await?;
    ensure!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    // More than 25 MiB announced: not waited for.
    let started = Instant::now();
    let huge =
        format!("{HEAD}Content-Length: 10000000000\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n");
    let answer = exchange(world.address, &huge).await?;
    ensure!(answer.starts_with("HTTP/1.1 413 ") && started.elapsed() < Duration::from_secs(5), "{answer}");
    // The same with a length that is told chunk by chunk: sent while we listen, and answered all the same.
    let chunk = format!("{:x}\r\n{}\r\n", 64 * 1024, "x".repeat(64 * 1024));
    let chunked =
        format!("{HEAD}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n{}0\r\n\r\n", chunk.repeat(17));
    let answer = exchange(world.address, &chunked).await?;
    ensure!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    // Up to the limit it is taken: as wrong, here.
    let chunked =
        format!("{HEAD}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n{}0\r\n\r\n", chunk.repeat(16));
    let answer = exchange(world.address, &chunked).await?;
    ensure!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    // And a client that sends all before it reads gets its answer.
    let body = "x".repeat(20 * 1024 * 1024);
    let whole = format!("{HEAD}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    let answer = exchange(world.address, &whole).await?;
    ensure!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    ping(&world).await?;
    world.end().await
}

#[tokio::test]
async fn other_protocols_are_refused() -> Result<()> {
    let world = world("protocols").await?;
    for greeting in [
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\u{16}\u{3}\u{1}\0\u{5}hello",
        "GET / HTTP/3\r\n\r\n",
        "hello\r\n\r\n",
    ] {
        let answer = exchange(world.address, greeting).await?;
        ensure!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 400 ") || answer.starts_with("HTTP/1.1 505 "),
            "{greeting:?}: {answer}"
        );
    }
    let upgrade = "GET /api/webhooks/health HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n";
    let answer = exchange(world.address, upgrade).await?;
    ensure!(answer.starts_with("HTTP/1.1 200 "), "stays with HTTP/1.1: {answer}");
    world.end().await
}

/// More connections than there are places: who has been silent for longest gives way, and nobody else.
#[tokio::test]
async fn the_513th_connection_takes_the_place_of_the_longest_silent() -> Result<()> {
    let world = world("places").await?;
    world.octo_app().await?;
    let mut idle = Vec::new();
    for _ in 0..512 {
        idle.push(TcpStream::connect(world.address).await?);
    }
    // Connections are accepted in order, so when the last of them is answered all have a place.
    let health = b"GET /api/webhooks/health HTTP/1.1\r\nHost: a\r\n\r\n";
    let last = idle.last_mut().context("512")?;
    last.write_all(health).await?;
    let mut byte = [0];
    tokio::time::timeout(DEADLINE, last.read_exact(&mut byte)).await??;
    let mut another = TcpStream::connect(world.address).await?;
    another.write_all(health).await?;
    tokio::time::timeout(Duration::from_secs(5), another.read_exact(&mut byte)).await??;
    ensure!(byte == *b"H");
    let closed = tokio::time::timeout(Duration::from_secs(5), idle[0].read(&mut byte)).await?;
    ensure!(closed.is_err() || closed.is_ok_and(|read| read == 0), "the first gives way");
    idle[1].write_all(health).await?;
    tokio::time::timeout(Duration::from_secs(5), idle[1].read_exact(&mut byte)).await??;
    ping(&world).await?;
    world.end().await
}

/// What is in flight at the stop is answered; who only holds a connection does not hold up the end.
#[tokio::test]
async fn the_stop_answers_what_is_in_flight_and_ends_in_time() -> Result<()> {
    let world = world("stop").await?;
    world.octo_app().await?;
    let (address, stop) = (world.address, world.stop.clone());
    let body = payload("labeled", 42, 1).json().to_string();
    let request = delivery("pull_request", body.clone(), SECRET).from("repository", REPOSITORY_ID);
    let headers: Vec<_> =
        request.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let headers = headers.concat();
    let mut in_flight = TcpStream::connect(address).await?;
    let head = format!(
        "POST /api/webhooks/github HTTP/1.1\r\nHost: a\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    );
    in_flight.write_all(head.as_bytes()).await?;
    in_flight.write_all(&body.as_bytes()[..10]).await?;
    let mut stalled = TcpStream::connect(address).await?;
    stalled.write_all(format!("{HEAD}Content-Length: 100\r\n\r\n{{").as_bytes()).await?;
    // Both are being read once a later connection has been answered.
    ping(&world).await?;
    let started = Instant::now();
    stop.cancel();
    tokio::time::timeout(DEADLINE, async { while TcpStream::connect(address).await.is_ok() {} })
        .await
        .context("still listening")?;
    in_flight.write_all(&body.as_bytes()[10..]).await?;
    let answer = read_to_end(&mut in_flight).await?;
    ensure!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    world.end().await?;
    let took = started.elapsed();
    ensure!(took < Duration::from_secs(15), "{took:?}");
    drop(stalled);
    Ok(())
}
