//! Classifies a failed E2B call: one table from answers to classes and reasons.
//! Filled by `e2b::http`, read by the Sandbox and Task controllers.

use crate::api::conditions::reason;
use crate::domain::failure::{Class, Failure};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// A failed call. The message is stable: no request ids, no times, no secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation}: {message}")]
pub struct Error {
    /// Stable name of the operation, for example `createSandbox`.
    pub operation: &'static str,
    pub class: Class,
    /// Stable CamelCase reason, for example `SandboxQuota`.
    pub reason: &'static str,
    /// Cause and cure in words.
    pub message: String,
    /// The HTTP status, where one was received.
    pub status: Option<u16>,
    /// See [`Error::answered`].
    pub(super) complete: bool,
}

impl Error {
    /// Returns whether the other side's answer arrived in full. `false`: it is lost (or the request never left), and
    /// whether the effect took place is unknown.
    pub fn answered(&self) -> bool {
        self.complete
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { operation: error.operation, class: error.class, reason: error.reason, message: error.message }
    }
}

/// Any error body of both APIs: E2B's `code` is a number, Connect's a word.
#[derive(Debug, Default)]
pub(super) struct ErrorBody {
    pub message: String,
    pub error_code: Option<String>,
    pub says_not_found: bool,
}

impl ErrorBody {
    pub(super) fn parse(body: &[u8]) -> Self {
        let Ok(Value::Object(fields)) = serde_json::from_slice::<Value>(body) else {
            return Self::default();
        };
        let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
        let connect_code = text("code");
        let says_not_found = match fields.get("code") {
            Some(Value::Number(code)) => code.as_u64() == Some(404),
            _ => connect_code.as_deref() == Some("not_found"),
        };
        Self {
            message: text("message").unwrap_or_default(),
            error_code: text("error_code").or(connect_code),
            says_not_found,
        }
    }
}

/// Content of an answer other than success.
pub(super) struct Answer<'a> {
    pub status: u16,
    pub error_code: Option<&'a str>,
    pub message: &'a str,
    pub retry_after: Option<&'a str>,
}

/// The one mark of a full concurrency quota: E2B gives it no `error_code`.
const CONCURRENCY_TEXT: &str = "maximum number of concurrent";

/// The table of the control API: facts of E2B's server by status, then `error_code`, then text.
pub(super) fn lifecycle(
    operation: &'static str,
    answer: &Answer<'_>,
    now: Timestamp,
) -> (Class, &'static str) {
    use Class::{Denied, Invalid, NotFound, Throttled, Transient};
    let creating = operation == "createSandbox";
    match (answer.status, answer.error_code.unwrap_or_default()) {
        (401, _) => (Denied, reason::E2B_UNAUTHORIZED),
        (403, _) => (Denied, reason::E2B_FORBIDDEN),
        (404, _) if creating => (Invalid, reason::TEMPLATE_NOT_FOUND),
        (404, _) => (NotFound, reason::E2B_NOT_FOUND),
        (409, "idempotency_in_progress") => (Transient, reason::IDEMPOTENCY_IN_PROGRESS),
        (409, "idempotency_request_mismatch") => (Transient, reason::IDEMPOTENCY_MISMATCH),
        (409 | 422, "idempotency_outcome_unknown") => (Transient, reason::IDEMPOTENCY_UNKNOWN),
        (409, "sandbox_snapshot_guest_agent_unresponsive") => {
            (Transient, reason::SANDBOX_SNAPSHOT_UNRESPONSIVE)
        }
        (409, _) if answer.message.contains("being killed") => (Transient, reason::SANDBOX_BEING_KILLED),
        (409, _) => (Transient, reason::SANDBOX_BUSY),
        (429, _) if answer.message.contains(CONCURRENCY_TEXT) => (Transient, reason::SANDBOX_QUOTA),
        (429, _) => match answer.retry_after.and_then(|value| retry_at(value, now)) {
            Some(until) => (Throttled { until }, reason::E2B_RATE_LIMITED),
            None => (Transient, reason::E2B_RATE_LIMITED),
        },
        (500, "sandbox_create_refused") => (Invalid, reason::SANDBOX_CREATE_REFUSED),
        (503, _) if answer.message.contains("same Idempotency-Key") => {
            (Transient, reason::IDEMPOTENCY_IN_PROGRESS)
        }
        (
            500..,
            "sandbox_capacity_unavailable" | "sandbox_no_compatible_node" | "sandbox_placement_timeout",
        ) => (Transient, reason::SANDBOX_CAPACITY),
        (408 | 500.., _) => (Transient, reason::E2B_UNAVAILABLE),
        (400..=499, _) => (Invalid, reason::E2B_INVALID_REQUEST),
        _ => (Transient, reason::E2B_UNEXPECTED_ANSWER),
    }
}

/// The table of envd and of the proxy before it, by HTTP status or by the code of a Connect error.
pub(super) fn envd(answer: &Answer<'_>, now: Timestamp) -> (Class, &'static str) {
    use Class::{Denied, Invalid, NotFound, Transient};
    match (answer.status, answer.error_code.unwrap_or_default()) {
        (_, "unavailable") | (409 | 502..=504, _) => (Transient, reason::SANDBOX_UNREACHABLE),
        (429, _) => lifecycle("envd", answer, now),
        (_, "deadline_exceeded") => (Transient, reason::COMMAND_TIMEOUT),
        (_, "unauthenticated" | "permission_denied") | (401 | 403, _) => {
            (Denied, reason::SANDBOX_AGENT_ERROR)
        }
        (_, "not_found") | (404, _) => (NotFound, reason::E2B_NOT_FOUND),
        (_, "invalid_argument" | "failed_precondition" | "out_of_range") | (400 | 405..=499, _) => {
            (Invalid, reason::SANDBOX_AGENT_ERROR)
        }
        _ => (Transient, reason::SANDBOX_AGENT_ERROR),
    }
}

/// `Retry-After` as seconds or as an HTTP date, as an instant.
fn retry_at(value: &str, now: Timestamp) -> Option<Timestamp> {
    if let Ok(seconds) = value.trim().parse::<u32>() {
        return now.checked_add(SignedDuration::from_secs(i64::from(seconds))).ok();
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(value.trim()).ok()?;
    Some(date.max(now))
}

/// Names what a person can do, where there is something.
pub(super) fn cure(reason: &str) -> Option<&'static str> {
    Some(match reason {
        reason::E2B_UNAUTHORIZED => {
            "put a valid key into the Secret of credentialsSecretRef (key apiKey) or into E2B_API_KEY, \
             then set the annotation slipway.dev/reconcile to any new value"
        }
        reason::E2B_FORBIDDEN => "check that the team of the API key is not blocked and may use the template",
        reason::TEMPLATE_NOT_FOUND => "set spec.template to a template that the team of the API key can see",
        reason::SANDBOX_QUOTA => "wait until other sandboxes end, kill some, or raise the plan's limit",
        reason::SANDBOX_SNAPSHOT_UNRESPONSIVE => "kill the sandbox if it stays so: it is replaced then",
        reason::E2B_INVALID_REQUEST | reason::SANDBOX_CREATE_REFUSED => "correct the Sandbox's spec",
        reason::E2B_UNEXPECTED_ANSWER => "check E2B_API_URL and E2B_SANDBOX_URL",
        _ => return None,
    })
}

/// The server's text made fit for a condition: one line, bounded, without what changes from call to call
/// (request ids, addresses, times: words of eight or more characters with a digit in them).
pub(super) fn stable_text(text: &str) -> String {
    let words = text.split_whitespace().map(|word| {
        let noisy = word.chars().count() >= 8 && word.chars().any(|c| c.is_ascii_digit());
        if noisy { "…" } else { word }
    });
    bounded(&words.collect::<Vec<_>>().join(" "))
}

/// The server's text as one line of at most 300 characters.
pub(super) fn bounded(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(300).collect()
}
