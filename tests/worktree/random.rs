//! Random repositories, copies and edits: the pull request's difference is git's own, and merging it takes nothing back.
//! The oracle is git with the copy's own index, asked after the operator has read the copy.

use crate::support::{Repository, World, git, source};
use futures::{StreamExt as _, stream};
use slipway::{api::Source, controllers::task::commit::Prepared};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
};

const CASES: u64 = 200;
const LINK: &str = "1234567890123456789012345678901234567890";
const MODULES: &str = "[submodule \"lib\"]\n\tpath = lib\n\turl = https://example.com/lib\n";

/// Names that may stand together: none is a directory of another, but for what the edits make of them.
const NAMES: &[&str] = &[
    "a",
    "b.txt",
    "c.txt",
    "crlf.txt",
    "data.dat",
    "dir/d",
    "dir/e.txt",
    "dir/sub/f",
    "Case",
    "case",
    "\u{fc}n\u{ef}/c\u{f6}de",
    "odd name",
    "-dash",
    "quo\"te",
    "back\\slash",
    "new\nline",
    "tab\tname",
    "*glob[x]?",
    ":(top)x",
    "kept.log",
    "built/out.js",
    "excluded/x",
    "\u{1f600}",
    "dir.d/x",
    "dir-d/x",
    "=end",
    ".hidden",
    "deep/er/and/deeper/g",
];

/// A small generator, so that a failure is repeatable.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn one_in(&mut self, sides: usize) -> bool {
        self.roll(sides) == 0
    }

    fn name(&mut self) -> &'static str {
        NAMES[self.roll(NAMES.len())]
    }

    fn content(&mut self) -> Vec<u8> {
        match self.roll(12) {
            0 => Vec::new(),
            1 => vec![0, 159, 146, 150],
            2 => b"one\r\ntwo\r\n".to_vec(),
            3 => b"no end".to_vec(),
            4 if self.one_in(4) => (0..200_000).map(|n: u32| n.to_le_bytes()[0]).collect(),
            n => format!("line {n}\nline {}\n", self.roll(50)).into_bytes(),
        }
    }
}

/// Removes what stands at `path` or in its way.
fn clear(root: &Path, name: &str) {
    let path = root.join(name);
    for above in path.ancestors().skip(1).take_while(|above| *above != root) {
        if above.symlink_metadata().is_ok_and(|meta| !meta.is_dir()) {
            fs::remove_file(above).unwrap();
        }
    }
    match path.symlink_metadata() {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(&path).unwrap(),
        Ok(_) => fs::remove_file(&path).unwrap(),
        Err(_) => {}
    }
    fs::create_dir_all(path.parent().unwrap()).unwrap();
}

fn write(dice: &mut Dice, root: &Path, name: &str) {
    clear(root, name);
    let path = root.join(name);
    if dice.one_in(8) {
        symlink(["a", "nowhere", "/etc/hostname", "dir"][dice.roll(4)], &path).unwrap();
        return;
    }
    fs::write(&path, dice.content()).unwrap();
    if dice.one_in(6) {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// One edit, by git or without it.
fn edit(dice: &mut Dice, root: &Path) {
    let name = dice.name();
    match dice.roll(10) {
        0..=3 => write(dice, root, name),
        4 => clear(root, name),
        5 if root.join(name).symlink_metadata().is_ok_and(|meta| meta.is_file()) => {
            let to = dice.name();
            if to != name {
                clear(root, to);
                if let Err(error) = fs::rename(root.join(name), root.join(to)) {
                    assert!(error.kind() == std::io::ErrorKind::NotFound, "{error}");
                }
            }
        }
        6 if root.join(name).symlink_metadata().is_ok_and(|meta| meta.is_file()) => {
            let mode = [0o644, 0o755][dice.roll(2)];
            fs::set_permissions(root.join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        7 => write(dice, root, &format!("{name}/below")),
        8 => {
            let name = ["ignored/new", "new.log", "built/new.js", "local-only"][dice.roll(4)];
            write(dice, root, name);
        }
        _ => {
            let name = format!("fresh-{}", dice.roll(5));
            write(dice, root, &name);
        }
    }
}

/// The first commits: some files that are ignored and tracked all the same, attributes, a submodule.
fn begin(dice: &mut Dice, world: &'static World, name: &str) -> Repository<'static> {
    let repository = world.repository(name, "echo first > a");
    let root = &repository.theirs;
    fs::write(root.join(".gitignore"), "*.log\nbuilt/\nignored/\n").unwrap();
    if dice.one_in(2) {
        fs::write(root.join(".gitattributes"), "*.txt text\ncrlf.txt eol=crlf\n*.dat binary\n").unwrap();
    }
    for name in NAMES {
        if dice.one_in(2) {
            write(dice, root, name);
        }
    }
    repository.push("");
    if dice.one_in(2) {
        fs::write(root.join(".gitmodules"), MODULES).unwrap();
        git(root, &["add", "-f", ".gitmodules"]);
        git(root, &["update-index", "--add", "--cacheinfo", &format!("160000,{LINK},lib")]);
        repository.push_staged();
    }
    repository
}

/// Others go on: their work tree never touches the link.
fn others(dice: &mut Dice, repository: &Repository<'_>) {
    let has_link = git(&repository.theirs, &["ls-files", "-s", "lib"]).starts_with("160000");
    for _ in 0..dice.roll(4) {
        for _ in 0..=dice.roll(3) {
            let name = dice.name();
            if dice.one_in(5) {
                clear(&repository.theirs, name)
            } else {
                write(dice, &repository.theirs, name)
            }
        }
        if has_link {
            fs::create_dir_all(repository.theirs.join("lib")).unwrap();
        }
        repository.push("");
    }
}

/// Edits in the copy, a part of them staged or committed by whoever works there.
fn work(dice: &mut Dice, place: &Path) {
    if dice.one_in(3) {
        fs::write(place.join(".git/info/exclude"), "local-only\n").unwrap();
    }
    if place.join("lib").is_dir() && dice.one_in(2) {
        fs::write(place.join("lib/.git"), "gitdir: ../.git/modules/lib\n").unwrap();
        fs::write(place.join("lib/a.c"), "int x;\n").unwrap();
    } else if place.join("lib").is_dir() && dice.one_in(3) {
        git(place, &["rm", "-q", "lib"]);
    }
    if dice.one_in(5) {
        // A repository inside, with or without a commit.
        git(place, &["init", "-q", "nested"]);
        fs::write(place.join("nested/x"), "x\n").unwrap();
        if dice.one_in(2) {
            git(&place.join("nested"), &["add", "."]);
            git(&place.join("nested"), &["commit", "-q", "-m", "x"]);
        }
    }
    for _ in 0..dice.roll(12) {
        edit(dice, place);
        match dice.roll(8) {
            0 => drop(git(place, &["add", "-A", "--", ".", ":(exclude)lib", ":(exclude)nested"])),
            1 => {
                git(place, &["add", "-A", "--", ".", ":(exclude)lib", ":(exclude)nested"]);
                git(place, &["commit", "-q", "--allow-empty", "-m", "work"]);
            }
            2 if dice.one_in(3) => {
                drop(git(place, &["add", "-f", "-A", "--", ".", ":(exclude)lib", ":(exclude)nested"]))
            }
            _ => {}
        }
    }
}

/// The raw difference between two trees, by path.
fn raw(directory: &Path, arguments: &[&str]) -> BTreeMap<String, String> {
    let said = git(directory, &[arguments, &["-r", "-z", "--raw", "--no-renames", "--no-abbrev"]].concat());
    let fields: Vec<&str> = said.split('\0').filter(|field| !field.is_empty()).collect();
    fields.chunks(2).map(|pair| (pair[1].to_owned(), pair[0].to_owned())).collect()
}

/// What git says of the copy.
fn oracle(place: &Path, parent: &str) -> BTreeMap<String, String> {
    let has_link = git(place, &["ls-files", "-s", "lib"]).starts_with("160000");
    if has_link && place.join("lib").is_dir() {
        // As if it had never been populated: git itself stumbles over it.
        fs::remove_dir_all(place.join("lib")).unwrap();
        fs::create_dir(place.join("lib")).unwrap();
    }
    let _ = fs::remove_dir_all(place.join("nested"));
    git(place, &["add", "-A", "."]);
    raw(place, &["diff-index", "--cached", "--ignore-submodules=none", parent])
}

/// Runs one case; the statuses (`A`, `M`, …) of what it has published, one for each path.
async fn case(world: &'static World, seed: u64) -> String {
    let mut dice = Dice(seed);
    let repository = begin(&mut dice, world, &format!("case-{seed}"));
    others(&mut dice, &repository);
    let parent = repository.tip();
    let path = format!("/home/user/case-{seed}");
    let place = repository.copied(&path, "");
    let began_before = dice.one_in(2).then(|| repository.tip());
    others(&mut dice, &repository);
    let base = began_before.unwrap_or_else(|| repository.tip());
    work(&mut dice, &place);
    let excludes = dice.one_in(4);
    let nested = place.join("nested").exists().then(|| "/nested".to_owned());
    let exclude = excludes.then(|| "/excluded/".to_owned()).into_iter().chain(nested).collect();
    let source = Source { exclude, ..source(&path) };
    let prepared = repository.publish(&source, &base).await;
    let mut expected = oracle(&place, &parent);
    if excludes {
        expected.retain(|path, _| !path.starts_with("excluded/"));
    }
    let commit = match prepared {
        Ok(Prepared::Commit { commit, parent: on, .. }) => {
            assert_eq!(on, parent, "case {seed}: the commit it is a copy of");
            commit
        }
        Ok(Prepared::NothingToCommit) => {
            assert!(expected.is_empty(), "case {seed}: {expected:#?}");
            return String::new();
        }
        other => panic!("case {seed}: {other:#?}\n{expected:#?}"),
    };
    let published = raw(&repository.bare, &["diff-tree", &parent, &commit]);
    assert_eq!(published, expected, "case {seed}");
    takes_nothing_back(&repository, &parent, &commit, seed);
    git(&repository.bare, &["fsck", "--strict", "--no-dangling"]);
    published.values().filter_map(|line| line.chars().last()).collect()
}

/// Merged, everything that others have changed since the copy was made is as they left it, but for what both changed.
fn takes_nothing_back(repository: &Repository<'_>, parent: &str, commit: &str, seed: u64) {
    let tip = repository.tip();
    let theirs: BTreeSet<String> = raw(&repository.bare, &["diff-tree", parent, &tip]).into_keys().collect();
    let ours: BTreeSet<String> = raw(&repository.bare, &["diff-tree", parent, commit]).into_keys().collect();
    let overlap = |path: &String| {
        ours.iter().any(|own| {
            own == path || own.starts_with(&format!("{path}/")) || path.starts_with(&format!("{own}/"))
        })
    };
    // Where both have changed the same, people decide.
    let clean = theirs.iter().all(|path| !overlap(path));
    if clean {
        let merged = repository.merged(commit);
        let changed: BTreeSet<String> =
            raw(&repository.theirs, &["diff-tree", &tip, &merged]).into_keys().collect();
        assert_eq!(changed, ours, "case {seed}: merging changes what the Task has changed, and nothing else");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_difference_is_gits_and_merging_it_takes_nothing_back() {
    let world: &'static World = Box::leak(Box::new(World::new().await));
    let cases = std::env::var("CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    let first = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    let running = stream::iter(first..first + cases).map(|seed| tokio::spawn(case(world, seed)));
    let ended: Vec<_> = running.buffer_unordered(3).collect().await;
    let failed = ended.iter().filter(|case| case.is_err()).count();
    assert_eq!(failed, 0, "of {cases} cases; SEED and CASES run some of them again");
    let published: Vec<String> = ended.into_iter().flatten().collect();
    for status in ['A', 'M', 'D', 'T'] {
        let with = published.iter().filter(|changes| changes.contains(status)).count() as u64;
        assert!(
            with > cases / 20,
            "{with} of {cases} cases have a change {status}: the edits are not what they were"
        );
    }
}
