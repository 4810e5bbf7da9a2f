//! The commit step: what ends up in the repository, and in how many calls.

use crate::support::{Spool, World, author, fault, git};
use slipway::{
    controllers::task::commit::{Prepared, Request, SPOOLED_FILES_LOST, prepare},
    domain::{
        failure::{Class, Failure},
        files::Mode,
        git::{commit_message, task_of},
        secrets::Needles,
    },
    github::{CreatedPull, CreatedRef, NewPull},
};
use slipway_simulator::{Options, github::Settings};
use std::{os::unix::fs::PermissionsExt as _, path::Path, time::Duration};
use tokio::time::Instant;

pub async fn run(world: &World, spool: &Spool, parent: &str) -> Result<Prepared, Failure> {
    run_until(world, spool, parent, Instant::now() + Duration::from_secs(90)).await
}

pub async fn run_until(
    world: &World,
    spool: &Spool,
    parent: &str,
    deadline: Instant,
) -> Result<Prepared, Failure> {
    let request = Request {
        repository: &world.repository,
        parent,
        base_sha: "",
        base_branch: "main",
        last: None,
        base: None,
        snapshot: &spool.snapshot,
        message: &commit_message("Add it", "Because.", "uid-1"),
        title: "Add it",
        body: "Because.",
        needles: &Needles::default(),
        author: Some(&author()),
        date: "2026-11-25T10:00:00Z".parse().unwrap(),
        ledger: Some(&spool.ledger()),
        deadline,
    };
    prepare(&world.client, request).await
}

fn commit(prepared: Result<Prepared, Failure>) -> String {
    match prepared.unwrap() {
        Prepared::Commit { commit, .. } => commit,
        other => panic!("expected a commit, got {other:?}"),
    }
}

/// Clones a commit as a user would, after putting a branch on it.
async fn checkout(world: &World, sha: &str) -> tempfile::TempDir {
    assert_eq!(world.client.create_ref(&world.repository, "result", sha).await.unwrap(), CreatedRef::Created);
    let source = world.simulator.github.git_dir(&world.full_name()).unwrap();
    git(&source, &["fsck", "--strict", "--no-dangling"]);
    let directory = tempfile::tempdir().unwrap();
    git(directory.path(), &["clone", "-q", "-b", "result", source.to_str().unwrap(), "."]);
    directory
}

fn files(directory: &Path) -> Vec<String> {
    git(directory, &["-c", "core.quotePath=false", "ls-files"]).lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn twenty_small_text_files_are_seven_calls_from_files_to_pull_request() {
    let world = World::new();
    let names: Vec<String> = (0..20).map(|n| format!("src/d{}/f{n}.rs", n % 3)).collect();
    let contents: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), name.as_str())).collect();
    let spool = Spool::texts(&contents);
    let before = world.count();
    let base = world.tip().await;
    let sha = commit(run(&world, &spool, &base).await);
    assert_eq!(world.count() - before, 4, "base branch, tree, tree, commit");
    world.client.create_ref(&world.repository, "task/t/add", &sha).await.unwrap();
    assert_eq!(world.client.list_pulls_by_head(&world.repository, "task/t/add").await.unwrap(), []);
    let pull = NewPull {
        title: "t".into(),
        head: "task/t/add".into(),
        base: "main".into(),
        body: String::new(),
        draft: false,
    };
    let opened = world.client.create_pull(&world.repository, &pull).await.unwrap();
    assert!(matches!(&opened, CreatedPull::Created(pull) if pull.head.sha == sha));
    assert_eq!(world.count() - before, 7);
}

#[tokio::test]
async fn every_kind_of_file_arrives_byte_by_byte_with_its_mode() {
    let world = World::new();
    world.push("main", &[("kept/here.txt", Some("kept"))]);
    let large = vec![b'x'; 300 << 10];
    let spool = Spool::of(&[
        ("bin/run", Mode::Executable, b"#!/bin/sh\necho hi\n"),
        ("bin/tool", Mode::Executable, &[0x7f, b'E', b'L', b'F', 0, 255]),
        ("crlf.txt", Mode::Regular, b"a\r\nb\r\n"),
        ("empty", Mode::Regular, b""),
        ("einf\u{fc}hrung/\u{6570}\u{636e} \"q\" $x;.md", Mode::Regular, "\u{6570}\u{636e}\n".as_bytes()),
        ("large.txt", Mode::Regular, &large),
        ("latin1", Mode::Regular, &[0xe4, 0xf6, 0xfc]),
        ("link", Mode::Symlink, b"bin/run"),
        ("dangling", Mode::Symlink, b"../\xff\xfe"),
        ("nul.txt", Mode::Regular, b"a\0b"),
        ("tab\there", Mode::Regular, b"no newline at the end"),
    ]);
    let sha = commit(run(&world, &spool, &world.tip().await).await);
    let clone = checkout(&world, &sha).await;
    for file in &spool.snapshot.files {
        let (path, expected) = (clone.path().join(&file.path), std::fs::read(&file.content).unwrap());
        let metadata = std::fs::symlink_metadata(&path).unwrap_or_else(|e| panic!("{}: {e}", file.path));
        let actual = if file.mode == Mode::Symlink {
            assert!(metadata.is_symlink(), "{}", file.path);
            std::os::unix::ffi::OsStringExt::into_vec(std::fs::read_link(&path).unwrap().into_os_string())
        } else {
            assert_eq!(
                metadata.permissions().mode() & 0o111 != 0,
                file.mode == Mode::Executable,
                "{}",
                file.path
            );
            std::fs::read(&path).unwrap()
        };
        assert!(actual == expected, "{} differs", file.path);
    }
    assert_eq!(std::fs::read_to_string(clone.path().join("kept/here.txt")).unwrap(), "kept");
    let message = git(clone.path(), &["log", "-1", "--format=%B"]);
    assert_eq!(task_of(&message), Some("uid-1"));
    assert_eq!(
        git(clone.path(), &["log", "-1", "--format=%(trailers:key=Slipway-Task,valueonly)"]).trim(),
        "uid-1"
    );
    assert_eq!(
        git(clone.path(), &["log", "-1", "--format=%an <%ae> %cn %aI %cI"]),
        "Slipway <slipway@users.noreply.github.com> Slipway 2026-11-25T10:00:00+00:00 2026-11-25T10:00:00+00:00"
    );
}

#[tokio::test]
async fn doing_it_again_gives_the_same_commit_and_sends_no_content_again() {
    let world = World::new();
    let spool = Spool::of(&[("a", Mode::Regular, b"text"), ("b", Mode::Regular, &[0, 1, 2])]);
    let base = world.tip().await;
    let first = commit(run(&world, &spool, &base).await);
    let blobs = world.calls("POST /repos/{owner}/{repo}/git/blobs");
    assert_eq!((commit(run(&world, &spool, &base).await), blobs), (first, 1));
    assert_eq!(world.calls("POST /repos/{owner}/{repo}/git/blobs"), 1);
}

#[tokio::test]
async fn files_the_base_has_already_are_nothing_to_commit_and_one_call() {
    let world = World::new();
    let base = world.push("main", &[("a", Some("1")), ("d/b", Some("2"))]);
    let before = world.count();
    let outcome = run(&world, &Spool::texts(&[("a", "1"), ("d/b", "2")]), &base).await.unwrap();
    assert_eq!((outcome, world.count() - before), (Prepared::NothingToCommit, 1));
}

#[tokio::test]
async fn a_file_and_a_directory_of_the_same_name_replace_each_other() {
    let world = World::new();
    let old = [("file", Some("1")), ("dir/a", Some("2")), ("dir/deep/b", Some("3")), ("stays", Some("4"))];
    let base = world.push("main", &old);
    let spool = Spool::texts(&[("file/now/below", "5"), ("dir", "6")]);
    let sha = commit(run(&world, &spool, &base).await);
    let clone = checkout(&world, &sha).await;
    assert_eq!(files(clone.path()), ["README.md", "dir", "file/now/below", "stays"]);
}

#[tokio::test]
async fn a_base_that_is_replaced_to_the_last_file_is_no_base() {
    let world = World::new();
    let base = world.push("main", &[("README.md", None), ("only", Some("1"))]);
    let sha = commit(run(&world, &Spool::texts(&[("only/below", "2")]), &base).await);
    assert_eq!(files(checkout(&world, &sha).await.path()), ["only/below"]);
}

#[tokio::test]
async fn a_tree_too_large_to_list_is_walked_by_directory() {
    let github = slipway_simulator::github::Options {
        settings: Settings { tree_limit: 4, ..Settings::default() },
        ..slipway_simulator::github::Options::default()
    };
    let world = World::with(Options { github, ..Options::default() }, Duration::ZERO);
    let old = [
        ("a/x", Some("1")),
        ("b/c/y", Some("2")),
        ("d/z", Some("3")),
        ("e/f/g/h", Some("4")),
        ("i/j", Some("5")),
    ];
    let base = world.push("main", &old);
    let spool = Spool::texts(&[("b/c/y", "changed"), ("e", "a file now"), ("new/k", "6")]);
    let sha = commit(run(&world, &spool, &base).await);
    // Cut short, the root, b, b/c, and all below e.
    assert_eq!(world.calls("GET /repos/{owner}/{repo}/git/trees/{tree_sha}"), 7);
    let clone = checkout(&world, &sha).await;
    assert_eq!(files(clone.path()), ["README.md", "a/x", "b/c/y", "d/z", "e", "i/j", "new/k"]);
    assert_eq!(std::fs::read_to_string(clone.path().join("b/c/y")).unwrap(), "changed");
    // What is the same is seen as the same in a walked tree too.
    let same = run(&world, &Spool::texts(&[("d/z", "3"), ("b/c/y", "2")]), &base).await.unwrap();
    assert_eq!(same, Prepared::NothingToCommit);
}

#[tokio::test]
async fn much_text_goes_up_in_a_few_trees_and_never_as_blobs() {
    let world = World::new();
    let texts: Vec<(String, String)> =
        (0..1100).map(|n| (format!("t/{}/{n}", n % 7), format!("{n} \"\\\n").repeat(250))).collect();
    let texts: Vec<(&str, &str)> = texts.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let sha = commit(run(&world, &Spool::texts(&texts), &world.tip().await).await);
    let trees = world.calls("POST /repos/{owner}/{repo}/git/trees");
    assert!((2..=4).contains(&trees), "{trees} calls");
    assert_eq!(world.calls("POST /repos/{owner}/{repo}/git/blobs"), 0);
    assert_eq!(files(checkout(&world, &sha).await.path()).len(), 1101);
}

#[tokio::test]
async fn a_tree_github_made_of_something_else_is_not_committed() {
    let world = World::new();
    let base = world.tip().await;
    // Another tree's id, as if two answers had been mixed up.
    let other = world.client.get_commit(&world.repository, &base).await.unwrap().unwrap().tree;
    let body = serde_json::json!({ "sha": other }).to_string();
    let action = slipway_simulator::core::Action::Status {
        status: 201,
        headers: std::collections::BTreeMap::new(),
        body,
        after_effect: false,
    };
    world.simulator.faults.set(fault("POST /repos/{owner}/{repo}/git/trees").action(action));
    let failure = run(&world, &Spool::texts(&[("a", "1")]), &base).await.unwrap_err();
    assert_eq!((failure.operation, failure.class), ("createTree", Class::Transient));
    assert_eq!(world.calls("POST /repos/{owner}/{repo}/git/commits"), 0);
}

#[tokio::test]
async fn spooled_files_that_are_gone_or_changed_are_told_apart_from_githubs_failures() {
    let world = World::new();
    let base = world.tip().await;
    for damage in [|path: &Path| std::fs::remove_file(path), |path: &Path| std::fs::write(path, "changed")] {
        for size in [10, 200 << 10] {
            let spool = Spool::of(&[("a", Mode::Regular, &vec![b'x'; size])]);
            damage(&spool.snapshot.files[0].content).unwrap();
            let failure = run(&world, &spool, &base).await.unwrap_err();
            assert_eq!((failure.reason, failure.class), (SPOOLED_FILES_LOST, Class::NotFound));
            assert!(failure.message.starts_with("a spooled file "), "{}", failure.message);
        }
    }
}
