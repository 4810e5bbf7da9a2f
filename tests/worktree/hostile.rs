//! Work trees and gits that lie: nothing that a sandbox says reaches GitHub unchecked, and nothing of the repository's own
//! settings runs for the operator.

use crate::support::{APP, Repository, World, sh, source};
use slipway::{controllers::task::commit::Prepared, domain::failure::Failure};
use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

const BLOB: &str = "d00491fd7e5bb6fa28c517a0bb32b8b506539d4d";
const NONE: &str = "0000000000000000000000000000000000000000";

/// Puts a git before the real one that does `script` for one of its commands; `$@` are the arguments.
fn lie(world: &World, subcommand: &str, script: &str) {
    let path = world.host("/home/user/bin");
    fs::create_dir_all(&path).unwrap();
    let git = path.join("git");
    let lies = format!(
        "#!/bin/sh\nfor word; do case $word in\n{subcommand}) {script};;\ncheck-attr) cat >/dev/null; exit 0;;\nesac; done\nPATH=/usr/local/bin:/usr/bin:/bin exec git \"$@\"\n"
    );
    fs::write(&git, lies).unwrap();
    fs::set_permissions(&git, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A copy with one changed file, read by a git that lies.
async fn lied_to(repository: &Repository<'_>, subcommand: &str, script: &str) -> Result<Prepared, Failure> {
    lie(repository.world, subcommand, script);
    repository.publish(&source(APP), &repository.tip()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_git_that_lies_is_not_believed() {
    let world = World::with_path("/home/user/bin:/usr/local/bin:/usr/bin:/bin").await;
    let repository = world.repository("app", "echo 1 > a");
    repository.copied(APP, "echo 2 > a; echo 1 > .hidden");
    let line = |path: &str| format!("printf ':000000 100644 {NONE} {BLOB} A\\000{path}\\000'; exit 0");
    for (subcommand, script, reason) in [
        ("diff-index", line("../../etc/passwd"), "InvalidFiles"),
        ("diff-index", line("/etc/passwd"), "InvalidFiles"),
        ("diff-index", line("a/.Git/config"), "InvalidFiles"),
        ("diff-index", line("x\\000\\000\\000"), "TransferInterrupted"),
        ("diff-index", "echo garbage; exit 0".to_owned(), "TransferInterrupted"),
        ("diff-index", "yes '' | tr '\\n' x; exit 0".to_owned(), "TooLarge"),
        ("diff-index", "exit 3".to_owned(), "TransferInterrupted"),
        ("rev-list", "yes; exit 0".to_owned(), "TransferInterrupted"),
        ("rev-list", "echo --upload-pack=x; exit 0".to_owned(), "TransferInterrupted"),
        ("--batch-check", "sed 's/$/ blob 99999999999/'; exit 0".to_owned(), "TooLarge"),
        ("--batch-check", "cat >/dev/null; echo; exit 0".to_owned(), "TransferInterrupted"),
        (
            "--batch",
            format!("cat >/dev/null; printf '{BLOB} blob 2\\n3\\n\\n'; exit 0"),
            "TransferInterrupted",
        ),
        (
            "--batch",
            format!("cat >/dev/null; printf '{BLOB} blob 3\\n2\\n\\n'; exit 0"),
            "TransferInterrupted",
        ),
        ("--batch", format!("cat >/dev/null; printf '{BLOB} missing\\n'; exit 0"), "TransferInterrupted"),
        ("--batch", format!("cat >/dev/null; printf '{BLOB} blob 2\\n2'; exit 0"), "TransferInterrupted"),
        ("--batch", "cat >/dev/null; yes; exit 0".to_owned(), "TransferInterrupted"),
    ] {
        let lied = lied_to(&repository, subcommand, &script).await;
        let failure = lied.expect_err(&script);
        assert_eq!(failure.reason, reason, "{subcommand}: {script}: {}", failure.message);
    }
    // Another tree than its changes make: GitHub's own listing decides.
    let told = lied_to(&repository, "write-tree", &format!("echo {BLOB}; exit 0")).await;
    assert!(matches!(told, Ok(Prepared::Commit { .. })), "{told:?}");
    assert!(matches!(lied_to(&repository, "nothing", "true").await, Ok(Prepared::Commit { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_the_repositorys_own_runs_or_misleads() {
    let world = World::new().await;
    let repository = world.repository("app", "echo 1 > a; echo 1 > b");
    let place = repository.copied(APP, "echo 2 > a");
    // A commit that stands for another: the parent is what its id says.
    sh(&place, "git replace HEAD $(git commit-tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904 -m x)");
    let ran = place.join("ran");
    let script = format!("#!/bin/sh\ntouch {}\n", Path::new(APP).join("ran").display());
    for hook in ["post-index-change", "pre-commit", "reference-transaction", "fsmonitor"] {
        let hook = place.join(".git/hooks").join(hook);
        fs::write(&hook, &script).unwrap();
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    }
    sh(
        &place,
        "echo ran >> .git/info/exclude
         git config core.fsmonitor .git/hooks/fsmonitor
         git config core.worktree /nowhere
         git config diff.external 'touch ran'
         git config core.pager 'touch ran'
         git config core.sshCommand 'touch ran'
         git config remote.origin.promisor true
         git config remote.origin.url 'ext::touch ran'
         git config diff.noprefix true; git config diff.renames copies; git config diff.relative true; git config core.quotePath false
         echo '* diff=x' > .git/info/attributes; git config diff.x.textconv 'touch ran'",
    );
    let commit = repository.committed(&source(APP), &repository.tip()).await;
    assert_eq!(repository.changes(&commit), ["M a"]);
    assert!(!ran.exists(), "a program of the repository's ran");
    assert!(!place.join(".git/index.lock").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_git_hides_for_its_user_stays_hidden() {
    let world = World::new().await;
    let repository =
        world.repository("app", "mkdir in out; echo 1 > in/a; echo 1 > out/b; echo 1 > local; echo 1 > c");
    // A sparse checkout: what is not checked out is not deleted.
    repository.copied(APP, "git sparse-checkout set in; echo 2 > in/a");
    assert!(!world.host(&format!("{APP}/out")).exists());
    let commit = repository.committed(&source(APP), &repository.tip()).await;
    assert_eq!(repository.changes(&commit), ["M in/a"]);
    // Files that are said not to change.
    repository.copied(
        "/home/user/assumed",
        "git update-index --assume-unchanged local; echo mine > local; echo 2 > c",
    );
    let commit = repository.committed(&source("/home/user/assumed"), &repository.tip()).await;
    assert_eq!(repository.changes(&commit), ["M c"]);
    // An index that is damaged is made again from the commit.
    repository.copied("/home/user/damaged", "echo 2 > c; echo x > .git/index");
    let commit = repository.committed(&source("/home/user/damaged"), &repository.tip()).await;
    assert_eq!(repository.changes(&commit), ["M c"]);
    // A shallow clone, and a linked work tree.
    let shallow = world.host("/home/user/shallow");
    sh(
        Path::new("/"),
        &format!(
            "git -c safe.directory='*' clone -q --depth 1 file://{} {}; echo 2 > {}/c",
            repository.bare.display(),
            shallow.display(),
            shallow.display()
        ),
    );
    let commit = repository.committed(&source("/home/user/shallow"), &repository.tip()).await;
    assert_eq!(repository.changes(&commit), ["M c"]);
}
