//! What can be seen of the operator from outside: logs, metrics, and the one layer every outbound call passes.
//! Knows neither Kubernetes, GitHub nor E2B: they describe their calls to it.

pub mod calls;
pub mod context;
pub mod http;
pub mod logs;
pub mod metrics;
pub mod retries;

pub use calls::{Api, Call, CallError, CallLayer, Fault, Hook};
pub use context::{Attempt, ObjectLabel, Writes, with_attempt, with_object, writes};
pub use http::http_service;
pub use metrics::{Controller, Metrics, Outcome};

use std::time::Duration;

/// An error of the transport below an adapter.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// HTTP as the adapters see it: one request in, one response out. Built in `app` around one reqwest client
/// with the call layer on top, so that deadline, log line, metric and fault hang in one place.
pub type HttpService = tower::util::BoxCloneSyncService<
    ::http::Request<reqwest::Body>,
    ::http::Response<reqwest::Body>,
    BoxError,
>;

/// How an adapter describes a call to the layer: an extension of the request.
#[derive(Debug, Clone, Copy)]
pub struct CallMeta {
    /// The operation under its stable name (a metric label): `createPullRequest`, `connectSandbox`.
    pub operation: &'static str,
    /// From sending the request to the head of the answer.
    pub deadline: Duration,
    /// Whether the call changes something outside: it is then sent only while leading.
    pub write: bool,
}
