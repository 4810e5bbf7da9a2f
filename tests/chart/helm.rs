//! helm as a person runs it, with nothing read from or written to the home directory.
//! Neighbours: `tests/controlplane/build.sh helm` builds it; `controlplane` knows the cache.

use crate::controlplane::Binaries;
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// Name of the release in all tests that don't say otherwise.
pub const RELEASE: &str = "slipway";

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub struct Helm {
    program: PathBuf,
    kubeconfig: Option<PathBuf>,
    dir: tempfile::TempDir,
}

impl Helm {
    /// Without a cluster: enough to render.
    pub fn alone() -> Result<Self> {
        Self::called("helm")
    }

    /// The version before, which many still have.
    pub fn version_3() -> Result<Self> {
        Self::called("helm3")
    }

    fn called(name: &str) -> Result<Self> {
        let in_cache = Binaries::find()?.kube_controller_manager;
        let program = in_cache.with_file_name(name);
        ensure!(
            program.exists(),
            "{} is missing: build it once with `tests/controlplane/build.sh helm`",
            program.display()
        );
        Ok(Self { program, kubeconfig: None, dir: tempfile::tempdir()? })
    }

    /// On the cluster of a kubeconfig.
    pub fn on(self, kubeconfig: PathBuf) -> Self {
        Self { kubeconfig: Some(kubeconfig), ..self }
    }

    pub fn program(&self) -> &Path {
        &self.program
    }

    /// What it prints. An error holds all that it has said.
    pub async fn run(&self, arguments: &[&str], values: &Value) -> Result<String> {
        let file = self.dir.path().join(format!("{}.json", uuid::Uuid::new_v4()));
        std::fs::write(&file, values.to_string())?;
        let mut command = Command::new(&self.program);
        command.current_dir(root()).args(arguments).kill_on_drop(true);
        if ["template", "install", "upgrade", "lint"].contains(&arguments[0]) {
            command.arg("--values").arg(&file);
        }
        for variable in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME", "HOME"] {
            command.env(variable, self.dir.path());
        }
        match &self.kubeconfig {
            Some(path) => command.env("KUBECONFIG", path),
            None => command.env_remove("KUBECONFIG"),
        };
        let output = command.output().await.context("helm could not be run")?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "helm {}: {said}", arguments.join(" "));
        Ok(String::from_utf8(output.stdout)?)
    }

    /// The objects of a release, as JSON.
    pub async fn template(&self, release: &str, namespace: &str, values: &Value) -> Result<Vec<Value>> {
        let arguments = ["template", release, "charts/slipway", "--namespace", namespace];
        parse(&self.run(&arguments, values).await?)
    }
}

/// The documents of a YAML stream; empty ones are none.
pub fn parse(text: &str) -> Result<Vec<Value>> {
    let all: Vec<Value> = serde_saphyr::from_multiple(text).context("this is no YAML")?;
    Ok(all.into_iter().filter(|document| !document.is_null()).collect())
}

/// The objects of a kind.
pub fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

/// The only object of a kind.
pub fn only<'a>(objects: &'a [Value], kind: &str) -> Result<&'a Value> {
    let found = of_kind(objects, kind);
    ensure!(found.len() == 1, "{} objects of kind {kind}", found.len());
    Ok(found[0])
}
