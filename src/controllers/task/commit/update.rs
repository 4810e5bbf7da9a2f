//! GitHub's own update of an open pull request: *Update branch*, which merges the base branch into its branch, and nothing else.
//! Asked before a merge, when the head is not the Task's commit; the comparison itself is `domain::git`'s.

use super::base::Base;
use crate::{
    api::conditions::reason,
    domain::{
        failure::{Class, Failure},
        git::{FileChange, is_same_change},
    },
    github::{Client, RepositoryName},
};

/// Updates in a row that are followed: the button may be pressed again before anybody looks.
const MOST: usize = 3;

/// Returns whether `head` is `ours` with commits of the branch `base` merged into it by GitHub, without a conflict. What GitHub has
/// rewritten (an update by rebase) does not stand on `ours`, and is none.
pub async fn is_update(
    github: &Client,
    repository: &RepositoryName,
    base: &str,
    ours: &str,
    head: &str,
) -> Result<bool, Failure> {
    let (mut at, mut newest) = (head.to_owned(), None);
    for _ in 0..MOST {
        let commit = github.get_commit(repository, &at).await?.ok_or_else(|| lags(&at))?;
        let [before, merged] = &commit.parents[..] else { return Ok(false) };
        if !commit.by_github || !github.contains(repository, base, merged).await? {
            return Ok(false);
        }
        newest.get_or_insert_with(|| merged.clone());
        at.clone_from(before);
        if at == ours {
            break;
        }
    }
    let Some(merged) = newest.filter(|_| at == ours) else { return Ok(false) };
    // A conflict that somebody has resolved at GitHub's pages looks like the button, and so does a commit that an App has made there
    // of any tree.
    let before = github.changed_files(repository, &merged, ours).await?;
    let after = github.changed_files(repository, &merged, head).await?;
    let Some((files, _)) = before.zip(after).filter(|(before, after)| is_same_change(before, after)) else {
        return Ok(false);
    };
    Ok(modes(github, repository, ours, &files).await? == modes(github, repository, head, &files).await?)
}

/// The modes of these files in a commit: a comparison does not tell that one has become executable, or a symlink.
async fn modes(
    github: &Client,
    repository: &RepositoryName,
    commit: &str,
    files: &[FileChange],
) -> Result<Vec<Option<String>>, Failure> {
    let paths = files.iter().map(|file| file.path.as_str());
    let mut base = Base::read(github, repository, commit).await?;
    base.list(github, repository, paths.clone()).await?;
    Ok(paths.map(|path| base.tree.mode(path).map(str::to_owned)).collect())
}

fn lags(commit: &str) -> Failure {
    Failure {
        operation: "getCommit",
        class: Class::Transient,
        reason: reason::NOT_VISIBLE_YET,
        message: format!("GitHub does not show the head {commit} of the pull request yet: it is asked again"),
    }
}
