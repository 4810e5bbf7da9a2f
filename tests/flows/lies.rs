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
/// The stand-in's name for what git itself asks.
const GIT: &str = "git";

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
        if endpoint == GIT {
            let unicorn = lie(502, "<html><title>Unicorn!</title></html>".to_owned());
            return vec![unicorn, lie(404, "Repository not found.\n".to_owned()), lie(200, String::new())];
        }
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
            after_effect: !self.endpoint.starts_with("GET ") && self.endpoint != GIT,
        };
        let path = format!("/acme/{name}");
        Rule::on("github", &self.endpoint).path_contains(&path).when(When::Nth(self.nth)).action(action)
    }
}

/// Where a command works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Directory,
    /// A clone that it makes itself, and commits to.
    Copy,
    Checkout,
}

/// A Task that is merged as soon as it can be.
async fn begin(world: &World, name: &str, place: Place) -> Result<()> {
    let url = world.clone_url(name);
    let clone =
        format!("git clone -q {url} .; git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x;");
    let script = format!("{}echo a > a", if place == Place::Copy { clone.as_str() } else { "" });
    // A sync's calls come at times of their own.
    world.apply(&repository(name).with("/spec/syncIntervalSeconds", json!(86_400))).await?;
    let merge = json!({"merge": {"policy": "WhenReady", "requireChecks": false}});
    let manifest = task(name, name, &script).with("/spec/pullRequest", merge);
    let checked_out = manifest.clone().with("/spec/source/checkout", json!({}));
    world.apply(if place == Place::Checkout { &checked_out } else { &manifest }).await
}

/// The lies about every call that the way of `name` took.
fn lies(world: &World, name: &str) -> Vec<Lie> {
    let (path, git) = (format!("/repos/acme/{name}"), format!("/acme/{name}.git/"));
    let is_its_own =
        |call: &Call| call.api == "github" && (call.path.starts_with(&path) || call.path.starts_with(&git));
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
    // Many Tasks of one account: what is waited for here is not their turns to write.
    let options = world::Options { namespace: "lies", write_interval: "5ms", ..world::Options::default() };
    let world = crate::world_with(options).await?;
    let mut lies: Vec<(Lie, Place)> = Vec::new();
    let places =
        [("truth", Place::Directory), ("copied-truth", Place::Copy), ("checked-out-truth", Place::Checkout)];
    for (truth, place) in places {
        begin(&world, truth, place).await?;
        done_once(&world, truth).await?;
        // What only this place makes GitHub be asked. A clone of the command's own asks git too.
        let known: Vec<String> = lies.iter().map(|(lie, _)| lie.endpoint.clone()).collect();
        let is_ours =
            |lie: &Lie| !known.contains(&lie.endpoint) && (lie.endpoint != GIT || place == Place::Checkout);
        lies.extend(self::lies(&world, truth).into_iter().filter(is_ours).map(|lie| (lie, place)));
    }
    ensure!(lies.len() > 15, "the ways take more calls than these: {lies:#?}");
    for (place, end) in [(Place::Copy, "/commits"), (Place::Checkout, GIT)] {
        ensure!(lies.iter().any(|(lie, of)| *of == place && lie.endpoint.ends_with(end)), "{end}: {lies:#?}");
    }
    // None begins like another: rules go by the beginning of a path.
    let name = |number: usize| format!("lie-{number:03}");
    let rules: Vec<u64> = lies
        .iter()
        .enumerate()
        .map(|(number, (lie, _))| world.simulator.faults.set(lie.rule(&name(number))))
        .collect();
    let ways = lies.iter().enumerate().map(|(number, (lie, place))| {
        let (world, name) = (&world, name(number));
        async move {
            begin(world, &name, *place).await?;
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
    ensure!(usize::try_from(counters.creates)? == lies.len() + places.len(), "{counters:?}");
    Ok(())
}
