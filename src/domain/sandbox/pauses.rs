//! How long a sandbox has been paused in all: a Task does not count that as time of its command.
//! Used by `case` for what E2B shows and by `record` for a resume.

use super::{Life, Seen, case::Case};
use crate::api::{OnTimeout, SandboxState, common::whole_seconds};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

impl Case<'_> {
    /// Adds up a pause that has ended by what E2B shows, and notes one that lasts. Before the rest of `seen` is taken.
    pub(super) fn count_pause(&mut self, seen: &Seen) {
        let noted = self.status.paused_at.as_ref().map(|at| at.0);
        match noted.or(self.unseen_pause()) {
            // E2B counts a run from its resume.
            Some(began) if seen.started_at > began => self.resumed(began, seen.started_at),
            Some(began) if noted.is_some() && seen.life == Life::Running => self.resumed(began, self.now),
            _ => {}
        }
        if seen.life == Life::Paused && self.status.paused_at.is_none() {
            self.status.paused_at = Some(Time(whole_seconds(seen.end_at.min(self.now))));
        }
    }

    /// The operator has resumed the sandbox.
    pub(super) fn count_resume(&mut self) {
        if let Some(began) = self.status.paused_at.as_ref().map(|at| at.0) {
            self.resumed(began, self.now);
        }
    }

    /// When a sandbox that was last seen running was paused, if it was: at its time-out.
    fn unseen_pause(&self) -> Option<Timestamp> {
        let pauses = self.sandbox.spec.on_timeout == OnTimeout::Pause;
        let ran = self.status.state == Some(SandboxState::Running);
        self.status.expires_at.as_ref().filter(|_| pauses && ran).map(|at| at.0)
    }

    fn resumed(&mut self, began: Timestamp, ended: Timestamp) {
        self.status.paused_seconds += ended.duration_since(began).as_secs().max(0);
        self.status.paused_at = None;
    }
}
