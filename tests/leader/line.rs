//! One line per account of GitHub's: many Tasks of two namespaces write through one account, whose limits a change of leader must
//! not break, and another account waits for none of it. The stand-in punishes whoever exceeds its limits.

use crate::{
    controlplane::{ControlPlane, Options as PlaneOptions},
    replica::Replica,
    world::{Manifest, Options, PATIENCE, World, repository, task, within},
};
use anyhow::{Context as _, Result, ensure};
use jiff::SignedDuration;
use kube::{Api, api::ListParams};
use nix::sys::signal::Signal;
use serde_json::json;
use slipway::api::{State, Task};
use slipway_simulator::github::{AccountKind, ContentLimits, Token};
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// Tasks of one account, half of them in each namespace.
const TASKS: usize = 200;
/// Content-creating calls in any minute: fewer than the operator could make.
const PER_MINUTE: usize = 300;
/// By then all of them are in review: their 800 writes alone take close to three minutes.
const DEADLINE: Duration = Duration::from_secs(600);

async fn world() -> Result<World> {
    // A server of its own: this operator serves all namespaces.
    let crds = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("crds")];
    let plane = PlaneOptions { crds, controller_manager: false, ..PlaneOptions::default() };
    let plane: &'static ControlPlane = Box::leak(Box::new(ControlPlane::start(plane).await?));
    let environment = [
        ("SLIPWAY_NAMESPACE", ""),
        ("SLIPWAY_GITHUB_CONTENT_PER_MINUTE", &PER_MINUTE.to_string()),
        ("RUST_LOG", "info"),
    ];
    let options = Options {
        namespace: "line",
        operator: false,
        write_interval: "100ms",
        environment: environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        ..Options::default()
    };
    let world = World::start(plane, Path::new(env!("CARGO_BIN_EXE_slipway")), options).await?;
    let raised = world.simulator.e2b.set_concurrency_limit(slipway_simulator::e2b::TEAM, 2 * TASKS);
    ensure!(raised, "the stand-in knows the team");
    let github = &world.simulator.github;
    github.add_token(Token::personal("second-token", "slipway-bot"));
    github.add_account("other", AccountKind::User);
    github.add_token(Token::personal("other-token", "other"));
    github.set_content_limits(ContentLimits {
        windows: vec![(SignedDuration::from_mins(1), PER_MINUTE)],
        punishment: SignedDuration::from_mins(2),
    });
    Ok(world)
}

/// One Repository and `count` Tasks for it; how far they are.
struct Work {
    tasks: Api<Task>,
    repository: &'static str,
    count: usize,
}

impl Work {
    async fn apply(
        world: &World,
        namespace: &str,
        secret: &str,
        new: Manifest,
        count: usize,
    ) -> Result<Self> {
        let repository = if secret == "other" { "elsewhere" } else { "app" };
        let new = new.with("/spec/credentialsSecretRef/name", json!(secret));
        new.create(world.client.clone(), namespace).await?;
        for n in 0..count {
            let task = task(&format!("{repository}-{n}"), repository, &format!("echo {n} > file-{n}"));
            task.create(world.client.clone(), namespace).await?;
        }
        let tasks = Api::namespaced(world.client.clone(), namespace);
        Ok(Self { tasks, repository, count })
    }

    async fn all(&self) -> Result<Vec<Task>> {
        let tasks = self.tasks.list(&ListParams::default()).await?;
        Ok(tasks.items.into_iter().filter(|task| task.spec.repository_ref.name == self.repository).collect())
    }

    async fn in_review(&self) -> Result<usize> {
        let all = self.all().await?;
        let review = |task: &&Task| task.status.as_ref().is_some_and(|status| status.state == State::Review);
        Ok(all.iter().filter(review).count())
    }
}

/// What a Task says that waits for its turn.
fn waits(task: &Task) -> Option<String> {
    let ready = task.status.as_ref()?.conditions.iter().find(|condition| condition.type_ == "Ready")?;
    (ready.reason == "WaitingForGitHub").then(|| ready.message.clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_line_of_an_account_survives_its_leader_and_holds_up_no_other() -> Result<()> {
    let world = world().await?;
    let second = world.plane.namespace("second").await?;
    for (namespace, name, token) in
        [(&second, "github", "second-token"), (&world.namespace, "other", "other-token")]
    {
        Manifest::secret(name, "token", token).create(world.client.clone(), namespace).await?;
    }
    for (name, key, value) in [
        ("webhook", "secret", crate::world::WEBHOOK_SECRET),
        ("e2b", "apiKey", slipway_simulator::e2b::API_KEY),
    ] {
        Manifest::secret(name, key, value).create(world.client.clone(), &second).await?;
    }
    let leader = Replica::start(&world, "a").await?;
    leader.leads(&world).await?;
    let standby = Replica::start(&world, "b").await?;
    let half = TASKS / 2;
    let started = Instant::now();
    let one = Work::apply(&world, &world.namespace, "github", repository("app"), half).await?;
    let too = repository("app").with("/spec/name", json!("app-too"));
    let two = Work::apply(&world, &second, "github", too, half).await?;
    let apart = repository("elsewhere").with("/spec/owner", json!("other"));
    let other = Work::apply(&world, &world.namespace, "other", apart, 5).await?;

    let message = within(PATIENCE, "a Task that waits for its turn", || async {
        two.all().await.ok()?.iter().find_map(waits)
    });
    let message = message.await.with_context(|| leader.process.log_tail())?;
    ensure!(message.contains("place"), "{message}");
    within(PATIENCE, "the other account's pull requests", || async {
        (other.in_review().await.ok()? == other.count).then_some(())
    })
    .await
    .with_context(|| leader.process.log_tail())?;
    // How far the others are by then says how busy the machine is; that none of these has waited for a turn says whose line it is.
    let done = one.in_review().await? + two.in_review().await?;
    let waited = ["get", "events", "--field-selector=reason=WaitingForGitHub", "-o", "jsonpath={..name}"];
    let waited = world.kubectl(&waited).await?;
    ensure!(done < TASKS, "all others are in review by then");
    ensure!(!waited.contains("elsewhere"), "the other account has waited: {waited}");

    within(DEADLINE, "a third of the Tasks", || async {
        (one.in_review().await.ok()? + two.in_review().await.ok()? > TASKS / 3).then_some(())
    })
    .await?;
    leader.process.signal(Signal::SIGKILL)?;
    within(DEADLINE, "all Tasks in review", || async {
        (one.in_review().await.ok()? + two.in_review().await.ok()? == TASKS).then_some(())
    })
    .await
    .with_context(|| standby.process.log_tail())?;
    println!("{TASKS} Tasks in review after {:.0?}", started.elapsed());
    let violations = world.simulator.github.content_violations();
    ensure!(
        violations == 0,
        "{violations} calls exceeded the account's limits\n{}",
        standby.process.log_tail()
    );
    let made = [one.count, two.count, other.count].iter().sum::<usize>();
    let pulls = usize::try_from(world.simulator.github.counts().pulls_created)?;
    ensure!(pulls == made, "{pulls} pull requests for {made} Tasks");
    Ok(())
}
