//! The bodies of both APIs as they travel; shapes as recorded from the official SDKs and a real envd.
//! Turned here into what `domain::sandbox` sees, and into the types of `e2b::process` there.

use super::{Access, Detail};
use crate::domain::sandbox::{E2bSandbox, Life};
use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Any error body of both APIs: E2B's `code` is a number, Connect's a word.
#[derive(Debug, Default)]
pub(super) struct ErrorBody {
    pub message: String,
    pub error_code: Option<String>,
    pub says_not_found: bool,
}

impl ErrorBody {
    pub(super) fn parse(body: &[u8]) -> Self {
        let Ok(Value::Object(fields)) = serde_json::from_slice::<Value>(body) else {
            return Self::default();
        };
        let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
        let connect_code = text("code");
        let says_not_found = match fields.get("code") {
            Some(Value::Number(code)) => code.as_u64() == Some(404),
            _ => connect_code.as_deref() == Some("not_found"),
        };
        Self {
            message: text("message").unwrap_or_default(),
            error_code: text("error_code").or(connect_code),
            says_not_found,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireSandbox {
    #[serde(rename = "sandboxID")]
    sandbox_id: String,
    #[serde(default)]
    envd_access_token: Option<String>,
    #[serde(default)]
    domain: Option<String>,
}

impl From<WireSandbox> for Access {
    fn from(wire: WireSandbox) -> Self {
        Self {
            sandbox_id: wire.sandbox_id,
            token: wire.envd_access_token.map(SecretString::from),
            domain: wire.domain.filter(|d| !d.is_empty()),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum WireState {
    Running,
    Paused,
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
    #[serde(flatten)]
    seen: WireSeen,
}

impl From<WireDetail> for Detail {
    fn from(WireDetail { envd_access_token, domain, seen }: WireDetail) -> Self {
        let sandbox_id = seen.sandbox_id.clone();
        Self { access: WireSandbox { sandbox_id, envd_access_token, domain }.into(), seen: seen.into() }
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
