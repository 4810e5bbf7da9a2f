//! Results that were published wrongly once, each with a repository of its own.

use crate::support::{APP, Repository, World, source};
use slipway::{
    api::Source,
    controllers::task::commit::Prepared,
    domain::{
        failure::Class,
        secrets::{Needles, SecretValue},
    },
};
use slipway_simulator::github::Manners;

/// What the result does to GitHub's repository, when the round began at its tip.
pub async fn published(repository: &Repository<'_>, source: &Source) -> Vec<String> {
    let commit = repository.committed(source, &repository.tip()).await;
    repository.changes(&commit)
}

/// The reason and the words of a result that is refused.
pub async fn refused(repository: &Repository<'_>, source: &Source) -> (&'static str, String) {
    let failure = repository.publish(source, &repository.tip()).await.unwrap_err();
    assert_eq!(failure.class, Class::Invalid, "{failure:?}");
    (failure.reason, failure.message)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t2_04_a_tracked_file_that_gitignore_names_travels() {
    let world = World::new().await;
    let base = "mkdir dist src; echo dist/ > .gitignore; echo old > dist/index.js; echo old > src/a.ts";
    let edit = "mkdir -p dist src; echo dist/ > .gitignore; echo new > dist/index.js; echo new > src/a.ts; echo x > dist/new.js";
    for (name, path) in [("copy", "/home/user/copy"), ("directory", "/home/user/directory")] {
        let repository = world.repository(name, base);
        if name == "copy" {
            repository.copied(path, edit);
        } else {
            crate::support::sh(&world.host("/home/user"), &format!("mkdir {name}; cd {name}; {edit}"));
        }
        let changes = published(&repository, &source(path)).await;
        assert_eq!(changes, ["M dist/index.js", "M src/a.ts"], "{name}: what is ignored and new stays out");
        crate::support::sh(&world.host(path), "echo old > src/a.ts");
        assert_eq!(published(&repository, &source(path)).await, ["M dist/index.js"], "{name}");
        let all = Source { include_ignored: true, ..source(path) };
        assert_eq!(published(&repository, &all).await, ["M dist/index.js", "A dist/new.js"], "{name}");
        let some = Source { exclude: vec!["dist/".to_owned()], ..source(path) };
        let nothing = repository.publish(&some, &repository.tip()).await;
        assert!(matches!(nothing, Ok(Prepared::NothingToCommit)), "{name}: {nothing:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t2_06_a_submodule_keeps_its_link() {
    let world = World::new().await;
    let repository = world.repository("app", "echo 1 > a");
    let link = "1234567890123456789012345678901234567890";
    crate::support::sh(
        &repository.theirs,
        &format!(
            "printf '[submodule \"lib\"]\\n\\tpath = vendor/lib\\n\\turl = https://example.com/lib\\n' > .gitmodules
             git add .gitmodules; git update-index --add --cacheinfo 160000,{link},vendor/lib"
        ),
    );
    repository.push_staged();
    repository.copied(
        APP,
        "mkdir -p vendor/lib; echo 'gitdir: ../../.git/modules/lib' > vendor/lib/.git; echo 'int x;' > vendor/lib/a.c; echo 1 > b.txt",
    );
    assert_eq!(published(&repository, &source(APP)).await, ["A b.txt"]);

    repository.copied("/home/user/gone", "git rm -q vendor/lib; echo 1 > b.txt");
    let changes = published(&repository, &source("/home/user/gone")).await;
    assert_eq!(changes, ["M .gitmodules", "A b.txt", "D vendor/lib"], "it goes with its entry");

    repository.copied(
        "/home/user/vendored",
        "git rm -q vendor/lib; mkdir -p vendor/lib; echo 'int x;' > vendor/lib/a.c",
    );
    let changes = published(&repository, &source("/home/user/vendored")).await;
    assert_eq!(changes, ["M .gitmodules", "D vendor/lib", "A vendor/lib/a.c"]);

    repository.copied(
        "/home/user/half",
        "git rm -q --cached vendor/lib; rm -rf vendor/lib; mkdir -p vendor/lib; echo 'int x;' > vendor/lib/a.c",
    );
    let (reason, message) = refused(&repository, &source("/home/user/half")).await;
    assert_eq!(reason, "SubmodulePath");
    assert!(message.contains("vendor/lib/a.c") && message.contains(".gitmodules"), "{message}");

    // A plain directory can't know that it is one.
    crate::support::sh(
        &world.host("/home/user"),
        "mkdir -p plain/vendor/lib; echo 'int x;' > plain/vendor/lib/a.c; echo 1 > plain/b",
    );
    let (reason, message) = refused(&repository, &source("/home/user/plain")).await;
    assert_eq!(reason, "SubmodulePath");
    assert!(message.contains("vendor/lib/a.c"), "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_submodule_is_a_link_and_any_other_repository_inside_is_named() {
    let world = World::new().await;
    let repository = world.repository("app", "echo 1 > a");
    let inside = "git init -q lib; cd lib; echo 1 > c; git add .; git commit -qm 1; cd ..";
    repository.copied(
        APP,
        &format!("{inside}; printf '[submodule \"lib\"]\\n\\tpath = lib\\n\\turl = https://example.com/lib\\n' > .gitmodules; git add ."),
    );
    let commit = repository.committed(&source(APP), &repository.tip()).await;
    assert_eq!(repository.changes(&commit), ["A .gitmodules", "A lib"]);
    for (name, script) in [("committed", inside), ("empty", "git init -q lib; echo 1 > lib/c")] {
        let path = format!("/home/user/{name}");
        repository.copied(&path, &format!("{script}; echo 2 > a"));
        let (reason, message) = refused(&repository, &source(&path)).await;
        assert_eq!(reason, "EmbeddedRepository", "{name}");
        assert!(message.starts_with("\"lib\" is a git repository inside"), "{name}: {message}");
        let without = Source { exclude: vec!["/lib".to_owned()], ..source(&path) };
        assert_eq!(published(&repository, &without).await, ["M a"], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t2_20_a_copy_that_is_behind_takes_nothing_back() {
    let world = World::new().await;
    let repository = world.repository("app", "echo 1 > a.txt; echo 1 > b.txt");
    let old = repository.tip();
    repository.copied(APP, "echo mine > a.txt");
    let new = repository.push("echo 2 > b.txt; echo 2 > c.txt");
    let commit = repository.committed(&source(APP), &new).await;
    assert_eq!(repository.changes(&commit), ["M a.txt"]);
    assert_eq!(
        crate::support::git(&repository.bare, &["rev-parse", &format!("{commit}^")]),
        old,
        "on what it was made from"
    );
    let merged = repository.merged(&commit);
    for (path, content) in [("a.txt", "mine"), ("b.txt", "2"), ("c.txt", "2")] {
        assert_eq!(crate::support::git(&repository.theirs, &["show", &format!("{merged}:{path}")]), content);
    }

    // Newer than the round's beginning: what came in between is no change of this Task.
    repository.copied("/home/user/newer", "echo mine > a.txt");
    let commit = repository.committed(&source("/home/user/newer"), &old).await;
    assert_eq!(repository.changes(&commit), ["M a.txt"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_from_before_all_that_is_looked_at_is_named_and_one_of_another_repository_is_a_directory() {
    let world = World::new().await;
    let repository = world.repository("app", "echo 1 > a; echo 1 > b");
    repository.copied(APP, "echo mine > a");
    crate::support::sh(
        &repository.theirs,
        "for n in $(seq 1100); do printf 'commit refs/heads/main\ncommitter A <a@b> %d +0000\ndata 1\nx%s\n\n' $((1900000000 + n)) \
         \"$([ $n = 1 ] && printf '\nfrom refs/heads/main^0')\"; done | git fast-import --quiet --force; git push -q -f origin main",
    );
    let (reason, message) = refused(&repository, &source(APP)).await;
    assert_eq!(reason, "CopyTooOld");
    assert!(message.contains("git pull"), "{message}");

    crate::support::sh(
        &world.host("/home/user"),
        "git init -q own; cd own; echo other > a; echo new > c; git add .; git commit -qm own; echo later > d",
    );
    let changes = published(&repository, &source("/home/user/own")).await;
    assert_eq!(changes, ["M a", "A c", "A d"], "laid over the base: b stays");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t2_32_deletions_and_renames_arrive() {
    let world = World::new().await;
    let repository = world.repository("app", "seq 100 > old.py; echo 1 > main.py; mkdir d; echo 1 > d/e");
    repository.copied(APP, "git mv old.py new.py");
    assert_eq!(published(&repository, &source(APP)).await, ["A new.py", "D old.py"]);
    repository.copied("/home/user/rm", "rm old.py");
    assert_eq!(published(&repository, &source("/home/user/rm")).await, ["D old.py"]);
    repository
        .copied("/home/user/kinds", "rm -r d; echo 1 > d; rm main.py; mkdir main.py; echo 1 > main.py/x");
    let changes = published(&repository, &source("/home/user/kinds")).await;
    assert_eq!(changes, ["A d", "D d/e", "D main.py", "A main.py/x"]);
    // Committed by the agent itself, on a branch of its own: the work tree counts.
    repository.copied(
        "/home/user/commits",
        "git checkout -qb own; git rm -q old.py; git commit -qm 1; echo 2 > main.py",
    );
    assert_eq!(published(&repository, &source("/home/user/commits")).await, ["M main.py", "D old.py"]);
    repository.copied("/home/user/all", "git rm -qr .");
    assert_eq!(
        refused(&repository, &source("/home/user/all")).await.0,
        "NoFiles",
        "GitHub takes no empty tree"
    );
    // GitHub takes the parent's id for that of its tree; another server may not.
    let name = repository.name.to_string();
    world.simulator.github.set_manners(&name, Manners { trees_only: true, ..Manners::default() }).unwrap();
    assert_eq!(published(&repository, &source("/home/user/rm")).await, ["D old.py"]);
    repository.copied("/home/user/same", "touch main.py");
    let same = repository.publish(&source("/home/user/same"), &repository.tip()).await;
    assert!(matches!(same, Ok(Prepared::NothingToCommit)), "{same:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t2_37_links_are_never_followed() {
    let world = World::new().await;
    let repository = world.repository("app", "echo 1 > a");
    repository.copied(APP, "mkdir d; ln -s d to-dir; ln -s nowhere broken; ln -s /etc/hostname absolute; echo a > d/a; ln -sf d a");
    let commit = repository.committed(&source(APP), &repository.tip()).await;
    let tree = crate::support::git(&repository.bare, &["ls-tree", "-r", &commit]);
    for link in ["a", "absolute", "broken", "to-dir"] {
        let is_link = |line: &str| line.starts_with("120000 blob") && line.ends_with(&format!("\t{link}"));
        assert!(tree.lines().any(is_link), "{link}: {tree}");
    }
    assert_eq!(repository.content(&commit, "absolute"), "/etc/hostname");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_not_be_read_is_named() {
    let world = World::new().await;
    let repository = world.repository("app", "echo 1 > a");
    for (name, script, reason, words) in [
        (
            "broken",
            "rm .git/HEAD; ln -s nowhere .git/HEAD; echo 2 > a",
            "WorkTreeDamaged",
            "not a git repository",
        ),
        ("dangling", "rm -r .git; echo 'gitdir: /nowhere' > .git", "WorkTreeDamaged", "/nowhere"),
        ("filtered", "echo '*.bin filter=crypt' > .gitattributes; echo 2 > x.bin", "FilteredFile", "x.bin"),
    ] {
        let path = format!("/home/user/{name}");
        repository.copied(&path, script);
        let (found, message) = refused(&repository, &source(&path)).await;
        assert_eq!(found, reason, "{name}");
        assert!(message.contains(words), "{name}: {message}");
    }
    // A filter whose program is there is git's own business.
    repository.copied(
        "/home/user/driver",
        "echo '*.bin filter=up' > .gitattributes; git config filter.up.clean 'tr a-z A-Z'; echo abc > x.bin",
    );
    let commit = repository.committed(&source("/home/user/driver"), &repository.tip()).await;
    assert_eq!(repository.content(&commit, "x.bin"), "ABC");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_directory_goes_where_it_is_told() {
    let world = World::new().await;
    let repository = world.repository("app", "mkdir docs; echo docs-out > .gitignore; echo 1 > docs/old; echo '*.log' > docs/.gitignore; echo 1 > docs/kept.log");
    crate::support::sh(
        &world.host("/home/user"),
        "git init -q site; cd site; mkdir -p .github; echo new > index; echo 2 > kept.log; echo 2 > other.log; echo '*.log' > .gitignore; echo x > .github/x",
    );
    let below = Source { destination: Some("docs".to_owned()), ..source("/home/user/site") };
    let changes = published(&repository, &below).await;
    assert_eq!(changes, ["A docs/.github/x", "A docs/index", "M docs/kept.log"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t2_05_a_secret_in_a_changed_file_or_name_stops_everything_but_one_that_is_there_already() {
    let world = World::new().await;
    let value = "sk-live-0123456789abcdef";
    let repository = world.repository("app", &format!("echo 'old={value}' > old"));
    let secret = SecretValue { value: value.into(), secret: "keys".into(), key: "k".into() };
    let needles = Needles::new(vec![secret]);
    for (name, script, place) in [
        ("content", "printf 'a=1\\nKEY=%s\\n' $V > .env; echo 1 > a.txt", "\".env\""),
        ("name", "echo 1 > n-$V", "the path"),
        ("link", "ln -s /tmp/$V link", "\"link\""),
        ("more", "echo \"again=$V\" >> old", "\"old\""),
        ("renamed", "git mv old n-$V", "the path"),
    ] {
        let path = format!("/home/user/{name}");
        repository.copied(&path, &script.replace("$V", value));
        let failure = repository.publish_knowing(&source(&path), &needles).await.unwrap_err();
        assert_eq!(failure.reason, "SecretInFiles", "{name}");
        assert!(
            failure.message.contains(place) && !failure.message.contains(value),
            "{name}: {}",
            failure.message
        );
    }
    repository.copied("/home/user/same", "echo more >> old");
    let same = repository.publish_knowing(&source("/home/user/same"), &needles).await;
    assert!(matches!(same, Ok(Prepared::Commit { .. })), "it stands there as often as before: {same:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t2_31_a_file_that_is_still_written_is_named_and_may_be_left_out() {
    let world = World::new().await;
    let repository = world.repository("app", "echo 1 > a");
    // It is written to each time that git reads it: what else writes needs the processor at the right moment.
    let edit = "echo 2 > a; : > dev.log; echo 'dev.log filter=busy' >> .git/info/attributes";
    repository.copied(APP, &format!("{edit}; git config filter.busy.clean 'cat; echo x >> dev.log'"));
    let (reason, message) = refused(&repository, &source(APP)).await;
    assert_eq!(reason, "FileKeepsChanging");
    assert!(message.contains("\"dev.log\""), "{message}");
    let without = Source { exclude: vec!["*.log".to_owned()], ..source(APP) };
    assert_eq!(published(&repository, &without).await, ["M a"]);
}
