//! The commit step of a Task: from the files of a generation to a commit GitHub has. Content-addressed preparation only:
//! no branch, no pull request, nothing anybody sees. Uses `github` and `domain`; called by the Task controller.

mod answers;
mod base;
mod blobs;
mod content;
mod filtered;
mod leaks;
mod ledger;
mod merged;
mod objects;
mod pass;
mod planned;
mod published;
mod rebase;
mod request;
mod trees;
mod update;

pub use crate::api::conditions::reason::SPOOLED_FILES_LOST;
pub use base::Base;
pub use filtered::attributes;
pub use rebase::{Rebase, rebase};
pub use request::{Prepared, Request};
pub use update::is_update;

use crate::{
    api::conditions::reason,
    domain::failure::Failure,
    github::{Client, Commit, NewCommit},
};
use answers::mismatch;
use pass::{End, Pass};
use planned::Planned;

/// Looks for secrets, uploads what GitHub has not, then creates tree and commit. Doing it again gives the same ids, but for a
/// commit that GitHub dates and signs itself.
///
/// Calls for a change of small text files: one to read the tree (none for a work tree), one to create it, one for the commit.
pub async fn prepare(github: &Client, request: Request<'_>) -> Result<Prepared, Failure> {
    let planned = Planned::of(github, &request).await?;
    if planned.changes.is_empty() {
        return Ok(Prepared::NothingToCommit);
    }
    leaks::check(github, &request, &planned.changes).await?;
    let mut pass = Pass::begin(github, &request, &planned.changes).await;
    let tree = match whole_tree(&mut pass, &planned).await {
        Ok(tree) => tree,
        Err(end) => return pass.end(end).await,
    };
    planned.check(github, &request, &tree).await?;
    let stays = planned.stays(&request);
    let parents = merged::parents(github, &request, &planned.parent).await?;
    let commit = match commit(github, &request, parents, &tree).await {
        Ok(commit) => commit,
        Err(failure) => {
            if failure.reason == reason::OBJECT_MISSING {
                pass.ledger.forget().await;
            }
            return Err(failure);
        }
    };
    let Commit { sha: commit, verified, .. } = commit;
    Ok(Prepared::Commit { tree, commit, parent: planned.parent, stays, verified })
}

async fn whole_tree(pass: &mut Pass<'_>, planned: &Planned<'_>) -> Result<String, End> {
    pass.upload_objects().await?;
    pass.upload_blobs().await?;
    match pass.create_trees(&planned.base_id).await {
        // GitHub takes a commit's id for that of its tree, but nowhere says so.
        Err(End::Failed(failure)) if failure.reason == reason::OBJECT_MISSING && planned.base_is_commit() => {
            let commit = pass.github.get_commit(pass.request.repository, &planned.parent).await?;
            match commit {
                Some(commit) => pass.create_trees(&commit.tree).await,
                None => Err(End::Failed(failure)),
            }
        }
        other => other,
    }
}

async fn commit(
    github: &Client,
    request: &Request<'_>,
    parents: Vec<String>,
    tree: &str,
) -> Result<Commit, Failure> {
    let new = NewCommit {
        message: request.message.to_owned(),
        tree: tree.to_owned(),
        parents,
        author: request.author.cloned(),
        date: request.date,
    };
    let created = github.create_commit(request.repository, &new).await?;
    if created.tree != new.tree || created.parents != new.parents {
        return Err(mismatch("createCommit", "a commit with another tree or parent than was asked for"));
    }
    Ok(created)
}
