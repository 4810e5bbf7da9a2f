//! Selects what of a work tree's changes travels, and refuses what can't be published as it is.
//! Used by `collect`; git's words come from `worktree`, the rules from `domain::git`.

use super::{
    collection::Collection,
    error::FilesError,
    transfer::{PAUSE, READS, keeps_changing},
    worktree::{self, Kept, Wanted},
};
use crate::{
    api::{RERUN_ANNOTATION, conditions::reason},
    domain::{
        files::{Caps, Change, Entry, WorkTree, named},
        git::{Difference, OddDifference, is_server_of, judge_links, parse_raw},
        selection::Selection,
    },
};
use std::collections::BTreeSet;

/// Git's id of a tree without entries.
const EMPTY_TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
/// The filter of git LFS.
const LFS: &str = "lfs";

/// What a work tree has changed.
pub(super) struct Changed {
    /// Files to fetch.
    pub wanted: Vec<Wanted>,
    /// All else.
    pub tree: WorkTree,
    /// Files among them that git LFS keeps.
    pub kept: Kept,
}

/// Asks git until no file that travels is written to meanwhile; returns what has changed. `home`: the repository's URL.
pub(super) async fn select(
    collection: Collection<'_>,
    commit: &str,
    home: &str,
) -> Result<Changed, FilesError> {
    let Collection { envd, source, caps, id, .. } = collection;
    let selection = Selection::new(&source.include, &source.exclude)?;
    for reads in 1.. {
        let sections = worktree::difference(envd, source, commit, id, caps.max_files).await?;
        refuse_unadded(&sections, &selection)?;
        refuse_conflicts(&sections, &selection)?;
        let changing: Vec<&[u8]> = sections.changing().filter(|path| selection.chooses(path)).collect();
        match changing[..] {
            [] => return judge(&sections, &selection, commit, home, caps),
            [first, ..] if reads == READS => return Err(keeps_changing(first, changing.len() - 1)),
            _ => tokio::time::sleep(PAUSE).await,
        }
    }
    unreachable!("the loop ends after {READS} reads")
}

fn judge(
    sections: &worktree::Sections,
    selection: &Selection,
    commit: &str,
    home: &str,
    caps: Caps,
) -> Result<Changed, FilesError> {
    let Difference { mut changes, left_out } = parse_raw(sections.changes(), |path| selection.chooses(path))?;
    if changes.len() > caps.max_files {
        return Err(FilesError::TooLarge(format!(
            "{} files have changed, SLIPWAY_MAX_FILES allows {}: narrow spec.source",
            changes.len(),
            caps.max_files
        )));
    }
    let links = judge_links(&changes, &sections.submodules());
    let unborn = sections.embedded().filter(|path| selection.chooses(path));
    let unborn = unborn.map(|path| String::from_utf8_lossy(path).into_owned());
    refuse_embedded(&unborn.chain(links.embedded.iter().cloned()).collect())?;
    changes.retain(|change| !links.stay.contains(&change.path));
    refuse_below_submodules(&changes, &links.stay)?;
    refuse_filtered(sections, &changes)?;
    let kept = kept(sections, &changes);
    refuse_other_server(sections, &kept, home)?;
    let tree = sections.tree();
    if tree.as_deref() == Some(EMPTY_TREE) {
        return Err(FilesError::NoFiles(
            "the work tree has no file any more, and GitHub takes no empty tree: keep a file".to_owned(),
        ));
    }
    let (wanted, gone) = wanted(sections, &changes)?;
    let moved = sections.moved().map(|path| String::from_utf8_lossy(path).into_owned());
    let moved: BTreeSet<String> = moved.chain(links.moved.iter().cloned()).collect();
    // A tree that lacks some of what came in must not count as its merge.
    let is_whole = left_out.is_empty() && links.stay.is_empty();
    let tree = WorkTree {
        taken_in: if is_whole { sections.taken_in() } else { Vec::new() },
        parent: commit.to_owned(),
        parent_files: sections.parent_files(),
        id: tree.filter(|_| is_whole && kept.paths.is_empty()),
        others: gone.into_iter().chain(links.publish).collect(),
        left_out,
        moved: moved.into_iter().collect(),
        elsewhere: sections.elsewhere(),
    };
    Ok(Changed { wanted, tree, kept })
}

/// The changed files that git LFS keeps.
fn kept(sections: &worktree::Sections, changes: &[Change]) -> Kept {
    let filters = sections.filters();
    let mut kept = Kept::default();
    for change in changes {
        kept.known.extend(change.before.as_ref().map(|entry| entry.id().to_owned()));
        if let Some(Entry::File { mode, .. }) = &change.after
            && filters.get(change.path.as_bytes()) == Some(&LFS)
        {
            kept.paths.insert(change.path.clone());
            if change.before.as_ref().is_some_and(|before| before.mode() == mode.as_str()) {
                kept.same_mode.insert(change.path.clone());
            }
        }
    }
    kept
}

/// The files to fetch, and those that are gone.
fn wanted(
    sections: &worktree::Sections,
    changes: &[Change],
) -> Result<(Vec<Wanted>, Vec<Change>), FilesError> {
    let sizes = sections.sizes();
    let (mut wanted, mut gone) = (Vec::new(), Vec::new());
    for change in changes {
        match (&change.before, &change.after) {
            (before, Some(Entry::File { mode, blob })) => {
                let size = *sizes.get(blob).ok_or_else(|| {
                    FilesError::Interrupted(format!(
                        "the sandbox's git does not have the content of {:?}",
                        change.path
                    ))
                })?;
                let replaces = before.as_ref().filter(|entry| matches!(entry, Entry::File { .. }));
                wanted.push(Wanted {
                    path: change.path.clone(),
                    mode: *mode,
                    blob: blob.clone(),
                    size,
                    replaces: replaces.map(|entry| entry.id().to_owned()),
                });
            }
            (Some(Entry::File { .. }), None) => gone.push(change.clone()),
            // Links are judged apart.
            _ => {}
        }
    }
    Ok((wanted, gone))
}

/// Refuses files that a merge, a rebase or a stash has left with its marks.
fn refuse_conflicts(sections: &worktree::Sections, selection: &Selection) -> Result<(), FilesError> {
    let paths = sections.conflicts().filter(|path| selection.chooses(path));
    let paths: BTreeSet<String> = paths.map(|path| String::from_utf8_lossy(path).into_owned()).collect();
    if paths.is_empty() {
        return Ok(());
    }
    Err(FilesError::Unfit {
        reason: reason::UNRESOLVED_CONFLICT,
        message: format!(
            "{} conflict markers of a merge, a rebase or a stash that the command has not resolved: resolve them in the sandbox, \
             or have the command do it, then set the annotation {RERUN_ANNOTATION} to a new value",
            named(paths.iter(), "still has", "still have")
        ),
    })
}

/// Refuses files that the sandbox's git can't add.
fn refuse_unadded(sections: &worktree::Sections, selection: &Selection) -> Result<(), FilesError> {
    let refused = sections.refused();
    let (mut filtered, mut others) = (BTreeSet::new(), BTreeSet::new());
    let mut words = "";
    for (path, said) in refused.iter().filter(|(path, _)| selection.chooses(path)) {
        let is_filtered = said.contains(worktree::FILTER_FAILED);
        if is_filtered || filtered.is_empty() {
            words = said.as_str();
        }
        let paths = if is_filtered { &mut filtered } else { &mut others };
        paths.insert(String::from_utf8_lossy(path).into_owned());
    }
    let words = worktree::cut(words);
    if !filtered.is_empty() {
        return Err(FilesError::Unfit {
            reason: reason::FILTERED_FILE,
            message: format!(
                "{} changed, and the filter that .gitattributes names for it fails in the sandbox, where root calls it \
                 ({words}): mend it in the template, or leave the file out by spec.source.exclude",
                named(filtered.iter(), "has", "have each")
            ),
        });
    }
    if others.is_empty() {
        return Ok(());
    }
    Err(FilesError::Invalid(format!(
        "{} nothing that the sandbox's git can add ({words}): mend it, rename it, or leave it out by spec.source.exclude",
        named(others.iter(), "is", "are each")
    )))
}

fn refuse_embedded(paths: &BTreeSet<String>) -> Result<(), FilesError> {
    if paths.is_empty() {
        return Ok(());
    }
    Err(FilesError::Unfit {
        reason: reason::EMBEDDED_REPOSITORY,
        message: format!(
            "{} a git repository inside the work tree that is no submodule of it: remove its .git to commit its files, add it by \
             `git submodule add`, or leave it out by .gitignore or spec.source.exclude",
            named(paths.iter(), "is", "are each")
        ),
    })
}

/// Refuses files that stand where a submodule's link stays.
fn refuse_below_submodules(changes: &[Change], stay: &BTreeSet<String>) -> Result<(), FilesError> {
    let is_below = |path: &str| path.match_indices('/').any(|(at, _)| stay.contains(&path[..at]));
    let paths: BTreeSet<String> =
        changes.iter().map(|change| change.path.clone()).filter(|path| is_below(path)).collect();
    if paths.is_empty() {
        return Ok(());
    }
    Err(FilesError::Unfit {
        reason: reason::SUBMODULE_PATH,
        message: format!(
            "{} changed in a submodule that .gitmodules still names: take its entry out of .gitmodules to have these files instead, \
             or leave them out by spec.source.exclude",
            named(paths.iter(), "has", "have each")
        ),
    })
}

/// Refuses changed files whose filter the sandbox does not have: their raw content would replace what the filter makes of it.
fn refuse_filtered(sections: &worktree::Sections, changes: &[Change]) -> Result<(), FilesError> {
    let filters = sections.filters();
    // What git LFS makes of a file the operator makes itself.
    let is_missing = |filter: &str| filter != LFS && !sections.has_driver(filter);
    let is_filtered = |change: &&Change| {
        let filter = filters.get(change.path.as_bytes());
        matches!(change.after, Some(Entry::File { .. })) && filter.is_some_and(|filter| is_missing(filter))
    };
    let paths: BTreeSet<String> =
        changes.iter().filter(is_filtered).map(|change| change.path.clone()).collect();
    if paths.is_empty() {
        return Ok(());
    }
    Err(FilesError::Unfit {
        reason: reason::FILTERED_FILE,
        message: format!(
            "{} changed, and .gitattributes names a filter for it that the sandbox's git does not have: install and configure \
             it in the template, or leave the file out by spec.source.exclude",
            named(paths.iter(), "has", "have each")
        ),
    })
}

/// Refuses files of git LFS whose objects belong, or are fetched, elsewhere than at the repository's own `home`.
fn refuse_other_server(sections: &worktree::Sections, kept: &Kept, home: &str) -> Result<(), FilesError> {
    let mut servers = sections.lfs_servers().filter(|_| !kept.paths.is_empty());
    let Some((setting, server)) = servers.find(|(_, server)| !is_server_of(server, home)) else {
        return Ok(());
    };
    let server: String = server.chars().take(200).collect();
    Err(FilesError::Unfit {
        reason: reason::FILTERED_FILE,
        message: format!(
            "{} changed, and {setting} in .lfsconfig says that its content belongs to {server:?}, which the operator does not know: \
             upload it there by git-lfs and leave the file out by spec.source.exclude",
            named(kept.paths.iter(), "has", "have each")
        ),
    })
}

impl From<OddDifference> for FilesError {
    fn from(error: OddDifference) -> Self {
        let message = error.to_string();
        match error {
            OddDifference::Unusable(_) => Self::Invalid(message),
            OddDifference::Odd(_) => Self::Interrupted(message),
        }
    }
}
