//! Which requests that nobody signed get a line in the log: a few each second, the rest are told as a number.
//! Used by `routes`; the metric counts them all.

use super::bucket::Bucket;
use std::sync::atomic::{AtomicU64, Ordering};

/// Lines per second: enough to see what comes, at most 2 KB of it.
const LINES_PER_SECOND: u32 = 10;

/// A sample of what happens very often.
pub(super) struct Sample {
    lines: Bucket,
    untold: AtomicU64,
}

impl Default for Sample {
    fn default() -> Self {
        Self { lines: Bucket::new(LINES_PER_SECOND), untold: AtomicU64::new(0) }
    }
}

impl Sample {
    /// Returns whether this one is to be told. Before that, tells how many were not.
    pub(super) fn takes_line(&self) -> bool {
        if !self.lines.try_acquire() {
            self.untold.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        let refused = self.untold.swap(0, Ordering::Relaxed);
        if refused > 0 {
            tracing::info!(refused, "more requests were refused without a line of their own");
        }
        true
    }
}
