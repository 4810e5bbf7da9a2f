//! The GitHub stand-in.
use std::net::SocketAddr;

use bytes::Bytes;
use http::{Method, Response};

use crate::core::{Body, Core};

/// How the GitHub stand-in starts.
#[derive(Clone, Debug)]
pub struct Options {
    pub listen: SocketAddr,
}

impl Default for Options {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 0)) }
    }
}

#[derive(Clone)]
pub struct GitHub;

impl GitHub {
    #[expect(clippy::unused_async, reason = "the signature that the stand-in needs")]
    pub async fn start(_core: &Core, _options: Options) -> anyhow::Result<Self> {
        Ok(Self)
    }

    pub fn url(&self) -> String {
        String::new()
    }

    /// What `GET /state` shows under `github`.
    pub fn state(&self) -> serde_json::Value {
        serde_json::json!({})
    }

    /// Control calls below `/github/`; `path` is without that prefix. `None`: unknown, answered with 404.
    #[expect(clippy::unused_async, reason = "the signature that the stand-in needs")]
    pub async fn control(&self, _method: &Method, _path: &str, _body: &Bytes) -> Option<Response<Body>> {
        None
    }
}
