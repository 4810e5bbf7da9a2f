//! E2B's two APIs: the lifecycle of sandboxes and envd, the daemon inside each (files and processes).
//! Speaks in `domain::failure` classes; sends everything through the one call layer of `telemetry`.

mod access;
pub mod answers;
mod body;
mod call;
mod connect;
mod endpoints;
mod envd;
mod error;
mod http;
mod lifecycle;
mod limits;
mod process;
mod upload;
mod wire;

pub use access::Access;
pub use body::Chunks;
pub use call::WRITE_PACK;
pub use endpoints::{EndpointError, Endpoints};
pub use envd::Envd;
pub use error::Error;
pub use lifecycle::{Account, Connected, CreateRequest, Detail};
pub use process::{Command, Event, Output, Process};

use crate::telemetry::HttpService;
use std::sync::Arc;

/// Answer of a call: the value, or an [`Error`] with a class and a stable reason.
pub type Result<T> = std::result::Result<T, Error>;

/// One E2B installation: where it is and how to get there. Cheap to clone.
#[derive(Clone)]
pub struct E2b {
    endpoints: Arc<Endpoints>,
    lifecycle: HttpService,
    envd: HttpService,
    limits: limits::Limits,
}

impl E2b {
    /// `lifecycle` and `envd` may be the same service; in the operator each has the call layer of its own API.
    pub fn new(endpoints: Endpoints, lifecycle: HttpService, envd: HttpService) -> Self {
        Self { endpoints: Arc::new(endpoints), lifecycle, envd, limits: limits::Limits::default() }
    }
}
