//! What is done under a GitHub App: commits that GitHub signs, workflow files, checks, an Enterprise Server.
//! Neighbours: `app_support` has the App, `apps` its tokens.

use crate::{
    app_support::{AppWorld, INSTALLATION, ten_seconds_pass, told},
    support::fault,
};
use serde_json::json;
use slipway::{
    domain::{failure::Class, git::Pointer},
    github::{Author, CreatedPull, CreatedRef, MergeMethod, Merged, NewCommit, NewPull, WantedPack},
};
use slipway_simulator::{
    Options,
    core::When,
    github::{self, Token},
};

#[tokio::test]
async fn github_signs_the_commit_of_an_app_that_names_nobody() {
    let world = AppWorld::new();
    let (client, repository) = (world.client(), &world.repository);
    world.simulator.github.require_signatures("acme/app", "signed", true).unwrap();
    let commit = world.commit(&client, &["a.txt"]).await.unwrap();
    assert!(commit.verified);
    assert_eq!(client.create_ref(repository, "signed", &commit.sha).await.unwrap(), CreatedRef::Created);

    let date = jiff::Timestamp::from_second(1_800_000_000).unwrap();
    let named = NewCommit {
        message: "Named\n".into(),
        tree: commit.tree.clone(),
        parents: vec![commit.sha.clone()],
        author: Some(Author::default()),
        date,
    };
    let named = client.create_commit(repository, &named).await.unwrap();
    assert!(!named.verified);
    ten_seconds_pass().await;
    let (class, reason, message) = told(client.update_ref(repository, "signed", &named.sha).await);
    assert_eq!((class, reason), (Class::Invalid, "BranchProtected"));
    assert!(message.contains("GitHub App") && message.contains("commit.authorName"), "{message}");
    assert!(client.get_commit(repository, &commit.sha).await.unwrap().unwrap().verified);
}

#[tokio::test]
async fn a_token_names_the_operator_and_is_told_the_cure_where_signatures_are_wanted() {
    let world = AppWorld::new();
    world.simulator.github.add_token(Token::personal("ghp_token", "reviewer"));
    let client = world.github.client(&"ghp_token".into());
    let commit = world.commit(&client, &["a.txt"]).await.unwrap();
    assert!(!commit.verified);
    assert_eq!(world.commit(&client, &["a.txt"]).await.unwrap().sha, commit.sha, "the same again");
    world.simulator.github.require_signatures("acme/app", "signed", true).unwrap();
    let (class, reason, message) = told(client.create_ref(&world.repository, "signed", &commit.sha).await);
    assert_eq!((class, reason), (Class::Invalid, "BranchProtected"));
    assert!(message.contains("use an App's credentials"), "{message}");
    assert_eq!(world.bought(), 0);
}

#[tokio::test]
async fn the_right_to_workflow_files_is_bought_only_for_them() {
    let world = AppWorld::new();
    let (client, repository) = (world.client(), &world.repository);
    let commit = world.commit(&client, &[".github/workflows/ci.yml"]).await.unwrap();
    assert_eq!(world.bought(), 2, "one for the tree alone");
    assert_eq!(world.newest()["permissions"]["workflows"], json!("write"));
    ten_seconds_pass().await;
    assert_eq!(client.create_ref(repository, "task/a", &commit.sha).await.unwrap(), CreatedRef::Created);
    let pull = NewPull {
        title: "a".into(),
        head: "task/a".into(),
        base: "main".into(),
        body: String::new(),
        draft: false,
    };
    let CreatedPull::Created(pull) = client.create_pull(repository, &pull).await.unwrap() else {
        panic!("it is the first")
    };
    let merged = client.merge_pull(repository, pull.number, &commit.sha, MergeMethod::Merge).await.unwrap();
    assert!(matches!(merged, Merged::Merged { .. }), "{merged:?}");
    assert_eq!(world.bought(), 2, "the branch and the merge needed it too");
}

#[tokio::test]
async fn checks_are_read_with_rights_of_their_own() {
    let world = AppWorld::new();
    let client = world.client();
    let head = client.get_branch_sha(&world.repository, "main").await.unwrap().unwrap();
    assert_eq!(client.get_checks(&world.repository, &head).await.unwrap(), []);
    assert_eq!(client.failed_checks(&world.repository, &head).await.unwrap().checks, []);
    let minted = world.simulator.github.minted(INSTALLATION);
    let has = |name: &str| minted.iter().filter(|token| token["permissions"].get(name).is_some()).count();
    assert_eq!((minted.len(), has("checks"), has("statuses"), has("administration")), (4, 2, 2, 0));
    let pack = client.fetch_pack(&world.repository, WantedPack { commit: &head, depth: 1 }).await;
    assert!(pack.is_ok(), "git takes the token");
    assert_eq!(world.simulator.github.minted(INSTALLATION).len(), 4);
}

/// A token may end while much is sent: what comes after it goes with another.
#[tokio::test]
async fn git_and_git_lfs_go_on_with_another_token_where_one_has_ended() {
    for endpoint in ["git", "POST lfs/objects/batch"] {
        let world = AppWorld::new();
        let client = world.client();
        let head = client.get_branch_sha(&world.repository, "main").await.unwrap().unwrap();
        ten_seconds_pass().await;
        let rule =
            world.simulator.faults.set(fault(endpoint).when(When::Next(1)).status(401, "Bad credentials"));
        if endpoint == "git" {
            let wanted = WantedPack { commit: &head, depth: 1 };
            assert!(client.fetch_pack(&world.repository, wanted).await.is_ok());
        } else {
            let object = Pointer { oid: "a".repeat(64), size: 1 };
            let seen = client.lfs_batch(&world.repository, &[object]).await.unwrap();
            assert!(seen[0].actions.upload.is_some());
        }
        assert_eq!((world.simulator.faults.hits(rule), world.bought()), (Some(1), 2), "{endpoint}");
    }
}

#[tokio::test]
async fn an_enterprise_server_is_served_under_its_own_paths() {
    let settings = github::Settings { enterprise: true, ..github::Settings::default() };
    let options = github::Options { settings, ..github::Options::default() };
    let world = AppWorld::with(Options { github: options, ..Options::default() });
    let client = world.client();
    let commit = world.commit(&client, &["a.txt"]).await.unwrap();
    client.create_ref(&world.repository, "task/a", &commit.sha).await.unwrap();
    assert_eq!(client.failed_checks(&world.repository, &commit.sha).await.unwrap().checks, []);
    client.delete_branch_at(&world.repository, "task/a", &commit.sha).await.unwrap();
    let wanted = WantedPack { commit: &commit.parents[0], depth: 1 };
    assert!(client.fetch_pack(&world.repository, wanted).await.is_ok());
    assert_eq!(world.simulator.calls.count(|call| call.endpoint.ends_with("unknown")), 0);
}
