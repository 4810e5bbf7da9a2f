//! The E2B part of the control side: the switches of `E2b` for shell users and tests in other languages.
//! `crate::control` sends here what is below `/e2b/`.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::E2b;
use super::options::{Team, Template};
use super::store::{KeyMode, Refusal, Unreachable};
use crate::core::{self, Body};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UnreachableBody {
    /// `null`: reachable again.
    unreachable: Option<Unreachable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Seconds {
    seconds: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Times {
    times: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FailPause {
    lost: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    mode: KeyMode,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShowAs {
    /// `null`: in its own state.
    state: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Limit {
    limit: usize,
}

/// Routes, below `/e2b`:
/// `GET sandboxes`, `POST sandboxes/ID/kill`, `POST sandboxes/ID/pause`,
/// `POST sandboxes/ID/unreachable {"unreachable": "not_found" | "port_closed" | null}`,
/// `POST sandboxes/ID/hide-from-get {"times": N}`, `POST sandboxes/ID/hide-from-lists {"seconds": N}`,
/// `POST sandboxes/ID/show-as {"state": "snapshotting" | … | null}`,
/// `POST sandboxes/ID/keep-files`, `POST sandboxes/ID/roll-back`, `POST fail-pause {"lost": true | false}`,
/// `POST degrade-pauses {"times": N}`, `POST overdue {"seconds": N}`,
/// `POST keys {"mode": "honour" | "ignore" | "forget_outcomes"}`,
/// `POST hide-new {"seconds": N}`, `POST create-latency {"seconds": N}`,
/// `POST refuse-create {"status", "message", "errorCode"?}`,
/// `POST teams {"name", "keys", "max_hours"?, "max_sandboxes"?, "blocked"?}` (adds or replaces),
/// `POST teams/NAME/limit {"limit": N}`,
/// `POST templates {"name", "id"?, "hidden_commands"?, "default_user"?, "envd_version"?}` (adds or replaces), `DELETE templates/NAME`.
pub async fn handle(e2b: &E2b, method: &Method, path: &str, body: &Bytes) -> Option<Response<Body>> {
    let segments: Vec<&str> = path.split('/').collect();
    let answer = match (method.as_str(), segments.as_slice()) {
        ("GET", ["sandboxes"]) => Ok(json!({ "sandboxes": e2b.sandboxes() })),
        ("POST", ["sandboxes", id, "kill"]) => found(e2b.kill(id).await),
        ("POST", ["sandboxes", id, "pause"]) => found(e2b.pause(id).await),
        ("POST", ["sandboxes", id, "unreachable"]) => match parse::<UnreachableBody>(body) {
            Ok(body) => found(e2b.set_unreachable(id, body.unreachable)),
            Err(message) => Err(message),
        },
        ("POST", ["sandboxes", id, "hide-from-get"]) => {
            parse::<Times>(body).and_then(|body| found(e2b.hide_from_get(id, body.times)))
        }
        ("POST", ["sandboxes", id, "hide-from-lists"]) => {
            seconds(body).and_then(|duration| found(e2b.hide_from_lists(id, duration)))
        }
        ("POST", ["sandboxes", id, "show-as"]) => {
            parse::<ShowAs>(body).and_then(|body| found(e2b.show_as(id, body.state.as_deref())))
        }
        ("POST", ["sandboxes", id, "keep-files"]) => {
            e2b.keep_files(id).map(|()| json!({})).map_err(|error| format!("{error:#}"))
        }
        ("POST", ["sandboxes", id, "roll-back"]) => {
            e2b.roll_back(id).await.map(|()| json!({})).map_err(|error| format!("{error:#}"))
        }
        ("POST", ["fail-pause"]) => {
            parse::<FailPause>(body).map(|body| done(|| e2b.fail_next_pause(body.lost)))
        }
        ("POST", ["degrade-pauses"]) => {
            parse::<Times>(body).map(|body| done(|| e2b.degrade_next_pauses(body.times)))
        }
        ("POST", ["overdue"]) => seconds(body).map(|duration| done(|| e2b.set_overdue(duration))),
        ("POST", ["keys"]) => parse::<Keys>(body).map(|body| done(|| e2b.set_key_mode(body.mode))),
        ("POST", ["hide-new"]) => seconds(body).map(|duration| done(|| e2b.hide_new(duration))),
        ("POST", ["create-latency"]) => {
            seconds(body).map(|duration| done(|| e2b.set_create_latency(duration)))
        }
        ("POST", ["refuse-create"]) => {
            parse::<Refusal>(body).map(|refusal| done(|| e2b.refuse_next_create(refusal)))
        }
        ("POST", ["teams"]) => parse::<Team>(body).map(|team| done(|| e2b.set_team(team))),
        ("POST", ["teams", name, "limit"]) => match parse::<Limit>(body) {
            Ok(body) => found(e2b.set_concurrency_limit(name, body.limit)),
            Err(message) => Err(message),
        },
        ("POST", ["templates"]) => {
            parse::<Template>(body).map(|template| done(|| e2b.set_template(template)))
        }
        ("DELETE", ["templates", name]) => found(e2b.remove_template(name)),
        _ => return None,
    };
    Some(match answer {
        Ok(value) => core::json(StatusCode::OK, &value),
        Err(message) if message == NOT_FOUND => {
            core::json(StatusCode::NOT_FOUND, &json!({ "message": message }))
        }
        Err(message) => core::json(StatusCode::BAD_REQUEST, &json!({ "message": message })),
    })
}

const NOT_FOUND: &str = "there is none of that name";

fn found(found: bool) -> Result<Value, String> {
    if found { Ok(json!({})) } else { Err(NOT_FOUND.to_owned()) }
}

fn done(act: impl FnOnce()) -> Value {
    act();
    json!({})
}

fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| format!("not what this route takes: {error}"))
}

fn seconds(body: &Bytes) -> Result<Duration, String> {
    let body = parse::<Seconds>(body)?;
    Duration::try_from_secs_f64(body.seconds).map_err(|error| error.to_string())
}
