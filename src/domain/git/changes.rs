//! What a commit changes: which files are put, which entries go, and the id that the tree has then. Pure.
//! Worked out on `tree`; sent by `controllers::task::commit`.

use super::tree::{BaseTree, Directory, Node, join};
use crate::domain::files::{Change, Entry, File, SUBMODULE, Snapshot, WorkTree};
use std::collections::{HashMap, HashSet};

/// Changes that lead from one tree to another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes<'a> {
    /// Files and links that are new or differ in content or mode, by path.
    pub put: Vec<Put<'a>>,
    /// Entries that are there no more.
    pub remove: Vec<Removal>,
    /// True where nothing of the base is left after `remove`.
    pub removes_all: bool,
    /// The id that the resulting tree must have, as far as it can be told without GitHub.
    pub tree: Option<String>,
}

/// One entry to put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put<'a> {
    pub path: String,
    pub mode: String,
    /// Git's id of its content, or the commit that a submodule's link leads to.
    pub id: String,
    /// Its spooled content; absent where GitHub has it.
    pub file: Option<&'a File>,
    /// The id of what stood at this path before.
    pub before: Option<String>,
}

/// One entry that goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    pub path: String,
    pub mode: String,
}

/// What a result wants at one path: an entry, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted<'a> {
    pub path: String,
    /// Mode and id.
    pub entry: Option<(String, String)>,
    /// The spooled content of the entry.
    pub file: Option<&'a File>,
}

impl Put<'_> {
    /// Returns whether it is a submodule's link, which has no content.
    pub fn is_link(&self) -> bool {
        self.mode == SUBMODULE
    }
}

impl Changes<'_> {
    /// Returns whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.put.is_empty() && self.remove.is_empty()
    }

    /// Returns whether a removed path is a directory of the new tree, or lies below a new file: such changes can't be sent in
    /// one tree.
    pub fn replaces_by_kind(&self) -> bool {
        let removed: HashSet<&str> = self.remove.iter().map(|removal| removal.path.as_str()).collect();
        let put: HashSet<&str> = self.put.iter().map(|put| put.path.as_str()).collect();
        let is_below =
            |path: &str, of: &HashSet<&str>| path.match_indices('/').any(|(at, _)| of.contains(&path[..at]));
        put.iter().any(|path| is_below(path, &removed)) || removed.iter().any(|path| is_below(path, &put))
    }
}

impl<'a> Changes<'a> {
    /// The changes of a work tree on the commit that it differs from. The sandbox's git has worked them out.
    pub fn of_work_tree(snapshot: &'a Snapshot, tree: &WorkTree) -> Self {
        let gone = tree.others.iter().filter_map(|change| Some(change.before.as_ref()?.id()));
        let replaced = snapshot.files.iter().filter_map(|file| file.replaces.as_deref());
        // GitHub has what the parent had: a file that only moved is not sent.
        let known: HashSet<&str> = gone.chain(replaced).collect();
        let files = snapshot.files.iter().map(|file| Put {
            path: file.path.clone(),
            mode: file.mode.as_str().to_owned(),
            id: file.blob.clone(),
            file: Some(file).filter(|file| !known.contains(file.blob.as_str())),
            before: file.replaces.clone(),
        });
        let mut put: Vec<Put<'a>> = files.collect();
        let mut remove = Vec::new();
        for change in &tree.others {
            match (&change.before, &change.after) {
                (before, Some(Entry::Link(commit))) => put.push(Put {
                    path: change.path.clone(),
                    mode: SUBMODULE.to_owned(),
                    id: commit.clone(),
                    file: None,
                    before: before.as_ref().map(|entry| entry.id().to_owned()),
                }),
                (Some(before), None) => {
                    remove.push(Removal { path: change.path.clone(), mode: before.mode().to_owned() });
                }
                _ => {}
            }
        }
        let removes_all = !remove.is_empty() && remove.len() == tree.parent_files;
        Self { put, remove, removes_all, tree: tree.id.clone() }
    }
}

impl BaseTree {
    /// Finds what a directory wants when it is laid over this tree. What the tree has and the directory has not stays.
    pub fn laid_over<'a>(&self, snapshot: &'a Snapshot) -> Vec<Wanted<'a>> {
        let (mut root, mut removed) = (self.root.clone(), Vec::new());
        let mut wanted = Vec::new();
        for file in &snapshot.files {
            let entry = (file.mode.as_str(), file.blob.as_str());
            if self.entry(&file.path) == Some(entry) {
                continue;
            }
            lay(&mut root, &file.path, entry, &mut removed);
            let entry = Some((entry.0.to_owned(), entry.1.to_owned()));
            wanted.push(Wanted { path: file.path.clone(), entry, file: Some(file) });
        }
        wanted.extend(removed.into_iter().map(|(path, _)| Wanted { path, entry: None, file: None }));
        wanted
    }

    /// Finds what a work tree wants that `last` has not. `self` is the tree that it differs from: what the round before
    /// had changed and this one has not is wanted as it is there.
    pub fn differs_from<'a>(&self, last: &Self, snapshot: &'a Snapshot, tree: &WorkTree) -> Vec<Wanted<'a>> {
        let owned = |(mode, id): (&str, &str)| (mode.to_owned(), id.to_owned());
        let mut wanted: HashMap<String, Wanted<'a>> = HashMap::new();
        for file in &snapshot.files {
            let entry = Some((file.mode.as_str().to_owned(), file.blob.clone()));
            wanted.insert(file.path.clone(), Wanted { path: file.path.clone(), entry, file: Some(file) });
        }
        for Change { path, after, .. } in &tree.others {
            let entry = after.as_ref().map(|entry| (entry.mode().to_owned(), entry.id().to_owned()));
            wanted.insert(path.clone(), Wanted { path: path.clone(), entry, file: None });
        }
        let (here, there) = (self.entries(), last.entries());
        for (path, ..) in here.iter().chain(&there) {
            if !wanted.contains_key(path)
                && self.entry(path) != last.entry(path)
                && !tree.left_out.contains(path)
            {
                let entry = self.entry(path).map(owned);
                wanted.insert(path.clone(), Wanted { path: path.clone(), entry, file: None });
            }
        }
        let mut wanted: Vec<_> =
            wanted.into_values().filter(|one| one.entry != last.entry(&one.path).map(owned)).collect();
        wanted.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        wanted
    }

    /// This tree with `wanted` in it.
    #[must_use]
    pub fn with(&self, wanted: Vec<Wanted<'_>>) -> Self {
        let mut root = self.root.clone();
        for Wanted { path, entry, .. } in wanted {
            match entry {
                Some((mode, id)) => lay(&mut root, &path, (&mode, &id), &mut Vec::new()),
                None => drop(take(&mut root, &path)),
            }
        }
        Self { root }
    }

    /// Puts `wanted` onto this tree. With `last`, the tree that it was wanted on, a path that others have changed since is
    /// a conflict: its name is the error.
    pub fn put_on<'a>(&self, last: Option<&Self>, wanted: Vec<Wanted<'a>>) -> Result<Changes<'a>, String> {
        let known: HashSet<&str> = self.entries().into_iter().map(|(_, _, id)| id).collect();
        let leaves = self.entries().len();
        let mut root = self.root.clone();
        let mut changes = Changes::default();
        let mut removed = Vec::new();
        for Wanted { path, entry, file } in wanted {
            let entry = entry.as_ref().map(|(mode, id)| (mode.as_str(), id.as_str()));
            let here = self.entry(&path);
            if here == entry {
                continue;
            }
            if last.is_some_and(|last| self.is_changed_since(last, &path)) {
                return Err(path);
            }
            match entry {
                Some((mode, id)) => {
                    lay(&mut root, &path, (mode, id), &mut removed);
                    changes.put.push(Put {
                        mode: mode.to_owned(),
                        id: id.to_owned(),
                        file: file.filter(|_| !known.contains(id)),
                        before: here.map(|(_, id)| id.to_owned()),
                        path,
                    });
                }
                None => {
                    if let Some(mode) = take(&mut root, &path) {
                        removed.push((path, mode));
                    }
                }
            }
        }
        let put: HashSet<&str> = changes.put.iter().map(|put| put.path.as_str()).collect();
        let gone = removed.into_iter().filter(|(path, _)| !put.contains(path.as_str()));
        let mut remove: Vec<Removal> = gone.map(|(path, mode)| Removal { path, mode }).collect();
        remove.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        remove.dedup();
        changes.removes_all = !remove.is_empty() && remove.len() == leaves && self.is_whole();
        changes.remove = remove;
        changes.tree = Some(if changes.is_empty() { self.id() } else { root.id() });
        Ok(changes)
    }

    /// Returns whether `path`, or what it would stand on or above, is otherwise here than in `last`.
    fn is_changed_since(&self, last: &Self, path: &str) -> bool {
        let above = path.match_indices('/').any(|(at, _)| self.entry(&path[..at]) != last.entry(&path[..at]));
        above || self.entry(path) != last.entry(path) || self.is_directory(path) != last.is_directory(path)
    }
}

/// Lays one entry over the tree. What had to make room is added to `removed`, with its mode.
fn lay(root: &mut Directory, path: &str, (mode, id): (&str, &str), removed: &mut Vec<(String, String)>) {
    let (parents, name) = path.rsplit_once('/').unwrap_or(("", path));
    let mut directory = root;
    let mut walked = String::new();
    for part in parents.split('/').filter(|p| !p.is_empty()) {
        walked = join(&walked, part);
        let node =
            directory.changed().entry(part.to_owned()).or_insert_with(|| Node::Directory(Directory::empty()));
        if let Node::Leaf { mode, .. } = node {
            removed.push((walked.clone(), mode.clone()));
            *node = Node::Directory(Directory::empty());
        }
        let Node::Directory(next) = node else { unreachable!("a leaf was replaced above") };
        directory = next;
    }
    let leaf = Node::Leaf { mode: mode.to_owned(), sha: id.to_owned() };
    if let Some(Node::Directory(replaced)) = directory.changed().insert(name.to_owned(), leaf) {
        replaced.leaves(path, &mut |path, mode, _| removed.push((path, mode.to_owned())));
    }
}

/// Takes one entry away, and the directories that are empty then; its mode, if it was there.
fn take(directory: &mut Directory, path: &str) -> Option<String> {
    let (name, rest) = path.split_once('/').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let node = directory.entries.as_mut()?.get_mut(name)?;
    let (mode, is_empty) = match (node, rest) {
        (Node::Leaf { mode, .. }, None) => (mode.clone(), true),
        (Node::Directory(below), Some(rest)) => {
            let mode = take(below, rest)?;
            (mode, below.entries.as_ref().is_some_and(std::collections::BTreeMap::is_empty))
        }
        _ => return None,
    };
    if is_empty {
        directory.changed().remove(name);
    } else {
        directory.changed();
    }
    Some(mode)
}

#[cfg(test)]
mod tests;
