//! Values: sets that must render, values that must be refused with words that help, and no value without an effect.
//! Neighbours: `objects` shows the same sets to an API server.

use crate::{
    helm::{Helm, RELEASE, of_kind, only, parse, root},
    sets::{set, sets},
};
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[tokio::test]
async fn helm_3_renders_the_same() -> Result<()> {
    let (helm, before) = (Helm::alone()?, Helm::version_3()?);
    ensure!(helm.run(&["version", "--short"], &json!({})).await?.starts_with("v4."));
    ensure!(before.run(&["version", "--short"], &json!({})).await?.starts_with("v3."));
    // The oldest Kubernetes that the chart takes; a helm 3 that is built from its module believes in 1.20.
    let arguments =
        ["template", RELEASE, "charts/slipway", "--namespace", "test", "--kube-version", "1.33.0"];
    for (name, values) in sets() {
        let objects = parse(&helm.run(&arguments, &values).await?)?;
        let same = objects == parse(&before.run(&arguments, &values).await?)?;
        ensure!(!objects.is_empty() && same, "{name}: helm 3 renders something else");
    }
    Ok(())
}

#[tokio::test]
async fn wrong_values_are_refused_with_their_place() -> Result<()> {
    let refused = [
        (json!({"replica": 2}), "'replica'"),
        (json!({"image": {"name": "x"}}), "'name'"),
        (json!({"webhook": {"secret": "plain text"}}), "'secret'"),
        (json!({"webhook": {"ingress": {"host": "x"}}}), "'host'"),
        (json!({"e2b": {"apiKey": "e2b_plain"}}), "'apiKey'"),
        (json!({"e2b": {"apiKeySecretRef": {"namespace": "other"}}}), "'namespace'"),
        (json!({"replicas": "2"}), "/replicas"),
        (json!({"replicas": -1}), "/replicas"),
        (json!({"scope": "cluster"}), "/scope"),
        (json!({"crds": {"enabled": "yes"}}), "/crds/enabled"),
        (json!({"github": {"apiURL": "api.github.com"}}), "/github/apiURL"),
        (json!({"github": {"writeInterval": "1"}}), "/github/writeInterval"),
        (json!({"github": {"contentPerMinute": -1}}), "/github/contentPerMinute"),
        (json!({"github": {"contentPerHour": "many"}}), "/github/contentPerHour"),
        (json!({"github": {"serverURL": "github.com"}}), "/github/serverURL"),
        (json!({"files": {"spoolSize": "1GB"}}), "/files/spoolSize"),
        (json!({"files": {"maxCheckoutSize": "1GB"}}), "/files/maxCheckoutSize"),
        (json!({"files": {"maxFiles": 0}}), "/files/maxFiles"),
        (json!({"log": {"format": "xml"}}), "/log/format"),
        (json!({"installation": "a b"}), "/installation"),
        (
            json!({"webhook": {"publicURL": "https://hooks.example.com/api/webhooks/github"}}),
            "/webhook/publicURL",
        ),
        (json!({"webhook": {"secretRef": {"name": "Upper"}}}), "/webhook/secretRef/name"),
        (json!({"resources": {"controller": {"limit": {}}}}), "'limit'"),
        (
            json!({"resources": {"webhook": {"limits": {"memory": "much"}}}}),
            "/resources/webhook/limits/memory",
        ),
        (json!({"extraEnv": [{"name": "A", "value": 1}]}), "/extraEnv/0"),
        (json!({"extraEnv": [{"name": "A"}]}), "/extraEnv/0"),
        (json!({"extraEnv": [{"name": "A", "value": "b", "valueFrom": {}}]}), "/extraEnv/0"),
        (json!({"extraEnv": [{"name": "A", "valueFrom": {"secretRef": {}}}]}), "secretRef"),
        (json!({"image": {"digest": "sha256:abc"}}), "/image/digest"),
        (json!({"listenAddress": "[::]"}), "/listenAddress"),
        (json!({"listenAddress": "0.0.0.0:80"}), "/listenAddress"),
        (json!({"webhook": {"service": {"type": "ExternalName"}}}), "/webhook/service/type"),
        (json!({"webhook": {"service": {"ipFamilies": ["IPv5"]}}}), "/webhook/service/ipFamilies/0"),
        (json!({"podSecurityContext": {"runAsUser": "65532"}}), "/podSecurityContext/runAsUser"),
        (json!({"securityContext": {"privileged": true}}), "'privileged'"),
        (json!({"podLabels": {"app.kubernetes.io/name": "x"}}), "must not set app.kubernetes.io/name"),
        (json!({"extraVolumes": [{"emptyDir": {}}]}), "/extraVolumes/0"),
        (json!({"extraVolumes": [{"name": "spool", "emptyDir": {}}]}), "/extraVolumes/0/name"),
        (json!({"affinity": {"podAffinities": {}}}), "'podAffinities'"),
        (json!({"topologySpreadConstraints": [{"maxSkew": 1}]}), "/topologySpreadConstraints/0"),
        (json!({"networkPolicy": {"webhookFrom": [{"pods": {}}]}}), "'pods'"),
        (json!({"podMonitor": {"interval": "30"}}), "/podMonitor/interval"),
        (json!({"extraObjects": [{"kind": "ConfigMap"}]}), "/extraObjects/0"),
        (json!({"podMonitor": null}), "--reset-then-reuse-values"),
        (
            json!({"caBundle": {"configMapRef": {"name": "a"}, "secretRef": {"name": "b"}}}),
            "caBundle must name a ConfigMap or a Secret, not both",
        ),
        (json!({"tolerations": [{"effect": "NoWay"}]}), "/tolerations/0/effect"),
        (json!({"webhook": {"ingress": {"enabled": true}}}), "webhook.publicURL must be set"),
        (
            json!({"webhook": {"publicURL": "https://a.example", "httpRoute": {"enabled": true}}}),
            "must name a Gateway",
        ),
    ];
    are_refused(&refused).await
}

#[tokio::test]
async fn values_with_which_the_operator_would_not_start_are_refused() -> Result<()> {
    are_refused(&[
        (json!({"files": {"maxTotalSize": "2Gi"}}), "must be at most files.spoolSize, 1Gi"),
        (json!({"files": {"maxTotalSize": "11Gi", "spoolSize": "20Gi"}}), "must be at most 10Gi"),
        (json!({"files": {"spoolSize": "128Mi"}}), "files.maxTotalSize (256Mi) must be at most"),
        (json!({"files": {"spoolSize": "1025Gi"}}), "files.spoolSize (1025Gi) must be at most 1024Gi"),
        (json!({"files": {"spoolSize": "99999999999Gi"}}), "/files/spoolSize"),
        (json!({"files": {"maxFileSize": "102401Ki"}}), "must be at most 100Mi"),
        (json!({"files": {"maxCheckoutSize": "101Gi"}}), "must be at most 100Gi"),
        (json!({"webhook": {"maxBodySize": "26Mi"}}), "must be at most 25Mi"),
        (json!({"github": {"writeInterval": "61s"}}), "/github/writeInterval"),
        (json!({"github": {"writeInterval": "60001ms"}}), "/github/writeInterval"),
    ])
    .await
}

/// Each of the values is refused, in these words.
async fn are_refused(refused: &[(Value, &str)]) -> Result<()> {
    let helm = Helm::alone()?;
    for (values, wanted) in refused {
        let error = match helm.template(RELEASE, "test", values).await {
            Ok(_) => anyhow::bail!("{values} is taken"),
            Err(error) => error.to_string(),
        };
        ensure!(error.contains(wanted), "{values} is refused without {wanted}: {error}");
    }
    Ok(())
}

/// helm takes release names with dots; what is named after them has to be a Service too.
#[tokio::test]
async fn a_release_with_a_dot_in_its_name_has_names_that_kubernetes_takes() -> Result<()> {
    for (release, name) in [("team.slipway", "team-slipway"), ("team.blue", "team-blue-slipway")] {
        let objects = Helm::alone()?.template(release, "test", &json!({})).await?;
        let service = only(&objects, "Service")?;
        ensure!(service["metadata"]["name"] == name, "{release}: {}", service["metadata"]["name"]);
        ensure!(service["metadata"]["labels"]["app.kubernetes.io/instance"] == release);
    }
    Ok(())
}

/// Every value of values.yaml with another one that must change what is rendered.
#[tokio::test]
async fn no_value_is_without_effect_and_the_schema_knows_each() -> Result<()> {
    let helm = Helm::alone()?;
    let text = |file: &str| std::fs::read_to_string(root().join("charts/slipway").join(file));
    let defaults: Value = serde_saphyr::from_str(&text("values.yaml")?)?;
    let schema: Value = serde_json::from_str(&text("values.schema.json")?)?;
    let mut leaves = Vec::new();
    collect(&defaults, String::new(), &mut leaves);
    ensure!(leaves.len() > 30, "{leaves:?}");
    let sets = sets();
    let plain = helm.template(RELEASE, "test", &json!({})).await?;
    for leaf in &leaves {
        let node = leaf.split('/').skip(1).fold(&schema, |node, key| property(&schema, node, key));
        ensure!(!node.is_null(), "{leaf} is not in values.schema.json");
        let with =
            sets.iter().find(|(_, set)| set.pointer(leaf).is_some_and(|v| Some(v) != defaults.pointer(leaf)));
        let Some((name, set)) = with else { anyhow::bail!("no set of values has {leaf}") };
        let mut without = set.clone();
        if let Some(value) = without.pointer_mut(leaf) {
            *value = defaults.pointer(leaf).cloned().unwrap_or_default();
        }
        let rendered = helm.template(RELEASE, "test", set).await?;
        let other = helm.template(RELEASE, "test", &without).await;
        ensure!(
            other.is_err() || other.is_ok_and(|o| o != rendered),
            "{leaf} of the set {name} changes nothing"
        );
        ensure!(rendered != plain, "{name} is as the defaults");
    }
    Ok(())
}

/// JSON pointers of what has no fields of its own.
fn collect(value: &Value, path: String, all: &mut Vec<String>) {
    match value.as_object().filter(|fields| !fields.is_empty()) {
        // A map of quantities is one value.
        Some(fields) if !path.starts_with("/resources/") => {
            for (key, field) in fields {
                collect(field, format!("{path}/{key}"), all);
            }
        }
        _ => all.push(path),
    }
}

fn property<'s>(schema: &'s Value, node: &'s Value, key: &str) -> &'s Value {
    let found = &node["properties"][key];
    match found["$ref"].as_str() {
        Some(reference) => schema.pointer(reference.trim_start_matches('#')).unwrap_or(&Value::Null),
        None => found,
    }
}

/// Names of the variables of one of the Deployment's containers.
fn variables(objects: &[Value], container: usize) -> Result<BTreeSet<String>> {
    let all = &only(objects, "Deployment")?["spec"]["template"]["spec"]["containers"][container]["env"];
    let names = all.as_array().into_iter().flatten().filter_map(|variable| variable["name"].as_str());
    Ok(names.map(str::to_owned).collect())
}

#[tokio::test]
async fn every_set_renders_what_it_asks_for() -> Result<()> {
    let helm = Helm::alone()?;
    for (name, values) in sets() {
        let objects = helm.template(RELEASE, "test", &values).await?;
        let count = |kind| of_kind(&objects, kind).len();
        let (tenant, namespaced) = (name == "tenant", values["scope"] == "Namespace");
        ensure!(count("CustomResourceDefinition") == if tenant { 0 } else { 3 }, "{name}");
        // Those that view and edit aggregate, and the operator's own.
        let own = usize::from(!namespaced);
        ensure!(count("ClusterRole") == own + if tenant { 0 } else { 2 }, "{name}");
        ensure!(count("ClusterRoleBinding") == own && count("Role") == 2 - own, "{name}");
        ensure!(count("Ingress") == usize::from(name.ends_with("ingress")), "{name}");
        ensure!(count("HTTPRoute") == usize::from(name == "route"), "{name}");
        ensure!(count("NetworkPolicy") == usize::from(name == "guarded"), "{name}");
        ensure!(count("PodMonitor") == usize::from(name == "watched"), "{name}");
        for object in &objects {
            let cluster_wide = object["metadata"]["namespace"].is_null();
            let kind = object["kind"].as_str().unwrap_or_default();
            ensure!(
                cluster_wide == (kind.starts_with("Cluster") || kind.starts_with("Custom")),
                "{name}: {object}"
            );
        }
        // Each container has only the credential that it needs.
        let (controller, webhook) = (variables(&objects, 0)?, variables(&objects, 1)?);
        ensure!(!controller.contains("GITHUB_WEBHOOK_SECRET") && !webhook.contains("E2B_API_KEY"), "{name}");
        ensure!(controller.contains("SLIPWAY_NAMESPACE") == namespaced, "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn names_fit_for_the_longest_release() -> Result<()> {
    let helm = Helm::alone()?;
    for release in ["a".repeat(53), format!("slipway-{}", "b".repeat(45)), "x".to_owned()] {
        for object in helm.template(&release, "test", &set("ingress")).await? {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            ensure!(
                name.len() <= 63 && !name.ends_with('-') && name.contains(|c: char| c.is_ascii_lowercase()),
                "{name}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_route_leads_to_the_service() -> Result<()> {
    let helm = Helm::alone()?;
    let route = |objects: &[Value], kind: &str| only(objects, kind).cloned();
    let objects = helm.template(RELEASE, "test", &set("route")).await?;
    let http_route = route(&objects, "HTTPRoute")?;
    let service = route(&objects, "Service")?;
    let backend = &http_route["spec"]["rules"][0]["backendRefs"][0];
    ensure!(
        http_route["apiVersion"] == "gateway.networking.k8s.io/v1"
            && http_route["spec"]["hostnames"] == json!(["hooks.example.com"])
    );
    ensure!(http_route["spec"]["parentRefs"] == set("route")["webhook"]["httpRoute"]["parentRefs"]);
    ensure!(
        http_route["spec"]["rules"][0]["matches"]
            == json!([{"path": {"type": "PathPrefix", "value": "/api/webhooks/github"}}])
    );
    ensure!(
        backend["name"] == service["metadata"]["name"]
            && backend["port"] == service["spec"]["ports"][0]["port"]
    );
    let objects = helm.template(RELEASE, "test", &set("plain ingress")).await?;
    ensure!(route(&objects, "Ingress")?["spec"]["rules"][0]["host"] == "hooks.example.com");
    Ok(())
}

/// Settings that are not values, and why.
const NO_VALUE: [(&str, &str); 2] =
    [("KUBECONFIG", "a Pod is in its cluster"), ("SLIPWAY_SPOOL_DIR", "where the volume is")];

/// The variables that a command of the operator reads, by its own words.
fn settings(command: &str) -> Result<BTreeSet<String>> {
    let output =
        std::process::Command::new(env!("CARGO_BIN_EXE_slipway")).args([command, "--help"]).output()?;
    let help = String::from_utf8(output.stdout)?;
    let names = help.split("[env: ").skip(1).filter_map(|rest| rest.split(['=', ']']).next());
    Ok(names.map(str::to_owned).collect())
}

#[tokio::test]
async fn every_setting_of_the_operator_is_a_value() -> Result<()> {
    let helm = Helm::alone()?;
    for (container, command) in ["controller", "webhook"].into_iter().enumerate() {
        let mut known: BTreeSet<String> = NO_VALUE.iter().map(|(name, _)| (*name).to_owned()).collect();
        for (_, values) in sets() {
            let objects = helm.template(RELEASE, "test", &values).await?;
            known.extend(variables(&objects, container)?);
        }
        let settings = settings(command)?;
        ensure!(settings.len() > 5, "{settings:?}");
        let missing: Vec<_> = settings.difference(&known).collect();
        ensure!(missing.is_empty(), "{command} reads {missing:?}, and no value sets them");
    }
    Ok(())
}

#[tokio::test]
async fn the_pods_are_as_the_values_say() -> Result<()> {
    let helm = Helm::alone()?;
    let pods = async |name: &str| -> Result<Value> {
        let objects = helm.template(RELEASE, "test", &set(name)).await?;
        Ok(only(&objects, "Deployment")?["spec"]["template"].clone())
    };
    let digest = format!("@sha256:{}", "a".repeat(64));
    for (name, image) in [("exact", "slipway"), ("exact tag", "slipway:1.2.3")] {
        let image = format!("{image}{digest}");
        ensure!(pods(name).await?["spec"]["containers"][1]["image"] == image.as_str(), "{name}");
    }
    let addresses = [("ipv4", ["0.0.0.0:8080", "0.0.0.0:3000"]), ("ipv6", ["[::]:8080", "[::]:3000"])];
    for (name, [ops, webhook]) in addresses {
        let pods = pods(name).await?;
        let of = |at: usize, variable: &str| {
            let all = pods["spec"]["containers"][at]["env"].as_array().into_iter().flatten();
            all.filter(|one| one["name"] == variable).find_map(|one| one["value"].as_str())
        };
        ensure!(of(0, "SLIPWAY_OPS_LISTEN") == Some(ops), "{pods:#}");
        ensure!(of(1, "SLIPWAY_WEBHOOK_LISTEN") == Some(webhook), "{pods:#}");
    }
    let spread = &pods("placed").await?["spec"]["topologySpreadConstraints"];
    ensure!(
        spread[0]["labelSelector"]["matchLabels"]["app.kubernetes.io/component"] == "operator",
        "{spread}"
    );
    ensure!(
        spread[1]["labelSelector"] == json!({"matchLabels": {"a": "b"}})
            && spread[1]["matchLabelKeys"].is_null()
    );
    ensure!(pods("not spread").await?["spec"]["topologySpreadConstraints"].is_null());
    let annotated = &pods("annotated").await?["metadata"];
    ensure!(annotated["annotations"]["kubectl.kubernetes.io/default-container"] == "webhook", "{annotated}");
    ensure!(annotated["labels"]["team"] == "a" && annotated["labels"]["app.kubernetes.io/name"] == "slipway");
    Ok(())
}

/// `OpenShift` gives ids by namespace and refuses others, so there the chart names none, unless somebody has chosen one.
#[tokio::test]
async fn no_ids_are_asked_for_where_the_cluster_gives_them() -> Result<()> {
    let helm = Helm::alone()?;
    let ids = async |more: &[&str], values: Value| -> Result<Vec<Value>> {
        let arguments = [&["template", RELEASE, "charts/slipway", "--namespace", "test"], more].concat();
        let objects = parse(&helm.run(&arguments, &values).await?)?;
        let specs =
            [&only(&objects, "Deployment")?["spec"]["template"]["spec"], &only(&objects, "Pod")?["spec"]];
        ensure!(specs[0]["securityContext"] == specs[1]["securityContext"]);
        ensure!(specs[0]["securityContext"]["runAsNonRoot"] == true);
        Ok(["runAsUser", "runAsGroup"].map(|id| specs[0]["securityContext"][id].clone()).to_vec())
    };
    let openshift = ["--api-versions", "security.openshift.io/v1"];
    let none = [Value::Null, Value::Null];
    ensure!(ids(&[], json!({})).await? == [json!(65532), json!(65532)]);
    ensure!(ids(&openshift, json!({})).await? == none);
    ensure!(
        ids(&openshift, json!({"podSecurityContext": {"runAsUser": 1000}})).await?
            == [json!(1000), Value::Null]
    );
    let left_out = json!({"podSecurityContext": {"runAsUser": null, "runAsGroup": null}});
    ensure!(ids(&[], left_out).await? == none);
    Ok(())
}

#[tokio::test]
async fn further_objects_are_filled_in() -> Result<()> {
    let objects = Helm::alone()?.template(RELEASE, "test", &set("more")).await?;
    let found = of_kind(&objects, "ConfigMap");
    let names: Vec<_> = found.iter().filter_map(|object| object["metadata"]["name"].as_str()).collect();
    ensure!(names == ["slipway-as-object", "slipway-as-text"], "{names:?}");
    Ok(())
}
