//! 200 MB in 2,000 files from the sandbox to an open pull request: memory over idle, and the time against a plain copy of
//! the same bytes over loopback. Then 2,000 changed files of a clone with 100,000, against what git itself takes to tell and to
//! store the difference. `cargo bench --bench files`; `SIZES=500` for another number of files.

mod support;

use anyhow::{Context as _, Result, ensure};
use kube::runtime::wait::await_condition;
use slipway::api::{State, Task, conditions};
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use support::{
    Usage, filled_repository, options, peak_rss, reset_peak, sh, table,
    world::{GITHUB_TOKEN, World, repository, task},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// Longest that one part of the way may take.
const PATIENCE: Duration = Duration::from_mins(20);
/// Bytes of a file.
const FILE: usize = 100_000;

/// What the files hold: bytes go to GitHub as blobs of their own, text goes along with the trees.
const CONTENTS: [(&str, &str); 2] = [
    ("binary", "head -c 100000 /dev/urandom"),
    ("text", "head -c 74026 /dev/urandom | base64 -w 76 | head -c 100000"),
];

#[tokio::main]
async fn main() -> Result<()> {
    let plane = support::plane().await?;
    let mut rows = Vec::new();
    for files in support::sizes(&[2000]) {
        for (name, make) in CONTENTS {
            let mut world = World::start(plane, support::operator(), options("files")).await?;
            rows.push(carry(&mut world, files, name, make).await?);
            println!("{name}: {:?}", rows.last());
        }
    }
    let head = [
        "files",
        "MB",
        "content",
        "idle RSS MiB",
        "peak over idle",
        "s to pull request",
        "s plain copy",
        "ratio",
        "operator CPU s",
        "GitHub calls",
    ];
    table("From files in a sandbox to an open pull request (goal: at most 64 MiB over idle)", &head, &rows);
    let mut rows = Vec::new();
    for files in support::sizes(&[2000]) {
        let mut world = World::start(plane, support::operator(), options("tree")).await?;
        rows.push(change(&mut world, files).await?);
    }
    let head = [
        "changed",
        "in a tree of",
        "idle RSS MiB",
        "peak over idle",
        "s to pull request",
        "s git add, commit",
        "ratio",
        "operator CPU s",
        "GitHub calls",
    ];
    table("From a changed clone to an open pull request (goal: at most 32 MiB over idle)", &head, &rows);
    Ok(())
}

/// Files of the repository whose clone is changed.
const TREE: usize = 100_000;

/// A clone of [`TREE`] files of which `files` are changed.
async fn change(world: &mut World, files: usize) -> Result<Vec<String>> {
    let lines = "printf 'M 644 inline d%s/f%s\\ndata <<E\\nline %s\\nE\\n' $((n % 1000)) $n $n";
    filled_repository(world, &format!("for n in $(seq {TREE}); do {lines}; done")).await?;
    let pid = world.controller.as_ref().context("a controller")?.pid();
    let url = world.clone_url("app");
    let script =
        format!("git clone -q {url} .; for n in $(seq {files}); do echo changed >> d$((n % 1000))/f$n; done");
    world.apply(&task("large", "app", &script)).await?;
    let idle = Usage::of(pid)?;
    let seq = world.simulator.calls.last_seq();
    reached(world, |task| holds(task, conditions::GENERATED)).await?;
    let (started, before) = (Instant::now(), Usage::of(pid)?);
    reset_peak(pid)?;
    reached(world, |task| task.status.as_ref().is_some_and(|status| status.state == State::Review)).await?;
    let took = started.elapsed().as_secs_f64();
    let (peak, cpu) = (peak_rss(pid)?, Usage::of(pid)?.cpu_since(before));
    let calls = world.simulator.calls.since(seq).iter().filter(|call| call.api == "github").count();
    let sandbox = world.simulator.e2b.sandboxes().first().context("a sandbox")?.sandbox_id.clone();
    let there = world.simulator.e2b.host_path(&sandbox, "/home/user/app").context("the sandbox's files")?;
    let started = Instant::now();
    let git = "git -c safe.directory='*' -c user.name=a -c user.email=a@b";
    sh(&format!("cd {} && {git} add -A && {git} commit -q -m x", there.display())).await?;
    let plain = started.elapsed().as_secs_f64();
    Ok(vec![
        files.to_string(),
        TREE.to_string(),
        format!("{:.0}", idle.rss),
        format!("{:.0}", peak - idle.rss),
        format!("{took:.1}"),
        format!("{plain:.2}"),
        format!("{:.0}", took / plain),
        format!("{cpu:.1}"),
        calls.to_string(),
    ])
}

async fn carry(world: &mut World, files: usize, name: &str, make: &str) -> Result<Vec<String>> {
    let (calls, reset) = (u64::try_from(files)? * 4 + 5000, jiff::Timestamp::now() + Duration::from_hours(1));
    ensure!(world.simulator.github.set_rate_limit(GITHUB_TOKEN, calls, reset), "the token is known");
    world.start_controller()?;
    world.synced().await?;
    world.apply(&repository("app")).await?;
    world
        .repository("app", "ready", |app| app.status.as_ref().is_some_and(|s| s.repository_id.is_some()))
        .await?;
    let pid = world.controller.as_ref().context("a controller")?.pid();
    let script = format!("for at in $(seq {files}); do {make} > file-$at; done");
    world.apply(&task("large", "app", &script)).await?;
    let idle = Usage::of(pid)?;
    let seq = world.simulator.calls.last_seq();
    reached(world, |task| holds(task, conditions::GENERATED)).await?;
    let (started, before) = (Instant::now(), Usage::of(pid)?);
    reset_peak(pid)?;
    let sandbox = world.simulator.e2b.sandboxes().first().context("a sandbox")?.sandbox_id.clone();
    let there = world.simulator.e2b.host_path(&sandbox, "/home/user/app").context("the sandbox's files")?;
    let copied = world.dir().join(format!("copy-{name}"));
    reached(world, |task| task.status.as_ref().is_some_and(|status| status.state == State::Review)).await?;
    let took = started.elapsed().as_secs_f64();
    let (peak, cpu) = (peak_rss(pid)?, Usage::of(pid)?.cpu_since(before));
    let calls = world.simulator.calls.since(seq).iter().filter(|call| call.api == "github").count();
    let started = Instant::now();
    let bytes = copy(there, &copied).await?;
    let plain = started.elapsed().as_secs_f64();
    ensure!(bytes == u64::try_from(files * FILE)?, "{bytes} bytes are not all");
    Ok(vec![
        files.to_string(),
        (bytes / 1_000_000).to_string(),
        name.to_owned(),
        format!("{:.0}", idle.rss),
        format!("{:.0}", peak - idle.rss),
        format!("{took:.1}"),
        format!("{plain:.2}"),
        format!("{:.0}", took / plain),
        format!("{cpu:.1}"),
        calls.to_string(),
    ])
}

fn holds(task: &Task, type_: &str) -> bool {
    let conditions = task.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    conditions.iter().any(|condition| condition.type_ == type_ && condition.status == "True")
}

async fn reached(world: &World, holds: impl Fn(&Task) -> bool) -> Result<()> {
    let seen = await_condition(world.tasks(), "large", |task: Option<&Task>| task.is_some_and(&holds));
    tokio::time::timeout(PATIENCE, seen).await.with_context(|| world.logs())??;
    Ok(())
}

/// Every file read, sent through one connection with its length before it, and written: the bytes that went.
async fn copy(from: PathBuf, to: &Path) -> Result<u64> {
    tokio::fs::create_dir_all(to).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let sender = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        let mut directory = tokio::fs::read_dir(from).await?;
        while let Some(entry) = directory.next_entry().await? {
            let content = tokio::fs::read(entry.path()).await?;
            stream.write_u64(content.len().try_into()?).await?;
            stream.write_all(&content).await?;
        }
        anyhow::Ok(())
    });
    let mut stream = TcpStream::connect(address).await?;
    let (mut bytes, mut count) = (0, 0);
    while let Ok(length) = stream.read_u64().await {
        let mut content = vec![0; length.try_into()?];
        stream.read_exact(&mut content).await?;
        tokio::fs::write(to.join(format!("{count}")), &content).await?;
        (bytes, count) = (bytes + length, count + 1);
    }
    sender.await??;
    Ok(bytes)
}
