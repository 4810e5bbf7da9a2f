//! Why a call has no whole answer: which failure that is, and its words.
//! Used by `client` and `pack`, which read the answers.

use super::{Error, operation::Operation};
use crate::{
    api::conditions::reason,
    domain::failure::Class,
    telemetry::{BoxError, CallError, certificate},
};

/// No (whole) answer. Whether the call had its effect is unknown, so a write is looked up before it is repeated.
pub(super) fn lost(operation: Operation, error: &(dyn std::error::Error + 'static)) -> Error {
    let name = operation.name();
    let (reason, message) = match cause::<CallError>(error) {
        Some(CallError::NotLeading) => {
            (reason::NOT_LEADING, format!("{name} was not sent: another replica leads"))
        }
        Some(CallError::Deadline(after)) => {
            (reason::GITHUB_UNAVAILABLE, format!("GitHub did not answer {name} within {} s", after.as_secs()))
        }
        None => no_connection(name, error),
    };
    tracing::debug!(operation = name, error = ?BoxError::from(chain(error)), "no answer from GitHub");
    Error { operation: name, class: Class::Transient, reason, message, status: None }
}

fn no_connection(name: &str, error: &(dyn std::error::Error + 'static)) -> (&'static str, String) {
    if let Some(complaint) = certificate::complaint(error) {
        return (reason::CERTIFICATE_NOT_TRUSTED, format!("GitHub's certificate {complaint}"));
    }
    match cause::<reqwest::Error>(error) {
        Some(e) if e.is_connect() => (
            reason::GITHUB_UNREACHABLE,
            format!("{name} could not connect to GitHub: check GITHUB_API_URL, network and proxy"),
        ),
        _ => (reason::GITHUB_UNAVAILABLE, format!("the connection to GitHub was lost during {name}")),
    }
}

fn cause<'a, T: std::error::Error + 'static>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a T> {
    std::iter::successors(Some(error), |e| e.source()).find_map(|e| e.downcast_ref())
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let all: Vec<String> =
        std::iter::successors(Some(error), |e| e.source()).map(ToString::to_string).collect();
    all.join(": ")
}
