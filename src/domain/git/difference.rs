//! The difference between a commit and a work tree, as the sandbox's git prints it: parsed as hostile input, pure.
//! Fed by `controllers::task::files::worktree`; what it returns says which contents have to be fetched.
//!
//! Source: git-diff-index(1), "Raw output format", with `-z`.

use super::path::tree_path;
use crate::domain::files::{Change, Entry, Mode, SUBMODULE};
use std::collections::{BTreeMap, BTreeSet};

const NOTHING: &str = "000000";

/// What git printed is no difference, or none that can be published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OddDifference {
    /// git would not print this: it was cut, or somebody lies.
    #[error("the sandbox's git printed no difference: {0}")]
    Odd(String),
    /// Something that GitHub does not take; the message names it and the cure.
    #[error("{0}")]
    Unusable(String),
}

/// The changes, by path, each once.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Those that were selected.
    pub changes: Vec<Change>,
    /// The paths of the others.
    pub left_out: BTreeSet<String>,
}

/// Reads the raw difference, as far as `selects` wants it.
pub fn parse_raw(raw: &[u8], selects: impl Fn(&[u8]) -> bool) -> Result<Difference, OddDifference> {
    let mut fields = raw.split(|byte| *byte == 0);
    let (mut changes, mut left_out) = (BTreeMap::new(), BTreeSet::new());
    while let Some(head) = fields.next() {
        if head.is_empty() {
            break;
        }
        let path = fields.next().ok_or_else(|| odd("it ends without a path"))?;
        if !selects(path) {
            left_out.insert(String::from_utf8_lossy(path).into_owned());
            continue;
        }
        let path = tree_path(path).map_err(|problem| unusable(path, problem))?;
        let change = change(head, path)?;
        if changes.insert(path.to_owned(), change).is_some() {
            return Err(odd(&format!("it names {path:?} twice")));
        }
    }
    if fields.next().is_some() {
        return Err(odd("something follows its end"));
    }
    Ok(Difference { changes: changes.into_values().collect(), left_out })
}

/// `:<mode before> <mode after> <id before> <id after> <status>`.
fn change(head: &[u8], path: &str) -> Result<Change, OddDifference> {
    let head = std::str::from_utf8(head).ok().and_then(|head| head.strip_prefix(':'));
    let fields: Vec<&str> = head.unwrap_or_default().split(' ').collect();
    let [mode_before, mode_after, id_before, id_after, status] = fields[..] else {
        return Err(odd(&format!("its line about {path:?} has another shape")));
    };
    let (before, after) = (entry(mode_before, id_before, path)?, entry(mode_after, id_after, path)?);
    let fits = match status {
        "A" => before.is_none() && after.is_some(),
        "D" => before.is_some() && after.is_none(),
        "M" | "T" => before.is_some() && after.is_some() && before != after,
        _ => false,
    };
    if !fits {
        return Err(odd(&format!(
            "its line about {path:?} says {status:?}, which does not fit the rest of it"
        )));
    }
    Ok(Change { path: path.to_owned(), before, after })
}

fn entry(mode: &str, id: &str, path: &str) -> Result<Option<Entry>, OddDifference> {
    if mode == NOTHING {
        return Ok(None);
    }
    if id.len() == 64 {
        return Err(OddDifference::Unusable(
            "the repository in the sandbox has SHA-256 ids, which GitHub does not take".to_owned(),
        ));
    }
    if !is_id(id) {
        return Err(odd(&format!("its line about {path:?} has no id")));
    }
    let file = |mode| Ok(Some(Entry::File { mode, blob: id.to_owned() }));
    match mode {
        "100644" => file(Mode::Regular),
        "100755" => file(Mode::Executable),
        "120000" => file(Mode::Symlink),
        SUBMODULE => Ok(Some(Entry::Link(id.to_owned()))),
        _ => Err(odd(&format!("{path:?} has mode {mode}, which no file has"))),
    }
}

/// Returns whether `text` is an object's id: SHA-1, hex, and not the one that stands for nothing.
pub fn is_id(text: &str) -> bool {
    text.len() == 40
        && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        && text.bytes().any(|b| b != b'0')
}

fn odd(what: &str) -> OddDifference {
    OddDifference::Odd(what.to_owned())
}

fn unusable(path: &[u8], problem: &str) -> OddDifference {
    let shown: String = path.escape_ascii().to_string().chars().take(200).collect();
    OddDifference::Unusable(format!(
        "the path \"{shown}\" {problem}: rename it or leave it out by spec.source.exclude"
    ))
}

/// What becomes of the links that differ.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// New submodules, and those that are gone, as changes to publish.
    pub publish: Vec<Change>,
    /// Submodules of the commit whose links stay, whatever the work tree has there.
    pub stay: BTreeSet<String>,
    /// Those of them that lead elsewhere in the work tree.
    pub moved: Vec<String>,
    /// Repositories that are no submodules.
    pub embedded: Vec<String>,
}

/// Judges the changes that have to do with links: `registered` are the paths in the work tree's `.gitmodules`.
pub fn judge_links(changes: &[Change], registered: &BTreeSet<String>) -> Links {
    let mut links = Links::default();
    for change in changes {
        let is_registered = registered.contains(&change.path);
        match (&change.before, &change.after) {
            (Some(Entry::Link(_)), Some(Entry::Link(_))) => {
                links.stay.insert(change.path.clone());
                links.moved.push(change.path.clone());
            }
            // Its directory is gone, but .gitmodules names it: it is only not checked out.
            (Some(Entry::Link(_)), _) if is_registered => {
                links.stay.insert(change.path.clone());
            }
            (Some(Entry::Link(_)), None) => links.publish.push(change.clone()),
            (_, Some(Entry::Link(_))) if is_registered => links.publish.push(change.clone()),
            (_, Some(Entry::Link(_))) => links.embedded.push(change.path.clone()),
            _ => {}
        }
    }
    links
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "61780798228d17af2d34fce4cfbdf35556832472";
    const B: &str = "3e757656cf36eca53338e520d134963a44f793f8";
    const NONE: &str = "0000000000000000000000000000000000000000";

    fn line(before: &str, after: &str, a: &str, b: &str, status: &str, path: &str) -> Vec<u8> {
        format!(":{before} {after} {a} {b} {status}\0{path}\0").into_bytes()
    }

    fn file(mode: Mode, blob: &str) -> Entry {
        Entry::File { mode, blob: blob.to_owned() }
    }

    #[test]
    fn each_kind_of_change_is_read() {
        let raw = [
            line("100644", "000000", A, NONE, "D", "gone"),
            line("000000", "100755", NONE, A, "A", "new \u{e4}\n"),
            line("100644", "120000", A, B, "T", "link"),
            line("100644", "100755", A, A, "M", "mode"),
            line("160000", "160000", A, B, "M", "lib"),
        ]
        .concat();
        let difference = parse_raw(&raw, |path| path != b"gone too").expect("a difference");
        assert!(difference.left_out.is_empty());
        let changes = difference.changes;
        let seen: Vec<_> = changes
            .iter()
            .map(|change| (change.path.as_str(), change.before.clone(), change.after.clone()))
            .collect();
        assert_eq!(
            seen,
            [
                ("gone", Some(file(Mode::Regular, A)), None),
                ("lib", Some(Entry::Link(A.into())), Some(Entry::Link(B.into()))),
                ("link", Some(file(Mode::Regular, A)), Some(file(Mode::Symlink, B))),
                ("mode", Some(file(Mode::Regular, A)), Some(file(Mode::Executable, A))),
                ("new \u{e4}\n", None, Some(file(Mode::Executable, A))),
            ]
        );
        assert_eq!(parse_raw(b"", |_| true), Ok(Difference::default()));
    }

    #[test]
    fn what_is_left_out_needs_no_good_name() {
        let mut raw = line("000000", "100644", NONE, A, "A", "kept");
        raw.extend(b":000000 100644 0000000000000000000000000000000000000000 61780798228d17af2d34fce4cfbdf35556832472 A\0log/\xff\0");
        let difference = parse_raw(&raw, |path| !path.starts_with(b"log/")).expect("a difference");
        assert_eq!((difference.changes.len(), difference.left_out.len()), (1, 1));
    }

    #[test]
    fn what_git_would_not_print_is_refused() {
        let long = "x".repeat(5000);
        let wide = "a".repeat(64);
        let good = line("100644", "100644", A, B, "M", "a");
        for (raw, word) in [
            (b"x\0".to_vec(), "no path below"),
            (b":100644 100644\0a\0".to_vec(), "another shape"),
            (b":100644".to_vec(), "without a path"),
            (line("100644", "100644", A, B, "R100", "a"), "does not fit"),
            (line("100644", "100644", A, A, "M", "a"), "does not fit"),
            (line("100644", "100644", A, B, "A", "a"), "does not fit"),
            (line("100644", "000000", A, NONE, "M", "a"), "does not fit"),
            (line("000000", "000000", NONE, NONE, "D", "a"), "does not fit"),
            (line("100664", "100644", A, B, "M", "a"), "mode 100664"),
            (line("040000", "100644", A, B, "M", "a"), "mode 040000"),
            (line("100644", "100644", A, &B.to_uppercase(), "M", "a"), "no id"),
            (line("100644", "100644", A, NONE, "M", "a"), "no id"),
            (line("100644", "100644", A, &B[1..], "M", "a"), "no id"),
            (line("100644", "100644", A, "../../../../etc/passwd/xxxxxxxxxxxxxxxxx", "M", "a"), "no id"),
            (line("100644", "100644", &wide, &wide, "M", "a"), "SHA-256"),
            (line("100644", "100644", A, B, "M", "../a"), "no path below"),
            (line("100644", "100644", A, B, "M", "/etc/passwd"), "no path below"),
            (line("100644", "100644", A, B, "M", "a/.GIT/config"), "keeps for itself"),
            (line("100644", "100644", A, B, "M", &long), "longer"),
            ([good.clone(), good.clone()].concat(), "twice"),
            ([good.clone(), b"\0x".to_vec()].concat(), "follows its end"),
            (b":100644 100644 61780798228d17af2d34fce4cfbdf35556832472 3e757656cf36eca53338e520d134963a44f793f8 M\0a\xff\0".to_vec(), "no UTF-8"),
        ] {
            let shown = String::from_utf8_lossy(&raw).into_owned();
            let error = parse_raw(&raw, |_| true).expect_err(&shown).to_string();
            assert!(error.contains(word), "{shown}: {error}");
        }
    }

    #[test]
    fn links_of_the_base_stay_until_nothing_speaks_of_them() {
        let link = |id: &str| Some(Entry::Link(id.to_owned()));
        let change = |path: &str, before, after| Change { path: path.into(), before, after };
        let changes = [
            change("moved", link(A), link(B)),
            change("gone", link(A), None),
            change("not-checked-out", link(A), None),
            change("new", None, link(A)),
            change("embedded", None, link(A)),
            change("file-to-repository", Some(file(Mode::Regular, A)), link(A)),
            change("link-to-file", link(A), Some(file(Mode::Regular, A))),
            change("file", None, Some(file(Mode::Regular, A))),
        ];
        let registered = ["moved", "not-checked-out", "new"].map(String::from).into();
        let links = judge_links(&changes, &registered);
        let published: Vec<_> = links.publish.iter().map(|change| change.path.as_str()).collect();
        assert_eq!(published, ["gone", "new"]);
        assert_eq!(links.moved, ["moved"]);
        assert_eq!(links.stay, ["moved", "not-checked-out"].map(String::from).into());
        assert_eq!(links.embedded, ["embedded", "file-to-repository"]);
    }
}
