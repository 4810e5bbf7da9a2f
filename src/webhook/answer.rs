//! Every answer the receiver gives: status, body, and the outcome under which it is counted.
//! Made by `admission`, `keyring` and `delivery`, sent by `routes`.

use bytes::Bytes;
use serde_json::json;
use warp::{
    Reply,
    http::{HeaderValue, StatusCode, header},
    reply::Response,
};

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// This many Tasks were changed.
    Moved(usize),
    /// Understood, and nothing to change; why.
    Ignored(&'static str),
    Pong,
    Refused(Refusal),
}

/// Reason for refusing a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    NotFound,
    /// The one method that is allowed.
    MethodNotAllowed(&'static str),
    /// The body did not arrive in time.
    Stalled,
    /// Larger than this many bytes.
    TooLarge(usize),
    UnsupportedMediaType,
    /// `Content-Length` and `Transfer-Encoding`.
    TwoLengths,
    MissingHeader(&'static str),
    /// Signature missing, malformed or wrong, or no secret: never told apart.
    Unsigned,
    /// Signed, but not what it should be.
    Malformed(String),
    /// Signed with a secret of several Repositories, and none is named.
    Ambiguous,
    /// It may work later; why.
    Unavailable(&'static str),
    /// A defect of ours.
    Failed,
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Refusal> for Response {
    fn from(refusal: Refusal) -> Self {
        Answer::from(refusal).into_response()
    }
}

impl Answer {
    /// A stable name for log lines and metrics.
    pub(super) fn outcome(&self) -> &'static str {
        match self {
            Self::Moved(_) => "moved",
            Self::Ignored(_) => "ignored",
            Self::Pong => "pong",
            Self::Refused(refusal) => refusal.outcome(),
        }
    }

    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Moved(_) | Self::Pong => StatusCode::OK,
            Self::Ignored(_) => StatusCode::ACCEPTED,
            Self::Refused(refusal) => refusal.status(),
        }
    }

    fn body(&self) -> Bytes {
        let body = match self {
            Self::Moved(tasks) => format!(r#"{{"status":"moved","tasks":{tasks}}}"#),
            // Reasons are words of ours, without a quote.
            Self::Ignored(why) => format!(r#"{{"status":"ignored","reason":"{why}"}}"#),
            Self::Pong => return Bytes::from_static(br#"{"pong":true}"#),
            Self::Refused(Refusal::Unsigned) => {
                return Bytes::from_static(br#"{"error":"Invalid signature"}"#);
            }
            Self::Refused(refusal) => json!({ "error": refusal.text() }).to_string(),
        };
        body.into()
    }
}

impl Refusal {
    fn outcome(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::MethodNotAllowed(_) => "method_not_allowed",
            Self::Stalled => "stalled",
            Self::TooLarge(_) => "too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::TwoLengths => "two_lengths",
            Self::MissingHeader(_) => "missing_header",
            Self::Unsigned => "invalid_signature",
            Self::Malformed(_) => "malformed",
            Self::Ambiguous => "ambiguous",
            Self::Unavailable(_) => "unavailable",
            Self::Failed => "failed",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Stalled => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::MissingHeader(_) | Self::Malformed(_) | Self::TwoLengths => StatusCode::BAD_REQUEST,
            Self::Unsigned => StatusCode::UNAUTHORIZED,
            Self::Ambiguous => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Words the answer for the one who sent the request.
    fn text(&self) -> String {
        match self {
            Self::NotFound => "Not found".to_owned(),
            Self::MethodNotAllowed(allowed) => format!("Method not allowed, use {allowed}"),
            Self::Stalled => "The body did not arrive in time".to_owned(),
            Self::TooLarge(limit) => format!("The body is larger than {limit} bytes"),
            Self::UnsupportedMediaType => {
                "Content-Type must be application/json: choose it in the webhook's settings at GitHub".to_owned()
            }
            Self::TwoLengths => "Content-Length and Transfer-Encoding exclude each other".to_owned(),
            Self::MissingHeader(name) => format!("Header {name} is missing"),
            Self::Unsigned => "Invalid signature".to_owned(),
            Self::Malformed(why) => why.clone(),
            Self::Ambiguous => {
                "The payload names no repository, and its secret serves several Repositories: add \
                 \"repository\": {\"full_name\": \"owner/name\"} to the payload, or give the Repository a secret of its own"
                    .to_owned()
            }
            Self::Unavailable(why) => (*why).to_owned(),
            Self::Failed => "Internal error".to_owned(),
        }
    }
}

impl Reply for Answer {
    fn into_response(self) -> Response {
        let mut response = Response::new(self.body().into());
        *response.status_mut() = self.status();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Self::Refused(Refusal::MethodNotAllowed(allowed)) = self {
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
        }
        response
    }
}
