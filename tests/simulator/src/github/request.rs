//! A request as handlers see it: path parameters, query, JSON body, caller.
//! Filled by `mod`; its accessors refuse what GitHub's schemas refuse.

use std::collections::HashMap;

use http::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::answer::Answer;
use super::auth::Caller;

pub(super) struct Request {
    pub(super) method: Method,
    pub(super) params: HashMap<&'static str, String>,
    pub(super) query: Vec<(String, String)>,
    pub(super) body: Map<String, Value>,
    pub(super) caller: Caller,
    /// What the route needs of an installation's permissions.
    pub(super) needs: &'static str,
    /// Simulated time.
    pub(super) now: Timestamp,
    /// Path and query as sent, for `Link` headers.
    pub(super) target: String,
}

impl Request {
    /// A parameter of the route's pattern; empty when the pattern has none of that name.
    pub(super) fn param(&self, name: &str) -> &str {
        self.params.get(name).map_or("", String::as_str)
    }

    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A number in the path; anything else does not exist.
    pub(super) fn number(&self, name: &str) -> Result<u64, Answer> {
        self.param(name).parse().map_err(|_| Answer::not_found())
    }

    /// A string property that must be there.
    pub(super) fn required(&self, name: &str) -> Result<&str, Answer> {
        match self.body.get(name) {
            None => Err(Answer::unprocessable(format!("Invalid request.\n\n\"{name}\" wasn't supplied."))),
            Some(Value::String(value)) => Ok(value),
            Some(other) => Err(not_a(name, other, "string")),
        }
    }

    /// A string property; absent and null are the same.
    pub(super) fn optional(&self, name: &str) -> Result<Option<&str>, Answer> {
        match self.body.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(value)) => Ok(Some(value)),
            Some(other) => Err(not_a(name, other, "string")),
        }
    }

    /// A boolean property, `false` when absent. GitHub does not take `"true"` for `true`.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Answer> {
        match self.body.get(name) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(value)) => Ok(*value),
            Some(other) => Err(not_a(name, other, "boolean")),
        }
    }
}

/// The wording of GitHub's JSON schema validation (Ruby's names for JSON values).
pub(super) fn not_a(name: &str, value: &Value, kind: &str) -> Answer {
    let shown = if value.is_null() { "nil".to_owned() } else { value.to_string() };
    Answer::unprocessable(format!("Invalid request.\n\nFor 'properties/{name}', {shown} is not a {kind}."))
}

/// A request body: absent, or a JSON object.
pub(super) fn parse_body(body: &[u8]) -> Result<Map<String, Value>, Answer> {
    if body.is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Answer::refused(StatusCode::BAD_REQUEST, "Body should be a JSON object")),
        Err(_) => Err(Answer::refused(StatusCode::BAD_REQUEST, "Problems parsing JSON")),
    }
}

pub(super) fn parse_query(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key), decode(&value.replace('+', " ")))
        })
        .collect()
}

/// GitHub's timestamps: UTC, whole seconds.
pub(super) fn stamp(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The page of `items` that the query asks for, with the `Link` header (REST docs, "Using pagination").
/// Pages count from 1; 30 items by default, at most 100.
pub(super) fn paginate<T>(request: &Request, base: &str, items: Vec<T>) -> (Vec<T>, Option<String>) {
    let numeric = |name: &str| request.query(name).and_then(|value| value.parse::<usize>().ok());
    let per_page = numeric("per_page").filter(|n| *n > 0).unwrap_or(30).min(100);
    let page = numeric("page").filter(|n| *n > 0).unwrap_or(1);
    let last = items.len().div_ceil(per_page).max(1);
    let path = request.target.split('?').next().unwrap_or_default();
    let link = |to: usize, rel: &str| {
        let mut query: Vec<String> = Vec::new();
        for (key, value) in request.query.iter().filter(|(key, _)| key != "page") {
            query.push(format!("{}={}", encode(key), encode(value)));
        }
        query.push(format!("page={to}"));
        format!("<{base}{path}?{}>; rel=\"{rel}\"", query.join("&"))
    };
    let mut links = Vec::new();
    if page > 1 {
        links.push(link((page - 1).min(last), "prev"));
    }
    if page < last {
        links.push(link(page + 1, "next"));
        links.push(link(last, "last"));
    }
    if page > 1 {
        links.push(link(1, "first"));
    }
    let items = items.into_iter().skip((page - 1) * per_page).take(per_page).collect();
    (items, (!links.is_empty()).then(|| links.join(", ")))
}

pub(super) fn encode(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

pub(super) fn decode(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}
