//! The shared sandbox host: finds the sandbox that a request's headers name, and its port.
//! Every request to an envd passes here; `lifecycle` decides which sandboxes run.

use std::sync::Arc;
use std::time::Duration;

use http::header::{HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use serde_json::json;

use super::envd;
use super::lifecycle;
use super::service::Service;
use super::store::{State, Unreachable};
use crate::core::{self, Api, Body, Endpoint};

/// The port that envd listens on.
const ENVD_PORT: &str = "49983";
/// The least life that a sandbox gets when a request resumes it.
const MIN_AUTO_RESUME: Duration = Duration::from_mins(5);

pub struct Gateway(pub Arc<Service>);

impl Api for Gateway {
    fn endpoint(&self, request: &Parts) -> Endpoint {
        Endpoint { api: "envd", name: envd::endpoint(&request.method, request.uri.path()) }
    }

    fn streams(&self, request: &Parts) -> bool {
        request.method == Method::POST && request.uri.path() == "/files"
    }

    async fn handle(&self, request: Request<Body>) -> Response<Body> {
        let headers = request.headers();
        let (Some(id), Some(port)) = (header(headers, "e2b-sandbox-id"), header(headers, "e2b-sandbox-port"))
        else {
            return refused(StatusCode::BAD_REQUEST, &json!({ "code": 400, "message": MISSING_HEADER }));
        };
        // The old form of an id has a client id behind a hyphen.
        let id = id.split('-').next().unwrap_or_default().to_owned();
        let port = port.to_owned();
        self.resume_if_wanted(&id, headers).await;
        let reachable = {
            let store = self.0.store();
            let record = store.sandboxes.get(&id).filter(|record| record.state == State::Running);
            record.map(|record| (record.unreachable, record.machine.envd()))
        };
        let Some((unreachable, envd)) = reachable else { return not_found(&id) };
        match unreachable {
            Some(Unreachable::NotFound) => return not_found(&id),
            Some(Unreachable::PortClosed) => return port_closed(&id, &port),
            None => {}
        }
        // Nothing else can listen inside: ports of a sandbox's own are not routed here.
        if port != ENVD_PORT {
            return port_closed(&id, &port);
        }
        let stopped = envd.disconnect.clone();
        let answer = envd.handle(self.0.now(), request).await;
        // The machine went away meanwhile, and its envd with it: what that still said about itself reaches nobody.
        if stopped.is_cancelled() { not_found(&id) } else { answer }
    }
}

const MISSING_HEADER: &str = "Both E2b-Sandbox-Id and E2b-Sandbox-Port headers are needed";

impl Gateway {
    /// A paused sandbox that is to resume by itself does so for any request with its token.
    async fn resume_if_wanted(&self, id: &str, headers: &HeaderMap) {
        let wanted = {
            let store = self.0.store();
            let given = header(headers, "x-access-token");
            let record = store.sandboxes.get(id).filter(|record| {
                record.state == State::Paused && record.auto_resume && given == Some(record.token.as_str())
            });
            record.and_then(|record| {
                let team = store.teams.iter().find(|team| team.name == record.team)?;
                Some((team.clone(), record.timeout.max(MIN_AUTO_RESUME).min(team.max_run())))
            })
        };
        if let Some((team, timeout)) = wanted
            && let Err(error) = lifecycle::start(&self.0, &team, id, timeout, true).await
        {
            tracing::debug!(?error, "not resumed");
        }
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(HeaderValue::to_str)?.ok().filter(|value| !value.is_empty())
}

fn not_found(id: &str) -> Response<Body> {
    let body = json!({ "sandboxId": id, "message": "The sandbox was not found", "code": 502 });
    refused(StatusCode::BAD_GATEWAY, &body)
}

fn port_closed(id: &str, port: &str) -> Response<Body> {
    let port = port.parse::<u16>().unwrap_or(0);
    let body = json!({ "sandboxId": id, "message": "The sandbox is running but port is not open", "port": port, "code": 502 });
    refused(StatusCode::BAD_GATEWAY, &body)
}

fn refused(status: StatusCode, body: &serde_json::Value) -> Response<Body> {
    core::json(status, body)
}
