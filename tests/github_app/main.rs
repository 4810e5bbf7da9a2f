//! The operator under a GitHub App, on a real API server: nobody has a token of his own anywhere.
//! `tests/github` has an App's tokens one by one; here are the ways that a user sees.

#[path = "../controlplane/mod.rs"]
mod controlplane;
mod faults;
mod story;
#[path = "../world/mod.rs"]
mod world;

use anyhow::{Context as _, Result, anyhow};
use serde_json::json;
use slipway::api::Repository;
use slipway_simulator::github::{
    self, App, Installation, NewRepository, Permissions, RepositorySelection, TestKey,
};
use std::path::Path;
use world::{Manifest, Options, World};

const APP: u64 = 4_551_400;
const INSTALLATION: u64 = 152_995;

/// A world whose GitHub takes the tokens of the App alone, which is installed on `acme` for some repositories.
async fn world(namespace: &'static str, enterprise: bool) -> Result<World> {
    let settings = github::Settings { enterprise, ..github::Settings::default() };
    let github = github::Options { tokens: Vec::new(), settings, ..github::Options::default() };
    let simulator = slipway_simulator::Options { github, ..slipway_simulator::Options::default() };
    let options =
        Options { namespace, simulator, operator: false, manages_webhooks: true, ..Options::default() };
    let plane = controlplane::shared().await;
    let mut world = World::start(plane, Path::new(env!("CARGO_BIN_EXE_slipway")), options).await?;
    let app = App {
        id: APP,
        slug: "slipway".into(),
        public_keys: vec![TestKey::One.public_pem()],
        permissions: permissions(),
    };
    world.simulator.github.add_app(app).map_err(refused)?;
    let installation = Installation {
        id: INSTALLATION,
        app_id: APP,
        account: "acme".into(),
        repository_selection: RepositorySelection::Selected,
        ..Installation::default()
    };
    world.simulator.github.install(&installation).map_err(refused)?;
    world.apply(&secret(TestKey::One)).await?;
    world.start_controller()?;
    world.start_receiver().await?;
    Ok(world)
}

/// What the operator may need of an App.
fn permissions() -> Permissions {
    let all = [
        "administration",
        "checks",
        "contents",
        "pull_requests",
        "repository_hooks",
        "statuses",
        "workflows",
    ];
    all.map(|name| (name.to_owned(), "write".to_owned())).into()
}

/// What the stand-in says to a person.
#[allow(clippy::needless_pass_by_value, reason = "map_err passes it by value")]
fn refused(refused: github::Refused) -> anyhow::Error {
    anyhow!("the stand-in refused: {refused:?}")
}

/// The Secret with the App's keys.
fn secret(key: TestKey) -> Manifest {
    Manifest::secret("app", "appID", &APP.to_string())
        .with("/stringData/installationID", INSTALLATION.to_string().into())
        .with("/stringData/privateKey", key.private_pkcs1_pem().into())
}

/// A Repository `acme/<name>` under the App.
fn repository(name: &str) -> Manifest {
    world::repository(name).with("/spec/credentialsSecretRef/name", json!("app"))
}

/// A private repository that its owner has made, with a first commit.
fn at_github(world: &World, name: &str) -> Result<()> {
    let new = NewRepository { owner: "acme".into(), name: name.into(), private: true, ..Default::default() };
    world.simulator.github.create_repository(&new).map(drop).map_err(refused)
}

/// Lets the installation have these repositories and no others.
fn select(world: &World, names: &[&str]) -> Result<()> {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let selected = RepositorySelection::Selected;
    world.simulator.github.select_repositories(INSTALLATION, selected, &names).map_err(refused)
}

/// Waits for a reason of the Repository's `Ready`; its message.
async fn because(world: &World, name: &str, reason: &'static str) -> Result<String> {
    let ready = |repository: &Repository| {
        let conditions = &repository.status.as_ref()?.conditions;
        conditions.iter().find(|condition| condition.type_ == "Ready").cloned()
    };
    let holds = move |repository: &Repository| ready(repository).is_some_and(|ready| ready.reason == reason);
    let repository = world.repository(name, reason, holds).await?;
    Ok(ready(&repository).context("Ready")?.message)
}

/// Somebody asks to look at the Repository again.
async fn again(world: &World, name: &str, value: &str) -> Result<()> {
    let annotation = format!("slipway.dev/reconcile={value}");
    world.kubectl(&["annotate", "--overwrite", "swrepo", name, &annotation]).await.map(drop)
}
