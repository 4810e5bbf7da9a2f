//! The Connect protocol as envd speaks it: unary JSON, and streams of JSON in envelopes.
//! Used by `filesystem` and `process`; see <https://connectrpc.com/docs/protocol>.

use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, VARY};
use http::{Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::core::{Body, full};

/// Frames with this flag end a stream.
const END_OF_STREAM: u8 = 0b10;
const COMPRESSED: u8 = 0b01;

const UNARY_POST: &str = "application/grpc, application/grpc+json, application/grpc+json; charset=utf-8, \
    application/grpc+proto, application/grpc-web, application/grpc-web+json, \
    application/grpc-web+json; charset=utf-8, application/grpc-web+proto, application/json, \
    application/json; charset=utf-8, application/proto";
const STREAM_POST: &str = "application/connect+json, application/connect+json; charset=utf-8, \
    application/connect+proto, application/grpc, application/grpc+json, application/grpc+json; charset=utf-8, \
    application/grpc+proto, application/grpc-web, application/grpc-web+json, \
    application/grpc-web+json; charset=utf-8, application/grpc-web+proto";

/// A Connect error: code and message.
#[derive(Debug)]
pub struct Error {
    pub code: Code,
    pub message: String,
}

/// The codes that envd uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    InvalidArgument,
    DeadlineExceeded,
    NotFound,
    AlreadyExists,
    FailedPrecondition,
    Unimplemented,
    Internal,
    Unauthenticated,
}

impl Code {
    fn name(self) -> &'static str {
        match self {
            Self::InvalidArgument => "invalid_argument",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::NotFound => "not_found",
            Self::AlreadyExists => "already_exists",
            Self::FailedPrecondition => "failed_precondition",
            Self::Unimplemented => "unimplemented",
            Self::Internal => "internal",
            Self::Unauthenticated => "unauthenticated",
        }
    }

    /// The status of a unary answer with this code.
    fn status(self) -> StatusCode {
        match self {
            Self::InvalidArgument | Self::FailedPrecondition => StatusCode::BAD_REQUEST,
            Self::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::AlreadyExists => StatusCode::CONFLICT,
            Self::Unimplemented => StatusCode::NOT_IMPLEMENTED,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
        }
    }
}

impl Error {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    fn value(&self) -> Value {
        json!({ "code": self.code.name(), "message": self.message })
    }
}

/// The 415 of a unary request with a wrong content type.
pub fn refuse_unary(headers: &HeaderMap) -> Option<Response<Body>> {
    (!is_type(headers, "application/json")).then(|| unsupported(UNARY_POST))
}

/// The 415 of a request with a wrong content type that would be answered by a stream.
pub fn refuse_stream(headers: &HeaderMap) -> Option<Response<Body>> {
    (!is_type(headers, "application/connect+json")).then(|| unsupported(STREAM_POST))
}

/// The message of a unary request.
pub fn unary_message<T: DeserializeOwned>(body: &Bytes) -> Result<T, Error> {
    message(body)
}

/// The message of a request that is answered by a stream.
pub fn stream_message<T: DeserializeOwned>(body: &Bytes) -> Result<T, Error> {
    unwrap(body).and_then(message)
}

/// The payload of the one envelope that a request consists of.
fn unwrap(body: &[u8]) -> Result<&[u8], Error> {
    let invalid = |message: String| Error::new(Code::InvalidArgument, format!("protocol error: {message}"));
    let [flags, a, b, c, d, payload @ ..] = body else {
        return Err(invalid("incomplete envelope: unexpected EOF".to_owned()));
    };
    let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
    if *flags & COMPRESSED != 0 {
        return Err(Error::new(
            Code::Internal,
            "protocol error: sent compressed message without compression support",
        ));
    }
    if payload.len() != length {
        return Err(invalid(format!(
            "promised {length} bytes in enveloped message, got {} bytes",
            payload.len()
        )));
    }
    Ok(payload)
}

fn message<T: DeserializeOwned>(payload: impl AsRef<[u8]>) -> Result<T, Error> {
    let payload = payload.as_ref();
    // An absent message is an empty one.
    let payload = if payload.is_empty() { b"{}" } else { payload };
    serde_json::from_slice(payload)
        .map_err(|error| Error::new(Code::InvalidArgument, format!("unmarshal message: {error}")))
}

fn is_type(headers: &HeaderMap, wanted: &str) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    let (kind, parameters) = value.split_once(';').unwrap_or((value, ""));
    let parameters = parameters.trim();
    kind.trim().eq_ignore_ascii_case(wanted)
        && (parameters.is_empty() || parameters.eq_ignore_ascii_case("charset=utf-8"))
}

fn unsupported(accepted: &'static str) -> Response<Body> {
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    response.headers_mut().insert(HeaderName::from_static("accept-post"), HeaderValue::from_static(accepted));
    response.headers_mut().insert(VARY, HeaderValue::from_static("Origin"));
    response
}

/// A unary answer.
pub fn unary(answer: Result<Value, Error>) -> Response<Body> {
    let (status, value) = match answer {
        Ok(value) => (StatusCode::OK, value),
        Err(error) => (error.code.status(), error.value()),
    };
    let mut response = with_type(full(value.to_string()), "application/json");
    *response.status_mut() = status;
    response
}

/// A stream's answer: always 200, what went wrong is in its last frame.
pub fn stream(body: Body) -> Response<Body> {
    with_type(body, "application/connect+json")
}

/// A stream that fails before its first message.
pub fn failed_stream(error: &Error) -> Response<Body> {
    stream(full(end(Some(error))))
}

fn with_type(body: Body, kind: &'static str) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(VARY, HeaderValue::from_static("Origin"));
    response
}

/// One message of a stream, in its envelope.
pub fn frame(message: &Value) -> Bytes {
    envelope(0, message)
}

/// The last frame of a stream.
pub fn end(error: Option<&Error>) -> Bytes {
    envelope(END_OF_STREAM, &error.map_or_else(|| json!({}), |error| json!({ "error": error.value() })))
}

fn envelope(flags: u8, value: &Value) -> Bytes {
    let payload = value.to_string();
    let mut envelope = BytesMut::with_capacity(payload.len() + 5);
    envelope.put_u8(flags);
    // Messages are far below 4 GiB: a data event carries at most 32 KiB.
    envelope.put_u32(u32::try_from(payload.len()).unwrap_or(u32::MAX));
    envelope.put_slice(payload.as_bytes());
    envelope.freeze()
}
