//! Git objects: blobs and commits (`trees` has the trees).
//! Messages are GitHub's; the objects are real ones in the repository's bare git directory.

use base64::Engine as _;
use git2::{Oid, Signature, Time};
use jiff::Timestamp;
use jiff::fmt::temporal::DateTimeParser;
use serde_json::{Value, json};

use super::answer::{Answer, Outcome};
use super::auth::Access;
use super::request::{Request, not_a, stamp};
use super::state::{Repository, State};

/// A full object id; GitHub takes no abbreviations where it asks for one.
pub(super) fn oid(text: &str) -> Option<Oid> {
    let hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() == 40 && text.bytes().all(hexadecimal) { Oid::from_str(text).ok() } else { None }
}

pub(super) fn create_blob(state: &mut State, request: &Request) -> Outcome {
    let at = state.repository(request, Access::Write)?;
    let repository = &state.repositories[at];
    let content = request.required("content")?;
    let bytes = match request.optional("encoding")?.unwrap_or("utf-8") {
        "utf-8" => content.as_bytes().to_vec(),
        "base64" => {
            let packed: String = content.chars().filter(|one| !one.is_ascii_whitespace()).collect();
            base64::engine::general_purpose::STANDARD
                .decode(packed)
                .map_err(|_| Answer::unprocessable("Invalid request.\n\n\"content\" is not valid Base64."))?
        }
        other => {
            return Err(Answer::unprocessable(format!(
                "Invalid request.\n\n{other} is not a valid encoding."
            )));
        }
    };
    repository.not_empty()?;
    repository.takes_file(None, &bytes)?;
    let sha = repository.git.blob(&bytes)?.to_string();
    let url = format!("{}/repos/{}/git/blobs/{sha}", state.url, repository.full_name());
    state.counts.blobs_created += 1;
    Ok(Answer::created(json!({ "sha": sha, "url": url })))
}

pub(super) fn get_blob(state: &mut State, request: &Request) -> Outcome {
    let at = state.repository(request, Access::Read)?;
    let repository = &state.repositories[at];
    repository.not_empty()?;
    let id = oid(request.param("file_sha")).ok_or_else(Answer::not_found)?;
    let blob = repository.git.find_blob(id).map_err(|_| Answer::not_found())?;
    // GitHub breaks the Base64 text every 60 characters.
    let mut content = String::new();
    for (position, letter) in
        base64::engine::general_purpose::STANDARD.encode(blob.content()).chars().enumerate()
    {
        if position > 0 && position % 60 == 0 {
            content.push('\n');
        }
        content.push(letter);
    }
    content.push('\n');
    Ok(Answer::ok(json!({
        "sha": id.to_string(),
        "node_id": node_id("B", repository.id),
        "size": blob.size(),
        "url": format!("{}/repos/{}/git/blobs/{id}", state.url, repository.full_name()),
        "content": content,
        "encoding": "base64",
    })))
}

pub(super) fn create_commit(state: &mut State, request: &Request) -> Outcome {
    let at = state.repository(request, Access::Write)?;
    let message = request.required("message")?;
    let tree = request.required("tree")?;
    let repository = &state.repositories[at];
    repository.not_empty()?;
    let tree = oid(tree)
        .and_then(|id| repository.git.find_tree(id).ok())
        .ok_or_else(|| Answer::unprocessable("Tree SHA does not exist"))?;
    let mut parents = Vec::new();
    match request.body.get("parents") {
        None | Some(Value::Null) => {}
        Some(Value::Array(shas)) => {
            for sha in shas {
                let parent = sha.as_str().and_then(oid).and_then(|id| repository.git.find_commit(id).ok());
                parents.push(parent.ok_or_else(|| {
                    Answer::unprocessable("Parent SHA does not exist or is not a commit object")
                })?);
            }
        }
        Some(other) => return Err(not_a("parents", other, "array")),
    }
    let login = request.caller.login()?;
    let time = git_time(request.now, 0);
    let bot = request.caller.is_installation();
    let email = if bot { noreply_of(state.account_id(login), login) } else { noreply(login) };
    let default = Person { name: login.to_owned(), email, time };
    let author = person(request, "author", &default)?;
    let committer = person(request, "committer", &author)?;
    let parents_of: Vec<_> = parents.iter().collect();
    let own = |name: &&str| request.body.get(*name).is_some_and(|value| !value.is_null());
    let id = if bot && !["author", "committer", "signature"].iter().any(own) {
        // GitHub signs what an App makes without anything of its own (docs, "Signature verification for bots").
        let github = Signature::new("GitHub", "noreply@github.com", &time)?;
        repository.signed_commit(&author.signature()?, &github, message, &tree, &parents_of, request.now)?
    } else {
        let (author, committer) = (author.signature()?, committer.signature()?);
        repository.git.commit(None, &author, &committer, message, &tree, &parents_of)?
    };
    let view = git_commit(&state.url, repository, &repository.git.find_commit(id)?);
    drop((tree, parents_of));
    drop(parents);
    state.repositories[at].made(id.to_string(), request.now);
    state.counts.commits_created += 1;
    Ok(Answer::created(view))
}

pub(super) fn get_commit(state: &mut State, request: &Request) -> Outcome {
    let at = state.repository(request, Access::Read)?;
    let repository = &state.repositories[at];
    repository.not_empty()?;
    let id = oid(request.param("commit_sha")).ok_or_else(Answer::not_found)?;
    if !repository.shows(&id.to_string(), request.now) {
        return Err(Answer::not_found());
    }
    let commit = repository.git.find_commit(id).map_err(|_| Answer::not_found())?;
    Ok(Answer::ok(git_commit(&state.url, repository, &commit)))
}

/// `GET /repos/{owner}/{repo}/commits/{ref}`: a branch, a tag or a SHA.
pub(super) fn get_repository_commit(state: &mut State, request: &Request) -> Outcome {
    let at = state.repository(request, Access::Read)?;
    let repository = &state.repositories[at];
    repository.not_empty()?;
    let wanted = request.param("ref");
    let Some(commit) = resolve(repository, wanted).and_then(|object| object.peel_to_commit().ok()) else {
        return Err(Answer::unprocessable(format!("No commit found for SHA: {wanted}")));
    };
    Ok(Answer::ok(repository_commit(&state.url, repository, &commit)))
}

/// What a branch name, a `heads/…` or `tags/…` name or a full SHA means.
pub(super) fn resolve<'a>(repository: &'a Repository, name: &str) -> Option<git2::Object<'a>> {
    let git = &repository.git;
    for prefix in ["refs/heads/", "refs/tags/", "refs/", ""] {
        if let Ok(id) = git.refname_to_id(&format!("{prefix}{name}")) {
            return git.find_object(id, None).ok();
        }
    }
    git.find_object(oid(name)?, None).ok()
}

struct Person {
    name: String,
    email: String,
    time: Time,
}

impl Person {
    fn signature(&self) -> Result<Signature<'static>, Answer> {
        Signature::new(&self.name, &self.email, &self.time)
            .map_err(|_| Answer::unprocessable("Invalid request.\n\nThe author or committer is not valid."))
    }
}

/// Reads `author` or `committer`: name and email are needed, the date defaults to now.
fn person(request: &Request, name: &str, default: &Person) -> Result<Person, Answer> {
    let default = || Person { name: default.name.clone(), email: default.email.clone(), time: default.time };
    let object = match request.body.get(name) {
        None | Some(Value::Null) => return Ok(default()),
        Some(Value::Object(object)) => object,
        Some(other) => return Err(not_a(name, other, "object")),
    };
    let text = |key: &str| match object.get(key) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        Some(Value::String(_)) => {
            Err(Answer::unprocessable(format!("Invalid request.\n\n\"{key}\" can't be blank.")))
        }
        Some(other) => Err(not_a(key, other, "string")),
        None => Err(Answer::unprocessable(format!("Invalid request.\n\n\"{key}\" wasn't supplied."))),
    };
    let time = match object.get("date") {
        None | Some(Value::Null) => git_time(request.now, 0),
        Some(Value::String(date)) => parse_date(date).ok_or_else(|| {
            Answer::unprocessable(format!("Invalid request.\n\n{date} is not a valid date-time."))
        })?,
        Some(other) => return Err(not_a("date", other, "string")),
    };
    Ok(Person { name: text("name")?, email: text("email")?, time })
}

/// ISO 8601 with an offset, which the commit keeps.
fn parse_date(date: &str) -> Option<Time> {
    let parser = DateTimeParser::new();
    let at = parser.parse_timestamp(date).ok()?;
    let seconds = parser.parse_pieces(date).ok()?.to_numeric_offset().map_or(0, jiff::tz::Offset::seconds);
    Some(git_time(at, seconds / 60))
}

pub(super) fn git_time(at: Timestamp, offset_minutes: i32) -> Time {
    Time::new(at.as_second(), offset_minutes)
}

pub(super) fn noreply(login: &str) -> String {
    format!("{login}@users.noreply.github.com")
}

/// The address of an account with its id, which survives a renaming; a bot's is always of this kind.
fn noreply_of(id: u64, login: &str) -> String {
    format!("{id}+{login}@users.noreply.github.com")
}

pub(super) fn node_id(prefix: &str, id: u64) -> String {
    let id = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(id.to_be_bytes());
    format!("{prefix}_kwDO{id}")
}

fn signature_view(signature: &Signature<'_>) -> Value {
    let at = Timestamp::from_second(signature.when().seconds()).unwrap_or_default();
    json!({
        "name": String::from_utf8_lossy(signature.name_bytes()),
        "email": String::from_utf8_lossy(signature.email_bytes()),
        "date": stamp(at),
    })
}

/// A commit as the git data API shows it.
pub(super) fn git_commit(url: &str, repository: &Repository, commit: &git2::Commit<'_>) -> Value {
    let base = format!("{url}/repos/{}", repository.full_name());
    let html = format!("https://github.com/{}", repository.full_name());
    let id = commit.id();
    let parent = |parent: Oid| {
        json!({
            "sha": parent.to_string(),
            "url": format!("{base}/git/commits/{parent}"),
            "html_url": format!("{html}/commit/{parent}"),
        })
    };
    json!({
        "sha": id.to_string(),
        "node_id": node_id("C", repository.id),
        "url": format!("{base}/git/commits/{id}"),
        "html_url": format!("{html}/commit/{id}"),
        "author": signature_view(&commit.author()),
        "committer": signature_view(&commit.committer()),
        "tree": { "sha": commit.tree_id().to_string(), "url": format!("{base}/git/trees/{}", commit.tree_id()) },
        "message": String::from_utf8_lossy(commit.message_raw_bytes()),
        "parents": commit.parent_ids().map(parent).collect::<Vec<_>>(),
        "verification": repository.verification(id),
    })
}

/// A commit as the repositories API shows it.
pub(super) fn repository_commit(url: &str, repository: &Repository, commit: &git2::Commit<'_>) -> Value {
    let mut git = git_commit(url, repository, commit);
    let (sha, parents, html) = (git["sha"].take(), git["parents"].take(), git["html_url"].take());
    let base = format!("{url}/repos/{}/commits/{}", repository.full_name(), commit.id());
    for name in ["sha", "parents", "html_url", "node_id"] {
        if let Some(object) = git.as_object_mut() {
            object.remove(name);
        }
    }
    json!({
        "sha": sha,
        "node_id": node_id("C", repository.id),
        "commit": git,
        "url": base,
        "html_url": html,
        "comments_url": format!("{base}/comments"),
        "author": null,
        "committer": null,
        "parents": parents,
    })
}
