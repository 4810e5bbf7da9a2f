//! A whole Kubernetes node in the namespaces that `run.sh` makes: control plane, scheduler, containerd, kubelet, kube-proxy.
//! Included by path; builds on `tests/controlplane`. `files` says how each is configured, `image.sh` makes images.

mod dns;
mod files;

use crate::controlplane::{ControlPlane, Options, User, of_node, process::Process};
use anyhow::{Context as _, Result, bail, ensure};
use files::Places;
use k8s_openapi::api::core::v1::Node as NodeObject;
use kube::Api;
use std::{
    net::Ipv4Addr,
    path::Path,
    time::{Duration, Instant},
};
use tokio::net::UdpSocket;

/// The name it is registered under.
pub const NAME: &str = "slipway-node";

/// How long a server may take until it answers; all cores may be busy.
const DEADLINE: Duration = Duration::from_mins(2);

/// A running node. Everything on it ends with the namespaces that it lives in; see `run.sh`.
pub struct Node {
    pub plane: ControlPlane,
    servers: Vec<Process>,
    places: Places,
}

impl Node {
    /// Whether `run.sh` has made the place for one.
    pub fn is_wanted() -> bool {
        std::env::var_os("SLIPWAY_NODE_DIR").is_some()
    }

    /// Starts everything and waits until the node is ready. `pause`: the archive of the image that holds a Pod's namespaces.
    pub async fn start(pause: &Path) -> Result<Self> {
        let address: Ipv4Addr = variable("SLIPWAY_NODE_ADDRESS")?.parse()?;
        let places = Places {
            root: variable("SLIPWAY_NODE_DIR")?.into(),
            cgroup: variable("SLIPWAY_NODE_CGROUP")?,
            cni_plugins: variable("SLIPWAY_NODE_CNI")?.into(),
            address,
        };
        let plane = ControlPlane::start(Options { node: Some(address), ..Options::default() }).await?;
        let mut node = Self { plane, servers: Vec::new(), places };
        node.start_containerd().await?;
        node.load(pause).await?;
        let socket = UdpSocket::bind((address, 53)).await.context("the port of the cluster's DNS")?;
        let client = node.plane.client(&User::Admin).await?;
        // Until this process ends, as everything of the node.
        tokio::spawn(dns::serve(socket, client));
        node.start_kubernetes()?;
        node.wait_until_ready().await?;
        Ok(node)
    }

    async fn start_containerd(&mut self) -> Result<()> {
        let config = self.places.write_containerd_config()?;
        let arguments = vec![format!("--config={}", config.display())];
        self.start_server("containerd", Path::new("containerd"), arguments)?;
        let started = Instant::now();
        while let Err(error) = self.ctr(&["version"]).await {
            ensure!(
                started.elapsed() < DEADLINE,
                "containerd does not answer: {error:#}\n{}",
                self.log_tails()
            );
            self.check()?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    fn start_kubernetes(&mut self) -> Result<()> {
        let kubeconfig = self.plane.kubeconfig(&User::named("system:kube-scheduler"))?;
        let arguments = vec![
            format!("--kubeconfig={}", kubeconfig.display()),
            "--leader-elect=false".to_owned(),
            "--secure-port=0".to_owned(),
        ];
        self.start_server("kube-scheduler", &of_node("kube-scheduler")?, arguments)?;

        let kubeconfig = self.plane.kubeconfig(&User::Node(format!("system:node:{NAME}")))?;
        let config = self.places.write_kubelet_config(&self.plane.dir().join("ca.crt"))?;
        let arguments = vec![
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--config={}", config.display()),
            format!("--root-dir={}", self.places.root.join("kubelet").display()),
            format!("--hostname-override={NAME}"),
            format!("--node-ip={}", self.places.address),
        ];
        self.start_server("kubelet", &of_node("kubelet")?, arguments)?;

        let kubeconfig = self.plane.kubeconfig(&User::named("system:kube-proxy"))?;
        let config = self.places.write_proxy_config(&kubeconfig)?;
        let arguments = vec![format!("--config={}", config.display()), format!("--hostname-override={NAME}")];
        self.start_server("kube-proxy", &of_node("kube-proxy")?, arguments)
    }

    fn start_server(&mut self, name: &'static str, program: &Path, arguments: Vec<String>) -> Result<()> {
        self.servers.push(Process::start(name, program, arguments, self.plane.dir())?);
        Ok(())
    }

    async fn wait_until_ready(&self) -> Result<()> {
        let nodes: Api<NodeObject> = Api::all(self.plane.client(&User::Admin).await?);
        let started = Instant::now();
        loop {
            let node = nodes.get_opt(NAME).await?;
            let conditions = node.and_then(|node| node.status?.conditions).unwrap_or_default();
            if conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True") {
                return Ok(());
            }
            if started.elapsed() > DEADLINE {
                bail!("the node is not ready: {conditions:?}\n{}", self.log_tails());
            }
            self.check()?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Gives the node an image from an archive, as `kind load image-archive` does.
    pub async fn load(&self, archive: &Path) -> Result<()> {
        let archive = archive.to_str().context("the archive's path is UTF-8")?;
        self.ctr(&["images", "import", archive]).await
    }

    async fn ctr(&self, arguments: &[&str]) -> Result<()> {
        let socket = self.places.containerd_socket();
        let output = tokio::process::Command::new("ctr")
            .args(["--address", &socket.display().to_string(), "--namespace", "k8s.io"])
            .args(arguments)
            .output()
            .await
            .context("ctr could not be run")?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "ctr {}: {}", arguments.join(" "), error.trim());
        Ok(())
    }

    /// Fails if one of the servers has ended by itself.
    pub fn check(&self) -> Result<()> {
        self.plane.check_processes()?;
        for server in &self.servers {
            if let Some(status) = server.exit_status()? {
                bail!("{} ended by itself ({status})\n{}", server.name(), server.log_tail());
            }
        }
        Ok(())
    }

    /// The ends of the logs of what this module starts.
    pub fn log_tails(&self) -> String {
        self.servers.iter().map(Process::log_tail).collect()
    }

    /// Memory of all servers, without the Pods'.
    pub fn resident_kilobytes(&self) -> u64 {
        let pids = self.plane.pids().into_iter().chain(self.servers.iter().map(Process::pid));
        pids.filter_map(resident_kilobytes).sum()
    }
}

fn resident_kilobytes(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn variable(name: &str) -> Result<String> {
    std::env::var(name).with_context(|| format!("{name} is not set: run this with tests/node/run.sh"))
}
