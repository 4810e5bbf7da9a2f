//! Checks a request before anybody looks into it, in this order: media type, size, headers, signature.
//! Neighbours: `routes` calls it, `keyring` then says whether the signature is right.

use super::{
    answer::Refusal,
    body::{Body, Bounds, discard, read},
    repositories::Target,
};
use crate::domain::signature::Signature;
use bytes::{Buf, Bytes};
use futures::Stream;
use std::pin::pin;
use warp::http::{
    HeaderMap, HeaderName,
    header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT},
};

// Known to the map of headers as they are: a name in another case is read and hashed anew at each look.
static EVENT: HeaderName = HeaderName::from_static("x-github-event");
static DELIVERY: HeaderName = HeaderName::from_static("x-github-delivery");
static SIGNATURE: HeaderName = HeaderName::from_static("x-hub-signature-256");
static TARGET_TYPE: HeaderName = HeaderName::from_static("x-github-hook-installation-target-type");
static TARGET_ID: HeaderName = HeaderName::from_static("x-github-hook-installation-target-id");
static HOOK_ID: HeaderName = HeaderName::from_static("x-github-hook-id");

/// A request that may be a delivery: whole, and with a well-formed signature that nobody has checked yet.
pub(super) struct Signed {
    pub(super) signature: Signature,
    pub(super) body: Bytes,
    /// Place where the hook says it is installed. Not signed: it may choose which secrets are tried, and nothing else.
    pub(super) target: Option<Target>,
    /// The hook's own id. Not signed either.
    pub(super) hook: Option<u64>,
    /// Given back when the delivery is answered.
    _held: Body,
}

fn target_of(headers: &HeaderMap) -> Option<Target> {
    let id = text(headers, &TARGET_ID)?.parse().ok()?;
    match text(headers, &TARGET_TYPE)? {
        "repository" => Some(Target::Repository(id)),
        "organization" => Some(Target::Organization(id)),
        "integration" => Some(Target::App(id)),
        _ => None,
    }
}

/// The headers that name a delivery. They are not signed: good for logs and for sorting out events, not for more.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Name<'a> {
    pub(super) event: Option<&'a str>,
    pub(super) delivery: Option<&'a str>,
}

impl<'a> Name<'a> {
    pub(super) fn of(headers: &'a HeaderMap) -> Self {
        let present = |name| text(headers, name).filter(|value| !value.is_empty());
        Self { event: present(&EVENT), delivery: present(&DELIVERY) }
    }

    fn missing(&self) -> Option<&'static str> {
        match self {
            Self { event: None, .. } => Some("X-GitHub-Event"),
            Self { delivery: None, .. } => Some("X-GitHub-Delivery"),
            _ => None,
        }
    }
}

/// Checks a request and reads its body within `bounds`. With `name`, its headers must be there.
pub(super) async fn admit<B: Buf>(
    headers: &HeaderMap,
    body: impl Stream<Item = Result<B, warp::Error>>,
    bounds: &Bounds,
    name: Option<&Name<'_>>,
) -> Result<Signed, Refusal> {
    let mut body = pin!(body);
    let admitted = check(headers, body.as_mut(), bounds, name).await;
    if admitted.is_err() && !headers.contains_key(EXPECT) {
        discard(body).await;
    }
    admitted
}

async fn check<B: Buf>(
    headers: &HeaderMap,
    mut body: impl Stream<Item = Result<B, warp::Error>> + Unpin,
    bounds: &Bounds,
    name: Option<&Name<'_>>,
) -> Result<Signed, Refusal> {
    let length = preflight(headers, bounds.most())?;
    // Only a body of unknown length has to be read to know that it is too large.
    let early = match length {
        None => Some(read(&mut body, length, bounds).await?),
        Some(_) => None,
    };
    if let Some(header) = name.and_then(Name::missing) {
        return Err(Refusal::MissingHeader(header));
    }
    let signature = only(headers, &SIGNATURE).and_then(Signature::parse).ok_or(Refusal::Unsigned)?;
    let body = match early {
        Some(read) => read,
        None => read(&mut body, length, bounds).await?,
    };
    let hook = text(headers, &HOOK_ID).and_then(|id| id.parse().ok());
    Ok(Signed { signature, body: body.bytes.clone(), target: target_of(headers), hook, _held: body })
}

/// The checks that need no body; gives its length, if it is told.
fn preflight(headers: &HeaderMap, limit: usize) -> Result<Option<usize>, Refusal> {
    let media_type = only(headers, &CONTENT_TYPE).and_then(|value| std::str::from_utf8(value).ok());
    let essence = media_type.and_then(|value| value.split(';').next()).unwrap_or_default();
    if !essence.trim().eq_ignore_ascii_case("application/json") {
        return Err(Refusal::UnsupportedMediaType);
    }
    let length = text(headers, &CONTENT_LENGTH).and_then(|value| value.parse().ok());
    match length {
        Some(length) if length > limit => Err(Refusal::TooLarge(limit)),
        length => Ok(length),
    }
}

/// The value of a header that is there exactly once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then(|| value.as_bytes())
}

/// The same, where it is visible ASCII.
fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    std::str::from_utf8(only(headers, name)?)
        .ok()
        .filter(|value| value.bytes().all(|byte| matches!(byte, b' '..=b'~')))
}
