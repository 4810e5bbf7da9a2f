//! Many deliveries about one Task at once: none is refused, the newest decides, and few writes do.

use crate::{
    delivery::{Request, delivery},
    payload::payload,
    world::{REPOSITORY_ID, SECRET, World, eventually, in_review, world},
};
use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use slipway::{
    api::{PullRequestState, Task},
    cluster::{Written, status},
};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

const CONNECTIONS: usize = 16;
const DELIVERIES: u32 = 2_000;

/// The `n`th state of the pull request: each another second, and most another row of the board.
fn state(n: u32) -> Request {
    let (hours, minutes, seconds) = (n / 3_600, n / 60 % 60, n % 60);
    let mut payload = match n % 3 {
        0 => payload("closed", 42, 0).closed(),
        1 => payload("reopened", 42, 0),
        _ => payload("converted_to_draft", 42, 0).draft(),
    };
    payload.updated_at = format!("2026-01-03T{hours:02}:{minutes:02}:{seconds:02}Z");
    let request =
        delivery("pull_request", payload.json().to_string(), SECRET).from("repository", REPOSITORY_ID);
    request.with("X-GitHub-Delivery", format!("delivery-{n}"))
}

/// A repeatable sequence of numbers.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or_default() % bound
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// How often each status was answered. Every hundredth delivery waits for a write of the controller: they contend for the Task
/// from the first delivery to the last, however slow the machine is.
async fn deliver(
    world: &World<'_>,
    to: &[SocketAddr],
    order: &[u32],
    controller: &AtomicUsize,
) -> Result<BTreeMap<u16, usize>> {
    let answers = stream::iter(order.iter().enumerate()).map(|(at, n)| async move {
        let (address, request) = (to[at % to.len()], state(*n));
        if at % 100 == 0 {
            let wrote = || async { (controller.load(Ordering::Relaxed) >= at / 100).then_some(()) };
            eventually("a write of the controller", wrote).await?;
        }
        if at % 20 == 0 {
            hang_up(address, &request).await?;
        }
        anyhow::Ok(world.send_to(address, &request).await?.status.as_u16())
    });
    let answers: Vec<u16> = answers.buffer_unordered(CONNECTIONS).try_collect().await?;
    let mut counted = BTreeMap::new();
    for answer in answers {
        *counted.entry(answer).or_default() += 1;
    }
    Ok(counted)
}

/// A client that goes away in the middle of the body, and one that does not wait for the answer.
async fn hang_up(address: SocketAddr, request: &Request) -> Result<()> {
    let raw = request.raw();
    for sent in [raw.len() - 100, raw.len()] {
        TcpStream::connect(address).await?.write_all(&raw[..sent]).await?;
    }
    Ok(())
}

/// Writes the Task again and again, as its controller does; how often it did.
async fn controller(world: &World<'_>, stop: &AtomicBool, writes: &AtomicUsize) -> Result<()> {
    let tasks = world.tasks();
    while !stop.load(Ordering::Relaxed) {
        let task: Task = tasks.get("task").await?;
        let old = task.status.clone().unwrap_or_default();
        let mut new = old.clone();
        new.observed_generation += 1;
        if let Written::Patched(_) =
            status::write(&tasks, &task, Some(&old), &new, "slipway-controller").await?
        {
            writes.fetch_add(1, Ordering::Relaxed);
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    Ok(())
}

async fn patches(world: &World<'_>) -> Result<usize> {
    let log = world.server.audit_log().await?;
    Ok(log
        .iter()
        .filter(|event| event.is_by(&world.user) && event.is_complete() && event.verb == "patch")
        .count())
}

async fn burst(world: &World<'_>, to: &[SocketAddr]) -> Result<()> {
    world.octo_app().await?;
    world.task("task", in_review(42)).await?;
    let mut random: Vec<u32> = (0..DELIVERIES).collect();
    Chance(1).shuffle(&mut random);
    // In their order but for neighbours, so that most of them change something.
    let mut nearly: Vec<u32> = (DELIVERIES..2 * DELIVERIES).collect();
    nearly.chunks_mut(CONNECTIONS).for_each(|chunk| Chance(2).shuffle(chunk));
    for (name, order) in [("random", random), ("nearly in order", nearly)] {
        let (stop, writes, before) = (AtomicBool::new(false), AtomicUsize::new(0), patches(world).await?);
        let delivering = async {
            let answers = deliver(world, to, &order, &writes).await;
            stop.store(true, Ordering::Relaxed);
            answers
        };
        let (answers, ()) = tokio::try_join!(delivering, controller(world, &stop, &writes))?;
        let (patches, writes) = (patches(world).await? - before, writes.into_inner());
        println!("{name}: {answers:?}, {patches} patches beside {writes} of a controller");
        ensure!(answers.keys().all(|status| [200, 202].contains(status)), "{name}: {answers:?}");
        ensure!(writes > 10, "{name}: the controller wrote {writes} times");
        ensure!(patches > 0 && patches < order.len() / 2, "{name}: {patches} patches");
        let newest = order.iter().max().context("some")?;
        let stored = world.status("task").await?.pull_request.context("a pull request")?;
        let seconds = stored.updated_at.context("a time")?.0.as_second() % 86_400;
        ensure!(seconds == i64::from(*newest), "{name}: {seconds}");
        let (draft, open) = (newest % 3 == 2, newest % 3 != 0);
        ensure!((stored.state == PullRequestState::Open) == open && stored.draft == draft, "{name}");
        ensure!(
            world.row("task").await?[0] == ["todo", "review", "inProgress"][(newest % 3) as usize],
            "{name}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_burst_about_one_task_loses_nothing() -> Result<()> {
    let world = world("burst").await?;
    burst(&world, &[world.address]).await?;
    world.end().await
}

#[tokio::test]
async fn two_replicas_share_a_burst_without_a_loss() -> Result<()> {
    let world = world("shared").await?;
    let other = world.replica().await?;
    burst(&world, &[world.address, other.address]).await?;
    other.stop.cancel();
    other.serving.await??;
    world.end().await
}

/// Whoever hung up is answered by nobody, but what it told is written.
#[tokio::test]
async fn a_client_that_does_not_wait_stops_no_write() -> Result<()> {
    let world = world("hangup").await?;
    world.octo_app().await?;
    world.task("task", in_review(42)).await?;
    let request = state(3);
    TcpStream::connect(world.address).await?.write_all(&request.raw()).await?;
    eventually("the write", || async { (world.row("task").await.ok()?[0] == "todo").then_some(()) }).await?;
    world.end().await
}
