//! Reads the tree of a commit: in one call, or directory by directory where GitHub cuts the answer short.
//! Used by `commit` and `planned`; the Task controller reads one before it selects files.

use super::answers::mismatch;
use crate::{
    api::conditions::reason,
    domain::{
        failure::{Class, Failure},
        git::BaseTree,
    },
    github::{Client, Error, RepositoryName, Tree},
};

/// The tree of a commit, as far as it was read.
#[derive(Debug, Clone)]
pub struct Base {
    pub tree: BaseTree,
    /// Id that GitHub takes as `base_tree`.
    pub(super) id: String,
    pub(super) commit: String,
}

impl Base {
    /// Reads the tree of `commit`. Of one that GitHub does not list whole only the root: `list` goes on.
    pub async fn read(github: &Client, repository: &RepositoryName, commit: &str) -> Result<Self, Failure> {
        let listed = github.get_tree(repository, commit, true).await?;
        let commit = commit.to_owned();
        if !listed.truncated {
            let id = listed.sha.clone();
            return Ok(Self { tree: BaseTree::recursive(listed.entries), id, commit });
        }
        let root = whole(github.get_tree(repository, &commit, false).await)?;
        let id = root.sha.clone();
        Ok(Self { tree: BaseTree::shallow(root.entries), id, commit })
    }

    /// Reads the directories that have to be known before anything can be told of `paths`.
    pub(super) async fn list<'a>(
        &mut self,
        github: &Client,
        repository: &RepositoryName,
        paths: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<(), Failure> {
        loop {
            let missing = self.tree.unlisted(paths.clone());
            if missing.is_empty() {
                return Ok(());
            }
            for (path, sha) in missing {
                let directory = whole(github.get_tree(repository, &sha, false).await)?;
                self.tree.list(&path, directory.entries);
            }
        }
    }

    /// Lists all below one directory in one call, where GitHub does that: what is said of it is then as good as of a whole tree.
    pub async fn list_below(
        &mut self,
        github: &Client,
        repository: &RepositoryName,
        directory: &str,
    ) -> Result<(), Failure> {
        if self.tree.is_whole() {
            return Ok(());
        }
        if let Some((above, _)) = directory.rsplit_once('/') {
            // No entry has this name, but to know that the directory above is listed.
            let inside = format!("{above}/.");
            self.list(github, repository, std::iter::once(inside.as_str())).await?;
        }
        let Some(id) = self.tree.directory_id(directory) else { return Ok(()) };
        let listed = github.get_tree(repository, id, true).await?;
        if !listed.truncated {
            self.tree.list_whole(directory, listed.entries);
        }
        Ok(())
    }

    /// Fails where GitHub has not listed it whole.
    pub(super) fn require_whole(&self) -> Result<(), Failure> {
        if self.tree.is_whole() {
            return Ok(());
        }
        Err(too_large(
            "the repository has more than 100,000 files, so that what another round changes on an open pull request can't \
             be told from a copy or a directory: let the operator check it out (spec.source.checkout), or close the pull request, \
             and rerun",
        ))
    }

    /// Checks that the tree GitHub made is `expected`, where it is not what was expected at first: our hashing does not hold
    /// for a base whose trees no git of today would write, and then GitHub's word stands.
    pub(super) async fn check(
        &self,
        github: &Client,
        repository: &RepositoryName,
        expected: Option<&String>,
        created: &str,
    ) -> Result<(), Failure> {
        if expected.is_none_or(|expected| expected == created) {
            return Ok(());
        }
        let commit = github.get_commit(repository, &self.commit).await?;
        if commit.is_some_and(|commit| commit.tree == self.tree.id()) {
            return Err(mismatch("createTree", "a tree that is not made of these files"));
        }
        Ok(())
    }
}

/// A single directory that GitHub can't list whole is beyond what can be compared.
fn whole(listed: Result<Tree, Error>) -> Result<Tree, Failure> {
    let listed = listed?;
    if listed.truncated {
        return Err(too_large(
            "a directory of the base branch has more entries than GitHub lists in one answer (100,000): put the result below \
             another directory",
        ));
    }
    Ok(listed)
}

pub(super) fn too_large(message: &str) -> Failure {
    Failure {
        operation: "getTree",
        class: Class::Invalid,
        reason: reason::TREE_TOO_LARGE,
        message: message.to_owned(),
    }
}
