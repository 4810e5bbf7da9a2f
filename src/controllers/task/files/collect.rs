//! One collection: what is selected is checked, transferred and kept, or nothing is.
//! Puts `select`, `intake`, `transfer` and `spool` in a row; called by the Task controller.

use super::{
    blocking::unblocked,
    error::FilesError,
    intake::{self, Intake},
    listing::Found,
    select,
    spool::{Collected, Spool},
    transfer,
};
use crate::{api::Source, domain::files::Caps, e2b::Envd};

/// Reads the files into the spool under `id` and returns them with their blob ids. All or nothing: a failure
/// leaves no part of a snapshot behind. What was spooled under `id` before is replaced.
pub async fn collect(
    envd: &Envd,
    source: &Source,
    caps: Caps,
    spool: &Spool,
    id: &str,
) -> Result<Collected, FilesError> {
    let (selected, has_tar) = Box::pin(select::select(envd, source, caps.max_files)).await?;
    if selected.is_empty() {
        return Err(FilesError::NoFiles(format!(
            "no file below {} is selected: check spec.source, and .gitignore files there",
            source.path
        )));
    }
    let bytes = intake::check_listed(caps, &selected)?;
    check_names(&selected)?;
    if bytes > spool.capacity() {
        return Err(FilesError::TooLarge(format!(
            "the selected files have {bytes} bytes, SLIPWAY_SPOOL_BYTES allows {}: narrow spec.source",
            spool.capacity()
        )));
    }
    let reservation = spool.reserve(bytes).ok_or(FilesError::WaitingForSpool { needed: bytes })?;
    let intake = Intake::new(spool.begin(id, reservation)?, caps);
    let intake = Box::pin(transfer::transfer(envd, &source.path, has_tar, &selected, intake)).await?;
    unblocked(move || intake.keep()).await
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
