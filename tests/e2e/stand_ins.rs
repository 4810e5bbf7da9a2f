//! GitHub and E2B, as Pods of the cluster: where the operator finds them, and what a person does at them.
//! Their control side is reached through the API server's proxy, which every cluster has.

use crate::cluster::Cluster;
use anyhow::{Context as _, Result};
use serde_json::{Value, json};

const NAMESPACE: &str = "stand-ins";
/// Where Pods find GitHub's API, E2B's API and the sandboxes.
pub const GITHUB_URL: &str = "http://simulator.stand-ins.svc:9001";
pub const E2B_API_URL: &str = "http://simulator.stand-ins.svc:9002";
pub const E2B_SANDBOX_URL: &str = "http://simulator.stand-ins.svc:9003";

pub struct StandIns<'c> {
    cluster: &'c Cluster,
}

impl<'c> StandIns<'c> {
    pub async fn start(cluster: &'c Cluster) -> Result<Self> {
        cluster.output(&format!("kubectl create namespace {NAMESPACE}")).await?;
        cluster.run(&format!("kubectl apply --namespace {NAMESPACE} -f tests/e2e/simulator.yaml")).await?;
        cluster
            .output(&format!(
                "kubectl rollout status deployment/simulator --namespace {NAMESPACE} --timeout 90s"
            ))
            .await?;
        Ok(Self { cluster })
    }

    /// Points the repository's webhook at `url`.
    pub async fn hook(&self, repository: &str, url: &str, secret: &str) -> Result<()> {
        let hook = json!({"url": url, "secret": secret, "events": ["pull_request", "push"]});
        self.post(&format!("github/repos/{repository}/hooks"), &hook).await.map(drop)
    }

    pub async fn merge(&self, repository: &str, number: u64) -> Result<()> {
        self.post(&format!("github/repos/{repository}/pulls/{number}/merge"), &json!({})).await.map(drop)
    }

    /// A reviewer wants more.
    pub async fn ask_for_a_change(&self, repository: &str, number: u64, words: &str) -> Result<()> {
        let path = format!("/repos/{repository}/pulls/{number}/reviews");
        let body = json!({"event": "REQUEST_CHANGES", "body": words});
        let act = json!({"login": "reviewer", "method": "POST", "path": path, "body": body});
        self.post("github/act", &act).await.map(drop)
    }

    /// Number of commits of a pull request.
    pub async fn commits(&self, repository: &str, number: u64) -> Result<u64> {
        let act = json!({"login": "reviewer", "method": "GET", "path": format!("/repos/{repository}/pulls/{number}")});
        let pull = self.post("github/act", &act).await?;
        pull["commits"].as_u64().with_context(|| format!("pull request {number} is {pull}"))
    }

    /// Path and mode of every file of the branch `main`.
    pub async fn files(&self, repository: &str) -> Result<Vec<(String, String)>> {
        let path = format!("/repos/{repository}/git/trees/main?recursive=1");
        let act = json!({"login": "reviewer", "method": "GET", "path": path});
        let tree = self.post("github/act", &act).await?;
        let entries = tree["tree"].as_array().with_context(|| format!("{path} answered {tree}"))?;
        let text = |entry: &Value, field: &str| entry[field].as_str().unwrap_or_default().to_owned();
        let files = entries.iter().filter(|entry| entry["type"] == "blob");
        Ok(files.map(|entry| (text(entry, "path"), text(entry, "mode"))).collect())
    }

    /// E2B loses the sandbox with all its files.
    pub async fn lose(&self, sandbox: &str) -> Result<()> {
        self.post(&format!("e2b/sandboxes/{sandbox}/kill"), &json!({})).await.map(drop)
    }

    /// Counters and live objects of both.
    pub async fn state(&self) -> Result<Value> {
        self.ask(http::Request::get(proxied("state")).body(Vec::new())?).await
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.ask(http::Request::post(proxied(path)).body(serde_json::to_vec(body)?)?).await
    }

    async fn ask(&self, request: http::Request<Vec<u8>>) -> Result<Value> {
        let what = request.uri().path().to_owned();
        let answer = self.cluster.client.request_text(request).await.context(what)?;
        Ok(serde_json::from_str(&answer)?)
    }
}

/// A path of the control side, through the API server.
fn proxied(path: &str) -> String {
    format!("/api/v1/namespaces/{NAMESPACE}/services/simulator:control/proxy/{path}")
}
