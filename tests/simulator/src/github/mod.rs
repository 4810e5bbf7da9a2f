//! The GitHub stand-in: a part of GitHub's REST API, strict in all it offers, with real git objects behind it.
//! One lock around `state`; `routes` leads to the handlers, `deliveries` sends webhooks, `people` acts like a browser.

mod answer;
mod app_keys;
mod app_people;
mod apps;
mod auth;
mod branch_rules;
mod check_views;
mod checks;
mod compare;
mod control;
mod deliveries;
mod delivery;
mod delivery_log;
mod enterprise;
mod etag;
mod events;
mod git_http;
mod graphql;
mod graphql_checks;
mod graphql_draft;
mod graphql_pull;
mod graphql_queue;
mod graphql_refs;
mod graphql_select;
mod graphql_variables;
mod hook_config;
mod hooks;
mod installations;
mod jwt;
mod lfs;
mod limits;
mod manners;
mod merge;
mod merge_queue;
mod objects;
mod options;
mod parts;
mod people;
mod permissions;
mod pulls;
mod refs;
mod repositories;
mod request;
mod routes;
mod rules;
mod secondary;
mod state;
mod talk;
mod trees;
mod verified;
mod views;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Request as HttpRequest, Response, StatusCode};

pub use self::answer::Refused;
pub use self::app_keys::TestKey;
pub use self::apps::{App, AppManners, Installation, NewTokens, RepositorySelection};
pub use self::auth::{Token, TokenKind};
pub use self::branch_rules::{BranchRule, RuleKind};
pub use self::checks::Check;
pub use self::deliveries::Deliveries;
pub use self::delivery::{Delivery, DeliveryManners, DeliveryState, Mode, Order, signature};
pub use self::limits::{primary_limit, secondary_limit};
pub use self::manners::Manners;
pub use self::merge_queue::{EntryState, QueueStep, RemovalReason};
pub use self::options::{Options, Settings};
pub use self::people::{MergeMethod, NewRepository};
pub use self::permissions::Permissions;
pub use self::secondary::ContentLimits;
pub use self::state::{Account, AccountKind, Counts};
pub use self::talk::{CheckAnnotation, CheckOutput};

use self::answer::Answer;
use self::auth::Caller;
use self::request::Request;
use self::state::State;
use crate::core::{self, Api, Body, Clock, Core, Endpoint, Server};

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
    enterprise: bool,
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
        permissions::permit(caller, repository, "contents=read")?;
        Ok(repository.git.path().to_owned())
    }
}

impl GitHub {
    pub async fn start(core: &Core, options: Options) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("slipway-github-").tempdir().context("repositories")?;
        let deliveries = Deliveries::new(core.clock.clone(), options.settings.webhook_timeout)?;
        let enterprise = options.settings.enterprise;
        let state = State {
            settings: options.settings,
            clock: core.clock.clone(),
            dir: dir.path().to_owned(),
            url: String::new(),
            host: String::new(),
            accounts: options.accounts,
            tokens: options.tokens,
            apps: apps::Apps::default(),
            limits: limits::Limits::default(),
            secondary: secondary::Secondary::default(),
            repositories: Vec::new(),
            moved: std::collections::HashMap::new(),
            outbox: Vec::new(),
            deliveries: deliveries.clone(),
            counts: Counts::default(),
            last_id: 0,
        };
        let inner = Arc::new(Inner {
            state: Mutex::new(state),
            clock: core.clock.clone(),
            deliveries: deliveries.clone(),
            requests: AtomicU64::new(0),
            enterprise,
            dir,
        });
        let server = Server::start(core, options.listen, Arc::clone(&inner)).await?;
        let github = Self { inner, server: Arc::new(server), deliveries };
        let (url, host) = (github.url(), github.host_url());
        {
            let mut state = github.inner.state();
            (state.url, state.host) = (url, host);
        }
        Ok(github)
    }

    /// The API's base URL, without a trailing slash.
    pub fn url(&self) -> String {
        let path = if self.inner.enterprise { enterprise::REST } else { "" };
        format!("{}{path}", self.server.url())
    }

    /// The base URL of git, without a trailing slash.
    pub fn host_url(&self) -> String {
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
        let path = if self.enterprise { enterprise::canonical(request) } else { request.uri.path() };
        if let Some(name) = lfs::endpoint(&request.method, path) {
            return Endpoint { api: "github", name: name.to_owned() };
        }
        let name = match routes::find(&request.method, path) {
            Some((route, _)) => route.name(),
            None if git_http::split(path).is_some() => "git".to_owned(),
            None => format!("{} unknown", request.method),
        };
        Endpoint { api: "github", name }
    }

    async fn handle(&self, request: HttpRequest<Body>) -> Response<Body> {
        let (parts, body) = core::whole(request).await.into_parts();
        let parts = if self.enterprise { enterprise::translate(parts) } else { parts };
        if lfs::endpoint(&parts.method, parts.uri.path()).is_some() {
            let mut state = self.state();
            let caller =
                auth::authenticate(&state, &parts.headers, self.clock.now()).unwrap_or(Caller::Anonymous);
            if let Some(moved) = git_http::moved(&state, &caller, &parts) {
                return moved;
            }
            return lfs::serve(&mut state, &caller, &parts, &body);
        }
        if let Some((owner, name, rest)) = git_http::split(parts.uri.path()) {
            let caller = auth::authenticate(&self.state(), &parts.headers, self.clock.now());
            if let Ok(caller) = &caller
                && let Some(moved) = git_http::moved(&self.state(), caller, &parts)
            {
                return moved;
            }
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
        let needs = found.as_ref().map_or("", |(route, _)| route.needs);
        let authenticated = if needs == permissions::JWT {
            jwt::authenticate(&state.apps, &parts.headers, now)
        } else {
            auth::authenticate(&state, &parts.headers, now)
        };
        let caller = authenticated.as_ref().map_or(Caller::Anonymous, Clone::clone);
        let docs = found.as_ref().map_or("", |(route, _)| route.docs);
        let free = parts.uri.path() == "/rate_limit";
        let mut answer = authenticated.map_or_else(
            |refusal| refusal,
            |caller| {
                let who = state.limited(&caller);
                if !free && let Err(refusal) = state.limits.check(&caller, resource, now, &who) {
                    return refusal;
                }
                if secondary::makes_content(&parts.method, parts.uri.path(), body)
                    && let Err(refusal) = state.secondary.check(&limits::owner(&caller).0, now)
                {
                    return refusal;
                }
                let Some((route, params)) = found else { return Answer::not_found() };
                dispatch(&mut state, route, params, parts, body, caller, now)
            },
        );
        let mut etag = None;
        if parts.method == Method::GET && answer.status == StatusCode::OK {
            etag = answer.body.as_ref().map(|body| etag::of(&caller, &body.to_string()));
        }
        let unchanged = etag.as_deref().is_some_and(|etag| etag::matches(&parts.headers, etag));
        if unchanged {
            (answer.status, answer.body) = (StatusCode::NOT_MODIFIED, None);
        }
        // A 304 is not counted (REST docs, "Use conditional requests").
        if !unchanged && !free {
            state.limits.count(&caller, resource, now);
        }
        if caller.granted().is_some() && !needs.is_empty() {
            answer.headers.push((permissions::HEADER, needs.to_owned()));
        }
        // An hour off is what a client has to learn from the answer.
        answer.headers.push(("date", state.apps.time(now).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()));
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
        if self.enterprise {
            set("x-github-enterprise-version", enterprise::VERSION.to_owned());
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
    let method = parts.method.clone();
    let request = Request { method, params, query, body, caller, needs: route.needs, now, target };
    // Before anything is said of the body, whatever the handler looks at first.
    if request.caller.granted().is_some()
        && !request.param("repo").is_empty()
        && let Err(refusal) = state.repository(&request, auth::Access::Read)
    {
        return refusal;
    }
    (route.handler)(state, &request).unwrap_or_else(|refusal| refusal)
}
