//! The lifecycle API on the wire: who asks, and which handler answers.
//! `create`, `list` and `lifecycle` are the handlers.

use std::sync::Arc;

use bytes::Bytes;
use http::header::HeaderMap;
use http::request::Parts;
use http::{Request, Response, StatusCode};

use super::answer::{self, Error, Result};
use super::create::{self, Version};
use super::lifecycle;
use super::list;
use super::options::Team;
use super::query::Query;
use super::service::Service;
use crate::core::{Api, Body, Endpoint, whole};

pub struct LifecycleApi(pub Arc<Service>);

/// One operation of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route<'a> {
    Create(Wire),
    List(Wire),
    Connect(Wire, &'a str),
    Resume(&'a str),
    Get(&'a str),
    Timeout(&'a str),
    Refresh(&'a str),
    Pause(&'a str),
    Kill(&'a str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wire {
    V1,
    V2,
}

fn route<'a>(method: &str, path: &'a str) -> Option<Route<'a>> {
    let segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
    Some(match (method, segments.as_slice()) {
        ("POST", ["v2", "sandboxes"]) => Route::Create(Wire::V2),
        ("GET", ["v2", "sandboxes"]) => Route::List(Wire::V2),
        ("POST", ["v2", "sandboxes", id, "connect"]) => Route::Connect(Wire::V2, id),
        ("POST", ["sandboxes"]) => Route::Create(Wire::V1),
        ("GET", ["sandboxes"]) => Route::List(Wire::V1),
        ("POST", ["sandboxes", id, "connect"]) => Route::Connect(Wire::V1, id),
        ("POST", ["sandboxes", id, "resume"]) => Route::Resume(id),
        ("GET", ["sandboxes", id]) => Route::Get(id),
        ("DELETE", ["sandboxes", id]) => Route::Kill(id),
        ("POST", ["sandboxes", id, "timeout"]) => Route::Timeout(id),
        ("POST", ["sandboxes", id, "refreshes"]) => Route::Refresh(id),
        ("POST", ["sandboxes", id, "pause"]) => Route::Pause(id),
        _ => return None,
    })
}

/// The stable name of a route, for the log of calls and for faults.
fn name(route: Route<'_>) -> &'static str {
    match route {
        Route::Create(Wire::V2) => "POST /v2/sandboxes",
        Route::List(Wire::V2) => "GET /v2/sandboxes",
        Route::Connect(Wire::V2, _) => "POST /v2/sandboxes/{sandboxID}/connect",
        Route::Create(Wire::V1) => "POST /sandboxes",
        Route::List(Wire::V1) => "GET /sandboxes",
        Route::Connect(Wire::V1, _) => "POST /sandboxes/{sandboxID}/connect",
        Route::Resume(_) => "POST /sandboxes/{sandboxID}/resume",
        Route::Get(_) => "GET /sandboxes/{sandboxID}",
        Route::Kill(_) => "DELETE /sandboxes/{sandboxID}",
        Route::Timeout(_) => "POST /sandboxes/{sandboxID}/timeout",
        Route::Refresh(_) => "POST /sandboxes/{sandboxID}/refreshes",
        Route::Pause(_) => "POST /sandboxes/{sandboxID}/pause",
    }
}

impl From<Wire> for Version {
    fn from(wire: Wire) -> Self {
        match wire {
            Wire::V1 => Self::V1,
            Wire::V2 => Self::V2,
        }
    }
}

impl Api for LifecycleApi {
    fn endpoint(&self, request: &Parts) -> Endpoint {
        let path = request.uri.path();
        let known = route(request.method.as_str(), path).map(|route| name(route).to_owned());
        Endpoint { api: "e2b", name: known.unwrap_or_else(|| format!("{} {path}", request.method)) }
    }

    async fn handle(&self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = whole(request).await.into_parts();
        let Some(route) = route(parts.method.as_str(), parts.uri.path()) else { return answer::no_route() };
        let team = match self.team(&parts.headers) {
            Ok(team) => team,
            Err(error) => return error.into(),
        };
        let service = &self.0;
        if let Route::Create(wire) = route {
            return create::post(service, wire.into(), &team, &parts.headers, &body).await;
        }
        let query = Query::parse(parts.uri.query().unwrap_or(""));
        self.dispatch(route, &team, &query, &body).await.unwrap_or_else(Response::from)
    }
}

impl LifecycleApi {
    async fn dispatch(
        &self,
        route: Route<'_>,
        team: &Team,
        query: &Query,
        body: &Bytes,
    ) -> Result<Response<Body>> {
        use lifecycle::short_id;
        let service = &self.0;
        match route {
            // Answered before: it has no body that could be wrong in this form.
            Route::Create(_) => Ok(answer::no_route()),
            Route::List(Wire::V2) => list::v2(service, team, query),
            Route::List(Wire::V1) => list::v1(service, team, query),
            Route::Connect(wire, id) => {
                lifecycle::connect(service, wire.into(), team, short_id(id)?, body).await
            }
            Route::Resume(id) => lifecycle::resume(service, team, short_id(id)?, body).await,
            Route::Get(id) => lifecycle::get(service, team, short_id(id)?),
            Route::Timeout(id) => lifecycle::timeout(service, team, short_id(id)?, body),
            Route::Refresh(id) => lifecycle::refresh(service, team, short_id(id)?, body),
            Route::Pause(id) => lifecycle::pause(service, team, short_id(id)?, body).await,
            Route::Kill(id) => lifecycle::kill(service, team, short_id(id)?).await,
        }
    }

    /// The team whose key the request carries.
    fn team(&self, headers: &HeaderMap) -> Result<Team> {
        let unauthorized = |cause: &str| {
            let advice = "Invalid API key, please visit https://e2b.dev/docs/api-key for more information.";
            Error::new(StatusCode::UNAUTHORIZED, format!("{advice}\n{cause}"))
        };
        let Some(key) = headers.get("x-api-key").and_then(|value| value.to_str().ok()) else {
            return Err(Error::new(StatusCode::UNAUTHORIZED, "authorization header is missing"));
        };
        if !key.starts_with("e2b_") {
            return Err(unauthorized("Invalid API key format"));
        }
        let team = self.0.store().team_of_key(key).cloned();
        let team = team.ok_or_else(|| unauthorized("Cannot get the team for the given API key"))?;
        if team.blocked {
            return Err(Error::new(StatusCode::FORBIDDEN, "team blocked: please contact support"));
        }
        Ok(team)
    }
}
