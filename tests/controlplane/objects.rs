//! What nearly every test puts into the API server first: a namespace of its own, and CRDs.
//! Neighbours: `mod` applies the CRDs of `Options` with this; tests call the rest.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DynamicObject, ListParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, ResourceExt as _};

use super::{ControlPlane, User};

impl ControlPlane {
    /// Creates a namespace `<prefix>-<random>` and gives its name.
    pub async fn namespace(&self, prefix: &str) -> Result<String> {
        self.check_processes()?;
        let mut namespace = Namespace::default();
        namespace.metadata.generate_name = Some(format!("{prefix}-"));
        let namespaces: Api<Namespace> = Api::all(self.client(&User::Admin).await?);
        Ok(namespaces.create(&PostParams::default(), &namespace).await?.name_any())
    }

    /// Applies the CRDs of a file or directory with kubectl, and waits until every version is served.
    pub async fn apply_crds(&self, path: &Path) -> Result<()> {
        let path = path.to_str().context("the path of the CRDs must be UTF-8")?;
        let names =
            self.kubectl_output(&["apply", "--server-side", "--output=name", "--filename", path]).await?;
        let client = self.client(&User::Admin).await?;
        for name in names.lines() {
            let name = name
                .strip_prefix("customresourcedefinition.apiextensions.k8s.io/")
                .with_context(|| format!("{path} holds {name}, which is no CRD"))?;
            self.wait_until_served(&client, name).await.with_context(|| format!("CRD {name}"))?;
        }
        Ok(())
    }

    /// Established is said by a controller; the handler follows a moment later. So ask what tests will ask: a list.
    async fn wait_until_served(&self, client: &Client, name: &str) -> Result<()> {
        let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
        let started = Instant::now();
        loop {
            let crd = crds.get(name).await?;
            let refused = match is_established(&crd) {
                Ok(()) => match list_all_versions(client, &crd).await {
                    Ok(()) => return Ok(()),
                    Err(error) => error.to_string(),
                },
                Err(why) => why,
            };
            if started.elapsed() > self.deadline {
                bail!("not served after {} s: {refused}", self.deadline.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Err with the conditions that are not met.
fn is_established(crd: &CustomResourceDefinition) -> Result<(), String> {
    let conditions = crd.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let conditions: Vec<_> = conditions.collect();
    if conditions.iter().any(|condition| condition.type_ == "Established" && condition.status == "True") {
        return Ok(());
    }
    let unmet = conditions.iter().filter(|condition| condition.status != "True");
    let unmet = unmet.map(|condition| {
        format!("{} is {}: {}", condition.type_, condition.status, condition.message.as_deref().unwrap_or(""))
    });
    Err(unmet.collect::<Vec<_>>().join("; "))
}

async fn list_all_versions(client: &Client, crd: &CustomResourceDefinition) -> kube::Result<()> {
    for version in crd.spec.versions.iter().filter(|version| version.served) {
        let kind = GroupVersionKind::gvk(&crd.spec.group, &version.name, &crd.spec.names.kind);
        let resource = ApiResource::from_gvk_with_plural(&kind, &crd.spec.names.plural);
        let objects: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        objects.list(&ListParams::default().limit(1)).await?;
    }
    Ok(())
}
