//! The operator is killed at every external call of the happy path, before and after the call's effect.
//! Whatever it had done, its successor finishes the Task and does nothing twice.

use crate::{
    world::{Options, World, repository, task, wait::ready},
    world_with,
};
use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use slipway::api::State;
use slipway_simulator::{
    core::{Action, Call, Rule, When},
    github::MergeMethod,
};
use std::{
    fmt::{self, Display, Formatter},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::Semaphore, task::JoinSet};

/// The stand-ins' names for what a checkout calls: the pack, its way into the sandbox, and what is run there, after the
/// sandbox's mark: the run that looks at what lies there and takes the pack, the command.
const GIT: &str = "git";
const UPLOAD: &str = "POST /files";
const START: &str = "POST /process.Process/Start";
const CHECKOUT: u64 = 2;
const COMMAND: u64 = 3;
/// Worlds at a time.
const TOGETHER: usize = 6;
/// A crash before a create costs 30 s by itself: a list that shows nothing is no proof of absence.
const DEADLINE: Duration = Duration::from_secs(150);
const NAME: &str = "survivor";
/// Runs once: every further run leaves a further line.
const SCRIPT: &str = "echo ran >> /var/tmp/ran; echo hello > hello";

/// Where the operator is killed: at a call that the reference run has made.
#[derive(Debug, Clone)]
struct Case {
    call: Call,
    after_effect: bool,
    checkout: bool,
}

impl Case {
    fn rule(&self) -> Rule {
        let action = Action::Hold { after_effect: self.after_effect };
        Rule::on(self.call.api, &self.call.endpoint).when(When::Nth(self.call.ordinal)).action(action)
    }

    /// Killed before the sandbox has the whole pack, the next operator fetches it again. Whoever has it needs no operator.
    fn may_cost_a_fetch(&self) -> bool {
        let uploads = self.call.endpoint == UPLOAD && !self.after_effect;
        self.checkout && (self.call.endpoint == GIT || uploads)
    }

    /// How often a command is looked at depends on the moment it ends, and how often GitHub is asked about a pull request
    /// on whether its delivery comes before our own write: only such repeated looks may not come. A write always comes.
    fn may_be_missed(&self) -> bool {
        let looked_at_again = self.call.api == "envd" && self.call.ordinal > 3;
        let confirmed_again = self.call.method == "GET" && self.call.ordinal > 1;
        looked_at_again || confirmed_again
    }
}

impl Display for Case {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Call { seq, api, endpoint, ordinal, .. } = &self.call;
        let side = if self.after_effect { "after" } else { "before" };
        write!(f, "call {seq}, {api} {endpoint}#{ordinal}, held {side} its effect")
    }
}

/// The happy path with at most one kill, and whether it came to that.
async fn run(case: Option<&Case>, checkout: bool) -> Result<(World, bool)> {
    let mut world = world_with(Options { namespace: "kill", operator: false, ..Options::default() }).await?;
    let rule = case.map(|case| world.simulator.faults.set(case.rule()));
    world.start_receiver().await?;
    world.start_controller()?;
    world.apply(&repository("app")).await?;
    let mut manifest = task(NAME, "app", SCRIPT);
    if checkout {
        manifest = manifest.with("/spec/source/checkout", json!({}));
    }
    world.apply(&manifest).await?;
    let killed = drive(&mut world, rule).await;
    let killed =
        killed.with_context(|| format!("{}\n{:#?}", world.logs(), told(&world.simulator.calls.all())))?;
    Ok((world, killed))
}

/// Plays the person who merges and the power cut; ends when nothing is left to come.
async fn drive(world: &mut World, rule: Option<u64>) -> Result<bool> {
    let end = Instant::now() + DEADLINE;
    let (mut hooked, mut merged, mut killed) = (false, false, false);
    while Instant::now() < end {
        if let Some(rule) = rule.filter(|rule| world.simulator.faults.held(*rule).unwrap_or(0) > 0) {
            killed = true;
            world.kill_in_held_call(rule).await?;
            world.start_controller()?;
        }
        hooked = hooked || world.hook("acme/app").is_ok();
        let task = world.tasks().get(NAME).await?;
        let status = task.status.clone().unwrap_or_default();
        if !merged && status.state == State::Review && ready(&task) {
            let number = status.pull_request.as_ref().context("a Task in review has a pull request")?.number;
            ran_once(world)?;
            merge(world, u64::try_from(number)?)?;
            merged = true;
        }
        if merged && status.state == State::Done && ready(&task) && gone(world).await? {
            return Ok(killed);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let task = world.tasks().get(NAME).await?;
    anyhow::bail!("not done within {DEADLINE:?}: {}", serde_json::to_string_pretty(&task.status)?)
}

fn merge(world: &World, number: u64) -> Result<()> {
    let merged = world.simulator.github.merge("acme/app", number, MergeMethod::Merge);
    merged.map(drop).map_err(|refused| anyhow::anyhow!("{refused:?}"))
}

fn ran_once(world: &World) -> Result<()> {
    let sandboxes = world.simulator.e2b.sandboxes();
    ensure!(sandboxes.len() == 1, "live sandboxes: {sandboxes:?}");
    let path = world.simulator.e2b.host_path(&sandboxes[0].sandbox_id, "/var/tmp/ran");
    let ran = std::fs::read_to_string(path.context("the sandbox has /var/tmp")?)?;
    ensure!(ran == "ran\n", "the generation ran {} times", ran.lines().count());
    Ok(())
}

/// Whether the Task's own sandbox has gone with the merge, at E2B and in the API server.
async fn gone(world: &World) -> Result<bool> {
    Ok(world.simulator.e2b.sandboxes().is_empty()
        && world.sandboxes().list(&Default::default()).await?.items.is_empty())
}

/// What the stand-ins must have counted after any run.
fn once(world: &World) -> Result<()> {
    let (github, e2b) = (world.simulator.github.counts(), world.simulator.e2b.counters());
    ensure!(github.repositories_created == 1, "repositories created: {github:?}");
    ensure!(github.pulls_created == 1 && github.pulls_merged == 1, "pull requests: {github:?}");
    ensure!(
        github.refs_created == 1 && github.refs_updated == 1,
        "one branch, and the merge moves the base: : {github:?}"
    );
    ensure!(e2b.creates == 1 && e2b.deletes == 1, "sandboxes: {e2b:?}");
    let pulls = world.simulator.github.pulls("acme/app").map_err(|refused| anyhow::anyhow!("{refused:?}"))?;
    ensure!(pulls.len() == 1, "pull requests: {pulls:?}");
    let pull =
        world.simulator.github.pull("acme/app", 1).map_err(|refused| anyhow::anyhow!("{refused:?}"))?;
    ensure!(pull["commits"] == 1, "commits on the branch: {}", pull["commits"]);
    Ok(())
}

fn told(calls: &[Call]) -> Vec<String> {
    calls
        .iter()
        .map(|call| {
            format!("{:>3} {} {}#{} {:?}", call.seq, call.api, call.endpoint, call.ordinal, call.outcome)
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn killed_at_any_call_it_does_nothing_twice() -> Result<()> {
    let mut all = Vec::new();
    for checkout in [false, true] {
        let (reference, _) = run(None, checkout).await?;
        once(&reference)?;
        let calls = reference.simulator.calls.all();
        drop(reference);
        println!("{} calls:\n{}", calls.len(), told(&calls).join("\n"));
        all.extend(cases(&calls, checkout));
    }
    let turns = Arc::new(Semaphore::new(TOGETHER));
    let mut runs = JoinSet::new();
    for case in all {
        let turns = Arc::clone(&turns);
        runs.spawn(async move {
            let _turn = turns.acquire_owned().await?;
            let started = Instant::now();
            let outcome = one(&case).await;
            anyhow::Ok((case, outcome, started.elapsed().as_secs_f32()))
        });
    }
    let mut failures = Vec::new();
    while let Some(ended) = runs.join_next().await {
        match ended?? {
            (case, Ok(true), took) => println!("{case}: {took:.1} s"),
            (case, Ok(false), took) => println!("{case}: {took:.1} s, ended before that call"),
            (case, Err(error), _) => failures.push(format!("{case}: {error:?}")),
        }
    }
    ensure!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n\n"));
    Ok(())
}

/// One run with its counts; whether the kill happened.
async fn one(case: &Case) -> Result<bool> {
    let (world, killed) = run(Some(case), case.checkout).await?;
    once(&world).with_context(|| format!("{:#?}", told(&world.simulator.calls.all())))?;
    // What is checked out is not fetched again: the marker says so.
    let fetched = world.simulator.calls.of("github", GIT).len();
    let again = usize::from(case.may_cost_a_fetch());
    ensure!(fetched <= usize::from(case.checkout) + again, "{fetched} packs were asked for");
    ensure!(killed || case.may_be_missed(), "the call never came: {:#?}", told(&world.simulator.calls.all()));
    Ok(killed)
}

/// Both sides of every call; those of the sandbox's life first, because they wait longest. With a checkout, its own calls.
fn cases(calls: &[Call], checkout: bool) -> Vec<Case> {
    let (long, short): (Vec<_>, Vec<_>) = calls.iter().cloned().partition(|call| call.api == "e2b");
    let is_its_own = |call: &Call| {
        call.endpoint == GIT
            || call.endpoint == UPLOAD
            || (call.endpoint == START && (CHECKOUT..=COMMAND).contains(&call.ordinal))
    };
    let all = long.into_iter().chain(short).filter(|call| !checkout || is_its_own(call));
    let both =
        |call: Call| [false, true].map(|after_effect| Case { call: call.clone(), after_effect, checkout });
    all.flat_map(both).collect()
}
