//! What a delivery leaves in the log: one line, with what is needed to find it at GitHub, and no secret.

use crate::{
    delivery::delivery,
    payload::payload,
    world::{DEADLINE, REPOSITORY_ID, SECRET, in_review, world},
};
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

/// A log that is kept.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

#[tokio::test]
async fn every_delivery_leaves_one_line_and_no_secret() -> Result<()> {
    let world = world("log").await?;
    world.octo_app().await?;
    world.task("task", in_review(42)).await?;
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    // The receiver runs on this test's thread.
    let guard = tracing::subscriber::set_default(subscriber);
    let good = delivery("pull_request", payload("closed", 42, 1).closed().json().to_string(), SECRET);
    let requests = [
        good.clone(),
        good.clone(),
        good.clone().with("X-Hub-Signature-256", format!("sha256={}", "0".repeat(64))),
        good.clone().with("Content-Type", "text/plain"),
        good.clone().without("X-GitHub-Delivery"),
        good.clone().with("X-GitHub-Event", "x".repeat(5_000)),
    ];
    for request in &requests {
        world.send(&request.clone().from("repository", REPOSITORY_ID)).await?;
    }
    drop(guard);
    let text = log.text();
    let lines: Vec<Value> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let lines: Vec<&Value> = lines
        .iter()
        .map(|line| &line["fields"])
        .filter(|fields| fields["message"] == "webhook delivery")
        .collect();
    ensure!(lines.len() == requests.len(), "{lines:#?}");
    let outcomes: Vec<_> = lines.iter().filter_map(|line| line["outcome"].as_str()).collect();
    let expected =
        ["moved", "ignored", "invalid_signature", "unsupported_media_type", "missing_header", "ignored"];
    ensure!(outcomes == expected, "{outcomes:?}");
    let first = lines.first().context("a line")?;
    ensure!(
        first["delivery"] == "72d3162e-cc78-11e3-81ab-4c9367dc0958" && first["event"] == "pull_request",
        "{first}"
    );
    ensure!(first["action"] == "closed" && first["status"] == 200, "{first}");
    ensure!(first["tasks"] == format!("{}/task", world.namespace) && first["latency_ms"].is_u64(), "{first}");
    ensure!(lines[2].get("action").is_none(), "what is not signed is not repeated: {}", lines[2]);
    ensure!(lines[5]["event"].as_str().is_some_and(|event| event.len() == 128), "{}", lines[5]);
    ensure!(!text.contains(SECRET), "a secret in the log");
    world.end().await
}

/// Whoever floods the receiver fills no disk: a few lines a second, and the number of the rest.
#[tokio::test]
async fn of_what_nobody_signed_a_sample_is_told_and_all_is_counted() -> Result<()> {
    let world = world("sample").await?;
    world.octo_app().await?;
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::INFO)
        .with_writer(move || writer.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let started = std::time::Instant::now();
    let wrong = delivery("push", "{}", "a secret that nobody has").from("repository", REPOSITORY_ID);
    for _ in 0..300 {
        ensure!(world.send(&wrong).await?.status.as_u16() == 401);
    }
    let right = delivery("push", "{}", SECRET).from("repository", REPOSITORY_ID);
    for _ in 0..50 {
        ensure!(world.send(&right).await?.status.as_u16() == 202);
    }
    // The first line that is told after the flood brings the number of those that were not.
    let told = |text: &str| {
        let untold = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let untold: Option<usize> = untold
            .map(|line| line["fields"]["refused"].as_u64().map_or(Some(0), |count| count.try_into().ok()))
            .sum();
        text.lines().filter(|line| line.contains("invalid_signature")).count() + untold.unwrap_or_default()
    };
    let mut sent = 300;
    while told(&log.text()) < sent {
        ensure!(started.elapsed() < DEADLINE, "{} of {sent} told", told(&log.text()));
        ensure!(world.send(&wrong).await?.status.as_u16() == 401);
        sent += 1;
    }
    drop(guard);
    let (text, seconds) = (log.text(), usize::try_from(started.elapsed().as_secs())? + 1);
    let lines = |what: &str| text.lines().filter(|line| line.contains(what)).count();
    let refused = lines("invalid_signature");
    ensure!((10..=10 + 10 * seconds).contains(&refused), "{refused} lines in {seconds} s");
    ensure!(lines("\"ignored\"") == 50, "what is signed is told each time");
    ensure!(told(&text) == sent, "{} of {sent}", told(&text));
    let counted = world.counted();
    let all = counted.get(&("invalid_signature".to_owned(), "other".to_owned()));
    ensure!(all == Some(&u64::try_from(sent)?), "{counted:?}");
    world.end().await
}
