//! Rounds on an open pull request: what this Task has changed goes onto the branch, what others have pushed stays.

use crate::{
    checkout::checkout,
    support::{APP, World, git, sh, source},
};
use slipway::{
    api::{Checkout, Source},
    controllers::task::commit::Prepared,
    domain::task::Checkout as Run,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_an_open_pull_request_a_copy_changes_what_it_changes_and_nothing_else() {
    let world = World::new().await;
    let repository = world.repository("app", "echo 1 > a; echo 1 > b; echo 1 > c; echo 1 > d");
    let base = repository.tip();
    let place = repository.copied(APP, "echo 2 > a; rm c; echo 2 > new");
    let first = repository.committed(&source(APP), &base).await;
    // A reviewer pushes onto the branch, and others to the base.
    git(&repository.bare, &["branch", "work", &first]);
    sh(&repository.theirs, "git fetch -q origin work; git checkout -q FETCH_HEAD; echo review > b");
    git(&repository.theirs, &["commit", "-qam", "review"]);
    git(&repository.theirs, &["push", "-q", "origin", "HEAD:work"]);
    let head = git(&repository.bare, &["rev-parse", "work"]);
    sh(&repository.theirs, "git checkout -q main");
    let moved = repository.push("echo theirs > d");

    sh(&place, "echo 3 > a; git checkout -q -- c; echo 3 > newer");
    let second = repository.publish_on(&source(APP), &moved, &head, Some(&first)).await;
    let Ok(Prepared::Commit { commit: second, parent, .. }) = second else { panic!("{second:?}") };
    assert_eq!(parent, head);
    assert_eq!(repository.changes(&second), ["M a", "A c", "A newer"], "and b is the reviewer's");

    sh(&place, "echo mine > b");
    let conflict = repository.publish_on(&source(APP), &moved, &head, Some(&first)).await.unwrap_err();
    assert_eq!(conflict.reason, "HeadMoved");
    assert!(conflict.message.contains("\"b\""), "{}", conflict.message);
    sh(&place, "echo review > b");
    assert!(
        repository.publish_on(&source(APP), &moved, &head, Some(&first)).await.is_ok(),
        "the same change is none"
    );
}

/// Three rounds on an open pull request, with a reviewer's push before the second: the third takes it back neither.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_reviewer_has_pushed_stays_in_every_later_round() {
    let world = World::new().await;
    for (name, copy) in [("copy", true), ("plain", false)] {
        let repository = world.repository(name, "echo 1 > a; echo 1 > b; echo 1 > c");
        let base = repository.tip();
        let path = format!("/home/user/{name}");
        let place = repository.copied(&path, if copy { "echo 2 > a" } else { "rm -rf .git; echo 2 > a" });
        let source = source(&path);
        let first = repository.committed(&source, &base).await;
        let mut head = first.clone();
        let mut last = first;
        for round in 2..5 {
            git(&repository.bare, &["branch", "-f", "work", &head]);
            if round != 3 {
                sh(&repository.theirs, "git fetch -q origin work; git checkout -q FETCH_HEAD");
                sh(
                    &repository.theirs,
                    &format!("echo review{round} > b; echo {round} > theirs{round}; git add ."),
                );
                git(&repository.theirs, &["commit", "-qm", "review"]);
                git(&repository.theirs, &["push", "-q", "-f", "origin", "HEAD:work"]);
                head = git(&repository.bare, &["rev-parse", "work"]);
            }
            sh(&place, &format!("echo {round}0 > a; echo {round} > mine{round}"));
            let made = repository.publish_on(&source, &base, &head, Some(&last)).await;
            let Ok(Prepared::Commit { commit, parent, .. }) = made else {
                panic!("{name} {round}: {made:?}")
            };
            assert_eq!(parent, head, "{name} {round}");
            assert_eq!(
                repository.changes(&commit),
                ["M a".to_owned(), format!("A mine{round}")],
                "{name} {round}"
            );
            (head, last) = (commit.clone(), commit);
        }
        assert_eq!(repository.content(&head, "b"), "review4", "{name}");
        assert_eq!(repository.content(&head, "theirs2"), "2", "{name}");
    }
}

/// With enough history to merge the base branch.
fn deep() -> Checkout {
    Checkout { depth: 10, ..Checkout::default() }
}

fn deep_checkout(world: &World, commit: &str, id: &str) -> Run {
    Run { how: deep(), ..checkout(world, commit, id) }
}

/// The base branch moves on, in conflict with an open pull request; a further round merges it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_round_that_merges_the_base_branch_resolves_its_conflict_at_github_too() {
    let world = World::new().await;
    let repository = world.repository("app", "echo 1 > a; mkdir d; echo 1 > d/b");
    let base = repository.tip();
    let source = Source { checkout: Some(deep()), ..source(APP) };
    let round = |commit: &str, id: &str| deep_checkout(&world, commit, id);
    repository.checked_out(&round(&base, "u-1-1")).await;
    let tree = world.host(APP);
    sh(&tree, "echo ours > a");
    let first = repository.committed(&source, &base).await;
    git(&repository.bare, &["branch", "work", &first]);
    let moved = repository.push("echo theirs > a; echo 2 > d/b");

    let fetch = ["fetch", "-q", repository.bare.to_str().unwrap(), "main"];
    let rebase = ["rebase", "-q", "-X", "theirs", "FETCH_HEAD"];
    let merge = ["merge", "-q", "-X", "ours", "--no-edit", "FETCH_HEAD"];
    let started = ["merge", "-q", "-X", "ours", "--no-commit", "FETCH_HEAD"];
    for (name, how) in [("merge", &merge[..]), ("started", &started), ("rebase", &rebase)] {
        repository.checked_out(&round(&first, &format!("u-2-{name}"))).await;
        git(&tree, &fetch);
        git(&tree, how);
        sh(&tree, &format!("echo {name} > a"));
        let made = repository.publish_on(&source, &moved, &first, Some(&first)).await;
        let Ok(Prepared::Commit { commit, parent, .. }) = made else { panic!("{name}: {made:?}") };
        assert_eq!(parent, first, "{name}");
        let parents = git(&repository.bare, &["rev-parse", &format!("{commit}^@")]);
        assert_eq!(parents, format!("{first}\n{moved}"), "{name}");
        let merged = repository.merged(&commit);
        assert_eq!(git(&repository.theirs, &["show", &format!("{merged}:a")]), name);
        sh(&repository.theirs, "git checkout -q main");

        // What leaves a part of it out is no merge.
        let part = Source { exclude: vec!["/d".to_owned()], ..source.clone() };
        let made = repository.publish_on(&part, &moved, &first, Some(&first)).await;
        let Ok(Prepared::Commit { commit, .. }) = made else { panic!("{name}: {made:?}") };
        assert_eq!(git(&repository.bare, &["rev-parse", &format!("{commit}^@")]), first, "{name}");
    }
    // Nothing came in: fetched only, or from a branch that is not the base.
    repository.checked_out(&round(&first, "u-3-1")).await;
    git(&tree, &fetch);
    sh(&tree, "echo other > a");
    let made = repository.publish_on(&source, &moved, &first, Some(&first)).await;
    let Ok(Prepared::Commit { commit, .. }) = made else { panic!("{made:?}") };
    assert_eq!(git(&repository.bare, &["rev-parse", &format!("{commit}^@")]), first);
}

/// Git does not work in another user's repository otherwise.
const TRUST: &str = "export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'";

/// What a command does with a base branch that it has fetched, and whether that is a merge.
fn ways() -> [(&'static str, bool, String); 12] {
    let merge = "! git merge -q --no-edit FETCH_HEAD";
    let resolve = "printf 'both, ours\\n' > f; echo theirs >> f; git add f";
    [
        ("restored", false, format!("{merge}; git restore --source=HEAD --staged --worktree .; echo 2 > k")),
        ("undone", false, format!("{merge}; git checkout -q HEAD -- .; echo 2 > k")),
        (
            "undone after a commit",
            false,
            format!("echo 3 >> f; git commit -qam own; {merge}; git checkout -q HEAD -- ."),
        ),
        ("moved", false, "git reset -q --soft FETCH_HEAD; echo 2 > k".to_owned()),
        (
            "moved, changed too",
            false,
            "git reset -q --soft FETCH_HEAD; echo 2 > f; echo 3 > g; echo 3 > n".to_owned(),
        ),
        (
            "moved and committed",
            false,
            "git reset -q --soft FETCH_HEAD; echo 2 > k; git add .; git commit -qm squashed".to_owned(),
        ),
        ("merged by name", false, "git merge -q -s ours --no-edit FETCH_HEAD; echo 2 > k".to_owned()),
        ("resolved", true, format!("{merge}; {resolve}; git commit -qm merged")),
        (
            "resolved as it was",
            true,
            format!("{merge}; git checkout --ours f; git add f; git commit -qm merged; echo 2 > k"),
        ),
        ("resolved, not committed", true, format!("{merge}; {resolve}")),
        (
            "squashed",
            true,
            format!(
                "{merge}; {resolve}; git commit -qm merged; git reset -q --soft FETCH_HEAD; git commit -qm squashed"
            ),
        ),
        (
            "rebased",
            true,
            format!("! git rebase -q FETCH_HEAD; {resolve}; GIT_EDITOR=true git rebase --continue"),
        ),
    ]
}

/// A round on an open pull request whose base branch has moved on; what the command does with that, and the parents of its commit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_has_the_base_branch_as_a_parent_only_where_it_has_all_of_it() {
    let world = World::new().await;
    let repository = world.repository("app", "seq 20 > f; echo 1 > g; echo 1 > k");
    let base = repository.tip();
    let source = Source { checkout: Some(deep()), ..source(APP) };
    let round = |commit: &str, id: &str| deep_checkout(&world, commit, id);
    repository.checked_out(&round(&base, "u-1-1")).await;
    let tree = world.host(APP);
    sh(&tree, "sed -i 's/^5$/ours/' f; echo first > own");
    let first = repository.committed(&source, &base).await;
    // Into a conflict, and also without one.
    let wide = repository.push("sed -i 's/^5$/theirs/' f; echo 2 > g; echo 2 > n");
    git(&repository.theirs, &["reset", "-q", "--hard", &base]);
    let narrow = repository.push("sed -i 's/^5$/theirs/' f");

    for (side, moved) in [("wide", &wide), ("narrow", &narrow)] {
        git(&repository.bare, &["update-ref", "refs/heads/main", moved]);
        for (name, is_merge, script) in &ways() {
            repository.checked_out(&round(&first, &format!("u-2-{side}-{}", name.replace(' ', "-")))).await;
            git(&tree, &["fetch", "-q", repository.bare.to_str().unwrap(), "main"]);
            sh(&tree, &format!("{TRUST}; {script}"));
            let made = repository.publish_on(&source, moved, &first, Some(&first)).await;
            let Ok(Prepared::Commit { commit, .. }) = made else { panic!("{side}, {name}: {made:?}") };
            let parents = git(&repository.bare, &["rev-parse", &format!("{commit}^@")]);
            // What one file of both sides says in the end somebody has decided by a merge.
            let is_merge = *is_merge || (side == "narrow" && *name == "merged by name");
            let expected = if is_merge { format!("{first}\n{moved}") } else { first.clone() };
            assert_eq!(parents, expected, "{side}, {name}");
        }
    }
}

/// A reviewer pushes another file while a round merges the base branch: the merge is made again on top of that push.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merge_of_the_base_branch_stays_one_when_it_is_made_again_on_somebodys_push() {
    let world = World::new().await;
    let repository = world.repository("app", "echo 1 > a; mkdir d; echo 1 > d/b; echo 1 > r");
    let base = repository.tip();
    let source = Source { checkout: Some(deep()), ..source(APP) };
    repository.checked_out(&deep_checkout(&world, &base, "u-1-1")).await;
    let tree = world.host(APP);
    sh(&tree, "echo ours > a");
    let first = repository.committed(&source, &base).await;
    git(&repository.bare, &["branch", "work", &first]);
    let moved = repository.push("echo theirs > a; echo 2 > d/b");
    repository.checked_out(&deep_checkout(&world, &first, "u-2-1")).await;
    git(&tree, &["fetch", "-q", repository.bare.to_str().unwrap(), "main"]);
    git(&tree, &["merge", "-q", "-X", "ours", "--no-edit", "FETCH_HEAD"]);
    let made = repository.publish_on(&source, &moved, &first, Some(&first)).await;
    let Ok(Prepared::Commit { commit: made, .. }) = made else { panic!("{made:?}") };

    sh(&repository.theirs, "git fetch -q origin work; git checkout -q FETCH_HEAD; echo review > r");
    git(&repository.theirs, &["commit", "-qam", "review"]);
    git(&repository.theirs, &["push", "-q", "origin", "HEAD:work"]);
    let head = git(&repository.bare, &["rev-parse", "work"]);
    let again = repository.rebased(&made, &head).await.expect("made").expect("of other paths");
    let parents = git(&repository.bare, &["rev-parse", &format!("{again}^@")]);
    assert_eq!(parents, format!("{head}\n{moved}"));
    assert_eq!(repository.content(&again, "a"), "ours");
    assert_eq!(repository.content(&again, "r"), "review");
    assert_eq!(repository.content(&again, "d/b"), "2");
    let shown = git(&repository.bare, &["diff", "--name-only", &format!("main...{again}")]);
    assert_eq!(shown, "a\nr", "nothing of the base branch is this pull request's");
    let merged = repository.merged(&again);
    assert_eq!(git(&repository.theirs, &["show", &format!("{merged}:a")]), "ours");

    // Where the push has the base branch's commit already, the commit is an ordinary one.
    sh(&repository.theirs, &format!("git checkout -q {head}; git merge -q -X ours --no-edit {moved}"));
    git(&repository.theirs, &["push", "-q", "origin", "HEAD:work"]);
    let head = git(&repository.bare, &["rev-parse", "work"]);
    sh(&tree, "echo 3 > new");
    let third = repository.publish_on(&source, &moved, &first, Some(&first)).await;
    let Ok(Prepared::Commit { commit: third, .. }) = third else { panic!("{third:?}") };
    let again = repository.rebased(&third, &head).await.expect("made").expect("of other paths");
    assert_eq!(git(&repository.bare, &["rev-parse", &format!("{again}^@")]), head);
}
