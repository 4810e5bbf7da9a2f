//! The files of one generation, as data: what was found in the sandbox and what of it has to reach GitHub.
//! Filled by `controllers::task`, read by everything that builds a tree; no I/O here.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Git's modes for the three kinds of files that travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Mode {
    #[serde(rename = "100644")]
    Regular,
    #[serde(rename = "100755")]
    Executable,
    #[serde(rename = "120000")]
    Symlink,
}

impl Mode {
    /// As GitHub's tree API spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Regular => "100644",
            Self::Executable => "100755",
            Self::Symlink => "120000",
        }
    }
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

/// One file of a snapshot. For a symlink the content is the target's path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Relative to the repository's root, `/`-separated, UTF-8.
    pub path: String,
    pub mode: Mode,
    /// Bytes.
    pub size: u64,
    /// Git's blob id of the content, hex (SHA-1).
    pub blob: String,
    /// Path of the spooled content.
    pub content: PathBuf,
}

/// All files of one generation, sorted by path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    pub files: Vec<File>,
}
