//! What git makes of a work tree's files when it adds them: line ends and filters, names that it never takes, a merge that
//! stopped half-way, settings from elsewhere.

use crate::{
    cases::{published, refused},
    checkout::{checkout, names, work},
    support::{APP, World, git, source},
};
use slipway::{api::Source, controllers::task::commit::Prepared};
use std::os::unix::fs::PermissionsExt as _;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_was_committed_before_its_attribute_stays_until_it_changes() {
    let world = World::new().await;
    // As repositories are whose .gitattributes came later than their files.
    let base = "printf 'a\r\nb\r\n' > run.bat; printf 'a\r\n' > 'two
lines.bat'; printf 'raw' > m.bin; echo 1 > c; git add .
                printf '*.bat text eol=crlf\n*.bin filter=lfs\n' > .gitattributes; git add .gitattributes";
    let repository = world.repository("app", "echo 0 > c");
    crate::support::sh(&repository.theirs, base);
    repository.push_staged();
    let lfs = "git config filter.lfs.clean 'echo a pointer; cat >/dev/null'";
    repository.copied(APP, &format!("{lfs}; touch * ; git config core.quotePath true"));
    let nothing = repository.publish(&source(APP), &repository.tip()).await;
    assert!(matches!(nothing, Ok(Prepared::NothingToCommit)), "{nothing:?}");

    repository.copied("/home/user/mode", &format!("{lfs}; chmod +x run.bat; touch *; echo 2 > c"));
    let commit = repository.committed(&source("/home/user/mode"), &repository.tip()).await;
    assert_eq!(repository.changes(&commit), ["M c", "M run.bat"], "but for its mode");
    let id = |commit: &str| git(&repository.bare, &["rev-parse", &format!("{commit}:run.bat")]);
    assert_eq!(id(&commit), id("main"));

    // What changes is committed as its attribute says, and so is what somebody has made anew on purpose.
    repository.copied("/home/user/edit", "printf 'c\r\n' >> run.bat; touch *");
    let commit = repository.committed(&source("/home/user/edit"), &repository.tip()).await;
    assert_eq!(
        (repository.changes(&commit).len(), repository.content(&commit, "run.bat")),
        (1, "a\nb\nc".into())
    );
    repository.copied("/home/user/anew", "git add --renormalize run.bat; git commit -qm anew; touch *");
    assert_eq!(published(&repository, &source("/home/user/anew")).await, ["M run.bat"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_that_fails_publishes_no_raw_file() {
    let world = World::new().await;
    let repository = world.repository(
        "app",
        "echo '*.nb filter=strip' > .gitattributes; echo a > a.nb; echo a > gone.nb; echo 1 > c",
    );
    for (name, clean) in [
        ("missing", "git config filter.strip.clean no-such-program"),
        ("fails", "git config filter.strip.clean 'cat; false'"),
        ("empty", "git config filter.strip.clean ''"),
        ("process", "git config filter.strip.process no-such-program"),
        ("said", "git config filter.strip.clean false; git config filter.strip.required false"),
    ] {
        let path = format!("/home/user/{name}");
        repository
            .copied(&path, &format!("{clean}; echo 'the output' >> a.nb; echo b > 'a b.nb'; echo 2 > c"));
        let (reason, message) = refused(&repository, &source(&path)).await;
        assert_eq!(reason, "FilteredFile", "{name}: {message}");
        assert!(message.contains("\"a.nb\"") && message.contains("\"a b.nb\""), "{name}: {message}");
        // As it was it needs no filter, touched or not.
        let other = format!("/home/user/{name}-other");
        repository.copied(&other, &format!("{clean}; touch a.nb; echo 2 > c; rm -f gone.nb"));
        assert_eq!(published(&repository, &source(&other)).await, ["M c", "D gone.nb"], "{name}");
        let without = Source { exclude: vec!["*.nb".to_owned()], ..source(&path) };
        assert_eq!(published(&repository, &without).await, ["M c"], "{name}");
    }
    // What git LFS keeps becomes a pointer without git-lfs.
    let lfs = "git config filter.lfs.clean no-such-program; git config filter.lfs.required true";
    repository.copied(APP, &format!("{lfs}; echo '*.bin filter=lfs' > .gitattributes; echo content > m.bin"));
    let commit = repository.committed(&source(APP), &repository.tip()).await;
    assert!(repository.content(&commit, "m.bin").starts_with("version https://git-lfs.github.com/spec/v1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_git_never_adds_is_named_and_may_be_left_out() {
    let world = World::new().await;
    let repository = world.repository(
        "app",
        "echo '*.u16 working-tree-encoding=UTF-16' > .gitattributes; echo 1 > c; echo 1 > p",
    );
    for (name, script, file) in [
        ("encoding", "printf 'ab' > x.u16", "x.u16"),
        ("short", "mkdir git~1; echo 1 > git~1/x", "git~1/x"),
        ("case", "mkdir -p d/.Git; echo 1 > d/.Git/x", "d/.Git/x"),
        ("link", "ln -s /x .gitmodules", ".gitmodules"),
        ("pipe", "rm p; mkfifo p", "p"),
    ] {
        let path = format!("/home/user/{name}");
        repository.copied(&path, &format!("{script}; echo 2 > c"));
        let (reason, message) = refused(&repository, &source(&path)).await;
        assert_eq!(reason, "InvalidFiles", "{name}: {message}");
        assert!(
            message.contains(&format!("{file:?}")) && message.contains("spec.source.exclude"),
            "{name}: {message}"
        );
        let without = Source { exclude: vec![format!("/{file}")], ..source(&path) };
        assert_eq!(published(&repository, &without).await, ["M c"], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_from_another_machine_lose_no_file_and_leave_nothing_in_the_repository() {
    let world = World::new().await;
    let repository = world.repository("app", "echo 1 > foo.ts; echo 1 > c");
    let place = repository.copied(
        APP,
        "git config core.ignoreCase true; git config core.splitIndex true; git update-index --split-index
         git config splitIndex.maxPercentChange 0; mv foo.ts Foo.ts; echo 1 > C",
    );
    let before = names(&place.join(".git"));
    assert!(before.iter().any(|name| name.starts_with("sharedindex.")), "{before:?}");
    assert_eq!(published(&repository, &source(APP)).await, ["A C", "A Foo.ts", "D foo.ts"]);
    assert_eq!(names(&place.join(".git")), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_git_that_makes_other_repositories_by_itself_checks_out_and_is_read() {
    let world = World::with_path("/home/user/bin:/usr/local/bin:/usr/bin:/bin").await;
    let program = world.host("/home/user/bin/git");
    std::fs::create_dir_all(program.parent().unwrap()).unwrap();
    // As git 3 does, or an older one by init.defaultObjectFormat.
    let script = "#!/bin/sh\nexport GIT_DEFAULT_HASH=${GIT_DEFAULT_HASH:-sha256}\nPATH=/usr/local/bin:/usr/bin:/bin exec git \"$@\"\n";
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    for home in ["/home/user", "/root"] {
        std::fs::write(world.host(home).join(".gitconfig"), "[safe]\n\tbareRepository = explicit\n").unwrap();
    }
    let repository = world.repository("app", "echo 1 > a");
    let tip = repository.tip();
    repository.checked_out(&checkout(&world, &tip, "u-1-1")).await;
    work(&world, "test $(git rev-parse --show-object-format) = sha1; echo 2 > a").await;
    let source = Source { checkout: Some(slipway::api::Checkout::default()), ..source(APP) };
    assert_eq!(published(&repository, &source).await, ["M a"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conflict_that_nobody_has_resolved_is_named() {
    let world = World::new().await;
    let repository = world.repository("app", "echo 1 > a.txt; echo 1 > c");
    let merge = "git checkout -qb other; echo 2 > a.txt; git commit -qam 2; git checkout -q main; echo 3 > a.txt; git commit -qam 3
                 git merge other || true; echo 2 > c";
    let stash =
        "echo 2 > a.txt; git stash -q; echo 3 > a.txt; git commit -qam 3; git stash pop || true; echo 2 > c";
    for (name, script) in [("merge", merge), ("rebase", &merge.replace("merge", "rebase")), ("stash", stash)]
    {
        let path = format!("/home/user/{name}");
        let place = repository.copied(&path, script);
        let (reason, message) = refused(&repository, &source(&path)).await;
        assert_eq!(reason, "UnresolvedConflict", "{name}");
        assert!(message.starts_with("\"a.txt\" still has conflict markers"), "{name}: {message}");
        let without = Source { exclude: vec!["a.txt".to_owned()], ..source(&path) };
        assert_eq!(published(&repository, &without).await, ["M c"], "{name}");
        // Resolved, though git was not told.
        crate::support::sh(&place, "echo 4 > a.txt");
        assert_eq!(published(&repository, &source(&path)).await, ["M a.txt", "M c"], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_index_nothing_that_is_ignored_counts_as_gone() {
    let world = World::new().await;
    let repository = world.repository("app", "echo '*.log' > .gitignore; echo 1 > kept.log; echo 1 > c");
    repository.copied(APP, "rm .git/index; echo 2 > c");
    assert_eq!(published(&repository, &source(APP)).await, ["M c"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_reading_leaves_its_copies_in_the_sandbox() {
    let world = World::new().await;
    let repository = world.repository("app", "echo 1 > c");
    let place = repository.copied(APP, "git init -q lib; echo 1 > lib/c; echo 2 > c");
    let slipway = world.host("/var/tmp/slipway");
    // The first is what an operator that was stopped has left, the others are another Task's and what a command has left.
    for left in ["app-1-1-before.git", "v-1-1-x.git", "app-1-1"] {
        std::fs::create_dir_all(slipway.join(left)).unwrap();
    }
    assert_eq!(refused(&repository, &source(APP)).await.0, "EmbeddedRepository");
    assert_eq!(names(&slipway), ["app-1-1", "v-1-1-x.git"]);
    std::fs::remove_dir_all(place.join("lib")).unwrap();
    assert_eq!(published(&repository, &source(APP)).await, ["M c"]);
    assert_eq!(names(&slipway), ["app-1-1", "v-1-1-x.git"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_new_files_are_counted_before_they_are_read() {
    let world = World::new().await;
    let repository = world.repository("app", "printf '*.log\\n!kept*\\n' > .gitignore; echo 1 > c");
    // A filter that would fail shows whether git has begun to read them.
    let many = "mkdir out; cd out; seq -f 'kept%g.log' 10001 | xargs touch; cd ..; echo 2 > c
                echo '*.log filter=x' > .git/info/attributes; git config filter.x.clean 'touch read; cat'";
    let place = repository.copied(APP, many);
    let (reason, message) = refused(&repository, &source(APP)).await;
    assert!(reason == "TooLarge" && message.contains("SLIPWAY_MAX_FILES"), "{reason}: {message}");
    assert!(!place.join("read").exists());
    crate::support::sh(&place, "rm .git/info/attributes");
    let without = Source { exclude: vec!["*.log".to_owned()], ..source(APP) };
    assert_eq!(published(&repository, &without).await, ["M c"]);
    let some = Source { include: vec!["c".to_owned()], ..source(APP) };
    assert_eq!(published(&repository, &some).await, ["M c"]);
}
