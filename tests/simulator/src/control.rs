//! The control side over HTTP, for shell users, the demo and tests in other languages.
//! In-process tests use the handles of `Simulator` instead; both act on the same state.

use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::core::{self, Api, Body, Core, Endpoint, Rule};
use crate::e2b::E2b;
use crate::github::GitHub;

/// Routes: `GET /calls[?since=SEQ]`, `GET /state`, `GET /clock`, `POST /clock/advance {"seconds": N}`,
/// `GET|POST|DELETE /faults`, `DELETE /faults/ID`, and what the stand-ins offer below `/github/` and `/e2b/`.
pub struct Control {
    pub core: Core,
    pub github: GitHub,
    pub e2b: E2b,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    seconds: f64,
}

impl Api for Control {
    fn endpoint(&self, request: &Parts) -> Endpoint {
        Endpoint { api: "control", name: format!("{} {}", request.method, request.uri.path()) }
    }

    async fn handle(&self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = core::whole(request).await.into_parts();
        let path = parts.uri.path();
        if let Some(path) = path.strip_prefix("/github/") {
            let target = parts.uri.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
            return self
                .github
                .control(&parts.method, &target, &body)
                .await
                .unwrap_or_else(|| unknown(&parts));
        }
        if let Some(path) = path.strip_prefix("/e2b/") {
            return self.e2b.control(&parts.method, path, &body).await.unwrap_or_else(|| unknown(&parts));
        }
        match (&parts.method, path) {
            (&Method::GET, "/calls") => {
                let since = parts.uri.query().and_then(|query| query.strip_prefix("since=")).unwrap_or("0");
                match since.parse() {
                    Ok(seq) => ok(&json!({ "calls": self.core.calls.since(seq) })),
                    Err(_) => bad("since must be the seq of a call"),
                }
            }
            (&Method::GET, "/state") => ok(&json!({
                "now": self.core.clock.now(),
                "calls": self.core.calls.counts(),
                "github": self.github.state(),
                "e2b": self.e2b.state(),
            })),
            (&Method::GET, "/clock") => self.clock(),
            (&Method::POST, "/clock/advance") => self.advance(&body),
            (&Method::GET, "/faults") => ok(&json!({ "faults": self.core.faults.list() })),
            (&Method::POST, "/faults") => match serde_json::from_slice::<Rule>(&body) {
                Ok(rule) => ok(&json!({ "id": self.core.faults.set(rule) })),
                Err(error) => bad(&format!("not a fault rule: {error}")),
            },
            (&Method::DELETE, "/faults") => {
                self.core.faults.clear();
                ok(&json!({}))
            }
            (&Method::DELETE, path) => {
                let id = path.strip_prefix("/faults/").and_then(|id| id.parse().ok());
                match id.and_then(|id| self.core.faults.remove(id)) {
                    Some(removed) => ok(&json!(removed)),
                    None => unknown(&parts),
                }
            }
            _ => unknown(&parts),
        }
    }
}

impl Control {
    fn clock(&self) -> Response<Body> {
        ok(&json!({ "now": self.core.clock.now(), "offsetSeconds": self.core.clock.offset().as_secs_f64() }))
    }

    fn advance(&self, body: &Bytes) -> Response<Body> {
        let by = serde_json::from_slice::<Advance>(body)
            .map_err(|error| error.to_string())
            .and_then(|by| Duration::try_from_secs_f64(by.seconds).map_err(|error| error.to_string()));
        match by {
            Ok(by) => {
                self.core.clock.advance(by);
                self.clock()
            }
            Err(error) => bad(&format!("want {{\"seconds\": N}}: {error}")),
        }
    }
}

fn ok(value: &Value) -> Response<Body> {
    core::json(StatusCode::OK, value)
}

fn bad(message: &str) -> Response<Body> {
    core::json(StatusCode::BAD_REQUEST, &json!({ "message": message }))
}

fn unknown(parts: &Parts) -> Response<Body> {
    let message = format!("no control route {} {}", parts.method, parts.uri.path());
    core::json(StatusCode::NOT_FOUND, &json!({ "message": message }))
}
