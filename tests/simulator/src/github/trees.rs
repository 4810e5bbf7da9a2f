//! Git trees: creating them from entries, and reading them whole or level by level.
//! Checks what GitHub checks before anything is written.

use std::collections::BTreeMap;

use git2::{ObjectType, Oid};
use serde_json::{Value, json};

use super::answer::{Answer, Outcome};
use super::auth::Access;
use super::objects::{oid, resolve};
use super::request::{Request, not_a};
use super::rules;
use super::state::{Repository, State};

/// What a directory becomes: names to files, subdirectories or nothing.
#[derive(Default)]
struct Changes {
    entries: BTreeMap<String, Change>,
}

enum Change {
    Put { mode: i32, id: Oid },
    Delete,
    Within(Changes),
}

impl Changes {
    /// `false` when `path` contradicts an entry that is already there.
    fn insert(&mut self, path: &str, change: Change) -> bool {
        match path.split_once('/') {
            None => self.entries.insert(path.to_owned(), change).is_none(),
            Some((directory, rest)) => {
                let within = self.entries.entry(directory.to_owned());
                match within.or_insert_with(|| Change::Within(Changes::default())) {
                    Change::Within(changes) => changes.insert(rest, change),
                    Change::Put { .. } | Change::Delete => false,
                }
            }
        }
    }
}

pub(super) fn create_tree(state: &mut State, request: &Request) -> Outcome {
    let at = state.repository(request, Access::Write)?;
    let entries = match request.body.get("tree") {
        None => return Err(Answer::unprocessable("Invalid request.\n\n\"tree\" wasn't supplied.")),
        Some(Value::Array(entries)) if entries.is_empty() => {
            return Err(Answer::unprocessable("Invalid tree info"));
        }
        Some(Value::Array(entries)) => entries,
        Some(other) => return Err(not_a("tree", other, "array")),
    };
    let repository = &state.repositories[at];
    repository.not_empty()?;
    let base = match request.optional("base_tree")? {
        None => None,
        Some(sha) => {
            let base = oid(sha).and_then(|id| repository.git.find_object(id, None).ok());
            let only = repository.manners.trees_only;
            let base = base.filter(|object| !only || object.kind() == Some(ObjectType::Tree));
            let base = base.and_then(|object| object.peel_to_tree().ok());
            Some(base.ok_or_else(|| Answer::unprocessable("base_tree is not a valid tree oid"))?)
        }
    };
    let mut changes = Changes::default();
    let mut blobs = 0;
    for entry in entries {
        rules::takes_path(&request.caller, entry["path"].as_str().unwrap_or_default())?;
        let (path, change) = entry_change(repository, entry, &mut blobs)?;
        if !changes.insert(path, change) {
            return Err(bad_object_state());
        }
    }
    let id = write(&repository.git, base.as_ref(), &changes)?
        .unwrap_or(repository.git.treebuilder(None)?.write()?);
    let view = view(state, repository, id, false)?;
    state.counts.trees_created += 1;
    state.counts.blobs_created += blobs;
    Ok(Answer::created(view))
}

fn bad_object_state() -> Answer {
    Answer::unprocessable("GitRPC::BadObjectState")
}

/// Checks one entry; inline content is written as a blob.
fn entry_change<'a>(
    repository: &Repository,
    entry: &'a Value,
    blobs: &mut u64,
) -> Result<(&'a str, Change), Answer> {
    let path = entry.get("path").and_then(Value::as_str).unwrap_or_default();
    check_path(path)?;
    let sha = entry.get("sha");
    let content = entry.get("content");
    let inline = content.and_then(Value::as_str).unwrap_or_default();
    repository.takes_file(Some(path), inline.as_bytes())?;
    if sha.is_some_and(Value::is_null) && content.is_none() {
        return Ok((path, Change::Delete));
    }
    let (mode, kind) = match entry.get("mode").and_then(Value::as_str) {
        Some("100644") => (0o100_644, ObjectType::Blob),
        Some("100755") => (0o100_755, ObjectType::Blob),
        Some("120000") => (0o120_000, ObjectType::Blob),
        Some("040000") => (0o040_000, ObjectType::Tree),
        Some("160000") => (0o160_000, ObjectType::Commit),
        _ => return Err(Answer::unprocessable("Must supply a valid tree.mode")),
    };
    if let Some(given) = entry.get("type")
        && given.as_str() != Some(kind.str())
    {
        return Err(Answer::unprocessable(format!("tree.type must be {} for this tree.mode", kind.str())));
    }
    match (sha, content) {
        (Some(Value::String(sha)), None) => {
            let wrong = || Answer::unprocessable(format!("tree.sha {sha} is not a valid {}", kind.str()));
            let id = oid(sha).ok_or_else(wrong)?;
            // A submodule's commit lives elsewhere.
            if kind != ObjectType::Commit {
                repository.git.find_object(id, Some(kind)).map_err(|_| wrong())?;
            }
            Ok((path, Change::Put { mode, id }))
        }
        (None, Some(Value::String(content))) if kind == ObjectType::Blob => {
            *blobs += 1;
            Ok((path, Change::Put { mode, id: repository.git.blob(content.as_bytes())? }))
        }
        _ => Err(Answer::unprocessable("Must supply either tree.sha or tree.content")),
    }
}

fn check_path(path: &str) -> Result<(), Answer> {
    if path.starts_with('/') {
        return Err(Answer::unprocessable("tree.path cannot start with a slash"));
    }
    let malformed = |part: &str| {
        let name = part.to_ascii_lowercase();
        part.is_empty() || part.contains('\0') || matches!(name.as_str(), "." | ".." | ".git" | "git~1")
    };
    if path.split('/').any(malformed) {
        return Err(Answer::unprocessable("tree.path contains a malformed path component"));
    }
    Ok(())
}

/// Writes the directory that `changes` make of `base`; `None` when nothing is left in it.
fn write(
    git: &git2::Repository,
    base: Option<&git2::Tree<'_>>,
    changes: &Changes,
) -> Result<Option<Oid>, Answer> {
    let mut builder = git.treebuilder(base)?;
    for (name, change) in &changes.entries {
        match change {
            Change::Put { mode, id } => {
                builder.insert(name, *id, *mode)?;
            }
            Change::Delete => {
                if builder.get(name)?.is_none() {
                    return Err(bad_object_state());
                }
                builder.remove(name)?;
            }
            Change::Within(changes) => {
                let base = match builder.get(name)? {
                    // A file of that name gives way to the directory.
                    Some(entry) if entry.kind() == Some(ObjectType::Tree) => Some(git.find_tree(entry.id())?),
                    _ => None,
                };
                match write(git, base.as_ref(), changes)? {
                    Some(id) => {
                        builder.insert(name, id, 0o040_000)?;
                    }
                    None => builder.remove(name)?,
                }
            }
        }
    }
    if builder.is_empty() { Ok(None) } else { Ok(Some(builder.write()?)) }
}

pub(super) fn get_tree(state: &mut State, request: &Request) -> Outcome {
    let at = state.repository(request, Access::Read)?;
    let repository = &state.repositories[at];
    repository.not_empty()?;
    let object = resolve(repository, request.param("tree_sha")).ok_or_else(Answer::not_found)?;
    let id = object.peel_to_tree().map_err(|_| Answer::not_found())?.id();
    // Any value asks for recursion, even "0" and "false" (REST docs, "Get a tree").
    Ok(Answer::ok(view(state, repository, id, request.query("recursive").is_some())?))
}

fn view(state: &State, repository: &Repository, id: Oid, recursive: bool) -> Result<Value, Answer> {
    let base = format!("{}/repos/{}/git", state.url, repository.full_name());
    let mut entries = Vec::new();
    let limit = if recursive { state.settings.tree_limit } else { usize::MAX };
    let truncated = !collect(&repository.git, &base, id, "", recursive, limit, &mut entries)?;
    Ok(json!({
        "sha": id.to_string(),
        "url": format!("{base}/trees/{id}"),
        "tree": entries,
        "truncated": truncated,
    }))
}

/// Appends the entries below `id` in order; `false` when the limit was reached first.
fn collect(
    git: &git2::Repository,
    base: &str,
    id: Oid,
    prefix: &str,
    recursive: bool,
    limit: usize,
    entries: &mut Vec<Value>,
) -> Result<bool, Answer> {
    for entry in &git.find_tree(id)? {
        if entries.len() == limit {
            return Ok(false);
        }
        let path = format!("{prefix}{}", String::from_utf8_lossy(entry.name_bytes()));
        let kind = entry.kind().unwrap_or(ObjectType::Commit);
        let mut shown = json!({
            "path": path,
            "mode": format!("{:06o}", entry.filemode()),
            "type": kind.str(),
            "sha": entry.id().to_string(),
        });
        if kind == ObjectType::Blob {
            shown["size"] = git.odb()?.read_header(entry.id())?.0.into();
        }
        if kind != ObjectType::Commit {
            shown["url"] = format!("{base}/{}s/{}", kind.str(), entry.id()).into();
        }
        entries.push(shown);
        let below = format!("{path}/");
        if recursive
            && kind == ObjectType::Tree
            && !collect(git, base, entry.id(), &below, recursive, limit, entries)?
        {
            return Ok(false);
        }
    }
    Ok(true)
}
