//! Lists of sandboxes: `GET /v2/sandboxes`, page by page, and its deprecated twin.
//! Filters and cursors are those of E2B's `sandboxes_list.go`.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{HeaderName, HeaderValue};
use http::{Response, StatusCode};
use jiff::Timestamp;
use serde_json::Value;

use super::answer::{self, Error, Result};
use super::idempotency::Answer;
use super::options::Team;
use super::query::{Query, unescape};
use super::service::Service;
use super::store::{Record, State};
use crate::core::Body;

const MAX_LIMIT: usize = 100;

pub fn v2(service: &Arc<Service>, team: &Team, query: &Query) -> Result<Response<Body>> {
    let states = states(query)?;
    let ascending = match query.get("order") {
        None | Some("desc") => false,
        Some("asc") => true,
        Some(other) => return Err(Error::bad(format!("Invalid order parameter: unknown order \"{other}\""))),
    };
    let limit = match query.get("limit").map(str::parse::<usize>) {
        None => MAX_LIMIT,
        Some(Ok(limit)) if (1..=MAX_LIMIT).contains(&limit) => limit,
        Some(_) => return Err(Error::bad("validation error: limit must be between 1 and 100")),
    };
    let cursor = query.get("nextToken").filter(|token| !token.is_empty()).map(parse_cursor).transpose()?;
    let wanted = metadata(query).ok_or_else(|| Error::bad("Error parsing metadata"))?;
    let started_after = query.get("startedAfter").map(str::parse::<Timestamp>).transpose();
    let started_after =
        started_after.map_err(|error| Error::bad(format!("validation error: startedAfter: {error}")))?;
    let now = service.now();
    let store = service.store();
    let template =
        query.get("template").map(|reference| store.template(reference).map(super::options::Template::id));
    let matching = store.sandboxes.values().filter(|record| {
        shown(record, team, now)
            && states.contains(&record.state)
            && wanted.iter().all(|(key, value)| record.metadata.get(key) == Some(value))
            && started_after.is_none_or(|after| record.started_at >= after)
            && template.as_ref().is_none_or(|id| id.as_deref() == Some(record.template.id().as_str()))
    });
    let mut matching: Vec<&Record> = matching.collect();
    let running = matching.iter().filter(|record| record.state == State::Running).count();
    matching.sort_by(|a, b| (b.started_at, &b.id).cmp(&(a.started_at, &a.id)));
    if ascending {
        matching.reverse();
    }
    if let Some((at, id)) = cursor {
        matching.retain(|record| {
            let position = (record.started_at, record.id.as_str());
            if ascending { position > (at, id.as_str()) } else { position < (at, id.as_str()) }
        });
    }
    let next = (matching.len() > limit).then(|| cursor_after(matching[limit - 1], ascending));
    matching.truncate(limit);
    let mut response = answered(&matching);
    let headers = response.headers_mut();
    if states.contains(&State::Running) {
        headers.insert(HeaderName::from_static("x-total-running"), HeaderValue::from(running));
    }
    if let Some(next) = next.and_then(|next| HeaderValue::from_str(&next).ok()) {
        headers.insert(HeaderName::from_static("x-next-token"), next);
    }
    Ok(response)
}

/// All that run, in one answer.
pub fn v1(service: &Arc<Service>, team: &Team, query: &Query) -> Result<Response<Body>> {
    let wanted = metadata(query).ok_or_else(|| Error::bad("Error parsing metadata"))?;
    let now = service.now();
    let store = service.store();
    let mut matching: Vec<&Record> = store
        .sandboxes
        .values()
        .filter(|record| shown(record, team, now) && record.state == State::Running)
        .filter(|record| wanted.iter().all(|(key, value)| record.metadata.get(key) == Some(value)))
        .collect();
    matching.sort_by(|a, b| (b.started_at, &b.id).cmp(&(a.started_at, &a.id)));
    Ok(answered(&matching))
}

fn shown(record: &Record, team: &Team, now: Timestamp) -> bool {
    record.team == team.name && record.hidden_until.is_none_or(|until| until <= now)
}

fn answered(records: &[&Record]) -> Response<Body> {
    let body = Value::Array(records.iter().map(|record| answer::listed(record)).collect());
    Answer { status: StatusCode::OK, body }.into()
}

/// One comma list, or several parameters; absent: all states.
fn states(query: &Query) -> Result<Vec<State>> {
    let names: Vec<&str> = query.all("state").flat_map(|states| states.split(',')).collect();
    if names.is_empty() {
        return Ok(vec![State::Running, State::Paused]);
    }
    let state = |name: &&str| match *name {
        "running" => Ok(State::Running),
        "paused" => Ok(State::Paused),
        other => {
            Err(Error::bad(format!("validation error: state \"{other}\" is not one of running, paused")))
        }
    };
    names.iter().map(state).collect()
}

/// A query inside a query parameter, whose names and values are encoded once more, or twice.
fn metadata(query: &Query) -> Option<BTreeMap<String, String>> {
    let Some(filter) = query.get("metadata").filter(|filter| !filter.is_empty()) else {
        return Some(BTreeMap::new());
    };
    let filter = unescape(filter)?;
    let pairs = filter.split('&').map(|pair| {
        let (name, value) = pair.split_once('=')?;
        Some((unescape(name)?, unescape(value)?))
    });
    pairs.collect()
}

fn cursor_after(record: &Record, ascending: bool) -> String {
    let suffix = if ascending { "__asc" } else { "" };
    URL_SAFE_NO_PAD.encode(format!("{}__{}{suffix}", record.started_at, record.id))
}

fn parse_cursor(token: &str) -> Result<(Timestamp, String)> {
    let invalid = || Error::bad("Invalid next token");
    let cursor = URL_SAFE_NO_PAD.decode(token.trim_end_matches('=')).map_err(|_| invalid())?;
    let cursor = String::from_utf8(cursor).map_err(|_| invalid())?;
    let mut fields = cursor.split("__");
    let at = fields.next().and_then(|at| at.parse().ok()).ok_or_else(invalid)?;
    Ok((at, fields.next().ok_or_else(invalid)?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_official_clients_filters_are_understood() {
        for filter in ["metadata=crd%3Dns%25252Fname", "metadata=crd%3Dns%252Fname"] {
            let metadata = metadata(&Query::parse(filter)).expect("a filter");
            assert_eq!(metadata, BTreeMap::from([("crd".to_owned(), "ns/name".to_owned())]), "{filter}");
        }
        let two = metadata(&Query::parse("metadata=a%3D1%26b%3D2")).expect("a filter");
        assert_eq!(two.len(), 2);
        assert!(metadata(&Query::parse("metadata=novalue")).is_none());
    }
}
