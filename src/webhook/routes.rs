//! The routes, as warp filters, and what every delivery has around it: panic guard, one log line, one count.
//! Neighbours: `admission` and `delivery` do the work, `server` serves these filters.

use super::{
    admission::{Name, admit},
    answer::{Answer, Refusal},
    delivery::Record,
    receiver::Receiver,
};
use bytes::Buf;
use futures::{FutureExt, Stream, future::ready};
use std::{convert::Infallible, future::Future, panic::AssertUnwindSafe, time::Instant};
use warp::{
    Filter, Rejection, Reply,
    filters::path::FullPath,
    http::{HeaderMap, Method},
    reply::Response,
};

/// Everything the receiver answers.
pub(super) fn routes(
    receiver: Receiver,
) -> impl Filter<Extract = (Response,), Error = Infallible, Future: Send> + Clone + Send + Sync + 'static {
    let with = move || {
        let receiver = receiver.clone();
        warp::any().map(move || receiver.clone())
    };
    let request = || warp::method().and(warp::header::headers_cloned()).and(warp::body::stream());
    let deliveries = at("/api/webhooks/github").and(with()).and(request()).then(deliver);
    let pings = at("/api/webhooks/github/ping").and(with()).and(request()).then(ping);
    let health = at("/api/webhooks/health").and(with()).and(warp::method()).then(health);
    let nothing = warp::any().map(|| Answer::from(Refusal::NotFound).into_response());
    deliveries.or(pings).unify().or(health).unify().or(nothing).unify()
}

/// Exactly this path: `warp::path!` would also take a slash at the end.
fn at(path: &'static str) -> impl Filter<Extract = (), Error = Rejection> + Copy {
    let exact = move |full: FullPath| {
        ready(if full.as_str() == path { Ok(()) } else { Err(warp::reject::not_found()) })
    };
    warp::path::full().and_then(exact).untuple_one()
}

async fn deliver<B: Buf>(
    receiver: Receiver,
    method: Method,
    headers: HeaderMap,
    body: impl Stream<Item = Result<B, warp::Error>>,
) -> Response {
    if method != Method::POST {
        return Answer::from(Refusal::MethodNotAllowed("POST")).into_response();
    }
    let (started, name, mut record) = (Instant::now(), Name::of(&headers), Record::default());
    let inner = &receiver.0;
    let answer = guarded(async {
        match admit(&headers, body, &inner.bounds, Some(&name)).await {
            Ok(signed) => inner.receive(&name, &signed, &mut record).await,
            Err(refusal) => refusal.into(),
        }
    })
    .await;
    account(&receiver, &answer, &name, &record, started);
    answer.into_response()
}

async fn ping<B: Buf>(
    receiver: Receiver,
    method: Method,
    headers: HeaderMap,
    body: impl Stream<Item = Result<B, warp::Error>>,
) -> Response {
    if method != Method::POST {
        return Answer::from(Refusal::MethodNotAllowed("POST")).into_response();
    }
    let inner = &receiver.0;
    let answer = guarded(async {
        match admit(&headers, body, &inner.bounds, None).await {
            Ok(signed) => inner.pong(&signed).await,
            Err(refusal) => refusal.into(),
        }
    });
    answer.await.into_response()
}

async fn health(receiver: Receiver, method: Method) -> Response {
    if method != Method::GET {
        return Answer::from(Refusal::MethodNotAllowed("GET")).into_response();
    }
    warp::reply::json(&receiver.0.health().await).into_response()
}

/// A panic over one delivery is an answer like another, and never the end of its connection or of the process.
async fn guarded(answer: impl Future<Output = Answer>) -> Answer {
    AssertUnwindSafe(answer).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!("panic while answering a delivery");
        Refusal::Failed.into()
    })
}

/// One log line and one count. Of what is not signed only header values in visible ASCII get into the log.
fn account(receiver: &Receiver, answer: &Answer, name: &Name, record: &Record, started: Instant) {
    let event = match name.event.as_deref() {
        Some("pull_request") => "pull_request",
        Some("ping") => "ping",
        Some(_) => "other",
        None => "none",
    };
    receiver.0.metrics.delivery(answer.outcome(), event);
    tracing::info!(
        delivery = name.delivery.as_deref().map(short),
        event = name.event.as_deref().map(short),
        action = record.action.as_deref(),
        outcome = answer.outcome(),
        status = answer.status().as_u16(),
        tasks = record.moved.join(","),
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
        assert_eq!(guarded(async { panic!("over one delivery") }).await, Answer::from(Refusal::Failed));
        assert_eq!(guarded(async { Answer::Pong }).await, Answer::Pong);
    }
}
