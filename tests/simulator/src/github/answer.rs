//! What a handler answers, and GitHub's wordings of what goes wrong.
//! Built by every handler; `mod` turns it into an HTTP response.

use http::StatusCode;
use serde_json::{Value, json};

/// A handler's answer: a success or, as an `Err`, GitHub's refusal.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: Vec<(&'static str, String)>,
    /// `None`: no body at all (204).
    pub(super) body: Option<Value>,
}

pub(super) type Outcome = Result<Answer, Answer>;

impl Answer {
    pub(super) fn new(status: StatusCode, body: Value) -> Self {
        Self { status, headers: Vec::new(), body: Some(body) }
    }

    pub(super) fn ok(body: Value) -> Self {
        Self::new(StatusCode::OK, body)
    }

    pub(super) fn created(body: Value) -> Self {
        Self::new(StatusCode::CREATED, body)
    }

    /// One page of a list, with the `Link` header that leads to the others.
    pub(super) fn page(body: Value, link: Option<String>) -> Self {
        let answer = Self::ok(body);
        match link {
            Some(link) => answer.with_header("link", link),
            None => answer,
        }
    }

    pub(super) fn no_content() -> Self {
        Self { status: StatusCode::NO_CONTENT, headers: Vec::new(), body: None }
    }

    /// A refusal; `documentation_url` and `status` are added where the answer is sent.
    pub(super) fn refused(status: StatusCode, message: impl Into<String>) -> Self {
        Self::new(status, json!({ "message": message.into() }))
    }

    pub(super) fn not_found() -> Self {
        Self::refused(StatusCode::NOT_FOUND, "Not Found")
    }

    pub(super) fn forbidden(message: impl Into<String>) -> Self {
        Self::refused(StatusCode::FORBIDDEN, message)
    }

    pub(super) fn conflict(message: impl Into<String>) -> Self {
        Self::refused(StatusCode::CONFLICT, message)
    }

    pub(super) fn not_allowed(message: impl Into<String>) -> Self {
        Self::refused(StatusCode::METHOD_NOT_ALLOWED, message)
    }

    pub(super) fn unprocessable(message: impl Into<String>) -> Self {
        Self::refused(StatusCode::UNPROCESSABLE_ENTITY, message)
    }

    /// 422 `Validation Failed` with one entry in `errors`.
    #[expect(clippy::needless_pass_by_value, reason = "callers build the value in place")]
    pub(super) fn invalid(error: Value) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            json!({ "message": "Validation Failed", "errors": [error] }),
        )
    }

    /// The `errors` entry of a rule that has words of its own.
    pub(super) fn custom(resource: &str, message: impl Into<String>) -> Self {
        Self::invalid(json!({ "resource": resource, "code": "custom", "message": message.into() }))
    }

    pub(super) fn empty_repository() -> Self {
        Self::conflict("Git Repository is empty.")
    }

    /// What it says, if it refuses.
    pub(super) fn message(&self) -> &str {
        self.body.as_ref().and_then(|body| body["message"].as_str()).unwrap_or_default()
    }

    #[must_use]
    pub(super) fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// libgit2 failing on our own repository is a defect of the stand-in: said aloud, never guessed around.
impl From<git2::Error> for Answer {
    fn from(error: git2::Error) -> Self {
        Self::refused(StatusCode::INTERNAL_SERVER_ERROR, format!("stand-in: git failed: {error}"))
    }
}

/// What is refused to a person who acts through the control side.
#[derive(Debug, thiserror::Error)]
#[error("GitHub stand-in refused with {status}: {body}")]
pub struct Refused {
    pub status: u16,
    pub body: Value,
}

impl From<Answer> for Refused {
    fn from(answer: Answer) -> Self {
        Self { status: answer.status.as_u16(), body: answer.body.unwrap_or_else(|| json!({})) }
    }
}
