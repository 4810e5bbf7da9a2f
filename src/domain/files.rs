//! The files of one generation, as data: what was found in the sandbox and what of it has to reach GitHub.
//! Filled by `controllers::task`, read by everything that builds a tree; no I/O here.

use super::{git::Pointer, output::Output};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, path::PathBuf};

/// Git's modes for the three kinds of files that travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Mode {
    #[serde(rename = "100644")]
    Regular,
    #[serde(rename = "100755")]
    Executable,
    #[serde(rename = "120000")]
    Symlink,
}

impl Mode {
    /// As GitHub's tree API spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Regular => "100644",
            Self::Executable => "100755",
            Self::Symlink => "120000",
        }
    }
}

/// Git's mode of a submodule's link.
pub const SUBMODULE: &str = "160000";

/// The bounds of one transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    pub max_files: usize,
    /// Bytes.
    pub max_file_bytes: u64,
    /// Bytes.
    pub max_total_bytes: u64,
    /// Bytes of what is fetched for a checkout.
    pub max_checkout_bytes: u64,
}

/// One file of a snapshot. For a symlink the content is the target's path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Relative to the repository's root, `/`-separated, UTF-8.
    pub path: String,
    pub mode: Mode,
    /// Bytes.
    pub size: u64,
    /// Git's blob id of the content, hex (SHA-1).
    pub blob: String,
    /// Path of the spooled content.
    pub content: PathBuf,
    /// Of a work tree's file: the id of what its parent has at this path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// Where `content` is a pointer of git LFS that others may lack the object of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<LfsObject>,
}

/// An object of git LFS: what a pointer stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LfsObject {
    pub pointer: Pointer,
    /// Path of the spooled object; absent where the sandbox does not have it.
    pub content: Option<PathBuf>,
}

/// The files of one generation, sorted by path: all that a directory has, or those that a work tree has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    pub files: Vec<File>,
    /// Files of a plain directory that are known to be as they were, so that they did not travel.
    #[serde(default)]
    pub unchanged: usize,
    /// What else a work tree has changed. Absent: the files are those of a plain directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work_tree: Option<WorkTree>,
    /// Texts that the command has left beside its files.
    #[serde(default, skip_serializing_if = "Output::is_empty")]
    pub output: Output,
}

/// A work tree, beside the files that it has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkTree {
    /// The commit that it differs from.
    pub parent: String,
    /// Number of files and links in that commit.
    pub parent_files: usize,
    /// Id of the whole tree as the sandbox's git has it; absent where something of it is left out.
    pub id: Option<String>,
    /// Files that are gone, and links of submodules that came or went.
    pub others: Vec<Change>,
    /// Changed paths that do not travel.
    pub left_out: BTreeSet<String>,
    /// Submodules that lead elsewhere than in the parent, or whose files have changed: their links stay.
    pub moved: Vec<String>,
    /// Names of commits in the sandbox that are not part of the result: branches, the stash, other work trees.
    #[serde(default)]
    pub elsewhere: Vec<String>,
    /// Commits from elsewhere that it has taken in whole, by a merge or a rebase, newest first; the sandbox says so.
    #[serde(default)]
    pub taken_in: Vec<String>,
}

/// One path that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub path: String,
    /// What the commit has there.
    pub before: Option<Entry>,
    /// What the work tree has there.
    pub after: Option<Entry>,
}

/// A file or a submodule's link, in one of the two trees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// With git's id of its content.
    File { mode: Mode, blob: String },
    /// With the commit it leads to.
    Link(String),
}

impl Entry {
    pub fn mode(&self) -> &'static str {
        match self {
            Self::File { mode, .. } => mode.as_str(),
            Self::Link(_) => SUBMODULE,
        }
    }

    /// The id of its content, or the commit it leads to.
    pub fn id(&self) -> &str {
        match self {
            Self::File { blob, .. } => blob,
            Self::Link(commit) => commit,
        }
    }
}

/// A message that names more helps nobody.
const MAX_NAMED: usize = 5;

/// Names the first of `paths`, with the verb that fits their number.
pub fn named<'a>(paths: impl ExactSizeIterator<Item = &'a String>, one: &str, more: &str) -> String {
    let all = paths.len();
    let shown: Vec<String> = paths
        .take(MAX_NAMED)
        .map(|path| format!("{:?}", path.chars().take(200).collect::<String>()))
        .collect();
    let rest = all - shown.len();
    let rest = if rest == 0 { String::new() } else { format!(" and {rest} more") };
    format!("{}{rest} {}", shown.join(", "), if all == 1 { one } else { more })
}
