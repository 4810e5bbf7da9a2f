//! The parts of the receiver, shared by everything that answers a request.
//! Below `delivery`, `health`, `warnings` and `routes`; `webhook` itself starts it.

use super::{body::Bounds, keyring::Keyring, projection::Projection, sample::Sample, turns::Turns};
use crate::{
    cluster::{Events, Secrets},
    telemetry::Metrics,
};
use kube::Client;
use secrecy::SecretString;
use std::sync::Arc;
use tokio::{runtime::Handle, sync::Mutex, time::Instant};

/// Field manager of everything the receiver writes.
pub const MANAGER: &str = "slipway-webhook";

/// Settings of the receiver, fixed at its start.
pub struct Settings {
    /// The namespace whose objects it serves; `None`: all.
    pub namespace: Option<String>,
    /// The secret of Repositories without `webhookSecretRef`; `None` or empty: they have none.
    pub webhook_secret: Option<SecretString>,
    /// Host of GitHub's web pages: the only one whose URLs of a delivery are stored.
    pub github_host: String,
    /// Largest body that is read, in bytes.
    pub max_body_bytes: usize,
}

/// The receiver. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Receiver(pub(super) Arc<Inner>);

/// The last finding about the webhook secrets, and its time.
#[derive(Default)]
pub(super) struct LastHealth(pub(super) Mutex<Option<(Instant, bool)>>);

/// Parts that all clones of a receiver share.
pub(super) struct Inner {
    pub(super) client: Client,
    /// Where the client and the watches live: a write that is made elsewhere wakes two threads at each step.
    pub(super) runtime: Handle,
    pub(super) namespace: Option<String>,
    /// How every URL of GitHub's web pages begins.
    pub(super) github_url: String,
    pub(super) bounds: Bounds,
    pub(super) events: Events,
    pub(super) keyring: Keyring,
    pub(super) projection: Projection,
    pub(super) turns: Arc<Turns>,
    pub(super) health: LastHealth,
    pub(super) unsigned: Sample,
    pub(super) metrics: Metrics,
}

impl Receiver {
    /// `events` publishes as [`MANAGER`]; `metrics` counts every delivery. Writes are made on the caller's runtime.
    pub fn new(client: Client, settings: Settings, events: Events, metrics: Metrics) -> Self {
        let keyring = Keyring::new(Secrets::new(client.clone()), settings.webhook_secret);
        Self(Arc::new(Inner {
            client,
            runtime: Handle::current(),
            namespace: settings.namespace,
            github_url: format!("https://{}/", settings.github_host),
            bounds: Bounds::new(settings.max_body_bytes),
            events,
            keyring,
            projection: Projection::default(),
            turns: Arc::default(),
            health: LastHealth::default(),
            unsigned: Sample::default(),
            metrics,
        }))
    }

    /// Returns whether Tasks and Repositories have been listed once: before that, deliveries are answered 503.
    pub fn is_synced(&self) -> bool {
        self.0.projection.is_synced()
    }

    /// The version of a Task that the receiver has seen; `None`: it knows no such Task. Tells how far its watch lags.
    pub fn task_version(&self, namespace: &str, name: &str) -> Option<String> {
        let key = (namespace.into(), name.into());
        self.0.projection.tasks.ask(|tasks| tasks.get(&key)?.version.clone()).flatten()
    }

    /// The same of a Repository.
    pub fn repository_version(&self, namespace: &str, name: &str) -> Option<String> {
        let known = &self.0.projection.repositories;
        known.ask(|known| known.get(namespace, name)?.version.clone()).flatten()
    }
}
