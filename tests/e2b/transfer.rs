//! Files out of a real sandbox: every kind and name survives, every bound holds, nothing partial stays.

use crate::support::{Sandbox, World, caps, collect};
use slipway::api::Source;
use slipway::controllers::task::files::{Collected, FilesError, Spool};
use slipway::domain::failure::Class;
use slipway::domain::files::{Caps, Mode};
use slipway_simulator::core::{Action, Rule, When};
use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::{fs, path::Path};
use tempfile::TempDir;

pub const PATH: &str = "/home/user/app";
pub const START: &str = "POST /process.Process/Start";
pub const ROOM: u64 = 64 << 20;

pub fn source() -> Source {
    Source { path: PATH.to_owned(), ..Source::default() }
}

pub fn spool() -> (TempDir, Spool) {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::new(dir.path().join("spool"), ROOM).unwrap();
    (dir, spool)
}

/// Makes files of the sandbox from outside: as nobody inside could stop it.
pub fn write(sandbox: &Sandbox<'_>, files: &[(&str, &str)]) {
    for (name, content) in files {
        let path = sandbox.host(PATH).join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

fn names(collected: &Collected) -> Vec<&str> {
    collected.snapshot.files.iter().map(|file| file.path.as_str()).collect()
}

pub fn is_empty(dir: &TempDir) -> bool {
    fs::read_dir(dir.path().join("spool")).unwrap().next().is_none()
}

/// Every kind of file and every kind of name; what git makes of them.
pub fn odd_files(base: &Path) -> BTreeMap<String, (Mode, Vec<u8>)> {
    let long = "n".repeat(255);
    let deep = vec!["directory-of-some-length"; 30].join("/");
    let binary: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    let names = [
        "plain.txt",
        ".hidden",
        "-leading",
        "--help",
        "sp ace",
        "tab\tbed",
        "new\nline",
        "\nfirst",
        "quo'te\"s",
        "back\\slash",
        "dollar$HOME`id`",
        "*glob?[x]",
        "ünïcödé-漢字-🚀",
        "@file",
        "..dots",
        "trailing ",
        "sub/.gitkeep",
    ];
    let mut expected = BTreeMap::new();
    let mut put = |name: String, mode: Mode, content: &[u8]| {
        let path = base.join(&name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        let bits = if mode == Mode::Executable { 0o755 } else { 0o644 };
        fs::set_permissions(&path, fs::Permissions::from_mode(bits)).unwrap();
        expected.insert(name, (mode, content.to_vec()));
    };
    for name in names {
        put(name.to_owned(), Mode::Regular, name.as_bytes());
    }
    put(long, Mode::Regular, b"long");
    put(format!("{deep}/deep.txt"), Mode::Regular, b"deep");
    put("bin/run".to_owned(), Mode::Executable, b"#!/bin/sh\n");
    put("empty".to_owned(), Mode::Regular, b"");
    put("empty-run".to_owned(), Mode::Executable, b"");
    put("binary".to_owned(), Mode::Regular, &binary);
    put("block".to_owned(), Mode::Regular, &[7; 512]);
    put("unreadable".to_owned(), Mode::Regular, b"still ours");
    fs::set_permissions(base.join("unreadable"), fs::Permissions::from_mode(0o000)).unwrap();
    fs::hard_link(base.join("plain.txt"), base.join("second-name")).unwrap();
    expected.insert("second-name".to_owned(), (Mode::Regular, b"plain.txt".to_vec()));
    let long_target = format!("/{}", "t".repeat(200));
    let targets: [(&str, &[u8]); 6] = [
        ("link", b"plain.txt"),
        ("link-broken", b"no/such"),
        ("link-out", b"/etc/passwd"),
        ("link-dir", b"bin"),
        ("link-long", long_target.as_bytes()),
        ("link-odd", b"not\xffutf8\nline\n"),
    ];
    for (name, target) in targets {
        symlink(OsStr::from_bytes(target), base.join(name)).unwrap();
        expected.insert(name.to_owned(), (Mode::Symlink, target.to_vec()));
    }
    make_fifo(&base.join("fifo"));
    fs::create_dir(base.join("empty-dir")).unwrap();
    expected
}

fn make_fifo(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}

#[tokio::test]
async fn everything_survives_with_and_without_tar() {
    let world = World::new();
    let mut digests = HashSet::new();
    for template in ["base", "no-tar"] {
        let sandbox = world.sandbox(template).await;
        fs::create_dir_all(sandbox.host(PATH)).unwrap();
        let expected = odd_files(&sandbox.host(PATH));
        let (_dir, spool) = spool();
        let collected = collect(&sandbox.envd, &source(), caps(), &spool, "u-1-1").await.unwrap();
        let got: BTreeMap<_, _> = collected
            .snapshot
            .files
            .iter()
            .map(|file| (file.path.clone(), (file.mode, fs::read(&file.content).unwrap())))
            .collect();
        let differing: Vec<_> =
            expected.keys().chain(got.keys()).filter(|name| expected.get(*name) != got.get(*name)).collect();
        assert!(differing.is_empty(), "{template}: {differing:?}");
        for file in &collected.snapshot.files {
            let content = fs::metadata(&file.content).unwrap();
            assert_eq!(content.len(), file.size, "{}", file.path);
        }
        assert!(collected.snapshot.files.is_sorted_by(|a, b| a.path < b.path));
        check_against_git(&collected);
        digests.insert(collected.digest);
        let used_archive = world.sim.calls.of("envd", "GET /files").is_empty();
        assert_eq!(used_archive, template == "base");
    }
    assert_eq!(digests.len(), 1, "both ways see the same");
}

/// Git's own ids of the spooled contents.
fn check_against_git(collected: &Collected) {
    let mut git = std::process::Command::new("git");
    git.args(["hash-object", "--no-filters", "--"])
        .args(collected.snapshot.files.iter().map(|file| &file.content));
    let output = git.output().unwrap();
    assert!(output.status.success());
    let ids: Vec<_> = collected.snapshot.files.iter().map(|file| file.blob.as_str()).collect();
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().collect::<Vec<_>>(), ids);
}

#[tokio::test]
async fn patterns_choose() {
    let world = World::new();
    let sandbox = world.sandbox("base").await;
    write(
        &sandbox,
        &[
            (".gitignore", "node_modules/\n*.log\n"),
            ("a.log", ""),
            ("keep/.gitignore", "!*.log\n"),
            ("keep/b.log", ""),
            ("node_modules/.gitignore", "!*\n"),
            ("node_modules/x.js", ""),
            ("src/main.rs", ""),
            ("src/gen.rs", ""),
            (".git/config", ""),
            ("vendor/lib/.git/HEAD", ""),
            ("vendor/lib/x.c", ""),
        ],
    );
    let (_dir, spool) = spool();
    let mut source = source();
    let with = async |source: &Source| {
        let collected = collect(&sandbox.envd, source, caps(), &spool, "u-1-1").await.unwrap();
        names(&collected).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let all = [".gitignore", "keep/.gitignore", "keep/b.log", "src/gen.rs", "src/main.rs", "vendor/lib/x.c"];
    assert_eq!(with(&source).await, all);
    let reads = world.sim.calls.of("envd", "GET /files");
    assert_eq!(reads.len(), 2, "what lies in an ignored directory is not even read");
    source.exclude = vec!["gen.rs".to_owned(), "/vendor".to_owned()];
    source.include = vec!["*.rs".to_owned(), "vendor/".to_owned()];
    assert_eq!(with(&source).await, ["src/main.rs"]);
    let ignored = Source {
        include: vec!["*.log".into(), "*.js".into()],
        exclude: vec![],
        include_ignored: true,
        ..source
    };
    assert_eq!(with(&ignored).await, ["a.log", "keep/b.log", "node_modules/x.js"]);
    let broken = Source { include: vec!["[z-a]".into()], ..ignored };
    let error = collect(&sandbox.envd, &broken, caps(), &spool, "u-1-1").await.unwrap_err();
    assert_eq!((error.class(), error.reason()), (Class::Invalid, "InvalidFiles"));
}

#[tokio::test]
async fn nothing_to_take_is_told_apart() {
    let world = World::new();
    let sandbox = world.sandbox("base").await;
    let (dir, spool) = spool();
    let with = async |source: &Source| {
        let error = collect(&sandbox.envd, source, caps(), &spool, "u-1-1").await.unwrap_err();
        assert_eq!((error.class(), error.reason()), (Class::Invalid, "NoFiles"));
        error.to_string()
    };
    assert!(with(&source()).await.contains("does not exist"));
    fs::create_dir_all(sandbox.host(PATH)).unwrap();
    assert!(with(&source()).await.contains("no file"));
    write(&sandbox, &[("a", "1")]);
    let excluded = Source { exclude: vec!["*".into()], ..source() };
    assert!(with(&excluded).await.contains("no file"));
    let file = Source { path: format!("{PATH}/a"), ..source() };
    assert!(with(&file).await.contains("not a directory"));
    assert!(is_empty(&dir));
}

#[tokio::test]
async fn caps_hold_before_anything_is_transferred() {
    let world = World::new();
    let sandbox = world.sandbox("base").await;
    write(&sandbox, &[("a", "12345"), ("big", "1234567890"), ("c", "1")]);
    let (dir, spool) = spool();
    let table = [
        (Caps { max_files: 2, ..caps() }, "SLIPWAY_MAX_FILES"),
        (Caps { max_file_bytes: 9, ..caps() }, "\"big\" has 10 bytes"),
        (Caps { max_total_bytes: 15, ..caps() }, "SLIPWAY_MAX_TOTAL_BYTES"),
    ];
    let before = world.sim.calls.of("envd", START).len();
    for (caps, words) in table {
        let error = collect(&sandbox.envd, &source(), caps, &spool, "u-1-1").await.unwrap_err();
        assert_eq!((error.class(), error.reason()), (Class::Invalid, "TooLarge"));
        assert!(error.to_string().contains(words), "{error}");
    }
    assert_eq!(world.sim.calls.of("envd", START).len() - before, 3, "three listings");
    let exact = Caps { max_files: 3, max_file_bytes: 10, max_total_bytes: 16, ..caps() };
    assert!(collect(&sandbox.envd, &source(), exact, &spool, "u-1-1").await.is_ok());

    let small = Spool::new(dir.path().join("small"), 15).unwrap();
    let error = collect(&sandbox.envd, &source(), caps(), &small, "u-1-1").await.unwrap_err();
    assert!(error.reason() == "TooLarge" && error.to_string().contains("SLIPWAY_SPOOL_BYTES"), "{error}");
}

#[tokio::test]
async fn waits_for_room_in_the_spool() {
    let world = World::new();
    let sandbox = world.sandbox("base").await;
    write(&sandbox, &[("a", "12345")]);
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::new(dir.path().to_owned(), 9).unwrap();
    collect(&sandbox.envd, &source(), caps(), &spool, "u-1-1").await.unwrap();
    let error = collect(&sandbox.envd, &source(), caps(), &spool, "v-1-1").await.unwrap_err();
    assert!(matches!(error, FilesError::WaitingForSpool { needed: 5 }), "{error:?}");
    assert_eq!((error.class(), error.reason()), (Class::Transient, "WaitingForSpool"));
    // Another operator process on the same directory knows who holds what.
    drop(spool);
    let spool = Spool::new(dir.path().to_owned(), 9).unwrap();
    spool.sweep(&HashSet::from(["u-1-1".to_owned()])).unwrap();
    assert!(spool.reserve(5).is_none());
    spool.remove("u-1-1").unwrap();
    let held = spool.reserve(5).unwrap();
    assert!(spool.reserve(5).is_none());
    drop(held);
    collect(&sandbox.envd, &source(), caps(), &spool, "v-1-1").await.unwrap();
}

#[tokio::test]
async fn names_that_are_no_utf8_are_refused_unless_left_behind() {
    let world = World::new();
    let sandbox = world.sandbox("base").await;
    write(&sandbox, &[("fine", "1")]);
    let odd = sandbox.host(PATH).join(OsStr::from_bytes(b"od\xffd.txt"));
    fs::write(odd, "x").unwrap();
    let (_dir, spool) = spool();
    let error = collect(&sandbox.envd, &source(), caps(), &spool, "u-1-1").await.unwrap_err();
    assert_eq!((error.class(), error.reason()), (Class::Invalid, "InvalidFiles"));
    assert!(error.to_string().contains(r"od\xffd.txt"), "{error}");
    let without = Source { exclude: vec!["*.txt".into()], ..source() };
    let collected = collect(&sandbox.envd, &without, caps(), &spool, "u-1-1").await.unwrap();
    assert_eq!(names(&collected), ["fine"]);
}

#[tokio::test]
async fn a_broken_transfer_leaves_nothing() {
    let world = World::new();
    let sandbox = world.sandbox("base").await;
    let content = "x".repeat(200_000);
    write(&sandbox, &[("a", &content), ("b", &content)]);
    let (dir, spool) = spool();
    for (ordinal, action) in [
        (1, Action::CutBefore),
        (1, Action::TruncateBody { after: 30 }),
        (2, Action::CutAfter),
        (2, Action::TruncateBody { after: 0 }),
        (2, Action::TruncateBody { after: 100_000 }),
        // Well behind the last byte of the second file, before the end of the stream.
        (2, Action::TruncateBody { after: 545_000 }),
    ] {
        let rule =
            world.sim.faults.set(Rule::on("envd", START).when(When::Nth(ordinal)).action(action.clone()));
        let error = collect(&sandbox.envd, &source(), caps(), &spool, "u-1-1").await.unwrap_err();
        assert_eq!((error.class(), error.reason()), (Class::Transient, "SandboxUnreachable"), "{action:?}");
        assert_eq!(world.sim.faults.hits(rule), Some(1), "{action:?}");
        world.sim.faults.remove(rule);
        assert!(is_empty(&dir), "{action:?}");
        drop(spool.reserve(ROOM).expect("all the room is free again"));
    }
    let collected = collect(&sandbox.envd, &source(), caps(), &spool, "u-1-1").await.unwrap();
    let reopened = spool.open("u-1-1").unwrap().unwrap();
    assert_eq!((reopened.snapshot, reopened.digest), (collected.snapshot, collected.digest));
}

#[tokio::test]
async fn a_download_cut_short_is_no_file() {
    let world = World::new();
    let sandbox = world.sandbox("no-tar").await;
    write(&sandbox, &[("a", &"x".repeat(200_000))]);
    let (dir, spool) = spool();
    let cut = Rule::on("envd", "GET /files").action(Action::TruncateBody { after: 100_000 });
    let rule = world.sim.faults.set(cut);
    let error = collect(&sandbox.envd, &source(), caps(), &spool, "u-1-1").await.unwrap_err();
    assert_eq!(error.reason(), "SandboxUnreachable");
    assert!(is_empty(&dir));
    world.sim.faults.remove(rule);
    assert!(collect(&sandbox.envd, &source(), caps(), &spool, "u-1-1").await.is_ok());
}

#[tokio::test]
async fn what_changes_between_listing_and_archive() {
    let world = World::new();
    let sandbox = world.sandbox("base").await;
    let (dir, spool) = spool();
    let base = sandbox.host(PATH);
    let caps = Caps { max_file_bytes: 100, ..caps() };
    // The second start is the archive; it waits until the change is made.
    let with = async |change: &dyn Fn()| {
        write(&sandbox, &[("a", "1"), ("b", "2")]);
        let rule = Rule::on("envd", START).when(When::Nth(2)).action(Action::Hold { after_effect: false });
        let rule = world.sim.faults.set(rule);
        let source = source();
        let collecting = collect(&sandbox.envd, &source, caps, &spool, "u-1-1");
        let changing = async {
            crate::support::eventually("the archive is asked for", async || {
                world.sim.faults.hits(rule).filter(|hits| *hits == 1)
            })
            .await;
            change();
            world.sim.faults.remove(rule);
        };
        tokio::join!(collecting, changing).0
    };
    let grown = with(&|| fs::write(base.join("a"), "123").unwrap()).await.unwrap();
    assert_eq!(
        (grown.snapshot.files[0].size, fs::read(&grown.snapshot.files[0].content).unwrap()),
        (3, b"123".to_vec())
    );
    spool.remove("u-1-1").unwrap();

    let over = with(&|| fs::write(base.join("a"), "1".repeat(101)).unwrap()).await.unwrap_err();
    assert_eq!(over.reason(), "TooLarge");
    let gone = with(&|| fs::remove_file(base.join("a")).unwrap()).await.unwrap_err();
    assert_eq!((gone.class(), gone.reason()), (Class::Transient, "TransferInterrupted"));
    assert!(gone.to_string().contains("tar"), "{gone}");
    let replace = || {
        fs::remove_file(base.join("a")).unwrap();
        fs::create_dir(base.join("a")).unwrap();
    };
    assert_eq!(with(&replace).await.unwrap_err().reason(), "TransferInterrupted");
    assert!(is_empty(&dir));
}

#[tokio::test]
async fn many_files_come_in_batches() {
    let world = World::new();
    let sandbox = world.sandbox("base").await;
    let count = 1500;
    for n in 0..count {
        let dir = sandbox.host(PATH).join(format!("{}-{n}", "d".repeat(60)));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("f"), n.to_string()).unwrap();
    }
    let (_dir, spool) = spool();
    let before = world.sim.calls.of("envd", START).len();
    let collected = collect(&sandbox.envd, &source(), caps(), &spool, "u-1-1").await.unwrap();
    assert_eq!(collected.snapshot.files.len(), count);
    let starts = world.sim.calls.of("envd", START).len() - before;
    assert!((3..=5).contains(&starts), "{starts} commands");
}
