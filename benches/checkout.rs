//! From apply (or rerun) to the command running on a checkout, beside the same Task whose command clones for itself with
//! `git clone --depth 1`; and the operator's memory meanwhile. `cargo bench --bench checkout`; `SIZES=100` for one size in MB.

mod support;

use anyhow::{Context as _, Result};
use serde_json::json;
use slipway::api::Task;
use std::{
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use support::{
    Usage, filled_repository, options, peak_rss, reset_peak, sh, table,
    world::{
        Manifest, World, sandbox, task,
        wait::{ready, until},
        within,
    },
};

/// Longest that one command may be waited for.
const PATIENCE: Duration = Duration::from_mins(5);
/// Bytes of a file; random, so that a pack of `n` MB comes of `n` MB of files.
const FILE: usize = 100_000;
/// The Sandbox that several Tasks use, one after the other.
const SHARED: &str = "shared";

#[tokio::main]
async fn main() -> Result<()> {
    let plane = support::plane().await?;
    let mut rows = Vec::new();
    for megabytes in support::sizes(&[1, 100, 300]) {
        let mut world = World::start(plane, support::operator(), options("checkout")).await?;
        repository_of(&mut world, megabytes).await?;
        let times = if megabytes > 100 { 1 } else { 5 };
        let bench = Bench { world, megabytes, times };
        rows.push(bench.row("sandbox to be made", Sandbox::Own).await?);
        bench.world.apply(&sandbox(SHARED)).await?;
        // The first one starts it.
        bench.began(&bench.task("first", "true", Sandbox::Shared, Way::Clone), "first").await?;
        rows.push(bench.row("sandbox runs", Sandbox::Shared).await?);
        rows.push(bench.again().await?);
        for row in &rows[rows.len() - 3..] {
            println!("{row:?}");
        }
    }
    let head = [
        "MB",
        "the",
        "s checkout",
        "s command clones",
        "ratio",
        "s clone alone",
        "s Task alone",
        "idle RSS MiB",
        "peak over idle",
        "operator CPU s",
    ];
    table("From apply to the command on a checkout (goals: ratio 1.2, 32 MiB over idle)", &head, &rows);
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Sandbox {
    Own,
    Shared,
}

/// How the repository comes to the command.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Checkout,
    Clone,
    /// Not at all.
    Without,
}

struct Bench {
    world: World,
    megabytes: usize,
    times: u32,
}

impl Bench {
    /// New Tasks, one after the other, each way.
    async fn row(&self, name: &str, sandbox: Sandbox) -> Result<Vec<String>> {
        let pid = self.pid()?;
        let mut times = [const { Vec::new() }; 3];
        let (mut idle, mut peak, mut cpu) = (0.0, 0.0_f64, 0.0);
        for number in 0..self.times {
            for (at, way) in [Way::Checkout, Way::Clone, Way::Without].into_iter().enumerate() {
                let task_name = format!("{sandbox:?}-{way:?}-{number}").to_lowercase();
                let before = Usage::of(pid)?;
                reset_peak(pid)?;
                let manifest = self.task(&task_name, "", sandbox, way);
                times[at].push(self.began(&manifest, &task_name).await?);
                if way == Way::Checkout {
                    (idle, peak) = (before.rss, peak.max(peak_rss(pid)? - before.rss));
                    cpu = Usage::of(pid)?.cpu_since(before);
                }
            }
        }
        let clone = self.clone_alone().await?;
        let [checkout, cloned, without] = times.map(median);
        Ok(self.cells(name, [checkout, cloned, clone, without], [idle, peak, cpu]))
    }

    /// Further rounds of Tasks whose work tree is there.
    async fn again(&self) -> Result<Vec<String>> {
        let pid = self.pid()?;
        let mut times = [const { Vec::new() }; 3];
        let (before, ()) = (Usage::of(pid)?, reset_peak(pid)?);
        for number in 0..self.times {
            for (at, way) in ["checkout", "clone", "without"].into_iter().enumerate() {
                let name = format!("shared-{way}-0");
                let mark = self.mark(&name).context("the round before has begun")?;
                std::fs::remove_file(&mark)?;
                let started = SystemTime::now();
                let annotation = format!("slipway.dev/rerun={number}");
                self.world.kubectl(&["annotate", "--overwrite", "swtask", &name, &annotation]).await?;
                times[at].push(self.running(&name, started).await?);
                let round = i64::from(number) + 2;
                self.ended(&name, round).await?;
            }
        }
        let clone = self.clone_alone().await?;
        let measured = [
            before.rss,
            peak_rss(pid)? - before.rss,
            Usage::of(pid)?.cpu_since(before) / f64::from(self.times),
        ];
        let [checkout, cloned, without] = times.map(median);
        Ok(self.cells("work tree is there", [checkout, cloned, clone, without], measured))
    }

    fn cells(&self, name: &str, seconds: [f64; 4], [idle, peak, cpu]: [f64; 3]) -> Vec<String> {
        let [checkout, cloned, clone, without] = seconds;
        vec![
            self.megabytes.to_string(),
            name.to_owned(),
            format!("{checkout:.2}"),
            format!("{cloned:.2}"),
            format!("{:.2}", checkout / cloned),
            format!("{clone:.2}"),
            format!("{without:.2}"),
            format!("{idle:.0}"),
            format!("{peak:.0}"),
            format!("{cpu:.1}"),
        ]
    }

    fn pid(&self) -> Result<u32> {
        Ok(self.world.controller.as_ref().context("a controller")?.pid())
    }

    /// A Task whose command writes when it has what it needs, and changes nothing.
    fn task(&self, name: &str, script: &str, sandbox: Sandbox, way: Way) -> Manifest {
        let path = format!("/home/user/{name}");
        let url = self.world.clone_url("app");
        let prepare = match way {
            Way::Clone => format!("cd /; rm -rf {path}; git clone -q --depth 1 {url} {path}; cd {path}"),
            Way::Checkout => "test -f file-1".to_owned(),
            Way::Without => format!("test -f file-1 || git clone -q --depth 1 {url} ."),
        };
        let mark =
            format!("date +%s%N > /home/user/{name}.part; mv /home/user/{name}.part /home/user/{name}.began");
        // What the Task alone takes is known before it clones, which it does for a result without a change.
        let script = match way {
            Way::Without => format!("{mark}; {prepare}; {script}"),
            Way::Checkout | Way::Clone => format!("{prepare}; {mark}; {script}"),
        };
        let mut manifest = task(name, "app", &script).with("/spec/source/path", json!(path));
        if way == Way::Checkout {
            manifest = manifest.with("/spec/source/checkout", json!({}));
        }
        if sandbox == Sandbox::Shared {
            manifest = manifest.without("sandboxTemplate").with("/spec/sandboxRef", json!({"name": SHARED}));
        }
        manifest
    }

    /// Seconds from apply to the command's mark; returns when the Task is over.
    async fn began(&self, manifest: &Manifest, name: &str) -> Result<f64> {
        let started = SystemTime::now();
        self.world.apply(manifest).await?;
        let seconds = self.running(name, started).await?;
        self.ended(name, 1).await?;
        Ok(seconds)
    }

    async fn running(&self, name: &str, started: SystemTime) -> Result<f64> {
        let at = within(PATIENCE, "the command runs", || async {
            let text = std::fs::read_to_string(self.mark(name)?).ok()?;
            text.trim().parse::<u64>().ok().map(Duration::from_nanos)
        })
        .await
        .with_context(|| format!("{name}: {}", self.world.logs()))?;
        let seconds = (UNIX_EPOCH + at).duration_since(started)?.as_secs_f64();
        Ok(seconds)
    }

    async fn ended(&self, name: &str, round: i64) -> Result<()> {
        let over =
            move |task: &Task| ready(task) && task.status.as_ref().is_some_and(|s| s.round == Some(round));
        let tasks = self.world.tasks();
        let ended = until(&tasks, name, "over", over);
        tokio::time::timeout(PATIENCE, ended).await.with_context(|| self.world.logs())??;
        Ok(())
    }

    /// The mark, in whichever sandbox has it.
    fn mark(&self, name: &str) -> Option<PathBuf> {
        let e2b = &self.world.simulator.e2b;
        let path = format!("/home/user/{name}.began");
        let places =
            e2b.sandboxes().into_iter().filter_map(|sandbox| e2b.host_path(&sandbox.sandbox_id, &path));
        places.into_iter().find(|place| place.exists())
    }

    /// Seconds of `git clone --depth 1` by itself.
    async fn clone_alone(&self) -> Result<f64> {
        let (url, to) = (self.world.clone_url("app"), self.world.dir().join("clone"));
        let mut times = Vec::new();
        for _ in 0..self.times {
            let started = std::time::Instant::now();
            sh(&format!("git clone -q --depth 1 {url} {}", to.display())).await?;
            times.push(started.elapsed().as_secs_f64());
            tokio::fs::remove_dir_all(&to).await?;
        }
        Ok(median(times))
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// `acme/app` of so many megabytes in one commit, ready.
async fn repository_of(world: &mut World, megabytes: usize) -> Result<()> {
    let files = megabytes * 1_000_000 / FILE;
    let file = format!(
        "printf 'M 644 inline d%s/f%s\\ndata {FILE}\\n' $((n % 100)) $n; head -c {FILE} /dev/urandom; echo"
    );
    let last = "printf 'M 644 inline file-1\\ndata 2\\n1\\n'";
    filled_repository(world, &format!("for n in $(seq {files}); do {file}; done; {last}")).await
}
