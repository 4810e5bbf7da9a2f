//! The lifecycle API under one API key: create, look, list, connect, time-out, pause, kill.
//! Called by the Sandbox controller; its bodies are in `e2b::wire`, its errors in `e2b::error`.

use super::{Access, E2b, Envd, Result};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// One team's view of E2B. Cheap to clone.
#[derive(Clone)]
pub struct Account {
    pub(super) e2b: E2b,
    pub(super) api_key: SecretString,
    fingerprint: String,
}

/// What happens to a sandbox when its time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnTimeout {
    Pause,
    Kill,
}

/// A sandbox to be made. Maps are sorted so that the same request gives the same bytes under one idempotency key.
#[derive(Debug, Clone)]
pub struct CreateRequest {
    pub template: String,
    pub timeout_seconds: u32,
    pub on_timeout: OnTimeout,
    pub env: BTreeMap<String, SecretString>,
    pub metadata: BTreeMap<String, String>,
}

#[derive(Debug, Clone)]
pub struct Created {
    pub access: Access,
}

#[derive(Debug, Clone)]
pub struct Connected {
    pub access: Access,
    /// It was paused and runs again (201); otherwise it ran already (200).
    pub resumed: bool,
}

/// The two states E2B shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Running,
    Paused,
}

/// One sandbox as GET shows it; looking changes neither its state nor its time.
#[derive(Debug, Clone)]
pub struct Detail {
    pub access: Access,
    pub state: State,
    pub started_at: Timestamp,
    /// When it ends; of a paused one: when it was paused.
    pub end_at: Timestamp,
    pub metadata: BTreeMap<String, String>,
}

/// One sandbox of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub sandbox_id: String,
    pub state: State,
    pub started_at: Timestamp,
    pub end_at: Timestamp,
    pub metadata: BTreeMap<String, String>,
}

/// How a pause ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    Paused,
    /// 409: paused already, or in a state that can't be paused now. A look tells which.
    AlreadyPaused,
    /// 404.
    Gone,
}

impl Account {
    pub(super) fn new(e2b: E2b, api_key: SecretString) -> Self {
        let mut hash = Sha256::new();
        hash.update(api_key.expose_secret());
        hash.update([0]);
        hash.update(e2b.endpoints.api_url.as_str());
        let fingerprint = hex::encode(&hash.finalize()[..8]);
        Self { e2b, api_key, fingerprint }
    }

    /// Names key and base URL without giving either away (16 hex digits); recorded in `status.credential`.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// `POST /v2/sandboxes`. Sent once: whether and with which key to repeat it is the caller's decision, by
    /// [`super::Error::answered`] and the reason. `idempotency_key` must match `[a-z0-9]{1,255}`.
    pub async fn create(&self, request: &CreateRequest, idempotency_key: &str) -> Result<Created> {
        let _ = (request, idempotency_key);
        todo!()
    }

    /// `GET /sandboxes/{id}`: `None` is E2B's definite 404.
    pub async fn get(&self, id: &str) -> Result<Option<Detail>> {
        let _ = id;
        todo!()
    }

    /// All running and paused sandboxes whose metadata has every given pair, all pages. An empty list is no proof
    /// of absence: a sandbox that is being snapshotted is missing from it.
    pub async fn list(&self, metadata: &BTreeMap<String, String>) -> Result<Vec<Listed>> {
        let _ = metadata;
        todo!()
    }

    /// `POST /v2/sandboxes/{id}/connect`: resumes a paused sandbox, and only ever extends the time of a running
    /// one. `None` is E2B's definite 404.
    pub async fn connect(&self, id: &str, timeout_seconds: u32) -> Result<Option<Connected>> {
        let _ = (id, timeout_seconds);
        todo!()
    }

    /// `POST /sandboxes/{id}/timeout`: sets the end to `seconds` from now, also to an earlier one. `false`: 404,
    /// which a paused sandbox answers too.
    pub async fn set_timeout(&self, id: &str, seconds: u32) -> Result<bool> {
        let _ = (id, seconds);
        todo!()
    }

    /// `POST /sandboxes/{id}/pause`.
    pub async fn pause(&self, id: &str) -> Result<Pause> {
        let _ = id;
        todo!()
    }

    /// `DELETE /sandboxes/{id}`, running or paused. `false`: 404.
    pub async fn kill(&self, id: &str) -> Result<bool> {
        let _ = id;
        todo!()
    }

    /// The daemon inside a running sandbox.
    pub fn envd(&self, access: &Access) -> Envd {
        Envd::new(self.e2b.clone(), access.clone())
    }
}
