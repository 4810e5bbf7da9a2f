//! Leader election on a Lease, after client-go's algorithm: who holds it leads until a known instant, renewed or not.
//! Run by `app`, which asks [`Leadership`] at the start of every pass and before every external write.

use super::{Error, patience::patient};
use crate::telemetry::Metrics;
use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::{
    api::{coordination::v1::Lease, core::v1::ObjectReference},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, Client, Resource, ResourceExt, api::PostParams, runtime::watcher::watch_object};
use std::{pin::pin, time::Duration};
use tokio::{
    sync::watch as flag,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Field manager of the Lease, and its name.
const NAME: &str = "slipway-controller";
/// Others may take a Lease that they have not seen change for this long. client-go's and Kubernetes' own default.
const DURATION: Duration = Duration::from_secs(15);
/// A holder leads for this long after it sent its last successful renewal. Shorter than [`DURATION`]: the difference is
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

/// Tries to hold the Lease as long as it runs.
pub struct Elector {
    api: Api<Lease>,
    name: String,
    identity: String,
    until: flag::Sender<Option<Instant>>,
    metrics: Metrics,
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
        (Self { api, name, identity, until: sender, metrics }, Leadership { until })
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
                    match self.try_acquire(seen.as_ref().and_then(|seen| seen.lease.as_ref())).await {
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
        let wanted = held_by(seen, &self.name, &self.identity, Timestamp::now());
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
    async fn release(&self, mut lease: Lease) {
        let mut spec = lease.spec.take().unwrap_or_default();
        spec.holder_identity = None;
        spec.lease_duration_seconds = Some(1);
        spec.renew_time = Some(MicroTime(Timestamp::now()));
        lease.spec = Some(spec);
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

/// Result of a try to take the Lease.
enum Held {
    Ours(Lease),
    /// As it stands; `None` when there is none.
    Others(Option<Lease>),
}

/// The Lease as last seen. Its age is counted by our own clock from when we saw it change: clocks of machines differ.
struct LeaseSnapshot {
    lease: Option<Lease>,
    since: Instant,
}

impl LeaseSnapshot {
    /// Takes note of the Lease; whether it has changed.
    fn renew(seen: &mut Option<Self>, lease: Option<Lease>) -> bool {
        let version = |lease: &Option<Lease>| lease.as_ref().and_then(ResourceExt::resource_version);
        let changed = seen.as_ref().is_none_or(|seen| version(&seen.lease) != version(&lease));
        if changed {
            *seen = Some(Self { lease, since: Instant::now() });
        }
        changed
    }

    /// From when on `identity` may take it.
    fn free_at(&self, identity: &str) -> Instant {
        let Some(lease) = &self.lease else { return self.since };
        if holder(lease).is_none_or(|holder| holder == identity) {
            return self.since;
        }
        let seconds = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds);
        let duration = seconds.and_then(|s| u64::try_from(s).ok()).map_or(DURATION, Duration::from_secs);
        self.since + duration
    }
}

/// Returns the holder, if there is one.
fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref().filter(|holder| !holder.is_empty())
}

/// The Lease with us as its holder: what is not ours in it stays as it was.
fn held_by(seen: Option<&Lease>, name: &str, identity: &str, now: Timestamp) -> Lease {
    let mut lease = seen.cloned().unwrap_or_else(|| Lease {
        metadata: ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() },
        spec: None,
    });
    let takes_over = holder(&lease) != Some(identity);
    let mut spec = lease.spec.take().unwrap_or_default();
    if takes_over {
        spec.acquire_time = Some(MicroTime(now));
        spec.lease_transitions =
            Some(spec.lease_transitions.map_or(0, |transitions| transitions.saturating_add(1)));
    }
    spec.holder_identity = Some(identity.to_owned());
    spec.lease_duration_seconds = i32::try_from(DURATION.as_secs()).ok();
    spec.renew_time = Some(MicroTime(now));
    Lease { spec: Some(spec), ..lease }
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

    fn lease(holder: &str, version: &str) -> Lease {
        let mut lease = held_by(None, NAME, holder, Timestamp::UNIX_EPOCH);
        lease.metadata.resource_version = Some(version.into());
        lease
    }

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

    #[tokio::test(start_paused = true)]
    async fn a_lease_is_free_when_it_has_not_been_seen_to_change_for_its_duration() {
        let mut seen = None;
        assert!(LeaseSnapshot::renew(&mut seen, Some(lease("a", "1"))));
        let first = Instant::now();
        sleep(Duration::from_secs(9)).await;
        assert!(
            !LeaseSnapshot::renew(&mut seen, Some(lease("a", "1"))),
            "the same version again is no renewal"
        );
        let free_at =
            |seen: &Option<LeaseSnapshot>, identity| seen.as_ref().map(|seen| seen.free_at(identity));
        assert_eq!(free_at(&seen, "b"), Some(first + DURATION));
        assert_eq!(free_at(&seen, "a"), Some(first), "its own Lease waits for nobody");
        assert!(LeaseSnapshot::renew(&mut seen, Some(lease("a", "2"))));
        assert_eq!(free_at(&seen, "b"), Some(Instant::now() + DURATION));
        assert!(LeaseSnapshot::renew(&mut seen, Some(lease("", "3"))));
        assert_eq!(free_at(&seen, "b"), Some(Instant::now()), "released");
        assert!(LeaseSnapshot::renew(&mut seen, None));
        assert_eq!(free_at(&seen, "b"), Some(Instant::now()), "deleted");
    }

    #[test]
    fn taking_over_counts_a_transition_and_renewing_does_not() {
        let spec = |lease: &Lease| lease.spec.clone().unwrap_or_default();
        let first = held_by(None, NAME, "a", Timestamp::UNIX_EPOCH);
        assert_eq!(spec(&first).lease_transitions, Some(0));
        let later = Timestamp::UNIX_EPOCH + Duration::from_secs(2);
        let renewed = held_by(Some(&first), NAME, "a", later);
        assert_eq!(
            (spec(&renewed).lease_transitions, spec(&renewed).acquire_time),
            (Some(0), spec(&first).acquire_time)
        );
        assert_eq!(spec(&renewed).renew_time, Some(MicroTime(later)));
        let taken = held_by(Some(&renewed), NAME, "b", later);
        assert_eq!(
            (spec(&taken).lease_transitions, spec(&taken).acquire_time),
            (Some(1), Some(MicroTime(later)))
        );
        assert_eq!(holder(&taken), Some("b"));
    }
}
