//! Creating sandboxes: `POST /v2/sandboxes` and its deprecated twin.
//! `idempotency` decides whether a request acts, `machine` is what comes up.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap};
use http::{Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::answer::{self, Error, Result};
use super::idempotency::{Admission, Answer, Keys};
use super::lifecycle::parse_timeout;
use super::machine::{Blueprint, Machine};
use super::options::{Team, Template};
use super::service::Service;
use super::store::KeyMode;
use super::store::{Record, State, end_at};
use crate::core::Body;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Version {
    V1,
    V2,
}

impl Version {
    /// Seconds a sandbox lives when the request does not say.
    fn default_timeout(self) -> u64 {
        match self {
            Self::V1 => 15,
            Self::V2 => 300,
        }
    }
}

/// What is read of `NewSandbox` and `NewSandboxV2`; other fields are accepted and have no effect here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewSandbox {
    #[serde(rename = "templateID")]
    template_id: String,
    timeout: Option<i32>,
    auto_pause: Option<bool>,
    auto_pause_memory: Option<bool>,
    auto_resume: Option<AutoResume>,
    metadata: Option<BTreeMap<String, String>>,
    env_vars: Option<HashMap<String, String>>,
    #[serde(rename = "allow_internet_access")]
    allow_internet_access: Option<bool>,
}

#[derive(Deserialize)]
struct AutoResume {
    enabled: bool,
}

pub async fn post(
    service: &Arc<Service>,
    version: Version,
    team: &Team,
    headers: &HeaderMap,
    body: &Bytes,
) -> Response<Body> {
    let key = match idempotency_key(version, headers) {
        Ok(key) => key,
        Err(error) => return error.into(),
    };
    let (request, new) = match parse(headers, body) {
        Ok(parsed) => parsed,
        Err(error) => return error.into(),
    };
    let mode = service.store().key_mode;
    let Some(key) = key.filter(|_| mode != KeyMode::Ignore) else {
        return answered(service, version, team, new).await.into();
    };
    let admission = service.store().keys.admit(&team.name, &key, &request, service.now());
    match admission {
        Admission::Act => {
            let answer = answered(service, version, team, new).await;
            service.store().keys.record(&team.name, &key, answer.clone());
            answer.into()
        }
        Admission::Replay(_) if mode == KeyMode::ForgetOutcomes => Error::coded(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency_outcome_unknown",
            "The outcome of the original request is unknown",
        )
        .into(),
        Admission::Replay(answer) => answer.into(),
        Admission::Mismatch => Error::coded(
            StatusCode::CONFLICT,
            "idempotency_request_mismatch",
            "Idempotency-Key was already used with a different request",
        )
        .into(),
        Admission::InProgress => Error::coded(
            StatusCode::CONFLICT,
            "idempotency_in_progress",
            "The original request has not recorded a response yet. Retry with the same Idempotency-Key.",
        )
        .into(),
    }
}

/// The key of a request; the deprecated endpoint ignores it.
fn idempotency_key(version: Version, headers: &HeaderMap) -> Result<Option<String>> {
    let mut values = headers.get_all("idempotency-key").iter();
    let (Some(value), Version::V2) = (values.next(), version) else { return Ok(None) };
    let value = value.to_str().ok().filter(|value| Keys::is_valid(value) && values.next().is_none());
    value.map(|value| Some(value.to_owned())).ok_or_else(|| {
        Error::bad("Idempotency-Key must contain one value of 1 to 255 lowercase ASCII letters or digits")
    })
}

/// The body as it is and as it is understood.
fn parse(headers: &HeaderMap, body: &Bytes) -> Result<(Value, NewSandbox)> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    if !content_type.starts_with("application/json") {
        return Err(Error::bad(format!(
            "validation error: error in openapi3filter.RequestError: request body has an error: \
             header Content-Type has unexpected value \"{content_type}\""
        )));
    }
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| Error::bad(format!("Error when parsing request: {error}")))?;
    if value.get("templateID").is_none() {
        return Err(Error::bad(
            "validation error: error in openapi3filter.RequestError: request body has an error: doesn't match schema \
             #/components/schemas/NewSandbox: Error at \"/templateID\": property \"templateID\" is missing",
        ));
    }
    let new = NewSandbox::deserialize(&value).map_err(|error| {
        Error::bad(format!(
            "validation error: error in openapi3filter.RequestError: request body has an error: doesn't match schema \
             #/components/schemas/NewSandbox: {error}"
        ))
    })?;
    Ok((value, new))
}

async fn answered(service: &Arc<Service>, version: Version, team: &Team, new: NewSandbox) -> Answer {
    match create(service, version, team, new).await {
        Ok(body) => Answer { status: StatusCode::CREATED, body },
        Err(error) => error.answer(),
    }
}

async fn create(service: &Arc<Service>, version: Version, team: &Team, new: NewSandbox) -> Result<Value> {
    let (latency, refusal) = {
        let mut store = service.store();
        (store.create_latency, store.refuse_creates.pop_front())
    };
    tokio::time::sleep(latency).await;
    if let Some(refusal) = refusal {
        let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        return Err(Error { status, message: refusal.message, reason: refusal.error_code });
    }
    let template = service.store().template(&new.template_id).cloned();
    let template = template.ok_or_else(|| {
        Error::new(StatusCode::NOT_FOUND, format!("template '{}' not found", new.template_id))
    })?;
    let timeout = parse_timeout(new.timeout, version.default_timeout(), team)?;
    let auto_pause = new.auto_pause.unwrap_or(false);
    let auto_resume = new.auto_resume.as_ref().is_some_and(|auto_resume| auto_resume.enabled);
    if new.auto_pause_memory == Some(false) && !auto_pause {
        return Err(Error::bad("autoPauseMemory=false only applies when autoPause is true."));
    }
    if new.auto_pause_memory == Some(false) && auto_resume {
        return Err(Error::bad(
            "autoPauseMemory=false (filesystem-only auto-pause) cannot be combined with autoResume: a filesystem-only \
             snapshot cannot be auto-resumed by traffic and must be resumed explicitly.",
        ));
    }
    service.store().reserve(team).map_err(Error::too_many)?;
    let started = start(service, team, &template, &new, timeout).await;
    service.store().release(&team.name);
    started.map_err(|error| {
        tracing::error!(error = format!("{error:#}"), "creating a sandbox failed");
        Error::coded(StatusCode::INTERNAL_SERVER_ERROR, "sandbox_create_failed", "Failed to create sandbox")
    })
}

async fn start(
    service: &Arc<Service>,
    team: &Team,
    template: &Template,
    new: &NewSandbox,
    timeout: Duration,
) -> anyhow::Result<Value> {
    let id = sandbox_id();
    let token = hex::encode(Sha256::digest(format!("envd-access-token:{id}")));
    let mut environment = HashMap::from([
        ("E2B_SANDBOX".to_owned(), "true".to_owned()),
        ("E2B_SANDBOX_ID".to_owned(), id.clone()),
        ("E2B_TEMPLATE_ID".to_owned(), template.id()),
    ]);
    environment.extend(new.env_vars.clone().unwrap_or_default());
    let blueprint = Blueprint {
        directory: service.directory().join(&id),
        hidden_commands: template.hidden_commands.clone(),
        default_user: template.default_user.clone(),
        has_default_user: template.has_default_user(),
        environment,
        token: token.clone(),
    };
    let machine = Arc::new(Machine::start(service.isolation(), service.clock(), blueprint).await?);
    service.register(&machine);
    let now = service.now();
    let mut store = service.store();
    let hidden = jiff::SignedDuration::try_from(store.hide_new)?;
    let record = Record {
        id: id.clone(),
        team: team.name.clone(),
        template: template.clone(),
        has_metadata: new.metadata.is_some(),
        metadata: new.metadata.clone().unwrap_or_default(),
        state: State::Running,
        started_at: now,
        end_at: end_at(now, timeout, now, team.max_run()),
        auto_pause: new.auto_pause.unwrap_or(false),
        auto_resume: new.auto_resume.as_ref().is_some_and(|auto_resume| auto_resume.enabled),
        allow_internet_access: new.allow_internet_access,
        timeout,
        token,
        machine,
        hidden_until: (!hidden.is_zero()).then(|| now + hidden),
        unreachable: None,
        hidden_gets: 0,
        without_memory: false,
        shown_as: None,
    };
    let body = answer::sandbox(&record);
    store.sandboxes.insert(id, record);
    store.counters.creates += 1;
    drop(store);
    service.lifetimes_changed();
    Ok(body)
}

/// `i` and twenty letters or digits, as E2B's ids are.
fn sandbox_id() -> String {
    let alphabet = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let (a, b) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
    let random = a.as_bytes().iter().chain(b.as_bytes());
    let letters = random.take(20).map(|byte| char::from(alphabet[usize::from(*byte) % alphabet.len()]));
    std::iter::once('i').chain(letters).collect()
}
