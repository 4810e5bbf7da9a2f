//! Branches are deleted by GraphQL, which no path of a call leads: whoever has the repository's name by now, it is the repository's own
//! branch that goes.

use crate::support::{USER, World, git};
use http::Method;
use serde_json::json;
use slipway::{domain::failure::Class, github::DeletedBranch};
use slipway_simulator::github::Token;

const BRANCH: &str = "task/a";

/// A repository that was renamed, and another that has its name and a copy of the branch: the id of the one, and the commit.
fn copied(world: &World) -> (u64, String) {
    let (github, full) = (&world.simulator.github, world.full_name());
    let shown = github.act("reviewer", &Method::GET, &format!("/repos/{full}"), json!({})).unwrap();
    let sha = world.push(BRANCH, &[("a", Some("1"))]);
    github.rename(&full, "old").unwrap();
    world.create("app", false);
    let copy = github.git_dir(&full).unwrap();
    git(&github.git_dir(&format!("{USER}/old")).unwrap(), &["push", "-q", copy.to_str().unwrap(), BRANCH]);
    (shown["id"].as_u64().unwrap(), sha)
}

/// The tips of the branch in the renamed repository and in the one that has its name.
fn tips(world: &World) -> (Option<String>, Option<String>) {
    let tip = |name: &str| world.simulator.github.branch(&format!("{USER}/{name}"), BRANCH);
    (tip("old"), tip("app"))
}

#[tokio::test]
async fn a_branch_is_deleted_in_the_repository_itself_and_not_in_a_copy_that_has_its_name() {
    let world = World::new();
    let (id, sha) = copied(&world);
    let client = world.client.clone().of_repository(Some(id));
    let today = client.name_of_today(&world.repository).await.unwrap();
    assert_eq!(today.to_string(), format!("{USER}/old"));
    let deleted = client.delete_branch_at(&world.repository, BRANCH, &sha).await.unwrap();
    assert_eq!((deleted, tips(&world)), (DeletedBranch::Deleted, (None, Some(sha))));
}

#[tokio::test]
async fn a_name_that_was_just_read_and_is_anothers_now_is_asked_for_again() {
    let world = World::new();
    world.client.get_repository(&world.repository).await.unwrap();
    let (id, sha) = copied(&world);
    let client = world.client.clone().of_repository(Some(id));
    let failure = client.delete_branch_at(&world.repository, BRANCH, &sha).await.unwrap_err();
    assert_eq!((failure.class, failure.reason), (Class::Transient, "RepositoryGone"));
    assert_eq!(tips(&world), (Some(sha.clone()), Some(sha)));
}

#[tokio::test]
async fn nothing_is_deleted_where_the_repository_itself_is_gone() {
    let world = World::new();
    let (id, sha) = copied(&world);
    world.simulator.github.delete_repository(&format!("{USER}/old")).unwrap();
    let client = world.client.clone().of_repository(Some(id));
    let failure = client.delete_branch_at(&world.repository, BRANCH, &sha).await.unwrap_err();
    assert_eq!((failure.class, failure.reason), (Class::NotFound, "RepositoryGone"));
    assert_eq!(tips(&world), (None, Some(sha.clone())));
    // Under a token that was told nothing yet, the same.
    world.simulator.github.add_token(Token::personal("second", USER));
    let client = world.client_of("second").of_repository(Some(id));
    assert!(client.delete_branch_at(&world.repository, BRANCH, &sha).await.is_err());
    assert_eq!(tips(&world).1, Some(sha));
}
