//! Repositories under a GitHub App: found, created, renamed, and out of its reach.
//! Neighbours: `app_support` has the App, `apps` its tokens.

use crate::app_support::{APP, AppWorld, INSTALLATION, app, ten_seconds_pass, told};
use serde_json::json;
use slipway::{
    domain::failure::Class,
    github::{App, AppSource, CreateRepository, RepositoryName},
};
use slipway_simulator::github::{AccountKind, Installation, NewRepository, RepositorySelection, TestKey};

fn private() -> CreateRepository {
    CreateRepository { private: true, description: None, auto_init: true }
}

#[tokio::test]
async fn an_app_creates_repositories_in_organizations_alone() {
    let world = AppWorld::new();
    let new = RepositoryName::new("acme", "new");
    let client = world.client_of(&new);
    assert_eq!(told(client.get_repository(&new).await).1, "RepositoryNotInInstallation");
    let made = client.create_repository(&new, &private()).await.unwrap();
    assert_eq!((made.full_name.as_str(), made.private), ("acme/new", true));
    assert_eq!(world.newest()["repositories"], json!(null), "it could not be named");
    assert_eq!(world.newest()["permissions"], json!({"administration": "write", "metadata": "read"}));
    assert_eq!(client.get_repository(&new).await.unwrap().unwrap().id, made.id);
    // One that exists already and is not the installation's can't be seen, and is not made twice.
    let taken = RepositoryName::new("acme", "app");
    world
        .simulator
        .github
        .select_repositories(INSTALLATION, RepositorySelection::Selected, &["new".to_owned()])
        .unwrap();
    let refused = told(world.client_of(&taken).create_repository(&taken, &private()).await);
    assert_eq!((refused.0, refused.1), (Class::Denied, "ExistsButNotVisible"));
    assert!(refused.2.contains("give the installation access"), "{}", refused.2);
    let (class, reason, message) =
        told(client.create_repository(&RepositoryName::new("reviewer", "x"), &private()).await);
    assert_eq!((class, reason), (Class::Denied, "OwnerNotUsable"));
    assert!(message.contains("organizations alone"), "{message}");
}

/// The redirect of the old name ends where another repository takes it.
#[tokio::test]
async fn a_renamed_repository_is_found_by_its_redirect_and_not_made_a_second_time() {
    let world = AppWorld::new();
    world.simulator.github.rename("acme/app", "renamed").unwrap();
    let client = world.client();
    let (class, reason, message) = told(client.get_repository(&world.repository).await);
    assert_eq!((class, reason), (Class::NotFound, "RepositoryNotInInstallation"));
    assert!(message.contains("renamed make a Repository with its new name"), "{message}");
    let found = client.create_repository(&world.repository, &private()).await.unwrap();
    assert_eq!((found.id, found.full_name.as_str()), (world.id, "acme/renamed"));
    assert_eq!(world.simulator.github.counts().repositories_created, 1, "the one that the test began with");
    assert_eq!(world.newest()["permissions"], json!({"metadata": "read"}), "nothing else was needed");
}

#[tokio::test]
async fn a_token_that_may_create_is_bought_for_each_creation_and_kept_for_none() {
    let world = AppWorld::new();
    for name in ["one", "two"] {
        let new = RepositoryName::new("acme", name);
        world.client_of(&new).create_repository(&new, &private()).await.unwrap();
    }
    let minted = world.simulator.github.minted(INSTALLATION);
    let may: Vec<_> = minted.iter().map(|token| token["permissions"].clone()).collect();
    let (look, create) =
        (json!({"metadata": "read"}), json!({"administration": "write", "metadata": "read"}));
    assert_eq!(may, [look, create.clone(), create]);
}

#[tokio::test]
async fn one_that_was_seen_and_is_not_the_installations_any_more_is_gone_and_not_to_be_created() {
    let world = AppWorld::new();
    let known = AppSource { id: Some(world.id), ..world.source(app(TestKey::One)) };
    world.simulator.github.delete_repository("acme/app").unwrap();
    let (class, reason, message) = told(world.github.app(known).get_repository_by_id(world.id).await);
    assert_eq!((class, reason), (Class::NotFound, "RepositoryGone"));
    assert!(message.contains("new owner's installation") && !message.contains("createPolicy"), "{message}");
}

/// A token is bought by the repository's name without its owner's: that of a fork is given as readily.
#[tokio::test]
async fn the_installation_of_a_fork_is_not_taken_for_that_of_the_repository() {
    let world = AppWorld::new();
    let github = &world.simulator.github;
    github.add_account("dev", AccountKind::User);
    let fork = NewRepository { owner: "dev".into(), name: "app".into(), ..NewRepository::default() };
    github.create_repository(&fork).unwrap();
    let installation = Installation { id: 7, app_id: APP, account: "dev".into(), ..Installation::default() };
    github.install(&installation).unwrap();
    let of_fork = App { installation: 7, ..app(TestKey::One) };
    let look = async || {
        told(world.github.app(world.source(of_fork.clone())).get_repository(&world.repository).await)
    };
    // What is private is hidden from it, as it is from a new token at first.
    assert_eq!(look().await.1, "NotVisibleYet");
    ten_seconds_pass().await;
    for hidden in [true, false] {
        if !hidden {
            let (method, public) = (http::Method::PATCH, json!({"private": false}));
            github.act("reviewer", &method, "/repos/acme/app", public).unwrap();
        }
        let (class, reason, message) = look().await;
        assert_eq!((class, reason), (Class::Denied, "InstallationNotFound"), "{message}");
        assert!(message.contains("another account") && message.contains("on acme"), "{message}");
    }
}
