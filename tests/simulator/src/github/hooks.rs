//! A repository's webhooks over the REST API, and what it shows of their deliveries.
//! The delivering itself is in `deliveries`.

use serde_json::{Value, json};

use super::answer::{Answer, Outcome};
use super::auth::Access;
use super::request::{Request, stamp};
use super::state::{Hook, State};

fn view(state: &State, at: usize, hook: &Hook) -> Value {
    let url = format!("{}/repos/{}/hooks/{}", state.url, state.repositories[at].full_name(), hook.id);
    let mut config = json!({ "url": hook.url, "content_type": hook.content_type, "insecure_ssl": "0" });
    if hook.secret.is_some() {
        config["secret"] = "********".into();
    }
    json!({
        "type": "Repository",
        "id": hook.id,
        "name": "web",
        "active": hook.active,
        "events": hook.events,
        "config": config,
        "created_at": stamp(hook.created_at),
        "updated_at": stamp(hook.created_at),
        "url": url,
        "test_url": format!("{url}/test"),
        "ping_url": format!("{url}/pings"),
        "deliveries_url": format!("{url}/deliveries"),
        "last_response": { "code": null, "status": "unused", "message": null },
    })
}

pub(super) fn create_hook(state: &mut State, request: &Request) -> Outcome {
    let at = state.repository(request, Access::Write)?;
    let config = request.body.get("config").and_then(Value::as_object);
    let text = |name: &str| config.and_then(|config| config.get(name)).and_then(Value::as_str);
    let invalid =
        |message: &str| Answer::invalid(json!({ "resource": "Hook", "code": "custom", "message": message }));
    let Some(url) = text("url") else {
        return Err(invalid("Config must contain URL for webhooks"));
    };
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err(invalid("The URL you've entered is not valid"));
    }
    // GitHub's default for hooks that the API creates.
    let content_type = text("content_type").unwrap_or("form");
    if !matches!(content_type, "json" | "form") {
        return Err(invalid("Content type must be \"json\" or \"form\""));
    }
    let mut events = Vec::new();
    for event in request.body.get("events").and_then(Value::as_array).into_iter().flatten() {
        events.extend(event.as_str().map(str::to_owned));
    }
    if events.is_empty() {
        events.push("push".to_owned());
    }
    if state.repositories[at].hooks.iter().any(|hook| hook.url == url && hook.events == events) {
        return Err(invalid("Hook already exists on this repository"));
    }
    let hook = Hook {
        id: 500_000_000 + state.next_id(),
        url: url.to_owned(),
        secret: text("secret").filter(|secret| !secret.is_empty()).map(str::to_owned),
        content_type: content_type.to_owned(),
        events,
        active: request.body.get("active").and_then(Value::as_bool).unwrap_or(true),
        created_at: request.now,
    };
    let view = view(state, at, &hook);
    let sender = request.caller.login()?.to_owned();
    state.emit_ping(at, &hook, &view, &sender);
    state.repositories[at].hooks.push(hook);
    Ok(Answer::created(view))
}

pub(super) fn list_hooks(state: &mut State, request: &Request) -> Outcome {
    let at = state.repository(request, Access::Write)?;
    let hooks = state.repositories[at].hooks.iter().map(|hook| view(state, at, hook)).collect();
    Ok(Answer::ok(Value::Array(hooks)))
}

fn find(state: &State, at: usize, request: &Request) -> Result<usize, Answer> {
    let id = request.number("hook_id")?;
    state.repositories[at].hooks.iter().position(|hook| hook.id == id).ok_or_else(Answer::not_found)
}

pub(super) fn get_hook(state: &mut State, request: &Request) -> Outcome {
    let at = state.repository(request, Access::Write)?;
    let index = find(state, at, request)?;
    Ok(Answer::ok(view(state, at, &state.repositories[at].hooks[index])))
}

/// Changes the secret or the URL; what is not named stays (unlike `PATCH /hooks/{id}`, which drops the secret).
pub(super) fn update_hook_config(state: &mut State, request: &Request) -> Outcome {
    let at = state.repository(request, Access::Write)?;
    let index = find(state, at, request)?;
    let (url, secret) = (request.optional("url")?, request.optional("secret")?);
    let content_type = request.optional("content_type")?;
    let hook = &mut state.repositories[at].hooks[index];
    if let Some(url) = url {
        url.clone_into(&mut hook.url);
    }
    if let Some(secret) = secret {
        hook.secret = Some(secret.to_owned()).filter(|secret| !secret.is_empty());
    }
    if let Some(content_type) = content_type {
        content_type.clone_into(&mut hook.content_type);
    }
    let mut view = view(state, at, &state.repositories[at].hooks[index]);
    Ok(Answer::ok(view["config"].take()))
}

pub(super) fn delete_hook(state: &mut State, request: &Request) -> Outcome {
    let at = state.repository(request, Access::Write)?;
    let index = find(state, at, request)?;
    state.repositories[at].hooks.remove(index);
    Ok(Answer::no_content())
}
