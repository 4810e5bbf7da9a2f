//! The log of every call that reached a stand-in, with what it was answered.
//! Written by `serve`, read by tests and by `control`.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::watch;

/// One call, logged when its request is complete and updated when its answer begins.
#[derive(Clone, Debug, Serialize)]
pub struct Call {
    /// 1 for the first call of the simulator; never reused.
    pub seq: u64,
    /// `github`, `e2b` or `envd`.
    pub api: &'static str,
    /// Stable name, like `POST /repos/{owner}/{repo}/pulls`.
    pub endpoint: String,
    pub method: String,
    pub path: String,
    pub query: String,
    /// 1 for the first call of this endpoint.
    pub ordinal: u64,
    /// Simulated time of arrival.
    pub at: Timestamp,
    /// Real time of arrival.
    pub real_at: Timestamp,
    pub outcome: Outcome,
    /// Id of the fault rule that was applied.
    pub fault: Option<u64>,
    pub idempotency_key: Option<String>,
    /// Bytes of the request body.
    pub request_bytes: usize,
    /// Request headers; credentials are replaced by `REDACTED`.
    pub headers: BTreeMap<String, String>,
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// No answer yet.
    Pending,
    /// Answered with this status.
    Status(u16),
    /// The connection was closed without an answer.
    Cut,
}

impl Call {
    /// The status of the answer, if there was one.
    pub fn status(&self) -> Option<u16> {
        match self.outcome {
            Outcome::Status(status) => Some(status),
            Outcome::Pending | Outcome::Cut => None,
        }
    }
}

/// The log; clones share it.
#[derive(Clone, Default)]
pub struct CallLog {
    entries: Arc<Mutex<Entries>>,
    version: Arc<watch::Sender<u64>>,
}

#[derive(Default)]
struct Entries {
    calls: Vec<Call>,
    ordinals: HashMap<(&'static str, String), u64>,
}

impl CallLog {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends `call`, giving it its `seq` and `ordinal`.
    pub(crate) fn begin(&self, mut call: Call) -> Call {
        let mut entries = self.entries();
        call.seq = entries.calls.len() as u64 + 1;
        let ordinal = entries.ordinals.entry((call.api, call.endpoint.clone())).or_default();
        *ordinal += 1;
        call.ordinal = *ordinal;
        entries.calls.push(call.clone());
        drop(entries);
        self.version.send_modify(|version| *version += 1);
        call
    }

    pub(crate) fn update(&self, seq: u64, change: impl FnOnce(&mut Call)) {
        // `seq` is the position plus one: `begin` only appends.
        if let Some(call) = self.entries().calls.get_mut(usize::try_from(seq).unwrap_or(0).wrapping_sub(1)) {
            change(call);
        }
        self.version.send_modify(|version| *version += 1);
    }

    /// Every call so far, in order of arrival.
    pub fn all(&self) -> Vec<Call> {
        self.entries().calls.clone()
    }

    /// The calls after `seq` (0: all), for looking at one phase of a test.
    pub fn since(&self, seq: u64) -> Vec<Call> {
        self.matching(|call| call.seq > seq)
    }

    /// The highest `seq` given out so far.
    pub fn last_seq(&self) -> u64 {
        self.entries().calls.len() as u64
    }

    pub fn matching(&self, predicate: impl Fn(&Call) -> bool) -> Vec<Call> {
        self.entries().calls.iter().filter(|call| predicate(call)).cloned().collect()
    }

    pub fn count(&self, predicate: impl Fn(&Call) -> bool) -> usize {
        self.entries().calls.iter().filter(|call| predicate(call)).count()
    }

    /// The calls of one endpoint of one API.
    pub fn of(&self, api: &str, endpoint: &str) -> Vec<Call> {
        self.matching(|call| call.api == api && call.endpoint == endpoint)
    }

    /// Number of calls per `api endpoint`, in order of their names.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        let entries = self.entries();
        entries.ordinals.iter().map(|((api, endpoint), n)| (format!("{api} {endpoint}"), *n)).collect()
    }

    /// Waits until `predicate` holds for all calls so far; looked at again on each new call and each answer.
    /// `None` when `deadline` has passed first.
    pub async fn wait_for<T>(
        &self,
        deadline: Duration,
        mut predicate: impl FnMut(&[Call]) -> Option<T>,
    ) -> Option<T> {
        let mut changed = self.version.subscribe();
        let search = async {
            loop {
                changed.borrow_and_update();
                if let Some(found) = predicate(&self.entries().calls) {
                    return found;
                }
                // The sender lives in `self`, so this cannot fail.
                let _ = changed.changed().await;
            }
        };
        tokio::time::timeout(deadline, search).await.ok()
    }

    /// Waits for a call after `seq` that `predicate` accepts.
    pub async fn wait_for_call(
        &self,
        seq: u64,
        deadline: Duration,
        predicate: impl Fn(&Call) -> bool,
    ) -> Option<Call> {
        self.wait_for(deadline, |calls| calls.iter().find(|call| call.seq > seq && predicate(call)).cloned())
            .await
    }
}
