//! What happens to sandboxes that exist: connect, resume, get, timeout, refresh, pause, kill.
//! `create` and `list` are the other two parts of the lifecycle API; `api` routes to all of them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::answer::{self, Error, Result};
use super::create::Version;
use super::idempotency::Answer;
use super::options::Team;
use super::service::Service;
use super::store::{State, end_at};
use crate::core::Body;

#[derive(Deserialize, Default)]
struct Timeout {
    timeout: Option<i32>,
    /// `false`: start from the disk, whatever memory was kept.
    memory: Option<bool>,
}

#[derive(Deserialize, Default)]
struct Refresh {
    duration: Option<i32>,
}

/// A timeout of create, connect and resume (seconds), checked against the team's plan.
pub fn parse_timeout(timeout: Option<i32>, default: u64, team: &Team) -> Result<Duration> {
    let timeout = match timeout {
        None => default,
        Some(timeout) if timeout <= 0 => return Err(Error::bad("Timeout must be greater than 0")),
        Some(timeout) => u64::from(timeout.unsigned_abs()),
    };
    let timeout = Duration::from_secs(timeout);
    if timeout > team.max_run() {
        return Err(Error::bad(format!("Timeout cannot be greater than {} hours", team.max_hours)));
    }
    Ok(timeout)
}

/// The sandbox id of a path: the old form with a client id behind a hyphen is cut.
pub fn short_id(id: &str) -> Result<&str> {
    let short = id.split('-').next().unwrap_or_default();
    let valid =
        !short.is_empty() && short.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if valid { Ok(short) } else { Err(Error::bad("Invalid sandbox ID")) }
}

fn parse<T: DeserializeOwned + Default>(body: &Bytes, required: bool) -> Result<T> {
    if body.is_empty() && !required {
        return Ok(T::default());
    }
    serde_json::from_slice(body).map_err(|error| Error::bad(format!("Error when parsing request: {error}")))
}

/// 200 when it was running (its life is only ever extended), 201 when it was resumed.
pub async fn connect(
    service: &Arc<Service>,
    version: Version,
    team: &Team,
    id: &str,
    body: &Bytes,
) -> Result<Response<Body>> {
    let body: Timeout = parse(body, version == Version::V1)?;
    let timeout = match (version, body.timeout) {
        (Version::V2, timeout) => parse_timeout(timeout, 300, team)?,
        // The old endpoint takes 0 for what it is.
        (Version::V1, Some(0)) => Duration::ZERO,
        (Version::V1, Some(timeout)) => parse_timeout(Some(timeout), 0, team)?,
        (Version::V1, None) => return Err(Error::bad("Error when parsing request: timeout is missing")),
    };
    {
        let now = service.now();
        let mut store = service.store();
        let record = store.sandbox(&team.name, id).ok_or_else(|| Error::no_sandbox(id))?;
        if record.state == State::Running {
            record.end_at = record.end_at.max(end_at(now, timeout, record.started_at, team.max_run()));
            let body = answer::sandbox(record);
            drop(store);
            service.lifetimes_changed();
            return Ok(Answer { status: StatusCode::OK, body }.into());
        }
    }
    start(service, team, id, timeout, body.memory.unwrap_or(true)).await
}

/// The deprecated resume: refuses a sandbox that runs.
pub async fn resume(service: &Arc<Service>, team: &Team, id: &str, body: &Bytes) -> Result<Response<Body>> {
    let body: Timeout = parse(body, false)?;
    let timeout = parse_timeout(body.timeout, 15, team)?;
    let state = service.store().sandbox(&team.name, id).map(|record| record.state);
    match state {
        None => Err(Error::no_sandbox(id)),
        Some(State::Running) => Err(Error::conflict(format!("Sandbox {id} is already running"))),
        Some(State::Paused) => start(service, team, id, timeout, body.memory.unwrap_or(true)).await,
    }
}

/// Resumes a paused sandbox: a new run with a life of its own.
pub async fn start(
    service: &Arc<Service>,
    team: &Team,
    id: &str,
    timeout: Duration,
    memory: bool,
) -> Result<Response<Body>> {
    let (machine, memory) = {
        let mut store = service.store();
        store.reserve(team).map_err(Error::too_many)?;
        let found = store
            .sandbox(&team.name, id)
            .map(|record| (Arc::clone(&record.machine), memory && !record.without_memory));
        if found.is_none() {
            store.release(&team.name);
        }
        found.ok_or_else(|| Error::no_sandbox(id))?
    };
    // Waits for a pause that is still under way.
    let resumed = machine.resume(memory).await;
    let now = service.now();
    let mut store = service.store();
    store.release(&team.name);
    if let Err(error) = resumed {
        // Killed meanwhile, or the host is in trouble.
        tracing::warn!(%error, "resuming a sandbox failed");
        store.sandbox(&team.name, id).ok_or_else(|| Error::no_sandbox(id))?;
        return Err(Error::new(StatusCode::INTERNAL_SERVER_ERROR, "Error resuming sandbox"));
    }
    let record = store.sandbox(&team.name, id).ok_or_else(|| Error::no_sandbox(id))?;
    if record.state == State::Running {
        // Somebody else was faster.
        let body = answer::sandbox(record);
        return Ok(Answer { status: StatusCode::OK, body }.into());
    }
    record.state = State::Running;
    record.started_at = now;
    record.end_at = end_at(now, timeout, now, team.max_run());
    let body = answer::sandbox(record);
    store.counters.resumes += 1;
    drop(store);
    service.lifetimes_changed();
    Ok(Answer { status: StatusCode::CREATED, body }.into())
}

/// Changes nothing: neither lifetime nor state.
pub fn get(service: &Arc<Service>, team: &Team, id: &str) -> Result<Response<Body>> {
    let mut store = service.store();
    let record = store.sandbox(&team.name, id).ok_or_else(|| Error::no_sandbox(id))?;
    if record.hidden_gets > 0 {
        record.hidden_gets -= 1;
        return Err(Error::no_sandbox(id));
    }
    Ok(Answer { status: StatusCode::OK, body: answer::detail(record) }.into())
}

/// Sets the life that is left, also to less.
pub fn timeout(service: &Arc<Service>, team: &Team, id: &str, body: &Bytes) -> Result<Response<Body>> {
    let body: Timeout = parse(body, true)?;
    let timeout = body.timeout.ok_or_else(|| Error::bad("Error when parsing request: timeout is missing"))?;
    let timeout = Duration::from_secs(u64::try_from(timeout).unwrap_or(0));
    set_life(service, team, id, timeout, true)
}

/// Extends the life that is left; never shortens it.
pub fn refresh(service: &Arc<Service>, team: &Team, id: &str, body: &Bytes) -> Result<Response<Body>> {
    let body: Refresh = parse(body, false)?;
    let duration = body.duration.unwrap_or(15);
    if !(0..=3600).contains(&duration) {
        return Err(Error::bad("validation error: duration must be between 0 and 3600"));
    }
    set_life(service, team, id, Duration::from_secs(u64::from(duration.max(15).unsigned_abs())), false)
}

fn set_life(
    service: &Arc<Service>,
    team: &Team,
    id: &str,
    life: Duration,
    shorter: bool,
) -> Result<Response<Body>> {
    let now = service.now();
    let mut store = service.store();
    let record = store.sandbox(&team.name, id).filter(|record| record.state == State::Running);
    let record = record.ok_or_else(|| Error::no_sandbox(id))?;
    let end = end_at(now, life, record.started_at, team.max_run());
    record.end_at = if shorter { end } else { record.end_at.max(end) };
    drop(store);
    service.lifetimes_changed();
    Ok(answer::no_content())
}

pub async fn pause(service: &Arc<Service>, team: &Team, id: &str, body: &Bytes) -> Result<Response<Body>> {
    let _: serde_json::Value = parse(body, false)?;
    service.store().sandbox(&team.name, id).ok_or_else(|| Error::no_sandbox(id))?;
    let failing = service.store().failing_pauses.pop_front();
    if let Some(lost) = failing {
        if lost && let Some(machine) = service.remove(id) {
            machine.kill().await;
        }
        return Err(Error::new(StatusCode::INTERNAL_SERVER_ERROR, "Error pausing sandbox"));
    }
    match service.pause(id).await {
        Ok(true) => Ok(answer::no_content()),
        Ok(false) => {
            service.store().sandbox(&team.name, id).ok_or_else(|| Error::no_sandbox(id))?;
            Err(Error::conflict(format!("Error pausing sandbox - sandbox '{id}' is already paused")))
        }
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "pausing a sandbox failed");
            Err(Error::new(StatusCode::INTERNAL_SERVER_ERROR, "Error pausing sandbox"))
        }
    }
}

/// Kills a sandbox, running or paused.
pub async fn kill(service: &Arc<Service>, team: &Team, id: &str) -> Result<Response<Body>> {
    service.store().sandbox(&team.name, id).ok_or_else(|| Error::no_sandbox(id))?;
    let machine = service.remove(id).ok_or_else(|| Error::no_sandbox(id))?;
    service.store().counters.deletes += 1;
    machine.kill().await;
    Ok(answer::no_content())
}
