//! An HTTP/1.1 server on loopback that logs every call and applies the faults set for it.
//! The stand-ins implement `Api`; `calls` and `faults` hold what is logged and injected.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Collected, Full, combinators::UnsyncBoxBody};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::Timestamp;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Core;
use super::calls::{Call, Outcome};
use super::faults::Action;

pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A response body: whole or streamed. An error in it closes the connection.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// Why a connection is closed without an answer: a fault says so, or the request itself broke off.
#[derive(Debug, thiserror::Error)]
#[error("connection cut")]
struct Cut;

/// Headers whose values never enter the log.
const CREDENTIALS: [&str; 4] = ["authorization", "x-api-key", "x-access-token", "cookie"];

/// What a request is called in the log and in fault rules.
pub struct Endpoint {
    pub api: &'static str,
    /// Like `POST /repos/{owner}/{repo}/pulls`; the same for every call of the endpoint.
    pub name: String,
}

/// One HTTP API. `handle` runs to its end even when the client goes away, as a real server's handler does.
pub trait Api: Send + Sync + 'static {
    fn endpoint(&self, request: &Parts) -> Endpoint;
    fn handle(&self, request: Request<Body>) -> impl Future<Output = Response<Body>> + Send;

    /// Whether the request is handled while its body comes, which may break off. Of all others the body is there.
    fn streams(&self, _request: &Parts) -> bool {
        false
    }
}

/// A server that is running; dropping it closes the listener and every connection.
pub struct Server {
    address: SocketAddr,
    _stop: DropGuard,
}

impl Server {
    /// Listens on `listen` (port 0: a free one) and serves `api` until dropped.
    pub async fn start<A: Api>(core: &Core, listen: SocketAddr, api: Arc<A>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(listen).await.with_context(|| format!("listening on {listen}"))?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        tokio::spawn(stop.clone().run_until_cancelled_owned(accept(
            core.clone(),
            listener,
            api,
            stop.clone(),
        )));
        Ok(Self { address, _stop: stop.drop_guard() })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn accept<A: Api>(core: Core, listener: TcpListener, api: Arc<A>, stop: CancellationToken) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let connection = connection(core.clone(), stream, Arc::clone(&api));
                tokio::spawn(stop.clone().run_until_cancelled_owned(connection));
            }
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection<A: Api>(core: Core, stream: TcpStream, api: Arc<A>) {
    // Small answers must not wait for an acknowledgement.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: Request<Incoming>| {
        let (core, api) = (core.clone(), Arc::clone(&api));
        async move {
            let (parts, body) = request.into_parts();
            let body = if api.streams(&parts) {
                body.map_err(BoxError::from).boxed_unsync()
            } else {
                full(body.collect().await.map_err(|_| Cut)?.to_bytes())
            };
            let (answer, answered) = oneshot::channel();
            tokio::spawn(call(core, api, Request::from_parts(parts, body), answer));
            // An error from the service makes hyper close the connection without an answer.
            answered.await.unwrap_or(None).ok_or(Cut)
        }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "connection ended");
    }
}

/// Runs one call with its faults; sends `None` where the connection is to be cut.
async fn call<A: Api>(
    core: Core,
    api: Arc<A>,
    request: Request<Body>,
    mut answer: oneshot::Sender<Option<Response<Body>>>,
) {
    let (parts, body) = request.into_parts();
    let (body, received) = counted(body);
    let endpoint = api.endpoint(&parts);
    let fault = core.faults.decide(endpoint.api, &endpoint.name, &parts);
    let entry = core.calls.begin(entry(&core, endpoint, &parts, &body, fault.as_ref().map(|(id, ..)| *id)));
    let (rule, delay_ms, action) = fault.unwrap_or((0, 0, Action::Pass));
    if delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(delay_ms)).await;
    }
    let request = Request::from_parts(parts, body);
    let response = match action {
        Action::Pass => Some(api.handle(request).await),
        Action::Status { status, headers, body, after_effect } => {
            if after_effect {
                api.handle(request).await;
            } else {
                // Who is still sending would find the connection closed before it looks for an answer.
                let _ = request.into_body().collect().await;
            }
            Some(injected(status, &headers, body))
        }
        Action::CutBefore => None,
        Action::CutAfter => {
            api.handle(request).await;
            None
        }
        Action::TruncateBody { after } => {
            Some(api.handle(request).await.map(|body| Truncated::body(body, after)))
        }
        Action::Hold { after_effect: false } => {
            // A client that goes while nobody reads its body would not be noticed.
            let request = whole(request).await.map(full);
            tokio::select! {
                () = core.faults.removed(rule) => Some(api.handle(request).await),
                () = answer.closed() => None,
            }
        }
        Action::Hold { after_effect: true } => {
            let response = api.handle(request).await;
            tokio::select! {
                () = core.faults.removed(rule) => Some(response),
                () = answer.closed() => None,
            }
        }
    };
    let outcome =
        response.as_ref().map_or(Outcome::Cut, |response| Outcome::Status(response.status().as_u16()));
    core.calls.update(entry.seq, |call| {
        call.outcome = outcome;
        call.request_bytes = call.request_bytes.max(received.load(Ordering::Relaxed));
    });
    // A client that is gone needs no answer.
    let _ = answer.send(response);
}

/// The body, and how many bytes of it have been read.
fn counted(body: Body) -> (Body, Arc<AtomicUsize>) {
    let received = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&received);
    let body = body.map_frame(move |frame| {
        count.fetch_add(frame.data_ref().map_or(0, Bytes::len), Ordering::Relaxed);
        frame
    });
    (body.boxed_unsync(), received)
}

fn entry(core: &Core, endpoint: Endpoint, parts: &Parts, body: &Body, fault: Option<u64>) -> Call {
    let mut headers = std::collections::BTreeMap::new();
    for (name, value) in &parts.headers {
        let value = if CREDENTIALS.contains(&name.as_str()) {
            "REDACTED".to_owned()
        } else {
            String::from_utf8_lossy(value.as_bytes()).into_owned()
        };
        headers.insert(name.as_str().to_owned(), value);
    }
    Call {
        seq: 0,
        api: endpoint.api,
        endpoint: endpoint.name,
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        ordinal: 0,
        at: core.clock.now(),
        real_at: Timestamp::now(),
        outcome: Outcome::Pending,
        fault,
        idempotency_key: headers.get("idempotency-key").cloned(),
        // Of a body that still comes the number is known at its end.
        request_bytes: body.size_hint().exact().and_then(|bytes| bytes.try_into().ok()).unwrap_or(0),
        headers,
    }
}

fn injected(
    status: u16,
    headers: &std::collections::BTreeMap<String, String>,
    body: String,
) -> Response<Body> {
    let mut builder = Response::builder().status(status);
    if !headers.keys().any(|name| name.eq_ignore_ascii_case("content-type")) {
        builder = builder.header("content-type", "application/json; charset=utf-8");
    }
    for (name, value) in headers {
        builder = builder.header(name, value);
    }
    builder.body(full(body)).unwrap_or_else(|error| {
        json(
            StatusCode::INTERNAL_SERVER_ERROR,
            &serde_json::json!({"message": format!("fault rule: {error}")}),
        )
    })
}

/// The request with its body as a whole, as far as that came.
pub async fn whole(request: Request<Body>) -> Request<Bytes> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
    Request::from_parts(parts, body)
}

/// A body that is known as a whole.
pub fn full(body: impl Into<Bytes>) -> Body {
    Full::new(body.into()).map_err(|never: Infallible| match never {}).boxed_unsync()
}

pub fn empty() -> Body {
    full(Bytes::new())
}

/// A JSON answer.
pub fn json(status: StatusCode, value: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(full(value.to_string()));
    *response.status_mut() = status;
    let content_type = http::HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(http::header::CONTENT_TYPE, content_type);
    response
}

/// Announces the whole body, sends its beginning, then fails.
struct Truncated {
    inner: Body,
    left: usize,
    flushed: bool,
}

impl Truncated {
    fn body(inner: Body, after: usize) -> Body {
        Self { inner, left: after, flushed: false }.boxed_unsync()
    }
}

impl HttpBody for Truncated {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.left == 0 {
            // One pending poll lets hyper flush what it has before the error closes the connection.
            if !self.flushed {
                self.flushed = true;
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            return Poll::Ready(Some(Err("body truncated".into())));
        }
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        let Poll::Ready(Some(Ok(frame))) = polled else {
            return polled;
        };
        let mut data = frame.into_data().unwrap_or_default();
        data.truncate(self.left);
        self.left -= data.len();
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
