//! Files out of the sandbox, into the spool: list, select, check the caps, transfer as one archive, hash.
//! Called by the Task controller; what it returns goes to `github` as a tree.

mod archive;
mod blob;
mod intake;
mod listing;
mod permits;
mod select;
mod single;
mod spool;
mod transfer;

pub use permits::{Permit, Transfers};
pub use spool::{Reservation, Spool, SpoolError};

use crate::api::{Source, conditions::reason};
use crate::domain::failure::{Class, Failure};
use crate::domain::files::{Caps, Snapshot};
use crate::domain::selection::PatternError;
use crate::e2b::{self, Envd};
use intake::Intake;
use listing::Found;

/// User that reads the files: whatever the generation made, root can read it. E2B's templates all have it.
const SANDBOX_USER: &str = "root";

/// The result of a transfer, spooled.
#[derive(Debug, Clone)]
pub struct Collected {
    pub snapshot: Snapshot,
    /// `filesDigest`: SHA-256 over mode, path and blob id of every file, hex.
    pub digest: String,
}

/// Reason why there are no files.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FilesError {
    /// The path is missing or nothing is selected; the message says which.
    #[error("{0}")]
    NoFiles(String),
    /// Over a cap; the message names the cap, and the file where it is one file.
    #[error("{0}")]
    TooLarge(String),
    /// A pattern or a file name that can't be used; the message names it.
    #[error("{0}")]
    Invalid(String),
    /// A file that changes whenever it is read; the message names it.
    #[error("{0}")]
    KeepsChanging(String),
    /// Others move files now: see [`Transfers`].
    #[error("waiting until other files have been read")]
    WaitingForTransfer,
    /// The spool has no room now.
    #[error("waiting for {needed} bytes of room in the spool")]
    WaitingForSpool { needed: u64 },
    /// The transfer failed half-way or the sandbox changed under it: nothing was kept.
    #[error("{0}")]
    Interrupted(String),
    /// The sandbox gave no answer or an error.
    #[error(transparent)]
    Sandbox(#[from] e2b::Error),
    /// The spool's disk failed.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The sandbox could not be reached in the first place.
    #[error("{}", .0.message)]
    Unreached(Failure),
}

impl FilesError {
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoFiles(_) => reason::NO_FILES,
            Self::TooLarge(_) => reason::TOO_LARGE,
            Self::Invalid(_) => reason::INVALID_FILES,
            Self::KeepsChanging(_) => reason::FILE_KEEPS_CHANGING,
            Self::WaitingForTransfer => reason::WAITING_FOR_TRANSFER,
            Self::WaitingForSpool { .. } => reason::WAITING_FOR_SPOOL,
            Self::Interrupted(_) => reason::TRANSFER_INTERRUPTED,
            Self::Sandbox(error) => error.reason,
            Self::Spool(_) => reason::SPOOL_FAILED,
            Self::Unreached(failure) => failure.reason,
        }
    }

    pub fn class(&self) -> Class {
        match self {
            Self::NoFiles(_) | Self::TooLarge(_) | Self::Invalid(_) | Self::KeepsChanging(_) => {
                Class::Invalid
            }
            Self::WaitingForTransfer
            | Self::WaitingForSpool { .. }
            | Self::Interrupted(_)
            | Self::Spool(_) => Class::Transient,
            Self::Sandbox(error) => error.class,
            Self::Unreached(failure) => failure.class,
        }
    }
}

impl From<FilesError> for Failure {
    fn from(error: FilesError) -> Self {
        let message = error.to_string();
        Self { operation: "collectFiles", class: error.class(), reason: error.reason(), message }
    }
}

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

/// Runs blocking work outside the passes. Dropped half-way, it still runs to its end.
async fn unblocked<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FilesError> + Send + 'static,
) -> Result<T, FilesError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(FilesError::Interrupted("the operator is stopping".to_owned())),
    }
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

impl From<PatternError> for FilesError {
    fn from(error: PatternError) -> Self {
        Self::Invalid(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::listing::Kind;
    use super::*;

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
