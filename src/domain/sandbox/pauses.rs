//! Counts how long a sandbox has been paused in all: a Task does not count that as time of its command.
//! Used by `scope` for what E2B shows and by `record` for a resume.

use super::{E2bSandbox, Life};
use crate::api::{OnTimeout, SandboxState, SandboxStatus, common::whole_seconds};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Adds up a pause that has ended by what E2B shows, and notes one that lasts; returns whether one has ended. `status` is
/// still as it was before.
pub(super) fn count(
    status: &mut SandboxStatus,
    on_timeout: OnTimeout,
    seen: &E2bSandbox,
    now: Timestamp,
) -> bool {
    let noted = status.paused_at.as_ref().map(|at| at.0);
    let ended = match noted.or(unseen(status, on_timeout)) {
        Some(began) if seen.started_at > began => Some((began, seen.started_at)),
        // A server that does not count runs anew.
        Some(began) if noted.is_some() && seen.life == Life::Running => Some((began, now)),
        _ => None,
    };
    if let Some((began, ended)) = ended {
        add(status, began, ended);
    }
    if seen.life == Life::Paused && status.paused_at.is_none() {
        status.paused_at = Some(Time(whole_seconds(seen.end_at.min(now))));
    }
    ended.is_some()
}

/// The operator has resumed the sandbox.
pub(super) fn end(status: &mut SandboxStatus, now: Timestamp) {
    if let Some(began) = status.paused_at.as_ref().map(|at| at.0) {
        add(status, began, now);
    }
}

/// Returns when a sandbox that was last seen running was paused, if it was: at its time-out.
fn unseen(status: &SandboxStatus, on_timeout: OnTimeout) -> Option<Timestamp> {
    let ran = status.state == Some(SandboxState::Running) && on_timeout == OnTimeout::Pause;
    status.expires_at.as_ref().filter(|_| ran).map(|at| at.0)
}

fn add(status: &mut SandboxStatus, began: Timestamp, ended: Timestamp) {
    status.paused_seconds += ended.duration_since(began).as_secs().max(0);
    status.paused_at = None;
}
