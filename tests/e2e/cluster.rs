//! The cluster under test, used as a person uses it: with kubectl and helm.
//! Either a node that this process starts (`tests/node`), or one that `run.sh` has made with kind.

use crate::{
    controlplane::{Binaries, User, of_node},
    node::Node,
    world::story::say,
};
use anyhow::{Context as _, Result, ensure};
use kube::{
    Client,
    config::{Config, KubeConfigOptions, Kubeconfig},
};
use serde_json::Value;
use std::{ffi::OsString, fmt::Write as _, path::PathBuf, time::Instant};
use tokio::process::Command;

pub struct Cluster {
    pub client: Client,
    pub started: Instant,
    kubeconfig: PathBuf,
    node: Option<Node>,
    /// Where kubectl and helm are looked for.
    path: OsString,
    /// Nothing is read from or written to the home directory.
    home: tempfile::TempDir,
}

impl Cluster {
    pub async fn start(started: Instant) -> Result<Self> {
        crate::controlplane::install_crypto_provider();
        let (kubeconfig, node) = if Node::is_wanted() {
            say(started, "node          starts: control plane, scheduler, containerd, kubelet, kube-proxy");
            let images = PathBuf::from(variable("SLIPWAY_E2E_IMAGES")?);
            let node = Node::start(&images.join("pause-e2e.tar")).await?;
            say(started, "node          is ready");
            for (image, tag) in [("slipway", "base"), ("slipway", "e2e"), ("slipway-simulator", "e2e")] {
                node.load(&images.join(format!("{image}-{tag}.tar"))).await?;
                say(started, &format!("node          has the image {image}:{tag}"));
            }
            (node.plane.kubeconfig(&User::Admin)?, Some(node))
        } else {
            // A name of its own, so that nobody's cluster is taken by mistake.
            (variable("SLIPWAY_E2E_KUBECONFIG")?.into(), None)
        };
        let mut path: Vec<PathBuf> =
            std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
        if node.is_some() {
            // The pinned kubectl, and helm beside the node's tools.
            let tools = [Binaries::find()?.kubectl, of_node("kubelet")?];
            path.splice(..0, tools.iter().filter_map(|tool| tool.parent()).map(PathBuf::from));
        }
        let path = std::env::join_paths(path)?;
        let config = Kubeconfig::read_from(&kubeconfig)?;
        let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?;
        let client = Client::try_from(config)?;
        Ok(Self { client, started, kubeconfig, node, path, home: tempfile::tempdir()? })
    }

    pub fn say(&self, line: &str) {
        say(self.started, line);
    }

    /// Shows a command line, runs it and shows what it prints.
    pub async fn run(&self, line: &str) -> Result<String> {
        self.say(&format!("$ {line}"));
        let printed = self.output(line).await?;
        for line in printed.lines() {
            println!("         {line}");
        }
        Ok(printed)
    }

    /// The node's own servers and their memory; nothing on kind, whose node is a container of docker.
    pub fn say_memory(&self) {
        if let Some(node) = &self.node {
            let megabytes = node.resident_kilobytes() / 1024;
            self.say(&format!(
                "node          control plane, containerd, kubelet and kube-proxy hold {megabytes} MB"
            ));
        }
    }

    /// Runs a command line of words without quotes.
    pub async fn output(&self, line: &str) -> Result<String> {
        let mut words = line.split_whitespace();
        let output = Command::new(words.next().context("an empty command line")?)
            .args(words)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("KUBECONFIG", &self.kubeconfig)
            .env("PATH", &self.path)
            .env("KUBERC", "off")
            .env("HOME", self.home.path())
            .kill_on_drop(true)
            .output()
            .await
            .with_context(|| format!("{line} could not be run"))?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(
            output.status.success(),
            "{line}: {}\n{printed}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(printed)
    }

    /// What helps to see why something failed.
    pub async fn evidence(&self) -> String {
        let mut all = Vec::new();
        for line in [
            "kubectl get pods,services,endpointslices,leases --all-namespaces --output wide",
            "kubectl get events --all-namespaces --sort-by .lastTimestamp",
            "kubectl logs --namespace slipway-system --selector app.kubernetes.io/name=slipway --all-containers --prefix --tail 40",
        ] {
            let shown = self.output(line).await.unwrap_or_else(|error| format!("{error:#}"));
            all.push(format!("\n$ {line}\n{shown}"));
        }
        all.push(self.ended_containers().await.unwrap_or_else(|error| format!("\n{error:#}")));
        all.extend(self.node.as_ref().map(Node::log_tails));
        all.concat()
    }

    /// The last words of every container that was started again: why, only they say.
    async fn ended_containers(&self) -> Result<String> {
        let pods: Value =
            serde_json::from_str(&self.output("kubectl get pods --all-namespaces --output json").await?)?;
        let mut all = String::new();
        for pod in pods["items"].as_array().into_iter().flatten() {
            let text = |field: &str| pod["metadata"][field].as_str().unwrap_or_default();
            for container in pod["status"]["containerStatuses"].as_array().into_iter().flatten() {
                if container["restartCount"].as_u64().unwrap_or_default() > 0 {
                    let name = container["name"].as_str().unwrap_or_default();
                    let line = format!(
                        "kubectl logs {} --namespace {} --container {name} --previous --tail 40",
                        text("name"),
                        text("namespace")
                    );
                    let shown = self.output(&line).await.unwrap_or_else(|error| format!("{error:#}"));
                    write!(all, "\n$ {line}\n{shown}")?;
                }
            }
        }
        Ok(all)
    }
}

/// Sources of the release that is upgraded from.
pub fn base() -> Result<String> {
    variable("SLIPWAY_E2E_BASE")
}

fn variable(name: &str) -> Result<String> {
    std::env::var(name).with_context(|| format!("{name} is not set: run this with `make e2e`"))
}
