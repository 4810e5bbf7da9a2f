//! The one layer every outbound call passes (deadline, leadership, log line, metric), and the operator's logs and metrics.
//! Imports no other folder: GitHub's and E2B's adapters describe their calls to it, Kubernetes' it knows by path and verb.

pub mod calls;
pub mod certificate;
pub mod context;
pub mod http;
pub mod logs;
pub mod metrics;
pub mod retries;

pub use calls::{Api, CallError, CallLayer};
pub use context::{Attempt, ExternalWrites, ObjectLabel, Pass, in_pass};
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

/// Description of a call that an adapter gives the layer: an extension of the request.
#[derive(Debug, Clone, Copy)]
pub struct CallMeta {
    /// The operation under its stable name (a metric label): `createPullRequest`, `connectSandbox`.
    pub operation: &'static str,
    /// From sending the request to the head of the answer.
    pub deadline: Duration,
    /// True where the call changes something outside: it is then sent only while leading.
    pub write: bool,
}
