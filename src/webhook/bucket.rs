//! A token bucket: how many deliveries that name no known hook may try every secret.
//! Used by `keyring`.

use std::sync::{Mutex, PoisonError};
use tokio::time::Instant;

/// Refills `rate` tokens a second up to `rate`.
pub(super) struct Bucket {
    rate: f64,
    state: Mutex<(f64, Instant)>,
}

impl Bucket {
    pub(super) fn new(rate: u32) -> Self {
        let rate = f64::from(rate);
        Self { rate, state: Mutex::new((rate, Instant::now())) }
    }

    /// Takes one token; false when none is left.
    pub(super) fn take(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (tokens, since) = *state;
        let now = Instant::now();
        let tokens = (tokens + now.duration_since(since).as_secs_f64() * self.rate).min(self.rate);
        let taken = tokens >= 1.0;
        *state = (if taken { tokens - 1.0 } else { tokens }, now);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_bucket_gives_its_rate_and_then_refuses() {
        let bucket = Bucket::new(20);
        let started = Instant::now();
        let taken: u32 = (0..1_000).map(|_| u32::from(bucket.take())).sum();
        let most = 20.0 + 20.0 * started.elapsed().as_secs_f64() + 1.0;
        assert!(taken >= 20 && f64::from(taken) < most, "{taken}, {most}");
    }
}
