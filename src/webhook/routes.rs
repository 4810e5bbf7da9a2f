//! The routes, as a warp filter, and what every delivery has around it: panic guard, one log line, one count.
//! Neighbours: `admission` and `delivery` do the work, `server` serves this filter.

use super::{
    admission::{Name, admit},
    answer::{Answer, Refusal},
    connections::Place,
    delivery::Record,
    receiver::{Inner, Receiver},
};
use crate::domain::repository::RECEIVER_PATH;
use bytes::Buf;
use futures::{FutureExt, Stream};
use std::{convert::Infallible, future::Future, panic::AssertUnwindSafe, sync::Arc, time::Instant};
use warp::{Filter, Reply, filters::path::FullPath, http::Method, reply::Response};

/// Everything the receiver answers on the connection of `place`. Paths are compared whole: `warp::path!` would also take a
/// slash at the end, and a filter for each would be asked in turn.
pub(super) fn routes(
    receiver: Receiver,
    place: Place,
) -> impl Filter<Extract = (Response,), Error = Infallible, Future: Send> + Clone + Send + Sync + 'static {
    let nothing = warp::any().map(|| Answer::from(Refusal::NotFound).into_response());
    warp::any()
        .map(move || (receiver.0.clone(), place.clone()))
        .and(warp::method())
        .and(warp::path::full())
        .and(warp::body::stream())
        .then(answer)
        .or(nothing)
        .unify()
}

async fn answer<B: Buf>(
    (inner, place): (Arc<Inner>, Place),
    method: Method,
    path: FullPath,
    body: impl Stream<Item = Result<B, warp::Error>>,
) -> Response {
    let allowed = match path.as_str() {
        RECEIVER_PATH | "/api/webhooks/github/ping" => Method::POST,
        "/api/webhooks/health" | "/" => Method::GET,
        _ => return Answer::from(Refusal::NotFound).into_response(),
    };
    if method != allowed {
        let allowed = if allowed == Method::POST { "POST" } else { "GET" };
        return Answer::from(Refusal::MethodNotAllowed(allowed)).into_response();
    }
    match path.as_str() {
        "/" => Response::default(),
        "/api/webhooks/health" => warp::reply::json(&inner.health().await).into_response(),
        RECEIVER_PATH => deliver(&inner, &place, body).await.into_response(),
        _ => ping(&inner, &place, body).await.into_response(),
    }
}

async fn deliver<B: Buf>(
    inner: &Arc<Inner>,
    place: &Place,
    body: impl Stream<Item = Result<B, warp::Error>>,
) -> Answer {
    let (started, headers, mut record) = (Instant::now(), place.take_headers(), Record::default());
    let name = Name::of(&headers);
    let answer = guarded(async {
        match admit(&headers, body, &inner.bounds, Some(&name)).await {
            Ok(signed) => {
                place.complete();
                inner.receive(&name, &signed, &mut record).await
            }
            Err(refusal) => refusal.into(),
        }
    })
    .await;
    account(inner, &answer, &name, &record, started);
    answer
}

async fn ping<B: Buf>(
    inner: &Inner,
    place: &Place,
    body: impl Stream<Item = Result<B, warp::Error>>,
) -> Answer {
    let headers = place.take_headers();
    let answer = guarded(async {
        match admit(&headers, body, &inner.bounds, None).await {
            Ok(signed) => {
                place.complete();
                inner.pong(&signed).await
            }
            Err(refusal) => refusal.into(),
        }
    });
    answer.await
}

/// A panic over one request is an answer like another, and never the end of its connection or of the process.
///
/// Not an `async fn`, which would hold `answer` twice: as its argument and as what it awaits.
pub(super) fn guarded<T: From<Refusal>>(answer: impl Future<Output = T>) -> impl Future<Output = T> {
    AssertUnwindSafe(answer).catch_unwind().map(|answer| {
        answer.unwrap_or_else(|_| {
            tracing::error!("panic while answering a request");
            Refusal::Failed.into()
        })
    })
}

/// One count, and one log line: of what nobody signed only a sample, so that nobody can fill the disk. Of that, only header
/// values in visible ASCII get into the log.
fn account(inner: &Inner, answer: &Answer, name: &Name<'_>, record: &Record, started: Instant) {
    let event = match name.event {
        Some("pull_request") => "pull_request",
        Some("ping") => "ping",
        Some(_) => "other",
        None => "none",
    };
    inner.metrics.delivery(answer.outcome(), event);
    if !record.authentic && !inner.unsigned.takes_line() {
        return;
    }
    tracing::info!(
        delivery = name.delivery.map(short),
        event = name.event.map(short),
        action = record.action.as_deref(),
        outcome = answer.outcome(),
        status = answer.status().as_u16(),
        tasks = (!record.moved.is_empty()).then(|| record.moved.join(",")),
        latency_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        "webhook delivery"
    );
}

fn short(text: &str) -> &str {
    &text[..text.floor_char_boundary(128)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_answer() {
        assert_eq!(guarded::<Answer>(async { panic!("over one delivery") }).await, Refusal::Failed.into());
        assert_eq!(guarded(async { Answer::Pong }).await, Answer::Pong);
    }
}
