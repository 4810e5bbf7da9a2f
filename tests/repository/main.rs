//! Repositories on a real API server, by the real binary, against the GitHub stand-in.
//! Neighbours: `process` (starts, crashes, signals), `retries` (every status code of the policy), `sync` (lost deliveries, settled objects), `support`.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails its test")]

#[path = "../controlplane/mod.rs"]
mod controlplane;
mod process;
mod retries;
mod support;
mod sync;

use anyhow::Result;
use serde_json::json;
use slipway_simulator::github::NewRepository;
use support::{GET_REPOSITORY, OWNER, World, has, ready};

#[tokio::test]
async fn created_if_missing_and_only_once() -> Result<()> {
    let world = World::new("create").await?;
    world.token().await?;
    let create = json!({"private": true, "description": "made by a test"});
    world.repository("fresh", json!({"createPolicy": "IfMissing", "create": create})).await?;
    let status = world.repository_with("fresh", "Synced").await?;
    assert_eq!(status.full_name.as_deref(), Some("slipway-bot/fresh"));
    assert_eq!(status.default_branch.as_deref(), Some("main"));
    assert!(status.repository_id.is_some() && status.owner_id.is_some() && status.html_url.is_some());
    assert!(status.retry.is_none() && !has(&status, "Reconciling") && !has(&status, "Stalled"));
    assert_eq!(ready(&status).unwrap().2, "slipway-bot/fresh, pull requests go to main");
    let creates = world.sim.calls.of("github", "POST /user/repos");
    assert_eq!(creates.len(), 1);
    world.sim.github.delete_repository("slipway-bot/fresh")?;
    world.annotate("fresh", "1").await?;
    let status = world.repository_with("fresh", "RepositoryGone").await?;
    assert!(has(&status, "Reconciling"), "it is looked for again before a person is asked");
    assert_eq!(world.sim.calls.of("github", "POST /user/repos").len(), 1, "never created again");
    Ok(())
}

#[tokio::test]
async fn an_empty_repository_is_ready_and_says_what_is_missing() -> Result<()> {
    let world = World::new("empty").await?;
    world.token().await?;
    let new =
        NewRepository { owner: OWNER.into(), name: "bare".into(), empty: true, ..NewRepository::default() };
    world.sim.github.create_repository(&new)?;
    world.repository("bare", json!({})).await?;
    let status = world.repository_with("bare", "Synced").await?;
    assert!(ready(&status).unwrap().2.contains("is empty: push a first commit"), "{status:#?}");
    world.at_github("other")?;
    world.repository("other", json!({"baseBranch": "develop"})).await?;
    let status = world.repository_with("other", "Synced").await?;
    assert!(ready(&status).unwrap().2.contains("has no branch develop"), "{status:#?}");
    Ok(())
}

#[tokio::test]
async fn a_renamed_repository_is_followed_by_its_id() -> Result<()> {
    let world = World::new("rename").await?;
    world.token().await?;
    let id = world.at_github("before")?;
    world.repository("before", json!({})).await?;
    world.repository_with("before", "Synced").await?;
    world.sim.github.rename("slipway-bot/before", "after")?;
    // Another one takes the name: it must not be taken for ours.
    world.at_github("before")?;
    world.annotate("before", "1").await?;
    let renamed =
        |status: &slipway::api::RepositoryStatus| status.full_name.as_deref() == Some("slipway-bot/after");
    let status = world.repository_when("before", "renamed", renamed).await?;
    assert_eq!(status.repository_id, Some(id));
    assert!(ready(&status).unwrap().0);
    Ok(())
}

#[tokio::test]
async fn a_missing_repository_and_an_archived_one_say_what_to_do() -> Result<()> {
    let world = World::new("missing").await?;
    world.token().await?;
    world.repository("nowhere", json!({})).await?;
    let status = world.repository_with("nowhere", "RepositoryNotFound").await?;
    assert!(has(&status, "Reconciling"), "it may still come");
    assert!(ready(&status).unwrap().2.contains("createPolicy: IfMissing"));
    world.at_github("old")?;
    world.sim.github.archive("slipway-bot/old", true)?;
    world.repository("old", json!({})).await?;
    let status = world.repository_with("old", "RepositoryArchived").await?;
    assert!(has(&status, "Stalled") && ready(&status).unwrap().2.contains("unarchive it"));
    Ok(())
}

#[tokio::test]
async fn a_secret_may_arrive_later() -> Result<()> {
    let world = World::new("later").await?;
    world.at_github("early")?;
    world.repository("early", json!({})).await?;
    let status = world.repository_with("early", "SecretNotFound").await?;
    assert!(has(&status, "Reconciling") && !has(&status, "Stalled"));
    assert!(ready(&status).unwrap().2.contains("Secret github does not exist"));
    world.token().await?;
    let status = world.repository_with("early", "Synced").await?;
    assert!(status.retry.is_none());
    Ok(())
}

#[tokio::test]
async fn a_wrong_token_stalls_at_once_and_a_corrected_one_cures_it() -> Result<()> {
    let world = World::new("denied").await?;
    world.at_github("locked")?;
    world.secret("github", &[("token", "ghp_wrong")]).await?;
    world.repository("locked", json!({})).await?;
    let status = world.repository_with("locked", "BadCredentials").await?;
    assert!(has(&status, "Stalled"));
    assert!(ready(&status).unwrap().2.contains("credentialsSecretRef"));
    assert_eq!(world.sim.calls.of("github", GET_REPOSITORY).len(), 1, "a retry can't cure it");
    world.token().await?;
    world.annotate("locked", "fixed").await?;
    let status = world.repository_with("locked", "Synced").await?;
    assert_eq!(status.observed_reconcile.as_deref(), Some("fixed"));
    assert!(!world.operator.log().contains("ghp_wrong"), "a token in the log");
    Ok(())
}

#[tokio::test]
async fn secrets_without_credentials_say_why() -> Result<()> {
    let world = World::new("secrets").await?;
    let app = [("appID", "1"), ("installationID", "2"), ("privateKey", "-----BEGIN")];
    world.secret("github", &app).await?;
    world.repository("app", json!({})).await?;
    let status = world.repository_with("app", "CredentialsInvalid").await?;
    assert!(has(&status, "Stalled") && ready(&status).unwrap().2.contains("is not a private key in PEM"));
    world.secret("odd", &[("password", "x"), ("token", "")]).await?;
    world.repository("odd", json!({"credentialsSecretRef": {"name": "odd"}})).await?;
    let status = world.repository_with("odd", "CredentialsInvalid").await?;
    assert!(
        has(&status, "Stalled") && ready(&status).unwrap().2.contains("key token of Secret odd is empty")
    );
    assert_eq!(world.sim.calls.all().len(), 0);
    Ok(())
}

#[tokio::test]
async fn a_suspended_repository_calls_nobody() -> Result<()> {
    let world = World::new("suspend").await?;
    world.token().await?;
    world.at_github("quiet")?;
    world.repository("quiet", json!({"suspend": true})).await?;
    let status = world.repository_with("quiet", "Suspended").await?;
    assert!(ready(&status).unwrap().0);
    assert_eq!(world.sim.calls.all().len(), 0);
    world.patch_spec("quiet", json!({"suspend": false})).await?;
    world.repository_with("quiet", "Synced").await?;
    Ok(())
}
