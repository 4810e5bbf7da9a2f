//! The lifecycle API under one API key: create, look, list, connect, time-out, pause, kill.
//! Called by the Sandbox controller; its bodies are in `e2b::wire`, its answers in `e2b::answers`.

use super::answers::{self, Means};
use super::call::{Api, Call};
use super::endpoints::join;
use super::http::Reply;
use super::wire::{WireDetail, WireSandbox, WireSeen};
use super::{Access, E2b, Envd, Error, Result};
use crate::domain::{
    failure::Class,
    mask::mask,
    sandbox::{E2bSandbox, PauseEnd},
};
use http::{HeaderValue, Method, StatusCode};
use jiff::Timestamp;
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The longest page E2B gives.
const PAGE: &str = "100";

/// One team's view of E2B. Cheap to clone.
#[derive(Clone)]
pub struct Account {
    e2b: E2b,
    api_key: SecretString,
    fingerprint: String,
}

/// A sandbox to be made. Maps are sorted so that the same request gives the same bytes under one idempotency key.
#[derive(Debug, Clone)]
pub struct CreateRequest {
    pub template: String,
    pub timeout_seconds: u32,
    /// Pause it when its time is over; otherwise it is killed.
    pub auto_pause: bool,
    pub env: BTreeMap<String, SecretString>,
    pub metadata: BTreeMap<String, String>,
}

/// A sandbox that runs since a connect.
#[derive(Debug, Clone)]
pub struct Connected {
    pub access: Access,
    /// Otherwise it ran already.
    pub was_paused: bool,
}

/// What an answer that is no failure says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Conclusion {
    Done,
    NotFound,
    Unclear,
}

/// One sandbox as GET shows it, and how to get to it; looking changes neither its state nor its time.
#[derive(Debug, Clone)]
pub struct Detail {
    pub access: Access,
    pub seen: E2bSandbox,
}

impl From<WireDetail> for Detail {
    fn from(wire: WireDetail) -> Self {
        let (access, seen) = wire.parts();
        Self { access, seen }
    }
}

impl E2b {
    /// The same installation under one team's API key.
    pub fn account(&self, api_key: SecretString) -> Account {
        Account::new(self.clone(), api_key)
    }
}

impl Account {
    fn new(e2b: E2b, api_key: SecretString) -> Self {
        let mut hash = Sha256::new();
        hash.update(api_key.expose_secret());
        hash.update([0]);
        hash.update(e2b.endpoints.api_url.as_str());
        let fingerprint = hex::encode(&hash.finalize()[..8]);
        Self { e2b, api_key, fingerprint }
    }

    /// Names key and base URL without giving either away (16 hex digits); recorded in `status.credential`.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// `POST /v2/sandboxes`. Sent once: whether and with which key to repeat it is the caller's decision, by
    /// [`super::Error::answered`] and the reason. `idempotency_key` must match `[a-z0-9]{1,255}`.
    pub async fn create(&self, request: &CreateRequest, idempotency_key: &str) -> Result<Access> {
        let call = lifecycle(answers::CREATE, true);
        let http =
            begin(Method::POST, &self.url(&["v2", "sandboxes"])).header("idempotency-key", idempotency_key);
        let reply = self.exchange(call, http, Some(request.to_json())).await.map_err(|e| request.mask(e))?;
        self.conclude(call, &reply).map_err(|e| request.mask(e))?;
        // A 201 that can't be read is a sandbox whose id is lost.
        let sandbox: WireSandbox =
            serde_json::from_slice(&reply.body).map_err(|_| call.lost("the answer can't be read"))?;
        Ok(sandbox.into())
    }

    /// `GET /sandboxes/{id}`: `None` is E2B's definite 404.
    pub async fn get(&self, id: &str) -> Result<Option<Detail>> {
        let call = lifecycle(answers::GET, false);
        let url = self.sandbox_url(call, id, &[])?;
        let reply = self.exchange(call, begin(Method::GET, &url), None).await?;
        match self.conclude(call, &reply)? {
            Conclusion::Done => Ok(Some(decode::<WireDetail>(call, &reply)?.into())),
            Conclusion::NotFound | Conclusion::Unclear => Ok(None),
        }
    }

    /// All running and paused sandboxes whose metadata has every given pair, all pages. An empty list is no proof
    /// of absence: a sandbox that is being snapshotted is missing from it.
    pub async fn list(&self, metadata: &BTreeMap<String, String>) -> Result<Vec<E2bSandbox>> {
        let call = lifecycle(answers::LIST, false);
        let mut all: Vec<E2bSandbox> = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let url = self.list_url(metadata, token.as_deref());
            let reply = self.exchange(call, begin(Method::GET, &url), None).await?;
            self.conclude(call, &reply)?;
            all.extend(decode::<Vec<WireSeen>>(call, &reply)?.into_iter().map(E2bSandbox::from));
            let next = reply.headers.get("x-next-token").and_then(|v| v.to_str().ok()).map(str::to_owned);
            match next.filter(|t| !t.is_empty()) {
                None => return Ok(all),
                // A page that leads to itself would never end.
                next if next == token => {
                    return Err(call.unexpected(reply.status, "the next page is this page"));
                }
                next => token = next,
            }
        }
    }

    /// `POST /v2/sandboxes/{id}/connect`: resumes a paused sandbox, and only ever extends the time of a running
    /// one. Without `memory` it starts anew from its disk. `None` is E2B's definite 404.
    pub async fn connect(&self, id: &str, timeout_seconds: u32, memory: bool) -> Result<Option<Connected>> {
        let call = lifecycle(answers::CONNECT, true);
        let url = self.url(&["v2", "sandboxes", checked_id(call, id)?, "connect"]);
        let http = begin(Method::POST, &url);
        let mut body = json!({ "timeout": timeout_seconds });
        if !memory {
            body["memory"] = Value::Bool(false);
        }
        let reply = self.exchange(call, http, Some(body)).await?;
        match self.conclude(call, &reply)? {
            // What is not a sandbox is not E2B's answer, whatever its status.
            Conclusion::Done => {
                let access = decode::<WireSandbox>(call, &reply)?.into();
                Ok(Some(Connected { access, was_paused: reply.status == StatusCode::CREATED }))
            }
            Conclusion::NotFound | Conclusion::Unclear => Ok(None),
        }
    }

    /// `POST /sandboxes/{id}/timeout`: sets the end to `seconds` from now, also to an earlier one. `false`: 404,
    /// which a paused sandbox answers too.
    pub async fn set_timeout(&self, id: &str, seconds: u32) -> Result<bool> {
        let call = lifecycle(answers::SET_TIMEOUT, true);
        let url = self.sandbox_url(call, id, &["timeout"])?;
        let http = begin(Method::POST, &url);
        let reply = self.exchange(call, http, Some(json!({ "timeout": seconds }))).await?;
        Ok(self.conclude(call, &reply)? == Conclusion::Done)
    }

    /// `POST /sandboxes/{id}/pause`.
    pub async fn pause(&self, id: &str) -> Result<PauseEnd> {
        let call = lifecycle(answers::PAUSE, true);
        let url = self.sandbox_url(call, id, &["pause"])?;
        let reply = self.exchange(call, begin(Method::POST, &url), Some(json!({}))).await?;
        Ok(match self.conclude(call, &reply)? {
            Conclusion::Done => PauseEnd::Paused,
            Conclusion::Unclear => PauseEnd::Unclear,
            Conclusion::NotFound => PauseEnd::Gone,
        })
    }

    /// `DELETE /sandboxes/{id}`, running or paused. `false`: 404.
    pub async fn kill(&self, id: &str) -> Result<bool> {
        let call = lifecycle(answers::KILL, true);
        let url = self.sandbox_url(call, id, &[])?;
        let reply = self.exchange(call, begin(Method::DELETE, &url), None).await?;
        Ok(self.conclude(call, &reply)? == Conclusion::Done)
    }

    /// The daemon inside a running sandbox.
    pub fn envd(&self, access: &Access) -> Envd {
        Envd::new(self.e2b.clone(), access.clone())
    }

    fn url(&self, segments: &[&str]) -> Url {
        join(&self.e2b.endpoints.api_url, segments)
    }

    fn sandbox_url(&self, call: Call, id: &str, tail: &[&str]) -> Result<Url> {
        Ok(self.url(&[&["sandboxes", checked_id(call, id)?], tail].concat()))
    }

    fn list_url(&self, metadata: &BTreeMap<String, String>, token: Option<&str>) -> Url {
        let mut url = self.url(&["v2", "sandboxes"]);
        let mut query = url.query_pairs_mut();
        query.append_pair("state", "running,paused").append_pair("limit", PAGE);
        if !metadata.is_empty() {
            // A query string inside a query parameter: the server unescapes the whole, then each part.
            let twice = |text: &str| escape(&escape(text));
            let pairs = metadata.iter().map(|(k, v)| format!("{}={}", twice(k), twice(v)));
            query.append_pair("metadata", &pairs.collect::<Vec<_>>().join("&"));
        }
        if let Some(token) = token {
            query.append_pair("nextToken", token);
        }
        drop(query);
        url
    }

    /// The key as a header; `None`: it has characters that no header may carry.
    fn key(&self) -> Option<HeaderValue> {
        let mut key = HeaderValue::from_str(self.api_key.expose_secret()).ok()?;
        key.set_sensitive(true);
        Some(key)
    }

    async fn exchange(
        &self,
        call: Call,
        request: http::request::Builder,
        json: Option<Value>,
    ) -> Result<Reply> {
        let Some(key) = self.key() else { return Err(call.unsendable_key()) };
        let request = request.header("x-api-key", key);
        let limits = &self.e2b.limits;
        if let Some(until) = limits.holds_until(&self.fingerprint, call.operation, Timestamp::now()) {
            return Err(call.limited(until));
        }
        let reply = match json {
            Some(json) => {
                let request = request.header(http::header::CONTENT_TYPE, "application/json");
                call.exchange(&self.e2b, request, json.to_string()).await
            }
            None => call.exchange(&self.e2b, request, reqwest::Body::from("")).await,
        }?;
        if reply.status == StatusCode::TOO_MANY_REQUESTS
            && let Class::Throttled { until } = call.refused(&reply).class
        {
            limits.note(&self.fingerprint, call.operation, until, Timestamp::now());
        }
        Ok(reply)
    }

    /// Concludes from the table what an answer says; everything else is its error.
    fn conclude(&self, call: Call, reply: &Reply) -> Result<Conclusion> {
        match call.means(reply) {
            Means::Done => Ok(Conclusion::Done),
            Means::NotFound => Ok(Conclusion::NotFound),
            Means::Unclear => Ok(Conclusion::Unclear),
            Means::Transient | Means::Limited | Means::Denied | Means::Invalid | Means::Missing => {
                Err(self.refused(call, reply))
            }
        }
    }

    fn refused(&self, call: Call, reply: &Reply) -> Error {
        let error = call.refused(reply);
        Error { message: mask(&error.message, &[self.api_key.expose_secret()]), ..error }
    }
}

impl CreateRequest {
    fn to_json(&self) -> Value {
        let env: BTreeMap<_, _> = self.env.iter().map(|(k, v)| (k, v.expose_secret())).collect();
        json!({
            "templateID": self.template,
            "timeout": self.timeout_seconds,
            "autoPause": self.auto_pause,
            // Otherwise any request to a paused sandbox would wake it, a look of ours included.
            "autoResume": { "enabled": false },
            "metadata": self.metadata,
            "envVars": env,
        })
    }

    fn mask(&self, mut error: Error) -> Error {
        let values: Vec<_> = self.env.values().map(ExposeSecret::expose_secret).collect();
        // The words before the colon are ours: a short value must not spoil them.
        let (ours, text) = error.message.split_once(": ").unwrap_or(("", &error.message));
        let text = mask(text, &values);
        error.message = if ours.is_empty() { text } else { format!("{ours}: {text}") };
        error
    }
}

fn begin(method: Method, url: &Url) -> http::request::Builder {
    http::Request::builder().method(method).uri(url.as_str()).header(http::header::ACCEPT, "application/json")
}

fn lifecycle(operation: &'static str, write: bool) -> Call {
    Call { api: Api::Lifecycle, operation, write }
}

fn decode<T: DeserializeOwned>(call: Call, reply: &Reply) -> Result<T> {
    serde_json::from_slice(&reply.body).map_err(|e| call.unexpected(reply.status, &e.to_string()))
}

/// Accepts an id that can stand in a path: `..` or an empty one would reach another resource.
fn checked_id(call: Call, id: &str) -> Result<&str> {
    let fits = !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if fits { Ok(id) } else { Err(call.invalid(&format!("{id:?} is no sandbox id"))) }
}

/// Percent-encoding of everything but RFC 3986's unreserved characters.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}
