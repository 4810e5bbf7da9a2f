//! One call as errors and the call layer name it, and what each way of failing makes of it.
//! Below every file of `e2b` that sends or reads; the table is in `e2b::answers`.

use super::answers::{self, Answer, Row};
use super::error::{self, Error};
use crate::api::conditions::reason;
use crate::domain::failure::Class;
use crate::telemetry::{BoxError, CallError, certificate};
use jiff::Timestamp;

/// The call that sends a pack, which may be large: its deadline is known by it.
pub const WRITE_PACK: &str = "writePack";

/// The part of the table that an answer is read by.
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

impl Call {
    /// No answer, or the call was not sent.
    pub(super) fn not_answered(self, cause: &BoxError) -> Error {
        if let Some(CallError::NotLeading) = cause.downcast_ref() {
            let message = "not sent: another replica leads".to_owned();
            return self.error(Class::Transient, reason::NOT_LEADING, message);
        }
        if let Some(complaint) = certificate::complaint(cause.as_ref()) {
            let message = format!("the certificate of {} {complaint}", self.who());
            return self.error(Class::Transient, reason::CERTIFICATE_NOT_TRUSTED, message);
        }
        self.lost(&root_cause(cause))
    }

    /// The other side, in words.
    fn who(self) -> &'static str {
        match self.api {
            Api::Lifecycle => "E2B",
            Api::Envd => "the sandbox",
        }
    }

    /// Not sent, because E2B has named a limit that is not over.
    pub(super) fn limited(self, until: Timestamp) -> Error {
        let message =
            "not sent: E2B has limited this call for the team's key, and is asked again when that is over";
        let error = self.error(Class::Throttled { until }, reason::E2B_RATE_LIMITED, message.to_owned());
        // For a create this is like a refusal: no sandbox was made.
        Error { status: Some(429), complete: true, ..error }
    }

    /// No whole answer came: what became of the call is unknown.
    pub(super) fn lost(self, cause: &str) -> Error {
        let reason = match self.api {
            Api::Lifecycle => reason::E2B_UNREACHABLE,
            Api::Envd => reason::SANDBOX_UNREACHABLE,
        };
        let message = format!("no whole answer from {}: {}", self.who(), error::stable_text(cause));
        self.error(Class::Transient, reason, message)
    }

    /// An answer came whole, but it is not what E2B sends.
    pub(super) fn unexpected(self, status: http::StatusCode, what: &str) -> Error {
        let message = format!("answer {} is not E2B's: {what}; {}", status.as_u16(), error::URLS);
        let error = self.error(Class::Transient, reason::E2B_UNEXPECTED_ANSWER, message);
        Error { status: Some(status.as_u16()), complete: true, ..error }
    }

    /// The sandbox did what it was told, and that failed: it may go better another time.
    pub(super) fn failed(self, what: &str) -> Error {
        Error {
            complete: true,
            ..self.error(Class::Transient, reason::SANDBOX_AGENT_ERROR, error::stable_text(what))
        }
    }

    /// The call was not sent, because it can't be right.
    pub(super) fn invalid(self, what: &str) -> Error {
        let reason = match self.api {
            Api::Lifecycle => reason::E2B_INVALID_REQUEST,
            Api::Envd => reason::SANDBOX_AGENT_ERROR,
        };
        Error { complete: true, ..self.error(Class::Invalid, reason, what.to_owned()) }
    }

    /// Not sent, because E2B can't be shown the key: it can't be right.
    pub(super) fn unsendable_key(self) -> Error {
        let message = "not sent: the API key has characters that no header may carry; put a valid key into the Secret of \
                       credentialsSecretRef (key apiKey) or into E2B_API_KEY";
        let error = self.error(Class::Denied, reason::E2B_UNAUTHORIZED, message.to_owned());
        Error { complete: true, ..error }
    }

    /// Returns the row of the table that `answer` has.
    pub(super) fn row(self, answer: &Answer<'_>) -> &'static Row {
        answers::find(if self.api == Api::Envd { answers::ENVD } else { self.operation }, answer)
    }

    /// Words `answer` as the failure that its row makes of it: who said what, and what helps.
    pub(super) fn said_no(self, answer: &Answer<'_>) -> Error {
        let row = self.row(answer);
        let (class, reason) = (row.class(answer, Timestamp::now()), row.reason);
        let who = self.who();
        let code = answer.error_code.map_or_else(|| answer.status.to_string(), str::to_owned);
        // What is wrong with the user's input stays word for word.
        let text = if class == Class::Invalid {
            error::bounded(answer.message)
        } else {
            error::stable_text(answer.message)
        };
        let mut message = format!("{who} answered {code}");
        for part in [text.as_str(), row.cure].into_iter().filter(|part| !part.is_empty()) {
            message.push_str(if message.contains(": ") { "; " } else { ": " });
            message.push_str(part);
        }
        Error { status: Some(answer.status), complete: true, ..self.error(class, reason, message) }
    }

    fn error(self, class: Class, reason: &'static str, message: String) -> Error {
        Error { operation: self.operation, class, reason, message, status: None, complete: false }
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
