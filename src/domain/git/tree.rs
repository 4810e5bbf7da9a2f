//! Finds what a snapshot changes on a base tree, and the id of the new tree. Pure: directories that were not listed are
//! asked for by name and never guessed.

use super::ids::object_id;
use crate::domain::files::{File, Snapshot};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet, HashSet};

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

/// Git's mode of a submodule's link.
const SUBMODULE: &str = "160000";

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
    root: Directory,
}

/// Changes that a snapshot makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes<'a> {
    /// Files that are new or differ in content or mode, in the snapshot's order.
    pub put: Vec<Put<'a>>,
    /// Files of the base that stand where a directory has to be, or below a directory that has to be a file. They go first.
    pub remove: Vec<String>,
    /// True where nothing of the base is left after `remove`.
    pub removes_all: bool,
    /// The id the resulting tree must have.
    pub tree: String,
}

/// One file to put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Put<'a> {
    pub file: &'a File,
    /// The base has this content already, here or elsewhere: nothing to upload.
    pub known: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Leaf { mode: String, sha: String },
    Directory(Directory),
}

/// `entries: None`: not listed. `sha: None`: changed since it was listed, or new.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Directory {
    sha: Option<String>,
    entries: Option<BTreeMap<String, Node>>,
}

impl Directory {
    fn empty() -> Self {
        Self { sha: None, entries: Some(BTreeMap::new()) }
    }

    /// To change it: its id is then no longer known.
    fn changed(&mut self) -> &mut BTreeMap<String, Node> {
        self.sha = None;
        self.entries.get_or_insert_default()
    }

    fn id(&self) -> String {
        match (&self.sha, &self.entries) {
            (Some(sha), _) => sha.clone(),
            (None, Some(entries)) => tree_id(entries),
            (None, None) => unreachable!("a directory is either listed or known by its id"),
        }
    }

    /// Mode and id of the file or submodule at `path`, if it was listed.
    fn leaf(&self, path: &str) -> Option<(&str, &str)> {
        let mut directory = self;
        let (parents, name) = path.rsplit_once('/').unwrap_or(("", path));
        for part in parents.split('/').filter(|p| !p.is_empty()) {
            let Some(Node::Directory(next)) = directory.entries.as_ref()?.get(part) else { return None };
            directory = next;
        }
        match directory.entries.as_ref()?.get(name)? {
            Node::Leaf { mode, sha } => Some((mode, sha)),
            Node::Directory(_) => None,
        }
    }

    fn leaves(&self, path: &str, found: &mut impl FnMut(String, &str)) {
        for (name, node) in self.entries.iter().flatten() {
            let path = join(path, name);
            match node {
                Node::Leaf { sha, .. } => found(path, sha),
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

    /// The directories (path, id) that must be listed before [`Self::changes`] can tell: those a file of the snapshot
    /// lies in, and all below one that becomes a file. Empty: nothing is missing. Ask again after listing them.
    pub fn unlisted(&self, snapshot: &Snapshot) -> BTreeSet<(String, String)> {
        let mut found = BTreeSet::new();
        for file in &snapshot.files {
            let mut directory = &self.root;
            let mut walked = String::new();
            let mut parts = file.path.split('/').peekable();
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
        let mut directory = &mut self.root;
        for part in path.split('/') {
            let Some(Node::Directory(next)) = directory.entries.get_or_insert_default().get_mut(part) else {
                return;
            };
            directory = next;
        }
        directory.entries = Some(listing(entries));
    }

    /// The id of this tree.
    pub fn id(&self) -> String {
        self.root.id()
    }

    /// The blob at `path`; `None` where there is no file.
    pub fn blob(&self, path: &str) -> Option<&str> {
        self.root.leaf(path).filter(|(mode, _)| *mode != SUBMODULE).map(|(_, sha)| sha)
    }

    /// Finds what `snapshot` changes when it is laid over this tree. Files of the base that the snapshot does not have stay.
    pub fn changes<'a>(&self, snapshot: &'a Snapshot) -> Changes<'a> {
        let mut known = HashSet::new();
        let mut leaves = 0_usize;
        self.root.leaves("", &mut |_, sha| {
            known.insert(sha.to_owned());
            leaves += 1;
        });
        let mut root = self.root.clone();
        let (mut put, mut remove) = (Vec::new(), Vec::new());
        for file in &snapshot.files {
            if lay(&mut root, file, &mut remove) {
                put.push(Put { file, known: known.contains(&file.blob) });
            }
        }
        let unlisted = {
            let mut found = BTreeSet::new();
            self.root.unlisted("", &mut found);
            !found.is_empty()
        };
        let removes_all = !remove.is_empty() && remove.len() == leaves && !unlisted;
        let tree = if put.is_empty() { self.id() } else { root.id() };
        Changes { put, remove, removes_all, tree }
    }
}

/// Lays one file over the tree; whether that changed anything. What had to make room is added to `remove`.
fn lay(root: &mut Directory, file: &File, remove: &mut Vec<String>) -> bool {
    if is_same(root, file) {
        return false;
    }
    let (parents, name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
    let mut directory = root;
    let mut walked = String::new();
    for part in parents.split('/').filter(|p| !p.is_empty()) {
        walked = join(&walked, part);
        let node =
            directory.changed().entry(part.to_owned()).or_insert_with(|| Node::Directory(Directory::empty()));
        if matches!(node, Node::Leaf { .. }) {
            remove.push(walked.clone());
            *node = Node::Directory(Directory::empty());
        }
        let Node::Directory(next) = node else { unreachable!("a leaf was replaced above") };
        directory = next;
    }
    let leaf = Node::Leaf { mode: file.mode.as_str().to_owned(), sha: file.blob.clone() };
    if let Some(Node::Directory(replaced)) = directory.changed().insert(name.to_owned(), leaf) {
        replaced.leaves(&file.path, &mut |path, _| remove.push(path));
    }
    true
}

fn is_same(root: &Directory, file: &File) -> bool {
    root.leaf(&file.path).is_some_and(|(mode, sha)| mode == file.mode.as_str() && sha == file.blob)
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

fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}

#[cfg(test)]
mod tests;
