//! References and branches. A branch that moves takes its pull requests along and is told to the hooks.
//! Every change of a branch, by the API, by a merge or by a person, goes through `set_branch` and `remove_branch`.

use git2::{ObjectType, Oid};
use http::StatusCode;
use serde_json::{Value, json};

use super::answer::{Answer, Outcome};
use super::auth::{Access, Caller};
use super::manners;
use super::merge_queue::{self, RemovalReason};
use super::objects::{node_id, oid, repository_commit};
use super::request::Request;
use super::state::{Mergeability, Repository, State};

fn view(url: &str, repository: &Repository, name: &str, id: Oid) -> Value {
    let base = format!("{url}/repos/{}/git", repository.full_name());
    let kind = repository.git.find_object(id, None).ok().and_then(|object| object.kind());
    let kind = kind.unwrap_or(ObjectType::Commit).str();
    json!({
        "ref": name,
        "node_id": node_id("REF", repository.id),
        "url": format!("{base}/{name}"),
        "object": { "sha": id.to_string(), "type": kind, "url": format!("{base}/{kind}s/{id}") },
    })
}

pub(super) fn get_ref(state: &mut State, request: &Request) -> Outcome {
    let at = state.repository(request, Access::Read)?;
    let repository = &state.repositories[at];
    repository.not_empty()?;
    let name = format!("refs/{}", request.param("ref"));
    let id = repository.git.refname_to_id(&name).map_err(|_| Answer::not_found())?;
    if !repository.shows(request.param("ref"), request.now) {
        return Err(Answer::not_found());
    }
    Ok(Answer::ok(view(&state.url, repository, &name, id)))
}

/// All references whose names start with the given one; an empty list when there is none.
pub(super) fn matching_refs(state: &mut State, request: &Request) -> Outcome {
    let at = state.repository(request, Access::Read)?;
    let repository = &state.repositories[at];
    repository.not_empty()?;
    let prefix = format!("refs/{}", request.param("ref"));
    let mut found = Vec::new();
    for reference in repository.git.references()? {
        let reference = reference?;
        if let (Ok(name), Some(id)) = (reference.name(), reference.target())
            && name.starts_with(&prefix)
            && repository.shows(name.trim_start_matches("refs/"), request.now)
        {
            found.push((name.to_owned(), id));
        }
    }
    found.sort();
    let views = found.iter().map(|(name, id)| view(&state.url, repository, name, *id)).collect();
    Ok(Answer::ok(Value::Array(views)))
}

pub(super) fn create_ref(state: &mut State, request: &Request) -> Outcome {
    let at = state.repository(request, Access::Write)?;
    let (name, sha) = (request.required("ref")?.to_owned(), request.required("sha")?);
    let repository = &state.repositories[at];
    repository.not_empty()?;
    if !name.starts_with("refs/") || name.matches('/').count() < 2 || !git2::Reference::is_valid_name(&name) {
        return Err(Answer::unprocessable(format!("{name} is not a valid ref name.")));
    }
    let id = existing(repository, sha)?;
    if !repository.shows(sha, request.now) {
        return Err(manners::not_there_yet());
    }
    if repository.git.refname_to_id(&name).is_ok() {
        return Err(Answer::unprocessable("Reference already exists"));
    }
    let Some(branch) = name.strip_prefix("refs/heads/") else {
        repository.git.reference(&name, id, false, "create").map_err(|_| update_failed())?;
        state.counts.refs_created += 1;
        return Ok(Answer::created(view(&state.url, &state.repositories[at], &name, id)));
    };
    if repository.protected.contains(branch) || repository.git.find_commit(id).is_err() {
        return Err(update_failed());
    }
    set_branch(state, at, branch, id, request)?;
    Ok(Answer::created(view(&state.url, &state.repositories[at], &name, id)))
}

pub(super) fn update_ref(state: &mut State, request: &Request) -> Outcome {
    let at = state.repository(request, Access::Write)?;
    let name = format!("refs/{}", request.param("ref"));
    let (sha, force) = (request.required("sha")?, request.flag("force")?);
    let repository = &state.repositories[at];
    repository.not_empty()?;
    let Ok(current) = repository.git.refname_to_id(&name) else {
        return Err(Answer::unprocessable("Reference does not exist"));
    };
    let id = existing(repository, sha)?;
    if !repository.shows(sha, request.now) {
        return Err(manners::not_there_yet());
    }
    let Some(branch) = name.strip_prefix("refs/heads/") else {
        return Err(Answer::unprocessable("stand-in: only branches can be updated"));
    };
    if repository.git.find_commit(id).is_err() {
        return Err(update_failed());
    }
    let forward = id == current || repository.git.graph_descendant_of(id, current)?;
    protected(repository, branch, &request.caller, Some(forward))?;
    if !force && !forward {
        return Err(Answer::unprocessable("Update is not a fast forward"));
    }
    set_branch(state, at, branch, id, request)?;
    Ok(Answer::ok(view(&state.url, &state.repositories[at], &name, id)))
}

pub(super) fn delete_ref(state: &mut State, request: &Request) -> Outcome {
    let at = state.repository(request, Access::Write)?;
    let name = format!("refs/{}", request.param("ref"));
    let repository = &state.repositories[at];
    repository.not_empty()?;
    let Ok(mut reference) = repository.git.find_reference(&name) else {
        return Err(Answer::unprocessable("Reference does not exist"));
    };
    let Some(branch) = name.strip_prefix("refs/heads/") else {
        reference.delete()?;
        state.counts.refs_deleted += 1;
        return Ok(Answer::no_content());
    };
    drop(reference);
    delete_branch(state, at, branch, request)?;
    Ok(Answer::no_content())
}

/// Deletes a branch that is there, unless it may not be.
pub(super) fn delete_branch(
    state: &mut State,
    at: usize,
    branch: &str,
    request: &Request,
) -> Result<(), Answer> {
    let repository = &state.repositories[at];
    if branch == repository.default_branch {
        return Err(Answer::unprocessable("Cannot delete the default branch"));
    }
    protected(repository, branch, &request.caller, None)?;
    repository.not_queued(branch)?;
    remove_branch(state, at, branch, request)
}

/// The object a request names by its full SHA.
fn existing(repository: &Repository, sha: &str) -> Result<Oid, Answer> {
    let id = oid(sha).ok_or_else(|| {
        Answer::unprocessable("The sha parameter must be exactly 40 characters and contain only [0-9a-f].")
    })?;
    repository.git.find_object(id, None).map_err(|_| Answer::unprocessable("Object does not exist"))?;
    Ok(id)
}

fn update_failed() -> Answer {
    Answer::unprocessable("Reference update failed")
}

/// A protected branch changes through pull requests only, or through its queue; people may pass that by.
fn protected(
    repository: &Repository,
    branch: &str,
    caller: &Caller,
    forward: Option<bool>,
) -> Result<(), Answer> {
    match caller {
        Caller::Person(_) => Ok(()),
        _ => repository.rules_allow_push(branch, forward),
    }
}

/// Creates or moves a branch: pull requests from it follow, hooks get `push` (and `synchronize`).
pub(super) fn set_branch(
    state: &mut State,
    at: usize,
    branch: &str,
    id: Oid,
    request: &Request,
) -> Result<(), Answer> {
    let repository = &mut state.repositories[at];
    let name = format!("refs/heads/{branch}");
    let before = repository.tip(branch);
    if before == Some(id) {
        return Ok(());
    }
    repository.not_queued(branch)?;
    repository.takes_commit(branch, id, &request.caller)?;
    // The name of a branch can't be the directory of another one's.
    repository.git.reference(&name, id, true, "update").map_err(|_| update_failed())?;
    repository.pushed_at = request.now;
    repository.pushed.insert(id.to_string(), request.now);
    if before.is_none() {
        repository.made(format!("heads/{branch}"), request.now);
    }
    let forced = match before {
        Some(before) => !repository.git.graph_descendant_of(id, before)?,
        None => false,
    };
    match before {
        None => state.counts.refs_created += 1,
        Some(_) => state.counts.refs_updated += 1,
    }
    let sender = request.caller.login()?.to_owned();
    state.emit_push(at, branch, before, Some(id), forced, &sender);
    move_pulls(state, at, branch, id, request)
}

/// Takes the pull requests of a branch along.
fn move_pulls(state: &mut State, at: usize, branch: &str, id: Oid, request: &Request) -> Result<(), Answer> {
    let sender = request.caller.login()?.to_owned();
    let mut moved = Vec::new();
    for (index, pull) in state.repositories[at].pulls.iter_mut().enumerate() {
        if !pull.open {
            continue;
        }
        if pull.base_ref == branch {
            pull.mergeability = Mergeability::Unknown;
        }
        if pull.head_ref == branch {
            let before = std::mem::replace(&mut pull.head_sha, id.to_string());
            pull.updated_at = request.now;
            pull.mergeability = Mergeability::Unknown;
            pull.merge_commit_sha = None;
            moved.push((index, before));
        }
    }
    for (index, before) in moved {
        let repository = &mut state.repositories[at];
        let base = repository.tip(&repository.pulls[index].base_ref);
        if let Some(base) = base {
            repository.pulls[index].base_sha = base.to_string();
        }
        let number = repository.pulls[index].number;
        repository.git.reference(&format!("refs/pull/{number}/head"), id, true, "synchronize")?;
        let extra = json!({ "before": before, "after": id.to_string() });
        state.emit_pull(at, index, "synchronize", &extra, &sender);
    }
    Ok(())
}

/// Deletes a branch; open pull requests from it or into it are closed, as GitHub does.
pub(super) fn remove_branch(
    state: &mut State,
    at: usize,
    branch: &str,
    request: &Request,
) -> Result<(), Answer> {
    let repository = &mut state.repositories[at];
    let before = repository.tip(branch);
    repository.git.find_reference(&format!("refs/heads/{branch}"))?.delete()?;
    repository.pushed_at = request.now;
    state.counts.refs_deleted += 1;
    let sender = request.caller.login()?.to_owned();
    state.emit_push(at, branch, before, None, false, &sender);
    for index in 0..state.repositories[at].pulls.len() {
        let pull = &mut state.repositories[at].pulls[index];
        if pull.open && (pull.head_ref == branch || pull.base_ref == branch) {
            let number = pull.number;
            pull.close(request.now);
            merge_queue::leave(state, at, number, RemovalReason::Manual, request);
            state.emit_pull(at, index, "closed", &json!({}), &sender);
        }
    }
    Ok(())
}

pub(super) fn get_branch(state: &mut State, request: &Request) -> Outcome {
    let at = state.repository(request, Access::Read)?;
    let repository = &state.repositories[at];
    let branch = request.param("branch");
    let shown = |_: &Oid| repository.shows(&format!("heads/{branch}"), request.now);
    let Some(id) = repository.tip(branch).filter(shown) else {
        return Err(Answer::refused(StatusCode::NOT_FOUND, "Branch not found"));
    };
    let commit = repository.git.find_commit(id)?;
    let base = format!("{}/repos/{}/branches/{branch}", state.url, repository.full_name());
    Ok(Answer::ok(json!({
        "name": branch,
        "commit": repository_commit(&state.url, repository, &commit),
        "_links": { "self": base, "html": format!("https://github.com/{}/tree/{branch}", repository.full_name()) },
        "protected": repository.protected.contains(branch),
        "protection": { "enabled": repository.protected.contains(branch) },
        "protection_url": format!("{base}/protection"),
    })))
}
