//! Says when the sweep looks, and tells what it has killed: in a metric, and in an event on the Lease.
//! Part of `app::controllers`; the looks are `controllers::sandbox`'s.

use crate::{
    api::conditions::reason,
    cluster::{Events, KEPT_SANDBOXES, Leadership, events::EventType},
    controllers::sandbox::{Sweep, Swept},
    telemetry::Metrics,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

/// From the beginning of the lead to the first look: what a restart has to do comes first.
const FIRST: Duration = Duration::from_mins(10);
/// From one look to the next.
const INTERVAL: Duration = Duration::from_mins(30);

/// Looks while this process leads.
pub(super) struct Sweeper {
    pub(super) sweep: Sweep,
    pub(super) leadership: Leadership,
    pub(super) events: Events,
    pub(super) lease: ObjectReference,
    pub(super) metrics: Metrics,
}

impl Sweeper {
    /// Until `stop`. Each lead begins anew.
    pub(super) async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        stop.run_until_cancelled(async {
            loop {
                self.leadership.gained().await;
                self.sweep.start_over();
                let leadership = self.leadership.clone();
                tokio::select! {
                    () = self.look_again_and_again() => {}
                    () = leadership.lost() => {}
                }
            }
        })
        .await;
        Ok(())
    }

    async fn look_again_and_again(&mut self) {
        let mut looks = interval_at(Instant::now() + FIRST, INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let swept = self.sweep.look(Timestamp::now()).await;
            self.metrics.swept(swept.killed.len(), swept.failed.len());
            if let Some(note) = note(&swept) {
                self.events
                    .publish(&self.lease, EventType::Warning, reason::SANDBOXES_SWEPT, "Sweep", &note)
                    .await;
            }
        }
    }
}

/// Says what one look has done; nothing where it has done nothing.
fn note(swept: &Swept) -> Option<String> {
    let mut parts = Vec::new();
    if !swept.killed.is_empty() {
        parts.push(format!("Killed {} at E2B ({})", sandboxes(swept.killed.len()), swept.killed.join(", ")));
    }
    if !swept.failed.is_empty() {
        let (count, ids) = (sandboxes(swept.failed.len()), swept.failed.join(", "));
        parts.push(format!("Could not kill {count} at E2B, the next look tries again ({ids})"));
    }
    if !swept.found.is_empty() {
        parts.push(format!(
            "Found {} at E2B of before this operator kept the record {KEPT_SANDBOXES}, and put them there: take out the entries of \
             those that may go ({})",
            sandboxes(swept.found.len()),
            swept.found.join(", ")
        ));
    }
    let what = "made by this installation, with no Sandbox for it";
    (!parts.is_empty()).then(|| format!("{}: {what}", parts.join("; ")))
}

fn sandboxes(count: usize) -> String {
    if count == 1 { "1 sandbox".to_owned() } else { format!("{count} sandboxes") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_event_says_how_many_and_which() {
        assert_eq!(note(&Swept::default()), None);
        let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
        let killed = Swept { killed: ids(&["i1", "i2"]), failed: ids(&["i3"]), found: vec![] };
        let note = note(&killed).expect("a note");
        assert!(
            note.starts_with("Killed 2 sandboxes at E2B (i1, i2); Could not kill 1 sandbox at E2B, the next"),
            "{note}"
        );
        assert!(note.contains("(i3)"), "{note}");
        let found = super::note(&Swept { found: ids(&["i4"]), ..Swept::default() }).expect("a note");
        assert!(found.contains("take out the entries") && found.contains("(i4)"), "{found}");
    }
}
