//! Manifests as a user would write them, with the few fields that a test is about set on top.
//! Part of `world`.

use anyhow::{Context as _, Result};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams},
    core::GroupVersionKind,
};
use serde_json::{Value, json};

/// One object to be applied.
#[derive(Debug, Clone)]
pub struct Manifest(pub Value);

impl Manifest {
    pub fn secret(name: &str, key: &str, value: &str) -> Self {
        Self(
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {key: value}}),
        )
    }

    /// Sets one field, given as a JSON pointer such as `/spec/branch`.
    #[must_use]
    pub fn with(mut self, pointer: &str, value: Value) -> Self {
        let mut at = &mut self.0;
        let parts: Vec<&str> = pointer.trim_start_matches('/').split('/').collect();
        for part in &parts {
            at = &mut at[*part];
        }
        *at = value;
        self
    }

    /// Takes one field of the spec away.
    #[must_use]
    pub fn without(mut self, field: &str) -> Self {
        if let Some(spec) = self.0["spec"].as_object_mut() {
            spec.remove(field);
        }
        self
    }

    fn api(&self, client: Client, namespace: &str) -> Result<(String, Api<DynamicObject>)> {
        let text = |field: &str| self.0[field].as_str().unwrap_or_default().to_owned();
        let (version, kind) = (text("apiVersion"), text("kind"));
        let (group, version) = version.split_once('/').unwrap_or(("", &version));
        let mut resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &kind));
        resource.plural = match kind.as_str() {
            "Repository" => "repositories".into(),
            "Sandbox" => "sandboxes".into(),
            other => format!("{}s", other.to_lowercase()),
        };
        let name = self.0["metadata"]["name"].as_str().context("a manifest has a name")?.to_owned();
        Ok((name, Api::namespaced_with(client, namespace, &resource)))
    }

    /// Creates the object.
    pub async fn create(&self, client: Client, namespace: &str) -> Result<()> {
        let (_, api) = self.api(client, namespace)?;
        api.create(&PostParams::default(), &serde_json::from_value(self.0.clone())?).await?;
        Ok(())
    }

    /// Merges this manifest into the object of its name.
    pub async fn patch(&self, client: Client, namespace: &str) -> Result<()> {
        let (name, api) = self.api(client, namespace)?;
        api.patch(&name, &PatchParams::default(), &Patch::Merge(&self.0)).await?;
        Ok(())
    }
}

/// A Repository `acme/<name>` that is created if it is missing.
pub fn repository(name: &str) -> Manifest {
    Manifest(json!({
        "apiVersion": "slipway.dev/v1alpha1", "kind": "Repository", "metadata": {"name": name},
        "spec": {
            "owner": "acme", "name": name,
            "credentialsSecretRef": {"name": "github"},
            "webhookSecretRef": {"name": "webhook"},
            "createPolicy": "IfMissing",
        },
    }))
}

/// A Sandbox on demand.
pub fn sandbox(name: &str) -> Manifest {
    Manifest(json!({
        "apiVersion": "slipway.dev/v1alpha1", "kind": "Sandbox", "metadata": {"name": name},
        "spec": {"credentialsSecretRef": {"name": "e2b"}},
    }))
}

/// A Task with a sandbox of its own that runs `script` in `/home/user/app`.
pub fn task(name: &str, repository: &str, script: &str) -> Manifest {
    Manifest(json!({
        "apiVersion": "slipway.dev/v1alpha1", "kind": "Task", "metadata": {"name": name},
        "spec": {
            "title": format!("Add {name}"),
            "description": "Made for a test.",
            "repositoryRef": {"name": repository},
            "sandboxTemplate": {"spec": {"credentialsSecretRef": {"name": "e2b"}}},
            "generate": {"command": ["sh", "-ec", script]},
            "source": {"path": "/home/user/app"},
        },
    }))
}
