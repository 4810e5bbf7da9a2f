//! Comparing two commits, and listing those that one contains.
//! Neighbour of `objects`, whose views it uses.

use serde_json::json;

use super::answer::{Answer, Outcome};
use super::auth::Access;
use super::objects::{repository_commit, resolve};
use super::request::{Request, paginate};
use super::state::State;

/// `GET /repos/{owner}/{repo}/commits`: what `sha` (a commit or a branch; the default branch) contains, newest first.
pub(super) fn list_commits(state: &mut State, request: &Request) -> Outcome {
    let at = state.repository(request, Access::Read)?;
    let repository = &state.repositories[at];
    repository.not_empty()?;
    let from = request.query("sha").unwrap_or(&repository.default_branch);
    let from = resolve(repository, from).and_then(|object| object.peel_to_commit().ok());
    let mut walk = repository.git.revwalk()?;
    walk.set_sorting(git2::Sort::TIME)?;
    walk.push(from.ok_or_else(Answer::not_found)?.id())?;
    let ids = walk.collect::<Result<Vec<_>, _>>()?;
    let (ids, link) = paginate(request, &state.url, ids);
    let mut commits = Vec::new();
    for id in ids {
        commits.push(repository_commit(&state.url, repository, &repository.git.find_commit(id)?));
    }
    Ok(Answer::page(json!(commits), link))
}

/// `GET /repos/{owner}/{repo}/compare/{base}...{head}`, without the files.
pub(super) fn compare(state: &mut State, request: &Request) -> Outcome {
    let at = state.repository(request, Access::Read)?;
    let repository = &state.repositories[at];
    repository.not_empty()?;
    let (base, head) = request.param("basehead").split_once("...").ok_or_else(Answer::not_found)?;
    let commit = |name: &str| {
        resolve(repository, name)
            .and_then(|object| object.peel_to_commit().ok())
            .ok_or_else(Answer::not_found)
    };
    let (base, head) = (commit(base)?, commit(head)?);
    let git = &repository.git;
    let common = git.merge_base(base.id(), head.id()).map_err(|_| Answer::not_found())?;
    let (ahead, behind) = git.graph_ahead_behind(head.id(), base.id())?;
    let status = match (ahead, behind) {
        (0, 0) => "identical",
        (_, 0) => "ahead",
        (0, _) => "behind",
        _ => "diverged",
    };
    let mut walk = git.revwalk()?;
    walk.set_sorting(git2::Sort::TOPOLOGICAL | git2::Sort::REVERSE)?;
    walk.push(head.id())?;
    walk.hide(base.id())?;
    let mut commits = Vec::new();
    for id in walk {
        commits.push(repository_commit(&state.url, repository, &git.find_commit(id?)?));
    }
    let total = commits.len();
    let (commits, link) = paginate(request, &state.url, commits);
    let view = json!({
        "url": format!("{}/repos/{}/compare/{}", state.url, repository.full_name(), request.param("basehead")),
        "base_commit": repository_commit(&state.url, repository, &base),
        "merge_base_commit": repository_commit(&state.url, repository, &git.find_commit(common)?),
        "status": status,
        "ahead_by": ahead,
        "behind_by": behind,
        "total_commits": total,
        "commits": commits,
    });
    Ok(Answer::page(view, link))
}
