//! The commit step of a Task: from the files of a generation to a commit GitHub has. Content-addressed preparation only:
//! no branch, no pull request, nothing anybody sees. Uses `github` and `domain`; called by the Task controller.

use crate::{
    domain::{failure::Failure, files::Snapshot},
    github::{Author, Client, RepositoryName},
};
use jiff::Timestamp;
use std::path::Path;
use tokio::time::Instant;

/// What is to be committed, and onto what.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub repository: &'a RepositoryName,
    /// The commit to build on: `baseSHA`, or the head of the open branch.
    pub parent: &'a str,
    pub snapshot: &'a Snapshot,
    /// The whole message, trailer included ([`crate::domain::git::commit_message`]).
    pub message: &'a str,
    pub author: &'a Author,
    pub date: Timestamp,
    /// Accepted blob ids are kept in this file, beside the spooled files; created if missing.
    pub ledger: &'a Path,
    /// With blobs left at this time, the pass ends.
    pub deadline: Instant,
}

/// What the step came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prepared {
    /// The base has all these files already, with these contents and modes.
    NothingToCommit,
    Commit {
        tree: String,
        commit: String,
    },
    /// Blobs are left: come again. `failure` is what ended the pass early, after at least one more blob was accepted in
    /// it; absent when the deadline or the next write's turn did.
    Progress {
        uploaded: usize,
        of: usize,
        failure: Option<Failure>,
    },
}

/// Uploads what GitHub has not, then creates tree and commit. Doing it again gives the same ids.
pub async fn prepare(github: &Client, request: Request<'_>) -> Result<Prepared, Failure> {
    let _ = (github, request);
    todo!()
}
