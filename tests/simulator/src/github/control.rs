//! The GitHub part of the control side: `people` and `deliveries` over HTTP, below `/github/`.
//! Called by `crate::control`; an in-process test uses the methods themselves.

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::{Value, json};

use super::people::{MergeMethod, NewRepository};
use super::{
    Account, BranchRule, Check, DeliveryManners, GitHub, Manners, Mode, Order, QueueStep, Refused, Token,
};
use crate::core::{self, Body};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Act {
    login: String,
    method: String,
    path: String,
    #[serde(default)]
    body: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RateLimit {
    token: String,
    remaining: u64,
    /// Seconds from now, simulated time.
    #[serde(rename = "resetSeconds")]
    reset_seconds: u32,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Release {
    order: Order,
    copies: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetMode {
    mode: Mode,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Merge {
    method: MergeMethod,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewHook {
    url: String,
    secret: String,
    events: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Push {
    branch: String,
    /// Path to content; null deletes.
    files: std::collections::BTreeMap<String, Option<String>>,
    message: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Protect {
    branch: String,
    protect: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RequireSignatures {
    branch: String,
    require: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Checks {
    sha: String,
    checks: Vec<Check>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AddedCheck {
    sha: String,
    check: Check,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    rules: Vec<BranchRule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ForcedState {
    state: Option<String>,
}

/// Why a control call failed: not understood, or refused as GitHub would.
pub(super) enum Failure {
    Bad(String),
    Refused(Refused),
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

pub(super) fn parse<'a, T: Deserialize<'a>>(body: &'a Bytes) -> Result<T, Failure> {
    let body: &[u8] = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| Failure::Bad(error.to_string()))
}

impl GitHub {
    /// Control calls below `/github/`; `path` is without that prefix. `None`: unknown, answered with 404.
    pub async fn control(&self, method: &Method, path: &str, body: &Bytes) -> Option<Response<Body>> {
        let path = path.split('?').next().unwrap_or_default();
        let segments: Vec<&str> = path.split('/').collect();
        let result = match (method.as_str(), segments.as_slice()) {
            ("GET", ["deliveries"]) => Ok(json!({ "deliveries": self.deliveries.all() })),
            ("POST", ["deliveries", "mode"]) => {
                parse::<SetMode>(body).map(|wanted| self.deliveries.set_mode(wanted.mode)).map(|()| json!({}))
            }
            ("POST", ["deliveries", "manners"]) => parse::<DeliveryManners>(body)
                .map(|manners| self.deliveries.set_manners(manners))
                .map(|()| json!({})),
            ("POST", ["deliveries", "release"]) => match parse::<Release>(body) {
                Ok(wanted) => {
                    let ids = self.deliveries.release(wanted.order, wanted.copies.unwrap_or(1)).await;
                    Ok(json!({ "released": ids }))
                }
                Err(failure) => Err(failure),
            },
            ("POST", ["deliveries", id, "redeliver"]) => {
                let delivery = self.redeliver(id.parse().ok()?).await;
                Ok(json!(delivery?))
            }
            ("POST", ["accounts"]) => parse::<Account>(body).map(|account| {
                self.add_account(&account.login, account.kind);
                json!({})
            }),
            ("POST", ["tokens"]) => parse::<Token>(body).map(|token| {
                self.add_token(token);
                json!({})
            }),
            ("DELETE", ["tokens", value]) => {
                self.revoke_token(value);
                Ok(json!({}))
            }
            ("POST", ["rate-limit"]) => self.control_rate_limit(body),
            ("POST", ["act"]) => self.control_act(body),
            ("POST", ["repos"]) => parse::<NewRepository>(body)
                .and_then(|new| Ok(self.create_repository(&new)?))
                .map(|view| self.with_git_dir(view)),
            (method, segments @ ["apps" | "installations", ..]) => {
                self.control_apps(method, segments, body)?
            }
            (method, ["repos", owner, name, rest @ ..]) => {
                self.control_repository(method, &format!("{owner}/{name}"), rest, body)?
            }
            _ => return None,
        };
        Some(match result {
            Ok(value) => core::json(StatusCode::OK, &value),
            Err(Failure::Bad(message)) => core::json(StatusCode::BAD_REQUEST, &json!({ "message": message })),
            Err(Failure::Refused(refused)) => {
                let status =
                    StatusCode::from_u16(refused.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                core::json(status, &refused.body)
            }
        })
    }

    fn control_rate_limit(&self, body: &Bytes) -> Result<Value, Failure> {
        let wanted: RateLimit = parse(body)?;
        let reset = self.inner.clock.now() + SignedDuration::from_secs(wanted.reset_seconds.into());
        if self.set_rate_limit(&wanted.token, wanted.remaining, reset) {
            Ok(json!({ "reset": reset.as_second() }))
        } else {
            Err(Failure::Bad("no such token".to_owned()))
        }
    }

    fn control_act(&self, body: &Bytes) -> Result<Value, Failure> {
        let act: Act = parse(body)?;
        let method = Method::from_bytes(act.method.as_bytes());
        let method = method.map_err(|_| Failure::Bad(format!("{} is no HTTP method", act.method)))?;
        Ok(self.act(&act.login, &method, &act.path, act.body.unwrap_or_else(|| json!({})))?)
    }

    /// Adds the path to clone from.
    fn with_git_dir(&self, mut view: Value) -> Value {
        if let Some(git_dir) = view["full_name"].as_str().and_then(|name| self.git_dir(name).ok()) {
            view["git_dir"] = json!(git_dir);
        }
        view
    }

    /// `None`: unknown.
    fn control_repository(
        &self,
        method: &str,
        full_name: &str,
        rest: &[&str],
        body: &Bytes,
    ) -> Option<Result<Value, Failure>> {
        let act = match (method, rest) {
            ("GET", []) => self
                .act("reviewer", &Method::GET, &format!("/repos/{full_name}"), json!({}))
                .map(|view| self.with_git_dir(view)),
            ("DELETE", []) => self.delete_repository(full_name),
            ("POST", ["archive"]) => self.archive(full_name, true),
            ("POST", ["unarchive"]) => self.archive(full_name, false),
            ("POST", ["rename", name]) => self.rename(full_name, name),
            ("GET", ["pulls"]) => self.pulls(full_name).map(Value::Array),
            ("POST", ["hooks"]) => return Some(self.control_hook(full_name, body)),
            ("POST", ["push"]) => return Some(self.control_push(full_name, body)),
            ("DELETE", ["branches", branch @ ..]) => self.delete_branch(full_name, &branch.join("/")),
            (method, ["pulls", number, act @ ..]) => {
                return self.control_pull(method, full_name, number.parse().ok()?, act, body);
            }
            ("POST", setting) => return self.control_setting(full_name, setting, body),
            _ => return None,
        };
        Some(act.map_err(Failure::from))
    }

    /// What a repository is told to be like. `None`: unknown.
    fn control_setting(
        &self,
        full_name: &str,
        setting: &[&str],
        body: &Bytes,
    ) -> Option<Result<Value, Failure>> {
        let set = match setting {
            ["protect"] => parse::<Protect>(body)
                .and_then(|wanted| Ok(self.protect(full_name, &wanted.branch, wanted.protect)?)),
            ["require-signatures"] => parse::<RequireSignatures>(body)
                .and_then(|wanted| Ok(self.require_signatures(full_name, &wanted.branch, wanted.require)?)),
            ["checks"] => parse::<Checks>(body)
                .and_then(|wanted| Ok(self.set_checks(full_name, &wanted.sha, wanted.checks)?)),
            ["checks", "add"] => parse::<AddedCheck>(body)
                .and_then(|wanted| Ok(self.add_check(full_name, &wanted.sha, wanted.check)?)),
            ["rules"] => parse::<Rules>(body).and_then(|wanted| Ok(self.set_rules(full_name, wanted.rules)?)),
            ["manners"] => parse::<Manners>(body).and_then(|wanted| Ok(self.set_manners(full_name, wanted)?)),
            _ => return None,
        };
        Some(set.map(|()| json!({})))
    }

    fn control_hook(&self, full_name: &str, body: &Bytes) -> Result<Value, Failure> {
        let hook: NewHook = parse(body)?;
        let events: Vec<&str> = hook.events.iter().map(String::as_str).collect();
        Ok(json!({ "id": self.add_hook(full_name, &hook.url, &hook.secret, &events)? }))
    }

    fn control_push(&self, full_name: &str, body: &Bytes) -> Result<Value, Failure> {
        let push: Push = parse(body)?;
        let files: Vec<_> = push.files.iter().map(|(path, text)| (path.as_str(), text.as_deref())).collect();
        Ok(json!({ "sha": self.push(full_name, &push.branch, &files, &push.message)? }))
    }

    /// `None`: unknown.
    fn control_pull(
        &self,
        method: &str,
        full_name: &str,
        number: u64,
        act: &[&str],
        body: &Bytes,
    ) -> Option<Result<Value, Failure>> {
        let result =
            match (method, act) {
                ("GET", []) => self.pull(full_name, number),
                ("POST", ["close"]) => self.close(full_name, number),
                ("POST", ["reopen"]) => self.reopen(full_name, number),
                ("POST", ["ready"]) => self.ready(full_name, number).map(|()| json!({})),
                ("POST", ["draft"]) => self.draft(full_name, number).map(|()| json!({})),
                ("POST", ["merge"]) => {
                    let merge: Result<Merge, _> = parse(body);
                    return Some(merge.and_then(|wanted| {
                        Ok(json!({ "sha": self.merge(full_name, number, wanted.method)? }))
                    }));
                }
                ("POST", ["queue"]) => {
                    let step: Result<QueueStep, _> = parse(body);
                    return Some(step.and_then(|step| {
                        self.queue_step(full_name, number, step)?;
                        Ok(json!({}))
                    }));
                }
                ("POST", ["touch"]) => self.touch(full_name, number).map(|()| json!({})),
                ("POST", ["mergeable-state"]) => {
                    let forced: Result<ForcedState, _> = parse(body);
                    return Some(forced.and_then(|wanted| {
                        self.force_mergeable_state(full_name, number, wanted.state.as_deref())?;
                        Ok(json!({}))
                    }));
                }
                _ => return None,
            };
        Some(result.map_err(Failure::from))
    }
}
