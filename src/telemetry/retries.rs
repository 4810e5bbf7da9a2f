//! The log lines of a retry.
//! The adapter of GitHub reports the result of a call; the controllers, who own the waits, report that one begins.

use super::context;
use std::time::Duration;

/// A call failed: one warning with the attempt it was. Not for states that are answers (a lookup's 404) and not
/// for what was never sent.
pub fn call_failed(operation: &'static str, status: Option<u16>, error: &str) {
    let (attempt, of) = context::attempt().map_or((1, 1), |a| (a.number, a.of));
    tracing::warn!(operation, attempt, of, status, error, "github call failed");
}

/// A call succeeded; worth a line only if it is the one that failed before.
pub fn call_succeeded(operation: &'static str) {
    let Some(attempt) = context::attempt().filter(|a| a.number > 1 && a.operation == operation) else {
        return;
    };
    let (attempt, of) = (attempt.number, attempt.of);
    tracing::info!(operation, attempt, of, "github call succeeded after retry");
}

/// The next attempt comes after `wait`. Logged when the wait is written to the object, not when it is over.
pub fn retrying(operation: &str, wait: Duration) {
    let in_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    tracing::info!(operation, in_ms, "retrying");
}
