//! Comparing two commits, with the files between them, and listing those that one contains.
//! Neighbour of `objects`, whose views it uses.

use git2::{Delta, Oid, Patch};
use serde_json::{Value, json};

use super::answer::{Answer, Outcome};
use super::auth::Access;
use super::objects::{repository_commit, resolve};
use super::request::{Request, paginate};
use super::state::{Repository, State};

/// Files that a comparison shows (docs, "Compare two commits").
const MAX_FILES: usize = 300;

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

/// `GET /repos/{owner}/{repo}/compare/{base}...{head}`; the files stand on the first page.
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
    let first = request.query("page").is_none_or(|page| page == "1");
    let files = if first { files(repository, common, head.id())? } else { Vec::new() };
    let view = json!({
        "url": format!("{}/repos/{}/compare/{}", state.url, repository.full_name(), request.param("basehead")),
        "base_commit": repository_commit(&state.url, repository, &base),
        "merge_base_commit": repository_commit(&state.url, repository, &git.find_commit(common)?),
        "status": status,
        "ahead_by": ahead,
        "behind_by": behind,
        "total_commits": total,
        "commits": commits,
        "files": files,
    });
    Ok(Answer::page(view, link))
}

/// What `head` changes on `base`, as GitHub shows it: without modes, and with no patch of what is no text.
fn files(repository: &Repository, base: Oid, head: Oid) -> Result<Vec<Value>, Answer> {
    let git = &repository.git;
    let (base, head) = (git.find_commit(base)?.tree()?, git.find_commit(head)?.tree()?);
    let mut diff = git.diff_tree_to_tree(Some(&base), Some(&head), None)?;
    diff.find_similar(None)?;
    let mut files = Vec::new();
    for (index, delta) in diff.deltas().enumerate().take(MAX_FILES) {
        let path = |file: git2::DiffFile<'_>| file.path().map(|path| path.to_string_lossy().into_owned());
        let status = match delta.status() {
            Delta::Added => "added",
            Delta::Deleted => "removed",
            Delta::Renamed => "renamed",
            _ => "modified",
        };
        let gone = delta.status() == Delta::Deleted;
        let mut file = json!({
            "sha": if gone { delta.old_file().id() } else { delta.new_file().id() }.to_string(),
            "filename": path(if gone { delta.old_file() } else { delta.new_file() }),
            "status": status,
        });
        if delta.status() == Delta::Renamed {
            file["previous_filename"] = json!(path(delta.old_file()));
        }
        if let Some(mut patch) = Patch::from_diff(&diff, index)?
            && let Ok(text) = patch.to_buf()
            && let Ok(text) = std::str::from_utf8(&text)
            && let Some(at) = text.find("\n@@")
        {
            file["patch"] = json!(text[at + 1..].trim_end_matches('\n'));
        }
        files.push(file);
    }
    Ok(files)
}
