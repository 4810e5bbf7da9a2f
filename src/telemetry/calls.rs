//! The tower layer every outbound call passes, whichever API it goes to: deadline, leadership, log line, metric,
//! span. Knows a call's description, nothing of what it means.

use super::{
    BoxError, CallMeta,
    context::{self, ObjectLabel},
    metrics::{CallLabels, Metrics},
};
use futures::future::BoxFuture;
use http::{Method, Request, Response};
use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio_util::task::task_tracker::TaskTrackerToken;
use tower::{Layer, Service};
use tracing::Instrument as _;

/// Destination of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Api {
    Kubernetes,
    Github,
    E2b,
    Envd,
}

impl Api {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kubernetes => "kubernetes",
            Self::Github => "github",
            Self::E2b => "e2b",
            Self::Envd => "envd",
        }
    }
}

/// One outbound call, as the layer sees it.
#[derive(Debug, Clone)]
struct Call {
    api: Api,
    /// Stable name of the operation (`createPullRequest`); for Kubernetes the client's verb (`patch_status`).
    operation: &'static str,
    /// For Kubernetes the resource (`tasks`), else empty.
    resource: &'static str,
    method: Method,
    /// Without the query, which may carry a signature.
    path: String,
    object: Option<ObjectLabel>,
    /// Counts the calls of this process from 1, over all APIs.
    ordinal: u64,
    /// True where the call changes something outside.
    write: bool,
    /// From sending the request to the head of the answer; none for a watch.
    deadline: Option<Duration>,
}

/// Reason why a call has no answer although the network may be fine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Another replica leads, or nobody: the call was not sent.
    #[error("not leading: the call was not sent")]
    NotLeading,
    /// The head of the answer did not come in time; whether the call had its effect is unknown.
    #[error("no answer within {} s", .0.as_secs_f64())]
    Deadline(Duration),
}

/// Leave to send a write, given while this process leads: asked for just before, held until the answer has come.
pub type Leading = Arc<dyn Fn() -> Option<TaskTrackerToken> + Send + Sync>;

/// Deadline of a call that brings no [`CallMeta`]: the Kubernetes client's.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(10);

static ORDINAL: AtomicU64 = AtomicU64::new(0);

/// The layer. One per API; cheap to clone.
#[derive(Clone)]
pub struct CallLayer {
    shared: Arc<Shared>,
}

#[derive(Clone)]
struct Shared {
    api: Api,
    metrics: Metrics,
    leading: Option<Leading>,
}

impl CallLayer {
    pub fn new(api: Api, metrics: Metrics) -> Self {
        Self { shared: Arc::new(Shared { api, metrics, leading: None }) }
    }

    /// Writes are sent only while `leading` gives leave.
    #[must_use]
    pub fn leading(self, leading: Leading) -> Self {
        let shared = Shared { leading: Some(leading), ..Arc::unwrap_or_clone(self.shared) };
        Self { shared: Arc::new(shared) }
    }
}

impl<S> Layer<S> for CallLayer {
    type Service = CallService<S>;

    fn layer(&self, inner: S) -> CallService<S> {
        CallService { inner, shared: self.shared.clone() }
    }
}

/// A client's service with the layer on top.
#[derive(Clone)]
pub struct CallService<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S, B, R> Service<Request<B>> for CallService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    R: Send + 'static,
{
    type Response = Response<R>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let shared = self.shared.clone();
        let mut call = describe(shared.api, &request);
        let answer = self.inner.call(request);
        Box::pin(async move {
            // Read here and not in `call`: kube and octocrab run `call` in a worker task of their own, and only
            // poll this future where the object is known.
            call.object = context::object();
            let span = tracing::debug_span!(
                "call",
                api = call.api.as_str(),
                operation = call.operation,
                ordinal = call.ordinal
            );
            shared.run(call, answer).instrument(span).await
        })
    }
}

impl Shared {
    async fn run<F, R, E>(self: Arc<Self>, call: Call, answer: F) -> Result<Response<R>, BoxError>
    where
        F: Future<Output = Result<Response<R>, E>>,
        E: Into<BoxError>,
    {
        let started = Instant::now();
        let sent = self.send(&call, answer);
        let result = match call.deadline {
            None => sent.await,
            Some(deadline) => tokio::time::timeout(deadline, sent)
                .await
                .unwrap_or_else(|_| Err(CallError::Deadline(deadline).into())),
        };
        let took = started.elapsed();
        let outcome = result.as_ref().map(Response::status);
        self.metrics.call(&labels(&call, outcome), took);
        log(&call, outcome, took);
        result
    }

    async fn send<F, R, E>(&self, call: &Call, answer: F) -> Result<Response<R>, BoxError>
    where
        F: Future<Output = Result<Response<R>, E>>,
        E: Into<BoxError>,
    {
        // The last thing before sending: whatever the call has waited for until here may have cost the lease.
        let leave = self.leading.as_ref().filter(|_| call.write).map(|leading| leading());
        if let Some(leave) = &leave {
            context::note_write(leave.is_some());
            if leave.is_none() {
                return Err(CallError::NotLeading.into());
            }
        }
        let answer = answer.await.map_err(Into::into);
        drop(leave);
        answer
    }
}

/// Deadline, operation and whether it writes: from the adapter's [`CallMeta`], or guessed for the Kubernetes client,
/// which tells its verb and nothing else.
fn describe<B>(api: Api, request: &Request<B>) -> Call {
    let meta = request.extensions().get::<CallMeta>().copied();
    let verb = request.extensions().get::<&'static str>().copied();
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let query = request.uri().query().unwrap_or_default();
    let watches =
        api == Api::Kubernetes && query.split('&').any(|pair| pair == "watch=true" || pair == "watch=1");
    Call {
        api,
        operation: meta.map(|m| m.operation).or(verb).unwrap_or(if reads { "read" } else { "write" }),
        resource: if api == Api::Kubernetes { resource(request.uri().path()) } else { "" },
        method: request.method().clone(),
        path: request.uri().path().to_owned(),
        object: None,
        ordinal: ORDINAL.fetch_add(1, Ordering::Relaxed) + 1,
        write: meta.map_or(!reads, |m| m.write),
        deadline: (!watches).then(|| meta.map_or(DEFAULT_DEADLINE, |m| m.deadline)),
    }
}

/// The resources this operator touches. A closed list, because it becomes a metric label.
const RESOURCES: [&str; 7] =
    ["tasks", "sandboxes", "repositories", "secrets", "leases", "events", "namespaces"];

/// `…/tasks/name/status` → `tasks`. The namespace's own segment counts only where nothing follows it.
fn resource(path: &str) -> &'static str {
    let mut segments = path.trim_matches('/').split('/').skip_while(|s| !s.starts_with('v'));
    segments.next();
    let mut rest: Vec<&str> = segments.collect();
    if rest.first() == Some(&"namespaces") && rest.len() > 2 {
        rest.drain(..2);
    }
    let first = rest.first().copied().unwrap_or_default();
    RESOURCES.iter().find(|known| **known == first).copied().unwrap_or("other")
}

fn labels(call: &Call, outcome: Result<http::StatusCode, &BoxError>) -> CallLabels {
    CallLabels {
        api: call.api.as_str(),
        operation: call.operation,
        resource: call.resource,
        status: outcome_label(outcome),
    }
}

fn outcome_label(outcome: Result<http::StatusCode, &BoxError>) -> &'static str {
    match outcome {
        Ok(status) => match status.as_u16() {
            100..=199 => "1xx",
            200..=299 => "2xx",
            300..=399 => "3xx",
            400..=499 => "4xx",
            _ => "5xx",
        },
        Err(error) => match error.downcast_ref::<CallError>() {
            Some(CallError::NotLeading) => "not_leading",
            Some(CallError::Deadline(_)) => "deadline",
            _ => "error",
        },
    }
}

fn log(call: &Call, outcome: Result<http::StatusCode, &BoxError>, took: Duration) {
    let object = call.object.as_ref().map(tracing::field::display);
    let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let (method, path, ordinal) = (call.method.as_str(), call.path.as_str(), call.ordinal);
    let (api, operation, resource) = (call.api.as_str(), call.operation, call.resource);
    match outcome {
        Ok(status) => {
            tracing::debug!(
                api,
                operation,
                resource,
                method,
                path,
                ordinal,
                object,
                status = status.as_u16(),
                ms,
                "call"
            );
        }
        Err(error) => {
            tracing::debug!(api, operation, resource, method, path, ordinal, object, error = %error, ms, "call");
        }
    }
}

#[cfg(test)]
mod tests;
