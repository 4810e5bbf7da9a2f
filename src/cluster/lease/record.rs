//! What stands in the Lease: its holder, how long others have to wait, and what its holder hands over to the next.
//! Written and read by the elector.

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::Lease,
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::ResourceExt;
use std::time::Duration;
use tokio::time::Instant;

/// Others may take a Lease that they have not seen change for this long. client-go's and Kubernetes' own default.
pub(super) const DURATION: Duration = Duration::from_secs(15);
/// Annotation with what the next leader has to know, in words of its own.
const HANDED_OVER: &str = "slipway.dev/handover";
/// Annotation with the `renewTime` that was written with it, in microseconds: a release that knows of neither keeps both, and they
/// say nothing of its own time.
const HANDED_OVER_AT: &str = "slipway.dev/handover-time";

/// Result of a try to take the Lease.
pub(super) enum Held {
    Ours(Lease),
    /// As it stands; `None` when there is none.
    Others(Option<Lease>),
}

/// The Lease as last seen. Its age is counted by our own clock from when we saw it change: clocks of machines differ.
pub(super) struct LeaseSnapshot {
    pub(super) lease: Option<Lease>,
    since: Instant,
}

impl LeaseSnapshot {
    /// Takes note of the Lease; whether it has changed.
    pub(super) fn renew(seen: &mut Option<Self>, lease: Option<Lease>) -> bool {
        let version = |lease: &Option<Lease>| lease.as_ref().and_then(ResourceExt::resource_version);
        let changed = seen.as_ref().is_none_or(|seen| version(&seen.lease) != version(&lease));
        if changed {
            *seen = Some(Self { lease, since: Instant::now() });
        }
        changed
    }

    /// From when on `identity` may take it.
    pub(super) fn free_at(&self, identity: &str) -> Instant {
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
pub(super) fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref().filter(|holder| !holder.is_empty())
}

/// Returns what the last holder has passed on.
pub(super) fn handed_over(lease: &Lease) -> Option<&str> {
    let renewed = lease.spec.as_ref()?.renew_time.as_ref()?.0.as_microsecond();
    let words = lease.annotations().get(HANDED_OVER)?;
    (*lease.annotations().get(HANDED_OVER_AT)? == renewed.to_string()).then_some(words)
}

/// The Lease with us as its holder, who hands over `handover`: what is not ours in it stays as it was.
pub(super) fn held_by(
    seen: Option<&Lease>,
    name: &str,
    identity: &str,
    handover: Option<String>,
    now: Timestamp,
) -> Lease {
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
    hand_over(&mut lease, handover, now);
    Lease { spec: Some(spec), ..lease }
}

/// The Lease without a holder: the next one takes it without a wait.
pub(super) fn released(mut lease: Lease, handover: Option<String>, now: Timestamp) -> Lease {
    let mut spec = lease.spec.take().unwrap_or_default();
    spec.holder_identity = None;
    spec.lease_duration_seconds = Some(1);
    spec.renew_time = Some(MicroTime(now));
    hand_over(&mut lease, handover, now);
    Lease { spec: Some(spec), ..lease }
}

fn hand_over(lease: &mut Lease, handover: Option<String>, now: Timestamp) {
    if let Some(words) = handover {
        let annotations = lease.annotations_mut();
        annotations.insert(HANDED_OVER.into(), words);
        annotations.insert(HANDED_OVER_AT.into(), now.as_microsecond().to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::sleep;

    fn lease(holder: &str, version: &str) -> Lease {
        let mut lease = held_by(None, "lease", holder, None, Timestamp::UNIX_EPOCH);
        lease.metadata.resource_version = Some(version.into());
        lease
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
        let first = held_by(None, "lease", "a", None, Timestamp::UNIX_EPOCH);
        assert_eq!(spec(&first).lease_transitions, Some(0));
        let later = Timestamp::UNIX_EPOCH + Duration::from_secs(2);
        let renewed = held_by(Some(&first), "lease", "a", None, later);
        assert_eq!(
            (spec(&renewed).lease_transitions, spec(&renewed).acquire_time),
            (Some(0), spec(&first).acquire_time)
        );
        assert_eq!(spec(&renewed).renew_time, Some(MicroTime(later)));
        let taken = held_by(Some(&renewed), "lease", "b", None, later);
        assert_eq!(
            (spec(&taken).lease_transitions, spec(&taken).acquire_time),
            (Some(1), Some(MicroTime(later)))
        );
        assert_eq!(holder(&taken), Some("b"));
    }

    #[test]
    fn what_is_handed_over_stands_in_the_lease() {
        let first = held_by(None, "lease", "a", None, Timestamp::UNIX_EPOCH);
        assert_eq!(handed_over(&first), None);
        let renewed = held_by(Some(&first), "lease", "a", Some("limits".into()), Timestamp::UNIX_EPOCH);
        assert_eq!(handed_over(&renewed), Some("limits"));
        let free = released(renewed, Some("at the end".into()), Timestamp::UNIX_EPOCH);
        assert_eq!((handed_over(&free), holder(&free)), (Some("at the end"), None));
        let taken = held_by(Some(&free), "lease", "b", None, Timestamp::UNIX_EPOCH);
        assert_eq!(handed_over(&taken), Some("at the end"), "taken at the same time");
        let old = held_by(Some(&free), "lease", "b", None, Timestamp::UNIX_EPOCH + Duration::from_secs(2));
        assert_eq!(handed_over(&old), None, "of a release that does not hand over");
    }
}
