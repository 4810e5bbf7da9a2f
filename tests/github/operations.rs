//! Every operation, its success and the states it can answer.

use crate::support::{TOKEN, USER, World, author};
use slipway::{
    domain::failure::Class,
    github::{
        CheckState, CreateRepository, CreatedPull, CreatedRef, DeletedBranch, MergeMethod, Merged, NewCommit,
        NewPull, Pull, PullState, RepositoryName, TreeContent, TreeEntry, UpdatedPulls, UpdatedRef,
    },
    telemetry::{Attempt, ObjectLabel, Pass, in_pass},
};
use slipway_simulator::{Options, core::Call, github::Settings};
use std::time::Duration;

fn new_pull(head: &str) -> NewPull {
    NewPull { title: "A".into(), head: head.into(), base: "main".into(), body: "why".into(), draft: false }
}

async fn open(world: &World, branch: &str) -> Pull {
    world.push(branch, &[(branch, Some("x"))]);
    match world.client.create_pull(&world.repository, &new_pull(branch)).await.unwrap() {
        CreatedPull::Created(pull) => *pull,
        CreatedPull::AlreadyExists => panic!("it is the first"),
    }
}

#[tokio::test]
async fn a_repository_is_created_for_the_user_and_for_an_organisation() {
    let world = World::new();
    let create = CreateRepository { private: true, description: Some("d".into()), auto_init: true };
    for owner in [USER, "acme"] {
        let name = RepositoryName::new(owner, "fresh");
        assert_eq!(world.client.get_repository(&name).await.unwrap(), None);
        let created = world.client.create_repository(&name, &create).await.unwrap();
        assert_eq!(created.full_name, name.to_string());
        assert!(created.private);
        let found = world.client.get_repository(&name).await.unwrap();
        assert_eq!(found.as_ref(), Some(&created));
        // Once more, as after a lost answer: the same one, nothing new.
        assert_eq!(world.client.create_repository(&name, &create).await.unwrap(), created);
    }
}

#[tokio::test]
async fn an_owner_who_is_neither_the_user_nor_an_organisation_is_named_with_the_cure() {
    let world = World::new();
    let error = world
        .client
        .create_repository(&RepositoryName::new("reviewer", "x"), &CreateRepository::default())
        .await
        .unwrap_err();
    assert_eq!((error.class, error.reason), (Class::Denied, "OwnerNotUsable"));
    assert!(error.message.contains("spec.owner"), "{}", error.message);
}

#[tokio::test]
async fn an_unchanged_repository_costs_no_rate_limit() {
    let world = World::new();
    let first = world.client.get_repository(&world.repository).await.unwrap();
    let second = world.client.get_repository(&world.repository).await.unwrap();
    assert_eq!(first, second);
    let statuses: Vec<Option<u16>> = world
        .simulator
        .calls
        .of("github", "GET /repos/{owner}/{repo}")
        .iter()
        .map(slipway_simulator::core::Call::status)
        .collect();
    assert_eq!(statuses, [Some(200), Some(304)]);
}

#[tokio::test]
async fn a_renamed_repository_is_followed_by_its_id_and_by_nothing_else() {
    let world = World::new();
    let before = world.client.get_repository(&world.repository).await.unwrap().unwrap();
    world.simulator.github.rename(&world.full_name(), "renamed").unwrap();
    let after = world.client.get_repository(&world.repository).await.unwrap().unwrap();
    assert_eq!((after.id, after.full_name.as_str()), (before.id, "slipway-bot/renamed"));
    assert_eq!(world.client.get_repository_by_id(before.id).await.unwrap(), Some(after));
    let error = world.client.get_branch_sha(&world.repository, "main").await.unwrap_err();
    assert_eq!((error.class, error.reason), (Class::Transient, "RepositoryMoved"));
}

#[tokio::test]
async fn git_objects_go_up_and_come_back() {
    let world = World::new();
    let (client, repository) = (&world.client, &world.repository);
    let base = world.tip().await;
    let blob = client.create_blob(repository, "file", &[0, 159, 146, 150]).await.unwrap();
    assert!(client.blob_exists(repository, &blob).await.unwrap());
    assert!(!client.blob_exists(repository, &"0".repeat(40)).await.unwrap());
    let entries = [
        TreeEntry {
            path: "bin/run".into(),
            mode: "100755".into(),
            content: TreeContent::Inline("#!/bin/sh\n".into()),
        },
        TreeEntry { path: "data".into(), mode: "100644".into(), content: TreeContent::Object(blob.clone()) },
        TreeEntry { path: "README.md".into(), mode: "100644".into(), content: TreeContent::Delete },
    ];
    let tree = client.create_tree(repository, Some(&base), &entries).await.unwrap();
    let listed = client.get_tree(repository, &tree, true).await.unwrap();
    let paths: Vec<(&str, &str)> =
        listed.entries.iter().map(|e| (e.path.as_str(), e.mode.as_str())).collect();
    assert_eq!(paths, [("bin", "040000"), ("bin/run", "100755"), ("data", "100644")]);
    let date = "2026-01-02T03:04:05.678Z".parse().unwrap();
    let new = NewCommit {
        message: "m\n".into(),
        tree: tree.clone(),
        parents: vec![base.clone()],
        author: Some(author()),
        date,
    };
    let commit = client.create_commit(repository, &new).await.unwrap();
    assert_eq!(client.create_commit(repository, &new).await.unwrap().sha, commit.sha);
    let found = client.get_commit(repository, &commit.sha).await.unwrap().unwrap();
    assert_eq!((found.tree, found.parents, found.message), (tree, vec![base.clone()], "m\n".to_owned()));
    assert_eq!(client.get_commit(repository, &"0".repeat(40)).await.unwrap(), None);
    assert!(client.contains(repository, &commit.sha, &base).await.unwrap());
    assert!(!client.contains(repository, &base, &commit.sha).await.unwrap());
}

#[tokio::test]
async fn branches_are_created_moved_forward_and_deleted_and_say_what_they_were() {
    let world = World::new();
    let (client, repository) = (&world.client, &world.repository);
    let first = world.tip().await;
    let second = world.push("main", &[("a", Some("1"))]);
    let branch = "task/t/größe#1";
    assert_eq!(client.get_branch_sha(repository, branch).await.unwrap(), None);
    assert_eq!(client.create_ref(repository, branch, &first).await.unwrap(), CreatedRef::Created);
    assert_eq!(client.create_ref(repository, branch, &second).await.unwrap(), CreatedRef::AlreadyExists);
    assert_eq!(client.update_ref(repository, branch, &second).await.unwrap(), UpdatedRef::Updated);
    assert_eq!(client.update_ref(repository, branch, &first).await.unwrap(), UpdatedRef::NotFastForward);
    assert_eq!(client.get_branch_sha(repository, branch).await.unwrap(), Some(second.clone()));
    let matching = client.matching_branches(repository, "task/t").await.unwrap();
    assert_eq!(matching, [(branch.to_owned(), second.clone())]);
    let delete = async |sha: &str| client.delete_branch_at(repository, branch, sha).await.unwrap();
    assert_eq!(delete(&first).await, DeletedBranch::Elsewhere);
    assert_eq!(delete(&second).await, DeletedBranch::Deleted);
    assert_eq!(delete(&second).await, DeletedBranch::Elsewhere);
    assert_eq!(client.update_ref(repository, branch, &second).await.unwrap(), UpdatedRef::Missing);
    assert_eq!(client.matching_branches(repository, "task/t").await.unwrap(), []);
}

#[tokio::test]
async fn a_pull_request_is_opened_once_found_by_head_and_merged_at_the_right_commit_only() {
    let world = World::new();
    let (client, repository) = (&world.client, &world.repository);
    let pull = open(&world, "task/a").await;
    assert_eq!(
        (pull.state, pull.draft, pull.merged, pull.body.as_str()),
        (PullState::Open, false, false, "why")
    );
    assert_eq!(
        client.create_pull(repository, &new_pull("task/a")).await.unwrap(),
        CreatedPull::AlreadyExists
    );
    let listed = client.list_pulls_by_head(repository, "task/a").await.unwrap();
    assert_eq!(listed.iter().map(|p| p.number).collect::<Vec<_>>(), [pull.number]);
    assert_eq!(client.list_pulls_by_head(repository, "task/b").await.unwrap(), []);
    let id = client.get_repository(repository).await.unwrap().unwrap().id;
    assert_eq!(listed[0].head.repository_id, Some(id));

    let stale = pull.head.sha.clone();
    let head = world.push("task/a", &[("more", Some("y"))]);
    assert_eq!(
        client.merge_pull(repository, 1, &stale, MergeMethod::Squash).await.unwrap(),
        Merged::HeadChanged
    );
    let Merged::Merged { sha } = client.merge_pull(repository, 1, &head, MergeMethod::Squash).await.unwrap()
    else {
        panic!("it is open and clean");
    };
    let merged = client.get_pull(repository, 1).await.unwrap().unwrap();
    assert!(merged.merged && merged.merged_at.is_some());
    assert_eq!((merged.state, merged.merge_commit_sha), (PullState::Closed, Some(sha)));
    // A list has no `merged`, and says it all the same.
    assert!(client.list_pulls_by_head(repository, "task/a").await.unwrap()[0].merged);
    assert_eq!(client.get_pull(repository, 99).await.unwrap(), None);
}

#[tokio::test]
async fn a_pull_request_github_does_not_merge_or_open_says_why() {
    let world = World::new();
    let (client, repository) = (&world.client, &world.repository);
    let pull = open(&world, "task/a").await;
    world.simulator.github.draft(&world.full_name(), pull.number).unwrap();
    let outcome =
        client.merge_pull(repository, pull.number, &pull.head.sha, MergeMethod::Merge).await.unwrap();
    assert!(matches!(&outcome, Merged::NotMergeable { message } if !message.is_empty()), "{outcome:?}");

    let no_base = NewPull { base: "gone".into(), ..new_pull("task/a") };
    let error = client.create_pull(repository, &no_base).await.unwrap_err();
    assert_eq!((error.class, error.reason), (Class::Invalid, "BaseBranchMissing"));
    let error = client.create_pull(repository, &new_pull("nowhere")).await.unwrap_err();
    assert_eq!((error.class, error.reason), (Class::NotFound, "BranchMissing"));
    client.create_ref(repository, "same", &world.tip().await).await.unwrap();
    // Within a minute of our own creation GitHub may not have compared it yet.
    let error = client.create_pull(repository, &new_pull("same")).await.unwrap_err();
    assert_eq!((error.class, error.reason), (Class::Transient, "NotVisibleYet"));
}

/// A GitHub that knows at once whether a pull request can be merged.
fn without_lag() -> Options {
    Options {
        github: slipway_simulator::github::Options {
            settings: Settings { mergeable_lag: false, ..Settings::default() },
            ..slipway_simulator::github::Options::default()
        },
        ..Options::default()
    }
}

#[tokio::test]
async fn changed_pull_requests_come_newest_first_page_by_page_and_unchanged_ones_not_at_all() {
    let world = World::with(without_lag(), Duration::ZERO);
    let repository = &world.repository;
    for number in 0..103 {
        open(&world, &format!("b{number}")).await;
    }
    let UpdatedPulls::Page(first) = world.client.list_pulls_updated(repository, 1, None).await.unwrap()
    else {
        panic!("there is no earlier answer");
    };
    assert_eq!((first.pulls.len(), first.next), (100, Some(2)));
    assert!(first.pulls.windows(2).all(|pair| pair[0].updated_at >= pair[1].updated_at));
    let UpdatedPulls::Page(second) = world.client.list_pulls_updated(repository, 2, None).await.unwrap()
    else {
        panic!("there is no earlier answer");
    };
    assert_eq!((second.pulls.len(), second.next), (3, None));
    let again = world.client.list_pulls_updated(repository, 1, first.etag.as_deref()).await.unwrap();
    assert_eq!(again, UpdatedPulls::NotModified);
    world.simulator.github.close(&world.full_name(), 7).unwrap();
    let changed = world.client.list_pulls_updated(repository, 1, first.etag.as_deref()).await.unwrap();
    assert!(
        matches!(&changed, UpdatedPulls::Page(page) if page.pulls.iter().any(|p| p.number == 7)),
        "{changed:?}"
    );
}

#[tokio::test]
async fn a_pull_request_that_is_asked_for_again_costs_nothing_until_it_changes() {
    let world = World::with(without_lag(), Duration::ZERO);
    let number = open(&world, "b").await.number;
    let look = async || world.client.get_pull(&world.repository, number).await.unwrap().unwrap();
    let known = look().await;
    assert_eq!(look().await, known);
    world.simulator.github.force_mergeable_state(&world.full_name(), number, Some("blocked")).unwrap();
    assert_eq!(look().await.mergeable_state.as_deref(), Some("blocked"));
    let calls = world.simulator.calls.of("github", "GET /repos/{owner}/{repo}/pulls/{pull_number}");
    let statuses: Vec<_> = calls.iter().filter_map(Call::status).collect();
    assert_eq!(statuses, [200, 304, 200]);
}

#[tokio::test]
async fn a_workflow_that_an_event_starts_again_counts_by_its_newest_run() {
    let world = World::new();
    let head = world.tip().await;
    let ended = |name: &str, conclusion: &str, run| slipway_simulator::github::Check {
        name: name.into(),
        conclusion: Some(conclusion.into()),
        run,
        ..slipway_simulator::github::Check::default()
    };
    let checks =
        vec![ended("build", "cancelled", 0), ended("lint", "success", 0), ended("build", "success", 1)];
    world.simulator.github.set_checks(&world.full_name(), &head, checks).unwrap();
    let seen = world.client.get_checks(&world.repository, &head).await.unwrap();
    let mut seen: Vec<_> = seen.iter().map(|check| (check.name.as_str(), check.state)).collect();
    seen.sort_unstable_by_key(|(name, _)| *name);
    assert_eq!(seen, [("build", CheckState::Passed), ("lint", CheckState::Passed)]);
}

#[tokio::test]
async fn every_call_is_described_to_the_layer_and_counted() {
    let world = World::new();
    let object = ObjectLabel { kind: "Task", namespace: "n".into(), name: "t".into() };
    let sha = world.tip().await;
    let pass = Pass::new(object, Attempt { operation: String::new(), number: 1, of: 4 });
    in_pass(pass, world.client.create_ref(&world.repository, "b", &sha)).await.unwrap();
    let text = world.metrics.encode().unwrap();
    for operation in ["createBranch", "getBranch"] {
        assert!(text.contains(&format!(
            r#"slipway_external_calls_total{{api="github",operation="{operation}",resource="",status="2xx"}} 1"#
        )));
    }
    assert!(!text.contains(TOKEN) && !text.contains("task/"));
}
