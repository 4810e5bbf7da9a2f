//! One collection: what is selected is checked, transferred and kept, or nothing is.
//! Puts `select` or `worktree`, `intake`, `transfer` and `spool` in a row; called by the Task controller.

use super::{
    blocking::unblocked,
    changed::{self, Changed},
    collection::Collection,
    digests,
    error::FilesError,
    intake::{self, Intake},
    listing::Found,
    spool::Collected,
    transfer, worktree,
};
use crate::{
    api::Source,
    domain::{
        files::WorkTree,
        git::{BaseTree, Pointer},
    },
};

/// The files of a plain directory that travel, by name.
#[derive(Debug)]
pub struct Selected {
    files: Vec<Found>,
    has_tar: bool,
    /// Files that are left out because they are known to be as they were.
    unchanged: usize,
}

impl Selected {
    /// Where they go in the repository.
    pub fn places(&self, source: &Source) -> Vec<String> {
        self.files.iter().map(|file| place(source, file)).collect()
    }
}

fn place(source: &Source, file: &Found) -> String {
    let path = String::from_utf8_lossy(&file.path);
    match &source.destination {
        Some(destination) => format!("{destination}/{path}"),
        None => path.into_owned(),
    }
}

/// Selects the files of a plain directory. What `base` has is taken whatever ignores it.
pub async fn select(collection: Collection<'_>, base: &BaseTree) -> Result<Selected, FilesError> {
    let Collection { envd, source, caps, .. } = collection;
    let (files, has_tar) = Box::pin(super::select::select(envd, source, caps.max_files, base)).await?;
    if files.is_empty() {
        return Err(FilesError::NoFiles(format!(
            "no file below {} is selected: check spec.source, and .gitignore files there",
            source.path
        )));
    }
    check_names(&files)?;
    Ok(Selected { files, has_tar, unchanged: 0 })
}

/// Leaves out the files that git LFS keeps and nobody has changed: `is_pointer` says whether the repository has a pointer
/// at a place. Only files that may be one are asked about.
pub async fn leave_out_unchanged(
    collection: Collection<'_>,
    selected: Selected,
    may_be: impl Fn(&str) -> bool,
    is_pointer: impl Fn(&str, &Pointer) -> bool,
) -> Result<Selected, FilesError> {
    let Selected { files, has_tar, .. } = selected;
    let all = files.len();
    let (asked, mut files): (Vec<_>, Vec<_>) =
        files.into_iter().partition(|file| may_be(&place(collection.source, file)));
    let digests = digests::read(collection.envd, &collection.source.path, &asked).await?;
    let is_unchanged = |file: &Found, oid: String| {
        is_pointer(&place(collection.source, file), &Pointer { oid, size: file.size })
    };
    let changed = asked.into_iter().zip(digests);
    let changed = changed.filter(|(file, digest)| !digest.clone().is_some_and(|oid| is_unchanged(file, oid)));
    files.extend(changed.map(|(file, _)| file));
    files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(Selected { unchanged: all - files.len(), files, has_tar })
}

/// Reads the selected files into the spool and returns them with blob ids. All or nothing: a failure leaves no part of a
/// snapshot behind.
pub async fn collect(collection: Collection<'_>, selected: Selected) -> Result<Collected, FilesError> {
    let Collection { envd, source, caps, .. } = collection;
    let Selected { files, has_tar, unchanged } = selected;
    let bytes = intake::check_listed(caps, &files)?;
    let intake = collection.intake(bytes)?;
    let intake = Box::pin(transfer::transfer(envd, &source.path, has_tar, &files, intake)).await?;
    let destination = source.destination.clone();
    unblocked(move || intake.keep_at(destination.as_deref(), unchanged)).await
}

/// Reads what a work tree of the repository at `home` has changed since `commit` into the spool: the same as [`collect`], of
/// changes.
pub async fn collect_work_tree(
    collection: Collection<'_>,
    commit: &str,
    home: &str,
) -> Result<Collected, FilesError> {
    let read = Box::pin(read_work_tree(collection, commit, home)).await;
    // Whatever came of it: git's copies of all files fill the sandbox's disk. Of a sandbox that does not answer the next reading
    // removes them.
    if !matches!(read, Err(FilesError::Sandbox(_))) {
        worktree::clean(collection.envd, collection.id).await;
    }
    let (intake, tree) = read?;
    unblocked(move || intake.keep(tree)).await
}

async fn read_work_tree(
    collection: Collection<'_>,
    commit: &str,
    home: &str,
) -> Result<(Intake, WorkTree), FilesError> {
    let Collection { envd, source, id, .. } = collection;
    let Changed { wanted, tree, kept } = changed::select(collection, commit, home).await?;
    let bytes =
        intake::check_sizes(collection.caps, wanted.iter().map(|file| (file.path.as_str(), file.size)))?;
    let intake = collection.intake(bytes)?;
    let intake = worktree::read_blobs(envd, &source.path, id, &wanted, intake).await?;
    Ok((worktree::read_lfs(envd, &source.path, kept, intake).await?, tree))
}

/// Refuses names that are not UTF-8: GitHub's API takes names as JSON, so there is no way to send one.
fn check_names(selected: &[Found]) -> Result<(), FilesError> {
    match selected.iter().find(|file| std::str::from_utf8(&file.path).is_err()) {
        None => Ok(()),
        Some(file) => Err(FilesError::Invalid(format!(
            "the file name \"{}\" is no UTF-8, which GitHub's API can't carry: rename it or leave it out by \
             spec.source.exclude",
            file.path.escape_ascii()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::listing::Kind, *};

    fn file(name: &str, size: u64) -> Found {
        Found { path: name.as_bytes().to_vec(), kind: Kind::Regular { executable: false }, size }
    }

    #[test]
    fn names_that_are_no_utf8_are_named() {
        let wrong = Found { path: b"a\xffb".to_vec(), kind: Kind::Symlink, size: 0 };
        let error = check_names(&[file("fine", 1), wrong]).map_err(|e| e.to_string());
        assert!(error.is_err_and(|text| text.contains("\"a\\xffb\"")));
    }
}
