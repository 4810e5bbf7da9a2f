//! The bodies of both APIs as they travel; shapes as recorded from the official SDKs and a real envd.
//! Turned here into what `domain::sandbox` sees, and into the types of `e2b::process` there.

use super::Access;
use crate::domain::sandbox::{E2bSandbox, Life};
use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireSandbox {
    #[serde(rename = "sandboxID")]
    sandbox_id: String,
    #[serde(default)]
    envd_access_token: Option<String>,
    #[serde(default)]
    domain: Option<String>,
    #[serde(default)]
    envd_version: Option<String>,
}

impl From<WireSandbox> for Access {
    fn from(wire: WireSandbox) -> Self {
        Self {
            sandbox_id: wire.sandbox_id,
            token: wire.envd_access_token.map(SecretString::from),
            domain: wire.domain.filter(|d| !d.is_empty()),
            envd_version: wire.envd_version,
        }
    }
}

/// A state of another name must not spoil the list that it stands in.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum WireState {
    Running,
    Paused,
    #[serde(other)]
    Other,
}

/// One sandbox of a list.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireSeen {
    #[serde(rename = "sandboxID")]
    sandbox_id: String,
    state: WireState,
    started_at: Timestamp,
    end_at: Timestamp,
    #[serde(default)]
    metadata: Option<BTreeMap<String, String>>,
}

impl From<WireSeen> for E2bSandbox {
    fn from(wire: WireSeen) -> Self {
        Self {
            id: wire.sandbox_id,
            life: match wire.state {
                WireState::Running => Life::Running,
                WireState::Paused => Life::Paused,
                WireState::Other => Life::Other,
            },
            started_at: wire.started_at,
            end_at: wire.end_at,
            metadata: wire.metadata.unwrap_or_default(),
        }
    }
}

/// A single one: the same, with how to get to it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireDetail {
    #[serde(default)]
    envd_access_token: Option<String>,
    #[serde(default)]
    domain: Option<String>,
    #[serde(default)]
    envd_version: Option<String>,
    #[serde(flatten)]
    seen: WireSeen,
}

impl WireDetail {
    /// Splits the detail into the way to the sandbox and what it shows.
    pub(super) fn parts(self) -> (Access, E2bSandbox) {
        let Self { envd_access_token, domain, envd_version, seen } = self;
        let sandbox_id = seen.sandbox_id.clone();
        (WireSandbox { sandbox_id, envd_access_token, domain, envd_version }.into(), seen.into())
    }
}

#[derive(Deserialize)]
pub(super) struct EndOfStream {
    #[serde(default)]
    pub error: Option<ConnectError>,
}

#[derive(Deserialize)]
pub(super) struct ConnectError {
    pub code: String,
    #[serde(default)]
    pub message: String,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct ProcessMessage<'a> {
    pub event: ProcessEvent<'a>,
}

/// Exactly one is present; a kind that is not known here leaves all empty and is passed over.
#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct ProcessEvent<'a> {
    pub start: Option<ProcessStart>,
    pub data: Option<ProcessData<'a>>,
    pub end: Option<ProcessEnd>,
}

#[derive(Deserialize)]
pub(super) struct ProcessStart {
    #[serde(default)]
    pub pid: u32,
}

/// Base64; a piece may end in the middle of a character.
#[derive(Deserialize)]
pub(super) struct ProcessData<'a> {
    #[serde(borrow, default)]
    pub stdout: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub stderr: Option<Cow<'a, str>>,
}

/// Protobuf's JSON leaves zero values out, so exit code 0 too; after a signal it is -1, `exited` is left out and `status` names the signal.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProcessEnd {
    #[serde(default)]
    pub exit_code: i32,
    #[serde(default)]
    pub exited: bool,
    #[serde(default)]
    pub status: String,
}
