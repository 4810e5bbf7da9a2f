//! The commit step of a Task: from the files of a generation to a commit GitHub has. Content-addressed preparation only:
//! no branch, no pull request, nothing anybody sees. Uses `github` and `domain`; called by the Task controller.

mod base;
mod blobs;
mod leaks;
mod ledger;
mod trees;

pub use crate::api::conditions::reason::SPOOLED_FILES_LOST;

use crate::{
    api::conditions::reason,
    domain::{
        failure::{Class, Failure},
        files::{File, Snapshot},
        git::{Changes, blob_id},
        secrets::Needles,
    },
    github::{Author, Client, NewCommit, RepositoryName},
};
use base::Base;
use jiff::Timestamp;
use ledger::Ledger;
use std::path::Path;
use tokio::time::Instant;

/// The content to commit, and the commit to build on.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub repository: &'a RepositoryName,
    /// The commit to build on: `baseSHA`, or the head of the open branch.
    pub parent: &'a str,
    pub snapshot: &'a Snapshot,
    /// The whole message, trailer included ([`crate::domain::git::commit_message`]).
    pub message: &'a str,
    /// Title and text of the pull request that will carry the commit: what must not be in them is found before it exists.
    pub title: &'a str,
    pub body: &'a str,
    /// Values that must not leave: those of the Secrets that the sandbox was given.
    pub needles: &'a Needles,
    pub author: &'a Author,
    pub date: Timestamp,
    /// File for accepted blob ids, next to the spooled files; created if missing.
    pub ledger: &'a Path,
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
    },
    /// Files are left: come again. `failure` is what ended the pass early, worth a retry, after at least one more file
    /// was accepted in it; absent when the deadline or another write's turn did.
    Progress {
        uploaded: usize,
        of: usize,
        failure: Option<Failure>,
    },
}

/// Looks for secrets, uploads what GitHub has not, then creates tree and commit. Doing it again gives the same ids.
///
/// Calls for a change of small text files: one to read the tree, one to create it, one for the commit.
pub async fn prepare(github: &Client, request: Request<'_>) -> Result<Prepared, Failure> {
    let base = Base::read(github, &request).await?;
    let changes = base.tree.changes(request.snapshot);
    if changes.put.is_empty() {
        return Ok(Prepared::NothingToCommit);
    }
    leaks::check(github, &request, &base, &changes).await?;
    let mut pass = Pass::begin(github, &request, &changes).await;
    let tree = match pass.run(&base).await {
        Ok(tree) => tree,
        Err(end) => return pass.end(end).await,
    };
    base.check(github, &request, &changes, &tree).await?;
    commit(github, &request, tree).await
}

async fn commit(github: &Client, request: &Request<'_>, tree: String) -> Result<Prepared, Failure> {
    let new = NewCommit {
        message: request.message.to_owned(),
        tree,
        parents: vec![request.parent.to_owned()],
        author: request.author.clone(),
        date: request.date,
    };
    let created = github.create_commit(request.repository, &new).await?;
    if created.tree != new.tree || created.parents != new.parents {
        return Err(mismatch("createCommit", "a commit with another tree or parent than was asked for"));
    }
    Ok(Prepared::Commit { tree: new.tree, commit: created.sha })
}

/// One pass: what is to be done, and what GitHub has accepted so far.
struct Pass<'a> {
    github: &'a Client,
    request: &'a Request<'a>,
    changes: &'a Changes<'a>,
    ledger: Ledger,
    progressed: bool,
}

/// Reason why a pass ended before the tree was whole.
enum End {
    Deadline,
    Failed(Failure),
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<crate::github::Error> for End {
    fn from(error: crate::github::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl<'a> Pass<'a> {
    async fn begin(github: &'a Client, request: &'a Request<'a>, changes: &'a Changes<'a>) -> Self {
        let ledger = Ledger::open(request.ledger, request.repository).await;
        Self { github, request, changes, ledger, progressed: false }
    }

    async fn run(&mut self, base: &Base) -> Result<String, End> {
        self.upload_blobs().await?;
        self.create_trees(base).await
    }

    /// GitHub has these contents now.
    async fn accepted(&mut self, blobs: &[&str]) {
        let new: Vec<&str> = blobs.iter().copied().filter(|blob| !self.ledger.has(blob)).collect();
        self.progressed |= !new.is_empty();
        self.ledger.add(&new).await;
    }

    fn in_time(&self) -> Result<(), End> {
        if Instant::now() < self.request.deadline { Ok(()) } else { Err(End::Deadline) }
    }

    async fn end(self, end: End) -> Result<Prepared, Failure> {
        let new = self.changes.put.iter().filter(|put| !put.known);
        let of = new.clone().count();
        let uploaded = new.filter(|put| self.ledger.has(&put.file.blob)).count();
        match end {
            End::Deadline => Ok(Prepared::Progress { uploaded, of, failure: None }),
            End::Failed(failure) if failure.reason == reason::OBJECT_MISSING => {
                self.ledger.forget().await;
                Err(failure)
            }
            End::Failed(failure) if self.progressed && failure.class.is_retryable() => {
                let waits_for_its_turn = failure.reason == reason::WAITING_FOR_WRITE_SLOT;
                Ok(Prepared::Progress { uploaded, of, failure: (!waits_for_its_turn).then_some(failure) })
            }
            End::Failed(failure) => Err(failure),
        }
    }
}

/// The spooled copy of a file is not what it was. Its path is not named: it may hold what must not be shown.
fn lost(what: &str) -> Failure {
    Failure {
        operation: "readSpool",
        class: Class::NotFound,
        reason: SPOOLED_FILES_LOST,
        message: format!("a spooled file {what}; the files are read from the sandbox again"),
    }
}

/// A spooled file's content, if it is still what was hashed when it was spooled.
async fn content(file: &File) -> Result<Vec<u8>, Failure> {
    let path = file.content.clone();
    // Reading and hashing a large file takes long enough to hold up the other reconciles of the thread.
    let read = tokio::task::spawn_blocking(move || {
        let content = std::fs::read(path)?;
        Ok::<_, std::io::Error>((blob_id(&content), content))
    });
    match read.await {
        Ok(Ok((blob, content))) if blob == file.blob => Ok(content),
        Ok(Ok(_)) => Err(lost("has changed")),
        Ok(Err(_)) | Err(_) => Err(lost("can't be read")),
    }
}

fn mismatch(operation: &'static str, what: &str) -> Failure {
    Failure {
        operation,
        class: Class::Transient,
        reason: reason::UNEXPECTED_ANSWER,
        message: format!("GitHub answered {operation} with {what}; it is tried again"),
    }
}
