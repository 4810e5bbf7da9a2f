//! The GitHub stand-in: a part of GitHub's REST API, strict in all it offers, with real git objects behind it.
//! One lock around `state`; `routes` leads to the handlers, `deliveries` sends webhooks, `people` acts like a browser.

mod answer;
mod auth;
mod compare;
mod control;
mod deliveries;
mod events;
mod git_http;
mod graphql;
mod hooks;
mod lfs;
mod limits;
mod manners;
mod merge;
mod objects;
mod parts;
mod people;
mod pulls;
mod refs;
mod repositories;
mod request;
mod routes;
mod state;
mod talk;
mod trees;
mod views;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request as HttpRequest, Response, StatusCode};
use serde_json::json;
use sha2::Digest as _;

pub use self::auth::{Token, TokenKind};
pub use self::deliveries::{Deliveries, Delivery, DeliveryState, Mode, Order, signature};
pub use self::limits::{primary_limit, secondary_limit};
pub use self::manners::Manners;
pub use self::people::{MergeMethod, NewRepository};
pub use self::state::{Account, AccountKind, Check, Counts};
pub use self::talk::{CheckAnnotation, CheckOutput};

use self::answer::Answer;
use self::auth::Caller;
use self::request::Request;
use self::state::State;
use crate::core::{self, Api, Body, Clock, Core, Endpoint, Server};

/// How the GitHub stand-in starts.
#[derive(Clone, Debug)]
pub struct Options {
    pub listen: SocketAddr,
    pub settings: Settings,
    /// Accounts that exist from the start; more can be added later.
    pub accounts: Vec<Account>,
    /// Tokens that are accepted from the start.
    pub tokens: Vec<Token>,
}

/// What tests may want to be different from GitHub.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Entries of a recursive tree before it is `truncated` (GitHub: 100,000).
    pub tree_limit: usize,
    /// Whether the first read of a pull request after a change says `mergeable: null`, as GitHub's does.
    pub mergeable_lag: bool,
    /// How long a hook may take to answer (GitHub: 10 s).
    pub webhook_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { tree_limit: 100_000, mergeable_lag: true, webhook_timeout: Duration::from_secs(10) }
    }
}

impl Default for Options {
    /// User `slipway-bot` with the token `slipway-bot-token`, a person `reviewer`, the organization `acme`.
    fn default() -> Self {
        let account = |login: &str, kind| Account { login: login.to_owned(), kind };
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            settings: Settings::default(),
            accounts: vec![
                account("slipway-bot", AccountKind::User),
                account("reviewer", AccountKind::User),
                account("acme", AccountKind::Organization),
            ],
            tokens: vec![Token::personal("slipway-bot-token", "slipway-bot")],
        }
    }
}

/// The running GitHub stand-in; clones share it.
#[derive(Clone)]
pub struct GitHub {
    inner: Arc<Inner>,
    server: Arc<Server>,
    pub deliveries: Deliveries,
}

struct Inner {
    state: Mutex<State>,
    clock: Clock,
    deliveries: Deliveries,
    requests: AtomicU64,
    /// Removed with the last handle.
    dir: tempfile::TempDir,
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bare repository behind `owner/name`, for those who may read it.
    fn git_dir(&self, owner: &str, name: &str, caller: &Caller) -> Result<PathBuf, Answer> {
        let state = self.state();
        let repository = &state.repositories[state.find(owner, name).ok_or_else(Answer::not_found)?];
        auth::authorize(caller, repository, auth::Access::Read)?;
        Ok(repository.git.path().to_owned())
    }
}

impl GitHub {
    pub async fn start(core: &Core, options: Options) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("slipway-github-").tempdir().context("repositories")?;
        let deliveries = Deliveries::new(core.clock.clone(), options.settings.webhook_timeout)?;
        let state = State {
            settings: options.settings,
            dir: dir.path().to_owned(),
            url: String::new(),
            accounts: options.accounts,
            tokens: options.tokens,
            limits: limits::Limits::default(),
            repositories: Vec::new(),
            moved: std::collections::HashMap::new(),
            outbox: Vec::new(),
            counts: Counts::default(),
            last_id: 0,
        };
        let inner = Arc::new(Inner {
            state: Mutex::new(state),
            clock: core.clock.clone(),
            deliveries: deliveries.clone(),
            requests: AtomicU64::new(0),
            dir,
        });
        let server = Server::start(core, options.listen, Arc::clone(&inner)).await?;
        inner.state().url = server.url();
        Ok(Self { inner, server: Arc::new(server), deliveries })
    }

    /// The API's base URL, without a trailing slash.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The directory that holds the bare repositories.
    pub fn dir(&self) -> &std::path::Path {
        self.inner.dir.path()
    }

    /// What `GET /state` shows under `github`.
    pub fn state(&self) -> serde_json::Value {
        self.inner.state().summary()
    }
}

impl Api for Inner {
    fn endpoint(&self, request: &Parts) -> Endpoint {
        if let Some(name) = lfs::endpoint(&request.method, request.uri.path()) {
            return Endpoint { api: "github", name: name.to_owned() };
        }
        let name = match routes::find(&request.method, request.uri.path()) {
            Some((route, _)) => route.name(),
            None if git_http::split(request.uri.path()).is_some() => "git".to_owned(),
            None => format!("{} unknown", request.method),
        };
        Endpoint { api: "github", name }
    }

    async fn handle(&self, request: HttpRequest<Body>) -> Response<Body> {
        let (parts, body) = core::whole(request).await.into_parts();
        if lfs::endpoint(&parts.method, parts.uri.path()).is_some() {
            let mut state = self.state();
            let caller = auth::authenticate(&state, &parts.headers).unwrap_or(Caller::Anonymous);
            return lfs::serve(&mut state, &caller, &parts, &body);
        }
        if let Some((owner, name, rest)) = git_http::split(parts.uri.path()) {
            let caller = auth::authenticate(&self.state(), &parts.headers);
            return match caller.and_then(|caller| self.git_dir(owner, name, &caller)) {
                Ok(git_dir) => git_http::serve(&git_dir, rest, &parts, body).await,
                Err(refusal) => git_http::refuse(&refusal),
            };
        }
        if !parts.headers.contains_key(http::header::USER_AGENT) {
            let mut response = Response::new(core::full(
                "Request forbidden by administrative rules. Please make sure your request has a User-Agent header.",
            ));
            *response.status_mut() = StatusCode::FORBIDDEN;
            return response;
        }
        self.respond(&parts, &body)
    }
}

impl Inner {
    /// Authenticates, limits, handles and dresses one API call; all under one lock, so calls never interleave.
    fn respond(&self, parts: &Parts, body: &Bytes) -> Response<Body> {
        let now = self.clock.now();
        let found = routes::find(&parts.method, parts.uri.path());
        let resource = if parts.uri.path() == "/graphql" { "graphql" } else { "core" };
        let mut state = self.state();
        let authenticated = auth::authenticate(&state, &parts.headers);
        let caller = authenticated.as_ref().map_or(Caller::Anonymous, Clone::clone);
        let docs = found.as_ref().map_or("", |(route, _)| route.docs);
        let free = parts.uri.path() == "/rate_limit";
        let mut answer = authenticated.map_or_else(
            |refusal| refusal,
            |caller| {
                let who = match &caller {
                    Caller::Token(token) => format!("user ID {}", state.account_id(&token.login)),
                    Caller::Anonymous | Caller::Person(_) => "127.0.0.1".to_owned(),
                };
                if !free && let Err(refusal) = state.limits.check(&caller, resource, now, &who) {
                    return refusal;
                }
                let Some((route, params)) = found else { return Answer::not_found() };
                dispatch(&mut state, route, params, parts, body, caller, now)
            },
        );
        let mut etag = None;
        if parts.method == Method::GET && answer.status == StatusCode::OK {
            etag = answer.body.as_ref().map(|body| entity_tag(&caller, &body.to_string()));
        }
        let unchanged = etag.as_deref().is_some_and(|etag| matches_none(&parts.headers, etag));
        if unchanged {
            (answer.status, answer.body) = (StatusCode::NOT_MODIFIED, None);
        }
        // A 304 is not counted (REST docs, "Use conditional requests").
        if !unchanged && !free {
            state.limits.count(&caller, resource, now);
        }
        let limits = state.limits.headers(&caller, resource, now);
        let events = std::mem::take(&mut state.outbox);
        drop(state);
        self.deliveries.submit(events);
        self.dress(answer, docs, etag, limits)
    }

    fn dress(
        &self,
        answer: Answer,
        docs: &str,
        etag: Option<String>,
        limits: [(&'static str, String); 5],
    ) -> Response<Body> {
        let mut response = if let Some(mut body) = answer.body {
            if answer.status.as_u16() >= 300 && body.get("message").is_some() {
                if body.get("documentation_url").is_none() {
                    let url = format!("https://docs.github.com/rest/{docs}");
                    body["documentation_url"] = url.trim_end_matches('/').into();
                }
                body["status"] = answer.status.as_u16().to_string().into();
            }
            core::json(answer.status, &body)
        } else {
            let mut response = Response::new(core::empty());
            *response.status_mut() = answer.status;
            response
        };
        let serial = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let headers = response.headers_mut();
        let mut set = |name: &'static str, value: String| {
            // Values come from us and are plain ASCII; others are left out.
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        };
        for (name, value) in answer.headers.into_iter().chain(limits) {
            set(name, value);
        }
        if let Some(etag) = etag {
            set("etag", etag);
        }
        set("server", "github.com".to_owned());
        set("cache-control", "private, max-age=60, s-maxage=60".to_owned());
        set("x-github-media-type", "github.v3; format=json".to_owned());
        set("x-github-api-version-selected", "2022-11-28".to_owned());
        set("x-github-request-id", format!("5717:{serial:04X}:{serial:06X}:{serial:06X}:00000000"));
        response
    }
}

fn dispatch(
    state: &mut State,
    route: &routes::Route,
    params: std::collections::HashMap<&'static str, String>,
    parts: &Parts,
    body: &Bytes,
    caller: Caller,
    now: jiff::Timestamp,
) -> Answer {
    let body = match request::parse_body(body) {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let target = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
    let query = request::parse_query(parts.uri.query().unwrap_or_default());
    let request = Request { method: parts.method.clone(), params, query, body, caller, now, target };
    (route.handler)(state, &request).unwrap_or_else(|refusal| refusal)
}

/// A tag is the token's own: the same body has another one under another token.
fn entity_tag(caller: &Caller, body: &str) -> String {
    let token = if let Caller::Token(token) = caller { token.value.as_str() } else { "" };
    format!("W/\"{}\"", hex::encode(sha2::Sha256::digest(format!("{token}\0{body}"))))
}

/// Whether `If-None-Match` names this tag (weak comparison, RFC 9110 section 13.1.2).
fn matches_none(headers: &HeaderMap, etag: &str) -> bool {
    let Some(wanted) = headers.get(http::header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let opaque = etag.trim_start_matches("W/");
    wanted.split(',').any(|one| one.trim() == "*" || one.trim().trim_start_matches("W/") == opaque)
}

/// What is refused to a person who acts through the control side.
#[derive(Debug, thiserror::Error)]
#[error("GitHub stand-in refused with {status}: {body}")]
pub struct Refused {
    pub status: u16,
    pub body: serde_json::Value,
}

impl From<Answer> for Refused {
    fn from(answer: Answer) -> Self {
        Self { status: answer.status.as_u16(), body: answer.body.unwrap_or_else(|| json!({})) }
    }
}
