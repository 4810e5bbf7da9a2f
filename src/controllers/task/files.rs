//! Files out of the sandbox, into the spool: list, select, check the caps, transfer as one archive, hash.
//! Called by the Task controller; what it returns goes to `github` as a tree.

mod spool;

pub use spool::{Reservation, Spool, SpoolError};

use crate::domain::failure::{Class, Failure};
use crate::domain::files::Snapshot;
use crate::e2b::{self, Envd};

/// Which files are the result (`spec.source`).
#[derive(Debug, Clone)]
pub struct Source {
    /// Absolute.
    pub path: String,
    /// gitignore patterns relative to `path`; empty: everything.
    pub include: Vec<String>,
    pub exclude: Vec<String>,
    /// `.gitignore` files below `path` are not honoured.
    pub include_ignored: bool,
}

/// The bounds of one transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    pub max_files: usize,
    /// Bytes.
    pub max_file_bytes: u64,
    /// Bytes.
    pub max_total_bytes: u64,
}

/// The result of a transfer, spooled.
#[derive(Debug, Clone)]
pub struct Collected {
    pub snapshot: Snapshot,
    /// `filesDigest`: SHA-256 over mode, path and blob id of every file, hex.
    pub digest: String,
}

/// Why there are no files.
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
}

impl FilesError {
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoFiles(_) => "NoFiles",
            Self::TooLarge(_) => "TooLarge",
            Self::Invalid(_) => "InvalidFiles",
            Self::WaitingForSpool { .. } => "WaitingForSpool",
            Self::Interrupted(_) => "TransferInterrupted",
            Self::Sandbox(error) => error.reason,
            Self::Spool(_) => "SpoolFailed",
        }
    }

    pub fn class(&self) -> Class {
        match self {
            Self::NoFiles(_) | Self::TooLarge(_) | Self::Invalid(_) => Class::Invalid,
            Self::WaitingForSpool { .. } | Self::Interrupted(_) | Self::Spool(_) => Class::Transient,
            Self::Sandbox(error) => error.class,
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
    let _ = (envd, source, caps, spool, id);
    todo!()
}
