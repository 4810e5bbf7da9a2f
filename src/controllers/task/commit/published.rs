//! What the rounds before have published on an open pull request, without what others have pushed between: the tree that the next
//! result is compared with, so that a reviewer's commit is never taken back. Used by `planned` only.

use super::{base::Base, request::Request};
use crate::{
    api::conditions::reason,
    domain::{
        failure::{Class, Failure},
        files::{Snapshot, WorkTree},
        git::task_of,
    },
    github::{Client, Commit},
};

/// What this Task has published.
pub(super) struct Published {
    pub(super) base: Base,
    /// It is the tree of the last commit itself: nobody else has pushed between the Task's commits.
    pub(super) is_last: bool,
}

/// Reads what the rounds up to `last` have published.
pub(super) async fn read(github: &Client, request: &Request<'_>, last: &str) -> Result<Published, Failure> {
    let task = task_of(request.message);
    let commits = github.commits_since(request.repository, request.base_sha, last).await?;
    let commits = commits.ok_or_else(|| Failure {
        operation: "compareCommits",
        class: Class::Transient,
        reason: reason::NOT_VISIBLE_YET,
        message: format!("GitHub does not show the commit {last} of the pull request: it is asked again"),
    })?;
    let is_own = |commit: &&Commit| task.is_some() && task_of(&commit.message) == task;
    let own: Vec<&Commit> = commits.iter().filter(is_own).collect();
    let first = own.first().and_then(|first| first.parents.first());
    let (Some(first), true) = (first, own.len() < commits.len()) else {
        let base = Base::read(github, request.repository, last).await?;
        return Ok(Published { base, is_last: true });
    };
    let mut published = Base::read(github, request.repository, first).await?;
    published.require_whole()?;
    for commit in own {
        let Some(parent) = commit.parents.first() else { continue };
        let before = Base::read(github, request.repository, parent).await?;
        let after = Base::read(github, request.repository, &commit.sha).await?;
        before.require_whole()?;
        after.require_whole()?;
        let (none, tree) = (Snapshot::default(), WorkTree::default());
        published.tree = published.tree.with(after.tree.differs_from(&before.tree, &none, &tree));
    }
    Ok(Published { base: published, is_last: false })
}
