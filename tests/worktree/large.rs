//! Repositories with more entries than GitHub lists in one answer: what is not listed is asked for, not guessed.

use crate::support::{APP, World, git, sh, source};
use slipway::{api::Source, controllers::task::commit::Prepared};

/// More than the four that are listed whole, and a directory with less.
const MUCH: &str = "mkdir -p a/b c services/web/dist; echo 1 > a/1; echo 2 > a/b/2; echo 3 > a/b/3; echo 4 > c/4; \
     echo 1 > services/web/dist/app.js; echo dist/ > services/web/.gitignore; git add -f services/web/dist/app.js";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_base_tracks_below_the_destination_is_taken_whatever_its_ignore_files_say() {
    let world = World::with_tree_limit(4).await;
    let repository = world.repository("app", MUCH);
    let base = repository.tip();
    let place = repository.copied(APP, "rm -rf .git a c services; mkdir -p dist; echo dist/ > .gitignore");
    sh(&place, "echo changed > dist/app.js; echo new > dist/new.js");
    let source = Source { destination: Some("services/web".to_owned()), ..source(APP) };
    let commit = repository.committed(&source, &base).await;
    assert_eq!(repository.changes(&commit), ["M services/web/dist/app.js"], "what is new is ignored");
    sh(&place, "echo 1 > dist/app.js");
    let made = repository.publish(&source, &base).await;
    assert!(matches!(made, Ok(Prepared::NothingToCommit)), "{made:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_is_made_again_on_somebodys_push_by_the_paths_that_differ() {
    let world = World::with_tree_limit(4).await;
    let repository = world.repository("app", MUCH);
    let base = repository.tip();
    let place = repository.copied(APP, "echo ours > a/b/2; git mv c/4 c/moved; mkdir new; echo n > new/file");
    let first = repository.committed(&source(APP), &base).await;
    let push = |script: &str| {
        sh(&repository.theirs, &format!("git checkout -q -f {base}; {script}; git add -A"));
        git(&repository.theirs, &["commit", "-qm", "review"]);
        git(&repository.theirs, &["push", "-q", "-f", "origin", "HEAD:refs/heads/work"]);
        git(&repository.bare, &["rev-parse", "work"])
    };
    let head = push("echo review > a/b/3; rm services/web/dist/app.js");
    let again = repository.rebased(&first, &head).await.expect("made").expect("of other paths");
    assert_eq!(git(&repository.bare, &["rev-parse", &format!("{again}^@")]), head);
    assert_eq!(repository.changes(&again), ["M a/b/2", "D c/4", "A c/moved", "A new/file"]);
    assert_eq!(repository.content(&again, "a/b/3"), "review");
    for theirs in ["echo theirs > a/b/2", "echo theirs > c/4", "echo theirs > new"] {
        let head = push(theirs);
        assert_eq!(repository.rebased(&first, &head).await.expect("told"), None, "{theirs}");
    }

    // A round that changes more than GitHub shows of a comparison.
    sh(&place, "mkdir many; for n in $(seq 300); do echo $n > many/$n; done");
    let first = repository.committed(&source(APP), &base).await;
    let head = push("echo review > a/b/3");
    let failure = repository.rebased(&first, &head).await.unwrap_err();
    assert_eq!(failure.reason, "TreeTooLarge");
    assert!(failure.message.contains("slipway.dev/rerun"), "{}", failure.message);
}
