//! envd, the daemon inside each sandbox: files, directories and processes over HTTP.
//! `sandbox` is what it serves; `gateway` routes requests to it.

pub mod connect;
pub mod entry;
pub mod files;
pub mod filesystem;
pub mod paths;
pub mod process;
pub mod processes;
pub mod upload;

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use http::header::{
    ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, VARY,
};
use http::{Method, Request, Response, StatusCode};
use jiff::Timestamp;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::query::Query;
use super::sandbox::Sandbox;
use super::sandbox::users::User;
use crate::core::{Body, empty, full, whole};
use connect::{Code, Error};
use processes::Processes;

/// The version whose recorded answers this one is compared with.
pub const VERSION: &str = "0.6.13";

/// envd of one sandbox, for one request.
#[derive(Clone)]
pub struct Envd {
    pub sandbox: Arc<Sandbox>,
    pub processes: Arc<Processes>,
    /// What every process finds in its environment.
    pub environment: Arc<HashMap<String, String>>,
    /// Whose home relative paths start at, and who runs commands, where a request names nobody. An old envd has none.
    pub default_user: Option<String>,
    pub token: String,
    /// Cancelled when the sandbox stops answering.
    pub disconnect: CancellationToken,
}

/// The stable name of an endpoint, for the log of calls and for faults.
pub fn endpoint(method: &Method, path: &str) -> String {
    format!("{method} {path}")
}

impl Envd {
    /// Answers one request. `now` decides whether a signed URL has expired.
    pub async fn handle(&self, now: Timestamp, request: Request<Body>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        if let Err(failure) = self.authorize(&path, request.headers()) {
            return failure.into();
        }
        if request.method() == Method::POST && path == "/files" {
            return upload::post(self, now, request).await;
        }
        let request = whole(request).await;
        if let Some(procedure) = path.strip_prefix("/filesystem.Filesystem/") {
            if request.method() != Method::POST {
                return not_allowed(&["POST"]);
            }
            // Large trees must not hold up other requests.
            let (envd, procedure) = (self.clone(), procedure.to_owned());
            let answer = tokio::task::spawn_blocking(move || filesystem::handle(&envd, &procedure, &request));
            return answer.await.ok().flatten().unwrap_or_else(not_found);
        }
        if let Some(procedure) = path.strip_prefix("/process.Process/") {
            if request.method() != Method::POST {
                return not_allowed(&["POST"]);
            }
            return process::handle(self, procedure, request).await.unwrap_or_else(not_found);
        }
        match (request.method().as_str(), path.as_str()) {
            ("GET", "/health") => health(),
            ("GET", "/envs") => envs(&self.environment),
            ("GET", "/files") => files::get(self, now, &request).await,
            (_, "/files") => not_allowed(&["GET", "POST"]),
            (_, "/health" | "/envs") => not_allowed(&["GET"]),
            _ => not_found(),
        }
    }

    /// The check before any handler: /health is open, /files may be signed instead.
    fn authorize(&self, path: &str, headers: &HeaderMap) -> Result<(), Failure> {
        let given = headers.get("x-access-token").map(HeaderValue::as_bytes);
        if matches!(path, "/health" | "/files") || given == Some(self.token.as_bytes()) {
            return Ok(());
        }
        let message =
            "unauthorized access, please provide a valid access token or method signing if supported";
        Err(Failure::new(StatusCode::UNAUTHORIZED, message))
    }

    /// The check of /files: the token in a header, or a signature made with it.
    fn authorize_file(
        &self,
        now: Timestamp,
        headers: &HeaderMap,
        query: &Query,
        operation: &str,
    ) -> Result<(), Failure> {
        let refused = |message: &str| Err(Failure::new(StatusCode::UNAUTHORIZED, message));
        if let Some(given) = headers.get("x-access-token") {
            if given.as_bytes() == self.token.as_bytes() {
                return Ok(());
            }
            return refused("access token present in header but does not match");
        }
        let Some(signature) = query.get("signature") else {
            return refused("missing signature query parameter");
        };
        let path = query.get("path").unwrap_or("");
        let user = query.get("username").unwrap_or("");
        let mut signed = format!("{path}:{operation}:{user}:{}", self.token);
        let expiration = query.get("signature_expiration");
        if let Some(expiration) = expiration {
            signed.push(':');
            signed.push_str(expiration);
        }
        let expected = format!("v1_{}", STANDARD_NO_PAD.encode(Sha256::digest(signed)));
        if expected != signature {
            return refused("invalid signature");
        }
        match expiration.map(str::parse::<i64>) {
            Some(Ok(at)) if at < now.as_second() => refused("signature is already expired"),
            Some(Err(_)) => refused("invalid signature expiration"),
            _ => Ok(()),
        }
    }

    /// Whom a file request acts as.
    fn file_user(&self, query: &Query) -> Result<User, Failure> {
        let name = query.get("username").filter(|name| !name.is_empty()).or(self.default_user.as_deref());
        let name = name.ok_or_else(|| {
            let message = "Query argument username is required, but not found";
            Failure::new(StatusCode::BAD_REQUEST, message)
        })?;
        self.sandbox.users.by_name(name).cloned().ok_or_else(|| {
            let message = format!("error looking up user '{name}': user: unknown user {name}");
            Failure::new(StatusCode::UNAUTHORIZED, message)
        })
    }

    /// Whom a Connect request acts as: the user of `Authorization: Basic base64("user:")`.
    fn rpc_user(&self, headers: &HeaderMap) -> Result<User, Error> {
        let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given = given
            .and_then(|value| value.strip_prefix("Basic "))
            .and_then(|value| STANDARD.decode(value).ok());
        let given = given.and_then(|value| String::from_utf8(value).ok());
        let name = given.as_deref().map(|value| value.split(':').next().unwrap_or_default());
        let name = name.filter(|name| !name.is_empty()).or(self.default_user.as_deref());
        let name = name.ok_or_else(|| Error::new(Code::Unauthenticated, "no user specified"))?;
        let user = self.sandbox.users.by_name(name).cloned();
        user.ok_or_else(|| Error::new(Code::Unauthenticated, format!("invalid username: '{name}'")))
    }
}

/// A refusal of the plain HTTP part, in envd's own form.
struct Failure {
    status: StatusCode,
    message: String,
}

impl Failure {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }
}

impl From<Failure> for Response<Body> {
    fn from(failure: Failure) -> Self {
        error(failure.status, &failure.message)
    }
}

fn health() -> Response<Body> {
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(VARY, HeaderValue::from_static("Origin"));
    response
}

fn envs(environment: &HashMap<String, String>) -> Response<Body> {
    let mut response = Response::new(full(json!(environment).to_string()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn error(status: StatusCode, message: &str) -> Response<Body> {
    // envd's JSON encoder ends with a newline, and the recorded lengths count it.
    let body = format!("{}\n", json!({ "code": status.as_u16(), "message": message }));
    let mut response = Response::new(full(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    headers.insert(VARY, HeaderValue::from_static("Origin"));
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    response
}

fn not_found() -> Response<Body> {
    let mut response = Response::new(full("404 page not found\n"));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

fn not_allowed(methods: &[&'static str]) -> Response<Body> {
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    for method in methods {
        response.headers_mut().append(ALLOW, HeaderValue::from_static(method));
    }
    response.headers_mut().insert(VARY, HeaderValue::from_static("Origin"));
    response
}
