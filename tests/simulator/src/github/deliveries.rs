//! Delivers webhooks as GitHub does: signed, once, within a time-out, in no promised order, all of it on record.
//! Tests may hold deliveries back, lose them, release them reordered or doubled; `delivery_log` is what the API shows of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

use super::delivery::{Delivery, DeliveryManners, DeliveryState, Event, Mode, Order, Outgoing, dress};
use super::state::Hook;
use crate::core::Clock;

/// Deliveries get ids above this, of the size that GitHub gives out.
const BEFORE_FIRST_ID: u64 = 170_000_000_000;

/// The deliveries of all hooks; clones share them.
#[derive(Clone)]
pub struct Deliveries {
    log: Arc<Mutex<Log>>,
    version: Arc<watch::Sender<u64>>,
    client: reqwest::Client,
    /// The simulator's own runtime: a test's runtime may end before a delivery does.
    runtime: tokio::runtime::Handle,
    clock: Clock,
    timeout: Duration,
}

struct Log {
    mode: Mode,
    manners: DeliveryManners,
    last_id: u64,
    deliveries: Vec<Delivery>,
}

impl Log {
    /// Ids grow, with gaps: other repositories have deliveries too.
    fn next_id(&mut self) -> u64 {
        let usual = self.last_id + 1 + self.last_id % 9973 * 31 % 9973;
        self.last_id = self.manners.next_id.take().filter(|id| *id > self.last_id).unwrap_or(usual);
        self.last_id
    }
}

impl Deliveries {
    pub(super) fn new(clock: Clock, timeout: Duration) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            // A connection kept open would be stale after the receiver restarts, and keep it from ending.
            .pool_max_idle_per_host(0)
            // Hooks are on loopback; a proxy of the environment must not see them.
            .no_proxy()
            .build()?;
        let runtime = tokio::runtime::Handle::current();
        let log = Log {
            mode: Mode::default(),
            manners: DeliveryManners::default(),
            last_id: BEFORE_FIRST_ID,
            deliveries: Vec::new(),
        };
        let log = Arc::new(Mutex::new(log));
        Ok(Self { log, version: Arc::default(), client, runtime, clock, timeout })
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set_mode(&self, mode: Mode) {
        self.log().mode = mode;
    }

    pub fn set_manners(&self, manners: DeliveryManners) {
        self.log().manners = manners;
    }

    /// What the log shows of a hook, newest first; the lag is over by then.
    pub(super) fn shown(&self, hook_id: u64, now: Timestamp) -> Vec<Delivery> {
        let log = self.log();
        let lag = SignedDuration::from_secs(log.manners.log_lag_seconds);
        let shown = |one: &&Delivery| {
            one.hook_id == hook_id && one.ended() && one.ended_at.is_some_and(|ended| now >= ended + lag)
        };
        log.deliveries.iter().rev().filter(shown).cloned().collect()
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
            let (id, mode) = match event {
                Outgoing::Event(event) => self.record(event),
                Outgoing::Again { id, hook } => {
                    let Some(id) = self.record_again(id, Some(hook)) else { continue };
                    (id, Mode::Deliver)
                }
            };
            if mode == Mode::Deliver {
                let this = self.clone();
                self.runtime.spawn(async move { this.send(id).await });
            }
        }
    }

    fn record(&self, event: Event) -> (u64, Mode) {
        let Event { hook, name, guid, repository_id, payload } = event;
        let action = payload["action"].as_str().map(str::to_owned);
        let json: Arc<str> = payload.to_string().into();
        let mut log = self.log();
        let (mode, id) = (log.mode, log.next_id());
        let state = match mode {
            Mode::Deliver => DeliveryState::Sending,
            Mode::Hold => DeliveryState::Held,
            Mode::Lose => DeliveryState::Lost,
        };
        let mut delivery = Delivery {
            id,
            guid,
            hook_id: hook.id,
            repository_id,
            event: name.to_owned(),
            action,
            redelivery: false,
            at: self.clock.now(),
            state,
            status: String::new(),
            status_code: None,
            told_code: 0,
            duration_ms: 0,
            ended_at: None,
            url: String::new(),
            request_headers: BTreeMap::new(),
            body: String::new(),
            response_headers: BTreeMap::new(),
            response_body: String::new(),
            json,
        };
        dress(&mut delivery, hook);
        log.deliveries.push(delivery);
        drop(log);
        self.version.send_modify(|version| *version += 1);
        (id, mode)
    }

    /// Sends one delivery and records how it went.
    async fn send(&self, id: u64) {
        let Some(delivery) = self.get(id) else { return };
        self.change(id, |delivery| delivery.state = DeliveryState::Sending);
        let manners = self.log().manners;
        let timeout = manners.timeout_seconds.and_then(|wanted| Duration::try_from_secs_f64(wanted).ok());
        let request = self.client.post(&delivery.url).timeout(timeout.unwrap_or(self.timeout));
        let mut request = request.body(delivery.body.clone());
        for (name, value) in &delivery.request_headers {
            request = request.header(name, value);
        }
        let started = Instant::now();
        let answer = async {
            let response = request.send().await?;
            let (status, headers) = (response.status(), headers_of(&response));
            Ok::<_, reqwest::Error>((status, headers, response.text().await?))
        };
        let answer = answer.await;
        let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let now = self.clock.now();
        self.change(id, |delivery| {
            (delivery.duration_ms, delivery.ended_at) = (duration_ms, Some(now));
            match answer {
                Ok((status, headers, body)) => {
                    delivery.status_code = Some(status.as_u16());
                    (delivery.response_headers, delivery.response_body) = (headers, body);
                    delivery.status = if status.is_success() {
                        "OK".to_owned()
                    } else {
                        format!("Invalid HTTP Response: {}", status.as_u16())
                    };
                    delivery.state =
                        if status.is_success() { DeliveryState::Succeeded } else { DeliveryState::Failed };
                }
                Err(error) => {
                    let (status, code) = if error.is_timeout() {
                        ("timed out", 504)
                    } else {
                        ("failed to connect to host", 502)
                    };
                    status.clone_into(&mut delivery.status);
                    delivery.told_code = if manners.without_status_codes { 0 } else { code };
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
                if let Some(copy) = self.record_again(*id, None) {
                    self.on_own_runtime(copy).await;
                }
            }
        }
        held
    }

    /// Delivers once more to what the hook is now, with the same GUID; returns the new delivery. `None`: unknown id.
    pub(super) async fn redeliver(&self, id: u64, hook: Hook) -> Option<Delivery> {
        let id = self.record_again(id, Some(hook))?;
        self.on_own_runtime(id).await;
        self.get(id)
    }

    /// Without a hook it is the same request once more.
    fn record_again(&self, id: u64, hook: Option<Hook>) -> Option<u64> {
        let mut copy = self.get(id)?;
        let mut log = self.log();
        copy.id = log.next_id();
        copy.redelivery = true;
        copy.at = self.clock.now();
        copy.state = DeliveryState::Sending;
        (copy.status, copy.status_code, copy.ended_at) = (String::new(), None, None);
        (copy.response_body, copy.response_headers) = (String::new(), BTreeMap::new());
        if let Some(hook) = hook {
            dress(&mut copy, hook);
        }
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

fn headers_of(response: &reqwest::Response) -> BTreeMap<String, String> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    response.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}
