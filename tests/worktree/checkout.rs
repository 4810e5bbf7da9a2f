//! The repository in the sandbox before a command runs: by git over HTTP, whatever lay there before and whatever breaks off.

use crate::support::{APP, CAPS, Repository, World, git, sh, source};
use slipway::{
    api::{Checkout as How, Clean, Source},
    controllers::task::{checkout::CheckingOut, commit::Prepared, files::Transfers},
    domain::{
        failure::{Class, Failure},
        task::Checkout,
    },
};
use std::path::Path;

const BRANCH: &str = "task/greet/say-hello";

pub fn checkout(world: &World, commit: &str, generation: &str) -> Checkout {
    Checkout {
        how: How::default(),
        path: APP.to_owned(),
        sandbox: world.sandbox.clone(),
        commit: commit.to_owned(),
        branch: BRANCH.to_owned(),
        generation: generation.to_owned(),
        turn: "t".to_owned(),
    }
}

impl Repository<'_> {
    pub async fn check_out(&self, checkout: &Checkout) -> Result<Option<&'static str>, Failure> {
        let World { client, envd, .. } = self.world;
        let max_bytes = CAPS.max_checkout_bytes;
        let work = CheckingOut { envd, github: client, repository: &self.name, checkout, max_bytes };
        work.run(Transfers::new(2).try_acquire("n")).await
    }

    pub async fn checked_out(&self, checkout: &Checkout) {
        assert_eq!(self.check_out(checkout).await, Ok(None));
    }

    /// Number of packs that were asked for.
    pub fn fetches(&self) -> usize {
        self.world.simulator.calls.of("github", "git").len()
    }

    pub async fn not_checked_out(&self, checkout: &Checkout) -> (Class, &'static str, String) {
        let failure = self.check_out(checkout).await.unwrap_err();
        (failure.class, failure.reason, failure.message)
    }
}

/// Runs a script in the sandbox's work tree, as the command does.
pub async fn work(world: &World, script: &str) {
    world.run(&format!("cd {APP}; {script}"), None).await;
}

pub fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Git finds nothing to complain about, and the branch stands at the commit.
pub fn assert_clean(world: &World, commit: &str) {
    let tree = world.host(APP);
    assert_eq!(git(&tree, &["status", "--porcelain", "--ignored=no"]), "");
    assert_eq!(git(&tree, &["rev-parse", "HEAD"]), commit);
    assert_eq!(git(&tree, &["symbolic-ref", "--short", "HEAD"]), BRANCH);
    git(&tree, &["fsck", "--strict", "--no-dangling"]);
}

fn with(how: How) -> Source {
    Source { checkout: Some(how), ..source(APP) }
}

const ODD: &str = r#"
    printf 'a\nb\n' > unix; printf '*.bat eol=crlf\n*.bin filter=lfs diff=lfs merge=lfs -text\n' > .gitattributes
    printf 'dir\n' > run.bat; ln -s unix link; printf 'x' > 'naïve – 名.txt'; mkdir -p deep/er; echo 1 > deep/er/file
    printf '#!/bin/sh\n' > tool; chmod +x tool; echo target/ > .gitignore
    printf 'version https://git-lfs.github.com/spec/v1\noid sha256:%064d\nsize 12\n' 7 > big.bin
    printf '[submodule "lib"]\n\tpath = vendor/lib\n\turl = https://example.com/lib\n' > .gitmodules
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_finds_a_clean_work_tree_without_credentials() {
    let world = World::new().await;
    let repository = world.repository("app", ODD);
    sh(
        &repository.theirs,
        "git update-index --add --cacheinfo 160000,1234567890123456789012345678901234567890,vendor/lib",
    );
    let tip = repository.push_staged();
    let wanted = checkout(&world, &tip, "u-1-1");
    repository.checked_out(&wanted).await;

    let tree = world.host(APP);
    assert_clean(&world, &tip);
    assert_eq!(git(&tree, &["rev-list", "--count", "HEAD"]), "1");
    assert_eq!(git(&tree, &["rev-parse", "refs/slipway/base"]), tip);
    assert_eq!(std::fs::read_to_string(tree.join("run.bat")).unwrap(), "dir\r\n");
    assert_eq!(std::fs::read_link(tree.join("link")).unwrap(), Path::new("unix"));
    assert!(std::fs::read_to_string(tree.join("big.bin")).unwrap().starts_with("version https://git-lfs"));
    assert!(names(&tree.join("vendor/lib")).is_empty(), "submodules are not fetched");
    let origin = git(&tree, &["config", "remote.origin.url"]);
    assert_eq!(origin, format!("{}/slipway-bot/app.git", world.simulator.github_url()));
    assert_eq!(
        std::fs::read_to_string(tree.join(".git/slipway")).unwrap(),
        format!("ready {tip} u-1-1/t 1\n")
    );
    sh(&tree, "! grep -r slipway-bot-token . && ! grep -r x-access-token .");
    let left: Vec<_> =
        names(&tree.join(".git")).into_iter().filter(|name| name.starts_with("slipway")).collect();
    assert_eq!(left, ["slipway"], "the pack went where git keeps packs");

    // Done is done: nothing is asked for, and nothing is taken back.
    work(&world, "echo mine > unix").await;
    repository.checked_out(&wanted).await;
    assert_eq!(
        (repository.fetches(), std::fs::read_to_string(tree.join("unix")).unwrap()),
        (1, "mine\n".into())
    );
    // In another turn somebody else may have been there.
    repository.checked_out(&Checkout { turn: "u".to_owned(), ..wanted.clone() }).await;
    assert_clean(&world, &tip);
    // A further attempt begins with what is there.
    repository.checked_out(&checkout(&world, &tip, "u-1-2")).await;
    assert_clean(&world, &tip);
    assert_eq!(repository.fetches(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_much_of_the_history_comes_as_is_asked_for() {
    let world = World::new().await;
    let repository = world.repository("app", "echo 1 > a");
    for number in 2..6 {
        repository.push(&format!("echo {number} > a"));
    }
    let tip = repository.tip();
    let wanted = |depth| Checkout {
        how: How { depth, clean: Clean::All },
        path: format!("{APP}-{depth}"),
        ..checkout(&world, &tip, "u-1-1")
    };
    // More than there is by now is fetched, though the commit is there.
    let deeper = |depth, attempt: &str| Checkout {
        generation: attempt.to_owned(),
        path: APP.to_owned(),
        ..wanted(depth)
    };
    for (depth, attempt, commits) in [(1, "u-1-2", "1"), (3, "u-1-3", "3"), (2, "u-1-4", "3")] {
        repository.checked_out(&deeper(depth, attempt)).await;
        assert_eq!(git(&world.host(APP), &["rev-list", "--count", "HEAD"]), commits, "{depth}");
    }
    for (depth, commits) in [(1, "1"), (3, "3"), (5, "5"), (1000, "5")] {
        repository.checked_out(&wanted(depth)).await;
        let tree = world.host(&wanted(depth).path);
        assert_eq!(git(&tree, &["rev-list", "--count", "HEAD"]), commits, "{depth}");
        assert_eq!(git(&tree, &["rev-parse", "--is-shallow-repository"]), (depth < 1000).to_string());
        git(&tree, &["fsck", "--strict"]);
    }
}

/// What a command may leave behind.
const LEFT: [(&str, &str); 15] = [
    ("changes", "echo x >> a; rm b; mv c d; echo new > e; mkdir f; echo 1 > f/g; git add -A"),
    (
        "commits on another branch",
        "git checkout -q -b other; echo x > a; git commit -qam x; git branch -q -D task/greet/say-hello",
    ),
    ("a repository inside", "git init -q inside; echo 1 > inside/x"),
    ("a lock", "touch .git/index.lock .git/HEAD.lock .git/refs/heads/task/greet/say-hello.lock; echo x > a"),
    ("a rebase", "mkdir .git/rebase-merge; echo 1 > .git/rebase-merge/msgnum; echo x > .git/MERGE_HEAD"),
    ("a repository without a tree", "git config core.bare true; echo x > a"),
    ("a tree elsewhere", "git config core.worktree /nowhere; echo x > a"),
    (
        "both, of a work tree's own",
        "git config extensions.worktreeConfig true; git config --worktree core.bare true; git config core.worktree /nowhere",
    ),
    ("a sparse tree", "git sparse-checkout set --no-cone /a; echo x > a"),
    (
        "files that git is not to look at",
        "git update-index --assume-unchanged a; git update-index --skip-worktree b; echo x > a; rm b",
    ),
    (
        "a branch in the way",
        "git checkout -q --detach; git branch -q -D task/greet/say-hello; git branch task",
    ),
    ("no HEAD", "rm .git/HEAD"),
    ("no objects", "rm -rf .git/objects/pack"),
    ("a broken index", "echo broken > .git/index; echo x > a"),
    ("a directory that nobody may change", "mkdir shut; echo 1 > shut/a; chmod 500 shut"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_command_has_left_the_next_attempt_begins_clean() {
    let world = World::new().await;
    let repository = world
        .repository("app", "echo 1 > a; echo 1 > b; echo 1 > c; printf 'target/\\n*.log\\n' > .gitignore");
    let tip = repository.tip();
    repository.checked_out(&checkout(&world, &tip, "u-1-0")).await;
    for (number, (what, script)) in LEFT.iter().enumerate() {
        work(&world, &format!("mkdir -p target; echo cached > target/x; echo said > a.log; {script}")).await;
        let attempt = checkout(&world, &tip, &format!("u-2-{number}"));
        let fetched = repository.fetches();
        assert_eq!(repository.check_out(&attempt).await, Ok(None), "{what}");
        assert_clean(&world, &tip);
        let tree = world.host(APP);
        assert_eq!(names(&tree), [".git", ".gitignore", "a", "a.log", "b", "c", "target"], "{what}");
        let damaged = ["no HEAD", "no objects", "a branch in the way"].contains(what);
        assert_eq!(repository.fetches() > fetched, damaged, "{what}: fetched again");
    }
    let all = Checkout { how: How { depth: 1, clean: Clean::All }, ..checkout(&world, &tip, "u-3-1") };
    repository.checked_out(&all).await;
    assert_eq!(names(&world.host(APP)), [".git", ".gitignore", "a", "b", "c"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_further_round_works_on_the_head_of_the_branch() {
    let world = World::new().await;
    let repository = world.repository("app", "echo 1 > a; echo target/ > .gitignore");
    let how = with(How::default());
    let base = repository.tip();
    repository.checked_out(&checkout(&world, &base, "u-1-1")).await;
    work(&world, "mkdir target; echo cached > target/x; echo 2 > a; git mv a b; echo new > c").await;
    let commit = repository.committed(&how, &base).await;
    assert_eq!(repository.changes(&commit), ["D a", "A b", "A c"]);
    git(&repository.bare, &["update-ref", &format!("refs/heads/{BRANCH}"), &commit]);

    repository.checked_out(&checkout(&world, &commit, "u-2-1")).await;
    assert_clean(&world, &commit);
    assert_eq!(names(&world.host(APP)), [".git", ".gitignore", "b", "c", "target"]);
    work(&world, "echo 3 > b; git rm -q c; git commit -qam 'by the command itself'").await;
    let prepared = repository.publish_on(&how, &base, &commit, Some(&commit)).await;
    let Ok(Prepared::Commit { commit: second, parent, .. }) = prepared else { panic!("{prepared:?}") };
    assert_eq!(
        (parent, repository.changes(&second)),
        (commit.clone(), vec!["M b".to_owned(), "D c".to_owned()])
    );
    let nothing = {
        repository.checked_out(&checkout(&world, &commit, "u-2-2")).await;
        repository.publish_on(&how, &base, &commit, Some(&commit)).await
    };
    assert!(matches!(nothing, Ok(Prepared::NothingToCommit)), "{nothing:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_work_tree_that_is_not_ours_any_more_tells_no_result() {
    let world = World::new().await;
    let repository = world.repository("app", "echo 1 > a");
    let tip = repository.tip();
    for (number, script) in [
        "git update-ref -d refs/slipway/base",
        "rm -rf .git",
        "rm -rf .git; git init -q; git add -A; git commit -qm mine; git update-ref refs/slipway/base HEAD",
        "rm .git/HEAD",
        "cd ..; rm -rf app",
    ]
    .iter()
    .enumerate()
    {
        sh(&world.host("/home/user"), "rm -rf app");
        repository.checked_out(&checkout(&world, &tip, &format!("u-{number}-1"))).await;
        work(&world, &format!("echo 2 > a; {script}")).await;
        let failure = repository.publish(&with(How::default()), &tip).await.unwrap_err();
        assert_eq!(
            (failure.class, failure.reason),
            (Class::Invalid, "WorkTreeDamaged"),
            "{script}: {failure:?}"
        );
        assert!(failure.message.contains(APP), "{}", failure.message);
    }
}
