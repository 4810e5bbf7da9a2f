//! Reasons why there are no files, each with its class and stable reason.
//! Used by every module of this folder that reads files; the spool has an error of its own.

use super::spool::SpoolError;
use crate::{
    api::conditions::reason,
    domain::{
        failure::{Class, Failure},
        selection::PatternError,
    },
    e2b,
};

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
    /// A work tree, or something in it, that can't be published as it is: the reason says what, the message names it and
    /// the cure.
    #[error("{message}")]
    Unfit { reason: &'static str, message: String },
    /// A file that changes whenever it is read; the message names it.
    #[error("{0}")]
    KeepsChanging(String),
    /// Others move files now: see `permits`.
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
}

/// Exit codes of the scripts that go into `source.path`.
const MISSING: i32 = 3;
const NOT_A_DIRECTORY: i32 = 4;

impl FilesError {
    /// Reads the end of a script that goes into `path`; `None`: it was there.
    pub(super) fn no_directory(exit_code: Option<i32>, path: &str) -> Option<Self> {
        let what = match exit_code {
            Some(MISSING) => "does not exist in the sandbox",
            Some(NOT_A_DIRECTORY) => "is not a directory of the sandbox",
            _ => return None,
        };
        Some(Self::NoFiles(format!("spec.source.path {path} {what}")))
    }

    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoFiles(_) => reason::NO_FILES,
            Self::TooLarge(_) => reason::TOO_LARGE,
            Self::Invalid(_) => reason::INVALID_FILES,
            Self::Unfit { reason, .. } => reason,
            Self::KeepsChanging(_) => reason::FILE_KEEPS_CHANGING,
            Self::WaitingForTransfer => reason::WAITING_FOR_TRANSFER,
            Self::WaitingForSpool { .. } => reason::WAITING_FOR_SPOOL,
            Self::Interrupted(_) => reason::TRANSFER_INTERRUPTED,
            Self::Sandbox(error) => error.reason,
            Self::Spool(_) => reason::SPOOL_FAILED,
        }
    }

    pub fn class(&self) -> Class {
        match self {
            Self::NoFiles(_)
            | Self::TooLarge(_)
            | Self::Invalid(_)
            | Self::Unfit { .. }
            | Self::KeepsChanging(_) => Class::Invalid,
            Self::WaitingForTransfer
            | Self::WaitingForSpool { .. }
            | Self::Interrupted(_)
            | Self::Spool(_) => Class::Transient,
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

impl From<PatternError> for FilesError {
    fn from(error: PatternError) -> Self {
        Self::Invalid(error.to_string())
    }
}
