//! The commit step of a Task: from the files of a generation to a commit GitHub has. Content-addressed preparation only:
//! no branch, no pull request, nothing anybody sees. Uses `github` and `domain`; called by the Task controller.

mod base;
mod blobs;
mod content;
mod leaks;
mod ledger;
mod pass;
mod request;
mod trees;

pub use crate::api::conditions::reason::SPOOLED_FILES_LOST;
pub use request::{Prepared, Request};

use crate::{
    domain::failure::Failure,
    github::{Client, NewCommit},
};
use base::Base;
use pass::{End, Pass};
use request::mismatch;

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
    let tree = match whole_tree(&mut pass, &base).await {
        Ok(tree) => tree,
        Err(end) => return pass.end(end).await,
    };
    base.check(github, &request, &changes, &tree).await?;
    commit(github, &request, tree).await
}

async fn whole_tree(pass: &mut Pass<'_>, base: &Base) -> Result<String, End> {
    pass.upload_blobs().await?;
    pass.create_trees(base).await
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
