//! kube-apiserver's audit log: who asked for what, for tests that count requests.
//! Neighbours: `servers` sets the policy (Metadata, everything); tests filter by user, namespace and verb.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::{ControlPlane, User};

/// One event of `audit.k8s.io/v1`: <https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/>.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEvent {
    /// `RequestReceived`, `ResponseStarted` (watches), `ResponseComplete` or `Panic`: one request has several events.
    pub stage: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verb: String,
    #[serde(rename = "requestURI")]
    pub request_uri: String,
    pub user: AuditUser,
    pub user_agent: Option<String>,
    #[serde(default)]
    pub object_ref: ObjectRef,
    #[serde(default)]
    pub response_status: ResponseStatus,
    /// RFC 3339 with microseconds.
    pub request_received_timestamp: String,
    pub stage_timestamp: String,
}

#[derive(Clone, Debug, Deserialize)]
pub struct AuditUser {
    /// [`User::name`], or `system:serviceaccount:<namespace>:<name>`.
    #[serde(default)]
    pub username: String,
    #[serde(default)]
    pub groups: Vec<String>,
}

/// What the request is about; empty strings where the request names nothing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectRef {
    pub resource: String,
    pub subresource: String,
    pub namespace: String,
    pub name: String,
    pub api_group: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct ResponseStatus {
    /// HTTP status code; 0 while there is none.
    #[serde(default)]
    pub code: u16,
}

impl AuditEvent {
    /// True for the one event that ends a request: count these to count requests.
    pub fn is_complete(&self) -> bool {
        self.stage == "ResponseComplete"
    }

    /// True for the one event that ends a request that may change something, successful or not.
    pub fn is_write(&self) -> bool {
        let verb = self.verb.as_str();
        self.is_complete() && matches!(verb, "create" | "update" | "patch" | "delete" | "deletecollection")
    }

    pub fn is_by(&self, user: &User) -> bool {
        self.user.username == user.name()
    }
}

impl ControlPlane {
    /// Every event of every request that was answered before this call.
    ///
    /// An event is written just after its response, so this sends a marker through the server and waits until the log
    /// holds it. Fails when the server does not answer (it may be paused).
    pub async fn audit_log(&self) -> Result<Vec<AuditEvent>> {
        let marker = format!("/version?marker={}", uuid::Uuid::new_v4());
        let client = self.client(&User::Admin).await?;
        let request = client.request_text(http::Request::get(&marker).body(Vec::new())?);
        tokio::time::timeout(Duration::from_secs(30), request).await.context("no answer within 30 s")??;
        let path = self.dir().join("audit.log");
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(30) {
            let events = read(&path)?;
            if events.iter().any(|event| event.is_complete() && event.request_uri == marker) {
                return Ok(events
                    .into_iter()
                    .filter(|event| !event.request_uri.contains("?marker="))
                    .collect());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        bail!("{} holds no trace of {marker} after 30 s", path.display())
    }
}

/// Whole lines only: the last one may still be in the writing.
fn read(path: &Path) -> Result<Vec<AuditEvent>> {
    let text = std::fs::read_to_string(path)?;
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}
