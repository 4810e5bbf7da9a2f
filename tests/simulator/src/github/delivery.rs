//! One attempt to tell one hook of one event: what is kept of it, and the request that it makes.
//! `deliveries` sends and keeps them, `delivery_log` shows them.

use std::collections::BTreeMap;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::Sha256;

use super::request::encode;
use super::state::Hook;

/// What is on its way to one hook.
pub(super) enum Outgoing {
    Event(Event),
    /// Another attempt at a delivery, signed by what the hook is now.
    Again {
        id: u64,
        hook: Hook,
    },
}

/// An event for one hook; hooks that are told of the same event share its GUID.
pub(super) struct Event {
    pub(super) hook: Hook,
    pub(super) name: &'static str,
    pub(super) guid: String,
    pub(super) repository_id: u64,
    pub(super) payload: Value,
}

/// How deliveries go, and how the API tells of them.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct DeliveryManners {
    /// How long a hook may take to answer; absent: as the stand-in was started.
    pub timeout_seconds: Option<f64>,
    /// The log shows a delivery so many seconds after it has ended.
    pub log_lag_seconds: i64,
    /// A hook that was not reached, or did not answer, is told as 0 and not as 502 or 504.
    pub without_status_codes: bool,
    /// The next delivery gets this id, if it is above all others: GitHub's have passed what a double holds.
    pub next_id: Option<u64>,
}

/// What happens to new deliveries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    #[default]
    Deliver,
    /// Kept until `release`.
    Hold,
    /// Never sent, as when GitHub has an outage; they can still be redelivered.
    Lose,
}

/// The order in which held deliveries are released.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    #[default]
    AsHappened,
    Reversed,
}

/// One attempt to deliver one event to one hook.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    pub id: u64,
    /// `X-GitHub-Delivery`; a redelivery has the same.
    pub guid: String,
    pub hook_id: u64,
    pub repository_id: u64,
    pub event: String,
    pub action: Option<String>,
    pub redelivery: bool,
    /// Simulated time at which it was made.
    pub at: Timestamp,
    pub state: DeliveryState,
    /// `OK`, or why it failed.
    pub status: String,
    /// `None`: there was no answer.
    pub status_code: Option<u16>,
    /// What the API says instead of the missing code.
    #[serde(skip)]
    pub(super) told_code: u16,
    /// Milliseconds from the connection to the whole answer.
    pub duration_ms: u64,
    /// Simulated time at which the attempt was over.
    pub ended_at: Option<Timestamp>,
    pub url: String,
    pub request_headers: BTreeMap<String, String>,
    /// The body as sent.
    pub body: String,
    pub response_headers: BTreeMap<String, String>,
    pub response_body: String,
    /// The payload, whatever form it is sent in.
    #[serde(skip)]
    pub(super) json: Arc<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    Held,
    Lost,
    Sending,
    /// Answered with 2xx.
    Succeeded,
    Failed,
}

impl Delivery {
    pub fn payload(&self) -> Value {
        serde_json::from_str(&self.json).unwrap_or_default()
    }

    /// Whether it has been tried, which is all that GitHub keeps.
    pub(super) fn ended(&self) -> bool {
        matches!(self.state, DeliveryState::Succeeded | DeliveryState::Failed)
    }
}

/// Makes the request of what the hook wants: where to, in which form, signed with which secret.
pub(super) fn dress(delivery: &mut Delivery, hook: Hook) {
    let (content_type, body) = match hook.content_type.as_str() {
        "json" => ("application/json", delivery.json.to_string()),
        _ => ("application/x-www-form-urlencoded", format!("payload={}", encode(&delivery.json))),
    };
    let mut headers = BTreeMap::new();
    for (name, value) in [
        ("Accept", "*/*".to_owned()),
        ("Content-Type", content_type.to_owned()),
        ("User-Agent", "GitHub-Hookshot/044aadd".to_owned()),
        ("X-GitHub-Delivery", delivery.guid.clone()),
        ("X-GitHub-Event", delivery.event.clone()),
        ("X-GitHub-Hook-ID", hook.id.to_string()),
        ("X-GitHub-Hook-Installation-Target-ID", delivery.repository_id.to_string()),
        ("X-GitHub-Hook-Installation-Target-Type", "repository".to_owned()),
    ] {
        headers.insert(name.to_owned(), value);
    }
    if let Some(secret) = &hook.secret {
        headers.insert("X-Hub-Signature".to_owned(), old_signature(secret, &body));
        headers.insert("X-Hub-Signature-256".to_owned(), signature(secret, &body));
    }
    (delivery.url, delivery.request_headers, delivery.body) = (hook.url, headers, body);
}

/// `X-Hub-Signature`, which GitHub still sends to those who have not moved on.
fn old_signature(secret: &str, body: &str) -> String {
    use ring::hmac::{HMAC_SHA1_FOR_LEGACY_USE_ONLY, Key, sign};
    let key = Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
    format!("sha1={}", hex::encode(sign(&key, body.as_bytes())))
}

/// `X-Hub-Signature-256` of a body (GitHub docs, "Validating webhook deliveries").
pub fn signature(secret: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(body.as_bytes());
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}
