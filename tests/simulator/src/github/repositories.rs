//! Users, organizations and repositories: look up, create, change, rename, delete.
//! Each repository gets a bare git directory of its own, named by its id so that a rename does not move it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use git2::RepositoryInitOptions;
use http::StatusCode;
use serde_json::json;

use super::answer::{Answer, Outcome};
use super::auth::{Access, Caller};
use super::lfs::Storage;
use super::manners::Manners;
use super::objects::{git_time, noreply};
use super::permissions::{covers, missing};
use super::request::{Request, not_a};
use super::state::{AccountKind, Repository, State};

/// What each repository has from its beginning (docs, "Managing labels").
const LABELS: [&str; 9] = [
    "bug",
    "documentation",
    "duplicate",
    "enhancement",
    "good first issue",
    "help wanted",
    "invalid",
    "question",
    "wontfix",
];

pub(super) fn authenticated_user(state: &mut State, request: &Request) -> Outcome {
    let login = request.caller.login()?;
    if request.caller.is_installation() {
        return Err(request.caller.not_accessible());
    }
    Ok(Answer::ok(state.user_view(login)))
}

pub(super) fn get_user(state: &mut State, request: &Request) -> Outcome {
    let login = request.param("username");
    if state.account(login).is_none() {
        return Err(Answer::not_found());
    }
    Ok(Answer::ok(state.user_view(login)))
}

#[expect(clippy::unnecessary_wraps, reason = "the signature of every handler")]
pub(super) fn rate_limit(state: &mut State, request: &Request) -> Outcome {
    let mut resources = serde_json::Map::new();
    for resource in ["core", "graphql"] {
        let mut shown = serde_json::Map::new();
        for (name, value) in state.limits.headers(&request.caller, resource, request.now) {
            let name = name.trim_start_matches("x-ratelimit-").to_owned();
            shown.insert(name, value.parse::<u64>().map_or_else(|_| value.into(), Into::into));
        }
        resources.insert(resource.to_owned(), shown.into());
    }
    let rate = resources.get("core").cloned();
    Ok(Answer::ok(json!({ "resources": resources, "rate": rate })))
}

pub(super) fn create_for_user(state: &mut State, request: &Request) -> Outcome {
    let login = request.caller.login()?.to_owned();
    if request.caller.is_installation() || !request.caller.may_write() {
        return Err(request.caller.not_accessible());
    }
    create(state, request, &login)
}

pub(super) fn create_for_organization(state: &mut State, request: &Request) -> Outcome {
    request.caller.login()?;
    let organization = state.account(request.param("org"));
    let organization = organization.filter(|account| account.kind == AccountKind::Organization);
    let login = organization.ok_or_else(Answer::not_found)?.login.clone();
    if let Caller::Installation(acting) = &request.caller {
        // A token for some repositories can't know of one more.
        let may =
            request.caller.reaches(&login) && !acting.scoped && covers(&acting.permissions, request.needs);
        if !may {
            return Err(missing(&request.caller, request.needs));
        }
    }
    if !request.caller.reaches(&login) {
        let message = "You need admin access to the organization before adding a repository to it.";
        return Err(Answer::forbidden(message));
    }
    if !request.caller.may_write() {
        return Err(request.caller.not_accessible());
    }
    create(state, request, &login)
}

fn failed(code: &str, message: &str) -> Answer {
    let error = json!({ "resource": "Repository", "code": code, "field": "name", "message": message });
    Answer::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        json!({ "message": "Repository creation failed.", "errors": [error] }),
    )
}

fn new_name(request: &Request) -> Result<String, Answer> {
    let Some(name) = request.optional("name")? else {
        return Err(failed("missing_field", "name is required"));
    };
    if name.is_empty() {
        return Err(failed("custom", "name is too short (minimum is 1 character)"));
    }
    // GitHub replaces what it does not allow in a name.
    let allowed = |one: char| one.is_ascii_alphanumeric() || matches!(one, '-' | '_' | '.');
    Ok(name.chars().map(|one| if allowed(one) { one } else { '-' }).take(100).collect())
}

fn create(state: &mut State, request: &Request, owner: &str) -> Outcome {
    let name = new_name(request)?;
    let description = request.optional("description")?.map(str::to_owned);
    let (private, auto_init) = (request.flag("private")?, request.flag("auto_init")?);
    if state.find(owner, &name).is_some() {
        return Err(failed("custom", "name already exists on this account"));
    }
    // The first repository has an id of the size that GitHub gives out today.
    let id = 700_000_000 + state.next_id();
    let mut options = RepositoryInitOptions::new();
    options.bare(true).initial_head("main").external_template(false);
    let git = git2::Repository::init_opts(state.dir.join(format!("{id}.git")), &options)?;
    // A new repository takes its old name's place from a renamed one.
    state.moved.remove(&format!("{owner}/{name}").to_ascii_lowercase());
    state.repositories.push(Repository {
        id,
        owner: owner.to_owned(),
        name,
        description,
        private,
        archived: false,
        default_branch: "main".to_owned(),
        created_at: request.now,
        updated_at: request.now,
        pushed_at: request.now,
        git,
        pulls: Vec::new(),
        hooks: Vec::new(),
        rules: Vec::new(),
        queue: Vec::new(),
        removals: Vec::new(),
        protected: BTreeSet::new(),
        signed: BTreeSet::new(),
        verified: RefCell::default(),
        checks: BTreeMap::new(),
        manners: Manners::default(),
        talk: Vec::new(),
        writers: [owner, "slipway-bot", "reviewer"].map(str::to_owned).into(),
        labels: LABELS.map(str::to_owned).into(),
        teams: ["reviewers".to_owned()].into(),
        lfs: Storage::default(),
        made_at: HashMap::new(),
        pushed: HashMap::new(),
        extents: RefCell::default(),
    });
    state.counts.repositories_created += 1;
    if let Caller::Installation(acting) = &request.caller {
        // An App gets at what it has created (docs, "Installing your own GitHub App").
        let own = state.apps.installations.iter_mut().find(|known| known.id == acting.installation);
        own.map(|installed| installed.repositories.insert(id));
    }
    let at = state.repositories.len() - 1;
    if auto_init {
        first_commit(&state.repositories[at], request)?;
    }
    Ok(Answer::created(state.repository_view(at, Some(&request.caller))))
}

/// What `auto_init` does: a commit with a README on the default branch.
fn first_commit(repository: &Repository, request: &Request) -> Result<(), Answer> {
    let git = &repository.git;
    let readme = match &repository.description {
        Some(description) => format!("# {}\n{description}\n", repository.name),
        None => format!("# {}\n", repository.name),
    };
    let mut tree = git.treebuilder(None)?;
    tree.insert("README.md", git.blob(readme.as_bytes())?, 0o100_644)?;
    let tree = git.find_tree(tree.write()?)?;
    let login = request.caller.login()?;
    let time = git_time(request.now, 0);
    let author = git2::Signature::new(login, &noreply(login), &time)?;
    let committer = git2::Signature::new("GitHub", "noreply@github.com", &time)?;
    let reference = format!("refs/heads/{}", repository.default_branch);
    git.commit(Some(&reference), &author, &committer, "Initial commit", &tree, &[])?;
    Ok(())
}

pub(super) fn get_repository(state: &mut State, request: &Request) -> Outcome {
    let at = state.repository(request, Access::Read)?;
    Ok(Answer::ok(state.repository_view(at, Some(&request.caller))))
}

/// Changes name, description, visibility, default branch, archived.
pub(super) fn update_repository(state: &mut State, request: &Request) -> Outcome {
    let at = state.repository(request, Access::Administer)?;
    if let Some(name) = request.optional("name")? {
        rename(state, at, name)?;
    }
    let url = state.url.clone();
    let repository = &mut state.repositories[at];
    if let Some(branch) = request.optional("default_branch")? {
        if repository.tip(branch).is_none() {
            let message = format!(
                "The branch {branch} was not found. Please push that ref first or create it via the Git Data API."
            );
            return Err(Answer::invalid(
                json!({ "resource": "Repository", "code": "invalid", "field": "default_branch", "message": message, "url": url }),
            ));
        }
        branch.clone_into(&mut repository.default_branch);
        repository.git.set_head(&format!("refs/heads/{branch}"))?;
    }
    if let Some(description) = request.optional("description")? {
        repository.description = Some(description.to_owned());
    }
    for (name, field) in [("archived", &mut repository.archived), ("private", &mut repository.private)] {
        match request.body.get(name) {
            None => {}
            Some(serde_json::Value::Bool(value)) => *field = *value,
            Some(other) => return Err(not_a(name, other, "boolean")),
        }
    }
    repository.updated_at = request.now;
    Ok(Answer::ok(state.repository_view(at, Some(&request.caller))))
}

fn rename(state: &mut State, at: usize, name: &str) -> Result<(), Answer> {
    let repository = &state.repositories[at];
    if repository.name == name {
        return Ok(());
    }
    if state.find(&repository.owner, name).is_some_and(|other| other != at) {
        let error = json!({
            "resource": "Repository", "code": "custom", "field": "name",
            "message": "name already exists on this account",
        });
        return Err(Answer::invalid(error));
    }
    let (old, id) = (repository.full_name().to_ascii_lowercase(), repository.id);
    name.clone_into(&mut state.repositories[at].name);
    state.moved.insert(old, id);
    Ok(())
}

pub(super) fn delete_repository(state: &mut State, request: &Request) -> Outcome {
    let at = state.repository(request, Access::Administer)?;
    let removed = state.repositories.remove(at);
    state.moved.retain(|_, id| *id != removed.id);
    state.counts.repositories_deleted += 1;
    let directory = removed.git.path().to_owned();
    drop(removed);
    let cannot = |error: std::io::Error| {
        Answer::refused(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("stand-in: {}: {error}", directory.display()),
        )
    };
    std::fs::remove_dir_all(&directory).map_err(cannot)?;
    Ok(Answer::no_content())
}
