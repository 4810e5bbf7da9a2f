//! Every rendered object, shown to a real API server: it must take it as it is, and admit the Pods under the strictest
//! Pod Security level. Neighbours: `values` has the sets.

use crate::{
    controlplane::{self, ControlPlane},
    helm::{Helm, RELEASE, of_kind, only},
    sets::sets,
    world::{PATIENCE, within},
};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use std::process::Stdio;
use tokio::io::AsyncWriteExt as _;

/// Applies without effect and with every check; what kubectl says.
async fn dry_run(server: &ControlPlane, namespace: &str, object: &Value) -> Result<String> {
    let arguments = [
        "apply",
        "--server-side",
        "--force-conflicts",
        "--dry-run=server",
        "--validate=strict",
        "--filename=-",
    ];
    let mut command = server.kubectl()?;
    command.args(arguments).args(["--namespace", namespace]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    child.stdin.take().context("stdin")?.write_all(object.to_string().as_bytes()).await?;
    let output = child.wait_with_output().await?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    ensure!(output.status.success(), "{said}\n{object:#}");
    Ok(said)
}

fn list(objects: &[Value]) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "items": objects})
}

/// A namespace that admits only Pods of the level `restricted`, with the ServiceAccounts that the chart's Pods have.
async fn restricted(server: &ControlPlane) -> Result<String> {
    let namespace = server.namespace("restricted").await?;
    let level = "pod-security.kubernetes.io/enforce=restricted";
    server.kubectl_output(&["label", "namespace", &namespace, level]).await?;
    server.kubectl_output(&["create", "serviceaccount", RELEASE, "--namespace", &namespace]).await?;
    within(PATIENCE, "the ServiceAccount default", || async {
        server.kubectl_output(&["get", "serviceaccount", "default", "--namespace", &namespace]).await.ok()
    })
    .await?;
    Ok(namespace)
}

/// The Pod that the Deployment makes.
fn pod(deployment: &Value) -> Value {
    let template = &deployment["spec"]["template"];
    let metadata = json!({"name": "dry-run", "labels": template["metadata"]["labels"]});
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]})
}

#[tokio::test]
async fn the_api_server_takes_every_object() -> Result<()> {
    let server = controlplane::shared().await;
    let namespace = restricted(server).await?;
    let helm = Helm::alone()?;
    for (name, values) in sets() {
        let mut objects = helm.template(RELEASE, &namespace, &values).await?;
        objects.push(pod(only(&objects, "Deployment")?));
        ensure!(of_kind(&objects, "Pod").len() == 2, "{name}: the Deployment's and the test's");
        // An API server alone has no such kinds: `values` looks at them.
        objects.retain(|object| !["HTTPRoute", "PodMonitor"].iter().any(|kind| object["kind"] == *kind));
        if name == "loose" {
            let (pods, others): (Vec<_>, Vec<_>) =
                objects.into_iter().partition(|object| object["kind"] == "Pod");
            let refused =
                dry_run(server, &namespace, &list(&pods)).await.err().context("they are admitted")?;
            ensure!(refused.to_string().contains("violates PodSecurity"), "{refused}");
            // The Deployment is taken, with a warning.
            dry_run(server, &namespace, &list(&others)).await?;
            continue;
        }
        let said = dry_run(server, &namespace, &list(&objects)).await.with_context(|| name)?;
        ensure!(!said.contains("Warning"), "{name}: {said}");
    }
    Ok(())
}

/// The check above can fail.
#[tokio::test]
async fn a_pod_with_more_rights_is_refused_there() -> Result<()> {
    let server = controlplane::shared().await;
    let namespace = restricted(server).await?;
    let objects = Helm::alone()?.template(RELEASE, &namespace, &json!({})).await?;
    let good = pod(only(&objects, "Deployment")?);
    dry_run(server, &namespace, &good).await?;
    for (pointer, value) in [
        ("/spec/securityContext/runAsNonRoot", json!(false)),
        ("/spec/securityContext/seccompProfile/type", json!("Unconfined")),
        ("/spec/containers/1/securityContext/allowPrivilegeEscalation", json!(true)),
        ("/spec/containers/0/securityContext/capabilities/drop", json!([])),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).with_context(|| format!("the Pod has no {pointer}"))? = value;
        let error = dry_run(server, &namespace, &bad).await.err().context(pointer)?.to_string();
        ensure!(error.contains("violates PodSecurity"), "{pointer}: {error}");
    }
    let unknown =
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"port": 1}});
    ensure!(dry_run(server, &namespace, &unknown).await.is_err(), "an unknown field is taken");
    Ok(())
}

/// What the restricted level does not ask for.
#[tokio::test]
async fn containers_write_nowhere_but_into_the_spool() -> Result<()> {
    let objects = Helm::alone()?.template(RELEASE, "test", &json!({})).await?;
    let specs = [&only(&objects, "Deployment")?["spec"]["template"]["spec"], &only(&objects, "Pod")?["spec"]];
    for spec in specs {
        for container in spec["containers"].as_array().context("containers")? {
            ensure!(container["securityContext"]["readOnlyRootFilesystem"] == true, "{container:#}");
            for asked in ["/resources/requests/cpu", "/resources/requests/memory", "/resources/limits/memory"]
            {
                ensure!(container.pointer(asked).is_some(), "{asked}: {container:#}");
            }
        }
    }
    let volumes = &specs[0]["volumes"];
    ensure!(*volumes == json!([{"name": "spool", "emptyDir": {}}]), "{volumes}");
    ensure!(
        specs[0]["containers"][0]["volumeMounts"] == json!([{"name": "spool", "mountPath": "/tmp/slipway"}])
    );
    Ok(())
}
