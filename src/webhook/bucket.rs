//! A token bucket: how much of something anybody may cause in a second.
//! Used by `keyring` and `secret_store` for work that the unsigned can cause, and by `sample` for log lines.

use std::sync::{Mutex, PoisonError};
use tokio::time::{Duration, Instant};

/// Holds up to one second's tokens and refills steadily.
pub(super) struct Bucket {
    rate: f64,
    state: Mutex<(f64, Instant)>,
}

impl Bucket {
    /// Full, with `rate` tokens a second.
    pub(super) fn new(rate: u32) -> Self {
        let rate = f64::from(rate);
        Self { rate, state: Mutex::new((rate, Instant::now())) }
    }

    /// Takes one token; false when none is left.
    pub(super) fn try_acquire(&self) -> bool {
        self.try_acquire_above(0)
    }

    /// Takes one token, if at least `kept` remain for others.
    pub(super) fn try_acquire_above(&self, kept: u32) -> bool {
        self.take(1.0, f64::from(kept) + 1.0)
    }

    /// Takes `tokens`, however many they are, unless earlier ones are still owed.
    pub(super) fn try_owe(&self, tokens: f64) -> bool {
        self.take(tokens, f64::MIN_POSITIVE)
    }

    /// Takes `tokens` whatever is owed already.
    pub(super) fn owe(&self, tokens: f64) {
        self.take(tokens, f64::NEG_INFINITY);
    }

    /// Waits for a token and takes it.
    pub(super) async fn acquire(&self) {
        while !self.try_acquire() {
            tokio::time::sleep(Duration::from_secs_f64(1.0 / self.rate)).await;
        }
    }

    fn take(&self, tokens: f64, least: f64) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (left, since) = *state;
        let now = Instant::now();
        let left = (left + now.duration_since(since).as_secs_f64() * self.rate).min(self.rate);
        let taken = left >= least;
        *state = (if taken { left - tokens } else { left }, now);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(bucket: &Bucket) -> usize {
        (0..1_000).filter(|_| bucket.try_acquire()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_bucket_gives_its_rate_and_then_refuses() {
        let bucket = Bucket::new(20);
        assert_eq!(taken(&bucket), 20);
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(taken(&bucket), 10);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(taken(&bucket), 20);
    }

    #[tokio::test(start_paused = true)]
    async fn some_may_be_kept_for_others_who_wait_for_theirs() {
        let bucket = Bucket::new(20);
        let above = (0..1_000).filter(|_| bucket.try_acquire_above(10)).count();
        assert_eq!((above, taken(&bucket)), (10, 10));
        let started = Instant::now();
        bucket.acquire().await;
        assert!((50..60).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_owed_is_paid_before_more_is_given() {
        let bucket = Bucket::new(20);
        assert!(bucket.try_owe(60.0));
        for (seconds, given) in [(0, false), (1, false), (1, false), (1, true), (1, true)] {
            tokio::time::advance(Duration::from_secs(seconds)).await;
            assert_eq!(bucket.try_owe(20.0), given);
        }
        bucket.owe(40.0);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!bucket.try_owe(1.0));
    }
}
