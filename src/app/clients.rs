//! Every client of the process, each behind the call layer: Kubernetes, GitHub, E2B. None is built anywhere else.
//! Used by `app`; what it gives goes to controllers and receiver.

use crate::{
    cluster::{self, Elector, Events, Handover, Leadership, Secrets},
    config,
    controllers::shell::MANAGER,
    e2b::E2b,
    github::GitHub,
    telemetry::{self, Api, CallLayer, HttpService, Metrics, calls::Leading},
};
use anyhow::{Context, bail, ensure};
use k8s_openapi::api::core::v1::{Namespace, ObjectReference};
use kube::{
    Config,
    client::ClientBuilder,
    config::{KubeConfigOptions, Kubeconfig},
};
use secrecy::SecretString;
use std::{path::Path, sync::Arc, time::Duration};
use tokio::sync::watch as flag;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// From the first packet to an established connection, whichever API is called.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

/// The adapters of `slipway controller`.
pub(super) struct Clients {
    pub(super) kubernetes: kube::Client,
    pub(super) secrets: Secrets,
    pub(super) events: Events,
    pub(super) github: GitHub,
    pub(super) e2b: E2b,
    /// The operator-wide key, if there is one.
    pub(super) e2b_api_key: Option<SecretString>,
    /// Marks our sandboxes at E2B.
    pub(super) installation: String,
    pub(super) leadership: Leadership,
    /// What stands for this installation in events.
    pub(super) lease: ObjectReference,
    pub(super) election: Election,
}

/// The holder of the Lease, and what it waits for before it lets go.
pub(super) struct Election {
    elector: Elector,
    in_flight: TaskTracker,
}

impl Election {
    /// From when this process could act, until `stop`.
    pub(super) async fn run(
        self,
        mut synced: flag::Receiver<bool>,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        tokio::select! {
            synced = synced.wait_for(|synced| *synced) => drop(synced.context("the caches")?),
            () = stop.cancelled() => return Ok(()),
        }
        self.elector.run(stop, self.in_flight).await;
        Ok(())
    }
}

/// The lines of GitHub's accounts, which outlive a leader.
struct Lines(GitHub);

impl Handover for Lines {
    fn hand_over(&self, ended: bool) -> String {
        self.0.hand_over(ended)
    }

    fn take_over(&self, words: Option<&str>) {
        self.0.take_over(words);
    }
}

impl Clients {
    pub(super) async fn new(
        config: &config::Controller,
        kubernetes: kube::Client,
        metrics: &Metrics,
        stop: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let http = http_client(config.ca_bundle.as_deref())?;
        let serves = config.cluster.namespace.as_deref();
        let (elector, leadership) = Elector::new(kubernetes.clone(), serves, instance(), metrics.clone());
        let lease = elector.lease();
        let in_flight = TaskTracker::new();
        let leading = leave(leadership.clone(), in_flight.clone(), stop.clone());
        let behind = |api| service(&http, api, metrics, &leading);
        let github = GitHub::new(
            &config.github_api_url,
            &config.github_server_url,
            behind(Api::Github),
            config.github_line,
        );
        let elector = elector.handing_over(Arc::new(Lines(github.clone())));
        Ok(Self {
            secrets: Secrets::new(kubernetes.clone()),
            events: Events::new(kubernetes.clone(), MANAGER, &instance()),
            github,
            e2b: E2b::new(config.e2b_endpoints.clone(), behind(Api::E2b), behind(Api::Envd)),
            e2b_api_key: config.e2b_api_key.clone(),
            installation: installation(config, &kubernetes).await?,
            leadership,
            lease,
            election: Election { elector, in_flight },
            kubernetes,
        })
    }
}

/// Leave for external writes, asked for just before each: none while another replica leads, or once told to end.
fn leave(leadership: Leadership, in_flight: TaskTracker, stop: CancellationToken) -> Leading {
    Arc::new(move || (leadership.leads() && !stop.is_cancelled()).then(|| in_flight.token()))
}

fn service(http: &reqwest::Client, api: Api, metrics: &Metrics, leading: &Leading) -> HttpService {
    let layer = CallLayer::new(api, metrics.clone()).leading(leading.clone());
    telemetry::http_service(http.clone(), &layer)
}

/// One pool for GitHub and E2B. Redirects are the adapters' to follow, so that no credential travels to another host.
/// `ca_bundle` is trusted beside the system's authorities.
pub(super) fn http_client(ca_bundle: Option<&Path>) -> anyhow::Result<reqwest::Client> {
    reqwest::Client::builder()
        .tls_certs_merge(ca_bundle.map(certificates).transpose()?.unwrap_or_default())
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .connect_timeout(CONNECT_DEADLINE)
        // Shorter than servers keep an idle connection: one that they close while we write on it is a failed call.
        .pool_idle_timeout(Duration::from_secs(15))
        .build()
        .context("building the HTTP client")
}

/// The certificates of a PEM file.
fn certificates(path: &Path) -> anyhow::Result<Vec<reqwest::Certificate>> {
    let name = || format!("SLIPWAY_CA_BUNDLE: {}", path.display());
    let pem = std::fs::read(path).with_context(name)?;
    let certificates = reqwest::Certificate::from_pem_bundle(&pem).with_context(name)?;
    ensure!(!certificates.is_empty(), "{}: there is no certificate (PEM) in it", name());
    Ok(certificates)
}

/// The Kubernetes client. Retries are the controllers' business: kube's own would repeat writes too.
pub(super) async fn kubernetes(cluster: &config::Cluster, metrics: &Metrics) -> anyhow::Result<kube::Client> {
    let mut config = match &cluster.kubeconfig {
        Some(path) => from_file(path).await.with_context(|| format!("KUBECONFIG {}", path.display()))?,
        None => Config::incluster()
            .context("KUBECONFIG is not set and this is no Pod: set KUBECONFIG or run in a cluster")?,
    };
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT_DEADLINE);
    let layer = CallLayer::new(Api::Kubernetes, metrics.clone());
    Ok(ClientBuilder::try_from(config).context("building the Kubernetes client")?.with_layer(&layer).build())
}

/// `KUBECONFIG` may name several files, like for kubectl; the first that sets a value wins.
async fn from_file(paths: &Path) -> anyhow::Result<Config> {
    let mut merged = Kubeconfig::default();
    for path in std::env::split_paths(paths) {
        merged = merged.merge(Kubeconfig::read_from(&path)?)?;
    }
    Ok(Config::from_custom_kubeconfig(merged, &KubeConfigOptions::default()).await?)
}

/// As set, else the UID of the namespace that this runs in.
async fn installation(config: &config::Controller, kubernetes: &kube::Client) -> anyhow::Result<String> {
    if let Some(installation) = &config.installation {
        return Ok(installation.clone());
    }
    if config.cluster.kubeconfig.is_some() {
        bail!(
            "SLIPWAY_INSTALLATION (or --installation) is not set: outside a cluster it must name this installation, \
             by 1 to 63 letters, digits, -, _ or . that no other installation at the same E2B team uses"
        );
    }
    namespace_uid(kubernetes).await
}

/// The UID of the namespace that this runs in. It is asked for until there is an answer: Pods start before Services work
/// and before their rights are known everywhere.
async fn namespace_uid(kubernetes: &kube::Client) -> anyhow::Result<String> {
    let name = kubernetes.default_namespace().to_owned();
    let namespaces: kube::Api<Namespace> = kube::Api::all(kubernetes.clone());
    let mut waits = cluster::Waits::default();
    loop {
        match namespaces.get(&name).await.map_err(cluster::Error::from) {
            Ok(namespace) => {
                return namespace.metadata.uid.with_context(|| format!("namespace {name} has no UID"));
            }
            Err(error) => tracing::warn!(
                namespace = name,
                %error,
                "the UID of this namespace, which marks our sandboxes unless SLIPWAY_INSTALLATION is set, can't be read; \
                 trying again"
            ),
        }
        tokio::time::sleep(waits.after_failure()).await;
    }
}

/// This process, as events and the Lease name it: the Pod, where `POD_NAME` says which. Elsewhere no two processes are
/// the same: one that is started again waits until the Lease of the last one has run out.
pub(super) fn instance() -> String {
    std::env::var("POD_NAME").ok().filter(|name| !name.is_empty()).unwrap_or_else(|| {
        let host = std::env::var("HOSTNAME").unwrap_or_else(|_| MANAGER.into());
        format!("{host}_{}", std::process::id())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Request, Response, StatusCode};
    use http_body_util::Full;
    use kube::client::Body;
    use serde_json::json;
    use std::sync::{Mutex, PoisonError};

    /// A client whose calls get these answers, one after the other; `None`: the connection is refused.
    fn client(answers: Vec<Option<(StatusCode, serde_json::Value)>>) -> kube::Client {
        let answers = Arc::new(Mutex::new(answers.into_iter()));
        let service = tower::service_fn(move |_: Request<Body>| {
            let answer =
                answers.lock().unwrap_or_else(PoisonError::into_inner).next().expect("a further call");
            async move {
                let (status, body) = answer.ok_or("connection refused")?;
                let mut response = Response::new(Full::new(bytes::Bytes::from(body.to_string())));
                *response.status_mut() = status;
                Ok::<_, tower::BoxError>(response)
            }
        });
        kube::Client::new(service, "slipway-system")
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_request_is_tried_again_like_every_other() {
        let failure = |code: StatusCode, reason: &str| {
            let body = json!({"kind": "Status", "status": "Failure", "reason": reason, "code": code.as_u16(), "message": "m"});
            Some((code, body))
        };
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "slipway-system", "uid": "u"}});
        let kubernetes = client(vec![
            None,
            failure(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable"),
            failure(StatusCode::FORBIDDEN, "Forbidden"),
            Some((StatusCode::OK, namespace)),
        ]);
        let started = tokio::time::Instant::now();
        assert_eq!(namespace_uid(&kubernetes).await.expect("the UID"), "u");
        let waited = started.elapsed();
        assert!(Duration::from_millis(1750) <= waited && waited <= Duration::from_secs(4), "{waited:?}");
    }
}
