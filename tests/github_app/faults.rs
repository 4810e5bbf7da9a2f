//! What can be wrong with an App, each with its reason and its cure, and the ways back.
//! One installation, a Repository per fault.

use crate::{
    APP, INSTALLATION, again, at_github, because, permissions, refused, repository, secret, select, world,
};
use anyhow::{Result, ensure};
use slipway_simulator::github::{AppManners, NewTokens, TestKey};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repository_comes_back_from_what_is_wrong_with_its_installation() -> Result<()> {
    let world = world("app-faults", false).await?;
    let github = &world.simulator.github;
    for name in ["fresh", "hidden", "poor"] {
        at_github(&world, name)?;
    }
    select(&world, &["fresh"])?;
    // A new token is not known everywhere at once.
    let new_tokens = NewTokens { status: 403, calls: 2, ..NewTokens::default() };
    github.set_app_manners(AppManners { new_tokens, ..AppManners::default() });
    world.apply(&repository("fresh").without("createPolicy")).await?;
    because(&world, "fresh", "Synced").await?;
    github.set_app_manners(AppManners::default());

    world.apply(&repository("hidden").without("createPolicy")).await?;
    let message = because(&world, "hidden", "RepositoryNotInInstallation").await?;
    ensure!(message.contains("acme/hidden") && message.contains("Configure"), "{message}");
    select(&world, &["fresh", "hidden", "poor"])?;
    again(&world, "hidden", "selected").await?;
    because(&world, "hidden", "Synced").await?;

    let mut granted = permissions();
    granted.remove("pull_requests");
    github.grant(INSTALLATION, granted).map_err(refused)?;
    world.apply(&repository("poor").without("createPolicy")).await?;
    let message = because(&world, "poor", "PermissionMissing").await?;
    ensure!(message.contains("\"Pull requests: write\"") && message.contains("accept"), "{message}");
    github.grant(INSTALLATION, permissions()).map_err(refused)?;
    again(&world, "poor", "accepted").await?;
    because(&world, "poor", "Synced").await?;

    github.suspend_installation(INSTALLATION, true).map_err(refused)?;
    again(&world, "fresh", "suspended").await?;
    let message = because(&world, "fresh", "InstallationSuspended").await?;
    ensure!(message.contains("suspended"), "{message}");
    github.suspend_installation(INSTALLATION, false).map_err(refused)?;
    again(&world, "fresh", "lifted").await?;
    because(&world, "fresh", "Synced").await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_rotated_without_a_gap_and_a_wrong_one_is_named() -> Result<()> {
    let world = world("app-rotation", false).await?;
    let github = &world.simulator.github;
    for name in ["before", "after", "late"] {
        at_github(&world, name)?;
    }
    select(&world, &["before", "after", "late"])?;
    world.apply(&repository("before").without("createPolicy")).await?;
    because(&world, "before", "Synced").await?;
    // The operator has just read the old key: it reads the Secret once more when GitHub does not take that.
    secret(TestKey::Two).patch(world.client.clone(), &world.namespace).await?;
    github.set_app_keys(APP, vec![TestKey::Two.public_pem()]).map_err(refused)?;
    world.apply(&repository("after").without("createPolicy")).await?;
    because(&world, "after", "Synced").await?;
    let refusals = |text: &str| text.matches("github call failed").count();
    ensure!(refusals(&world.controller_log()) <= 1, "{}", world.logs());

    // Now nobody has a key that GitHub takes.
    github.set_app_keys(APP, vec![TestKey::One.public_pem()]).map_err(refused)?;
    world.apply(&repository("late").without("createPolicy")).await?;
    let message = because(&world, "late", "BadCredentials").await?;
    ensure!(message.contains("privateKey") && !message.contains("BEGIN"), "{message}");
    secret(TestKey::One).patch(world.client.clone(), &world.namespace).await?;
    again(&world, "late", "corrected").await?;
    because(&world, "late", "Synced").await.map(drop)
}
