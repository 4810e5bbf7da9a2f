//! Failures of the Kubernetes API server, with a class and a stable reason each.
//! Every kube error becomes one of these before it leaves `cluster`.

use crate::{
    api::{bounds, conditions::reason},
    domain::failure::{Class, Failure},
};
use kube::core::Status;

/// A failed call to the Kubernetes API server. Messages never repeat whole objects.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The object changed since it was read, or one of that name exists: read again, decide again.
    #[error("the object has changed since it was read: {0}")]
    Conflict(String),
    /// The object, its namespace or its kind is not there.
    #[error("not found: {0}")]
    NotFound(String),
    /// The service account lacks a right; the message names the verb and the resource.
    #[error("the API server denies the call: {0}; grant this right to the operator's service account")]
    Denied(String),
    /// The API server refuses the object as it stands.
    #[error("the API server refuses the object: {0}")]
    Invalid(String),
    /// The answer could not be read as the kind it should be.
    #[error("the API server's answer can't be read: {0}")]
    Undecodable(String),
    /// No answer, or one that says try later.
    #[error("the Kubernetes API server gives no usable answer: {0}")]
    Unavailable(String),
}

impl Error {
    /// Returns the class of the failure for the caller.
    pub fn class(&self) -> Class {
        match self {
            Self::NotFound(_) => Class::NotFound,
            Self::Denied(_) => Class::Denied,
            Self::Invalid(_) | Self::Undecodable(_) => Class::Invalid,
            Self::Conflict(_) | Self::Unavailable(_) => Class::Transient,
        }
    }

    /// The failure of an operation, for status and retries.
    pub fn during(&self, operation: &'static str) -> Failure {
        Failure { operation, class: self.class(), reason: self.reason(), message: self.to_string() }
    }

    /// A stable name, fit for a condition or a metric label.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Conflict(_) => reason::CONFLICT,
            Self::NotFound(_) => reason::NOT_FOUND,
            Self::Denied(_) => reason::FORBIDDEN,
            Self::Invalid(_) => reason::INVALID,
            Self::Undecodable(_) => reason::UNDECODABLE,
            Self::Unavailable(_) => reason::API_SERVER_UNAVAILABLE,
        }
    }
}

impl From<kube::Error> for Error {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => of_status(&status),
            kube::Error::SerdeError(error) => Self::Undecodable(short(&error.to_string())),
            kube::Error::BuildRequest(error) => Self::Invalid(short(&error.to_string())),
            other => Self::Unavailable(short(&other.to_string())),
        }
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::Invalid(short(&error.to_string()))
    }
}

fn of_status(status: &Status) -> Error {
    if status.is_conflict() || status.is_already_exists() {
        Error::Conflict(short(&status.message))
    } else if status.is_not_found() || status.code == 404 {
        // A kind that is not installed answers in plain text, without a reason.
        Error::NotFound(short(&status.message))
    } else if status.is_forbidden() || status.code == 401 {
        Error::Denied(short(&status.message))
    } else if status.is_invalid() || matches!(status.code, 400 | 405 | 406 | 413 | 415) {
        Error::Invalid(causes(status))
    } else {
        Error::Unavailable(short(&format!("{} {}", status.code, status.message)))
    }
}

/// Field and reason of each cause. The message of a refusal as a whole may echo the object, so it is the last resort.
fn causes(status: &Status) -> String {
    let causes: Vec<String> = status
        .details
        .iter()
        .flat_map(|details| &details.causes)
        .map(|cause| format!("{}: {}", cause.field, bounds::cut(&cause.message, 200)))
        .take(5)
        .collect();
    if causes.is_empty() { bounds::cut(&status.message, 200) } else { short(&causes.join("; ")) }
}

fn short(text: &str) -> String {
    bounds::cut(text, bounds::MESSAGE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::response::{StatusCause, StatusDetails};

    fn of(code: u16, reason: &str, message: &str) -> Error {
        kube::Error::Api(Status::failure(message, reason).with_code(code).boxed()).into()
    }

    #[test]
    fn every_answer_has_its_class() {
        for (code, reason, class) in [
            (409, "Conflict", Class::Transient),
            (409, "AlreadyExists", Class::Transient),
            (404, "NotFound", Class::NotFound),
            (404, "Failed to parse error data", Class::NotFound),
            (403, "Forbidden", Class::Denied),
            (401, "Unauthorized", Class::Denied),
            (422, "Invalid", Class::Invalid),
            (429, "TooManyRequests", Class::Transient),
            (500, "InternalError", Class::Transient),
            (503, "ServiceUnavailable", Class::Transient),
            (504, "Timeout", Class::Transient),
            (0, "", Class::Transient),
        ] {
            assert_eq!(of(code, reason, "m").class(), class, "{code} {reason}");
        }
        let cut: Error = kube::Error::Service("connection reset".into()).into();
        assert_eq!((cut.class(), cut.reason()), (Class::Transient, "ApiServerUnavailable"));
    }

    #[test]
    fn a_denial_names_the_missing_right() {
        let message = r#"tasks.slipway.dev "t" is forbidden: User "u" cannot patch resource "tasks/status" in API group "slipway.dev" in the namespace "n""#;
        assert!(
            of(403, "Forbidden", message).to_string().contains(r#"cannot patch resource "tasks/status""#)
        );
    }

    #[test]
    fn a_refusal_does_not_echo_the_object() {
        let object = format!("Task \"t\" is invalid: {}", "secret-looking content ".repeat(500));
        let cause = StatusCause {
            reason: "FieldValueInvalid".into(),
            message: "must be one line".into(),
            field: "spec.title".into(),
        };
        let details = StatusDetails {
            name: "t".into(),
            group: "slipway.dev".into(),
            kind: "Task".into(),
            uid: String::new(),
            causes: vec![cause],
            retry_after_seconds: 0,
        };
        let status = Status::failure(&object, "Invalid").with_code(422).with_details(details);
        let text = Error::from(kube::Error::Api(status.boxed())).to_string();
        assert!(text.contains("spec.title: must be one line") && !text.contains("secret-looking"), "{text}");
        assert!(of(400, "BadRequest", &object).to_string().len() < 300);
    }
}
