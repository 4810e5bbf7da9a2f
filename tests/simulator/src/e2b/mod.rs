//! The E2B stand-in: lifecycle API and envd, as E2B's own, with sandboxes in which commands really run.
//! `api` and `gateway` are its faces on the wire, `E2b` is its handle for tests, `control` the same over HTTP.

mod answer;
mod api;
mod control;
mod create;
pub mod envd;
mod gateway;
mod idempotency;
mod lifecycle;
mod list;
mod machine;
mod options;
mod query;
pub mod sandbox;
mod service;
mod snapshots;
mod store;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::{Method, Response};
use jiff::Timestamp;
use serde::Serialize;
use tempfile::TempDir;

pub use options::{API_KEY, Options, TEAM, Team, Template};
pub use store::{Counters, KeyMode, Refusal, State, Unreachable};

use crate::core::{Body, Core, Server};
use api::LifecycleApi;
use gateway::Gateway;
use sandbox::Isolation;
use service::Service;
use store::Store;

/// The running E2B stand-in; clones share it. Its methods may be called from any thread.
#[derive(Clone)]
pub struct E2b {
    service: Arc<Service>,
    api_url: String,
    sandbox_url: String,
    running: Arc<Mutex<Option<Running>>>,
}

/// What lives as long as the stand-in.
struct Running {
    _api: Server,
    _gateway: Server,
    expiry: tokio::task::JoinHandle<()>,
    _directory: Option<TempDir>,
}

/// A sandbox that exists, as `E2b::sandboxes` shows it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SandboxInfo {
    pub sandbox_id: String,
    pub team: String,
    /// The template's name.
    pub template: String,
    pub state: State,
    pub metadata: BTreeMap<String, String>,
    pub started_at: Timestamp,
    pub end_at: Timestamp,
}

impl E2b {
    /// Starts both servers. Fails where sandboxes cannot be isolated.
    pub async fn start(core: &Core, options: Options) -> anyhow::Result<Self> {
        let isolation = Isolation::probe().await?;
        let (directory, temporary) = if let Some(directory) = &options.directory {
            std::fs::create_dir_all(directory).with_context(|| format!("making {}", directory.display()))?;
            (directory.clone(), None)
        } else {
            let temporary = tempfile::Builder::new().prefix("slipway-e2b-").tempdir()?;
            (temporary.path().to_owned(), Some(temporary))
        };
        let service = Arc::new(Service::new(Store::new(&options), core.clock.clone(), isolation, directory));
        let api = Server::start(core, options.listen, Arc::new(LifecycleApi(Arc::clone(&service)))).await?;
        let gateway =
            Server::start(core, options.sandbox_listen, Arc::new(Gateway(Arc::clone(&service)))).await?;
        let expiry = tokio::spawn(Arc::clone(&service).expire());
        Ok(Self {
            service,
            api_url: api.url(),
            sandbox_url: gateway.url(),
            running: Arc::new(Mutex::new(Some(Running {
                _api: api,
                _gateway: gateway,
                expiry,
                _directory: temporary,
            }))),
        })
    }

    /// Ends every sandbox: its processes and its files. Nothing answers afterwards.
    pub async fn stop(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(running) = &running {
            running.expiry.abort();
        }
        self.service.kill_all().await;
    }

    /// For `E2B_API_URL`.
    pub fn api_url(&self) -> String {
        self.api_url.clone()
    }

    /// For `E2B_SANDBOX_URL`.
    pub fn sandbox_url(&self) -> String {
        self.sandbox_url.clone()
    }

    /// What `GET /state` shows under `e2b`: counters and the sandboxes that exist.
    pub fn state(&self) -> serde_json::Value {
        let sandboxes = self.sandboxes();
        serde_json::json!({ "counters": self.counters(), "live": sandboxes.len(), "sandboxes": sandboxes })
    }

    pub fn counters(&self) -> Counters {
        self.service.store().counters
    }

    /// Every sandbox that exists, running or paused, oldest run first.
    pub fn sandboxes(&self) -> Vec<SandboxInfo> {
        let store = self.service.store();
        let mut sandboxes: Vec<_> = store.sandboxes.values().map(SandboxInfo::of).collect();
        sandboxes.sort_by(|a, b| (a.started_at, &a.sandbox_id).cmp(&(b.started_at, &b.sandbox_id)));
        sandboxes
    }

    /// Kills a sandbox behind everybody's back; `false` when there is none.
    pub async fn kill(&self, id: &str) -> bool {
        // What waits for processes has to run on the stand-in's own runtime.
        let (service, id) = (Arc::clone(&self.service), id.to_owned());
        let killed = self.service.runtime().spawn(async move {
            let machine = service.remove(&id)?;
            service.store().counters.lost += 1;
            machine.kill().await;
            Some(())
        });
        killed.await.ok().flatten().is_some()
    }

    /// Pauses a sandbox behind everybody's back; `false` when it is not running.
    pub async fn pause(&self, id: &str) -> bool {
        let (service, id) = (Arc::clone(&self.service), id.to_owned());
        let paused = self.service.runtime().spawn(async move { service.pause(&id).await });
        matches!(paused.await, Ok(Ok(true)))
    }

    /// Lets envd of a running sandbox not answer, and breaks its streams; `None`: it answers again.
    pub fn set_unreachable(&self, id: &str, unreachable: Option<Unreachable>) -> bool {
        let mut store = self.service.store();
        let Some(record) = store.sandboxes.get_mut(id) else { return false };
        record.unreachable = unreachable;
        if unreachable.is_some() {
            record.machine.disconnect();
        }
        true
    }

    /// Lets so many GETs of a living sandbox answer 404; lists show it. `false` when there is none.
    pub fn hide_from_get(&self, id: &str, times: u32) -> bool {
        let mut store = self.service.store();
        store.sandboxes.get_mut(id).map(|record| record.hidden_gets = times).is_some()
    }

    /// Lets a sandbox be missing from lists for this long, as one that is just being snapshotted; `false` when there is none.
    pub fn hide_from_lists(&self, id: &str, duration: Duration) -> bool {
        let until = jiff::SignedDuration::try_from(duration).ok().map(|hidden| self.service.now() + hidden);
        let mut store = self.service.store();
        store.sandboxes.get_mut(id).map(|record| record.hidden_until = until).is_some()
    }

    /// Shows a sandbox in a state of this name, whatever it does; `None`: in its own. `false` when there is none.
    pub fn show_as(&self, id: &str, state: Option<&str>) -> bool {
        let mut store = self.service.store();
        store.sandboxes.get_mut(id).map(|record| record.shown_as = state.map(str::to_owned)).is_some()
    }

    /// Sandboxes created from now on are missing from lists for this long, by the simulated clock.
    pub fn hide_new(&self, duration: Duration) {
        self.service.store().hide_new = duration;
    }

    /// Creates take this much longer (real time).
    pub fn set_create_latency(&self, latency: Duration) {
        self.service.store().create_latency = latency;
    }

    /// The next create is answered with this and has no effect. May be called several times.
    pub fn refuse_next_create(&self, refusal: Refusal) {
        self.service.store().refuse_creates.push_back(refusal);
    }

    /// What idempotency keys mean from now on.
    pub fn set_key_mode(&self, mode: KeyMode) {
        self.service.store().key_mode = mode;
    }

    /// So many pauses to come keep the disk alone, as a server does that can't keep the memory: what ran is gone.
    pub fn degrade_next_pauses(&self, pauses: u32) {
        self.service.store().degraded_pauses = pauses;
    }

    /// A time that is over goes unnoticed for this long, by the simulated clock.
    pub fn set_overdue(&self, overdue: Duration) {
        self.service.store().overdue = overdue;
        self.service.lifetimes_changed();
    }

    /// The next pause fails: one that is asked for is answered with 500, and `lost` says that the sandbox is gone with it,
    /// otherwise it goes on running; one at the end of its time loses the sandbox, or shows its last snapshot.
    pub fn fail_next_pause(&self, lost: bool) {
        self.service.store().failing_pauses.push_back(lost);
    }

    /// Adds a team, or replaces the one of that name.
    pub fn set_team(&self, team: Team) {
        let mut store = self.service.store();
        store.teams.retain(|other| other.name != team.name);
        store.teams.push(team);
    }

    /// How many sandboxes of a team may run at the same time; `false` when there is no such team.
    pub fn set_concurrency_limit(&self, team: &str, limit: usize) -> bool {
        let mut store = self.service.store();
        let team = store.teams.iter_mut().find(|other| other.name == team);
        team.map(|team| team.max_sandboxes = limit).is_some()
    }

    /// Adds a template, or replaces the one of that name.
    pub fn set_template(&self, template: Template) {
        let mut store = self.service.store();
        store.templates.retain(|other| other.name != template.name);
        store.templates.push(template);
    }

    /// Removes a template; `false` when there is none of that name.
    pub fn remove_template(&self, name: &str) -> bool {
        let mut store = self.service.store();
        let before = store.templates.len();
        store.templates.retain(|template| template.name != name);
        store.templates.len() < before
    }

    /// Where the host finds a file of a sandbox, for comparing trees. Only /home, /root, /tmp and /var/tmp have one.
    pub fn host_path(&self, id: &str, path: &str) -> Option<PathBuf> {
        self.service.store().sandboxes.get(id)?.machine.host_path(path)
    }

    /// Control calls below `/e2b/`; `path` is without that prefix. `None`: unknown, answered with 404.
    pub async fn control(&self, method: &Method, path: &str, body: &Bytes) -> Option<Response<Body>> {
        control::handle(self, method, path, body).await
    }
}

impl SandboxInfo {
    fn of(record: &store::Record) -> Self {
        Self {
            sandbox_id: record.id.clone(),
            team: record.team.clone(),
            template: record.template.name.clone(),
            state: record.state,
            metadata: record.metadata.clone(),
            started_at: record.started_at,
            end_at: record.end_at,
        }
    }
}
