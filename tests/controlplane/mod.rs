//! A real Kubernetes control plane on loopback, for tests and the demo: etcd, kube-apiserver and kube-controller-manager.
//! Neighbours: `build.sh` builds what `binaries` finds; `servers` says how each is run; `process` ends them with us.
//!
//! Included by path, so that every test binary and the demo share it without a crate of its own:
//!
//! ```ignore
//! #[path = "../controlplane/mod.rs"]
//! mod controlplane;
//!
//! let server = controlplane::shared().await;          // one server per test binary
//! let namespace = server.namespace("merge").await?;   // one namespace per test
//! let client = server.client(&User::Admin).await?;    // one client per test: a client lives on its test's runtime
//! ```
#![allow(dead_code, unused_imports, reason = "each binary that includes the harness uses its own part of it")]

mod audit;
pub mod authority;
mod binaries;
mod directory;
mod objects;
pub mod process;
mod servers;
mod users;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tokio::sync::OnceCell;

pub use audit::AuditEvent;
pub use binaries::{Binaries, VERSION_FILE, of_node, version};
pub use servers::free_ports;
pub use users::User;

use authority::Authority;
use directory::RunDirectory;
use process::Process;
use servers::Ports;

/// How often a start is tried again with other ports when somebody else took one of ours.
const ATTEMPTS: usize = 3;

/// What to start, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// Run kube-controller-manager: garbage collection of owned objects, namespace deletion, default `ServiceAccounts`.
    /// Default: true.
    pub controller_manager: bool,
    /// Files or directories of CRDs, applied before kube-controller-manager starts. Its garbage collector looks for new
    /// kinds only every 30 seconds, so objects of a CRD applied later may be collected that much later.
    pub crds: Vec<PathBuf>,
    /// The address of a node that belongs to this control plane: Pods reach the API server there, it reaches the node's
    /// kubelet, and every controller runs. Default: none, only loopback.
    pub node: Option<Ipv4Addr>,
    /// Further arguments of kube-apiserver; they come last, so they win.
    pub apiserver_arguments: Vec<String>,
    /// How long each wait for readiness may take. Default: 120 s, because all cores may be busy.
    pub deadline: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            controller_manager: true,
            crds: Vec::new(),
            node: None,
            apiserver_arguments: Vec::new(),
            deadline: Duration::from_mins(2),
        }
    }
}

/// A running control plane. Dropping it ends every process and removes its directory.
pub struct ControlPlane {
    // In the order in which they must end: fields drop from top to bottom.
    controller_manager: Option<Process>,
    apiserver: Process,
    /// kube-apiserver was killed: kube-controller-manager may have ended for it, and is started again as a node would do.
    outage: AtomicBool,
    etcd: Process,
    kubeconfigs: Mutex<BTreeMap<User, PathBuf>>,
    authority: Authority,
    binaries: Binaries,
    ports: Ports,
    deadline: Duration,
    directory: RunDirectory,
}

impl ControlPlane {
    /// Starts etcd, kube-apiserver and, if wanted, kube-controller-manager, and waits until the API server is ready.
    pub async fn start(options: Options) -> Result<Self> {
        install_crypto_provider();
        let binaries = Binaries::find()?;
        let mut attempt = 1;
        loop {
            match Self::start_once(binaries.clone(), &options).await {
                Err(error) if error.is::<PortTaken>() && attempt < ATTEMPTS => attempt += 1,
                other => return other,
            }
        }
    }

    async fn start_once(binaries: Binaries, options: &Options) -> Result<Self> {
        let directory = RunDirectory::create()?;
        let authority = Authority::create()?;
        let ports = Ports::choose()?;
        servers::write_files(directory.path(), &authority, options.node)?;
        let etcd = servers::etcd(&binaries, directory.path(), ports)?;
        let apiserver = servers::apiserver(&binaries, directory.path(), ports, options)?;
        let mut server = Self {
            controller_manager: None,
            apiserver,
            outage: AtomicBool::new(false),
            etcd,
            kubeconfigs: Mutex::default(),
            authority,
            binaries,
            ports,
            deadline: options.deadline,
            directory,
        };
        server.wait_until_ready().await?;
        for crds in &options.crds {
            server.apply_crds(crds).await?;
        }
        if options.controller_manager {
            let kubeconfig = server.kubeconfig(&User::named("system:kube-controller-manager"))?;
            server.controller_manager =
                Some(servers::controller_manager(&server.binaries, server.dir(), &kubeconfig, options.node)?);
        }
        Ok(server)
    }

    /// Base URL of the API server, without a trailing slash.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.ports.apiserver)
    }

    /// The directory of this control plane: kubeconfig files, certificates, `*.log` of the processes, `audit.log`.
    pub fn dir(&self) -> &Path {
        self.directory.path()
    }

    /// Process ids of what runs, kube-controller-manager last.
    pub fn pids(&self) -> Vec<u32> {
        self.processes().map(Process::pid).collect()
    }

    /// A kubeconfig file for `user`, self-contained; written on first use.
    pub fn kubeconfig(&self, user: &User) -> Result<PathBuf> {
        let mut known = self.kubeconfigs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = known.get(user) {
            return Ok(path.clone());
        }
        let path = users::write_kubeconfig(self.dir(), &self.authority, &self.url(), user)?;
        known.insert(user.clone(), path.clone());
        Ok(path)
    }

    /// A new client for `user`. It is bound to the runtime that it is made on: never share one between tests.
    pub async fn client(&self, user: &User) -> Result<kube::Client> {
        let file = kube::config::Kubeconfig::read_from(self.kubeconfig(user)?)?;
        let options = kube::config::KubeConfigOptions::default();
        Ok(kube::Client::try_from(kube::Config::from_custom_kubeconfig(file, &options).await?)?)
    }

    /// `kubectl` as the administrator.
    pub fn kubectl(&self) -> Result<tokio::process::Command> {
        self.kubectl_as(&User::Admin)
    }

    /// `kubectl` as `user`. It reads and writes nothing in the home directory.
    pub fn kubectl_as(&self, user: &User) -> Result<tokio::process::Command> {
        let mut command = tokio::process::Command::new(&self.binaries.kubectl);
        command.arg("--kubeconfig").arg(self.kubeconfig(user)?);
        command.arg("--cache-dir").arg(self.dir().join("kubectl-cache"));
        command.env("KUBERC", "off").env_remove("KUBECONFIG").kill_on_drop(true);
        Ok(command)
    }

    /// Runs `kubectl` as the administrator; gives its standard output, or fails with its standard error.
    pub async fn kubectl_output<A: AsRef<std::ffi::OsStr>>(&self, arguments: &[A]) -> Result<String> {
        let mut command = self.kubectl()?;
        let output = command.args(arguments).output().await.context("kubectl could not be run")?;
        if !output.status.success() {
            let shown: Vec<_> = arguments.iter().map(|a| a.as_ref().to_string_lossy()).collect();
            bail!("kubectl {}: {}", shown.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Freezes kube-apiserver (SIGSTOP): connections stay open and nothing answers. Watches and leases go stale.
    pub fn pause(&self) -> Result<()> {
        self.apiserver.freeze()
    }

    /// Undoes [`ControlPlane::pause`] (SIGCONT).
    pub fn resume(&self) -> Result<()> {
        self.apiserver.signal(nix::sys::signal::Signal::SIGCONT)
    }

    /// Kills kube-apiserver (SIGKILL): connections break and none is taken until [`ControlPlane::restart_apiserver`].
    pub fn kill_apiserver(&self) {
        self.outage.store(true, Ordering::Relaxed);
        self.apiserver.kill();
    }

    /// Kills kube-apiserver (SIGKILL), starts it again on the same data and port, and waits until it is ready.
    pub async fn restart_apiserver(&self) -> Result<()> {
        self.outage.store(true, Ordering::Relaxed);
        self.apiserver.restart()?;
        self.wait_until_ready().await
    }

    /// Copies etcd's data as they are now. etcd and kube-apiserver are down meanwhile.
    pub async fn back_up(&self) -> Result<PathBuf> {
        let backup = self.dir().join("etcd.backup");
        self.without_servers(|data| copy(data, &backup)).await?;
        Ok(backup)
    }

    /// Puts a backup in the place of etcd's data.
    pub async fn restore(&self, backup: &Path) -> Result<()> {
        let replace = |data: &Path| {
            std::fs::remove_dir_all(data)?;
            copy(backup, data)
        };
        self.without_servers(replace).await
    }

    async fn without_servers(&self, change: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        self.kill_apiserver();
        self.etcd.kill();
        change(&self.dir().join("etcd"))?;
        self.etcd.restart()?;
        self.restart_apiserver().await
    }

    /// Waits until `/readyz` answers, or fails with the last answer and the ends of the logs.
    pub async fn wait_until_ready(&self) -> Result<()> {
        let client = self.client(&User::Admin).await?;
        let started = Instant::now();
        let mut last = "no answer yet".to_owned();
        while started.elapsed() < self.deadline {
            self.check_processes()?;
            let request = http::Request::get("/readyz").body(Vec::new())?;
            match tokio::time::timeout(Duration::from_secs(5), client.request_text(request)).await {
                // Once more, because the answer may have come from data of an etcd that is not ours.
                Ok(Ok(_)) => return self.check_processes(),
                Ok(Err(error)) => last = error.to_string(),
                Err(_) => "no answer within 5 s".clone_into(&mut last),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let tails: String = self.processes().map(Process::log_tail).collect();
        bail!("kube-apiserver was not ready after {} s (last: {last})\n{tails}", self.deadline.as_secs())
    }

    /// Fails with the end of its log if one of the processes has ended by itself.
    pub fn check_processes(&self) -> Result<()> {
        for process in self.processes() {
            let Some(status) = process.exit_status()? else { continue };
            let suffers = self.controller_manager.as_ref().is_some_and(|manager| ptr::eq(manager, process));
            if suffers && self.outage.load(Ordering::Relaxed) {
                process.restart()?;
                continue;
            }
            let report = format!("{} ended by itself ({status})\n{}", process.name(), process.log_tail());
            if report.contains("address already in use") {
                return Err(PortTaken(report).into());
            }
            bail!(report);
        }
        Ok(())
    }

    fn processes(&self) -> impl Iterator<Item = &Process> {
        [&self.etcd, &self.apiserver].into_iter().chain(&self.controller_manager)
    }
}

/// Copies a directory with all it holds.
fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Somebody took a port between our look and the server's bind: worth another try with other ports.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct PortTaken(String);

/// The one control plane of this test binary, with the repository's `crds/` installed. See [`shared_with`].
pub async fn shared() -> &'static ControlPlane {
    let crds = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    shared_with(Options { crds: vec![crds], ..Options::default() }).await
}

/// The one control plane of this test binary; the options of the first call count.
///
/// Panics when it can't start, in every test that asks for it. Statics are never dropped: the processes die with this
/// one, and the directory is removed by the next start of any control plane.
pub async fn shared_with(options: Options) -> &'static ControlPlane {
    static SHARED: OnceCell<Result<ControlPlane, String>> = OnceCell::const_new();
    let start = || async { ControlPlane::start(options).await.map_err(|error| format!("{error:#}")) };
    match SHARED.get_or_init(start).await {
        Ok(server) => server,
        Err(message) => panic!("the test control plane did not start: {message}"),
    }
}

/// Makes ring the process's TLS provider. Without one, building any client panics.
pub fn install_crypto_provider() {
    // The only failure is that a provider is already there, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
