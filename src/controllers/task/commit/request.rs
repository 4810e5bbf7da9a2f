//! The request to the commit step, and its result.
//! Used by every module of this folder; made by the Task controller.

use super::base::Base;
use crate::{
    domain::{failure::Failure, files::Snapshot, secrets::Needles},
    github::{Author, RepositoryName},
};
use jiff::Timestamp;
use std::path::Path;
use tokio::time::Instant;

/// The content to commit, and the commit to build on.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub repository: &'a RepositoryName,
    /// The commit to build on: `baseSHA`, or the head of the open branch. A work tree has its own, unless a pull request is
    /// open.
    pub parent: &'a str,
    /// The base branch's tip when the round began.
    pub base_sha: &'a str,
    /// The base branch.
    pub base_branch: &'a str,
    /// The commit that the round before has left on the branch of the open pull request.
    pub last: Option<&'a str>,
    /// The parent's tree, where it was read already.
    pub base: Option<&'a Base>,
    pub snapshot: &'a Snapshot,
    /// The whole message, trailer included ([`crate::domain::git::commit_message`]).
    pub message: &'a str,
    /// Title and text of the pull request that will carry the commit: what must not be in them is found before it exists.
    pub title: &'a str,
    pub body: &'a str,
    /// Values that must not leave: those of the Secrets that the sandbox was given.
    pub needles: &'a Needles,
    /// `None`: nobody is named.
    pub author: Option<&'a Author>,
    pub date: Timestamp,
    /// File for accepted blob ids, next to the spooled files; created if missing. `None`: nothing is noted.
    pub ledger: Option<&'a Path>,
    /// With files left at this time, the pass ends.
    pub deadline: Instant,
}

/// Result of the step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prepared {
    /// The base has all these files already, with these contents and modes.
    NothingToCommit,
    Commit {
        tree: String,
        commit: String,
        /// The commit that it stands on.
        parent: String,
        /// Number of files that the parent has and the directory lacks: they stay.
        stays: usize,
        /// GitHub has signed it.
        verified: bool,
    },
    /// Files are left: come again. `failure` is what ended the pass early, worth a retry, after at least one more file
    /// was accepted in it; absent when the deadline or another write's turn did.
    Progress { uploaded: usize, of: usize, failure: Option<Failure> },
}
