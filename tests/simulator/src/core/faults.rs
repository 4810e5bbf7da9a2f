//! Faults that tests inject: which calls they hit and what happens to those.
//! Decided here, applied by `serve`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::request::Parts;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// Which calls a rule hits, and what it does to them. All given conditions must hold.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rule {
    /// `github`, `e2b` or `envd`; absent: each of them.
    pub api: Option<String>,
    /// The stable name of an endpoint, like `POST /repos/{owner}/{repo}/pulls`.
    pub endpoint: Option<String>,
    /// Only calls whose path contains this.
    pub path_contains: Option<String>,
    /// Only calls to the envd of this sandbox: all of them share host and paths.
    pub sandbox_id: Option<String>,
    /// Which of the calls that match, counted from when the rule was set.
    pub when: When,
    /// Milliseconds to wait before anything else happens.
    pub delay_ms: u64,
    pub action: Action,
}

/// Which of the matching calls are hit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    #[default]
    All,
    /// Only the nth, from 1.
    Nth(u64),
    /// The first n.
    Next(u64),
    /// All after the first n.
    After(u64),
}

/// What happens to a call that is hit.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Nothing: useful together with a delay.
    #[default]
    Pass,
    /// This answer instead of the real one. With `after_effect` the call takes effect first.
    Status {
        status: u16,
        #[serde(default)]
        headers: BTreeMap<String, String>,
        #[serde(default)]
        body: String,
        #[serde(default)]
        after_effect: bool,
    },
    /// The connection is closed; the call took no effect.
    CutBefore,
    /// The call takes effect, then the connection is closed without an answer.
    CutAfter,
    /// The answer's head and this many bytes of its body, then the connection is closed.
    TruncateBody { after: usize },
    /// The call waits, before or after its effect, until the rule is removed or its client is gone.
    /// A client that goes while the call is held before its effect prevents the effect.
    Hold {
        #[serde(default)]
        after_effect: bool,
    },
}

/// A rule that is set, with its number of hits.
#[derive(Clone, Debug, Serialize)]
pub struct Active {
    pub id: u64,
    pub rule: Rule,
    /// Calls that matched, hit or not.
    pub matched: u64,
    pub hits: u64,
    /// Calls that were held so far, each counted when it waits: after its effect where the rule says so.
    pub held: u64,
}

/// All rules that are set; clones share them. The first rule that hits a call wins.
#[derive(Clone, Default)]
pub struct Faults {
    state: Arc<Mutex<State>>,
    version: Arc<watch::Sender<u64>>,
}

#[derive(Default)]
struct State {
    last_id: u64,
    active: Vec<Active>,
}

impl Rule {
    /// A rule for one endpoint of one API.
    pub fn on(api: &str, endpoint: &str) -> Self {
        Self { api: Some(api.to_owned()), endpoint: Some(endpoint.to_owned()), ..Self::default() }
    }

    /// A rule for every call of one API.
    pub fn all_of(api: &str) -> Self {
        Self { api: Some(api.to_owned()), ..Self::default() }
    }

    #[must_use]
    pub fn path_contains(mut self, part: &str) -> Self {
        self.path_contains = Some(part.to_owned());
        self
    }

    #[must_use]
    pub fn in_sandbox(mut self, id: &str) -> Self {
        self.sandbox_id = Some(id.to_owned());
        self
    }

    #[must_use]
    pub fn when(mut self, when: When) -> Self {
        self.when = when;
        self
    }

    #[must_use]
    pub fn delay_ms(mut self, delay_ms: u64) -> Self {
        self.delay_ms = delay_ms;
        self
    }

    #[must_use]
    pub fn action(mut self, action: Action) -> Self {
        self.action = action;
        self
    }

    /// Answers `status` with a body like `{"message": …}`, and no effect.
    #[must_use]
    pub fn status(self, status: u16, message: &str) -> Self {
        let body = serde_json::json!({ "message": message }).to_string();
        self.action(Action::Status { status, headers: BTreeMap::new(), body, after_effect: false })
    }

    fn matches(&self, api: &str, endpoint: &str, parts: &Parts) -> bool {
        let sandbox_id = parts.headers.get("e2b-sandbox-id").and_then(|id| id.to_str().ok());
        self.api.as_deref().is_none_or(|wanted| wanted == api)
            && self.endpoint.as_deref().is_none_or(|wanted| wanted == endpoint)
            && self.path_contains.as_deref().is_none_or(|part| parts.uri.path().contains(part))
            && (self.sandbox_id.is_none() || self.sandbox_id.as_deref() == sandbox_id)
    }
}

impl When {
    fn hits(self, matched: u64) -> bool {
        match self {
            Self::All => true,
            Self::Nth(n) => matched == n,
            Self::Next(n) => matched <= n,
            Self::After(n) => matched > n,
        }
    }
}

impl Faults {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets a rule and returns its id.
    pub fn set(&self, rule: Rule) -> u64 {
        let mut state = self.state();
        state.last_id += 1;
        let id = state.last_id;
        state.active.push(Active { id, rule, matched: 0, hits: 0, held: 0 });
        id
    }

    /// Removes a rule, which also releases the calls it holds. `None` when there is no such rule.
    pub fn remove(&self, id: u64) -> Option<Active> {
        let mut state = self.state();
        let at = state.active.iter().position(|active| active.id == id)?;
        let removed = state.active.remove(at);
        drop(state);
        self.version.send_modify(|version| *version += 1);
        Some(removed)
    }

    /// Removes every rule.
    pub fn clear(&self) {
        self.state().active.clear();
        self.version.send_modify(|version| *version += 1);
    }

    pub fn list(&self) -> Vec<Active> {
        self.state().active.clone()
    }

    /// Number of calls that a rule has hit; `None` when there is no such rule.
    pub fn hits(&self, id: u64) -> Option<u64> {
        self.state().active.iter().find(|active| active.id == id).map(|active| active.hits)
    }

    /// Number of calls that a rule has held; `None` when there is no such rule.
    pub fn held(&self, id: u64) -> Option<u64> {
        self.state().active.iter().find(|active| active.id == id).map(|active| active.held)
    }

    /// Counts the call against all rules that match, and returns the first that hits it.
    pub(crate) fn decide(&self, api: &str, endpoint: &str, parts: &Parts) -> Option<(u64, u64, Action)> {
        let mut decided = None;
        for active in &mut self.state().active {
            if !active.rule.matches(api, endpoint, parts) {
                continue;
            }
            active.matched += 1;
            if decided.is_none() && active.rule.when.hits(active.matched) {
                active.hits += 1;
                decided = Some((active.id, active.rule.delay_ms, active.rule.action.clone()));
            }
        }
        decided
    }

    /// Holds a call: returns once the rule is gone.
    pub(crate) async fn removed(&self, id: u64) {
        if let Some(active) = self.state().active.iter_mut().find(|active| active.id == id) {
            active.held += 1;
        }
        let mut changed = self.version.subscribe();
        loop {
            changed.borrow_and_update();
            if self.hits(id).is_none() {
                return;
            }
            // The sender lives in `self`, so this cannot fail.
            let _ = changed.changed().await;
        }
    }
}
