//! The webhooks of a repository, and what GitHub has delivered to one: made, found, repaired, removed, sent again.
//! Which hook is the operator's own, and which deliveries are worth another attempt, the Repository controller decides.
//!
//! Source: GitHub REST API, "Repository webhooks".

use super::{
    Client, Error,
    call::{Call, Reply},
    classify::State,
    name::RepositoryName,
    operation::Operation,
    recent::Made,
};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

/// Entries per page, as many as GitHub gives.
const PAGE: usize = 100;
/// Hooks beyond so many pages are not looked at: an event has at most 20 of them, and at GitHub Enterprise Server 250.
const MAX_PAGES: u32 = 10;
/// The event that each hook of the operator's is told of, whatever else it is told of.
const ALWAYS: [&str; 2] = ["pull_request", "*"];

/// A webhook of a repository, as far as GitHub shows it: never its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    pub id: u64,
    pub url: String,
    pub active: bool,
    pub events: Vec<String>,
    /// `json` or `form`.
    pub content_type: String,
    /// Whether GitHub delivers to whatever certificate it meets.
    pub insecure_ssl: bool,
    /// Absent where GitHub has forgotten it, which it does after a month.
    pub last_response: Option<LastResponse>,
}

/// How the last delivery to a hook ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastResponse {
    /// Absent while nothing was delivered, and where nobody answered.
    pub code: Option<u16>,
    /// `unused`, `active`, `misconfigured`, `timeout`, `connection_error`, or what GitHub calls it next.
    pub status: String,
    pub message: Option<String>,
}

/// A webhook to make.
#[derive(Debug, Clone, Copy)]
pub struct NewHook<'a> {
    pub url: &'a str,
    pub secret: &'a SecretString,
    pub events: &'a [&'a str],
}

/// Result of making a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CreatedHook {
    Created(Hook),
    /// There is one with this URL for one of these events: find it.
    Exists,
}

/// Result of changing a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangedHook {
    Changed,
    /// The webhook is not there any more.
    Gone,
}

/// One attempt to deliver an event to a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookDelivery {
    pub id: u64,
    /// The same for all attempts at one event.
    pub guid: String,
    pub delivered_at: Timestamp,
    pub redelivery: bool,
    /// `OK`, or what went wrong, in GitHub's words.
    pub status: String,
    /// 0 where nobody answered and GitHub does not make up a code.
    pub status_code: u16,
    pub event: String,
    pub action: Option<String>,
}

/// One page of the deliveries to a webhook, the newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveriesPage {
    pub deliveries: Vec<HookDelivery>,
    /// Where the next page begins, if there is one. What it is made of is GitHub's business.
    pub next: Option<String>,
}

/// Result of asking for another attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redelivered {
    /// GitHub will make the attempt.
    Accepted,
    /// GitHub has forgotten the delivery, which it does after three days, or the webhook is gone.
    Gone,
}

#[derive(Deserialize)]
struct HookAnswer {
    id: u64,
    #[serde(default)]
    active: Option<bool>,
    #[serde(default)]
    events: Value,
    #[serde(default)]
    config: Value,
    #[serde(default)]
    last_response: Value,
}

impl From<HookAnswer> for Hook {
    fn from(answer: HookAnswer) -> Self {
        let config = |name: &str| answer.config[name].as_str().unwrap_or_default().to_owned();
        let events = answer.events.as_array().map(Vec::as_slice).unwrap_or_default().iter();
        let insecure_ssl = match &answer.config["insecure_ssl"] {
            Value::String(word) => word != "0" && !word.is_empty(),
            Value::Number(number) => number.as_u64() != Some(0),
            Value::Bool(insecure) => *insecure,
            _ => false,
        };
        Self {
            id: answer.id,
            url: config("url"),
            active: answer.active.unwrap_or(true),
            events: events.filter_map(Value::as_str).map(str::to_owned).collect(),
            content_type: config("content_type"),
            insecure_ssl,
            last_response: last_response(&answer.last_response),
        }
    }
}

fn last_response(answer: &Value) -> Option<LastResponse> {
    let code = answer["code"].as_u64().and_then(|code| u16::try_from(code).ok());
    let status = answer["status"].as_str()?.to_owned();
    Some(LastResponse { code, status, message: answer["message"].as_str().map(str::to_owned) })
}

/// A list's entries; one that can't be read is somebody else's, and no reason to read none.
fn readable<'v, T: Deserialize<'v>>(entries: &'v [Value]) -> impl Iterator<Item = T> {
    entries.iter().filter_map(|entry| T::deserialize(entry).ok())
}

#[derive(Deserialize)]
struct DeliveryAnswer {
    id: u64,
    guid: String,
    delivered_at: Timestamp,
    #[serde(default)]
    redelivery: Option<bool>,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    status_code: Option<u16>,
    event: String,
    #[serde(default)]
    action: Option<String>,
}

impl From<DeliveryAnswer> for HookDelivery {
    fn from(answer: DeliveryAnswer) -> Self {
        Self {
            id: answer.id,
            guid: answer.guid,
            delivered_at: answer.delivered_at,
            redelivery: answer.redelivery.unwrap_or_default(),
            status: answer.status.unwrap_or_default(),
            status_code: answer.status_code.unwrap_or_default(),
            event: answer.event,
            action: answer.action,
        }
    }
}

impl Client {
    /// The webhook with this id; `None` when it is gone. Unchanged since the last call: costs no rate limit (`ETag`).
    pub async fn get_hook(&self, repository: &RepositoryName, id: u64) -> Result<Option<Hook>, Error> {
        let path = path_of(repository, id);
        let call = Call::get(Operation::GetHook, path).about(repository).needs(Made::Hook(id));
        Ok(self.find::<HookAnswer>(call).await?.map(Hook::from))
    }

    /// The webhook with this URL. Of several it is the one that is told of pull requests, then the oldest.
    pub async fn find_hook(&self, repository: &RepositoryName, url: &str) -> Result<Option<Hook>, Error> {
        let operation = Operation::ListHooks;
        let mut found: Vec<Hook> = Vec::new();
        for page in 1..=MAX_PAGES {
            let path = format!("/repos/{repository}/hooks?per_page={PAGE}&page={page}");
            let success = match self.send(Call::get(operation, path).about(repository)).await? {
                Reply::Success(success) => success,
                Reply::State(other) => return Err(other.unexpected(operation)),
            };
            let hooks: Vec<Value> = success.json(operation)?;
            found.extend(readable::<HookAnswer>(&hooks).map(Hook::from).filter(|hook| hook.url == url));
            if success.next_page.is_none() {
                break;
            }
        }
        let is_ours = |hook: &Hook| hook.events.iter().any(|event| ALWAYS.contains(&event.as_str()));
        Ok(found.into_iter().min_by_key(|hook| (!is_ours(hook), hook.id)))
    }

    /// Makes a webhook.
    pub async fn create_hook(
        &self,
        repository: &RepositoryName,
        hook: &NewHook<'_>,
    ) -> Result<CreatedHook, Error> {
        let operation = Operation::CreateHook;
        let config = config(hook.url, hook.secret);
        let body = json!({ "name": "web", "active": true, "events": hook.events, "config": config });
        let call = Call::post(operation, format!("/repos/{repository}/hooks"), &body).about(repository);
        match self.send(call).await? {
            Reply::Success(success) => {
                let created: Hook = success.json::<HookAnswer>(operation)?.into();
                self.just_made(repository, Made::Hook(created.id));
                Ok(CreatedHook::Created(created))
            }
            Reply::State(State::AlreadyExists) => Ok(CreatedHook::Exists),
            Reply::State(other) => Err(other.unexpected(operation)),
        }
    }

    /// Sets what a webhook is told of and whether it is active. Its `config` is left out: GitHub would take one without the
    /// secret for one that has none.
    pub async fn repair_hook(
        &self,
        repository: &RepositoryName,
        id: u64,
        events: &[&str],
        active: bool,
    ) -> Result<ChangedHook, Error> {
        let body = json!({ "events": events, "active": active });
        let call = Call::patch(Operation::UpdateHook, path_of(repository, id), &body);
        self.change(call.about(repository).needs(Made::Hook(id))).await
    }

    /// Sets where a webhook leads, how it is signed, and that it is JSON over a connection that is checked.
    pub async fn set_hook_config(
        &self,
        repository: &RepositoryName,
        id: u64,
        url: &str,
        secret: &SecretString,
    ) -> Result<ChangedHook, Error> {
        let path = format!("{}/config", path_of(repository, id));
        let call = Call::patch(Operation::SetHookConfig, path, &config(url, secret));
        self.change(call.about(repository).needs(Made::Hook(id))).await
    }

    /// Removes a webhook. `Gone` may also be a token that is not shown it.
    pub async fn delete_hook(&self, repository: &RepositoryName, id: u64) -> Result<ChangedHook, Error> {
        let call = Call::delete(Operation::DeleteHook, path_of(repository, id));
        let changed = self.change(call.about(repository).needs(Made::Hook(id))).await?;
        self.recent().deleted(repository, Made::Hook(id));
        Ok(changed)
    }

    /// Asks for a delivery that moves nothing: whether it arrives tells whether others would.
    pub async fn ping_hook(&self, repository: &RepositoryName, id: u64) -> Result<ChangedHook, Error> {
        let path = format!("{}/pings", path_of(repository, id));
        let call = Call::post(Operation::PingHook, path, &json!({}));
        self.change(call.about(repository).needs(Made::Hook(id))).await
    }

    async fn change(&self, call: Call<'_>) -> Result<ChangedHook, Error> {
        let operation = call.operation;
        match self.send(call).await? {
            Reply::Success(_) => Ok(ChangedHook::Changed),
            Reply::State(State::Absent) => Ok(ChangedHook::Gone),
            Reply::State(other) => Err(other.unexpected(operation)),
        }
    }

    /// A page of what was delivered to a webhook in the last three days: the newest, or what begins at `cursor`.
    pub async fn hook_deliveries(
        &self,
        repository: &RepositoryName,
        id: u64,
        cursor: Option<&str>,
    ) -> Result<DeliveriesPage, Error> {
        let operation = Operation::ListDeliveries;
        let cursor = cursor.map_or_else(String::new, |cursor| format!("&cursor={cursor}"));
        let path = format!("{}/deliveries?per_page={PAGE}{cursor}", path_of(repository, id));
        match self.send(Call::get(operation, path).about(repository).needs(Made::Hook(id))).await? {
            Reply::Success(success) => {
                let entries: Vec<Value> = success.json(operation)?;
                let deliveries = readable::<DeliveryAnswer>(&entries).map(HookDelivery::from).collect();
                Ok(DeliveriesPage { deliveries, next: success.next_cursor })
            }
            Reply::State(other) => Err(other.unexpected(operation)),
        }
    }

    /// Asks for another attempt at a delivery. GitHub makes it later, and lists it when it is over.
    pub async fn redeliver(
        &self,
        repository: &RepositoryName,
        hook: u64,
        delivery: u64,
    ) -> Result<Redelivered, Error> {
        let operation = Operation::Redeliver;
        let path = format!("{}/deliveries/{delivery}/attempts", path_of(repository, hook));
        match self.send(Call::post(operation, path, &json!({})).about(repository)).await? {
            Reply::Success(_) => Ok(Redelivered::Accepted),
            Reply::State(State::Absent) => Ok(Redelivered::Gone),
            Reply::State(other) => Err(other.unexpected(operation)),
        }
    }
}

fn path_of(repository: &RepositoryName, id: u64) -> String {
    format!("/repos/{repository}/hooks/{id}")
}

fn config(url: &str, secret: &SecretString) -> Value {
    json!({ "url": url, "content_type": "json", "insecure_ssl": "0", "secret": secret.expose_secret() })
}
