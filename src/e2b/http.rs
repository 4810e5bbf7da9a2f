//! One HTTP exchange with E2B: the description of the call, the request on its way, failures into [`Error`].
//! Below `e2b::lifecycle`, `e2b::envd` and `e2b::process`; above the call layer of `telemetry`.

use super::body::Chunks;
use super::error::{self, Answer, Error, reason};
use super::wire::ErrorBody;
use super::{E2b, Result};
use crate::domain::failure::Class;
use crate::telemetry::{BoxError, CallError, CallMeta};
use bytes::Bytes;
use jiff::Timestamp;
use std::time::Duration;
use tower::ServiceExt as _;

/// E2B's own deadline for a lifecycle request is 70 s; giving up before it loses answers.
const LIFECYCLE_DEADLINE: Duration = Duration::from_secs(90);
const ENVD_DEADLINE: Duration = Duration::from_secs(30);

/// Longest answer that is read into memory as a whole (bytes).
const MAX_ANSWER: usize = 32 << 20;
/// As much of an error's body as is looked at (bytes).
pub(super) const MAX_ERROR_BODY: usize = 64 << 10;

/// Which of the two tables of `e2b::error` an answer is read by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Api {
    Lifecycle,
    Envd,
}

/// One call, as errors and the call layer name it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    pub api: Api,
    pub operation: &'static str,
    pub write: bool,
}

/// An answer that was read to its end.
pub(super) struct Reply {
    pub status: http::StatusCode,
    pub headers: http::HeaderMap,
    pub body: Bytes,
}

impl Call {
    /// Sends the request and returns the answer's head with the body still to be read.
    pub(super) async fn send(
        self,
        e2b: &E2b,
        request: http::request::Builder,
        body: impl Into<reqwest::Body>,
    ) -> Result<(http::StatusCode, http::HeaderMap, Chunks)> {
        let (service, deadline) = match self.api {
            Api::Lifecycle => (&e2b.lifecycle, LIFECYCLE_DEADLINE),
            Api::Envd => (&e2b.envd, ENVD_DEADLINE),
        };
        let meta = CallMeta { operation: self.operation, deadline, write: self.write };
        let request = request
            .extension(meta)
            .body(body.into())
            .map_err(|e| self.invalid(&format!("no request: {e}")))?;
        let response = service.clone().oneshot(request).await.map_err(|e| self.not_answered(&e))?;
        let (head, body) = response.into_parts();
        Ok((head.status, head.headers.clone(), Chunks::new(self, &head.headers, body)))
    }

    /// Sends the request and reads the whole answer, whatever its status.
    pub(super) async fn exchange(
        self,
        e2b: &E2b,
        request: http::request::Builder,
        body: impl Into<reqwest::Body>,
    ) -> Result<Reply> {
        let (status, headers, mut chunks) = self.send(e2b, request, body).await?;
        let max = if status.is_success() { MAX_ANSWER } else { MAX_ERROR_BODY };
        match chunks.read_all(max).await {
            Ok(body) => Ok(Reply { status, headers, body: body.into() }),
            Err(error) => Err(Error { status: Some(status.as_u16()), ..error }),
        }
    }

    fn not_answered(self, cause: &BoxError) -> Error {
        if let Some(CallError::NotLeading) = cause.downcast_ref() {
            let message = "not sent: another replica leads".to_owned();
            return self.error(Class::Transient, reason::NOT_LEADING, message);
        }
        self.lost(&root_cause(cause))
    }

    /// No whole answer came: what became of the call is unknown.
    pub(super) fn lost(self, cause: &str) -> Error {
        let (reason, who) = match self.api {
            Api::Lifecycle => (reason::UNREACHABLE, "E2B"),
            Api::Envd => (reason::SANDBOX_UNREACHABLE, "the sandbox"),
        };
        let message = format!("no whole answer from {who}: {}", error::stable_text(cause));
        self.error(Class::Transient, reason, message)
    }

    /// An answer came whole, but it is not what E2B sends.
    pub(super) fn unexpected(self, status: http::StatusCode, what: &str) -> Error {
        let cure = error::cure(reason::UNEXPECTED_ANSWER).unwrap_or_default();
        let message = format!("answer {} is not E2B's: {what}; {cure}", status.as_u16());
        let error = self.error(Class::Transient, reason::UNEXPECTED_ANSWER, message);
        Error { status: Some(status.as_u16()), complete: true, ..error }
    }

    /// The sandbox did what it was told, and that failed: it may go better another time.
    pub(super) fn failed(self, what: &str) -> Error {
        Error { complete: true, ..self.error(Class::Transient, reason::ENVD_ERROR, error::stable_text(what)) }
    }

    /// The call was not sent, because it can't be right.
    pub(super) fn invalid(self, what: &str) -> Error {
        let reason = match self.api {
            Api::Lifecycle => reason::INVALID_REQUEST,
            Api::Envd => reason::ENVD_ERROR,
        };
        Error { complete: true, ..self.error(Class::Invalid, reason, what.to_owned()) }
    }

    /// An answer that says no.
    pub(super) fn refused(self, reply: &Reply) -> Error {
        let body = ErrorBody::parse(&reply.body);
        let answer = Answer {
            status: reply.status.as_u16(),
            error_code: body.error_code.as_deref(),
            message: &body.message,
            retry_after: reply.headers.get("retry-after").and_then(|v| v.to_str().ok()),
        };
        self.said_no(&answer)
    }

    /// What `answer` means, by the table of the API.
    pub(super) fn said_no(self, answer: &Answer<'_>) -> Error {
        let now = Timestamp::now();
        let (class, reason) = match self.api {
            Api::Lifecycle => error::lifecycle(self.operation, answer, now),
            Api::Envd => error::envd(answer, now),
        };
        let who = match self.api {
            Api::Lifecycle => "E2B",
            Api::Envd => "the sandbox",
        };
        let code = answer.error_code.map_or_else(|| answer.status.to_string(), str::to_owned);
        // What is wrong with the user's input stays word for word.
        let text = if class == Class::Invalid {
            error::bounded(answer.message)
        } else {
            error::stable_text(answer.message)
        };
        let mut message = format!("{who} answered {code}");
        for part in [Some(text.as_str()), error::cure(reason)].into_iter().flatten().filter(|p| !p.is_empty())
        {
            message.push_str(if message.contains(": ") { "; " } else { ": " });
            message.push_str(part);
        }
        Error { status: Some(answer.status), complete: true, ..self.error(class, reason, message) }
    }

    fn error(self, class: Class, reason: &'static str, message: String) -> Error {
        Error { operation: self.operation, class, reason, message, status: None, complete: false }
    }
}

impl Reply {
    /// Whether this is a 404 of E2B itself: a proxy or a wrong base URL answers 404 too, without E2B's body.
    pub(super) fn is_definite_not_found(&self) -> bool {
        self.status == http::StatusCode::NOT_FOUND && ErrorBody::parse(&self.body).says_not_found
    }
}

/// The innermost cause of a transport error: the outer ones name URLs.
pub(super) fn root_cause(error: &BoxError) -> String {
    let mut cause: &dyn std::error::Error = error.as_ref();
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
