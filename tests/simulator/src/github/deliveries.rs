//! Delivers webhooks as GitHub does: signed, once, within a time-out, in no promised order, all of it on record.
//! Tests may hold deliveries back, lose them, release them reordered or doubled, and redeliver them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::Sha256;
use tokio::sync::watch;

use super::request::encode;
use super::state::Hook;
use crate::core::Clock;

/// The id of the first delivery, of the size that GitHub gives out.
const FIRST_ID: u64 = 170_000_000_001;

/// An event on its way to one hook.
pub(super) struct Outgoing {
    pub(super) hook: Hook,
    pub(super) event: &'static str,
    pub(super) repository_id: u64,
    pub(super) payload: Value,
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
    pub status_code: Option<u16>,
    /// Milliseconds from the connection to the whole answer.
    pub duration_ms: u64,
    pub url: String,
    pub request_headers: BTreeMap<String, String>,
    /// The body as sent.
    pub body: String,
    pub response_body: String,
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
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// The deliveries of all hooks; clones share them.
#[derive(Clone)]
pub struct Deliveries {
    log: Arc<Mutex<Log>>,
    version: Arc<watch::Sender<u64>>,
    client: reqwest::Client,
    /// The simulator's own runtime: a test's runtime may end before a delivery does.
    runtime: tokio::runtime::Handle,
    clock: Clock,
}

#[derive(Default)]
struct Log {
    mode: Mode,
    deliveries: Vec<Delivery>,
}

impl Deliveries {
    pub(super) fn new(clock: Clock, timeout: Duration) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .timeout(timeout)
            .redirect(reqwest::redirect::Policy::none())
            // A connection kept open would be stale after the receiver restarts, and keep it from ending.
            .pool_max_idle_per_host(0)
            // Hooks are on loopback; a proxy of the environment must not see them.
            .no_proxy()
            .build()?;
        let runtime = tokio::runtime::Handle::current();
        Ok(Self { log: Arc::default(), version: Arc::default(), client, runtime, clock })
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set_mode(&self, mode: Mode) {
        self.log().mode = mode;
    }

    /// Every delivery so far, oldest first.
    pub fn all(&self) -> Vec<Delivery> {
        self.log().deliveries.clone()
    }

    pub fn get(&self, id: u64) -> Option<Delivery> {
        self.log().deliveries.iter().find(|delivery| delivery.id == id).cloned()
    }

    /// Waits until `predicate` holds for the deliveries so far; `None` when `deadline` has passed first.
    pub async fn wait_for<T>(
        &self,
        deadline: Duration,
        mut predicate: impl FnMut(&[Delivery]) -> Option<T>,
    ) -> Option<T> {
        let mut changed = self.version.subscribe();
        let search = async {
            loop {
                changed.borrow_and_update();
                if let Some(found) = predicate(&self.log().deliveries) {
                    return found;
                }
                // The sender lives in `self`, so this cannot fail.
                let _ = changed.changed().await;
            }
        };
        tokio::time::timeout(deadline, search).await.ok()
    }

    /// Takes events in; sends each at once unless the mode says otherwise.
    pub(super) fn submit(&self, events: Vec<Outgoing>) {
        for event in events {
            let (id, mode) = self.record(event);
            if mode == Mode::Deliver {
                let this = self.clone();
                self.runtime.spawn(async move { this.send(id).await });
            }
        }
    }

    fn record(&self, event: Outgoing) -> (u64, Mode) {
        let Outgoing { hook, event, repository_id, payload } = event;
        let guid = uuid::Uuid::new_v4().to_string();
        let action = payload["action"].as_str().map(str::to_owned);
        let json = payload.to_string();
        let (content_type, body) = match hook.content_type.as_str() {
            "json" => ("application/json", json),
            _ => ("application/x-www-form-urlencoded", format!("payload={}", encode(&json))),
        };
        let mut headers = BTreeMap::new();
        for (name, value) in [
            ("Accept", "*/*".to_owned()),
            ("Content-Type", content_type.to_owned()),
            ("User-Agent", "GitHub-Hookshot/044aadd".to_owned()),
            ("X-GitHub-Delivery", guid.clone()),
            ("X-GitHub-Event", event.to_owned()),
            ("X-GitHub-Hook-ID", hook.id.to_string()),
            ("X-GitHub-Hook-Installation-Target-ID", repository_id.to_string()),
            ("X-GitHub-Hook-Installation-Target-Type", "repository".to_owned()),
        ] {
            headers.insert(name.to_owned(), value);
        }
        if let Some(secret) = &hook.secret {
            headers.insert("X-Hub-Signature-256".to_owned(), signature(secret, &body));
        }
        let mut log = self.log();
        let (mode, id) = (log.mode, FIRST_ID + log.deliveries.len() as u64);
        let state = match mode {
            Mode::Deliver => DeliveryState::Sending,
            Mode::Hold => DeliveryState::Held,
            Mode::Lose => DeliveryState::Lost,
        };
        log.deliveries.push(Delivery {
            id,
            guid,
            hook_id: hook.id,
            repository_id,
            event: event.to_owned(),
            action,
            redelivery: false,
            at: self.clock.now(),
            state,
            status: String::new(),
            status_code: None,
            duration_ms: 0,
            url: hook.url,
            request_headers: headers,
            body,
            response_body: String::new(),
        });
        drop(log);
        self.version.send_modify(|version| *version += 1);
        (id, mode)
    }

    /// Sends one delivery and records how it went.
    async fn send(&self, id: u64) {
        let Some(delivery) = self.get(id) else { return };
        self.change(id, |delivery| delivery.state = DeliveryState::Sending);
        let mut request = self.client.post(&delivery.url).body(delivery.body.clone());
        for (name, value) in &delivery.request_headers {
            request = request.header(name, value);
        }
        let started = Instant::now();
        let answer = async {
            let response = request.send().await?;
            let status = response.status();
            Ok::<_, reqwest::Error>((status, response.text().await?))
        };
        let answer = answer.await;
        let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.change(id, |delivery| {
            delivery.duration_ms = duration_ms;
            match answer {
                Ok((status, body)) => {
                    delivery.status_code = Some(status.as_u16());
                    delivery.response_body = body;
                    delivery.status = if status.is_success() {
                        "OK".to_owned()
                    } else {
                        format!("Invalid HTTP Response: {}", status.as_u16())
                    };
                    delivery.state =
                        if status.is_success() { DeliveryState::Succeeded } else { DeliveryState::Failed };
                }
                Err(error) => {
                    delivery.status = if error.is_timeout() {
                        "timed out".to_owned()
                    } else {
                        "failed to connect to host".to_owned()
                    };
                    delivery.state = DeliveryState::Failed;
                }
            }
        });
    }

    fn change(&self, id: u64, change: impl FnOnce(&mut Delivery)) {
        if let Some(delivery) = self.log().deliveries.iter_mut().find(|delivery| delivery.id == id) {
            change(delivery);
        }
        self.version.send_modify(|version| *version += 1);
    }

    /// Sends all held deliveries one after the other, each `copies` times, and returns their ids.
    /// New deliveries are handled by the mode, which stays as it is.
    pub async fn release(&self, order: Order, copies: usize) -> Vec<u64> {
        let mut held = Vec::new();
        for delivery in self.log().deliveries.iter().filter(|one| one.state == DeliveryState::Held) {
            held.push(delivery.id);
        }
        if order == Order::Reversed {
            held.reverse();
        }
        for id in &held {
            self.on_own_runtime(*id).await;
            for _ in 1..copies {
                self.redeliver(*id).await;
            }
        }
        held
    }

    /// Delivers once more, with the same GUID and body; returns the new delivery. `None`: unknown id.
    pub async fn redeliver(&self, id: u64) -> Option<Delivery> {
        let id = self.record_again(id)?;
        self.on_own_runtime(id).await;
        self.get(id)
    }

    fn record_again(&self, id: u64) -> Option<u64> {
        let mut copy = self.get(id)?;
        let mut log = self.log();
        copy.id = FIRST_ID + log.deliveries.len() as u64;
        copy.redelivery = true;
        copy.at = self.clock.now();
        copy.state = DeliveryState::Sending;
        (copy.status, copy.status_code, copy.response_body) = (String::new(), None, String::new());
        let id = copy.id;
        log.deliveries.push(copy);
        Some(id)
    }

    async fn on_own_runtime(&self, id: u64) {
        let this = self.clone();
        // Fails only when the simulator ends meanwhile.
        let _ = self.runtime.spawn(async move { this.send(id).await }).await;
    }
}

/// `X-Hub-Signature-256` of a body (GitHub docs, "Validating webhook deliveries").
pub fn signature(secret: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(body.as_bytes());
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}
