//! The parents of a commit: the one that it stands on and, where the command has merged the base branch, that branch's commit,
//! so that GitHub finds no conflict which the command has resolved. Used by `commit` only; GitHub confirms what the sandbox says.

use super::request::Request;
use crate::{domain::failure::Failure, github::Client};

/// Finds the parents of a commit on `parent`.
pub(super) async fn parents(
    github: &Client,
    request: &Request<'_>,
    parent: &str,
) -> Result<Vec<String>, Failure> {
    let mut parents = vec![parent.to_owned()];
    // What was put on another head than was checked out has nothing of it whole.
    let tree = request.snapshot.work_tree.as_ref().filter(|tree| tree.parent == parent);
    let Some(tree) = tree else { return Ok(parents) };
    for commit in &tree.taken_in {
        let is_of_base = github.contains(request.repository, request.base_branch, commit).await?;
        if is_of_base && !github.contains(request.repository, parent, commit).await? {
            parents.push(commit.clone());
            break;
        }
    }
    Ok(parents)
}
