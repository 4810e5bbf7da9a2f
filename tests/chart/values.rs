//! Values: sets that must render, values that must be refused with words that help, and no value without an effect.
//! Neighbours: `objects` shows the same sets to an API server.

use crate::helm::{Helm, RELEASE, of_kind, only, parse, root};
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Sets of values that users combine, by name.
pub fn sets() -> Vec<(&'static str, Value)> {
    let gateway = json!([{"name": "public", "namespace": "gateways", "sectionName": "https"}]);
    vec![
        ("defaults", json!({})),
        ("namespace", json!({"scope": "Namespace"})),
        ("tenant", json!({"scope": "Namespace", "crds": {"enabled": false}})),
        ("single", json!({"replicas": 1})),
        ("stopped", json!({"replicas": 0})),
        (
            "image",
            json!({"image": {"repository": "example.com/team/slipway", "tag": "1.2.3", "pullPolicy": "Always"},
            "imagePullSecrets": [{"name": "pull"}]}),
        ),
        ("digest", json!({"image": {"tag": format!("1.2.3@sha256:{}", "a".repeat(64))}})),
        (
            "credentials",
            json!({"e2b": {"apiKeySecretRef": {"name": "e2b", "key": "key"}},
            "webhook": {"secretRef": {"name": "hook", "key": "current"}}}),
        ),
        ("test secret", json!({"test": {"webhookSecretRef": {"name": "hook", "key": "current"}}})),
        (
            "elsewhere",
            json!({"github": {"apiURL": "https://github.example.com/api/v3", "writeInterval": "250ms"},
            "e2b": {"domain": "e2b.example.com", "apiURL": "http://e2b:3000", "sandboxURL": "http://e2b:3001"}}),
        ),
        ("installation", json!({"installation": "blue"})),
        (
            "ingress",
            json!({"webhook": {"publicURL": "https://hooks.example.com",
            "ingress": {"enabled": true, "className": "traefik", "annotations": {"a/b": "c"}, "tlsSecretName": "tls"}}}),
        ),
        (
            "plain ingress",
            json!({"webhook": {"publicURL": "http://hooks.example.com:8080", "ingress": {"enabled": true}}}),
        ),
        (
            "route",
            json!({"webhook": {"publicURL": "https://hooks.example.com",
            "httpRoute": {"enabled": true, "parentRefs": gateway}}}),
        ),
        (
            "sizes",
            json!({"files": {"maxFiles": 100, "maxFileSize": "1Mi", "maxTotalSize": "10Mi", "spoolSize": "20Mi"},
            "webhook": {"maxBodySize": "25Mi"}, "log": {"filter": "debug,kube=warn", "format": "text"},
            "resources": {"controller": {"requests": {"cpu": 1, "memory": "1Gi"}}, "webhook": {"limits": {"memory": "1Gi"}}}}),
        ),
        (
            "placed",
            json!({"nodeSelector": {"kubernetes.io/os": "linux"}, "priorityClassName": "system-cluster-critical",
            "tolerations": [{"key": "team", "operator": "Equal", "value": "a", "effect": "NoSchedule"}],
            "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}]}),
        ),
    ]
}

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
    let helm = Helm::alone()?;
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
        (json!({"files": {"spoolSize": "1GB"}}), "/files/spoolSize"),
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
        (json!({"extraEnv": [{"name": "A", "value": 1}]}), "/extraEnv/0/value"),
        (json!({"tolerations": [{"effect": "NoWay"}]}), "/tolerations/0/effect"),
        (json!({"webhook": {"ingress": {"enabled": true}}}), "webhook.publicURL must be set"),
        (
            json!({"webhook": {"publicURL": "https://a.example", "httpRoute": {"enabled": true}}}),
            "must name a Gateway",
        ),
    ];
    for (values, wanted) in refused {
        let error = match helm.template(RELEASE, "test", &values).await {
            Ok(_) => anyhow::bail!("{values} is taken"),
            Err(error) => error.to_string(),
        };
        ensure!(error.contains(wanted), "{values} is refused without {wanted}: {error}");
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
        for object in helm.template(&release, "test", &sets()[11].1).await? {
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
    let sets = sets();
    let set = |name: &str| sets.iter().find(|set| set.0 == name).map(|set| set.1.clone()).unwrap_or_default();
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
const NO_VALUE: [(&str, &str); 4] = [
    ("KUBECONFIG", "a Pod is in its cluster"),
    ("SLIPWAY_OPS_LISTEN", "probes know the port"),
    ("SLIPWAY_WEBHOOK_LISTEN", "the Service knows the port"),
    ("SLIPWAY_SPOOL_DIR", "where the volume is"),
];

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
