use super::*;
use crate::domain::{
    files::Mode,
    git::{BaseEntry, EntryKind, blob_id},
};
use std::collections::BTreeMap;

fn file(path: &str, mode: Mode, content: &str) -> File {
    File {
        path: path.to_owned(),
        mode,
        size: content.len() as u64,
        blob: blob_id(content.as_bytes()),
        content: path.into(),
        replaces: None,
        object: None,
    }
}

fn snapshot(files: &[(&str, &str)]) -> Snapshot {
    directory(files.iter().map(|(path, content)| file(path, Mode::Regular, content)).collect())
}

fn directory(files: Vec<File>) -> Snapshot {
    Snapshot { files, ..Snapshot::default() }
}

fn overlay<'a>(base: &BaseTree, snapshot: &'a Snapshot) -> Changes<'a> {
    base.put_on(None, base.laid_over(snapshot)).expect("nobody else has changed it")
}

fn gone(changes: &Changes<'_>) -> Vec<String> {
    changes.remove.iter().map(|removal| removal.path.clone()).collect()
}

fn blob(path: &str, content: &str) -> BaseEntry {
    BaseEntry {
        path: path.to_owned(),
        mode: "100644".to_owned(),
        kind: EntryKind::Blob,
        sha: blob_id(content.as_bytes()),
    }
}

fn base(files: &[(&str, &str)]) -> BaseTree {
    BaseTree::recursive(files.iter().map(|(path, content)| blob(path, content)))
}

fn put<'a>(changes: &'a Changes<'_>) -> Vec<&'a str> {
    changes.put.iter().map(|put| put.path.as_str()).collect()
}

#[test]
fn the_id_of_a_nested_tree_is_gits() {
    // Made with git: `a` (file, "1\n"), `a.txt` ("2\n"), `a/…` cannot be beside `a`, so `b/c` ("3\n"), `b.x` ("4\n").
    // `b.x` sorts before `b/`, because `.` is less than `/`.
    let tree = base(&[("a", "1\n"), ("a.txt", "2\n"), ("b/c", "3\n"), ("b.x", "4\n")]);
    assert_eq!(tree.id(), TREE);
}

const TREE: &str = "680fb2060e00df4f1bde5639bb90946d6315caa8";

#[test]
fn a_directory_keeps_the_id_that_a_recursive_listing_names_before_or_after_its_files() {
    let directory = || BaseEntry {
        path: "d".to_owned(),
        mode: "040000".to_owned(),
        kind: EntryKind::Tree,
        sha: "1".repeat(40),
    };
    for entries in [[directory(), blob("d/a", "1")], [blob("d/a", "1"), directory()]] {
        let tree = BaseTree::recursive(entries);
        assert_eq!(tree.entry("d/a"), Some(("100644", blob_id(b"1").as_str())));
        assert_eq!(tree.id(), BaseTree::shallow([directory()]).id());
    }
}

#[test]
fn the_same_files_change_nothing() {
    let files = [("a", "1"), ("d/b", "2"), ("d/e/c", "3")];
    let tree = base(&files);
    let snapshot = snapshot(&files);
    let changes = overlay(&tree, &snapshot);
    assert!(changes.put.is_empty() && changes.remove.is_empty());
    assert_eq!(changes.tree, Some(tree.id()));
}

#[test]
fn files_of_the_base_that_the_snapshot_lacks_stay() {
    let snapshot = snapshot(&[("new", "3")]);
    let changes = overlay(&base(&[("a", "1"), ("d/b", "2")]), &snapshot);
    assert_eq!(put(&changes), ["new"]);
    assert_eq!(changes.tree, Some(base(&[("a", "1"), ("d/b", "2"), ("new", "3")]).id()));
}

#[test]
fn a_changed_mode_is_a_change_without_an_upload() {
    let snapshot = directory(vec![file("run", Mode::Executable, "1")]);
    let changes = overlay(&base(&[("run", "1")]), &snapshot);
    assert_eq!(
        (put(&changes), changes.put[0].mode.as_str(), changes.put[0].file),
        (vec!["run"], "100755", None)
    );
    assert_eq!(changes.put[0].before.as_ref(), Some(&changes.put[0].id));
    assert!(changes.remove.is_empty());
}

#[test]
fn content_that_the_base_has_elsewhere_is_not_uploaded_again() {
    let snapshot = snapshot(&[("moved", "1"), ("other", "2")]);
    let changes = overlay(&base(&[("old", "1")]), &snapshot);
    assert_eq!(changes.put.iter().map(|put| put.file.is_none()).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn a_directory_takes_the_place_of_a_file() {
    let snapshot = snapshot(&[("a/b/c", "2")]);
    let changes = overlay(&base(&[("a", "1"), ("z", "9")]), &snapshot);
    assert_eq!(changes.remove, [Removal { path: "a".into(), mode: "100644".into() }]);
    assert!(!changes.removes_all);
    assert_eq!(changes.tree, Some(base(&[("a/b/c", "2"), ("z", "9")]).id()));
}

#[test]
fn a_file_takes_the_place_of_a_directory() {
    let snapshot = snapshot(&[("d", "now a file")]);
    let changes = overlay(&base(&[("d/a", "1"), ("d/e/b", "2")]), &snapshot);
    assert_eq!(gone(&changes), ["d/a", "d/e/b"]);
    assert!(changes.removes_all);
    assert_eq!(changes.tree, Some(base(&[("d", "now a file")]).id()));
}

#[test]
fn a_submodule_where_nothing_of_ours_lies_is_kept_as_it_is() {
    let module = BaseEntry {
        path: "vendor/lib".to_owned(),
        mode: "160000".to_owned(),
        kind: EntryKind::Submodule,
        sha: "1".repeat(40),
    };
    let tree = BaseTree::recursive([blob("a", "1"), module.clone()]);
    let snapshot = snapshot(&[("b", "2")]);
    assert_eq!(
        overlay(&tree, &snapshot).tree,
        Some(BaseTree::recursive([blob("a", "1"), module, blob("b", "2")]).id())
    );
}

/// Lists what `unlisted` asks for out of a whole tree, until nothing is missing.
fn walk(whole: &BaseTree, snapshot: &Snapshot) -> (BaseTree, usize) {
    let children = |directory: &Directory| -> Vec<BaseEntry> {
        let entry = |(name, node): (&String, &Node)| match node {
            Node::Leaf { mode, sha } => {
                BaseEntry { path: name.clone(), mode: mode.clone(), kind: EntryKind::Blob, sha: sha.clone() }
            }
            Node::Directory(d) => BaseEntry {
                path: name.clone(),
                mode: "040000".to_owned(),
                kind: EntryKind::Tree,
                sha: d.id(),
            },
        };
        directory.entries.iter().flatten().map(entry).collect()
    };
    let at = |path: &str| {
        path.split('/').fold(&whole.root, |directory, part| {
            match &directory.entries.as_ref().unwrap()[part] {
                Node::Directory(next) => next,
                Node::Leaf { .. } => panic!("{path} is a file"),
            }
        })
    };
    let mut tree = BaseTree::shallow(children(&whole.root));
    let mut listed = 0;
    loop {
        let missing = tree.unlisted(snapshot.files.iter().map(|file| file.path.as_str()));
        if missing.is_empty() {
            return (tree, listed);
        }
        for (path, sha) in missing {
            assert_eq!(sha, at(&path).id());
            tree.list(&path, children(at(&path)));
            listed += 1;
        }
    }
}

#[test]
fn a_tree_walked_by_directory_gives_the_same_changes_and_lists_only_what_it_needs() {
    let whole = base(&[("a", "1"), ("d/x", "2"), ("d/e/y", "3"), ("other/deep/z", "4"), ("gone/p/q", "5")]);
    let snapshot = snapshot(&[("a", "1"), ("d/e/y", "changed"), ("gone", "a file now"), ("fresh/f", "6")]);
    let (walked, listed) = walk(&whole, &snapshot);
    // d, d/e, gone, gone/p; neither other nor other/deep.
    assert_eq!(listed, 4);
    let (by_walk, at_once) = (overlay(&walked, &snapshot), overlay(&whole, &snapshot));
    assert_eq!(by_walk.tree, at_once.tree);
    assert_eq!(by_walk.remove, at_once.remove);
    assert_eq!(put(&by_walk), put(&at_once));
    assert!(!by_walk.removes_all);
}

/// A small generator, so that a failure is repeatable.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    /// A set of files that can exist together: no path is below another.
    fn files(&mut self) -> BTreeMap<String, String> {
        let mut files = BTreeMap::<String, String>::new();
        for _ in 0..self.roll(12) {
            let depth = 1 + self.roll(3);
            let path = (0..depth)
                .map(|_| ["a", "b", "a.b", "a-b"][usize::try_from(self.roll(4)).unwrap_or_default()])
                .collect::<Vec<_>>()
                .join("/");
            let clashes = files
                .keys()
                .any(|p| p.starts_with(&format!("{path}/")) || path.starts_with(&format!("{p}/")));
            if !clashes {
                files.insert(path, self.roll(4).to_string());
            }
        }
        files
    }
}

#[test]
fn any_snapshot_over_any_base_gives_the_tree_of_the_overlaid_files() {
    let mut dice = Dice(7);
    for round in 0..2000 {
        let (old, new) = (dice.files(), dice.files());
        let entries =
            |files: &BTreeMap<String, String>| BaseTree::recursive(files.iter().map(|(p, c)| blob(p, c)));
        let snapshot =
            directory(new.iter().map(|(path, content)| file(path, Mode::Regular, content)).collect());
        let mut expected = new.clone();
        for (path, content) in &old {
            let makes_room =
                new.keys().any(|p| p.starts_with(&format!("{path}/")) || path.starts_with(&format!("{p}/")));
            if !makes_room {
                expected.entry(path.clone()).or_insert_with(|| content.clone());
            }
        }
        let tree = entries(&old);
        let changes = overlay(&tree, &snapshot);
        assert_eq!(changes.tree, Some(entries(&expected).id()), "round {round}: {old:?} + {new:?}");
        // Applying the change list to the base gives the same, so the list is complete.
        let mut applied = old.clone();
        for path in gone(&changes) {
            assert!(applied.remove(&path).is_some(), "round {round}: {path} is not in the base");
        }
        assert_eq!(changes.removes_all, !changes.remove.is_empty() && applied.is_empty());
        for put in &changes.put {
            assert_eq!(put.file.is_none(), old.values().any(|content| blob_id(content.as_bytes()) == put.id));
            applied.insert(put.path.clone(), new[&put.path].clone());
        }
        assert_eq!(applied, expected, "round {round}");
        let (walked, _) = walk(&tree, &snapshot);
        assert_eq!(overlay(&walked, &snapshot).tree, changes.tree, "round {round}: walked");
    }
}

fn wanted<'a>(last: &BaseTree, files: &'a [(&str, Option<&str>)]) -> Vec<Wanted<'a>> {
    let wanted = files.iter().map(|(path, content)| {
        let entry = content.map(|content| ("100644".to_owned(), blob_id(content.as_bytes())));
        Wanted { path: (*path).to_owned(), entry, file: None }
    });
    wanted
        .filter(|one| one.entry != last.entry(&one.path).map(|(mode, id)| (mode.to_owned(), id.to_owned())))
        .collect()
}

#[test]
fn what_others_have_put_on_the_branch_stays_and_the_same_path_is_a_conflict() {
    let last = base(&[("a", "1"), ("b", "1"), ("d/e", "1")]);
    let head = base(&[("a", "1"), ("b", "theirs"), ("d", "theirs"), ("new", "theirs")]);
    let change = |files| head.put_on(Some(&last), wanted(&last, files)).map(|changes| changes.tree);
    let tree = |files: &[(&str, &str)]| Ok(Some(base(files).id()));
    let theirs = [("b", "theirs"), ("d", "theirs"), ("new", "theirs")];
    let with = |files: &[(&'static str, &'static str)]| tree(&[&theirs, files].concat());
    assert_eq!(change(&[("a", Some("2")), ("c", Some("2"))]), with(&[("a", "2"), ("c", "2")]));
    assert_eq!(change(&[("a", None)]), with(&[]));
    assert_eq!(change(&[("b", Some("theirs")), ("a", Some("1"))]), with(&[("a", "1")]), "the same change");
    for (path, content) in [
        ("b", Some("2")),
        ("b", None),
        ("d/e", Some("2")),
        ("d/f", Some("2")),
        ("new", Some("2")),
        ("new/x", Some("2")),
    ] {
        let files = [(path, content)];
        let changed = head.put_on(Some(&last), wanted(&last, &files)).map(|changes| changes.tree);
        assert_eq!(changed, Err(path.to_owned()), "{content:?}");
    }
}

#[test]
fn an_entry_that_goes_takes_its_empty_directories_with_it() {
    let tree = base(&[("a", "1"), ("d/e/f", "1"), ("d/g", "1")]);
    for (gone, left) in [
        (vec!["d/e/f"], vec![("a", "1"), ("d/g", "1")]),
        (vec!["d/e/f", "d/g"], vec![("a", "1")]),
        (vec!["not/there"], vec![("a", "1"), ("d/e/f", "1"), ("d/g", "1")]),
    ] {
        let wanted =
            gone.iter().map(|path| Wanted { path: (*path).to_owned(), entry: None, file: None }).collect();
        assert_eq!(tree.put_on(None, wanted).expect("no conflict").tree, Some(base(&left).id()), "{gone:?}");
    }
}
