//! Checks a request before anybody looks into it, in this order: media type, size, headers, signature.
//! Neighbours: `routes` calls it, `keyring` then says whether the signature is right.

use super::{answer::Refusal, repositories::Target};
use crate::domain::signature::Signature;
use bytes::{Buf, Bytes, BytesMut};
use futures::{Stream, StreamExt};
use std::{pin::pin, sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use warp::http::{
    HeaderMap,
    header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT},
};

/// Time limit for a body.
const BODY_DEADLINE: Duration = Duration::from_secs(30);
/// GitHub sends nothing larger; what is larger is not read to its end.
const GITHUB_MAX_BODY_BYTES: usize = 25 * 1024 * 1024;

/// Bytes of bodies that are held at a time, read whole or in part: what every connection together could send is more than
/// the process may have.
const HELD_BODIES: usize = 128 * 1024 * 1024;

/// A body up to this many bytes, as nearly all are, is put together in one piece of memory; what is told of a larger one
/// is not believed before it comes.
const USUAL_BODY: usize = 64 * 1024;

const EVENT: &str = "X-GitHub-Event";
const DELIVERY: &str = "X-GitHub-Delivery";
const SIGNATURE: &str = "X-Hub-Signature-256";
const TARGET_TYPE: &str = "X-GitHub-Hook-Installation-Target-Type";
const TARGET_ID: &str = "X-GitHub-Hook-Installation-Target-ID";

/// A request that may be a delivery: whole, and with a well-formed signature that nobody has checked yet.
pub(super) struct Signed {
    pub(super) signature: Signature,
    pub(super) body: Bytes,
    /// Place where the hook says it is installed. Not signed: it may choose which secrets are tried, and nothing else.
    pub(super) target: Option<Target>,
    /// Given back when the delivery is answered.
    _held: Option<OwnedSemaphorePermit>,
}

/// Room for the bodies of all requests. Cheap to clone; all clones are one.
#[derive(Clone)]
pub(super) struct Room(Arc<Semaphore>);

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(HELD_BODIES)))
    }
}

impl Room {
    /// Adds room for `bytes` to what is `held`; false when there is none.
    fn try_acquire(&self, bytes: usize, held: &mut Option<OwnedSemaphorePermit>) -> bool {
        let more =
            u32::try_from(bytes).ok().and_then(|bytes| self.0.clone().try_acquire_many_owned(bytes).ok());
        match (more, held.as_mut()) {
            (None, _) => false,
            (Some(more), Some(held)) => {
                held.merge(more);
                true
            }
            (more, None) => {
                *held = more;
                true
            }
        }
    }
}

/// `integration` (a GitHub App) joins these when Repositories know their `appID`.
fn target_of(headers: &HeaderMap) -> Option<Target> {
    let id = text(headers, TARGET_ID)?.parse().ok()?;
    match text(headers, TARGET_TYPE)? {
        "repository" => Some(Target::Repository(id)),
        "organization" => Some(Target::Organization(id)),
        _ => None,
    }
}

/// The headers that name a delivery. They are not signed: good for logs and for sorting out events, not for more.
#[derive(Debug, Clone, Default)]
pub(super) struct Name {
    pub(super) event: Option<String>,
    pub(super) delivery: Option<String>,
}

impl Name {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let short = |name| text(headers, name).filter(|value| !value.is_empty()).map(str::to_owned);
        Self { event: short(EVENT), delivery: short(DELIVERY) }
    }

    fn missing(&self) -> Option<&'static str> {
        match self {
            Self { event: None, .. } => Some(EVENT),
            Self { delivery: None, .. } => Some(DELIVERY),
            _ => None,
        }
    }
}

/// Limits on what is read.
pub(super) struct Bounds {
    /// Bytes of one body.
    pub(super) body: usize,
    pub(super) all: Room,
}

/// Checks a request and reads its body within `bounds`. With `name`, its headers must be there.
pub(super) async fn admit<B: Buf>(
    headers: &HeaderMap,
    body: impl Stream<Item = Result<B, warp::Error>>,
    bounds: &Bounds,
    name: Option<&Name>,
) -> Result<Signed, Refusal> {
    let mut body = pin!(body);
    let until = Instant::now() + BODY_DEADLINE;
    let admitted = check(headers, body.as_mut(), bounds, name, until).await;
    if admitted.is_err() && !headers.contains_key(EXPECT) {
        discard(body, until).await;
    }
    admitted
}

async fn check<B: Buf>(
    headers: &HeaderMap,
    mut body: impl Stream<Item = Result<B, warp::Error>> + Unpin,
    bounds: &Bounds,
    name: Option<&Name>,
    until: Instant,
) -> Result<Signed, Refusal> {
    let length = preflight(headers, bounds.body)?;
    // Only a body of unknown length has to be read to know that it is too large.
    let early = match length {
        None => Some(read(&mut body, length, bounds, until).await?),
        Some(_) => None,
    };
    if let Some(header) = name.and_then(Name::missing) {
        return Err(Refusal::MissingHeader(header));
    }
    let signature = only(headers, SIGNATURE).and_then(Signature::parse).ok_or(Refusal::Unsigned)?;
    let (body, held) = match early {
        Some(read) => read,
        None => read(&mut body, length, bounds, until).await?,
    };
    Ok(Signed { signature, body, target: target_of(headers), _held: held })
}

/// The checks that need no body; gives its length, if it is told.
fn preflight(headers: &HeaderMap, limit: usize) -> Result<Option<usize>, Refusal> {
    let media_type = only(headers, CONTENT_TYPE.as_str()).and_then(|value| std::str::from_utf8(value).ok());
    let essence = media_type.and_then(|value| value.split(';').next()).unwrap_or_default();
    if !essence.trim().eq_ignore_ascii_case("application/json") {
        return Err(Refusal::UnsupportedMediaType);
    }
    let length = text(headers, CONTENT_LENGTH.as_str()).and_then(|value| value.parse().ok());
    match length {
        Some(length) if length > limit => Err(Refusal::TooLarge(limit)),
        length => Ok(length),
    }
}

/// The body, if it ends within its bounds and the deadline, and the room it takes. `length` is what was told of it.
async fn read<B: Buf>(
    mut body: impl Stream<Item = Result<B, warp::Error>> + Unpin,
    length: Option<usize>,
    bounds: &Bounds,
    until: Instant,
) -> Result<(Bytes, Option<OwnedSemaphorePermit>), Refusal> {
    let whole = async {
        let (mut bytes, mut held) = (BytesMut::with_capacity(length.unwrap_or(0).min(USUAL_BODY)), None);
        while let Some(chunk) = body.next().await {
            // Cut off: nobody is left to read the answer.
            let mut chunk = chunk.map_err(|_| Refusal::Malformed("The body was cut off".to_owned()))?;
            if bytes.len() + chunk.remaining() > bounds.body {
                return Err(Refusal::TooLarge(bounds.body));
            }
            if !bounds.all.try_acquire(chunk.remaining(), &mut held) {
                return Err(Refusal::Unavailable("Too much is being received at once, try again later"));
            }
            while chunk.has_remaining() {
                let length = chunk.chunk().len();
                bytes.extend_from_slice(chunk.chunk());
                chunk.advance(length);
            }
        }
        Ok((bytes.freeze(), held))
    };
    tokio::time::timeout_at(until, whole).await.unwrap_or(Err(Refusal::Stalled))
}

/// Reads on without keeping anything: a client that is still sending would otherwise see its connection
/// reset instead of the answer.
async fn discard<B: Buf>(mut body: impl Stream<Item = Result<B, warp::Error>> + Unpin, until: Instant) {
    let rest = async {
        let mut seen = 0;
        while let Some(Ok(chunk)) = body.next().await {
            seen += chunk.remaining();
            if seen > GITHUB_MAX_BODY_BYTES {
                break;
            }
        }
    };
    let _ = tokio::time::timeout_at(until, rest).await;
}

/// The value of a header that is there exactly once.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then(|| value.as_bytes())
}

/// The same, where it is visible ASCII.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    std::str::from_utf8(only(headers, name)?)
        .ok()
        .filter(|value| value.bytes().all(|byte| matches!(byte, b' '..=b'~')))
}
