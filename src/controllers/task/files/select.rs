//! Selects which of the sandbox's files travel, by name: bounded while they are listed, not after.
//! Called by `controllers::task::files`; `files::listing` hands over the entries, `domain::selection` judges them.
//!
//! One command lists everything. Where that is too much (dependencies that are ignored, say), the tree is listed again
//! level by level, and what the patterns leave out is not even listed.

use super::error::FilesError;
use super::listing::{Found, Kind, Listing, Node, list};
use super::transfer::in_pieces;
use crate::api::Source;
use crate::domain::git::BaseTree;
use crate::domain::selection::{Selection, is_git_internal, parent};
use crate::e2b::{self, Envd};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use std::ops::ControlFlow;

/// Entries of one command that are held, and the bytes of their names: beyond, the tree is listed by levels.
const AT_ONCE: Bound = Bound { entries: 20_000, bytes: 4 << 20 };
/// Entries of all levels, and the bytes of their names.
const BY_LEVELS: Bound = Bound { entries: 400_000, bytes: 32 << 20 };

const IGNORE_FILE: &[u8] = b".gitignore";
/// Longest `.gitignore` that is honoured (bytes).
const MAX_IGNORE_FILE: usize = 4 << 20;
/// `.gitignore` files that are read at a time.
const IGNORE_FILES_AT_ONCE: usize = 8;

#[derive(Debug, Clone, Copy)]
struct Bound {
    entries: usize,
    bytes: usize,
}

/// Files by name, without an allocation for each.
#[derive(Debug, Default)]
struct Names {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    /// Of its name in `bytes`.
    end: usize,
    kind: Kind,
    size: u64,
}

impl Names {
    fn push(&mut self, path: &[u8], kind: Kind, size: u64) {
        self.bytes.extend_from_slice(path);
        self.entries.push(Entry { end: self.bytes.len(), kind, size });
    }

    fn iter(&self) -> impl Iterator<Item = (&[u8], Kind, u64)> {
        let mut start = 0;
        self.entries.iter().map(move |entry| {
            let path = &self.bytes[std::mem::replace(&mut start, entry.end)..entry.end];
            (path, entry.kind, entry.size)
        })
    }
}

impl Bound {
    fn is_passed(self, entries: usize, bytes: usize) -> bool {
        entries > self.entries || bytes > self.bytes
    }
}

/// One selection of the files of one sandbox.
struct Select<'a> {
    envd: &'a Envd,
    source: &'a Source,
    max_files: usize,
    selection: Selection,
    tracked: Tracked<'a>,
}

/// What the base has, by the paths of the directory that goes there.
struct Tracked<'a> {
    base: &'a BaseTree,
    destination: Option<&'a str>,
}

impl Tracked<'_> {
    fn place(&self, path: &[u8]) -> Option<String> {
        let path = std::str::from_utf8(path).ok()?;
        Some(self.destination.map_or_else(|| path.to_owned(), |destination| format!("{destination}/{path}")))
    }

    fn has(&self, path: &[u8]) -> bool {
        self.place(path).is_some_and(|path| self.base.entry(&path).is_some())
    }

    fn has_below(&self, directory: &[u8]) -> bool {
        self.place(directory).is_some_and(|path| self.base.is_directory(&path))
    }
}

/// Selects the files that travel, by name, and finds whether the sandbox has tar.
pub(super) async fn select(
    envd: &Envd,
    source: &Source,
    max_files: usize,
    base: &BaseTree,
) -> Result<(Vec<Found>, bool), FilesError> {
    let selection = Selection::new(&source.include, &source.exclude)?;
    let tracked = Tracked { base, destination: source.destination.as_deref() };
    let mut select = Select { envd, source, max_files, selection, tracked };
    let (mut files, has_tar) = match select.at_once().await? {
        Some(selected) => selected,
        None => select.by_levels().await?,
    };
    files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok((files, has_tar))
}

impl Select<'_> {
    /// `None`: there is more than may be held of what is not ignored yet.
    async fn at_once(&mut self) -> Result<Option<(Vec<Found>, bool)>, FilesError> {
        let (mut names, mut entries) = (Names::default(), 0);
        // What nothing is known against but the spec's own patterns is selected already.
        let final_here = self.source.include_ignored;
        let bound = Bound { entries: BY_LEVELS.entries, ..AT_ONCE };
        let most = if final_here { self.max_files } else { AT_ONCE.entries };
        let selection = &self.selection;
        let listing = list(self.envd, &self.source.path, [], |path, node, size| {
            entries += 1;
            if let Node::File(kind) = node
                && (selection.may_take(path) || (!final_here && is_ignore_file(path)))
            {
                names.push(path, kind, size);
            }
            more_if(names.entries.len() <= most && !bound.is_passed(entries, names.bytes.len()))
        });
        match listing.await? {
            Listing::Stopped if final_here && names.entries.len() > most => Err(self.too_many_files()),
            Listing::Stopped => Ok(None),
            Listing::Whole { has_tar } => {
                self.read_ignore_files(&names).await?;
                let mut files = Vec::new();
                self.add_selected(&names, &mut files)?;
                Ok(Some((files, has_tar)))
            }
        }
    }

    async fn by_levels(&mut self) -> Result<(Vec<Found>, bool), FilesError> {
        let (mut files, mut has_tar) = (Vec::new(), false);
        let (mut entries, mut bytes) = (0, 0);
        let mut level = vec![".".to_owned()];
        while !level.is_empty() {
            let (mut names, mut below) = (Names::default(), Names::default());
            for directories in in_pieces(&level, u64::MAX, |name| (name.len(), 0)) {
                let listing = list(self.envd, &self.source.path, directories.to_vec(), |path, node, size| {
                    entries += 1;
                    bytes += path.len();
                    match node {
                        Node::File(kind) => names.push(path, kind, size),
                        Node::Directory => below.push(path, Kind::Regular { executable: false }, 0),
                        Node::Other => {}
                    }
                    more_if(!BY_LEVELS.is_passed(entries, bytes))
                });
                match listing.await? {
                    Listing::Whole { has_tar: found } => has_tar = found,
                    Listing::Stopped => return Err(too_much(&self.source.path)),
                }
            }
            self.read_ignore_files(&names).await?;
            self.add_selected(&names, &mut files)?;
            level = self.next_level(&below)?;
        }
        Ok((files, has_tar))
    }

    /// Adds what of `names` travels.
    fn add_selected(&mut self, names: &Names, files: &mut Vec<Found>) -> Result<(), FilesError> {
        for (path, kind, size) in names.iter() {
            // For git, ignore files matter only for what is not tracked.
            let tracked = self.tracked.has(path) && self.selection.may_take(path);
            if tracked || self.selection.takes(path) {
                files.push(Found { path: path.to_vec(), kind, size });
                if files.len() > self.max_files {
                    return Err(self.too_many_files());
                }
            }
        }
        Ok(())
    }

    /// The directories that may hold something that travels, as find is asked for them.
    fn next_level(&mut self, directories: &Names) -> Result<Vec<String>, FilesError> {
        let mut level = Vec::new();
        for (path, ..) in directories.iter() {
            let out = self.selection.leaves_out(path) && !self.tracked.has_below(path);
            if is_git_internal(path) || out {
                continue;
            }
            let name = std::str::from_utf8(path).map_err(|_| {
                FilesError::Invalid(format!(
                    "the directory name \"{}\" is no UTF-8, so that it can't be listed: rename it or leave it out by \
                     spec.source.exclude",
                    path.escape_ascii()
                ))
            })?;
            level.push(format!("./{name}"));
        }
        Ok(level)
    }

    /// Adds the `.gitignore` files among `names`, the upper ones first: they may leave out directories with more of
    /// them. Links of that name are passed over, as git does.
    async fn read_ignore_files(&mut self, names: &Names) -> Result<(), FilesError> {
        if self.source.include_ignored {
            return Ok(());
        }
        let depth = |path: &&[u8]| path.split(|b| *b == b'/').count();
        let ignore_files =
            names.iter().filter(|(path, kind, _)| is_ignore_file(path) && *kind != Kind::Symlink);
        let mut paths: Vec<&[u8]> = ignore_files.map(|(path, ..)| path).collect();
        paths.sort_by_key(depth);
        let base = self.source.path.trim_end_matches('/');
        for level in paths.chunk_by(|a, b| depth(a) == depth(b)) {
            let reads: Vec<_> = level
                .iter()
                .filter(|path| !self.selection.leaves_out(parent(path)))
                // A directory that is no UTF-8 has no path envd could be asked for, and none that could travel.
                .filter_map(|path| Some((parent(path), std::str::from_utf8(path).ok()?)))
                .map(|(directory, path)| {
                    let (envd, path) = (self.envd, format!("{base}/{path}"));
                    async move {
                        let content = envd.read_small(&path, MAX_IGNORE_FILE).await?;
                        Ok::<_, e2b::Error>((directory, content.unwrap_or_default()))
                    }
                })
                .collect();
            let contents: Vec<_> = stream::iter(reads).buffered(IGNORE_FILES_AT_ONCE).try_collect().await?;
            for (directory, content) in contents {
                self.selection.add_ignore_file(directory, &content);
            }
        }
        Ok(())
    }

    fn too_many_files(&self) -> FilesError {
        FilesError::TooLarge(format!(
            "more files are selected than SLIPWAY_MAX_FILES allows ({}): narrow spec.source",
            self.max_files
        ))
    }
}

fn is_ignore_file(path: &[u8]) -> bool {
    path.rsplit(|b| *b == b'/').next() == Some(IGNORE_FILE)
}

fn more_if(more: bool) -> ControlFlow<()> {
    if more { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

fn too_much(path: &str) -> FilesError {
    FilesError::TooLarge(format!(
        "below {path} there is too much to list, even without what spec.source.exclude and .gitignore files leave out: more \
         than {} entries, or {} MiB of names: choose a deeper spec.source.path",
        BY_LEVELS.entries,
        BY_LEVELS.bytes >> 20
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_out_as_they_went_in() {
        let mut names = Names::default();
        let entries: [(&[u8], Kind, u64); 3] = [
            (b"a", Kind::Symlink, 3),
            (b"", Kind::Regular { executable: true }, 0),
            (b"d/\xff", Kind::Regular { executable: false }, u64::MAX),
        ];
        for (path, kind, size) in entries {
            names.push(path, kind, size);
        }
        assert_eq!(names.iter().collect::<Vec<_>>(), entries);
    }
}
