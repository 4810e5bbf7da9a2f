//! The HTTP/1.1 loop below the filters: what faces the internet needs deadlines and limits that warp's own server lacks.
//! Neighbours: `routes` makes the filters, `connections` says who may stay, `threads` serve them, `wire` looks at the bytes.

use super::{
    answer::Refusal,
    connections::{Connections, Place},
    routes::guarded,
    threads::Threads,
    wire::Wire,
};
use futures::FutureExt as _;
use http::{HeaderValue, Request, StatusCode, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;
use tower::Service as _;
use warp::{Filter, Reply, reply::Response};

/// From the opening of a connection, or the end of the last answer, to the end of a request's header.
const HEADER_DEADLINE: Duration = Duration::from_secs(10);
/// Headers of a request: GitHub and a proxy send about 25.
const HEADERS: usize = 64;
/// Bytes of a request's header.
const HEADER_BYTES: usize = 64 * 1024;
/// Bytes of what is held of a request while it is answered: they are moved once for each, through the processor's nearest cache.
const REQUEST_BYTES: usize = 4096;
/// Time limit for answers in flight after the stop.
const DRAIN: Duration = Duration::from_secs(10);
/// Pause after a failed accept: usually no file descriptor is left, and at once there won't be one either.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers connections on these threads until `stop` is cancelled; `routes` makes the filter of each.
pub(super) async fn serve<F>(
    listener: TcpListener,
    routes: impl Fn(Place) -> F,
    threads: Threads,
    stop: CancellationToken,
) where
    F: Filter<Error = Infallible> + Clone + Send + Sync + 'static,
    F::Extract: Reply + Send,
    F::Future: Send,
{
    let connections = Arc::new(Connections::default());
    let graceful = GracefulShutdown::new();
    while let Some((stream, place)) = accept(&listener, &connections, &stop).await {
        let (filter, watcher) = (routes(place.clone()), graceful.watcher());
        threads.serve(stream, move |stream| async move {
            let ended = place.clone();
            tokio::select! {
                // Whoever can connect can cause these: never above debug.
                end = watcher.watch(connection(stream, place, filter)) => if let Err(error) = end {
                    tracing::debug!(%error, "connection ended");
                },
                () = ended.ended() => tracing::debug!("connection gave way to another"),
            }
        });
    }
    // Refuse at once instead of leaving new connections in a queue that nobody reads.
    drop(listener);
    if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::warn!("connections were still open {} s after the stop", DRAIN.as_secs());
    }
}

/// One connection, to its end. `filter` takes the headers of each request from `place`.
pub(super) fn connection<F>(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    place: Place,
    filter: F,
) -> impl hyper_util::server::graceful::GracefulConnection<Error = hyper::Error> + Send
where
    F: Filter<Error = Infallible> + Clone + Send + Sync + 'static,
    F::Extract: Reply + Send,
    F::Future: Send,
{
    let wire = Wire::new(stream, place.clone());
    let filters = warp::service(filter);
    let service = service_fn(move |mut request: Request<Incoming>| {
        let (place, mut filters) = (place.clone(), filters.clone());
        let answered = async move {
            if place.is_ambiguous() {
                return Ok(closing(Refusal::TwoLengths.into()));
            }
            // The target is an authority, as for a proxy: warp panics for want of a path.
            if request.uri().path_and_query().is_none() {
                return Ok(closing(Refusal::NotFound.into()));
            }
            place.arrived(std::mem::take(request.headers_mut()));
            let answer = guarded(filters.call(request).map(|Ok(answer)| answer)).await;
            place.answered();
            let refused =
                matches!(answer.status(), StatusCode::UNAUTHORIZED | StatusCode::SERVICE_UNAVAILABLE);
            // Where places are scarce, who was refused makes room at once.
            Ok::<_, Infallible>(if refused && place.is_crowded() { closing(answer) } else { answer })
        };
        debug_assert!(
            size_of_val(&answered) <= REQUEST_BYTES,
            "{} bytes for each request",
            size_of_val(&answered)
        );
        answered
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_DEADLINE)
        .max_headers(HEADERS)
        .max_buf_size(HEADER_BYTES)
        // Who has sent everything and does not wait for the answer has delivered all the same.
        .half_close(true)
        .serve_connection(TokioIo::new(wire), service)
}

fn closing(mut answer: Response) -> Response {
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// The next connection; `None` once stopped.
async fn accept(
    listener: &TcpListener,
    connections: &Arc<Connections>,
    stop: &CancellationToken,
) -> Option<(TcpStream, Place)> {
    let next = async {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => return (stream, connections.take().await),
                Err(error) => {
                    tracing::warn!(%error, "connection not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => None,
        accepted = next => Some(accepted),
    }
}
