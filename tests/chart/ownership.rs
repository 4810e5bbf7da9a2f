//! Installing again over the CRDs that `helm uninstall` or somebody's kubectl has left, with both versions of helm.
//! Neighbours: `install` has the release of the same name, with an operator.

use crate::{
    controlplane::{ControlPlane, User},
    helm::Helm,
};
use anyhow::{Result, ensure};
use serde_json::json;

/// What a person types, from the words of docs/install.md.
const INSTALL: [&str; 3] = ["install", "charts/slipway", "--create-namespace"];

struct Cluster {
    plane: ControlPlane,
    helm: Helm,
    /// helm 4 applies on the server, where fields have owners.
    applies: bool,
}

impl Cluster {
    async fn start(version_3: bool) -> Result<Self> {
        let plane = ControlPlane::start(crate::controlplane::Options::default()).await?;
        let kubeconfig = plane.kubeconfig(&User::Admin)?;
        let helm = if version_3 { Helm::version_3()? } else { Helm::alone()? };
        Ok(Self { helm: helm.on(kubeconfig), plane, applies: !version_3 })
    }

    async fn install(&self, name: &str, more: &[&str]) -> Result<String> {
        let [verb, chart, create] = INSTALL;
        let arguments = [&[verb, name, chart, create, "--namespace", name], more].concat();
        self.helm.run(&arguments, &json!({})).await
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
        ensure!(owners.split_whitespace().all(|owner| owner == name), "{owners}");
        self.uninstall(name).await
    }
}

async fn again(version_3: bool) -> Result<()> {
    let cluster = Cluster::start(version_3).await?;
    cluster.install("first", &[]).await?;
    cluster.uninstall("first").await?;
    cluster.takes_over("second", &[]).await?;
    // By somebody who keeps the CRDs apart, which are then nothing of the release.
    cluster.install("third", &["--set", "crds.enabled=false"]).await?;
    cluster.uninstall("third").await?;
    let crds = ["crds/slipway.dev.yaml"].map(|file| format!("--filename={file}"));
    let force = if cluster.applies { &["--force-conflicts"][..] } else { &[] };
    for (name, apply) in
        [("fourth", &["apply"][..]), ("fifth", &["apply", "--server-side", "--force-conflicts"])]
    {
        let kinds = "repositories.slipway.dev,sandboxes.slipway.dev,tasks.slipway.dev";
        let names: Vec<_> = kinds.split(',').collect();
        cluster.plane.kubectl_output(&[&["delete", "crd"], &names[..]].concat()).await?;
        cluster.plane.kubectl_output(&[apply, &[crds[0].as_str()]].concat()).await?;
        cluster.takes_over(name, force).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_release_takes_over_crds_with_helm_4() -> Result<()> {
    again(false).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_release_takes_over_crds_with_helm_3() -> Result<()> {
    again(true).await
}
