//! GitHub lies once: each call on a Task's way, at each time that it is made, in a Task and a repository of its own. The calls are
//! those of a Task that goes its way undisturbed. Nothing is made twice, run again or given up for a lie.

use crate::{
    world,
    world::{World, repository, task},
};
use anyhow::{Context as _, Result, ensure};
use futures::future::join_all;
use serde_json::{Value, json};
use slipway::api::State;
use slipway_simulator::core::{Action, Call, Rule, When};
use std::{collections::BTreeMap, fmt};

/// Of one endpoint so many calls are lied about: later ones are polls like those before.
const TIMES: u64 = 3;

/// One call that is answered with a lie.
#[derive(Debug, Clone)]
struct Lie {
    endpoint: String,
    nth: u64,
    status: u16,
    body: String,
}

impl fmt::Display for Lie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} of {})", self.status, self.nth, self.endpoint)
    }
}

impl Lie {
    /// What GitHub says of what is there: that it is not, or that there is none; of what it has done: that it could not.
    fn about(endpoint: &str, nth: u64) -> Vec<Self> {
        let lie = |status, body: String| Self { endpoint: endpoint.to_owned(), nth, status, body };
        if !endpoint.starts_with("GET ") {
            return vec![lie(502, "<html><title>Unicorn! &middot; GitHub</title></html>".to_owned())];
        }
        let missing = json!({"message": "Not Found", "documentation_url": "https://docs.github.com/rest", "status": "404"});
        let mut lies = vec![lie(404, missing.to_string())];
        if endpoint.ends_with("/pulls") || endpoint.ends_with("/commits") {
            lies.push(lie(200, "[]".to_owned()));
        }
        lies
    }

    fn rule(&self, name: &str) -> Rule {
        let action = Action::Status {
            status: self.status,
            headers: BTreeMap::new(),
            body: self.body.clone(),
            after_effect: !self.endpoint.starts_with("GET "),
        };
        let path = format!("/repos/acme/{name}");
        Rule::on("github", &self.endpoint).path_contains(&path).when(When::Nth(self.nth)).action(action)
    }
}

/// A Task that is merged as soon as it can be; with `copy` its command works, and commits, in a clone.
async fn begin(world: &World, name: &str, copy: bool) -> Result<()> {
    let url = world.clone_url(name);
    let clone =
        format!("git clone -q {url} .; git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x;");
    let script = format!("{}echo a > a", if copy { clone.as_str() } else { "" });
    // A sync's calls come at times of their own.
    world.apply(&repository(name).with("/spec/syncIntervalSeconds", json!(86_400))).await?;
    let merge = json!({"merge": {"policy": "WhenReady", "requireChecks": false}});
    world.apply(&task(name, name, &script).with("/spec/pullRequest", merge)).await
}

/// The lies about every call that the way of `name` took.
fn lies(world: &World, name: &str) -> Vec<Lie> {
    let path = format!("/repos/acme/{name}");
    let is_its_own = |call: &Call| call.api == "github" && call.path.starts_with(&path);
    let mut times: BTreeMap<String, u64> = BTreeMap::new();
    for call in world.simulator.calls.matching(is_its_own) {
        *times.entry(call.endpoint).or_default() += 1;
    }
    let every = times.iter().flat_map(|(endpoint, times)| {
        (1..=(*times).min(TIMES)).flat_map(move |nth| Lie::about(endpoint, nth))
    });
    every.collect()
}

/// The Task is done, once: one pull request, one run of its command.
async fn done_once(world: &World, name: &str) -> Result<()> {
    let done = world.task_in(name, State::Done).await?;
    let refused = |refused| anyhow::anyhow!("{refused:?}");
    let pulls: Vec<Value> = world.simulator.github.pulls(&format!("acme/{name}")).map_err(refused)?;
    ensure!(pulls.len() == 1 && pulls[0]["merged_at"].is_string(), "{pulls:#?}");
    let runs = done.status.context("status")?.code_generations;
    ensure!(runs.len() == 1 && runs[0].id.ends_with("-1-1"), "the command ran again: {runs:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_lie_of_github_about_any_call_changes_nothing() -> Result<()> {
    let world = world("lies").await?;
    for (truth, copy) in [("truth", false), ("copied-truth", true)] {
        begin(&world, truth, copy).await?;
        done_once(&world, truth).await?;
    }
    let mut lies: Vec<(Lie, bool)> = lies(&world, "truth").into_iter().map(|lie| (lie, false)).collect();
    ensure!(lies.len() > 12, "the way takes more calls than these: {lies:#?}");
    // What only a copy makes GitHub be asked.
    let known: Vec<String> = lies.iter().map(|(lie, _)| lie.endpoint.clone()).collect();
    let of_copies =
        self::lies(&world, "copied-truth").into_iter().filter(|lie| !known.contains(&lie.endpoint));
    lies.extend(of_copies.map(|lie| (lie, true)));
    ensure!(lies.iter().any(|(lie, copy)| *copy && lie.endpoint.ends_with("/commits")), "{lies:#?}");
    // None begins like another: rules go by the beginning of a path.
    let name = |number: usize| format!("lie-{number:03}");
    let rules: Vec<u64> = lies
        .iter()
        .enumerate()
        .map(|(number, (lie, _))| world.simulator.faults.set(lie.rule(&name(number))))
        .collect();
    let ways = lies.iter().enumerate().map(|(number, (lie, copy))| {
        let (world, name) = (&world, name(number));
        async move {
            begin(world, &name, *copy).await?;
            done_once(world, &name).await.with_context(|| format!("{name}: {lie}"))
        }
    });
    let failed: Vec<String> = join_all(ways)
        .await
        .into_iter()
        .filter_map(|way| way.err().map(|error| format!("{error:#}")))
        .collect();
    ensure!(failed.is_empty(), "{} of {} ways failed:\n{}", failed.len(), lies.len(), failed.join("\n\n"));
    for ((lie, _), rule) in lies.iter().zip(&rules) {
        let told = world.simulator.faults.hits(*rule);
        // How often a poll comes depends on the machine.
        ensure!(told == Some(1) || lie.nth > 1, "{lie} was never told");
    }
    let counters = world.simulator.e2b.counters();
    ensure!(usize::try_from(counters.creates)? == lies.len() + 2, "{counters:?}");
    Ok(())
}
