//! The E2B stand-in: its place in the simulator.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Method, Response};

use crate::core::{Body, Core};

/// How the E2B stand-in starts.
#[derive(Clone, Debug)]
pub struct Options {
    pub listen: SocketAddr,
}

impl Default for Options {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 0)) }
    }
}

/// The running E2B stand-in; clones share it.
#[derive(Clone)]
pub struct E2b;

impl E2b {
    #[expect(clippy::unused_async, reason = "the signature that the stand-in needs")]
    pub async fn start(_core: &Core, _options: Options) -> anyhow::Result<Self> {
        Ok(Self)
    }

    /// Ends everything that runs on behalf of sandboxes.
    #[expect(clippy::unused_async, reason = "the signature that the stand-in needs")]
    pub async fn stop(&self) {}

    pub fn api_url(&self) -> String {
        String::new()
    }

    pub fn sandbox_url(&self) -> String {
        String::new()
    }

    /// What `GET /state` shows under `e2b`: counts of creates and deletes, live sandboxes.
    pub fn state(&self) -> serde_json::Value {
        serde_json::json!({})
    }

    /// Control calls below `/e2b/`; `path` is without that prefix. `None`: unknown, answered with 404.
    pub fn control(&self, _method: &Method, _path: &str, _body: &Bytes) -> Option<Response<Body>> {
        None
    }
}
