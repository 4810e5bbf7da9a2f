//! The two ends of a call: the request before it is sent, and the answer before it has a meaning. No I/O.
//! Used by every method; `client` sends one and gets the other.

use super::{
    Error,
    classify::{Refusal, State, is_workflow},
    name::RepositoryName,
    operation::Operation,
    recent::Made,
};
use crate::{api::conditions::reason, domain::failure::Class};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{fmt::Write as _, time::Duration};

/// Path of GraphQL, of which a refusal may come with status 200. Source: <https://docs.github.com/en/graphql>.
pub(super) const GRAPHQL: &str = "/graphql";

/// A request, relative to the base URL. It can't be printed: its body may hold the secret of a webhook.
#[derive(Clone)]
pub(super) struct Call<'a> {
    pub(super) operation: Operation,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Option<Bytes>,
    pub(super) etag: Option<String>,
    pub(super) repository: Option<&'a RepositoryName>,
    /// What the call depends on, for the lag after our own creation.
    pub(super) needs: Vec<Made>,
    /// The file that the call is about; of a tree, the first below `.github/workflows`.
    pub(super) file: Option<&'a str>,
    /// The right it needs in GitHub's words, where that is not always the operation's.
    pub(super) permission: Option<String>,
    /// Of GraphQL: what the answer is useless without, as a pointer into its data.
    pub(super) asks_for: Option<&'static str>,
    /// What it needs in GitHub's words beside the operation's.
    pub(super) more: Option<&'static str>,
    /// It looks for what an App's token for one repository may not show.
    pub(super) in_account: bool,
    /// It names a repository that was seen by the id that it had then.
    pub(super) by_id: bool,
}

impl<'a> Call<'a> {
    fn new(operation: Operation, method: Method, path: String, body: Option<Bytes>) -> Self {
        Self {
            operation,
            method,
            path,
            body,
            etag: None,
            repository: None,
            needs: Vec::new(),
            file: None,
            permission: None,
            more: None,
            in_account: false,
            by_id: false,
            asks_for: None,
        }
    }

    fn with_json(operation: Operation, method: Method, path: String, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body)
            .expect("bodies are structs of strings, numbers and lists, which always serialize");
        Self::new(operation, method, path, Some(body.into()))
    }

    pub(super) fn get(operation: Operation, path: String) -> Self {
        Self::new(operation, Method::GET, path, None)
    }

    pub(super) fn head(operation: Operation, path: String) -> Self {
        Self::new(operation, Method::HEAD, path, None)
    }

    pub(super) fn post(operation: Operation, path: String, body: &impl Serialize) -> Self {
        Self::with_json(operation, Method::POST, path, body)
    }

    pub(super) fn post_text(operation: Operation, path: String, json: String) -> Self {
        Self::new(operation, Method::POST, path, Some(json.into()))
    }

    pub(super) fn patch(operation: Operation, path: String, body: &impl Serialize) -> Self {
        Self::with_json(operation, Method::PATCH, path, body)
    }

    pub(super) fn put(operation: Operation, path: String, body: &impl Serialize) -> Self {
        Self::with_json(operation, Method::PUT, path, body)
    }

    pub(super) fn delete(operation: Operation, path: String) -> Self {
        Self::new(operation, Method::DELETE, path, None)
    }

    pub(super) fn is_graphql(&self) -> bool {
        self.path == GRAPHQL
    }

    pub(super) fn about(self, repository: &'a RepositoryName) -> Self {
        Self { repository: Some(repository), ..self }
    }

    pub(super) fn needs(mut self, made: Made) -> Self {
        self.needs.push(made);
        self
    }

    pub(super) fn file(self, file: Option<&'a str>) -> Self {
        Self { file, ..self }
    }

    pub(super) fn etag(self, etag: Option<String>) -> Self {
        Self { etag, ..self }
    }

    pub(super) fn permission(self, words: String) -> Self {
        Self { permission: Some(words), ..self }
    }

    pub(super) fn asks_for(self, pointer: &'static str) -> Self {
        Self { asks_for: Some(pointer), ..self }
    }

    pub(super) fn more(self, more: Option<&'static str>) -> Self {
        Self { more, ..self }
    }

    pub(super) fn in_account(self, in_account: bool) -> Self {
        Self { in_account, ..self }
    }

    pub(super) fn by_id(self, by_id: bool) -> Self {
        Self { by_id, ..self }
    }

    /// The same call of the repository under another name. GitHub names heads of pull requests by the owner too.
    pub(super) fn under(&self, name: &RepositoryName) -> Self {
        let Some(old) = self.repository else { return self.clone() };
        let api = self.path.strip_prefix(&format!("/repos/{old}"));
        let git = self.path.strip_prefix(&format!("/{old}.git/"));
        let path = match (api.filter(|rest| rest.is_empty() || rest.starts_with(['/', '?'])), git) {
            (Some(rest), _) => format!("/repos/{name}{rest}"),
            (None, Some(rest)) => format!("/{name}.git/{rest}"),
            (None, None) => self.path.clone(),
        };
        let head = |owner: &str| format!("?head={}%3A", encode_query(owner));
        Self { path: path.replacen(&head(&old.owner), &head(&name.owner), 1), ..self.clone() }
    }

    /// Whether it writes a file for which GitHub wants a right of its own.
    pub(super) fn is_of_workflows(&self) -> bool {
        self.operation.writes() && self.file.is_some_and(is_workflow)
    }

    /// What a token is sent as.
    pub(super) fn authorization<E>(&self, token: Result<HeaderValue, E>) -> Result<HeaderValue, Error> {
        token.map_err(|_| {
            self.unsendable("the token has characters that no header may carry; check the Secret")
        })
    }

    pub(super) fn unsendable(&self, what: &str) -> Error {
        let name = self.operation.name();
        Error {
            operation: name,
            class: Class::Invalid,
            reason: reason::REQUEST_REFUSED,
            message: format!("{name} can't be sent: {what}"),
            status: None,
        }
    }
}

/// Result of a call that did not fail.
#[derive(Debug)]
pub(super) enum Reply {
    Success(Success),
    State(State),
}

#[derive(Debug)]
pub(super) struct Success {
    pub(super) etag: Option<String>,
    /// From the `Link` header's `rel="next"`.
    pub(super) next_page: Option<u32>,
    /// From the `Link` header's `rel="last"`; absent on the last page.
    pub(super) last_page: Option<u32>,
    /// The same where pages have no numbers: as it stands in the link, to be sent back so.
    pub(super) next_cursor: Option<String>,
    /// GitHub's time of the answer.
    pub(super) date: Option<Timestamp>,
    pub(super) body: Bytes,
}

impl Success {
    pub(super) fn new(headers: &HeaderMap, body: Bytes) -> Self {
        let link = text(headers, header::LINK.as_str()).unwrap_or_default();
        let page = |relation| linked(link, relation, "page")?.parse().ok();
        let (next_page, last_page) = (page("next"), page("last"));
        let next_cursor = linked(link, "next", "cursor").map(str::to_owned);
        let etag = text(headers, header::ETAG.as_str()).map(str::to_owned);
        Self { etag, next_page, last_page, next_cursor, date: date(headers), body }
    }

    /// An answer that was given before.
    pub(super) fn known(body: Bytes, [next_page, last_page]: [Option<u32>; 2]) -> Self {
        Self { etag: None, next_page, last_page, next_cursor: None, date: None, body }
    }

    pub(super) fn json<T: DeserializeOwned>(&self, operation: Operation) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| Error {
            operation: operation.name(),
            // What the other side meant is unknown, so for a write this is a lost answer.
            class: Class::Transient,
            reason: reason::UNREADABLE_ANSWER,
            message: format!("GitHub's answer to {} could not be read: {error}", operation.name()),
            status: None,
        })
    }
}

/// An answer other than success, whatever its body looks like.
pub(super) fn refusal(status: StatusCode, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Refusal {
    let body = serde_json::from_slice(body).unwrap_or_else(|_| plain_text(body));
    let word = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    let errors: Vec<_> = list(body.get("errors")).filter_map(detail).collect();
    let whole = body.as_str().unwrap_or_else(|| word("message"));
    let parts = std::iter::once(whole).chain(errors.iter().map(String::as_str));
    let permissions = text(headers, "x-accepted-github-permissions").filter(|p| !p.is_empty());
    Refusal {
        status: status.as_u16(),
        message: parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": "),
        documentation_url: word("documentation_url").to_owned(),
        abuse: list(body.get("errors"))
            .any(|error| error.get("code").and_then(Value::as_str) == Some("abuse")),
        retry_after: text(headers, header::RETRY_AFTER.as_str()).and_then(|value| retry_after(value, now)),
        remaining: text(headers, "x-ratelimit-remaining").and_then(|v| v.parse().ok()),
        reset_in: reset_in(headers, now),
        accepted_permissions: permissions.map(str::to_owned),
        moved_to: text(headers, header::LOCATION.as_str()).and_then(repository_id),
        ahead: date(headers).map(|date| minutes(date.duration_since(now))),
    }
}

/// The refusal in an answer of status 200 that has no data, or not what was asked for, as REST would put it: the one table
/// knows both then. GitHub gives errors types that it documents, others, and none.
pub(super) fn graphql_refusal(
    asks_for: Option<&str>,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Option<Refusal> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let data = &answer["data"];
    let has_data = match asks_for {
        Some(pointer) => data.pointer(pointer).is_some_and(|asked| !asked.is_null()),
        None => data.as_object().is_some_and(|data| data.values().any(|root| !root.is_null())),
    };
    if has_data {
        return None;
    }
    let errors: Vec<&Value> = list(answer.get("errors")).collect();
    let is = |kinds: &[&str]| {
        let words = errors.iter().flat_map(|error| [&error["type"], &error["code"]]);
        words.filter_map(Value::as_str).any(|word| kinds.contains(&word))
    };
    let refused = refusal(StatusCode::UNPROCESSABLE_ENTITY, headers, body, now);
    let said = refused.message.to_lowercase();
    let says = |any: &[&str]| any.iter().any(|words| said.contains(words));
    let status = if is(&["RATE_LIMITED", "RATE_LIMIT", "graphql_rate_limit"])
        || says(&["rate limit", "abuse detection"])
    {
        429
    } else if is(&["NOT_FOUND"]) {
        404
    } else if is(&["FORBIDDEN", "INSUFFICIENT_SCOPES"]) {
        403
    } else if is(&["SERVICE_UNAVAILABLE"]) {
        503
    } else if says(&["something went wrong", "timeout", "timed out"]) {
        502
    } else if errors.is_empty() {
        403
    } else {
        422
    };
    Some(Refusal { status, ..refused })
}

/// A body that is no JSON, where it is a sentence and not a page.
fn plain_text(body: &[u8]) -> Value {
    let text = std::str::from_utf8(body).unwrap_or_default().trim();
    if text.starts_with('<') || text.len() > 1000 { Value::Null } else { Value::String(text.to_owned()) }
}

/// The entries of `errors`: GitHub sends a list, a word, an object or null.
fn list(errors: Option<&Value>) -> impl Iterator<Item = &Value> {
    match errors {
        Some(Value::Array(errors)) => errors.iter(),
        other => other.map_or(&[][..], std::slice::from_ref).iter(),
    }
}

/// What an entry of `errors` says: a word, or an object with `message`, or with `field` and `code`.
fn detail(error: &Value) -> Option<String> {
    let field = |name: &str| error.get(name).and_then(Value::as_str);
    match (error.as_str().or(field("message")), field("field"), field("code")) {
        (Some(message), _, _) => Some(message.to_owned()),
        (None, Some(name), Some(code)) => Some(format!("{name} {code}")),
        (None, None, Some(code)) => Some(code.to_owned()),
        _ => None,
    }
}

/// Rounded, so that the same fault has the same words.
fn minutes(duration: SignedDuration) -> i64 {
    duration.as_secs().saturating_add(duration.as_secs().signum() * 30) / 60
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// Seconds or an HTTP date (RFC 9110, 10.2.3).
fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
    Some(Duration::try_from(date.duration_since(now)).unwrap_or_default())
}

/// Time to `x-ratelimit-reset`, and a second for rounding. Measured on GitHub's own clock where the answer has a `Date`:
/// ours may be off.
pub(super) fn reset_in(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let reset = Timestamp::from_second(text(headers, "x-ratelimit-reset")?.parse().ok()?).ok()?;
    let wait = reset.duration_since(date(headers).unwrap_or(now));
    Some(Duration::try_from(wait).unwrap_or_default() + Duration::from_secs(1))
}

fn date(headers: &HeaderMap) -> Option<Timestamp> {
    let date = text(headers, header::DATE.as_str())?;
    jiff::fmt::rfc2822::parse(date).ok().map(|date| date.timestamp())
}

/// `https://api.github.com/repositories/1300192` or a path below it.
fn repository_id(location: &str) -> Option<u64> {
    let (_, rest) = location.split_once("/repositories/")?;
    rest.split(['/', '?']).next()?.parse().ok()
}

/// A parameter of the page that a `Link` header names.
fn linked<'l>(link: &'l str, relation: &str, parameter: &str) -> Option<&'l str> {
    let relation = format!("rel=\"{relation}\"");
    let next = link.split(',').find(|part| part.contains(&relation))?;
    let url = next.split_once('<')?.1.split_once('>')?.0;
    let mut pairs = url.split_once('?')?.1.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find_map(|(name, value)| (name == parameter).then_some(value))
}

/// Percent-encodes what may not stand in a path; `/` stays, as GitHub wants it in branch names.
pub(super) fn encode(path: &str) -> String {
    percent_encode(path, b"-._~/!$'()*+,;=:@")
}

/// Percent-encodes a query value.
pub(super) fn encode_query(value: &str) -> String {
    percent_encode(value, b"-._~")
}

fn percent_encode(text: &str, keep: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || keep.contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests;
