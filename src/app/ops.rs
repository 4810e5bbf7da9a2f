//! Health and metrics for kubelet and Prometheus: `/livez`, `/readyz`, `/metrics`.
//! Never red because GitHub or E2B is down: no restart would help.

use crate::telemetry::{Metrics, metrics::CONTENT_TYPE};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// Longest a scraper may take to send its request, idle connections included.
const HEADER_DEADLINE: Duration = Duration::from_secs(30);

/// True once the caches are synced.
#[derive(Clone, Default)]
pub(super) struct Readiness(Arc<AtomicBool>);

impl Readiness {
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Answers until `stop`.
pub(super) async fn serve(
    listener: TcpListener,
    ready: Readiness,
    metrics: Metrics,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    tracing::info!(address = %listener.local_addr()?, "health and metrics");
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return Ok(()),
        };
        match accepted {
            Ok((stream, _)) => {
                tokio::spawn(connection(stream, ready.clone(), metrics.clone(), stop.clone()));
            }
            // Out of file descriptors: the next one may succeed.
            Err(error) => {
                tracing::debug!(%error, "accept failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, ready: Readiness, metrics: Metrics, stop: CancellationToken) {
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        let answer = answer(request.method(), request.uri().path(), &ready, &metrics);
        async move { Ok::<_, Infallible>(answer) }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADER_DEADLINE);
    let answering = http.serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        ended = answering => if let Err(error) = ended {
            tracing::debug!(%error, "health connection");
        },
        () = stop.cancelled() => {}
    }
}

fn answer(method: &Method, path: &str, ready: &Readiness, metrics: &Metrics) -> Response<Full<Bytes>> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET");
    }
    match path {
        "/livez" => text(StatusCode::OK, "ok"),
        "/readyz" if ready.get() => text(StatusCode::OK, "ok"),
        "/readyz" => text(StatusCode::SERVICE_UNAVAILABLE, "caches not synced yet"),
        "/metrics" => match metrics.encode() {
            Ok(encoded) => {
                let mut answer = text(StatusCode::OK, encoded);
                let kind = header::HeaderValue::from_static(CONTENT_TYPE);
                answer.headers_mut().insert(header::CONTENT_TYPE, kind);
                answer
            }
            Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "metrics can't be encoded"),
        },
        _ => text(StatusCode::NOT_FOUND, "try /livez, /readyz or /metrics"),
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_only_once_the_caches_are_synced() {
        let (ready, metrics) = (Readiness::default(), Metrics::new());
        let status = |path| answer(&Method::GET, path, &ready, &metrics).status();
        assert_eq!(status("/livez"), StatusCode::OK);
        assert_eq!(status("/readyz"), StatusCode::SERVICE_UNAVAILABLE);
        ready.set();
        assert_eq!(status("/readyz"), StatusCode::OK);
        assert_eq!(status("/metrics"), StatusCode::OK);
        assert_eq!(status("/"), StatusCode::NOT_FOUND);
        assert_eq!(
            answer(&Method::POST, "/livez", &ready, &metrics).status(),
            StatusCode::METHOD_NOT_ALLOWED
        );
    }
}
