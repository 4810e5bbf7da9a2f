//! The chart as a release: installed, tested, upgraded, uninstalled with helm.
//! The names are the chart's; what the test sets are the image it has loaded and where the stand-ins are.

use crate::{
    cluster::{self, Cluster},
    stand_ins,
    world::{PATIENCE, WEBHOOK_SECRET, wait::within},
};
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

pub const NAMESPACE: &str = "slipway-system";
/// The receiver as Pods reach it through the Service.
pub const WEBHOOK_URL: &str = "http://slipway.slipway-system.svc:3000/api/webhooks/github";
/// What belongs to the release, by the labels that every chart sets.
const SELECTOR: &str = "app.kubernetes.io/instance=slipway";

pub struct Release<'c> {
    cluster: &'c Cluster,
}

impl<'c> Release<'c> {
    /// The chart and the image of the release before, until every Pod is ready.
    pub async fn install_base(cluster: &'c Cluster) -> Result<Self> {
        let settings = [
            ("image.tag", "base"),
            ("github.apiURL", stand_ins::GITHUB_URL),
            ("github.writeInterval", "500ms"),
            ("e2b.apiURL", stand_ins::E2B_API_URL),
            ("e2b.sandboxURL", stand_ins::E2B_SANDBOX_URL),
            ("test.webhookSecretRef.name", "webhook"),
        ]
        .map(|(name, value)| format!(" --set {name}={value}"))
        .concat();
        cluster.output(&format!("kubectl create namespace {NAMESPACE}")).await?;
        let secret = format!("--from-literal secret={WEBHOOK_SECRET}");
        cluster
            .output(&format!("kubectl create secret generic webhook {secret} --namespace {NAMESPACE}"))
            .await?;
        let release = Self { cluster };
        let chart = format!("{}/charts/slipway", cluster::base()?);
        release.helm("install", &format!("{chart} --wait --timeout 2m{settings}")).await?;
        release.report().await?;
        Ok(release)
    }

    pub async fn test(&self) -> Result<()> {
        let printed = self.helm("test", "--timeout 1m").await?;
        ensure!(printed.contains("Phase:          Succeeded"), "the chart has no test that succeeded");
        Ok(())
    }

    /// To this chart and this image, with the settings that were made before.
    pub async fn upgrade(&self) -> Result<()> {
        let settings = "--reset-then-reuse-values --set image.tag=e2e --hide-notes --wait --timeout 2m";
        self.helm("upgrade", &format!("charts/slipway {settings}")).await?;
        self.report().await
    }

    /// Takes everything of the release away, and nothing else.
    pub async fn uninstall(&self) -> Result<()> {
        self.helm("uninstall", "--wait --timeout 2m").await?;
        let kinds = "all,configmaps,secrets,serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings,\
                     ingresses,networkpolicies,poddisruptionbudgets";
        let left = format!("kubectl get {kinds} --all-namespaces --selector {SELECTOR} --output name");
        // helm waits for what it has made itself; the Pods end a little later.
        let gone = within(PATIENCE, "the end of all that belongs to the release", || async {
            self.cluster.output(&left).await.ok().filter(|left| left.trim().is_empty())
        });
        if let Err(error) = gone.await {
            bail!("{error}; left: {}", self.cluster.output(&left).await?);
        }
        self.cluster.say("helm          has left nothing of the release");
        Ok(())
    }

    async fn helm(&self, verb: &str, rest: &str) -> Result<String> {
        self.cluster.run(&format!("helm {verb} slipway {rest} --namespace {NAMESPACE}")).await
    }

    /// What kubelet says of the containers' memory.
    pub async fn say_memory(&self) -> Result<()> {
        let nodes = self.cluster.output("kubectl get nodes --output name").await?;
        let node = nodes.trim().strip_prefix("node/").context("the cluster has one node")?;
        let summary = format!("kubectl get --raw /api/v1/nodes/{node}/proxy/stats/summary");
        let summary: Value = serde_json::from_str(&self.cluster.output(&summary).await?)?;
        let pods = summary["pods"].as_array().context("a summary lists Pods")?;
        for pod in pods.iter().filter(|pod| pod["podRef"]["namespace"] == NAMESPACE) {
            let containers = pod["containers"].as_array().into_iter().flatten().map(|container| {
                let bytes = container["memory"]["rssBytes"].as_u64().unwrap_or_default();
                format!("{} {} MB", container["name"].as_str().unwrap_or_default(), bytes >> 20)
            });
            let containers: Vec<String> = containers.collect();
            let name = pod["podRef"]["name"].as_str().unwrap_or_default();
            self.cluster.say(&format!("Pod           {name}: {}", containers.join(", ")));
        }
        Ok(())
    }

    /// Shows the Pods; none of their containers may have been restarted.
    async fn report(&self) -> Result<()> {
        let pods = format!("kubectl get pods --namespace {NAMESPACE} --selector {SELECTOR} --output json");
        let pods: Value = serde_json::from_str(&self.cluster.output(&pods).await?)?;
        for pod in pods["items"].as_array().context("a list has items")? {
            let name = pod["metadata"]["name"].as_str().unwrap_or_default();
            for container in pod["status"]["containerStatuses"].as_array().into_iter().flatten() {
                ensure!(container["restartCount"] == 0, "{name} was restarted: {container}");
            }
            // Those of before an upgrade take their time to end.
            let ends = pod["metadata"]["deletionTimestamp"].is_string();
            let phase =
                if ends { "Terminating" } else { pod["status"]["phase"].as_str().unwrap_or_default() };
            self.cluster.say(&format!("Pod           {name}: {phase}"));
        }
        Ok(())
    }
}
