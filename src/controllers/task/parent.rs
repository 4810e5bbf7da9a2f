//! Finds the commit of the base branch that a copy in a sandbox starts from, so that work merged since is never taken back.
//! Part of the Task controller; `files::history` has asked the sandbox, GitHub is asked here.

use super::files::Commits;
use crate::{
    api::{RERUN_ANNOTATION, conditions::reason},
    domain::failure::{Class, Failure},
    github::{Client, RepositoryName},
};
use std::collections::HashSet;

/// Pages of a hundred commits: a copy that is older than these is told so.
const MAX_PAGES: u32 = 10;

/// The branch that a round began from.
#[derive(Debug, Clone, Copy)]
pub struct BaseBranch<'a> {
    pub name: &'a str,
    /// Its tip when the round began.
    pub sha: &'a str,
}

/// What a copy starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Parent {
    Commit(String),
    /// The repository knows the copy, but its newest commits do not have it.
    TooOld,
    /// The copy is of another repository, or of none.
    Unrelated,
}

/// Returns the first of the copy's commits that the base branch contains: all that comes before it was made in the copy.
pub(super) async fn find(
    github: &Client,
    repository: &RepositoryName,
    base: BaseBranch<'_>,
    copy: &Commits,
) -> Result<Parent, Failure> {
    if copy.ids.first().is_some_and(|newest| newest == base.sha) {
        return Ok(Parent::Commit(base.sha.to_owned()));
    }
    for page in 1..=MAX_PAGES {
        // By its name: the copy may be newer than the round.
        let (listed, more) = github.list_commits(repository, base.name, page).await?;
        if listed.is_empty() && page == 1 {
            return Err(empty_list());
        }
        let listed: HashSet<&str> = listed.iter().map(String::as_str).collect();
        if let Some(first) = copy.ids.iter().find(|id| listed.contains(id.as_str())) {
            return Ok(Parent::Commit(first.clone()));
        }
        if !more {
            break;
        }
    }
    // Twice, because a single 404 may be a lie, and a copy that is taken for a plain directory takes others' work back.
    for _ in 0..2 {
        if github.get_commit(repository, &copy.oldest).await?.is_some() {
            return Ok(Parent::TooOld);
        }
    }
    Ok(Parent::Unrelated)
}

/// No branch is without a commit.
fn empty_list() -> Failure {
    Failure {
        operation: "listCommits",
        class: Class::Transient,
        reason: reason::UNEXPECTED_ANSWER,
        message: "GitHub listed no commit of the base branch: it is asked again".to_owned(),
    }
}

pub(super) fn too_old(path: &str) -> Failure {
    Failure {
        operation: "collectFiles",
        class: Class::Invalid,
        reason: reason::COPY_TOO_OLD,
        message: format!(
            "{path} is a copy of the repository from before the last 1,000 commits of the base branch, or of a branch that shares \
             none of them: bring it up to date in the sandbox or its template (git pull), then set the annotation \
             {RERUN_ANNOTATION} to a new value"
        ),
    }
}
