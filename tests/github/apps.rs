//! The tokens of a GitHub App: for what they are bought, how long they are kept, and what their refusals mean.
//! Neighbours: `app_support` has the App, `app_work` what is done under it.

use crate::{
    app_support::{
        APP, AppWorld, INSTALLATION, all_permissions, app, create, permissions, ten_seconds_pass,
        time_passes, told,
    },
    support::fault,
};
use futures::{FutureExt as _, future::join_all};
use serde_json::json;
use slipway::{
    domain::failure::Class,
    github::{App, RepositoryName},
};
use slipway_simulator::{
    core::When,
    github::{AppManners, NewTokens, RepositorySelection, TestKey},
};
use std::{sync::Arc, time::Duration};

const GET_REF: &str = "GET /repos/{owner}/{repo}/git/ref/{ref}";

#[tokio::test]
async fn one_token_is_bought_for_all_who_wait_and_for_what_ordinary_work_needs() {
    let world = AppWorld::new();
    let clients: Vec<_> = (0..20).map(|_| world.client()).collect();
    let found = join_all(clients.iter().map(|client| client.get_branch_sha(&world.repository, "main"))).await;
    assert!(found.into_iter().all(|sha| sha.unwrap().is_some()));
    assert_eq!(world.bought(), 1);
    let granted = json!({"contents": "write", "metadata": "read", "pull_requests": "write"});
    assert_eq!(
        (&world.newest()["permissions"], &world.newest()["repositories"]),
        (&granted, &json!(["app"]))
    );
    // The answer named the repository's id: the token is its own under that too.
    let source = slipway::github::AppSource { id: Some(world.id), ..world.source(app(TestKey::One)) };
    world.github.app(source.clone()).get_repository_by_id(world.id).await.unwrap().unwrap();
    assert_eq!(world.bought(), 1);
    // Whoever stops waiting leaves his turn to the next.
    time_passes(Duration::from_mins(56)).await;
    let (held, client) =
        (world.simulator.faults.set(fault(crate::app_support::MINT).delay_ms(300)), world.client());
    let gave_up =
        tokio::time::timeout(Duration::from_millis(50), client.get_branch_sha(&world.repository, "main"));
    let (gave_up, other) = tokio::join!(gave_up, client.get_branch_sha(&world.repository, "main"));
    assert!(gave_up.is_err() && other.unwrap().is_some());
    world.simulator.faults.remove(held);
}

#[tokio::test]
async fn a_token_is_kept_its_hour_but_for_five_minutes() {
    let world = AppWorld::new();
    let client = world.client();
    for (minutes, bought) in [(0, 1), (54, 1), (2, 2), (53, 2)] {
        time_passes(Duration::from_mins(minutes)).await;
        client.get_branch_sha(&world.repository, "main").await.unwrap();
        assert_eq!(world.bought(), bought, "after {minutes} min more");
    }
}

#[tokio::test]
async fn what_a_new_token_is_refused_passes_and_costs_no_other() {
    for status in [401, 403] {
        let world = AppWorld::new();
        let new_tokens = NewTokens { status, calls: 2, ..NewTokens::default() };
        world.simulator.github.set_app_manners(AppManners { new_tokens, ..AppManners::default() });
        for _ in 0..2 {
            let (class, reason, _) = told(world.client().get_branch_sha(&world.repository, "main").await);
            assert_eq!((class, reason), (Class::Transient, "NotVisibleYet"), "{status}");
        }
        world.client().get_branch_sha(&world.repository, "main").await.unwrap();
        assert_eq!(world.bought(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_token_that_github_does_not_know_any_more_is_bought_anew_once() {
    let world = AppWorld::new();
    let client = world.client();
    client.get_branch_sha(&world.repository, "main").await.unwrap();
    ten_seconds_pass().await;
    world.simulator.faults.set(fault(GET_REF).when(When::Next(1)).status(401, "Bad credentials"));
    assert!(client.get_branch_sha(&world.repository, "main").await.unwrap().is_some(), "nobody notices");
    assert_eq!(world.bought(), 2);
    world.simulator.faults.set(fault(GET_REF).when(When::Next(1)).status(401, "Bad credentials"));
    let (class, reason, _) = told(client.get_branch_sha(&world.repository, "main").await);
    assert_eq!((class, reason), (Class::Transient, "NotVisibleYet"), "the other one is new");
    assert_eq!(world.bought(), 2);
}

#[tokio::test]
async fn whoever_has_not_the_key_is_not_given_what_another_was_answered() {
    let world = AppWorld::new();
    world.client().get_branch_sha(&world.repository, "main").await.unwrap();
    let other = world.github.app(world.source(app(TestKey::Two)));
    let (class, reason, message) = told(other.get_branch_sha(&world.repository, "main").await);
    assert_eq!((class, reason), (Class::Denied, "BadCredentials"));
    assert!(message.contains("privateKey") && !message.contains("BEGIN"), "{message}");
}

#[tokio::test]
async fn a_rotated_key_is_read_once_more_where_github_does_not_take_the_old_one() {
    let world = AppWorld::new();
    world.simulator.github.set_app_keys(APP, vec![TestKey::Two.public_pem()]).unwrap();
    let mut source = world.source(app(TestKey::One));
    let stale = world.github.app(source.clone());
    source.again = Arc::new(|| async { Some(app(TestKey::Two)) }.boxed());
    let rotated = world.github.app(source);
    assert!(rotated.get_branch_sha(&world.repository, "main").await.unwrap().is_some());
    let head = rotated.get_branch_sha(&world.repository, "main").await.unwrap().unwrap();
    assert_eq!(rotated.get_checks(&world.repository, &head).await.unwrap(), []);
    assert_eq!(world.bought(), 4, "with the old key once");
    // The old key opens nothing, although its owner has shown the new one.
    assert_eq!(told(stale.get_branch_sha(&world.repository, "main").await).1, "BadCredentials");
}

#[tokio::test]
async fn each_refusal_of_a_token_has_its_reason_and_its_cure() {
    let world = AppWorld::new();
    let github = world.simulator.github.clone();
    let look = async |app: App| {
        told(world.github.app(world.source(app)).get_branch_sha(&world.repository, "main").await)
    };
    let one = || app(TestKey::One);
    let (class, reason, message) = look(App { id: 7, ..one() }).await;
    assert_eq!((class, reason), (Class::Denied, "BadCredentials"));
    assert!(message.contains("appID"), "{message}");
    let (class, reason, message) = look(App { installation: 7, ..one() }).await;
    assert_eq!((class, reason), (Class::Denied, "InstallationNotFound"));
    assert!(message.contains("installationID"), "{message}");
    let (class, reason, message) = look(App { key: "sesame".into(), ..one() }).await;
    assert_eq!((class, reason), (Class::Invalid, "CredentialsInvalid"));
    assert!(message.contains("not a private key") && !message.contains("sesame"), "{message}");

    github.grant(INSTALLATION, permissions(&[("contents", "write")])).unwrap();
    let (class, reason, message) = look(one()).await;
    assert_eq!((class, reason), (Class::Denied, "PermissionMissing"));
    assert!(message.contains("\"Contents: write\" and \"Pull requests: write\""), "{message}");
    github.grant(INSTALLATION, all_permissions()).unwrap();
    github.suspend_installation(INSTALLATION, true).unwrap();
    assert_eq!(look(one()).await.1, "InstallationSuspended");
    github.suspend_installation(INSTALLATION, false).unwrap();
    create(&world.simulator, "other");
    github.select_repositories(INSTALLATION, RepositorySelection::Selected, &["other".to_owned()]).unwrap();
    let (class, reason, message) = look(one()).await;
    assert_eq!((class, reason), (Class::NotFound, "RepositoryNotInInstallation"));
    assert!(message.contains("acme/app") && message.contains("Configure"), "{message}");
    for (skew_seconds, far) in [(3600, "GitHub's is 60 min ahead"), (-600, "GitHub's is 10 min behind")] {
        github.set_app_manners(AppManners { skew_seconds, ..AppManners::default() });
        let (class, reason, message) = look(one()).await;
        assert_eq!((class, reason), (Class::Denied, "ClockSkewed"), "{message}");
        assert!(message.contains(far), "{message}");
    }
}

#[tokio::test]
async fn a_suspended_installation_is_named_on_every_call_and_limits_are_its_own() {
    let world = AppWorld::new();
    let client = world.client();
    client.get_branch_sha(&world.repository, "main").await.unwrap();
    world.simulator.github.suspend_installation(INSTALLATION, true).unwrap();
    assert_eq!(told(client.get_branch_sha(&world.repository, "main").await).1, "InstallationSuspended");
    world.simulator.github.suspend_installation(INSTALLATION, false).unwrap();
    let reset = world.simulator.clock.now() + Duration::from_mins(5);
    world.simulator.github.set_installation_rate_limit(INSTALLATION, 0, reset);
    assert_eq!(told(client.get_branch_sha(&world.repository, "main").await).1, "RateLimited");
    // Another token of the same installation is bound too, and nothing is sent with it.
    let before = world.simulator.calls.count(|call| call.api == "github");
    assert_eq!(told(client.get_checks(&world.repository, "main").await).1, "RateLimited");
    let sent = world.simulator.calls.count(|call| call.api == "github") - before;
    assert_eq!(sent, 1, "the buying of the token, which has limits of its own");
    let elsewhere = RepositoryName::new("acme", "app");
    assert_eq!(told(world.client().get_branch_sha(&elsewhere, "main").await).1, "RateLimited");
}
