//! One namespace with everything around it: the stand-ins, the operator and the receiver as processes, and ways to wait.
//! Included by path by the flows and the demo; builds on `tests/controlplane` and `slipway_simulator`.
#![allow(dead_code, unused_imports, reason = "each binary that includes this module uses its own part of it")]

pub mod gate;
mod manifests;
pub mod story;
pub mod wait;

use super::controlplane::{ControlPlane, User, free_ports, process::Process};
use anyhow::{Context as _, Result};
use kube::{Api, Client, api::PostParams};
use nix::sys::signal::Signal;
use serde::de::DeserializeOwned;
use slipway::api::{Repository, Sandbox, Task};
use slipway_simulator::{Simulator, core::Outcome};
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tempfile::TempDir;

pub use manifests::{Manifest, repository, sandbox, task};
pub use wait::within;

/// Longest wait for anything; the machine may be busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// Token, key and secret that the stand-ins know and the manifests use.
pub const GITHUB_TOKEN: &str = "slipway-bot-token";
pub const WEBHOOK_SECRET: &str = "a-webhook-secret-of-32-characters";

/// What differs between worlds.
#[derive(Debug, Clone)]
pub struct Options {
    pub simulator: slipway_simulator::Options,
    /// `SLIPWAY_GITHUB_WRITE_INTERVAL`.
    pub write_interval: &'static str,
    /// Further environment of both processes.
    pub environment: Vec<(String, String)>,
    /// `SLIPWAY_WEBHOOK_URL` leads to the receiver: webhooks can be managed.
    pub manages_webhooks: bool,
    /// Start the operator and the receiver at once.
    pub operator: bool,
    /// Create the Secrets that the manifests refer to.
    pub secrets: bool,
    /// Prefix of the namespace; also the subject of what goes wrong.
    pub namespace: &'static str,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            simulator: slipway_simulator::Options::default(),
            write_interval: "50ms",
            environment: Vec::new(),
            manages_webhooks: false,
            operator: true,
            secrets: true,
            namespace: "flow",
        }
    }
}

/// One namespace and its surroundings.
pub struct World {
    pub plane: &'static ControlPlane,
    pub simulator: Simulator,
    pub namespace: String,
    pub client: Client,
    pub controller: Option<Process>,
    pub receiver: Option<Process>,
    /// Port of the receiver on loopback.
    pub port: u16,
    ops_port: u16,
    pub binary: PathBuf,
    pub options: Options,
    dir: TempDir,
}

impl World {
    /// A fresh namespace with stand-ins of its own. `binary`: the operator.
    pub async fn start(plane: &'static ControlPlane, binary: &Path, options: Options) -> Result<Self> {
        let simulator = {
            let options = options.simulator.clone();
            tokio::task::spawn_blocking(move || Simulator::start(options)).await??
        };
        let namespace = plane.namespace(options.namespace).await?;
        let client = plane.client(&User::Admin).await?;
        let mut world = Self {
            plane,
            simulator,
            namespace,
            client,
            controller: None,
            receiver: None,
            port: free_port()?,
            ops_port: free_port()?,
            binary: binary.to_owned(),
            options,
            dir: tempfile::tempdir()?,
        };
        if world.options.secrets {
            world.secrets().await?;
        }
        if world.options.operator {
            world.start_controller()?;
            world.start_receiver().await?;
        }
        Ok(world)
    }

    /// The credentials every manifest of this module refers to.
    async fn secrets(&self) -> Result<()> {
        for (name, key, value) in [
            ("github", "token", GITHUB_TOKEN),
            ("webhook", "secret", WEBHOOK_SECRET),
            ("e2b", "apiKey", slipway_simulator::e2b::API_KEY),
        ] {
            self.apply(&Manifest::secret(name, key, value)).await?;
        }
        Ok(())
    }

    /// What both processes are told, as their environment.
    pub fn environment(&self) -> Result<Vec<(String, String)>> {
        let simulator = &self.simulator;
        let spool = self.dir.path().join("spool");
        let mut all: Vec<(String, String)> = [
            ("KUBECONFIG", self.plane.kubeconfig(&User::Admin)?.display().to_string()),
            ("GITHUB_API_URL", simulator.github_url()),
            ("E2B_API_URL", simulator.e2b_api_url()),
            ("E2B_SANDBOX_URL", simulator.e2b_sandbox_url()),
            ("E2B_API_KEY", slipway_simulator::e2b::API_KEY.to_owned()),
            ("SLIPWAY_INSTALLATION", format!("test-{}", self.namespace)),
            ("SLIPWAY_NAMESPACE", self.namespace.clone()),
            // A restarted controller finds its own Lease, like a restarted container in its Pod.
            ("POD_NAME", "slipway-0".to_owned()),
            ("SLIPWAY_GITHUB_WRITE_INTERVAL", self.options.write_interval.to_owned()),
            // More than GitHub takes in these numbers: a test must not wait for an hour to pass.
            ("SLIPWAY_GITHUB_CONTENT_PER_MINUTE", "0".to_owned()),
            ("SLIPWAY_GITHUB_CONTENT_PER_HOUR", "0".to_owned()),
            ("SLIPWAY_SPOOL_DIR", spool.display().to_string()),
            ("RUST_LOG", std::env::var("SLIPWAY_TEST_LOG").unwrap_or_else(|_| "info,slipway=debug".into())),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        if self.options.manages_webhooks {
            all.push(("SLIPWAY_WEBHOOK_URL".into(), format!("http://127.0.0.1:{}", self.port)));
        }
        all.extend(self.options.environment.iter().cloned());
        Ok(all)
    }

    /// Where logs and spooled files go.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Starts the controller process; a second call after a kill is a restart.
    pub fn start_controller(&mut self) -> Result<()> {
        let arguments =
            vec!["controller".into(), "--ops-listen".into(), format!("127.0.0.1:{}", self.ops_port)];
        let process =
            Process::start_in("controller", &self.binary, arguments, self.environment()?, self.dir.path())?;
        self.controller = Some(process);
        Ok(())
    }

    /// Starts the receiver process and waits until it answers.
    pub async fn start_receiver(&mut self) -> Result<()> {
        let arguments = vec![
            "webhook".into(),
            "--webhook-listen".into(),
            format!("127.0.0.1:{}", self.port),
            "--ops-listen".into(),
            "127.0.0.1:0".into(),
        ];
        let process =
            Process::start_in("webhook", &self.binary, arguments, self.environment()?, self.dir.path())?;
        let health = format!("http://127.0.0.1:{}/api/webhooks/health", self.port);
        let http = reqwest::Client::new();
        let answers = within(PATIENCE, "the receiver's health route", || async {
            let answer = http.get(&health).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        answers.with_context(|| process.log_tail())?;
        self.receiver = Some(process);
        Ok(())
    }

    /// SIGKILL, as a node that loses power.
    pub fn kill_controller(&mut self) {
        self.controller = None;
    }

    /// Waits until the fault rule holds a call.
    pub async fn held(&self, rule: u64) -> Result<()> {
        let held = within(PATIENCE, "the held call", || async {
            self.simulator.faults.held(rule).filter(|held| *held > 0)
        });
        held.await.map(drop).with_context(|| self.logs())
    }

    /// SIGKILL while the rule holds a call. The rule goes when the stand-in has seen that the caller is gone: a call
    /// that is let go before would still take effect.
    pub async fn kill_in_held_call(&mut self, rule: u64) -> Result<()> {
        self.kill_controller();
        within(PATIENCE, "the end of the held call", || async {
            let calls = self.simulator.calls.matching(|call| call.fault == Some(rule));
            calls.iter().all(|call| call.outcome == Outcome::Cut).then_some(())
        })
        .await?;
        self.simulator.faults.remove(rule);
        Ok(())
    }

    /// SIGTERM; the time it took to end.
    pub async fn terminate_controller(&mut self) -> Result<Duration> {
        let Some(controller) = self.controller.take() else { return Ok(Duration::ZERO) };
        let started = Instant::now();
        controller.signal(Signal::SIGTERM)?;
        within(PATIENCE, "the controller's end after SIGTERM", || async {
            controller.exit_status().ok().flatten()
        })
        .await?;
        Ok(started.elapsed())
    }

    /// What a route of the controller's health and metrics server says; `None` while there is no good answer.
    pub async fn ops(&self, route: &str) -> Option<String> {
        let url = format!("http://127.0.0.1:{}{route}", self.ops_port);
        let answer = reqwest::get(url).await.ok()?.error_for_status().ok()?;
        answer.text().await.ok()
    }

    /// Waits until the controller's caches are synced.
    pub async fn synced(&self) -> Result<()> {
        let ready = within(PATIENCE, "the controller's readiness", || self.ops("/readyz")).await;
        ready.map(drop).with_context(|| self.logs())
    }

    /// Waits until a controller (`task`, `sandbox`, `repository`) has ended a pass since its process started.
    pub async fn reconciled(&self, controller: &str) -> Result<()> {
        let passes =
            format!(r#"controller_runtime_reconcile_time_seconds_count{{controller="{controller}"}}"#);
        let what = format!("a pass of the {controller} controller");
        within(PATIENCE, &what, || async { self.ops("/metrics").await?.contains(&passes).then_some(()) })
            .await
            .with_context(|| self.logs())
    }

    /// Where GitHub's webhooks go.
    pub fn webhook_url(&self) -> String {
        format!("http://127.0.0.1:{}/api/webhooks/github", self.port)
    }

    /// Points the repository's webhook at the receiver.
    pub fn hook(&self, full_name: &str) -> Result<u64> {
        self.simulator
            .github
            .add_hook(full_name, &self.webhook_url(), WEBHOOK_SECRET, &["pull_request", "push"])
            .map_err(|refused| anyhow::anyhow!("the hook was refused: {refused:?}"))
    }

    /// Where git clones `acme/<name>` from, with the token that may.
    pub fn clone_url(&self, name: &str) -> String {
        let token = format!("http://x-access-token:{GITHUB_TOKEN}@");
        format!("{}/acme/{name}.git", self.simulator.github_url().replacen("http://", &token, 1))
    }

    /// Creates or replaces one object from a manifest.
    pub async fn apply(&self, manifest: &Manifest) -> Result<()> {
        manifest.create(self.client.clone(), &self.namespace).await
    }

    pub fn tasks(&self) -> Api<Task> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub fn sandboxes(&self) -> Api<Sandbox> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub fn repositories(&self) -> Api<Repository> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// What kubectl prints; its error is the answer's.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let all: Vec<&str> =
            ["--namespace", &self.namespace].into_iter().chain(arguments.iter().copied()).collect();
        self.plane.kubectl_output(&all).await
    }

    /// Waits until `kubectl describe` shows `text` of a Task: events come after the status they are about.
    pub async fn described(&self, task: &str, text: &str) -> Result<()> {
        within(PATIENCE, text, || async {
            self.kubectl(&["describe", "swtask", task]).await.ok()?.contains(text).then_some(())
        })
        .await
    }

    /// The ends of both logs, for a failure.
    pub fn logs(&self) -> String {
        [&self.controller, &self.receiver].into_iter().flatten().map(Process::log_tail).collect()
    }

    pub fn controller_log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("controller.log")).unwrap_or_default()
    }
}

/// Creates a typed object.
pub async fn create<K>(api: &Api<K>, object: &K) -> Result<K>
where
    K: kube::Resource + serde::Serialize + DeserializeOwned + Clone + std::fmt::Debug,
{
    Ok(api.create(&PostParams::default(), object).await?)
}

/// A port that no other test gets while this process runs.
pub fn free_port() -> Result<u16> {
    let [port] = free_ports()?;
    Ok(port)
}
