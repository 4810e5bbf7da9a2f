//! What git itself says of the repositories: clones, modes, merges, truncated trees.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use slipway_simulator::Options;
use slipway_simulator::github::MergeMethod;

use crate::support::{DEMO, call, git, open_pull, simulator};

/// A commit with an executable, a symlink, a binary, an empty file and odd names, on a new branch.
async fn commit_of_all_kinds(simulator: &slipway_simulator::Simulator) {
    let post = |path: &str, body: Value| {
        let path = format!("/repos/{DEMO}/git/{path}");
        async move {
            let (status, answer) = call(simulator, Method::POST, &path, body).await.expect("an answer");
            assert_eq!(status, StatusCode::CREATED, "{answer}");
            answer["sha"].clone()
        }
    };
    let picture = post("blobs", json!({ "content": "iVBORwD/", "encoding": "base64" })).await;
    let file = |path: &str, mode: &str, content: &str| json!({ "path": path, "mode": mode, "type": "blob", "content": content });
    let tree = json!([
        file("bin/run.sh", "100755", "#!/bin/sh\necho hello\n"),
        file("bin/link", "120000", "../README.md"),
        file("empty", "100644", ""),
        file("größe/日本 語 \".txt", "100644", "ü\n"),
        { "path": "picture.png", "mode": "100644", "type": "blob", "sha": picture },
    ]);
    let base = simulator.github.branch(DEMO, "main").expect("main");
    let tree = post("trees", json!({ "base_tree": base, "tree": tree })).await;
    let commit = json!({ "message": "Add all kinds", "tree": tree, "parents": [base] });
    let commit = post("commits", commit).await;
    let body = json!({ "ref": "refs/heads/kinds", "sha": commit });
    let (status, answer) =
        call(simulator, Method::POST, &format!("/repos/{DEMO}/git/refs"), body).await.expect("an answer");
    assert_eq!(status, StatusCode::CREATED, "{answer}");
}

#[tokio::test]
async fn a_clone_has_modes_links_and_bytes_and_passes_fsck() {
    let simulator = simulator(Options::default());
    commit_of_all_kinds(&simulator).await;
    let directory = tempfile::tempdir().expect("a directory");
    let from = simulator.github.git_dir(DEMO).expect("a path");
    let url = format!("{}/{DEMO}.git", simulator.github_url());
    for (name, from) in [("by-path", from.to_str().expect("UTF-8")), ("by-http", &url)] {
        let target = directory.path().join(name);
        // Git is a client like any other: the stand-in answers it from its own threads.
        let arguments = ["clone", "--quiet", "--branch", "kinds", from, name];
        git(directory.path(), &arguments);
        git(&target, &["fsck", "--strict", "--full"]);
        let listed = git(&target, &["ls-files", "--stage", "-z"]);
        let modes: Vec<&str> = listed.split_terminator('\0').map(|line| &line[..6]).collect();
        assert_eq!(modes, ["100644", "120000", "100755", "100644", "100644", "100644"], "{listed}");
        let link = std::fs::read_link(target.join("bin/link")).expect("a symlink");
        assert_eq!(link.to_str(), Some("../README.md"));
        assert_eq!(
            std::fs::read(target.join("picture.png")).expect("read"),
            [0x89, 0x50, 0x4e, 0x47, 0x00, 0xff]
        );
        assert_eq!(std::fs::read(target.join("größe/日本 語 \".txt")).expect("read"), "ü\n".as_bytes());
        assert_eq!(std::fs::read(target.join("empty")).expect("read"), b"");
    }
    git(&simulator.github.git_dir(DEMO).expect("a path"), &["fsck", "--strict", "--full"]);
}

#[tokio::test]
async fn pushing_over_http_is_refused() {
    let simulator = simulator(Options::default());
    let url = format!("{}/{DEMO}.git/info/refs?service=git-receive-pack", simulator.github_url());
    let answer = crate::support::client().get(url).send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
}

#[test]
fn the_three_merge_methods_leave_the_history_that_git_would() {
    let simulator = simulator(Options::default());
    for (method, parents) in [(MergeMethod::Merge, 2), (MergeMethod::Squash, 1), (MergeMethod::Rebase, 1)] {
        let branch = format!("by/{method:?}").to_lowercase();
        let number = open_pull(&simulator, &branch);
        // Main moves on, so that no method can fast-forward.
        let other = format!("{branch}.md");
        simulator
            .github
            .push(DEMO, "main", &[(other.as_str(), Some("main\n"))], "Move main")
            .expect("pushed");
        let main = simulator.github.branch(DEMO, "main").expect("main");
        let merged = simulator.github.merge(DEMO, number, method).expect("merged");
        assert_eq!(simulator.github.branch(DEMO, "main").as_deref(), Some(merged.as_str()));
        let repository =
            git2::Repository::open(simulator.github.git_dir(DEMO).expect("a path")).expect("opened");
        let commit = repository.revparse_single(&merged).expect("found").peel_to_commit().expect("a commit");
        assert_eq!(commit.parent_count(), parents, "{method:?}");
        assert_eq!(commit.parent_id(0).expect("a parent").to_string(), main);
        let tree = commit.tree().expect("a tree");
        let file = format!("{}.txt", branch.replace('/', "-"));
        assert!(tree.get_name(&file).is_some() && tree.get_path(std::path::Path::new(&other)).is_ok());
        let pull = simulator.github.pull(DEMO, number).expect("there");
        assert_eq!((&pull["merged"], &pull["merge_commit_sha"]), (&json!(true), &json!(merged)));
    }
    git(&simulator.github.git_dir(DEMO).expect("a path"), &["fsck", "--strict", "--full"]);
    assert_eq!(simulator.github.counts().pulls_merged, 3);
}

#[tokio::test]
async fn a_tree_over_the_limit_is_truncated() {
    let mut options = Options::default();
    options.github.settings.tree_limit = 3;
    let simulator = simulator(options);
    let files = [("a/1", Some("")), ("a/2", Some("")), ("b/1", Some(""))];
    simulator.github.push(DEMO, "main", &files, "Add files").expect("pushed");
    let get = async |path: &str| {
        let path = format!("/repos/{DEMO}/git/trees/{path}");
        call(&simulator, Method::GET, &path, json!({})).await.expect("an answer").1
    };
    let whole = get("main?recursive=1").await;
    assert_eq!((&whole["truncated"], whole["tree"].as_array().map(Vec::len)), (&json!(true), Some(3)));
    // Level by level nothing is left out.
    let top = get("main").await;
    assert_eq!((&top["truncated"], top["tree"].as_array().map(Vec::len)), (&json!(false), Some(3)));
    let below = top["tree"].as_array().and_then(|tree| tree.iter().find(|entry| entry["path"] == "a"));
    let below = get(below.expect("a")["sha"].as_str().expect("a SHA")).await;
    assert_eq!(below["tree"].as_array().map(Vec::len), Some(2));
}

#[test]
fn two_simulators_in_one_process_share_nothing() {
    let (one, two) = (simulator(Options::default()), simulator(Options::default()));
    open_pull(&one, "task/one");
    assert_eq!(one.github.counts().pulls_created, 1);
    assert_eq!(two.github.counts().pulls_created, 0);
    let directory = one.github.dir().to_owned();
    assert!(directory.exists());
    drop(one);
    assert!(!directory.exists(), "the repositories go with the simulator");
}
