//! One collection: what is selected is checked, transferred and kept, or nothing is.
//! Puts `select` or `worktree`, `intake`, `transfer` and `spool` in a row; called by the Task controller.

use super::{
    blocking::unblocked, changed, collection::Collection, error::FilesError, intake, listing::Found, select,
    spool::Collected, transfer, worktree,
};
use crate::domain::git::BaseTree;

/// Reads a plain directory into the spool and returns it with blob ids. All or nothing: a failure leaves no part of a
/// snapshot behind. Files that `base` has are taken whatever ignores them.
pub async fn collect(collection: Collection<'_>, base: &BaseTree) -> Result<Collected, FilesError> {
    let Collection { envd, source, caps, .. } = collection;
    let (selected, has_tar) = Box::pin(select::select(envd, source, caps.max_files, base)).await?;
    if selected.is_empty() {
        return Err(FilesError::NoFiles(format!(
            "no file below {} is selected: check spec.source, and .gitignore files there",
            source.path
        )));
    }
    let bytes = intake::check_listed(caps, &selected)?;
    check_names(&selected)?;
    let intake = collection.intake(bytes)?;
    let intake = Box::pin(transfer::transfer(envd, &source.path, has_tar, &selected, intake)).await?;
    let destination = source.destination.clone();
    unblocked(move || intake.keep_at(destination.as_deref())).await
}

/// Reads what a work tree has changed since `commit` into the spool: the same as [`collect`], of changes.
pub async fn collect_work_tree(collection: Collection<'_>, commit: &str) -> Result<Collected, FilesError> {
    let Collection { envd, source, id, .. } = collection;
    let (wanted, tree) = changed::select(collection, commit).await?;
    let bytes =
        intake::check_sizes(collection.caps, wanted.iter().map(|file| (file.path.as_str(), file.size)))?;
    let intake = collection.intake(bytes)?;
    let intake = worktree::read_blobs(envd, &source.path, id, &wanted, intake).await?;
    worktree::clean(envd, id).await;
    unblocked(move || intake.keep(Some(tree))).await
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
