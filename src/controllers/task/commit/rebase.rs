//! Makes a commit again on top of what somebody has pushed to the branch meanwhile: the same changes, as long as nobody else has
//! changed the same paths. Only ids travel: GitHub has all contents.

use super::{
    base::{Base, too_large},
    commit,
    pass::{End, Pass},
    request::Request,
};
use crate::{
    api::{RERUN_ANNOTATION, conditions::reason},
    domain::{
        failure::{Class, Failure},
        files::{Snapshot, WorkTree},
        secrets::Needles,
    },
    github::{Author, Client, RepositoryName},
};
use jiff::Timestamp;
use std::time::Duration;
use tokio::time::Instant;

/// A commit of ours, and where it is to go.
#[derive(Debug, Clone, Copy)]
pub struct Rebase<'a> {
    pub repository: &'a RepositoryName,
    pub commit: &'a str,
    /// The branch's head.
    pub onto: &'a str,
    /// `None`: nobody is named.
    pub author: Option<&'a Author>,
    pub date: Timestamp,
}

/// Makes the commit on top of the head, as (tree, commit); `None`: others have changed the same paths.
pub async fn rebase(github: &Client, asked: Rebase<'_>) -> Result<Option<(String, String)>, Failure> {
    let repository = asked.repository;
    let made = github.get_commit(repository, asked.commit).await?.ok_or_else(|| gone(asked.commit))?;
    let parent = made.parents.first().ok_or_else(|| gone(asked.commit))?;
    let [before, after] = sides(github, repository, parent, asked.commit).await?;
    let snapshot = Snapshot::default();
    let wanted = after.tree.differs_from(&before.tree, &snapshot, &WorkTree::default());
    let mut head = Base::read(github, repository, asked.onto).await?;
    head.list(github, repository, wanted.iter().map(|one| one.path.as_str())).await?;
    let Ok(changes) = head.tree.put_on(Some(&before.tree), wanted) else { return Ok(None) };
    let request = Request {
        repository,
        parent: asked.onto,
        base_sha: asked.onto,
        base_branch: "",
        last: None,
        base: None,
        snapshot: &snapshot,
        message: &made.message,
        title: "",
        body: "",
        needles: &Needles::default(),
        author: asked.author,
        date: asked.date,
        // Nothing is uploaded.
        ledger: None,
        deadline: Instant::now() + Duration::from_hours(1),
    };
    let mut pass = Pass::begin(github, &request, &changes).await;
    let tree = match pass.create_trees(&head.id).await {
        Ok(tree) => tree,
        Err(End::Failed(failure)) => return Err(failure),
        Err(End::Deadline) => return Ok(None),
    };
    head.check(github, repository, changes.tree.as_ref(), &tree).await?;
    let mut parents = vec![asked.onto.to_owned()];
    for merged in made.parents.iter().skip(1) {
        // All that the commit took in from the base branch is on the head now: without this parent its conflicts were back.
        if !github.contains(repository, asked.onto, merged).await? {
            parents.push(merged.clone());
        }
    }
    let commit = commit(github, &request, parents, &tree).await?;
    Ok(Some((tree, commit.sha)))
}

/// The trees of a commit and of its parent: whole, or where GitHub does not list them whole, at all paths that differ.
async fn sides(
    github: &Client,
    repository: &RepositoryName,
    parent: &str,
    commit: &str,
) -> Result<[Base; 2], Failure> {
    let mut sides =
        [Base::read(github, repository, parent).await?, Base::read(github, repository, commit).await?];
    if sides.iter().all(|side| side.tree.is_whole()) {
        return Ok(sides);
    }
    let changed = github.changed_files(repository, parent, commit).await?;
    let changed = changed.ok_or_else(|| {
        too_large(&format!(
            "somebody pushed to the branch of the pull request meanwhile, and in a repository with more than 100,000 files it can't be \
             told whether the same files were changed where a round changes 300 or more: set the annotation {RERUN_ANNOTATION} to a \
             new value for a round on top of that push"
        ))
    })?;
    let paths = changed.iter().flat_map(|file| [Some(&file.path), file.previous.as_ref()]);
    let paths: Vec<&String> = paths.flatten().collect();
    for side in &mut sides {
        side.list(github, repository, paths.iter().map(|path| path.as_str())).await?;
    }
    Ok(sides)
}

fn gone(commit: &str) -> Failure {
    Failure {
        operation: "getCommit",
        class: Class::NotFound,
        reason: reason::COMMIT_MISSING,
        message: format!(
            "the commit {commit} is not in the repository any more: set the annotation slipway.dev/rerun to a new value to have it \
             made again"
        ),
    }
}
