//! What is generated from something else and kept in the repository is what it is generated from.
//! Neighbours: `make chart` makes these.

use crate::{
    controlplane,
    helm::{Helm, RELEASE, of_kind, only, parse, root},
};
use anyhow::{Context as _, Result, ensure};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::json;
use std::{fs, process::Command};

/// Larger ones can't be applied with kubectl apply: the annotation that it keeps them in has this limit.
const LARGEST_CRD: usize = 262_144;
/// A release with its manifest is one Secret.
const LARGEST_RELEASE: usize = 1_048_576;

#[tokio::test]
async fn the_charts_crds_are_those_of_the_operator() -> Result<()> {
    let copy = fs::read_to_string(root().join("charts/slipway/files/crds.yaml"))?;
    ensure!(copy == slipway::api::crds::yaml()?, "charts/slipway/files/crds.yaml is old: run `make chart`");
    let objects = Helm::alone()?.template(RELEASE, "test", &json!({})).await?;
    let rendered = of_kind(&objects, "CustomResourceDefinition");
    ensure!(rendered.len() == 3);
    for (rendered, own) in rendered.into_iter().zip(slipway::api::crds::all()) {
        ensure!(rendered["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep", "{rendered:#}");
        for (what, size) in
            [("as JSON", rendered.to_string().len()), ("as YAML", serde_saphyr::to_string(rendered)?.len())]
        {
            ensure!(size <= LARGEST_CRD, "{size} bytes {what}");
        }
        // As types: YAML has several ways to write a number.
        let mut rendered: CustomResourceDefinition = serde_json::from_value(rendered.clone())?;
        (rendered.metadata.annotations, rendered.metadata.labels) = (None, None);
        ensure!(
            rendered == serde_json::from_value(own)?,
            "{:?} is rendered otherwise",
            rendered.metadata.name
        );
    }
    let all: usize = objects.iter().map(|object| object.to_string().len()).sum();
    ensure!(all < LARGEST_RELEASE / 2, "{all} bytes");
    Ok(())
}

#[tokio::test]
async fn the_kustomize_base_is_what_the_chart_renders() -> Result<()> {
    let server = controlplane::shared().await;
    let helm = Helm::alone()?;
    let mut generate = Command::new(root().join("deploy/kustomize/generate.sh"));
    let output = generate.env("HELM", helm.program()).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let kept = fs::read_to_string(root().join("deploy/kustomize/base/slipway.yaml"))?;
    ensure!(kept == String::from_utf8(output.stdout)?, "deploy/kustomize/base is old: run `make chart`");
    ensure!(!kept.contains("helm"), "something is left for helm");
    let base = root().join("deploy/kustomize/base");
    let built = parse(&server.kubectl_output(&["kustomize".as_ref(), base.as_os_str()]).await?)?;
    let rendered = helm.template(RELEASE, "slipway-system", &json!({})).await?;
    // The test's Pod goes, the namespace comes.
    ensure!(built.len() == rendered.len(), "{} objects, the chart has {}", built.len(), rendered.len());
    ensure!(only(&built, "Namespace")?["metadata"]["name"] == "slipway-system");
    ensure!(only(&built, "Deployment")?["spec"] == only(&rendered, "Deployment")?["spec"]);
    let account = &only(&built, "ClusterRoleBinding")?["subjects"][0];
    ensure!(*account == json!({"kind": "ServiceAccount", "name": "slipway", "namespace": "slipway-system"}));
    Ok(())
}

#[tokio::test]
async fn every_sample_applies_strictly() -> Result<()> {
    let server = controlplane::shared().await;
    let namespace = server.namespace("samples").await?;
    let mut applied = 0;
    for sample in fs::read_dir(root().join("deploy/samples"))? {
        let path = sample?.path().into_os_string().into_string().ok().context("UTF-8")?;
        let arguments = ["apply", "--validate=strict", "--namespace", &namespace, "--filename", &path];
        applied += server.kubectl_output(&arguments).await.with_context(|| path.clone())?.lines().count();
    }
    ensure!(applied >= 6, "{applied} objects");
    Ok(())
}

/// Cargo refuses a manifest whose targets are not there: what docker leaves out must not be one of them.
#[test]
fn the_image_is_built_from_all_that_cargo_asks_for() -> Result<()> {
    let (root, context) = (root(), tempfile::tempdir()?);
    let ignore = fs::read_to_string(root.join("deploy/Dockerfile.dockerignore"))?;
    for kept in ignore.lines().filter_map(|line| line.strip_prefix('!')) {
        std::os::unix::fs::symlink(root.join(kept), context.path().join(kept))?;
    }
    let metadata = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(context.path())
        .output()?;
    ensure!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    Ok(())
}

/// The image runs as the chart's Pods must: by number, as somebody else than root.
#[test]
fn the_image_is_of_the_user_that_the_pods_have() -> Result<()> {
    let text = |path: &str| fs::read_to_string(root().join(path));
    let dockerfile = text("deploy/Dockerfile")?;
    ensure!(dockerfile.contains("\nUSER 65532:65532\n"), "{dockerfile}");
    ensure!(text("charts/slipway/values.yaml")?.contains("runAsUser: 65532"));
    let toolchain = text("rust-toolchain.toml")?;
    let version = toolchain.split('"').nth(1).context("a channel")?;
    ensure!(
        dockerfile.contains(&format!("FROM rust:{version}-")),
        "the image is built with another Rust than {version}"
    );
    let package = text("Cargo.toml")?;
    let chart = text("charts/slipway/Chart.yaml")?;
    let of = |text: &str, start: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(start))
            .map(|rest| rest.trim_matches([' ', '"']).to_owned())
    };
    ensure!(
        of(&package, "version =") == of(&chart, "appVersion:"),
        "appVersion is not the package's version"
    );
    Ok(())
}
