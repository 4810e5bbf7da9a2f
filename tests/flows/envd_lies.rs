//! A sandbox's envd, or the proxy before it, lies once: each call on a Task's way, at each time that it is made, in a sandbox of its
//! own. The calls are those of a Task that goes its way undisturbed. No command is run twice, no sandbox and no file is given up.

use crate::{
    world,
    world::{World, repository, sandbox, task, within},
};
use anyhow::{Context as _, Result, ensure};
use futures::future::{join_all, try_join_all};
use serde_json::json;
use slipway::api::State;
use slipway_simulator::core::{Action, Call, Rule, When};
use std::collections::BTreeMap;

/// So many calls are lied about: the sandbox's mark, the start, looks, the list of files, the archive, and looks between.
const TIMES: u64 = 6;
/// With a checkout: the sandbox's mark, the checkout, the start.
const CHECKOUT_TIMES: u64 = 3;

/// The nth call of an endpoint, the lie that it is answered with, and whether the Task has a checkout.
#[derive(Debug)]
struct Case {
    endpoint: String,
    nth: u64,
    lie: usize,
    checkout: bool,
}

/// What is known to come back although the sandbox lives: the proxy's two refusals, errors and silence after the call took effect, an
/// answer that ends too early.
fn lies(id: &str) -> Vec<Action> {
    let answer = |status, body: serde_json::Value, after_effect| Action::Status {
        status,
        headers: BTreeMap::new(),
        body: body.to_string(),
        after_effect,
    };
    let missing = json!({"sandboxId": id, "message": "The sandbox was not found", "code": 502});
    let closed = json!({"sandboxId": id, "message": "The sandbox is running but port is not open", "port": 49_983, "code": 502});
    vec![
        answer(502, missing, false),
        answer(502, closed, false),
        answer(503, json!({"code": "unavailable", "message": "upstream"}), true),
        Action::CutBefore,
        Action::CutAfter,
        Action::TruncateBody { after: 7 },
    ]
}

/// A Sandbox that runs, and its id at E2B.
async fn machine(world: &World, name: &str) -> Result<String> {
    world.apply(&sandbox(name)).await?;
    within(world::PATIENCE, name, || async {
        let status = world.sandboxes().get(name).await.ok()?.status?;
        status.sandbox_id
    })
    .await
}

/// A Task in the sandbox of the same name, whose command leaves a mark of each start; done once it is in review.
async fn work(world: &World, name: &str, checkout: bool) -> Result<()> {
    let script =
        format!("echo started >> /home/user/starts; mkdir -p d; echo {name} > d/a; seq 1 2000 > d/b");
    let own = json!({"name": name});
    let branch = json!(format!("work/{name}"));
    let mut manifest = task(name, "app", &script).without("sandboxTemplate");
    if checkout {
        manifest = manifest.with("/spec/source/checkout", json!({}));
    }
    world.apply(&manifest.with("/spec/sandboxRef", own).with("/spec/branch", branch)).await?;
    let task = world.task_in(name, State::Review).await?;
    let runs = task.status.context("status")?.code_generations;
    ensure!(runs.len() == 1 && runs[0].id.ends_with("-1-1"), "the command ran again: {runs:#?}");
    let id = runs[0].sandbox_id.clone();
    let starts = world.simulator.e2b.host_path(&id, "/home/user/starts").context("its sandbox is gone")?;
    let starts = std::fs::read_to_string(starts)?;
    ensure!(starts == "started\n", "{starts:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_lie_of_envd_about_any_call_changes_nothing() -> Result<()> {
    // Many Tasks of one account: what is waited for here is not their turns to write.
    let options = world::Options { namespace: "envd", write_interval: "5ms", ..world::Options::default() };
    let world = crate::world_with(options).await?;
    world.apply(&repository("app")).await?;
    let mut cases: Vec<Case> = Vec::new();
    for (name, checkout) in [("truth", false), ("checked-out-truth", true)] {
        let id = machine(&world, name).await?;
        work(&world, name, checkout).await?;
        let mut times: BTreeMap<String, u64> = BTreeMap::new();
        let its_own = |call: &Call| call.api == "envd" && call.headers.get("e2b-sandbox-id") == Some(&id);
        for call in world.simulator.calls.matching(its_own) {
            *times.entry(call.endpoint).or_default() += 1;
        }
        ensure!(times.values().sum::<u64>() >= 4, "a start, a look, a list, an archive: {times:?}");
        // A checkout comes before all else: its calls are the first.
        let most = if checkout { CHECKOUT_TIMES } else { TIMES };
        for (endpoint, times) in &times {
            cases.extend((1..=*times.min(&most)).flat_map(|nth| {
                (0..lies("").len()).map(move |lie| Case { endpoint: endpoint.clone(), nth, lie, checkout })
            }));
        }
    }
    ensure!(cases.iter().any(|case| case.checkout && case.endpoint == "POST /files"), "{cases:#?}");
    let ids = try_join_all((0..cases.len()).map(|number| {
        let (world, name) = (&world, format!("lie-{number}"));
        async move { machine(world, &name).await }
    }));
    let ids = ids.await?;
    let ways = cases.iter().zip(&ids).enumerate().map(|(number, (case, id))| {
        let Case { endpoint, nth, lie, checkout } = case;
        let (world, lie) = (&world, lies(id).swap_remove(*lie));
        let rule = Rule::on("envd", endpoint).in_sandbox(id).when(When::Nth(*nth)).action(lie.clone());
        let rule = world.simulator.faults.set(rule);
        async move {
            let what = format!("lie-{number}: the {nth}th {endpoint} answers {lie:?}");
            work(world, &format!("lie-{number}"), *checkout).await.with_context(|| what.clone())?;
            // How often a poll comes depends on the machine.
            ensure!(world.simulator.faults.hits(rule) == Some(1) || *nth > 1, "{what}: never told");
            Ok(())
        }
    });
    let failed: Vec<String> = join_all(ways)
        .await
        .into_iter()
        .filter_map(|way: Result<()>| way.err().map(|error| format!("{error:#}")))
        .collect();
    ensure!(failed.is_empty(), "{} of {} ways failed:\n{}", failed.len(), cases.len(), failed.join("\n\n"));
    let counters = world.simulator.e2b.counters();
    ensure!(usize::try_from(counters.creates)? == cases.len() + 2 && counters.deletes == 0, "{counters:?}");
    Ok(())
}
