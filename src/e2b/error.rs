//! A failed E2B call, the body that says why, and its words made fit for people.
//! Filled by `e2b::call` from the table in `e2b::answers`, read by the Sandbox and Task controllers.

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
    /// E2B's `code`, a number.
    pub code: Option<u64>,
    pub says_not_found: bool,
}

impl ErrorBody {
    pub(super) fn parse(body: &[u8]) -> Self {
        let Ok(Value::Object(fields)) = serde_json::from_slice::<Value>(body) else {
            return Self::default();
        };
        let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
        let connect_code = text("code");
        let code = fields.get("code").and_then(Value::as_u64);
        let says_not_found = code == Some(404) || connect_code.as_deref() == Some("not_found");
        Self {
            message: text("message").unwrap_or_default(),
            error_code: text("error_code").or(connect_code),
            code,
            says_not_found,
        }
    }
}

/// Longest wait that an answer can ask for: E2B's limits count over half a minute.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_mins(5);

/// `Retry-After` as seconds or as an HTTP date, as an instant that is not too far away.
pub(super) fn retry_at(value: &str, now: Timestamp) -> Option<Timestamp> {
    let asked = match value.trim().parse::<u64>() {
        Ok(seconds) => {
            now.saturating_add(SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX))).ok()?
        }
        Err(_) => jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(value.trim()).ok()?,
    };
    Some(asked.clamp(now, now + LONGEST_WAIT))
}

/// Cure of an answer that is not E2B's.
pub(super) const URLS: &str = "check E2B_API_URL and E2B_SANDBOX_URL";

/// The server's text made fit for a condition: one line, bounded, without what changes from call to call
/// (request ids, addresses, times: words of eight or more characters with a digit in them). Links to pages stay.
pub(super) fn stable_text(text: &str) -> String {
    let words = text.split_whitespace().map(|word| {
        let noisy = word.chars().count() >= 8 && word.chars().any(|c| c.is_ascii_digit());
        if noisy && !is_link_to_a_page(word) { "…" } else { word }
    });
    bounded(&words.collect::<Vec<_>>().join(" "))
}

/// Returns whether a word, perhaps in quotes, is a link that is the same for everybody: neither behind the host nor before it
/// stands what looks like an id.
fn is_link_to_a_page(word: &str) -> bool {
    let Some(link) = word.trim_start_matches(['(', '\'', '"', '<']).strip_prefix("https://") else {
        return false;
    };
    let (host, rest) = link.split_once(['/', '?', '#']).unwrap_or((link, ""));
    // Hosts of sandboxes begin with port and id.
    let has_id = |part: &str| part.len() >= 8 && part.bytes().any(|byte| byte.is_ascii_digit());
    let parts = host.split('.').chain(rest.split(['/', '?', '#', '&', '=', '-', '_', '.']));
    !parts.into_iter().any(has_id)
}

/// The server's text as one line of at most 300 characters.
pub(super) fn bounded(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_from_call_to_call_is_left_out_and_links_stay() {
        for (said, shown) in [
            ("request 0af7651916cd43dd failed", "request … failed"),
            ("visit 'https://e2b.dev/docs/billing'", "visit 'https://e2b.dev/docs/billing'"),
            ("see https://e2b.dev/docs.", "see https://e2b.dev/docs."),
            ("see (https://e2b.dev/dashboard?tab=keys)", "see (https://e2b.dev/dashboard?tab=keys)"),
            ("see https://e2b.dev/docs/sandbox-v2#limits", "see https://e2b.dev/docs/sandbox-v2#limits"),
            ("see https://e2b.dev/requests/0af7651916cd43dd", "see …"),
            ("see https://e2b.dev/x?request=0af7651916cd43dd", "see …"),
            ("at https://49983-i3u9zyb6f8oru83mv881x.e2b.app/files", "at …"),
            ("at http://10.0.0.17:3000", "at …"),
        ] {
            assert_eq!(stable_text(said), shown);
        }
    }
}
