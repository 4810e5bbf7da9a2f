//! The HTTP/1.1 loop below the filters: what faces the internet needs deadlines and limits that warp's own server lacks.
//! Neighbours: `routes` makes the filters, `admission` bounds the bodies.

use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use std::{sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::sync::CancellationToken;
use warp::{Filter, Reply};

/// From the opening of a connection, or the end of the last answer, to the end of a request's header.
const HEADER_DEADLINE: Duration = Duration::from_secs(10);
/// Connections at a time; more wait in the listener's queue.
const CONNECTIONS: usize = 512;
/// Headers of a request: GitHub and a proxy send about 25.
const HEADERS: usize = 64;
/// Bytes of a request's header.
const HEADER_BYTES: usize = 64 * 1024;
/// Time limit for answers in flight after the stop.
const DRAIN: Duration = Duration::from_secs(10);
/// Pause after a failed accept: usually no file descriptor is left, and at once there won't be one either.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers connections until `stop` is cancelled.
pub(super) async fn serve<F>(listener: TcpListener, filter: F, stop: CancellationToken)
where
    F: Filter<Error = std::convert::Infallible> + Clone + Send + Sync + 'static,
    F::Extract: Reply + Send,
    F::Future: Send,
{
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let service = TowerToHyperService::new(warp::service(filter));
    while let Some((stream, permit)) = accept(&listener, &connections, &stop).await {
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_DEADLINE)
            .max_headers(HEADERS)
            .max_buf_size(HEADER_BYTES)
            .serve_connection(TokioIo::new(stream), service.clone());
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                // Whoever can connect can cause these: never above debug.
                tracing::debug!(%error, "connection ended");
            }
            drop(permit);
        });
    }
    // Refuse at once instead of leaving new connections in a queue that nobody reads.
    drop(listener);
    if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::warn!("connections were still open {} s after the stop", DRAIN.as_secs());
    }
}

/// The next connection; `None` once stopped.
async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
    stop: &CancellationToken,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let next = async {
        let permit = Arc::clone(connections).acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => return Some((stream, permit)),
                Err(error) => {
                    tracing::warn!(%error, "connection not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => None,
        accepted = next => accepted,
    }
}
