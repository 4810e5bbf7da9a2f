//! The reasons why a pass ends before its plan is carried out, and when the next one comes then.
//! Made by `shell` and `shell::objects`.

use crate::{
    cluster,
    telemetry::{ObjectLabel, Outcome},
};
use std::time::Duration;

/// Wait after a write that was not sent for want of leadership. The next pass begins when it is back, if ever.
const NOT_LEADING: Duration = Duration::from_secs(1);
/// Wait after the API server failed us.
const FAILED: Duration = Duration::from_secs(5);
/// Wait after a pass panicked.
const PANICKED: Duration = Duration::from_mins(1);

/// Reason why a pass ended early.
#[derive(Debug)]
pub(super) enum Cut {
    /// Somebody else wrote first: read again, decide again.
    Conflict {
        wait: Duration,
    },
    /// A write was not sent, because another replica leads or this one ends. Nothing is recorded: nothing has failed.
    NotLeading,
    Cluster(cluster::Error),
    /// The panic's message.
    Panicked(String),
}

impl From<cluster::Error> for Cut {
    fn from(error: cluster::Error) -> Self {
        Self::Cluster(error)
    }
}

impl Cut {
    pub(super) fn panicked(panic: &(dyn std::any::Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        Self::Panicked(text.unwrap_or("no message").to_owned())
    }

    /// Says in the log what happened; when the next pass comes, and what the metric counts.
    pub(super) fn conclude(&self, object: &ObjectLabel) -> (Duration, Outcome) {
        match self {
            Self::Conflict { wait } => (*wait, Outcome::Waiting),
            Self::NotLeading => {
                tracing::debug!(%object, "pass ends: this process does not lead");
                (NOT_LEADING, Outcome::Abandoned)
            }
            Self::Cluster(error) => {
                tracing::warn!(%object, %error, reason = error.reason(), "pass failed at the API server");
                (FAILED, Outcome::Failed)
            }
            Self::Panicked(panic) => {
                tracing::error!(%object, panic, "pass panicked");
                (PANICKED, Outcome::Abandoned)
            }
        }
    }
}
