//! The tree of a commit, as far as it was listed, and the id it has after a change. Pure: directories that were not listed
//! are asked for by name and never guessed. `changes` works on it.

use super::ids::object_id;
use crate::domain::files::SUBMODULE;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// Kind of an entry, in git's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// A file or a symlink.
    Blob,
    Tree,
    #[serde(rename = "commit")]
    Submodule,
}

/// One entry of a tree as it was listed, in the shape of GitHub's answer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct BaseEntry {
    /// Relative to the listed tree, `/`-separated.
    pub path: String,
    /// Octal: `100644`, `040000`.
    pub mode: String,
    #[serde(rename = "type")]
    pub kind: EntryKind,
    pub sha: String,
}

/// The tree to build on, as far as it was listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseTree {
    pub(super) root: Directory,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Leaf { mode: String, sha: String },
    Directory(Directory),
}

/// `entries: None`: not listed. `sha: None`: changed since it was listed, or new.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Directory {
    sha: Option<String>,
    pub(super) entries: Option<BTreeMap<String, Node>>,
}

impl Directory {
    pub(super) fn empty() -> Self {
        Self { sha: None, entries: Some(BTreeMap::new()) }
    }

    /// To change it: its id is then no longer known.
    pub(super) fn changed(&mut self) -> &mut BTreeMap<String, Node> {
        self.sha = None;
        self.entries.get_or_insert_default()
    }

    pub(super) fn id(&self) -> String {
        match (&self.sha, &self.entries) {
            (Some(sha), _) => sha.clone(),
            (None, Some(entries)) => tree_id(entries),
            (None, None) => unreachable!("a directory is either listed or known by its id"),
        }
    }

    /// The directory at `path`, which is this one where it is empty.
    fn at(&self, path: &str) -> Option<&Self> {
        path.split('/').filter(|part| !part.is_empty()).try_fold(self, |directory, part| {
            match directory.entries.as_ref()?.get(part)? {
                Node::Directory(next) => Some(next),
                Node::Leaf { .. } => None,
            }
        })
    }

    fn at_mut(&mut self, path: &str) -> Option<&mut Self> {
        path.split('/').filter(|part| !part.is_empty()).try_fold(self, |directory, part| {
            match directory.entries.as_mut()?.get_mut(part)? {
                Node::Directory(next) => Some(next),
                Node::Leaf { .. } => None,
            }
        })
    }

    /// Mode and id of the file or submodule at `path`, if it was listed.
    pub(super) fn leaf(&self, path: &str) -> Option<(&str, &str)> {
        let (parents, name) = path.rsplit_once('/').unwrap_or(("", path));
        match self.at(parents)?.entries.as_ref()?.get(name)? {
            Node::Leaf { mode, sha } => Some((mode, sha)),
            Node::Directory(_) => None,
        }
    }

    pub(super) fn leaves<'a>(&'a self, path: &str, found: &mut impl FnMut(String, &'a str, &'a str)) {
        for (name, node) in self.entries.iter().flatten() {
            let path = join(path, name);
            match node {
                Node::Leaf { mode, sha } => found(path, mode, sha),
                Node::Directory(directory) => directory.leaves(&path, found),
            }
        }
    }

    fn unlisted(&self, path: &str, found: &mut BTreeSet<(String, String)>) {
        match &self.entries {
            None => {
                found.insert((path.to_owned(), self.sha.clone().unwrap_or_default()));
            }
            Some(entries) => {
                for (name, node) in entries {
                    if let Node::Directory(directory) = node {
                        directory.unlisted(&join(path, name), found);
                    }
                }
            }
        }
    }
}

impl BaseTree {
    /// From a whole recursive listing: every directory counts as listed.
    pub fn recursive(entries: impl IntoIterator<Item = BaseEntry>) -> Self {
        let mut root = Directory::empty();
        for entry in entries {
            let (parents, name) = entry.path.rsplit_once('/').unwrap_or(("", &entry.path));
            let mut directory = &mut root;
            for part in parents.split('/').filter(|p| !p.is_empty()) {
                let entries = directory.entries.get_or_insert_default();
                let node =
                    entries.entry(part.to_owned()).or_insert_with(|| Node::Directory(Directory::empty()));
                if !matches!(node, Node::Directory(_)) {
                    *node = Node::Directory(Directory::empty());
                }
                let Node::Directory(next) = node else { unreachable!("it was made a directory above") };
                directory = next;
            }
            let entries = directory.entries.get_or_insert_default();
            match (entry.kind, entries.get_mut(name)) {
                (EntryKind::Tree, Some(Node::Directory(known))) => known.sha = Some(entry.sha),
                (EntryKind::Tree, _) => {
                    let listed = Directory { sha: Some(entry.sha), ..Directory::empty() };
                    entries.insert(name.to_owned(), Node::Directory(listed));
                }
                _ => {
                    entries.insert(name.to_owned(), Node::Leaf { mode: entry.mode, sha: entry.sha });
                }
            }
        }
        Self { root }
    }

    /// From the listing of the root alone; [`Self::unlisted`] says what else is needed.
    pub fn shallow(entries: impl IntoIterator<Item = BaseEntry>) -> Self {
        Self { root: Directory { sha: None, entries: Some(listing(entries)) } }
    }

    /// The mode of the file or submodule at `path` (octal: `100755`), if it was listed.
    pub fn mode(&self, path: &str) -> Option<&str> {
        self.root.leaf(path).map(|(mode, _)| mode)
    }

    /// The directories (path, id) that must be listed before anything can be told of `paths`: those that they lie in, and
    /// all below one that becomes a file. Empty: nothing is missing. Ask again after listing them.
    pub fn unlisted<'a>(&self, paths: impl IntoIterator<Item = &'a str>) -> BTreeSet<(String, String)> {
        let mut found = BTreeSet::new();
        for path in paths {
            let mut directory = &self.root;
            let mut walked = String::new();
            let mut parts = path.split('/').peekable();
            while let Some(part) = parts.next() {
                let Some(entries) = &directory.entries else {
                    directory.unlisted(&walked, &mut found);
                    break;
                };
                let Some(Node::Directory(next)) = entries.get(part) else { break };
                walked = join(&walked, part);
                directory = next;
                if parts.peek().is_none() {
                    directory.unlisted(&walked, &mut found);
                }
            }
        }
        found
    }

    /// Adds the listing of one directory.
    pub fn list(&mut self, path: &str, entries: impl IntoIterator<Item = BaseEntry>) {
        if let Some(directory) = self.root.at_mut(path) {
            directory.entries = Some(listing(entries));
        }
    }

    /// Adds the recursive listing of one directory.
    pub fn list_whole(&mut self, path: &str, entries: impl IntoIterator<Item = BaseEntry>) {
        if let Some(directory) = self.root.at_mut(path) {
            directory.entries = Self::recursive(entries).root.entries;
        }
    }

    /// The id of the directory at `path`.
    pub fn directory_id(&self, path: &str) -> Option<&str> {
        self.root.at(path)?.sha.as_deref()
    }

    /// The id of this tree.
    pub fn id(&self) -> String {
        self.root.id()
    }

    /// Mode and id of the file or submodule's link at `path`.
    pub fn entry(&self, path: &str) -> Option<(&str, &str)> {
        self.root.leaf(path)
    }

    /// Returns whether there is a directory at `path`; the root is one.
    pub fn is_directory(&self, path: &str) -> bool {
        self.root.at(path).is_some()
    }

    /// The submodule that `path` lies in or is.
    pub fn submodule_of<'a>(&self, path: &'a str) -> Option<&'a str> {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        let mut above = ends.map(|end| &path[..end]);
        above.find(|path| self.root.leaf(path).is_some_and(|(mode, _)| mode == SUBMODULE))
    }

    /// Every file and link that was listed, as (path, mode, id).
    pub fn entries(&self) -> Vec<(String, &str, &str)> {
        let mut found = Vec::new();
        self.root.leaves("", &mut |path, mode, sha| found.push((path, mode, sha)));
        found
    }

    /// Returns whether every directory was listed.
    pub fn is_whole(&self) -> bool {
        let mut found = BTreeSet::new();
        self.root.unlisted("", &mut found);
        found.is_empty()
    }
}

fn listing(entries: impl IntoIterator<Item = BaseEntry>) -> BTreeMap<String, Node> {
    let node = |entry: BaseEntry| match entry.kind {
        EntryKind::Tree => (entry.path, Node::Directory(Directory { sha: Some(entry.sha), entries: None })),
        EntryKind::Blob | EntryKind::Submodule => {
            (entry.path, Node::Leaf { mode: entry.mode, sha: entry.sha })
        }
    };
    entries.into_iter().map(node).collect()
}

/// Git sorts the entries of a tree as if a directory's name ended in `/`.
fn tree_id(entries: &BTreeMap<String, Node>) -> String {
    let mut sorted: Vec<(String, &str, &str, String)> = entries
        .iter()
        .map(|(name, node)| match node {
            Node::Leaf { mode, sha } => {
                (name.clone(), name.as_str(), mode.trim_start_matches('0'), sha.clone())
            }
            Node::Directory(directory) => (format!("{name}/"), name.as_str(), "40000", directory.id()),
        })
        .collect();
    sorted.sort_unstable();
    let mut content = Vec::new();
    for (_, name, mode, sha) in sorted {
        content.extend_from_slice(format!("{mode} {name}\0").as_bytes());
        // Ids come from GitHub or from our own hashing; one that is not hex could only give an id that does not match.
        content.extend(hex::decode(sha).unwrap_or_default());
    }
    object_id("tree", &content)
}

pub(super) fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}
