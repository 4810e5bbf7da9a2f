//! Five Tasks whose commands run while the API server is killed for half a minute.

use crate::{
    controlplane::AuditEvent,
    world,
    world::{Options, PATIENCE, World, repository, task, within},
};
use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;
use slipway::api::State;
use slipway_simulator::github::MergeMethod;
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

const OUTAGE: Duration = Duration::from_secs(30);
/// Writes that were refused because the object had changed, for each Task and its Sandbox together.
const MOST_CONFLICTS: usize = 3;
const NAMES: [&str; 5] = ["one", "two", "three", "four", "five"];

/// The script of a command that counts its starts and waits for `open` in the home directory.
fn script(name: &str) -> String {
    format!(
        "echo {name} >> /home/user/starts; until [ -e /home/user/open ]; do sleep 0.1; done; echo {name} > {name}"
    )
}

/// A Task's sandbox, as the host sees it.
struct Machine {
    name: &'static str,
    home: PathBuf,
    runs: PathBuf,
}

impl Machine {
    /// The sandbox in which the Task's command runs.
    async fn of(world: &World, name: &'static str) -> Result<Self> {
        let what = format!("{name}'s running command");
        let running = within(PATIENCE, &what, || async {
            let e2b = &world.simulator.e2b;
            let machines = e2b.sandboxes().into_iter().filter_map(|sandbox| {
                let path = |path: &str| e2b.host_path(&sandbox.sandbox_id, path);
                Some(Self { name, home: path("/home/user")?, runs: path("/var/tmp/slipway")? })
            });
            machines.into_iter().find(|machine| machine.starts() == format!("{name}\n"))
        });
        running.await.with_context(|| world.logs())
    }

    fn starts(&self) -> String {
        std::fs::read_to_string(self.home.join("starts")).unwrap_or_default()
    }

    /// Lets the command end.
    fn open(&self) -> Result<()> {
        Ok(std::fs::write(self.home.join("open"), "")?)
    }

    /// The command was started once: by itself, and by the directories that starts leave.
    fn started_once(&self) -> Result<()> {
        let runs = std::fs::read_dir(&self.runs)?.flatten().filter(|entry| entry.path().join("pid").exists());
        let (runs, starts) = (runs.count(), self.starts());
        ensure!(runs == 1 && starts == format!("{}\n", self.name), "{}: {runs} runs, {starts:?}", self.name);
        Ok(())
    }
}

/// How often the operator has asked for the start of the Task's command.
fn start_calls(world: &World, name: &str) -> usize {
    let object = format!("{}/{name}", world.namespace);
    let made = |line: &&str| line.contains("operation=\"startGeneration\"") && line.contains(" ms=");
    world.controller_log().lines().filter(made).filter(|line| line.contains(&object)).count()
}

fn conflicts(log: &[AuditEvent], world: &World, name: &str) -> usize {
    let own = log.iter().filter(|event| {
        let object = &event.object_ref;
        event.is_write()
            && event.response_status.code == 409
            && object.namespace == world.namespace
            && match object.resource.as_str() {
                "tasks" => object.name == name,
                "sandboxes" => object.name.starts_with(&format!("{name}-")),
                _ => false,
            }
    });
    own.count()
}

/// The Task has one branch and one open pull request.
fn published_once(world: &World, name: &str) -> Result<()> {
    let refused = |refused| anyhow::anyhow!("{refused:?}");
    let branches = world.simulator.github.branches("acme/app").map_err(refused)?;
    let pulls = world.simulator.github.pulls("acme/app").map_err(refused)?;
    let title = format!("Add {name}");
    let pulls: Vec<_> = pulls.iter().filter(|pull| pull["title"] == title.as_str()).collect();
    ensure!(pulls.len() == 1, "{name}: {} pull requests", pulls.len());
    let head = pulls[0]["head"]["ref"].as_str().unwrap_or_default();
    ensure!(branches.iter().filter(|branch| *branch == head).count() == 1, "{name}: {branches:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_tasks_go_on_when_the_api_server_is_back() -> Result<()> {
    let world = world(Options { namespace: "outage", ..Options::default() }).await?;
    world.apply(&repository("app")).await?;
    try_join_all(NAMES.map(|name| {
        let (world, manifest) = (&world, task(name, "app", &script(name)));
        async move { world.apply(&manifest).await }
    }))
    .await?;
    let machines = try_join_all(NAMES.map(|name| Machine::of(&world, name))).await?;
    world.hook("acme/app")?;

    world.plane.kill_apiserver();
    let killed = Instant::now();
    // Most commands end while nobody can record it, one runs on.
    let (last, most) = machines.split_last().context("five")?;
    for machine in most {
        machine.open()?;
    }
    tokio::time::sleep_until((killed + OUTAGE).into()).await;
    world.plane.restart_apiserver().await?;
    let back = Instant::now();
    println!("gone for {:.1} s", (back - killed).as_secs_f32());
    last.open()?;

    for name in NAMES {
        world.task_in(name, State::Review).await?;
        println!("{name} in review {:.1} s after the API server was back", back.elapsed().as_secs_f32());
    }
    let log = world.plane.audit_log().await?;
    for machine in &machines {
        let (conflicts, calls) = (conflicts(&log, &world, machine.name), start_calls(&world, machine.name));
        println!("{}: {conflicts} conflicts, {calls} calls to start", machine.name);
        ensure!(conflicts <= MOST_CONFLICTS, "{}: {conflicts} conflicts\n{}", machine.name, world.logs());
        // A look may come before the first start has made its directory: it is asked for once more then, which does nothing.
        ensure!(calls <= 2, "{}: {calls} calls to start its command\n{}", machine.name, world.logs());
        machine.started_once()?;
        published_once(&world, machine.name)?;
    }
    let (github, e2b) = (world.simulator.github.counts(), world.simulator.e2b.counters());
    ensure!(github.pulls_created == 5 && github.refs_created == 5, "{github:?}");
    ensure!(e2b.creates == 5, "{e2b:?}");
    delivered(&world, "one").await
}

/// The receiver has gone on, too: a merge moves the Task by its delivery.
async fn delivered(world: &World, name: &str) -> Result<()> {
    let pull = world.tasks().get(name).await?.status.and_then(|status| status.pull_request);
    let number = u64::try_from(pull.context("a Task in review has a pull request")?.number)?;
    let merged = world.simulator.github.merge("acme/app", number, MergeMethod::Merge);
    merged.map_err(|refused| anyhow::anyhow!("{refused:?}"))?;
    let done = world.task_in(name, State::Done).await?;
    let delivery = done.status.and_then(|status| status.last_delivery);
    ensure!(delivery.is_some(), "no delivery moved {name}\n{}", world.logs());
    Ok(())
}
