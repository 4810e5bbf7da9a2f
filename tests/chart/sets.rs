//! Sets of values that users combine: all must render, and an API server must take what they render.
//! Used by `values` and `objects`.

use serde_json::{Value, json};

/// The set of this name.
pub fn set(name: &str) -> Value {
    let found = sets().into_iter().find(|set| set.0 == name);
    found.unwrap_or_else(|| panic!("no set is called {name}")).1
}

/// All of them, by name.
pub fn sets() -> Vec<(&'static str, Value)> {
    [of_the_operator(), of_the_pods(), around_the_pods()].concat()
}

fn of_the_operator() -> Vec<(&'static str, Value)> {
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
            json!({"github": {"apiURL": "https://github.example.com/api/v3", "serverURL": "https://github.example.com",
                "writeInterval": "250ms", "contentPerMinute": 40, "contentPerHour": 0},
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
            json!({"files": {"maxFiles": 100, "maxFileSize": "1Mi", "maxTotalSize": "10Mi", "spoolSize": "20Mi",
                "maxCheckoutSize": "2Gi"},
            "webhook": {"maxBodySize": "25Mi"}, "log": {"filter": "debug,kube=warn", "format": "text"},
            "resources": {"controller": {"requests": {"cpu": 1, "memory": "1Gi"}}, "webhook": {"limits": {"memory": "1Gi"}}}}),
        ),
    ]
}

fn of_the_pods() -> Vec<(&'static str, Value)> {
    vec![
        (
            "placed",
            json!({"nodeSelector": {"kubernetes.io/os": "linux"}, "priorityClassName": "system-cluster-critical",
            "tolerations": [{"key": "team", "operator": "Equal", "value": "a", "effect": "NoSchedule"}],
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]}]}]}}},
            "topologySpreadConstraints": [
                {"maxSkew": 2, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"},
                {"maxSkew": 1, "topologyKey": "row", "whenUnsatisfiable": "ScheduleAnyway",
                    "labelSelector": {"matchLabels": {"a": "b"}}}]}),
        ),
        ("not spread", json!({"topologySpreadConstraints": []})),
        (
            "proxy",
            json!({"extraEnv": [{"name": "NO_PROXY", "value": ".svc"},
            {"name": "HTTPS_PROXY", "valueFrom": {"secretKeyRef": {"name": "proxy", "key": "url"}}},
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}]}),
        ),
        (
            "volumes",
            json!({"extraVolumes": [{"name": "more", "configMap": {"name": "more"}}],
            "extraVolumeMounts": [{"name": "more", "mountPath": "/etc/more", "readOnly": true}]}),
        ),
        ("authority", json!({"caBundle": {"configMapRef": {"name": "authority", "key": "root.pem"}}})),
        ("secret authority", json!({"caBundle": {"secretRef": {"name": "authority", "key": "root.pem"}}})),
        (
            "annotated",
            json!({"podAnnotations": {"prometheus.io/scrape": "true", "kubectl.kubernetes.io/default-container": "webhook"},
            "podLabels": {"team": "a"}}),
        ),
        (
            "ids",
            json!({"podSecurityContext": {"runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 1000,
                "runAsNonRoot": null, "seccompProfile": {"type": "Localhost", "localhostProfile": "a.json"}},
            "securityContext": {"runAsNonRoot": true, "readOnlyRootFilesystem": false,
                "capabilities": {"drop": ["ALL", "NET_RAW"]}}}),
        ),
        // The level restricted refuses its Pods.
        ("loose", json!({"securityContext": {"allowPrivilegeEscalation": null}})),
        ("exact", json!({"image": {"digest": format!("sha256:{}", "a".repeat(64))}})),
        ("exact tag", json!({"image": {"tag": "1.2.3", "digest": format!("sha256:{}", "a".repeat(64))}})),
    ]
}

fn around_the_pods() -> Vec<(&'static str, Value)> {
    vec![
        ("ipv4", json!({"listenAddress": "0.0.0.0"})),
        ("ipv6", json!({"listenAddress": "::"})),
        (
            "balanced",
            json!({"webhook": {"service": {"type": "LoadBalancer", "annotations": {"a/b": "c"},
            "ipFamilyPolicy": "PreferDualStack", "ipFamilies": ["IPv4"]}}}),
        ),
        (
            "guarded",
            json!({"networkPolicy": {"enabled": true,
            "webhookFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}}],
            "metricsFrom": [{"podSelector": {"matchLabels": {"app": "prometheus"}}}],
            "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": 443}]}]}}),
        ),
        (
            "watched",
            json!({"podMonitor": {"enabled": true, "labels": {"release": "prometheus"}, "interval": "1m"}}),
        ),
        (
            "more",
            json!({"extraObjects": [
                {"apiVersion": "v1", "kind": "ConfigMap",
                    "metadata": {"name": "{{ .Release.Name }}-as-object", "namespace": "{{ .Release.Namespace }}"}},
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: '{{ .Release.Name }}-as-text', namespace: '{{ .Release.Namespace }}'}\n"]}),
        ),
    ]
}
