//! What a webhook may be: its address, form and secret, its events, and what GitHub refuses of them.
//! `hooks` has the routes; `state` keeps the hooks with their repository.

use http::StatusCode;
use serde_json::{Value, json};

use super::answer::Answer;
use super::request::{Request, not_a};
use super::state::{Hook, Repository};

/// Most hooks of a repository that are told of the same event.
const MOST: usize = 20;

/// What a repository's hook can be told of (REST docs, "Webhook events and payloads"); `*` is all of it.
const EVENTS: &[&str] = &[
    "*",
    "branch_protection_configuration",
    "branch_protection_rule",
    "check_run",
    "check_suite",
    "code_scanning_alert",
    "commit_comment",
    "create",
    "custom_property_values",
    "delete",
    "dependabot_alert",
    "deploy_key",
    "deployment",
    "deployment_protection_rule",
    "deployment_review",
    "deployment_status",
    "discussion",
    "discussion_comment",
    "fork",
    "gollum",
    "issue_comment",
    "issues",
    "label",
    "member",
    "merge_group",
    "meta",
    "milestone",
    "package",
    "page_build",
    "project",
    "project_card",
    "project_column",
    "public",
    "pull_request",
    "pull_request_review",
    "pull_request_review_comment",
    "pull_request_review_thread",
    "push",
    "registry_package",
    "release",
    "repository",
    "repository_advisory",
    "repository_import",
    "repository_ruleset",
    "repository_vulnerability_alert",
    "secret_scanning_alert",
    "secret_scanning_alert_location",
    "security_and_analysis",
    "star",
    "status",
    "sub_issues",
    "team_add",
    "watch",
    "workflow_dispatch",
    "workflow_job",
    "workflow_run",
];

fn invalid(message: &str) -> Answer {
    Answer::custom("Hook", message)
}

/// A `config` as it was sent: `None` for what it does not name.
#[derive(Default)]
pub(super) struct HookConfig {
    url: Option<String>,
    content_type: Option<String>,
    secret: Option<String>,
    insecure_ssl: Option<String>,
}

impl HookConfig {
    pub(super) fn read(config: Option<&Value>) -> Result<Self, Answer> {
        let config = match config {
            None | Some(Value::Null) => return Ok(Self::default()),
            Some(Value::Object(config)) => config,
            Some(other) => return Err(not_a("config", other, "object")),
        };
        let text = |name: &str| match config.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(Value::Number(number)) if name == "insecure_ssl" => Ok(Some(number.to_string())),
            Some(other) => Err(not_a(name, other, "string")),
        };
        let (url, content_type) = (text("url")?, text("content_type")?);
        let (secret, insecure_ssl) = (text("secret")?, text("insecure_ssl")?);
        Ok(Self { url, content_type, secret, insecure_ssl })
    }

    /// Makes this the whole of the hook's config.
    pub(super) fn replace(self, hook: &mut Hook) -> Result<(), Answer> {
        if self.url.as_deref().is_none_or(str::is_empty) {
            return Err(invalid("Config must contain URL for webhooks"));
        }
        hook.secret = None;
        // GitHub's defaults for hooks that the API makes.
        (hook.content_type, hook.insecure_ssl) = ("form".to_owned(), "0".to_owned());
        self.change(hook)
    }

    /// Changes what is named.
    pub(super) fn change(self, hook: &mut Hook) -> Result<(), Answer> {
        if let Some(url) = self.url {
            hook.url = reachable(url)?;
        }
        if let Some(content_type) = self.content_type {
            if !matches!(content_type.as_str(), "json" | "form") {
                return Err(invalid("Content type must be \"json\" or \"form\""));
            }
            hook.content_type = content_type;
        }
        if let Some(secret) = self.secret {
            // The stars that GitHub shows are taken for a secret, if somebody sends them back.
            hook.secret = Some(secret).filter(|secret| !secret.is_empty());
        }
        if let Some(insecure_ssl) = self.insecure_ssl {
            if !matches!(insecure_ssl.as_str(), "0" | "1") {
                return Err(invalid("Insecure SSL must be \"0\" or \"1\""));
            }
            hook.insecure_ssl = insecure_ssl;
        }
        Ok(())
    }
}

/// The address, if GitHub would send anything there. Loopback by number is where the stand-in's own receivers are.
fn reachable(url: String) -> Result<String, Answer> {
    let parsed: Option<http::Uri> = url.parse().ok();
    let web = parsed.filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")));
    let Some(host) = web.as_ref().and_then(http::Uri::host).filter(|host| !host.is_empty()) else {
        return Err(invalid("The URL you've entered is not valid"));
    };
    if host == "localhost" || host.ends_with(".localhost") {
        let message =
            format!("url is not supported because it isn't reachable over the public Internet ({host})");
        let error = json!({ "resource": "Hook", "code": "custom", "field": "url", "message": message });
        return Err(Answer::invalid(error));
    }
    Ok(url)
}

/// A list of events of the body; `None` when it is not there.
pub(super) fn events(request: &Request, name: &str) -> Result<Option<Vec<String>>, Answer> {
    let Some(value) = request.body.get(name) else { return Ok(None) };
    let list = value.as_array().ok_or_else(|| not_a(name, value, "array"))?;
    let mut events = Vec::new();
    for event in list {
        let event = event.as_str().ok_or_else(|| not_a(name, event, "string"))?;
        if !EVENTS.contains(&event) {
            let message = format!("These events are not allowed for this hook: {event}");
            let error =
                json!({ "resource": "Hook", "code": "custom", "field": "events", "message": message });
            return Err(Answer::invalid(error));
        }
        events.push(event.to_owned());
    }
    Ok(Some(events))
}

/// Refuses a double of another hook, and one too many for an event.
pub(super) fn check(repository: &Repository, hook: &Hook) -> Result<(), Answer> {
    let others = || repository.hooks.iter().filter(|other| other.id != hook.id);
    let both = |other: &Hook| {
        let all = |one: &Hook| one.events.iter().any(|event| event == "*");
        all(hook) || all(other) || hook.events.iter().any(|event| other.events.contains(event))
    };
    // Hooks of one address are fine as long as no event is told to both.
    if others().any(|other| other.url == hook.url && both(other)) {
        return Err(invalid("Hook already exists on this repository"));
    }
    let told = |event: &str| others().filter(|other| other.events.iter().any(|one| one == event)).count();
    let full = hook.events.iter().filter(|event| told(event) >= MOST).map(|event| {
        let message = format!("The \"{event}\" event cannot have more than {MOST} hooks");
        json!({ "resource": "Hook", "code": "custom", "message": message })
    });
    let full: Vec<Value> = full.collect();
    if full.is_empty() {
        return Ok(());
    }
    let body = json!({ "message": "Validation Failed", "errors": full });
    Err(Answer::new(StatusCode::UNPROCESSABLE_ENTITY, body))
}

/// A hook's `config` as the API shows it: that there is a secret, and never which.
pub(super) fn view(hook: &Hook) -> Value {
    let mut config =
        json!({ "url": hook.url, "content_type": hook.content_type, "insecure_ssl": hook.insecure_ssl });
    if hook.secret.is_some() {
        config["secret"] = "********".into();
    }
    config
}
