//! What an App asks with its JWT: itself, its installations, tokens for them; and what an installation asks of itself.
//! State and rules of tokens are in `apps`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::answer::{Answer, Outcome};
use super::apps::{App, Installed, RepositorySelection, suspended};
use super::auth::Caller;
use super::permissions::{Permissions, has};
use super::request::{Request, not_a, paginate, stamp};
use super::state::{Repository, State};

/// Most repositories that a token may be asked for by name or id.
const MOST: usize = 500;

fn caller<'a>(state: &'a State, request: &Request) -> Result<&'a App, Answer> {
    let Caller::App(id) = request.caller else { return Err(request.caller.not_accessible()) };
    state.apps.app(id).ok_or_else(Answer::not_found)
}

/// The caller's installation that the path names.
fn named<'a>(state: &'a State, request: &Request) -> Result<&'a Installed, Answer> {
    let app = caller(state, request)?;
    let found = state.apps.installation(request.number("installation_id")?);
    found.filter(|installed| installed.app == app.id).ok_or_else(Answer::not_found)
}

fn view(state: &State, installed: &Installed) -> Value {
    let app = state.apps.app(installed.app);
    let (slug, client) = app.map(|app| (app.slug.clone(), app.client_id())).unwrap_or_default();
    let account = state.user_view(&installed.account);
    let url = format!("{}/app/installations/{}", state.url, installed.id);
    json!({
        "id": installed.id,
        "client_id": client,
        "account": account,
        "repository_selection": installed.selection.name(),
        "access_tokens_url": format!("{url}/access_tokens"),
        "repositories_url": format!("{}/installation/repositories", state.url),
        "html_url": format!("https://github.com/settings/installations/{}", installed.id),
        "app_id": installed.app,
        "app_slug": slug,
        "target_id": account["id"],
        "target_type": account["type"],
        "permissions": installed.permissions,
        "events": [],
        "created_at": stamp(installed.created_at),
        "updated_at": stamp(installed.suspended_at.unwrap_or(installed.created_at)),
        "single_file_name": null,
        "has_multiple_single_files": false,
        "single_file_paths": [],
        "suspended_by": null,
        "suspended_at": installed.suspended_at.map(stamp),
    })
}

pub(super) fn get_app(state: &mut State, request: &Request) -> Outcome {
    let app = caller(state, request)?;
    let count = state.apps.installations.iter().filter(|installed| installed.app == app.id).count();
    Ok(Answer::ok(json!({
        "id": app.id,
        "client_id": app.client_id(),
        "slug": app.slug,
        "node_id": super::objects::node_id("A", app.id),
        "owner": state.user_view("acme"),
        "name": app.slug,
        "description": null,
        "external_url": "https://example.com",
        "html_url": format!("https://github.com/apps/{}", app.slug),
        "permissions": app.permissions,
        "events": [],
        "installations_count": count,
    })))
}

pub(super) fn list_installations(state: &mut State, request: &Request) -> Outcome {
    let app = caller(state, request)?;
    let own = state.apps.installations.iter().filter(|installed| installed.app == app.id);
    let views = own.map(|installed| view(state, installed)).collect::<Vec<_>>();
    let (page, link) = paginate(request, &state.url, views);
    Ok(Answer::page(json!(page), link))
}

pub(super) fn get_installation(state: &mut State, request: &Request) -> Outcome {
    let installed = named(state, request)?;
    Ok(Answer::ok(view(state, installed)))
}

/// A repository that the App has no access to looks like one that is not there.
pub(super) fn get_repository_installation(state: &mut State, request: &Request) -> Outcome {
    let app = caller(state, request)?;
    let at = state.find(request.param("owner"), request.param("repo")).ok_or_else(Answer::not_found)?;
    let repository = &state.repositories[at];
    let own = |installed: &&Installed| installed.app == app.id && installed.has(repository);
    let installed = state.apps.installations.iter().find(own).ok_or_else(Answer::not_found)?;
    Ok(Answer::ok(view(state, installed)))
}

pub(super) fn create_access_token(state: &mut State, request: &Request) -> Outcome {
    let installed = named(state, request)?;
    if installed.suspended_at.is_some() {
        return Err(suspended());
    }
    let permissions = asked_permissions(installed, request)?;
    let ids = asked_repositories(state, installed, request)?;
    let selection = if ids.is_some() { RepositorySelection::Selected } else { installed.selection };
    let of = (installed.id, installed.app);
    let minted = state.apps.mint(of, ids.clone(), permissions, request.now);
    let mut answer = json!({
        "token": minted.value,
        "expires_at": stamp(minted.expires_at),
        "permissions": minted.permissions,
        "repository_selection": selection.name(),
    });
    // Without a wish for some there is no list, whatever the selection.
    if let Some(ids) = ids {
        let all = 0..state.repositories.len();
        let chosen = all.filter(|at| ids.contains(&state.repositories[*at].id));
        answer["repositories"] = chosen.map(|at| state.repository_view(at, None)).collect();
    }
    Ok(Answer::created(answer))
}

/// What was asked for, if all of it was granted; nothing asked for: all that was granted.
fn asked_permissions(installed: &Installed, request: &Request) -> Result<Permissions, Answer> {
    let asked = match request.body.get("permissions") {
        None | Some(Value::Null) => return Ok(installed.permissions.clone()),
        Some(Value::Object(asked)) => asked,
        Some(other) => return Err(not_a("permissions", other, "object")),
    };
    let mut permissions = Permissions::new();
    for (name, level) in asked {
        let Some(level) = level.as_str() else { return Err(not_a(name, level, "string")) };
        if !has(&installed.permissions, name, level) {
            let message = "The permissions requested are not granted to this installation.";
            return Err(Answer::unprocessable(message));
        }
        permissions.insert(name.clone(), level.to_owned());
    }
    // Comes with any other.
    permissions.entry("metadata".to_owned()).or_insert_with(|| "read".to_owned());
    Ok(permissions)
}

/// Ids of the repositories asked for by name and by id, all of which the installation must have.
fn asked_repositories(
    state: &State,
    installed: &Installed,
    request: &Request,
) -> Result<Option<BTreeSet<u64>>, Answer> {
    let mut ids = BTreeSet::new();
    let mut asked = 0;
    for name in ["repositories", "repository_ids"] {
        let wanted = match request.body.get(name) {
            None | Some(Value::Null) => continue,
            Some(Value::Array(wanted)) => wanted,
            Some(other) => return Err(not_a(name, other, "array")),
        };
        asked += wanted.len();
        for one in wanted {
            let is = |repository: &&Repository| match one {
                Value::String(known) => name == "repositories" && repository.name.eq_ignore_ascii_case(known),
                _ => name == "repository_ids" && one.as_u64() == Some(repository.id),
            };
            let found = state.repositories.iter().filter(|repository| installed.has(repository)).find(is);
            let message = "There is at least one repository that does not exist or is not accessible to the parent installation.";
            ids.insert(found.ok_or_else(|| Answer::unprocessable(message))?.id);
        }
    }
    if asked > MOST {
        return Err(Answer::unprocessable(format!("Invalid request.\n\nNo more than {MOST} repositories.")));
    }
    Ok((asked > 0).then_some(ids))
}

/// What the token reaches.
pub(super) fn list_repositories(state: &mut State, request: &Request) -> Outcome {
    let Caller::Installation(acting) = &request.caller else {
        let message = "You must authenticate with an installation access token in order to list repositories for an installation.";
        return Err(Answer::forbidden(message));
    };
    let all = 0..state.repositories.len();
    let reached: Vec<usize> = all.filter(|at| acting.reaches(&state.repositories[*at])).collect();
    let total = reached.len();
    let (page, link) = paginate(request, &state.url, reached);
    let views: Vec<Value> =
        page.into_iter().map(|at| state.repository_view(at, Some(&request.caller))).collect();
    let selection =
        if acting.is_selected() { RepositorySelection::Selected } else { RepositorySelection::All };
    let view =
        json!({ "total_count": total, "repository_selection": selection.name(), "repositories": views });
    Ok(Answer::page(view, link))
}

/// A token ends itself.
pub(super) fn revoke_token(state: &mut State, request: &Request) -> Outcome {
    let Caller::Installation(acting) = &request.caller else { return Err(request.caller.not_accessible()) };
    state.apps.tokens.retain(|token| token.value != acting.token);
    Ok(Answer::no_content())
}
