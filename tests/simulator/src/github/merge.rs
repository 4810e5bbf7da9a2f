//! Merging: whether it can be done, and the three methods, with real git merges.
//! The base branch moves through `refs::set_branch`, so that hooks and other pull requests learn of it.

use git2::{Commit, Oid, Signature};
use http::{Method, StatusCode};
use serde_json::json;

use super::answer::{Answer, Outcome};
use super::auth::Access;
use super::objects::{git_time, noreply};
use super::request::Request;
use super::state::{Mergeability, Pull, Repository, State};
use super::{GitHub, Refused, manners, pulls, refs};

/// Merges head into base without touching a branch, and remembers the result.
pub(super) fn test_merge(state: &mut State, at: usize, index: usize) -> Result<(), Answer> {
    let repository = &state.repositories[at];
    if repository.tip(&repository.pulls[index].base_ref).is_none() {
        return Ok(());
    }
    let merged = try_merge(state, at, &repository.pulls[index])?;
    let pull = &mut state.repositories[at].pulls[index];
    pull.mergeability = Mergeability::Known(merged.is_some());
    pull.merge_commit_sha = merged.map(|id| id.to_string());
    Ok(())
}

/// The test merge commit, which no branch has; `None` on conflicts.
fn try_merge(state: &State, at: usize, pull: &Pull) -> Result<Option<Oid>, Answer> {
    let repository = &state.repositories[at];
    let base = repository.tip(&pull.base_ref).ok_or_else(Answer::not_found)?;
    let (base, head) = sides(repository, pull, base)?;
    let git = &repository.git;
    let mut merged = git.merge_commits(&base, &head, None)?;
    if merged.has_conflicts() {
        return Ok(None);
    }
    let tree = git.find_tree(merged.write_tree_to(git)?)?;
    let message = format!("Merge {} into {}", head.id(), base.id());
    let who = Signature::new("GitHub", "noreply@github.com", &git_time(pull.updated_at, 0))?;
    Ok(Some(git.commit(None, &who, &who, &message, &tree, &[&base, &head])?))
}

pub(super) fn merge_pull(state: &mut State, request: &Request) -> Outcome {
    let at = state.repository(request, Access::Write)?;
    let index = pulls::find(state, at, request)?;
    let method = request.optional("merge_method")?.unwrap_or("merge").to_owned();
    if !matches!(method.as_str(), "merge" | "squash" | "rebase") {
        return Err(Answer::unprocessable(format!(
            "Invalid request.\n\nFor 'properties/merge_method', {method} is not a member of [\"merge\", \"squash\", \"rebase\"]."
        )));
    }
    let pull = &state.repositories[at].pulls[index];
    if !pull.open {
        return Err(Answer::not_allowed("Pull Request is not mergeable"));
    }
    if let Some(sha) = request.optional("sha")?
        && sha != pull.head_sha
    {
        return Err(Answer::conflict("Head branch was modified. Review and try the merge again."));
    }
    if pull.draft {
        return Err(Answer::not_allowed("Pull Request is still a draft"));
    }
    if pull.forced_state.as_deref() == Some("blocked") {
        let message = "At least 1 approving review is required by reviewers with write access.";
        return Err(Answer::not_allowed(message));
    }
    let repository = &state.repositories[at];
    if repository.entry(pull.number).is_some() {
        return Err(Answer::not_allowed("Pull Request is in the merge queue."));
    }
    repository.may_merge(&method)?;
    repository.rules_allow(&repository.pulls[index], &method, &request.caller, request.now)?;
    repository.takes_merge(&repository.pulls[index], &method, &request.caller)?;
    test_merge(state, at, index)?;
    if state.repositories[at].pulls[index].mergeability != Mergeability::Known(true) {
        return Err(Answer::not_allowed("Pull Request is not mergeable"));
    }
    let base = state.repositories[at].tip(&state.repositories[at].pulls[index].base_ref);
    let base = base.ok_or_else(Answer::not_found)?;
    let sha = commit(state, (at, index), &method, base, request)?;
    finish(state, at, index, sha, request)?;
    Ok(Answer::ok(json!({
        "sha": sha.to_string(),
        "merged": true,
        "message": "Pull Request successfully merged",
    })))
}

/// *Update branch*: the base branch merged into the head, in a commit that GitHub signs.
pub(super) fn update_branch(state: &mut State, request: &Request) -> Outcome {
    let at = state.repository(request, Access::Write)?;
    let index = pulls::find(state, at, request)?;
    let repository = &state.repositories[at];
    let pull = &repository.pulls[index];
    if request.optional("expected_head_sha")?.is_some_and(|sha| sha != pull.head_sha) {
        return Err(Answer::unprocessable("expected head sha didn't match current head ref."));
    }
    let base = repository.tip(&pull.base_ref).filter(|_| pull.open).ok_or_else(Answer::not_found)?;
    let (base, head) = sides(repository, pull, base)?;
    let git = &repository.git;
    if base.id() == head.id() || git.graph_descendant_of(head.id(), base.id())? {
        return Err(Answer::unprocessable("There are no new commits on the base branch."));
    }
    let mut merged = git.merge_commits(&head, &base, None)?;
    if merged.has_conflicts() {
        return Err(Answer::unprocessable("merge conflict between base and head"));
    }
    let tree = git.find_tree(merged.write_tree_to(git)?)?;
    let message = format!("Merge branch '{}' into {}", pull.base_ref, pull.head_ref);
    let author = signature(request.caller.login()?, request)?;
    let id = repository.signed_commit(
        &author,
        &github(request)?,
        &message,
        &tree,
        &[&head, &base],
        request.now,
    )?;
    drop((tree, base, head));
    let (branch, url) = (pull.head_ref.clone(), format!("{}{}", state.url, request.target));
    // The commit may be seen later than the branch that stands at it.
    state.repositories[at].made(id.to_string(), request.now);
    refs::set_branch(state, at, &branch, id, request)?;
    let url = url.trim_end_matches("/update-branch");
    Ok(Answer::new(StatusCode::ACCEPTED, json!({ "message": "Updating pull request branch.", "url": url })))
}

/// The pull request merged by this method onto a commit, which need not be the tip of its base.
fn commit(
    state: &State,
    (at, index): (usize, usize),
    method: &str,
    base: Oid,
    request: &Request,
) -> Result<Oid, Answer> {
    match method {
        "squash" => squash(state, at, index, base, request),
        "rebase" => rebase(state, at, index, base, request),
        _ => merge_commit(state, at, index, base, request),
    }
}

/// The same for a queue, which throws conflicts out: `None`.
pub(super) fn onto(
    state: &State,
    (at, index): (usize, usize),
    method: &str,
    base: Oid,
    request: &Request,
) -> Result<Option<Oid>, Answer> {
    let repository = &state.repositories[at];
    let (base_commit, head) = sides(repository, &repository.pulls[index], base)?;
    if repository.git.merge_commits(&base_commit, &head, None)?.has_conflicts() {
        return Ok(None);
    }
    commit(state, (at, index), method, base, request).map(Some)
}

/// Moves the base branch and closes the pull request as merged.
pub(super) fn finish(
    state: &mut State,
    at: usize,
    index: usize,
    sha: Oid,
    request: &Request,
) -> Result<(), Answer> {
    let login = request.caller.login()?.to_owned();
    let pull = &mut state.repositories[at].pulls[index];
    pull.close(request.now);
    pull.merged_at = Some(request.now);
    pull.merged_by = Some(login.clone());
    pull.merge_commit_sha = Some(sha.to_string());
    let base = pull.base_ref.clone();
    state.counts.pulls_merged += 1;
    let head = pull.head_ref.clone();
    refs::set_branch(state, at, &base, sha, request)?;
    state.emit_pull(at, index, "closed", &json!({}), &login);
    manners::delete_merged_branch(state, at, &head, request)
}

/// What is merged onto, and the head of the pull request, as commits.
fn sides<'a>(repository: &'a Repository, pull: &Pull, base: Oid) -> Result<(Commit<'a>, Commit<'a>), Answer> {
    let git = &repository.git;
    Ok((git.find_commit(base)?, git.find_commit(Oid::from_str(&pull.head_sha)?)?))
}

fn signature(login: &str, request: &Request) -> Result<Signature<'static>, Answer> {
    Ok(Signature::new(login, &noreply(login), &git_time(request.now, 0))?)
}

fn github(request: &Request) -> Result<Signature<'static>, Answer> {
    Ok(Signature::new("GitHub", "noreply@github.com", &git_time(request.now, 0))?)
}

/// Title and message of the commit: what the request says, or GitHub's defaults.
fn words(request: &Request, title: String, message: &str) -> Result<String, Answer> {
    let title = request.optional("commit_title")?.map_or(title, str::to_owned);
    let message = request.optional("commit_message")?.unwrap_or(message);
    Ok(if message.is_empty() { title } else { format!("{title}\n\n{message}") })
}

fn merge_commit(state: &State, at: usize, index: usize, base: Oid, request: &Request) -> Result<Oid, Answer> {
    let repository = &state.repositories[at];
    let pull = &repository.pulls[index];
    let (base, head) = sides(repository, pull, base)?;
    let tree = repository.git.merge_commits(&base, &head, None)?.write_tree_to(&repository.git)?;
    let tree = repository.git.find_tree(tree)?;
    let title = format!("Merge pull request #{} from {}/{}", pull.number, repository.owner, pull.head_ref);
    let message = words(request, title, &pull.title)?;
    let author = signature(request.caller.login()?, request)?;
    repository.signed_commit(&author, &github(request)?, &message, &tree, &[&base, &head], request.now)
}

fn squash(state: &State, at: usize, index: usize, base: Oid, request: &Request) -> Result<Oid, Answer> {
    let repository = &state.repositories[at];
    let pull = &repository.pulls[index];
    let (base, head) = sides(repository, pull, base)?;
    let tree = repository.git.merge_commits(&base, &head, None)?.write_tree_to(&repository.git)?;
    let tree = repository.git.find_tree(tree)?;
    let commits = commits(state, at, base.id(), head.id())?;
    // One commit keeps its own message; several are listed (GitHub's default setting).
    let (title, body) = match commits.as_slice() {
        [only] => {
            let message = String::from_utf8_lossy(only.message_raw_bytes()).into_owned();
            let (title, body) = message.split_once('\n').unwrap_or((&message, ""));
            (title.to_owned(), body.trim_start_matches('\n').to_owned())
        }
        several => {
            let entry = |commit: &Commit<'_>| {
                format!("* {}", String::from_utf8_lossy(commit.message_raw_bytes()).trim_end())
            };
            (pull.title.clone(), several.iter().map(entry).collect::<Vec<_>>().join("\n\n"))
        }
    };
    let message = words(request, format!("{title} (#{})", pull.number), &body)?;
    let author = signature(&pull.author, request)?;
    repository.signed_commit(&author, &github(request)?, &message, &tree, &[&base], request.now)
}

fn rebase(state: &State, at: usize, index: usize, base: Oid, request: &Request) -> Result<Oid, Answer> {
    let repository = &state.repositories[at];
    let git = &repository.git;
    let (base, head) = sides(repository, &repository.pulls[index], base)?;
    let committer = signature(request.caller.login()?, request)?;
    let mut tip = base.clone();
    for commit in commits(state, at, base.id(), head.id())? {
        if commit.parent_count() != 1 {
            return Err(Answer::not_allowed("This branch can't be rebased"));
        }
        let mut picked = git.cherrypick_commit(&commit, &tip, 0, None)?;
        if picked.has_conflicts() {
            return Err(Answer::not_allowed("This branch can't be rebased"));
        }
        let tree = git.find_tree(picked.write_tree_to(git)?)?;
        let message = String::from_utf8_lossy(commit.message_raw_bytes()).into_owned();
        let id = git.commit(None, &commit.author(), &committer, &message, &tree, &[&tip])?;
        tip = git.find_commit(id)?;
    }
    Ok(tip.id())
}

/// The commits that head has and base has not, oldest first.
fn commits(state: &State, at: usize, base: Oid, head: Oid) -> Result<Vec<Commit<'_>>, Answer> {
    let git = &state.repositories[at].git;
    let mut walk = git.revwalk()?;
    walk.set_sorting(git2::Sort::TOPOLOGICAL | git2::Sort::REVERSE)?;
    walk.push(head)?;
    walk.hide(base)?;
    walk.map(|id| Ok(git.find_commit(id?)?)).collect()
}

impl GitHub {
    /// `reviewer` presses *Update branch*; returns the SHA that the head has then.
    pub fn update_branch(&self, full_name: &str, number: u64) -> Result<String, Refused> {
        let target = format!("/repos/{full_name}/pulls/{number}/update-branch");
        self.act("reviewer", &Method::PUT, &target, json!({}))?;
        self.with_repository(full_name, |state, at| {
            let pulls = &state.repositories[at].pulls;
            pulls
                .iter()
                .find(|pull| pull.number == number)
                .map(|pull| pull.head_sha.clone())
                .unwrap_or_default()
        })
    }
}
