//! Reads the tree a commit builds on: in one call, or directory by directory where GitHub cuts the answer short.
//! Used by `commit` and `trees`, which puts the result on top of it.

use super::request::{Request, mismatch};
use crate::{
    api::conditions::reason,
    domain::{
        failure::{Class, Failure},
        git::{BaseTree, Changes},
    },
    github::{Client, Error, Tree},
};

pub(super) struct Base {
    pub(super) tree: BaseTree,
    /// Id that GitHub takes as `base_tree`.
    pub(super) id: String,
}

impl Base {
    pub(super) async fn read(github: &Client, request: &Request<'_>) -> Result<Self, Failure> {
        let (repository, parent) = (request.repository, request.parent);
        let listed = github.get_tree(repository, parent, true).await?;
        if !listed.truncated {
            let id = listed.sha.clone();
            return Ok(Self { tree: BaseTree::recursive(listed.entries), id });
        }
        let root = whole(github.get_tree(repository, parent, false).await)?;
        let id = root.sha.clone();
        let mut tree = BaseTree::shallow(root.entries);
        loop {
            let missing = tree.unlisted(request.snapshot);
            if missing.is_empty() {
                return Ok(Self { tree, id });
            }
            for (path, sha) in missing {
                let directory = whole(github.get_tree(repository, &sha, false).await)?;
                tree.list(&path, directory.entries);
            }
        }
    }

    /// Checks that the tree GitHub made is the one that was meant. Costs a call only where the ids differ: our hashing does
    /// not hold for a base whose trees no git of today would write, and then GitHub's word stands.
    pub(super) async fn check(
        &self,
        github: &Client,
        request: &Request<'_>,
        changes: &Changes<'_>,
        created: &str,
    ) -> Result<(), Failure> {
        if created == changes.tree {
            return Ok(());
        }
        let parent = github.get_commit(request.repository, request.parent).await?;
        if parent.is_some_and(|commit| commit.tree == self.tree.id()) {
            return Err(mismatch("createTree", "a tree that is not made of these files"));
        }
        Ok(())
    }
}

/// A single directory that GitHub can't list whole is beyond what can be compared.
fn whole(listed: Result<Tree, Error>) -> Result<Tree, Failure> {
    let listed = listed?;
    if listed.truncated {
        return Err(Failure {
            operation: "getTree",
            class: Class::Invalid,
            reason: reason::TREE_TOO_LARGE,
            message:
                "a directory of the base branch has more entries than GitHub lists in one answer (100,000): \
                      put the result below another directory"
                    .to_owned(),
        });
    }
    Ok(listed)
}
