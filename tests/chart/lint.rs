//! What linters say of the chart: helm's own, kubeconform against the API server's own schemas, checkov.
//! Neighbours: `sets` has the values; `tests/controlplane/build.sh lint` and `checkov/install.sh` bring the programs.

use crate::{
    controlplane::{self, Binaries},
    helm::{Helm, RELEASE, root},
    sets::{set, sets},
};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What checkov finds and is right as it is: the check, the kind, and why.
const EXCEPTIONS: [(&str, &str, &str); 11] = [
    ("CKV_K8S_8", "Pod", "helm test's Pod runs to its end: nothing could be restarted"),
    ("CKV_K8S_9", "Pod", "helm test's Pod serves nobody"),
    ("CKV_K8S_11", "Deployment", "a CPU limit throttles at peaks; requests are set"),
    ("CKV_K8S_11", "Pod", "as the Deployment"),
    ("CKV_K8S_15", "Deployment", "image.pullPolicy: a version's tag stays what it is"),
    ("CKV_K8S_15", "Pod", "as the Deployment"),
    ("CKV_K8S_38", "Deployment", "the operator calls the API server"),
    ("CKV_K8S_43", "Deployment", "image.digest: the image is the user's own build"),
    ("CKV_K8S_43", "Pod", "as the Deployment"),
    (
        "CKV2_K8S_6",
        "Deployment",
        "networkPolicy.enabled: not every cluster has a network that knows policies",
    ),
    ("CKV2_K8S_6", "Pod", "helm test's Pod lives for a second"),
];

/// A program's output; its exit status may be that of its findings.
fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    String::from_utf8(output.stdout).context(said)
}

#[tokio::test]
async fn helm_lint_has_nothing_to_say() -> Result<()> {
    for helm in [Helm::alone()?, Helm::version_3()?] {
        for (name, values) in sets() {
            let version = ["--kube-version", "1.37.0"];
            let said =
                helm.run(&[&["lint", "charts/slipway", "--strict"], &version[..]].concat(), &values).await?;
            ensure!(said.contains("0 chart(s) failed"), "{name}: {said}");
            let findings = said.lines().filter(|line| line.starts_with('['));
            // An icon is for catalogues of charts.
            let findings: Vec<_> = findings.filter(|line| !line.contains("icon is recommended")).collect();
            ensure!(findings.is_empty(), "{name}: {findings:?}");
        }
    }
    Ok(())
}

/// The API server's own schemas, a file per kind, with no room for what they don't name.
async fn schemas(directory: &Path) -> Result<()> {
    let server = controlplane::shared().await;
    let api: Value = serde_json::from_str(&server.kubectl_output(&["get", "--raw", "/openapi/v2"]).await?)?;
    let mut definitions = api["definitions"].as_object().context("definitions")?.clone();
    for (name, definition) in &mut definitions {
        if name.ends_with(".IntOrString") || name.ends_with(".Quantity") {
            *definition = json!({"type": ["string", "number"]});
        }
        if definition["properties"].is_object() && definition["additionalProperties"].is_null() {
            definition["additionalProperties"] = json!(false);
        }
    }
    for (name, definition) in &definitions {
        for kind in definition["x-kubernetes-group-version-kind"].as_array().into_iter().flatten() {
            let text = |field: &str| kind[field].as_str().unwrap_or_default().to_lowercase();
            // As kubeconform calls them: with the first part of the group, if there is one.
            let group = text("group").split('.').next().map(|part| format!("-{part}"));
            let group = group.filter(|part| part != "-").unwrap_or_default();
            let file = directory.join(format!("{}{group}-{}.json", text("kind"), text("version")));
            fs::write(file, schema(name, &definitions).to_string())?;
        }
    }
    Ok(())
}

/// A definition with those that it refers to.
fn schema(name: &str, definitions: &Map<String, Value>) -> Value {
    let (mut needed, mut open) = (Map::new(), vec![name.to_owned()]);
    while let Some(name) = open.pop() {
        let Some(definition) = definitions.get(&name).filter(|_| !needed.contains_key(&name)) else {
            continue;
        };
        let text = definition.to_string();
        let references = text.split("\"#/definitions/").skip(1).filter_map(|rest| rest.split('"').next());
        open.extend(references.map(str::to_owned));
        needed.insert(name, definition.clone());
    }
    json!({"$ref": format!("#/definitions/{name}"), "definitions": needed})
}

fn in_cache(name: &str) -> Result<PathBuf> {
    let program = Binaries::find()?.kube_controller_manager.with_file_name(name);
    ensure!(program.exists(), "{name} is missing: build it once with `tests/controlplane/build.sh lint`");
    Ok(program)
}

#[tokio::test]
async fn kubeconform_finds_every_object_valid() -> Result<()> {
    let directory = tempfile::tempdir()?;
    schemas(directory.path()).await?;
    let helm = Helm::alone()?;
    let location = directory.path().join("{{.ResourceKind}}{{.KindSuffix}}.json");
    let check = |file: &Path| -> Result<Value> {
        let mut kubeconform = Command::new(in_cache("kubeconform")?);
        // Nobody's schemas but their own CRDs': no API server has these two.
        kubeconform.args(["-strict", "-output", "json", "-summary", "-skip", "HTTPRoute,PodMonitor"]);
        kubeconform.arg("-schema-location").arg(&location).arg(file);
        Ok(serde_json::from_str(&output(&mut kubeconform)?)?)
    };
    let file = directory.path().join("rendered.yaml");
    for (name, values) in sets() {
        let arguments = ["template", RELEASE, "charts/slipway", "--namespace", "test"];
        let rendered = helm.run(&arguments, &values).await?;
        fs::write(&file, &rendered)?;
        let said = check(&file)?;
        let summary = &said["summary"];
        ensure!(summary["invalid"] == 0 && summary["errors"] == 0, "{name}: {said:#}");
        ensure!(summary["valid"].as_u64() > Some(6), "{name}: {summary}");
    }
    // The check can fail: a field in the wrong place, a number for a text.
    for (right, wrong) in [("  replicas: 2", "  replica: 2"), ("  name: slipway\n", "  name: 7\n")] {
        let rendered =
            helm.run(&["template", RELEASE, "charts/slipway", "--namespace", "test"], &json!({})).await?;
        ensure!(rendered.contains(right));
        fs::write(&file, rendered.replace(right, wrong))?;
        ensure!(check(&file)?["summary"]["invalid"].as_u64() > Some(0), "{wrong} is valid");
    }
    Ok(())
}

/// What checkov finds in the values' objects: check and kind.
async fn found(values: &Value) -> Result<BTreeSet<(String, String)>> {
    // checkov looks into no directory whose name begins with a dot.
    let directory = tempfile::Builder::new().prefix("checkov").tempdir()?;
    let arguments = ["template", RELEASE, "charts/slipway", "--namespace", "test"];
    fs::write(directory.path().join("rendered.yaml"), Helm::alone()?.run(&arguments, values).await?)?;
    let checkov = output(&mut Command::new(root().join("tests/chart/checkov/install.sh")))?;
    let mut checkov = Command::new(checkov.trim());
    checkov.args(["--framework", "kubernetes", "--skip-download", "--output", "json", "--directory"]);
    checkov.arg(directory.path()).env("LOG_LEVEL", "ERROR").env("HOME", directory.path());
    let said: Value = serde_json::from_str(&output(&mut checkov)?)?;
    ensure!(said["summary"]["passed"].as_u64() > Some(100), "{}", said["summary"]);
    let failed = said["results"]["failed_checks"].as_array().context("a list")?;
    let found = failed.iter().map(|check| {
        let text = |field: &str| check[field].as_str().unwrap_or_default().to_owned();
        // The Deployment's Pods are named by their labels.
        let resource = text("resource");
        let kind = if resource.contains("component-operator") { "Deployment" } else { &resource };
        (text("check_id"), kind.split('.').next().unwrap_or_default().to_owned())
    });
    Ok(found.collect())
}

#[tokio::test]
async fn checkov_finds_nothing_without_a_reason() -> Result<()> {
    let known: BTreeSet<_> =
        EXCEPTIONS.iter().map(|(check, kind, _)| ((*check).to_owned(), (*kind).to_owned())).collect();
    let by_default = found(&json!({})).await?;
    ensure!(by_default == known, "{:?}", by_default.symmetric_difference(&known).collect::<Vec<_>>());
    // What the values can mend.
    let mended = found(&json!({
        "networkPolicy": {"enabled": true},
        "image": {"digest": set("exact")["image"]["digest"], "pullPolicy": "Always"},
    }))
    .await?;
    for check in ["CKV_K8S_15", "CKV_K8S_43"] {
        ensure!(!mended.iter().any(|(found, _)| found == check), "{check}: {mended:?}");
    }
    ensure!(!mended.contains(&("CKV2_K8S_6".to_owned(), "Deployment".to_owned())), "{mended:?}");
    Ok(())
}
