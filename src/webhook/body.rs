//! Reads bodies within bounds: of size, of time, of a least rate, and of what all of them together may take.
//! Below `admission`, which says which bodies are read.

use super::answer::Refusal;
use bytes::{Buf, Bytes, BytesMut};
use futures::{Stream, StreamExt};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

/// Time limit for a body.
const DEADLINE: Duration = Duration::from_secs(30);
/// From the header on, a body may be silent this long; after that it has to keep up the least rate.
const GRACE: Duration = Duration::from_secs(5);
/// Bytes per second. GitHub and every proxy send what they send within milliseconds.
const LEAST_RATE: f64 = 8192.0;
/// GitHub sends nothing larger; what is larger is not read to its end.
const GITHUB_MAX_BYTES: usize = 25 << 20;
/// A body up to this many bytes, as nearly all are, has room of its own, put together in one piece of memory; what is told
/// of a larger one is not believed before it comes.
const USUAL: usize = 64 << 10;
/// Bytes of larger bodies that are held at a time, read whole or in part: what every connection together could send is more
/// than the process may have.
const HELD: usize = 128 << 20;

/// Limits on what is read.
pub(super) struct Bounds {
    /// Bytes of one body.
    most: usize,
    /// Bytes of all that are larger than usual.
    room: Arc<Semaphore>,
}

impl Bounds {
    /// Bodies of up to `most` bytes.
    pub(super) fn new(most: usize) -> Self {
        Self { most, room: Arc::new(Semaphore::new(HELD)) }
    }

    /// Most bytes of one body.
    pub(super) fn most(&self) -> usize {
        self.most
    }
}

/// A body that has arrived, and the room it takes until it is dropped.
#[derive(Default)]
pub(super) struct Body {
    pub(super) bytes: Bytes,
    _held: Option<OwnedSemaphorePermit>,
}

/// Time by which a body must have gone on. `read` bytes of it are there.
struct Pace {
    started: Instant,
    read: usize,
}

impl Pace {
    fn new() -> Self {
        Self { started: Instant::now(), read: 0 }
    }

    fn until(&self) -> Instant {
        #[allow(clippy::cast_precision_loss, reason = "an estimate of time")]
        let earned = Duration::from_secs_f64(self.read as f64 / LEAST_RATE);
        self.started + (GRACE + earned).min(DEADLINE)
    }
}

/// Reads a body within `bounds`. `length` is what was told of it.
pub(super) async fn read<B: Buf>(
    mut body: impl Stream<Item = Result<B, warp::Error>> + Unpin,
    length: Option<usize>,
    bounds: &Bounds,
) -> Result<Body, Refusal> {
    let mut pace = Pace::new();
    let (mut bytes, mut held) = (BytesMut::new(), None);
    loop {
        let next = timeout_at(pace.until(), body.next()).await.map_err(|_| Refusal::Stalled)?;
        let Some(chunk) = next else { break };
        // Cut off: nobody is left to read the answer.
        let mut chunk = chunk.map_err(|_| Refusal::Malformed("The body was cut off".to_owned()))?;
        let more = chunk.remaining();
        pace.read += more;
        if pace.read > bounds.most {
            return Err(Refusal::TooLarge(bounds.most));
        }
        if bytes.is_empty() && length == Some(more) {
            return Ok(Body { bytes: chunk.copy_to_bytes(more), _held: None });
        }
        if pace.read > USUAL && !hold(&bounds.room, more, &mut held) {
            return Err(Refusal::Unavailable("Too much is being received at once, try again later"));
        }
        if bytes.is_empty() {
            bytes.reserve(length.unwrap_or(0).min(USUAL));
        }
        while chunk.has_remaining() {
            let length = chunk.chunk().len();
            bytes.extend_from_slice(chunk.chunk());
            chunk.advance(length);
        }
    }
    Ok(Body { bytes: bytes.freeze(), _held: held })
}

/// Adds room for `bytes` to what is `held`; false when there is none.
fn hold(room: &Arc<Semaphore>, bytes: usize, held: &mut Option<OwnedSemaphorePermit>) -> bool {
    let more = u32::try_from(bytes).ok().and_then(|bytes| room.clone().try_acquire_many_owned(bytes).ok());
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

/// Reads on without keeping anything: a client that is still sending would otherwise see its connection reset instead of
/// the answer.
pub(super) async fn discard<B: Buf>(mut body: impl Stream<Item = Result<B, warp::Error>> + Unpin) {
    let mut pace = Pace::new();
    while let Ok(Some(Ok(chunk))) = timeout_at(pace.until(), body.next()).await {
        pace.read += chunk.remaining();
        if pace.read > GITHUB_MAX_BYTES {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;

    const MOST: usize = 1 << 20;

    /// A body of chunks that come at an interval.
    fn chunks(
        chunk: usize,
        count: usize,
        every: Duration,
    ) -> impl Stream<Item = Result<Bytes, warp::Error>> + Unpin {
        let next = move |left: usize| async move {
            tokio::time::sleep(every).await;
            (left > 0).then(|| (Ok(Bytes::from(vec![b'x'; chunk])), left - 1))
        };
        Box::pin(stream::unfold(count, next))
    }

    async fn length(bounds: &Bounds, chunk: usize, count: usize, millis: u64) -> Result<usize, Refusal> {
        let body = chunks(chunk, count, Duration::from_millis(millis));
        read(body, Some(chunk * count), bounds).await.map(|body| body.bytes.len())
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_keeps_up_its_rate_or_goes() {
        let bounds = Bounds::new(MOST);
        let started = Instant::now();
        assert_eq!(length(&bounds, 1, 100, 1_000).await, Err(Refusal::Stalled));
        assert_eq!(started.elapsed().as_secs(), 5, "a byte a second");
        assert_eq!(length(&bounds, 4096, 8, 1_000).await, Ok(32_768), "slow, but done before it matters");
        assert_eq!(length(&bounds, 65_536, 10, 2_000).await, Ok(655_360));
        let started = Instant::now();
        assert_eq!(length(&bounds, 32_768, 32, 2_000).await, Err(Refusal::Stalled));
        assert_eq!(started.elapsed().as_secs(), 30);
    }

    #[tokio::test(start_paused = true)]
    async fn usual_bodies_have_room_when_large_ones_have_taken_all_other() {
        let bounds = Bounds::new(MOST);
        let _all = bounds.room.clone().try_acquire_many_owned(u32::try_from(HELD).expect("fits"));
        assert_eq!(length(&bounds, 1024, 64, 1).await, Ok(65_536));
        let refused = length(&bounds, 1024, 65, 1).await;
        assert!(matches!(refused, Err(Refusal::Unavailable(_))), "{refused:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_too_large_is_not_kept() {
        let bounds = Bounds::new(MOST);
        assert_eq!(length(&bounds, MOST, 2, 1).await, Err(Refusal::TooLarge(MOST)));
        assert_eq!(length(&bounds, MOST, 1, 1).await, Ok(MOST));
    }
}
