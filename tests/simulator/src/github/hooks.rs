//! A repository's webhooks over the REST API: made, changed, pinged, removed.
//! `hook_config` knows what a hook may be, `deliveries` sends, `delivery_log` shows what was sent.

use serde_json::{Value, json};

use super::answer::{Answer, Outcome};
use super::auth::{Access, Caller, TokenKind, authorize};
use super::hook_config::{self, HookConfig};
use super::request::{Request, not_a, paginate, stamp};
use super::state::{Hook, State};
use super::{GitHub, Refused, delivery_log};
use crate::github::delivery::Delivery;

fn view(state: &State, at: usize, hook: &Hook, request: &Request) -> Value {
    let url = format!("{}/repos/{}/hooks/{}", state.url, state.repositories[at].full_name(), hook.id);
    json!({
        "type": "Repository",
        "id": hook.id,
        "name": "web",
        "active": hook.active,
        "events": hook.events,
        "config": hook_config::view(hook),
        "created_at": stamp(hook.created_at),
        "updated_at": stamp(hook.updated_at),
        "url": url,
        "test_url": format!("{url}/test"),
        "ping_url": format!("{url}/pings"),
        "deliveries_url": format!("{url}/deliveries"),
        "last_response": delivery_log::last_response(state, hook.id, request.now),
    })
}

/// The repository, for those who may see or change its hooks. To others hooks do not exist, however public the repository.
fn repository(state: &State, request: &Request, change: bool) -> Result<usize, Answer> {
    let at = state.repository(request, Access::Read)?;
    let (caller, repository) = (&request.caller, &state.repositories[at]);
    let hidden = match caller {
        Caller::Anonymous | Caller::App(_) => true,
        Caller::Token(token) => token.kind == TokenKind::Personal && token.permissions.is_none(),
        Caller::Installation(_) | Caller::Person(_) => false,
    };
    authorize(caller, repository, Access::Administer)
        .map_err(|refusal| if hidden { Answer::not_found() } else { refusal })?;
    if change {
        authorize(caller, repository, Access::Write)?;
    }
    Ok(at)
}

/// The repository and the hook that a request names.
pub(super) fn find(state: &State, request: &Request, change: bool) -> Result<(usize, Hook), Answer> {
    let at = repository(state, request, change)?;
    let id = request.number("hook_id")?;
    let hook = state.repositories[at].hooks.iter().find(|hook| hook.id == id);
    Ok((at, hook.ok_or_else(Answer::not_found)?.clone()))
}

/// Keeps what was changed, if it is no double of another hook.
fn keep(state: &mut State, at: usize, mut hook: Hook, request: &Request) -> Result<Hook, Answer> {
    hook_config::check(&state.repositories[at], &hook)?;
    hook.updated_at = request.now;
    for known in state.repositories[at].hooks.iter_mut().filter(|known| known.id == hook.id) {
        *known = hook.clone();
    }
    Ok(hook)
}

fn active(request: &Request, otherwise: bool) -> Result<bool, Answer> {
    match request.body.get("active") {
        None => Ok(otherwise),
        Some(Value::Bool(active)) => Ok(*active),
        Some(other) => Err(not_a("active", other, "boolean")),
    }
}

pub(super) fn create_hook(state: &mut State, request: &Request) -> Outcome {
    let at = repository(state, request, true)?;
    if let Some(unknown) =
        request.body.keys().find(|key| !matches!(key.as_str(), "name" | "config" | "events" | "active"))
    {
        return Err(Answer::unprocessable(format!(
            "Invalid request.\n\n\"{unknown}\" is not a permitted key."
        )));
    }
    if !matches!(request.optional("name")?, None | Some("web")) {
        let error = json!({ "resource": "Hook", "code": "invalid", "field": "name" });
        return Err(Answer::invalid(error));
    }
    let config = HookConfig::read(request.body.get("config"))?;
    let events = hook_config::events(request, "events")?.filter(|events| !events.is_empty());
    let mut hook = Hook {
        id: 500_000_000 + state.next_id(),
        url: String::new(),
        secret: None,
        content_type: String::new(),
        insecure_ssl: String::new(),
        events: events.unwrap_or_else(|| vec!["push".to_owned()]),
        active: active(request, true)?,
        created_at: request.now,
        updated_at: request.now,
    };
    config.replace(&mut hook)?;
    hook_config::check(&state.repositories[at], &hook)?;
    let view = view(state, at, &hook, request);
    let sender = request.caller.login()?.to_owned();
    state.emit_ping(at, &hook, &view, &sender);
    state.repositories[at].hooks.push(hook);
    let url = view["url"].as_str().unwrap_or_default().to_owned();
    Ok(Answer::created(view).with_header("location", url))
}

pub(super) fn list_hooks(state: &mut State, request: &Request) -> Outcome {
    let at = repository(state, request, false)?;
    let hooks: Vec<&Hook> = state.repositories[at].hooks.iter().collect();
    let (page, link) = paginate(request, &state.url, hooks);
    let page = page.into_iter().map(|hook| view(state, at, hook, request)).collect();
    Ok(Answer::page(Value::Array(page), link))
}

pub(super) fn get_hook(state: &mut State, request: &Request) -> Outcome {
    let (at, hook) = find(state, request, false)?;
    Ok(Answer::ok(view(state, at, &hook, request)))
}

/// A `config` takes the place of the one before as a whole: without `secret` the secret is gone.
pub(super) fn update_hook(state: &mut State, request: &Request) -> Outcome {
    let (at, mut hook) = find(state, request, true)?;
    if let Some(config) = request.body.get("config") {
        HookConfig::read(Some(config))?.replace(&mut hook)?;
    }
    if let Some(events) = hook_config::events(request, "events")? {
        hook.events = events;
    }
    hook.events.extend(hook_config::events(request, "add_events")?.unwrap_or_default());
    let removed = hook_config::events(request, "remove_events")?.unwrap_or_default();
    hook.events.retain(|event| !removed.contains(event));
    hook.events.sort();
    hook.events.dedup();
    hook.active = active(request, hook.active)?;
    let hook = keep(state, at, hook, request)?;
    Ok(Answer::ok(view(state, at, &hook, request)))
}

pub(super) fn get_hook_config(state: &mut State, request: &Request) -> Outcome {
    let (_, hook) = find(state, request, false)?;
    Ok(Answer::ok(hook_config::view(&hook)))
}

/// What is not named stays (unlike `PATCH /hooks/{id}`, which drops the secret).
pub(super) fn update_hook_config(state: &mut State, request: &Request) -> Outcome {
    let (at, mut hook) = find(state, request, true)?;
    let config = Value::Object(request.body.clone());
    HookConfig::read(Some(&config))?.change(&mut hook)?;
    let hook = keep(state, at, hook, request)?;
    Ok(Answer::ok(hook_config::view(&hook)))
}

pub(super) fn delete_hook(state: &mut State, request: &Request) -> Outcome {
    let (at, hook) = find(state, request, true)?;
    state.repositories[at].hooks.retain(|known| known.id != hook.id);
    Ok(Answer::no_content())
}

pub(super) fn ping_hook(state: &mut State, request: &Request) -> Outcome {
    let (at, hook) = find(state, request, true)?;
    let view = view(state, at, &hook, request);
    let sender = request.caller.login()?.to_owned();
    state.emit_ping(at, &hook, &view, &sender);
    Ok(Answer::no_content())
}

/// Sends the latest push once more, to a hook that is told of pushes.
pub(super) fn test_hook(state: &mut State, request: &Request) -> Outcome {
    let (at, hook) = find(state, request, true)?;
    let sender = request.caller.login()?.to_owned();
    state.emit_last_push(at, &hook, &sender);
    Ok(Answer::no_content())
}

impl GitHub {
    /// Delivers once more, as a person does at the hook's page; returns the new delivery. `None`: unknown id, or no such hook any more.
    pub async fn redeliver(&self, id: u64) -> Option<Delivery> {
        let hook_id = self.deliveries.get(id)?.hook_id;
        let hook = {
            let state = self.inner.state();
            let mut hooks = state.repositories.iter().flat_map(|repository| &repository.hooks);
            hooks.find(|hook| hook.id == hook_id)?.clone()
        };
        self.deliveries.redeliver(id, hook).await
    }

    /// Changes a hook's secret, and nothing else of it.
    pub fn set_hook_secret(&self, full_name: &str, hook: u64, secret: &str) -> Result<(), Refused> {
        let target = format!("/repos/{full_name}/hooks/{hook}/config");
        self.act("reviewer", &http::Method::PATCH, &target, json!({ "secret": secret })).map(drop)
    }
}
