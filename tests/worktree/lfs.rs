//! Files that git LFS keeps. Of a work tree a pointer goes into the tree, its object to where GitHub says; a plain directory changes
//! none of them.

use crate::support::{Repository, World, git, sh, sha256, source};
use slipway::{
    api::Source,
    controllers::task::commit::Prepared,
    domain::secrets::{Needles, SecretValue},
};

const ATTRIBUTES: &str = "*.bin filter=lfs diff=lfs merge=lfs -text";

fn pointer(content: &str) -> String {
    format!(
        "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {}",
        sha256(content.as_bytes()),
        content.len()
    )
}

/// A repository with one file that git LFS keeps, whose object GitHub has not.
fn repository<'a>(world: &'a World, name: &str) -> Repository<'a> {
    world.repository(
        name,
        &format!(
            "echo '{ATTRIBUTES}' > .gitattributes; printf '%s\n' '{}' > m.bin; echo 1 > a",
            pointer("old")
        ),
    )
}

fn object(repository: &Repository<'_>, content: &str) -> Option<Vec<u8>> {
    let github = &repository.world.simulator.github;
    let found = github.lfs_object(&repository.name.to_string(), &sha256(content.as_bytes())).unwrap();
    found.map(|content| content.to_vec())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t2_07_content_without_git_lfs_becomes_a_pointer_and_its_object_is_uploaded() {
    let world = World::new().await;
    let repository = repository(&world, "app");
    repository.copied(
        "/home/user/app",
        "printf new > m.bin; printf other > sub.bin; chmod +x sub.bin; printf '' > empty.bin; echo 2 > a",
    );
    let commit = repository.committed(&source("/home/user/app"), &repository.tip()).await;
    assert_eq!(repository.changes(&commit), ["M a", "A empty.bin", "M m.bin", "A sub.bin"]);
    for (path, content) in [("m.bin", "new"), ("sub.bin", "other")] {
        assert_eq!(repository.content(&commit, path), pointer(content));
        assert_eq!(object(&repository, content), Some(content.as_bytes().to_vec()));
    }
    assert!(git(&repository.bare, &["ls-tree", &commit, "sub.bin"]).starts_with("100755"));
    assert_eq!(repository.content(&commit, "empty.bin"), "", "git LFS keeps no empty files");

    // The very content that the pointer stands for: nothing has changed.
    repository.copied("/home/user/same", "printf old > m.bin; echo 2 > a");
    let commit = repository.committed(&source("/home/user/same"), &repository.tip()).await;
    assert_eq!(repository.changes(&commit), ["M a"]);
    repository.copied("/home/user/mode", "printf old > m.bin; chmod +x m.bin");
    let commit = repository.committed(&source("/home/user/mode"), &repository.tip()).await;
    assert_eq!(repository.changes(&commit), ["M m.bin"], "but for its mode");
    assert_eq!(repository.content(&commit, "m.bin"), pointer("old"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pointers_that_git_lfs_has_made_bring_their_objects() {
    let world = World::new().await;
    let repository = repository(&world, "app");
    // As git-lfs does it: the object goes into its own store, the pointer into the tree.
    let clean = r"#!/bin/sh
        lfs=$(git config lfs.storage || echo .git/lfs); mkdir -p $lfs/tmp; content=$lfs/tmp/$$
        cat > $content; oid=$(sha256sum < $content | cut -c1-64); size=$(($(wc -c < $content)))
        store=$lfs/objects/$(echo $oid | cut -c1-2)/$(echo $oid | cut -c3-4); mkdir -p $store; mv $content $store/$oid
        printf 'version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %s\n' $oid $size";
    let place = repository.copied("/home/user/app", "");
    std::fs::write(place.join(".git/clean"), clean).unwrap();
    sh(
        &place,
        "git config filter.lfs.clean 'sh .git/clean'; printf new > m.bin; git add m.bin; printf other > sub.bin",
    );
    let commit = repository.committed(&source("/home/user/app"), &repository.tip()).await;
    assert_eq!(repository.content(&commit, "m.bin"), pointer("new"));
    for content in ["new", "other"] {
        assert_eq!(object(&repository, content), Some(content.as_bytes().to_vec()));
    }
    // Root's files would be in the way of whoever works there next.
    assert_eq!(crate::checkout::names(&place.join(".git/lfs/objects")), [&sha256(b"new")[..2]]);
    assert!(crate::checkout::names(&place.join(".git/lfs/tmp")).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pointer_without_an_object_is_named_unless_github_has_it() {
    let world = World::new().await;
    let repository = repository(&world, "app");
    let path = "/home/user/app";
    repository.copied(path, &format!("printf '%s\n' '{}' > new.bin", pointer("elsewhere")));
    let failure = repository.publish(&source(path), &repository.tip()).await.unwrap_err();
    assert_eq!(failure.reason, "LFSObjectMissing");
    assert!(failure.message.contains("\"new.bin\""), "{}", failure.message);
    // Another Task has brought it.
    repository.copied("/home/user/brings", "printf elsewhere > x.bin");
    repository.committed(&source("/home/user/brings"), &repository.tip()).await;
    assert!(matches!(
        repository.publish(&source(path), &repository.tip()).await,
        Ok(Prepared::Commit { .. })
    ));
    // A pointer that only moved stands for what GitHub has.
    repository.copied("/home/user/moves", "git mv m.bin moved.bin");
    let batches = || world.simulator.calls.count(|call| call.endpoint == "POST lfs/objects/batch");
    let before = batches();
    let commit = repository.committed(&source("/home/user/moves"), &repository.tip()).await;
    assert_eq!(repository.changes(&commit), ["D m.bin", "A moved.bin"]);
    assert_eq!(batches(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_github_or_another_server_keeps_back_is_said() {
    let world = World::new().await;
    for (name, status, message, words) in [
        (
            "full",
            403,
            "This repository is over its data quota. Purchase more data packs to restore access.",
            "quota",
        ),
        ("off", 501, "Git LFS is disabled for this repository.", "switch it on"),
    ] {
        let repository = repository(&world, name);
        let path = format!("/home/user/{name}");
        repository.copied(&path, "printf new > m.bin");
        world.simulator.github.refuse_lfs(&repository.name.to_string(), status, message).unwrap();
        let failure = repository.publish(&source(&path), &repository.tip()).await.unwrap_err();
        assert_eq!(failure.reason, "LFSRefused", "{}", failure.message);
        assert!(failure.message.contains(words), "{}", failure.message);
        assert_eq!(
            repository.world.simulator.github.branches(&repository.name.to_string()).unwrap(),
            ["main"]
        );
    }
    let repository = repository(&world, "elsewhere");
    let other = "https://lfs.example.com/x";
    for (name, setting) in
        ["lfs.url", "lfs.pushurl", "remote.origin.lfsurl", "remote.origin.lfspushurl"].iter().enumerate()
    {
        let path = format!("/home/user/elsewhere{name}");
        repository.copied(&path, &format!("git config -f .lfsconfig {setting} {other}; printf new > m.bin"));
        let failure = repository.publish(&source(&path), &repository.tip()).await.unwrap_err();
        assert_eq!(failure.reason, "FilteredFile", "{setting}");
        let message = failure.message;
        assert!(message.contains(other) && message.contains(setting), "{setting}: {message}");
    }
    let own = format!("{}/slipway-bot/elsewhere.git/info/lfs", world.simulator.github_url());
    repository.copied(
        "/home/user/own",
        &format!("git config -f .lfsconfig lfs.url {own}; git config -f .lfsconfig lfs.locksverify true; printf new > m.bin"),
    );
    repository.committed(&source("/home/user/own"), &repository.tip()).await;
    assert_eq!(object(&repository, "new"), Some(b"new".to_vec()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_is_searched_for_secrets_before_it_leaves() {
    let world = World::new().await;
    let repository = repository(&world, "app");
    repository.copied("/home/user/app", "printf 'a key: sk-live-0123456789abcdef' > m.bin");
    let secret =
        SecretValue { value: "sk-live-0123456789abcdef".into(), secret: "keys".into(), key: "k".into() };
    let needles = Needles::new(vec![secret]);
    let failure = repository.publish_knowing(&source("/home/user/app"), &needles).await.unwrap_err();
    assert_eq!(failure.reason, "SecretInFiles");
    assert!(failure.message.contains("\"m.bin\""), "{}", failure.message);
    assert_eq!(world.simulator.calls.count(|call| call.endpoint.contains("lfs")), 0);
}

async fn published(repository: &Repository<'_>, source: &Source) -> Vec<String> {
    let commit = repository.committed(source, &repository.tip()).await;
    repository.changes(&commit)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t2_07_a_directory_with_the_content_of_lfs_files_changes_none_of_them() {
    let world = World::new().await;
    let content = "x".repeat(3_000_000);
    let oid = sha256(content.as_bytes());
    let pointer =
        format!("version https://git-lfs.github.com/spec/v1\\noid sha256:{oid}\\nsize {}\\n", content.len());
    let repository = world.repository(
        "app",
        &format!("echo '*.bin filter=lfs diff=lfs merge=lfs -text' > .gitattributes; printf '{pointer}' > m.bin; echo 1 > other"),
    );
    let place = world.host("/home/user").join("plain");
    std::fs::create_dir(&place).unwrap();
    std::fs::write(place.join("m.bin"), &content).unwrap();
    std::fs::write(place.join("a.txt"), "new\n").unwrap();
    let source = source("/home/user/plain");
    let prepared = repository.publish(&source, &repository.tip()).await;
    let Ok(Prepared::Commit { commit, stays, .. }) = prepared else { panic!("{prepared:?}") };
    assert_eq!(
        (repository.changes(&commit), stays),
        (vec!["A a.txt".to_owned()], 2),
        "other and .gitattributes stay"
    );

    // Larger than a file may be: it is counted only where it changes.
    std::fs::write(place.join("m.bin"), format!("{content}y")).unwrap();
    let failure = repository.publish(&source, &repository.tip()).await.unwrap_err();
    let message = failure.message;
    assert_eq!(failure.reason, "FilteredFile");
    assert!(message.contains("\"m.bin\"") && message.contains("git clone"), "{message}");
    std::fs::write(place.join("m.bin"), pointer.replace("\\n", "\n")).unwrap();
    assert_eq!(published(&repository, &source).await, ["A a.txt"], "the pointer itself is no change either");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t2_07_an_unchanged_lfs_file_may_be_larger_than_a_file_that_travels() {
    let world = World::new().await;
    let content = vec![7; 60 << 20];
    let oid = sha256(&content);
    let repository = world.repository(
        "app",
        &format!(
            "echo '*.bin filter=lfs' > .gitattributes
             printf 'version https://git-lfs.github.com/spec/v1\\noid sha256:{oid}\\nsize {}\\n' > m.bin",
            content.len()
        ),
    );
    let place = world.host("/home/user").join("plain");
    std::fs::create_dir(&place).unwrap();
    std::fs::write(place.join("m.bin"), &content).unwrap();
    std::fs::write(place.join("a.txt"), "new\n").unwrap();
    assert_eq!(published(&repository, &source("/home/user/plain")).await, ["A a.txt"]);
}
