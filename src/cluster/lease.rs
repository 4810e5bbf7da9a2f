//! Leader election on a Lease, after client-go's algorithm: who holds it leads until a known instant, renewed or not.
//! Run by `app`, which asks [`Leadership`] at the start of every pass and before every external write.

mod record;

use super::{Error, patience::patient};
use crate::telemetry::Metrics;
use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::{coordination::v1::Lease, core::v1::ObjectReference};
use kube::{Api, Client, Resource, ResourceExt, api::PostParams, runtime::watcher::watch_object};
use record::{Held, LeaseSnapshot, handed_over, held_by, holder, released};
use std::{pin::pin, sync::Arc, time::Duration};
use tokio::{
    sync::watch as flag,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Field manager of the Lease, and its name.
const NAME: &str = "slipway-controller";
/// A holder leads for this long after it sent its last successful renewal. Shorter than [`record::DURATION`]: the difference is
/// what clocks may drift apart and a write may need from the check to the network.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// From one renewal, or one failed try, to the next.
const RETRY: Duration = Duration::from_secs(2);
/// For one write: a dead connection must leave time for another try.
const WRITE_DEADLINE: Duration = Duration::from_secs(5);
/// Longest wait at the end for external writes in flight, and for the release itself.
const RELEASE_DEADLINE: Duration = Duration::from_secs(2);

/// Tells whether this process leads. Cheap to clone and to ask.
#[derive(Debug, Clone)]
pub struct Leadership {
    until: flag::Receiver<Option<Instant>>,
}

impl Leadership {
    /// Leading is known until an instant, so this stays right when the elector hangs or the process was paused.
    pub fn leads(&self) -> bool {
        self.until.borrow().is_some_and(|until| Instant::now() < until)
    }

    /// Waits until this process leads.
    pub async fn gained(&self) {
        let mut until = self.until.clone();
        while !self.leads() {
            if until.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits until this process no longer leads.
    pub async fn lost(&self) {
        let mut changes = self.until.clone();
        loop {
            let Some(until) = *changes.borrow_and_update() else { return };
            tokio::select! {
                () = sleep_until(until) => return,
                changed = changes.changed() => if changed.is_err() {
                    // The elector has ended: what it knew last runs out.
                    return sleep_until(until).await;
                }
            }
        }
    }
}

/// What one leader passes on to the next, in an annotation of the Lease. Each renewal writes it anew: a leader that dies leaves
/// what was true then, and may have gone on for ten seconds since.
pub trait Handover: Send + Sync {
    /// Words it for the next leader. `ended`: nothing follows of this process.
    fn hand_over(&self, ended: bool) -> String;

    /// Takes over from the leader before; this process leads as soon as the Lease says so. Nothing was passed on where nobody has
    /// led before (empty), and by a release that does not (absent).
    fn take_over(&self, words: Option<&str>);
}

/// Tries to hold the Lease as long as it runs.
pub struct Elector {
    api: Api<Lease>,
    name: String,
    identity: String,
    until: flag::Sender<Option<Instant>>,
    metrics: Metrics,
    handover: Option<Arc<dyn Handover>>,
}

impl Elector {
    /// The Lease is in the operator's own namespace: one in a namespace that is being deleted is gone for good, and with it
    /// whoever could release what else is there. An operator that serves another namespace only has one of its own.
    ///
    /// `identity` names this process among the candidates. A process that finds its own identity in the Lease takes it
    /// at once, so two processes must never share one at the same time.
    pub fn new(
        client: Client,
        serves: Option<&str>,
        identity: String,
        metrics: Metrics,
    ) -> (Self, Leadership) {
        let (sender, until) = flag::channel(None);
        let name = match serves {
            Some(namespace) if namespace != client.default_namespace() => format!("{NAME}-{namespace}"),
            _ => NAME.to_owned(),
        };
        let api = Api::default_namespaced(client);
        let elector = Self { api, name, identity, until: sender, metrics, handover: None };
        (elector, Leadership { until })
    }

    /// Hands this over with the Lease.
    #[must_use]
    pub fn handing_over(self, handover: Arc<dyn Handover>) -> Self {
        Self { handover: Some(handover), ..self }
    }

    /// The Lease, for events about the installation as a whole.
    pub fn lease(&self) -> ObjectReference {
        ObjectReference {
            api_version: Some(Lease::api_version(&()).into_owned()),
            kind: Some(Lease::kind(&()).into_owned()),
            namespace: self.api.namespace().map(str::to_owned),
            name: Some(self.name.clone()),
            ..ObjectReference::default()
        }
    }

    /// Until `stop`; then the Lease is released as soon as the external writes `in_flight` have been answered.
    pub async fn run(self, stop: CancellationToken, in_flight: TaskTracker) {
        loop {
            let (lease, until) = tokio::select! {
                () = stop.cancelled() => return,
                taken = self.stand_by() => taken,
            };
            tracing::info!(lease = self.name, identity = self.identity, "leading");
            self.metrics.leading(true);
            let held = self.lead(lease, until, &stop).await;
            if let Some(lease) = held {
                in_flight.close();
                let _ = timeout(RELEASE_DEADLINE, in_flight.wait()).await;
                self.release(lease).await;
            } else {
                tracing::warn!(
                    identity = self.identity,
                    "no longer leading: passes are cut off, no external write starts"
                );
            }
            self.until.send_replace(None);
            self.metrics.leading(false);
        }
    }

    /// Waits for the Lease to be free, and takes it: the Lease as written, and until when it makes this process lead.
    async fn stand_by(&self) -> (Lease, Instant) {
        let mut changes = pin!(patient(|| watch_object(self.api.clone(), &self.name), |_| true));
        let mut seen: Option<LeaseSnapshot> = None;
        let mut not_before = Instant::now();
        loop {
            let due = seen.as_ref().map(|seen| seen.free_at(&self.identity).max(not_before));
            tokio::select! {
                Some(change) = changes.next() => match change {
                    Ok(lease) => {
                        if LeaseSnapshot::renew(&mut seen, lease) {
                            not_before = Instant::now();
                        }
                    }
                    Err(error) => tracing::warn!(lease = self.name, %error, "the Lease can't be watched; trying again"),
                },
                () = until(due) => {
                    let started = Instant::now();
                    let lease = seen.as_ref().and_then(|seen| seen.lease.as_ref());
                    // Before the Lease is taken: its first version by this process passes on what the last one has written.
                    if let Some(handover) = &self.handover {
                        handover.take_over(lease.map_or(Some(""), handed_over));
                    }
                    match self.try_acquire(lease).await {
                        Ok(Held::Ours(lease)) => return (lease, started + RENEW_DEADLINE),
                        Ok(Held::Others(lease)) => {
                            LeaseSnapshot::renew(&mut seen, lease);
                        }
                        Err(error) => tracing::warn!(lease = self.name, %error, "the Lease can't be taken; trying again"),
                    }
                    not_before = Instant::now() + RETRY;
                }
            }
        }
    }

    /// Renews until told to stop (the Lease, still held) or until it is lost.
    async fn lead(&self, mut lease: Lease, mut until: Instant, stop: &CancellationToken) -> Option<Lease> {
        while Instant::now() < until {
            self.until.send_replace(Some(until));
            tokio::select! {
                () = stop.cancelled() => return Some(lease),
                () = sleep(RETRY) => {}
            }
            let started = Instant::now();
            match self.try_acquire(Some(&lease)).await {
                Ok(Held::Ours(renewed)) => (lease, until) = (renewed, started + RENEW_DEADLINE),
                // Ours after all: the answer to an earlier renewal was lost. The next one goes on from here.
                Ok(Held::Others(Some(newer))) if holder(&newer) == Some(&self.identity) => lease = newer,
                Ok(Held::Others(other)) => {
                    let holder = other.as_ref().and_then(holder).unwrap_or("nobody");
                    tracing::warn!(lease = self.name, holder, "another replica has taken the Lease");
                    return None;
                }
                Err(error) => {
                    tracing::warn!(lease = self.name, %error, "the Lease can't be renewed; trying again")
                }
            }
        }
        None
    }

    /// Writes us into the Lease as it was seen, or into a new one.
    async fn try_acquire(&self, seen: Option<&Lease>) -> Result<Held, Error> {
        let wanted = held_by(seen, &self.name, &self.identity, self.hand_over(false), Timestamp::now());
        match self.write(&wanted).await {
            Ok(lease) => Ok(Held::Ours(lease)),
            Err(Error::Conflict(_) | Error::NotFound(_)) => {
                let current = within(self.api.get_opt(&self.name)).await?;
                Ok(Held::Others(current))
            }
            Err(error) => Err(error),
        }
    }

    /// Lets the next one take it without a wait; what fails here heals by the Lease's age.
    async fn release(&self, lease: Lease) {
        let lease = released(lease, self.hand_over(true), Timestamp::now());
        match timeout(RELEASE_DEADLINE, self.write(&lease)).await {
            Ok(Ok(_)) => tracing::info!(lease = self.name, identity = self.identity, "the Lease is released"),
            Ok(Err(error)) => {
                tracing::warn!(lease = self.name, %error, "the Lease is not released and runs out without it")
            }
            Err(_) => {
                tracing::warn!(lease = self.name, "the Lease is not released in time and runs out without it")
            }
        }
    }

    fn hand_over(&self, ended: bool) -> Option<String> {
        self.handover.as_ref().map(|handover| handover.hand_over(ended))
    }

    /// With the version that was read: of several candidates one wins.
    async fn write(&self, lease: &Lease) -> Result<Lease, Error> {
        let params = PostParams { field_manager: Some(NAME.into()), ..PostParams::default() };
        if lease.resource_version().is_some() {
            within(self.api.replace(&self.name, &params, lease)).await
        } else {
            within(self.api.create(&params, lease)).await
        }
    }
}

async fn within<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, Error> {
    match timeout(WRITE_DEADLINE, call).await {
        Ok(answer) => answer.map_err(Error::from),
        Err(_) => Err(Error::Unavailable(format!("no answer within {} s", WRITE_DEADLINE.as_secs()))),
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn leading_ends_at_its_instant_whether_or_not_somebody_says_so() {
        let (sender, until) = flag::channel(None);
        let leadership = Leadership { until };
        assert!(!leadership.leads());
        sender.send_replace(Some(Instant::now() + RENEW_DEADLINE));
        leadership.gained().await;
        assert!(leadership.leads());
        let started = Instant::now();
        leadership.lost().await;
        assert_eq!(started.elapsed().as_secs(), RENEW_DEADLINE.as_secs());
        assert!(!leadership.leads());

        sender.send_replace(Some(Instant::now() + RENEW_DEADLINE));
        let losing = async {
            sleep(Duration::from_secs(6)).await;
            // A renewal, then the end.
            sender.send_replace(Some(Instant::now() + RENEW_DEADLINE));
            sleep(Duration::from_secs(6)).await;
            sender.send_replace(None);
        };
        let started = Instant::now();
        tokio::join!(leadership.lost(), losing);
        assert_eq!(started.elapsed().as_secs(), 12);
    }
}
