//! One stand-in per test, an account at it, and sandboxes in it.

use secrecy::SecretString;
use slipway::api::Source;
use slipway::controllers::task::files::{self, Collected, Collection, FilesError, Spool};
use slipway::domain::{files::Caps, git::BaseTree, output::Output};
use slipway::e2b::{Access, Account, CreateRequest, E2b, Endpoints, Envd};
use slipway::telemetry::{Api, CallLayer, Metrics, calls::Leading, http_service};
use slipway_simulator::{Options, Simulator};
use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::task::TaskTracker;

pub const API_KEY: &str = slipway_simulator::e2b::API_KEY;

pub struct World {
    pub sim: Simulator,
    pub account: Account,
}

impl World {
    pub fn new() -> Self {
        let sim = Simulator::start(Options::default()).unwrap();
        let account = e2b(&sim.e2b_api_url(), &sim.e2b_sandbox_url()).account(API_KEY.into());
        Self { sim, account }
    }

    pub async fn sandbox(&self, template: &str) -> Sandbox<'_> {
        let access = self.account.create(&request(template), &key()).await.unwrap();
        let envd = self.account.envd(&access);
        Sandbox { world: self, access, envd }
    }
}

pub struct Sandbox<'a> {
    pub world: &'a World,
    pub access: Access,
    pub envd: Envd,
}

impl Sandbox<'_> {
    pub fn id(&self) -> &str {
        &self.access.sandbox_id
    }

    /// Where the host finds a file of the sandbox.
    pub fn host(&self, path: &str) -> PathBuf {
        self.world.sim.e2b.host_path(self.id(), path).unwrap()
    }

    /// Runs a shell line as root, which must succeed.
    pub async fn sh(&self, line: &str) -> String {
        let mut command = slipway::e2b::Command::sh("test", line, []);
        command.user = Some("root");
        let output = self.envd.run(command, 1 << 20).await.unwrap();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.exit_code, Some(0), "{line}: {words}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

pub fn e2b(api: &str, sandbox: &str) -> E2b {
    led(api, sandbox, true)
}

/// As a replica that does not lead has it.
pub fn standby(api: &str, sandbox: &str) -> E2b {
    led(api, sandbox, false)
}

/// The operator's own call layer over a client as `app` builds it.
fn led(api: &str, sandbox: &str, leading: bool) -> E2b {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let in_flight = TaskTracker::new();
    let leave: Leading = Arc::new(move || leading.then(|| in_flight.token()));
    let service = |api| {
        let layer = CallLayer::new(api, Metrics::new()).leading(leave.clone());
        http_service(client.clone(), &layer)
    };
    let endpoints = Endpoints::new(None, Some(api), Some(sandbox)).unwrap();
    E2b::new(endpoints, service(Api::E2b), service(Api::Envd))
}

/// Collects a plain directory for a repository without files.
pub async fn collect(
    envd: &Envd,
    source: &Source,
    caps: Caps,
    spool: &Spool,
    id: &str,
) -> Result<Collected, FilesError> {
    let collection = Collection { envd, source, caps, spool, id, output: &Output::default() };
    let selected = files::select(collection, &BaseTree::recursive([])).await?;
    files::collect(collection, selected).await
}

pub fn request(template: &str) -> CreateRequest {
    CreateRequest {
        template: template.to_owned(),
        timeout_seconds: 300,
        auto_pause: true,
        env: BTreeMap::from([("SECRET".to_owned(), SecretString::from("s3cret-value"))]),
        metadata: BTreeMap::from([("slipway/uid".to_owned(), uuid::Uuid::new_v4().to_string())]),
    }
}

pub fn key() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

/// Asks until the answer fits, at most a minute.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "not within 60 s: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What the operator allows one Task by default.
pub fn caps() -> Caps {
    Caps {
        max_files: 5000,
        max_file_bytes: 50 << 20,
        max_total_bytes: 256 << 20,
        max_checkout_bytes: 1 << 30,
    }
}
