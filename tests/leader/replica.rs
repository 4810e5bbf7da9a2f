//! One replica of the controller, and how its calls are told from the other's at the stand-ins.
//! Used by every test here; builds on `world`.

use crate::{
    controlplane::{User, process::Process},
    world::{PATIENCE, World, free_port, within},
};
use anyhow::{Context as _, Result};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::Api;
use slipway_simulator::core::Call;
use std::{net::SocketAddr, path::Path, time::Duration};

/// A controller process with a name of its own.
pub struct Replica {
    pub process: Process,
    name: &'static str,
}

impl Replica {
    /// Starts it and waits until it is ready to act.
    pub async fn start(world: &World, name: &'static str) -> Result<Self> {
        Self::start_behind(world, name, None).await
    }

    /// The same, reaching the API server through `proxy`.
    pub async fn start_behind(world: &World, name: &'static str, proxy: Option<SocketAddr>) -> Result<Self> {
        let port = free_port()?;
        let arguments = vec!["controller".into(), "--ops-listen".into(), format!("127.0.0.1:{port}")];
        let mut environment = world.environment()?;
        let spool = world.dir().join(name).display().to_string();
        environment.extend([("POD_NAME".into(), name.into()), ("SLIPWAY_SPOOL_DIR".into(), spool)]);
        if name == "b" {
            environment.extend(as_localhost(world));
        }
        if let Some(proxy) = proxy {
            let kubeconfig = std::fs::read_to_string(world.plane.kubeconfig(&User::Admin)?)?;
            let path = world.dir().join(format!("{name}.kubeconfig"));
            std::fs::write(&path, kubeconfig.replace(&world.plane.url(), &format!("https://{proxy}")))?;
            environment.push(("KUBECONFIG".into(), path.display().to_string()));
        }
        let binary = Path::new(env!("CARGO_BIN_EXE_slipway"));
        let process = Process::start_in(name, binary, arguments, environment, world.dir())?;
        let replica = Self { process, name };
        let url = format!("http://127.0.0.1:{port}/readyz");
        let ready = within(PATIENCE, "readiness, also of a standby", || async {
            reqwest::get(&url).await.ok()?.error_for_status().ok()
        });
        ready.await.with_context(|| replica.process.log_tail())?;
        Ok(replica)
    }

    /// Waits until this replica holds the Lease.
    pub async fn leads(&self, world: &World) -> Result<()> {
        let what = format!("{} in the Lease", self.name);
        let leads =
            within(PATIENCE, &what, || async { (holder(world).await.ok()? == self.name).then_some(()) });
        leads.await.with_context(|| self.process.log_tail())
    }

    /// Whether it was this replica that made the call.
    pub fn made(&self, call: &Call) -> bool {
        let host = call.headers.get("host").map(String::as_str).unwrap_or_default();
        host.starts_with("localhost") == (self.name == "b")
    }
}

/// Replica `b` calls the stand-ins by another name, which their logs keep.
fn as_localhost(world: &World) -> Vec<(String, String)> {
    let simulator = &world.simulator;
    [
        ("GITHUB_API_URL", simulator.github_url()),
        ("E2B_API_URL", simulator.e2b_api_url()),
        ("E2B_SANDBOX_URL", simulator.e2b_sandbox_url()),
    ]
    .map(|(name, url)| (name.to_owned(), url.replace("127.0.0.1", "localhost")))
    .into()
}

async fn lease(world: &World) -> Result<LeaseSpec> {
    // In the operator's own namespace, which outside a cluster is the kubeconfig's.
    let leases: Api<Lease> = Api::default_namespaced(world.client.clone());
    let served = world.environment()?.into_iter().rfind(|(name, _)| name == "SLIPWAY_NAMESPACE");
    let name = match served {
        Some((_, namespace)) if !namespace.is_empty() => format!("slipway-controller-{namespace}"),
        _ => "slipway-controller".to_owned(),
    };
    let lease = leases.get(&name).await?;
    lease.spec.context("a Lease has a spec")
}

/// Who holds the Lease; empty: nobody.
pub async fn holder(world: &World) -> Result<String> {
    Ok(lease(world).await?.holder_identity.unwrap_or_default())
}

/// When its holder took the Lease, by the holder's word.
pub async fn taken(world: &World) -> Result<jiff::Timestamp> {
    Ok(lease(world).await?.acquire_time.context("a Lease that was taken")?.0)
}

/// Calls that change something at GitHub or E2B.
pub fn is_write(call: &Call) -> bool {
    matches!(call.api, "github" | "e2b") && call.method != "GET"
}

/// Real seconds since the epoch, as the stand-ins' log counts them.
pub fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// How long after `start` the first write by `replica` came.
pub async fn first_write(world: &World, replica: &Replica, start: jiff::Timestamp) -> Result<Duration> {
    let what = format!("a write by {}", replica.name);
    let call = within(PATIENCE, &what, || async {
        let calls = world.simulator.calls.matching(|call| is_write(call) && replica.made(call));
        calls.into_iter().find(|call| call.real_at >= start)
    });
    let call = call.await.with_context(|| replica.process.log_tail())?;
    Ok(Duration::try_from(call.real_at.duration_since(start))?)
}
