//! The time in which stores may be older than they look: a watch broke or began anew, or another replica may have led.
//! Raised by `app`, which sees both; asked by `shell` before each step.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// A dead connection is noticed within a minute, and is a reason for doubt by itself: what was written before this time
/// has then arrived.
const LASTS: Duration = Duration::from_secs(65);

/// Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Doubt(Arc<Mutex<Option<Instant>>>);

impl Doubt {
    /// From now on, what a store says may have been overtaken.
    pub fn raise(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// The time since which an object must have been read or written to be known; `None`: there is no doubt.
    pub(super) fn since(&self) -> Option<Instant> {
        let raised = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        raised.filter(|raised| raised.elapsed() < LASTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_doubt_lasts_until_a_dead_connection_would_have_been_noticed() {
        let doubt = Doubt::default();
        assert_eq!(doubt.since(), None);
        doubt.clone().raise();
        let raised = Instant::now();
        tokio::time::advance(LASTS / 2).await;
        assert_eq!(doubt.since(), Some(raised));
        tokio::time::advance(LASTS / 2).await;
        assert_eq!(doubt.since(), None);
    }
}
