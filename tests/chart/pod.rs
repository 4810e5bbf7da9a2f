//! A container of the chart's Pod as a process: its variables, and what kubelet puts where in-cluster clients look.
//! Neighbours: `install` has it run by `world`.

use crate::{
    controlplane::{ControlPlane, User},
    helm::only,
};
use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

/// Where the operator's Pods are, and as whom they talk to the API server.
pub struct Identity<'a> {
    pub server: &'a ControlPlane,
    pub namespace: &'a str,
    pub account: &'a str,
}

impl Identity<'_> {
    /// As RBAC and the audit log know it.
    pub fn user(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.account)
    }

    /// A program that runs the operator as if in a container: with token, certificate and namespace in a `/var/run` of
    /// its own.
    pub async fn program(&self, operator: &Path, dir: &Path) -> Result<PathBuf> {
        self.sign_in(dir).await?;
        let mounted = dir.join("serviceaccount");
        let user = if nix::unistd::geteuid().is_root() { "" } else { "--user --map-root-user" };
        let script = format!(
            r#"#!/bin/sh
exec unshare {user} --mount sh -ec '
  mount -t tmpfs tmpfs /var/run
  mkdir -p /var/run/secrets/kubernetes.io
  cp -r "{mounted}" /var/run/secrets/kubernetes.io/serviceaccount
  exec setpriv --pdeathsig KILL "{operator}" "$@"' sh "$@"
"#,
            mounted = mounted.display(),
            operator = operator.display()
        );
        let program = dir.join("container");
        fs::write(&program, script)?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
        Ok(program)
    }

    /// What kubelet mounts, for processes that are started from now on. A token dies with its `ServiceAccount`.
    pub async fn sign_in(&self, dir: &Path) -> Result<()> {
        let mounted = dir.join("serviceaccount");
        fs::create_dir_all(&mounted)?;
        let namespace = ["--namespace", self.namespace];
        let create = ["create", "token", self.account, "--duration=2h"];
        let token = self.server.kubectl_output(&[&create[..], &namespace[..]].concat()).await?;
        fs::write(mounted.join("token"), token.trim())?;
        fs::write(mounted.join("namespace"), self.namespace)?;
        let kubeconfig: Value = serde_json::from_slice(&fs::read(self.server.kubeconfig(&User::Admin)?)?)?;
        let certificate = kubeconfig["clusters"][0]["cluster"]["certificate-authority-data"].as_str();
        fs::write(mounted.join("ca.crt"), STANDARD.decode(certificate.context("the kubeconfig has a CA")?)?)?;
        Ok(())
    }

    /// What every container has by itself. No variable of the test's own world may stand in for one of the chart's.
    pub fn surroundings(&self) -> Vec<(String, String)> {
        let port = self.server.url().rsplit(':').next().unwrap_or_default().to_owned();
        let mut all = vec![
            ("KUBERNETES_SERVICE_HOST".to_owned(), "127.0.0.1".to_owned()),
            ("KUBERNETES_SERVICE_PORT".to_owned(), port),
        ];
        for name in ["KUBECONFIG", "SLIPWAY_INSTALLATION", "SLIPWAY_NAMESPACE", "E2B_API_KEY"] {
            all.push((name.to_owned(), String::new()));
        }
        all
    }

    /// The variables of one container of a Pod's spec, references to Secrets followed.
    pub async fn variables(&self, spec: &Value, container: &str) -> Result<Vec<(String, String)>> {
        let containers = spec["containers"].as_array().context("a Pod has containers")?;
        let found = containers.iter().find(|one| one["name"] == container).context(container.to_owned())?;
        let mut all = Vec::new();
        for variable in found["env"].as_array().into_iter().flatten() {
            let name = variable["name"].as_str().context("a variable has a name")?;
            let from = &variable["valueFrom"];
            let value = if let Some(value) = variable["value"].as_str() {
                value.to_owned()
            } else if from["fieldRef"]["fieldPath"] == "metadata.name" {
                "slipway-0".to_owned()
            } else {
                self.secret(&from["secretKeyRef"]).await.with_context(|| name.to_owned())?
            };
            all.push((name.to_owned(), value));
        }
        Ok(all)
    }

    async fn secret(&self, reference: &Value) -> Result<String> {
        let (name, key) = (reference["name"].as_str(), reference["key"].as_str());
        let (name, key) = (name.context("no name")?, key.context("no key")?);
        let path = format!("--output=jsonpath={{.data.{key}}}");
        let arguments = ["get", "secret", name, "--namespace", self.namespace, &path];
        let value = self.server.kubectl_output(&arguments).await?;
        ensure!(!value.is_empty(), "the Secret {name} has no key {key}");
        Ok(String::from_utf8(STANDARD.decode(value)?)?)
    }
}

/// The spec of the Pods that the Deployment makes.
pub fn spec(objects: &[Value]) -> Result<&Value> {
    Ok(&only(objects, "Deployment")?["spec"]["template"]["spec"])
}
