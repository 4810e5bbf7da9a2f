//! Answers of the lifecycle API: bodies as E2B's generated servers write them.
//! Used by all of its handlers.

use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::idempotency::Answer;
use super::store::Record;
use crate::core::{self, Body, empty};

/// What a handler gives back: an answer with a JSON body, or an error.
pub type Result<T> = std::result::Result<T, Error>;

/// An error body of E2B: `{"code","message"[,"error_code"]}`.
#[derive(Clone, Debug)]
pub struct Error {
    pub status: StatusCode,
    pub message: String,
    /// `error_code` on the wire.
    pub reason: Option<String>,
}

impl Error {
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), reason: None }
    }

    pub fn coded(status: StatusCode, reason: &str, message: &str) -> Self {
        Self { status, message: message.to_owned(), reason: Some(reason.to_owned()) }
    }

    pub fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// The same words for a sandbox that is gone, one that never was and one of another team.
    pub fn no_sandbox(id: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            format!("Sandbox \"{id}\" doesn't exist or you don't have access to it"),
        )
    }

    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, message)
    }

    /// No place is left among the team's running sandboxes.
    pub fn too_many(limit: usize) -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            format!(
                "you have reached the maximum number of concurrent E2B sandboxes ({limit}). If you need more, \
                 please visit 'https://e2b.dev/docs/billing'"
            ),
        )
    }

    pub fn answer(&self) -> Answer {
        let mut body = json!({ "code": self.status.as_u16(), "message": self.message });
        if let Some(reason) = &self.reason {
            body["error_code"] = json!(reason);
        }
        Answer { status: self.status, body }
    }
}

impl From<Error> for Response<Body> {
    fn from(error: Error) -> Self {
        error.answer().into()
    }
}

impl From<Answer> for Response<Body> {
    fn from(answer: Answer) -> Self {
        core::json(answer.status, &answer.body)
    }
}

pub fn no_content() -> Response<Body> {
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// A path that the API does not have, as E2B's request validation says it: nothing but the words tells this from a sandbox
/// that is not there.
pub fn no_route() -> Response<Body> {
    Error::new(StatusCode::NOT_FOUND, "validation error: no matching operation was found").into()
}

/// The answer of create, connect and resume.
pub fn sandbox(record: &Record) -> Value {
    json!({
        "templateID": record.template.id(),
        "sandboxID": record.id,
        // Deprecated, constant and required: the Python client cannot do without it.
        "clientID": CLIENT_ID,
        "alias": record.template.name,
        "envdVersion": record.template.envd_version,
        "envdAccessToken": record.token,
        "trafficAccessToken": null,
        "domain": null,
    })
}

/// An element of a list.
pub fn listed(record: &Record) -> Value {
    let mut value = json!({
        "templateID": record.template.id(),
        "alias": record.template.name,
        "sandboxID": record.id,
        "clientID": CLIENT_ID,
        "startedAt": record.started_at,
        "endAt": record.end_at,
        "cpuCount": 2,
        "memoryMB": 512,
        "diskSizeMB": 10_240,
        "state": record.shown_as.clone().map_or_else(|| json!(record.state), Value::String),
        "envdVersion": record.template.envd_version,
    });
    if record.has_metadata {
        value["metadata"] = json!(record.metadata);
    }
    value
}

/// The answer of get.
pub fn detail(record: &Record) -> Value {
    let mut value = listed(record);
    value["envdAccessToken"] = json!(record.token);
    value["domain"] = Value::Null;
    if let Some(allowed) = record.allow_internet_access {
        value["allowInternetAccess"] = json!(allowed);
    }
    let on_timeout = if record.auto_pause { "pause" } else { "kill" };
    value["lifecycle"] = json!({ "autoResume": record.auto_resume, "onTimeout": on_timeout });
    value
}

const CLIENT_ID: &str = "6532622b";
