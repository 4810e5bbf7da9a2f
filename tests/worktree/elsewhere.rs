//! Work that a result does not carry: commits on other branches, in the stash and in other work trees, and what changed inside
//! submodules. It is named.

use crate::{
    checkout::{checkout, work},
    support::{APP, Repository, World, git, source},
};
use slipway::{api, api::Source, controllers::task::commit::Prepared, domain::task::Checkout};

fn with_checkout() -> Source {
    Source { checkout: Some(api::Checkout::default()), ..source(APP) }
}

/// The names after the command has done `script` in a round of its own.
async fn named(repository: &Repository<'_>, round: &Checkout, script: &str) -> Vec<String> {
    repository.checked_out(round).await;
    work(repository.world, script).await;
    repository.read(&with_checkout()).await.elsewhere
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_that_are_not_part_of_the_result_are_named() {
    let world = World::new().await;
    let agent = "git checkout -qb agent; echo 2 > a; git commit -qam 2";
    let detached = "git worktree add -q --detach wt; cd wt; echo 2 > a; git commit -qam 2";
    for (name, script, elsewhere) in [
        ("branch", format!("{agent}; git checkout -q -"), "branch agent"),
        ("stash", "echo 2 > a; git stash -q".to_owned(), "the stash"),
        ("worktree", format!("echo /wt >> .git/info/exclude; {detached}"), "the work tree /home/user/app/wt"),
        ("there", agent.to_owned(), ""),
        (
            "unreadable",
            format!("{agent}; git checkout -q -; printf '%040d\\n' 1 > .git/refs/heads/broken"),
            "branch agent",
        ),
        ("signed", format!("git config log.showSignature true; {agent}; git checkout -q -"), "branch agent"),
        ("merged", format!("{agent}; git checkout -q -; git merge -q agent; echo 3 > a"), ""),
        ("squashed", format!("{agent}; git checkout -q -; git merge -q --squash agent"), ""),
        ("applied", "echo 2 > a; git stash -q; git stash apply -q".to_owned(), ""),
    ] {
        let repository = world.repository(name, "echo 1 > a");
        world.run(&format!("rm -rf {APP}"), None).await;
        let round = checkout(&world, &repository.tip(), "u-1-1");
        let found = named(&repository, &round, &script).await;
        assert_eq!(found.join(","), elsewhere, "{name}");
        let prepared = repository.publish(&with_checkout(), &repository.tip()).await;
        if !elsewhere.is_empty() {
            assert!(matches!(prepared, Ok(Prepared::NothingToCommit)), "{name}: {prepared:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lay_there_before_the_round_is_not_named() {
    let world = World::new().await;
    let repository = world.repository("app", "echo 1 > a");
    let first = checkout(&world, &repository.tip(), "u-1-1");
    let script = "git checkout -qb agent; echo 2 > a; git commit -qam 2; echo 3 > a";
    assert!(named(&repository, &first, script).await.is_empty());
    let tree = world.host(APP);
    // Its time is that of the round before.
    let before = "GIT_COMMITTER_DATE='2020-01-01T00:00:00Z' git commit -q --amend --no-edit --allow-empty";
    work(&world, &format!("git checkout -q -f agent; {before}")).await;
    let second = checkout(&world, &repository.tip(), "u-2-1");
    assert!(named(&repository, &second, "echo 4 > a").await.is_empty());
    assert_eq!(git(&tree, &["branch", "--list", "agent"]), "  agent");
    // A copy has no such time: what a remote has is not lost.
    repository.copied(
        "/home/user/pushed",
        "git checkout -qb other; echo 2 > a; git commit -qam 2; git push -q origin other; git checkout -q main; echo 3 > a",
    );
    assert!(repository.read(&source("/home/user/pushed")).await.elsewhere.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_inside_a_submodule_are_named_without_a_commit() {
    let world = World::new().await;
    let repository = world.repository(
        "app",
        "git init -q lib; cd lib; echo 1 > c; git add .; git commit -qm 1; cd ..
         printf '[submodule \"lib\"]\n\tpath = lib\n\turl = https://example.com/lib\n' > .gitmodules",
    );
    let populate = format!("rm -rf lib; cp -r '{}/lib' lib", repository.theirs.display());
    for (name, script, moved) in [
        ("same", "true", &[][..]),
        ("edited", "echo 2 > lib/c", &["lib"]),
        ("new", "echo 2 > lib/d", &["lib"]),
        ("committed", "cd lib; echo 2 > c; git commit -qam 2", &["lib"]),
    ] {
        let path = format!("/home/user/{name}");
        repository.copied(&path, &format!("{populate}; {script}"));
        assert_eq!(repository.read(&source(&path)).await.moved, moved, "{name}");
    }
}
