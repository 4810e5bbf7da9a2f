//! Installing again over the CRDs that `helm uninstall` or somebody's kubectl has left, with both versions of helm.
//! Neighbours: `install` has the release of the same name, with an operator.

use crate::{
    controlplane::{ControlPlane, User},
    helm::Helm,
};
use anyhow::{Result, ensure};
use serde_json::json;

struct Cluster {
    plane: ControlPlane,
    helm: Helm,
}

impl Cluster {
    async fn start(helm: Helm) -> Result<Self> {
        let plane = ControlPlane::start(crate::controlplane::Options::default()).await?;
        let helm = helm.on(plane.kubeconfig(&User::Admin)?);
        Ok(Self { plane, helm })
    }

    async fn install(&self, name: &str, more: &[&str]) -> Result<String> {
        let install = ["install", name, "charts/slipway", "--namespace", name, "--create-namespace"];
        self.helm.run(&[&install, more].concat(), &json!({})).await
    }

    async fn uninstall(&self, name: &str) -> Result<()> {
        self.helm.run(&["uninstall", name, "--namespace", name], &json!({})).await.map(drop)
    }

    /// Refused as it is, with helm's word for it; then taken over.
    async fn takes_over(&self, name: &str, more: &[&str]) -> Result<()> {
        let refused = match self.install(name, &[]).await {
            Ok(said) => anyhow::bail!("{name} is installed over another's CRDs: {said}"),
            Err(error) => error.to_string(),
        };
        ensure!(refused.contains("invalid ownership metadata"), "{refused}");
        let said = self.install(name, &[&["--take-ownership"], more].concat()).await?;
        ensure!(said.contains("STATUS: deployed") && said.contains("--take-ownership"), "{said}");
        let owner = "--output=jsonpath={.items[*].metadata.annotations.meta\\.helm\\.sh/release-name}";
        let owners = self.plane.kubectl_output(&["get", "crds", owner]).await?;
        ensure!(owners.split_whitespace().collect::<Vec<_>>() == [name; 3], "{owners}");
        self.uninstall(name).await
    }
}

/// `force`: what helm has to be told where kubectl has applied the CRDs.
async fn again(helm: Helm, force: &[&str]) -> Result<()> {
    let cluster = Cluster::start(helm).await?;
    cluster.install("first", &[]).await?;
    cluster.uninstall("first").await?;
    cluster.takes_over("second", &[]).await?;
    // By somebody who keeps the CRDs apart, which are then nothing of the release.
    cluster.install("third", &["--set", "crds.enabled=false"]).await?;
    cluster.uninstall("third").await?;
    let kinds = ["repositories.slipway.dev", "sandboxes.slipway.dev", "tasks.slipway.dev"];
    for (name, apply) in
        [("fourth", &["apply"][..]), ("fifth", &["apply", "--server-side", "--force-conflicts"])]
    {
        cluster.plane.kubectl_output(&[&["delete", "crd"], &kinds[..]].concat()).await?;
        cluster.plane.kubectl_output(&[apply, &["--filename=crds/slipway.dev.yaml"]].concat()).await?;
        cluster.takes_over(name, force).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_release_takes_over_crds_with_helm_4() -> Result<()> {
    // It applies on the server, where fields have owners.
    again(Helm::alone()?, &["--force-conflicts"]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_release_takes_over_crds_with_helm_3() -> Result<()> {
    again(Helm::version_3()?, &[]).await
}
