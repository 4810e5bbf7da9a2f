//! Simulated time: the real clock plus an offset that tests move forward.
//! Expiry loops sleep through it, so that an advance wakes them at once.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

/// Real time plus an offset that only grows; clones share it.
#[derive(Clone)]
pub struct Clock {
    offset: Arc<watch::Sender<Duration>>,
}

impl Default for Clock {
    fn default() -> Self {
        Self { offset: Arc::new(watch::Sender::new(Duration::ZERO)) }
    }
}

impl Clock {
    /// The simulated time.
    pub fn now(&self) -> Timestamp {
        let offset = SignedDuration::try_from(*self.offset.borrow()).unwrap_or(SignedDuration::MAX);
        Timestamp::now().checked_add(offset).unwrap_or(Timestamp::MAX)
    }

    /// Moves the simulated time forward and wakes everything that sleeps by it.
    pub fn advance(&self, by: Duration) {
        self.offset.send_modify(|offset| *offset = offset.saturating_add(by));
    }

    /// How far the simulated time is ahead of the real one.
    pub fn offset(&self) -> Duration {
        *self.offset.borrow()
    }

    /// A receiver that is notified of every advance.
    pub fn subscribe(&self) -> watch::Receiver<Duration> {
        self.offset.subscribe()
    }

    /// Returns once the simulated time is at or after `deadline`, however it got there.
    pub async fn sleep_until(&self, deadline: Timestamp) {
        let mut changed = self.subscribe();
        loop {
            let left = deadline.duration_since(self.now());
            let Ok(left) = Duration::try_from(left) else { return };
            if left.is_zero() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(left) => {}
                // The sender lives in `self`, so `changed` cannot fail here.
                _ = changed.changed() => {}
            }
        }
    }
}
