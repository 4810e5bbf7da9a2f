//! The chart as a release: installed, tested, upgraded, uninstalled with helm.
//! The names are the chart's; what the test sets are the addresses of the stand-ins and the image it has loaded.

use crate::{
    cluster::Cluster,
    stand_ins::{StandIns, service_address},
};
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

pub const NAMESPACE: &str = "slipway-system";
const NAME: &str = "slipway";
/// What belongs to the release, by the labels that every chart sets.
const SELECTOR: &str = "app.kubernetes.io/instance=slipway";

pub struct Release<'c> {
    cluster: &'c Cluster,
}

impl<'c> Release<'c> {
    /// `--wait`: until every Pod is ready.
    pub async fn install(cluster: &'c Cluster, stand_ins: &StandIns<'_>) -> Result<Self> {
        let chart = std::env::var("E2E_CHART").unwrap_or("charts/slipway".into());
        let settings = [
            ("GITHUB_API_URL", stand_ins.github_url()),
            ("E2B_API_URL", stand_ins.e2b_api_url()),
            ("E2B_SANDBOX_URL", stand_ins.e2b_sandbox_url()),
            ("SLIPWAY_GITHUB_WRITE_INTERVAL", "500ms".to_owned()),
        ]
        .map(|(name, value)| format!(" --set controller.env.{name}={value}"))
        .concat();
        let install = format!(
            "helm install {NAME} {chart} --namespace {NAMESPACE} --create-namespace --wait --timeout 2m{settings}"
        );
        cluster.run(&install).await?;
        let release = Self { cluster };
        release.report().await?;
        Ok(release)
    }

    /// The receiver, as GitHub would reach it through the Service.
    pub async fn webhook_url(&self) -> Result<String> {
        let address = service_address(self.cluster, NAMESPACE, "slipway-webhook").await?;
        Ok(format!("http://{address}/api/webhooks/github"))
    }

    pub async fn test(&self) -> Result<()> {
        self.cluster.run(&format!("helm test {NAME} --namespace {NAMESPACE} --timeout 1m")).await
    }

    pub async fn upgrade(&self) -> Result<()> {
        let chart = std::env::var("E2E_CHART").unwrap_or("charts/slipway".into());
        let upgrade = format!(
            "helm upgrade {NAME} {chart} --namespace {NAMESPACE} --reuse-values --wait --timeout 2m --set controller.env.RUST_LOG=debug"
        );
        self.cluster.run(&upgrade).await
    }

    /// Takes everything of the release away, and nothing else.
    pub async fn uninstall(&self) -> Result<()> {
        self.cluster
            .run(&format!("helm uninstall {NAME} --namespace {NAMESPACE} --wait --timeout 2m"))
            .await?;
        let kinds = "all,configmaps,secrets,serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings,networkpolicies,poddisruptionbudgets";
        let left = format!("kubectl get {kinds} --all-namespaces --selector {SELECTOR} --output name");
        let left = self.cluster.output(&left).await?;
        ensure!(left.trim().is_empty(), "left by helm uninstall: {left}");
        self.cluster.say("nothing of the release is left");
        Ok(())
    }

    /// The Pods with their memory; none may have been restarted.
    pub async fn report(&self) -> Result<()> {
        let pods = format!("kubectl get pods --namespace {NAMESPACE} --selector {SELECTOR} --output json");
        let pods: Value = serde_json::from_str(&self.cluster.output(&pods).await?)?;
        for pod in pods["items"].as_array().context("a list has items")? {
            let name = pod["metadata"]["name"].as_str().unwrap_or_default();
            let restarts = pod["status"]["containerStatuses"][0]["restartCount"].as_u64().unwrap_or_default();
            ensure!(restarts == 0, "{name} was restarted {restarts} times");
            let phase = pod["status"]["phase"].as_str().unwrap_or_default();
            self.cluster.say(&format!("Pod           {name}: {phase}"));
        }
        Ok(())
    }
}
