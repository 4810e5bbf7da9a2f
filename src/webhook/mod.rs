//! The webhook receiver: GitHub's deliveries in, the board of the Tasks they are about moved by one patch each.
//! `routes` → `admission` → `keyring` (who signed) → `delivery` (whose Task, transition, patch); `projection` is what it knows.

mod admission;
mod answer;
mod bucket;
mod complaints;
mod delivery;
mod health;
mod keyring;
mod payload;
mod projection;
mod repositories;
mod routes;
mod server;
mod tasks;

use crate::{
    cluster::{Events, Secrets},
    telemetry::Metrics,
};
use keyring::Keyring;
use kube::Client;
use projection::Projection;
use secrecy::SecretString;
use std::{io, sync::Arc};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Field manager of everything the receiver writes.
pub const MANAGER: &str = "slipway-webhook";

/// What the receiver is told at its start.
pub struct Settings {
    /// The namespace whose objects it serves; `None`: all.
    pub namespace: Option<String>,
    /// The secret of Repositories without `webhookSecretRef`; `None` or empty: they have none.
    pub webhook_secret: Option<SecretString>,
    /// Largest body that is read, in bytes.
    pub max_body_bytes: usize,
}

/// The receiver. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Receiver(Arc<Inner>);

struct Inner {
    client: Client,
    namespace: Option<String>,
    bounds: admission::Bounds,
    events: Events,
    keyring: Keyring,
    projection: Projection,
    health: health::Health,
    metrics: Metrics,
}

impl Receiver {
    /// `events` publishes as [`MANAGER`]; `metrics` counts every delivery.
    pub fn new(client: Client, settings: Settings, events: Events, metrics: Metrics) -> Self {
        let keyring = Keyring::new(Secrets::new(client.clone()), settings.webhook_secret);
        Self(Arc::new(Inner {
            client,
            namespace: settings.namespace,
            bounds: admission::Bounds { body: settings.max_body_bytes, all: admission::Room::default() },
            events,
            keyring,
            projection: Projection::default(),
            health: health::Health::default(),
            metrics,
        }))
    }

    /// Whether Tasks and Repositories have been listed once: before that, deliveries are answered 503.
    pub fn is_synced(&self) -> bool {
        self.0.projection.is_synced()
    }

    /// The version of a Task that the receiver has seen; `None`: it knows no such Task. Tells how far its watch lags.
    pub fn task_version(&self, namespace: &str, name: &str) -> Option<String> {
        self.0.projection.tasks(|tasks| tasks.version(namespace, name)).flatten()
    }

    /// The same of a Repository.
    pub fn repository_version(&self, namespace: &str, name: &str) -> Option<String> {
        self.0.projection.repositories(|repositories| repositories.version(namespace, name)).flatten()
    }

    /// Watches and answers until `stop` is cancelled, then lets what is in flight finish (at most 10 s).
    /// An error or an end before that is the end of the process.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) -> io::Result<()> {
        let inner = &self.0;
        let watches = inner.projection.follow(&inner.client, inner.namespace.as_deref(), &inner.events);
        tokio::select! {
            () = server::serve(listener, routes::routes(self.clone()), stop) => Ok(()),
            () = watches => Err(io::Error::other("a watch of the webhook receiver ended")),
        }
    }
}
